//! An eventfd: a counter behind a file descriptor that an event loop can wait for.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Readable from [`EventFd::notify`] until [`EventFd::clear`]. Closed on drop and across `exec`.
pub struct EventFd(File);

impl EventFd {
    /// A counter at zero.
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes no pointers; a negative result is handled before the descriptor is used.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is open, was just made, and nothing else owns it.
        Ok(Self(File::from(unsafe { OwnedFd::from_raw_fd(descriptor) })))
    }

    /// Makes it readable. Cannot block: the counter would have to overflow first.
    pub fn notify(&self) {
        let _ = (&self.0).write(&1_u64.to_ne_bytes());
    }

    /// Makes it unreadable.
    pub fn clear(&self) {
        let _ = (&self.0).read(&mut [0; 8]);
    }

    /// The descriptor, still owned here.
    pub fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
