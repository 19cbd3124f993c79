//! A record on its way into the log: everything but its place is known.

use std::ops::Range;
use std::sync::Arc;

use super::checksum::{Seed, combine, crc32c};
use super::record::{
    BATCH_CONTINUES, BATCH_ENTRY, BATCH_HAS_CHUNK_IDS, BATCH_HAS_METADATA, DEATH_ENTRY, FIXED,
    FIXED_CHECKSUM, Kind, RecordHeader, fixed_checksum,
};
use super::{ALIGNMENT, BLOCK, RowRange, align, chunk_ids};
use crate::vector::{Metric, Rows};

/// One source in an upload: the rows behind those of the one before.
#[derive(Debug)]
pub struct DraftBatch {
    /// Id of the source.
    pub source_id: String,
    /// JSON text exactly as it was sent.
    pub metadata: Option<Vec<u8>>,
    /// Number of rows.
    pub row_count: usize,
    /// Whether it adds to a source that is there; known when the upload is decided.
    pub continues: bool,
}

/// The vectors of a record with their checksums: made before the record has an LSN, by the thread of its upload.
#[derive(Debug, Default)]
pub struct DraftBody {
    rows: Option<Rows>,
    /// Explicit ids of all rows in order; without, they are computed.
    chunk_ids: Option<Arc<Vec<String>>>,
    batches: Vec<DraftBatch>,
    blocks: Vec<u32>,
    digest: u32,
    length: u64,
}

impl DraftBody {
    /// Lays the batches out and checksums them: one pass over the numbers. The batches' rows are all of `rows`, and
    /// of `chunk_ids` when given.
    pub fn new(rows: Rows, chunk_ids: Option<Arc<Vec<String>>>, batches: Vec<DraftBatch>) -> Self {
        let mut body = Self::default();
        let mut block = Block::default();
        for range in ranges(&batches) {
            for piece in rows.pieces(range) {
                block.rows(bytemuck::cast_slice(piece), &mut body);
            }
            let end = body.length;
            block.padding(align(end) - end, &mut body);
        }
        block.end(&mut body);
        Self { rows: Some(rows), chunk_ids, batches, ..body }
    }

    /// CRC-32C of all rows in order.
    pub const fn digest(&self) -> u32 {
        self.digest
    }

    /// The batches.
    pub fn batches(&self) -> &[DraftBatch] {
        &self.batches
    }

    /// The batches, to be completed when it is known what they do. Their rows stay as they are.
    pub fn batches_mut(&mut self) -> &mut [DraftBatch] {
        &mut self.batches
    }

    /// The vectors.
    pub const fn rows(&self) -> Option<&Rows> {
        self.rows.as_ref()
    }

    /// Explicit ids of all rows in order.
    pub const fn chunk_ids(&self) -> Option<&Arc<Vec<String>>> {
        self.chunk_ids.as_ref()
    }

    /// Each batch with the numbers of its rows, from 0.
    pub fn ranges(&self) -> impl Iterator<Item = (&DraftBatch, Range<usize>)> {
        self.batches.iter().zip(ranges(&self.batches))
    }

    fn chunk_ids_of(&self, rows: Range<usize>) -> &[String] {
        self.chunk_ids.as_ref().and_then(|ids| ids.get(rows)).unwrap_or_default()
    }

    /// Bytes of the body.
    pub const fn length(&self) -> u64 {
        self.length
    }
}

/// The rows of each batch.
fn ranges(batches: &[DraftBatch]) -> impl Iterator<Item = Range<usize>> {
    batches.iter().scan(0, |end, batch| {
        let first = *end;
        *end += batch.row_count;
        Some(first..*end)
    })
}

/// The block being filled while a body is laid out.
#[derive(Default)]
struct Block {
    sum: u32,
    filled: u64,
}

impl Block {
    fn rows(&mut self, mut bytes: &[u8], body: &mut DraftBody) {
        while !bytes.is_empty() {
            let room = usize::try_from(BLOCK - self.filled).unwrap_or(usize::MAX);
            let (now, rest) = bytes.split_at(bytes.len().min(room));
            let sum = crc32c(now);
            body.digest = combine(body.digest, sum, now.len() as u64);
            self.add(sum, now.len() as u64, body);
            bytes = rest;
        }
    }

    fn padding(&mut self, mut length: u64, body: &mut DraftBody) {
        const ZEROS: [u8; ALIGNMENT as usize] = [0; ALIGNMENT as usize];
        while length > 0 {
            let now = length.min(BLOCK - self.filled);
            self.add(crc32c(&ZEROS[..usize::try_from(now).unwrap_or_default()]), now, body);
            length -= now;
        }
    }

    fn add(&mut self, sum: u32, length: u64, body: &mut DraftBody) {
        self.sum = if self.filled == 0 { sum } else { combine(self.sum, sum, length) };
        self.filled += length;
        body.length += length;
        if self.filled == BLOCK {
            self.end(body);
        }
    }

    fn end(&mut self, body: &mut DraftBody) {
        if self.filled > 0 {
            body.blocks.push(self.sum);
        }
        *self = Self::default();
    }
}

/// A record whose place in the log is not known yet.
#[derive(Debug)]
pub struct Draft {
    /// What it does.
    pub kind: Kind,
    /// Log sequence number.
    pub lsn: u64,
    /// Number of the sub-tenant.
    pub sub_tenant: u32,
    /// The tenant's id, or the name of a sub-tenant first used here.
    pub name: Option<String>,
    /// Columns.
    pub dimension: u16,
    /// The tenant's metric.
    pub metric: Metric,
    /// Number of the first row born.
    pub first_row: u64,
    /// Rows that die.
    pub deaths: Vec<RowRange>,
    /// The vectors.
    pub body: DraftBody,
}

/// Where a record goes.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Incarnation, segment and epoch.
    pub seed: Seed,
    /// Offset in the segment below which everything is synced.
    pub durable_end: u64,
}

impl Draft {
    /// A record without rows.
    pub fn bare(kind: Kind, lsn: u64) -> Self {
        Self {
            kind,
            lsn,
            sub_tenant: 0,
            name: None,
            dimension: 0,
            metric: Metric::Cosine,
            first_row: 0,
            deaths: Vec::new(),
            body: DraftBody::default(),
        }
    }

    /// Bytes of the header, padding included.
    pub fn header_length(&self) -> u64 {
        let strings: usize = self
            .body
            .ranges()
            .map(|(batch, rows)| {
                batch.source_id.len()
                    + batch.metadata.as_ref().map_or(0, Vec::len)
                    + chunk_ids::encoded_length(self.body.chunk_ids_of(rows))
            })
            .sum();
        let length = FIXED
            + self.body.batches.len() * BATCH_ENTRY
            + self.deaths.len() * DEATH_ENTRY
            + self.body.blocks.len() * 4
            + self.name.as_ref().map_or(0, String::len)
            + strings;
        align(length as u64)
    }

    /// Bytes of the whole record.
    pub fn record_length(&self) -> u64 {
        self.header_length() + self.body.length
    }

    /// The header's bytes at `place`.
    // Counts are bounded by the limits of an upload (2000 rows, 64 KiB of metadata each) and the header by
    // MAX_HEADER, so that the narrowing casts below lose nothing.
    #[allow(clippy::cast_possible_truncation)]
    pub fn encode_header(&self, place: Place) -> Vec<u8> {
        let mut bytes = vec![0; FIXED];
        let mut strings = Vec::new();
        strings.extend_from_slice(self.name.as_deref().unwrap_or_default().as_bytes());
        let mut first_row = self.first_row;
        let mut body_offset = 0;
        let row_bytes = self.body.rows.as_ref().map_or(0, |rows| rows.dimension().row_bytes());
        for (batch, rows) in self.body.ranges() {
            let row_count = rows.len() as u32;
            let metadata = batch.metadata.as_deref().unwrap_or_default();
            let ids = self.body.chunk_ids_of(rows.clone());
            let ids_length = chunk_ids::encoded_length(ids);
            let mut flags = 0;
            for (applies, flag) in [
                (batch.metadata.is_some(), BATCH_HAS_METADATA),
                (self.body.chunk_ids.is_some(), BATCH_HAS_CHUNK_IDS),
                (batch.continues, BATCH_CONTINUES),
            ] {
                flags |= if applies { flag } else { 0 };
            }
            bytes.extend_from_slice(&first_row.to_le_bytes());
            bytes.extend_from_slice(&self.lsn.to_le_bytes());
            bytes.extend_from_slice(&u64::to_le_bytes(body_offset));
            bytes.extend_from_slice(&row_count.to_le_bytes());
            bytes.extend_from_slice(&0_u32.to_le_bytes());
            bytes.extend_from_slice(&(batch.source_id.len() as u16).to_le_bytes());
            bytes.extend_from_slice(&flags.to_le_bytes());
            bytes.extend_from_slice(&(metadata.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&(ids_length as u32).to_le_bytes());
            bytes.extend_from_slice(&(strings.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&[0; 16]);
            strings.extend_from_slice(batch.source_id.as_bytes());
            strings.extend_from_slice(metadata);
            chunk_ids::encode(ids, &mut strings);
            first_row += u64::from(row_count);
            body_offset += align((rows.len() * row_bytes) as u64);
        }
        for death in &self.deaths {
            bytes.extend_from_slice(&death.first.to_le_bytes());
            bytes.extend_from_slice(&death.count.to_le_bytes());
        }
        for sum in &self.body.blocks {
            bytes.extend_from_slice(&sum.to_le_bytes());
        }
        bytes.extend_from_slice(&strings);
        bytes.resize(align(bytes.len() as u64) as usize, 0);
        RecordHeader {
            kind: self.kind,
            header_length: bytes.len() as u32,
            body_length: self.body.length,
            lsn: self.lsn,
            segment: place.seed.segment,
            epoch: place.seed.epoch,
            durable_end: place.durable_end,
            first_row: self.first_row,
            row_count: (first_row - self.first_row) as u32,
            sub_tenant: self.sub_tenant,
            dimension: self.dimension,
            metric: self.metric as u8,
            digest: self.body.digest,
            batch_count: self.body.batches.len() as u32,
            death_count: self.deaths.len() as u32,
            block_count: self.body.blocks.len() as u32,
            name_length: self.name.as_ref().map_or(0, String::len) as u16,
        }
        .encode_fixed(&mut bytes);
        let fixed = fixed_checksum(&bytes, &place.seed);
        bytes[FIXED_CHECKSUM..FIXED].copy_from_slice(&fixed.to_le_bytes());
        let sum = place.seed.checksum(&[&bytes[..12], &[0; 4], &bytes[16..]]);
        bytes[12..16].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The body as it is written, in parts.
    pub fn body_parts<'a>(&'a self, parts: &mut Vec<&'a [u8]>) {
        const ZEROS: [u8; ALIGNMENT as usize] = [0; ALIGNMENT as usize];
        let Some(vectors) = &self.body.rows else { return };
        for (_, rows) in self.body.ranges() {
            let mut length = 0;
            for piece in vectors.pieces(rows) {
                length += size_of_val(piece) as u64;
                parts.push(bytemuck::cast_slice(piece));
            }
            let padding = usize::try_from(align(length) - length).unwrap_or_default();
            if padding > 0 {
                parts.push(&ZEROS[..padding]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Record;
    use super::*;
    use crate::vector::Dimension;

    fn rows(dimension: usize, count: usize, from: f32) -> Rows {
        let mut rows = Rows::new(Dimension::new(dimension).unwrap());
        rows.extend(&(0..dimension * count).map(|i| from + i as f32).collect::<Vec<_>>());
        rows
    }

    fn draft() -> Draft {
        let batch = |source_id: &str, metadata: Option<&[u8]>, row_count| DraftBatch {
            source_id: source_id.to_owned(),
            metadata: metadata.map(<[u8]>::to_vec),
            row_count,
            continues: row_count == 3,
        };
        let ids = (0..2002).map(|row| format!("chunk {row}")).collect();
        Draft {
            sub_tenant: 4,
            name: Some("new".to_owned()),
            dimension: 17,
            first_row: 100,
            deaths: vec![RowRange { first: 3, count: 4 }, RowRange { first: 50, count: 1 }],
            body: DraftBody::new(
                rows(17, 2002, 5.0),
                Some(Arc::new(ids)),
                vec![batch("é", Some(b"{\"a\": 1.0}"), 3), batch("b", None, 1999)],
            ),
            ..Draft::bare(Kind::Upload, 42)
        }
    }

    fn place() -> Place {
        Place { seed: Seed { incarnation: [5; 16], segment: 2, epoch: 9 }, durable_end: 640 }
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let draft = draft();
        let bytes = draft.encode_header(place());
        assert_eq!(bytes.len() as u64, draft.header_length());
        let record = Record::decode(&bytes, [5; 16], 2).unwrap();
        assert_eq!(record.header.lsn, 42);
        assert_eq!(record.header.durable_end, 640);
        assert_eq!(record.name(), Some("new"));
        assert_eq!(record.deaths().collect::<Vec<_>>(), draft.deaths);
        let first = record.batch(0).unwrap();
        assert_eq!((first.source_id, first.metadata), ("é", Some(&b"{\"a\": 1.0}"[..])));
        let second = record.batch(1).unwrap();
        assert_eq!((second.first_row, second.row_count, second.metadata), (103, 1999, None));
        assert_eq!((first.continues, second.continues), (true, false));
        let ids: Vec<&str> =
            [first, second].iter().flat_map(|batch| batch.chunk_ids.unwrap().iter()).collect();
        assert_eq!(ids, draft.body.chunk_ids().unwrap().iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(second.body_offset % ALIGNMENT, 0);
        assert!(record.batch(2).is_none());
    }

    #[test]
    fn blocks_and_digest_are_those_of_the_bytes_written() {
        let draft = draft();
        let mut parts = Vec::new();
        draft.body_parts(&mut parts);
        let body = parts.concat();
        assert_eq!(body.len() as u64, draft.body.length());
        let blocks: Vec<u32> = body.chunks(65536).map(crc32c).collect();
        assert_eq!(draft.body.blocks, blocks);
        let rows = draft.body.rows().unwrap();
        let plain: Vec<u8> = rows.chunks().flat_map(bytemuck::cast_slice::<f32, u8>).copied().collect();
        assert_eq!(draft.body.digest(), crc32c(&plain));
    }

    #[test]
    fn any_flipped_bit_of_a_header_is_seen() {
        let bytes = draft().encode_header(place());
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Record::decode(&damaged, [5; 16], 2).is_none(), "bit {bit}");
        }
    }

    #[test]
    fn a_record_of_another_tenant_or_segment_does_not_pass() {
        let bytes = draft().encode_header(place());
        assert!(Record::decode(&bytes, [6; 16], 2).is_none());
        assert!(Record::decode(&bytes, [5; 16], 3).is_none());
        assert!(Record::decode(&bytes[..bytes.len() - 64], [5; 16], 2).is_none());
    }
}
