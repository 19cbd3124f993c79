//! A disk in memory, an instrument for tests: it fails where it is told to, counts what is done to it, and
//! knows what would be left of it after a power cut ([`MemoryDisk::crash`]).
//!
//! It is as unkind as a file system may be. Writes are kept sector by sector, in any order; a new length
//! is kept or not, whatever happened to the data. A name is kept once its directory was synced (for a
//! rename: the directory it went to), whether or not the file it stands for was, or the directory's own name.

mod content;
mod crash;
mod fault;
mod names;

pub use fault::{Action, Fault, Operation};

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::sync::Mutex;

use self::content::Content;
use self::crash::{Kept, Random};
use self::fault::Journal;
use self::names::Names;
use super::{File, Map, Storage};

/// A disk in memory. It starts with an empty root directory, `/`; relative paths start there too. Clones
/// share it.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    names: Mutex<Names>,
    journal: Mutex<Journal>,
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many operations changed it, or tried to: all of the traits but those that only look.
    pub fn operations(&self) -> usize {
        self.shared.journal.lock().done().len()
    }

    /// Those operations, oldest first.
    pub fn log(&self) -> Vec<Operation> {
        self.shared.journal.lock().done().to_vec()
    }

    /// Makes the `n`-th operation from now on fail; 1 is the next.
    pub fn fail_operation(&self, n: usize, fault: Fault) {
        self.shared.journal.lock().fail_operation(n, fault);
    }

    /// Makes the next operation of this kind fail.
    pub fn fail_next(&self, action: Action, fault: Fault) {
        self.shared.journal.lock().fail_next(action, fault);
    }

    /// Forgets the faults that have not happened yet, and turns the power on.
    pub fn clear_faults(&self) {
        self.shared.journal.lock().clear_faults();
    }

    /// Flips the bits of `mask` in what a file holds from `offset` on, durably.
    ///
    /// # Errors
    /// `NotFound`; `UnexpectedEof` beyond its end.
    pub fn corrupt(&self, path: &Path, offset: u64, mask: &[u8]) -> io::Result<()> {
        self.content(path)?.corrupt(offset, mask)
    }

    /// How often a file was synced with success.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn syncs(&self, path: &Path) -> io::Result<u64> {
        Ok(self.content(path)?.syncs())
    }

    /// How many bytes were written to a file, zeros of an allocation left out.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn bytes_written(&self, path: &Path) -> io::Result<u64> {
        Ok(self.content(path)?.bytes_written())
    }

    /// The disk as it might be after a power cut now: what was synced, and by the seed some of the rest.
    /// Few seeds reach far: they range from nothing kept, over a clean prefix torn at its end, to sectors
    /// at random.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn crash(&self, seed: u64) -> io::Result<Self> {
        self.after(&mut Kept::Some(Random::new(seed)))
    }

    /// The disk after a power cut that took all that was not synced.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn crash_keeping_nothing(&self) -> io::Result<Self> {
        self.after(&mut Kept::Nothing)
    }

    /// The disk after a power cut that came just late enough.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn crash_keeping_all(&self) -> io::Result<Self> {
        self.after(&mut Kept::All)
    }

    fn after(&self, kept: &mut Kept) -> io::Result<Self> {
        let names = self.shared.names.lock().after_crash(kept)?;
        Ok(Self { shared: Arc::new(Shared { names: Mutex::new(names), journal: Mutex::default() }) })
    }

    fn content(&self, path: &Path) -> io::Result<Arc<Content>> {
        self.shared.names.lock().file(path)
    }

    /// Does one operation on names, unless it is to fail.
    fn change<T>(
        &self,
        action: Action,
        path: &Path,
        change: impl FnOnce(&mut Names) -> io::Result<T>,
    ) -> io::Result<T> {
        let fault = self.shared.journal.lock().begin(action, path)?;
        match fault {
            None => change(&mut self.shared.names.lock()),
            // It was under way: the crash decides what became of it.
            Some(Fault::PowerCut) if action != Action::SyncDir => {
                change(&mut self.shared.names.lock())?;
                Err(Fault::PowerCut.error())
            }
            Some(fault) => Err(fault.error()),
        }
    }

    fn handle(&self, path: &Path, content: Arc<Content>) -> Arc<dyn File> {
        Arc::new(MemoryFile { content, shared: Arc::clone(&self.shared), path: path.to_owned() })
    }
}

impl Storage for MemoryDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let content = Arc::new(Content::new()?);
        self.change(Action::Create, path, |names| names.create(path, Arc::clone(&content)))?;
        Ok(self.handle(path, content))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.handle(path, self.content(path)?))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.content(path)?.read()
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        match self.shared.names.lock().find(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.shared.names.lock().list(dir)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.change(Action::CreateDir, path, |names| names.create_dir(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(Action::Rename, from, |names| names.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change(Action::RemoveFile, path, |names| names.remove_file(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.change(Action::RemoveDir, path, |names| names.remove_dir(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.change(Action::SyncDir, path, |names| names.sync_dir(path))
    }
}

struct MemoryFile {
    content: Arc<Content>,
    shared: Arc<Shared>,
    /// What it was called when it was opened.
    path: PathBuf,
}

impl MemoryFile {
    fn begin(&self, action: Action) -> io::Result<Option<Fault>> {
        self.shared.journal.lock().begin(action, &self.path)
    }

    fn resize(&self, action: Action, resize: impl FnOnce(&Content) -> io::Result<()>) -> io::Result<()> {
        let fault = self.begin(action)?;
        if matches!(fault, None | Some(Fault::PowerCut)) {
            resize(&self.content)?;
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }
}

impl File for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        self.content.len()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.content.read_at(offset, into)
    }

    fn write_at(&self, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        let fault = self.begin(Action::Write)?;
        let mut bytes = parts.concat();
        match fault {
            None | Some(Fault::PowerCut) => {}
            Some(Fault::TornWrite(kept)) => bytes.truncate(kept),
            Some(Fault::Io | Fault::NoSpace) => bytes.clear(),
        }
        self.content.write(offset, bytes)?;
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn allocate(&self, from: u64, to: u64) -> io::Result<()> {
        self.resize(Action::Allocate, |content| if from < to { content.grow(to) } else { Ok(()) })
    }

    fn sync(&self) -> io::Result<()> {
        match self.begin(Action::Sync)? {
            None => self.content.sync(),
            Some(fault) => {
                if fault != Fault::PowerCut {
                    self.content.fail_sync()?;
                }
                Err(fault.error())
            }
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.resize(Action::SetLen, |content| content.set_len(len))
    }

    fn map(&self, length: usize) -> io::Result<Map> {
        self.content.map(length)
    }
}
