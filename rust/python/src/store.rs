//! A store, for Python: each call either waits with the GIL released, or begins and is reported to a mailbox.

use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingot_engine::collection::SearchOptions;
use ingot_engine::error::{Error, Result};
use ingot_engine::pool::Owner;
use ingot_engine::store::{Arrival, Batch, Options, Search};
use ingot_engine::sync::Mutex;
use ingot_engine::tenant::{Selector, Upload};
use ingot_engine::{store, vector};
use pyo3::BoundObject;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::answer::Answer;
use crate::array_unsafe::{Array, Purpose};
use crate::body::Rows;
use crate::call::released;
use crate::completions::Completions;
use crate::errors::exception;
use crate::hits::Hits;
use crate::inserted::Inserted;
use crate::stats::{SourceStatus, StoreMetrics, TenantStats};

/// Bytes of the largest upload that waits for others: what takes longer to validate is not put before theirs.
const QUEUED_BYTES: usize = 64 * 1024;

/// A data directory, open.
#[pyclass(frozen, module = "ingot._native")]
pub struct Store {
    store: Arc<store::Store>,
    path: PathBuf,
    /// Small uploads that wait for [`Store::begin_queued`].
    queued: Mutex<Vec<Arrival>>,
}

/// Vectors as Python gives them: an array, or rows that a body reader made.
enum Vectors {
    Array(Array),
    Rows(vector::Rows),
}

impl Vectors {
    fn of(object: &Bound<'_, PyAny>, purpose: Purpose) -> PyResult<Self> {
        match object.cast::<Rows>() {
            Ok(rows) => rows.get().take().map(Self::Rows),
            Err(_) => Array::of(object, purpose).map(Self::Array),
        }
    }

    /// The rows of an upload; an array is looked at where it lies before it is copied.
    fn into_upload(self, store: &store::Store, tenant_id: &str) -> Result<vector::Rows> {
        if let Self::Array(array) = &self {
            let (metric, expected) = store.expects(tenant_id)?;
            if let Some(expected) = expected.filter(|&expected| expected != array.dimension()) {
                return Err(Error::DimensionMismatch {
                    expected: expected.get(),
                    got: array.dimension().get(),
                });
            }
            array.check(Some(metric))?;
        }
        Ok(self.into_rows())
    }

    fn into_rows(self) -> vector::Rows {
        match self {
            Self::Rows(rows) => rows,
            Self::Array(array) => array.copy(),
        }
    }
}

fn options(given: Option<&Bound<'_, PyDict>>) -> PyResult<Options> {
    let mut options = Options::default();
    for (key, value) in given.into_iter().flat_map(|given| given.iter()) {
        match key.extract::<&str>()? {
            "create" => options.create = value.extract()?,
            "index_threads" => options.index_threads = value.extract()?,
            "search_threads" => options.search_threads = value.extract()?,
            "commit_threads" => options.commit_threads = value.extract()?,
            "max_open_tenants" => options.max_open_tenants = value.extract()?,
            "auto_create_tenants" => options.auto_create_tenants = value.extract()?,
            other => return Err(PyValueError::new_err(format!("unknown option {other:?}"))),
        }
    }
    if options.index_threads == 0 || options.search_threads == 0 || options.commit_threads == 0 {
        return Err(PyValueError::new_err("the numbers of threads must be at least 1"));
    }
    Ok(options)
}

fn selector(source_id: Option<String>, chunk_ids: Option<Vec<String>>) -> PyResult<Option<Selector>> {
    match (source_id, chunk_ids) {
        (Some(_), Some(_)) => Err(PyTypeError::new_err("give source_id or chunk_ids, not both")),
        (Some(id), None) => Ok(Some(Selector::Source(id))),
        (None, Some(ids)) => Ok(Some(Selector::Chunks(ids))),
        (None, None) => Ok(None),
    }
}

fn required(selector: Option<Selector>) -> PyResult<Selector> {
    selector.ok_or_else(|| PyTypeError::new_err("give source_id or chunk_ids"))
}

const fn search_of(limit: usize, ef: Option<usize>, exact: bool, score_threshold: Option<f32>) -> Search {
    Search { options: SearchOptions { limit, ef, exact }, score_threshold }
}

/// Reports `outcome`, made into a Python object by `make`, to `completions`.
fn report<T, P>(
    completions: &Completions,
    token: i64,
    outcome: Result<T>,
    make: impl FnOnce(Python<'_>, T) -> PyResult<P> + Send + 'static,
) where
    T: Send + 'static,
    P: for<'py> IntoPyObject<'py> + 'static,
{
    completions.post(
        token,
        Box::new(move |py| {
            let value = make(py, outcome.map_err(|error| exception(py, &error))?)?;
            let object = value.into_pyobject(py).map_err(Into::into)?;
            Ok(object.into_bound().into_any().unbind())
        }),
    );
}

#[pymethods]
impl Store {
    #[new]
    #[pyo3(signature = (path, *, options=None))]
    fn new(py: Python<'_>, path: PathBuf, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let options = self::options(options)?;
        // What the path means must not change when the process changes its folder.
        let path = std::path::absolute(path)?;
        let store = released(py, |_| store::Store::open(&path, options))?;
        Ok(Self { store, path, queued: Mutex::new(Vec::new()) })
    }

    #[getter]
    fn path(&self) -> String {
        self.path.display().to_string()
    }

    #[getter]
    fn closed(&self) -> bool {
        self.store.check() == Err(Error::Closed)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        released(py, |_| self.store.close())
    }

    #[pyo3(signature = (tenant_id, embeddings, *, file_id, sub_tenant_id=None, metadata=None, upsert=true, dry_run=false, crc32c=None))]
    #[allow(clippy::too_many_arguments)]
    fn insert(
        &self,
        py: Python<'_>,
        tenant_id: &str,
        embeddings: &Bound<'_, PyAny>,
        file_id: String,
        sub_tenant_id: Option<String>,
        metadata: Option<Vec<u8>>,
        upsert: bool,
        dry_run: bool,
        crc32c: Option<u32>,
    ) -> PyResult<Inserted> {
        let vectors = Vectors::of(embeddings, Purpose::Insert)?;
        let inserted = released(py, |_| {
            self.store.check()?;
            let upload = Upload {
                sub_tenant: sub_tenant_id,
                source_id: file_id,
                rows: vectors.into_upload(&self.store, tenant_id)?,
                metadata,
                upsert,
                dry_run,
                digest: crc32c,
            };
            self.store.insert(tenant_id, upload)
        })?;
        Inserted::new(py, inserted)
    }

    #[pyo3(signature = (completions, token, tenant_id, rows, *, file_id, sub_tenant_id=None, metadata=None, upsert=true, dry_run=false, crc32c=None))]
    #[allow(clippy::too_many_arguments)]
    fn begin_insert(
        &self,
        completions: &Completions,
        token: i64,
        tenant_id: String,
        rows: &Rows,
        file_id: String,
        sub_tenant_id: Option<String>,
        metadata: Option<Vec<u8>>,
        upsert: bool,
        dry_run: bool,
        crc32c: Option<u32>,
    ) -> PyResult<bool> {
        let upload = Upload {
            sub_tenant: sub_tenant_id,
            source_id: file_id,
            rows: rows.take()?,
            metadata,
            upsert,
            dry_run,
            digest: crc32c,
        };
        let completions = completions.clone();
        let completion = Box::new(move |outcome| report(&completions, token, outcome, Inserted::new));
        if upload.rows.len() * upload.rows.dimension().row_bytes() > QUEUED_BYTES {
            self.store.begin_insert(tenant_id, upload, completion);
            return Ok(false);
        }
        let mut queued = self.queued.lock();
        queued.push(Arrival { tenant_id, upload, completion });
        Ok(queued.len() == 1)
    }

    fn begin_queued(&self) {
        let queued = mem::take(&mut *self.queued.lock());
        self.store.begin_inserts(queued);
    }

    #[pyo3(signature = (tenant_id, queries, *, sub_tenant_id=None, limit=10, ef=None, exact=false, score_threshold=None, with_embeddings=false))]
    #[allow(clippy::too_many_arguments)]
    fn search(
        &self,
        py: Python<'_>,
        tenant_id: &str,
        queries: &Bound<'_, PyAny>,
        sub_tenant_id: Option<&str>,
        limit: usize,
        ef: Option<usize>,
        exact: bool,
        score_threshold: Option<f32>,
        with_embeddings: bool,
    ) -> PyResult<Vec<Hits>> {
        let vectors = Vectors::of(queries, Purpose::Search)?;
        let search = search_of(limit, ef, exact, score_threshold);
        released(py, |interrupt| {
            let queries = vectors.into_rows();
            let found = self.store.search(tenant_id, sub_tenant_id, &queries, search, interrupt)?;
            found.iter().map(|hits| Hits::gather(hits, true, with_embeddings)).collect()
        })
    }

    #[pyo3(signature = (completions, token, tenant_id, queries, *, sub_tenant_id=None, limit=10, ef=None, exact=false, score_threshold=None, with_embeddings=false))]
    #[allow(clippy::too_many_arguments)]
    fn begin_search(
        &self,
        completions: &Completions,
        token: i64,
        tenant_id: String,
        queries: &Rows,
        sub_tenant_id: Option<String>,
        limit: usize,
        ef: Option<usize>,
        exact: bool,
        score_threshold: Option<f32>,
        with_embeddings: bool,
    ) -> PyResult<()> {
        let queries = queries.take()?;
        let search = search_of(limit, ef, exact, score_threshold);
        let completions = completions.clone();
        self.store.begin_read(Owner::of(&tenant_id), move |store| {
            let found = store.search(&tenant_id, sub_tenant_id.as_deref(), &queries, search, &|| Ok(()));
            let gathered = found.and_then(|found| {
                found.iter().map(|hits| Hits::gather(hits, true, with_embeddings)).collect::<Result<Vec<_>>>()
            });
            report(&completions, token, gathered, |_, hits| Ok(hits));
        });
        Ok(())
    }

    #[pyo3(signature = (completions, token, tenant_id, queries, *, batch, max_bytes, here=false, sub_tenant_id=None, limit=10, ef=None, exact=false, score_threshold=None))]
    #[allow(clippy::too_many_arguments)]
    fn begin_search_json(
        &self,
        py: Python<'_>,
        completions: &Completions,
        token: i64,
        tenant_id: String,
        queries: &Rows,
        batch: bool,
        max_bytes: usize,
        here: bool,
        sub_tenant_id: Option<String>,
        limit: usize,
        ef: Option<usize>,
        exact: bool,
        score_threshold: Option<f32>,
    ) -> PyResult<()> {
        let queries = queries.take()?;
        let search = search_of(limit, ef, exact, score_threshold);
        let completions = completions.clone();
        let query = Batch { tenant_id, sub_tenant: sub_tenant_id, queries, search };
        let write = move |found: Vec<_>| Answer::write(&found, batch, max_bytes);
        let completion = Box::new(move |written| {
            report(&completions, token, written, |py, answer: Option<Answer>| {
                let Some(answer) = answer else { return Ok(None) };
                let parts: Vec<_> = answer.parts.iter().map(|part| PyBytes::new(py, part).unbind()).collect();
                Ok(Some((parts, answer.rows)))
            });
        });
        py.detach(|| self.store.begin_search(query, write, completion, here));
        Ok(())
    }

    #[pyo3(signature = (tenant_id, *, sub_tenant_id=None, source_id=None, chunk_ids=None, limit=100, with_embeddings=false))]
    #[allow(clippy::too_many_arguments)]
    fn get(
        &self,
        py: Python<'_>,
        tenant_id: &str,
        sub_tenant_id: Option<&str>,
        source_id: Option<String>,
        chunk_ids: Option<Vec<String>>,
        limit: usize,
        with_embeddings: bool,
    ) -> PyResult<(Hits, bool)> {
        let selector = selector(source_id, chunk_ids)?;
        released(py, |_| {
            let (hits, more) = self.store.get(tenant_id, sub_tenant_id, selector.as_ref(), limit)?;
            Ok((Hits::gather(&hits, false, with_embeddings)?, more))
        })
    }

    #[pyo3(signature = (completions, token, tenant_id, *, sub_tenant_id=None, source_id=None, chunk_ids=None, limit=100, with_embeddings=false))]
    #[allow(clippy::too_many_arguments)]
    fn begin_get(
        &self,
        completions: &Completions,
        token: i64,
        tenant_id: String,
        sub_tenant_id: Option<String>,
        source_id: Option<String>,
        chunk_ids: Option<Vec<String>>,
        limit: usize,
        with_embeddings: bool,
    ) -> PyResult<()> {
        let selector = selector(source_id, chunk_ids)?;
        let completions = completions.clone();
        self.store.begin_read(Owner::of(&tenant_id), move |store| {
            let found = store.get(&tenant_id, sub_tenant_id.as_deref(), selector.as_ref(), limit);
            let gathered =
                found.and_then(|(hits, more)| Ok((Hits::gather(&hits, false, with_embeddings)?, more)));
            report(&completions, token, gathered, |py, (hits, more)| Ok((Py::new(py, hits)?, more)));
        });
        Ok(())
    }

    #[pyo3(signature = (tenant_id, *, sub_tenant_id=None, source_id=None, chunk_ids=None))]
    fn delete(
        &self,
        py: Python<'_>,
        tenant_id: &str,
        sub_tenant_id: Option<&str>,
        source_id: Option<String>,
        chunk_ids: Option<Vec<String>>,
    ) -> PyResult<u64> {
        let selector = required(selector(source_id, chunk_ids)?)?;
        released(py, |_| self.store.delete(tenant_id, sub_tenant_id, &selector))
    }

    #[pyo3(signature = (completions, token, tenant_id, *, sub_tenant_id=None, source_id=None, chunk_ids=None))]
    fn begin_delete(
        &self,
        completions: &Completions,
        token: i64,
        tenant_id: String,
        sub_tenant_id: Option<String>,
        source_id: Option<String>,
        chunk_ids: Option<Vec<String>>,
    ) -> PyResult<()> {
        let selector = required(selector(source_id, chunk_ids)?)?;
        let completions = completions.clone();
        let completion =
            Box::new(move |outcome| report(&completions, token, outcome, |_, count: u64| Ok(count)));
        self.store.begin_delete(tenant_id, sub_tenant_id, selector, completion);
        Ok(())
    }

    #[pyo3(signature = (tenant_id, source_id, *, sub_tenant_id=None))]
    fn status(
        &self,
        py: Python<'_>,
        tenant_id: &str,
        source_id: String,
        sub_tenant_id: Option<&str>,
    ) -> PyResult<SourceStatus> {
        let source_ids = [source_id];
        released(py, |_| {
            let found = self.store.status(tenant_id, sub_tenant_id, &source_ids)?;
            found.into_iter().flatten().next().map(SourceStatus::from).ok_or(Error::NotFound)
        })
    }

    #[pyo3(signature = (completions, token, tenant_id, source_ids, *, sub_tenant_id=None))]
    fn begin_status(
        &self,
        completions: &Completions,
        token: i64,
        tenant_id: String,
        source_ids: Vec<String>,
        sub_tenant_id: Option<String>,
    ) {
        let completions = completions.clone();
        self.store.begin_read(Owner::of(&tenant_id), move |store| {
            let found = store.status(&tenant_id, sub_tenant_id.as_deref(), &source_ids);
            report(&completions, token, found, |_, found| {
                Ok(found.into_iter().map(|status| status.map(SourceStatus::from)).collect::<Vec<_>>())
            });
        });
    }

    fn stats(&self, py: Python<'_>, tenant_id: &str) -> PyResult<TenantStats> {
        released(py, |_| self.store.stats(tenant_id).map(|(tenant, stats)| TenantStats::new(&tenant, stats)))
    }

    fn begin_stats(&self, completions: &Completions, token: i64, tenant_id: String) {
        let completions = completions.clone();
        self.store.begin_read(Owner::of(&tenant_id), move |store| {
            let found = store.stats(&tenant_id).map(|(tenant, stats)| TenantStats::new(&tenant, stats));
            report(&completions, token, found, |_, stats| Ok(stats));
        });
    }

    #[pyo3(signature = (tenant_id, timeout=None))]
    fn wait_indexed(&self, py: Python<'_>, tenant_id: &str, timeout: Option<f64>) -> PyResult<bool> {
        let timeout = timeout
            .map(|seconds| {
                Duration::try_from_secs_f64(seconds)
                    .map_err(|_| PyValueError::new_err("timeout must be a number of seconds, 0 or more"))
            })
            .transpose()?;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        released(py, |interrupt| self.store.wait_indexed(tenant_id, deadline, interrupt))
    }

    fn probe(&self, py: Python<'_>) -> PyResult<()> {
        released(py, |_| self.store.probe())
    }

    fn refusing_tenants(&self, py: Python<'_>) -> usize {
        py.detach(|| self.store.refusing_tenants())
    }

    fn metrics(&self, py: Python<'_>) -> StoreMetrics {
        py.detach(|| self.store.metrics()).into()
    }

    fn __repr__(&self) -> String {
        format!("<Store {}>", self.path.display())
    }
}
