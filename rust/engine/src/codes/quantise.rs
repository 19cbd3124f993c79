//! From float32 rows to codes. Any finite row, from denormals to `f32::MAX`.

use numkong::bf16;

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
    let square: i32 = code.iter().map(|&value| i32::from(value) * i32::from(value)).sum();
    if square == 0 { 0.0 } else { (1.0 / f64::from(square).sqrt()) as f32 }
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
    norm(&code[..row.len()])
}

/// `|code|`, at most `f32::MAX`.
pub fn norm(code: &[bf16]) -> f32 {
    let square: f64 =
        code.iter().map(|value| f64::from(f32::from_bits(u32::from(value.0) << 16)).powi(2)).sum();
    square.sqrt().min(f64::from(f32::MAX)) as f32
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
    lanes.iter().chain(rest).fold(0.0, |largest, value| value.abs().max(largest))
}
