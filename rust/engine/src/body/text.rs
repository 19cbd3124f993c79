//! A JSON string, checked while it arrives: valid UTF-8, valid escapes, surrogates in pairs, no raw control
//! characters.

/// Where in a string the text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Plain,
    Escape,
    /// Hexadecimal digits of `\u`: how many are still to come, and their value so far.
    Hex {
        left: u8,
        code: u16,
    },
    /// A high surrogate must be followed by a backslash,
    Backslash,
    /// and that by a `u`.
    Letter,
    /// Continuation bytes of a character: how many, and what the next may be.
    Utf8 {
        left: u8,
        low: u8,
        high: u8,
    },
}

/// A string from behind its opening quote to its closing one.
#[derive(Debug)]
pub struct Text {
    at: At,
    high_surrogate: Option<u16>,
    kept: Option<Kept>,
}

/// The unescaped bytes of a string that is wanted (a key), up to a limit.
#[derive(Debug)]
struct Kept {
    bytes: Vec<u8>,
    limit: usize,
    over: bool,
}

impl Kept {
    fn extend(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() > self.limit {
            self.over = true;
        } else if !self.over {
            self.bytes.extend_from_slice(bytes);
        }
    }
}

impl Text {
    /// A string whose value nobody needs.
    pub const fn passing() -> Self {
        Self { at: At::Plain, high_surrogate: None, kept: None }
    }

    /// A string whose unescaped bytes are kept.
    pub const fn keeping(limit: usize) -> Self {
        Self {
            at: At::Plain,
            high_surrogate: None,
            kept: Some(Kept { bytes: Vec::new(), limit, over: false }),
        }
    }

    /// The unescaped bytes; `Some(None)` when they are over the limit, `None` when they were not kept.
    pub fn into_kept(self) -> Option<Option<Vec<u8>>> {
        self.kept.map(|kept| (!kept.over).then_some(kept.bytes))
    }

    /// Reads on from `at`. Returns the place behind the closing quote, or `None` at the end of the input.
    ///
    /// # Errors
    /// The place and what is wrong there.
    pub fn read(&mut self, input: &[u8], mut at: usize) -> Result<Option<usize>, (usize, &'static str)> {
        while at < input.len() {
            if self.at == At::Plain {
                let run = input[at..].iter().take_while(|byte| is_plain(**byte)).count();
                self.keep(&input[at..at + run]);
                at += run;
                let Some(byte) = input.get(at) else { return Ok(None) };
                if *byte == b'"' {
                    return Ok(Some(at + 1));
                }
            }
            self.step(input[at]).map_err(|reason| (at, reason))?;
            at += 1;
        }
        Ok(None)
    }

    /// Takes one byte of an escape, from its backslash on; whether that was its last.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn escaped(&mut self, byte: u8) -> Result<bool, &'static str> {
        self.step(byte)?;
        Ok(self.at == At::Plain)
    }

    fn keep(&mut self, bytes: &[u8]) {
        if let Some(kept) = &mut self.kept {
            kept.extend(bytes);
        }
    }

    fn step(&mut self, byte: u8) -> Result<(), &'static str> {
        self.at = match self.at {
            At::Plain => self.special(byte)?,
            At::Escape => self.escape(byte)?,
            At::Hex { left, code } => self.hex(byte, left, code)?,
            At::Backslash if byte == b'\\' => At::Letter,
            At::Letter if byte == b'u' => At::Hex { left: 4, code: 0 },
            At::Backslash | At::Letter => return Err("a lone surrogate"),
            At::Utf8 { left, low, high } => {
                if !(low..=high).contains(&byte) {
                    return Err("text that is not UTF-8");
                }
                self.keep(&[byte]);
                if left == 1 { At::Plain } else { At::Utf8 { left: left - 1, low: 0x80, high: 0xbf } }
            }
        };
        Ok(())
    }

    /// What ends a run of plain characters (but the quote). The ranges are those of RFC 3629, section 4.
    fn special(&mut self, byte: u8) -> Result<At, &'static str> {
        let next = match byte {
            b'\\' => return Ok(At::Escape),
            0..=0x1f => return Err("a control character in a string"),
            0xc2..=0xdf => At::Utf8 { left: 1, low: 0x80, high: 0xbf },
            0xe0 => At::Utf8 { left: 2, low: 0xa0, high: 0xbf },
            0xed => At::Utf8 { left: 2, low: 0x80, high: 0x9f },
            0xe1..=0xef => At::Utf8 { left: 2, low: 0x80, high: 0xbf },
            0xf0 => At::Utf8 { left: 3, low: 0x90, high: 0xbf },
            0xf1..=0xf3 => At::Utf8 { left: 3, low: 0x80, high: 0xbf },
            0xf4 => At::Utf8 { left: 3, low: 0x80, high: 0x8f },
            _ => return Err("text that is not UTF-8"),
        };
        self.keep(&[byte]);
        Ok(next)
    }

    fn escape(&mut self, byte: u8) -> Result<At, &'static str> {
        let character = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return Ok(At::Hex { left: 4, code: 0 }),
            _ => return Err("an unknown escape"),
        };
        self.keep(&[character]);
        Ok(At::Plain)
    }

    fn hex(&mut self, byte: u8, left: u8, code: u16) -> Result<At, &'static str> {
        let value = char::from(byte).to_digit(16).ok_or("expected a hexadecimal digit")?;
        let code = code << 4 | value as u16;
        // Surrogates are told from the first two digits: D8..DB high, DC..DF low.
        let wrong = match (left, self.high_surrogate) {
            (4, Some(_)) => code != 0xd,
            (3, Some(_)) => code < 0xdc,
            (3, None) => (0xdc..=0xdf).contains(&code),
            _ => false,
        };
        if wrong {
            return Err("a lone surrogate");
        }
        if left > 1 {
            return Ok(At::Hex { left: left - 1, code });
        }
        let scalar = match self.high_surrogate.take() {
            Some(high) => 0x1_0000 + (u32::from(high - 0xd800) << 10) + u32::from(code - 0xdc00),
            None if (0xd800..0xdc00).contains(&code) => {
                self.high_surrogate = Some(code);
                return Ok(At::Backslash);
            }
            None => u32::from(code),
        };
        if let Some(character) = char::from_u32(scalar) {
            self.keep(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(At::Plain)
    }
}

/// Whether a byte stands for itself in a string.
#[inline]
const fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7f) && byte != b'"' && byte != b'\\'
}
