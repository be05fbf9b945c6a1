//! What both services have in common: words, the test pattern, its checksum, and reading them from a call.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rxrpc_tokio::{Call, ReadError, WriteError};

pub(crate) const PERF_SERVICE: u16 = 147;
pub(crate) const TEST_SERVICE: u16 = 148;
pub(crate) const PERF_VERSION: u32 = 3;
pub(crate) const MAGIC: u32 = 0x4711;

/// Operations of service 147.
pub(crate) mod perf {
    pub(crate) const SEND: u32 = 0;
    pub(crate) const RECV: u32 = 1;
    pub(crate) const RPC: u32 = 3;
}

/// Operations of service 148.
pub(crate) mod test {
    pub(crate) const ECHO: u32 = 1;
    pub(crate) const SINK: u32 = 2;
    pub(crate) const SRC: u32 = 3;
    pub(crate) const ABORT: u32 = 4;
    pub(crate) const SLEEP: u32 = 5;
    pub(crate) const WHO: u32 = 6;
}

/// FNV-1a over 32 bits.
pub(crate) struct Checksum(pub(crate) u32);

impl Checksum {
    pub(crate) fn new() -> Self {
        Checksum(2_166_136_261)
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(16_777_619);
        }
    }
}

/// Bytes `from..from + len` of the test pattern.
pub(crate) fn pattern(from: u64, len: usize) -> Bytes {
    (from..from + len as u64).map(|i| (i.wrapping_mul(31).wrapping_add(7) & 255) as u8).collect()
}

/// The words, big-endian, one after the other.
pub(crate) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_be_bytes()).collect()
}

/// What a pause of the reader was like.
pub(crate) struct Paused {
    /// Bytes that had been received when the reader went on.
    held: u64,
    over: Instant,
    /// How long after that the first byte was read that had not been received yet.
    resumed: Option<Duration>,
}

/// The reading side of a call with what was read too much.
pub(crate) struct Reader<'a> {
    call: &'a mut Call,
    rest: BytesMut,
    /// Bytes taken from the call.
    got: u64,
    pause: Duration,
    paused: Option<Paused>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(call: &'a mut Call, pause_ms: u64) -> Self {
        Reader { call, rest: BytesMut::new(), got: 0, pause: Duration::from_millis(pause_ms), paused: None }
    }

    /// The next piece, `None` at the end of the data.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, ReadError> {
        if !self.rest.is_empty() {
            return Ok(Some(self.rest.split().freeze()));
        }
        self.receive().await
    }

    async fn receive(&mut self) -> Result<Option<Bytes>, ReadError> {
        let piece = self.call.read_chunk(usize::MAX).await?;
        self.got += piece.as_ref().map_or(0, Bytes::len) as u64;
        if let Some(paused) = &mut self.paused
            && self.got > paused.held
        {
            paused.resumed.get_or_insert_with(|| paused.over.elapsed());
        }
        Ok(piece)
    }

    /// The next word, `None` if the data ends before it is whole.
    pub(crate) async fn word(&mut self) -> Result<Option<u32>, ReadError> {
        while self.rest.len() < 4 {
            match self.receive().await? {
                Some(piece) => self.rest.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
        let word = self.rest.split_to(4);
        Ok(word.first_chunk::<4>().map(|w| u32::from_be_bytes(*w)))
    }

    /// Take exactly `len` bytes, piece by piece. False if the data ends before.
    pub(crate) async fn take(&mut self, len: u64, mut each: impl FnMut(&[u8])) -> Result<bool, ReadError> {
        let mut left = len;
        while left > 0 {
            let Some(piece) = self.piece().await? else { return Ok(false) };
            let now = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            each(&piece[..now]);
            self.rest.extend_from_slice(&piece[now..]);
            left -= now as u64;
            let pause = std::mem::take(&mut self.pause);
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
                let held = self.call.stats().bytes_received;
                self.paused = Some(Paused { held, over: Instant::now(), resumed: None });
            }
        }
        Ok(true)
    }

    /// Say how the pause went, if there was one.
    pub(crate) fn report(&self) {
        let Some(paused) = &self.paused else { return };
        let stats = self.call.stats();
        match paused.resumed {
            Some(after) => {
                println!("paused: held {} bytes, went on after {} ms", paused.held, after.as_millis())
            }
            None => println!("paused: held {} bytes, then nothing more came", paused.held),
        }
        println!(
            "refused {} packets beyond the window, {} duplicates",
            stats.beyond_window, stats.duplicates
        );
    }
}

/// Write `len` bytes of the pattern, or of zeros.
pub(crate) async fn write_pattern(call: &mut Call, len: u64, zeros: bool) -> Result<(), WriteError> {
    const PIECE: u64 = 64 * 1024;
    let mut at = 0;
    while at < len {
        let n = usize::try_from(PIECE.min(len - at)).unwrap_or(0);
        let piece = if zeros { Bytes::from(vec![0; n]) } else { pattern(at, n) };
        call.write_bytes(piece).await?;
        at += n as u64;
    }
    Ok(())
}
