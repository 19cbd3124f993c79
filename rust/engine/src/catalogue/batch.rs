//! A batch: the rows of one source in one upload, as numbers.

use crate::format::RowRange;
use crate::log::Position;

/// The rows of one source in one upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Number of its first row within the tenant.
    pub first_row: u64,
    /// LSN at which it was born.
    pub birth: u64,
    /// Segment of its record.
    pub segment: u64,
    /// Where its record begins.
    pub record_offset: u64,
    /// Where its first row begins.
    pub rows_offset: u64,
    /// Keyed hash of sub-tenant and source id.
    pub source_hash: u64,
    /// First of its record's bits in the table of what has been checked.
    pub first_bit: u64,
    /// Number of rows.
    pub row_count: u32,
    /// Index of the first row within its upload.
    pub first_index: u32,
    /// Number of the sub-tenant.
    pub sub_tenant: u32,
    /// Which batch of its record.
    pub entry: u32,
    /// Number of a batch that stands for its source, the same for all of the source's batches.
    pub source: u32,
    /// If it holds its source's metadata: the batch that held it before; [`NONE`] for the first.
    pub previous: u32,
    /// Columns.
    pub dimension: u16,
    /// Whether its rows have explicit chunk ids.
    pub explicit: bool,
}

/// No batch.
pub const NONE: u32 = u32::MAX;

impl Batch {
    /// Where its record begins.
    pub const fn position(&self) -> Position {
        Position { segment: self.segment, offset: self.record_offset }
    }

    /// Its rows.
    pub const fn rows(&self) -> RowRange {
        RowRange { first: self.first_row, count: self.row_count as u64 }
    }

    /// Which of its rows a row of this batch is.
    pub const fn offset_of(&self, row: u64) -> u32 {
        // It lies fewer than row_count (u32) behind the first.
        #[allow(clippy::cast_possible_truncation)]
        let behind = (row - self.first_row) as u32;
        behind
    }

    /// Index, within the upload, of a row of this batch.
    pub const fn index_of(&self, row: u64) -> u32 {
        self.first_index + self.offset_of(row)
    }
}
