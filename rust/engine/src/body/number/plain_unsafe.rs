//! Plain numbers, `-?d.d..d`: what nearly all numbers of an embedding look like. Thirty-two bytes are looked at at once
//! where the processor has AVX2; all other numbers, and all processors, are for [`super::parse`].

/// Reads plain numbers from `input[*at..]` into `places`, each followed by a comma and at most one space, and says how
/// many. It ends before the first number that is another or is followed by something else; that may be at once.
#[inline]
pub fn fill(input: &[u8], at: &mut usize, places: &mut [f32]) -> usize {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("bmi1") {
        // SAFETY: the processor has what the function was compiled for.
        return unsafe { wide::fill(input, at, places) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (input, at, places);
    0
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::{
        __m128i, _mm_cvtsi128_si64, _mm_loadu_si128, _mm_madd_epi16, _mm_maddubs_epi16, _mm_packus_epi32,
        _mm_set1_epi8, _mm_setr_epi8, _mm_setr_epi16, _mm_shuffle_epi8, _mm_sub_epi8, _mm256_cmpeq_epi8,
        _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_set1_epi8, _mm256_sub_epi8,
    };

    use crate::body::number::{WINDOW, narrow};

    /// Powers of ten that a word of digits can be.
    const TENS: [u64; 17] = {
        let mut tens = [1; 17];
        let mut power = 1;
        while power < 17 {
            tens[power] = tens[power - 1] * 10;
            power += 1;
        }
        tens
    };
    /// Taken from byte `n` on: a shuffle that moves the first `n` bytes to the end and zeros before them.
    const TO_THE_END: [u8; 32] = {
        let mut shuffle = [0x80; 32];
        let mut byte = 0;
        while byte < 16 {
            shuffle[16 + byte] = byte as u8;
            byte += 1;
        }
        shuffle
    };

    /// As [`super::fill`].
    #[target_feature(enable = "avx2,bmi1")]
    pub fn fill(input: &[u8], at: &mut usize, places: &mut [f32]) -> usize {
        let count = separated::<1>(input, at, places);
        // A space behind a comma comes behind all of them. That there is one is never waited for: where the next
        // number begins would depend on it, and one number could not be read beside another.
        if input.get(*at) == Some(&b' ') && count > 0 {
            *at += 1;
            return count + separated::<2>(input, at, &mut places[count..]);
        }
        count
    }

    /// Numbers with `LENGTH` bytes between them: a comma, or a comma and a space.
    #[inline]
    #[target_feature(enable = "avx2,bmi1")]
    fn separated<const LENGTH: usize>(input: &[u8], at: &mut usize, places: &mut [f32]) -> usize {
        for (count, place) in places.iter_mut().enumerate() {
            match parse(&input[*at..]) {
                // All within the window.
                Some((value, length))
                    if input[*at + length] == b',' && (LENGTH == 1 || input[*at + length + 1] == b' ') =>
                {
                    *place = value;
                    *at += length + LENGTH;
                }
                _ => return count,
            }
        }
        places.len()
    }

    /// Reads the number at the start of `text` and returns it with its length. `None`: not plain, or not provably
    /// rounded this way; nothing is said about its grammar then.
    #[inline]
    #[target_feature(enable = "avx2,bmi1")]
    fn parse(text: &[u8]) -> Option<(f32, usize)> {
        let text: &[u8; WINDOW] = text.first_chunk()?;
        let negative = u32::from(text[0] == b'-');
        // SAFETY: `text` has 64 bytes.
        let bytes = unsafe { _mm256_loadu_si256(text.as_ptr().cast()) };
        let values = _mm256_sub_epi8(bytes, _mm256_set1_epi8(b'0'.cast_signed()));
        let digits = _mm256_cmpeq_epi8(_mm256_min_epu8(values, _mm256_set1_epi8(9)), values);
        // Bits of the bytes that are no digits, but for the sign.
        let others = !_mm256_movemask_epi8(digits).cast_unsigned() & !negative;
        let point = others.trailing_zeros() as usize;
        let end = (others & others.wrapping_sub(1)).trailing_zeros() as usize;
        let whole = point - negative as usize;
        // One digit before the point, at least one behind it, and the end within reach. (`point` is 32 when there is
        // none; `whole` cannot be less than 0, since the sign's own bit is not set.)
        if whole != 1 || end == 32 || text[point & 31] != b'.' || text[end & 31] | 0x20 == b'e' {
            return None;
        }
        let count = end - point - 1;
        let first = u64::from(text[negative as usize & 1] - b'0');
        let fraction = text[point + 1..].as_ptr();
        let mantissa = match count {
            0 => return None,
            // SAFETY: `point` is 1 or 2: 16 bytes behind it are in `text`.
            1..=16 => first * TENS[count] + number(unsafe { last(fraction, count) }),
            17..=29 => {
                let over = count - 16;
                // SAFETY: as above; `over` is at most 13, and 3 + 13 + 16 bytes are in `text`.
                let (high, low) =
                    unsafe { (number(last(fraction, over)), number(last(fraction.add(over), 16))) };
                let high = first * TENS[over] + high;
                // Nineteen digits fit: three more than the low ones.
                if high >= 1000 {
                    return None;
                }
                high * TENS[16] + low
            }
            _ => return None,
        };
        let value = narrow(mantissa, -(count as i32))?;
        // Signs are random: no branch.
        Some((f32::from_bits(value.to_bits() | negative << 31), end))
    }

    /// The values of the `count` digits at `text`, at the end of sixteen.
    ///
    /// # Safety
    /// Sixteen bytes can be read at `text`, and `count` is at most 16.
    #[inline]
    #[target_feature(enable = "avx2,bmi1")]
    unsafe fn last(text: *const u8, count: usize) -> __m128i {
        // SAFETY: what the caller promises; the table has 16 bytes from any such `count` on.
        let (digits, shuffle) =
            unsafe { (_mm_loadu_si128(text.cast()), _mm_loadu_si128(TO_THE_END.as_ptr().add(count).cast())) };
        _mm_shuffle_epi8(_mm_sub_epi8(digits, _mm_set1_epi8(b'0'.cast_signed())), shuffle)
    }

    /// The number that sixteen digit values make: pairs, fours, eights, all.
    #[inline]
    #[target_feature(enable = "avx2,bmi1")]
    fn number(digits: __m128i) -> u64 {
        let ten = _mm_setr_epi8(10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1);
        let pairs = _mm_maddubs_epi16(digits, ten);
        let fours = _mm_madd_epi16(pairs, _mm_setr_epi16(100, 1, 100, 1, 100, 1, 100, 1));
        let packed = _mm_packus_epi32(fours, fours);
        let eights = _mm_madd_epi16(packed, _mm_setr_epi16(10_000, 1, 10_000, 1, 10_000, 1, 10_000, 1));
        let both = _mm_cvtsi128_si64(eights).cast_unsigned();
        (both & 0xffff_ffff) * 100_000_000 + (both >> 32)
    }
}
