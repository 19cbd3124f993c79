//! Large files read by several threads: one alone has a disk, or the page cache, wait for it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{File, Storage};
use crate::memory_unsafe::Buffer;
use crate::sync::Mutex;

/// Bytes that a thread reads at a time.
const PIECE: usize = 4 << 20;
/// Threads that read one file. Measured: two read three times as much as one from the disk of a virtual machine, four
/// not more than two.
const READERS: usize = 4;

/// Fills `into`, in this order, from `offset` on. Each part is read in pieces of whole multiples of `unit` bytes, and
/// `look` sees every piece; what it says comes back in the order of the file.
///
/// # Errors
/// `UnexpectedEof` when the file ends before that; what the system refuses.
pub fn fill<T: Send>(
    file: &dyn File,
    offset: u64,
    into: Vec<&mut [u8]>,
    unit: usize,
    look: &(dyn Fn(&[u8]) -> T + Sync),
) -> io::Result<Vec<T>> {
    let piece = (PIECE / unit).max(1) * unit;
    let mut pieces = Vec::new();
    let mut at = offset;
    for bytes in into.into_iter().flat_map(|part| part.chunks_mut(piece)) {
        let length = bytes.len() as u64;
        pieces.push((at, bytes));
        at += length;
    }
    let others = READERS.min(pieces.len()).saturating_sub(1);
    let mut said: Vec<Option<io::Result<T>>> = pieces.iter().map(|_| None).collect();
    let work = Mutex::new(pieces.into_iter().zip(&mut said));
    let read = || {
        loop {
            let next = work.lock().next();
            let Some(((at, bytes), said)) = next else { return };
            *said = Some(file.read_at(at, bytes).map(|()| look(bytes)));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..others {
            // A system that gives no thread makes it slower, no more.
            let _ = std::thread::Builder::new().name("ingot-read".to_owned()).spawn_scoped(scope, read);
        }
        read();
    });
    said.into_iter().map(|said| said.unwrap_or_else(|| Err(io::ErrorKind::Interrupted.into()))).collect()
}

/// A file, whole.
///
/// # Errors
/// `NotFound`; what the system refuses.
pub fn read_whole(storage: &dyn Storage, path: &Path) -> io::Result<Buffer> {
    let file: Arc<dyn File> = storage.open(path)?;
    let length = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut buffer = Buffer::zeroed(length);
    fill(&*file, 0, vec![&mut *buffer], 1, &|_| ())?;
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryDisk;
    use super::*;

    #[test]
    fn every_byte_comes_to_its_place_and_every_piece_is_seen_in_order() {
        let disk = MemoryDisk::new();
        disk.create_dir(Path::new("/d")).unwrap();
        let path = Path::new("/d/large");
        let written: Vec<u8> = (0..3 * PIECE as u32 + 1000).map(|at| (at / 251) as u8 ^ at as u8).collect();
        disk.create(path).unwrap().write_at(0, &[&written]).unwrap();
        assert!(*read_whole(&disk, path).unwrap() == written);

        let file = disk.open(path).unwrap();
        let (mut first, mut second) = (vec![0; 30], vec![0; 2 * (PIECE / 10 * 10) + 10]);
        let seen = fill(&*file, 5, vec![&mut first, &mut second], 10, &|bytes| bytes.to_vec()).unwrap();
        assert_eq!(seen.concat().len(), 40 + 2 * (PIECE / 10 * 10));
        assert!([first, second].concat() == written[5..][..seen.concat().len()]);
        assert!(seen.concat() == written[5..][..seen.concat().len()]);
        assert!(seen.iter().all(|piece| piece.len() % 10 == 0));
        let mut beyond = vec![0; written.len()];
        let failed = fill(&*file, 1, vec![&mut beyond], 1, &|_| ()).unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::UnexpectedEof);
    }
}
