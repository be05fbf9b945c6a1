//! Reading choices out of the fuzzer's octets.

use arbitrary::Unstructured;

/// A cursor over the input. What is read past its end is zero, so every input is valid.
pub(crate) struct Input<'a>(Unstructured<'a>);

impl<'a> Input<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Input(Unstructured::new(data))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.0.arbitrary().unwrap_or(0)
    }

    pub(crate) fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub(crate) fn below(&mut self, limit: u8) -> usize {
        usize::from(self.byte() % limit)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> &'a [u8] {
        let len = len.min(self.0.len());
        self.0.bytes(len).unwrap_or_default()
    }

    /// A number that is small, or one of those where arithmetic goes wrong.
    pub(crate) fn number(&mut self) -> u32 {
        match self.byte() {
            n @ 0..=0xdf => u32::from(n),
            0xe0 => 254,
            0xe1 => 255,
            0xe2 => 256,
            0xe3 => 257,
            0xe4 => 499,
            0xe5 => 1444,
            0xe6 => 5692,
            0xe7 => 65_535,
            0xe8 => 65_536,
            0xe9 => 0x3fff_ffff,
            0xea => 0x4000_0000,
            0xeb => 0x7fff_fffe,
            0xec => 0x7fff_ffff,
            0xed => 0x8000_0000,
            0xee => 0x8000_0001,
            0xef => 0xffff_ff00,
            0xf0 => u32::MAX - 46,
            n @ 0xf1..=0xfb => u32::MAX - u32::from(0xfb - n),
            _ => u32::from(self.word()) << 16 | u32::from(self.word()),
        }
    }
}

/// The encoder that [`Input`] reads back; writes seeds.
#[derive(Default)]
pub(crate) struct Output(pub(crate) Vec<u8>);

impl Output {
    pub(crate) fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    pub(crate) fn word(&mut self, word: u16) -> &mut Self {
        self.0.extend_from_slice(&word.to_be_bytes());
        self
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn number(&mut self, number: u32) -> &mut Self {
        match u8::try_from(number) {
            Ok(small @ 0..=0xdf) => self.byte(small),
            _ => self.byte(0xff).word((number >> 16) as u16).word(number as u16),
        }
    }
}
