//! The bytes of a data directory, format version 1 (drawn in `docs/format.md`).
//! It knows offsets and checksums; it does not know files, or what a record means for a search.

pub mod checksum;
pub mod chunk_ids;
pub mod draft;
pub mod name;
pub mod record;
pub mod segment;
pub mod token;

#[cfg(target_endian = "big")]
compile_error!("rows are read where they lie in the log, which is little-endian");

/// Version of the format that this build writes, and the newest that it reads.
pub const FORMAT_VERSION: u16 = 1;
/// Records, bodies and the first row of every batch begin at a multiple of this.
pub const ALIGNMENT: u64 = 64;
/// Bytes of a body under one checksum.
pub const BLOCK: u64 = 64 * 1024;

/// The next multiple of [`ALIGNMENT`].
pub const fn align(offset: u64) -> u64 {
    offset.next_multiple_of(ALIGNMENT)
}

/// A range of row numbers of one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowRange {
    /// First row.
    pub first: u64,
    /// Number of rows, at least 1.
    pub count: u64,
}

impl RowRange {
    /// One past the last row.
    pub const fn end(self) -> u64 {
        self.first + self.count
    }
}

/// Reads a little-endian integer at a fixed place; 0 past the end (lengths are checked before).
macro_rules! read_integer {
    ($name:ident, $type:ty) => {
        pub(crate) fn $name(bytes: &[u8], at: usize) -> $type {
            let mut value = [0; size_of::<$type>()];
            if let Some(found) = bytes.get(at..at + value.len()) {
                value.copy_from_slice(found);
            }
            <$type>::from_le_bytes(value)
        }
    };
}
read_integer!(read_u16, u16);
read_integer!(read_u32, u32);
read_integer!(read_u64, u64);
