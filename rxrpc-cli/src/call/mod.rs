//! `rxrpc call`: one call to any service, its arguments spelled on the command line.

mod args;
mod callbacks;
mod dump;

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rxrpc_tokio::{Call, CallOptions, Endpoint, Target, bind_any};
use serde::Serialize;

use crate::address::Address;
use crate::failure::Failure;
use crate::{block_on, output, parse};
use args::Argument;

const DEFAULT_PORT: u16 = 7000;
/// Largest reply that is held in memory; a larger one goes to a file.
const MAX_REPLY: usize = 64 << 20;
const PIECE: usize = 256 * 1024;

const AFTER_HELP: &str = "\
Arguments:
  u32:N  i32:N       one word                   u64:N       two words
  str:TEXT  hex:HEX  XDR opaque data: length, bytes, zeros up to a multiple of four
  file:PATH          the same with the bytes of a file
  raw:HEX            bytes as they are          rawfile:PATH  the bytes of a file as they are
  chars:N:TEXT       N words, one a character   numbers may be written 0x...

Exit code 3 says that the server aborted the call; the code is named.

Examples:
  rxrpc call db.example:7003 52 514                     VL_ProbeServer
  rxrpc call db.example:7003 52 519 str:root.cell       VL_GetEntryByNameN
  rxrpc call db.example:7002 73 504 u32:1 chars:64:alice  PR_NameToID
  rxrpc call fs.example:7000 1 153 --afs-callbacks      RXAFS_GetTime";

/// Arguments of `rxrpc call`.
#[derive(clap::Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Whom to call: `HOST:PORT` or `[IPV6]:PORT`. The port is 7000 unless given.
    #[arg(value_name = "HOST[:PORT]")]
    address: String,
    /// Service id, 1 to 65535.
    #[arg(value_parser = args::number::<u16>)]
    service: u16,
    /// Operation: the first word of the request.
    #[arg(value_parser = args::number::<u32>, allow_negative_numbers = true)]
    opcode: u32,
    /// Arguments, each with its kind; see below.
    #[arg(value_name = "ARG")]
    arguments: Vec<Argument>,
    /// Write the reply to a file instead of printing it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Seconds until the call is given up.
    #[arg(long, default_value = "30", value_parser = parse::seconds)]
    timeout: Duration,
    /// Answer what a fileserver asks back at our port before it answers (service 1).
    #[arg(long)]
    afs_callbacks: bool,
    /// Print a JSON object: address, bytes, took_us, and the reply in hex unless it went to a file.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    address: String,
    bytes: u64,
    took_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_hex: Option<String>,
}

/// Make the call and print the reply.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.service == 0 {
        return Err(Failure::Usage("service 0 cannot be called".to_string()));
    }
    let address = Address::parse(&args.address, DEFAULT_PORT)?;
    let mut request = args.opcode.to_be_bytes().to_vec();
    for argument in &args.arguments {
        argument.encode(&mut request)?;
    }
    let (answer, reply) = block_on(call(args, &address, request))?;
    if args.json {
        return output::json(&answer);
    }
    match &args.out {
        Some(path) => output::line(format_args!("{} bytes to {}", answer.bytes, path.display())),
        None => output::line(dump::dump(&reply)),
    }
}

async fn call(args: &Args, address: &Address, request: Vec<u8>) -> Result<(Answer, Vec<u8>), Failure> {
    let peer = address.resolve(args.timeout).await?;
    let endpoint = bind_any().map_err(|e| Failure::Local(format!("cannot open a socket: {e}")))?;
    if args.afs_callbacks {
        callbacks::serve(&endpoint)?;
    }
    let begun = Instant::now();
    let target = Target::new(peer, args.service);
    let reply = exchange(&endpoint, target, args, request).await;
    let took = begun.elapsed();
    // The server is told that its reply arrived.
    let _ = tokio::time::timeout(Duration::from_millis(200), endpoint.close()).await;
    let (bytes, reply) = reply.map_err(|failure| failure.at(peer))?;
    let reply_hex = args.out.is_none().then(|| dump::hex(&reply));
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    Ok((Answer { address: peer.to_string(), bytes, took_us, reply_hex }, reply))
}

async fn exchange(
    endpoint: &Endpoint,
    target: Target,
    args: &Args,
    request: Vec<u8>,
) -> Result<(u64, Vec<u8>), Failure> {
    let options = CallOptions { lifetime: Some(args.timeout), ..CallOptions::default() };
    let mut call = endpoint.call(target, options).map_err(|e| Failure::Local(e.to_string()))?;
    call.write_bytes(request.into()).await?;
    call.finish()?;
    match &args.out {
        None => {
            let reply = call.read_to_end(MAX_REPLY).await?;
            Ok((reply.len() as u64, reply.to_vec()))
        }
        Some(path) => Ok((to_file(&mut call, path).await?, Vec::new())),
    }
}

async fn to_file(call: &mut Call, path: &PathBuf) -> Result<u64, Failure> {
    let failed = |e| Failure::Local(format!("cannot write {}: {e}", path.display()));
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).map_err(failed)?);
    let mut bytes = 0;
    while let Some(piece) = call.read_chunk(PIECE).await? {
        file.write_all(&piece).map_err(failed)?;
        bytes += piece.len() as u64;
    }
    file.flush().map_err(failed)?;
    Ok(bytes)
}
