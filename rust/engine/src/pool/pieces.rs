//! One work in pieces, and who is at it.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::sync::{Condvar, Mutex};

pub(super) struct Pieces {
    pub(super) count: usize,
    next: AtomicUsize,
    inside: Mutex<Inside>,
    left: Condvar,
}

#[derive(Default)]
struct Inside {
    helpers: usize,
    /// Whoever comes now is too late.
    over: bool,
    panicked: bool,
}

impl Pieces {
    pub(super) fn new(count: usize) -> Self {
        Self { count, next: AtomicUsize::new(0), inside: Mutex::default(), left: Condvar::new() }
    }

    pub(super) fn take(&self) -> Option<usize> {
        let piece = self.next.fetch_add(1, Ordering::Relaxed);
        (piece < self.count).then_some(piece)
    }

    /// Nobody is given another piece.
    pub(super) fn stop(&self) {
        self.next.store(self.count, Ordering::Relaxed);
    }

    pub(super) fn enter(&self) -> Option<Helper<'_>> {
        let mut inside = self.inside.lock();
        if inside.over {
            return None;
        }
        inside.helpers += 1;
        Some(Helper(self))
    }
}

/// One who takes part, until dropped.
pub(super) struct Helper<'a>(&'a Pieces);

impl Drop for Helper<'_> {
    fn drop(&mut self) {
        let mut inside = self.0.inside.lock();
        inside.helpers -= 1;
        inside.panicked |= std::thread::panicking();
        self.0.left.notify_all();
    }
}

/// Waits, when dropped, until nobody else is at the work.
pub(super) struct Last<'a>(pub(super) &'a Pieces);

impl Drop for Last<'_> {
    fn drop(&mut self) {
        let mut inside = self.0.inside.lock();
        inside.over = true;
        while inside.helpers > 0 {
            inside = self.0.left.wait(inside);
        }
        let panicked = inside.panicked;
        drop(inside);
        assert!(!panicked || std::thread::panicking(), "a thread that took part panicked");
    }
}
