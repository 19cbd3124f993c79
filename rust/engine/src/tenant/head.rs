//! The first record of a tenant's log: who it is, and what is fixed for it.

use crate::error::{Error, Result};
use crate::format::record::Record;
use crate::vector::{Dimension, Metric};

/// What the first record says.
pub(super) struct Head {
    pub(super) id: String,
    pub(super) metric: Metric,
    pub(super) dimension: Option<Dimension>,
}

impl Head {
    pub(super) fn of(record: &Record<'_>) -> Result<Self> {
        let metric = match record.header.metric {
            0 => Metric::Cosine,
            1 => Metric::InnerProduct,
            2 => Metric::L2,
            other => {
                return Err(Error::CorruptData { reason: format!("metric {other} is not known") });
            }
        };
        Ok(Self {
            id: record.name().unwrap_or_default().to_owned(),
            metric,
            dimension: Dimension::new(record.header.dimension.into()),
        })
    }
}
