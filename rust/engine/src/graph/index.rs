//! The graph itself.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::native_unsafe::Native;
use super::saved::Saved;
use crate::chunked_unsafe::Chunked;
use crate::codes::{Codes, QueryCode};
use crate::error::{Error, Result};
use crate::memory_unsafe::Buffer;

/// Nodes that the first reservation has room for.
const FIRST_CAPACITY: usize = 16_384;

/// Bytes of codes that a scan reads in a microsecond, about (`benches/scan.rs`).
const SCANNED_A_MICROSECOND: u64 = 16_000;
/// One add and the time to wake up again, at least; and what no turn of adds should take.
const WAIT: [Duration; 2] = [Duration::from_micros(200), Duration::from_millis(3)];

/// Nodes to make room for when `needed` have to fit: an eighth more. Each place takes 12 bytes, for a pointer and a
/// slot; to make room again copies them, a few milliseconds for a million.
fn room_for(needed: usize) -> usize {
    needed.saturating_add(needed / 8).max(FIRST_CAPACITY)
}

/// Nearest-neighbour links between slots. Holds slots only: codes are shared with the generation, and
/// which slots are visible is the searcher's to say.
///
/// Any number of threads may call; at most `threads` add or search at the same moment, the others wait
/// their turn (a search: briefly, then it is told `None`).
pub struct Graph {
    native: Native,
    expansion_add: usize,
    /// A bit for every slot that is in the graph, or being added.
    taken: Chunked<AtomicU64>,
}

impl Graph {
    /// A graph without slots over `codes`.
    ///
    /// # Errors
    /// `GraphFailed` when usearch refuses the parameters or has no memory.
    pub fn new(codes: Arc<Codes>, connectivity: usize, expansion_add: usize, threads: usize) -> Result<Self> {
        Self::of(Native::new(codes, connectivity, threads.max(1))?, expansion_add)
    }

    /// The graph of [`Self::to_bytes`], over the codes that its slots had. What the bytes say is checked
    /// (sizes, slots, every link); that they are the bytes once written is the caller's checksum.
    ///
    /// # Errors
    /// `CorruptData` when they are no graph over these codes with this connectivity; `GraphFailed`.
    pub fn from_bytes(
        codes: Arc<Codes>,
        connectivity: usize,
        expansion_add: usize,
        threads: usize,
        bytes: &[u8],
    ) -> Result<Self> {
        let saved = Saved::check(bytes, codes, connectivity)?;
        let graph = Self::of(Native::load(&saved, threads.max(1))?, expansion_add)?;
        for &slot in saved.slots() {
            graph.take(slot);
        }
        Ok(graph)
    }

    fn of(native: Native, expansion_add: usize) -> Result<Self> {
        native.exclusive().reserve(room_for(native.len().saturating_add(native.threads())))?;
        Ok(Self { native, expansion_add, taken: Chunked::new() })
    }

    /// The codes it measures on.
    pub const fn codes(&self) -> &Arc<Codes> {
        self.native.codes()
    }

    /// Number of slots in the graph.
    pub fn len(&self) -> usize {
        self.native.len()
    }

    /// Whether no slot is in the graph.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `slot` is in the graph, or being added.
    pub fn contains(&self, slot: u32) -> bool {
        let (word, bit) = place(slot);
        self.taken.get(word).is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// Bytes of memory, codes excepted.
    pub fn memory_bytes(&self) -> usize {
        self.native.read().memory_bytes() + self.taken.len() * size_of::<u64>()
    }

    /// Adds a slot that has a code and is not in the graph. When room runs out, more is made while
    /// searches are told `None`.
    ///
    /// # Errors
    /// `GraphFailed` when the slot has no code, is in the graph, or memory ran out; the graph stays usable.
    pub fn add(&self, slot: u32) -> Result<()> {
        if slot as usize >= self.codes().len() {
            return Err(Error::GraphFailed { reason: format!("add: slot {slot} has no code") });
        }
        if !self.take(slot) {
            return Err(Error::GraphFailed { reason: format!("add: slot {slot} is in the graph") });
        }
        let added = self.link(slot);
        if added.is_err() {
            let (word, bit) = place(slot);
            self.taken[word].fetch_and(!bit, Ordering::Relaxed);
        }
        added
    }

    fn link(&self, slot: u32) -> Result<()> {
        let native = &self.native;
        loop {
            {
                let adding = native.add();
                // The first node is added alone, below.
                if !self.is_empty() && native.has_room() {
                    return adding.insert(slot, self.expansion_add);
                }
            }
            let alone = native.exclusive();
            if !native.has_room() {
                alone.reserve(room_for(native.capacity().saturating_add(native.threads())))?;
            }
            if self.is_empty() {
                return alone.insert(slot, self.expansion_add);
            }
        }
    }

    /// Notes that a slot is in the graph; false: it is noted already.
    fn take(&self, slot: u32) -> bool {
        let (word, bit) = place(slot);
        while self.taken.len() <= word {
            // One too many when two come at once.
            self.taken.push(AtomicU64::new(0));
        }
        self.taken[word].fetch_or(bit, Ordering::Relaxed) & bit == 0
    }

    /// The `count` slots nearest to `query` among the `visible` ones, best first, by the distance of codes;
    /// `ef` (or `count`, if larger) candidates are kept on the way. `None` when the graph cannot be searched
    /// just now: scan instead. Fewer than `count` do not mean that there are no more.
    ///
    /// # Panics
    /// When `visible` does.
    pub fn search(
        &self,
        query: &QueryCode,
        count: usize,
        ef: usize,
        visible: Option<&dyn Fn(u32) -> bool>,
    ) -> Option<Vec<(f32, u32)>> {
        let searching = self.native.search(self.patience())?;
        // No more candidates than there are nodes: usearch would make room for them.
        let ef = count.max(ef).min(self.len());
        if count == 0 || ef == 0 {
            return Some(Vec::new());
        }
        let Some(visible) = visible else { return searching.nearest(query, count, ef, None) };
        // A panic must not unwind through usearch: it waits here until the search is over, which
        // is soonest when nothing is asked any more and everything passes.
        let panic: RefCell<Option<Box<dyn Any + Send>>> = RefCell::new(None);
        let passes = |slot: u32| {
            panic.borrow().is_some()
                || catch_unwind(AssertUnwindSafe(|| visible(slot))).unwrap_or_else(|payload| {
                    panic.replace(Some(payload));
                    true
                })
        };
        let found = searching.nearest(query, count, ef, Some(&passes));
        if let Some(payload) = panic.into_inner() {
            resume_unwind(payload);
        }
        found
    }

    /// The graph as bytes, for [`Self::from_bytes`]. Adds wait meanwhile, searches do not.
    pub fn to_bytes(&self) -> Buffer {
        self.native.read().save()
    }

    /// How long a search waits for its turn: as long as the scan takes that would come in its place, so that it takes
    /// at most twice as long as the better of the two would have.
    fn patience(&self) -> Duration {
        let codes = self.codes();
        let scan = (codes.len() * codes.row_bytes()) as u64 / SCANNED_A_MICROSECOND;
        Duration::from_micros(scan).clamp(WAIT[0], WAIT[1])
    }
}

/// Where the bit of a slot is.
const fn place(slot: u32) -> (usize, u64) {
    ((slot / u64::BITS) as usize, 1 << (slot % u64::BITS))
}

#[cfg(test)]
mod tests;
