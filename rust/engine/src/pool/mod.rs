//! A pool of named threads that run jobs: those of one owner in the order they came, owners in turns. An owner of whom
//! nothing is being done need not wait for the long jobs of others, either: one more thread is there for it. Where a pool
//! keeps a crowd apart, who asks for much while others ask, too, is served by threads that let the others run first.

pub mod company;
mod pieces;
mod queue;
#[cfg(test)]
mod tests;
mod turns;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::sync::{Condvar, Mutex};
use crate::thread_unsafe;
use company::{Company, give_way};
use pieces::{Last, Pieces};
use queue::{Queue, Role};
pub use turns::Owner;

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
    /// Somebody may be neglected.
    neglected: Condvar,
    /// A job of the crowd arrived.
    crowded: Condvar,
    /// Whose crowds are kept apart.
    company: Option<Arc<Company>>,
}

impl Pool {
    /// Starts `threads` threads called `name`, and one in reserve, which works for those of whom nothing else is being
    /// done while all others are busy.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(name: &str, threads: usize) -> io::Result<Self> {
        Self::start(name, threads, None)
    }

    /// The same, and half as many threads that let all others run first. They are for the jobs of an owner who has had several
    /// [requests](company::Request) at a time of late, while others ask who have not. Such an owner's jobs are not begun
    /// in the order they came.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn with_crowd(name: &str, threads: usize, company: Arc<Company>) -> io::Result<Self> {
        Self::start(name, threads, Some(company))
    }

    fn start(name: &str, threads: usize, company: Option<Arc<Company>>) -> io::Result<Self> {
        // One of them that is owed time keeps a processor until the next tick, whoever wakes: the fewer, the better.
        let crowd = if company.is_some() { threads.div_ceil(2) } else { 0 };
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::new(threads, crowd)),
            arrived: Condvar::new(),
            neglected: Condvar::new(),
            crowded: Condvar::new(),
            company,
        });
        let mut pool = Self { shared, threads: Vec::new(), process: std::process::id() };
        let ordinary = std::iter::repeat_n(Role::Ordinary, threads);
        for role in ordinary.chain([Role::Reserve]).chain(std::iter::repeat_n(Role::Crowd, crowd)) {
            let shared = Arc::clone(&pool.shared);
            let run = move || shared.run(role);
            pool.threads.push(std::thread::Builder::new().name(name.to_owned()).spawn(run)?);
        }
        Ok(pool)
    }

    /// Who shares it, if crowds are kept apart.
    pub fn company(&self) -> Option<&Arc<Company>> {
        self.shared.company.as_ref()
    }

    /// Queues `job` behind those of its owner.
    pub fn spawn(&self, owner: Owner, job: impl FnOnce() + Send + 'static) {
        let crowding = self.shared.company.as_ref().is_some_and(|company| company.is_crowding(owner));
        let mut queue = self.shared.queue.lock();
        if crowding {
            queue.crowd.push(owner, Box::new(job));
            drop(queue);
            return self.shared.crowded.notify_one();
        }
        queue.ordinary.push(owner, Box::new(job));
        let needs_reserve = queue.needs_reserve();
        drop(queue);
        self.shared.arrived.notify_one();
        if needs_reserve {
            self.shared.neglected.notify_one();
        }
    }

    /// Does `work` on the caller's thread and on those of the pool that have nothing else to do, at most one for each
    /// further piece. Each is given the numbers of pieces, `0..pieces`, that nobody else was given, until none is
    /// left. Returns once all who took part are done. `interrupt` is asked before each of the caller's pieces. A thread
    /// that lets others run first is helped by such threads only.
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
            let (turns, signal) = if thread_unsafe::lets_others_run_first() {
                (&mut queue.crowd, &self.shared.crowded)
            } else {
                (&mut queue.ordinary, &self.shared.arrived)
            };
            for _ in 0..turns.free().min(pieces.count.saturating_sub(1)) {
                let (work, pieces) = (Arc::clone(&work), Arc::clone(&pieces));
                let help = move || {
                    if let Some(_inside) = pieces.enter() {
                        work(&mut std::iter::from_fn(|| {
                            give_way();
                            pieces.take()
                        }));
                    }
                };
                turns.push(Owner::NOBODY, Box::new(help));
                signal.notify_one();
            }
        }
        let _last = Last(&pieces);
        let mut interrupted = Ok(());
        work(&mut std::iter::from_fn(|| {
            give_way();
            interrupted = interrupt();
            if interrupted.is_err() {
                pieces.stop();
            }
            pieces.take()
        }));
        interrupted
    }
}

impl Shared {
    fn run(&self, role: Role) {
        if role == Role::Crowd {
            thread_unsafe::let_others_run_first();
        }
        let mut done = None;
        while let Some((owner, job)) = self.next(done, role) {
            // The panic hook has already reported it; whoever waits for the job sees it dropped.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            done = Some(owner);
        }
    }

    fn next(&self, done: Option<Owner>, role: Role) -> Option<(Owner, Job)> {
        let signal = match role {
            Role::Ordinary => &self.arrived,
            Role::Reserve => &self.neglected,
            Role::Crowd => &self.crowded,
        };
        let mut queue = self.queue.lock();
        if let Some(owner) = done {
            queue.done(owner, role);
        }
        loop {
            if let Some(company) = &self.company
                && role != Role::Crowd
            {
                let moved = queue.step_aside(|owner| company.is_crowding(owner));
                (0..moved).for_each(|_| self.crowded.notify_one());
            }
            let taken = queue.take(role);
            if taken.is_some() {
                if role == Role::Ordinary && queue.needs_reserve() {
                    self.neglected.notify_one();
                }
                return taken;
            }
            if queue.closed {
                return None;
            }
            queue = signal.wait(queue);
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
        for signal in [&self.shared.arrived, &self.shared.neglected, &self.shared.crowded] {
            signal.notify_all();
        }
        for thread in self.threads.drain(..) {
            // A pool dropped by its own last job must not wait for itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}
