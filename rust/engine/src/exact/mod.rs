//! Distances of float32 rows: the one place where an answered distance and its score are computed.
//! Knows vectors; does not know codes, slots or files.

mod prefetch_unsafe;
mod sums_unsafe;

use crate::vector::Metric;
use sums_unsafe::{dot_and_difference, dot_and_square, rough_dot_and_difference, rough_dot_and_square};

/// A query and what of it is computed once.
#[derive(Clone, Debug)]
pub struct Query {
    metric: Metric,
    values: Vec<f32>,
    /// `|query|`
    norm: f64,
}

/// Prepares a query of finite numbers.
pub fn prepare(metric: Metric, query: &[f32]) -> Query {
    let norm = dot_and_square(query, query).0.sqrt();
    Query { metric, values: query.to_vec(), norm }
}

pub use prefetch_unsafe::prefetch;

/// Score of a distance: higher is more similar. Cosine: the cosine; ip: the product; l2: `-distance`.
pub fn score(metric: Metric, distance: f32) -> f32 {
    match metric {
        Metric::Cosine => 1.0 - distance,
        // Not the negation, which would make a distance of 0 a score of -0.
        Metric::InnerProduct | Metric::L2 => 0.0 - distance,
    }
}

impl Query {
    /// The metric it was prepared for.
    pub const fn metric(&self) -> Metric {
        self.metric
    }

    /// The query itself.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The distance that is answered: sums in float64, clamped to finite float32. Cosine: `1 - cos` with
    /// the cosine in -1..=1 (0 where one of the vectors is all zeros); ip: `-dot`; l2: root taken.
    pub fn distance(&self, row: &[f32]) -> f32 {
        match self.metric {
            Metric::Cosine => {
                let (dot, square) = dot_and_square(&self.values, row);
                (1.0 - self.cosine(dot, square)) as f32
            }
            Metric::InnerProduct => clamp(0.0 - dot_and_difference(&self.values, row).0),
            Metric::L2 => clamp(dot_and_difference(&self.values, row).1.sqrt()),
        }
    }

    /// Nearly the same, in float32 and several times as fast: for choosing candidates. Where float32
    /// overflows or loses everything, it is [`Self::distance`].
    pub fn rough(&self, row: &[f32]) -> f32 {
        // Whatever underflowed in the sums is less than a millionth of this.
        const SMALLEST: f32 = 1e-28;
        match self.metric {
            Metric::Cosine => {
                let (dot, square) = rough_dot_and_square(&self.values, row);
                if dot.is_finite() && square.is_finite() && square > SMALLEST && self.norm > 1e-14 {
                    return (1.0 - self.cosine(f64::from(dot), f64::from(square))) as f32;
                }
            }
            Metric::InnerProduct => {
                let (dot, _) = rough_dot_and_difference(&self.values, row);
                if dot.is_finite() && dot.abs() > SMALLEST {
                    return -dot;
                }
            }
            Metric::L2 => {
                let (_, square) = rough_dot_and_difference(&self.values, row);
                if square.is_finite() && square > SMALLEST {
                    return square.sqrt();
                }
            }
        }
        self.distance(row)
    }

    fn cosine(&self, dot: f64, square: f64) -> f64 {
        let norms = self.norm * square.sqrt();
        if norms > 0.0 { (dot / norms).clamp(-1.0, 1.0) } else { 0.0 }
    }
}

/// The nearest finite float32.
fn clamp(distance: f64) -> f32 {
    distance.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::tests::Random;

    const METRICS: [Metric; 3] = [Metric::Cosine, Metric::InnerProduct, Metric::L2];

    fn reference(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
        let pairs = || a.iter().zip(b).map(|(&a, &b)| (f64::from(a), f64::from(b)));
        let dot = pairs().map(|(a, b)| a * b).sum::<f64>();
        match metric {
            Metric::Cosine => {
                let squares = pairs().fold((0.0, 0.0), |sums, (a, b)| (sums.0 + a * a, sums.1 + b * b));
                1.0 - dot / (f64::sqrt(squares.0) * f64::sqrt(squares.1))
            }
            Metric::InnerProduct => -dot,
            Metric::L2 => pairs().map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt(),
        }
    }

    #[test]
    fn distances_are_those_of_float64_at_every_width() {
        for seed in 0..3 {
            let mut random = Random(seed);
            for columns in (1..70).chain([384, 1536, 3024]) {
                let (a, b) = (random.row(columns), random.row(columns));
                for metric in METRICS {
                    let query = prepare(metric, &a);
                    let want = reference(metric, &a, &b);
                    let (exact, rough) = (query.distance(&b), query.rough(&b));
                    let context = format!("seed {seed}, {metric:?}, {columns} columns, {want}");
                    assert!(
                        (f64::from(exact) - want).abs() <= want.abs() * 1e-7 + 1e-12,
                        "{context}: {exact}"
                    );
                    assert!(
                        (f64::from(rough) - want).abs() <= 1e-4 * want.abs().max(1.0),
                        "{context}: {rough}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_distance_of_a_vector_to_itself_is_zero() {
        let mut random = Random(5);
        for scale in [f32::MIN_POSITIVE, 1e-20, 1.0, 1e20, f32::MAX] {
            for columns in [1, 2, 7, 384, 3024] {
                let row: Vec<_> = random.row(columns).iter().map(|x| x * scale).collect();
                for metric in [Metric::Cosine, Metric::L2] {
                    let distance = prepare(metric, &row).distance(&row);
                    assert!(
                        (0.0..1e-12).contains(&distance),
                        "{metric:?}, {scale:e}, {columns}: {distance:e}"
                    );
                }
            }
        }
    }

    #[test]
    fn distances_are_finite_whatever_the_rows() {
        let rows =
            [[f32::MAX; 40], [f32::MIN; 40], [f32::from_bits(1); 40], [1.0; 40], [f32::MIN_POSITIVE; 40]];
        for metric in METRICS {
            for a in &rows {
                let query = prepare(metric, a);
                for b in &rows {
                    let want = reference(metric, a, b).clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
                    for got in [query.distance(b), query.rough(b)] {
                        let near = (got - want).abs() <= want.abs() * 1e-5 + 1e-6 || got == want;
                        assert!(got.is_finite() && near, "{metric:?}, {} {}: {got:e} {want:e}", a[0], b[0]);
                    }
                }
            }
        }
    }

    #[test]
    fn a_higher_score_is_more_similar_and_zero_has_no_sign() {
        assert_eq!(score(Metric::Cosine, 0.25), 0.75);
        assert_eq!(score(Metric::InnerProduct, -3.0), 3.0);
        assert_eq!(score(Metric::L2, 2.0), -2.0);
        assert!(score(Metric::L2, 0.0).is_sign_positive());
        assert!(prepare(Metric::InnerProduct, &[0.0]).distance(&[1.0]).is_sign_positive());
    }
}
