//! One tenant: its log, its catalogue, its collections, and the order in which requests take effect.
//! It knows what a request does; it does not know other tenants, or where its directory lies among theirs.

mod apply;
mod checkpoint;
mod commit;
mod conflicts;
mod cursor;
mod ending;
mod filtered;
mod foreseen;
mod head;
mod lookup;
mod overlay;
mod page;
mod sequencer;
mod sources;
mod upload;

pub use lookup::{Hit, Hits, SourceStatus, TenantStats};
pub use page::Bookmark;
pub use sources::SourceRows;
pub(crate) use upload::ValidUpload;
pub use upload::{Content, Deleted, Document, Inserted, Selector, Upload, sub_tenant_name};

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::catalogue::Catalogue;
use crate::collection::{Begun, Collection, Found, Generation, SearchOptions, Shared};
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::format::draft::Draft;
use crate::format::record::Kind;
use crate::indexer::Indexer;
use crate::inverted::Memory;
use crate::limits::DEFAULT_EF;
use crate::log::{AppendError, Log, Sizes};
use crate::pool::Pool;
use crate::storage::Storage;
use crate::sync::{Condvar, Mutex, RwLock};
use crate::vector::{Dimension, Metric, Rows};
use head::Head;
use sequencer::{Applied, Sequencer};

/// Who is told how a request ended; called once, on any thread.
pub type Completion<T> = Box<dyn FnOnce(Result<T>) + Send>;

/// Folder of the log inside a tenant's directory.
const LOG: &str = "log";

/// What tenants share.
#[derive(Clone)]
pub struct Surroundings {
    /// Where files are.
    pub storage: Arc<dyn Storage>,
    /// Who codes rows and builds graphs.
    pub indexer: Arc<Indexer>,
    /// Sizes of log files.
    pub sizes: Sizes,
    /// Threads that may use a graph at one moment.
    pub graph_threads: usize,
    /// Slots from which on a collection gets a graph.
    pub graph_from_rows: usize,
    /// Threads that take part in searches when they have nothing else to do.
    pub helpers: Arc<Pool>,
    /// Bounds what filters keep.
    pub memory: Arc<Memory>,
    /// Groups that all tenants have written.
    pub groups: Arc<AtomicU64>,
}

/// One tenant, open.
pub struct Tenant {
    id: String,
    metric: Metric,
    /// Named when the tenant was made, or fixed by its first vectors; emptying the tenant does not unlock it.
    dimension: OnceLock<Dimension>,
    surroundings: Surroundings,
    shared: Shared,
    catalogue: Arc<Catalogue>,
    visible: Arc<AtomicU64>,
    collections: RwLock<Collections>,
    /// Collections of sub-tenants that have ended, until they are swept away.
    ended: Mutex<Vec<Arc<Collection>>>,
    /// Held by the one who sweeps.
    sweeping: Mutex<()>,
    sequencer: Mutex<Sequencer>,
    committer: Mutex<CommitState>,
    idle: Condvar,
    /// Held by the one who writes a checkpoint.
    checkpointing: Mutex<()>,
    /// LSN of the newest checkpoint.
    checkpointed: AtomicU64,
    /// Groups written since the tenant was opened.
    groups: AtomicU64,
}

/// Written when a sub-tenant is first used; a reader holds it for one look-up.
#[derive(Default)]
struct Collections {
    by_number: HashMap<u32, Arc<Collection>>,
    by_name: HashMap<String, Arc<Collection>>,
    /// Larger than every number that a sub-tenant has had: none is used twice.
    next_number: u32,
}

/// What only the committing thread touches.
struct CommitState {
    log: Log,
    next_row: u64,
    /// Why the log and what is in memory may differ.
    broken: Option<Error>,
}

impl Tenant {
    /// Makes a tenant in `directory`, which has no durable name yet. The tenant exists once the caller has given
    /// it one.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn create(
        surroundings: Surroundings,
        directory: &Path,
        id: &str,
        metric: Metric,
        dimension: Option<Dimension>,
        incarnation: [u8; 16],
    ) -> Result<Self> {
        let storage = Arc::clone(&surroundings.storage);
        let mut log = Log::create(storage, &directory.join(LOG), incarnation, surroundings.sizes)?;
        let record = Draft {
            name: Some(id.to_owned()),
            metric,
            // At most 3024 columns.
            #[allow(clippy::cast_possible_truncation)]
            dimension: dimension.map_or(0, |dimension| dimension.get() as u16),
            ..Draft::bare(Kind::Tenant, 1)
        };
        log.append(&[&record]).map_err(|refused| match refused {
            AppendError::NothingWritten(cause) | AppendError::Unknown(cause) => cause,
        })?;
        let head = Head { id: id.to_owned(), metric, dimension };
        let catalogue = Arc::new(Catalogue::new(Arc::clone(log.segments()), incarnation));
        Ok(Self::assemble(surroundings, directory, head, catalogue, log, 1, 0))
    }

    /// Opens the tenant in `directory`. Nothing is written before its first upload.
    ///
    /// # Errors
    /// [`Error::CorruptData`]; [`Error::FormatTooNew`]; what the system refuses.
    pub fn open(surroundings: Surroundings, directory: &Path) -> Result<Self> {
        match checkpoint::Checkpoint::newest(&*surroundings.storage, directory)? {
            Some(checkpoint) => checkpoint.restore(surroundings, directory),
            None => Self::replay(surroundings, directory),
        }
    }

    /// The id of the tenant in `directory`, which is not opened for it.
    ///
    /// # Errors
    /// [`Error::CorruptData`]; what the system refuses.
    pub fn id_in(storage: &dyn Storage, directory: &Path) -> Result<String> {
        Log::first(storage, &directory.join(LOG), &|record| record.name().map(str::to_owned))
    }

    /// Opens the tenant from its log alone.
    fn replay(surroundings: Surroundings, directory: &Path) -> Result<Self> {
        let mut head = None;
        let mut records = Vec::new();
        let log = Log::open(
            Arc::clone(&surroundings.storage),
            &directory.join(LOG),
            None,
            surroundings.sizes,
            &mut |record, position| {
                match record.header.kind {
                    Kind::Tenant => head = Some(Head::of(record)?),
                    _ => records.push(position),
                }
                Ok(())
            },
        )?;
        let head = head.ok_or_else(|| Error::CorruptData {
            reason: format!("the log in {} does not begin with its tenant", directory.display()),
        })?;
        let segments = Arc::clone(log.segments());
        let catalogue = Arc::new(Catalogue::new(Arc::clone(&segments), log.incarnation()));
        let tenant = Self::assemble(surroundings, directory, head, catalogue, log, 1, 0);
        tenant.replay_records(&records)?;
        Ok(tenant)
    }

    /// Applies what the log holds beyond what is known.
    fn replay_records(&self, records: &[crate::log::Position]) -> Result<()> {
        let mut state = self.committer.lock();
        let segments = Arc::clone(state.log.segments());
        for &position in records {
            let record = segments.get(position.segment)?.record(position.offset)?;
            self.apply(&record, position, false, &mut state.next_row)?;
            self.visible.store(record.header.lsn, Ordering::Release);
        }
        self.sequencer.lock().reset(&self.applied(&state));
        drop(state);
        self.sweep();
        Ok(())
    }

    fn assemble(
        surroundings: Surroundings,
        directory: &Path,
        head: Head,
        catalogue: Arc<Catalogue>,
        log: Log,
        lsn: u64,
        next_row: u64,
    ) -> Self {
        let visible = Arc::new(AtomicU64::new(lsn));
        let shared = Shared {
            catalogue: Arc::clone(&catalogue),
            visible: Arc::clone(&visible),
            metric: head.metric,
            incarnation: log.incarnation(),
            graph_threads: surroundings.graph_threads,
            graph_from_rows: surroundings.graph_from_rows,
            helpers: Arc::clone(&surroundings.helpers),
            memory: Arc::clone(&surroundings.memory),
            storage: Arc::clone(&surroundings.storage),
            directory: Arc::new(RwLock::new(directory.to_owned())),
        };
        let applied = Applied {
            lsn,
            next_row,
            dimension: head.dimension,
            sub_tenants: HashMap::new(),
            next_sub_tenant: 1,
        };
        Self {
            id: head.id,
            metric: head.metric,
            dimension: head.dimension.map_or_else(OnceLock::new, OnceLock::from),
            surroundings,
            shared,
            catalogue,
            visible,
            collections: RwLock::default(),
            ended: Mutex::default(),
            sweeping: Mutex::default(),
            sequencer: Mutex::new(Sequencer::new(&applied)),
            committer: Mutex::new(CommitState { log, next_row, broken: None }),
            idle: Condvar::new(),
            checkpointing: Mutex::new(()),
            checkpointed: AtomicU64::new(lsn),
            groups: AtomicU64::new(0),
        }
    }

    /// What is applied.
    fn applied(&self, state: &CommitState) -> Applied {
        let collections = self.collections.read();
        Applied {
            lsn: self.visible.load(Ordering::Acquire),
            next_row: state.next_row,
            dimension: self.dimension(),
            next_sub_tenant: collections.next_number.max(1),
            sub_tenants: collections
                .by_name
                .iter()
                .map(|(name, collection)| (name.clone(), collection.sub_tenant()))
                .collect(),
        }
    }

    /// The tenant's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The tenant's metric.
    pub const fn metric(&self) -> Metric {
        self.metric
    }

    /// The dimension that applied uploads, or the tenant's creation, have fixed.
    pub fn dimension(&self) -> Option<Dimension> {
        self.dimension.get().copied()
    }

    /// LSN up to which everything is visible.
    pub fn visible_lsn(&self) -> u64 {
        self.visible.load(Ordering::Acquire)
    }

    /// The tenant's directory was renamed.
    pub fn moved(&self, directory: &Path) {
        directory.clone_into(&mut self.shared.directory.write());
        self.committer.lock().log.moved(&directory.join(LOG));
    }

    fn directory(&self) -> PathBuf {
        self.shared.directory.read().clone()
    }

    /// Queues an upload. True: the caller has to call [`Self::commit`].
    pub(crate) fn begin_upload(&self, upload: ValidUpload, completion: Completion<Inserted>) -> bool {
        self.queue_upload(upload, completion)
    }

    /// Queues a delete. True: the caller has to call [`Self::commit`].
    pub(crate) fn begin_delete(
        &self,
        sub_tenant: &str,
        selector: &Selector,
        completion: Completion<Deleted>,
    ) -> bool {
        self.queue_delete(sub_tenant, selector, completion)
    }

    /// Queues the end of a sub-tenant. True: the caller has to call [`Self::commit`].
    pub(crate) fn begin_drop(&self, sub_tenant: &str, completion: Completion<()>) -> bool {
        self.queue_drop(sub_tenant, completion)
    }

    /// Commits one group of what is queued. True: more is waiting.
    pub(crate) fn commit(&self) -> bool {
        self.commit_group()
    }

    /// Writes a checkpoint if much has come since the last one. What fails is tried again later: the log has it all.
    pub(crate) fn checkpoint_if_grown(&self) {
        let turn = self.checkpointing.lock();
        if !self.wants_checkpoint() || self.sequencer.lock().closed.is_some() {
            return;
        }
        let captured = {
            let state = self.committer.lock();
            if state.broken.is_some() {
                return;
            }
            self.capture(&state)
        };
        self.checkpointed.store(captured.lsn(), Ordering::Relaxed);
        let _ = self.write_checkpoint(&captured, &turn);
    }

    /// Whether [`Self::checkpoint_if_grown`] would write one.
    pub(crate) fn wants_checkpoint(&self) -> bool {
        let checkpointed = self.checkpointed.load(Ordering::Relaxed);
        self.visible_lsn().saturating_sub(checkpointed) >= checkpoint_after(checkpointed)
    }

    fn collection(&self, number: u32) -> Option<Arc<Collection>> {
        self.collections.read().by_number.get(&number).cloned()
    }

    fn collection_named(&self, name: &str) -> Option<Arc<Collection>> {
        self.collections.read().by_name.get(name).cloned()
    }

    fn add_collection(
        &self,
        number: u32,
        name: String,
        dimension: Dimension,
        generation: Generation,
    ) -> Arc<Collection> {
        let collection =
            Arc::new(Collection::new(self.shared.clone(), number, name.clone(), dimension, generation));
        let _ = self.dimension.set(dimension);
        let mut collections = self.collections.write();
        collections.next_number = collections.next_number.max(number + 1);
        collections.by_number.insert(number, Arc::clone(&collection));
        collections.by_name.insert(name, Arc::clone(&collection));
        collection
    }

    /// All collections, by number.
    pub(crate) fn collections(&self) -> Vec<Arc<Collection>> {
        let mut all: Vec<_> = self.collections.read().by_number.values().cloned().collect();
        all.sort_unstable_by_key(|collection| collection.sub_tenant());
        all
    }

    /// Tells the indexer of a collection that may have something to be done.
    fn notify_indexer(&self, collection: &Arc<Collection>) {
        if collection.wants_work() {
            self.surroundings.indexer.notify(collection);
        }
    }

    /// Lets background work on everything begin that an earlier process left undone.
    pub fn wake(&self) {
        for collection in self.collections() {
            self.notify_indexer(&collection);
        }
    }

    /// The rows nearest to each query in a sub-tenant, best first; all at one snapshot, whose LSN comes with them. With a
    /// `filter`, among the rows that it holds of.
    ///
    /// # Errors
    /// [`Error::SubTenantNotFound`]; [`Error::DimensionMismatch`]; [`Error::CorruptData`]; what `interrupt` returns.
    pub fn search(
        &self,
        sub_tenant: &str,
        queries: &Rows,
        options: SearchOptions,
        filter: Option<&Filter>,
        interrupt: &dyn Fn() -> Result<()>,
    ) -> Result<(Vec<Vec<Found>>, u64)> {
        let Some(collection) = self.existing(sub_tenant)? else {
            return Ok((vec![Vec::new(); queries.len()], 0));
        };
        if !options.exact {
            collection.load_codes();
        }
        if queries.len() > 1 || filter.is_some() || !is_ordinary(options) {
            return collection.search(queries, options, filter, interrupt);
        }
        let begun = Begun::now();
        let found = collection.search(queries, options, None, interrupt)?;
        collection.record_search(begun);
        Ok(found)
    }

    /// Whether such a search can be expected to take well under a millisecond.
    pub(crate) fn is_brisk(&self, sub_tenant: &str, options: SearchOptions) -> bool {
        is_ordinary(options)
            && self.collection_named(sub_tenant).is_some_and(|collection| collection.is_brisk())
    }

    /// The collection of a sub-tenant; `None` for the default one before its first row.
    fn existing(&self, sub_tenant: &str) -> Result<Option<Arc<Collection>>> {
        match self.collection_named(sub_tenant) {
            Some(collection) => Ok(Some(collection)),
            None if sub_tenant == crate::limits::DEFAULT_SUB_TENANT => Ok(None),
            None => Err(Error::SubTenantNotFound),
        }
    }

    /// Waits until everything is in the graphs; false when `deadline` passes first.
    ///
    /// # Errors
    /// What `interrupt` returns.
    pub fn wait_indexed(
        &self,
        deadline: Option<Instant>,
        interrupt: &dyn Fn() -> Result<()>,
    ) -> Result<bool> {
        for collection in self.collections() {
            self.surroundings.indexer.notify(&collection);
            if !self.surroundings.indexer.wait(&collection, deadline, interrupt)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the log takes no writes at present.
    pub fn is_refusing(&self) -> bool {
        self.committer.try_lock().is_some_and(|state| state.broken.is_some() || state.log.is_poisoned())
    }
}

/// Whether a search is like others: how long the last one took says how long it will take.
fn is_ordinary(options: SearchOptions) -> bool {
    let SearchOptions { limit, ef, exact } = options;
    !exact && limit <= 100 && ef.is_none_or(|ef| ef <= DEFAULT_EF)
}

/// Records after which the next checkpoint is due: a fixed share more, so that all of them together cost a few times
/// what the last one does.
const fn checkpoint_after(lsn: u64) -> u64 {
    const FEWEST: u64 = 8192;
    let share = lsn / 2;
    if share < FEWEST { FEWEST } else { share }
}
