//! CRC-32C (Castagnoli, RFC 3720 appendix B.4), plain for rows and blocks, seeded for headers.

use crc_fast::{CrcAlgorithm, Digest};

/// CRC-32C of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    narrow(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes))
}

/// CRC-32C of two strings of bytes one behind the other, from the CRC-32C of each.
///
/// A sum is the remainder of a polynomial, and bytes that follow multiply it by a power of `x`. The library's own way
/// takes ten microseconds, more than the sum of a block; this one a tenth of one (`benches/intake.rs`).
pub const fn combine(first: u32, second: u32, second_length: u64) -> u32 {
    // x^(8 * length), from the squares of x that the bits of the length ask for.
    let mut power = ONE;
    let mut bits = second_length;
    let mut square = 3;
    while bits > 0 {
        if bits & 1 == 1 {
            power = multiply(SQUARES[square], power);
        }
        bits >>= 1;
        square += 1;
    }
    multiply(power, first) ^ second
}

/// The polynomial without its highest power; powers rise from the highest bit to the lowest.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// `x^0`.
const ONE: u32 = 1 << 31;
/// `x^(2^n)`, as far as the bits of any length in bytes reach.
const SQUARES: [u32; 67] = {
    let mut squares = [ONE >> 1; 67];
    let mut n = 1;
    while n < squares.len() {
        squares[n] = multiply(squares[n - 1], squares[n - 1]);
        n += 1;
    }
    squares
};

/// The product of two remainders.
const fn multiply(a: u32, b: u32) -> u32 {
    let (mut product, mut shifted) = (0, b);
    let mut power = 0;
    while power < 32 {
        // Masks in place of branches: the bits are as good as random.
        product ^= shifted & 0_u32.wrapping_sub(a >> (31 - power) & 1);
        shifted = (shifted >> 1) ^ (POLYNOMIAL & 0_u32.wrapping_sub(shifted & 1));
        power += 1;
    }
    product
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
        let bytes: Vec<u8> = (0..200_000_u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        for cut in [0, 1, 63, 64, 65_536, 131_072, 199_999, 200_000] {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(combine(crc32c(first), crc32c(second), second.len() as u64), crc32c(&bytes), "{cut}");
        }
        // Lengths that no test can hold.
        for length in [u64::from(u32::MAX), 1 << 40, u64::MAX] {
            let expected =
                crc_fast::checksum_combine(CrcAlgorithm::Crc32Iscsi, 0x1234_5678, 0x9abc_def0, length);
            assert_eq!(u64::from(combine(0x1234_5678, 0x9abc_def0, length)), expected, "{length}");
        }
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
