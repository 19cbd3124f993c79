//! One generation of a collection: its slots, and what is derived for them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use super::backlog::Backlog;
use super::span::Spans;
use crate::catalogue::Catalogue;
use crate::chunked_unsafe::LsnTable;
use crate::codes::Codes;
use crate::format::RowRange;
use crate::graph::Graph;
use crate::sync::Mutex;
use crate::vector::{Dimension, Metric};

/// The LSN of a death that has not happened.
pub const ALIVE: u64 = u64::MAX;

/// Slots, their deaths, codes and graph. One thread appends and kills at a time; readers never wait.
pub struct Generation {
    /// LSN up to which dead rows were left out when it was made; 0 for the first.
    pub id: u64,
    /// First LSN at which it shows exactly what was alive; `id`, or later where it was restored.
    pub exact_from: u64,
    /// Which row each slot stands for.
    pub spans: Spans,
    /// When each slot died.
    pub deaths: LsnTable,
    dead: AtomicU32,
    /// Codes of the first slots; the others are scanned as float32.
    pub codes: OnceLock<Arc<Codes>>,
    /// Held by the one who codes.
    pub coding: Mutex<()>,
    /// The graph; it holds the slots below [`Backlog::indexed`].
    pub graph: OnceLock<Arc<Graph>>,
    /// Which slots the graph holds and which are being added.
    pub backlog: Backlog,
    /// Slots whose saved codes were read; unset until they have been looked for.
    pub codes_loaded: OnceLock<u32>,
    /// Whether a saved graph has been looked for.
    pub graph_loaded: OnceLock<()>,
}

impl Generation {
    /// A generation without slots.
    pub fn new(id: u64) -> Self {
        Self::restored(id, id)
    }

    /// A generation without slots, whose dead will be given the LSN `exact_from` at the latest.
    pub fn restored(id: u64, exact_from: u64) -> Self {
        Self {
            id,
            exact_from,
            spans: Spans::default(),
            deaths: LsnTable::new(),
            dead: AtomicU32::new(0),
            codes: OnceLock::new(),
            coding: Mutex::new(()),
            graph: OnceLock::new(),
            backlog: Backlog::default(),
            codes_loaded: OnceLock::new(),
            graph_loaded: OnceLock::new(),
        }
    }

    /// Slots so far, of which a snapshot may see fewer.
    pub fn slots(&self) -> u32 {
        self.spans.end_slot()
    }

    /// Slots whose row has died.
    pub fn dead(&self) -> u32 {
        self.dead.load(Ordering::Acquire)
    }

    /// Slots that have a code.
    pub fn coded(&self) -> u32 {
        // As many as slots, which are numbered by u32.
        self.codes.get().map_or(0, |codes| u32::try_from(codes.len()).unwrap_or(u32::MAX))
    }

    /// The codes, made on first use.
    pub fn codes(&self, metric: Metric, dimension: Dimension) -> &Arc<Codes> {
        self.codes.get_or_init(|| Arc::new(Codes::new(metric, dimension)))
    }

    /// Slots that were born at or before `lsn`: a beginning of them all, since slots are given in LSN order.
    pub fn born(&self, lsn: u64, catalogue: &Catalogue) -> u32 {
        let last = self.spans.len().checked_sub(1).and_then(|last| self.spans.get(last));
        match last {
            None => 0,
            Some(last) if catalogue.batch(last.batch).birth <= lsn => last.end_slot(),
            Some(_) => {
                let first_unborn = self.spans.partition(|span| catalogue.batch(span.batch).birth <= lsn);
                self.spans.get(first_unborn).map_or(0, |span| span.first_slot)
            }
        }
    }

    /// Whether the row in `slot`, born by then, is alive at `lsn`.
    pub fn alive(&self, slot: u32, lsn: u64) -> bool {
        self.deaths.get(slot) > lsn
    }

    /// Lets rows die at `lsn`; those already dead stay as they are. Returns how many died.
    pub fn kill(&self, rows: RowRange, lsn: u64) -> u32 {
        let mut died = 0;
        for span in self.spans.slots_of(rows) {
            for slot in span.first_slot..span.end_slot() {
                if self.deaths.get(slot) == ALIVE {
                    self.deaths.set(slot, lsn);
                    died += 1;
                }
            }
        }
        self.dead.fetch_add(died, Ordering::Release);
        died
    }

    /// Whether any of `rows` has not died.
    pub fn lives(&self, rows: RowRange) -> bool {
        let mut slots = self.spans.slots_of(rows).flat_map(|span| span.first_slot..span.end_slot());
        slots.any(|slot| self.deaths.get(slot) == ALIVE)
    }

    /// Those of `rows` that have not died, in order.
    pub fn living(&self, rows: RowRange) -> Vec<RowRange> {
        if self.deaths.is_untouched() {
            return self
                .spans
                .slots_of(rows)
                .map(|span| RowRange { first: span.first_row, count: span.count.into() })
                .collect();
        }
        let mut living: Vec<RowRange> = Vec::new();
        for span in self.spans.slots_of(rows) {
            for slot in span.first_slot..span.end_slot() {
                if self.deaths.get(slot) != ALIVE {
                    continue;
                }
                match living.last_mut() {
                    Some(range) if range.end() == span.row(slot) => range.count += 1,
                    _ => living.push(RowRange { first: span.row(slot), count: 1 }),
                }
            }
        }
        living
    }
}
