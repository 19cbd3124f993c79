//! A store, for Python: each call either waits with the GIL released, or begins and is reported to a mailbox.

use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingot_engine::collection::SearchOptions;
use ingot_engine::error::{Error, Result};
use ingot_engine::pool::Owner;
use ingot_engine::store::{Arrival, Batch};
use ingot_engine::sync::Mutex;
use ingot_engine::tenant::{Content, Deleted, Selector, Upload};
use ingot_engine::{store, vector};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::answer::{self, Answer, Page, VectorsById};
use crate::array_unsafe::Purpose;
use crate::body::Rows;
use crate::call::released;
use crate::completions::{Completions, report};
use crate::hits::Hits;
use crate::inserted::Inserted;
use crate::options::options;
use crate::query::{required, search, selector};
use crate::stats::{SourceStatus, StoreMetrics, TenantStats};
use crate::tenants::Tenants;
use crate::vectors::{PyDocument, Vectors, content};

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

/// New vectors for chunks that exist.
fn update_of(rows: vector::Rows, chunk_ids: Vec<String>, sub_tenant: Option<String>) -> Upload {
    let content = Content::Update { chunk_ids: Arc::new(chunk_ids) };
    Upload { sub_tenant, content, rows, upsert: true, dry_run: false, digest: None }
}

impl Store {
    /// Stores what `upload` makes of the vectors.
    fn upload(
        &self,
        py: Python<'_>,
        tenant_id: &str,
        embeddings: &Bound<'_, PyAny>,
        upload: impl FnOnce(vector::Rows) -> Upload + Send,
    ) -> PyResult<Inserted> {
        let vectors = Vectors::of(embeddings, Purpose::Insert)?;
        let inserted = released(py, |_| {
            self.store.check()?;
            let rows = vectors.into_upload(&self.store, tenant_id)?;
            self.store.insert(tenant_id, upload(rows))
        })?;
        Inserted::new(py, inserted)
    }

    /// Begins an upload; true: it waits for others, the first that does.
    fn begin(&self, completions: &Completions, token: i64, tenant_id: String, upload: Upload) -> bool {
        let completions = completions.clone();
        let completion = Box::new(move |outcome| report(&completions, token, outcome, Inserted::new));
        if upload.rows.len() * upload.rows.dimension().row_bytes() > QUEUED_BYTES {
            self.store.begin_insert(tenant_id, upload, completion);
            return false;
        }
        let mut queued = self.queued.lock();
        queued.push(Arrival { tenant_id, upload, completion });
        queued.len() == 1
    }
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

    #[getter]
    fn tenants(&self) -> Tenants {
        Tenants::of(&self.store)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        released(py, |_| self.store.close())
    }

    #[pyo3(signature = (tenant_id, embeddings, *, file_id=None, metadata=None, documents=None, chunk_ids=None, sub_tenant_id=None, upsert=true, dry_run=false, crc32c=None))]
    #[allow(clippy::too_many_arguments)]
    fn insert(
        &self,
        py: Python<'_>,
        tenant_id: &str,
        embeddings: &Bound<'_, PyAny>,
        file_id: Option<String>,
        metadata: Option<Vec<u8>>,
        documents: Option<Vec<PyDocument>>,
        chunk_ids: Option<Vec<String>>,
        sub_tenant_id: Option<String>,
        upsert: bool,
        dry_run: bool,
        crc32c: Option<u32>,
    ) -> PyResult<Inserted> {
        let content = content(file_id, metadata, documents, chunk_ids)?;
        self.upload(py, tenant_id, embeddings, |rows| Upload {
            sub_tenant: sub_tenant_id,
            content,
            rows,
            upsert,
            dry_run,
            digest: crc32c,
        })
    }

    #[pyo3(signature = (tenant_id, embeddings, *, chunk_ids, sub_tenant_id=None))]
    fn update(
        &self,
        py: Python<'_>,
        tenant_id: &str,
        embeddings: &Bound<'_, PyAny>,
        chunk_ids: Vec<String>,
        sub_tenant_id: Option<String>,
    ) -> PyResult<Inserted> {
        self.upload(py, tenant_id, embeddings, |rows| update_of(rows, chunk_ids, sub_tenant_id))
    }

    #[pyo3(signature = (completions, token, tenant_id, rows, *, file_id=None, metadata=None, documents=None, chunk_ids=None, sub_tenant_id=None, upsert=true, dry_run=false, crc32c=None))]
    #[allow(clippy::too_many_arguments)]
    fn begin_insert(
        &self,
        completions: &Completions,
        token: i64,
        tenant_id: String,
        rows: &Rows,
        file_id: Option<String>,
        metadata: Option<Vec<u8>>,
        documents: Option<Vec<PyDocument>>,
        chunk_ids: Option<Vec<String>>,
        sub_tenant_id: Option<String>,
        upsert: bool,
        dry_run: bool,
        crc32c: Option<u32>,
    ) -> PyResult<bool> {
        let upload = Upload {
            sub_tenant: sub_tenant_id,
            content: content(file_id, metadata, documents, chunk_ids)?,
            rows: rows.take()?,
            upsert,
            dry_run,
            digest: crc32c,
        };
        Ok(self.begin(completions, token, tenant_id, upload))
    }

    #[pyo3(signature = (completions, token, tenant_id, rows, *, chunk_ids, sub_tenant_id=None))]
    fn begin_update(
        &self,
        completions: &Completions,
        token: i64,
        tenant_id: String,
        rows: &Rows,
        chunk_ids: Vec<String>,
        sub_tenant_id: Option<String>,
    ) -> PyResult<bool> {
        let upload = update_of(rows.take()?, chunk_ids, sub_tenant_id);
        Ok(self.begin(completions, token, tenant_id, upload))
    }

    fn begin_queued(&self) {
        let queued = mem::take(&mut *self.queued.lock());
        self.store.begin_inserts(queued);
    }

    #[pyo3(signature = (tenant_id, queries, *, sub_tenant_id=None, limit=10, ef=None, exact=false, score_threshold=None, with_embeddings=false, filter=None))]
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
        filter: Option<&str>,
    ) -> PyResult<Vec<Hits>> {
        let vectors = Vectors::of(queries, Purpose::Search)?;
        let search = search(py, SearchOptions { limit, ef, exact }, score_threshold, filter)?;
        released(py, |interrupt| {
            let queries = vectors.into_rows();
            let found = self.store.search(tenant_id, sub_tenant_id, &queries, &search, interrupt)?;
            found.iter().map(|hits| Hits::gather(hits, true, with_embeddings)).collect()
        })
    }

    #[pyo3(signature = (completions, token, tenant_id, queries, *, sub_tenant_id=None, limit=10, ef=None, exact=false, score_threshold=None, with_embeddings=false, filter=None))]
    #[allow(clippy::too_many_arguments)]
    fn begin_search(
        &self,
        py: Python<'_>,
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
        filter: Option<&str>,
    ) -> PyResult<()> {
        let search = search(py, SearchOptions { limit, ef, exact }, score_threshold, filter)?;
        let queries = queries.take()?;
        let completions = completions.clone();
        self.store.begin_read(Owner::of(&tenant_id), move |store| {
            let found = store.search(&tenant_id, sub_tenant_id.as_deref(), &queries, &search, &|| Ok(()));
            let gathered = found.and_then(|found| {
                found.iter().map(|hits| Hits::gather(hits, true, with_embeddings)).collect::<Result<Vec<_>>>()
            });
            report(&completions, token, gathered, |_, hits| Ok(hits));
        });
        Ok(())
    }

    #[pyo3(signature = (completions, token, tenant_id, queries, *, batch, max_bytes, here=false, vectors="none", sub_tenant_id=None, limit=10, ef=None, exact=false, score_threshold=None, filter=None))]
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
        vectors: &str,
        sub_tenant_id: Option<String>,
        limit: usize,
        ef: Option<usize>,
        exact: bool,
        score_threshold: Option<f32>,
        filter: Option<&str>,
    ) -> PyResult<bool> {
        let vectors = answer::Vectors::named(vectors)?;
        let search = search(py, SearchOptions { limit, ef, exact }, score_threshold, filter)?;
        let queries = queries.take()?;
        let completions = completions.clone();
        let query = Batch { tenant_id, sub_tenant: sub_tenant_id, queries, search };
        let write = move |found: Vec<_>| Answer::write(&found, batch, vectors, max_bytes);
        let completion = Box::new(move |written| {
            report(&completions, token, written, |py, answer: Option<Answer>| {
                let Some(answer) = answer else { return Ok(None) };
                Ok(Some((answer.bytes(py), answer.rows)))
            });
        });
        Ok(py.detach(|| self.store.begin_search(query, write, completion, here)))
    }

    #[pyo3(signature = (tenant_id, *, sub_tenant_id=None, source_id=None, chunk_ids=None, limit=100, with_embeddings=false, filter=None))]
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
        filter: Option<&str>,
    ) -> PyResult<(Hits, bool)> {
        let selector = selector(py, source_id, chunk_ids, filter)?;
        released(py, |_| {
            let (hits, more) = self.store.get(tenant_id, sub_tenant_id, selector.as_ref(), limit)?;
            Ok((Hits::gather(&hits, false, with_embeddings)?, more))
        })
    }

    #[pyo3(signature = (completions, token, tenant_id, chunk_ids, *, max_bytes, sub_tenant_id=None))]
    fn begin_get_json(
        &self,
        completions: &Completions,
        token: i64,
        tenant_id: String,
        chunk_ids: Vec<String>,
        max_bytes: usize,
        sub_tenant_id: Option<String>,
    ) {
        let completions = completions.clone();
        self.store.begin_read(Owner::of(&tenant_id), move |store| {
            let selector = Selector::Chunks(chunk_ids.clone());
            let found = store.get(&tenant_id, sub_tenant_id.as_deref(), Some(&selector), chunk_ids.len());
            let written = found.and_then(|(hits, _)| VectorsById::write(&hits, chunk_ids, max_bytes));
            report(&completions, token, written, |py, answer: Option<VectorsById>| {
                Ok(answer.map(|VectorsById { answer, missing }| (answer.bytes(py), missing)))
            });
        });
    }

    #[pyo3(signature = (completions, token, tenant_id, *, max_bytes, sub_tenant_id=None, source_id=None, chunk_ids=None, filter=None, limit=100, vectors="none", cursor=None))]
    #[allow(clippy::too_many_arguments)]
    fn begin_page_json(
        &self,
        py: Python<'_>,
        completions: &Completions,
        token: i64,
        tenant_id: String,
        max_bytes: usize,
        sub_tenant_id: Option<String>,
        source_id: Option<String>,
        chunk_ids: Option<Vec<String>>,
        filter: Option<&str>,
        limit: usize,
        vectors: &str,
        cursor: Option<String>,
    ) -> PyResult<()> {
        let vectors = answer::Vectors::named(vectors)?;
        let selector = selector(py, source_id, chunk_ids, filter)?;
        let completions = completions.clone();
        self.store.begin_read(Owner::of(&tenant_id), move |store| {
            let (sub_tenant, cursor) = (sub_tenant_id.as_deref(), cursor.as_deref());
            let found = store.page(&tenant_id, sub_tenant, selector.as_ref(), limit, cursor);
            let written =
                found.and_then(|(hits, bookmark)| Page::write(&hits, &bookmark, vectors, max_bytes));
            report(&completions, token, written, |py, Page { answer, next }| {
                Ok((answer.bytes(py), answer.rows, next))
            });
        });
        Ok(())
    }

    #[pyo3(signature = (tenant_id, *, sub_tenant_id=None, source_id=None, chunk_ids=None, filter=None))]
    fn delete(
        &self,
        py: Python<'_>,
        tenant_id: &str,
        sub_tenant_id: Option<&str>,
        source_id: Option<String>,
        chunk_ids: Option<Vec<String>>,
        filter: Option<&str>,
    ) -> PyResult<u64> {
        let selector = required(selector(py, source_id, chunk_ids, filter)?)?;
        released(py, |_| self.store.delete(tenant_id, sub_tenant_id, &selector))
    }

    #[pyo3(signature = (completions, token, tenant_id, *, sub_tenant_id=None, source_id=None, chunk_ids=None, filter=None))]
    #[allow(clippy::too_many_arguments)]
    fn begin_delete(
        &self,
        py: Python<'_>,
        completions: &Completions,
        token: i64,
        tenant_id: String,
        sub_tenant_id: Option<String>,
        source_id: Option<String>,
        chunk_ids: Option<Vec<String>>,
        filter: Option<&str>,
    ) -> PyResult<()> {
        let selector = required(selector(py, source_id, chunk_ids, filter)?)?;
        let completions = completions.clone();
        let completion = Box::new(move |outcome| {
            report(&completions, token, outcome, |_, deleted: Deleted| Ok((deleted.rows, deleted.chunks)));
        });
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
