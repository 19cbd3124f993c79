//! What comes in: uploads and deletes, checked as far as they can be without looking at the tenant.

use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::format::draft::{DraftBatch, DraftBody};
use crate::format::name::{check_chunk_id, check_source_id, check_sub_tenant_id};
use crate::limits::{DEFAULT_SUB_TENANT, MAX_METADATA, MAX_ROWS};
use crate::validate;
use crate::vector::{Dimension, Metric, Rows};

/// One source's vectors, as they were sent.
#[derive(Debug)]
pub struct Upload {
    /// Name of the sub-tenant; `None` or empty = the default one.
    pub sub_tenant: Option<String>,
    /// The source that is made or replaced.
    pub source_id: String,
    /// The vectors.
    pub rows: Rows,
    /// JSON text to be kept exactly.
    pub metadata: Option<Vec<u8>>,
    /// Whether a source that exists is replaced; otherwise it is a conflict.
    pub upsert: bool,
    /// Decide everything, store nothing.
    pub dry_run: bool,
    /// CRC-32C that the rows must have.
    pub digest: Option<u32>,
}

/// What an upload did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inserted {
    /// The source.
    pub source_id: String,
    /// Name of the sub-tenant.
    pub sub_tenant: String,
    /// Rows stored.
    pub rows: usize,
    /// Columns.
    pub dimension: usize,
    /// Rows replaced.
    pub overwritten: u64,
    /// Whether the source was there before.
    pub existed: bool,
    /// CRC-32C of the rows.
    pub digest: u32,
    /// LSN of the upload; 0 when nothing had to be stored.
    pub lsn: u64,
}

/// An upload whose every number has been looked at, laid out and checksummed: only such a one can be stored.
pub(crate) struct ValidUpload {
    pub(crate) sub_tenant: String,
    pub(crate) upsert: bool,
    pub(crate) dry_run: bool,
    pub(crate) dimension: Dimension,
    pub(crate) rows: usize,
    pub(crate) body: DraftBody,
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
    /// Looks at every number for a tenant of this metric and, when it has one, dimension.
    pub(crate) fn validate(self, metric: Metric, expected: Option<Dimension>) -> Result<ValidUpload> {
        let sub_tenant = sub_tenant_name(self.sub_tenant.as_deref())?.to_owned();
        check_source_id(&self.source_id)?;
        if self.rows.is_empty() {
            return Err(Error::EmptyEmbeddings { field: "embeddings" });
        }
        if self.rows.len() > MAX_ROWS {
            return Err(Error::TooManyRows { limit: MAX_ROWS });
        }
        if let Some(metadata) = self.metadata.as_ref().filter(|metadata| metadata.len() > MAX_METADATA) {
            return Err(Error::MetadataTooLarge { bytes: metadata.len(), limit: MAX_METADATA });
        }
        let dimension = self.rows.dimension();
        check_dimension(expected, dimension)?;
        validate::upload(&self.rows, Some(metric))?;
        let rows = self.rows.len();
        let batch = DraftBatch { source_id: self.source_id, metadata: self.metadata, rows: self.rows };
        let body = DraftBody::new(vec![batch]);
        if let Some(expected) = self.digest.filter(|&expected| expected != body.digest()) {
            return Err(Error::DigestMismatch { expected, got: body.digest() });
        }
        Ok(ValidUpload { sub_tenant, upsert: self.upsert, dry_run: self.dry_run, dimension, rows, body })
    }
}

impl ValidUpload {
    /// What it would do where nothing is yet.
    pub(crate) fn as_new(&self) -> Inserted {
        Inserted {
            source_id: self.body.batches().first().map_or_else(String::new, |batch| batch.source_id.clone()),
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
