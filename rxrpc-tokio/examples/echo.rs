//! Client and server in one program: what is sent comes back.
//!
//! `cargo run --example echo -- hello world`

use rxrpc_tokio::{Call, ServiceOptions, Target, bind};

const SERVICE: u16 = 1000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = bind("127.0.0.1:0".parse()?)?;
    let mut service = server.listen(SERVICE, ServiceOptions::default())?;
    tokio::spawn(async move {
        while let Some(incoming) = service.accept().await {
            if let Ok(call) = incoming.accept() {
                tokio::spawn(echo(call));
            }
        }
    });

    let client = bind("127.0.0.1:0".parse()?)?;
    let target = Target::new(server.local_addr().ok_or("the server has no address")?, SERVICE);
    for word in std::env::args().skip(1) {
        let reply = client.call_unary(target, word, 1 << 16).await?;
        println!("{}", String::from_utf8_lossy(&reply));
    }
    client.close().await;
    Ok(())
}

/// On an error the call is dropped unfinished, which aborts it.
async fn echo(mut call: Call) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let request = call.read_to_end(1 << 16).await?;
    call.write_bytes(request).await?;
    Ok(call.finish()?)
}
