//! Deciding what a request does, in order: against the catalogue plus the records in flight.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::conflicts::{Decision, vectors};
use super::foreseen::{Ending, ranges};
use super::overlay::Overlay;
use super::upload::{Deleted, Form, Inserted, Selector, ValidUpload, check_dimension};
use super::{Completion, Tenant};
use crate::error::{Error, Result};
use crate::format::RowRange;
use crate::format::draft::{Draft, DraftBody};
use crate::format::name::parse_chunk_id;
use crate::format::record::Kind;
use crate::limits::DEFAULT_SUB_TENANT;
use crate::vector::Dimension;

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
    /// Why nothing is taken any more.
    pub(super) closed: Option<Error>,
    last_lsn: u64,
    next_row: u64,
    dimension: Option<Dimension>,
    sub_tenants: HashMap<String, u32>,
    next_sub_tenant: u32,
    pub(super) overlay: Overlay,
}

impl Sequencer {
    /// What has been applied is all there is.
    pub(super) fn new(applied: &Applied) -> Self {
        Self {
            queue: VecDeque::new(),
            committing: false,
            closed: None,
            last_lsn: applied.lsn,
            next_row: applied.next_row,
            dimension: applied.dimension,
            sub_tenants: applied.sub_tenants.clone(),
            next_sub_tenant: applied.next_sub_tenant,
            overlay: Overlay::default(),
        }
    }

    /// A group failed: everything in flight is as if it had never come.
    pub(super) fn reset(&mut self, applied: &Applied) -> VecDeque<Queued> {
        let failed = std::mem::take(&mut self.queue);
        let (committing, closed) = (self.committing, self.closed.take());
        *self = Self { committing, closed, ..Self::new(applied) };
        failed
    }

    /// Records up to `lsn` are applied: the catalogue knows what they changed.
    pub(super) fn applied(&mut self, lsn: u64) {
        self.overlay.applied(lsn);
    }
}

/// What the applied records amount to.
pub(super) struct Applied {
    pub(super) lsn: u64,
    pub(super) next_row: u64,
    pub(super) dimension: Option<Dimension>,
    pub(super) sub_tenants: HashMap<String, u32>,
    pub(super) next_sub_tenant: u32,
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
        mut upload: ValidUpload,
    ) -> Result<(Option<Draft>, Inserted)> {
        sequencer.check_open()?;
        check_dimension(sequencer.dimension, upload.dimension)?;
        let known = sequencer.sub_tenant(&upload.sub_tenant);
        let decision = match (known, upload.form) {
            (None, Form::Update) => return Err(Error::SubTenantNotFound),
            (None, _) => Decision::default(),
            (Some(number), form) => {
                let ending = Ending::new(self, &sequencer.overlay, number);
                match form {
                    Form::Matrix => self.decide_matrix(ending, &upload)?,
                    Form::Documents => self.decide_documents(ending, &mut upload)?,
                    Form::Update => Self::decide_update(ending, &mut upload)?,
                }
            }
        };
        let overwritten = decision.deaths.iter().map(|range| range.count).sum();
        let mut inserted = Inserted { overwritten, existed: decision.existed, ..upload.as_new() };
        if decision.is_stored {
            // The retry of an upload that is stored, or about to be: it changes nothing.
            (inserted.existed, inserted.overwritten) = (false, 0);
        }
        if decision.is_stored || upload.dry_run {
            return Ok((None, inserted));
        }
        let draft = self.enter(sequencer, known, upload, decision.deaths);
        inserted.lsn = draft.lsn;
        Ok((Some(draft), inserted))
    }

    /// The record of an upload that is decided; from here on it is in flight.
    fn enter(
        &self,
        sequencer: &mut Sequencer,
        known: Option<u32>,
        upload: ValidUpload,
        deaths: Vec<RowRange>,
    ) -> Draft {
        let lsn = sequencer.last_lsn + 1;
        let first_row = sequencer.next_row;
        let sub_tenant = known.unwrap_or(sequencer.next_sub_tenant);
        let (overlay, body) = (&mut sequencer.overlay, upload.body);
        overlay.died(&deaths, lsn);
        for (batch, range) in body.ranges() {
            let rows = RowRange { first: first_row + range.start as u64, count: range.len() as u64 };
            let of = (body.chunk_ids().is_some(), batch.continues);
            let metadata = batch.metadata.as_deref();
            overlay.born((sub_tenant, &batch.source_id), (rows, lsn), of, metadata);
            if let Some(ids) = body.chunk_ids() {
                let source_id: Arc<str> = batch.source_id.as_str().into();
                for (row, id) in (rows.first..).zip(&ids[range]) {
                    let lookalike = parse_chunk_id(id).map(|(source, _)| source);
                    overlay.name(sub_tenant, id, lookalike, (row, lsn), &source_id);
                }
            }
        }
        overlay.holds(first_row, vectors(&body, upload.dimension), lsn);
        let draft = Draft {
            sub_tenant,
            name: known.is_none().then(|| upload.sub_tenant.clone()),
            // At most 3024 columns.
            #[allow(clippy::cast_possible_truncation)]
            dimension: upload.dimension.get() as u16,
            first_row,
            deaths,
            body,
            metric: self.metric,
            ..Draft::bare(Kind::Upload, lsn)
        };
        if known.is_none() {
            sequencer.sub_tenants.insert(upload.sub_tenant, sub_tenant);
            sequencer.next_sub_tenant += 1;
        }
        sequencer.dimension = Some(upload.dimension);
        sequencer.last_lsn = lsn;
        sequencer.next_row += upload.rows as u64;
        draft
    }

    /// Decides a delete and queues it. True: the caller has to see that the queue is committed.
    pub(super) fn queue_delete(
        &self,
        sub_tenant: &str,
        selector: &Selector,
        completion: Completion<Deleted>,
    ) -> bool {
        let mut sequencer = self.sequencer.lock();
        match self.decide_delete(&mut sequencer, sub_tenant, selector) {
            Err(refused) => {
                drop(sequencer);
                completion(Err(refused));
                false
            }
            Ok((draft, deleted)) => {
                let done = Box::new(move |outcome: Result<()>| completion(outcome.map(|()| deleted)));
                sequencer.push(Queued { draft, done })
            }
        }
    }

    fn decide_delete(
        &self,
        sequencer: &mut Sequencer,
        sub_tenant: &str,
        selector: &Selector,
    ) -> Result<(Option<Draft>, Deleted)> {
        sequencer.check_open()?;
        let number = sequencer.sub_tenant(sub_tenant).ok_or(Error::SubTenantNotFound)?;
        let mut ending = Ending::new(self, &sequencer.overlay, number);
        let mut chunks: Vec<usize> = Vec::new();
        let deaths = match selector {
            Selector::Source(id) => ending.rows_of(id)?,
            Selector::Chunks(ids) => {
                let mut rows: Vec<u64> = Vec::new();
                let mut seen: HashSet<u64> = HashSet::new();
                for (place, id) in ids.iter().enumerate() {
                    if let Some(row) = ending.row_of(id)?
                        && seen.insert(row.number)
                    {
                        rows.push(row.number);
                        chunks.push(place);
                    }
                }
                ranges(rows)
            }
            Selector::Filter(filter) => ending.rows_chosen(filter)?,
        };
        let rows = deaths.iter().map(|range| range.count).sum();
        if rows == 0 {
            return Ok((None, Deleted::default()));
        }
        let lsn = sequencer.last_lsn + 1;
        sequencer.last_lsn = lsn;
        sequencer.overlay.died(&deaths, lsn);
        let draft = Draft {
            sub_tenant: number,
            deaths,
            body: DraftBody::default(),
            metric: self.metric,
            ..Draft::bare(Kind::Delete, lsn)
        };
        Ok((Some(draft), Deleted { rows, chunks }))
    }

    /// Decides the end of a sub-tenant and queues it. True: the caller has to see that the queue is committed.
    pub(super) fn queue_drop(&self, sub_tenant: &str, completion: Completion<()>) -> bool {
        let mut sequencer = self.sequencer.lock();
        match self.decide_drop(&mut sequencer, sub_tenant) {
            Err(refused) => {
                drop(sequencer);
                completion(Err(refused));
                false
            }
            Ok(draft) => sequencer.push(Queued { draft: Some(draft), done: completion }),
        }
    }

    fn decide_drop(&self, sequencer: &mut Sequencer, sub_tenant: &str) -> Result<Draft> {
        sequencer.check_open()?;
        if sub_tenant == DEFAULT_SUB_TENANT {
            let reason =
                "names the default sub-tenant, which every tenant has: delete its sources, or the tenant";
            return Err(Error::InvalidId { field: "sub_tenant_id", reason: reason.to_owned(), row: None });
        }
        // What is pending of it stays until it is applied: nobody looks there under this number again.
        let number = sequencer.sub_tenants.remove(sub_tenant).ok_or(Error::SubTenantNotFound)?;
        let lsn = sequencer.last_lsn + 1;
        sequencer.last_lsn = lsn;
        Ok(Draft { sub_tenant: number, metric: self.metric, ..Draft::bare(Kind::Drop, lsn) })
    }
}

impl Sequencer {
    /// Whether requests are taken.
    fn check_open(&self) -> Result<()> {
        self.closed.clone().map_or(Ok(()), Err)
    }

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
