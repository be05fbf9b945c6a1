//! Receiving data.

use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::Bytes;
use rxrpc_proto::{CallMut, ReadError, ReadMore};

use super::Call;
use super::collect::Collector;
use crate::shared::{COPY_LIMIT, Wait};

/// After this many bytes have been read the driver may have a window to open.
const WORTH_AN_ACK: usize = 16 * 1024;

impl Call {
    /// The next piece of received data, no more than `max` bytes of it and without copying. `None` at the
    /// end of the peer's data.
    ///
    /// # Errors
    ///
    /// [`ReadError::Ended`] when the call failed. What was not read is gone then.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    pub async fn read_chunk(&mut self, max: usize) -> Result<Option<Bytes>, ReadError> {
        poll_fn(|cx| self.poll_read_chunk(cx, max)).await
    }

    /// The poll form of [`read_chunk`](Call::read_chunk).
    pub fn poll_read_chunk(
        &mut self,
        cx: &mut Context<'_>,
        max: usize,
    ) -> Poll<Result<Option<Bytes>, ReadError>> {
        let result = self.poll_view(cx, Wait::Readable, |call| call.read_chunk(max));
        let read = match &result {
            Poll::Ready(Ok(Some(chunk))) => chunk.len(),
            _ => 0,
        };
        self.after_read(read, &result);
        result
    }

    /// Reads into `buf` and says how many bytes; 0 at the end of the peer's data.
    ///
    /// # Errors
    ///
    /// As for [`read_chunk`](Call::read_chunk).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a cancelled read has read nothing.
    pub async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ReadError> {
        poll_fn(|cx| self.poll_read_data(cx, buf)).await.map(|(read, _)| read)
    }

    /// Copies into `buf` what the next read will give, and says how many bytes; 0 at the end of the peer's
    /// data. Waits until there is something, not until `buf` is full.
    ///
    /// # Errors
    ///
    /// As for [`read_chunk`](Call::read_chunk).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is taken.
    pub async fn peek(&mut self, buf: &mut [u8]) -> Result<usize, ReadError> {
        let len = buf.len().min(COPY_LIMIT);
        let buf = buf.get_mut(..len).unwrap_or_default();
        poll_fn(|cx| {
            let result = self.poll_view(cx, Wait::Readable, |call| call.peek(buf));
            self.after_read(0, &result);
            result.map_ok(|(copied, _)| copied)
        })
        .await
    }

    /// Fills `buf`. `more` says whether data must follow, or must not.
    ///
    /// # Errors
    ///
    /// [`ReadError::Short`] when the data ends too early: before `buf` is full, or with it if `more`.
    /// [`ReadError::Excess`] when not `more` and data follows. Otherwise as for
    /// [`read_chunk`](Call::read_chunk). The call goes on; [`abort`](Call::abort) it to refuse such data.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what a cancelled `read_exact` has read is lost.
    pub async fn read_exact(&mut self, buf: &mut [u8], more: bool) -> Result<(), ReadError> {
        let mut filled = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let whole = rest.len();
            let (read, then) = poll_fn(|cx| self.poll_read_data(cx, rest)).await?;
            filled += read;
            match then {
                ReadMore::End if read < whole || more => return Err(ReadError::Short),
                ReadMore::End => return Ok(()),
                ReadMore::More => {}
            }
        }
        if more {
            return Ok(());
        }
        poll_fn(|cx| {
            let result = self.poll_view(cx, Wait::Readable, |call| call.read_exact(&mut [], false));
            self.after_read(0, &result);
            result
        })
        .await
    }

    /// Reads to the end of the peer's data, which may be `limit` bytes long.
    ///
    /// # Errors
    ///
    /// [`ReadError::Excess`] when there is more; the call goes on, and dropping it aborts it. Otherwise as
    /// for [`read_chunk`](Call::read_chunk).
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what a cancelled `read_to_end` has read is lost.
    pub async fn read_to_end(&mut self, limit: usize) -> Result<Bytes, ReadError> {
        let mut collector = Collector::new(limit);
        poll_fn(|cx| self.poll_collect(cx, &mut collector)).await?;
        Ok(collector.into_bytes())
    }

    /// How many bytes can be read without waiting.
    #[must_use]
    pub fn readable(&self) -> usize {
        self.handle.lock().proto.call(self.id).map_or(0, |call| call.readable())
    }

    /// Throws away the rest of the peer's data, whether it has come or is still to come. A server may
    /// reply then, before the request has ended.
    pub fn discard_input(&mut self) {
        if let Some(mut call) = self.handle.lock().proto.call(self.id) {
            call.discard_input();
        }
        self.quiet_reads = 1;
        self.tell_driver();
    }

    pub(super) fn poll_read_data(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<(usize, ReadMore), ReadError>> {
        let len = buf.len().min(COPY_LIMIT);
        let buf = buf.get_mut(..len).unwrap_or_default();
        let result = self.poll_view(cx, Wait::Readable, |call| call.read(buf));
        let read = match result {
            Poll::Ready(Ok((read, _))) => read,
            _ => 0,
        };
        self.after_read(read, &result);
        result
    }

    pub(super) fn poll_collect(
        &mut self,
        cx: &mut Context<'_>,
        collector: &mut Collector,
    ) -> Poll<Result<(), ReadError>> {
        let before = collector.len();
        let result = self.poll_view(cx, Wait::Readable, |call: &mut CallMut<'_>| collector.take_from(call));
        self.after_read(collector.len().saturating_sub(before), &result);
        result
    }

    /// Tells the driver of what was read if it may have to open the window: when that is much, and in any
    /// case before the reader waits for more.
    fn after_read<T>(&mut self, read: usize, result: &Poll<T>) {
        self.quiet_reads += read;
        if self.quiet_reads >= WORTH_AN_ACK || (result.is_pending() && self.quiet_reads > 0) {
            self.tell_driver();
        }
    }
}
