//! What a checkpoint says of batches beside their rows: who holds their source's metadata, and the hashes of explicit
//! chunk ids. Most batches hold it themselves and have no such ids: of them nothing is said.

use std::collections::HashMap;

use super::fields::{Reader, Writer};
use crate::catalogue::{Batch, Catalogue, IdHash};
use crate::error::Result;

/// For each of `batches`, by its place, the place of the one that holds its source's metadata at `lsn`; those that
/// are not there yet are added.
pub(super) fn holders(
    catalogue: &Catalogue,
    lsn: u64,
    batches: &mut Vec<u32>,
    places: &mut HashMap<u32, u32>,
) -> Vec<u32> {
    let mut holders = Vec::with_capacity(batches.len());
    while let Some(&number) = batches.get(holders.len()) {
        let holder = catalogue.metadata_holder(number, lsn);
        holders.push(*places.entry(holder).or_insert_with(|| {
            batches.push(holder);
            u32::try_from(batches.len() - 1).unwrap_or(u32::MAX)
        }));
    }
    holders
}

/// Writes what is to be said of each of `batches`.
pub(super) fn write(
    writer: &mut Writer,
    catalogue: &Catalogue,
    batches: &[u32],
    holders: &[u32],
) -> Result<()> {
    let said = || {
        let all = (0_u32..).zip(batches.iter().zip(holders));
        all.filter(|&(place, (&number, &holder))| holder != place || catalogue.batch(number).explicit)
    };
    writer.u32(u32::try_from(said().count()).unwrap_or(u32::MAX));
    for (place, (&number, &holder)) in said() {
        writer.u32(place);
        writer.u32(holder);
        let hashes = catalogue.id_hashes(number)?;
        writer.u32(u32::try_from(hashes.len()).unwrap_or(u32::MAX));
        for hash in hashes {
            writer.u64(hash.id);
            writer.u64(hash.lookalike.unwrap_or(0));
        }
    }
    Ok(())
}

/// What was said of batches, by their places.
pub(super) struct SavedNames {
    said: HashMap<u32, (u32, Vec<IdHash>)>,
}

impl SavedNames {
    pub(super) fn read(reader: &mut Reader<'_>, batches: &[(Batch, u32)]) -> Option<Self> {
        let mut said = HashMap::new();
        // Before there were explicit ids, a checkpoint ended here.
        let count = if reader.is_at_end() { 0 } else { reader.u32()? };
        for _ in 0..count {
            let (place, holder, ids) = (reader.u32()?, reader.u32()?, reader.u32()?);
            let (batch, _) = batches.get(place as usize)?;
            if holder as usize >= batches.len() || ![0, batch.row_count].contains(&ids) {
                return None;
            }
            let hash = |reader: &mut Reader<'_>| {
                let (id, lookalike) = (reader.u64()?, reader.u64()?);
                Some(IdHash { id, lookalike: (lookalike != 0).then_some(lookalike) })
            };
            let hashes = (0..ids).map(|_| hash(reader)).collect::<Option<_>>()?;
            said.insert(place, (holder, hashes));
        }
        Some(Self { said })
    }

    /// The batches with explicit ids.
    pub(super) fn count(&self) -> usize {
        self.said.values().filter(|(_, hashes)| !hashes.is_empty()).count()
    }

    /// Place of the batch that holds a batch's metadata.
    pub(super) fn holder(&self, place: u32) -> u32 {
        self.said.get(&place).map_or(place, |&(holder, _)| holder)
    }

    /// The hashes of a batch's explicit ids, row by row.
    pub(super) fn hashes(&self, place: u32) -> Option<&[IdHash]> {
        self.said.get(&place).map(|(_, hashes)| hashes.as_slice()).filter(|hashes| !hashes.is_empty())
    }
}
