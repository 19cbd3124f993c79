//! From the bytes of a body to its rows and its envelope: the encoding undone, then parsed, a bounded step at a time.

use ingot_engine::body::{self, Encoding, JsonReader, NpyReader, Purpose, Unpacker};
use ingot_engine::error::Result;
use ingot_engine::pool::company::give_way;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::exception;

/// Bytes parsed before it is looked whether the reader is still wanted.
const STEP: usize = 256 * 1024;
/// JSON parsed before others are let run: some 50 us. Of npy it is a step: rows are copied.
const JSON_PIECE: usize = 32 * 1024;

enum Parser {
    Json(Box<JsonReader>),
    Npy(Box<NpyReader>),
}

impl Parser {
    fn push(&mut self, chunk: &[u8]) -> Result<()> {
        match self {
            Self::Json(reader) => {
                for (number, piece) in chunk.chunks(JSON_PIECE).enumerate() {
                    if number > 0 {
                        give_way();
                    }
                    reader.push(piece)?;
                }
                Ok(())
            }
            Self::Npy(reader) => reader.push(chunk),
        }
    }

    fn finish(self) -> Result<body::Body> {
        match self {
            Self::Json(reader) => reader.finish(),
            Self::Npy(reader) => reader.finish(),
        }
    }
}

/// A parser, and before it what undoes the content encoding.
pub struct Decoder {
    unpacker: Option<Box<Unpacker>>,
    parser: Parser,
}

impl Decoder {
    /// What reads a body of this format, purpose and encoding; unpacked it may be `limit` bytes.
    pub fn of(
        py: Python<'_>,
        format: &str,
        purpose: &str,
        encoding: Option<&str>,
        limit: u64,
    ) -> PyResult<Self> {
        let purpose = match purpose {
            "insert" => Purpose::Insert,
            "search" => Purpose::Search,
            _ => return Err(PyValueError::new_err("purpose must be 'insert' or 'search'")),
        };
        let parser = match format {
            "json" => Parser::Json(Box::new(JsonReader::new(purpose))),
            "npy" => Parser::Npy(Box::new(NpyReader::new(purpose))),
            _ => return Err(PyValueError::new_err("format must be 'json' or 'npy'")),
        };
        let unpacker = match encoding.map(Encoding::of) {
            None => None,
            Some(Some(encoding)) => {
                let unpacker = Unpacker::new(encoding, limit).map_err(|error| exception(py, &error))?;
                Some(Box::new(unpacker))
            }
            Some(None) => return Err(PyValueError::new_err("encoding must be 'gzip', 'deflate' or 'zstd'")),
        };
        Ok(Self { unpacker, parser })
    }

    /// Parses some of `input`; how much.
    pub fn step(&mut self, input: &[u8]) -> Result<usize> {
        let Some(unpacker) = &mut self.unpacker else {
            let step = STEP.min(input.len());
            return self.parser.push(&input[..step]).map(|()| step);
        };
        let (taken, unpacked) = unpacker.step(input)?;
        self.parser.push(unpacked)?;
        Ok(taken)
    }

    /// Whether there is more to parse without any input.
    pub fn pending(&self) -> bool {
        self.unpacker.as_ref().is_some_and(|unpacker| unpacker.pending())
    }

    /// Bytes unpacked so far.
    pub fn unpacked(&self) -> u64 {
        self.unpacker.as_ref().map_or(0, |unpacker| unpacker.unpacked())
    }

    pub fn finish(self) -> Result<body::Body> {
        if let Some(unpacker) = &self.unpacker {
            unpacker.finish()?;
        }
        self.parser.finish()
    }
}
