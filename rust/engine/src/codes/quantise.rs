//! From float32 rows to codes. Any finite row, from denormals to `f32::MAX`.

use numkong::{Dot, bf16};

use super::kernel_unsafe;

/// Added to and read back from a float of magnitude below 2^22, this rounds it to an integer, which then
/// stands in the low bits: the loop below needs no conversion instruction.
const ROUNDING: f32 = 12_582_912.0;

/// Between these, `127 / largest` and its products are ordinary floats.
const ORDINARY: std::ops::Range<f32> = 1e-30..1e30;

/// Writes the int8 code of `row` (the rest of `code` is left as it is) and gives its inverse norm; an
/// all-zero row has code and inverse norm 0.
pub fn int8(row: &[f32], code: &mut [i8]) -> f32 {
    let largest = largest_magnitude(row);
    if ORDINARY.contains(&largest) {
        let scale = (127.0 / f64::from(largest)) as f32;
        for (to, &value) in code.iter_mut().zip(row) {
            *to = (value * scale + ROUNDING).to_bits() as i8;
        }
    } else if largest > 0.0 {
        let scale = 127.0 / f64::from(largest);
        for (to, &value) in code.iter_mut().zip(row) {
            *to = (f64::from(value) * scale).round() as i8;
        }
    } else {
        code.fill(0);
    }
    inverse_norm(&code[..row.len()])
}

/// `1 / |code|`, 0 for an all-zero code.
pub fn inverse_norm(code: &[i8]) -> f32 {
    match i8::dot(code, code) {
        Some(square @ 1..) => (1.0 / f64::from(square).sqrt()) as f32,
        _ => 0.0,
    }
}

/// Writes the bfloat16 code of `row` (rounded to nearest, the largest finite one at most) and gives its
/// norm.
pub fn bfloat16(row: &[f32], code: &mut [bf16]) -> f32 {
    for (to, &value) in code.iter_mut().zip(row) {
        let bits = value.to_bits();
        let rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
        // What would round to infinity is cut to the largest finite number of its sign.
        *to = bf16(if rounded & 0x7FFF == 0x7F80 { rounded - 1 } else { rounded } as u16);
    }
    kernel_unsafe::norm(&code[..row.len()])
}

fn largest_magnitude(row: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [0.0f32; LANES];
    let (whole, rest) = row.as_chunks::<LANES>();
    for chunk in whole {
        for (largest, value) in lanes.iter_mut().zip(chunk) {
            *largest = if value.abs() > *largest { value.abs() } else { *largest };
        }
    }
    let mut last = [0.0; LANES];
    last[..rest.len()].copy_from_slice(rest);
    for (largest, value) in lanes.iter_mut().zip(last) {
        *largest = if value.abs() > *largest { value.abs() } else { *largest };
    }
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = if lanes[lane + half] > lanes[lane] { lanes[lane + half] } else { lanes[lane] };
        }
        half /= 2;
    }
    lanes[0]
}
