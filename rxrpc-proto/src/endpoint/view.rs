//! A borrowed view of one call: what the application reads, writes and asks.

use core::net::SocketAddr;

use bytes::Bytes;

use super::Endpoint;
use super::complete::not_zero;
use crate::call::{Call, Outcome, State};
use crate::error::{CallError, ReadError, WriteError};
use crate::event::CallId;
use crate::stats::CallStats;
use crate::wire::{AbortCode, JUMBO_DATA_LEN};

/// Whether data follows what was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadMore {
    /// More may come.
    More,
    /// That was the last of the peer's data.
    End,
}

/// A view of one call, from [`Endpoint::call`].
///
/// It takes no time: what is written, finished or aborted here goes out with the next
/// [`poll_transmit`](Endpoint::poll_transmit), and so does the news that reading made room.
#[derive(Debug)]
pub struct CallMut<'a> {
    endpoint: &'a mut Endpoint,
    key: u32,
}

impl Endpoint {
    /// A view of a call of ours, or of one that was accepted or waits to be. `None` once it was released.
    pub fn call(&mut self, id: CallId) -> Option<CallMut<'_>> {
        let key = self.call_key(id)?;
        Some(CallMut { endpoint: self, key })
    }
}

impl CallMut<'_> {
    fn get(&self) -> Option<&Call> {
        self.endpoint.calls.get(self.key)
    }

    fn get_mut(&mut self) -> Option<&mut Call> {
        self.endpoint.calls.get_mut(self.key)
    }

    /// The call's id.
    #[must_use]
    pub fn id(&self) -> CallId {
        self.endpoint.call_id(self.key)
    }

    /// The tag it was begun or accepted with.
    #[must_use]
    pub fn tag(&self) -> u64 {
        self.get().map_or(0, |c| c.tag)
    }

    /// The other side's address.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        let peer = self.get().and_then(|c| self.endpoint.peers.get(c.peer as usize));
        peer.map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |p| p.addr)
    }

    /// The service, after an upgrade the newer one.
    #[must_use]
    pub fn service(&self) -> u16 {
        self.get().map_or(0, |c| c.service)
    }

    /// Whether we began the call.
    #[must_use]
    pub fn is_client(&self) -> bool {
        self.get().is_some_and(Call::is_client)
    }

    /// How the call ended, `None` while it lives.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.get().and_then(Call::outcome)
    }

    /// Counters of the call.
    #[must_use]
    pub fn stats(&self) -> CallStats {
        self.get().map_or_else(CallStats::default, |call| self.endpoint.stats_of(call))
    }

    /// Bytes that can be read now.
    #[must_use]
    pub fn readable(&self) -> usize {
        self.get().map_or(0, |c| c.recv.readable())
    }

    /// Bytes that can be written now.
    #[must_use]
    pub fn writable(&self) -> usize {
        self.get().map_or(0, |c| self.endpoint.write_room(c))
    }

    /// Whether this side may write, and how much it may at most.
    fn check_write(&self, len: usize) -> Result<(), WriteError> {
        let Some(call) = self.get() else { return Err(WriteError::Complete) };
        if !call.is_accepted() {
            return Err(WriteError::NotAccepted);
        }
        match call.state {
            State::Complete(Ok(())) => return Err(WriteError::Complete),
            State::Complete(Err(error)) => return Err(WriteError::Ended(error)),
            State::RecvRequest if !call.recv.is_discarding() => return Err(WriteError::RequestUnfinished),
            _ => {}
        }
        if let Some(error) = call.abort_wish {
            return Err(WriteError::Ended(error));
        }
        if call.send.finished {
            return Err(WriteError::Finished);
        }
        let written = call.send.buffer.end().saturating_add(len as u64);
        if call.total_length.is_some_and(|total| written > total) {
            return Err(WriteError::TooLong);
        }
        Ok(())
    }

    /// Room for a write of `len` bytes; remembers that the application waits if there is none.
    fn take_room(&mut self, len: usize) -> Result<usize, WriteError> {
        let Some(call) = self.get() else { return Err(WriteError::Complete) };
        let room = self.endpoint.write_room(call);
        if room == 0 && len > 0 {
            let own = call.send.buffer.len() >= self.endpoint.config.limits.send_per_call;
            let limits = &mut self.endpoint.stats.limits;
            *if own { &mut limits.send_per_call } else { &mut limits.send_total } += 1;
            if let Some(call) = self.get_mut() {
                call.write_blocked = true;
                if call.send.buffer.len() <= JUMBO_DATA_LEN {
                    // All the room there is holds no more than a packet: what waits for more must go as it is.
                    call.send.flush();
                }
            }
            self.endpoint.touch(self.key);
            if self.endpoint.unacknowledged >= self.endpoint.config.limits.send_total {
                self.endpoint.wait_to_write(self.key);
            }
            return Err(WriteError::Blocked);
        }
        Ok(room.min(len))
    }

    fn written(&mut self, len: usize) {
        self.endpoint.unacknowledged += len;
        if self.get().is_some_and(|c| c.state == State::Queued) {
            self.endpoint.queued += len;
        }
        self.endpoint.touch(self.key);
    }

    /// Write a copy of `data`, as much as there is room for. Returns how much.
    ///
    /// # Errors
    /// [`WriteError::Blocked`] if there is no room; see [`WriteError`] for the others. Nothing was taken.
    pub fn write(&mut self, data: &[u8]) -> Result<usize, WriteError> {
        self.check_write(data.len())?;
        let room = self.take_room(data.len())?;
        if let (Some(call), Some(now)) = (self.get_mut(), data.get(..room)) {
            call.send.buffer.push(now);
        }
        self.written(room);
        Ok(room)
    }

    /// Write `data` without copying it, as much as there is room for; that much is split off its front.
    /// Returns how much.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_bytes(&mut self, data: &mut Bytes) -> Result<usize, WriteError> {
        self.check_write(data.len())?;
        let room = self.take_room(data.len())?;
        let now = data.split_to(room);
        if let Some(call) = self.get_mut() {
            call.send.buffer.push_shared(now);
        }
        self.written(room);
        Ok(room)
    }

    /// Send what is written so far even if it does not fill a packet.
    pub fn flush(&mut self) {
        if let Some(call) = self.get_mut() {
            call.send.flush();
        }
        self.endpoint.touch(self.key);
    }

    /// End this side's data.
    ///
    /// # Errors
    /// [`WriteError::Short`] if a longer total length was announced; others as [`write`](Self::write).
    pub fn finish(&mut self) -> Result<(), WriteError> {
        self.check_write(0)?;
        let Some(call) = self.get_mut() else { return Err(WriteError::Complete) };
        if call.total_length.is_some_and(|total| call.send.buffer.end() < total) {
            return Err(WriteError::Short);
        }
        call.send.finished = true;
        self.endpoint.touch(self.key);
        Ok(())
    }

    /// The call, if reading makes sense: it has data, or the end of it.
    fn readable_call(&mut self) -> Result<&mut Call, ReadError> {
        let call = self.get_mut().ok_or(ReadError::Blocked)?;
        if !call.is_accepted() {
            return Err(ReadError::NotAccepted);
        }
        if let Some(error) = call.abort_wish {
            return Err(ReadError::Ended(error));
        }
        match call.state {
            State::Complete(Err(error)) => Err(ReadError::Ended(error)),
            State::Complete(Ok(())) => Ok(call),
            _ if call.recv.readable() > 0 || call.recv.is_complete() => Ok(call),
            _ => Err(ReadError::Blocked),
        }
    }

    /// The next piece of the peer's data, at most `max` bytes (at least 1), without copying. `Ok(None)` is its end.
    ///
    /// # Errors
    /// [`ReadError::Blocked`] if nothing has come; [`ReadError::Ended`] if the call failed.
    pub fn read_chunk(&mut self, max: usize) -> Result<Option<Bytes>, ReadError> {
        let call = self.readable_call()?;
        let piece = call.recv.take_chunk(max.max(1));
        after_reading(call);
        self.endpoint.touch(self.key);
        Ok(piece)
    }

    /// Copy the peer's data to `buf`, as much as there is. Says whether more may come.
    ///
    /// # Errors
    /// [`ReadError::Blocked`] if nothing has come; [`ReadError::Ended`] if the call failed.
    pub fn read(&mut self, buf: &mut [u8]) -> Result<(usize, ReadMore), ReadError> {
        let call = self.readable_call()?;
        let n = call.recv.peek(buf);
        call.recv.consume(n);
        let more = after_reading(call);
        self.endpoint.touch(self.key);
        Ok((n, more))
    }

    /// As [`read`](Self::read), but leaves the data.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn peek(&mut self, buf: &mut [u8]) -> Result<(usize, ReadMore), ReadError> {
        let call = self.readable_call()?;
        let n = call.recv.peek(buf);
        let all = call.recv.is_complete() && n == call.recv.readable();
        Ok((n, if all { ReadMore::End } else { ReadMore::More }))
    }

    /// Fill `buf` with the peer's data, all of it or none. `more` says whether data must follow it; it is not
    /// waited for.
    ///
    /// # Errors
    /// [`ReadError::Short`] if the data ends before or, as far as is known, with `more` right after it;
    /// [`ReadError::Excess`] if data follows without `more`; [`ReadError::Blocked`] while `buf` cannot be filled
    /// or, without `more`, the end has not come. Nothing was taken then.
    pub fn read_exact(&mut self, buf: &mut [u8], more: bool) -> Result<(), ReadError> {
        let call = self.readable_call()?;
        let (readable, complete) = (call.recv.readable(), call.recv.is_complete());
        if readable < buf.len() || (readable == buf.len() && complete && more) {
            return Err(if complete { ReadError::Short } else { ReadError::Blocked });
        }
        if !more && readable > buf.len() {
            return Err(ReadError::Excess);
        }
        if !more && !complete {
            return Err(ReadError::Blocked);
        }
        let n = call.recv.peek(buf);
        call.recv.consume(n);
        after_reading(call);
        self.endpoint.touch(self.key);
        Ok(())
    }

    /// Throw away the rest of the peer's data, here or yet to come. A server may then write its reply early; it
    /// goes out once the request is complete, as the protocol demands.
    pub fn discard_input(&mut self) {
        if let Some(call) = self.get_mut() {
            call.recv.discard();
        }
        self.endpoint.touch(self.key);
    }

    /// Abort the call. Unread data is thrown away. False if it is over already.
    ///
    /// Code 0 would say "no error": RX_USER_ABORT is sent instead.
    pub fn abort(&mut self, code: AbortCode) -> bool {
        self.end_with(CallError::LocalAbort(not_zero(code)))
    }

    /// Abort the call because its data is not what was agreed on: the peer gets RX_USER_ABORT, and the call
    /// ends with `error`. False if it is over already.
    pub fn fail(&mut self, error: CallError) -> bool {
        self.end_with(error)
    }

    fn end_with(&mut self, error: CallError) -> bool {
        let Some(call) = self.get_mut() else { return false };
        if !call.state.is_live() || call.abort_wish.is_some() {
            return false;
        }
        call.abort_wish = Some(error);
        self.endpoint.touch(self.key);
        true
    }
}

/// Something was read. Whether more may come.
fn after_reading(call: &mut Call) -> ReadMore {
    if call.recv.is_drained() {
        call.recv.end_read = true;
        ReadMore::End
    } else {
        ReadMore::More
    }
}
