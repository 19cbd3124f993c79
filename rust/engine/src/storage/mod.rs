//! Where bytes are kept: files, directories, what is durable when, read-only mappings that survive a bad
//! medium, and the lock of the data directory. It does not know what the bytes mean.
//!
//! What is written to a file is durable after [`File::sync`]; a name made, changed or removed is durable
//! after [`Storage::sync_dir`] on the directory it is in (for a rename: the one it went to).

pub mod bulk;
mod disk;
mod lock;
mod map_unsafe;
pub mod memory;
mod sigbus_unsafe;
mod system_unsafe;

pub use disk::Disk;
pub use lock::DirectoryLock;
pub use map_unsafe::Map;
pub use system_unsafe::descriptor_limit;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A tree of files and directories.
pub trait Storage: Send + Sync {
    /// Makes a new, empty file.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken; what the system refuses.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens a file that exists, to read and write.
    ///
    /// # Errors
    /// `NotFound`; what the system refuses.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// A small file, whole.
    ///
    /// # Errors
    /// `NotFound`; what the system refuses.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Whether a file or directory has this name.
    ///
    /// # Errors
    /// What the system refuses; that nothing is there is not one.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// `NotFound`; what the system refuses.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;

    /// Makes a directory and those above it; fine if it is there. Each is a name in its parent, durable
    /// when that parent is synced.
    ///
    /// # Errors
    /// What the system refuses.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Renames a file or directory in one step. A file takes the place of a file, never of a directory;
    /// a directory takes the place of an empty one at most.
    ///
    /// # Errors
    /// `NotFound`; what the system refuses.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes the name of a file; those who have it open or mapped keep it.
    ///
    /// # Errors
    /// `NotFound`; what the system refuses.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory with all it holds, not in one step.
    ///
    /// # Errors
    /// `NotFound`; what the system refuses.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// What the system refuses; then what is durable is not known.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// An open file. Calls that change its length come from one thread at a time; all else may be concurrent.
pub trait File: Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    /// What the system refuses.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no bytes.
    ///
    /// # Errors
    /// What the system refuses.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `into` from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before that; what the system refuses.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;

    /// Writes all of `parts`, one after the other, from `offset` on; the file grows if it has to.
    ///
    /// # Errors
    /// What the system refuses; then any part of it may have been written.
    fn write_at(&self, offset: u64, parts: &[&[u8]]) -> io::Result<()>;

    /// Reserves space for the bytes `from..to`; the file reaches at least to `to`. New bytes are zero.
    ///
    /// # Errors
    /// `StorageFull` (or `QuotaExceeded`) when there is no space; then the file is as long as before.
    fn allocate(&self, from: u64, to: u64) -> io::Result<()>;

    /// Makes what was written, and the length, durable.
    ///
    /// # Errors
    /// What the system refuses. What was written since the last sync may then never become durable, even
    /// if a later sync succeeds.
    fn sync(&self) -> io::Result<()>;

    /// Cuts or extends the file. Not durable before a sync; never below what a reader may still look at.
    ///
    /// # Errors
    /// What the system refuses.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Maps the first `length` bytes, to be read only. It may be longer than the file and sees what is
    /// written later; a read beyond the end of the file counts as damage.
    ///
    /// # Errors
    /// What the system refuses.
    fn map(&self, length: usize) -> io::Result<Map>;
}
