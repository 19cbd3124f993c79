//! Distances of two codes. NumKong picks the instructions at run time; where its float32 sums overflow or
//! vanish, the sum is taken again in float64.

use std::slice;

use numkong::{Dot, Euclidean, bf16};

/// A sum this small may have lost what underflowed.
const TINY: f32 = 1e-30;
/// Norms above which nothing that underflowed can matter to a sum.
const SAFE_NORM: f32 = 1e-10;

/// The bytes of a code as int8.
#[inline]
pub fn as_int8(bytes: &[u8]) -> &[i8] {
    // SAFETY: the same memory; `i8` has the size and alignment of `u8`, and every byte is one.
    unsafe { slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) }
}

/// The bytes of a code as int8, to be written.
pub fn as_int8_mut(bytes: &mut [u8]) -> &mut [i8] {
    // SAFETY: as in `as_int8`; the borrow is exclusive.
    unsafe { slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len()) }
}

/// The bytes of a code as bfloat16. Nothing when they do not lie at an even address (rows do).
#[inline]
pub fn as_bf16(bytes: &[u8]) -> &[bf16] {
    // SAFETY: `bf16` is a transparent `u16`: every pair of bytes is one; `align_to` sees to alignment.
    let (before, values, after) = unsafe { bytes.align_to() };
    debug_assert!(before.is_empty() && after.is_empty());
    values
}

/// The bytes of a code as bfloat16, to be written.
pub fn as_bf16_mut(bytes: &mut [u8]) -> &mut [bf16] {
    // SAFETY: as in `as_bf16`; the borrow is exclusive.
    let (before, values, after) = unsafe { bytes.align_to_mut() };
    debug_assert!(before.is_empty() && after.is_empty());
    values
}

/// `1 - cos`.
#[inline]
pub fn cosine(a: &[i8], inverse_norm_a: f32, b: &[i8], inverse_norm_b: f32) -> f32 {
    // Below 2^26: the sum of 3024 products of at most 127 * 127 fits, and so does its float.
    i8::dot(a, b).map_or(f32::MAX, |dot| 1.0 - dot as f32 * inverse_norm_a * inverse_norm_b)
}

/// `-dot`.
#[inline]
pub fn inner_product(a: &[bf16], norm_a: f32, b: &[bf16], norm_b: f32) -> f32 {
    let Some(dot) = bf16::dot(a, b) else { return f32::MAX };
    let vanished = dot.abs() < TINY && norm_a * norm_b < SAFE_NORM * SAFE_NORM;
    if dot.is_finite() && !vanished { -dot } else { clamp(-wide_dot(a, b)) }
}

/// Euclidean distance, root taken.
#[inline]
pub fn l2(a: &[bf16], norm_a: f32, b: &[bf16], norm_b: f32) -> f32 {
    let Some(square) = bf16::sqeuclidean(a, b) else { return f32::MAX };
    let vanished = square < TINY && norm_a.max(norm_b) < SAFE_NORM;
    if square.is_finite() && !vanished { square.max(0.0).sqrt() } else { clamp(wide_square(a, b).sqrt()) }
}

/// `|a|`, at most `f32::MAX`.
pub fn norm(a: &[bf16]) -> f32 {
    match bf16::dot(a, a) {
        Some(square) if square.is_finite() && square > TINY => square.sqrt(),
        _ => clamp(wide_dot(a, a).sqrt()),
    }
}

#[cold]
fn wide_dot(a: &[bf16], b: &[bf16]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a.to_f32()) * f64::from(b.to_f32())).sum()
}

#[cold]
fn wide_square(a: &[bf16], b: &[bf16]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(a.to_f32()) - f64::from(b.to_f32())).powi(2)).sum()
}

/// The nearest finite float32; the farthest for what is no number.
fn clamp(distance: f64) -> f32 {
    if distance.is_nan() {
        return f32::MAX;
    }
    distance.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}
