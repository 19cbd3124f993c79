//! The threads that code rows, build graphs and rebuild generations, shared fairly by all collections.
//! Uploads and searches run before them, and they may be killed at any instant.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::collection::{Collection, Progress};
use crate::error::{Error, Result};
use crate::sync::{Condvar, Mutex};
use crate::thread_unsafe;

/// How long a waiting caller goes without being asked whether it wants to stop.
const BETWEEN_INTERRUPTS: Duration = Duration::from_millis(50);

/// The pool of index workers.
pub struct Indexer {
    queue: Arc<Queue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    workers: usize,
    process: u32,
}

struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    progressed: Condvar,
}

#[derive(Default)]
struct State {
    collections: VecDeque<Weak<Collection>>,
    /// Callers of [`Indexer::wait`].
    waiting: usize,
    closed: bool,
}

impl Indexer {
    /// Starts `workers` threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(workers: usize) -> Result<Self> {
        let queue =
            Arc::new(Queue { state: Mutex::default(), arrived: Condvar::new(), progressed: Condvar::new() });
        let indexer = Self { queue, threads: Mutex::default(), workers, process: std::process::id() };
        for _ in 0..workers {
            let queue = Arc::clone(&indexer.queue);
            let thread = std::thread::Builder::new()
                .name("ingot-index".to_owned())
                .spawn(move || queue.run(workers))
                .map_err(|cause| Error::storage("starting an index worker", &cause))?;
            indexer.threads.lock().push(thread);
        }
        Ok(indexer)
    }

    /// Says that there may be something to do on `collection`. It has one place a worker in the queue.
    pub fn notify(&self, collection: &Arc<Collection>) {
        self.queue.push(collection, self.workers);
    }

    /// Waits until nothing is left to do on `collection`; false when `deadline` passes first.
    ///
    /// # Errors
    /// What `interrupt` returns.
    pub fn wait(
        &self,
        collection: &Arc<Collection>,
        deadline: Option<Instant>,
        interrupt: &dyn Fn() -> Result<()>,
    ) -> Result<bool> {
        loop {
            {
                let mut state = self.queue.state.lock();
                if !collection.wants_work() || collection.has_failed() || state.closed {
                    return Ok(!collection.wants_work());
                }
                let now = Instant::now();
                if deadline.is_some_and(|deadline| deadline <= now) {
                    return Ok(false);
                }
                let until = deadline.map_or(now + BETWEEN_INTERRUPTS, |at| at.min(now + BETWEEN_INTERRUPTS));
                state.waiting += 1;
                self.queue.progressed.wait_until(state, until).0.waiting -= 1;
            }
            interrupt()?;
        }
    }

    /// Ends the workers after the share each is at.
    pub fn close(&self) {
        self.queue.state.lock().closed = true;
        self.queue.arrived.notify_all();
        self.queue.progressed.notify_all();
        for thread in self.threads.lock().drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        if std::process::id() == self.process {
            self.close();
        } else {
            // A forked child has no such threads to wait for.
            self.threads.lock().drain(..).for_each(std::mem::forget);
        }
    }
}

impl Queue {
    /// Gives the collection as many places as workers find something to do. Nobody is woken with the lock held: a worker
    /// that is woken, or wakes, may lose its processor for long, and those who commit wait for the lock.
    fn push(&self, collection: &Arc<Collection>, workers: usize) {
        let useful = collection.useful_workers(workers);
        let mut places = 0;
        {
            let mut state = self.state.lock();
            while collection.enqueue(useful) {
                state.collections.push_back(Arc::downgrade(collection));
                places += 1;
            }
        }
        (0..places).for_each(|_| self.arrived.notify_one());
    }

    fn next(&self) -> Option<Arc<Collection>> {
        let mut state = self.state.lock();
        while !state.closed {
            match state.collections.pop_front() {
                Some(collection) => {
                    if let Some(collection) = collection.upgrade() {
                        collection.dequeue();
                        return Some(collection);
                    }
                }
                None => state = self.arrived.wait(state),
            }
        }
        None
    }

    fn run(&self, workers: usize) {
        thread_unsafe::let_others_run_first();
        while let Some(collection) = self.next() {
            // An error stops the collection's background work; it says so of itself.
            if let Ok(Progress::Made) = collection.work(workers) {
                self.push(&collection, workers);
            }
            // Whoever saw no progress, with the lock held, waits by now.
            let waiting = self.state.lock().waiting;
            if waiting > 0 {
                self.progressed.notify_all();
            }
        }
    }
}
