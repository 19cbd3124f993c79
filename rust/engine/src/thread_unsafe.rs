//! What the system knows of a thread: its scheduling priority, and how often it was interrupted.

use libc::c_int;

/// Steps of niceness below the rest of the process for threads that build graphs: as far as it goes. Median uploads of
/// 2000 x 384 took 7 to 11 ms beside a build at 19 and 9 to 11 ms at 10; what the build lost, if anything, was less
/// than the noise.
pub const LAST: c_int = 19;

/// Steps for threads that others should not have to wait for, but that somebody waits for: by Linux's weights three
/// times as much of a processor as one at [`LAST`] that wants it, too. Measured: `docs/decisions/0028-tenants-take-turns.md`.
pub const YIELDING: c_int = 14;

/// Lowers the calling thread's priority by so many steps. On Linux niceness belongs to the thread. A refusal changes
/// nothing but speed.
pub fn lower_priority(steps: c_int) {
    #[cfg(target_os = "linux")]
    // SAFETY: takes integers only; 0 is the calling thread.
    unsafe {
        let niceness = libc::getpriority(libc::PRIO_PROCESS, 0);
        libc::setpriority(libc::PRIO_PROCESS, 0, niceness + steps);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = steps;
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
