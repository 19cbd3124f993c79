//! What a filter says, once it is read, and what it means for one row.

use std::cmp::Ordering;

use super::{Pattern, Value, value_at};
use crate::error::Result;

/// A filter: its text and what that says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    text: String,
    expression: Expression,
}

/// One step into metadata.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Of an object, the value of this key.
    Key(String),
    /// Of a list, this element, from 0.
    Index(usize),
}

/// Steps into metadata, one at least.
pub type Path = Vec<Step>;

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// The id of the source.
    SourceId,
    /// The id of the row.
    ChunkId,
    /// A value of the source's metadata.
    Metadata(Path),
}

/// How two values of one kind lie to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// What is asked of a value. All is false of a value that is not there or of another kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// `==`
    Equal(Value),
    /// `!=`
    NotEqual(Value),
    /// `<`, `<=`, `>`, `>=`
    Ordered(Comparison, Value),
    /// `in`; sorted, each once.
    In(Vec<Value>),
    /// `not in`; sorted, each once.
    NotIn(Vec<Value>),
    /// `like`
    Like(Pattern),
    /// `exists`: it is there, whatever it is.
    Exists,
}

/// What a filter says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// One test of one field.
    Test(Field, Test),
    /// All of them, two at least.
    All(Vec<Expression>),
    /// Any of them, two at least.
    Any(Vec<Expression>),
    /// The contrary.
    Not(Box<Expression>),
}

/// One row, as far as filters look at it.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Its source's id.
    pub source_id: &'a str,
    /// Its id.
    pub chunk_id: &'a str,
    /// Its source's metadata.
    pub metadata: Option<&'a [u8]>,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// [`crate::error::Error::FilterSyntax`] with the place and what would be right there.
    pub fn parse(text: &str) -> Result<Self> {
        let expression = super::parser::parse(text)?;
        Ok(Self { text: text.to_owned(), expression })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it says.
    pub const fn expression(&self) -> &Expression {
        &self.expression
    }
}

impl Comparison {
    /// The same with the sides exchanged.
    pub const fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }

    /// Whether it holds of a value that lies so to the other.
    pub const fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl Test {
    /// Whether it holds of a value, or of none.
    pub fn holds(&self, value: Option<&Value>) -> bool {
        let Some(value) = value else { return false };
        let Some(kind) = value.kind() else { return *self == Self::Exists };
        let alike = |other: &Value| other.kind() == Some(kind);
        match self {
            Self::Equal(other) => value == other,
            Self::NotEqual(other) => alike(other) && value != other,
            Self::Ordered(comparison, other) => alike(other) && comparison.holds(value.cmp(other)),
            Self::In(others) => others.binary_search(value).is_ok(),
            Self::NotIn(others) => {
                (others.is_empty() || others.iter().any(alike)) && others.binary_search(value).is_err()
            }
            Self::Like(pattern) => matches!(value, Value::Text(text) if pattern.matches(text)),
            Self::Exists => true,
        }
    }

    /// Whether it holds of a text.
    pub fn holds_of(&self, text: &str) -> bool {
        let is_text = |other: &Value| matches!(other, Value::Text(_));
        match self {
            Self::Equal(other) => other.cmp_text(text).is_eq(),
            Self::NotEqual(other) => is_text(other) && other.cmp_text(text).is_ne(),
            Self::Ordered(comparison, other) => {
                is_text(other) && comparison.holds(other.cmp_text(text).reverse())
            }
            Self::In(others) => others.binary_search_by(|other| other.cmp_text(text)).is_ok(),
            Self::NotIn(others) => {
                (others.is_empty() || others.iter().any(is_text))
                    && others.binary_search_by(|other| other.cmp_text(text)).is_err()
            }
            Self::Like(pattern) => pattern.matches(text),
            Self::Exists => true,
        }
    }
}

impl Expression {
    /// Whether it holds of one row.
    pub fn holds(&self, row: Row<'_>) -> bool {
        match self {
            Self::Test(Field::SourceId, test) => test.holds_of(row.source_id),
            Self::Test(Field::ChunkId, test) => test.holds_of(row.chunk_id),
            Self::Test(Field::Metadata(path), test) => {
                test.holds(row.metadata.and_then(|text| value_at(text, path)).as_ref())
            }
            Self::All(parts) => parts.iter().all(|part| part.holds(row)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(row)),
            Self::Not(part) => !part.holds(row),
        }
    }

    /// Shows `visit` every test.
    pub fn each_test<'a>(&'a self, visit: &mut dyn FnMut(&'a Field, &'a Test)) {
        match self {
            Self::Test(field, test) => visit(field, test),
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.each_test(visit)),
            Self::Not(part) => part.each_test(visit),
        }
    }
}
