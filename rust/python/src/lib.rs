//! The native module `ingot._native`. It knows the engine, NumPy and the GIL; it does not know HTTP.

use pyo3::prelude::*;

mod body;
mod completions;
mod errors;
mod eventfd_unsafe;

#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::body::{Body, BodyReader, Rows};
    #[pymodule_export]
    use crate::completions::Completions;
}
