//! The graph itself.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

use super::gate::Gate;
use super::metric_unsafe::{Asked, STORED_BYTES, on_codes, stored};
use super::saved;
use crate::codes::{Codes, QueryCode};
use crate::error::{Error, Result};
use crate::memory_unsafe::Buffer;

/// Nodes that the first reservation has room for.
const FIRST_CAPACITY: usize = 16_384;

/// Bytes of codes that a scan reads in a microsecond, about (`benches/scan.rs`).
const SCANNED_A_MICROSECOND: u64 = 16_000;
/// One add and the time to wake up again, at least; and what no turn of adds should take.
const WAIT: [Duration; 2] = [Duration::from_micros(200), Duration::from_millis(3)];

/// Nodes to make room for when `needed` have to fit: an eighth more. Each place takes 16 bytes for its pointers and
/// about 30 in the table of keys; to make room again copies the pointers, a few milliseconds for a million.
fn room_for(needed: usize) -> usize {
    needed.saturating_add(needed / 8).max(FIRST_CAPACITY)
}

/// Nearest-neighbour links between slots. Holds slots only: codes are shared with the generation, and
/// which slots are visible is the searcher's to say.
///
/// Any number of threads may call; at most `threads` add or search at the same moment, the others wait
/// their turn (a search: briefly, then it is told `None`).
pub struct Graph {
    index: Index,
    codes: Arc<Codes>,
    gate: Gate,
    threads: usize,
}

impl Graph {
    /// A graph without slots over `codes`.
    ///
    /// # Errors
    /// `GraphFailed` when usearch refuses the parameters or has no memory.
    pub fn new(codes: Arc<Codes>, connectivity: usize, expansion_add: usize, threads: usize) -> Result<Self> {
        Self::open(codes, connectivity, expansion_add, threads, None)
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
        Self::open(codes, connectivity, expansion_add, threads, Some(bytes))
    }

    fn open(
        codes: Arc<Codes>,
        connectivity: usize,
        expansion_add: usize,
        threads: usize,
        saved: Option<&[u8]>,
    ) -> Result<Self> {
        let threads = threads.max(1);
        let options = IndexOptions {
            dimensions: STORED_BYTES,
            // Named in the file, measured with never: see below.
            metric: MetricKind::IP,
            quantization: ScalarKind::I8,
            connectivity,
            expansion_add,
            // The larger of this and the count wanted is searched with: the count alone decides.
            expansion_search: 1,
            multi: false,
        };
        let mut index = Index::new(&options).map_err(|e| failed("make", &e))?;
        if let Some(bytes) = saved {
            let empty = save(&index)?;
            saved::check(bytes, &empty, index.connectivity(), codes.len())?;
            index.load_from_buffer(bytes).map_err(|e| failed("load", &e))?;
        }
        // Loading sets a built-in metric, so ours comes after.
        index.change_metric(on_codes(Arc::clone(&codes)));
        let capacity = room_for(index.size().saturating_add(threads));
        index.reserve_capacity_and_threads(capacity, threads).map_err(|e| failed("reserve", &e))?;
        Ok(Self { index, codes, gate: Gate::new(threads), threads })
    }

    /// The codes it measures on.
    pub const fn codes(&self) -> &Arc<Codes> {
        &self.codes
    }

    /// Number of slots in the graph.
    pub fn len(&self) -> usize {
        self.index.size()
    }

    /// Whether no slot is in the graph.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `slot` is in the graph.
    pub fn contains(&self, slot: u32) -> bool {
        let _turn = self.gate.read();
        self.index.contains(slot.into())
    }

    /// Bytes of memory, codes excepted.
    pub fn memory_bytes(&self) -> usize {
        let _turn = self.gate.read();
        let stats = self.index.memory_stats();
        // A node's pointers to links and slot, and its entry in the table of keys.
        let entry = 2 * size_of::<usize>() + 2 * size_of::<u64>();
        stats.graph_allocated + stats.vectors_allocated + self.index.capacity() * entry
    }

    /// Adds a slot that has a code and is not in the graph. When room runs out, more is made while
    /// searches are told `None`.
    ///
    /// # Errors
    /// `GraphFailed` when the slot has no code, is in the graph, or memory ran out; the graph stays usable.
    pub fn add(&self, slot: u32) -> Result<()> {
        if slot as usize >= self.codes.len() {
            return Err(Error::GraphFailed { reason: format!("add: slot {slot} has no code") });
        }
        loop {
            {
                let _turn = self.gate.add();
                // Every add in progress takes at most one place. The first node is added alone, below:
                // until it is linked, there is no entry to the graph.
                if !self.is_empty() && self.has_room() {
                    return self.insert(slot);
                }
            }
            let _turn = self.gate.exclusive();
            if !self.has_room() {
                let capacity = room_for(self.index.capacity().saturating_add(self.threads));
                self.index
                    .reserve_capacity_and_threads(capacity, self.threads)
                    .map_err(|e| failed("reserve", &e))?;
            }
            if self.is_empty() {
                return self.insert(slot);
            }
        }
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
        let _turn = self.gate.search(self.patience())?;
        let wanted = count.max(ef).min(self.len());
        if wanted == 0 {
            return Some(Vec::new());
        }
        let asked = Asked::new(query);
        let found = match visible {
            None => self.index.search(asked.bytes(), wanted),
            Some(visible) => {
                // A panic must not unwind through usearch: it waits here until the search is over, which
                // is soonest when nothing is asked any more and everything passes.
                let panic: RefCell<Option<Box<dyn Any + Send>>> = RefCell::new(None);
                let found = self.index.filtered_search(asked.bytes(), wanted, |slot| {
                    panic.borrow().is_some()
                        || catch_unwind(AssertUnwindSafe(|| visible(slot as u32))).unwrap_or_else(|payload| {
                            panic.replace(Some(payload));
                            true
                        })
                });
                if let Some(payload) = panic.into_inner() {
                    resume_unwind(payload);
                }
                found
            }
        }
        .ok()?;
        let pairs = found.distances.into_iter().zip(found.keys);
        Some(pairs.take(count).map(|(distance, slot)| (distance, slot as u32)).collect())
    }

    /// The graph as bytes, for [`Self::from_bytes`]. Adds wait meanwhile, searches do not.
    ///
    /// # Errors
    /// `GraphFailed` when usearch cannot save.
    pub fn to_bytes(&self) -> Result<Buffer> {
        let _turn = self.gate.read();
        save(&self.index)
    }

    /// How long a search waits for its turn: as long as the scan takes that would come in its place, so that it takes
    /// at most twice as long as the better of the two would have.
    fn patience(&self) -> Duration {
        let scan = (self.codes.len() * self.codes.row_bytes()) as u64 / SCANNED_A_MICROSECOND;
        Duration::from_micros(scan).clamp(WAIT[0], WAIT[1])
    }

    fn has_room(&self) -> bool {
        self.index.size() + self.threads < self.index.capacity()
    }

    fn insert(&self, slot: u32) -> Result<()> {
        self.index.add(slot.into(), &stored(slot)).map_err(|e| failed("add", &e))
    }
}

fn save(index: &Index) -> Result<Buffer> {
    let mut bytes = Buffer::zeroed(index.serialized_length());
    index.save_to_buffer(&mut bytes).map_err(|e| failed("save", &e))?;
    Ok(bytes)
}

fn failed(operation: &str, answer: &dyn std::fmt::Display) -> Error {
    Error::GraphFailed { reason: format!("{operation}: {answer}") }
}

#[cfg(test)]
mod tests;
