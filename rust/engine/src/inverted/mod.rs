//! Inverted indexes of one sub-tenant: from a value of metadata, or a source, to the batches that have it. Made on
//! first use, kept up to date by who uses them, given up when memory runs short. It knows filters and the catalogue;
//! it does not know which rows are alive, or how they are searched.
//!
//! A batch never changes, so what is said of it here is true at every LSN. Which batch's metadata counts for the rows
//! of another one is asked of the catalogue for the LSN that is looked at.

mod column;
mod decision;
mod memory;

pub use decision::{Decision, RowTest};
pub use memory::Memory;

use std::any::Any;
use std::collections::HashMap;
use std::ptr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use roaring::RoaringBitmap;

use crate::catalogue::Catalogue;
use crate::error::Result;
use crate::filter::{Expression, Field, Filter, Path, Test};
use crate::sync::{Mutex, RwLock};
use column::Column;

/// Asked now and then whether to go on.
pub type Interrupt<'a> = &'a dyn Fn() -> Result<()>;

/// Batches looked at between two questions whether to go on.
const BATCHES_A_TURN: usize = 1024;
/// Answers that are kept.
const ANSWERS: usize = 16;

/// What a column holds the values of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Name {
    Sources,
    Metadata(Path),
}

/// Batches of one sub-tenant that a view looks at, told by whoever knows them.
pub struct Batches<'a> {
    /// What numbers them: as long as it is the same, more may come behind those there were.
    pub origin: Arc<dyn Any + Send + Sync>,
    /// How many there are, those of one number that come again counted again.
    pub count: usize,
    /// The number of one of them.
    pub number: &'a dyn Fn(usize) -> Option<u32>,
    /// The LSN that is looked at.
    pub lsn: u64,
}

/// The inverted indexes of one sub-tenant.
pub struct Inverted {
    catalogue: Arc<Catalogue>,
    memory: Arc<Memory>,
    state: RwLock<State>,
    /// Held by the one who makes columns, so that nobody makes them twice.
    making: Mutex<()>,
    answers: Mutex<HashMap<String, (u64, Arc<Decision>)>>,
}

struct State {
    /// Whose batches were looked at, and how many.
    origin: Weak<dyn Any + Send + Sync>,
    looked_at: usize,
    /// Those batches, and those whose metadata counts for one of them.
    known: RoaringBitmap,
    /// Of them, those whose rows may go by the metadata of another one.
    borrowing: RoaringBitmap,
    columns: HashMap<Name, Column>,
    /// Bytes that the memory was told of.
    counted: usize,
    /// Counts the changes of `known`.
    changes: u64,
}

impl Inverted {
    /// Nothing yet.
    pub fn new(catalogue: Arc<Catalogue>, memory: &Arc<Memory>) -> Arc<Self> {
        let state = State {
            origin: Weak::<()>::new(),
            looked_at: 0,
            known: RoaringBitmap::new(),
            borrowing: RoaringBitmap::new(),
            columns: HashMap::new(),
            counted: 0,
            changes: 0,
        };
        let inverted = Arc::new(Self {
            catalogue,
            memory: Arc::clone(memory),
            state: RwLock::new(state),
            making: Mutex::new(()),
            answers: Mutex::default(),
        });
        memory.enlist(&inverted);
        inverted
    }

    /// Which of `batches` a filter holds of, or may hold of. What the filter needs is made, or brought up to date,
    /// first.
    ///
    /// # Errors
    /// [`crate::error::Error::CorruptData`] when the log cannot be read; what `interrupt` returns.
    pub fn decide(
        &self,
        filter: &Filter,
        batches: &Batches<'_>,
        interrupt: Interrupt<'_>,
    ) -> Result<Arc<Decision>> {
        let names = names(filter.expression());
        loop {
            self.look_at(batches)?;
            self.make(&names, interrupt)?;
            let state = self.state.read();
            let stale = !state.covers(batches) || names.iter().any(|name| !state.columns.contains_key(name));
            let Some(holders) = state.holders(&self.catalogue, batches.lsn).filter(|_| !stale) else {
                // Somebody looked at another generation, or memory ran short.
                continue;
            };
            for name in &names {
                if let Some(column) = state.columns.get(name) {
                    column.used.store(self.memory.tick(), Ordering::Relaxed);
                }
            }
            let reusable = holders.iter().all(|(batch, holder)| batch == holder);
            if reusable
                && let Some((changes, decision)) = self.answers.lock().get(filter.text())
                && *changes == state.changes
            {
                return Ok(Arc::clone(decision));
            }
            let decision = Arc::new(state.decide(&self.catalogue, filter, &holders, interrupt)?);
            let changes = state.changes;
            drop(state);
            if reusable {
                let mut answers = self.answers.lock();
                answers.retain(|_, (of, _)| *of == changes);
                if answers.len() >= ANSWERS {
                    answers.clear();
                }
                answers.insert(filter.text().to_owned(), (changes, Arc::clone(&decision)));
            }
            self.memory.settle();
            return Ok(decision);
        }
    }

    /// Whether every column that a filter looks at is there; false, too, while one is being made or given up.
    pub fn has(&self, filter: &Filter) -> bool {
        let names = names(filter.expression());
        self.state.try_read().is_some_and(|state| names.iter().all(|name| state.columns.contains_key(name)))
    }

    /// Takes in those of `batches` that are not known.
    fn look_at(&self, batches: &Batches<'_>) -> Result<()> {
        {
            let state = self.state.read();
            if state.covers(batches) && state.holders(&self.catalogue, batches.lsn).is_some() {
                return Ok(());
            }
        }
        let mut state = self.state.write();
        if !state.is_of(batches) {
            if state.known.len() > 2 * batches.count as u64 + 1024 {
                // Most of it is of batches that are gone.
                state.forget();
            }
            state.origin = Arc::downgrade(&batches.origin);
            state.looked_at = 0;
            state.borrowing.clear();
        }
        for index in state.looked_at..batches.count {
            if let Some(number) = (batches.number)(index) {
                state.take_in(&self.catalogue, number, batches.lsn)?;
            }
            state.looked_at = index + 1;
        }
        // A holder that came and went unseen.
        for batch in state.borrowing.clone() {
            let holder = self.catalogue.metadata_holder(batch, batches.lsn);
            state.add(&self.catalogue, holder)?;
        }
        self.account(&mut state);
        Ok(())
    }

    /// Makes the columns that are not there: without a lock that others wait for, but at the end.
    fn make(&self, names: &[Name], interrupt: Interrupt<'_>) -> Result<()> {
        let missing = || {
            let state = self.state.read();
            names.iter().filter(|name| !state.columns.contains_key(name)).cloned().collect::<Vec<_>>()
        };
        if missing().is_empty() {
            return Ok(());
        }
        let _making = self.making.lock();
        let mut made: Vec<(Name, Column)> =
            missing().into_iter().map(|name| (name, Column::default())).collect();
        let known = self.state.read().known.clone();
        for (turn, batch) in known.iter().enumerate() {
            if turn % BATCHES_A_TURN == 0 {
                interrupt()?;
            }
            for (name, column) in &mut made {
                column.add(&self.catalogue, name, batch)?;
            }
        }
        let mut state = self.state.write();
        // What came meanwhile.
        for batch in &state.known - &known {
            for (name, column) in &mut made {
                column.add(&self.catalogue, name, batch)?;
            }
        }
        for (_, column) in &made {
            column.used.store(self.memory.tick(), Ordering::Relaxed);
        }
        state.columns.extend(made);
        self.account(&mut state);
        Ok(())
    }

    fn account(&self, state: &mut State) {
        let bytes = state.columns.values().map(|column| column.bytes).sum();
        self.memory.change(state.counted, bytes);
        state.counted = bytes;
    }

    /// When its least used column was used; `None` when there is none, or it is at work.
    fn least_used(&self) -> Option<u64> {
        let state = self.state.try_read()?;
        state.columns.values().map(|column| column.used.load(Ordering::Relaxed)).min()
    }

    /// Gives a column up that was not used since `used`.
    fn give_up(&self, used: u64) {
        let Some(mut state) = self.state.try_write() else { return };
        state.columns.retain(|_, column| column.used.load(Ordering::Relaxed) > used);
        self.account(&mut state);
        drop(state);
        self.answers.lock().clear();
    }
}

impl Drop for Inverted {
    fn drop(&mut self) {
        self.memory.change(self.state.read().counted, 0);
    }
}

impl State {
    fn is_of(&self, batches: &Batches<'_>) -> bool {
        // A `Weak` keeps the place from being another's.
        ptr::addr_eq(self.origin.as_ptr(), Arc::as_ptr(&batches.origin))
    }

    fn covers(&self, batches: &Batches<'_>) -> bool {
        self.is_of(batches) && self.looked_at >= batches.count
    }

    /// Whose metadata counts for each batch that may borrow it; `None` when one of them is not known.
    fn holders(&self, catalogue: &Catalogue, lsn: u64) -> Option<Vec<(u32, u32)>> {
        let holders = self.borrowing.iter().map(|batch| (batch, catalogue.metadata_holder(batch, lsn)));
        holders.map(|pair| self.known.contains(pair.1).then_some(pair)).collect()
    }

    fn take_in(&mut self, catalogue: &Catalogue, batch: u32, lsn: u64) -> Result<()> {
        self.add(catalogue, batch)?;
        let source = catalogue.batch(batch).source;
        if source != batch {
            // The metadata of either may count for the other, and for those between them, which have been here.
            self.borrowing.insert(batch);
            if self.known.contains(source) {
                self.borrowing.insert(source);
            }
        }
        let holder = catalogue.metadata_holder(batch, lsn);
        if holder != batch {
            self.add(catalogue, holder)?;
            self.borrowing.insert(batch);
        }
        Ok(())
    }

    fn add(&mut self, catalogue: &Catalogue, batch: u32) -> Result<()> {
        if self.known.contains(batch) {
            return Ok(());
        }
        for (name, column) in &mut self.columns {
            column.add(catalogue, name, batch)?;
        }
        // Last: what could not be read is tried again.
        self.known.insert(batch);
        self.changes += 1;
        Ok(())
    }

    fn forget(&mut self) {
        self.known.clear();
        self.borrowing.clear();
        self.columns.clear();
        self.changes += 1;
    }
}

/// The columns that a filter looks at.
fn names(expression: &Expression) -> Vec<Name> {
    let mut names = Vec::new();
    expression.each_test(&mut |field, test| {
        let name = match field {
            Field::Metadata(path) => Name::Metadata(path.clone()),
            Field::SourceId
                if matches!(test, Test::Equal(_) | Test::NotEqual(_) | Test::In(_) | Test::NotIn(_)) =>
            {
                Name::Sources
            }
            Field::SourceId | Field::ChunkId => return,
        };
        if !names.contains(&name) {
            names.push(name);
        }
    });
    names
}
