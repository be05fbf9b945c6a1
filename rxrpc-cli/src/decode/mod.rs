//! `rxrpc decode`: what a capture file says about Rx.
//!
//! From the file to the lines: [`capture`] reads frames, [`net`] finds the UDP datagrams in them, [`select`]
//! keeps those that are Rx, [`offload`] and [`packet`] take them apart, [`calls`] knows which call each
//! belongs to; [`text`], [`summary`], [`json`] and [`plot`] show all of it.
//!
//! The capture is read more than once, so that its size does not matter: first to find out who speaks Rx
//! and how wide the columns are, then for the lines, and a third time for the plot.
// Octets from strangers come in here: nothing below may panic on any of them.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable
    )
)]

mod calls;
mod capture;
mod decoder;
mod fields;
mod help;
#[cfg(test)]
mod hostile;
mod json;
pub(crate) mod live;
mod net;
mod offload;
mod packet;
mod plot;
mod rtt;
mod select;
mod summary;
mod text;

use std::fmt::{self, Display};
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::str::FromStr;

use anstream::{AutoStream, ColorChoice};

use crate::failure::Failure;
use calls::CallKey;
use capture::Source;
use decoder::Decoder;

/// What to decode, and how to show it.
#[derive(clap::Args, Clone, Debug)]
#[command(after_long_help = help::AFTER)]
pub(crate) struct Args {
    /// Capture file, pcap or pcapng; - is standard input.
    file: PathBuf,
    /// Take all UDP datagrams from or to this port, and no others; may be given several times.
    ///
    /// Without it, packets on the ports 7000 to 7009 and 7021 are taken, and on all other ports those that
    /// are Rx beyond doubt, with everything else that goes between the same two addresses and ports.
    #[arg(long = "port", short = 'p', value_name = "N")]
    ports: Vec<u16>,
    /// Take only what was captured on this interface of a pcapng file.
    ///
    /// A capture of several interfaces may have each packet more than once, as those of `rxrpc sim run` have.
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// Print JSON lines: an object a packet, then one a call, then one about the capture.
    #[arg(long)]
    json: bool,
    /// Show only one call: its ordinal in the list of calls, or CID:NUMBER as printed.
    ///
    /// Packets about the connection are shown too while the call is on it. CID:NUMBER may stand for more
    /// than one call, as at both sides of a proxy; an ordinal never does.
    #[arg(long, value_name = "CALL")]
    call: Option<Choice>,
    /// Draw sequence numbers against time into an SVG file: DATA, retransmissions, ACKs, windows.
    ///
    /// Draws the call chosen with --call, else the one with the most DATA packets. If most of its time is
    /// pauses, a second diagram leaves them out.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

/// One call, as the user names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Choice {
    /// Place in the list, from 1.
    Ordinal(usize),
    /// Connection id with channel, and call number.
    Id(u32, u32),
}

impl FromStr for Choice {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Choice, Self::Err> {
        const FORMS: &str = "neither an ordinal (from 1) nor CID:NUMBER with CID in hexadecimal";
        let Some((cid, number)) = text.split_once(':') else {
            return text.parse().ok().filter(|ordinal| *ordinal > 0).map(Choice::Ordinal).ok_or(FORMS);
        };
        let cid = u32::from_str_radix(cid.strip_prefix("0x").unwrap_or(cid), 16);
        cid.ok().zip(number.parse().ok()).map(|(cid, number)| Choice::Id(cid, number)).ok_or(FORMS)
    }
}

impl Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Ordinal(ordinal) => write!(f, "{ordinal}"),
            Choice::Id(cid, number) => write!(f, "{cid:08x}:{number}"),
        }
    }
}

impl Choice {
    fn is(self, index: usize, key: &CallKey) -> bool {
        match self {
            Choice::Ordinal(ordinal) => index + 1 == ordinal,
            Choice::Id(cid, number) => (key.cid, key.number) == (cid, number),
        }
    }
}

/// Decodes a capture.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let stdout = io::stdout();
    let colour = !args.json && AutoStream::choice(&stdout) != ColorChoice::Never;
    let mut out = BufWriter::new(stdout.lock());
    let done = Source::open(&args.file).and_then(|source| {
        let source = match &args.interface {
            Some(name) => source.of_interface(name),
            None => source,
        };
        Decoder::new(args, colour, &mut out).run(&source)
    });
    match done {
        Ok(()) | Err(Stop::Closed) => Ok(()),
        Err(Stop::Capture(text)) => Err(Failure::Local(format!("{}: {text}", args.file.display()))),
        Err(Stop::Output(text)) => Err(Failure::Local(text)),
    }
}

/// Why the work ends before its end.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Stop {
    /// Whoever read standard output has seen enough. Not an error.
    Closed,
    /// What is wrong with the capture.
    Capture(String),
    /// Why the result cannot be written.
    Output(String),
}

impl Stop {
    fn capture(text: impl ToString) -> Stop {
        Stop::Capture(text.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_named_by_ordinal_or_by_id() {
        for (text, choice) in [
            ("3", Some(Choice::Ordinal(3))),
            ("39467e04:1", Some(Choice::Id(0x3946_7e04, 1))),
            ("0xff:20", Some(Choice::Id(255, 20))),
            ("0", None),
            ("", None),
            ("39467e04", None),
            ("39467e04:", None),
            (":1", None),
            ("g:1", None),
            ("1:2:3", None),
        ] {
            assert_eq!(text.parse().ok(), choice, "{text}");
        }
    }
}
