//! A server as the old manual of `AF_RXRPC` sketches it: it lets 100 calls wait, accepts them, answers some, aborts others,
//! and learns that its replies arrived.
//!
//! `cargo run --example seed_server -- 127.0.0.1:7003`

use std::net::SocketAddr;

use rxrpc_tokio::{AbortCode, Call, ServiceOptions, bind};

const VL_SERVICE: u16 = 52;
const VL_NOENT: AbortCode = AbortCode(363_524);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr: SocketAddr = std::env::args().nth(1).unwrap_or("127.0.0.1:7003".into()).parse()?;
    let endpoint = bind(addr)?;
    let options = ServiceOptions { backlog: 100, ..ServiceOptions::default() };
    let mut service = endpoint.listen(VL_SERVICE, options)?;
    println!("serving at {}", endpoint.local_addr().unwrap_or(addr));
    while let Some(incoming) = service.accept().await {
        println!("a call from {} for service {}", incoming.peer(), incoming.service());
        match incoming.accept() {
            Ok(call) => drop(tokio::spawn(answer(call))),
            Err(error) => println!("it is gone: {error}"),
        }
    }
    Ok(())
}

async fn answer(mut call: Call) {
    let Ok(request) = call.read_to_end(4096).await else { return };
    let name = String::from_utf8_lossy(request.get(8..).unwrap_or_default());
    match name.trim_end_matches('\0') {
        "abort.me" => {
            call.abort(AbortCode::RX_USER_ABORT);
        }
        name if name.starts_with("root.") => {
            let reply = vec![0; 476];
            if call.write_bytes(reply.into()).await.is_ok() && call.finish().is_ok() {
                // The final acknowledgement: the client has the whole reply.
                println!("{name}: {:?}", call.outcome().await);
            }
        }
        _ => {
            call.abort(VL_NOENT);
        }
    }
}
