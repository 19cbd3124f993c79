//! The system calls that the standard library does not offer.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, FromRawFd};

/// Most parts that Linux takes in one call (`UIO_MAXIOV`).
const MOST_PARTS: usize = 1024;

/// Writes some of `parts` at `offset` and says how many bytes.
pub(super) fn write_some(file: &File, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    let count = parts.len().min(MOST_PARTS) as libc::c_int;
    let offset = signed(offset)?;
    loop {
        // SAFETY: `IoSlice` has the layout of `iovec`; the first `count` of them, and the bytes they
        // point to, are borrowed for the length of the call, which only reads them.
        let written = unsafe { libc::pwritev(file.as_raw_fd(), parts.as_ptr().cast(), count, offset) };
        match usize::try_from(written) {
            Ok(written) => return Ok(written),
            Err(_) => retry_if_interrupted()?,
        }
    }
}

/// Reserves the blocks of `from..to`, the file growing to `to`.
pub(super) fn allocate(file: &File, from: u64, to: u64) -> io::Result<()> {
    let (offset, length) = (signed(from)?, signed(to.saturating_sub(from))?);
    loop {
        // SAFETY: touches no memory of ours; the descriptor is open as long as `file` is borrowed.
        if unsafe { libc::fallocate(file.as_raw_fd(), 0, offset, length) } == 0 {
            return Ok(());
        }
        retry_if_interrupted()?;
    }
}

/// How many descriptors this process may have open.
pub fn descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid and is only written to.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0 {
        limit.rlim_cur
    } else {
        // The least that systems give.
        1024
    }
}

/// A file that has no name and lives in memory.
pub(super) fn memory_file(label: &CStr) -> io::Result<File> {
    // SAFETY: `label` ends with a NUL and is only read.
    let descriptor = unsafe { libc::memfd_create(label.as_ptr(), libc::MFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that was just made, owned by no one else.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}

fn signed(offset: u64) -> io::Result<i64> {
    i64::try_from(offset).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))
}

fn retry_if_interrupted() -> io::Result<()> {
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}
