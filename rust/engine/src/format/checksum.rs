//! CRC-32C (Castagnoli, RFC 3720 appendix B.4), plain for rows and blocks, seeded for headers.

use crc_fast::{CrcAlgorithm, Digest};

/// CRC-32C of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    narrow(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes))
}

/// CRC-32C of two strings of bytes one behind the other, from the CRC-32C of each.
pub fn combine(first: u32, second: u32, second_length: u64) -> u32 {
    narrow(crc_fast::checksum_combine(CrcAlgorithm::Crc32Iscsi, first.into(), second.into(), second_length))
}

/// What ties a header to its place: neither recycled space nor a client's bytes pass for a record.
#[derive(Clone, Copy, Debug)]
pub struct Seed {
    /// The tenant's random 128 bits, made when the tenant was.
    pub incarnation: [u8; 16],
    /// Number of the segment.
    pub segment: u64,
    /// One per opening of the log.
    pub epoch: u64,
}

impl Seed {
    /// CRC-32C of the seed followed by `parts`.
    pub fn checksum(&self, parts: &[&[u8]]) -> u32 {
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        digest.update(&self.incarnation);
        digest.update(&self.segment.to_le_bytes());
        digest.update(&self.epoch.to_le_bytes());
        for part in parts {
            digest.update(part);
        }
        narrow(digest.finalize())
    }
}

/// The library answers 32-bit sums in 64 bits.
#[allow(clippy::cast_possible_truncation)]
const fn narrow(sum: u64) -> u32 {
    sum as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_check_value_holds() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
    }

    #[test]
    fn combined_is_the_checksum_of_the_whole() {
        assert_eq!(combine(crc32c(b"1234"), crc32c(b"56789"), 5), crc32c(b"123456789"));
        assert_eq!(combine(0, crc32c(b"123456789"), 9), crc32c(b"123456789"));
    }

    #[test]
    fn every_part_of_the_seed_counts() {
        let seed = Seed { incarnation: [7; 16], segment: 1, epoch: 2 };
        let sum = seed.checksum(&[b"header"]);
        assert_ne!(sum, Seed { incarnation: [8; 16], ..seed }.checksum(&[b"header"]));
        assert_ne!(sum, Seed { segment: 2, ..seed }.checksum(&[b"header"]));
        assert_ne!(sum, Seed { epoch: 3, ..seed }.checksum(&[b"header"]));
        assert_eq!(sum, seed.checksum(&[b"head", b"er"]));
    }
}
