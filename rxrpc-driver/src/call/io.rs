//! A call as a byte stream of the `futures` traits.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

use super::Call;
use crate::error::{read_error, write_error};

/// Reads the peer's data; `Ok(0)` is its end.
impl AsyncRead for Call {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let result = ready!(self.get_mut().poll_read_data(cx, buf));
        Poll::Ready(result.map(|(read, _)| read).map_err(read_error))
    }
}

/// Writes this side's data. Closing is [`finish`](Call::finish); it does not wait for the peer.
impl AsyncWrite for Call {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_data(cx, buf).map_err(write_error)
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().flush();
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let call = self.get_mut();
        if call.finished {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(call.finish().map_err(write_error))
    }
}
