//! Numbers as bytes: those of npy arrays and of base64 text, each rounded once to float32.

/// Type of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Type {
    F2,
    F4,
    F8,
    I1,
    I2,
    I4,
    I8,
    U1,
    U2,
    U4,
    U8,
}

impl Type {
    /// Bytes of one number.
    pub const fn size(self) -> usize {
        match self {
            Self::I1 | Self::U1 => 1,
            Self::F2 | Self::I2 | Self::U2 => 2,
            Self::F4 | Self::I4 | Self::U4 => 4,
            Self::F8 | Self::I8 | Self::U8 => 8,
        }
    }

    /// As NumPy's header names it.
    pub fn of(code: &[u8]) -> Option<Self> {
        Some(match code {
            b"f2" => Self::F2,
            b"f4" => Self::F4,
            b"f8" => Self::F8,
            b"i1" => Self::I1,
            b"i2" => Self::I2,
            b"i4" => Self::I4,
            b"i8" => Self::I8,
            b"u1" => Self::U1,
            b"u2" => Self::U2,
            b"u4" => Self::U4,
            b"u8" => Self::U8,
            _ => return None,
        })
    }
}

/// Rounds each number once to float32.
pub fn decode(number: Type, big_endian: bool, input: &[u8], output: &mut [f32]) {
    macro_rules! each {
        ($size:literal, $read:expr) => {
            for (bytes, place) in input.as_chunks::<$size>().0.iter().zip(output) {
                *place = $read(*bytes);
            }
        };
    }
    match (number, big_endian) {
        (Type::F2, false) => each!(2, |bytes| half(u16::from_le_bytes(bytes))),
        (Type::F2, true) => each!(2, |bytes| half(u16::from_be_bytes(bytes))),
        (Type::F4, false) => each!(4, f32::from_le_bytes),
        (Type::F4, true) => each!(4, f32::from_be_bytes),
        (Type::F8, false) => each!(8, |bytes| f64::from_le_bytes(bytes) as f32),
        (Type::F8, true) => each!(8, |bytes| f64::from_be_bytes(bytes) as f32),
        (Type::I1, _) => each!(1, |bytes| f32::from(i8::from_le_bytes(bytes))),
        (Type::U1, _) => each!(1, |bytes| f32::from(u8::from_le_bytes(bytes))),
        (Type::I2, false) => each!(2, |bytes| f32::from(i16::from_le_bytes(bytes))),
        (Type::I2, true) => each!(2, |bytes| f32::from(i16::from_be_bytes(bytes))),
        (Type::U2, false) => each!(2, |bytes| f32::from(u16::from_le_bytes(bytes))),
        (Type::U2, true) => each!(2, |bytes| f32::from(u16::from_be_bytes(bytes))),
        (Type::I4, false) => each!(4, |bytes| i32::from_le_bytes(bytes) as f32),
        (Type::I4, true) => each!(4, |bytes| i32::from_be_bytes(bytes) as f32),
        (Type::U4, false) => each!(4, |bytes| u32::from_le_bytes(bytes) as f32),
        (Type::U4, true) => each!(4, |bytes| u32::from_be_bytes(bytes) as f32),
        (Type::I8, false) => each!(8, |bytes| i64::from_le_bytes(bytes) as f32),
        (Type::I8, true) => each!(8, |bytes| i64::from_be_bytes(bytes) as f32),
        (Type::U8, false) => each!(8, |bytes| u64::from_le_bytes(bytes) as f32),
        (Type::U8, true) => each!(8, |bytes| u64::from_be_bytes(bytes) as f32),
    }
}

/// float16 (IEEE 754 binary16) as float32, which holds each of them exactly.
fn half(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7fff);
    let value = match magnitude >> 10 {
        // A subnormal is its significand times 2^-24.
        0 => (magnitude as f32 * f32::from_bits((127 - 24) << 23)).to_bits(),
        31 => 0x7f80_0000 | (magnitude << 13),
        _ => (magnitude << 13) + ((127 - 15) << 23),
    };
    f32::from_bits(value | (u32::from(bits & 0x8000) << 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_float16_is_exact() {
        for (bits, value) in [(0, 0.0), (1, 5.960_464_5e-8), (0x3c00, 1.0), (0x7bff, 65504.0), (0xc000, -2.0)]
        {
            assert_eq!(half(bits), value);
        }
        assert!(half(0x8000).is_sign_negative());
        assert_eq!(half(0x0400), 6.103_515_6e-5);
        assert_eq!(half(0x03ff), 6.097_555e-5);
        assert_eq!((half(0x7c00), half(0xfc00)), (f32::INFINITY, -f32::INFINITY));
        assert!(half(0x7e01).is_nan());
    }
}
