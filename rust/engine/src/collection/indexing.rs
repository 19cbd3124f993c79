//! Background work on a generation: coding its rows and adding them to its graph, a share at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Collection;
use super::generation::Generation;
use crate::codes::Codes;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::limits::{GRAPH_CONNECTIVITY, GRAPH_EXPANSION_ADD};
use crate::pool::company::give_way;

/// Fewer rows than this have no codes: scanning their float32 takes microseconds.
const CODES_FROM_ROWS: u32 = 1000;
/// Rows coded in one go.
const CODING_SHARE: u32 = 4096;
/// So many rows are one worker's: to wake another takes longer.
const FEW_ROWS: u32 = 16;

/// How a share of background work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Something was done; there may be more.
    Made,
    /// Nothing to do for this worker now.
    Idle,
}

impl Collection {
    /// Does one share of what is to be done on `generation`, for one of `workers`. A share that fails leaves
    /// its window open: nothing more is added, and searches scan what the graph lacks.
    ///
    /// # Errors
    /// [`Error::CorruptData`] when a row cannot be read; what usearch refuses.
    pub(super) fn index(&self, generation: &Generation, workers: usize) -> Result<Progress> {
        let slots = generation.slots();
        if slots >= CODES_FROM_ROWS
            && generation.coded() < slots
            && let Some(_coding) = generation.coding.try_lock()
        {
            self.code(generation)?;
            return Ok(Progress::Made);
        }
        if (slots as usize) < self.shared.graph_from_rows {
            return Ok(Progress::Idle);
        }
        let Some(codes) = generation.codes.get() else { return Ok(Progress::Idle) };
        let Some(part) = generation.backlog.take(generation.coded(), workers) else {
            return Ok(Progress::Idle);
        };
        let graph = self.graph(generation, codes)?;
        // A row that is dead for every view to come need not be found; one whose death is being applied does.
        let visible = self.shared.visible.load(Ordering::Acquire);
        for slot in part.slots.clone() {
            let held = generation.backlog.perhaps_holds(slot) && graph.contains(slot);
            if generation.alive(slot, visible) && !held {
                graph.add(slot)?;
            }
            give_way();
        }
        generation.backlog.finish(&part);
        Ok(Progress::Made)
    }

    fn code(&self, generation: &Generation) -> Result<()> {
        let codes = generation.codes(self.shared.metric, self.dimension);
        let from = generation.coded();
        let to = generation.slots().min(from.saturating_add(CODING_SHARE));
        for span in generation.spans.in_slots(from..to) {
            let batch = self.shared.catalogue.batch(span.batch);
            // Narrowing is safe: a row of the batch, whose count is a u32.
            #[allow(clippy::cast_possible_truncation)]
            let first = (span.first_row - batch.first_row) as u32;
            let rows = self.shared.catalogue.rows(batch, first, span.count)?;
            for row in rows.chunks_exact(self.dimension.get()) {
                codes.append(row);
            }
            give_way();
            self.shared.catalogue.check_medium(batch)?;
        }
        Ok(())
    }

    fn graph<'a>(&self, generation: &'a Generation, codes: &Arc<Codes>) -> Result<&'a Arc<Graph>> {
        if let Some(graph) = generation.graph.get() {
            return Ok(graph);
        }
        let _making = self.making_graph.lock();
        if generation.graph.get().is_none() {
            let graph = Graph::new(
                Arc::clone(codes),
                GRAPH_CONNECTIVITY,
                GRAPH_EXPANSION_ADD,
                self.shared.graph_threads,
            )?;
            let _ = generation.graph.set(Arc::new(graph));
        }
        generation.graph.get().ok_or(Error::Closed)
    }

    /// Of `workers`, how many would find a share of background work.
    pub fn useful_workers(&self, workers: usize) -> usize {
        let generation = self.current.load();
        let slots = generation.slots();
        let few = (slots as usize) < self.shared.graph_from_rows
            || slots.saturating_sub(generation.backlog.indexed()) <= FEW_ROWS;
        if few && !self.rebuilding_wanted() { workers.min(1) } else { workers }
    }

    /// Whether every slot of `generation` has all that will be derived for it.
    pub(super) fn is_indexed(&self, generation: &Generation) -> bool {
        let slots = generation.slots();
        let coded = slots < CODES_FROM_ROWS || generation.coded() >= slots;
        let in_graph =
            (slots as usize) < self.shared.graph_from_rows || generation.backlog.indexed() >= slots;
        coded && in_graph
    }
}
