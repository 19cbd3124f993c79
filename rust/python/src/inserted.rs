//! What an upload did, for Python.

use ingot_engine::format::name::{chunk_id, parse_chunk_id};
use ingot_engine::tenant;
use pyo3::exceptions::{PyIndexError, PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList, PySlice, PyString};

/// The ids `{batch_id}_{index}` of one upload; each string is made when it is asked for.
#[pyclass(frozen, sequence, module = "ingot._native")]
pub struct ChunkIds {
    batch_id: String,
    count: u32,
}

impl ChunkIds {
    fn list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, (0..self.count).map(|index| chunk_id(&self.batch_id, index)))
    }

    fn place_of(&self, value: &Bound<'_, PyAny>) -> Option<isize> {
        let (batch_id, index) = parse_chunk_id(value.extract::<&str>().ok()?)?;
        (batch_id == self.batch_id && index < self.count).then_some(index as isize)
    }
}

#[pymethods]
impl ChunkIds {
    const fn __len__(&self) -> usize {
        self.count as usize
    }

    fn __getitem__<'py>(&self, py: Python<'py>, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if let Ok(slice) = index.cast::<PySlice>() {
            let bounds = slice.indices(isize::try_from(self.count)?)?;
            let ids = (0..bounds.slicelength).map(|place| {
                let index = bounds.start + isize::try_from(place).unwrap_or_default() * bounds.step;
                chunk_id(&self.batch_id, u32::try_from(index).unwrap_or_default())
            });
            return Ok(PyList::new(py, ids)?.into_any());
        }
        let out_of_range = || PyIndexError::new_err(format!("chunk id {index} of {}", self.count));
        let given = match index.extract::<i64>() {
            Err(error) if error.is_instance_of::<PyOverflowError>(py) => return Err(out_of_range()),
            given => given?,
        };
        let from_start = if given < 0 { given + i64::from(self.count) } else { given };
        match u32::try_from(from_start) {
            Ok(index) if index < self.count => {
                Ok(PyString::new(py, &chunk_id(&self.batch_id, index)).into_any())
            }
            _ => Err(out_of_range()),
        }
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
        let count = self.count as isize;
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
        format!("<ChunkIds {}_0 .. {}>", self.batch_id, self.count)
    }
}

/// What an upload did.
#[pyclass(frozen, get_all, module = "ingot._native")]
pub struct Inserted {
    file_id: String,
    sub_tenant_id: String,
    chunk_ids: Py<ChunkIds>,
    dimension: usize,
    overwritten: u64,
    existed: bool,
    crc32c: u32,
    lsn: u64,
}

impl Inserted {
    pub fn new(py: Python<'_>, inserted: tenant::Inserted) -> PyResult<Self> {
        // At most 2000 rows.
        let count = u32::try_from(inserted.rows)?;
        let chunk_ids = Py::new(py, ChunkIds { batch_id: inserted.source_id.clone(), count })?;
        Ok(Self {
            file_id: inserted.source_id,
            sub_tenant_id: inserted.sub_tenant,
            chunk_ids,
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
    fn __len__(&self) -> usize {
        self.chunk_ids.get().count as usize
    }

    fn __repr__(&self) -> String {
        format!(
            "<Inserted file_id={:?} rows={} dimension={} overwritten={} lsn={}>",
            self.file_id,
            self.__len__(),
            self.dimension,
            self.overwritten,
            self.lsn
        )
    }
}
