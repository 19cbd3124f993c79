//! Deciding what a request does, in order: against the catalogue plus the records in flight.

use std::collections::{HashMap, VecDeque};

use super::filtered::{Dying, Metadata, surviving};
use super::upload::{Inserted, Selector, ValidUpload, check_dimension};
use super::{Completion, Tenant};
use crate::error::{Error, Result};
use crate::format::draft::{Draft, DraftBody};
use crate::format::name::parse_chunk_id;
use crate::format::record::Kind;
use crate::format::{RowRange, checksum};
use crate::limits::DEFAULT_SUB_TENANT;
use crate::vector::Dimension;

/// Rows of a source with the index that the first of them has in its upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LiveRange {
    rows: RowRange,
    first_index: u32,
}

/// What is known of a source at the end of the queue.
#[derive(Clone, Debug, Default)]
pub(super) struct LiveSource {
    ranges: Vec<LiveRange>,
    metadata: Metadata,
    /// Digest of rows and metadata, when the source is one whole upload.
    identity: Option<Identity>,
}

/// What makes an upload the same as another: rows, their CRC-32C, dimension, and metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    digest: u32,
    rows: u64,
    dimension: u16,
    metadata: Option<(usize, u32)>,
}

impl Identity {
    fn metadata(text: Option<&[u8]>) -> Option<(usize, u32)> {
        text.map(|text| (text.len(), checksum::crc32c(text)))
    }
}

impl LiveSource {
    fn rows(&self) -> u64 {
        self.ranges.iter().map(|range| range.rows.count).sum()
    }

    fn row_of(&self, index: u32) -> Option<u64> {
        self.ranges.iter().find_map(|range| {
            let behind = u64::from(index.checked_sub(range.first_index)?);
            (behind < range.rows.count).then(|| range.rows.first + behind)
        })
    }

    pub(super) const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Its rows, each with its index in its upload.
    pub(super) fn each_row(&self) -> impl Iterator<Item = (u64, u32)> {
        self.ranges.iter().flat_map(|range| (range.rows.first..range.rows.end()).zip(range.first_index..))
    }

    pub(super) fn remove(&mut self, row: u64) {
        let Some(at) =
            self.ranges.iter().position(|range| (range.rows.first..range.rows.end()).contains(&row))
        else {
            return;
        };
        let range = self.ranges.remove(at);
        // Narrowing is safe: fewer than the rows of one upload.
        #[allow(clippy::cast_possible_truncation)]
        let before = (row - range.rows.first) as u32;
        let behind = RowRange { first: row + 1, count: range.rows.end() - row - 1 };
        if behind.count > 0 {
            self.ranges.insert(at, LiveRange { rows: behind, first_index: range.first_index + before + 1 });
        }
        if before > 0 {
            let rows = RowRange { first: range.rows.first, count: before.into() };
            self.ranges.insert(at, LiveRange { rows, first_index: range.first_index });
        }
        self.identity = None;
    }
}

/// A source that a record in flight touches.
struct Pending {
    lsn: u64,
    source: LiveSource,
}

/// A request in the queue.
pub(super) struct Queued {
    /// What is to be written; `None` when it only has to wait for what is before it.
    pub(super) draft: Option<Draft>,
    /// Who is told.
    pub(super) done: Box<dyn FnOnce(Result<()>) + Send>,
}

/// The end of the queue: what the tenant will be when everything in flight is applied.
pub(super) struct Sequencer {
    pub(super) queue: VecDeque<Queued>,
    /// Whether a thread is committing.
    pub(super) committing: bool,
    pub(super) closed: bool,
    last_lsn: u64,
    next_row: u64,
    dimension: Option<Dimension>,
    sub_tenants: HashMap<String, u32>,
    next_sub_tenant: u32,
    pending: HashMap<(u32, String), Pending>,
    /// What deletes by filter let die of sources that are not pending.
    dying: Vec<Dying>,
}

impl Sequencer {
    /// What has been applied is all there is.
    pub(super) fn new(applied: &Applied) -> Self {
        let next_sub_tenant = applied.sub_tenants.values().max().map_or(1, |last| last + 1);
        Self {
            queue: VecDeque::new(),
            committing: false,
            closed: false,
            last_lsn: applied.lsn,
            next_row: applied.next_row,
            dimension: applied.dimension,
            sub_tenants: applied.sub_tenants.clone(),
            next_sub_tenant,
            pending: HashMap::new(),
            dying: Vec::new(),
        }
    }

    /// A group failed: everything in flight is as if it had never come.
    pub(super) fn reset(&mut self, applied: &Applied) -> VecDeque<Queued> {
        let failed = std::mem::take(&mut self.queue);
        let (committing, closed) = (self.committing, self.closed);
        *self = Self { committing, closed, ..Self::new(applied) };
        failed
    }

    /// Records up to `lsn` are applied: the catalogue knows their sources.
    pub(super) fn applied(&mut self, lsn: u64) {
        self.pending.retain(|_, pending| pending.lsn > lsn);
        self.dying.retain(|dying| dying.lsn > lsn);
    }

    /// The sources of a sub-tenant that records in flight touch.
    pub(super) fn touched(&self, sub_tenant: u32) -> impl Iterator<Item = (&str, &LiveSource)> {
        let of_it = self.pending.iter().filter(move |((number, _), _)| *number == sub_tenant);
        of_it.map(|((_, source_id), pending)| (&**source_id, &pending.source))
    }

    /// What deletes by filter in flight let die.
    pub(super) fn dying(&self) -> &[Dying] {
        &self.dying
    }
}

/// What the applied records amount to.
pub(super) struct Applied {
    pub(super) lsn: u64,
    pub(super) next_row: u64,
    pub(super) dimension: Option<Dimension>,
    pub(super) sub_tenants: HashMap<String, u32>,
}

impl Tenant {
    /// Decides an upload and queues it. True: the caller has to see that the queue is committed.
    pub(super) fn queue_upload(&self, upload: ValidUpload, completion: Completion<Inserted>) -> bool {
        let mut sequencer = self.sequencer.lock();
        match self.decide_upload(&mut sequencer, upload) {
            Err(refused) => {
                drop(sequencer);
                completion(Err(refused));
                false
            }
            Ok((draft, inserted)) => {
                let done = Box::new(move |outcome: Result<()>| completion(outcome.map(|()| inserted)));
                sequencer.push(Queued { draft, done })
            }
        }
    }

    fn decide_upload(
        &self,
        sequencer: &mut Sequencer,
        upload: ValidUpload,
    ) -> Result<(Option<Draft>, Inserted)> {
        if sequencer.closed {
            return Err(Error::Closed);
        }
        check_dimension(sequencer.dimension, upload.dimension)?;
        let [batch] = upload.body.batches() else {
            return Err(Error::EmptyEmbeddings { field: "embeddings" });
        };
        let source_id = batch.source_id.clone();
        let metadata =
            batch.metadata.as_deref().map_or(Metadata::None, |text| Metadata::InFlight(text.into()));
        // At most 3024 columns.
        #[allow(clippy::cast_possible_truncation)]
        let dimension = upload.dimension.get() as u16;
        let identity = Identity {
            digest: upload.body.digest(),
            rows: upload.rows as u64,
            dimension,
            metadata: Identity::metadata(batch.metadata.as_deref()),
        };
        let known = sequencer.sub_tenant(&upload.sub_tenant);
        let existing = match known {
            Some(number) => self.source(sequencer, number, &source_id)?,
            None => LiveSource::default(),
        };
        let existed = existing.rows() > 0;
        let mut inserted = Inserted { overwritten: existing.rows(), existed, ..upload.as_new() };
        if existed && !upload.upsert {
            if existing.identity != Some(identity) {
                return Err(Error::AlreadyExists { source_id });
            }
            // The retry of an upload that is stored, or about to be: it changes nothing.
            (inserted.existed, inserted.overwritten) = (false, 0);
            return Ok((None, inserted));
        }
        if upload.dry_run {
            return Ok((None, inserted));
        }
        let lsn = sequencer.last_lsn + 1;
        let first_row = sequencer.next_row;
        let sub_tenant = known.unwrap_or(sequencer.next_sub_tenant);
        let draft = Draft {
            sub_tenant,
            name: known.is_none().then(|| upload.sub_tenant.clone()),
            dimension,
            first_row,
            deaths: existing.ranges.iter().map(|range| range.rows).collect(),
            body: upload.body,
            metric: self.metric,
            ..Draft::bare(Kind::Upload, lsn)
        };
        if known.is_none() {
            sequencer.sub_tenants.insert(upload.sub_tenant, sub_tenant);
            sequencer.next_sub_tenant += 1;
        }
        sequencer.dimension = Some(upload.dimension);
        sequencer.last_lsn = lsn;
        sequencer.next_row += identity.rows;
        let rows = RowRange { first: first_row, count: identity.rows };
        let ranges = vec![LiveRange { rows, first_index: 0 }];
        let source = LiveSource { ranges, metadata, identity: Some(identity) };
        sequencer.pending.insert((sub_tenant, source_id), Pending { lsn, source });
        inserted.lsn = lsn;
        Ok((Some(draft), inserted))
    }

    /// Decides a delete and queues it. True: the caller has to see that the queue is committed.
    pub(super) fn queue_delete(
        &self,
        sub_tenant: &str,
        selector: &Selector,
        completion: Completion<u64>,
    ) -> bool {
        let mut sequencer = self.sequencer.lock();
        match self.decide_delete(&mut sequencer, sub_tenant, selector) {
            Err(refused) => {
                drop(sequencer);
                completion(Err(refused));
                false
            }
            Ok((draft, count)) => {
                let done = Box::new(move |outcome: Result<()>| completion(outcome.map(|()| count)));
                sequencer.push(Queued { draft, done })
            }
        }
    }

    fn decide_delete(
        &self,
        sequencer: &mut Sequencer,
        sub_tenant: &str,
        selector: &Selector,
    ) -> Result<(Option<Draft>, u64)> {
        if sequencer.closed {
            return Err(Error::Closed);
        }
        let number = sequencer.sub_tenant(sub_tenant).ok_or(Error::SubTenantNotFound)?;
        let mut touched: HashMap<String, LiveSource> = HashMap::new();
        let mut rows: Vec<u64> = Vec::new();
        let mut applied: Vec<RowRange> = Vec::new();
        match selector {
            Selector::Source(id) => {
                let source = self.source(sequencer, number, id)?;
                rows.extend(source.ranges.iter().flat_map(|range| range.rows.first..range.rows.end()));
                touched.insert(id.clone(), LiveSource::default());
            }
            Selector::Chunks(ids) => {
                for (id, index) in ids.iter().filter_map(|id| parse_chunk_id(id)) {
                    if !touched.contains_key(id) {
                        touched.insert(id.to_owned(), self.source(sequencer, number, id)?);
                    }
                    if let Some(source) = touched.get_mut(id)
                        && let Some(row) = source.row_of(index)
                    {
                        rows.push(row);
                        source.remove(row);
                    }
                }
            }
            Selector::Filter(filter) => {
                let chosen = self.choose(sequencer, number, filter)?;
                (rows, touched, applied) = (chosen.in_flight, chosen.touched, chosen.applied);
            }
        }
        let count = rows.len() as u64 + applied.iter().map(|rows| rows.count).sum::<u64>();
        if count == 0 {
            return Ok((None, 0));
        }
        rows.sort_unstable();
        let lsn = sequencer.last_lsn + 1;
        sequencer.last_lsn = lsn;
        for (id, source) in touched {
            sequencer.pending.insert((number, id), Pending { lsn, source });
        }
        let mut deaths = ranges(&rows);
        if !applied.is_empty() {
            deaths.extend(&applied);
            deaths.sort_unstable();
            sequencer.dying.push(Dying::new(lsn, number, applied));
        }
        let draft = Draft {
            sub_tenant: number,
            deaths,
            body: DraftBody::default(),
            metric: self.metric,
            ..Draft::bare(Kind::Delete, lsn)
        };
        Ok((Some(draft), count))
    }

    /// The rows of a source that live at the end of the queue.
    fn source(&self, sequencer: &Sequencer, sub_tenant: u32, source_id: &str) -> Result<LiveSource> {
        if let Some(pending) = sequencer.pending.get(&(sub_tenant, source_id.to_owned())) {
            return Ok(pending.source.clone());
        }
        let Some(collection) = self.collection(sub_tenant) else { return Ok(LiveSource::default()) };
        let mut live = LiveSource::default();
        let numbers = self.catalogue.batches_of(sub_tenant, source_id)?;
        for &number in &numbers {
            let batch = self.catalogue.batch(number);
            let living = collection.living(batch.rows()).into_iter();
            for rows in living.flat_map(|rows| surviving(&sequencer.dying, sub_tenant, rows)) {
                live.metadata = Metadata::Of(number);
                live.ranges.push(LiveRange { rows, first_index: batch.index_of(rows.first) });
            }
            let whole = live.ranges.len() == 1 && live.rows() == u64::from(batch.row_count);
            if whole && numbers.last() == Some(&number) {
                let record = self.catalogue.record(batch)?;
                live.identity = (record.header.batch_count == 1).then_some(Identity {
                    digest: record.header.digest,
                    rows: batch.row_count.into(),
                    dimension: batch.dimension,
                    metadata: Identity::metadata(self.catalogue.entry(batch)?.metadata),
                });
            }
        }
        Ok(live)
    }
}

impl Sequencer {
    /// Number of a sub-tenant; the default one always exists.
    fn sub_tenant(&self, name: &str) -> Option<u32> {
        if name == DEFAULT_SUB_TENANT { Some(0) } else { self.sub_tenants.get(name).copied() }
    }

    /// True: nobody is committing, the caller has to see to it.
    fn push(&mut self, queued: Queued) -> bool {
        self.queue.push_back(queued);
        !std::mem::replace(&mut self.committing, true)
    }
}

/// Sorted rows as ranges.
fn ranges(rows: &[u64]) -> Vec<RowRange> {
    let mut ranges: Vec<RowRange> = Vec::new();
    for &row in rows {
        match ranges.last_mut() {
            Some(range) if range.end() == row => range.count += 1,
            _ => ranges.push(RowRange { first: row, count: 1 }),
        }
    }
    ranges
}
