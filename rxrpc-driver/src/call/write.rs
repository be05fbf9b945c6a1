//! Sending data.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rxrpc_proto::WriteError;

use super::Call;
use crate::shared::{COPY_LIMIT, Wait};

/// The driver need not run for fewer written bytes: they fill no packet.
const WORTH_A_PACKET: usize = 1_024;

impl Call {
    /// Writes some of `data`, at least one byte unless it is empty, and says how many. Waits while the
    /// call holds as much unacknowledged data as [`Limits`](rxrpc_proto::Limits) allow.
    ///
    /// Data goes out as packets fill; [`flush`](Call::flush) or [`finish`](Call::finish) send the rest.
    ///
    /// # Errors
    ///
    /// Never [`WriteError::Blocked`]; for the others see there.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a cancelled write has written nothing.
    pub async fn write(&mut self, data: &[u8]) -> Result<usize, WriteError> {
        poll_fn(|cx| self.poll_write_data(cx, data)).await
    }

    /// Writes all of `data`.
    ///
    /// # Errors
    ///
    /// As for [`write`](Call::write). How much was written is unknown then.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: how much a cancelled `write_all` has written is unknown. Use
    /// [`write`](Call::write) or [`write_buf`](Call::write_buf) where that matters.
    pub async fn write_all(&mut self, mut data: &[u8]) -> Result<(), WriteError> {
        while !data.is_empty() {
            let written = self.write(data).await?;
            data = data.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// Writes all of `data` without copying it.
    ///
    /// The data is dropped when the peer has acknowledged it. If it has an owner of its own
    /// ([`Bytes::from_owner`]), that must not touch the endpoint or its handles when dropped.
    ///
    /// # Errors
    ///
    /// As for [`write`](Call::write).
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe, as [`write_all`](Call::write_all). [`write_buf`](Call::write_buf) is.
    pub async fn write_bytes(&mut self, mut data: Bytes) -> Result<(), WriteError> {
        self.write_buf(&mut data).await
    }

    /// Writes all of `data` without copying it, and takes off it what is written.
    ///
    /// # Errors
    ///
    /// As for [`write`](Call::write). `data` is what was not written.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: after cancelling, `data` is what was not written.
    pub async fn write_buf(&mut self, data: &mut Bytes) -> Result<(), WriteError> {
        while !data.is_empty() {
            poll_fn(|cx| {
                let result = ready!(self.poll_write_op(cx, |call| call.write_bytes(data)));
                Poll::Ready(result)
            })
            .await?;
        }
        Ok(())
    }

    /// Sends what is written even if it does not fill a packet. Does not wait.
    pub fn flush(&mut self) {
        if let Some(mut call) = self.handle.lock().proto.call(self.id) {
            call.flush();
        }
        self.quiet_writes = 1;
        self.tell_driver();
    }

    /// Ends this side's data: the request of a client, the reply of a server. Does not wait.
    ///
    /// # Errors
    ///
    /// [`WriteError::RequestUnfinished`] for a server whose client's request has neither been read to its
    /// end nor [discarded](Call::discard_input), [`WriteError::Short`] when a total length was announced
    /// that has not been reached, [`WriteError::Finished`] the second time, and the end of the call.
    pub fn finish(&mut self) -> Result<(), WriteError> {
        let result = match self.handle.lock().proto.call(self.id) {
            Some(mut call) => call.finish(),
            None => Err(<WriteError as super::Refusal>::GONE),
        };
        self.finished |= result.is_ok();
        self.quiet_writes = 1;
        self.tell_driver();
        result
    }

    pub(super) fn poll_write_data(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<usize, WriteError>> {
        let data = data.get(..COPY_LIMIT).unwrap_or(data);
        self.poll_write_op(cx, |call| call.write(data))
    }

    fn poll_write_op(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnMut(&mut rxrpc_proto::CallMut<'_>) -> Result<usize, WriteError>,
    ) -> Poll<Result<usize, WriteError>> {
        let result = self.poll_view(cx, Wait::Writable, write);
        if let Poll::Ready(Ok(written)) = result {
            self.quiet_writes += written;
        }
        if result.is_pending() || self.quiet_writes >= WORTH_A_PACKET {
            self.tell_driver();
        }
        result
    }
}
