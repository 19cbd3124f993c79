//! The words and signs of a filter, each with its place, counted in characters.

use crate::error::{Error, Result};

/// One word or sign.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A word: a field, an operator, a boolean.
    Word(String),
    /// What stands between quotes.
    Text(Literal),
    /// A number as it is written.
    Number(String),
    /// `==`, `(`, and so on.
    Sign(&'static str),
    /// Behind the last.
    End,
}

/// A string between quotes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Literal {
    /// Its text; where a wildcard was escaped, the backslash is still there.
    pub(super) text: String,
    /// Place of the first escaped wildcard.
    pub(super) wildcard: Option<usize>,
}

/// A word or sign and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) offset: usize,
}

/// Longest first, so that none hides another.
const SIGNS: [&str; 14] = ["==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "(", ")", "[", "]", ","];
/// What others write, and what it is here.
const FOREIGN: [(&str, &str); 4] = [
    ("<>", "`<>` is written `!=`"),
    ("=", "`=` is written `==`"),
    ("&", "`&` is written `and`"),
    ("|", "`|` is written `or`"),
];

pub(super) fn wrong<T>(offset: usize, reason: impl Into<String>) -> Result<T> {
    Err(Error::FilterSyntax { offset, reason: reason.into() })
}

/// Reads tokens from the front of a text.
pub(super) struct Tokens<'a> {
    rest: &'a str,
    offset: usize,
}

impl<'a> Tokens<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { rest: text, offset: 0 }
    }

    pub(super) fn next(&mut self) -> Result<Token> {
        let white = self.rest.len() - self.rest.trim_start().len();
        self.skip(white);
        let offset = self.offset;
        let kind = match self.rest.chars().next() {
            None => Kind::End,
            Some(quote @ ('"' | '\'')) => Kind::Text(self.string(quote)?),
            Some(first) if first.is_alphabetic() || first == '_' || first == '$' => {
                let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$');
                Kind::Word(self.take(end))
            }
            Some(first) if first.is_ascii_digit() || self.is_number() => Kind::Number(self.number()?),
            Some(first) => {
                for (foreign, ours) in FOREIGN {
                    if self.rest.starts_with(foreign)
                        && !SIGNS.iter().any(|sign| self.is_longer(sign, foreign))
                    {
                        return wrong(offset, ours);
                    }
                }
                let Some(sign) = SIGNS.into_iter().find(|sign| self.rest.starts_with(sign)) else {
                    return wrong(offset, format!("`{}` has no meaning here", first.escape_debug()));
                };
                self.skip(sign.len());
                Kind::Sign(sign)
            }
        };
        Ok(Token { kind, offset })
    }

    fn is_longer(&self, sign: &str, than: &str) -> bool {
        sign.len() > than.len() && self.rest.starts_with(sign)
    }

    /// Whether a number begins here with its sign or its point.
    fn is_number(&self) -> bool {
        let digits = self.rest.trim_start_matches(['+', '-']);
        let signs = self.rest.len() - digits.len();
        signs <= 1 && digits.strip_prefix('.').unwrap_or(digits).starts_with(|c: char| c.is_ascii_digit())
    }

    fn skip(&mut self, bytes: usize) {
        let (skipped, rest) = self.rest.split_at(bytes);
        self.offset += skipped.chars().count();
        self.rest = rest;
    }

    fn take(&mut self, end: Option<usize>) -> String {
        let taken = self.rest[..end.unwrap_or(self.rest.len())].to_owned();
        self.skip(taken.len());
        taken
    }

    fn number(&mut self) -> Result<String> {
        let offset = self.offset;
        let exponent = |text: &str| text.ends_with(['e', 'E']);
        let mut end = 0;
        for (at, character) in self.rest.char_indices() {
            let sign = matches!(character, '+' | '-') && (at == 0 || exponent(&self.rest[..at]));
            if !(sign || character.is_alphanumeric() || matches!(character, '.' | '_')) {
                break;
            }
            end = at + character.len_utf8();
        }
        let text = self.take(Some(end));
        let digits = text.trim_start_matches(['+', '-']);
        let (whole, behind) =
            digits.split_at(digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len()));
        if whole.len() > 1 && whole.starts_with('0') {
            return wrong(offset, format!("`{}` has leading zeros: leave them out", short(&text)));
        }
        let is_double = || text.parse::<f64>().is_ok_and(f64::is_finite);
        if behind.is_empty() || (behind.starts_with(['.', 'e', 'E']) && is_double()) {
            return Ok(text);
        }
        wrong(
            offset,
            format!("`{}` is no number: write 12, -1.5 or 2e3, within what a double holds", short(&text)),
        )
    }

    fn string(&mut self, quote: char) -> Result<Literal> {
        let start = self.offset;
        self.skip(1);
        let mut literal = Literal { text: String::new(), wildcard: None };
        loop {
            let plain = self.rest.find([quote, '\\']);
            let Some(plain) = plain else {
                return wrong(
                    start,
                    format!("the string that begins here has no end: close it with {quote}"),
                );
            };
            literal.text.push_str(&self.rest[..plain]);
            self.skip(plain);
            if self.rest.starts_with(quote) {
                self.skip(1);
                return Ok(literal);
            }
            let offset = self.offset;
            let character = self.rest.chars().nth(1);
            let plain = match character {
                Some(same @ ('\\' | '"' | '\'' | '/')) => same,
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('u') => {
                    let unescaped = self.unicode()?;
                    literal.text.push(unescaped);
                    continue;
                }
                Some(wildcard @ ('%' | '_')) => {
                    literal.wildcard.get_or_insert(offset);
                    literal.text.push('\\');
                    wildcard
                }
                _ => {
                    let known = "\\\\ \\\" \\' \\/ \\b \\f \\n \\r \\t \\u0000";
                    return wrong(offset, format!("no such escape: known are {known}, a backslash is \\\\"));
                }
            };
            literal.text.push(plain);
            self.skip(1 + character.map_or(0, char::len_utf8));
        }
    }

    /// `\u` and four digits, or two of them for one character.
    fn unicode(&mut self) -> Result<char> {
        let unit = |text: &str| {
            let digits = text.strip_prefix("\\u")?.get(..4)?;
            digits
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit())
                .then(|| u16::from_str_radix(digits, 16).ok())?
        };
        let units: Vec<u16> =
            [unit(self.rest), self.rest.get(6..).and_then(unit)].into_iter().map_while(|u| u).collect();
        let character = char::decode_utf16(units).next().and_then(std::result::Result::ok);
        let Some(character) = character else {
            return wrong(
                self.offset,
                "`\\u` needs four hexadecimal digits that are a character, or two of it for one",
            );
        };
        self.skip(6 * character.len_utf16());
        Ok(character)
    }
}

/// What a message can hold of a text.
pub(super) fn short(text: &str) -> String {
    let mut shown: String = text.chars().take(40).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    shown
}
