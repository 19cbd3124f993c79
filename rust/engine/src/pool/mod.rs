//! A pool of named threads that run jobs: those of one owner in the order they came, owners in turns. An owner of whom
//! nothing is being done need not wait for the long jobs of others, either: one more thread is there for it.

mod turns;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crate::sync::{Condvar, Mutex};
pub use turns::Owner;
use turns::Turns;

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
}

struct Queue {
    turns: Turns<Job>,
    /// Threads that have no job, also those that are only about to look for one; not the one in reserve.
    idle: usize,
    closed: bool,
}

impl Queue {
    /// Whether all threads are busy and there is a job of one of whom nothing is being done. A thread that is about to
    /// wake asks this again when it has taken its job.
    fn needs_reserve(&self) -> bool {
        self.idle == 0 && self.turns.is_anyone_neglected()
    }
}

impl Pool {
    /// Starts `threads` threads called `name`, and one in reserve, which works for those of whom nothing else is being
    /// done while all others are busy.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(name: &str, threads: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue { turns: Turns::new(), idle: threads, closed: false }),
            arrived: Condvar::new(),
            neglected: Condvar::new(),
        });
        let mut pool = Self { shared, threads: Vec::new(), process: std::process::id() };
        for number in 0..=threads {
            let shared = Arc::clone(&pool.shared);
            let run = move || shared.run(number < threads);
            pool.threads.push(std::thread::Builder::new().name(name.to_owned()).spawn(run)?);
        }
        Ok(pool)
    }

    /// Queues `job` behind those of its owner.
    pub fn spawn(&self, owner: Owner, job: impl FnOnce() + Send + 'static) {
        let mut queue = self.shared.queue.lock();
        queue.turns.push(owner, Box::new(job));
        let needs_reserve = queue.needs_reserve();
        drop(queue);
        self.shared.arrived.notify_one();
        if needs_reserve {
            self.shared.neglected.notify_one();
        }
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
            let idle = queue.idle.saturating_sub(queue.turns.waiting());
            for _ in 0..idle.min(pieces.count.saturating_sub(1)) {
                let (work, pieces) = (Arc::clone(&work), Arc::clone(&pieces));
                let help = move || {
                    if let Some(_inside) = pieces.enter() {
                        work(&mut std::iter::from_fn(|| pieces.take()));
                    }
                };
                queue.turns.push(Owner::NOBODY, Box::new(help));
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
    fn run(&self, ordinary: bool) {
        let mut done = None;
        while let Some((owner, job)) = self.next(done, ordinary) {
            // The panic hook has already reported it; whoever waits for the job sees it dropped.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            done = Some(owner);
        }
    }

    fn next(&self, done: Option<Owner>, ordinary: bool) -> Option<(Owner, Job)> {
        let mut queue = self.queue.lock();
        if let Some(owner) = done {
            queue.turns.done(owner);
            queue.idle += usize::from(ordinary);
        }
        loop {
            let taken = if ordinary {
                queue.turns.take()
            } else if queue.needs_reserve() {
                queue.turns.take_neglected()
            } else {
                None
            };
            if taken.is_some() {
                if ordinary {
                    queue.idle -= 1;
                    if queue.needs_reserve() {
                        self.neglected.notify_one();
                    }
                }
                return taken;
            }
            if queue.closed {
                return None;
            }
            let signal = if ordinary { &self.arrived } else { &self.neglected };
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
        self.shared.arrived.notify_all();
        self.shared.neglected.notify_all();
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
    use std::sync::{Barrier, mpsc};

    use super::*;

    fn idle(threads: usize) -> Pool {
        Pool::new("test", threads).unwrap()
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
        pool.spawn(Owner::of("a"), move || {
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

    /// A pool of one thread, busy with a job of `owner` until the barrier is passed.
    fn busy(owner: &str) -> (Pool, Arc<Barrier>) {
        let pool = idle(1);
        let (held, free) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let (entered, leave) = (Arc::clone(&held), Arc::clone(&free));
        pool.spawn(Owner::of(owner), move || {
            entered.wait();
            leave.wait();
        });
        held.wait();
        (pool, free)
    }

    #[test]
    fn who_is_not_served_does_not_wait_for_a_long_job_of_another() {
        let (pool, free) = busy("a");
        let (done, all) = mpsc::channel();
        for number in 0..1000 {
            let done = done.clone();
            pool.spawn(Owner::of("a"), move || done.send(("a", number)).unwrap());
        }
        for number in 0..3 {
            let done = done.clone();
            pool.spawn(Owner::of("b"), move || done.send(("b", number)).unwrap());
        }
        // The only thread is still busy with the first job of `a`.
        let first: Vec<_> = all.iter().take(3).collect();
        assert_eq!(first, [("b", 0), ("b", 1), ("b", 2)]);
        assert!(all.try_recv().is_err());
        free.wait();
        assert!(all.iter().take(1000).eq((0..1000).map(|number| ("a", number))));
    }

    #[test]
    fn the_reserve_is_not_for_more_work_of_one_who_is_served() {
        let (pool, free) = busy("a");
        let (done, all) = mpsc::channel();
        let other = done.clone();
        pool.spawn(Owner::of("a"), move || done.send("a").unwrap());
        // Once this is done, the reserve has looked at the line of `a`, too.
        pool.spawn(Owner::of("b"), move || other.send("b").unwrap());
        assert_eq!(all.recv(), Ok("b"));
        assert!(all.try_recv().is_err());
        free.wait();
        assert_eq!(all.recv(), Ok("a"));
    }

    #[test]
    fn a_thread_that_is_only_being_started_is_not_busy() {
        let pool = idle(2);
        assert_eq!(pool.shared.queue.lock().idle, 2);
        let (done, all) = mpsc::channel();
        pool.spawn(Owner::of("a"), move || done.send(()).unwrap());
        assert_eq!(all.recv(), Ok(()));
        drop(pool);
    }

    #[test]
    fn the_reserve_sleeps_while_a_thread_is_about_to_wake() {
        let mut queue = Queue { turns: Turns::<Job>::new(), idle: 1, closed: false };
        (0..10).for_each(|_| queue.turns.push(Owner::of("a"), Box::new(|| ())));
        assert!(!queue.needs_reserve());
        queue.idle = 0;
        assert!(queue.turns.take().is_some());
        assert!(!queue.needs_reserve());
        queue.turns.push(Owner::of("b"), Box::new(|| ()));
        assert!(queue.needs_reserve());
    }

    #[test]
    fn a_pool_that_is_dropped_runs_what_is_queued() {
        let (pool, free) = busy("a");
        let count = Arc::new(AtomicUsize::new(0));
        for number in 0..100 {
            let count = Arc::clone(&count);
            pool.spawn(Owner::of(&number.to_string()), move || {
                count.fetch_add(1, Ordering::Relaxed);
            });
        }
        free.wait();
        drop(pool);
        assert_eq!(count.load(Ordering::Relaxed), 100);
    }
}
