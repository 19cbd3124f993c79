//! What an upload did, for Python.

use std::borrow::Cow;
use std::sync::Arc;

use ingot_engine::format::name::{chunk_id, parse_chunk_id};
use ingot_engine::tenant;
use pyo3::exceptions::{PyIndexError, PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList, PySlice, PyString};

/// The ids of the rows of one upload; each string is made when it is asked for.
#[pyclass(frozen, sequence, module = "ingot._native")]
pub struct ChunkIds {
    ids: Ids,
}

enum Ids {
    /// `{batch_id}_{index}`
    Computed { batch_id: String, count: usize },
    /// As the client named them.
    Explicit(Arc<Vec<String>>),
}

impl ChunkIds {
    fn len(&self) -> usize {
        match &self.ids {
            Ids::Computed { count, .. } => *count,
            Ids::Explicit(ids) => ids.len(),
        }
    }

    fn get(&self, index: usize) -> Option<Cow<'_, str>> {
        match &self.ids {
            Ids::Computed { batch_id, count } => {
                let index = u32::try_from(index).ok().filter(|_| index < *count)?;
                Some(chunk_id(batch_id, index).into())
            }
            Ids::Explicit(ids) => ids.get(index).map(|id| id.as_str().into()),
        }
    }

    fn list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let ids: Vec<Cow<'_, str>> = (0..self.len()).map_while(|index| self.get(index)).collect();
        PyList::new(py, ids)
    }

    fn place_of(&self, value: &Bound<'_, PyAny>) -> Option<isize> {
        let value = value.extract::<&str>().ok()?;
        let place = match &self.ids {
            Ids::Computed { batch_id, count } => {
                let (source, index) = parse_chunk_id(value)?;
                let index = usize::try_from(index).ok()?;
                (source == batch_id && index < *count).then_some(index)
            }
            Ids::Explicit(ids) => ids.iter().position(|id| id == value),
        };
        isize::try_from(place?).ok()
    }
}

#[pymethods]
impl ChunkIds {
    fn __len__(&self) -> usize {
        self.len()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if let Ok(slice) = index.cast::<PySlice>() {
            let bounds = slice.indices(isize::try_from(self.len())?)?;
            let ids: Vec<Cow<'_, str>> = (0..bounds.slicelength)
                .filter_map(|place| {
                    let index = bounds.start + isize::try_from(place).unwrap_or_default() * bounds.step;
                    self.get(usize::try_from(index).ok()?)
                })
                .collect();
            return Ok(PyList::new(py, ids)?.into_any());
        }
        let out_of_range = || PyIndexError::new_err(format!("chunk id {index} of {}", self.len()));
        let given = match index.extract::<i64>() {
            Err(error) if error.is_instance_of::<PyOverflowError>(py) => return Err(out_of_range()),
            given => given?,
        };
        let from_start = if given < 0 { given + i64::try_from(self.len())? } else { given };
        let id = usize::try_from(from_start).ok().and_then(|index| self.get(index));
        Ok(PyString::new(py, &id.ok_or_else(out_of_range)?).into_any())
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.list(py)?.try_iter()
    }

    fn __reversed__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        let list = self.list(py)?;
        list.reverse()?;
        list.try_iter()
    }

    fn __contains__(&self, value: &Bound<'_, PyAny>) -> bool {
        self.place_of(value).is_some()
    }

    #[pyo3(signature = (value, start=0, stop=isize::MAX, /))]
    fn index(&self, value: &Bound<'_, PyAny>, start: isize, stop: isize) -> PyResult<isize> {
        let count = self.len() as isize;
        let from_start = |place: isize| if place < 0 { (place + count).max(0) } else { place };
        self.place_of(value)
            .filter(|place| (from_start(start)..from_start(stop)).contains(place))
            .ok_or_else(|| PyValueError::new_err("not one of these chunk ids"))
    }

    #[pyo3(signature = (value, /))]
    fn count(&self, value: &Bound<'_, PyAny>) -> usize {
        usize::from(self.place_of(value).is_some())
    }

    fn __repr__(&self) -> String {
        format!("<ChunkIds {} .. {}>", self.get(0).unwrap_or_default(), self.len())
    }
}

/// What an upload did.
#[pyclass(frozen, module = "ingot._native")]
pub struct Inserted {
    #[pyo3(get)]
    file_ids: Vec<String>,
    #[pyo3(get)]
    sub_tenant_id: String,
    #[pyo3(get)]
    chunk_ids: Py<ChunkIds>,
    #[pyo3(get)]
    dimension: usize,
    #[pyo3(get)]
    overwritten: u64,
    #[pyo3(get)]
    existed: bool,
    #[pyo3(get)]
    crc32c: u32,
    #[pyo3(get)]
    lsn: u64,
}

impl Inserted {
    pub fn new(py: Python<'_>, inserted: tenant::Inserted) -> PyResult<Self> {
        let file_ids = inserted.source_ids;
        let ids = match inserted.chunk_ids {
            Some(ids) => Ids::Explicit(ids),
            None => Ids::Computed {
                batch_id: file_ids.first().cloned().unwrap_or_default(),
                count: inserted.rows,
            },
        };
        Ok(Self {
            file_ids,
            sub_tenant_id: inserted.sub_tenant,
            chunk_ids: Py::new(py, ChunkIds { ids })?,
            dimension: inserted.dimension,
            overwritten: inserted.overwritten,
            existed: inserted.existed,
            crc32c: inserted.digest,
            lsn: inserted.lsn,
        })
    }
}

#[pymethods]
impl Inserted {
    #[getter]
    fn file_id(&self) -> PyResult<&str> {
        match &self.file_ids[..] {
            [only] => Ok(only),
            _ => Err(PyValueError::new_err("of several sources: see file_ids")),
        }
    }

    fn __len__(&self) -> usize {
        self.chunk_ids.get().len()
    }

    fn __repr__(&self) -> String {
        format!(
            "<Inserted file_ids={:?} rows={} dimension={} overwritten={} lsn={}>",
            self.file_ids,
            self.__len__(),
            self.dimension,
            self.overwritten,
            self.lsn
        )
    }
}
