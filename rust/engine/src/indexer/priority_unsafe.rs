//! Scheduling priority of a thread.

/// Steps of niceness below the rest of the process.
const NICENESS: libc::c_int = 10;

/// Lowers the calling thread's priority. On Linux niceness belongs to the thread. A refusal changes nothing but speed.
pub(super) fn lower() {
    #[cfg(target_os = "linux")]
    // SAFETY: takes integers only; 0 is the calling thread.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = NICENESS;
}
