//! A pool of named threads that run short jobs in the order they came.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crate::sync::{Condvar, Mutex};

/// Work for a pool. A job that panics ends alone; its thread goes on.
pub type Job = Box<dyn FnOnce() + Send>;

/// Threads that share one queue. Dropping the pool runs what is queued, then joins them.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    process: u32,
}

struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
}

struct Queue {
    jobs: VecDeque<Job>,
    /// Threads that wait for a job.
    idle: usize,
    closed: bool,
}

impl Pool {
    /// Starts `threads` threads called `name`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(name: &str, threads: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue { jobs: VecDeque::new(), idle: 0, closed: false }),
            arrived: Condvar::new(),
        });
        let mut pool = Self { shared, threads: Vec::new(), process: std::process::id() };
        for _ in 0..threads {
            let shared = Arc::clone(&pool.shared);
            let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || shared.run())?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Queues `job`.
    pub fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        self.shared.queue.lock().jobs.push_back(Box::new(job));
        self.shared.arrived.notify_one();
    }

    /// Does `work` on the caller's thread and on those of the pool that have nothing else to do, at most one for each
    /// further piece. Each is given the numbers of pieces, `0..pieces`, that nobody else was given, until none is
    /// left. Returns once all who took part are done. `interrupt` is asked before each of the caller's pieces.
    ///
    /// # Errors
    /// What `interrupt` returns: pieces are left undone.
    ///
    /// # Panics
    /// When `work` did, on any thread.
    pub fn share<E>(
        &self,
        pieces: usize,
        interrupt: &dyn Fn() -> Result<(), E>,
        work: impl Fn(&mut dyn Iterator<Item = usize>) + Send + Sync + 'static,
    ) -> Result<(), E> {
        let work = Arc::new(work);
        let pieces = Arc::new(Pieces::new(pieces));
        {
            let mut queue = self.shared.queue.lock();
            let idle = queue.idle.saturating_sub(queue.jobs.len());
            for _ in 0..idle.min(pieces.count.saturating_sub(1)) {
                let (work, pieces) = (Arc::clone(&work), Arc::clone(&pieces));
                queue.jobs.push_back(Box::new(move || {
                    if let Some(_inside) = pieces.enter() {
                        work(&mut std::iter::from_fn(|| pieces.take()));
                    }
                }));
                self.shared.arrived.notify_one();
            }
        }
        let _last = Last(&pieces);
        let mut interrupted = Ok(());
        work(&mut std::iter::from_fn(|| {
            interrupted = interrupt();
            if interrupted.is_err() {
                pieces.next.store(pieces.count, Ordering::Relaxed);
            }
            pieces.take()
        }));
        interrupted
    }
}

/// Pieces of one work, and who is at it.
struct Pieces {
    count: usize,
    next: AtomicUsize,
    inside: Mutex<Inside>,
    left: Condvar,
}

#[derive(Default)]
struct Inside {
    helpers: usize,
    /// Whoever comes now is too late.
    over: bool,
    panicked: bool,
}

impl Pieces {
    fn new(count: usize) -> Self {
        Self { count, next: AtomicUsize::new(0), inside: Mutex::default(), left: Condvar::new() }
    }

    fn take(&self) -> Option<usize> {
        let piece = self.next.fetch_add(1, Ordering::Relaxed);
        (piece < self.count).then_some(piece)
    }

    fn enter(&self) -> Option<Helper<'_>> {
        let mut inside = self.inside.lock();
        if inside.over {
            return None;
        }
        inside.helpers += 1;
        Some(Helper(self))
    }
}

/// One who takes part, until dropped.
struct Helper<'a>(&'a Pieces);

impl Drop for Helper<'_> {
    fn drop(&mut self) {
        let mut inside = self.0.inside.lock();
        inside.helpers -= 1;
        inside.panicked |= std::thread::panicking();
        self.0.left.notify_all();
    }
}

/// Waits, when dropped, until nobody else is at the work.
struct Last<'a>(&'a Pieces);

impl Drop for Last<'_> {
    fn drop(&mut self) {
        let mut inside = self.0.inside.lock();
        inside.over = true;
        while inside.helpers > 0 {
            inside = self.0.left.wait(inside);
        }
        let panicked = inside.panicked;
        drop(inside);
        assert!(!panicked || std::thread::panicking(), "a thread that took part panicked");
    }
}

impl Shared {
    fn run(&self) {
        while let Some(job) = self.next() {
            // The panic hook has already reported it; whoever waits for the job sees it dropped.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if queue.closed {
                return None;
            }
            queue.idle += 1;
            queue = self.arrived.wait(queue);
            queue.idle -= 1;
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if std::process::id() != self.process {
            // A forked child has no such threads to wait for.
            self.threads.drain(..).for_each(std::mem::forget);
            return;
        }
        self.shared.queue.lock().closed = true;
        self.shared.arrived.notify_all();
        for thread in self.threads.drain(..) {
            // A pool dropped by its own last job must not wait for itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;

    use super::*;

    /// A pool whose threads all wait for a job.
    fn idle(threads: usize) -> Pool {
        let pool = Pool::new("test", threads).unwrap();
        while pool.shared.queue.lock().idle < threads {
            std::thread::yield_now();
        }
        pool
    }

    const GO_ON: &dyn Fn() -> Result<(), ()> = &|| Ok(());

    #[test]
    fn every_piece_is_done_once_by_all_who_are_idle() {
        let pool = idle(2);
        // Nobody comes past it before three are there.
        let (together, done) = (Arc::new(Barrier::new(3)), Arc::new(Mutex::new(Vec::new())));
        let all = Arc::clone(&done);
        let shared = pool.share(100, GO_ON, move |pieces| {
            together.wait();
            pieces.for_each(|piece| done.lock().push(piece));
        });
        let mut done = all.lock();
        done.sort_unstable();
        assert_eq!((shared, &*done), (Ok(()), &(0..100).collect::<Vec<_>>()));
    }

    #[test]
    fn a_pool_that_is_busy_is_not_waited_for() {
        let pool = idle(1);
        let (held, free) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let (entered, leave) = (Arc::clone(&held), Arc::clone(&free));
        pool.spawn(move || {
            entered.wait();
            leave.wait();
        });
        held.wait();
        let caller = std::thread::current().id();
        let shared = pool.share(10, GO_ON, move |pieces| {
            assert_eq!(std::thread::current().id(), caller);
            assert_eq!(pieces.count(), 10);
        });
        assert_eq!(shared, Ok(()));
        free.wait();
    }

    #[test]
    fn an_interrupt_ends_the_work_and_is_returned() {
        let asked = AtomicUsize::new(0);
        let interrupt = || if asked.fetch_add(1, Ordering::Relaxed) < 3 { Ok(()) } else { Err("stop") };
        let done = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&done);
        let pool = Pool::new("test", 0).unwrap();
        let outcome = pool.share(100, &interrupt, move |pieces| {
            done.fetch_add(pieces.count(), Ordering::Relaxed);
        });
        assert_eq!((outcome, counted.load(Ordering::Relaxed)), (Err("stop"), 3));
    }

    #[test]
    fn a_panic_of_any_who_takes_part_reaches_the_caller() {
        let pool = idle(1);
        let both = Arc::new(Barrier::new(2));
        let caller = std::thread::current().id();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            pool.share(2, GO_ON, move |_| {
                both.wait();
                assert_eq!(std::thread::current().id(), caller, "on purpose");
            })
        }));
        assert!(outcome.is_err());
    }
}
