//! What a search or a get found, as columns. Gathered without the GIL; Python objects are made when asked for.

use ingot_engine::body::base64;
use ingot_engine::error::Result;
use ingot_engine::exact;
use ingot_engine::tenant;
use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

/// The rows a search or a get found, best (or first) first.
#[pyclass(frozen, module = "ingot._native")]
pub struct Hits {
    source_ids: Vec<String>,
    chunk_ids: Vec<String>,
    metadata: Vec<Option<Vec<u8>>>,
    distances: Vec<f32>,
    scores: Vec<f32>,
    /// Row by row; `None` when not asked for.
    vectors: Option<Vec<f32>>,
    /// The same as base64 text of its bytes, in the place of `vectors`.
    texts: Option<Vec<String>>,
    dimension: usize,
}

impl Hits {
    /// Reads from the log what belongs to `hits`; `searched`: they have distances.
    pub fn gather(hits: &tenant::Hits, searched: bool, with_embeddings: bool) -> Result<Self> {
        let metric = hits.tenant().metric();
        let mut gathered = Self {
            source_ids: Vec::with_capacity(hits.len()),
            chunk_ids: Vec::with_capacity(hits.len()),
            metadata: Vec::with_capacity(hits.len()),
            distances: Vec::new(),
            scores: Vec::new(),
            vectors: with_embeddings.then(Vec::new),
            texts: None,
            dimension: hits.tenant().dimension().map_or(0, ingot_engine::vector::Dimension::get),
        };
        hits.each(&mut |hit| {
            gathered.source_ids.push(hit.source_id.to_owned());
            gathered.chunk_ids.push(hit.chunk_id);
            gathered.metadata.push(hit.metadata.map(<[u8]>::to_vec));
            if searched {
                gathered.distances.push(hit.distance);
                gathered.scores.push(exact::score(metric, hit.distance));
            }
            if let Some(vectors) = &mut gathered.vectors {
                vectors.extend_from_slice(hit.vector);
            }
            Ok(())
        })?;
        Ok(gathered)
    }
}

impl Hits {
    /// The same with vectors as base64; nothing has distances.
    pub fn gather_base64(hits: &tenant::Hits) -> Result<Self> {
        let mut texts = Vec::with_capacity(hits.len());
        hits.each(&mut |hit| {
            let mut text = Vec::new();
            base64::encode(bytemuck::cast_slice(hit.vector), &mut text);
            // It is ASCII.
            texts.push(String::from_utf8(text).unwrap_or_default());
            Ok(())
        })?;
        Ok(Self { texts: Some(texts), ..Self::gather(hits, false, false)? })
    }
}

#[pymethods]
impl Hits {
    const fn __len__(&self) -> usize {
        self.chunk_ids.len()
    }

    #[getter]
    fn source_ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, &self.source_ids)
    }

    #[getter]
    fn chunk_ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, &self.chunk_ids)
    }

    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let texts = self.metadata.iter();
        PyList::new(py, texts.map(|text| text.as_ref().map(|text| PyBytes::new(py, text))))
    }

    #[getter]
    fn distances<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f32>> {
        PyArray1::from_slice(py, &self.distances)
    }

    #[getter]
    fn scores<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f32>> {
        PyArray1::from_slice(py, &self.scores)
    }

    #[getter]
    fn embeddings<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArray2<f32>>>> {
        let Some(vectors) = &self.vectors else { return Ok(None) };
        PyArray1::from_slice(py, vectors).reshape([self.chunk_ids.len(), self.dimension]).map(Some)
    }

    #[getter]
    fn base64<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        self.texts.as_ref().map(|texts| PyList::new(py, texts)).transpose()
    }

    fn __repr__(&self) -> String {
        format!("<Hits {}>", self.chunk_ids.len())
    }
}
