//! Numbers that compare by value, exactly, whether they were written as integers or as doubles.

use std::cmp::Ordering;

/// Doubles of at least this size are whole, and none of them is an `i64` but its negation.
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// An integer of any size, or a double; each value in one form only, so that equal values are equal. `-0.0` is 0.
#[derive(Clone, Debug, PartialEq)]
pub enum Number {
    /// A whole number that fits.
    Integer(i64),
    /// A double that is not whole; so it is smaller than 2^52.
    Fraction(f64),
    /// A whole number that does not fit, in decimal without leading zeros.
    Big {
        /// Whether it is below zero.
        negative: bool,
        /// Its digits.
        digits: Box<str>,
    },
    /// A double beyond all others: text such as `1e999` says so.
    Infinite {
        /// Whether it is below all others.
        negative: bool,
    },
}

impl Number {
    /// The number that `text` writes in JSON; a point or an exponent makes it a double. `None` when it writes none.
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains(['.', 'e', 'E']) {
            return text.parse().ok().and_then(Self::from_double);
        }
        if let Ok(fits) = text.parse() {
            return Some(Self::Integer(fits));
        }
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let digits = digits.trim_start_matches('0');
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| Self::Big { negative, digits: digits.into() })
    }

    fn from_double(double: f64) -> Option<Self> {
        Some(if double.is_nan() {
            return None;
        } else if double.is_infinite() {
            Self::Infinite { negative: double < 0.0 }
        } else if double.fract() != 0.0 {
            Self::Fraction(double)
        } else if (-TWO_TO_63..TWO_TO_63).contains(&double) {
            // Whole and within the bounds: exact.
            #[allow(clippy::cast_possible_truncation)]
            Self::Integer(double as i64)
        } else {
            // Every digit: a double that large is a whole number with a finite decimal text.
            Self::Big { negative: double < 0.0, digits: format!("{:.0}", double.abs()).into() }
        })
    }

    /// Which of the parts of the line it lies in, from below.
    const fn part(&self) -> u8 {
        match self {
            Self::Infinite { negative: true } => 0,
            Self::Big { negative: true, .. } => 1,
            Self::Integer(_) | Self::Fraction(_) => 2,
            Self::Big { negative: false, .. } => 3,
            Self::Infinite { negative: false } => 4,
        }
    }
}

impl Eq for Number {}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Fraction(a), Self::Fraction(b)) => a.total_cmp(b),
            (Self::Integer(whole), Self::Fraction(double)) => against(*whole, *double),
            (Self::Fraction(double), Self::Integer(whole)) => against(*whole, *double).reverse(),
            (Self::Big { negative, digits: a }, Self::Big { negative: same, digits: b })
                if negative == same =>
            {
                let sizes = a.len().cmp(&b.len()).then_with(|| a.cmp(b));
                if *negative { sizes.reverse() } else { sizes }
            }
            _ => self.part().cmp(&other.part()),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A whole number against a double that is not whole.
fn against(whole: i64, double: f64) -> Ordering {
    // Smaller than 2^52, so its floor is exact.
    #[allow(clippy::cast_possible_truncation)]
    let below = double.floor() as i64;
    if whole <= below { Ordering::Less } else { Ordering::Greater }
}
