//! The binary form `{"data", "dtype", "shape"}` of rows: what is known of it while it is read.

use super::base64::Decoder;
use super::binary_number::Type;
use super::text::Text;

/// A binary form while it is read; its keys may come in any order.
#[derive(Debug, Default)]
pub struct Binary {
    pub seen: Seen,
    pub dtype: Option<Type>,
    /// Rows and columns.
    pub shape: Option<(usize, usize)>,
    /// The numbers of `shape` so far, and the text of the one that is open.
    pub extents: Vec<f64>,
    pub extent: Vec<u8>,
    pub decoder: Decoder,
    /// A character of `data` that is escaped.
    pub escape: Option<Text>,
    /// What was decoded and is no row yet: all of it, unless type and shape came first.
    pub bytes: Vec<u8>,
    /// Bytes that went to rows already.
    pub filled: usize,
    /// Whether bytes go to rows as they are decoded.
    pub direct: bool,
}

/// Which keys came.
#[derive(Debug, Default)]
pub struct Seen {
    pub data: bool,
    pub dtype: bool,
    pub shape: bool,
}

impl Binary {
    /// The type that `name` stands for.
    pub fn type_of(name: &[u8]) -> Option<Type> {
        Some(match name {
            b"float32" => Type::F4,
            b"float16" => Type::F2,
            b"int8" => Type::I1,
            _ => return None,
        })
    }

    /// Type and shape, and the bytes that they ask for, once both are known.
    pub fn layout(&self) -> Option<(Type, usize)> {
        let (number, (rows, columns)) = (self.dtype?, self.shape?);
        Some((number, rows * columns * number.size()))
    }
}
