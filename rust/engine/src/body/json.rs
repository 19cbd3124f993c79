//! A JSON body (RFC 8259, strict), read while it arrives; a chunk may end anywhere.

use std::collections::HashSet;
use std::mem;

use super::binary::Binary;
use super::intake::{Intake, Stop};
use super::number::{Decimal, Next};
use super::path::{self, Fate, Form, Frame, Kind, Slot};
use super::text::Text;
use super::{Body, Purpose};
use crate::error::{Error, Result};
use crate::limits::{MAX_ENVELOPE, MAX_FIELDS, MAX_KEY, MAX_NESTING};

mod binary;

/// Where in the grammar the text stands.
#[derive(Debug)]
enum At {
    /// A value must begin.
    Value,
    /// A value, or the end of an array that has no element yet.
    FirstElement,
    /// A key, or the end of an object that has none yet.
    FirstKey,
    /// A key must begin.
    Key,
    /// In a key.
    InKey(Text),
    /// A colon must follow.
    Colon,
    /// In a string that is passed through, or kept as a `dtype`.
    InString(Text),
    /// In the `data` of a binary form.
    InData,
    /// In a number that is passed through.
    InNumber,
    /// In `true`, `false` or `null`: what is still to come of it, and the error once it is whole.
    InLiteral(&'static [u8], Option<Error>),
    /// Behind a value: a comma or the end of what holds it.
    Behind,
    /// Behind the body: only white space.
    End,
    /// In an array of numbers.
    InRow(InRow),
}

/// Where in an array of numbers the text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InRow {
    /// A number, or the end of a row that has none yet.
    First,
    /// A number must begin.
    Element,
    /// In a number that does not lie whole in one chunk, or is not plain.
    Number,
    /// Behind a number: a comma or the end of the row.
    Behind,
}

/// Reads a JSON body.
#[derive(Debug)]
pub struct JsonReader {
    purpose: Purpose,
    at: At,
    /// Bytes of the chunks before this one.
    offset: u64,
    frames: Vec<Frame>,
    /// What belongs where the next value stands.
    slot: Slot,
    key: Vec<u8>,
    decimal: Decimal,
    /// Keys of the body, and those of the first-age map.
    fields: HashSet<Vec<u8>>,
    chunk_ids: HashSet<Vec<u8>>,
    envelope: Vec<u8>,
    /// Where in the envelope the object began that is, or may turn out to be, a binary form.
    mark: usize,
    /// The binary form that is open: nothing of it goes to the envelope.
    binary: Option<Box<Binary>>,
    intake: Intake,
    failed: Option<Error>,
}

impl JsonReader {
    /// Reads a body from its first byte.
    pub fn new(purpose: Purpose) -> Self {
        Self {
            purpose,
            at: At::Value,
            offset: 0,
            frames: Vec::new(),
            slot: Slot::Body,
            key: Vec::new(),
            decimal: Decimal::default(),
            fields: HashSet::new(),
            chunk_ids: HashSet::new(),
            envelope: Vec::new(),
            mark: 0,
            binary: None,
            intake: Intake::new(purpose),
            failed: None,
        }
    }

    /// Reads the next chunk.
    ///
    /// # Errors
    /// The first thing wrong in document order; input behind it is ignored, and the error stays.
    pub fn push(&mut self, chunk: &[u8]) -> Result<()> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let read = self.read(chunk);
        self.offset += chunk.len() as u64;
        if let Err(error) = &read {
            self.fail(error.clone());
        }
        read
    }

    /// Ends the body.
    ///
    /// # Errors
    /// An earlier error, or [`Error::MalformedJson`] when the text ends too early.
    pub fn finish(self) -> Result<Body> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if !matches!(self.at, At::End) {
            return Err(Error::MalformedJson { offset: self.offset, reason: "the text ends too early" });
        }
        Ok(Body { envelope: self.envelope, rows: self.intake.into_rows(), one_dimensional: false })
    }

    fn fail(&mut self, error: Error) {
        // Nothing of the body is needed any more.
        *self = Self { failed: Some(error), ..Self::new(self.purpose) };
    }

    fn malformed(&self, at: usize, reason: &'static str) -> Error {
        Error::MalformedJson { offset: self.offset + at as u64, reason }
    }

    fn read(&mut self, input: &[u8]) -> Result<()> {
        // Input from `kept` to `at` goes to the envelope; rows and binary forms do not.
        let mut kept = 0;
        let mut at = 0;
        while let Some(byte) = input.get(at) {
            match &mut self.at {
                At::InRow(place) => {
                    let place = *place;
                    at = self.row(place, input, at)?;
                    kept = at;
                }
                At::InString(text) | At::InKey(text) => match text.read(input, at) {
                    Ok(Some(end)) => {
                        self.string_ended(end - 1)?;
                        at = end;
                    }
                    Ok(None) => at = input.len(),
                    Err((at, reason)) => return Err(self.malformed(at, reason)),
                },
                At::InNumber => match self.decimal.push(*byte) {
                    Next::Part(_) => {
                        at += 1;
                        self.extent_byte(*byte);
                    }
                    Next::End => {
                        self.at = At::Behind;
                        self.extent()?;
                    }
                    Next::Wrong(reason) => return Err(self.malformed(at, reason)),
                },
                At::InData => at = self.data(input, at)?,
                At::InLiteral(rest, error) => {
                    if rest.first() != Some(byte) {
                        return Err(self.malformed(at, "expected a value"));
                    }
                    *rest = &rest[1..];
                    at += 1;
                    if rest.is_empty() {
                        if let Some(error) = error.take() {
                            return Err(error);
                        }
                        self.at = At::Behind;
                    }
                }
                _ => {
                    if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                        let within = self.binary.is_some();
                        let depth = self.frames.len();
                        self.structural(*byte, at)?;
                        if matches!(self.at, At::InRow(_)) {
                            self.envelope.extend_from_slice(&input[kept..at]);
                            self.envelope.extend_from_slice((self.intake.begun() - 1).to_string().as_bytes());
                        } else if within && self.binary.is_none() {
                            kept = at + 1;
                        } else if self.frames.len() > depth && self.marks() {
                            self.envelope.extend_from_slice(&input[kept..at]);
                            self.mark = self.envelope.len();
                            kept = at;
                        }
                    }
                    at += 1;
                }
            }
        }
        if !matches!(self.at, At::InRow(_)) && self.binary.is_none() {
            self.envelope.extend_from_slice(&input[kept..]);
        }
        if self.envelope.len() > MAX_ENVELOPE {
            return Err(Error::EnvelopeTooLarge { limit: MAX_ENVELOPE });
        }
        Ok(())
    }

    /// A byte that is neither white space nor inside a token.
    fn structural(&mut self, byte: u8, at: usize) -> Result<()> {
        match (&self.at, byte) {
            (At::FirstElement, b']') | (At::FirstKey, b'}') => self.close(true),
            (At::Value | At::FirstElement, _) => self.value(byte, at),
            (At::FirstKey | At::Key, b'"') => {
                let reads = self.frames.last().is_some_and(|frame| frame.reads_keys());
                self.at = At::InKey(if reads { Text::keeping(MAX_KEY) } else { Text::passing() });
                Ok(())
            }
            (At::FirstKey, _) => Err(self.malformed(at, "expected a key in quotes or '}'")),
            (At::Key, _) => Err(self.malformed(at, "expected a key in quotes")),
            (At::Colon, b':') => {
                self.at = At::Value;
                Ok(())
            }
            (At::Colon, _) => Err(self.malformed(at, "expected ':'")),
            (At::End, _) => Err(self.malformed(at, "text behind the object")),
            _ => self.behind(byte, at),
        }
    }

    /// A byte behind a value.
    fn behind(&mut self, byte: u8, at: usize) -> Result<()> {
        let Some(frame) = self.frames.last() else {
            return Err(self.malformed(at, "text behind the object"));
        };
        match (byte, frame.is_array()) {
            (b',', true) => {
                self.slot = frame.element();
                self.at = At::Value;
                Ok(())
            }
            (b',', false) => {
                self.at = At::Key;
                Ok(())
            }
            (b']', true) | (b'}', false) => self.close(false),
            (_, true) => Err(self.malformed(at, "expected ',' or ']'")),
            (_, false) => Err(self.malformed(at, "expected ',' or '}'")),
        }
    }

    fn close(&mut self, empty: bool) -> Result<()> {
        match self.frames.pop() {
            Some(Frame::Items(..) | Frame::Chunks(_) | Frame::Map) if empty => {
                return Err(Error::EmptyEmbeddings { field: "embeddings" });
            }
            Some(Frame::Queries(_)) if empty => {
                return Err(Error::EmptyEmbeddings { field: "query_embeddings" });
            }
            Some(Frame::Shape) => self.shape_ended()?,
            Some(Frame::Binary(target)) => self.binary_ended(target)?,
            _ => {}
        }
        self.at = if self.frames.is_empty() { At::End } else { At::Behind };
        Ok(())
    }

    /// The first byte of a value.
    fn value(&mut self, byte: u8, at: usize) -> Result<()> {
        let Some(kind) = Kind::of(byte) else {
            let reason = match (byte, &self.at) {
                (b'N' | b'I', _) => "NaN and Infinity are not JSON",
                (0xef | 0xfe | 0xff, _) if self.offset == 0 && at == 0 => "a byte order mark",
                (_, At::FirstElement) => "expected a value or ']'",
                _ => "expected a value",
            };
            return Err(self.malformed(at, reason));
        };
        let mut form = Form::Open;
        if let Some(frame) = self.frames.last_mut().filter(|frame| frame.is_array()) {
            frame.advance();
            if let Frame::Items(known, _) = frame {
                form = *known;
            }
        }
        match self.slot.fate(kind, form) {
            Fate::Pass => self.pass(kind, byte, at),
            Fate::Open(frame) => {
                if let (Frame::Document(_), Some(Frame::Items(form, _))) = (frame, self.frames.last_mut()) {
                    *form = Form::Document;
                }
                self.open(frame, at)
            }
            Fate::Take => {
                if let (Slot::Item, Some(Frame::Items(form, _))) = (self.slot, self.frames.last_mut()) {
                    *form = Form::Matrix;
                }
                self.intake.begin(matches!(self.slot, Slot::Query(_)))?;
                self.at = At::InRow(InRow::First);
                Ok(())
            }
            Fate::Decode => self.begin_data(),
            Fate::Keep => {
                self.at = At::InString(Text::keeping(MAX_DTYPE));
                Ok(())
            }
            Fate::Refuse(expected) => {
                let row = match (self.slot, self.frames.last()) {
                    (Slot::Item, Some(Frame::Items(Form::Open | Form::Matrix, count))) => Some(count - 1),
                    (Slot::Row, _) => Some(self.intake.begun()),
                    _ => None,
                };
                self.refuse(kind, byte, row, None, expected)
            }
        }
    }

    /// A value that does not belong here; a literal is read to its end first, so that `nan` is no null.
    fn refuse(
        &mut self,
        kind: Kind,
        byte: u8,
        row: Option<usize>,
        column: Option<usize>,
        expected: &'static str,
    ) -> Result<()> {
        let field = path::name(&self.frames, self.slot, &self.key);
        let error = Error::WrongType { field, row, column, expected, got: kind.name() };
        match kind {
            Kind::Boolean | Kind::Null => {
                self.at = At::InLiteral(rest_of_literal(byte), Some(error));
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// A value that is passed through.
    fn pass(&mut self, kind: Kind, byte: u8, at: usize) -> Result<()> {
        self.at = match kind {
            Kind::Array => return self.open(Frame::PlainArray, at),
            Kind::Object => return self.open(Frame::PlainObject, at),
            Kind::String => At::InString(Text::passing()),
            Kind::Boolean | Kind::Null => At::InLiteral(rest_of_literal(byte), None),
            Kind::Number => {
                self.decimal.clear();
                self.decimal.push(byte);
                self.extent_byte(byte);
                At::InNumber
            }
        };
        Ok(())
    }

    fn open(&mut self, frame: Frame, at: usize) -> Result<()> {
        if self.frames.len() == MAX_NESTING {
            return Err(self.malformed(at, "nested deeper than 64 levels"));
        }
        self.at = if frame.is_array() { At::FirstElement } else { At::FirstKey };
        self.slot = frame.element();
        self.frames.push(frame);
        if matches!(frame, Frame::Binary(_)) {
            self.binary = Some(Box::default());
        }
        Ok(())
    }

    /// Behind the closing quote, which is at `at`.
    fn string_ended(&mut self, at: usize) -> Result<()> {
        let text = match mem::replace(&mut self.at, At::Behind) {
            At::InKey(text) => text,
            At::InString(text) if self.slot == Slot::Dtype => return self.dtype_ended(text),
            _ => return Ok(()),
        };
        self.at = At::Colon;
        self.slot = Slot::Plain;
        let Some(kept) = text.into_kept() else { return Ok(()) };
        self.key = kept.ok_or_else(|| self.malformed(at, "a key longer than 4096 bytes"))?;
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        self.slot = frame.value(&self.key, self.purpose);
        if matches!(self.slot, Slot::Data | Slot::Dtype | Slot::Shape) || matches!(frame, Frame::Binary(_)) {
            return self.binary_key();
        }
        let again = match (&mut *frame, self.slot) {
            (Frame::Body, _) => !self.fields.insert(self.key.clone()),
            (Frame::Map, _) => !self.chunk_ids.insert(self.key.clone()),
            (Frame::Document(seen), Slot::Chunks) | (Frame::Chunk(seen), Slot::Row) => {
                mem::replace(seen, true)
            }
            _ => false,
        };
        if again {
            let field = match frame {
                Frame::Body => path::shorten(&self.key),
                _ => path::name(&self.frames, self.slot, &self.key),
            };
            return Err(Error::DuplicateField { field });
        }
        if self.fields.len() > MAX_FIELDS {
            return Err(self.malformed(at, "more than 1000 fields"));
        }
        Ok(())
    }

    /// Reads on in an array of numbers; returns the place behind what was read.
    fn row(&mut self, mut place: InRow, input: &[u8], mut at: usize) -> Result<usize> {
        while let Some(byte) = input.get(at) {
            if matches!(place, InRow::First | InRow::Element) {
                let from = at;
                let stop = self.intake.run(input, &mut at);
                if at > from {
                    place = if stop == Stop::BehindNumber { InRow::Behind } else { InRow::Element };
                    continue;
                }
            }
            match (place, byte) {
                (InRow::Number, _) => match self.decimal.push(*byte) {
                    Next::Part(_) => {}
                    Next::End => {
                        self.intake.take(self.decimal.value(), || self.decimal.text())?;
                        place = InRow::Behind;
                        continue;
                    }
                    Next::Wrong(reason) => return Err(self.malformed(at, reason)),
                },
                (_, b' ' | b'\t' | b'\n' | b'\r') => {
                    // At a stroke: there may be much of it, packed into little.
                    at += input[at + 1..]
                        .iter()
                        .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
                        .count();
                }
                (InRow::First | InRow::Behind, b']') => {
                    self.intake.end(self.row_field())?;
                    self.at = At::Behind;
                    return Ok(at + 1);
                }
                (InRow::Behind, b',') => place = InRow::Element,
                (InRow::Behind, _) => return Err(self.malformed(at, "expected ',' or ']'")),
                (InRow::First | InRow::Element, _) => match Kind::of(*byte) {
                    Some(Kind::Number) => {
                        self.decimal.clear();
                        self.decimal.push(*byte);
                        place = InRow::Number;
                    }
                    Some(kind) => {
                        let (row, column) = (self.intake.row(), self.intake.column());
                        self.refuse(kind, *byte, row, Some(column), "a number")?;
                        return Ok(at + 1);
                    }
                    None if matches!(byte, b'N' | b'I') => {
                        return Err(self.malformed(at, "NaN and Infinity are not JSON"));
                    }
                    None => return Err(self.malformed(at, "expected a number")),
                },
            }
            at += 1;
        }
        self.at = At::InRow(place);
        Ok(at)
    }

    const fn row_field(&self) -> &'static str {
        match (self.slot, self.purpose) {
            (Slot::Query(field), _) => field,
            (_, Purpose::Search) => "query_embeddings",
            (_, Purpose::Insert) => "embeddings",
        }
    }
}

/// Longest `dtype` that is looked at.
const MAX_DTYPE: usize = 16;

/// What follows the first byte of `true`, `false` or `null`.
const fn rest_of_literal(first: u8) -> &'static [u8] {
    match first {
        b't' => b"rue",
        b'f' => b"alse",
        _ => b"ull",
    }
}

#[cfg(test)]
mod tests;
