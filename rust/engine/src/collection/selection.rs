//! The rows of a view that a filter holds of: whole batches, and single rows where it asks for their ids.

use std::any::Any;
use std::ops::Range;
use std::sync::{Arc, OnceLock, Weak};

use roaring::RoaringBitmap;

use super::search::Interrupt;
use super::span::Span;
use super::view::{Found, View};
use super::{Collection, Generation};
use crate::error::Result;
use crate::filter::Filter;
use crate::format::RowRange;
use crate::inverted::{Batches, Decision};
use crate::sync::Mutex;

/// Spans whose rows are looked at between two questions whether to go on.
const SPANS_A_TURN: usize = 64;

/// What a filter holds of among the slots that were born in a view, the dead included.
pub struct Selection {
    generation: Arc<Generation>,
    born: u32,
    decision: Arc<Decision>,
    slots: Arc<Slots>,
}

/// What is selected, by slot.
struct Slots {
    /// Rows of batches that the filter holds of in part.
    single: RoaringBitmap,
    /// All, made when they are asked for.
    ranges: OnceLock<Vec<Range<u32>>>,
}

/// Slots that were selected before, for whoever asks the same of the same.
#[derive(Default)]
pub(super) struct Remembered(Mutex<Vec<Memory>>);

struct Memory {
    /// Not kept from being freed: it is large.
    generation: Weak<Generation>,
    born: u32,
    /// Of views in which the dead were looked at row by row.
    lsn: Option<u64>,
    decision: Arc<Decision>,
    slots: Arc<Slots>,
}

/// How many are remembered.
const REMEMBERED: usize = 8;

impl Remembered {
    fn find(&self, view: &View, decision: &Arc<Decision>) -> Option<Arc<Slots>> {
        let same = |memory: &&Memory| {
            Weak::as_ptr(&memory.generation) == Arc::as_ptr(&view.generation)
                && memory.born == view.born
                && memory.lsn.is_none_or(|lsn| lsn == view.lsn)
                && Arc::ptr_eq(&memory.decision, decision)
        };
        self.0.lock().iter().find(same).map(|memory| Arc::clone(&memory.slots))
    }

    fn remember(&self, view: &View, decision: &Arc<Decision>, slots: &Arc<Slots>) {
        let mut memories = self.0.lock();
        if memories.len() >= REMEMBERED {
            memories.remove(0);
        }
        memories.push(Memory {
            generation: Arc::downgrade(&view.generation),
            born: view.born,
            lsn: (!decision.open.is_empty()).then_some(view.lsn),
            decision: Arc::clone(decision),
            slots: Arc::clone(slots),
        });
    }
}

impl Collection {
    /// What `filter` holds of in `view`.
    ///
    /// # Errors
    /// [`crate::error::Error::CorruptData`] when the log cannot be read; what `interrupt` returns.
    pub fn select(&self, view: &View, filter: &Filter, interrupt: Interrupt<'_>) -> Result<Arc<Selection>> {
        let generation = Arc::clone(&view.generation);
        let spans = &generation.spans;
        let batches = Batches {
            origin: Arc::clone(&generation) as Arc<dyn Any + Send + Sync>,
            count: spans.partition(|span| span.first_slot < view.born),
            number: &|index| spans.get(index).map(|span| span.batch),
            lsn: view.lsn,
        };
        let decision = self.inverted.decide(filter, &batches, interrupt)?;
        if let Some(slots) = self.remembered.find(view, &decision) {
            return Ok(Arc::new(Selection { born: view.born, decision, slots, generation }));
        }
        let mut single = RoaringBitmap::new();
        let open = SpansOf { generation: &generation, born: view.born, next: 0 };
        for (turn, span) in open.of(&decision.open).enumerate() {
            if turn % SPANS_A_TURN == 0 {
                interrupt()?;
            }
            let batch = self.shared.catalogue.batch(span.batch);
            let entry = self.shared.catalogue.entry(batch)?;
            for slot in span.first_slot..span.end_slot() {
                let alive = view.visible(slot);
                if alive
                    && decision
                        .holds(span.batch, &self.shared.catalogue.id_of(batch, &entry, span.row(slot))?)
                {
                    single.insert(slot);
                }
            }
            self.shared.catalogue.check_medium(batch)?;
        }
        let slots = Arc::new(Slots { single, ranges: OnceLock::new() });
        self.remembered.remember(view, &decision, &slots);
        Ok(Arc::new(Selection { born: view.born, decision, slots, generation }))
    }

    /// Makes what `filter` needs, so that to select by it soon afterwards takes no long.
    ///
    /// # Errors
    /// As [`Self::select`].
    pub fn prepare(&self, filter: &Filter, interrupt: Interrupt<'_>) -> Result<()> {
        self.select(&self.view(), filter, interrupt).map(drop)
    }

    /// Whether all that `filter` needs was made.
    pub fn is_prepared(&self, filter: &Filter) -> bool {
        self.inverted.has(filter)
    }
}

impl Selection {
    /// Whether `slot` is selected.
    pub fn has(&self, slot: u32) -> bool {
        slot < self.born
            && (self.slots.single.contains(slot)
                || self
                    .generation
                    .spans
                    .near(slot, self.born)
                    .is_some_and(|span| self.decision.whole.contains(span.batch)))
    }

    /// About how many slots are selected.
    pub fn estimate(&self) -> u64 {
        let spans = self.generation.spans.len().max(1) as u64;
        self.slots.single.len()
            + (self.decision.whole.len().min(spans) * u64::from(self.born)).div_ceil(spans)
    }

    /// The selected slots in order, as ranges that do not touch.
    pub fn ranges(&self) -> &[Range<u32>] {
        self.slots.ranges.get_or_init(|| {
            let spans = SpansOf { generation: &self.generation, born: self.born, next: 0 };
            let mut whole =
                spans.of(&self.decision.whole).map(|span| span.first_slot..span.end_slot()).peekable();
            let mut single = self.slots.single.iter().map(|slot| slot..slot + 1).peekable();
            let mut ranges: Vec<Range<u32>> = Vec::new();
            loop {
                let next = match (whole.peek(), single.peek()) {
                    (Some(a), Some(b)) if b.start < a.start => single.next(),
                    (None, _) => single.next(),
                    _ => whole.next(),
                };
                let Some(next) = next else { return ranges };
                match ranges.last_mut() {
                    Some(last) if last.end == next.start => last.end = next.end,
                    _ => ranges.push(next),
                }
            }
        })
    }

    /// The selected rows of `view`, which it was made for, in order.
    pub fn rows<'a>(&'a self, view: &'a View) -> impl Iterator<Item = Found> + 'a {
        self.rows_of(view, self.ranges())
    }

    fn rows_of<'a>(&'a self, view: &'a View, ranges: &'a [Range<u32>]) -> impl Iterator<Item = Found> + 'a {
        ranges.iter().flat_map(move |range| view.generation.spans.in_slots(range.clone())).flat_map(
            move |span| {
                (span.first_slot..span.end_slot()).filter(|&slot| view.visible(slot)).map(move |slot| Found {
                    row: span.row(slot),
                    batch: span.batch,
                    distance: 0.0,
                })
            },
        )
    }

    /// Those of [`Self::rows`] from number `row` on.
    pub fn rows_from<'a>(&'a self, view: &'a View, row: u64) -> impl Iterator<Item = Found> + 'a {
        let from = view.spans_from(row).next().map_or(self.born, |span| span.first_slot);
        let first = self.ranges().partition_point(|range| range.end <= from);
        self.rows_of(view, &self.ranges()[first..]).skip_while(move |found| found.row < row)
    }

    /// [`Self::rows`] as ranges.
    pub fn living(&self, view: &View) -> Vec<(u32, RowRange)> {
        let mut living: Vec<(u32, RowRange)> = Vec::new();
        for found in self.rows(view) {
            match living.last_mut() {
                Some((batch, rows)) if *batch == found.batch && rows.end() == found.row => rows.count += 1,
                _ => living.push((found.batch, RowRange { first: found.row, count: 1 })),
            }
        }
        living
    }
}

/// Finds the spans of batches, both in order.
struct SpansOf<'a> {
    generation: &'a Generation,
    born: u32,
    /// Index of the span behind the last one found.
    next: usize,
}

impl<'a> SpansOf<'a> {
    fn of(mut self, batches: &'a RoaringBitmap) -> impl Iterator<Item = Span> + 'a {
        let mut batches = batches.iter();
        let mut batch = batches.next();
        std::iter::from_fn(move || {
            loop {
                let wanted = batch?;
                match self.at(wanted) {
                    Some(span) => return Some(span),
                    None => batch = batches.next(),
                }
            }
        })
    }

    /// The next span of `batch`.
    fn at(&mut self, batch: u32) -> Option<Span> {
        let spans = &self.generation.spans;
        if let Some(next) =
            spans.get(self.next).filter(|span| span.batch == batch && span.first_slot < self.born)
        {
            self.next += 1;
            return Some(*next);
        }
        // Not far behind it, most often.
        let mut step = 1;
        let mut low = self.next;
        while spans.get(low + step - 1).is_some_and(|span| span.batch < batch) {
            low += step;
            step *= 2;
        }
        let mut high = (low + step - 1).min(spans.len());
        while low < high {
            let middle = low.midpoint(high);
            if spans.get(middle).is_some_and(|span| span.batch < batch) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        self.next = low;
        let span = spans.get(low).filter(|span| span.batch == batch && span.first_slot < self.born)?;
        self.next += 1;
        Some(*span)
    }
}
