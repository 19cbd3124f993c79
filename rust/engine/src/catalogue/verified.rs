//! One bit a block: whether it has been checked since the tenant was opened.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::chunked_unsafe::Chunked;

pub(super) struct Verified {
    words: Chunked<AtomicU64>,
    /// Blocks numbered so far; one thread adds.
    blocks: AtomicU64,
    unchecked: AtomicU64,
}

impl Verified {
    pub(super) const fn new() -> Self {
        Self { words: Chunked::new(), blocks: AtomicU64::new(0), unchecked: AtomicU64::new(0) }
    }

    /// Makes room for a record's blocks and says where they begin.
    pub(super) fn add(&self, blocks: u32, verified: bool) -> u64 {
        let first = self.blocks.load(Ordering::Relaxed);
        let end = first + u64::from(blocks);
        while (self.words.len() as u64) * 64 < end {
            self.words.push(AtomicU64::new(0));
        }
        self.blocks.store(end, Ordering::Relaxed);
        self.unchecked.fetch_add(blocks.into(), Ordering::Relaxed);
        if verified {
            for block in 0..u64::from(blocks) {
                self.set(first, block);
            }
        }
        first
    }

    /// Whether nothing is left to check.
    pub(super) fn all(&self) -> bool {
        self.unchecked.load(Ordering::Relaxed) == 0
    }

    pub(super) fn is_set(&self, first: u64, block: u64) -> bool {
        self.word(first + block).is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    pub(super) fn set(&self, first: u64, block: u64) {
        if let Some((word, bit)) = self.word(first + block)
            && word.fetch_or(bit, Ordering::Relaxed) & bit == 0
        {
            self.unchecked.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn word(&self, block: u64) -> Option<(&AtomicU64, u64)> {
        let word = self.words.get(usize::try_from(block / 64).ok()?)?;
        Some((word, 1 << (block % 64)))
    }
}
