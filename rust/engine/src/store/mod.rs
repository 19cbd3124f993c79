//! A data directory, open: its layout, its tenants opened on demand, and the threads that serve them.
//! It knows tenants; it does not know who asks.

mod administration;
mod batch;
mod directory;
mod listing;
mod metrics;
mod tenants;
mod trash;
mod uploads;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use crate::collection::SearchOptions;
use crate::error::{Error, Result};
use crate::exact;
use crate::filter::Filter;
use crate::indexer::Indexer;
use crate::inverted::Memory;
use crate::limits::{FILTER_MEMORY, GRAPH_FROM_ROWS, MAX_LIMIT};
use crate::log::Sizes;
use crate::pool::company::Company;
use crate::pool::{Owner, Pool};
use crate::storage::{DirectoryLock, Disk, Storage, descriptor_limit};
use crate::sync::{Mutex, RwLock};
use crate::tenant::{
    Bookmark, Completion, Deleted, Hits, Selector, SourceStatus, Surroundings, Tenant, TenantStats,
    sub_tenant_name,
};
use crate::validate;
use crate::vector::{Dimension, Metric, Rows};
pub use batch::Batch;
use directory::Directory;
pub use metrics::Metrics;
use tenants::Tenants;
use trash::Trash;
pub use uploads::Arrival;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Make the directory when it is not there.
    pub create: bool,
    /// Threads that code rows and build graphs.
    pub index_threads: usize,
    /// Threads that serve searches begun without waiting.
    pub search_threads: usize,
    /// Threads that serve uploads and deletes begun without waiting.
    pub commit_threads: usize,
    /// Threads that may search one graph at one moment.
    pub graph_threads: usize,
    /// A collection of fewer rows gets no graph: its codes are scanned.
    pub graph_from_rows: usize,
    /// Tenants that are kept open; by default a quarter of the descriptors the process may have, 16 to 4096.
    pub max_open_tenants: usize,
    /// Whether a first upload makes its tenant.
    pub auto_create_tenants: bool,
    /// Sizes of log files.
    pub sizes: Sizes,
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            create: true,
            index_threads: cores,
            search_threads: cores,
            commit_threads: cores.max(4),
            graph_threads: 4 * cores + 8,
            graph_from_rows: GRAPH_FROM_ROWS,
            max_open_tenants: most_open(descriptor_limit()),
            auto_create_tenants: true,
            sizes: Sizes::default(),
        }
    }
}

/// Tenants kept open by default: each holds a descriptor and a mapping; connections need descriptors too, and Linux
/// allows 65,530 mappings.
fn most_open(descriptors: u64) -> usize {
    usize::try_from(descriptors / 4).unwrap_or(usize::MAX).clamp(16, 4096)
}

/// How to search.
#[derive(Clone, Debug)]
pub struct Search {
    /// Most results, ef, exactness.
    pub options: SearchOptions,
    /// Results with a lower score are left out.
    pub score_threshold: Option<f32>,
    /// Only rows that it holds of are looked for.
    pub filter: Option<Filter>,
}

/// Asked now and then during long work on the caller's thread.
pub type Interrupt<'a> = &'a dyn Fn() -> Result<()>;

/// A data directory, open. Every call may come from any thread.
pub struct Store {
    directory: Directory,
    tenants: Tenants,
    trash: Trash,
    indexer: Arc<Indexer>,
    commits: Pool,
    searches: Arc<Pool>,
    /// The tenants that requests are about.
    company: Arc<Company>,
    /// Groups written since the store was opened.
    groups: Arc<AtomicU64>,
    closed: AtomicBool,
    /// Held for reading by whoever may write to the directory; to close is to hold it alone.
    writing: RwLock<()>,
    lock: Mutex<Option<DirectoryLock>>,
    process: u32,
}

impl Store {
    /// Opens the directory at `path`, which no other process may have open.
    ///
    /// # Errors
    /// [`Error::DirectoryInUse`]; [`Error::FormatTooNew`]; [`Error::StorageFailed`].
    pub fn open(path: &Path, options: Options) -> Result<Arc<Self>> {
        let storage: Arc<dyn Storage> = Arc::new(Disk);
        Directory::check(&*storage, path, options.create)?;
        let lock = DirectoryLock::acquire(path)?;
        Self::start(storage, path, options, Some(lock))
    }

    /// Opens a directory of any storage, without a lock.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_on(storage: Arc<dyn Storage>, path: &Path, options: Options) -> Result<Arc<Self>> {
        Directory::check(&*storage, path, options.create)?;
        Self::start(storage, path, options, None)
    }

    fn start(
        storage: Arc<dyn Storage>,
        path: &Path,
        options: Options,
        lock: Option<DirectoryLock>,
    ) -> Result<Arc<Self>> {
        let directory = Directory::prepare(Arc::clone(&storage), path)?;
        let indexer = Arc::new(Indexer::new(options.index_threads)?);
        let failed = |cause| Error::storage("starting threads", &cause);
        let company = Arc::new(Company::new());
        let searches = Pool::with_crowd("ingot-search", options.search_threads, Arc::clone(&company));
        let searches = Arc::new(searches.map_err(failed)?);
        let groups = Arc::default();
        let surroundings = Surroundings {
            storage,
            helpers: Arc::clone(&searches),
            indexer: Arc::clone(&indexer),
            memory: Memory::new(FILTER_MEMORY),
            sizes: options.sizes,
            graph_from_rows: options.graph_from_rows,
            graph_threads: options.graph_threads + options.index_threads + options.search_threads,
            groups: Arc::clone(&groups),
        };
        Ok(Arc::new(Self {
            tenants: Tenants::new(directory.clone(), surroundings, &options),
            trash: Trash::new(directory.clone())?,
            directory,
            indexer,
            commits: Pool::new("ingot-commit", options.commit_threads).map_err(failed)?,
            searches,
            company,
            groups,
            closed: AtomicBool::new(false),
            writing: RwLock::new(()),
            lock: Mutex::new(lock),
            process: std::process::id(),
        }))
    }

    /// Whether a call may go on.
    ///
    /// # Errors
    /// [`Error::Closed`]; [`Error::Forked`].
    pub fn check(&self) -> Result<()> {
        self.check_process()?;
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// In a forked child there are no threads, and the directory is the parent's.
    fn check_process(&self) -> Result<()> {
        if std::process::id() == self.process { Ok(()) } else { Err(Error::Forked) }
    }

    /// What the vectors of an upload to this tenant have to be: for which metric and, when it is fixed, of which
    /// dimension. The upload itself is judged when it comes; this is for refusing it earlier.
    ///
    /// # Errors
    /// [`Error::InvalidId`]; what the system refuses.
    pub fn expects(&self, tenant_id: &str) -> Result<(Metric, Option<Dimension>)> {
        self.check()?;
        match self.tenants.get(tenant_id) {
            Ok(tenant) => Ok((tenant.metric(), tenant.dimension())),
            Err(Error::TenantNotFound) => Ok((tenants::NEW_METRIC, None)),
            Err(refused) => Err(refused),
        }
    }

    /// Deletes rows and returns how many, once that is on stable storage and visible.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub fn delete(
        self: &Arc<Self>,
        tenant_id: &str,
        sub_tenant: Option<&str>,
        selector: &Selector,
    ) -> Result<u64> {
        self.check()?;
        let (completion, outcome) = answer();
        self.remove(tenant_id, sub_tenant, selector, completion);
        outcome.recv().unwrap_or(Err(Error::Closed)).map(|deleted: Deleted| deleted.rows)
    }

    /// Deletes rows and tells `completion` which, once that is on stable storage and visible.
    pub fn begin_delete(
        self: &Arc<Self>,
        tenant_id: String,
        sub_tenant: Option<String>,
        selector: Selector,
        completion: Completion<Deleted>,
    ) {
        // A filter may have to read the metadata of everything first: uploads must not wait for the thread.
        let unprepared = match &selector {
            Selector::Filter(filter) if !self.is_prepared(&tenant_id, sub_tenant.as_deref(), filter) => {
                let (tenant_id, sub_tenant, filter) = (tenant_id.clone(), sub_tenant.clone(), filter.clone());
                Some(move |store: &Self| -> Result<()> {
                    let name = sub_tenant_name(sub_tenant.as_deref())?;
                    store.tenants.get(&tenant_id)?.prepare(name, &filter)
                })
            }
            _ => None,
        };
        let owner = Owner::of(&tenant_id);
        let completion = self.company.request(owner).until(completion);
        let store = Arc::clone(self);
        let remove = move || match store.check() {
            Ok(()) => store.remove(&tenant_id, sub_tenant.as_deref(), &selector, completion),
            Err(refused) => completion(Err(refused)),
        };
        match unprepared {
            None => self.commits.spawn(owner, remove),
            Some(prepare) => {
                let store = Arc::clone(self);
                self.searches.spawn(owner, move || {
                    // What is wrong shows again, and is told, where the delete is decided.
                    let _ = catch_unwind(AssertUnwindSafe(|| prepare(&store)));
                    store.commits.spawn(owner, remove);
                });
            }
        }
    }

    fn is_prepared(&self, tenant_id: &str, sub_tenant: Option<&str>, filter: &Filter) -> bool {
        let opened = self.tenants.opened_one(tenant_id);
        sub_tenant_name(sub_tenant)
            .is_ok_and(|name| opened.is_some_and(|tenant| tenant.is_prepared(name, filter)))
    }

    fn remove(
        self: &Arc<Self>,
        tenant_id: &str,
        sub_tenant: Option<&str>,
        selector: &Selector,
        completion: Completion<Deleted>,
    ) {
        let _writing = self.writing.read();
        let found = self.check().and_then(|()| selector.check()).and_then(|()| {
            let name = sub_tenant_name(sub_tenant)?;
            Ok((self.tenants.get(tenant_id)?, name))
        });
        let found = found.and_then(|(tenant, name)| {
            if let Selector::Filter(filter) = selector {
                tenant.prepare(name, filter)?;
            }
            Ok((tenant, name))
        });
        match found {
            Ok((tenant, name)) => {
                if tenant.begin_delete(name, selector, completion) {
                    self.commit(&tenant);
                }
            }
            Err(refused) => completion(Err(refused)),
        }
    }

    /// The rows nearest to each query, in query order; all at one snapshot.
    ///
    /// # Errors
    /// What is wrong with the queries; [`Error::TenantNotFound`]; [`Error::CorruptData`]; what `interrupt` returns.
    pub fn search(
        &self,
        tenant_id: &str,
        sub_tenant: Option<&str>,
        queries: &Rows,
        search: &Search,
        interrupt: Interrupt<'_>,
    ) -> Result<Vec<Hits>> {
        self.check()?;
        let limit = search.options.limit;
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Error::InvalidLimit { got: limit as u64, maximum: MAX_LIMIT });
        }
        let name = sub_tenant_name(sub_tenant)?;
        let tenant = self.tenants.get(tenant_id)?;
        if let Some(expected) = tenant.dimension().filter(|&expected| expected != queries.dimension()) {
            return Err(Error::DimensionMismatch {
                expected: expected.get(),
                got: queries.dimension().get(),
            });
        }
        check_queries(queries, tenant.metric())?;
        let (found, lsn) = tenant.search(name, queries, search.options, search.filter.as_ref(), interrupt)?;
        interrupt()?;
        Ok(found
            .into_iter()
            .map(|found| {
                let mut hits = Hits::new(Arc::clone(&tenant), found, lsn);
                if let Some(threshold) = search.score_threshold {
                    hits.retain(|found| exact::score(tenant.metric(), found.distance) >= threshold);
                }
                hits
            })
            .collect())
    }

    /// Runs `job`, which is about the tenant whose `owner` this is, on a search thread.
    pub fn begin_read(self: &Arc<Self>, owner: Owner, job: impl FnOnce(&Self) + Send + 'static) {
        let request = self.company.request(owner);
        let store = Arc::clone(self);
        self.searches.spawn(owner, move || {
            let _request = request;
            job(&store);
        });
    }

    /// Rows in insertion order, and whether there are more than `limit`.
    ///
    /// # Errors
    /// [`Error::TenantNotFound`]; [`Error::SubTenantNotFound`]; [`Error::InvalidId`]; [`Error::CorruptData`].
    pub fn get(
        &self,
        tenant_id: &str,
        sub_tenant: Option<&str>,
        selector: Option<&Selector>,
        limit: usize,
    ) -> Result<(Hits, bool)> {
        let (hits, bookmark) = self.page(tenant_id, sub_tenant, selector, limit, None)?;
        Ok((hits, bookmark.is_needed()))
    }

    /// One page of rows in insertion order, the first or the one that a cursor leads to; all pages show one snapshot.
    ///
    /// # Errors
    /// As [`Self::get`]; [`Error::CursorOfAnother`]; [`Error::CursorExpired`].
    pub fn page(
        &self,
        tenant_id: &str,
        sub_tenant: Option<&str>,
        selector: Option<&Selector>,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<(Hits, Bookmark)> {
        self.check()?;
        let name = sub_tenant_name(sub_tenant)?;
        let tenant = self.tenants.get(tenant_id)?;
        let (found, bookmark) = tenant.page(name, selector, limit, cursor)?;
        let lsn = bookmark.lsn();
        Ok((Hits::new(tenant, found, lsn), bookmark))
    }

    /// How far the graph has come with each source; `None` for one that has no row.
    ///
    /// # Errors
    /// [`Error::TenantNotFound`]; [`Error::SubTenantNotFound`]; [`Error::InvalidId`]; [`Error::CorruptData`].
    pub fn status(
        &self,
        tenant_id: &str,
        sub_tenant: Option<&str>,
        source_ids: &[String],
    ) -> Result<Vec<Option<SourceStatus>>> {
        self.check()?;
        let name = sub_tenant_name(sub_tenant)?;
        let tenant = self.tenants.get(tenant_id)?;
        source_ids
            .iter()
            .map(|id| {
                crate::format::name::check_source_id(id)?;
                tenant.status(name, id)
            })
            .collect()
    }

    /// The tenant's fixed properties and its counts.
    ///
    /// # Errors
    /// [`Error::TenantNotFound`].
    pub fn stats(&self, tenant_id: &str) -> Result<(Arc<Tenant>, TenantStats)> {
        self.check()?;
        let tenant = self.tenants.get(tenant_id)?;
        let stats = tenant.stats();
        Ok((tenant, stats))
    }

    /// Waits until everything of a tenant is in its graphs; false when `deadline` passes first.
    ///
    /// # Errors
    /// [`Error::TenantNotFound`]; what `interrupt` returns.
    pub fn wait_indexed(
        &self,
        tenant_id: &str,
        deadline: Option<Instant>,
        interrupt: Interrupt<'_>,
    ) -> Result<bool> {
        self.check()?;
        self.tenants.get(tenant_id)?.wait_indexed(deadline, interrupt)
    }

    /// Writes, syncs and removes a small file.
    ///
    /// # Errors
    /// [`Error::DiskFull`]; [`Error::StorageFailed`].
    pub fn probe(&self) -> Result<()> {
        self.check()?;
        self.directory.probe()
    }

    /// How many open tenants take no writes at present.
    pub fn refusing_tenants(&self) -> usize {
        self.tenants.refusing()
    }

    /// Refuses new calls, waits for commits in flight, saves what is derived, ends the threads. Idempotent.
    ///
    /// # Errors
    /// What the system refuses; every acknowledged upload is safe all the same.
    pub fn close(&self) -> Result<()> {
        self.check_process()?;
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.indexer.close();
        // A tenant opened or made after this look at them would be written to when the directory is another's.
        let _alone = self.writing.write();
        let closed = self.tenants.close();
        self.trash.close();
        // Only now may another process open the directory.
        self.lock.lock().take();
        closed
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Whoever wants to know calls `close`. In a forked child nothing is touched.
        let _ = self.close();
    }
}

/// A completion, and where its outcome arrives.
fn answer<T: Send + 'static>() -> (Completion<T>, mpsc::Receiver<Result<T>>) {
    let (sender, receiver) = mpsc::sync_channel(1);
    // The receiver waits on the same stack; if it is gone, nobody asks.
    (Box::new(move |outcome| drop(sender.send(outcome))), receiver)
}

/// Queries have the same rules as rows; a single one has no row number.
fn check_queries(queries: &Rows, metric: Metric) -> Result<()> {
    validate::upload(queries, Some(metric)).map_err(|refused| match refused {
        Error::NonFinite { column, value, .. } if queries.len() == 1 => {
            Error::NonFinite { row: None, column, value }
        }
        Error::ZeroVector { .. } if queries.len() == 1 => Error::ZeroVector { row: None },
        other => other,
    })
}
