//! The rxperf protocol, version 3. All words are 32 bits, big-endian.
//!
//! A request is version, operation, read chunk, write chunk; then for send: n and n bytes; for recv: n; for rpc: n, m
//! and n bytes. It ends there; the server in the Linux kernel wants a cookie after it. The reply is the bytes asked
//! for and the cookie. The chunks are how much to pass to the system at a time: of no meaning here.

use bytes::Bytes;
use rxrpc_tokio::{Call, ReadError, WriteError};

/// Its service.
pub(crate) const SERVICE: u16 = 147;
/// The UDP port unless told otherwise.
pub(crate) const PORT: u16 = 7009;
/// The one version that there is; a server aborts others with -1.
pub(crate) const VERSION: u32 = 3;
/// Ends each reply.
pub(crate) const COOKIE: u32 = 0x4711;
/// Chunk size that both sides use unless told otherwise, and the largest allowed.
pub(crate) const CHUNK: u32 = 512 * 1024;

/// A request with data.
pub(crate) const SEND: u32 = 0;
/// A reply with data.
pub(crate) const RECV: u32 = 1;
/// Data both ways.
pub(crate) const RPC: u32 = 3;

/// The words one after the other.
pub(crate) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_be_bytes()).collect()
}

/// Zeros to send, shared by all calls.
#[derive(Clone)]
pub(crate) struct Zeros(Bytes);

impl Zeros {
    const PIECE: usize = 256 * 1024;

    pub(crate) fn new() -> Self {
        Zeros(Bytes::from(vec![0; Self::PIECE]))
    }

    /// Write `len` of them.
    pub(crate) async fn write(&self, call: &mut Call, len: u32) -> Result<(), WriteError> {
        let mut left = len as usize;
        while left > 0 {
            let piece = self.0.slice(..left.min(Self::PIECE));
            left -= piece.len();
            call.write_bytes(piece).await?;
        }
        Ok(())
    }
}

/// The reading side of a call, with what was read but not taken.
pub(crate) struct Reader<'a> {
    call: &'a mut Call,
    rest: Bytes,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(call: &'a mut Call) -> Self {
        Reader { call, rest: Bytes::new() }
    }

    /// The next word, `None` if the data ends before it is whole.
    pub(crate) async fn word(&mut self) -> Result<Option<u32>, ReadError> {
        let mut bytes = [0; 4];
        for byte in &mut bytes {
            while self.rest.is_empty() {
                match self.call.read_chunk(usize::MAX).await? {
                    Some(piece) => self.rest = piece,
                    None => return Ok(None),
                }
            }
            *byte = self.rest.split_to(1).first().copied().unwrap_or(0);
        }
        Ok(Some(u32::from_be_bytes(bytes)))
    }

    /// Drop exactly `len` bytes. False if the data ends before.
    pub(crate) async fn skip(&mut self, len: u32) -> Result<bool, ReadError> {
        let mut left = len as usize;
        loop {
            let now = self.rest.len().min(left);
            self.rest = self.rest.slice(now..);
            left -= now;
            if left == 0 {
                return Ok(true);
            }
            match self.call.read_chunk(usize::MAX).await? {
                Some(piece) => self.rest = piece,
                None => return Ok(false),
            }
        }
    }

    /// Whether the data ends here.
    pub(crate) async fn at_end(&mut self) -> Result<bool, ReadError> {
        if self.rest.is_empty() {
            match self.call.read_chunk(usize::MAX).await? {
                Some(piece) => self.rest = piece,
                None => return Ok(true),
            }
        }
        Ok(false)
    }
}
