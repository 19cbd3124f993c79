//! The real disk.

use std::ffi::OsString;
use std::fs;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::{File, Map, Storage, system_unsafe};

/// The file system of the machine. Every descriptor is closed on exec (the standard library sees to it).
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Storage for Disk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Ok(Arc::new(DiskFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Arc::new(DiskFile(file)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        fs::exists(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let mut names =
            fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }
}

struct DiskFile(fs::File);

impl File for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(into, offset)
    }

    fn write_at(&self, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        write_all(&self.0, offset, parts)
    }

    fn allocate(&self, from: u64, to: u64) -> io::Result<()> {
        if from >= to {
            return Ok(());
        }
        let before = self.len()?;
        let mut result = system_unsafe::allocate(&self.0, from, to);
        if result.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EOPNOTSUPP)) {
            result = write_zeros(&self.0, before, to);
        }
        if result.is_err() && self.len().is_ok_and(|after| after > before) {
            // ext4 keeps what it reserved before the space ran out. No one has read beyond `before`.
            // What failed is already an error; that this fails too adds nothing to it.
            let _ = self.set_len(before);
        }
        result
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn map(&self, length: usize) -> io::Result<Map> {
        Map::of(&self.0, length)
    }
}

/// Writes all of `parts`, whatever their number and however little the system takes at a time.
pub(super) fn write_all(file: &fs::File, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
    let mut offset = offset;
    let mut slices: Vec<_> = parts.iter().flat_map(|part| part.chunks(AT_ONCE)).map(IoSlice::new).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |slice: &&IoSlice<'_>| {
            bytes += slice.len();
            bytes <= AT_ONCE
        };
        let count = rest.iter().take_while(fits).count();
        let written = system_unsafe::write_some(file, offset, &rest[..count])?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        offset += written as u64;
        IoSlice::advance_slices(&mut rest, written);
    }
    Ok(())
}

/// Most bytes of a system call: a kernel that is not preempted copies megabytes before it lets anyone else have the
/// processor.
const AT_ONCE: usize = 1 << 20;

/// Writes zeros from `from` up to `to`; nothing if `to` lies before `from`.
fn write_zeros(file: &fs::File, from: u64, to: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    let mut at = from;
    while at < to {
        let length = (to - at).min(ZEROS.len() as u64);
        // Not longer than `ZEROS`, so it fits any `usize`.
        write_all(file, at, &[&ZEROS[..length as usize]])?;
        at += length;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_parts_are_written_whole_whatever_fits_in_one_call() {
        let file = system_unsafe::memory_file(c"test").unwrap();
        let numbers: Vec<u8> = (0..3 * AT_ONCE + 17).map(|at| (at % 251) as u8).collect();
        let parts = [
            &numbers[..5],
            &[],
            &numbers[5..AT_ONCE],
            &numbers[AT_ONCE..AT_ONCE + 1],
            &numbers[AT_ONCE + 1..],
        ];
        write_all(&file, 3, &parts).unwrap();
        let mut bytes = vec![1; numbers.len()];
        file.read_exact_at(&mut bytes, 3).unwrap();
        assert!(bytes == numbers);
        assert_eq!(file.metadata().unwrap().len(), numbers.len() as u64 + 3);
    }

    #[test]
    fn where_nothing_can_be_reserved_zeros_are_written() {
        let file = system_unsafe::memory_file(c"test").unwrap();
        write_all(&file, 0, &[b"kept"]).unwrap();
        write_zeros(&file, 4, 200_000).unwrap();
        write_zeros(&file, 200_000, 10).unwrap();
        let mut bytes = vec![1; 200_000];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 200_000);
        assert_eq!(&bytes[..4], b"kept");
        assert!(bytes[4..].iter().all(|byte| *byte == 0));
    }
}
