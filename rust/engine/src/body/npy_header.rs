//! The header of a `.npy` file: a Python dict literal with exactly the keys `descr`, `fortran_order` and `shape`
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).

use super::binary_number::Type;
use crate::error::{Error, Result};

/// What the header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub number: Type,
    pub big_endian: bool,
    pub fortran_order: bool,
    pub shape: Vec<u64>,
}

pub fn malformed(reason: impl Into<String>) -> Error {
    Error::MalformedNpy { reason: reason.into() }
}

impl Header {
    /// Reads the text of a header.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let mut cursor = Cursor { text, at: 0 };
        let mut descr = None;
        let mut fortran_order = None;
        let mut shape = None;
        cursor.expect(b'{')?;
        while !cursor.take(b'}') {
            let again = match cursor.string()? {
                b"descr" => descr.replace(cursor.value(Cursor::descr)?).is_some(),
                b"fortran_order" => fortran_order.replace(cursor.value(Cursor::boolean)?).is_some(),
                b"shape" => shape.replace(cursor.value(Cursor::shape)?).is_some(),
                _ => return Err(malformed("a key in the header other than descr, fortran_order and shape")),
            };
            if again {
                return Err(malformed("a key twice in the header"));
            }
            if !cursor.take(b',') {
                cursor.expect(b'}')?;
                break;
            }
        }
        if cursor.peek().is_some() {
            return Err(malformed("text behind the dict in the header"));
        }
        let missing = || malformed("the header must have descr, fortran_order and shape");
        let (number, big_endian) = descr.ok_or_else(missing)?;
        Ok(Self {
            number,
            big_endian,
            fortran_order: fortran_order.ok_or_else(missing)?,
            shape: shape.ok_or_else(missing)?,
        })
    }
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at).is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.take(byte) {
            return Ok(());
        }
        Err(malformed(format!(
            "the header is not a Python dict: expected {:?} at byte {}",
            char::from(byte),
            self.at
        )))
    }

    fn value<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.expect(b':')?;
        read(self)
    }

    fn run(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let from = self.at;
        while self.text.get(self.at).is_some_and(|byte| belongs(*byte)) {
            self.at += 1;
        }
        &self.text[from..self.at]
    }

    fn string(&mut self) -> Result<&'a [u8]> {
        let quote = if self.peek() == Some(b'"') { b'"' } else { b'\'' };
        self.expect(quote)?;
        let string = self.run(|byte| byte != quote && byte != b'\\' && byte != b'\n');
        if self.text.get(self.at) != Some(&quote) {
            return Err(malformed("a string in the header does not end"));
        }
        self.at += 1;
        Ok(string)
    }

    fn descr(&mut self) -> Result<(Type, bool)> {
        const RIGHT: &str = "send f2, f4, f8, i1, i2, i4, i8, u1, u2, u4 or u8";
        if self.peek() == Some(b'[') {
            return Err(malformed(format!("an array of records has no rows of numbers: {RIGHT}")));
        }
        let descr = self.string()?;
        if descr.contains(&b'O') {
            return Err(malformed(format!("pickled objects are never read: {RIGHT}")));
        }
        let number = match descr {
            [b'<' | b'>' | b'=' | b'|', code @ ..] => Type::of(code),
            _ => None,
        };
        match number {
            Some(number) => Ok((number, descr[0] == b'>')),
            None => {
                let shown = String::from_utf8_lossy(&descr[..descr.len().min(32)]).into_owned();
                Err(malformed(format!("dtype {shown:?} is not a supported number: {RIGHT}")))
            }
        }
    }

    fn boolean(&mut self) -> Result<bool> {
        self.peek();
        match self.run(|byte| byte.is_ascii_alphabetic()) {
            b"True" => Ok(true),
            b"False" => Ok(false),
            _ => Err(malformed("fortran_order must be True or False")),
        }
    }

    fn shape(&mut self) -> Result<Vec<u64>> {
        let wrong = || malformed("shape must be a tuple of whole numbers");
        let mut shape = Vec::new();
        self.expect(b'(')?;
        while !self.take(b')') {
            self.peek();
            let digits = self.run(|byte| byte.is_ascii_digit());
            if digits.len() > 1 && digits[0] == b'0' {
                return Err(wrong());
            }
            let text = str::from_utf8(digits).map_err(|_| wrong())?;
            shape.push(text.parse().map_err(|_| wrong())?);
            if self.take(b',') {
                continue;
            }
            // `(3)` is a number in Python, `(3,)` a tuple.
            if shape.len() == 1 {
                return Err(wrong());
            }
            self.expect(b')')?;
            break;
        }
        Ok(shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Header> {
        Header::parse(text.as_bytes())
    }

    #[test]
    fn what_numpy_writes_is_read() {
        let header = parse("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }        \n").unwrap();
        let expected =
            Header { number: Type::F4, big_endian: false, fortran_order: false, shape: vec![2, 3] };
        assert_eq!(header, expected);
        let header = parse("{\"shape\":(7,),\"fortran_order\":True,\"descr\":\">i8\"}").unwrap();
        let expected = Header { number: Type::I8, big_endian: true, fortran_order: true, shape: vec![7] };
        assert_eq!(header, expected);
        assert_eq!(parse("{'descr':'|u1','fortran_order':False,'shape':()}").unwrap().shape, []);
    }

    #[test]
    fn everything_else_is_refused() {
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n";
        for cut in 0..good.len() - 2 {
            assert!(parse(&good[..cut]).is_err(), "{cut}");
        }
        for (from, to) in [
            ("'<f4'", "'<f3'"),
            ("'<f4'", "'f4'"),
            ("'<f4'", "'|O'"),
            ("'<f4'", "'<c8'"),
            ("'<f4'", "'|b1'"),
            ("'<f4'", "'<U4'"),
            ("'<f4'", "''"),
            ("'<f4'", "[('a', '<f4')]"),
            ("'<f4'", "4"),
            ("False", "0"),
            ("False", "Falsey"),
            ("(2, 3)", "(2 3)"),
            ("(2, 3)", "[2, 3]"),
            ("(2, 3)", "(6)"),
            ("(2, 3)", "(-2, 3)"),
            ("(2, 3)", "(2, 3.0)"),
            ("(2, 3)", "(2,, 3)"),
            ("(2, 3)", "(,)"),
            ("(2, 3)", "(02, 3)"),
            ("(2, 3)", "(99999999999999999999, 3)"),
            ("'shape'", "'shapes'"),
            ("'shape': (2, 3), ", ""),
            ("'descr'", "'shape': (2, 3), 'descr'"),
            (", }", ", , }"),
            ("}", "} x"),
            ("}", "__import__('os')}"),
        ] {
            let text = good.replacen(from, to, 1);
            assert!(matches!(parse(&text), Err(Error::MalformedNpy { .. })), "{text}");
        }
    }
}
