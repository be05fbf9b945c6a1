//! A call as a byte stream of tokio's traits.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rxrpc_driver::Call;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A call with tokio's [`AsyncRead`] and [`AsyncWrite`]: reads the peer's data and writes this side's.
///
/// Shutting down is [`Call::finish`]. The call itself is the field.
#[derive(Debug)]
pub struct CallStream(pub Call);

impl From<Call> for CallStream {
    fn from(call: Call) -> Self {
        CallStream(call)
    }
}

impl AsyncRead for CallStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let call = Pin::new(&mut self.get_mut().0);
        let room = buf.initialize_unfilled();
        futures_io::AsyncRead::poll_read(call, cx, room).map_ok(|read| buf.advance(read))
    }
}

impl AsyncWrite for CallStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        futures_io::AsyncWrite::poll_write(Pin::new(&mut self.get_mut().0), cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures_io::AsyncWrite::poll_flush(Pin::new(&mut self.get_mut().0), cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures_io::AsyncWrite::poll_close(Pin::new(&mut self.get_mut().0), cx)
    }
}
