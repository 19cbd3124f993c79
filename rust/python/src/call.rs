//! The one way from Python into a long native call: without the GIL, stoppable by Ctrl-C, errors as exceptions.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use ingot_engine::error::{Error, Result};
use pyo3::prelude::*;

use crate::errors::exception;

/// How long a call goes on without looking for Ctrl-C.
const BETWEEN_SIGNALS: Duration = Duration::from_millis(20);

/// Runs `work` with the GIL released. `work` asks the function it is given now and then whether to stop; a signal
/// handler that raises (Ctrl-C) makes it return [`Error::Interrupted`], and its exception is what is raised here.
pub fn released<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&dyn Fn() -> Result<()>) -> Result<T> + Send,
) -> PyResult<T> {
    let outcome = py.detach(|| {
        let raised = RefCell::new(None);
        let looked = Cell::new(Instant::now());
        let interrupt = || {
            if looked.get().elapsed() < BETWEEN_SIGNALS {
                return Ok(());
            }
            looked.set(Instant::now());
            Python::attach(|py| py.check_signals()).map_err(|exception| {
                raised.replace(Some(exception));
                Error::Interrupted
            })
        };
        let outcome = work(&interrupt);
        (outcome, raised.into_inner())
    });
    match outcome {
        (Err(Error::Interrupted), Some(raised)) => Err(raised),
        (outcome, _) => outcome.map_err(|error| exception(py, &error)),
    }
}
