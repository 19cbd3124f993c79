//! The body of a request, read while it arrives: numbers become rows, everything else is kept as it came.
//! It knows the content encodings, the text of JSON, base64, the npy format and the paths where numbers are; it does not
//! know what the other fields mean.

use crate::limits::{MAX_QUERIES, MAX_ROWS};
use crate::vector::Rows;

pub mod base64;
mod binary;
mod binary_number;
mod encoding;
mod intake;
mod json;
mod npy;
mod npy_header;
pub mod number;
mod path;
mod text;

pub use encoding::{Encoding, Unpacker};
pub use json::JsonReader;
pub use npy::NpyReader;

/// What the numbers of a body are for: it names the paths where they are, and the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Rows to store.
    Insert,
    /// Vectors to search for.
    Search,
}

impl Purpose {
    /// Most rows of one body.
    pub const fn max_rows(self) -> usize {
        match self {
            Self::Insert => MAX_ROWS,
            Self::Search => MAX_QUERIES,
        }
    }
}

/// A body that was read whole.
#[derive(Debug)]
pub struct Body {
    /// The JSON text with the number of its row in place of every array of numbers at a known path, and in place of a
    /// binary form what the arrays that it stands for would leave; otherwise byte for byte as it was sent. `{}` for npy.
    pub envelope: Vec<u8>,
    /// All the arrays of numbers in the order of the body, every number finite.
    pub rows: Option<Rows>,
    /// Whether an npy array had one dimension (it is given as one row).
    pub one_dimensional: bool,
}
