//! The two ends of a stream: one that writes it, one that reads and checks it.

use bytes::Bytes;
use rxrpc_proto::{CallMut, Instant, ReadError, WriteError};

use super::pattern;
use crate::scenario::{Transfer, us};

/// A request that is no longer and has no pauses is written at once, with its head.
const SMALL: usize = 256;

/// What a writer or a reader stopped for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// Waits for the endpoint's news.
    Blocked,
    /// Pauses on purpose until then.
    Until(Instant),
    /// Everything is written, or read up to the end.
    Done,
    /// The call is over.
    Over,
    /// The bytes are wrong at this offset.
    Wrong(u64),
    /// An answer that the interface does not promise here.
    Unexpected,
}

/// Bytes to write.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    /// They are copied.
    Copied(&'a [u8]),
    /// They are handed over.
    Shared(Bytes),
}

#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) plan: Transfer,
    key: u64,
    /// Bytes before the pattern begins.
    head: [u8; 8],
    head_len: u64,
    pub(crate) written: u64,
    pub(crate) finished: bool,
    /// Why the endpoint took nothing, until somebody asks.
    pub(crate) refusal: Option<WriteError>,
    paused: Option<Instant>,
}

impl Writer {
    pub(crate) fn new(plan: Transfer, key: u64, head: &[u8]) -> Self {
        let mut buf = [0; 8];
        buf[..head.len()].copy_from_slice(head);
        Writer {
            plan,
            key,
            head: buf,
            head_len: head.len() as u64,
            written: 0,
            finished: false,
            refusal: None,
            paused: None,
        }
    }

    /// Faults are over: no more pauses.
    pub(crate) fn hurry(&mut self) {
        self.plan.write_pause = 0;
        self.paused = None;
    }

    /// Write as much as goes.
    pub(crate) fn go(&mut self, now: Instant, view: &mut CallMut<'_>) -> Stop {
        loop {
            if self.finished {
                return Stop::Done;
            }
            if let Some(until) = self.paused {
                if now < until {
                    return Stop::Until(until);
                }
                self.paused = None;
            }
            if self.written >= self.plan.len {
                match view.finish() {
                    Ok(()) => self.finished = true,
                    Err(e) => return self.refused(e),
                }
                continue;
            }
            match self.write(view) {
                Ok(n) => self.written += n as u64,
                Err(e) => return self.refused(e),
            }
            if self.plan.flush {
                view.flush();
            }
            if self.plan.write_pause > 0 && self.written < self.plan.len {
                self.paused = Some(now + us(self.plan.write_pause));
            }
        }
    }

    /// What is to be written next: some of the head, copied, or of the pattern, copied or not.
    pub(crate) fn piece(&self) -> Piece<'_> {
        if self.written < self.head_len {
            let rest = self.head_len.min(self.plan.len);
            return Piece::Copied(&self.head[self.written as usize..rest as usize]);
        }
        let mut most = self.plan.len - self.written;
        if self.plan.write > 0 {
            most = most.min(self.plan.write);
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if self.plan.flush {
            return Piece::Copied(pattern::piece(self.key, self.written, most));
        }
        Piece::Shared(pattern::shared(self.key, self.written, most))
    }

    fn write(&self, view: &mut CallMut<'_>) -> Result<usize, WriteError> {
        let len = self.plan.len as usize;
        let is_whole = self.written == 0 && self.plan.write == 0 && !self.plan.flush;
        if is_whole && self.head_len > 0 && self.plan.len > self.head_len && self.plan.len <= SMALL as u64 {
            // As who puts a small request together before it is written.
            let (mut all, head) = ([0; SMALL], self.head_len as usize);
            all[..head].copy_from_slice(&self.head[..head]);
            all[head..len].copy_from_slice(pattern::piece(self.key, self.head_len, len - head));
            return view.write(&all[..len]);
        }
        match self.piece() {
            Piece::Copied(bytes) => view.write(bytes),
            Piece::Shared(mut bytes) => view.write_bytes(&mut bytes),
        }
    }

    fn refused(&mut self, error: WriteError) -> Stop {
        self.refusal = Some(error);
        match error {
            WriteError::Blocked => Stop::Blocked,
            WriteError::Ended(_) | WriteError::Complete => Stop::Over,
            _ => Stop::Unexpected,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) plan: Transfer,
    key: u64,
    pub(crate) read: u64,
    pub(crate) at_end: bool,
    /// Why the endpoint gave nothing, until somebody asks.
    pub(crate) refusal: Option<ReadError>,
    paused: Option<Instant>,
    /// Bytes before the pattern begins, as they come.
    pub(crate) head: [u8; 8],
    head_len: u64,
}

impl Reader {
    pub(crate) fn new(plan: Transfer, key: u64, head_len: u64) -> Self {
        Reader { plan, key, read: 0, at_end: false, refusal: None, paused: None, head: [0; 8], head_len }
    }

    /// The first bytes have told what the rest is.
    pub(crate) fn know(&mut self, plan: Transfer, key: u64) {
        self.plan = plan;
        self.key = key;
    }

    /// Whether all bytes before the pattern are here.
    pub(crate) fn has_head(&self) -> bool {
        self.read >= self.head_len
    }

    /// Faults are over: no more pauses.
    pub(crate) fn hurry(&mut self) {
        self.plan.read_pause = 0;
        self.paused = None;
    }

    /// Read at most one piece. `None` if it is worth going on.
    pub(crate) fn step(&mut self, now: Instant, view: &mut CallMut<'_>) -> Option<Stop> {
        if self.at_end {
            return Some(Stop::Done);
        }
        if let Some(until) = self.paused {
            if now < until {
                return Some(Stop::Until(until));
            }
            self.paused = None;
        }
        if !self.has_head() {
            return self.read_head(now, view);
        }
        match view.read_chunk(self.most()) {
            Ok(Some(bytes)) => {
                if !self.check(&bytes) {
                    return Some(Stop::Wrong(self.read));
                }
                self.pause(now);
                None
            }
            Ok(None) => {
                self.at_end = true;
                Some(Stop::Done)
            }
            Err(error) => Some(self.refused(error)),
        }
    }

    /// The head is small, and copied out; the rest comes in pieces.
    fn read_head(&mut self, now: Instant, view: &mut CallMut<'_>) -> Option<Stop> {
        let most = self.most();
        let at = self.read as usize;
        match view.read(&mut self.head[at..at + most]) {
            Ok((0, _)) => {
                self.at_end = true;
                Some(Stop::Done)
            }
            Ok((n, _)) => {
                self.read += n as u64;
                self.pause(now);
                None
            }
            Err(error) => Some(self.refused(error)),
        }
    }

    fn pause(&mut self, now: Instant) {
        if self.plan.read_pause > 0 && self.has_head() {
            self.paused = Some(now + us(self.plan.read_pause));
        }
    }

    fn refused(&mut self, error: ReadError) -> Stop {
        self.refusal = Some(error);
        match error {
            ReadError::Blocked => Stop::Blocked,
            ReadError::Ended(_) => Stop::Over,
            _ => Stop::Unexpected,
        }
    }

    /// How much to read at once.
    pub(crate) fn most(&self) -> usize {
        let mut most = if self.plan.read > 0 { self.plan.read } else { u64::MAX };
        if !self.has_head() {
            most = most.min(self.head_len - self.read);
        }
        usize::try_from(most).unwrap_or(usize::MAX)
    }

    /// Whether the bytes that come next are the right ones.
    #[cfg(feature = "full")]
    pub(crate) fn is_next(&self, bytes: &[u8]) -> bool {
        !self.has_head() || pattern::is_right(self.key, self.read, bytes)
    }

    /// Take bytes that were read. False if they are wrong.
    pub(crate) fn check(&mut self, bytes: &[u8]) -> bool {
        let offset = self.read;
        self.read += bytes.len() as u64;
        if offset < self.head_len {
            let at = offset as usize;
            self.head[at..at + bytes.len()].copy_from_slice(bytes);
            return true;
        }
        pattern::is_right(self.key, offset, bytes)
    }
}
