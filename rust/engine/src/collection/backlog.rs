//! What a graph still lacks, handed to the workers a part of a window at a time.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::graph::Feed;
use crate::sync::Mutex;

/// Windows that may be open at the same time: who is done with a part of one need not wait for the others.
const MOST_OPEN: usize = 2;

/// Which slots the graph holds, and which are being added by whom.
#[derive(Default)]
pub struct Backlog {
    indexed: AtomicU32,
    /// A graph that was loaded may hold slots below this, though they are not marked.
    perhaps_held: AtomicU32,
    /// One behind the other.
    open: Mutex<VecDeque<Window>>,
}

/// Slots being added. Parts are taken from the last one down, so that none begins where a neighbour is about to end:
/// neighbours are never added at the same moment.
struct Window {
    feed: Feed,
    end: u32,
    taken: usize,
    /// By part.
    finished: Vec<bool>,
}

/// A part of a window: to be added in order, then finished.
#[derive(Debug)]
pub(super) struct Part {
    /// What to add.
    pub(super) slots: Range<u32>,
    window_end: u32,
    number: usize,
}

impl Backlog {
    /// Slots below this are in the graph, but for those that were visibly dead before they were added.
    pub fn indexed(&self) -> u32 {
        self.indexed.load(Ordering::Acquire)
    }

    /// A graph was loaded that holds the slots below `indexed`, and perhaps some of the windows behind it.
    pub fn loaded(&self, indexed: u32) {
        let open = Feed::WINDOW.saturating_mul(MOST_OPEN as u32);
        self.perhaps_held.store(indexed.saturating_add(open), Ordering::Relaxed);
        self.indexed.store(indexed, Ordering::Release);
    }

    /// Whether a loaded graph may hold `slot` though it is not marked.
    pub(super) fn perhaps_holds(&self, slot: u32) -> bool {
        slot < self.perhaps_held.load(Ordering::Relaxed)
    }

    /// A part of an open window, or of the next one below `coded`; `None` when others are at all there is.
    pub(super) fn take(&self, coded: u32, workers: usize) -> Option<Part> {
        let mut open = self.open.lock();
        if !open.back().is_some_and(Window::has_parts) {
            // Who has a window to himself is not to be joined from behind.
            let may_open = open.back().is_none_or(|last| last.feed.workers() > 1) && open.len() < MOST_OPEN;
            let from = open.back().map_or_else(|| self.indexed(), |last| last.end);
            if !may_open || from >= coded {
                return None;
            }
            let slots = Feed::window(from, coded);
            let (end, feed) = (slots.end, Feed::new(slots, workers));
            let finished = vec![false; feed.workers()];
            open.push_back(Window { feed, end, taken: 0, finished });
        }
        let last = open.len() - 1;
        let number = open[last].feed.workers() - 1 - open[last].taken;
        let follows_an_open_part =
            number == 0 && last > 0 && open[last - 1].finished.last().is_some_and(|finished| !finished);
        if follows_an_open_part {
            return None;
        }
        let window = &mut open[last];
        window.taken += 1;
        Some(Part { slots: window.feed.part(number), window_end: window.end, number })
    }

    /// A part is in the graph; the mark moves over windows that are whole.
    pub(super) fn finish(&self, part: &Part) {
        let mut open = self.open.lock();
        if let Some(window) = open.iter_mut().find(|window| window.end == part.window_end) {
            window.finished[part.number] = true;
        }
        while open.front().is_some_and(|window| window.finished.iter().all(|finished| *finished)) {
            if let Some(whole) = open.pop_front() {
                self.indexed.store(whole.end, Ordering::Release);
            }
        }
    }
}

impl Window {
    fn has_parts(&self) -> bool {
        self.taken < self.feed.workers()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds everything below `coded` with workers that finish in the order that `choose` says, and gives the parts.
    fn drain(coded: u32, workers: usize, mut choose: impl FnMut(usize) -> usize) -> Vec<Range<u32>> {
        let backlog = Backlog::default();
        let (mut active, mut done): (Vec<Part>, Vec<Range<u32>>) = (Vec::new(), Vec::new());
        loop {
            while active.len() < workers
                && let Some(part) = backlog.take(coded, workers)
            {
                let meets = active.iter().any(|other| other.slots.end == part.slots.start);
                assert!(!meets, "{part:?} begins where one of {active:?} ends");
                let lone = part.slots.start < 4096 || active.iter().any(|other| other.slots.start < 4096);
                assert!(!lone || active.is_empty(), "{part:?} beside {active:?} in a graph of few nodes");
                active.push(part);
            }
            if active.is_empty() {
                assert_eq!(backlog.indexed(), coded);
                done.sort_by_key(|slots| slots.start);
                return done;
            }
            let part = active.remove(choose(active.len()));
            backlog.finish(&part);
            assert!(
                active.iter().all(|open| backlog.indexed() <= open.slots.start),
                "a mark behind {active:?}"
            );
            done.push(part.slots);
        }
    }

    #[test]
    fn every_slot_is_added_once_and_no_part_begins_where_an_open_one_ends() {
        for workers in [1, 2, 3, 8] {
            for (name, choose) in
                [("first", 0), ("last", usize::MAX), ("second", 1)].map(|(name, place)| (name, place))
            {
                let parts = drain(100_000, workers, |active| choose.min(active - 1));
                let next = parts.iter().fold(0, |next, slots| {
                    assert_eq!(slots.start, next, "{workers} workers, the {name} finishes");
                    slots.end
                });
                assert_eq!(next, 100_000);
            }
        }
    }

    #[test]
    fn who_is_done_goes_on_while_another_is_still_at_its_part() {
        let backlog = Backlog::default();
        backlog.loaded(50_000);
        let (slow, quick) = (backlog.take(90_000, 2).unwrap(), backlog.take(90_000, 2).unwrap());
        assert!(slow.slots.start > quick.slots.start);
        backlog.finish(&quick);
        let next = backlog.take(90_000, 2).unwrap();
        assert!(next.slots.start > slow.slots.end, "far from the part that is still open");
        assert!(backlog.take(90_000, 2).is_none());
        backlog.finish(&next);
        assert_eq!(backlog.indexed(), 50_000);
        backlog.finish(&slow);
        assert_eq!(backlog.indexed(), 50_000 + Feed::WINDOW);
        assert!(backlog.perhaps_holds(50_000 + 2 * Feed::WINDOW - 1));
    }
}
