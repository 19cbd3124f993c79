//! Looking a value up in JSON text that was checked when it came: nothing is built but the value itself.

use std::borrow::Cow;

use super::{Number, Step, Value};

/// The value at `path` in an object's text; `None` when it is not there. Of a key that is there twice the last counts.
pub fn value_at(text: &[u8], path: &[Step]) -> Option<Value> {
    let mut value = text;
    for step in path {
        value = match step {
            Step::Key(key) => member(value, key)?,
            Step::Index(index) => element(value, *index)?,
        };
    }
    Some(scalar(value))
}

fn scalar(text: &[u8]) -> Value {
    let as_text = || std::str::from_utf8(text).unwrap_or_default();
    match text.first() {
        Some(b'"') => Value::Text(unescaped(&text[1..text.len() - 1]).into()),
        Some(b't') => Value::Boolean(true),
        Some(b'f') => Value::Boolean(false),
        Some(b'-' | b'0'..=b'9') => Number::parse(as_text()).map_or(Value::Other, Value::Number),
        _ => Value::Other,
    }
}

fn member<'a>(object: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let mut cursor = Cursor::inside(object, b'{')?;
    let mut found = None;
    while cursor.peek()? != b'}' {
        let name = cursor.string()?;
        cursor.take(b':')?;
        let value = cursor.value()?;
        let same = if name.contains(&b'\\') { unescaped(name) == key } else { name == key.as_bytes() };
        if same {
            found = Some(value);
        }
        if cursor.peek()? == b',' {
            cursor.at += 1;
        }
    }
    found
}

fn element(list: &[u8], index: usize) -> Option<&[u8]> {
    let mut cursor = Cursor::inside(list, b'[')?;
    for _ in 0..index {
        if cursor.peek()? == b']' {
            return None;
        }
        cursor.value()?;
        if cursor.peek()? == b',' {
            cursor.at += 1;
        }
    }
    if cursor.peek()? == b']' { None } else { cursor.value() }
}

/// A place in JSON text.
struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Behind the bracket that `text` begins with; `None` when it begins otherwise.
    fn inside(text: &'a [u8], bracket: u8) -> Option<Self> {
        let mut cursor = Self { text, at: 0 };
        cursor.take(bracket)?;
        Some(cursor)
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        let white = self.text.get(self.at..)?.iter().position(|byte| !b" \t\r\n".contains(byte))?;
        self.at += white;
        self.text.get(self.at).copied()
    }

    fn take(&mut self, expected: u8) -> Option<()> {
        (self.peek()? == expected).then(|| self.at += 1)
    }

    /// The inside of a string, as it is written.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.take(b'"')?;
        let start = self.at;
        loop {
            match self.text.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.text.get(start..self.at - 1)
    }

    /// A value, whatever it holds.
    fn value(&mut self) -> Option<&'a [u8]> {
        let first = self.peek()?;
        let start = self.at;
        match first {
            b'"' => {
                self.string()?;
            }
            b'{' | b'[' => {
                let mut open = 0_usize;
                loop {
                    match self.peek()? {
                        b'"' => {
                            self.string()?;
                            continue;
                        }
                        b'{' | b'[' => open += 1,
                        b'}' | b']' => open -= 1,
                        _ => {}
                    }
                    self.at += 1;
                    if open == 0 {
                        break;
                    }
                }
            }
            _ => {
                let rest = self.text.get(start..)?;
                let length = rest.iter().position(|byte| b",]} \t\r\n".contains(byte)).unwrap_or(rest.len());
                self.at += length.max(1);
            }
        }
        self.text.get(start..self.at)
    }
}

/// The text of a string's inside.
fn unescaped(inside: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(inside);
    if !inside.contains(&b'\\') {
        return text;
    }
    let mut plain = String::with_capacity(text.len());
    let mut units: Vec<u16> = Vec::new();
    let mut rest = &*text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        if !before.is_empty() {
            flush(&mut plain, &mut units);
            plain.push_str(before);
        }
        let hex = escape.get(2..6).and_then(|digits| u16::from_str_radix(digits, 16).ok());
        if let (Some('u'), Some(unit)) = (escape.chars().nth(1), hex) {
            units.push(unit);
            rest = &escape[6..];
            continue;
        }
        flush(&mut plain, &mut units);
        let mut characters = escape[1..].chars();
        plain.extend(characters.next().map(|character| match character {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            other => other,
        }));
        rest = characters.as_str();
    }
    flush(&mut plain, &mut units);
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// Escapes of UTF-16 that follow each other are read together: two may be one character.
fn flush(plain: &mut String, units: &mut Vec<u16>) {
    plain.push_str(&String::from_utf16_lossy(units));
    units.clear();
}
