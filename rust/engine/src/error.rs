//! What can go wrong, as structure. Words are made at the edge (the Python package), grouped there by
//! what the caller can do about it.

use std::fmt;
use std::io;

/// Result of the engine.
pub type Result<T> = std::result::Result<T, Error>;

/// One thing that went wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    // The input has to change.
    /// A number that is NaN, infinite, or overflows float32.
    NonFinite {
        /// Row, from 0; `None` in a single query.
        row: Option<usize>,
        /// Column, from 0.
        column: usize,
        /// The number as it was sent.
        value: String,
    },
    /// An all-zero vector where the metric is cosine.
    ZeroVector {
        /// Row, from 0; `None` in a single query.
        row: Option<usize>,
    },
    /// Vectors of another dimension than the tenant's.
    DimensionMismatch {
        /// The tenant's dimension.
        expected: usize,
        /// The dimension of what was sent.
        got: usize,
    },
    /// A row that is longer or shorter than the rows before it.
    RaggedRows {
        /// Row, from 0.
        row: usize,
        /// Columns of the rows before it.
        expected: usize,
        /// Columns of this row.
        got: usize,
    },
    /// No row, or rows without columns.
    EmptyEmbeddings {
        /// Name of the field.
        field: &'static str,
    },
    /// More rows than an upload may have.
    TooManyRows {
        /// The limit.
        limit: usize,
    },
    /// More columns than a row may have.
    TooManyColumns {
        /// Row, from 0; `None` in a single query.
        row: Option<usize>,
        /// The limit.
        limit: usize,
    },
    /// A value of the wrong JSON type where a number or an array of numbers belongs.
    WrongType {
        /// Path of the field, e.g. `embeddings`.
        field: String,
        /// Row, from 0, when known.
        row: Option<usize>,
        /// Column, from 0, when known.
        column: Option<usize>,
        /// What belongs there.
        expected: &'static str,
        /// What was found.
        got: &'static str,
    },
    /// Text that is not strict JSON.
    MalformedJson {
        /// Byte offset in the body, from 0.
        offset: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// A body that is not what its content encoding says.
    MalformedEncoding {
        /// Name of the encoding.
        encoding: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Text that is not base64.
    MalformedBase64 {
        /// Path of the field.
        field: String,
        /// Byte offset in the body, from 0.
        offset: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// A body that unpacks to more than it may.
    BodyTooLarge {
        /// The limit.
        limit: u64,
    },
    /// A JSON body that is too long even without its rows.
    EnvelopeTooLarge {
        /// The limit.
        limit: usize,
    },
    /// A field that a binary form lacks.
    MissingField {
        /// Its path.
        field: String,
    },
    /// A field that a binary form does not have.
    UnknownField {
        /// Its path.
        field: String,
    },
    /// A binary form whose data does not have the length that its shape asks for.
    DataLength {
        /// Path of the data.
        field: String,
        /// Bytes that the shape asks for, or the most that any shape may.
        expected: usize,
        /// Bytes that came; one more than `expected` when there were too many.
        got: usize,
    },
    /// A top-level field that appears twice.
    DuplicateField {
        /// Its name.
        field: String,
    },
    /// Bytes that are not a `.npy` array of numbers.
    MalformedNpy {
        /// What is wrong.
        reason: String,
    },
    /// An id that is empty, too long, or holds a control character.
    InvalidId {
        /// Name of the field.
        field: &'static str,
        /// What is wrong.
        reason: String,
        /// The row it names, from 0, when it is one of many.
        row: Option<usize>,
    },
    /// A chunk id that a request names twice.
    DuplicateChunkId {
        /// Row, from 0, that names it again.
        row: usize,
        /// Row that named it first.
        first: usize,
        /// The id.
        chunk_id: String,
    },
    /// A source that a request names twice.
    DuplicateSource {
        /// Its id.
        source_id: String,
    },
    /// More or fewer ids than rows.
    IdCount {
        /// Ids sent.
        ids: usize,
        /// Rows sent.
        rows: usize,
    },
    /// Chunks of more than one source where one is meant.
    SeveralSources {
        /// The source of the first chunk.
        source_id: String,
        /// A chunk of another.
        chunk_id: String,
        /// That other source.
        other: String,
    },
    /// A cursor of a request for something else.
    CursorOfAnother,
    /// Metadata over its size.
    MetadataTooLarge {
        /// Bytes sent.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A `limit` outside 1..=maximum.
    InvalidLimit {
        /// What was asked.
        got: u64,
        /// The largest one allowed.
        maximum: usize,
    },
    /// A filter that is no expression.
    FilterSyntax {
        /// Where it goes wrong, in characters from 0.
        offset: usize,
        /// What is wrong there, or what would be right.
        reason: String,
    },
    /// The client's CRC-32C is not that of the rows.
    DigestMismatch {
        /// What the client sent.
        expected: u32,
        /// What the rows have.
        got: u32,
    },

    // Something is not there, or already is.
    /// No such tenant.
    TenantNotFound,
    /// No such sub-tenant.
    SubTenantNotFound,
    /// No such source.
    NotFound,
    /// The snapshot that a cursor reads is gone.
    CursorExpired,
    /// The tenant exists with other settings.
    TenantSettingsDiffer {
        /// The metric it has.
        metric: &'static str,
        /// The dimension it has; `None` until its first vectors.
        dimension: Option<usize>,
        /// The metric asked for, if any was.
        asked_metric: Option<&'static str>,
        /// The dimension asked for, if any was.
        asked_dimension: Option<usize>,
    },
    /// No such chunk.
    ChunkNotFound {
        /// Its id.
        chunk_id: String,
    },
    /// `upsert = false`, and the source exists.
    AlreadyExists {
        /// The source's id.
        source_id: String,
    },
    /// `upsert = false`, and the chunk exists.
    ChunkExists {
        /// The chunk's id.
        chunk_id: String,
    },

    // Wait, or call an operator.
    /// No space; nothing was stored.
    DiskFull,
    /// The sync itself failed: the upload is there whole or not at all.
    OutcomeUnknown,
    /// The tenant takes no writes until its log can be repaired.
    TenantReadOnly {
        /// Why.
        reason: String,
    },
    /// The system refused an operation on a file.
    StorageFailed {
        /// Operation and the system's answer.
        reason: String,
    },
    /// Bytes on disk that are not what was written.
    CorruptData {
        /// File, offset and what is wrong.
        reason: String,
    },
    /// The nearest-neighbour graph refused an operation; what it is derived from is unharmed.
    GraphFailed {
        /// Operation and the graph's answer.
        reason: String,
    },
    /// Another process has the directory open.
    DirectoryInUse {
        /// Its process id, when known.
        pid: Option<u32>,
    },
    /// The directory was written by a newer ingot.
    FormatTooNew {
        /// Its format version.
        found: u32,
        /// The newest version this build reads.
        supported: u32,
    },

    // The way it was called.
    /// The store is closed.
    Closed,
    /// The store was opened before a fork.
    Forked,
    /// The caller asked to stop (Ctrl-C).
    Interrupted,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Error {}

impl Error {
    /// An operation that the system refused; a full disk is told apart.
    pub fn storage(operation: &str, cause: &io::Error) -> Self {
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::StorageFailed { reason: format!("{operation}: {cause}") },
        }
    }
}
