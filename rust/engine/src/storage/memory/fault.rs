//! What fails when, and what was done.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// A kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // Each is the method of that name.
pub enum Action {
    Create,
    Write,
    Allocate,
    Sync,
    SetLen,
    CreateDir,
    Rename,
    RemoveFile,
    RemoveDir,
    SyncDir,
}

/// One operation that was asked for, failed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its kind.
    pub action: Action,
    /// The file or directory; of a rename, the old name; of a file, its name when it was opened.
    pub path: PathBuf,
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `EIO`, nothing done. If it is a sync, what was written since the last one stays readable and never
    /// becomes durable, though later syncs succeed.
    Io,
    /// `ENOSPC`, nothing done; a sync as with [`Fault::Io`].
    NoSpace,
    /// `EIO` after so many bytes of a write; other operations as with [`Fault::Io`].
    TornWrite(usize),
    /// The power goes in the middle of it: this and all later operations fail, and it depends on the
    /// crash whether this one happened.
    PowerCut,
}

impl Fault {
    pub(super) fn error(self) -> io::Error {
        io::Error::from_raw_os_error(match self {
            Self::NoSpace => libc::ENOSPC,
            Self::Io | Self::TornWrite(_) | Self::PowerCut => libc::EIO,
        })
    }
}

/// The operations so far, and the faults to come.
#[derive(Default)]
pub(super) struct Journal {
    done: Vec<Operation>,
    /// By the number of the operation, from 0.
    faults: BTreeMap<usize, Fault>,
    next: Vec<(Action, Fault)>,
    dark: bool,
}

impl Journal {
    pub(super) fn done(&self) -> &[Operation] {
        &self.done
    }

    pub(super) fn fail_operation(&mut self, n: usize, fault: Fault) {
        self.faults.insert(self.done.len() + n.saturating_sub(1), fault);
    }

    pub(super) fn fail_next(&mut self, action: Action, fault: Fault) {
        self.next.push((action, fault));
    }

    pub(super) fn clear_faults(&mut self) {
        self.faults.clear();
        self.next.clear();
        self.dark = false;
    }

    /// Notes an operation and says how it is to fail, if it is; an error if the power is gone.
    pub(super) fn begin(&mut self, action: Action, path: &Path) -> io::Result<Option<Fault>> {
        let number = self.done.len();
        self.done.push(Operation { action, path: path.to_owned() });
        if self.dark {
            return Err(Fault::PowerCut.error());
        }
        let fault = self.faults.remove(&number).or_else(|| {
            let place = self.next.iter().position(|(kind, _)| *kind == action)?;
            Some(self.next.remove(place).1)
        });
        self.dark = fault == Some(Fault::PowerCut);
        Ok(fault)
    }
}
