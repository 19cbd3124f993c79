//! What an upload replaces, what it collides with, and whether it is the retry of one that is stored.

use super::Tenant;
use super::ending::{Ending, Row, ranges, union};
use super::overlay::{Vectors, summary};
use super::upload::ValidUpload;
use crate::error::{Error, Result};
use crate::format::RowRange;
use crate::format::draft::DraftBody;
use crate::vector::Dimension;

/// What is decided of an upload.
#[derive(Default)]
pub(super) struct Decision {
    /// The rows it replaces.
    pub(super) deaths: Vec<RowRange>,
    /// Whether a source of it was there.
    pub(super) existed: bool,
    /// Whether it is stored already, or about to be.
    pub(super) is_stored: bool,
}

/// What makes the vectors of a request the same as those of another.
pub(super) fn vectors(body: &DraftBody, dimension: Dimension) -> Vectors {
    let rows = body.rows().map_or(0, |rows| rows.len() as u64);
    // At most 3024 columns.
    #[allow(clippy::cast_possible_truncation)]
    let dimension = dimension.get() as u16;
    Vectors { digest: body.digest(), rows, dimension, explicit: body.chunk_ids().is_some() }
}

const STORED: Decision = Decision { deaths: Vec::new(), existed: false, is_stored: true };

impl Tenant {
    /// The matrix form: the source's rows die, and whatever has the ids that its new rows will have.
    pub(super) fn decide_matrix(&self, ending: Ending<'_>, upload: &ValidUpload) -> Result<Decision> {
        let Some(batch) = upload.body.batches().first() else { return Ok(Decision::default()) };
        let mut deaths = ending.rows_of(&batch.source_id)?;
        let existed = !deaths.is_empty();
        if existed && !upload.upsert {
            if self.is_whole_upload(&ending, &deaths, upload)?
                && ending.metadata_of(&batch.source_id)? == summary(batch.metadata.as_deref())
            {
                return Ok(STORED);
            }
            return Err(Error::AlreadyExists { source_id: batch.source_id.clone() });
        }
        let taken = ending.lookalikes(&batch.source_id, upload.rows)?;
        if let Some((chunk_id, _)) = taken.first().filter(|_| !upload.upsert) {
            return Err(Error::ChunkExists { chunk_id: chunk_id.clone() });
        }
        if !taken.is_empty() {
            deaths.extend(taken.iter().map(|&(_, first)| RowRange { first, count: 1 }));
            deaths = union(deaths);
        }
        Ok(Decision { deaths, existed, is_stored: false })
    }

    /// Whether the living rows of a source are just those of one upload in matrix form, with these vectors.
    fn is_whole_upload(&self, ending: &Ending<'_>, rows: &[RowRange], upload: &ValidUpload) -> Result<bool> {
        let &[rows] = rows else { return Ok(false) };
        let asked = vectors(&upload.body, upload.dimension);
        Ok(asked.rows == rows.count && self.vectors_at(ending, rows.first)? == Some(asked))
    }

    /// All vectors of the record that begins with a row.
    fn vectors_at(&self, ending: &Ending<'_>, first_row: u64) -> Result<Option<Vectors>> {
        if let Some(vectors) = ending.overlay().vectors_from(first_row) {
            return Ok(Some(vectors));
        }
        let Some(number) = ending.batch_at(first_row) else { return Ok(None) };
        let batch = self.catalogue.batch(number);
        let header = self.catalogue.record(batch)?.header;
        let found = Vectors {
            digest: header.digest,
            rows: header.row_count.into(),
            dimension: header.dimension,
            explicit: batch.explicit,
        };
        Ok((header.first_row == first_row).then_some(found))
    }

    /// The document form: whatever has the ids of its rows dies, wherever it is.
    pub(super) fn decide_documents(
        &self,
        mut ending: Ending<'_>,
        upload: &mut ValidUpload,
    ) -> Result<Decision> {
        let ids = upload.body.chunk_ids().map_or(&[][..], |ids| ids.as_slice());
        let found = ids.iter().map(|id| ending.row_of(id)).collect::<Result<Vec<_>>>()?;
        if !upload.upsert
            && let Some(at) = found.iter().position(Option::is_some)
        {
            if self.is_stored(&ending, &found, upload)? {
                return Ok(STORED);
            }
            return Err(Error::ChunkExists { chunk_id: ids[at].clone() });
        }
        let mut existed = false;
        for batch in upload.body.batches_mut() {
            batch.continues = ending.has_source(&batch.source_id)?;
            existed |= batch.continues;
        }
        let deaths = ranges(found.iter().flatten().map(|row| row.number));
        Ok(Decision { deaths, existed, is_stored: false })
    }

    /// Whether every chunk is there, in its source, with its vector, and each source has the metadata given.
    fn is_stored(&self, ending: &Ending<'_>, found: &[Option<Row>], upload: &ValidUpload) -> Result<bool> {
        let Some(found) = found.iter().map(Option::as_ref).collect::<Option<Vec<&Row>>>() else {
            return Ok(false);
        };
        for (batch, rows) in upload.body.ranges() {
            if found[rows].iter().any(|row| *row.source_id != *batch.source_id) {
                return Ok(false);
            }
            let given = summary(batch.metadata.as_deref());
            if given.is_some() && given != ending.metadata_of(&batch.source_id)? {
                return Ok(false);
            }
        }
        // The record as it was sent tells by its digest.
        let Some(first) = found.first().map(|row| row.number) else { return Ok(false) };
        let in_a_row = (first..).zip(&found).all(|(number, row)| row.number == number);
        if in_a_row && self.vectors_at(ending, first)? == Some(vectors(&upload.body, upload.dimension)) {
            return Ok(true);
        }
        let Some(vectors) = upload.body.rows() else { return Ok(false) };
        for (index, row) in found.iter().enumerate() {
            let Some(number) = row.batch else { return Ok(false) };
            let batch = self.catalogue.batch(number);
            let stored = self.catalogue.rows(batch, batch.offset_of(row.number), 1)?;
            let same = bytemuck::cast_slice::<f32, u8>(stored) == bytemuck::cast_slice(vectors.row(index));
            self.catalogue.check_medium(batch)?;
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// New vectors for chunks that all exist, in one source.
    pub(super) fn decide_update(mut ending: Ending<'_>, upload: &mut ValidUpload) -> Result<Decision> {
        let ids = upload.body.chunk_ids().map_or(&[][..], |ids| ids.as_slice());
        let mut rows: Vec<Row> = Vec::with_capacity(ids.len());
        for chunk_id in ids {
            let missing = || Error::ChunkNotFound { chunk_id: chunk_id.clone() };
            rows.push(ending.row_of(chunk_id)?.ok_or_else(missing)?);
        }
        let Some(source_id) = rows.first().map(|row| row.source_id.to_string()) else {
            return Ok(Decision::default());
        };
        if let Some((row, chunk_id)) = rows.iter().zip(ids).find(|(row, _)| *row.source_id != *source_id) {
            let (chunk_id, other) = (chunk_id.clone(), row.source_id.to_string());
            return Err(Error::SeveralSources { source_id, chunk_id, other });
        }
        for batch in upload.body.batches_mut() {
            batch.source_id.clone_from(&source_id);
            batch.continues = true;
        }
        let deaths = ranges(rows.iter().map(|row| row.number));
        Ok(Decision { deaths, existed: true, is_stored: false })
    }
}
