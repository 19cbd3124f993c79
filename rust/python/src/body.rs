//! Request bodies for Python: parsed on native threads while they arrive.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::Arc;

use ingot_engine::body;
use ingot_engine::error::{Error, Result};
use ingot_engine::pool::company::{Company, Request, give_way};
use ingot_engine::pool::{Owner, Pool};
use ingot_engine::sync::Mutex;
use ingot_engine::vector;
use numpy::{PyArray2, PyArrayMethods};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::completions::{Completions, Outcome};
use crate::decoder::Decoder;
use crate::errors::exception;

/// Threads that parse.
const THREADS: usize = 2;
/// Steps of one reader before another one's turn comes.
const TURN: usize = 8;
/// Bytes that an encoded body unpacks to before its caller is asked again: so much is held that it has not counted.
const CREDIT: u64 = 1024 * 1024;

/// float32 rows that a body reader made.
#[pyclass(frozen, module = "ingot._native")]
pub struct Rows {
    rows: Mutex<Option<vector::Rows>>,
    shape: (usize, usize),
}

impl Rows {
    fn new(rows: vector::Rows) -> Self {
        let shape = (rows.len(), rows.dimension().get());
        Self { rows: Mutex::new(Some(rows)), shape }
    }

    /// Moves the rows out; this object is empty afterwards.
    ///
    /// # Errors
    /// `ValueError` when they were moved out before.
    pub fn take(&self) -> PyResult<vector::Rows> {
        self.rows.lock().take().ok_or_else(Self::taken)
    }

    /// Looks at the rows, which stay.
    ///
    /// # Errors
    /// `ValueError` when they were moved out before.
    pub fn with<T>(&self, look: impl FnOnce(&vector::Rows) -> T) -> PyResult<T> {
        self.rows.lock().as_ref().map(look).ok_or_else(Self::taken)
    }

    fn taken() -> PyErr {
        PyValueError::new_err("these rows were handed over already")
    }
}

#[pymethods]
impl Rows {
    /// (rows, columns), also after the rows were handed over.
    #[getter]
    const fn shape(&self) -> (usize, usize) {
        self.shape
    }

    /// A copy, for tests and tools.
    fn numpy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let array = PyArray2::zeros(py, [self.shape.0, self.shape.1], false);
        let mut writable = array.readwrite();
        let mut rest = writable.as_slice_mut()?;
        self.with(|rows| {
            for chunk in rows.chunks() {
                let (now, behind) = mem::take(&mut rest).split_at_mut(chunk.len());
                now.copy_from_slice(chunk);
                rest = behind;
            }
        })?;
        drop(writable);
        Ok(array)
    }
}

/// A body that was read whole.
#[pyclass(frozen, module = "ingot._native")]
pub struct Body {
    envelope: Py<PyBytes>,
    rows: Option<Py<Rows>>,
    one_dimensional: bool,
}

impl Body {
    fn new(py: Python<'_>, body: body::Body) -> PyResult<Self> {
        Ok(Self {
            envelope: PyBytes::new(py, &body.envelope).unbind(),
            rows: body.rows.map(|rows| Py::new(py, Rows::new(rows))).transpose()?,
            one_dimensional: body.one_dimensional,
        })
    }
}

#[pymethods]
impl Body {
    /// The JSON text with the number of its row in place of every array of numbers at a known path.
    #[getter]
    fn envelope(&self, py: Python<'_>) -> Py<PyBytes> {
        self.envelope.clone_ref(py)
    }

    /// All the arrays of numbers in the order of the body.
    #[getter]
    fn rows(&self, py: Python<'_>) -> Option<Py<Rows>> {
        self.rows.as_ref().map(|rows| rows.clone_ref(py))
    }

    /// Whether an npy array had one dimension.
    #[getter]
    const fn one_dimensional(&self) -> bool {
        self.one_dimensional
    }
}

/// One request body, parsed on a native thread while it arrives.
#[pyclass(frozen, module = "ingot._native")]
pub struct BodyReader {
    shared: Arc<Mutex<Inbox>>,
}

/// Why a body cannot be read.
#[derive(Clone)]
enum Failure {
    Engine(Error),
    /// A bug: the parser panicked.
    Panic,
}

impl Failure {
    fn raise(&self, py: Python<'_>) -> PyErr {
        match self {
            Self::Engine(error) => exception(py, error),
            Self::Panic => PyRuntimeError::new_err("the body reader failed"),
        }
    }

    fn outcome(self) -> Outcome {
        Box::new(move |py| Err(self.raise(py)))
    }
}

/// What waits for the parser, and who waits for it.
struct Inbox {
    /// In whose turns it is parsed.
    owner: Owner,
    /// For as long as anybody has a use for the body.
    request: Option<Request>,
    /// `None` while a job has it, after an error, and at the end.
    parser: Option<Decoder>,
    /// Those that are not parsed, or of which more will come out.
    chunks: VecDeque<PyBackedBytes>,
    /// Bytes of the first chunk that are parsed already.
    parsed: usize,
    unparsed: usize,
    /// Bytes unpacked so far, and up to where it may go on. A body without an encoding has no such bound.
    unpacked: u64,
    credit: u64,
    /// Whether a job is queued or at work; there is at most one.
    running: bool,
    failure: Option<Failure>,
    waiting: Vec<(Completions, i64)>,
    /// Who gets the body.
    finish: Option<(Completions, i64)>,
    ended: bool,
    abandoned: bool,
}

impl Inbox {
    /// Whether a job has something to do.
    fn has_work(&self) -> bool {
        self.finish.is_some() || (self.unpacked < self.credit && !self.chunks.is_empty())
    }

    fn accept(&mut self, chunk: PyBackedBytes) {
        self.unparsed += chunk.len();
        self.chunks.push_back(chunk);
    }

    /// Gives what waited for an empty inbox its answer.
    fn report(&mut self) {
        for (completions, token) in self.waiting.drain(..) {
            completions.post(
                token,
                match &self.failure {
                    Some(failure) => failure.clone().outcome(),
                    None => Box::new(|py| Ok(py.None())),
                },
            );
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.running = false;
        self.chunks.clear();
        self.unparsed = 0;
        self.failure = Some(failure.clone());
        self.report();
        if let Some((completions, token)) = self.finish.take() {
            completions.post(token, failure.outcome());
        }
    }
}

/// The pool that parses, made on first use, and again after a fork.
fn pool() -> io::Result<Arc<Pool>> {
    static POOL: Mutex<Option<(u32, Arc<Pool>)>> = Mutex::new(None);
    let mut current = POOL.lock();
    if let Some((pid, pool)) = &*current
        && *pid == process::id()
    {
        return Ok(Arc::clone(pool));
    }
    let pool = Arc::new(Pool::with_crowd("ingot-body", THREADS, Arc::new(Company::new()))?);
    // A parent's pool has no threads here: joining them would wait for ever.
    mem::forget(current.replace((process::id(), Arc::clone(&pool))));
    Ok(pool)
}

/// Makes sure that a job works on the inbox.
fn wake(shared: &Arc<Mutex<Inbox>>) -> io::Result<()> {
    if mem::replace(&mut shared.lock().running, true) {
        return Ok(());
    }
    match pool() {
        Ok(pool) => {
            turn_later(pool, Arc::clone(shared));
            Ok(())
        }
        Err(error) => {
            shared.lock().running = false;
            Err(error)
        }
    }
}

fn turn_later(pool: Arc<Pool>, shared: Arc<Mutex<Inbox>>) {
    let next = Arc::clone(&pool);
    let owner = shared.lock().owner;
    pool.spawn(owner, move || {
        if turn(&shared) {
            turn_later(next, shared);
        }
    });
}

/// Parses what is there, up to a turn's worth; returns whether there is more.
fn turn(shared: &Mutex<Inbox>) -> bool {
    let Some(mut parser) = shared.lock().parser.take() else { return idle(&mut shared.lock(), None) };
    for _ in 0..TURN {
        let (chunk, from) = {
            let mut inbox = shared.lock();
            if inbox.abandoned {
                return false;
            }
            if !inbox.has_work() {
                return idle(&mut inbox, Some(parser));
            }
            match (inbox.chunks.pop_front(), &inbox.finish) {
                (Some(chunk), _) => (chunk, mem::take(&mut inbox.parsed)),
                (None, None) => return idle(&mut inbox, Some(parser)),
                (None, Some(_)) => {
                    drop(inbox);
                    return end(shared, parser);
                }
            }
        };
        give_way();
        let parsed = guarded(|| parser.step(&chunk[from..]));
        let mut inbox = shared.lock();
        let step = match parsed {
            Ok(step) => step,
            Err(failure) => {
                inbox.fail(failure);
                return false;
            }
        };
        inbox.unparsed -= step;
        inbox.unpacked = parser.unpacked();
        if (from + step < chunk.len() || parser.pending()) && !inbox.abandoned {
            inbox.parsed = from + step;
            inbox.chunks.push_front(chunk);
        }
    }
    shared.lock().parser = Some(parser);
    true
}

/// Nothing is left to parse for now.
fn idle(inbox: &mut Inbox, parser: Option<Decoder>) -> bool {
    inbox.running = false;
    inbox.parser = parser;
    inbox.report();
    false
}

/// Nothing is left to parse, and nothing follows.
fn end(shared: &Mutex<Inbox>, parser: Decoder) -> bool {
    let read = guarded(|| parser.finish());
    let mut inbox = shared.lock();
    match read {
        Ok(body) => {
            idle(&mut inbox, None);
            if let Some((completions, token)) = inbox.finish.take() {
                let outcome = |py: Python<'_>| Ok(Py::new(py, Body::new(py, body)?)?.into_any());
                completions.post(token, Box::new(outcome));
            }
        }
        Err(failure) => inbox.fail(failure),
    }
    false
}

fn guarded<T>(parse: impl FnOnce() -> Result<T>) -> std::result::Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(parse)) {
        Ok(Ok(parsed)) => Ok(parsed),
        Ok(Err(error)) => Err(Failure::Engine(error)),
        Err(_) => Err(Failure::Panic),
    }
}

#[pymethods]
impl BodyReader {
    #[new]
    #[pyo3(signature = (format, purpose, encoding=None, limit=u64::MAX))]
    fn new(
        py: Python<'_>,
        format: &str,
        purpose: &str,
        encoding: Option<&str>,
        limit: u64,
    ) -> PyResult<Self> {
        let decoder = Decoder::of(py, format, purpose, encoding, limit)?;
        let inbox = Inbox {
            credit: if encoding.is_some() { 0 } else { u64::MAX },
            unpacked: 0,
            parser: Some(decoder),
            owner: Owner::NOBODY,
            request: None,
            chunks: VecDeque::new(),
            parsed: 0,
            unparsed: 0,
            running: false,
            failure: None,
            waiting: Vec::new(),
            finish: None,
            ended: false,
            abandoned: false,
        };
        Ok(Self { shared: Arc::new(Mutex::new(inbox)) })
    }

    /// Bytes unpacked so far; 0 for a body without an encoding.
    #[getter]
    fn unpacked(&self) -> u64 {
        self.shared.lock().unpacked
    }

    /// Whether everything fed so far is parsed.
    #[getter]
    fn parsed(&self) -> bool {
        let inbox = self.shared.lock();
        inbox.chunks.is_empty() && !inbox.running
    }

    /// Whose turns this is parsed in: bodies of one owner take those of one.
    fn belongs_to(&self, owner: &str) -> PyResult<()> {
        let owner = Owner::of(owner);
        let request = pool()?.company().map(|company| company.request(owner));
        let mut inbox = self.shared.lock();
        (inbox.owner, inbox.request) = (owner, request);
        Ok(())
    }

    /// Hands a chunk over and returns at once with the bytes not parsed yet.
    fn feed(&self, py: Python<'_>, chunk: PyBackedBytes) -> PyResult<usize> {
        let unparsed = {
            let mut inbox = self.shared.lock();
            if let Some(failure) = inbox.failure.clone() {
                drop(inbox);
                return Err(failure.raise(py));
            }
            if inbox.ended {
                return Err(PyValueError::new_err("the body has ended"));
            }
            inbox.accept(chunk);
            if !inbox.has_work() {
                return Ok(inbox.unparsed);
            }
            inbox.unparsed
        };
        wake(&self.shared)?;
        Ok(unparsed)
    }

    /// Completes with None when everything fed so far is parsed, or with the error found. Of an encoded body a bounded
    /// part is unpacked each time.
    fn when_drained(&self, completions: &Bound<'_, Completions>, token: i64) -> PyResult<()> {
        {
            let mut inbox = self.shared.lock();
            inbox.waiting.push((completions.get().clone(), token));
            inbox.credit = inbox.credit.max(inbox.unpacked + CREDIT);
            if inbox.running {
                return Ok(());
            }
            if inbox.failure.is_some() || !inbox.has_work() {
                inbox.report();
                return Ok(());
            }
        }
        Ok(wake(&self.shared)?)
    }

    /// Completes with the `Body`, or with the error found.
    fn finish(&self, completions: &Bound<'_, Completions>, token: i64) -> PyResult<()> {
        {
            let mut inbox = self.shared.lock();
            if mem::replace(&mut inbox.ended, true) {
                return Err(PyValueError::new_err("the body has ended"));
            }
            if let Some(failure) = &inbox.failure {
                completions.get().post(token, failure.clone().outcome());
                return Ok(());
            }
            inbox.finish = Some((completions.get().clone(), token));
        }
        Ok(wake(&self.shared)?)
    }

    /// Parses these chunks and ends, on the calling thread with the GIL released.
    #[pyo3(signature = (*chunks))]
    fn read(&self, py: Python<'_>, chunks: Vec<PyBackedBytes>) -> PyResult<Body> {
        let mut parser = {
            let mut inbox = self.shared.lock();
            if mem::replace(&mut inbox.ended, true) || inbox.running {
                return Err(PyValueError::new_err("the body has begun or ended"));
            }
            match inbox.parser.take() {
                Some(parser) => parser,
                None => return Err(PyValueError::new_err("the body has begun or ended")),
            }
        };
        let read = py.detach(move || {
            for chunk in &chunks {
                let mut rest: &[u8] = chunk;
                while !rest.is_empty() || parser.pending() {
                    rest = &rest[parser.step(rest)?..];
                }
            }
            parser.finish()
        });
        match read {
            Ok(body) => Body::new(py, body),
            Err(error) => Err(exception(py, &error)),
        }
    }
}

impl Drop for BodyReader {
    fn drop(&mut self) {
        let freed = {
            let mut inbox = self.shared.lock();
            inbox.abandoned = inbox.finish.is_none();
            if !inbox.abandoned {
                return;
            }
            (inbox.parser.take(), mem::take(&mut inbox.chunks), mem::take(&mut inbox.waiting))
        };
        drop(freed);
    }
}
