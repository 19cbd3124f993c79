//! The best candidates of a scan.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Distances compared with the threshold together.
const LOOKED_AT_ONCE: usize = 16;

/// Keeps the `k` smallest (distance, slot) it is offered; of equal distances the smaller slots.
#[derive(Clone, Debug)]
pub struct TopCandidates {
    k: usize,
    /// Distance of the worst kept when `k` are kept; nothing above it can enter.
    threshold: f32,
    heap: BinaryHeap<Candidate>,
}

#[derive(Clone, Copy, Debug)]
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

    /// Offers the slots from `first` on that are `visible`, with their distances.
    pub fn offer_all(&mut self, distances: &[f32], first: u32, visible: impl Fn(u32) -> bool) {
        for (distances, first) in distances.chunks(LOOKED_AT_ONCE).zip((first..).step_by(LOOKED_AT_ONCE)) {
            // Nearly always none enters: one look at all of them.
            let threshold = self.threshold;
            if distances.iter().fold(false, |near, &distance| near | (distance <= threshold)) {
                for (&distance, slot) in distances.iter().zip(first..) {
                    if distance <= self.threshold && visible(slot) {
                        self.enter(Candidate(distance, slot));
                    }
                }
            }
        }
    }

    /// Keeps as many, and nothing that could not enter here any more.
    pub fn successor(&self) -> Self {
        Self { k: self.k, threshold: self.threshold, heap: BinaryHeap::new() }
    }

    /// Takes over what `other` kept.
    pub fn merge(&mut self, other: Self) {
        for Candidate(distance, slot) in other.heap {
            self.offer(distance, slot);
        }
    }

    /// The kept ones, best first.
    pub fn into_sorted(self) -> Vec<(f32, u32)> {
        self.heap.into_sorted_vec().into_iter().map(|Candidate(distance, slot)| (distance, slot)).collect()
    }

    /// The slots of the kept ones.
    pub fn into_slots(self) -> impl Iterator<Item = u32> {
        self.heap.into_iter().map(|Candidate(_, slot)| slot)
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
