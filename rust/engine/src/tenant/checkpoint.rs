//! A checkpoint: everything derived from the log up to an LSN, as numbers, so that opening a tenant reads what came
//! later only. One that does not fit in every respect is ignored: the log has it all.

mod fields;
mod names;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use fields::{Reader, Writer};
use names::SavedNames;

use super::{CommitState, Head, LOG, Surroundings, Tenant};
use crate::catalogue::{Batch, Catalogue};
use crate::collection::{Collection, Generation, replace_file};
use crate::error::{Error, Result};
use crate::format::RowRange;
use crate::format::checksum::crc32c;
use crate::log::{Checkpointed, Log, Position};
use crate::storage::{Storage, bulk};
use crate::sync::MutexGuard;
use crate::vector::{Dimension, Metric};

const MAGIC: u64 = u64::from_le_bytes(*b"INGOTCKP");
const PREFIX: &str = "checkpoint-";

/// A checkpoint as read.
pub(super) struct Checkpoint {
    incarnation: [u8; 16],
    head: Head,
    end: Checkpointed,
    next_row: u64,
    next_sub_tenant: u32,
    batches: Vec<(Batch, u32)>,
    collections: Vec<SavedCollection>,
    names: SavedNames,
}

struct SavedCollection {
    number: u32,
    name: String,
    dimension: Dimension,
    generation: u64,
    /// Rows and the index of their batch.
    spans: Vec<(RowRange, u32)>,
    dead: Vec<RowRange>,
}

/// What a checkpoint is to hold: settled while nobody commits, written while others do.
pub(super) struct Captured {
    end: Checkpointed,
    next_row: u64,
    next_sub_tenant: u32,
    /// Collections with their generation and how many of its spans belong to the checkpoint.
    collections: Vec<(Arc<Collection>, Arc<Generation>, usize)>,
}

impl Captured {
    /// LSN of the last record it holds.
    pub(super) const fn lsn(&self) -> u64 {
        self.end.lsn
    }
}

impl Tenant {
    /// Settles what a checkpoint of everything applied so far holds: a few words for each sub-tenant.
    pub(super) fn capture(&self, state: &CommitState) -> Captured {
        let collections = self.collections().into_iter().map(|collection| {
            let generation = collection.generation();
            let spans = generation.spans.len();
            (collection, generation, spans)
        });
        Captured {
            end: state.log.end(),
            next_row: state.next_row,
            next_sub_tenant: self.collections.read().next_number,
            collections: collections.collect(),
        }
    }

    /// Writes a checkpoint, and removes the ones before. Whoever writes holds the turn.
    pub(super) fn write_checkpoint(&self, captured: &Captured, _turn: &MutexGuard<'_, ()>) -> Result<()> {
        // With this checkpoint nobody will read any more that a sub-tenant has ended.
        self.sweep();
        let end = captured.end;
        let mut writer = Writer::default();
        writer.u64(MAGIC);
        writer.bytes(&self.shared.incarnation);
        for number in [end.lsn, end.epoch, end.position.segment, end.position.offset, captured.next_row] {
            writer.u64(number);
        }
        writer.u32(self.metric as u32);
        writer.u32(self.dimension().map_or(0, |dimension| dimension.get() as u32));
        writer.text(&self.id);
        let mut batches: Vec<u32> = Vec::new();
        let mut places: HashMap<u32, u32> = HashMap::new();
        let mut saved = Writer::default();
        for (collection, generation, spans) in &captured.collections {
            saved.u32(collection.sub_tenant());
            saved.text(collection.name());
            saved.u32(collection.dimension().get() as u32);
            saved.u64(generation.id);
            saved.u32(u32::try_from(*spans).unwrap_or(u32::MAX));
            let mut dead: Vec<RowRange> = Vec::new();
            for span in (0..*spans).map_while(|index| generation.spans.get(index)) {
                let place = *places.entry(span.batch).or_insert_with(|| {
                    batches.push(span.batch);
                    u32::try_from(batches.len() - 1).unwrap_or(u32::MAX)
                });
                saved.u64(span.first_row);
                saved.u32(span.count);
                saved.u32(place);
                for slot in span.first_slot..span.end_slot() {
                    // Who dies later dies again when the log is replayed.
                    if generation.alive(slot, end.lsn) {
                        continue;
                    }
                    match dead.last_mut() {
                        Some(range) if range.end() == span.row(slot) => range.count += 1,
                        _ => dead.push(RowRange { first: span.row(slot), count: 1 }),
                    }
                }
            }
            saved.u32(u32::try_from(dead.len()).unwrap_or(u32::MAX));
            for range in dead {
                saved.u64(range.first);
                saved.u64(range.count);
            }
        }
        // A source's metadata may be with a batch that has no row left.
        let holders = names::holders(&self.catalogue, end.lsn, &mut batches, &mut places);
        writer.u32(u32::try_from(batches.len()).unwrap_or(u32::MAX));
        for &number in &batches {
            let batch = self.catalogue.batch(number);
            for number in [
                batch.first_row,
                batch.birth,
                batch.segment,
                batch.record_offset,
                batch.rows_offset,
                batch.source_hash,
            ] {
                writer.u64(number);
            }
            let blocks = self.catalogue.record(batch)?.header.block_count;
            for number in [
                batch.row_count,
                batch.first_index,
                batch.sub_tenant,
                batch.entry,
                batch.dimension.into(),
                blocks,
            ] {
                writer.u32(number);
            }
        }
        writer.u32(u32::try_from(captured.collections.len()).unwrap_or(u32::MAX));
        writer.append(saved);
        names::write(&mut writer, &self.catalogue, &batches, &holders)?;
        writer.u32(captured.next_sub_tenant);
        let content = writer.finish();
        let sum = crc32c(&content).to_le_bytes();
        let directory = self.directory();
        let storage = &*self.surroundings.storage;
        let name = format!("{PREFIX}{:020}", end.lsn);
        replace_file(storage, &directory, &name, &[&content, &sum])?;
        for other in names(storage, &directory)? {
            if other != name {
                storage
                    .remove_file(&directory.join(other))
                    .map_err(|cause| Error::storage("removing an old checkpoint", &cause))?;
            }
        }
        Ok(())
    }
}

/// Names of the checkpoints in a tenant's directory, oldest first.
fn names(storage: &dyn Storage, directory: &Path) -> Result<Vec<String>> {
    let listed =
        storage.list(directory).map_err(|cause| Error::storage("listing a tenant's directory", &cause))?;
    let names = listed.into_iter().filter_map(|name| name.into_string().ok());
    Ok(names
        .filter(|name| {
            name.strip_prefix(PREFIX).is_some_and(|lsn| lsn.bytes().all(|byte| byte.is_ascii_digit()))
        })
        .collect())
}

impl Checkpoint {
    /// The newest checkpoint in `directory` that is whole.
    pub(super) fn newest(storage: &dyn Storage, directory: &Path) -> Result<Option<Self>> {
        for name in names(storage, directory)?.into_iter().rev() {
            let found =
                bulk::read_whole(storage, &directory.join(name)).ok().and_then(|bytes| Self::decode(&bytes));
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, sum) = bytes.split_last_chunk::<4>()?;
        if crc32c(content) != u32::from_le_bytes(*sum) {
            return None;
        }
        let mut reader = Reader::new(content);
        if reader.u64()? != MAGIC {
            return None;
        }
        let incarnation = reader.bytes(16)?.try_into().ok()?;
        let (lsn, epoch) = (reader.u64()?, reader.u64()?);
        let position = Position { segment: reader.u64()?, offset: reader.u64()? };
        let next_row = reader.u64()?;
        let metric = match reader.u32()? {
            0 => Metric::Cosine,
            1 => Metric::InnerProduct,
            2 => Metric::L2,
            _ => return None,
        };
        let dimension = Dimension::new(reader.u32()? as usize);
        let head = Head { id: reader.text()?, metric, dimension };
        let batches = (0..reader.u32()?).map(|_| batch(&mut reader)).collect::<Option<Vec<_>>>()?;
        let collections = (0..reader.u32()?)
            .map(|_| SavedCollection::read(&mut reader, batches.len()))
            .collect::<Option<Vec<_>>>()?;
        let names = SavedNames::read(&mut reader, &batches)?;
        // Not there before sub-tenants could be deleted.
        let next_sub_tenant = reader.u32().unwrap_or_default();
        let end = Checkpointed { position, lsn, epoch };
        Some(Self { incarnation, head, end, next_row, next_sub_tenant, batches, collections, names })
    }

    /// Opens the tenant from here on.
    pub(super) fn restore(self, surroundings: Surroundings, directory: &Path) -> Result<Tenant> {
        let mut records = Vec::new();
        let log = Log::open(
            Arc::clone(&surroundings.storage),
            &directory.join(LOG),
            Some(self.end),
            surroundings.sizes,
            &mut |_, position| {
                records.push(position);
                Ok(())
            },
        )?;
        if log.incarnation() != self.incarnation {
            return Tenant::replay(surroundings, directory);
        }
        let catalogue = Arc::new(Catalogue::new(Arc::clone(log.segments()), self.incarnation));
        let lsn = self.end.lsn;
        let tenant = Tenant::assemble(surroundings, directory, self.head, catalogue, log, lsn, self.next_row);
        let mut listed = vec![false; self.batches.len()];
        for &(_, place) in self.collections.iter().flat_map(|saved| &saved.spans) {
            listed[place as usize] = true;
        }
        tenant.catalogue.reserve(self.batches.len(), self.names.count());
        for (place, (batch, blocks)) in (0..).zip(self.batches) {
            // They get the numbers of their places.
            let (holder, explicit) = (self.names.holder(place), self.names.hashes(place).is_some());
            let batch = Batch { explicit, ..batch };
            tenant.catalogue.restore(batch, blocks, holder, listed[place as usize]);
        }
        for saved in self.collections {
            // When the dead died is not known any more, but that it was by the checkpoint.
            let exact_from = if saved.dead.is_empty() { saved.generation } else { lsn };
            let generation = Generation::restored(saved.generation, exact_from);
            let mut batches: Vec<u32> = Vec::new();
            for (rows, number) in saved.spans {
                generation.spans.push(rows, number);
                batches.push(number);
            }
            for &rows in &saved.dead {
                generation.kill(rows, lsn);
            }
            let collection = tenant.add_collection(saved.number, saved.name, saved.dimension, generation);
            batches.dedup();
            for &number in &batches {
                if let Some(hashes) = self.names.hashes(number) {
                    for rows in collection.living(tenant.catalogue.batch(number).rows()) {
                        tenant.catalogue.restore_names(number, rows, hashes);
                    }
                }
            }
            if !saved.dead.is_empty() {
                tenant.forget_dead(&collection, batches);
            }
        }
        {
            let mut collections = tenant.collections.write();
            collections.next_number = collections.next_number.max(self.next_sub_tenant);
        }
        tenant.replay_records(&records)?;
        Ok(tenant)
    }
}

fn batch(reader: &mut Reader<'_>) -> Option<(Batch, u32)> {
    let batch = Batch {
        first_row: reader.u64()?,
        birth: reader.u64()?,
        segment: reader.u64()?,
        record_offset: reader.u64()?,
        rows_offset: reader.u64()?,
        source_hash: reader.u64()?,
        row_count: reader.u32()?,
        first_index: reader.u32()?,
        sub_tenant: reader.u32()?,
        entry: reader.u32()?,
        dimension: u16::try_from(reader.u32()?).ok()?,
        first_bit: 0,
        // Settled when it is restored.
        source: 0,
        previous: 0,
        explicit: false,
    };
    Some((batch, reader.u32()?))
}

impl SavedCollection {
    fn read(reader: &mut Reader<'_>, batches: usize) -> Option<Self> {
        Some(Self {
            number: reader.u32()?,
            name: reader.text()?,
            dimension: Dimension::new(reader.u32()? as usize)?,
            generation: reader.u64()?,
            spans: (0..reader.u32()?)
                .map(|_| {
                    let first = reader.u64()?;
                    let rows = RowRange { first, count: reader.u32()?.into() };
                    let place = reader.u32()?;
                    ((place as usize) < batches).then_some((rows, place))
                })
                .collect::<Option<_>>()?,
            dead: (0..reader.u32()?)
                .map(|_| Some(RowRange { first: reader.u64()?, count: reader.u64()? }))
                .collect::<Option<_>>()?,
        })
    }
}
