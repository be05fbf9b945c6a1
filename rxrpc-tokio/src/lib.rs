//! RxRPC on tokio.
//!
//! [`bind`] makes a socket, spawns the driver and returns the [`Endpoint`]; everything else are the
//! handles of [`rxrpc_driver`], which are the same for every runtime. A [`Call`] is a byte stream of
//! tokio's traits as [`CallStream`].
//!
//! # A client
//!
//! ```no_run
//! use rxrpc_tokio::{CallOptions, Target, bind_any};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let endpoint = bind_any()?;
//!     let server = Target::new("192.0.2.1:7000".parse()?, 52);
//!
//!     // A whole request for a whole reply, which may be 64 KiB long.
//!     let reply = endpoint.call_unary(server, "hello", 65_536).await?;
//!     println!("{} bytes", reply.len());
//!
//!     // The same call as a stream.
//!     let mut call = endpoint.call(server, CallOptions::default())?;
//!     call.write_all(b"hello").await?;
//!     call.finish()?;
//!     while let Some(chunk) = call.read_chunk(65_536).await? {
//!         println!("{} bytes more", chunk.len());
//!     }
//!     endpoint.close().await;
//!     Ok(())
//! }
//! ```
//!
//! # A server
//!
//! ```no_run
//! use std::error::Error;
//!
//! use rxrpc_tokio::{Call, ServiceOptions, bind};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn Error>> {
//!     let endpoint = bind("0.0.0.0:7000".parse()?)?;
//!     let mut service = endpoint.listen(52, ServiceOptions::default())?;
//!     while let Some(incoming) = service.accept().await {
//!         if let Ok(call) = incoming.accept() {
//!             tokio::spawn(echo(call));
//!         }
//!     }
//!     Ok(())
//! }
//!
//! // On an error the call is dropped unfinished, which aborts it.
//! async fn echo(mut call: Call) -> Result<(), Box<dyn Error + Send + Sync>> {
//!     let request = call.read_to_end(1 << 20).await?;
//!     call.write_bytes(request).await?;
//!     Ok(call.finish()?)
//! }
//! ```

mod builder;
mod io;
mod stream;
mod watch;

pub use builder::{Builder, bind, bind_any};
pub use io::TokioIo;
#[doc(inline)]
pub use rxrpc_driver::*;
pub use stream::CallStream;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
