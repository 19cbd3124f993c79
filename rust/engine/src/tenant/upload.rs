//! What comes in: uploads and deletes, checked as far as they can be without looking at the tenant.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::format::draft::{DraftBatch, DraftBody};
use crate::format::name::{check_chunk_id, check_source_id, check_sub_tenant_id};
use crate::limits::{DEFAULT_SUB_TENANT, MAX_METADATA, MAX_ROWS};
use crate::validate;
use crate::vector::{Dimension, Metric, Rows};

/// One request's vectors, as they were sent.
#[derive(Debug)]
pub struct Upload {
    /// Name of the sub-tenant; `None` or empty = the default one.
    pub sub_tenant: Option<String>,
    /// What they are.
    pub content: Content,
    /// The vectors.
    pub rows: Rows,
    /// Whether what exists is replaced; otherwise it is a conflict.
    pub upsert: bool,
    /// Decide everything, store nothing.
    pub dry_run: bool,
    /// CRC-32C that the rows must have.
    pub digest: Option<u32>,
}

/// What the rows of an upload are.
#[derive(Clone, Debug)]
pub enum Content {
    /// One source, which they make or replace; their ids are computed.
    Matrix {
        /// The source.
        source_id: String,
        /// JSON text to be kept exactly.
        metadata: Option<Vec<u8>>,
    },
    /// Chunks of sources, which they are added to; a chunk that exists is replaced, wherever it is.
    Documents {
        /// The sources, each with the rows behind those of the one before.
        documents: Vec<Document>,
        /// The id of each row.
        chunk_ids: Arc<Vec<String>>,
    },
    /// New vectors for chunks of one source, all of which exist.
    Update {
        /// The id of each row.
        chunk_ids: Arc<Vec<String>>,
    },
}

/// A source of the document form.
#[derive(Clone, Debug)]
pub struct Document {
    /// The source.
    pub source_id: String,
    /// JSON text that takes the place of the source's metadata, if any.
    pub metadata: Option<Vec<u8>>,
    /// Number of rows.
    pub rows: usize,
}

/// What an upload did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inserted {
    /// The sources, in the order of the request.
    pub source_ids: Vec<String>,
    /// The rows' ids, unless they are computed.
    pub chunk_ids: Option<Arc<Vec<String>>>,
    /// Name of the sub-tenant.
    pub sub_tenant: String,
    /// Rows stored.
    pub rows: usize,
    /// Columns.
    pub dimension: usize,
    /// Rows replaced.
    pub overwritten: u64,
    /// Whether the source was there before; of the document form, whether any was.
    pub existed: bool,
    /// CRC-32C of the rows.
    pub digest: u32,
    /// LSN of the upload; 0 when nothing had to be stored.
    pub lsn: u64,
}

/// An upload whose every number has been looked at, laid out and checksummed: only such a one can be stored.
pub(crate) struct ValidUpload {
    pub(crate) sub_tenant: String,
    pub(crate) form: Form,
    pub(crate) upsert: bool,
    pub(crate) dry_run: bool,
    pub(crate) dimension: Dimension,
    pub(crate) rows: usize,
    pub(crate) body: DraftBody,
}

/// What an upload means by its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// They replace a source.
    Matrix,
    /// They are added to sources.
    Documents,
    /// They replace rows that exist.
    Update,
}

/// Which rows to read or to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// All rows of a source.
    Source(String),
    /// Single rows.
    Chunks(Vec<String>),
    /// Rows that a filter holds of.
    Filter(Filter),
}

/// What a delete did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Rows that are gone.
    pub rows: u64,
    /// Which of the chunks that the selector names were there, by their places in it; an id that is named twice was
    /// there once.
    pub chunks: Vec<usize>,
}

impl Selector {
    /// Checks the ids.
    ///
    /// # Errors
    /// [`Error::InvalidId`].
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Source(id) => check_source_id(id),
            Self::Chunks(ids) => ids.iter().try_for_each(|id| check_chunk_id(id)),
            // Only one that is an expression can be made.
            Self::Filter(_) => Ok(()),
        }
    }
}

/// The name under which a sub-tenant is kept.
///
/// # Errors
/// [`Error::InvalidId`].
pub fn sub_tenant_name(given: Option<&str>) -> Result<&str> {
    match given {
        None | Some("") => Ok(DEFAULT_SUB_TENANT),
        Some(name) => check_sub_tenant_id(name).map(|()| name),
    }
}

impl Upload {
    /// A source without metadata, in the default sub-tenant, that is made or replaced.
    pub const fn matrix(source_id: String, rows: Rows) -> Self {
        let content = Content::Matrix { source_id, metadata: None };
        Self { sub_tenant: None, content, rows, upsert: true, dry_run: false, digest: None }
    }

    /// Whether it may make what it is for.
    pub(crate) const fn creates(&self) -> bool {
        !matches!(self.content, Content::Update { .. })
    }

    /// Looks at every number for a tenant of this metric and, when it has one, dimension.
    pub(crate) fn validate(self, metric: Metric, expected: Option<Dimension>) -> Result<ValidUpload> {
        let sub_tenant = sub_tenant_name(self.sub_tenant.as_deref())?.to_owned();
        if self.rows.is_empty() {
            return Err(Error::EmptyEmbeddings { field: "embeddings" });
        }
        let rows = self.rows.len();
        if rows > MAX_ROWS {
            return Err(Error::TooManyRows { limit: MAX_ROWS });
        }
        let (form, documents, chunk_ids) = match self.content {
            Content::Matrix { source_id, metadata } => {
                (Form::Matrix, vec![Document { source_id, metadata, rows }], None)
            }
            Content::Documents { documents, chunk_ids } => (Form::Documents, documents, Some(chunk_ids)),
            Content::Update { chunk_ids } => {
                let document = Document { source_id: String::new(), metadata: None, rows };
                (Form::Update, vec![document], Some(chunk_ids))
            }
        };
        if form != Form::Update {
            check_documents(&documents, rows)?;
        }
        if let Some(ids) = &chunk_ids {
            check_chunk_ids(ids, rows)?;
        }
        let dimension = self.rows.dimension();
        check_dimension(expected, dimension)?;
        validate::upload(&self.rows, Some(metric))?;
        let batches = documents.into_iter().map(|document| DraftBatch {
            source_id: document.source_id,
            metadata: document.metadata,
            row_count: document.rows,
            continues: false,
        });
        let body = DraftBody::new(self.rows, chunk_ids, batches.collect());
        if let Some(expected) = self.digest.filter(|&expected| expected != body.digest()) {
            return Err(Error::DigestMismatch { expected, got: body.digest() });
        }
        let (upsert, dry_run) = (self.upsert, self.dry_run);
        Ok(ValidUpload { sub_tenant, form, upsert, dry_run, dimension, rows, body })
    }
}

/// Sources that may be stored, each named once, with all of `rows` between them.
fn check_documents(documents: &[Document], rows: usize) -> Result<()> {
    let mut seen: HashSet<&str> = HashSet::with_capacity(documents.len());
    for document in documents {
        check_source_id(&document.source_id)?;
        if document.rows == 0 {
            return Err(Error::EmptyEmbeddings { field: "embeddings" });
        }
        if let Some(metadata) = document.metadata.as_ref().filter(|metadata| metadata.len() > MAX_METADATA) {
            return Err(Error::MetadataTooLarge { bytes: metadata.len(), limit: MAX_METADATA });
        }
        if !seen.insert(&document.source_id) {
            return Err(Error::DuplicateSource { source_id: document.source_id.clone() });
        }
    }
    let ids = documents.iter().map(|document| document.rows).sum();
    if ids == rows { Ok(()) } else { Err(Error::IdCount { ids, rows }) }
}

/// One id for each row, each named once.
fn check_chunk_ids(ids: &[String], rows: usize) -> Result<()> {
    if ids.len() != rows {
        return Err(Error::IdCount { ids: ids.len(), rows });
    }
    let mut seen: HashMap<&str, usize> = HashMap::with_capacity(ids.len());
    for (row, id) in ids.iter().enumerate() {
        check_chunk_id(id).map_err(|refused| match refused {
            Error::InvalidId { field, reason, .. } => Error::InvalidId { field, reason, row: Some(row) },
            other => other,
        })?;
        if let Some(first) = seen.insert(id, row) {
            return Err(Error::DuplicateChunkId { row, first, chunk_id: id.clone() });
        }
    }
    Ok(())
}

impl ValidUpload {
    /// What it would do where nothing is yet.
    pub(crate) fn as_new(&self) -> Inserted {
        Inserted {
            source_ids: self.body.batches().iter().map(|batch| batch.source_id.clone()).collect(),
            chunk_ids: self.body.chunk_ids().map(Arc::clone),
            sub_tenant: self.sub_tenant.clone(),
            rows: self.rows,
            dimension: self.dimension.get(),
            overwritten: 0,
            existed: false,
            digest: self.body.digest(),
            lsn: 0,
        }
    }
}

/// The dimension lock.
pub(crate) fn check_dimension(expected: Option<Dimension>, got: Dimension) -> Result<()> {
    match expected {
        Some(expected) if expected != got => {
            Err(Error::DimensionMismatch { expected: expected.get(), got: got.get() })
        }
        _ => Ok(()),
    }
}
