//! What a graph still lacks, handed to the workers a window at a time.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::graph::Feed;
use crate::sync::Mutex;

/// Which slots the graph holds, and which are being added by whom.
#[derive(Default)]
pub struct Backlog {
    indexed: AtomicU32,
    /// A graph that was loaded may hold slots below this, though they are not marked.
    perhaps_held: AtomicU32,
    open: Mutex<Option<Window>>,
}

/// Slots being added, in parts far enough apart that neighbours are never added at the same moment.
struct Window {
    feed: Feed,
    end: u32,
    taken: usize,
    finished: usize,
}

impl Backlog {
    /// Slots below this are in the graph, but for those that were visibly dead before they were added.
    pub fn indexed(&self) -> u32 {
        self.indexed.load(Ordering::Acquire)
    }

    /// A graph was loaded that holds the slots below `indexed`, and perhaps some of the window behind it.
    pub fn loaded(&self, indexed: u32) {
        self.perhaps_held.store(indexed.saturating_add(Feed::WINDOW), Ordering::Relaxed);
        self.indexed.store(indexed, Ordering::Release);
    }

    /// Whether a loaded graph may hold `slot` though it is not marked.
    pub(super) fn perhaps_holds(&self, slot: u32) -> bool {
        slot < self.perhaps_held.load(Ordering::Relaxed)
    }

    /// A part of the open window, or of the next one below `coded`.
    pub(super) fn take(&self, coded: u32, workers: usize) -> Option<Range<u32>> {
        let mut open = self.open.lock();
        let from = self.indexed();
        if open.is_none() && from >= coded {
            return None;
        }
        let window = open.get_or_insert_with(|| {
            let end = coded.min(from.saturating_add(Feed::WINDOW));
            Window { feed: Feed::new(from..end, workers), end, taken: 0, finished: 0 }
        });
        (window.taken < window.feed.workers()).then(|| {
            window.taken += 1;
            window.feed.part(window.taken - 1)
        })
    }

    /// A part is in the graph; the last one moves the mark.
    pub(super) fn finish(&self) {
        let mut open = self.open.lock();
        if let Some(window) = open.as_mut() {
            window.finished += 1;
            if window.finished == window.feed.workers() {
                self.indexed.store(window.end, Ordering::Release);
                *open = None;
            }
        }
    }
}
