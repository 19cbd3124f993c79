//! A disk whose syncs can be held back.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use ingot_engine::storage::memory::MemoryDisk;
use ingot_engine::storage::{File, Map, Storage};

/// Holds back whoever syncs while it is shut, and counts.
#[derive(Default)]
pub struct Gate {
    state: Mutex<(bool, usize)>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.1 += 1;
        self.opened.notify_all();
        while state.0 {
            state = self.opened.wait(state).unwrap();
        }
    }

    pub fn set_shut(&self, shut: bool) {
        self.state.lock().unwrap().0 = shut;
        self.opened.notify_all();
    }

    pub fn syncs(&self) -> usize {
        self.state.lock().unwrap().1
    }

    pub fn wait_for_syncs(&self, count: usize) {
        let mut state = self.state.lock().unwrap();
        while state.1 < count {
            state = self.opened.wait(state).unwrap();
        }
    }
}

/// A disk whose log syncs go through a gate.
pub struct GatedDisk(pub MemoryDisk, pub Arc<Gate>);

struct GatedFile(Arc<dyn File>, Arc<Gate>);

impl GatedDisk {
    fn gated(&self, path: &Path, file: Arc<dyn File>) -> Arc<dyn File> {
        if path.extension().is_some_and(|extension| extension == "log") {
            Arc::new(GatedFile(file, Arc::clone(&self.1)))
        } else {
            file
        }
    }
}

impl Storage for GatedDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.0.create(path).map(|file| self.gated(path, file))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.0.open(path).map(|file| self.gated(path, file))
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.read(path)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.0.exists(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.0.list(dir)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.0.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.sync_dir(path)
    }
}

impl File for GatedFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, into)
    }
    fn write_at(&self, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        self.0.write_at(offset, parts)
    }
    fn allocate(&self, from: u64, to: u64) -> io::Result<()> {
        self.0.allocate(from, to)
    }
    fn sync(&self) -> io::Result<()> {
        self.1.pass();
        self.0.sync()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn map(&self, length: usize) -> io::Result<Map> {
        self.0.map(length)
    }
}
