//! What is deleted: out of sight in one step, and removed file by file when there is time.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::directory::Directory;
use crate::error::{Error, Result};
use crate::pool::{Owner, Pool};
use crate::sync::Mutex;

/// The folder of what is deleted, and the thread that empties it.
pub(super) struct Trash {
    bin: Arc<Bin>,
    thread: Pool,
}

struct Bin {
    directory: Directory,
    closed: AtomicBool,
    /// Held while a file is removed.
    removing: Mutex<()>,
}

impl Trash {
    /// Begins to remove what an earlier process left behind.
    pub(super) fn new(directory: Directory) -> Result<Self> {
        let thread =
            Pool::new("ingot-trash", 1).map_err(|cause| Error::storage("starting threads", &cause))?;
        let bin = Bin { directory, closed: AtomicBool::new(false), removing: Mutex::new(()) };
        let trash = Self { bin: Arc::new(bin), thread };
        trash.empty();
        Ok(trash)
    }

    /// Takes the directory of a tenant away, durably: it is there whole, or it is gone.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when that may not be durable; what the system refuses.
    pub(super) fn take(&self, path: &Path, folder: &str) -> Result<()> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|cause| Error::StorageFailed {
            reason: format!("asking the system for random numbers: {cause}"),
        })?;
        let Bin { directory, .. } = &*self.bin;
        let target = directory.trash().join(format!("{folder}-{:016x}", u64::from_le_bytes(random)));
        directory
            .storage
            .rename(path, &target)
            .map_err(|cause| Error::storage("deleting a tenant", &cause))?;
        if self.bin.sync().is_err() {
            // Back, so that what is seen now and what is seen after a crash are not two things. If that fails too, it
            // is gone until then.
            let _ = directory.storage.rename(&target, path);
            return Err(Error::OutcomeUnknown);
        }
        self.empty();
        Ok(())
    }

    /// Removes in the background what is there.
    fn empty(&self) {
        let bin = Arc::clone(&self.bin);
        // What fails is tried again with the next tenant that is deleted, and at the next start.
        self.thread.spawn(Owner::NOBODY, move || drop(bin.empty()));
    }

    /// When this returns nothing is being removed, nor will be.
    pub(super) fn close(&self) {
        self.bin.closed.store(true, Ordering::Relaxed);
        drop(self.bin.removing.lock());
    }
}

impl Bin {
    /// Makes durable what was moved here.
    fn sync(&self) -> io::Result<()> {
        let storage = &self.directory.storage;
        storage.sync_dir(&self.directory.trash())?;
        storage.sync_dir(&self.directory.tenants())
    }

    fn empty(&self) -> io::Result<()> {
        let names = self.directory.storage.list(&self.directory.trash())?;
        if names.is_empty() {
            return Ok(());
        }
        // An earlier process may have ended before it could: a tenant that comes back must be whole.
        self.sync()?;
        names.into_iter().try_for_each(|name| self.remove(&self.directory.trash().join(name)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let storage = &self.directory.storage;
        // A directory lists what it holds, a file does not.
        let within = storage.list(path);
        if let Ok(names) = &within {
            names.iter().try_for_each(|name| self.remove(&path.join(name)))?;
        }
        let _removing = self.removing.lock();
        if self.closed.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if within.is_ok() { storage.remove_dir(path) } else { storage.remove_file(path) }
    }
}
