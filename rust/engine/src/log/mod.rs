//! A tenant's log: groups of records appended durably, read from where they lie, found again after a crash.
//! It knows segments and their tails; it does not know what a record means.

mod recovery;
mod segment;
mod tail;

pub use segment::{Position, Segment, Segments};
pub use tail::AppendError;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::format::checksum::Seed;
use crate::format::draft::{Draft, Place};
use crate::format::record::{Kind, Record};
use crate::format::segment::SEGMENT_HEADER;
use crate::storage::Storage;
use tail::Tail;

/// Where replay may begin: everything before it is known from a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpointed {
    /// End of the last record the checkpoint holds.
    pub position: Position,
    /// LSN of that record.
    pub lsn: u64,
    /// Epoch of that record.
    pub epoch: u64,
}

/// The sizes of a log's files.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// A segment is sealed before it would grow past this; also the address space reserved for each.
    pub segment: u64,
    /// Space allocated ahead of the first record; it doubles from there.
    pub first_allocation: u64,
    /// Most space allocated ahead.
    pub last_allocation: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { segment: 1 << 30, first_allocation: 64 << 10, last_allocation: 256 << 20 }
    }
}

/// One tenant's log, open. One thread appends at a time; any number read its [`Segments`].
pub struct Log {
    storage: Arc<dyn Storage>,
    directory: PathBuf,
    sizes: Sizes,
    incarnation: [u8; 16],
    segments: Arc<Segments>,
    tail: Tail,
    epoch: u64,
    last_lsn: u64,
    /// Whether this opening has cut the tail and begun its epoch; false again after a failed write.
    begun: bool,
    /// Whether a write or a repair failed, and none has succeeded since.
    poisoned: bool,
}

impl Log {
    /// Makes an empty log in `directory`, synced but for the directory's own name.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn create(
        storage: Arc<dyn Storage>,
        directory: &Path,
        incarnation: [u8; 16],
        sizes: Sizes,
    ) -> Result<Self> {
        storage.create_dir(directory).map_err(|cause| Error::storage("creating a log", &cause))?;
        let mut log = Self {
            tail: Tail::none(),
            storage,
            directory: directory.to_owned(),
            sizes,
            incarnation,
            segments: Arc::new(Segments::new()),
            epoch: 1,
            last_lsn: 0,
            begun: true,
            poisoned: false,
        };
        log.add_segment()?;
        Ok(log)
    }

    /// Opens the log in `directory` and shows `visit` every record from `from` on, in order. What no record proves to
    /// be synced is made durable at once; otherwise nothing is written, and a torn tail is cut before the first
    /// append.
    ///
    /// # Errors
    /// [`Error::CorruptData`] when a record that was acknowledged cannot be read; [`Error::FormatTooNew`];
    /// what `visit` returns; what the system refuses.
    pub fn open(
        storage: Arc<dyn Storage>,
        directory: &Path,
        from: Option<Checkpointed>,
        sizes: Sizes,
        visit: &mut dyn FnMut(&Record<'_>, Position) -> Result<()>,
    ) -> Result<Self> {
        let found = recovery::Found::read(&*storage, directory, sizes)?;
        let ends = found.walk(from, visit)?;
        let mut log = Self {
            storage,
            directory: directory.to_owned(),
            sizes,
            incarnation: found.incarnation,
            segments: Arc::new(found.segments),
            tail: Tail::found(found.tail_file, &ends),
            epoch: ends.last_epoch,
            last_lsn: ends.lsn,
            begun: false,
            poisoned: false,
        };
        if log.tail.unproven() {
            // Before anybody sees it. A refusal leaves the log readable; uploads try again.
            log.poisoned = log.begin().is_err();
        }
        Ok(log)
    }

    /// What `read` makes of the first record of the log in `directory`. Nothing is mapped, repaired or kept open.
    ///
    /// # Errors
    /// [`Error::CorruptData`] when it cannot be read; what the system refuses.
    pub fn first<T>(
        storage: &dyn Storage,
        directory: &Path,
        read: &dyn Fn(&Record<'_>) -> Option<T>,
    ) -> Result<T> {
        recovery::first_record(storage, directory, read)
            .map_err(|cause| Error::storage("reading a log", &cause))?
            .ok_or_else(|| Error::CorruptData {
                reason: format!("the log in {} does not begin with its tenant", directory.display()),
            })
    }

    /// The segments, for readers.
    pub const fn segments(&self) -> &Arc<Segments> {
        &self.segments
    }

    /// The tenant's random 128 bits.
    pub const fn incarnation(&self) -> [u8; 16] {
        self.incarnation
    }

    /// Where a checkpoint of everything appended so far would let replay begin.
    pub fn end(&self) -> Checkpointed {
        Checkpointed {
            position: Position { segment: self.tail.number(), offset: self.tail.end() },
            lsn: self.last_lsn,
            epoch: self.epoch,
        }
    }

    /// The directory was renamed (its files stay open).
    pub fn moved(&mut self, directory: &Path) {
        directory.clone_into(&mut self.directory);
    }

    /// Writes the records in one go behind the last one and syncs once. Their LSNs follow on each other.
    ///
    /// # Errors
    /// [`AppendError`] tells whether anything may have reached the disk.
    pub fn append(&mut self, drafts: &[&Draft]) -> std::result::Result<Vec<Position>, AppendError> {
        self.begin().map_err(AppendError::NothingWritten)?;
        let length: u64 = drafts.iter().map(|draft| draft.record_length()).sum();
        let seal = Draft::bare(Kind::Seal, self.last_lsn);
        if self.tail.end() + length + seal.record_length() > self.sizes.segment
            && (self.tail.end() > SEGMENT_HEADER || self.tail.sealed())
        {
            self.roll(&seal)?;
        }
        self.write(drafts, length)
    }

    /// Writes behind the tail what fits there.
    fn write(&mut self, drafts: &[&Draft], length: u64) -> std::result::Result<Vec<Position>, AppendError> {
        self.check_whole().map_err(AppendError::NothingWritten)?;
        self.tail
            .allocate(length, self.sizes)
            .map_err(|cause| AppendError::NothingWritten(Error::storage("allocating log space", &cause)))?;
        let seed = Seed { incarnation: self.incarnation, segment: self.tail.number(), epoch: self.epoch };
        let place = Place { seed, durable_end: self.tail.end() };
        let headers: Vec<Vec<u8>> = drafts.iter().map(|draft| draft.encode_header(place)).collect();
        let mut positions = Vec::with_capacity(drafts.len());
        let mut parts: Vec<&[u8]> = Vec::new();
        let mut offset = self.tail.end();
        for (draft, header) in drafts.iter().zip(&headers) {
            positions.push(Position { segment: self.tail.number(), offset });
            parts.push(header);
            draft.body_parts(&mut parts);
            offset += draft.record_length();
        }
        if let Err(cause) = self.tail.append(parts, length) {
            (self.begun, self.poisoned) = (false, true);
            return Err(AppendError::Unknown(Error::storage("writing to the log", &cause)));
        }
        if let Some(last) = drafts.last() {
            self.last_lsn = last.lsn;
        }
        Ok(positions)
    }

    /// Seals the last segment and makes the next.
    fn roll(&mut self, seal: &Draft) -> std::result::Result<(), AppendError> {
        if !self.tail.sealed() {
            self.write(&[seal], seal.record_length()).map_err(|failed| match failed {
                // The uploads themselves have not been written.
                AppendError::Unknown(cause) | AppendError::NothingWritten(cause) => {
                    AppendError::NothingWritten(cause)
                }
            })?;
            self.tail.seal();
        }
        self.add_segment().map_err(AppendError::NothingWritten)
    }

    /// A file that was cut from outside is not written to: growing again it would hold zeros where readers have
    /// checked other bytes.
    fn check_whole(&self) -> Result<()> {
        match self.tail.missing() {
            Ok(None) => Ok(()),
            Ok(Some(length)) => Err(Error::CorruptData {
                reason: format!("segment {} offset {length} is where the file was cut", self.tail.number()),
            }),
            Err(cause) => Err(Error::storage("looking at the log", &cause)),
        }
    }

    /// Before the first append of this opening, or after a failed one: cut what was never acknowledged, make
    /// the cut and what is kept durable, begin an epoch that nothing on disk can carry.
    fn begin(&mut self) -> Result<()> {
        if self.begun {
            return Ok(());
        }
        self.check_whole()?;
        let path = self.directory.join(recovery::file_name(self.tail.number(), 0));
        if let Err(cause) = self.tail.reopen(&*self.storage, &path) {
            self.poisoned = true;
            return Err(Error::TenantReadOnly { reason: format!("repairing the log: {cause}") });
        }
        self.epoch += 1;
        (self.begun, self.poisoned) = (true, false);
        Ok(())
    }

    fn add_segment(&mut self) -> Result<()> {
        let number = self.tail.number() + 1;
        let made = Tail::create(
            &*self.storage,
            &self.directory,
            crate::format::segment::SegmentHeader {
                number,
                generation: 0,
                incarnation: self.incarnation,
                first_lsn: self.last_lsn + 1,
            },
            self.sizes,
        );
        let (tail, segment) = made.map_err(|cause| Error::storage("creating a log segment", &cause))?;
        self.segments.push(segment);
        self.tail = tail;
        Ok(())
    }

    /// Whether the last write or repair failed: no write is taken until a repair succeeds.
    pub const fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// Makes sure that everything read from the log is durable, for an answer that appends nothing.
    ///
    /// # Errors
    /// [`Error::TenantReadOnly`] when the log cannot be repaired.
    pub fn confirm(&mut self) -> Result<()> {
        if self.poisoned { self.begin() } else { Ok(()) }
    }

    /// Gives back the space allocated ahead.
    ///
    /// # Errors
    /// What the system refuses; the log is whole all the same.
    pub fn close(&mut self) -> Result<()> {
        if self.poisoned {
            // What failed is cut now, or by whoever opens the log next.
            self.begin()?;
        }
        if self.begun {
            self.check_whole()?;
            self.tail.cut().map_err(|cause| Error::storage("closing the log", &cause))?;
            self.begun = false;
        }
        Ok(())
    }
}
