//! A `.npy` array, read while it arrives; a chunk may end anywhere.

use super::binary_number::{Type, decode};
use super::npy_header::{Header, malformed};
use super::{Body, Purpose};
use crate::error::{Error, Result};
use crate::limits::{MAX_DIMENSION, MAX_NPY_HEADER};
use crate::validate;
use crate::vector::{Dimension, Rows};

/// Reads one array of numbers, row-major or column-major.
#[derive(Debug)]
pub struct NpyReader {
    purpose: Purpose,
    /// The bytes up to the end of the header.
    head: Vec<u8>,
    array: Option<Array>,
    failed: Option<Error>,
}

/// The numbers, once the header is known.
#[derive(Debug)]
struct Array {
    header: Header,
    rows: usize,
    columns: usize,
    one_dimensional: bool,
    /// The numbers in the order they are sent: the lines are columns when the array is column-major.
    lines: Rows,
    /// Numbers read.
    count: usize,
    /// Bytes of a number that a chunk cut.
    cut: Vec<u8>,
}

impl NpyReader {
    /// Reads a body from its first byte.
    pub const fn new(purpose: Purpose) -> Self {
        Self { purpose, head: Vec::new(), array: None, failed: None }
    }

    /// Reads the next chunk.
    ///
    /// # Errors
    /// [`Error::MalformedNpy`], [`Error::NonFinite`], or that of a limit: the first thing wrong in the order of
    /// the bytes. Input behind it is ignored, and the error stays.
    pub fn push(&mut self, chunk: &[u8]) -> Result<()> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let read = self.read(chunk);
        if let Err(error) = &read {
            *self = Self { failed: Some(error.clone()), ..Self::new(self.purpose) };
        }
        read
    }

    /// Ends the body.
    ///
    /// # Errors
    /// An earlier error, or [`Error::MalformedNpy`] when bytes are missing.
    pub fn finish(self) -> Result<Body> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let array = self.array.ok_or_else(|| malformed("the header is cut off"))?;
        array.whole()?;
        let one_dimensional = array.one_dimensional;
        Ok(Body { envelope: b"{}".to_vec(), rows: Some(array.into_rows()), one_dimensional })
    }

    fn read(&mut self, mut input: &[u8]) -> Result<()> {
        while self.array.is_none() {
            let wanted = self.wanted()?;
            if wanted == self.head.len() {
                self.array = Some(Array::new(&self.head, self.purpose)?);
                self.head = Vec::new();
                break;
            }
            if input.is_empty() {
                return Ok(());
            }
            let (now, rest) = input.split_at(input.len().min(wanted - self.head.len()));
            self.head.extend_from_slice(now);
            input = rest;
        }
        match &mut self.array {
            Some(array) => array.read(input),
            None => Ok(()),
        }
    }

    /// Bytes up to the end of the header, as far as it is known.
    fn wanted(&self) -> Result<usize> {
        const MAGIC: &[u8] = b"\x93NUMPY";
        let head = self.head.as_slice();
        let known = head.len().min(MAGIC.len());
        if head[..known] != MAGIC[..known] {
            return Err(malformed("the first bytes are not those of a .npy file"));
        }
        let length = match head.get(MAGIC.len()..) {
            None | Some([] | [_]) => return Ok(MAGIC.len() + 2),
            Some([1, 0, a, b, ..]) => 10 + usize::from(u16::from_le_bytes([*a, *b])),
            Some([1, 0, ..]) => return Ok(10),
            Some([2 | 3, 0, a, b, c, d, ..]) => {
                (u32::from_le_bytes([*a, *b, *c, *d]) as usize).saturating_add(12)
            }
            Some([2 | 3, 0, ..]) => return Ok(12),
            Some([major, minor, ..]) => {
                return Err(malformed(format!("format {major}.{minor} is not 1.0, 2.0 or 3.0")));
            }
        };
        if length > MAX_NPY_HEADER {
            return Err(malformed(format!("the header is longer than {MAX_NPY_HEADER} bytes")));
        }
        Ok(length)
    }
}

impl Array {
    fn new(head: &[u8], purpose: Purpose) -> Result<Self> {
        let text = &head[if head[6] == 1 { 10 } else { 12 }..];
        let header = Header::parse(text)?;
        let (rows, columns, one_dimensional) = match header.shape.as_slice() {
            [columns] => (1, *columns, true),
            [rows, columns] => (*rows, *columns, false),
            shape => {
                let reason = format!("an array of {} dimensions: 1 or 2 belong here", shape.len());
                return Err(malformed(reason));
            }
        };
        let field = match (purpose, one_dimensional) {
            (Purpose::Insert, _) => "embeddings",
            (Purpose::Search, true) => "query_embedding",
            (Purpose::Search, false) => "query_embeddings",
        };
        if rows == 0 || columns == 0 {
            return Err(Error::EmptyEmbeddings { field });
        }
        if rows > purpose.max_rows() as u64 {
            return Err(Error::TooManyRows { limit: purpose.max_rows() });
        }
        let row = if one_dimensional { None } else { Some(0) };
        if columns > MAX_DIMENSION as u64 {
            return Err(Error::TooManyColumns { row, limit: MAX_DIMENSION });
        }
        let (rows, columns) = (rows as usize, columns as usize);
        let line = if header.fortran_order { rows } else { columns };
        let lines = Rows::new(Dimension::new(line).ok_or(Error::EmptyEmbeddings { field })?);
        Ok(Self { header, rows, columns, one_dimensional, lines, count: 0, cut: Vec::new() })
    }

    fn read(&mut self, mut input: &[u8]) -> Result<()> {
        let size = self.header.number.size();
        if !self.cut.is_empty() {
            let (now, rest) = input.split_at(input.len().min(size - self.cut.len()));
            self.cut.extend_from_slice(now);
            input = rest;
            if self.cut.len() < size {
                return Ok(());
            }
            let cut = std::mem::take(&mut self.cut);
            self.numbers(&cut)?;
        }
        let whole = input.len() - input.len() % size;
        self.numbers(&input[..whole])?;
        if whole < input.len() {
            self.room(1)?;
            self.cut.extend_from_slice(&input[whole..]);
        }
        Ok(())
    }

    /// Whole numbers.
    fn numbers(&mut self, mut input: &[u8]) -> Result<()> {
        let size = self.header.number.size();
        let line = self.lines.dimension().get();
        while !input.is_empty() {
            self.room(1)?;
            let from = self.count % line;
            let row = if from == 0 { self.lines.grow() } else { self.lines.last_mut() };
            let place = &mut row[from..];
            let (now, rest) = input.split_at(input.len().min(place.len() * size));
            let place = &mut place[..now.len() / size];
            decode(self.header.number, self.header.big_endian, now, place);
            if let Some(index) = validate::first_non_finite(place) {
                return Err(self.non_finite(self.count + index, &now[index * size..][..size]));
            }
            self.count += place.len();
            input = rest;
        }
        Ok(())
    }

    fn room(&self, numbers: usize) -> Result<()> {
        if self.count + numbers <= self.rows * self.columns {
            return Ok(());
        }
        Err(malformed(format!("more bytes follow than the {} that the shape asks for", self.bytes())))
    }

    const fn bytes(&self) -> usize {
        self.rows * self.columns * self.header.number.size()
    }

    fn whole(&self) -> Result<()> {
        let came = self.count * self.header.number.size() + self.cut.len();
        if came == self.bytes() {
            return Ok(());
        }
        Err(malformed(format!("the shape asks for {} bytes of numbers, {came} came", self.bytes())))
    }

    fn non_finite(&self, position: usize, number: &[u8]) -> Error {
        let (row, column) = if self.header.fortran_order {
            (position % self.rows, position / self.rows)
        } else {
            (position / self.columns, position % self.columns)
        };
        let row = if self.one_dimensional { None } else { Some(row) };
        let value = match (self.header.number, <[u8; 8]>::try_from(number)) {
            (Type::F8, Ok(bytes)) if self.header.big_endian => f64::from_be_bytes(bytes),
            (Type::F8, Ok(bytes)) => f64::from_le_bytes(bytes),
            _ => {
                let mut value = [0.0];
                decode(self.header.number, self.header.big_endian, number, &mut value);
                f64::from(value[0])
            }
        };
        Error::NonFinite { row, column, value: validate::text(value) }
    }

    fn into_rows(self) -> Rows {
        let dimension = match Dimension::new(self.columns) {
            Some(dimension) if self.header.fortran_order => dimension,
            _ => return self.lines,
        };
        let mut rows = Rows::new(dimension);
        for index in 0..self.rows {
            for (column, place) in rows.grow().iter_mut().enumerate() {
                *place = self.lines.row(column)[index];
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(descr: &str, fortran_order: &str, shape: &str, numbers: &[u8]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': {fortran_order}, 'shape': {shape}, }}\n");
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.bytes());
        file.extend(numbers);
        file
    }

    fn read(file: &[u8], purpose: Purpose, size: usize) -> Result<Body> {
        let mut reader = NpyReader::new(purpose);
        file.chunks(size).try_for_each(|chunk| reader.push(chunk))?;
        reader.finish()
    }

    #[test]
    fn both_orders_are_read_wherever_they_are_cut() {
        let numbers: Vec<u8> = (0..6_u16).flat_map(|number| number.to_be_bytes()).collect();
        for size in 1..100 {
            let body = read(&file(">u2", "False", "(2, 3)", &numbers), Purpose::Insert, size).unwrap();
            assert_eq!(body.rows.unwrap().row(1), [3.0, 4.0, 5.0]);
            let body = read(&file(">u2", "True", "(2, 3)", &numbers), Purpose::Insert, size).unwrap();
            assert_eq!(body.rows.unwrap().row(1), [1.0, 3.0, 5.0]);
        }
    }

    #[test]
    fn what_is_not_finite_as_float32_is_named_with_its_place() {
        let mut numbers: Vec<u8> =
            [1.0, 2.0, 3.0, 1e39_f64].iter().flat_map(|number| number.to_le_bytes()).collect();
        let error = |row, column, value: &str| Error::NonFinite { row, column, value: value.to_owned() };
        for (order, shape, expected) in [
            ("False", "(2, 2)", error(Some(1), 1, "1e39")),
            ("True", "(4, 1)", error(Some(3), 0, "1e39")),
            ("False", "(4,)", error(None, 3, "1e39")),
        ] {
            assert_eq!(read(&file("<f8", order, shape, &numbers), Purpose::Search, 7).unwrap_err(), expected);
        }
        numbers[8..16].copy_from_slice(&f64::NAN.to_le_bytes());
        let body = read(&file("<f8", "False", "(2, 2)", &numbers), Purpose::Insert, 1000);
        assert_eq!(body.unwrap_err(), error(Some(0), 1, "nan"));
    }

    #[test]
    fn the_body_must_have_exactly_the_shape() {
        let whole = file("<f4", "False", "(2, 3)", &[0; 24]);
        for cut in 0..whole.len() {
            assert!(
                matches!(read(&whole[..cut], Purpose::Insert, 5), Err(Error::MalformedNpy { .. })),
                "{cut}"
            );
        }
        let longer = file("<f4", "False", "(2, 3)", &[0; 25]);
        assert!(matches!(read(&longer, Purpose::Insert, 5), Err(Error::MalformedNpy { .. })));
        let expected = Error::TooManyRows { limit: 1000 };
        assert_eq!(read(&file("<f4", "False", "(1001, 1)", &[]), Purpose::Search, 5).unwrap_err(), expected);
        let expected = Error::TooManyColumns { row: Some(0), limit: 3024 };
        assert_eq!(read(&file("<f4", "False", "(1, 3025)", &[]), Purpose::Insert, 5).unwrap_err(), expected);
        let expected = Error::EmptyEmbeddings { field: "query_embedding" };
        assert_eq!(read(&file("<f4", "False", "(0,)", &[]), Purpose::Search, 5).unwrap_err(), expected);
        let numbers = file("<f4", "False", "(1, 2, 3)", &[0; 24]);
        assert!(matches!(read(&numbers, Purpose::Insert, 5), Err(Error::MalformedNpy { .. })));
    }
}
