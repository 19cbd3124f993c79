//! Bytes that clients hand back as they got them: hex, with a checksum that tells them from anything else.

use std::fmt::Write;

use super::checksum::crc32c;

/// `bytes` as a text.
pub fn write(bytes: &[u8]) -> String {
    let sum = crc32c(bytes).to_le_bytes();
    let mut text = String::with_capacity(2 * (bytes.len() + sum.len()));
    for byte in bytes.iter().chain(&sum) {
        // Writing to memory cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The `N` bytes that [`write`] made `text` of; `None` when it did not.
pub fn read<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * (N + 4) || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = digits.chunks_exact(2).map(|pair| {
        std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or_default()
    });
    let mut content = [0; N];
    content.iter_mut().zip(&mut bytes).for_each(|(into, byte)| *into = byte);
    let sum: Vec<u8> = bytes.collect();
    (crc32c(&content).to_le_bytes() == *sum).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let text = write(&[0, 1, 254, 255]);
        assert_eq!(read::<4>(&text), Some([0, 1, 254, 255]));
        assert_eq!(read::<3>(&text), None);
        for at in 0..text.len() {
            for other in ["0", "f", "F", "g", " "] {
                let mut changed = text.clone();
                changed.replace_range(at..=at, other);
                assert_eq!(read::<4>(&changed).is_some(), changed == text, "{changed}");
            }
        }
        assert_eq!(read::<4>(&text.to_uppercase()), None);
        assert_eq!(read::<4>("é".repeat(8).as_str()), None);
        assert_eq!(read::<4>(""), None);
    }
}
