//! From float32 rows to codes. Any finite row, from denormals to `f32::MAX`.

use numkong::{Dot, bf16};

use super::kernel_unsafe;

/// Added to and read back from a float of magnitude below 2^22, this rounds it to the nearest integer (of
/// two, the even one), which then stands in the low bits.
const ROUNDING: f32 = 12_582_912.0;

/// Between these, `127 / largest` and its products are ordinary floats.
const ORDINARY: std::ops::Range<f32> = 1e-30..1e30;

/// Writes the int8 code of `row` to the beginning of `code` and gives its inverse norm; an all-zero row has
/// code and inverse norm 0.
pub fn int8(row: &[f32], code: &mut [i8]) -> f32 {
    let code = &mut code[..row.len()];
    let largest = largest_magnitude(row);
    if ORDINARY.contains(&largest) {
        scale_ordinary(row, (127.0 / f64::from(largest)) as f32, code);
    } else if largest > 0.0 {
        let scale = 127.0 / f64::from(largest);
        for (to, &value) in code.iter_mut().zip(row) {
            *to = (f64::from(value) * scale).round() as i8;
        }
    } else {
        code.fill(0);
    }
    inverse_norm(code)
}

/// `1 / |code|`, 0 for an all-zero code.
pub fn inverse_norm(code: &[i8]) -> f32 {
    match i8::dot(code, code) {
        Some(square @ 1..) => (1.0 / f64::from(square).sqrt()) as f32,
        _ => 0.0,
    }
}

/// Writes the bfloat16 code of `row` (rounded to nearest, the largest finite one at most) to the beginning of
/// `code` and gives its norm.
pub fn bfloat16(row: &[f32], code: &mut [bf16]) -> f32 {
    let code = &mut code[..row.len()];
    for (to, &value) in code.iter_mut().zip(row) {
        let bits = value.to_bits();
        let rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
        // What would round to infinity is cut to the largest finite number of its sign.
        *to = bf16((rounded - u32::from(rounded & 0x7FFF == 0x7F80)) as u16);
    }
    kernel_unsafe::norm(code)
}

fn largest_magnitude(row: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { avx2::largest_magnitude(row) };
    }
    row.iter().fold(0.0, |largest, value| largest.max(value.abs()))
}

/// `row * scale`, rounded. Every product is in -127..=127, but for the rounding of `scale`.
fn scale_ordinary(row: &[f32], scale: f32, code: &mut [i8]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { avx2::scale_ordinary(row, scale, code) };
    }
    scale_plain(row, scale, code);
}

fn scale_plain(row: &[f32], scale: f32, code: &mut [i8]) {
    for (to, &value) in code.iter_mut().zip(row) {
        *to = (value * scale + ROUNDING).to_bits() as i8;
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx2")]
    pub fn largest_magnitude(row: &[f32]) -> f32 {
        let (whole, rest) = row.as_chunks::<32>();
        let sign = _mm256_set1_ps(-0.0);
        let mut largest = [_mm256_setzero_ps(); 4];
        for chunk in whole {
            for (lane, largest) in largest.iter_mut().enumerate() {
                // SAFETY: 8 of the chunk's 32 floats; the load asks for no alignment.
                let values = unsafe { _mm256_loadu_ps(chunk.as_ptr().add(8 * lane)) };
                *largest = _mm256_max_ps(*largest, _mm256_andnot_ps(sign, values));
            }
        }
        let [a, b, c, d] = largest;
        let mut lanes = [0.0; 8];
        // SAFETY: room for 8 floats; the store asks for no alignment.
        unsafe {
            _mm256_storeu_ps(lanes.as_mut_ptr(), _mm256_max_ps(_mm256_max_ps(a, b), _mm256_max_ps(c, d)))
        };
        let max = |a: f32, b: f32| if b > a { b } else { a };
        let [a, b, c, d, e, f, g, h] = lanes;
        let largest = max(max(max(a, b), max(c, d)), max(max(e, f), max(g, h)));
        rest.iter().fold(largest, |largest, value| max(largest, value.abs()))
    }

    #[target_feature(enable = "avx2")]
    pub fn scale_ordinary(row: &[f32], scale: f32, code: &mut [i8]) {
        let (whole, rest) = row.as_chunks::<32>();
        let (whole_code, rest_code) = code.as_chunks_mut::<32>();
        let scales = _mm256_set1_ps(scale);
        // Packing works within halves of a register; this puts the groups of four back in order.
        let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        for (values, to) in whole.iter().zip(whole_code) {
            let rounded = |eighth: usize| {
                // SAFETY: 8 of the chunk's 32 floats; the load asks for no alignment.
                let values = unsafe { _mm256_loadu_ps(values.as_ptr().add(8 * eighth)) };
                _mm256_cvtps_epi32(_mm256_mul_ps(values, scales))
            };
            let low = _mm256_packs_epi32(rounded(0), rounded(1));
            let high = _mm256_packs_epi32(rounded(2), rounded(3));
            let bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
            // SAFETY: room for 32 bytes; the store asks for no alignment.
            unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), bytes) };
        }
        super::scale_plain(rest, scale, rest_code);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::tests::Random;

    #[test]
    fn wide_and_plain_instructions_give_the_same_code() {
        for seed in 0..5 {
            let mut random = Random(seed);
            for columns in (1..70).chain([384, 3024]) {
                let row = random.row(columns);
                let largest = row.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
                assert_eq!(largest_magnitude(&row), largest, "seed {seed}, {columns} columns");
                let (mut wide, mut plain) = (vec![0; columns], vec![0; columns]);
                scale_ordinary(&row, 127.0 / largest, &mut wide);
                scale_plain(&row, 127.0 / largest, &mut plain);
                assert_eq!(wide, plain, "seed {seed}, {columns} columns");
                assert_eq!(wide.iter().map(|value| value.unsigned_abs()).max(), Some(127), "seed {seed}");
            }
        }
    }
}
