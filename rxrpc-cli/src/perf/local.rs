//! Client and server in this process, over loopback UDP: the table of `rxrpc perf`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use rxrpc_tokio::{Client, bind};

use super::Case;
use super::client::client;
use super::load::{Kind, Load, Times, Until, measure};
use super::progress::Progress;
use super::report::{Report, table};
use super::server::{listen, serve};
use crate::failure::Failure;
use crate::{block_on, output};

const BULK: u32 = 1 << 20;
const SMALL: u32 = 4;
const CONCURRENCY: [u32; 3] = [1, 16, 100];
const EACH: Duration = Duration::from_secs(4);
const EACH_QUICK: Duration = Duration::from_millis(200);
/// The whole run is over by then, whatever happens.
const LIMIT: Duration = Duration::from_secs(55);
/// How long the last packets may take to leave.
const CLOSING: Duration = Duration::from_secs(1);

/// Measure every case and print.
pub(crate) fn run(json: bool, quick: bool) -> Result<(), Failure> {
    let each = if quick { EACH_QUICK } else { EACH };
    let reports = block_on(async {
        let late = |_| Failure::Local(format!("the calls did not end within {} s", LIMIT.as_secs()));
        tokio::time::timeout(LIMIT, measure_all(each)).await.map_err(late)?
    })?;
    if json { output::json(&reports) } else { output::line(table(&reports)) }
}

async fn measure_all(each: Duration) -> Result<Vec<Report>, Failure> {
    let failed = |e| Failure::Local(format!("cannot open a socket on the loopback interface: {e}"));
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (server, caller) = (bind(local).map_err(failed)?, bind(local).map_err(failed)?);
    let peer = server.local_addr().ok_or_else(|| Failure::Local("the server has no address".to_string()))?;
    tokio::spawn(serve(listen(&server)?));
    let reports = measure_cases(&client(&caller, peer, None), each).await;
    let closing = async {
        caller.close().await;
        server.close().await;
    };
    let _ = tokio::time::timeout(CLOSING, closing).await;
    reports
}

async fn measure_cases(client: &Client, each: Duration) -> Result<Vec<Report>, Failure> {
    let kinds =
        [Kind::new(Case::Send, BULK, 0), Kind::new(Case::Recv, 0, BULK), Kind::new(Case::Rpc, SMALL, SMALL)];
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let progress = Progress::new(millis(each) * (kinds.len() * CONCURRENCY.len()) as u64);
    let mut reports = Vec::new();
    for kind in kinds {
        let load = Load::new(client.clone(), kind);
        for concurrency in CONCURRENCY {
            progress.say(format!("{:<4} {concurrency:>3} at a time", kind.case.name()));
            let before = millis(each) * reports.len() as u64;
            let (times, begun) = (Times::new()?, Instant::now());
            let work = measure(&load, concurrency, Until::Time(each), &times);
            let position = || before + millis(begun.elapsed().min(each));
            reports.push(progress.during(work, position).await?.report());
        }
    }
    Ok(reports)
}
