//! Sums over the pairs of two rows, compiled three times: for the wide registers that a processor may have (the
//! widest are also twice as many, which all the sums fit in), and for those that it must. All add in the same order
//! and give the same bits.

/// Independent sums, which the compiler keeps in vector registers.
const LANES: usize = 32;

/// Defines the sums of two terms of the pairs of `a` and `b`, taken in one pass. Pairs of zeros fill the
/// last step up: they must add nothing. Loops in place of closures, for which vectors are not found.
macro_rules! sums {
    ($(#[$doc:meta])* $name:ident: $sum:ty, |$a:ident, $b:ident| $first:expr, $second:expr) => {
        $(#[$doc])*
        #[inline]
        pub fn $name(a: &[f32], b: &[f32]) -> ($sum, $sum) {
            #[inline(always)]
            fn portable(a: &[f32], b: &[f32]) -> ($sum, $sum) {
                let (mut first, mut second) = ([0.0; LANES], [0.0; LANES]);
                let (whole_a, rest_a) = a.as_chunks::<LANES>();
                let (whole_b, rest_b) = b.as_chunks::<LANES>();
                for (a, b) in whole_a.iter().zip(whole_b) {
                    for lane in 0..LANES {
                        let ($a, $b) = (a[lane] as $sum, b[lane] as $sum);
                        first[lane] += $first;
                        second[lane] += $second;
                    }
                }
                let (mut a, mut b) = ([0.0; LANES], [0.0; LANES]);
                let count = rest_a.len().min(rest_b.len());
                a[..count].copy_from_slice(&rest_a[..count]);
                b[..count].copy_from_slice(&rest_b[..count]);
                for lane in 0..LANES {
                    let ($a, $b) = (a[lane] as $sum, b[lane] as $sum);
                    first[lane] += $first;
                    second[lane] += $second;
                }
                let mut half = LANES / 2;
                while half > 0 {
                    for lane in 0..half {
                        first[lane] += first[lane + half];
                        second[lane] += second[lane + half];
                    }
                    half /= 2;
                }
                (first[0], second[0])
            }

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl")]
                fn widest(a: &[f32], b: &[f32]) -> ($sum, $sum) {
                    portable(a, b)
                }
                #[target_feature(enable = "avx2")]
                fn wide(a: &[f32], b: &[f32]) -> ($sum, $sum) {
                    portable(a, b)
                }
                if std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512vl")
                {
                    // SAFETY: the processor has both.
                    return unsafe { widest(a, b) };
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has AVX2.
                    return unsafe { wide(a, b) };
                }
            }
            portable(a, b)
        }
    };
}

sums!(
    /// `(a . b, b . b)`
    dot_and_square: f64, |a, b| a * b, b * b
);
sums!(
    /// `(a . b, |a - b|^2)`
    dot_and_difference: f64, |a, b| a * b, (a - b) * (a - b)
);
sums!(
    /// `(a . b, b . b)` in float32
    rough_dot_and_square: f32, |a, b| a * b, b * b
);
sums!(
    /// `(a . b, |a - b|^2)` in float32
    rough_dot_and_difference: f32, |a, b| a * b, (a - b) * (a - b)
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::tests::Random;

    /// The lanes one by one, in the order in which they are to be added.
    fn plain<T: Copy + Default + std::ops::AddAssign>(
        a: &[f32],
        b: &[f32],
        terms: fn(f32, f32) -> (T, T),
    ) -> (T, T) {
        let (mut first, mut second) = ([T::default(); LANES], [T::default(); LANES]);
        for (index, (&a, &b)) in a.iter().zip(b).enumerate() {
            let (one, other) = terms(a, b);
            first[index % LANES] += one;
            second[index % LANES] += other;
        }
        for half in [16, 8, 4, 2, 1] {
            for lane in 0..half {
                let (one, other) = (first[lane + half], second[lane + half]);
                first[lane] += one;
                second[lane] += other;
            }
        }
        (first[0], second[0])
    }

    #[test]
    fn the_sums_have_the_same_bits_whatever_the_registers() {
        for seed in 0..4 {
            let mut random = Random(seed);
            for columns in (1..70).chain([384, 1536, 3024]) {
                let (a, b) = (random.row(columns), random.row(columns));
                let context = format!("seed {seed}, {columns} columns");
                let bits = |(one, other): (f64, f64)| (one.to_bits(), other.to_bits());
                let want = plain(&a, &b, |a, b| (f64::from(a) * f64::from(b), f64::from(b) * f64::from(b)));
                assert_eq!(bits(dot_and_square(&a, &b)), bits(want), "{context}");
                let want = plain(&a, &b, |a, b| {
                    let difference = f64::from(a) - f64::from(b);
                    (f64::from(a) * f64::from(b), difference * difference)
                });
                assert_eq!(bits(dot_and_difference(&a, &b)), bits(want), "{context}");
                let bits = |(one, other): (f32, f32)| (one.to_bits(), other.to_bits());
                let want = plain(&a, &b, |a, b| (a * b, b * b));
                assert_eq!(bits(rough_dot_and_square(&a, &b)), bits(want), "{context}");
                let want = plain(&a, &b, |a, b| (a * b, (a - b) * (a - b)));
                assert_eq!(bits(rough_dot_and_difference(&a, &b)), bits(want), "{context}");
            }
        }
    }
}
