//! The bytes of a file: as they are read, as they would be left, and the changes between them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::crash::Kept;
use crate::storage::{Map, disk, system_unsafe};
use crate::sync::Mutex;

/// What a disk writes whole or not at all.
pub(super) const SECTOR: u64 = 512;

pub(super) type Sector = [u8; SECTOR as usize];
const EMPTY: Sector = [0; SECTOR as usize];

/// A length and the sectors that are not all zero because nothing was ever written there.
#[derive(Clone, Default)]
pub(super) struct Image {
    length: u64,
    sectors: BTreeMap<u64, Sector>,
}

impl Image {
    /// Cuts or extends it; what comes back by extending is zeros.
    fn set_len(&mut self, length: u64) {
        self.length = length;
        self.sectors.split_off(&length.div_ceil(SECTOR));
        if let Some(last) = self.sectors.get_mut(&(length / SECTOR)) {
            last[(length % SECTOR) as usize..].fill(0);
        }
    }
}

/// A change that no sync has made durable yet.
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Grow(u64),
    Cut(u64),
}

impl Change {
    fn length_after(&self, before: u64) -> u64 {
        match self {
            Self::Write { offset, bytes } => before.max(offset + bytes.len() as u64),
            Self::Grow(to) => before.max(*to),
            Self::Cut(to) => *to,
        }
    }

    /// Sectors in which it leaves other bytes; of a cut, the one it goes through.
    fn sectors(&self) -> std::ops::Range<u64> {
        match self {
            Self::Write { offset, bytes } => offset / SECTOR..(offset + bytes.len() as u64).div_ceil(SECTOR),
            Self::Grow(_) => 0..0,
            Self::Cut(to) => to / SECTOR..to.div_ceil(SECTOR),
        }
    }

    /// Does to one sector what it did to the file.
    fn apply(&self, number: u64, sector: &mut Sector) {
        let start = number * SECTOR;
        match self {
            Self::Write { offset, bytes } => {
                let from = start.max(*offset);
                let to = (start + SECTOR).min(offset + bytes.len() as u64);
                if from < to {
                    // All four lie within the sector or within `bytes`.
                    sector[(from - start) as usize..(to - start) as usize]
                        .copy_from_slice(&bytes[(from - offset) as usize..(to - offset) as usize]);
                }
            }
            Self::Grow(_) => {}
            Self::Cut(to) => sector[to.saturating_sub(start).min(SECTOR) as usize..].fill(0),
        }
    }
}

/// A file of the disk. What is read, and mapped, is a file of the system that lives in memory.
pub(super) struct Content {
    live: File,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    durable: Image,
    pending: Vec<Change>,
    /// Sectors that a failed sync may or may not have written; forgotten by the system.
    lost: BTreeMap<u64, Sector>,
    syncs: u64,
    bytes_written: u64,
}

impl Content {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { live: system_unsafe::memory_file(c"ingot")?, state: Mutex::default() })
    }

    /// A file that holds `image`, durably.
    pub(super) fn of(image: Image) -> io::Result<Self> {
        let content = Self::new()?;
        for (number, sector) in &image.sectors {
            content.live.write_all_at(sector, number * SECTOR)?;
        }
        content.live.set_len(image.length)?;
        content.state.lock().durable = image;
        Ok(content)
    }

    pub(super) fn len(&self) -> io::Result<u64> {
        Ok(self.live.metadata()?.len())
    }

    pub(super) fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.live.read_exact_at(into, offset)
    }

    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.len()?).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let mut bytes = vec![0; length];
        self.read_at(0, &mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn map(&self, length: usize) -> io::Result<Map> {
        Map::of(&self.live, length)
    }

    pub(super) fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    pub(super) fn bytes_written(&self) -> u64 {
        self.state.lock().bytes_written
    }

    pub(super) fn write(&self, offset: u64, bytes: Vec<u8>) -> io::Result<()> {
        let mut state = self.state.lock();
        disk::write_all(&self.live, offset, &[&bytes])?;
        state.bytes_written += bytes.len() as u64;
        if !bytes.is_empty() {
            state.pending.push(Change::Write { offset, bytes });
        }
        Ok(())
    }

    pub(super) fn grow(&self, to: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        if self.len()? < to {
            self.live.set_len(to)?;
            state.pending.push(Change::Grow(to));
        }
        Ok(())
    }

    pub(super) fn set_len(&self, length: u64) -> io::Result<()> {
        if length > self.len()? {
            return self.grow(length);
        }
        let mut state = self.state.lock();
        self.live.set_len(length)?;
        state.pending.push(Change::Cut(length));
        Ok(())
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let mut dirty = BTreeSet::new();
        for change in state.pending.drain(..) {
            dirty.extend(change.sectors());
            if let Change::Cut(to) = change {
                state.durable.set_len(to);
                state.lost.split_off(&to.div_ceil(SECTOR));
            }
        }
        // A page goes to the disk as it is now, with what a failed sync had forgotten of it.
        for number in dirty {
            state.durable.sectors.insert(number, self.sector(number)?);
            state.lost.remove(&number);
        }
        state.durable.set_len(self.len()?);
        state.syncs += 1;
        Ok(())
    }

    /// The data may or may not have reached the disk and is taken for clean; the length is still to be written.
    pub(super) fn fail_sync(&self) -> io::Result<()> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        for change in &mut state.pending {
            if matches!(change, Change::Write { .. }) {
                for number in change.sectors() {
                    state.lost.insert(number, self.sector(number)?);
                }
                *change = Change::Grow(change.length_after(0));
            }
        }
        Ok(())
    }

    pub(super) fn corrupt(&self, offset: u64, mask: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        let mut bytes = vec![0; mask.len()];
        self.read_at(offset, &mut bytes)?;
        bytes.iter_mut().zip(mask).for_each(|(byte, flip)| *byte ^= flip);
        self.live.write_all_at(&bytes, offset)?;
        let write = Change::Write { offset, bytes };
        for number in write.sectors() {
            let sector = state.durable.sectors.entry(number).or_insert(EMPTY);
            write.apply(number, sector);
        }
        Ok(())
    }

    /// What is left after a crash.
    pub(super) fn after_crash(&self, kept: &mut Kept) -> io::Result<Image> {
        let state = self.state.lock();
        let plan = kept.file(state.pending.len());
        let cuts: Vec<_> =
            (0..).zip(&state.pending).filter(|(_, change)| matches!(change, Change::Cut(_))).collect();
        let mut image = state.durable.clone();
        for (number, sector) in &state.lost {
            if kept.lost() {
                image.sectors.insert(*number, *sector);
            }
        }
        // Lengths and cuts are kept in their order, up to one of them.
        for change in &state.pending[..plan.lengths] {
            image.set_len(change.length_after(image.length));
        }
        let mut touched: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (index, change) in (0..).zip(&state.pending) {
            for number in change.sectors() {
                touched.entry(number).or_default().push(index);
            }
        }
        for (number, mut changes) in touched {
            // A sector is a snapshot of the page: the changes to it up to one of them.
            let mut until = plan.until(&changes, kept);
            for (index, cut) in &cuts {
                if cut.sectors().start <= number {
                    until = if *index < plan.lengths { until.max(index + 1) } else { until.min(*index) };
                    changes.push(*index);
                }
            }
            changes.sort_unstable();
            let sector = image.sectors.entry(number).or_insert(EMPTY);
            for index in changes.into_iter().filter(|index| *index < until) {
                state.pending[index].apply(number, sector);
            }
        }
        image.set_len(image.length);
        Ok(image)
    }

    /// A sector as it is read, zeros beyond the end.
    fn sector(&self, number: u64) -> io::Result<Sector> {
        let mut sector = EMPTY;
        let mut filled = 0;
        while filled < sector.len() {
            match self.live.read_at(&mut sector[filled..], number * SECTOR + filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(sector)
    }
}
