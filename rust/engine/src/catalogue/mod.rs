//! What the log holds, as numbers: batches and the sources they belong to. Strings, metadata and vectors are
//! read where they lie. It knows records; it does not know which rows are alive, or how they are searched.

mod batch;
mod sources;
mod verified;

pub use batch::Batch;
pub use sources::SourceKey;

use std::sync::Arc;

use crate::chunked_unsafe::Chunked;
use crate::error::{Error, Result};
use crate::format::checksum::crc32c;
use crate::format::name::chunk_id;
use crate::format::record::{BatchEntry, Record};
use crate::format::{BLOCK, align};
use crate::log::{Position, Segment, Segments};
use crate::vector::Dimension;
use sources::Sources;
use verified::Verified;

/// Of a record's bits in the table of what has been checked, the one of its header,
const HEADER: u64 = 0;
/// and the one of its first block.
const FIRST_BLOCK: u64 = 1;

/// The batches of one tenant. One thread adds at a time; readers never wait for it.
pub struct Catalogue {
    segments: Arc<Segments>,
    incarnation: [u8; 16],
    batches: Chunked<Batch>,
    sources: Sources,
    verified: Verified,
}

impl Catalogue {
    /// Nothing yet of what `segments` hold.
    pub fn new(segments: Arc<Segments>, incarnation: [u8; 16]) -> Self {
        Self {
            segments,
            incarnation,
            batches: Chunked::new(),
            sources: Sources::new(incarnation),
            verified: Verified::new(),
        }
    }

    /// Adds the batches of an upload and says which numbers they got. `verified`: this process has just written
    /// their rows, which need no check on first reading.
    ///
    /// # Errors
    /// [`Error::CorruptData`] when an entry of the record makes no sense.
    pub fn add(&self, record: &Record<'_>, position: Position, verified: bool) -> Result<Vec<u32>> {
        let header = &record.header;
        let corrupt = || self.corrupt(position, "has a batch that does not fit its record");
        let row_bytes = u64::from(header.dimension) * size_of::<f32>() as u64;
        let body = position.offset + u64::from(header.header_length);
        let mut numbers = Vec::with_capacity(header.batch_count as usize);
        let first_bit = self.verified.add(1 + header.block_count, verified);
        self.verified.set(first_bit, HEADER);
        for index in 0..header.batch_count {
            let entry = record.batch(index).ok_or_else(corrupt)?;
            if entry.body_offset + align(u64::from(entry.row_count) * row_bytes) > header.body_length
                || entry.body_offset % align(1) != 0
                || entry.row_count == 0
            {
                return Err(corrupt());
            }
            let batch = Batch {
                first_row: entry.first_row,
                birth: entry.birth,
                segment: position.segment,
                record_offset: position.offset,
                rows_offset: body + entry.body_offset,
                source_hash: self.sources.hash(header.sub_tenant, entry.source_id),
                row_count: entry.row_count,
                first_index: entry.first_index,
                sub_tenant: header.sub_tenant,
                entry: index,
                first_bit,
                dimension: header.dimension,
            };
            numbers.push(self.push(batch));
        }
        Ok(numbers)
    }

    fn push(&self, batch: Batch) -> u32 {
        let hash = batch.source_hash;
        // More than 2^32 batches would need 300 GB of memory for their entries.
        let number = u32::try_from(self.batches.push(batch)).unwrap_or(u32::MAX);
        self.sources.add(hash, number);
        number
    }

    /// So many batches are about to be restored.
    pub fn reserve(&self, batches: usize) {
        self.sources.reserve(batches);
    }

    /// Adds a batch that a checkpoint names, whose record has `blocks` blocks.
    pub fn restore(&self, batch: Batch, blocks: u32) -> u32 {
        let first_bit = self.verified.add(1 + blocks, false);
        self.push(Batch { first_bit, ..batch })
    }

    /// Batches so far.
    pub fn len(&self) -> usize {
        self.batches.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.batches.len() == 0
    }

    /// Sources that have a batch.
    pub fn source_count(&self) -> usize {
        self.sources.len()
    }

    /// Batch `number`.
    ///
    /// # Panics
    /// When no batch has that number.
    pub fn batch(&self, number: u32) -> &Batch {
        &self.batches[number as usize]
    }

    /// The batches of a source, oldest first, dead ones included until they are forgotten.
    ///
    /// # Errors
    /// [`Error::CorruptData`] when the log cannot be read.
    pub fn batches_of(&self, sub_tenant: u32, source_id: &str) -> Result<Vec<u32>> {
        let mut numbers = self.sources.get(self.sources.hash(sub_tenant, source_id));
        let mut failed = None;
        // Equal hashes are not equal ids: the log decides.
        numbers.retain(|&number| {
            let batch = self.batch(number);
            match self.entry(batch) {
                Ok(entry) => batch.sub_tenant == sub_tenant && entry.source_id == source_id,
                Err(cause) => {
                    failed = Some(cause);
                    false
                }
            }
        });
        failed.map_or(Ok(numbers), Err)
    }

    /// The key under which a source's batches are found.
    pub fn source_key(&self, sub_tenant: u32, source_id: &str) -> SourceKey {
        self.sources.hash(sub_tenant, source_id)
    }

    /// The batches, its own among them, that have the hash of a batch's source and are not forgotten.
    pub fn siblings(&self, number: u32) -> Vec<u32> {
        self.sources.get(self.batch(number).source_hash)
    }

    /// The batch whose metadata is that of the rows of batch `number` at `lsn`.
    pub const fn metadata_holder(&self, number: u32, _lsn: u64) -> u32 {
        // Every upload replaces its source: its rows have the metadata that came with them.
        number
    }

    /// The id of a row: the one with this index in the upload that `entry` is of.
    pub fn chunk_id(entry: &BatchEntry<'_>, index: u32) -> String {
        chunk_id(entry.source_id, index)
    }

    /// Forgets those batches that share a source's hash with `number` and satisfy `dead`.
    pub fn forget(&self, number: u32, dead: impl FnMut(&Batch) -> bool) {
        let mut dead = dead;
        self.sources.retain(self.batch(number).source_hash, |other| !dead(self.batch(other)));
    }

    /// Source id, metadata and chunk ids of a batch, read in the log.
    ///
    /// # Errors
    /// [`Error::CorruptData`] when the record is not there any more.
    pub fn entry(&self, batch: &Batch) -> Result<BatchEntry<'_>> {
        self.record(batch)?
            .batch(batch.entry)
            .ok_or_else(|| self.corrupt(batch.position(), "has lost a batch"))
    }

    /// The record that a batch came with. Its header is checked when it is first read, unless it was when the
    /// log was opened.
    ///
    /// # Errors
    /// [`Error::CorruptData`] when it is not what was written.
    pub fn record(&self, batch: &Batch) -> Result<Record<'_>> {
        let segment = self.segments.get(batch.segment)?;
        if self.verified.all() || self.verified.is_set(batch.first_bit, HEADER) {
            return segment.record(batch.record_offset);
        }
        let record = segment.checked_record(batch.record_offset, self.incarnation)?;
        self.verified.set(batch.first_bit, HEADER);
        Ok(record)
    }

    /// Rows `first..first + count` of a batch (from its first row), where they lie in the log. Blocks that have not
    /// been read since the tenant was opened are checked first.
    ///
    /// # Errors
    /// [`Error::CorruptData`] when a block is not what was written.
    pub fn rows(&self, batch: &Batch, first: u32, count: u32) -> Result<&[f32]> {
        let segment = self.segments.get(batch.segment)?;
        let dimension = usize::from(batch.dimension);
        let row_bytes = (dimension * size_of::<f32>()) as u64;
        let offset = batch.rows_offset + u64::from(first) * row_bytes;
        if !self.verified.all() {
            self.verify(batch, segment, offset, u64::from(count) * row_bytes)?;
        }
        segment.floats(offset, count as usize * dimension)
    }

    /// An error of the medium shows only after the bytes were read: those who have read a batch's rows ask here
    /// before they answer.
    ///
    /// # Errors
    /// [`Error::CorruptData`] when any part of the segment could not be read.
    pub fn check_medium(&self, batch: &Batch) -> Result<()> {
        let segment = self.segments.get(batch.segment)?;
        if segment.damaged() {
            return Err(segment.corrupt(batch.rows_offset, "or near it cannot be read from the medium"));
        }
        Ok(())
    }

    fn verify(&self, batch: &Batch, segment: &Segment, offset: u64, length: u64) -> Result<()> {
        let record = self.record(batch)?;
        let body = batch.record_offset + u64::from(record.header.header_length);
        let end = body + record.header.body_length;
        let blocks = (offset - body) / BLOCK..=(offset + length - 1 - body) / BLOCK;
        for block in blocks {
            if self.verified.is_set(batch.first_bit, FIRST_BLOCK + block) {
                continue;
            }
            let from = body + block * BLOCK;
            let bytes = segment.bytes(from, BLOCK.min(end - from))?;
            let expected = u32::try_from(block).ok().and_then(|block| record.block_checksum(block));
            if expected != Some(crc32c(bytes)) {
                return Err(segment.corrupt(from, "holds vectors whose checksum does not fit"));
            }
            self.verified.set(batch.first_bit, FIRST_BLOCK + block);
        }
        Ok(())
    }

    /// Columns of a batch.
    pub fn dimension_of(batch: &Batch) -> Option<Dimension> {
        Dimension::new(batch.dimension.into())
    }

    fn corrupt(&self, position: Position, what: &str) -> Error {
        match self.segments.get(position.segment) {
            Ok(segment) => segment.corrupt(position.offset, what),
            Err(missing) => missing,
        }
    }
}
