//! The last segment, where records are appended.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::recovery::{Ends, file_name};
use super::{Segment, Sizes};
use crate::error::Error;
use crate::format::segment::{SEGMENT_HEADER, SegmentHeader};
use crate::storage::{File, Storage};

/// Why a group was not appended.
#[derive(Clone, Debug, PartialEq)]
pub enum AppendError {
    /// Nothing of the group is on disk, nor will be.
    NothingWritten(Error),
    /// A write or sync failed: the group is there whole or not at all once the log is repaired.
    Unknown(Error),
}

/// Groups up to this long write zeros behind them where nothing was written yet. A file system converts space that is
/// allocated but not written in its journal, at the sync; overwriting zeros, a sync waits for the bytes alone.
const SHORT: u64 = 4 << 10;
/// Most zeros written in one go, and never more than the segment holds: `docs/decisions/0031-short-groups-overwrite-zeros.md`.
static ZEROS: [u8; 512 << 10] = [0; 512 << 10];

/// The open end of the log.
pub(super) struct Tail {
    file: Option<Arc<dyn File>>,
    number: u64,
    /// Where the next record goes.
    end: u64,
    /// Up to where everything is known to be synced: `end`, but for what recovery found unproven.
    proven: u64,
    /// Up to where space is allocated.
    allocated: u64,
    /// Up to where something was written, be it zeros.
    written: u64,
    sealed: bool,
}

impl Tail {
    /// Before the first segment.
    pub(super) const fn none() -> Self {
        Self { file: None, number: 0, end: 0, proven: 0, allocated: 0, written: 0, sealed: true }
    }

    /// As recovery found it.
    pub(super) fn found(file: Arc<dyn File>, ends: &Ends) -> Self {
        Self {
            file: Some(file),
            number: ends.tail,
            end: ends.end,
            proven: ends.proven,
            allocated: ends.end,
            written: ends.end,
            sealed: ends.sealed,
        }
    }

    /// Whether something that counts is not known to be synced.
    pub(super) const fn unproven(&self) -> bool {
        self.proven < self.end
    }

    /// Makes a segment: nothing is acknowledged from it before its header and its name are durable.
    pub(super) fn create(
        storage: &dyn Storage,
        directory: &Path,
        header: SegmentHeader,
        sizes: Sizes,
    ) -> io::Result<(Self, Segment)> {
        let path = directory.join(file_name(header.number, header.generation));
        let file = match storage.create(&path) {
            // Left behind by an attempt that failed before anything in it could be acknowledged.
            Err(taken) if taken.kind() == io::ErrorKind::AlreadyExists => {
                storage.remove_file(&path)?;
                storage.create(&path)?
            }
            made => made?,
        };
        file.allocate(0, sizes.first_allocation)?;
        file.write_at(0, &[&header.encode()])?;
        file.sync()?;
        storage.sync_dir(directory)?;
        let segment = Segment::map(&*file, header.number, sizes.segment)?;
        let tail = Self {
            file: Some(file),
            number: header.number,
            end: SEGMENT_HEADER,
            proven: SEGMENT_HEADER,
            allocated: sizes.first_allocation,
            written: SEGMENT_HEADER,
            sealed: false,
        };
        Ok((tail, segment))
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    pub(super) const fn sealed(&self) -> bool {
        self.sealed
    }

    pub(super) const fn seal(&mut self) {
        self.sealed = true;
    }

    fn file(&self) -> io::Result<&Arc<dyn File>> {
        self.file.as_ref().ok_or_else(|| io::Error::other("the log has no segment"))
    }

    /// The length of the file if it has become shorter than it was left.
    pub(super) fn missing(&self) -> io::Result<Option<u64>> {
        let length = self.file()?.len()?;
        Ok((length < self.allocated).then_some(length))
    }

    /// Makes sure that `length` more bytes have their space: ahead in growing steps, or just what is needed
    /// when the disk is nearly full.
    pub(super) fn allocate(&mut self, length: u64, sizes: Sizes) -> io::Result<()> {
        let needed = self.end + length;
        if needed <= self.allocated {
            return Ok(());
        }
        let ahead = needed.clamp(sizes.first_allocation, sizes.last_allocation);
        let wanted = (needed + ahead).min(sizes.segment.max(needed));
        let file = Arc::clone(self.file()?);
        if file.allocate(self.allocated, wanted).is_ok() {
            self.allocated = wanted;
        } else {
            file.allocate(self.allocated, needed)?;
            self.allocated = needed;
        }
        Ok(())
    }

    /// One vectored write into allocated space, one sync.
    pub(super) fn append<'a>(&mut self, mut parts: Vec<&'a [u8]>, length: u64) -> io::Result<()> {
        let end = self.end + length;
        let zeros: &'a [u8] = &ZEROS[..self.zeros_behind(end, length)];
        parts.push(zeros);
        let file = self.file()?;
        file.write_at(self.end, &parts)?;
        file.sync()?;
        self.end = end;
        self.proven = end;
        self.written = self.written.max(end + zeros.len() as u64);
        Ok(())
    }

    /// How many zeros are written behind a group of this `length` that ends at `end`.
    fn zeros_behind(&self, end: u64, length: u64) -> usize {
        if length > SHORT || end <= self.written {
            return 0;
        }
        let most = self.end.min(self.allocated.saturating_sub(end));
        usize::try_from(most).unwrap_or(0).min(ZEROS.len())
    }

    /// Opens the file anew (a failed sync is reported once to each opening), cuts, and syncs. What no later record
    /// proves to be synced is written again, with the same bytes: if an earlier sync of it failed, it may be read from
    /// memory and yet never reach the disk (the page is clean by then), whatever is synced after it.
    pub(super) fn reopen(&mut self, storage: &dyn Storage, path: &Path) -> io::Result<()> {
        let file = storage.open(path)?;
        file.set_len(self.end)?;
        (self.allocated, self.written) = (self.end, self.end);
        if self.proven < self.end {
            let length = usize::try_from(self.end - self.proven).map_err(io::Error::other)?;
            let mut unproven = vec![0; length];
            file.read_at(self.proven, &mut unproven)?;
            file.write_at(self.proven, &[&unproven])?;
        }
        file.sync()?;
        self.proven = self.end;
        self.file = Some(file);
        Ok(())
    }

    /// Gives back the space behind the last record.
    pub(super) fn cut(&mut self) -> io::Result<()> {
        if self.allocated > self.end {
            let file = self.file()?;
            file.set_len(self.end)?;
            (self.allocated, self.written) = (self.end, self.end);
            self.file()?.sync()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::memory::MemoryDisk;

    #[test]
    fn short_groups_overwrite_zeros_and_long_ones_write_none() {
        let (disk, sizes) = (MemoryDisk::new(), Sizes::default());
        let header = SegmentHeader { number: 1, generation: 0, incarnation: [1; 16], first_lsn: 1 };
        let (mut tail, _) = Tail::create(&disk, Path::new("/"), header, sizes).unwrap();
        let path = Path::new("/").join(file_name(1, 0));
        let mut append = |length: usize| {
            let before = (disk.bytes_written(&path).unwrap(), tail.written);
            tail.allocate(length as u64, sizes).unwrap();
            tail.append(vec![&vec![7; length]], length as u64).unwrap();
            assert!(tail.end <= tail.allocated && tail.written <= tail.allocated);
            (disk.bytes_written(&path).unwrap() - before.0, tail.written > before.1)
        };
        let groups: Vec<(u64, bool)> = (0..1000).map(|_| append(1000)).collect();
        let written: u64 = groups.iter().map(|group| group.0).sum();
        assert!(written <= 2_000_000 + ZEROS.len() as u64, "{written} bytes for a million");
        let first_writes = groups.iter().filter(|group| group.1).count();
        assert!(first_writes < 20, "{first_writes} of 1000 groups wrote where nothing was written before");
        let long = SHORT as usize + 1;
        (0..20).for_each(|_| assert_eq!(append(long).0, long as u64));
    }
}
