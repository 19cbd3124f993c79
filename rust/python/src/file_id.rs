//! Generated ids of sources.

use ingot_engine::sync::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use ulid::Generator;

/// Remembers the last id, so that ids of one millisecond go on rising.
static GENERATOR: Mutex<Option<Generator>> = Mutex::new(None);

/// `emb_` + ULID, strictly increasing as a string within the process.
#[pyfunction]
pub fn new_file_id() -> PyResult<String> {
    let mut generator = GENERATOR.lock();
    let id = generator.get_or_insert_with(Generator::new).generate().map_err(|_| {
        // 2^80 ids in one millisecond, or a clock before 1970.
        PyRuntimeError::new_err("no further id can be made in this millisecond")
    })?;
    Ok(format!("emb_{id}"))
}
