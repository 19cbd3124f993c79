//! The engine's errors as Python exceptions. The words are made in `ingot.error_words`; here only structure crosses.

use ingot_engine::error::Error;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The exception of `ingot.errors` for `error`: `from_engine(kind, fields)` with the variant's name and fields.
pub fn exception(py: Python<'_>, error: &Error) -> PyErr {
    made(py, error).unwrap_or_else(|failure| failure)
}

fn made(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let fields = PyDict::new(py);
    let kind = describe(error, &fields)?;
    let module = py.import("ingot.error_words")?;
    Ok(PyErr::from_value(module.getattr("from_engine")?.call1((kind, fields))?))
}

/// Fills in the fields of each variant under their own names and returns the variant's.
macro_rules! variants {
    ($error:expr, $fields:expr; $($kind:ident $({ $($field:ident),+ })?),+ $(,)?) => {
        match $error {
            $(Error::$kind $({ $($field),+ })? => {
                $($($fields.set_item(stringify!($field), $field)?;)+)?
                stringify!($kind)
            })+
        }
    };
}

fn describe(error: &Error, fields: &Bound<'_, PyDict>) -> PyResult<&'static str> {
    Ok(variants! { error, fields;
        NonFinite { row, column, value },
        ZeroVector { row },
        DimensionMismatch { expected, got },
        RaggedRows { row, expected, got },
        EmptyEmbeddings { field },
        TooManyRows { limit },
        TooManyColumns { row, limit },
        WrongType { field, row, column, expected, got },
        MalformedJson { offset, reason },
        MalformedEncoding { encoding, reason },
        MalformedBase64 { field, offset, reason },
        BodyTooLarge { limit },
        EnvelopeTooLarge { limit },
        MissingField { field },
        UnknownField { field },
        DataLength { field, expected, got },
        DuplicateField { field },
        MalformedNpy { reason },
        InvalidId { field, reason, row },
        DuplicateChunkId { row, first, chunk_id },
        DuplicateSource { source_id },
        IdCount { ids, rows },
        SeveralSources { source_id, chunk_id, other },
        MetadataTooLarge { bytes, limit },
        CursorOfAnother,
        InvalidLimit { got, maximum },
        FilterSyntax { offset, reason },
        DigestMismatch { expected, got },
        TenantNotFound,
        SubTenantNotFound,
        NotFound,
        CursorExpired,
        TenantSettingsDiffer { metric, dimension, asked_metric, asked_dimension },
        ChunkNotFound { chunk_id },
        AlreadyExists { source_id },
        ChunkExists { chunk_id },
        DiskFull,
        OutcomeUnknown,
        GraphFailed { reason },
        TenantReadOnly { reason },
        StorageFailed { reason },
        CorruptData { reason },
        DirectoryInUse { pid },
        FormatTooNew { found, supported },
        Closed,
        Forked,
        Interrupted,
    })
}
