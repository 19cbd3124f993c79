//! Values that metadata holds and expressions name.

use std::cmp::Ordering;

use super::Number;

/// A value; those of one kind are ordered among themselves, and lie together in the order of all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Number(Number),
    /// A string, ordered by its bytes, which is the order of its code points.
    Text(Box<str>),
    /// What is there and equals nothing: `null`, a list, an object.
    Other,
}

impl Value {
    /// Kinds that can be compared.
    pub const KINDS: usize = 3;

    /// Number of its kind; `None` for what cannot be compared.
    pub const fn kind(&self) -> Option<usize> {
        match self {
            Self::Boolean(_) => Some(0),
            Self::Number(_) => Some(1),
            Self::Text(_) => Some(2),
            Self::Other => None,
        }
    }

    /// Where the kind of this value begins and where the next one does.
    pub fn kind_bounds(&self) -> (Self, Self) {
        let least = Self::Number(Number::Infinite { negative: true });
        match self {
            Self::Boolean(_) => (Self::Boolean(false), least),
            Self::Number(_) => (least, Self::Text("".into())),
            Self::Text(_) | Self::Other => (Self::Text("".into()), Self::Other),
        }
    }

    /// As the order of all, with a text in the other's place.
    pub fn cmp_text(&self, text: &str) -> Ordering {
        match self {
            Self::Boolean(_) | Self::Number(_) => Ordering::Less,
            Self::Text(own) => (**own).cmp(text),
            Self::Other => Ordering::Greater,
        }
    }

    /// Bytes that it takes beside its own place.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Number(Number::Big { digits, .. }) => digits.len(),
            _ => 0,
        }
    }
}
