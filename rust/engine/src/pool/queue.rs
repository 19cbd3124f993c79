//! What waits for which thread of a pool. Not for threads: a lock is around it.

use super::Job;
use super::turns::{Owner, Turns};

/// Which jobs a thread is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// All but those of the crowd.
    Ordinary,
    /// One of somebody of whom nothing is being done, when no ordinary thread is free.
    Reserve,
    /// Those of owners who let others go first.
    Crowd,
}

/// Jobs for each kind of thread.
pub(super) struct Queue {
    pub(super) ordinary: Turns<Job>,
    pub(super) crowd: Turns<Job>,
    pub(super) closed: bool,
}

impl Queue {
    pub(super) fn new(threads: usize, crowd: usize) -> Self {
        Self { ordinary: Turns::new(threads), crowd: Turns::new(crowd), closed: false }
    }

    /// Whether all ordinary threads are busy and there is a job of one of whom nothing is being done. A thread that is
    /// about to wake asks this again when it has taken its job.
    pub(super) fn needs_reserve(&self) -> bool {
        self.ordinary.idle() == 0 && self.ordinary.is_anyone_neglected()
    }

    /// Jobs that wait for an ordinary thread and whose owners are a crowd by now change the line: those at whose turn it
    /// is. How many.
    pub(super) fn step_aside(&mut self, is_crowding: impl Fn(Owner) -> bool) -> usize {
        let mut moved = 0;
        while let Some((owner, job)) = self.ordinary.take_if(&is_crowding) {
            self.crowd.push(owner, job);
            moved += 1;
        }
        moved
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
