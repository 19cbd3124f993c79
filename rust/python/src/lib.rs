//! The native module `ingot._native`. It knows the engine, NumPy and the GIL; it does not know HTTP.

use pyo3::prelude::*;

#[pymodule]
mod _native {}
