//! What waits for which thread of a pool. Not for threads: a lock is around it.

use std::collections::HashMap;

use super::turns::{Owner, Turns};
use super::{Job, company};

/// Owners after whom those whose time is over are forgotten.
const MOST_REMEMBERED: usize = 1024;

/// Which jobs a thread is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// All but those of the crowd.
    Ordinary,
    /// One of somebody of whom nothing is being done, when no ordinary thread is free.
    Reserve,
    /// Those of owners who ask for much while others ask, too.
    Crowd,
}

/// Jobs for each kind of thread.
pub(super) struct Queue {
    pub(super) ordinary: Turns<Job>,
    pub(super) crowd: Turns<Job>,
    has_crowd: bool,
    /// Who had several jobs at a time, and until when that counts.
    crowding: HashMap<Owner, u64>,
    pub(super) closed: bool,
}

impl Queue {
    pub(super) fn new(threads: usize, crowd: usize) -> Self {
        Self {
            ordinary: Turns::new(threads),
            crowd: Turns::new(crowd),
            has_crowd: crowd > 0,
            crowding: HashMap::new(),
            closed: false,
        }
    }

    /// Whether a job of `owner` that comes now is for the crowd's threads: the owner has another one here, or had of
    /// late, and is not alone.
    pub(super) fn is_crowding(&mut self, owner: Owner, is_alone: bool, now: u64) -> bool {
        if !self.has_crowd || is_alone || owner == Owner::NOBODY {
            return false;
        }
        if self.ordinary.has_any_of(owner) || self.crowd.has_any_of(owner) {
            if self.crowding.len() >= MOST_REMEMBERED {
                self.crowding.retain(|_, &mut until| now < until);
            }
            self.crowding.insert(owner, company::late(now));
            return true;
        }
        self.crowding.get(&owner).is_some_and(|&until| now < until)
    }

    /// Whether all ordinary threads are busy and there is a job of one of whom nothing is being done. A thread that is
    /// about to wake asks this again when it has taken its job.
    pub(super) fn needs_reserve(&self) -> bool {
        self.ordinary.idle() == 0 && self.ordinary.is_anyone_neglected()
    }

    /// The next job for a thread, if there is one.
    pub(super) fn take(&mut self, role: Role) -> Option<(Owner, Job)> {
        match role {
            Role::Ordinary => self.ordinary.take(),
            Role::Reserve if self.needs_reserve() => self.ordinary.take_neglected(),
            Role::Reserve => None,
            Role::Crowd => self.crowd.take(),
        }
    }

    /// A thread has done the job it took.
    pub(super) fn done(&mut self, owner: Owner, role: Role) {
        match role {
            Role::Ordinary => self.ordinary.done(owner),
            Role::Reserve => self.ordinary.done_in_reserve(owner),
            Role::Crowd => self.crowd.done(owner),
        }
    }
}
