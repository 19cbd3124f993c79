//! The bound on what all inverted indexes of a store hold together.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use super::Inverted;
use crate::sync::Mutex;

/// Counts bytes, and makes the least used columns go when there are too many.
pub struct Memory {
    most: usize,
    held: AtomicUsize,
    clock: AtomicU64,
    holders: Mutex<Vec<Weak<Inverted>>>,
}

impl Memory {
    /// Room for `most` bytes.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            held: AtomicUsize::new(0),
            clock: AtomicU64::new(0),
            holders: Mutex::default(),
        })
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    pub(super) fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn enlist(&self, inverted: &Arc<Inverted>) {
        let mut holders = self.holders.lock();
        if holders.len() == holders.capacity() {
            holders.retain(|holder| holder.strong_count() > 0);
        }
        holders.push(Arc::downgrade(inverted));
    }

    pub(super) fn change(&self, before: usize, after: usize) {
        if after >= before {
            self.held.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.held.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    /// Makes columns go until what is held is within the bound; those at work are left alone.
    pub(super) fn settle(&self) {
        while self.held() > self.most {
            let holders = self.holders.lock().clone();
            let oldest = holders
                .iter()
                .filter_map(Weak::upgrade)
                .filter_map(|holder| Some((holder.least_used()?, holder)));
            let Some((used, holder)) = oldest.min_by_key(|&(used, _)| used) else { return };
            let before = self.held();
            holder.give_up(used);
            if self.held() >= before {
                return;
            }
        }
    }
}
