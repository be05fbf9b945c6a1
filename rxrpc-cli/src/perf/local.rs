//! Client and server in this process, over loopback UDP: the table of `rxrpc perf`.

use std::io::{IsTerminal, stderr};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use rxrpc_tokio::bind;

use super::Case;
use super::client::{self, Kind, Until, measure};
use super::report::{Report, table};
use super::server::{listen, serve};
use crate::failure::Failure;
use crate::{block_on, output};

const BULK: u32 = 1 << 20;
const SMALL: u32 = 4;
const CONCURRENCY: [u32; 3] = [1, 16, 100];
const EACH: Duration = Duration::from_secs(4);
const EACH_QUICK: Duration = Duration::from_millis(200);

/// Measure every case and print.
pub(crate) fn run(json: bool, quick: bool) -> Result<(), Failure> {
    let reports = block_on(measure_all(if quick { EACH_QUICK } else { EACH }))?;
    if json { output::json(&reports) } else { output::line(table(&reports)) }
}

async fn measure_all(each: Duration) -> Result<Vec<Report>, Failure> {
    let failed = |e| Failure::Local(format!("cannot open a socket on the loopback interface: {e}"));
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (server, client) = (bind(local).map_err(failed)?, bind(local).map_err(failed)?);
    let peer = server.local_addr().ok_or_else(|| Failure::Local("the server has no address".to_string()))?;
    let serving = tokio::spawn(serve(listen(&server)?));
    let kinds =
        [Kind::new(Case::Send, BULK, 0), Kind::new(Case::Recv, 0, BULK), Kind::new(Case::Rpc, SMALL, SMALL)];
    let bar = progress(kinds.len() * CONCURRENCY.len());
    let mut reports = Vec::new();
    for kind in kinds {
        for concurrency in CONCURRENCY {
            bar.set_message(format!("{} with {concurrency} at once", kind.case.name()));
            let client = client::client(&client, peer);
            let until = Until::Time(Instant::now() + each);
            reports.push(measure(&client, kind, concurrency, until).await?.report());
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    client.close().await;
    server.close().await;
    let _ = serving.await;
    Ok(reports)
}

/// A bar on a terminal, nothing elsewhere.
fn progress(steps: usize) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(steps as u64);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len}  {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
