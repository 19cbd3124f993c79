//! The mailbox between native threads and an event loop.

use std::mem;
use std::sync::Arc;

use ingot_engine::error::Result;
use ingot_engine::sync::Mutex;
use pyo3::BoundObject;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::exception;
use crate::eventfd_unsafe::EventFd;

/// A result that becomes Python objects when it is collected; until then no GIL is needed.
pub type Outcome = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// Where finished native work is reported to an event loop. Clones share one mailbox.
#[pyclass(frozen, module = "ingot._native")]
#[derive(Clone)]
pub struct Completions {
    mailbox: Arc<Mutex<Mailbox>>,
}

struct Mailbox {
    /// `None` once closed.
    event: Option<EventFd>,
    arrived: Vec<(i64, Outcome)>,
}

impl Completions {
    /// Reports `outcome` under `token`, from any thread, with or without the GIL; dropped if the mailbox is closed.
    pub fn post(&self, token: i64, outcome: Outcome) {
        let mut mailbox = self.mailbox.lock();
        let Some(event) = &mailbox.event else {
            // Dropped outside the lock: it may hold anything.
            drop(mailbox);
            return;
        };
        if mailbox.arrived.is_empty() {
            event.notify();
        }
        mailbox.arrived.push((token, outcome));
    }
}

/// Reports `outcome`, made into a Python object by `make`, to `completions`.
pub fn report<T, P>(
    completions: &Completions,
    token: i64,
    outcome: Result<T>,
    make: impl FnOnce(Python<'_>, T) -> PyResult<P> + Send + 'static,
) where
    T: Send + 'static,
    P: for<'py> IntoPyObject<'py> + 'static,
{
    completions.post(
        token,
        Box::new(move |py| {
            let value = make(py, outcome.map_err(|error| exception(py, &error))?)?;
            let object = value.into_pyobject(py).map_err(Into::into)?;
            Ok(object.into_bound().into_any().unbind())
        }),
    );
}

#[pymethods]
impl Completions {
    #[new]
    fn new() -> PyResult<Self> {
        let mailbox = Mailbox { event: Some(EventFd::new()?), arrived: Vec::new() };
        Ok(Self { mailbox: Arc::new(Mutex::new(mailbox)) })
    }

    /// Readable when something is in the mailbox.
    fn fileno(&self) -> PyResult<i32> {
        match &self.mailbox.lock().event {
            Some(event) => Ok(event.descriptor()),
            None => Err(PyValueError::new_err("the mailbox is closed")),
        }
    }

    /// Empties the mailbox: (token, result, None) or (token, None, exception) each.
    #[allow(clippy::type_complexity)]
    fn drain(&self, py: Python<'_>) -> Vec<(i64, Option<Py<PyAny>>, Option<Py<PyAny>>)> {
        let arrived = {
            let mut mailbox = self.mailbox.lock();
            if let Some(event) = &mailbox.event {
                event.clear();
            }
            mem::take(&mut mailbox.arrived)
        };
        let deliver = |(token, outcome): (i64, Outcome)| match outcome(py) {
            Ok(result) => (token, Some(result), None),
            Err(error) => (token, None, Some(error.into_value(py).into_any())),
        };
        arrived.into_iter().map(deliver).collect()
    }

    /// Frees the descriptor; what is posted from now on is dropped. Idempotent.
    fn close(&self) {
        let closed = {
            let mut mailbox = self.mailbox.lock();
            (mailbox.event.take(), mem::take(&mut mailbox.arrived))
        };
        drop(closed);
    }
}
