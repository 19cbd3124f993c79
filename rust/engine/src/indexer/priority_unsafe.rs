//! Scheduling priority of a thread.

/// Steps of niceness below the rest of the process: as far as it goes. Median uploads of 2000 x 384 took 7 to 11 ms
/// beside a build at 19 and 9 to 11 ms at 10; what the build lost, if anything, was less than the noise.
const NICENESS: libc::c_int = 19;

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
