//! A bulk transfer with a progress bar: a request of many megabytes as a stream.
//!
//! `cargo run --release --example bulk -- 500` (megabytes)

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use rxrpc_tokio::{Bytes, Call, CallOptions, ServiceOptions, Target, bind};

const SERVICE: u16 = 1001;
const PIECE: usize = 256 * 1024;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let megabytes: u64 = std::env::args().nth(1).unwrap_or("200".into()).parse()?;
    let total = megabytes * 1_000_000;
    let server = bind("127.0.0.1:0".parse()?)?;
    let mut service = server.listen(SERVICE, ServiceOptions::default())?;
    tokio::spawn(async move {
        while let Some(incoming) = service.accept().await {
            if let Ok(call) = incoming.accept() {
                tokio::spawn(count(call));
            }
        }
    });

    let client = bind("127.0.0.1:0".parse()?)?;
    let target = Target::new(server.local_addr().ok_or("the server has no address")?, SERVICE);
    // The length is announced: finishing with less, or writing more, would be refused.
    let options = CallOptions { total_length: Some(total), ..CallOptions::default() };
    let mut call = client.call(target, options)?;
    let bar = ProgressBar::new(total);
    bar.set_style(ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec}")?);
    bar.enable_steady_tick(Duration::from_millis(100));
    let begun = Instant::now();
    let zeros = Bytes::from(vec![0; PIECE]);
    let mut left = total;
    while left > 0 {
        let piece = zeros.slice(..PIECE.min(usize::try_from(left)?));
        left -= piece.len() as u64;
        bar.inc(piece.len() as u64);
        call.write_bytes(piece).await?;
    }
    call.finish()?;
    let reply = call.read_to_end(8).await?;
    bar.finish_and_clear();
    let counted = u64::from_be_bytes(reply.as_ref().try_into()?);
    let stats = call.stats();
    println!("{counted} bytes arrived in {:.2?}", begun.elapsed());
    println!(
        "{} packets, {} sent again, round trip {:?}",
        stats.packets_sent, stats.retransmissions, stats.srtt
    );
    client.close().await;
    if counted == total { Ok(()) } else { Err("bytes are missing".into()) }
}

/// Count the request's bytes and reply with their number.
async fn count(mut call: Call) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut bytes = 0;
    while let Some(piece) = call.read_chunk(usize::MAX).await? {
        bytes += piece.len() as u64;
    }
    call.write_all(&bytes.to_be_bytes()).await?;
    call.finish()?;
    Ok(call.outcome().await?)
}
