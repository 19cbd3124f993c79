//! A record's header as it lies in the log, checked before anything of it is believed.

use super::checksum::Seed;
use super::chunk_ids::ChunkIds;
use super::{ALIGNMENT, FORMAT_VERSION, RowRange, read_u16, read_u32, read_u64};

/// `INGR`, the first four bytes of every record.
pub const MAGIC: u32 = u32::from_le_bytes(*b"INGR");
/// Bytes before the first batch entry.
pub const FIXED: usize = 128;
/// Bytes of a batch entry.
pub const BATCH_ENTRY: usize = 64;
/// Bytes of a death: a range of rows.
pub const DEATH_ENTRY: usize = 16;
/// Longest header: bounds what recovery reads on a record's word (2000 sources with metadata).
pub const MAX_HEADER: usize = 256 << 20;

/// Where the fixed part keeps its own checksum.
pub(super) const FIXED_CHECKSUM: usize = FIXED - 4;

/// CRC-32C of seed ‖ the fixed part without its checksums.
pub(super) fn fixed_checksum(bytes: &[u8], seed: &Seed) -> u32 {
    seed.checksum(&[&bytes[..12], &bytes[16..FIXED_CHECKSUM]])
}

/// What a record does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The tenant's id, dimension and metric: always the first record.
    Tenant = 1,
    /// Batches are born; the rows they replace die.
    Upload = 2,
    /// Rows die.
    Delete = 3,
    /// Rows that outlived a compaction, with their original numbers (written from the next step on).
    Survivors = 4,
    /// The segment is complete; the next one holds the next record.
    Seal = 5,
    /// A sub-tenant ends: its rows and its name. Its number is never used again.
    Drop = 6,
}

impl Kind {
    const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Tenant,
            2 => Self::Upload,
            3 => Self::Delete,
            4 => Self::Survivors,
            5 => Self::Seal,
            6 => Self::Drop,
            _ => return None,
        })
    }
}

/// A batch has metadata of its own (else the source's stays).
pub const BATCH_HAS_METADATA: u16 = 1;
/// A batch carries explicit chunk ids.
pub const BATCH_HAS_CHUNK_IDS: u16 = 2;
/// The batch adds to a source that is there: what it does not replace stays, metadata included.
pub const BATCH_CONTINUES: u16 = 4;

/// The fixed part of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// What the record does.
    pub kind: Kind,
    /// Bytes of the header, a multiple of 64.
    pub header_length: u32,
    /// Bytes of the body, a multiple of 64.
    pub body_length: u64,
    /// Log sequence number.
    pub lsn: u64,
    /// Number of the segment.
    pub segment: u64,
    /// Opening of the log that wrote it.
    pub epoch: u64,
    /// Offset in this segment below which everything was known synced.
    pub durable_end: u64,
    /// Number of the first row born here.
    pub first_row: u64,
    /// Rows born here.
    pub row_count: u32,
    /// Number of the sub-tenant.
    pub sub_tenant: u32,
    /// Columns of the rows; of the tenant in [`Kind::Tenant`]. 0 = not fixed.
    pub dimension: u16,
    /// The tenant's metric, in [`Kind::Tenant`].
    pub metric: u8,
    /// CRC-32C of the rows in order.
    pub digest: u32,
    /// Batch entries.
    pub batch_count: u32,
    /// Death entries.
    pub death_count: u32,
    /// Block checksums.
    pub block_count: u32,
    /// Bytes of the name: the tenant's id, or that of a sub-tenant first used here; 0 = none.
    pub name_length: u16,
}

impl RecordHeader {
    /// Bytes of the whole record.
    pub const fn record_length(&self) -> u64 {
        self.header_length as u64 + self.body_length
    }

    pub(super) fn encode_fixed(&self, into: &mut [u8]) {
        into[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        into[4..6].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        into[6] = self.kind as u8;
        into[8..12].copy_from_slice(&self.header_length.to_le_bytes());
        into[16..24].copy_from_slice(&self.body_length.to_le_bytes());
        into[24..32].copy_from_slice(&self.lsn.to_le_bytes());
        into[32..40].copy_from_slice(&self.segment.to_le_bytes());
        into[40..48].copy_from_slice(&self.epoch.to_le_bytes());
        into[48..56].copy_from_slice(&self.durable_end.to_le_bytes());
        into[56..64].copy_from_slice(&self.first_row.to_le_bytes());
        into[64..68].copy_from_slice(&self.row_count.to_le_bytes());
        into[68..72].copy_from_slice(&self.sub_tenant.to_le_bytes());
        into[72..74].copy_from_slice(&self.dimension.to_le_bytes());
        into[74] = self.metric;
        into[76..80].copy_from_slice(&self.digest.to_le_bytes());
        into[80..84].copy_from_slice(&self.batch_count.to_le_bytes());
        into[84..88].copy_from_slice(&self.death_count.to_le_bytes());
        into[88..92].copy_from_slice(&self.block_count.to_le_bytes());
        into[92..94].copy_from_slice(&self.name_length.to_le_bytes());
    }

    fn decode_fixed(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < FIXED || read_u32(bytes, 0) != MAGIC || read_u16(bytes, 4) > FORMAT_VERSION {
            return None;
        }
        Some(Self {
            kind: Kind::from_byte(bytes[6])?,
            header_length: read_u32(bytes, 8),
            body_length: read_u64(bytes, 16),
            lsn: read_u64(bytes, 24),
            segment: read_u64(bytes, 32),
            epoch: read_u64(bytes, 40),
            durable_end: read_u64(bytes, 48),
            first_row: read_u64(bytes, 56),
            row_count: read_u32(bytes, 64),
            sub_tenant: read_u32(bytes, 68),
            dimension: read_u16(bytes, 72),
            metric: bytes[74],
            digest: read_u32(bytes, 76),
            batch_count: read_u32(bytes, 80),
            death_count: read_u32(bytes, 84),
            block_count: read_u32(bytes, 88),
            name_length: read_u16(bytes, 92),
        })
    }
}

/// A record whose header has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The fixed part.
    pub header: RecordHeader,
    bytes: &'a [u8],
}

/// One batch of a record: rows of one source.
#[derive(Clone, Copy, Debug)]
pub struct BatchEntry<'a> {
    /// Number of its first row.
    pub first_row: u64,
    /// LSN at which it was born (the record's own, but in [`Kind::Survivors`]).
    pub birth: u64,
    /// Where its rows begin, from the beginning of the body; a multiple of 64.
    pub body_offset: u64,
    /// Number of rows.
    pub row_count: u32,
    /// Index of its first row within the upload it came with.
    pub first_index: u32,
    /// Id of the source.
    pub source_id: &'a str,
    /// JSON text exactly as it was sent.
    pub metadata: Option<&'a [u8]>,
    /// Explicit chunk ids; without, they are computed.
    pub chunk_ids: Option<ChunkIds<'a>>,
    /// Whether it adds to a source that was there, whose metadata stays unless it has its own.
    pub continues: bool,
}

impl<'a> Record<'a> {
    /// Reads and checks the header at the beginning of `bytes`, which reach to the end of what can be read.
    /// `seed_of` gives the seed for the epoch that the header names. `None` when it is not a record.
    pub fn decode(bytes: &'a [u8], incarnation: [u8; 16], segment: u64) -> Option<Self> {
        let header = RecordHeader::decode_fixed(bytes)?;
        let length = header.header_length as usize;
        if header.segment != segment
            || !(FIXED..=MAX_HEADER).contains(&length)
            || !(length as u64).is_multiple_of(ALIGNMENT)
            || !header.body_length.is_multiple_of(ALIGNMENT)
        {
            return None;
        }
        let seed = Seed { incarnation, segment, epoch: header.epoch };
        // The fixed part first: what only looks like a header must not make anyone read as far as it says.
        if fixed_checksum(bytes, &seed) != read_u32(bytes, FIXED_CHECKSUM) {
            return None;
        }
        let bytes = bytes.get(..length)?;
        let sum = seed.checksum(&[&bytes[..12], &[0; 4], &bytes[16..]]);
        if sum != read_u32(bytes, 12) {
            return None;
        }
        let record = Self { header, bytes };
        record.fits().then_some(record)
    }

    /// A record that was checked before, read again.
    pub fn reread(bytes: &'a [u8]) -> Option<Self> {
        let header = RecordHeader::decode_fixed(bytes)?;
        let record = Self { header, bytes: bytes.get(..header.header_length as usize)? };
        record.fits().then_some(record)
    }

    /// Whether the tables lie inside the header: the checksum vouches for who wrote it, this for what it says.
    fn fits(&self) -> bool {
        let header = &self.header;
        let tables = header.batch_count as usize * BATCH_ENTRY
            + header.death_count as usize * DEATH_ENTRY
            + header.block_count as usize * 4;
        FIXED + tables + header.name_length as usize <= self.bytes.len()
    }

    const fn deaths_at(&self) -> usize {
        FIXED + self.header.batch_count as usize * BATCH_ENTRY
    }

    const fn blocks_at(&self) -> usize {
        self.deaths_at() + self.header.death_count as usize * DEATH_ENTRY
    }

    const fn strings_at(&self) -> usize {
        self.blocks_at() + self.header.block_count as usize * 4
    }

    /// The name of the tenant or new sub-tenant; empty when there is none.
    pub fn name(&self) -> Option<&'a str> {
        let at = self.strings_at();
        std::str::from_utf8(self.bytes.get(at..at + self.header.name_length as usize)?).ok()
    }

    /// Batch `index`; `None` past the last, or where an entry points outside the header.
    pub fn batch(&self, index: u32) -> Option<BatchEntry<'a>> {
        if index >= self.header.batch_count {
            return None;
        }
        let at = FIXED + index as usize * BATCH_ENTRY;
        let entry = self.bytes.get(at..at + BATCH_ENTRY)?;
        let source_length = usize::from(read_u16(entry, 32));
        let flags = read_u16(entry, 34);
        let metadata_length = read_u32(entry, 36) as usize;
        let chunk_ids_length = read_u32(entry, 40) as usize;
        let source_at = self.strings_at() + read_u32(entry, 44) as usize;
        let metadata_at = source_at + source_length;
        let chunk_ids_at = metadata_at + metadata_length;
        let metadata = self.bytes.get(metadata_at..chunk_ids_at)?;
        let row_count = read_u32(entry, 24);
        let chunk_ids = if flags & BATCH_HAS_CHUNK_IDS == 0 {
            None
        } else {
            Some(ChunkIds::read(self.bytes.get(chunk_ids_at..chunk_ids_at + chunk_ids_length)?, row_count)?)
        };
        Some(BatchEntry {
            first_row: read_u64(entry, 0),
            birth: read_u64(entry, 8),
            body_offset: read_u64(entry, 16),
            row_count,
            first_index: read_u32(entry, 28),
            source_id: std::str::from_utf8(self.bytes.get(source_at..metadata_at)?).ok()?,
            metadata: (flags & BATCH_HAS_METADATA != 0).then_some(metadata),
            chunk_ids,
            continues: flags & BATCH_CONTINUES != 0,
        })
    }

    /// The rows that die with this record.
    pub fn deaths(&self) -> impl Iterator<Item = RowRange> + use<'a> {
        let bytes = self.bytes.get(self.deaths_at()..self.blocks_at()).unwrap_or_default();
        bytes
            .chunks_exact(DEATH_ENTRY)
            .map(|entry| RowRange { first: read_u64(entry, 0), count: read_u64(entry, 8) })
    }

    /// CRC-32C of block `index` of the body.
    pub fn block_checksum(&self, index: u32) -> Option<u32> {
        (index < self.header.block_count).then(|| read_u32(self.bytes, self.blocks_at() + index as usize * 4))
    }
}
