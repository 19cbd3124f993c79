use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
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
    assert_eq!(pool.shared.queue.lock().ordinary.idle(), 2);
    let (done, all) = mpsc::channel();
    pool.spawn(Owner::of("a"), move || done.send(()).unwrap());
    assert_eq!(all.recv(), Ok(()));
    drop(pool);
}

#[test]
fn the_reserve_sleeps_while_a_thread_is_about_to_wake() {
    let mut queue = Queue::new(1, 0);
    (0..10).for_each(|_| queue.ordinary.push(Owner::of("a"), Box::new(|| ())));
    assert!(!queue.needs_reserve());
    assert!(queue.take(Role::Ordinary).is_some());
    assert!(!queue.needs_reserve());
    queue.ordinary.push(Owner::of("b"), Box::new(|| ()));
    assert!(queue.needs_reserve());
}

/// How the calling thread is scheduled, from the system's own file about it (proc(5), `policy`).
fn policy() -> i32 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().nth(38).unwrap().parse().unwrap()
}

#[test]
fn the_crowd_and_its_helpers_let_others_run_first() {
    let company = Arc::new(Company::new());
    let pool = Arc::new(Pool::with_crowd("test", 4, Arc::clone(&company)).unwrap());
    let (told, all) = mpsc::channel();
    let (entered, leave) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (held, free) = (Arc::clone(&entered), Arc::clone(&leave));
    pool.spawn(Owner::of("a"), move || {
        held.wait();
        free.wait();
    });
    entered.wait();
    let other = told.clone();
    pool.spawn(Owner::of("b"), move || other.send(policy()).unwrap());
    let ordinary = all.recv();
    let shared = Arc::clone(&pool);
    let both = Arc::new(Barrier::new(2));
    let _asking = ["a", "a", "b"].map(|name| company.request(Owner::of(name)));
    pool.spawn(Owner::of("a"), move || {
        let went = shared.share(2, GO_ON, move |pieces| {
            if pieces.next().is_some() {
                both.wait();
            }
            told.send(policy()).unwrap();
        });
        assert_eq!(went, Ok(()));
    });
    let crowd = [all.recv(), all.recv()];
    leave.wait();
    assert_eq!((ordinary, crowd), (Ok(libc::SCHED_OTHER), [Ok(libc::SCHED_IDLE); 2]));
}

#[test]
fn what_waits_already_steps_aside_when_a_quiet_one_asks() {
    let company = Arc::new(Company::new());
    let pool = Pool::with_crowd("test", 1, Arc::clone(&company)).unwrap();
    let (entered, free) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (held, leave) = (Arc::clone(&entered), Arc::clone(&free));
    pool.spawn(Owner::of("loud"), move || {
        held.wait();
        leave.wait();
    });
    entered.wait();
    let (told, all) = mpsc::channel();
    for _ in 0..3 {
        let told = told.clone();
        pool.spawn(Owner::of("loud"), move || told.send(policy()).unwrap());
    }
    let _asking = ["loud", "loud", "quiet"].map(|name| company.request(Owner::of(name)));
    free.wait();
    assert!(all.iter().take(3).eq([libc::SCHED_IDLE; 3]));
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
