//! Bytes for people: hexadecimal and text side by side.

use std::fmt::Write;

const ROW: usize = 16;

/// Two digits a byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Sixteen bytes a row, in words of four, and what of them can be printed.
pub(super) fn dump(bytes: &[u8]) -> String {
    let mut text = format!("{} bytes", bytes.len());
    for (i, row) in bytes.chunks(ROW).enumerate() {
        let words: Vec<String> = row.chunks(4).map(hex).collect();
        let printable: String = row
            .iter()
            .map(|b| if b.is_ascii_graphic() || *b == b' ' { char::from(*b) } else { '.' })
            .collect();
        let _ = write!(text, "\n{:08x}  {:<35}  {printable}", i * ROW, words.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_hold_offset_words_and_text() {
        let text = dump(b"\0\0\0\x09root.cell\0\0\0!\x1b");
        assert_eq!(
            text,
            "18 bytes\n\
             00000000  00000009 726f6f74 2e63656c 6c000000  ....root.cell...\n\
             00000010  211b                                 !."
        );
        assert_eq!(dump(b""), "0 bytes");
    }
}
