//! What a filter says of batches: that it holds of all their rows, of none, or that it depends on the row.

use roaring::RoaringBitmap;

use super::{BATCHES_A_TURN, Interrupt, Name, State};
use crate::catalogue::Catalogue;
use crate::error::Result;
use crate::filter::{Expression, Field, Filter, Test};

/// What a filter says of batches.
pub struct Decision {
    /// Batches of all whose rows it holds.
    pub whole: RoaringBitmap,
    /// Batches of whose rows it may hold; and what to ask of the rows of each.
    pub open: RoaringBitmap,
    rows: RowTest,
    /// Whose metadata counts for those that borrow it, by batch.
    holders: Vec<(u32, u32)>,
}

/// A filter that has been decided but for the ids of rows.
pub enum RowTest {
    /// Holds of these batches.
    Batches(RoaringBitmap),
    /// Depends on the row's id.
    ChunkId(Test),
    /// All of them.
    All(Vec<RowTest>),
    /// Any of them.
    Any(Vec<RowTest>),
    /// The contrary.
    Not(Box<RowTest>),
}

impl Decision {
    /// Whether the filter holds of a row of an open batch.
    pub fn holds(&self, batch: u32, chunk_id: &str) -> bool {
        let of = self.holders.binary_search_by_key(&batch, |&(batch, _)| batch);
        self.rows.holds(of.map_or(batch, |at| self.holders[at].1), chunk_id)
    }
}

impl RowTest {
    fn holds(&self, batch: u32, chunk_id: &str) -> bool {
        match self {
            Self::Batches(batches) => batches.contains(batch),
            Self::ChunkId(test) => test.holds_of(chunk_id),
            Self::All(parts) => parts.iter().all(|part| part.holds(batch, chunk_id)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(batch, chunk_id)),
            Self::Not(part) => !part.holds(batch, chunk_id),
        }
    }

    /// Batches that it holds of whatever the row, and those that depend on it.
    fn bounds(&self, known: &RoaringBitmap) -> (RoaringBitmap, RoaringBitmap) {
        match self {
            Self::Batches(batches) => (batches.clone(), RoaringBitmap::new()),
            Self::ChunkId(_) => (RoaringBitmap::new(), known.clone()),
            Self::All(parts) => {
                let mut whole = known.clone();
                let mut possible = known.clone();
                for part in parts {
                    let (of_part, open) = part.bounds(known);
                    possible &= &of_part | open;
                    whole &= of_part;
                }
                let open = possible - &whole;
                (whole, open)
            }
            Self::Any(parts) => {
                let (mut whole, mut open) = (RoaringBitmap::new(), RoaringBitmap::new());
                for part in parts {
                    let (of_part, open_in_part) = part.bounds(known);
                    whole |= of_part;
                    open |= open_in_part;
                }
                open -= &whole;
                (whole, open)
            }
            Self::Not(part) => {
                let (whole, open) = part.bounds(known);
                (known - whole - &open, open)
            }
        }
    }
}

/// Joins what has been decided, so that only what depends on the row is left to be asked of rows.
fn joined(parts: Vec<RowTest>, all: bool) -> RowTest {
    let mut decided: Option<RoaringBitmap> = None;
    let mut left = Vec::new();
    for part in parts {
        match part {
            RowTest::Batches(batches) => {
                decided = Some(match decided {
                    None => batches,
                    Some(before) if all => before & batches,
                    Some(before) => before | batches,
                });
            }
            other => left.push(other),
        }
    }
    match decided {
        Some(batches) if left.is_empty() => RowTest::Batches(batches),
        decided => {
            left.extend(decided.map(RowTest::Batches));
            if all { RowTest::All(left) } else { RowTest::Any(left) }
        }
    }
}

impl State {
    pub(super) fn decide(
        &self,
        catalogue: &Catalogue,
        filter: &Filter,
        holders: &[(u32, u32)],
        interrupt: Interrupt<'_>,
    ) -> Result<Decision> {
        let rows = self.rows(catalogue, filter.expression(), interrupt)?;
        let (mut whole, mut open) = rows.bounds(&self.known);
        let holders: Vec<(u32, u32)> =
            holders.iter().copied().filter(|(batch, holder)| batch != holder).collect();
        let (by_own, open_by_own) = (whole.clone(), open.clone());
        for &(batch, holder) in &holders {
            for (decided, own) in [(&mut whole, &by_own), (&mut open, &open_by_own)] {
                if own.contains(holder) {
                    decided.insert(batch);
                } else {
                    decided.remove(batch);
                }
            }
        }
        Ok(Decision { whole, open, rows, holders })
    }

    fn rows(
        &self,
        catalogue: &Catalogue,
        expression: &Expression,
        interrupt: Interrupt<'_>,
    ) -> Result<RowTest> {
        let parts = |parts: &[Expression]| {
            parts.iter().map(|part| self.rows(catalogue, part, interrupt)).collect::<Result<Vec<_>>>()
        };
        Ok(match expression {
            Expression::Test(Field::ChunkId, test) => RowTest::ChunkId(test.clone()),
            Expression::Test(Field::SourceId, test) => {
                RowTest::Batches(self.of_sources(catalogue, test, interrupt)?)
            }
            Expression::Test(Field::Metadata(path), test) => {
                interrupt()?;
                let column = self.columns.get(&Name::Metadata(path.clone()));
                RowTest::Batches(column.map(|column| column.having(test)).unwrap_or_default())
            }
            Expression::All(all) => joined(parts(all)?, true),
            Expression::Any(any) => joined(parts(any)?, false),
            Expression::Not(part) => match self.rows(catalogue, part, interrupt)? {
                RowTest::Batches(batches) => RowTest::Batches(&self.known - batches),
                open => RowTest::Not(Box::new(open)),
            },
        })
    }

    fn of_sources(
        &self,
        catalogue: &Catalogue,
        test: &Test,
        interrupt: Interrupt<'_>,
    ) -> Result<RoaringBitmap> {
        if let (Some(first), Some(column)) = (self.known.min(), self.columns.get(&Name::Sources)) {
            let sub_tenant = catalogue.batch(first).sub_tenant;
            match test {
                Test::Equal(_) | Test::In(_) => return column.of_sources(catalogue, sub_tenant, test),
                // Ids are strings: nothing differs from what is none.
                Test::NotEqual(value) if value.kind() == Some(2) => {
                    return Ok(&self.known - column.of_sources(catalogue, sub_tenant, test)?);
                }
                Test::NotIn(values)
                    if values.is_empty() || values.iter().any(|value| value.kind() == Some(2)) =>
                {
                    return Ok(&self.known - column.of_sources(catalogue, sub_tenant, test)?);
                }
                Test::NotEqual(_) | Test::NotIn(_) => return Ok(RoaringBitmap::new()),
                Test::Ordered(..) | Test::Like(_) | Test::Exists => {}
            }
        }
        let mut found = RoaringBitmap::new();
        for (turn, batch) in self.known.iter().enumerate() {
            if turn % BATCHES_A_TURN == 0 {
                interrupt()?;
            }
            if test.holds_of(catalogue.entry(catalogue.batch(batch))?.source_id) {
                found.insert(batch);
            }
        }
        Ok(found)
    }
}
