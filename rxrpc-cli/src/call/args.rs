//! Arguments of a call, as words on the command line.

use std::path::PathBuf;
use std::str::FromStr;

use crate::failure::Failure;

/// One argument: how it was written is how it is encoded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Argument {
    /// `u32:` or `i32:`, one word.
    Word(u32),
    /// `u64:`, two words.
    Long(u64),
    /// `str:` or `hex:`, XDR opaque: length, bytes, zeros up to a multiple of four.
    Opaque(Vec<u8>),
    /// `file:`, the same with the bytes of a file.
    OpaqueFile(PathBuf),
    /// `raw:`, bytes as they are.
    Raw(Vec<u8>),
    /// `rawfile:`, the bytes of a file as they are.
    RawFile(PathBuf),
    /// `chars:N:TEXT`, N words, one a character; zeros after the text.
    Chars(Vec<u32>),
}

/// A whole number, decimal or with `0x`.
pub(crate) fn number<T: TryFrom<i128>>(text: &str) -> Result<T, String> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let parsed = match digits.strip_prefix("0x") {
        Some(hex) => i128::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    let value = parsed.ok().filter(|_| !digits.starts_with(['+', '-']));
    value
        .and_then(|v| T::try_from(v * sign).ok())
        .ok_or_else(|| format!("'{text}' is no number of this kind"))
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let bad = || format!("'{text}' is not hexadecimal: two digits a byte");
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return Err(bad());
    }
    let bytes = text.as_bytes().chunks(2).map(|pair| {
        let digit = |d: u8| char::from(d).to_digit(16);
        match pair {
            [high, low] => Some((digit(*high)? * 16 + digit(*low)?) as u8),
            _ => None,
        }
    });
    bytes.collect::<Option<Vec<u8>>>().ok_or_else(bad)
}

fn chars(text: &str) -> Result<Vec<u32>, String> {
    let (count, text) = text.split_once(':').ok_or("chars: is written chars:N:TEXT")?;
    let count: u16 = number(count)?;
    let mut words: Vec<u32> = text.bytes().map(u32::from).collect();
    if words.len() > count.into() {
        return Err(format!("'{text}' has more than {count} characters"));
    }
    words.resize(count.into(), 0);
    Ok(words)
}

impl FromStr for Argument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, value) = text.split_once(':').ok_or_else(|| {
            format!("'{text}' has no kind: write u32: i32: u64: str: hex: file: raw: rawfile: or chars:N: before it")
        })?;
        Ok(match kind {
            "u32" => Argument::Word(number(value)?),
            "i32" => Argument::Word(number::<i32>(value)?.cast_unsigned()),
            "u64" => Argument::Long(number(value)?),
            "str" => Argument::Opaque(value.as_bytes().to_vec()),
            "hex" => Argument::Opaque(hex(value)?),
            "file" => Argument::OpaqueFile(value.into()),
            "raw" => Argument::Raw(hex(value)?),
            "rawfile" => Argument::RawFile(value.into()),
            "chars" => Argument::Chars(chars(value)?),
            _ => return Err(format!("'{kind}:' is no kind of argument")),
        })
    }
}

fn opaque(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
    let len = u32::try_from(bytes.len()).map_err(|_| Failure::Usage("more than 4 GiB in one".to_string()))?;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(4), 0);
    Ok(())
}

fn contents(path: &PathBuf) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|e| Failure::Local(format!("cannot read {}: {e}", path.display())))
}

impl Argument {
    /// Append the argument's encoding.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<(), Failure> {
        match self {
            Argument::Word(word) => out.extend_from_slice(&word.to_be_bytes()),
            Argument::Long(long) => out.extend_from_slice(&long.to_be_bytes()),
            Argument::Opaque(bytes) => opaque(bytes, out)?,
            Argument::OpaqueFile(path) => opaque(&contents(path)?, out)?,
            Argument::Raw(bytes) => out.extend_from_slice(bytes),
            Argument::RawFile(path) => out.extend_from_slice(&contents(path)?),
            Argument::Chars(words) => out.extend(words.iter().flat_map(|w| w.to_be_bytes())),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        text.parse::<Argument>().unwrap().encode(&mut out).unwrap();
        out
    }

    #[test]
    fn words_are_big_endian_in_decimal_and_hexadecimal() {
        assert_eq!(encoded("u32:1"), [0, 0, 0, 1]);
        assert_eq!(encoded("u32:0xfffffffe"), [255, 255, 255, 254]);
        assert_eq!(encoded("i32:-2"), [255, 255, 255, 254]);
        assert_eq!(encoded("u64:0x100000002"), [0, 0, 0, 1, 0, 0, 0, 2]);
    }

    #[test]
    fn opaque_data_has_a_length_and_is_padded_and_raw_data_is_not() {
        assert_eq!(encoded("str:abcde"), b"\0\0\0\x05abcde\0\0\0");
        assert_eq!(encoded("str:"), [0; 4]);
        assert_eq!(encoded("str:a:b"), b"\0\0\0\x03a:b\0");
        assert_eq!(encoded("hex:0aFF"), [0, 0, 0, 2, 0x0a, 0xff, 0, 0]);
        assert_eq!(encoded("raw:0aff01"), [0x0a, 0xff, 1]);
        assert_eq!(encoded("chars:3:ab"), [0, 0, 0, b'a', 0, 0, 0, b'b', 0, 0, 0, 0]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in [
            "5",
            "u32:-1",
            "u32:4294967296",
            "i32:2147483648",
            "u32:",
            "u32:+1",
            "u32:--1",
            "u64:x",
            "hex:abc",
            "hex:zz",
            "raw:0",
            "chars:1:ab",
            "chars:ab",
            "chars:x:a",
            "words:1",
        ] {
            assert!(text.parse::<Argument>().is_err(), "{text}");
        }
    }
}
