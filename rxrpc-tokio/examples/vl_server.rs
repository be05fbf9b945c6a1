//! Talk to a real AFS volume location server: is it there, and where is a volume?
//!
//! `cargo run --example vl_server -- db.example.org-address:7003 root.cell`

use std::net::{Ipv4Addr, SocketAddr};

use rxrpc_tokio::{CallError, Target, UnaryError, bind_any};

const VL_SERVICE: u16 = 52;
const PROBE: u32 = 514;
const GET_ENTRY_BY_NAME: u32 = 519;
const VL_NOENT: i32 = 363_524;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let server: SocketAddr = args.next().unwrap_or("127.0.0.1:7003".into()).parse()?;
    let volume = args.next().unwrap_or("root.cell".into());
    let endpoint = bind_any()?;
    let vl = endpoint.client(Target::new(server, VL_SERVICE));

    vl.call_unary(PROBE.to_be_bytes().to_vec(), 0).await?;
    println!("{server} is a volume location server");

    let mut request = [GET_ENTRY_BY_NAME, volume.len() as u32].map(u32::to_be_bytes).concat();
    request.extend_from_slice(volume.as_bytes());
    request.resize(request.len().next_multiple_of(4), 0);
    match vl.call_unary(request, 4096).await {
        Ok(entry) => print_entry(&volume, &entry),
        Err(UnaryError::Call(CallError::RemoteAbort(code))) if code.0 == VL_NOENT => {
            println!("there is no volume {volume}");
        }
        Err(error) => return Err(error.into()),
    }
    endpoint.close().await;
    Ok(())
}

/// The parts of an nldbentry that people want to know.
fn print_entry(volume: &str, entry: &[u8]) {
    let (words, _) = entry.as_chunks::<4>();
    let word = |i: usize| words.get(i).map_or(0, |w| u32::from_be_bytes(*w));
    let servers = word(65);
    println!("{volume} has the id {} and {servers} site(s)", word(105));
    for site in 0..servers.min(13) as usize {
        let partition = char::from(b'a' + u8::try_from(word(79 + site).min(25)).unwrap_or(0));
        println!("  {} /vicep{partition}", Ipv4Addr::from_bits(word(66 + site)));
    }
}
