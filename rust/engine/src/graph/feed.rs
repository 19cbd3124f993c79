//! Who adds which slots. Two rows added at the same moment do not see each other, and rows that were
//! uploaded side by side are often near-duplicates: workers that took alternate slots would lose exactly
//! the links that matter.

use std::ops::Range;

/// Slots below which a window has one worker. While an add has linked a node on the upper levels but not yet
/// at the base, another add that comes down through it finds nothing else: its node hangs on that one link.
/// The fewer nodes, the likelier; a graph that began so stays worse.
const ALONE: u32 = 4096;

/// A window of slots, divided among workers: each adds one contiguous part in order, so that neighbours
/// are never added at the same moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    window: Range<u32>,
    workers: u32,
}

/// Parts shorter than this could still hold near-duplicates of each other at the same distance from their
/// start; a window gets no more workers than it has parts of this length.
const SHORTEST_PART: u32 = 256;

/// No window but the last is shorter.
const SHORTEST: u32 = 4 * SHORTEST_PART;

impl Feed {
    /// Most slots of one window: the mark of what is in the graph moves at its end.
    pub const WINDOW: u32 = 8192;

    /// The window that begins at `from`, of slots below `end`. The first one has a worker to itself and is short; so
    /// are the last ones, so that workers are done at about the same time.
    pub fn window(from: u32, end: u32) -> Range<u32> {
        let longest = if from < ALONE {
            ALONE - from
        } else {
            (end.saturating_sub(from) / 2).clamp(SHORTEST, Self::WINDOW)
        };
        from..end.min(from.saturating_add(longest))
    }

    /// Divides `window` among at most `workers` workers. A window from the first slots of a generation has
    /// one worker: keep to [`Self::WINDOW`].
    pub fn new(window: Range<u32>, workers: usize) -> Self {
        let useful = if window.start < ALONE { 1 } else { (window.len() as u32 / SHORTEST_PART).max(1) };
        let workers = u32::try_from(workers).unwrap_or(u32::MAX).clamp(1, useful);
        Self { window, workers }
    }

    /// How many workers have something to do.
    pub const fn workers(&self) -> usize {
        self.workers as usize
    }

    /// The slots of worker `worker`, to be added in order; empty from [`Self::workers`] on.
    pub fn part(&self, worker: usize) -> Range<u32> {
        let cut = |worker: usize| {
            let worker = (worker as u64).min(self.workers.into());
            let slots = self.window.len() as u64 * worker / u64::from(self.workers);
            // At most the window's end, a `u32`.
            self.window.start + slots as u32
        };
        cut(worker)..cut(worker.saturating_add(1))
    }

    /// The `index`-th slot of worker `worker`.
    pub fn slot(&self, worker: usize, index: u32) -> Option<u32> {
        let part = self.part(worker);
        part.start.checked_add(index).filter(|slot| part.contains(slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_is_fed_once() {
        for (window, workers) in
            [(4096..10_000, 3), (7..8, 4), (5..5, 2), (100..1000, 2), (ALONE..u32::MAX, 7)]
        {
            let feed = Feed::new(window.clone(), workers);
            let mut next = window.start;
            for worker in 0..feed.workers() {
                let part = feed.part(worker);
                assert_eq!(part.start, next);
                assert_eq!(feed.slot(worker, 0), (!part.is_empty()).then_some(next));
                assert_eq!(feed.slot(worker, part.len() as u32), None);
                next = part.end;
            }
            assert_eq!(next, window.end);
            assert!(feed.part(feed.workers()).is_empty() && feed.part(usize::MAX).is_empty());
        }
    }

    #[test]
    fn the_first_window_ends_where_more_workers_may_begin() {
        assert_eq!(Feed::window(0, u32::MAX), 0..ALONE);
        assert_eq!(Feed::window(100, 200), 100..200);
        assert_eq!(Feed::window(ALONE, u32::MAX), ALONE..ALONE + Feed::WINDOW);
        assert_eq!(Feed::window(u32::MAX - 5, u32::MAX), u32::MAX - 5..u32::MAX);
        assert_eq!(Feed::window(ALONE, ALONE + 6000), ALONE..ALONE + 3000);
        assert_eq!(Feed::window(ALONE, ALONE + 1500), ALONE..ALONE + SHORTEST);
        assert_eq!(Feed::new(Feed::window(0, u32::MAX), 2).workers(), 1);
        assert_eq!(Feed::new(Feed::window(ALONE, u32::MAX), 2).workers(), 2);
    }

    #[test]
    fn neighbours_are_never_added_at_the_same_moment() {
        let feed = Feed::new(5000..7000, 2);
        assert_eq!(feed.workers(), 2);
        for index in 0..1000 {
            let (a, b) = (feed.slot(0, index).unwrap(), feed.slot(1, index).unwrap());
            assert!(b - a >= SHORTEST_PART);
        }
        assert_eq!(Feed::new(ALONE..ALONE + 2 * SHORTEST_PART - 1, 2).workers(), 1);
        assert_eq!(Feed::new(0..Feed::WINDOW, 2).workers(), 1);
    }
}
