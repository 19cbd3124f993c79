//! Vectors as Python gives them, and what the rows of an upload are.

use std::sync::Arc;

use ingot_engine::error::{Error, Result};
use ingot_engine::tenant::{Content, Document};
use ingot_engine::{store, vector};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::array_unsafe::{Array, Purpose};
use crate::body::Rows;

/// Vectors as Python gives them: an array, or rows that a body reader made.
pub enum Vectors {
    Array(Array),
    Rows(vector::Rows),
}

impl Vectors {
    pub fn of(object: &Bound<'_, PyAny>, purpose: Purpose) -> PyResult<Self> {
        match object.cast::<Rows>() {
            Ok(rows) => rows.get().take().map(Self::Rows),
            Err(_) => Array::of(object, purpose).map(Self::Array),
        }
    }

    /// The rows of an upload; an array is looked at where it lies before it is copied.
    pub fn into_upload(self, store: &store::Store, tenant_id: &str) -> Result<vector::Rows> {
        if let Self::Array(array) = &self {
            let (metric, expected) = store.expects(tenant_id)?;
            if let Some(expected) = expected.filter(|&expected| expected != array.dimension()) {
                return Err(Error::DimensionMismatch {
                    expected: expected.get(),
                    got: array.dimension().get(),
                });
            }
            array.check(Some(metric))?;
        }
        Ok(self.into_rows())
    }

    pub fn into_rows(self) -> vector::Rows {
        match self {
            Self::Rows(rows) => rows,
            Self::Array(array) => array.copy(),
        }
    }
}

/// Source, metadata and number of rows.
pub type PyDocument = (String, Option<Vec<u8>>, usize);

/// What the rows of an upload are: one source in matrix form, or the document form.
pub fn content(
    file_id: Option<String>,
    metadata: Option<Vec<u8>>,
    documents: Option<Vec<PyDocument>>,
    chunk_ids: Option<Vec<String>>,
) -> PyResult<Content> {
    match (file_id, documents, chunk_ids) {
        (Some(source_id), None, None) => Ok(Content::Matrix { source_id, metadata }),
        (None, Some(documents), Some(ids)) if metadata.is_none() => {
            let document = |(source_id, metadata, rows)| Document { source_id, metadata, rows };
            let documents = documents.into_iter().map(document).collect();
            Ok(Content::Documents { documents, chunk_ids: Arc::new(ids) })
        }
        _ => Err(PyTypeError::new_err("give file_id (and metadata), or documents and chunk_ids")),
    }
}
