//! What the log holds, as numbers: batches and the sources they belong to. Strings, metadata and vectors are
//! read where they lie. It knows records; it does not know which rows are alive, or how they are searched.

mod batch;
mod explicit;
mod metadata;
mod names;
mod sources;
mod verified;

pub use batch::Batch;
pub use explicit::IdHash;
pub use sources::SourceKey;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::chunked_unsafe::Chunked;
use crate::error::{Error, Result};
use crate::format::checksum::crc32c;
use crate::format::record::{BatchEntry, Record};
use crate::format::{BLOCK, align};
use crate::log::{Position, Segment, Segments};
use batch::NONE;
use explicit::Explicit;
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
    /// For a batch that stands for its source: the youngest that holds the source's metadata.
    holders: Chunked<AtomicU32>,
    /// The batches with computed chunk ids, which an upload of their source replaces.
    sources: Sources,
    /// The batches with explicit chunk ids, which may be very many of one source: whoever looks for a computed id
    /// does not have to pass them.
    documents: Sources,
    source_count: AtomicUsize,
    explicit: Explicit,
    verified: Verified,
}

impl Catalogue {
    /// Nothing yet of what `segments` hold.
    pub fn new(segments: Arc<Segments>, incarnation: [u8; 16]) -> Self {
        Self {
            segments,
            incarnation,
            batches: Chunked::new(),
            holders: Chunked::new(),
            sources: Sources::new(incarnation),
            documents: Sources::new(incarnation),
            source_count: AtomicUsize::new(0),
            explicit: Explicit::new(),
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
            let source_hash = self.sources.hash(header.sub_tenant, entry.source_id);
            let explicit = entry.chunk_ids.is_some();
            let (source, previous) = if entry.continues {
                let source = self.standing_for(header.sub_tenant, entry.source_id, source_hash)?;
                let source = source.ok_or_else(corrupt)?;
                (source, self.holders[source as usize].load(Ordering::Relaxed))
            } else {
                (self.next_number(), NONE)
            };
            let batch = Batch {
                first_row: entry.first_row,
                birth: entry.birth,
                segment: position.segment,
                record_offset: position.offset,
                rows_offset: body + entry.body_offset,
                source_hash,
                row_count: entry.row_count,
                first_index: entry.first_index,
                sub_tenant: header.sub_tenant,
                entry: index,
                first_bit,
                dimension: header.dimension,
                source,
                previous,
                explicit,
            };
            let number = self.push(batch, true);
            if entry.continues && entry.metadata.is_some() {
                self.holders[source as usize].store(number, Ordering::Release);
            }
            numbers.push(number);
        }
        Ok(numbers)
    }

    /// Number of the batch that is added next.
    fn next_number(&self) -> u32 {
        // More than 2^32 batches would need 300 GB of memory for their entries.
        u32::try_from(self.batches.len()).unwrap_or(u32::MAX)
    }

    fn push(&self, batch: Batch, listed: bool) -> u32 {
        let number = self.next_number();
        self.holders.push(AtomicU32::new(number));
        self.batches.push(batch);
        if listed {
            if !self.has_source(batch.source_hash) {
                self.source_count.fetch_add(1, Ordering::Relaxed);
            }
            self.listed(&batch).add(batch.source_hash, number);
        }
        number
    }

    /// The table that a batch is in.
    const fn listed(&self, batch: &Batch) -> &Sources {
        if batch.explicit { &self.documents } else { &self.sources }
    }

    fn has_source(&self, hash: SourceKey) -> bool {
        self.sources.has(hash) || self.documents.has(hash)
    }

    /// So many batches are about to be restored.
    pub fn reserve(&self, batches: usize, explicit: usize) {
        self.sources.reserve(batches - explicit);
        self.documents.reserve(explicit);
    }

    /// Adds a batch that a checkpoint names. `holder` will be the number of the batch that holds its source's
    /// metadata; `listed`: it has rows.
    pub fn restore(&self, batch: Batch, blocks: u32, holder: u32, listed: bool) -> u32 {
        let first_bit = self.verified.add(1 + blocks, false);
        self.push(Batch { first_bit, source: holder, previous: NONE, ..batch }, listed)
    }

    /// The hash that the batches of a source have, and few others.
    pub fn hash(&self, sub_tenant: u32, source_id: &str) -> SourceKey {
        self.sources.hash(sub_tenant, source_id)
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
        self.source_count.load(Ordering::Relaxed)
    }

    /// Batch `number`.
    ///
    /// # Panics
    /// When no batch has that number.
    pub fn batch(&self, number: u32) -> &Batch {
        &self.batches[number as usize]
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

    fn corrupt(&self, position: Position, what: &str) -> Error {
        match self.segments.get(position.segment) {
            Ok(segment) => segment.corrupt(position.offset, what),
            Err(missing) => missing,
        }
    }
}
