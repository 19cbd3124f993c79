//! The best candidates of a scan.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Keeps the `k` smallest (distance, slot) it is offered; of equal distances the smaller slots.
#[derive(Debug)]
pub struct TopCandidates {
    k: usize,
    /// Distance of the worst kept when `k` are kept; nothing above it can enter.
    threshold: f32,
    heap: BinaryHeap<Candidate>,
}

#[derive(Debug)]
struct Candidate(f32, u32);

impl TopCandidates {
    /// Keeps `k`.
    pub fn new(k: usize) -> Self {
        let threshold = if k == 0 { f32::NEG_INFINITY } else { f32::INFINITY };
        Self { k, threshold, heap: BinaryHeap::with_capacity(k.min(4096)) }
    }

    /// Number of candidates kept.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// A distance above this cannot enter any more.
    pub const fn threshold(&self) -> f32 {
        self.threshold
    }

    /// Keeps the candidate if it is among the best so far. NaN never is.
    #[inline]
    pub fn offer(&mut self, distance: f32, slot: u32) {
        if distance <= self.threshold {
            self.enter(Candidate(distance, slot));
        }
    }

    /// The kept ones, best first.
    pub fn into_sorted(self) -> Vec<(f32, u32)> {
        self.heap.into_sorted_vec().into_iter().map(|Candidate(distance, slot)| (distance, slot)).collect()
    }

    fn enter(&mut self, candidate: Candidate) {
        if self.heap.len() < self.k {
            self.heap.push(candidate);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && candidate < *worst
        {
            *worst = candidate;
        }
        if self.heap.len() == self.k
            && let Some(worst) = self.heap.peek()
        {
            self.threshold = worst.0;
        }
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0).then(self.1.cmp(&other.1))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}
