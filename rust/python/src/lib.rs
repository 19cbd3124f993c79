//! The native module `ingot._native`. It knows the engine, NumPy and the GIL; it does not know HTTP.

use pyo3::prelude::*;

mod answer;
mod array_unsafe;
mod body;
mod call;
mod completions;
mod decoder;
mod errors;
mod eventfd_unsafe;
mod file_id;
mod hits;
mod inserted;
mod memory;
mod options;
mod query;
mod stats;
mod store;
mod tenants;
mod vectors;

#[pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::array_unsafe::crc32c;
    #[pymodule_export]
    use crate::body::{Body, BodyReader, Rows};
    #[pymodule_export]
    use crate::completions::Completions;
    #[pymodule_export]
    use crate::file_id::new_file_id;
    #[pymodule_export]
    use crate::hits::Hits;
    #[pymodule_export]
    use crate::inserted::{ChunkIds, Inserted};
    #[pymodule_export]
    use crate::memory::{give_back_memory, keep_memory};
    #[pymodule_export]
    use crate::query::check_filter;
    #[pymodule_export]
    use crate::stats::{SourceStatus, StoreMetrics, TenantStats};
    #[pymodule_export]
    use crate::store::Store;
    #[pymodule_export]
    use crate::tenants::Tenants;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        py.import("collections.abc")?
            .getattr("Sequence")?
            .call_method1("register", (py.get_type::<ChunkIds>(),))?;
        Ok(())
    }
}
