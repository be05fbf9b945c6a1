//! A client as the old manual of `AF_RXRPC` sketches it: it calls a volume location service, several calls at a time,
//! each request written in parts.
//!
//! `cargo run --example seed_client -- 127.0.0.1:7003`

use std::net::SocketAddr;

use rxrpc_tokio::{CallError, CallOptions, Endpoint, Target, bind_any};

const VL_SERVICE: u16 = 52;
const GET_ENTRY_BY_NAME: u32 = 519;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server: SocketAddr = std::env::args().nth(1).unwrap_or("127.0.0.1:7003".into()).parse()?;
    // Not bound to a port: the system chooses one.
    let endpoint = bind_any()?;
    let names = ["root.afs", "root.cell", "no.such.volume", "abort.me"];
    let calls: Vec<_> =
        names.map(|name| tokio::spawn(look_up(endpoint.clone(), server, name))).into_iter().collect();
    for (name, call) in names.iter().zip(calls) {
        match call.await? {
            Ok(entry) => println!("{name}: {entry} bytes"),
            Err(error) => println!("{name}: {error}"),
        }
    }
    endpoint.close().await;
    Ok(())
}

/// One call. The tag comes back with every event of it, for those who drive the core themselves.
async fn look_up(endpoint: Endpoint, server: SocketAddr, name: &str) -> Result<usize, CallError> {
    let options = CallOptions { tag: name.len() as u64, ..CallOptions::default() };
    let target = Target::new(server, VL_SERVICE);
    let mut call = endpoint.call(target, options).map_err(|_| CallError::EndpointClosed)?;
    let ended = |call: &rxrpc_tokio::Call| call.try_outcome().and_then(Result::err);
    // Three parts: more follows after the first two.
    let padding = [0; 3];
    let parts: [&[u8]; 4] = [
        &GET_ENTRY_BY_NAME.to_be_bytes(),
        &(name.len() as u32).to_be_bytes(),
        name.as_bytes(),
        &padding[..name.len().next_multiple_of(4) - name.len()],
    ];
    for part in parts {
        if call.write_all(part).await.is_err() {
            return Err(ended(&call).unwrap_or(CallError::EndpointClosed));
        }
    }
    let _ = call.finish();
    match call.read_to_end(1 << 20).await {
        Ok(entry) => Ok(entry.len()),
        Err(_) => Err(call.outcome().await.err().unwrap_or(CallError::Excess)),
    }
}
