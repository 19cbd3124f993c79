//! One process owns a data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process;

use crate::error::{Error, Result};

/// Name of the file that is locked, in the directory it stands for. It is never removed: whoever waited
/// for it would then hold another file than the next one to come.
const NAME: &str = "LOCK";

/// The right to use a data directory, held until it is dropped or the process dies.
#[derive(Debug)]
pub struct DirectoryLock {
    file: File,
    process: u32,
}

impl DirectoryLock {
    /// Takes the lock of the directory at `path`, which exists.
    ///
    /// # Errors
    /// [`Error::DirectoryInUse`] when someone has it, this process included;
    /// [`Error::StorageFailed`] when the file cannot be made or the file system knows no locks.
    pub fn acquire(path: &Path) -> Result<Self> {
        let path = path.join(NAME);
        let failed = |operation: &str, cause: &io::Error| {
            Error::storage(&format!("{operation} {}", path.display()), cause)
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|cause| failed("open", &cause))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::DirectoryInUse { pid: holder(&mut file) }),
            Err(TryLockError::Error(cause)) => return Err(failed("lock", &cause)),
        }
        let process = process::id();
        file.set_len(0)
            .and_then(|()| file.write_all(format!("{process}\n").as_bytes()))
            .map_err(|cause| failed("write", &cause))?;
        Ok(Self { file, process })
    }

    /// Whether this is the process that took the lock.
    ///
    /// # Errors
    /// [`Error::Forked`] in a child that came about by a fork.
    pub fn check_process(&self) -> Result<()> {
        if process::id() == self.process { Ok(()) } else { Err(Error::Forked) }
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // A forked child shares the lock: it closes its copy and leaves the lock to the parent. The
        // parent unlocks, as closing alone would leave the lock to its children.
        if process::id() == self.process {
            // The next holder's name must not be mistaken for ours; without it there is just no name.
            let _ = self.file.set_len(0);
            // The lock goes with the descriptor at the latest.
            let _ = self.file.unlock();
        }
    }
}

/// Who holds the lock; `None` if it has not yet said so.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    // Without it the answer is the same, but for the number.
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
