//! One bit for each header and block: whether it has been checked since the tenant was opened.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::chunked_unsafe::Chunked;

pub(super) struct Verified {
    words: Chunked<AtomicU64>,
    /// Bits given out so far; one thread adds.
    bits: AtomicU64,
    unchecked: AtomicU64,
}

impl Verified {
    pub(super) const fn new() -> Self {
        Self { words: Chunked::new(), bits: AtomicU64::new(0), unchecked: AtomicU64::new(0) }
    }

    /// Gives a record its bits and says where they begin.
    pub(super) fn add(&self, bits: u32, verified: bool) -> u64 {
        let first = self.bits.load(Ordering::Relaxed);
        let end = first + u64::from(bits);
        while (self.words.len() as u64) * 64 < end {
            self.words.push(AtomicU64::new(0));
        }
        self.bits.store(end, Ordering::Relaxed);
        self.unchecked.fetch_add(bits.into(), Ordering::Relaxed);
        if verified {
            for bit in 0..u64::from(bits) {
                self.set(first, bit);
            }
        }
        first
    }

    /// Whether nothing is left to check.
    pub(super) fn all(&self) -> bool {
        self.unchecked.load(Ordering::Relaxed) == 0
    }

    pub(super) fn is_set(&self, first: u64, bit: u64) -> bool {
        self.word(first + bit).is_some_and(|(word, mask)| word.load(Ordering::Relaxed) & mask != 0)
    }

    pub(super) fn set(&self, first: u64, bit: u64) {
        if let Some((word, mask)) = self.word(first + bit)
            && word.fetch_or(mask, Ordering::Relaxed) & mask == 0
        {
            self.unchecked.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn word(&self, bit: u64) -> Option<(&AtomicU64, u64)> {
        let word = self.words.get(usize::try_from(bit / 64).ok()?)?;
        Some((word, 1 << (bit % 64)))
    }
}
