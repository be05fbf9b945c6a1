//! `rxrpc version`: what software runs at a peer, and the round trip to it.

use std::time::{Duration, Instant};

use rxrpc_tokio::{VersionError, bind_any};
use serde::Serialize;

use crate::address::Address;
use crate::failure::{Failure, network};
use crate::{block_on, output, parse};

const DEFAULT_PORT: u16 = 7000;
const GRACE: Duration = Duration::from_millis(500);

const AFTER_HELP: &str = "\
The question is sent again after 0.25, 0.5 and 1 second and so on.

Examples:
  rxrpc version afs.example.org          the fileserver's port, 7000
  rxrpc version '[2001:db8::1]:7003' --json";

/// Arguments of `rxrpc version`.
#[derive(clap::Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Whom to ask: `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`. The port is 7000 unless given.
    #[arg(value_name = "HOST[:PORT]")]
    address: String,
    /// Seconds to wait for an answer, looking up the name included.
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = parse::seconds)]
    timeout: Duration,
    /// Print a JSON object: address, version, rtt_us.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    address: String,
    version: String,
    rtt_us: u64,
}

/// Ask and print.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let address = Address::parse(&args.address, DEFAULT_PORT)?;
    let answer = block_on(ask(&address, args.timeout))?;
    if args.json {
        return output::json(&answer);
    }
    let rtt = answer.rtt_us as f64 / 1000.0;
    output::line(format_args!("{}  {}  {rtt:.3} ms", answer.address, printable(&answer.version)))
}

async fn ask(address: &Address, timeout: Duration) -> Result<Answer, Failure> {
    let end = Instant::now() + timeout;
    let peer = address.resolve(timeout).await?;
    let endpoint = bind_any().map_err(|e| Failure::Local(format!("cannot open a socket: {e}")))?;
    let left = end.saturating_duration_since(Instant::now());
    // The endpoint keeps the time; this only guards against one that does not.
    let answer = tokio::time::timeout(left + GRACE, endpoint.version(peer, left)).await;
    let failed = |text: String| Err(Failure::of(peer, text));
    match answer.unwrap_or(Err(VersionError::NoAnswer)) {
        Ok(answer) => Ok(Answer {
            address: peer.to_string(),
            version: answer.text,
            rtt_us: u64::try_from(answer.rtt.as_micros()).unwrap_or(u64::MAX),
        }),
        Err(VersionError::NoAnswer) => failed(format!(
            "no answer within {} s: is the address right, and does every firewall let UDP through?",
            timeout.as_secs_f64()
        )),
        Err(VersionError::Network(error)) => failed(network(error)),
        Err(error) => failed(error.to_string()),
    }
}

/// The peer's words without what would move the cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '.' } else { c }).collect::<String>().trim().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_cannot_control_the_terminal() {
        assert_eq!(printable(" a\x1b[2Jb\n"), "a.[2Jb.");
    }
}
