//! What waits for a thread, in a line for each owner; owners take turns.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

/// Whose a job is. Two names are one owner with the probability that two random numbers are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(u64);

impl Owner {
    /// The pool's own work.
    pub const NOBODY: Self = Self(0);

    /// The owner of this name.
    pub fn of(name: &str) -> Self {
        // Keyed anew in every process: nobody can choose a name that stands in another's line.
        static KEYS: OnceLock<RandomState> = OnceLock::new();
        Self(KEYS.get_or_init(RandomState::new).hash_one(name) | 1)
    }
}

/// Jobs that wait for some threads, and how many of each owner are being done. Not for threads: a lock is around it.
pub(super) struct Turns<J> {
    /// Whose line is not empty, in the order of their turns.
    order: VecDeque<Owner>,
    lines: HashMap<Owner, Line<J>>,
    waiting: usize,
    /// Threads that have no job, also those that are only about to look for one; not one in reserve.
    idle: usize,
}

struct Line<J> {
    jobs: VecDeque<J>,
    /// Jobs that were taken and are not done.
    running: usize,
}

impl<J> Turns<J> {
    /// No jobs, and so many threads.
    pub(super) fn new(threads: usize) -> Self {
        Self { order: VecDeque::new(), lines: HashMap::new(), waiting: 0, idle: threads }
    }

    /// Threads that have no job.
    pub(super) const fn idle(&self) -> usize {
        self.idle
    }

    /// Threads that have no job and will find none.
    pub(super) const fn free(&self) -> usize {
        self.idle.saturating_sub(self.waiting)
    }

    /// Puts a job at the end of its owner's line.
    pub(super) fn push(&mut self, owner: Owner, job: J) {
        let line = self.lines.entry(owner).or_insert_with(|| Line { jobs: VecDeque::new(), running: 0 });
        if line.jobs.is_empty() {
            self.order.push_back(owner);
        }
        line.jobs.push_back(job);
        self.waiting += 1;
    }

    /// The next job of whoever's turn it is.
    pub(super) fn take(&mut self) -> Option<(Owner, J)> {
        let owner = self.order.pop_front()?;
        self.idle = self.idle.saturating_sub(1);
        self.take_of(owner)
    }

    /// The next job of the first in turn of whom nothing is being done, for a thread in reserve; none of
    /// [`Owner::NOBODY`].
    pub(super) fn take_neglected(&mut self) -> Option<(Owner, J)> {
        let place = self.neglected()?;
        let owner = self.order.remove(place)?;
        self.take_of(owner)
    }

    /// Whether [`Self::take_neglected`] would find one.
    pub(super) fn is_anyone_neglected(&self) -> bool {
        self.neglected().is_some()
    }

    /// At most as many are looked at as there are threads, and one.
    fn neglected(&self) -> Option<usize> {
        self.order.iter().position(|owner| {
            *owner != Owner::NOBODY && self.lines.get(owner).is_some_and(|line| line.running == 0)
        })
    }

    /// The next job of whoever's turn it is, if `wanted` says so of the owner. It is not for a thread of these.
    pub(super) fn take_if(&mut self, wanted: impl Fn(Owner) -> bool) -> Option<(Owner, J)> {
        let owner = *self.order.front()?;
        if !wanted(owner) {
            return None;
        }
        self.order.pop_front();
        let taken = self.take_of(owner);
        self.done_in_reserve(owner);
        taken
    }

    fn take_of(&mut self, owner: Owner) -> Option<(Owner, J)> {
        let line = self.lines.get_mut(&owner)?;
        let job = line.jobs.pop_front()?;
        line.running += 1;
        self.waiting -= 1;
        if !line.jobs.is_empty() {
            self.order.push_back(owner);
        }
        Some((owner, job))
    }

    /// A job that was taken is done.
    pub(super) fn done(&mut self, owner: Owner) {
        self.idle += 1;
        self.done_in_reserve(owner);
    }

    /// A job that a thread in reserve has taken is done.
    pub(super) fn done_in_reserve(&mut self, owner: Owner) {
        if let Some(line) = self.lines.get_mut(&owner) {
            line.running -= 1;
            // Room for a few jobs is kept while the owner is at it, no more.
            if line.running == 0 && line.jobs.is_empty() {
                self.lines.remove(&owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Owner = Owner(1);
    const B: Owner = Owner(3);
    const C: Owner = Owner(5);

    fn drained(turns: &mut Turns<u32>) -> Vec<u32> {
        std::iter::from_fn(|| turns.take().map(|(_, job)| job)).collect()
    }

    #[test]
    fn owners_take_turns_however_many_jobs_one_of_them_has() {
        let mut turns = Turns::new(9);
        (0..10_000).for_each(|job| turns.push(A, job));
        [10_001, 10_002].into_iter().for_each(|job| turns.push(B, job));
        turns.push(C, 10_003);
        assert_eq!(drained(&mut turns)[..6], [0, 10_001, 10_003, 1, 10_002, 2]);
    }

    #[test]
    fn jobs_of_one_owner_keep_their_order() {
        let mut turns = Turns::new(9);
        (0..100).for_each(|job| turns.push(if job % 3 == 0 { A } else { B }, job));
        let order = drained(&mut turns);
        assert!(order.iter().filter(|job| *job % 3 == 0).is_sorted());
        assert!(order.iter().filter(|job| *job % 3 != 0).is_sorted());
        assert_eq!((order.len(), turns.waiting), (100, 0));
    }

    #[test]
    fn one_of_whom_nothing_is_being_done_is_found_behind_those_who_are_served() {
        let mut turns = Turns::new(9);
        (0..5).for_each(|job| turns.push(A, job));
        assert_eq!(turns.take(), Some((A, 0)));
        turns.push(Owner::NOBODY, 9);
        assert_eq!(turns.take_neglected(), None);
        turns.push(B, 7);
        turns.push(B, 8);
        assert_eq!(turns.take_neglected(), Some((B, 7)));
        assert_eq!(turns.take_neglected(), None);
        turns.done_in_reserve(B);
        assert_eq!(turns.take_neglected(), Some((B, 8)));
    }

    #[test]
    fn owners_who_are_done_leave_nothing_behind() {
        let mut turns = Turns::new(9);
        for number in 0..1000 {
            turns.push(Owner::of(&number.to_string()), number);
        }
        while let Some((owner, _)) = turns.take() {
            turns.done(owner);
        }
        assert!(turns.lines.is_empty() && turns.order.is_empty());
    }
}
