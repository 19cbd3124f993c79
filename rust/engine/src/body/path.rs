//! The known paths of number arrays: what may stand where in a body.
//!
//! Insert: `embeddings[*]` (matrix form), `embeddings[*].embeddings[*].embedding` (document form) and
//! `embeddings.<chunk id>` (the map of the first age). Search: `query_embedding`, `query_embeddings[*]` and
//! `embeddings` (first age). The binary form `{"data", "dtype", "shape"}` may take the place of an array of rows, and of
//! a query; these three keys are never chunk ids of the map. Everywhere else is plain JSON.

use super::Purpose;

/// What belongs where a value is about to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Anything.
    Plain,
    /// The body itself.
    Body,
    /// `embeddings` of an insert.
    Embeddings,
    /// `embeddings[*]`: a row or a document.
    Item,
    /// `embeddings[*].embeddings`
    Chunks,
    /// `embeddings[*].embeddings[*]`
    Chunk,
    /// A row of many.
    Row,
    /// A vector that stands for itself, in the field of this name.
    Query(&'static str),
    /// `query_embeddings`
    Queries,
    /// `data` of the binary form.
    Data,
    /// `dtype` of the binary form.
    Dtype,
    /// `shape` of the binary form.
    Shape,
    /// A number of `shape`.
    Extent,
}

/// What a binary form stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `embeddings` of an insert.
    Matrix,
    /// `embeddings[*].embeddings`
    Chunks,
    /// The query in the field of this name.
    Query(&'static str),
    /// `query_embeddings`
    Queries,
}

/// A container that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Any array.
    PlainArray,
    /// Any object.
    PlainObject,
    /// The body.
    Body,
    /// `embeddings` of an insert, and its items so far.
    Items(Form, usize),
    /// The map of the first age.
    Map,
    /// `embeddings[*]` of the document form; whether its `embeddings` was seen.
    Document(bool),
    /// `embeddings[*].embeddings`, and its items so far.
    Chunks(usize),
    /// `embeddings[*].embeddings[*]`; whether its `embedding` was seen.
    Chunk(bool),
    /// `query_embeddings`, and its items so far.
    Queries(usize),
    /// A binary form.
    Binary(Target),
    /// Its `shape`.
    Shape,
}

/// What the first item of `embeddings` made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// No item yet.
    Open,
    /// Items are rows.
    Matrix,
    /// Items are documents.
    Document,
}

/// What belongs into `dtype`.
pub const DTYPES: &str = "float32, float16 or int8";

/// What a value is, told from its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `[`
    Array,
    /// `{`
    Object,
    /// `"`
    String,
    /// `-` or a digit
    Number,
    /// `t`, `f`
    Boolean,
    /// `n`
    Null,
}

impl Kind {
    /// `None` when no value begins so.
    pub const fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            b'[' => Self::Array,
            b'{' => Self::Object,
            b'"' => Self::String,
            b'-' | b'0'..=b'9' => Self::Number,
            b't' | b'f' => Self::Boolean,
            b'n' => Self::Null,
            _ => return None,
        })
    }

    /// How an error calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Array => "an array",
            Self::Object => "an object",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::Null => "null",
        }
    }
}

/// What becomes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Passed through unchanged.
    Pass,
    /// Opened, its parts looked at.
    Open(Frame),
    /// Taken as a row of numbers.
    Take,
    /// Decoded as base64.
    Decode,
    /// A short string that is wanted.
    Keep,
    /// Refused: this belongs here.
    Refuse(&'static str),
}

impl Slot {
    /// What becomes of a value of this kind here; `form` is that of the `embeddings` it stands in.
    pub const fn fate(self, kind: Kind, form: Form) -> Fate {
        match (self, kind) {
            (Self::Plain, _) => Fate::Pass,
            (Self::Body, Kind::Object) => Fate::Open(Frame::Body),
            (Self::Body, _) => Fate::Refuse("an object"),
            (Self::Embeddings, Kind::Array) => Fate::Open(Frame::Items(Form::Open, 0)),
            (Self::Embeddings, Kind::Object) => Fate::Open(Frame::Map),
            (Self::Embeddings, Kind::Null) => Fate::Pass,
            (Self::Embeddings, _) => Fate::Refuse("an array of rows"),
            (Self::Item, Kind::Array) if !matches!(form, Form::Document) => Fate::Take,
            (Self::Item, Kind::Object) if !matches!(form, Form::Matrix) => Fate::Open(Frame::Document(false)),
            (Self::Item, _) if matches!(form, Form::Document) => Fate::Refuse("an object"),
            (Self::Chunks, Kind::Array) => Fate::Open(Frame::Chunks(0)),
            (Self::Chunks, Kind::Object) => Fate::Open(Frame::Binary(Target::Chunks)),
            (Self::Chunks, Kind::Null) => Fate::Pass,
            (Self::Chunks, _) => Fate::Refuse("an array of objects"),
            (Self::Chunk, Kind::Object) => Fate::Open(Frame::Chunk(false)),
            (Self::Chunk, _) => Fate::Refuse("an object"),
            (Self::Queries, Kind::Array) => Fate::Open(Frame::Queries(0)),
            (Self::Queries, Kind::Object) => Fate::Open(Frame::Binary(Target::Queries)),
            (Self::Queries, Kind::Null) => Fate::Pass,
            (Self::Queries, _) => Fate::Refuse("an array of rows"),
            (Self::Query(field), Kind::Object) => Fate::Open(Frame::Binary(Target::Query(field))),
            (Self::Query(_), Kind::Null) => Fate::Pass,
            (Self::Row | Self::Query(_), Kind::Array) => Fate::Take,
            (Self::Item | Self::Row | Self::Query(_), _) => Fate::Refuse("an array of numbers"),
            (Self::Data, Kind::String) => Fate::Decode,
            (Self::Data, _) => Fate::Refuse("base64 text"),
            (Self::Dtype, Kind::String) => Fate::Keep,
            (Self::Dtype, _) => Fate::Refuse(DTYPES),
            (Self::Shape, Kind::Array) => Fate::Open(Frame::Shape),
            (Self::Shape, _) => Fate::Refuse("an array of integers"),
            (Self::Extent, Kind::Number) => Fate::Pass,
            (Self::Extent, _) => Fate::Refuse("an integer"),
        }
    }
}

impl Frame {
    /// Whether this is an array.
    pub const fn is_array(self) -> bool {
        matches!(self, Self::PlainArray | Self::Items(..) | Self::Chunks(_) | Self::Queries(_) | Self::Shape)
    }

    /// Whether the keys of this object are compared with anything.
    pub const fn reads_keys(self) -> bool {
        matches!(self, Self::Body | Self::Map | Self::Document(_) | Self::Chunk(_) | Self::Binary(_))
    }

    /// What belongs in this array.
    pub const fn element(self) -> Slot {
        match self {
            Self::Items(..) => Slot::Item,
            Self::Chunks(_) => Slot::Chunk,
            Self::Queries(_) => Slot::Row,
            Self::Shape => Slot::Extent,
            _ => Slot::Plain,
        }
    }

    /// What belongs behind `key` in this object.
    pub fn value(self, key: &[u8], purpose: Purpose) -> Slot {
        match (self, key, purpose) {
            (Self::Body, b"embeddings", Purpose::Insert) => Slot::Embeddings,
            (Self::Body, b"embeddings", Purpose::Search) => Slot::Query("embeddings"),
            (Self::Body, b"query_embedding", Purpose::Search) => Slot::Query("query_embedding"),
            (Self::Body, b"query_embeddings", Purpose::Search) => Slot::Queries,
            (Self::Document(_), b"embeddings", _) => Slot::Chunks,
            (Self::Chunk(_), b"embedding", _) => Slot::Row,
            (Self::Map | Self::Binary(_), b"data", _) => Slot::Data,
            (Self::Map | Self::Binary(_), b"dtype", _) => Slot::Dtype,
            (Self::Map | Self::Binary(_), b"shape", _) => Slot::Shape,
            (Self::Map, ..) => Slot::Row,
            _ => Slot::Plain,
        }
    }

    /// Counts one more item.
    pub const fn advance(&mut self) {
        if let Self::Items(_, count) | Self::Chunks(count) | Self::Queries(count) = self {
            *count += 1;
        }
    }
}

/// Name of the value that stands in `slot` under `frames`; `key` is the last key read in the innermost object.
pub fn name(frames: &[Frame], slot: Slot, key: &[u8]) -> String {
    if let Some(at) = frames.iter().position(|frame| matches!(frame, Frame::Binary(_))) {
        let whole = match frames[at] {
            Frame::Binary(Target::Query(field)) => field.to_owned(),
            Frame::Binary(Target::Queries) => "query_embeddings".to_owned(),
            Frame::Binary(Target::Chunks) => name(&frames[..at], Slot::Chunks, key),
            _ => "embeddings".to_owned(),
        };
        return format!("{whole}.{}", shorten(key));
    }
    let document = match (slot, frames.get(1)) {
        (Slot::Body, _) => return "body".to_owned(),
        (Slot::Query(field), _) => return field.to_owned(),
        (Slot::Queries, _) | (_, Some(Frame::Queries(_))) => return "query_embeddings".to_owned(),
        (_, Some(Frame::Map)) => return format!("embeddings.{}", shorten(key)),
        (_, Some(Frame::Items(Form::Document, count))) => count - 1,
        _ => return "embeddings".to_owned(),
    };
    match (slot, frames.get(3)) {
        (Slot::Row, Some(Frame::Chunks(count))) => {
            format!("embeddings[{document}].embeddings[{}].embedding", count - 1)
        }
        (_, Some(Frame::Chunks(count))) => format!("embeddings[{document}].embeddings[{}]", count - 1),
        (Slot::Chunks, _) => format!("embeddings[{document}].embeddings"),
        _ => format!("embeddings[{document}]"),
    }
}

/// A key as an error shows it.
pub fn shorten(key: &[u8]) -> String {
    const SHOWN: usize = 64;
    let key = String::from_utf8_lossy(key);
    match key.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &key[..end]),
        None => key.into_owned(),
    }
}
