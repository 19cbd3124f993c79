//! base64 (RFC 4648, section 4): padded, without white space, the unused bits of the last character zero.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Stands for what is not in the alphabet.
const NONE: u32 = 1 << 24;

/// The value of each character, where it stands in a group of four.
static PLACES: [[u32; 256]; 4] = places();

const fn places() -> [[u32; 256]; 4] {
    let mut places = [[NONE; 256]; 4];
    let mut value = 0;
    while value < 64 {
        let character = ALPHABET[value] as usize;
        let mut place = 0;
        while place < 4 {
            places[place][character] = (value as u32) << (18 - 6 * place);
            place += 1;
        }
        value += 1;
    }
    places
}

/// Reads text in pieces of any size.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Values of the characters of the group that is open, and how many they are.
    group: u32,
    characters: usize,
    /// `=` so far.
    padding: usize,
}

impl Decoder {
    /// Takes characters of the alphabet as long as there are any; returns how many. A whole group is three bytes.
    pub fn run(&mut self, input: &[u8], output: &mut Vec<u8>) -> usize {
        if self.padding > 0 {
            return 0;
        }
        let mut at = 0;
        while self.characters > 0 && input.get(at).is_some_and(|&byte| self.character(byte, output)) {
            at += 1;
        }
        if self.characters == 0 {
            at += groups(&input[at..], output);
            while input.get(at).is_some_and(|&byte| self.character(byte, output)) {
                at += 1;
            }
        }
        at
    }

    /// Takes one byte, which may be padding.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn take(&mut self, byte: u8, output: &mut Vec<u8>) -> Result<(), &'static str> {
        match (byte, self.characters + self.padding) {
            (b'=', 2 | 3) if self.padding == 0 => {
                let unused = if self.characters == 2 { 0xffff } else { 0xff };
                if self.group & unused != 0 {
                    return Err("the last character before the padding has bits that belong to no byte");
                }
                self.padding = 1;
                Ok(())
            }
            (b'=', 3) => {
                self.padding = 2;
                Ok(())
            }
            (b'=', _) => Err("padding where none belongs"),
            _ if self.padding > 0 => Err("a character behind the padding"),
            _ if self.character(byte, output) => Ok(()),
            _ => Err("a character that is not of the base64 alphabet"),
        }
    }

    /// Ends the text.
    ///
    /// # Errors
    /// When the padding is missing.
    pub fn finish(&self, output: &mut Vec<u8>) -> Result<(), &'static str> {
        match (self.characters, self.padding) {
            (0, 0) => {}
            (2, 2) => output.push((self.group >> 16) as u8),
            (3, 1) => output.extend_from_slice(&[(self.group >> 16) as u8, (self.group >> 8) as u8]),
            _ => return Err("the padding is missing: the length must be a multiple of 4"),
        }
        Ok(())
    }

    fn character(&mut self, byte: u8, output: &mut Vec<u8>) -> bool {
        let value = PLACES[self.characters][usize::from(byte)];
        if value == NONE {
            return false;
        }
        self.group |= value;
        self.characters += 1;
        if self.characters == 4 {
            output.extend_from_slice(&self.group.to_be_bytes()[1..]);
            (self.group, self.characters) = (0, 0);
        }
        true
    }
}

/// Whole groups of the alphabet; returns how many characters they are.
fn groups(input: &[u8], output: &mut Vec<u8>) -> usize {
    const BLOCK: usize = 8;
    let value = |group: &[u8; 4]| {
        PLACES[0][usize::from(group[0])]
            | PLACES[1][usize::from(group[1])]
            | PLACES[2][usize::from(group[2])]
            | PLACES[3][usize::from(group[3])]
    };
    let (blocks, _) = input.as_chunks::<{ 4 * BLOCK }>();
    let before = output.len();
    output.resize(before + blocks.len() * 3 * BLOCK, 0);
    let mut whole = 0;
    for (block, place) in blocks.iter().zip(output[before..].as_chunks_mut::<{ 3 * BLOCK }>().0) {
        let mut seen = 0;
        for (group, bytes) in block.as_chunks::<4>().0.iter().zip(place.as_chunks_mut::<3>().0) {
            let value = value(group);
            seen |= value;
            [_, bytes[0], bytes[1], bytes[2]] = value.to_be_bytes();
        }
        if seen & NONE != 0 {
            break;
        }
        whole += 1;
    }
    output.truncate(before + whole * 3 * BLOCK);
    let mut taken = whole * 4 * BLOCK;
    for group in input[taken..].as_chunks::<4>().0 {
        let value = value(group);
        if value & NONE != 0 {
            break;
        }
        output.extend_from_slice(&value.to_be_bytes()[1..]);
        taken += 4;
    }
    taken
}

/// Appends the text of `bytes`.
pub fn encode(bytes: &[u8], text: &mut Vec<u8>) {
    let character = |value: u32, place: u32| ALPHABET[(value >> (18 - 6 * place)) as usize & 63];
    let (groups, rest) = bytes.as_chunks::<3>();
    let before = text.len();
    text.resize(before + groups.len() * 4, 0);
    for (group, place) in groups.iter().zip(text[before..].as_chunks_mut::<4>().0) {
        let value = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        *place = [character(value, 0), character(value, 1), character(value, 2), character(value, 3)];
    }
    match *rest {
        [one] => {
            let value = u32::from_be_bytes([0, one, 0, 0]);
            text.extend_from_slice(&[character(value, 0), character(value, 1), b'=', b'=']);
        }
        [one, two] => {
            let value = u32::from_be_bytes([0, one, two, 0]);
            text.extend_from_slice(&[character(value, 0), character(value, 1), character(value, 2), b'=']);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &[u8], size: usize) -> Result<Vec<u8>, (usize, &'static str)> {
        let (mut decoder, mut output) = (Decoder::default(), Vec::new());
        let mut at = 0;
        for piece in text.chunks(size) {
            let mut from = 0;
            while from < piece.len() {
                let run = decoder.run(&piece[from..], &mut output);
                from += run;
                if let Some(byte) = piece.get(from) {
                    decoder.take(*byte, &mut output).map_err(|reason| (at + from, reason))?;
                    from += 1;
                }
            }
            at += piece.len();
        }
        decoder.finish(&mut output).map_err(|reason| (at, reason))?;
        Ok(output)
    }

    #[test]
    fn what_is_encoded_is_decoded_wherever_it_is_cut() {
        let bytes: Vec<u8> = (0..300_u32).map(|index| ((index * 151) >> 2) as u8).collect();
        for length in 0..200 {
            let mut text = Vec::new();
            encode(&bytes[..length], &mut text);
            assert_eq!(text.len(), length.div_ceil(3) * 4);
            for size in [1, 2, 3, 4, 5, 31, 32, 33, 1000] {
                assert_eq!(decode(&text, size).unwrap(), &bytes[..length], "{length} {size}");
            }
        }
        let mut text = Vec::new();
        encode(b"light work.", &mut text);
        assert_eq!(text, b"bGlnaHQgd29yay4=");
    }

    #[test]
    fn what_is_not_canonical_is_refused_at_its_place() {
        for (text, place) in [
            (&b"A"[..], 1),
            (b"AA", 2),
            (b"AAA", 3),
            (b"AA=", 3),
            (b"=", 0),
            (b"A=", 1),
            (b"AAAA=", 4),
            (b"AB==", 2),
            (b"AAB=", 3),
            (b"AA==A", 4),
            (b"AA===", 4),
            (b"AAA==", 4),
            (b"AA=A", 3),
            (b"AA A", 2),
            (b"AAA-", 3),
            (b"AAA_", 3),
            (b"AAAA\n", 4),
            (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\x80A", 38),
        ] {
            for size in 1..8 {
                assert_eq!(decode(text, size).unwrap_err().0, place, "{}", text.escape_ascii());
            }
        }
    }
}
