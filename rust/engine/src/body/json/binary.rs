//! How a binary form is read: it leaves in the envelope what the rows that it stands for would leave there.

use super::{At, JsonReader};
use crate::body::binary::Binary;
use crate::body::path::{self, DTYPES, Frame, Slot, Target};
use crate::body::text::Text;
use crate::error::{Error, Result};
use crate::limits::MAX_DIMENSION;

/// Characters decoded at a time: the bytes stay in the processor's first cache until they are numbers.
const STEP: usize = 16 * 1024;
/// Longest text of a number in `shape`.
const MAX_EXTENT: usize = 64;
/// Bytes of the largest type.
const WIDEST: usize = 4;

impl JsonReader {
    /// Whether the object that was just opened is, or may turn out to be, a binary form.
    pub(super) fn marks(&self) -> bool {
        matches!(self.frames.last(), Some(Frame::Map | Frame::Binary(_)))
    }

    /// Behind a key of a binary form, or one that makes a map into it.
    pub(super) fn binary_key(&mut self) -> Result<()> {
        if let Some(frame @ Frame::Map) = self.frames.last_mut() {
            if !self.chunk_ids.is_empty() {
                return Err(Error::UnknownField { field: path::name(&self.frames, self.slot, &self.key) });
            }
            *frame = Frame::Binary(Target::Matrix);
            self.binary = Some(Box::default());
            self.envelope.truncate(self.mark);
        }
        let Some(binary) = &mut self.binary else { return Ok(()) };
        let seen = match self.slot {
            Slot::Data => &mut binary.seen.data,
            Slot::Dtype => &mut binary.seen.dtype,
            Slot::Shape => &mut binary.seen.shape,
            _ => return Err(Error::UnknownField { field: path::name(&self.frames, self.slot, &self.key) }),
        };
        if std::mem::replace(seen, true) {
            return Err(Error::DuplicateField { field: path::name(&self.frames, self.slot, &self.key) });
        }
        Ok(())
    }

    /// Behind the `dtype`.
    pub(super) fn dtype_ended(&mut self, text: Text) -> Result<()> {
        let name = text.into_kept().flatten().unwrap_or_default();
        let Some(number) = Binary::type_of(&name) else {
            return Err(self.wrong(DTYPES, "another string"));
        };
        if let Some(binary) = &mut self.binary {
            binary.dtype = Some(number);
        }
        Ok(())
    }

    /// A byte of a number in `shape`.
    pub(super) fn extent_byte(&mut self, byte: u8) {
        if let (Slot::Extent, Some(binary)) = (self.slot, &mut self.binary)
            && binary.extent.len() <= MAX_EXTENT
        {
            binary.extent.push(byte);
        }
    }

    /// Behind a number, which may be one of `shape`.
    pub(super) fn extent(&mut self) -> Result<()> {
        let (Slot::Extent, Some(binary)) = (self.slot, &mut self.binary) else { return Ok(()) };
        let text = std::mem::take(&mut binary.extent);
        let number = std::str::from_utf8(&text).ok().and_then(|text| text.parse::<f64>().ok());
        // 1.0 is an integer, as JSON Schema has it.
        match number {
            Some(number) if text.len() <= MAX_EXTENT && number >= 0.0 && number.fract() == 0.0 => {
                // The third is one too many already.
                if binary.extents.len() < 3 {
                    binary.extents.push(number);
                }
                Ok(())
            }
            _ => Err(self.wrong("an integer from 0", "another number")),
        }
    }

    /// Behind the `shape`.
    pub(super) fn shape_ended(&mut self) -> Result<()> {
        let Some(Frame::Binary(target)) = self.frames.last().copied() else { return Ok(()) };
        let Some(binary) = &mut self.binary else { return Ok(()) };
        // Beyond any limit they are all the same; `as` keeps to the bounds.
        let (rows, columns) = match (target, binary.extents.as_slice()) {
            (Target::Query(_), [columns]) => (1, *columns as usize),
            (Target::Query(_), _) => return Err(self.wrong("an array of one integer", "another array")),
            (_, [rows, columns]) => (*rows as usize, *columns as usize),
            _ => return Err(self.wrong("an array of two integers", "another array")),
        };
        binary.shape = Some((rows, columns));
        let field = match target {
            Target::Matrix | Target::Chunks => "embeddings",
            Target::Query(field) => field,
            Target::Queries => "query_embeddings",
        };
        self.intake.room(rows, columns, matches!(target, Target::Query(_)), field)
    }

    /// Before the first character of `data`.
    pub(super) fn begin_data(&mut self) -> Result<()> {
        if let Some(binary) = &mut self.binary {
            binary.direct = binary.layout().is_some();
        }
        self.at = At::InData;
        Ok(())
    }

    /// Reads on in `data`; returns the place behind what was read.
    pub(super) fn data(&mut self, input: &[u8], mut at: usize) -> Result<usize> {
        while let Some(&byte) = input.get(at) {
            let Some(binary) = &mut self.binary else { return Ok(at) };
            let taken = if let Some(escape) = &mut binary.escape {
                let offset = self.offset + at as u64;
                if !escape.escaped(byte).map_err(|reason| Error::MalformedJson { offset, reason })? {
                    at += 1;
                    continue;
                }
                // Beyond ASCII, and so beyond base64, are several bytes.
                match binary.escape.take().and_then(Text::into_kept).flatten().as_deref() {
                    Some([byte]) => binary.decoder.take(*byte, &mut binary.bytes),
                    _ => binary.decoder.take(b'\\', &mut binary.bytes),
                }
            } else {
                let end = input.len().min(at + STEP);
                let run = binary.decoder.run(&input[at..end], &mut binary.bytes);
                if run > 0 {
                    at += run;
                    self.flush()?;
                    continue;
                }
                match byte {
                    b'"' => {
                        let ended = binary.decoder.finish(&mut binary.bytes);
                        ended.map_err(|reason| self.not_base64(at, reason))?;
                        self.data_ended()?;
                        return Ok(at + 1);
                    }
                    b'\\' => {
                        let mut escape = Text::keeping(WIDEST);
                        let begun = escape.escaped(byte).map(drop);
                        binary.escape = Some(escape);
                        begun
                    }
                    0..=0x1f => return Err(self.malformed(at, "a control character in a string")),
                    _ => binary.decoder.take(byte, &mut binary.bytes),
                }
            };
            taken.map_err(|reason| self.not_base64(at, reason))?;
            self.flush()?;
            at += 1;
        }
        Ok(at)
    }

    /// Makes numbers of what was decoded, if they can be told already.
    fn flush(&mut self) -> Result<()> {
        let Some(binary) = &mut self.binary else { return Ok(()) };
        let most = self.purpose.max_rows() * MAX_DIMENSION * WIDEST;
        let (expected, layout) = match binary.layout().filter(|_| binary.direct) {
            Some((number, expected)) => (expected, Some(number)),
            None => (most, None),
        };
        if let Some(number) = layout {
            let whole = binary.bytes.len().min(expected - binary.filled) / number.size() * number.size();
            self.intake.fill(number, &binary.bytes[..whole])?;
            binary.filled += whole;
            binary.bytes.drain(..whole);
        }
        if binary.filled + binary.bytes.len() > expected {
            return Err(self.data_length(expected, expected + 1));
        }
        Ok(())
    }

    /// Behind the closing quote of `data`.
    fn data_ended(&mut self) -> Result<()> {
        self.at = At::Behind;
        self.flush()?;
        match &self.binary {
            Some(binary) if binary.direct => self.whole(),
            _ => Ok(()),
        }
    }

    /// Whether the data has the length that type and shape ask for.
    fn whole(&mut self) -> Result<()> {
        let Some(binary) = &self.binary else { return Ok(()) };
        let Some((_, expected)) = binary.layout() else { return Ok(()) };
        let came = binary.filled + binary.bytes.len();
        if came == expected { Ok(()) } else { Err(self.data_length(expected, came)) }
    }

    /// Behind the closing brace; its frame is gone.
    pub(super) fn binary_ended(&mut self, target: Target) -> Result<()> {
        self.frames.push(Frame::Binary(target));
        let ended = self.settle();
        self.frames.pop();
        let rows = ended?;
        self.binary = None;
        let first = self.intake.begun() - rows;
        if matches!(target, Target::Query(_)) {
            self.envelope.extend_from_slice(first.to_string().as_bytes());
            return Ok(());
        }
        let numbers: Vec<_> = (first..first + rows).map(|row| row.to_string()).collect();
        self.envelope.extend_from_slice(format!("[{}]", numbers.join(",")).as_bytes());
        Ok(())
    }

    /// Makes rows of data that came before its type or its shape; how many rows there are.
    fn settle(&mut self) -> Result<usize> {
        let Some(binary) = &self.binary else { return Ok(0) };
        for (key, seen) in
            [(&b"data"[..], binary.seen.data), (b"dtype", binary.seen.dtype), (b"shape", binary.seen.shape)]
        {
            if !seen {
                return Err(Error::MissingField { field: path::name(&self.frames, self.slot, key) });
            }
        }
        self.key = b"data".to_vec();
        self.whole()?;
        let Some(binary) = &mut self.binary else { return Ok(0) };
        if let Some((number, _)) = binary.layout().filter(|_| !binary.direct) {
            self.intake.fill(number, &binary.bytes)?;
        }
        Ok(binary.shape.map_or(0, |(rows, _)| rows))
    }

    fn wrong(&self, expected: &'static str, got: &'static str) -> Error {
        let field = path::name(&self.frames, self.slot, &self.key);
        Error::WrongType { field, row: None, column: None, expected, got }
    }

    fn not_base64(&self, at: usize, reason: &'static str) -> Error {
        let field = path::name(&self.frames, self.slot, &self.key);
        Error::MalformedBase64 { field, offset: self.offset + at as u64, reason }
    }

    fn data_length(&self, expected: usize, got: usize) -> Error {
        Error::DataLength { field: path::name(&self.frames, self.slot, &self.key), expected, got }
    }
}
