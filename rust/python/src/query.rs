//! What Python looks for, as the engine names it.

use ingot_engine::collection::SearchOptions;
use ingot_engine::filter;
use ingot_engine::store::Search;
use ingot_engine::tenant::Selector;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::errors::exception;

/// Raises `FilterSyntax` unless `text` is a filter.
#[pyfunction]
pub fn check_filter(py: Python<'_>, text: &str) -> PyResult<()> {
    parse(py, text).map(drop)
}

fn parse(py: Python<'_>, text: &str) -> PyResult<filter::Filter> {
    filter::Filter::parse(text).map_err(|error| exception(py, &error))
}

/// How to search.
pub fn search(
    py: Python<'_>,
    options: SearchOptions,
    score_threshold: Option<f32>,
    filter: Option<&str>,
) -> PyResult<Search> {
    Ok(Search { options, score_threshold, filter: filter.map(|text| parse(py, text)).transpose()? })
}

/// What to read: all, or by at most one of these.
pub fn selector(
    py: Python<'_>,
    source_id: Option<String>,
    chunk_ids: Option<Vec<String>>,
    filter: Option<&str>,
) -> PyResult<Option<Selector>> {
    match (source_id, chunk_ids, filter) {
        (None, None, None) => Ok(None),
        (Some(id), None, None) => Ok(Some(Selector::Source(id))),
        (None, Some(ids), None) => Ok(Some(Selector::Chunks(ids))),
        (None, None, Some(text)) => Ok(Some(Selector::Filter(parse(py, text)?))),
        _ => Err(PyTypeError::new_err("give one of source_id, chunk_ids and filter")),
    }
}

/// What to delete.
pub fn required(selector: Option<Selector>) -> PyResult<Selector> {
    selector.ok_or_else(|| PyTypeError::new_err("give source_id, chunk_ids or filter"))
}
