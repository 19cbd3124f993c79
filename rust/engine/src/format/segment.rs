//! The first 64 bytes of a segment file.

use super::checksum::crc32c;
use super::{FORMAT_VERSION, read_u16, read_u32, read_u64};

/// Bytes of the header; the first record follows.
pub const SEGMENT_HEADER: u64 = 64;
const MAGIC: &[u8; 8] = b"INGOTLOG";

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Number of the segment within its tenant, from 1.
    pub number: u64,
    /// How many times compaction has rewritten it.
    pub generation: u32,
    /// The tenant's random 128 bits.
    pub incarnation: [u8; 16],
    /// LSN of its first record.
    pub first_lsn: u64,
}

/// Why bytes are not a segment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotASegment {
    /// Magic or checksum do not fit.
    Damaged,
    /// Written by a newer version.
    Newer(u16),
}

impl SegmentHeader {
    /// The bytes as written.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER as usize] {
        let mut bytes = [0; SEGMENT_HEADER as usize];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.generation.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..40].copy_from_slice(&self.incarnation);
        bytes[40..48].copy_from_slice(&self.first_lsn.to_le_bytes());
        let sum = crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`NotASegment`] says why not.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotASegment> {
        if bytes.len() < SEGMENT_HEADER as usize
            || &bytes[0..8] != MAGIC
            || crc32c(&bytes[..60]) != read_u32(bytes, 60)
        {
            return Err(NotASegment::Damaged);
        }
        let version = read_u16(bytes, 8);
        if version > FORMAT_VERSION {
            return Err(NotASegment::Newer(version));
        }
        let mut incarnation = [0; 16];
        incarnation.copy_from_slice(&bytes[24..40]);
        Ok(Self {
            number: read_u64(bytes, 16),
            generation: read_u32(bytes, 12),
            incarnation,
            first_lsn: read_u64(bytes, 40),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_is_seen() {
        let header = SegmentHeader { number: 3, generation: 1, incarnation: [9; 16], first_lsn: 77 };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&damaged), Err(NotASegment::Damaged), "bit {bit}");
        }
    }
}
