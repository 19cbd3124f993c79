//! Segments as readers see them: mapped, and read where the records lie.

use std::io;
use std::sync::Arc;

use crate::chunked_unsafe::Chunked;
use crate::error::{Error, Result};
use crate::format::record::Record;
use crate::storage::{File, Map};

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Number of the segment, from 1.
    pub segment: u64,
    /// Bytes from its beginning.
    pub offset: u64,
}

/// One segment, mapped to be read.
pub struct Segment {
    number: u64,
    map: Map,
}

impl Segment {
    /// Maps `file`, with room for it to grow to `limit`.
    pub(super) fn map(file: &dyn File, number: u64, limit: u64) -> io::Result<Self> {
        let length = usize::try_from(limit.max(file.len()?)).map_err(io::Error::other)?;
        Ok(Self { number, map: file.map(length)? })
    }

    fn rest(&self, offset: u64) -> &[u8] {
        let length = (self.map.len() as u64).saturating_sub(offset);
        self.map.bytes(offset, usize::try_from(length).unwrap_or_default()).unwrap_or_default()
    }

    /// `length` bytes at `offset`, which some record is known to span.
    ///
    /// # Errors
    /// [`Error::CorruptData`] when the file has been cut, or the medium gave an error.
    pub fn bytes(&self, offset: u64, length: u64) -> Result<&[u8]> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.map.bytes(offset, length).ok_or_else(|| self.corrupt(offset, "lies outside the segment"))
    }

    /// `count` numbers at `offset`, which some batch is known to span.
    ///
    /// # Errors
    /// [`Error::CorruptData`] when they do not lie in the segment.
    pub fn floats(&self, offset: u64, count: usize) -> Result<&[f32]> {
        self.map.floats(offset, count).ok_or_else(|| self.corrupt(offset, "lies outside the segment"))
    }

    /// The header of the record at `offset`, which was checked when the log was opened or written.
    ///
    /// # Errors
    /// [`Error::CorruptData`] when it is not there any more.
    pub fn record(&self, offset: u64) -> Result<Record<'_>> {
        Record::reread(self.rest(offset)).ok_or_else(|| self.corrupt(offset, "is not a record any more"))
    }

    /// The header of the record at `offset`, with its checksum checked.
    ///
    /// # Errors
    /// [`Error::CorruptData`] when it is not what was written.
    pub fn checked_record(&self, offset: u64, incarnation: [u8; 16]) -> Result<Record<'_>> {
        Record::decode(self.rest(offset), incarnation, self.number)
            .ok_or_else(|| self.corrupt(offset, "is not the record that was written there"))
    }

    /// Whether reading has ever hit a part that the medium could not give: zeros were read there.
    pub fn damaged(&self) -> bool {
        self.map.damaged()
    }

    /// The error for a place in this segment.
    pub fn corrupt(&self, offset: u64, what: &str) -> Error {
        Error::CorruptData { reason: format!("segment {} offset {offset} {what}", self.number) }
    }
}

/// All segments of a log, by number. Readers never wait.
pub struct Segments {
    list: Chunked<Arc<Segment>>,
}

impl Segments {
    pub(super) fn new() -> Self {
        Self { list: Chunked::new() }
    }

    pub(super) fn push(&self, segment: Segment) {
        self.list.push(Arc::new(segment));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.len() == 0
    }

    /// The segment of this number.
    ///
    /// # Errors
    /// [`Error::CorruptData`] when there is none.
    pub fn get(&self, number: u64) -> Result<&Segment> {
        number
            .checked_sub(1)
            .and_then(|index| self.list.get(usize::try_from(index).ok()?))
            .map(Arc::as_ref)
            .ok_or_else(|| Error::CorruptData { reason: format!("segment {number} is missing") })
    }
}
