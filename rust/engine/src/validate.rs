//! What every vector must keep: finite as float32 and, where the metric is cosine, not all zero.
//! One pass in plain integer arithmetic, which the compiler turns into SIMD.

use crate::error::{Error, Result};
use crate::vector::{Dimension, Metric, Rows};

/// All bits but the sign.
const MAGNITUDE: u32 = 0x7fff_ffff;
/// Added to a magnitude it sets the top bit exactly when the exponent is all ones (NaN or infinite).
const CARRY: u32 = 0x0080_0000;

/// Checks whole rows that lie one behind the other; the first of them is row `first_row` of the upload.
///
/// # Errors
/// The first offence in row-major order: [`Error::NonFinite`], or [`Error::ZeroVector`] when `metric` is cosine.
///
/// # Panics
/// When `values` is not a multiple of the dimension.
pub fn rows(values: &[f32], dimension: Dimension, first_row: usize, metric: Option<Metric>) -> Result<()> {
    let rows = values.chunks_exact(dimension.get());
    assert!(rows.remainder().is_empty(), "whole rows only");
    let zero_allowed = metric != Some(Metric::Cosine);
    for (index, row) in rows.enumerate() {
        let (any, carried) = fold(row);
        if carried & !MAGNITUDE != 0 {
            return Err(non_finite(row, Some(first_row + index), 0));
        }
        if any == 0 && !zero_allowed {
            return Err(Error::ZeroVector { row: Some(first_row + index) });
        }
    }
    Ok(())
}

/// Checks all rows of an upload.
///
/// # Errors
/// Those of [`rows`].
pub fn upload(upload: &Rows, metric: Option<Metric>) -> Result<()> {
    let mut first_row = 0;
    for chunk in upload.chunks() {
        rows(chunk, upload.dimension(), first_row, metric)?;
        first_row += chunk.len() / upload.dimension().get();
    }
    Ok(())
}

/// Index of the first number that is NaN or infinite.
pub fn first_non_finite(values: &[f32]) -> Option<usize> {
    if fold(values).1 & !MAGNITUDE == 0 { None } else { values.iter().position(|value| !value.is_finite()) }
}

fn non_finite(row: &[f32], index: Option<usize>, column: usize) -> Error {
    let column = first_non_finite(row).unwrap_or(column);
    Error::NonFinite { row: index, column, value: text(f64::from(row[column])) }
}

/// A number as the errors show it.
pub fn text(value: f64) -> String {
    if value.is_nan() { "nan".to_owned() } else { format!("{value:?}") }
}

/// (OR of the magnitudes, OR of the magnitudes with [`CARRY`] added).
fn fold(values: &[f32]) -> (u32, u32) {
    // Independent lanes: the compiler keeps them in registers and needs no order among them.
    const LANES: usize = 32;
    let mut any = [0_u32; LANES];
    let mut carried = [0_u32; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            let magnitude = block[lane].to_bits() & MAGNITUDE;
            any[lane] |= magnitude;
            carried[lane] |= magnitude.wrapping_add(CARRY);
        }
    }
    for (lane, value) in rest.iter().enumerate() {
        let magnitude = value.to_bits() & MAGNITUDE;
        any[lane] |= magnitude;
        carried[lane] |= magnitude.wrapping_add(CARRY);
    }
    (any.iter().fold(0, |all, lane| all | lane), carried.iter().fold(0, |all, lane| all | lane))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dimension(columns: usize) -> Dimension {
        Dimension::new(columns).unwrap()
    }

    #[test]
    fn the_first_number_that_is_not_finite_is_named_wherever_it_stands() {
        for columns in [1, 5, 31, 32, 33, 100] {
            for position in 0..3 * columns {
                for (bad, text) in [(f32::NAN, "nan"), (f32::INFINITY, "inf"), (-f32::INFINITY, "-inf")] {
                    let mut values = vec![f32::MAX; 3 * columns];
                    values[position] = bad;
                    *values.last_mut().unwrap() = bad;
                    let expected = Error::NonFinite {
                        row: Some(10 + position / columns),
                        column: position % columns,
                        value: text.to_owned(),
                    };
                    assert_eq!(rows(&values, dimension(columns), 10, None), Err(expected));
                }
            }
        }
    }

    #[test]
    fn every_finite_number_passes() {
        let values = [f32::MAX, f32::MIN, f32::MIN_POSITIVE, f32::from_bits(1), -0.0, 0.0];
        assert_eq!(rows(&values, dimension(3), 0, Some(Metric::Cosine)), Ok(()));
    }

    #[test]
    fn an_all_zero_row_is_refused_for_cosine_only() {
        let values = [1.0, 0.0, 0.0, -0.0, f32::from_bits(1), 0.0];
        let expected = Error::ZeroVector { row: Some(1) };
        assert_eq!(rows(&values, dimension(2), 0, Some(Metric::Cosine)), Err(expected));
        assert_eq!(rows(&values, dimension(2), 0, Some(Metric::L2)), Ok(()));
        assert_eq!(rows(&values, dimension(2), 0, None), Ok(()));
    }

    #[test]
    fn rows_in_chunks_are_counted_through() {
        let mut all = Rows::new(dimension(3000));
        for _ in 0..100 {
            all.grow().fill(1.0);
        }
        all.last_mut()[7] = f32::NAN;
        let expected = Error::NonFinite { row: Some(99), column: 7, value: "nan".to_owned() };
        assert_eq!(upload(&all, None), Err(expected));
    }
}
