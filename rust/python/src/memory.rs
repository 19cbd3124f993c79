//! Memory that the allocator holds free.

use ingot_engine::memory_unsafe::{give_back, keep};
use pyo3::prelude::*;

/// Gives the system what the allocator holds free.
#[pyfunction]
pub fn give_back_memory(py: Python<'_>) {
    py.detach(give_back);
}

/// Has the allocator keep up to so many freed bytes.
#[pyfunction]
pub fn keep_memory(bytes: usize) {
    keep(bytes);
}
