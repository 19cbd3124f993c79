//! Sums over the pairs of two rows, compiled twice: for the wide registers that a processor may have, and
//! for those that it must. Both add in the same order and give the same bits.

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
                #[target_feature(enable = "avx2")]
                fn wide(a: &[f32], b: &[f32]) -> ($sum, $sum) {
                    portable(a, b)
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
