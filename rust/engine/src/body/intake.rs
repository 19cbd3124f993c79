//! The rows of a JSON body, taken number by number: one dimension, bounded, every number finite.

use super::Purpose;
use super::binary_number::{Type, decode};
use super::number;
use crate::error::{Error, Result};
use crate::limits::MAX_DIMENSION;
use crate::validate;
use crate::vector::{Dimension, Rows};

/// What ended a run of [`Intake::run`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A number (or what stands in its place) comes next.
    BeforeNumber,
    /// A number ended; what follows is not a comma.
    BehindNumber,
}

/// Rows so far and the one that is open.
#[derive(Debug)]
pub struct Intake {
    limit: usize,
    rows: Option<Rows>,
    /// The first row, until its end tells the dimension.
    first: Vec<f32>,
    /// Whether the open row is a single query, whose errors name no row.
    single: bool,
    /// Rows begun.
    begun: usize,
    /// Numbers of the open row so far.
    column: usize,
}

impl Intake {
    pub const fn new(purpose: Purpose) -> Self {
        let limit = purpose.max_rows();
        Self { limit, rows: None, first: Vec::new(), single: false, begun: 0, column: 0 }
    }

    /// Rows begun so far: the number of the next row.
    pub const fn begun(&self) -> usize {
        self.begun
    }

    /// Column of the next number.
    pub const fn column(&self) -> usize {
        self.column
    }

    /// The open row as errors name it.
    pub const fn row(&self) -> Option<usize> {
        if self.single { None } else { Some(self.begun - 1) }
    }

    pub fn into_rows(self) -> Option<Rows> {
        self.rows
    }

    /// Opens a row.
    pub fn begin(&mut self, single: bool) -> Result<()> {
        if self.begun == self.limit {
            return Err(Error::TooManyRows { limit: self.limit });
        }
        self.begun += 1;
        self.column = 0;
        self.single = single;
        match &mut self.rows {
            Some(rows) => _ = rows.grow(),
            None => self.first.resize(MAX_DIMENSION, 0.0),
        }
        Ok(())
    }

    /// Takes one number; `text` says how it was sent.
    pub fn take(&mut self, value: f32, text: impl FnOnce() -> String) -> Result<()> {
        if self.column == MAX_DIMENSION {
            return Err(Error::TooManyColumns { row: self.row(), limit: MAX_DIMENSION });
        }
        let (row, column) = (self.row(), self.column);
        // What is too many is only counted, so that the error can tell the row's length.
        if let Some(place) = self.open().get_mut(column) {
            if !value.is_finite() {
                return Err(Error::NonFinite { row, column, value: text() });
            }
            *place = value;
        }
        self.column += 1;
        Ok(())
    }

    /// Closes the row.
    pub fn end(&mut self, field: &'static str) -> Result<()> {
        match &mut self.rows {
            Some(rows) if rows.dimension().get() == self.column => {}
            Some(rows) => {
                let expected = rows.dimension().get();
                return Err(Error::RaggedRows { row: self.begun - 1, expected, got: self.column });
            }
            None => {
                let dimension = Dimension::new(self.column).ok_or(Error::EmptyEmbeddings { field })?;
                let mut rows = Rows::new(dimension);
                rows.grow().copy_from_slice(&self.first[..self.column]);
                self.rows = Some(rows);
                self.first = Vec::new();
            }
        }
        Ok(())
    }

    /// Takes the numbers at `input[*at..]` as long as they are whole and plain: each followed by a comma (and
    /// at most one space) or by something that ends the run. Whatever is left to the caller is untouched.
    pub fn run(&mut self, input: &[u8], at: &mut usize) -> Stop {
        let mut column = self.column;
        let mut from = *at;
        let mut stop = Stop::BeforeNumber;
        let row = self.open();
        loop {
            column += number::fill(input, &mut from, row.get_mut(column..).unwrap_or_default());
            let Some(place) = row.get_mut(column) else { break };
            let Some((value, length)) = number::parse(&input[from..]) else { break };
            if !value.is_finite() {
                break;
            }
            *place = value;
            column += 1;
            from += length;
            if input.get(from) != Some(&b',') {
                stop = Stop::BehindNumber;
                break;
            }
            from += 1;
            if input.get(from) == Some(&b' ') {
                from += 1;
            }
        }
        self.column = column;
        *at = from;
        stop
    }

    /// Whether `rows` rows of `columns` numbers may follow.
    pub fn room(&mut self, rows: usize, columns: usize, single: bool, field: &'static str) -> Result<()> {
        if rows == 0 || columns == 0 {
            return Err(Error::EmptyEmbeddings { field });
        }
        if rows > self.limit - self.begun {
            return Err(Error::TooManyRows { limit: self.limit });
        }
        let row = if single { None } else { Some(self.begun) };
        let dimension = Dimension::new(columns);
        let Some(dimension) = dimension else {
            return Err(Error::TooManyColumns { row, limit: MAX_DIMENSION });
        };
        let known = self.rows.get_or_insert_with(|| Rows::new(dimension)).dimension();
        if known != dimension {
            return Err(Error::RaggedRows { row: self.begun, expected: known.get(), got: columns });
        }
        // A row is begun when its first number comes.
        self.column = columns;
        self.single = single;
        Ok(())
    }

    /// Takes whole numbers as bytes, for which there is room.
    pub fn fill(&mut self, number: Type, mut bytes: &[u8]) -> Result<()> {
        let Some(rows) = &mut self.rows else { return Ok(()) };
        let dimension = rows.dimension().get();
        while !bytes.is_empty() {
            if self.column == dimension {
                rows.grow();
                self.begun += 1;
                self.column = 0;
            }
            let place = &mut rows.last_mut()[self.column..];
            let (now, rest) = bytes.split_at(bytes.len().min(place.len() * number.size()));
            let place = &mut place[..now.len() / number.size()];
            decode(number, false, now, place);
            if let Some(index) = validate::first_non_finite(place) {
                let row = if self.single { None } else { Some(self.begun - 1) };
                let value = validate::text(f64::from(place[index]));
                return Err(Error::NonFinite { row, column: self.column + index, value });
            }
            self.column += place.len();
            bytes = rest;
        }
        Ok(())
    }

    fn open(&mut self) -> &mut [f32] {
        match &mut self.rows {
            Some(rows) => rows.last_mut(),
            None => &mut self.first,
        }
    }
}
