//! What a store is opened with, as Python says it.

use ingot_engine::store::Options;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The options named in `given`, and the defaults of the others.
///
/// # Errors
/// `ValueError` for a name that is none, and for no threads; `TypeError` for a value of another type.
pub fn options(given: Option<&Bound<'_, PyDict>>) -> PyResult<Options> {
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
