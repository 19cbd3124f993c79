//! What the system knows of a thread: its scheduling priority, and how often it was interrupted.

use std::cell::Cell;

thread_local! {
    static LAST: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread lets others run first.
pub fn lets_others_run_first() -> bool {
    LAST.get()
}

/// Lets whoever else wants the processor run before the calling thread, at once and nearly always: `SCHED_IDLE`, on
/// Linux a property of the thread. Why not a lower niceness: `docs/decisions/0028-tenants-take-turns.md`. A refusal
/// changes nothing but speed.
pub fn let_others_run_first() {
    LAST.set(true);
    #[cfg(target_os = "linux")]
    // SAFETY: takes integers and a struct that outlives the call; 0 is the calling thread.
    unsafe {
        let none = libc::sched_param { sched_priority: 0 };
        if libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const none) != 0 {
            libc::setpriority(libc::PRIO_PROCESS, 0, 19);
        }
    }
}

/// How often the system took the processor from the calling thread for somebody else.
pub fn preemptions() -> u64 {
    #[cfg(target_os = "linux")]
    {
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: `usage` is valid for writes of an `rusage`; all zeros is one, too, should the call be refused.
        let usage = unsafe {
            libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
            usage.assume_init()
        };
        u64::try_from(usage.ru_nivcsw).unwrap_or(0)
    }
    #[cfg(not(target_os = "linux"))]
    0
}
