//! A JSON number, read as the float32 nearest to it (ties to even): rounded once, bit-identical to
//! `str::parse::<f32>`. [`fill`] is the fast way for many plain ones, [`parse`] for one that lies whole in a chunk;
//! [`Decimal`] takes any number byte by byte, of any length, in constant memory.

mod plain_unsafe;

pub use plain_unsafe::fill;

/// Bytes that [`parse`] wants to see: more than the longest number it takes, so that the end is inside.
pub const WINDOW: usize = 64;

/// Powers of ten that are exact as f64.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];
const SHORT_POWERS: [u64; 9] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
/// Decimal digits that always fit a u64.
const SAFE_DIGITS: usize = 19;
/// Bits that f64 has more than f32 in its significand.
const EXTRA_BITS: u32 = 29;

/// Reads the number at the start of `text` and returns it with its length. `None` when the text is shorter
/// than [`WINDOW`], or is no number, or one for [`Decimal`]: nothing is said about its grammar then.
#[inline]
pub fn parse(text: &[u8]) -> Option<(f32, usize)> {
    let text: &[u8; WINDOW] = text.first_chunk()?;
    let negative = text[0] == b'-';
    let mut at = usize::from(negative);
    let first = digit(text[at])?;
    let start = at;
    let mut mantissa = u64::from(first);
    at += 1;
    while let Some(next) = digit(text[at]) {
        if first == 0 || at - start == SAFE_DIGITS {
            return None;
        }
        mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(next));
        at += 1;
    }
    let mut digits = at - start;
    let mut exponent = 0_i32;
    if text[at] == b'.' {
        at += 1;
        let point = at;
        // At most 24 digits: three words. `at` is at most 21 here, so no word leaves the window.
        loop {
            let (value, count) = leading_digits(word(text, at)?);
            mantissa = mantissa.wrapping_mul(SHORT_POWERS[count]).wrapping_add(value);
            at += count;
            if count < 8 {
                break;
            }
            if at - point == 24 {
                return None;
            }
        }
        if at == point {
            return None;
        }
        digits += at - point;
        exponent = -((at - point) as i32);
    }
    if text[at] | 0x20 == b'e' {
        let (value, length) = short_exponent(&text[at + 1..])?;
        exponent += value;
        at += 1 + length;
    }
    if digits > SAFE_DIGITS && significant(&text[start..at]) > SAFE_DIGITS {
        return Some((exact(&text[..at])?, at));
    }
    match narrow(mantissa, exponent) {
        // Signs are random: no branch.
        Some(value) => Some((f32::from_bits(value.to_bits() | u32::from(negative) << 31), at)),
        None => Some((exact(&text[..at])?, at)),
    }
}

/// `mantissa * 10^exponent` rounded once to f32, or `None` when this way cannot prove it.
///
/// The f64 result carries two roundings (of the mantissa, and of the product or quotient with an exact power),
/// each at most 2^-53 relative, so it lies less than 2.01 of its own ulps from the true value. Two f32 midpoints
/// are 2^29 such ulps apart, halfway between multiples of 2^29. A result more than 4 ulps from the midpoint is
/// therefore on the same side of it as the true value, and rounding it rounds the true value. Below the smallest
/// normal f32 the midpoints lie elsewhere; those are left to the exact way. Zero is exact.
#[inline]
fn narrow(mantissa: u64, exponent: i32) -> Option<f32> {
    let power = *POWERS.get(exponent.unsigned_abs() as usize)?;
    let whole = i64::try_from(mantissa).ok()? as f64;
    let wide = if exponent < 0 { whole / power } else { whole * power };
    let extra = wide.to_bits() & ((1 << EXTRA_BITS) - 1);
    let clear = extra.abs_diff(1 << (EXTRA_BITS - 1)) > 4;
    (clear && (wide >= f64::from(f32::MIN_POSITIVE) || mantissa == 0)).then_some(wide as f32)
}

/// The standard library's answer; `text` is a JSON number, whose grammar is a part of Rust's.
fn exact(text: &[u8]) -> Option<f32> {
    str::from_utf8(text).ok()?.parse().ok()
}

#[inline]
fn digit(byte: u8) -> Option<u8> {
    let value = byte.wrapping_sub(b'0');
    (value <= 9).then_some(value)
}

#[inline]
fn word(text: &[u8; WINDOW], at: usize) -> Option<u64> {
    text.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Value and count (0..=8) of the ASCII digits at the start of eight bytes.
#[inline]
fn leading_digits(word: u64) -> (u64, usize) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let values = word ^ (ONES * 0x30);
    // A byte above 9 gets its top bit. A carry can only reach bytes behind one that is marked already.
    let others = (values.wrapping_add(ONES * 0x76) | values) & (ONES * 0x80);
    if others == 0 {
        return (eight_digits(values), 8);
    }
    let count = others.trailing_zeros() as usize / 8;
    // The digits move to the end of the word; zeros come in before them.
    (eight_digits((values << 8) << (56 - 8 * count)), count)
}

/// Eight digit values, the most significant in the lowest byte: pairs, then fours, then all.
#[inline]
fn eight_digits(values: u64) -> u64 {
    let pairs = (values.wrapping_mul(10) + (values >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100) + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    (fours.wrapping_mul(10_000) + (fours >> 32)) & 0xffff_ffff
}

/// Value and length of a sign and one to three digits.
#[inline]
fn short_exponent(text: &[u8]) -> Option<(i32, usize)> {
    let negative = text.first()? == &b'-';
    let sign = usize::from(negative || text[0] == b'+');
    let mut value = 0;
    let mut at = sign;
    while let Some(next) = digit(*text.get(at)?) {
        if at - sign == 3 {
            return None;
        }
        value = value * 10 + i32::from(next);
        at += 1;
    }
    (at > sign).then_some((if negative { -value } else { value }, at))
}

/// Digits of the significand without leading zeros.
fn significant(text: &[u8]) -> usize {
    let digits = text.iter().take_while(|byte| **byte | 0x20 != b'e').filter(|byte| byte.is_ascii_digit());
    digits.skip_while(|digit| **digit == b'0').count()
}

/// Where in the grammar of a number the text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Nothing yet.
    Start,
    /// A minus sign: a digit must follow.
    Minus,
    /// A leading zero: no digit may follow.
    Zero,
    /// Digits before the point.
    Whole,
    /// The point: a digit must follow.
    Point,
    /// Digits behind the point.
    Fraction,
    /// `e`: a sign or a digit must follow.
    Exponent,
    /// The sign of the exponent: a digit must follow.
    ExponentSign,
    /// Digits of the exponent.
    ExponentDigits,
}

/// What a byte is to the number before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A part of it.
    Part(Part),
    /// Not a part of it: the number ended before this byte.
    End,
    /// Wrong here.
    Wrong(&'static str),
}

impl Part {
    /// What `byte` is behind this part.
    #[inline]
    pub const fn next(self, byte: u8) -> Next {
        match (self, byte) {
            (Self::Start, b'-') => Next::Part(Self::Minus),
            (Self::Start | Self::Minus, b'0') => Next::Part(Self::Zero),
            (Self::Start | Self::Minus, b'1'..=b'9') | (Self::Whole, b'0'..=b'9') => Next::Part(Self::Whole),
            (Self::Zero, b'0'..=b'9') => Next::Wrong("a number with a leading zero"),
            (Self::Zero | Self::Whole, b'.') => Next::Part(Self::Point),
            (Self::Point | Self::Fraction, b'0'..=b'9') => Next::Part(Self::Fraction),
            (Self::Zero | Self::Whole | Self::Fraction, b'e' | b'E') => Next::Part(Self::Exponent),
            (Self::Exponent, b'+' | b'-') => Next::Part(Self::ExponentSign),
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => {
                Next::Part(Self::ExponentDigits)
            }
            (Self::Zero | Self::Whole | Self::Fraction | Self::ExponentDigits, _) => Next::End,
            _ => Next::Wrong("expected a digit"),
        }
    }
}

/// Digits kept. A midpoint of two float32 numbers has at most 113 significant ones, so what is cut off behind
/// 128 only matters as being more than zero.
const KEPT: usize = 128;
/// Bytes of a number's text that an error shows.
const SHOWN: usize = 40;
/// An exponent this large has decided the value, whatever digits a body can hold.
const FAR: i64 = 1 << 40;

/// A number that arrives byte by byte.
#[derive(Clone, Debug)]
pub struct Decimal {
    part: Part,
    negative: bool,
    digits: Vec<u8>,
    more: bool,
    /// Power of ten of the last kept digit, from the digits alone.
    scale: i64,
    exponent: i64,
    exponent_negative: bool,
    shown: Vec<u8>,
    length: usize,
}

impl Default for Decimal {
    fn default() -> Self {
        Self {
            part: Part::Start,
            negative: false,
            digits: Vec::with_capacity(KEPT + 1),
            more: false,
            scale: 0,
            exponent: 0,
            exponent_negative: false,
            shown: Vec::with_capacity(SHOWN),
            length: 0,
        }
    }
}

impl Decimal {
    /// Makes room for the next number.
    pub fn clear(&mut self) {
        self.part = Part::Start;
        self.negative = false;
        self.digits.clear();
        self.more = false;
        self.scale = 0;
        self.exponent = 0;
        self.exponent_negative = false;
        self.shown.clear();
        self.length = 0;
    }

    /// Takes a byte if it is a part of the number.
    pub fn push(&mut self, byte: u8) -> Next {
        let next = self.part.next(byte);
        let Next::Part(part) = next else { return next };
        match part {
            Part::Minus => self.negative = true,
            Part::Zero | Part::Whole => self.digit(byte, 0),
            Part::Fraction => self.digit(byte, -1),
            Part::ExponentSign => self.exponent_negative = byte == b'-',
            Part::ExponentDigits => {
                self.exponent = (self.exponent * 10 + i64::from(byte - b'0')).min(FAR);
            }
            Part::Start | Part::Point | Part::Exponent => {}
        }
        self.part = part;
        self.length += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(byte);
        }
        next
    }

    fn digit(&mut self, byte: u8, step: i64) {
        if self.digits.is_empty() && byte == b'0' {
            self.scale += step;
        } else if self.digits.len() < KEPT {
            self.digits.push(byte);
            self.scale += step;
        } else {
            self.more |= byte != b'0';
            self.scale += step + 1;
        }
    }

    /// The float32 nearest to the number; infinite when it overflows.
    pub fn value(&self) -> f32 {
        let exponent = if self.exponent_negative { -self.exponent } else { self.exponent };
        let mut text = String::with_capacity(KEPT + 16);
        text.extend(self.digits.iter().map(|byte| char::from(*byte)));
        let mut scale = self.scale.saturating_add(exponent);
        if text.is_empty() {
            text.push('0');
        } else if self.more {
            text.push('1');
            scale -= 1;
        }
        // Far beyond what float32 can tell, near enough for the standard library.
        text.push_str(&format!("e{}", scale.clamp(-10_000, 10_000)));
        let value = exact(text.as_bytes()).unwrap_or(f32::INFINITY);
        if self.negative { -value } else { value }
    }

    /// The text as it was sent, shortened if long.
    pub fn text(&self) -> String {
        let mut text: String = self.shown.iter().map(|byte| char::from(*byte)).collect();
        if self.length > self.shown.len() {
            text.push('…');
        }
        text
    }
}

#[cfg(test)]
mod tests;
