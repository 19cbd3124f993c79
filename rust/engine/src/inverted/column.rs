//! One column: which batches have which value.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::atomic::AtomicU64;

use roaring::RoaringBitmap;

use super::Name;
use crate::catalogue::{Catalogue, SourceKey};
use crate::error::Result;
use crate::filter::{Comparison, Test, Value, value_at};

/// What an entry of a map takes, about, beside what it points to.
const ENTRY: usize = 64;
/// What a set of batches takes, about, for each.
const MEMBER: usize = 4;

/// Batches; nearly always one where values are many.
enum Posting {
    One(u32),
    Many(RoaringBitmap),
}

/// From values to batches. A column of sources has hashes, one of metadata has values.
#[derive(Default)]
pub(super) struct Column {
    sources: HashMap<SourceKey, Posting>,
    values: BTreeMap<Value, Posting>,
    /// Batches whose value is of each kind.
    of_kind: [RoaringBitmap; Value::KINDS],
    /// Batches that have a value of any kind, or one that cannot be compared.
    present: RoaringBitmap,
    /// Bytes, about.
    pub(super) bytes: usize,
    /// When it was last used.
    pub(super) used: AtomicU64,
}

impl Posting {
    fn add(&mut self, batch: u32) {
        match self {
            Self::One(first) => *self = Self::Many([*first, batch].into_iter().collect()),
            Self::Many(batches) => {
                batches.insert(batch);
            }
        }
    }
}

/// Joins postings.
#[derive(Default)]
struct Union {
    single: Vec<u32>,
    many: RoaringBitmap,
}

impl Union {
    fn add(&mut self, posting: &Posting) {
        match posting {
            Posting::One(batch) => self.single.push(*batch),
            Posting::Many(batches) => self.many |= batches,
        }
    }

    fn into_bitmap(mut self) -> RoaringBitmap {
        self.single.sort_unstable();
        self.many | self.single.into_iter().collect::<RoaringBitmap>()
    }
}

impl Column {
    /// Takes in what `batch` has.
    pub(super) fn add(&mut self, catalogue: &Catalogue, name: &Name, batch: u32) -> Result<()> {
        self.bytes += MEMBER;
        let path = match name {
            Name::Sources => {
                let posting = self.sources.entry(catalogue.batch(batch).source_hash);
                self.bytes += ENTRY;
                posting.and_modify(|batches| batches.add(batch)).or_insert(Posting::One(batch));
                return Ok(());
            }
            Name::Metadata(path) => path,
        };
        let batch_of = catalogue.batch(batch);
        let value = catalogue.entry(batch_of)?.metadata.and_then(|text| value_at(text, path));
        catalogue.check_medium(batch_of)?;
        let Some(value) = value else { return Ok(()) };
        self.present.insert(batch);
        let Some(kind) = value.kind() else { return Ok(()) };
        self.of_kind[kind].insert(batch);
        match self.values.get_mut(&value) {
            Some(batches) => batches.add(batch),
            None => {
                self.bytes += ENTRY + value.heap_bytes();
                self.values.insert(value, Posting::One(batch));
            }
        }
        Ok(())
    }

    /// Batches of whose value `test` holds.
    pub(super) fn having(&self, test: &Test) -> RoaringBitmap {
        match test {
            Test::Exists => self.present.clone(),
            Test::Equal(value) => self.any_of(std::slice::from_ref(value)),
            Test::NotEqual(value) => {
                self.alike(std::slice::from_ref(value)) - self.any_of(std::slice::from_ref(value))
            }
            Test::In(values) => self.any_of(values),
            Test::NotIn(values) => self.alike(values) - self.any_of(values),
            Test::Ordered(comparison, value) => {
                let (first, next) = value.kind_bounds();
                let range = match comparison {
                    Comparison::Less => (Bound::Included(&first), Bound::Excluded(value)),
                    Comparison::LessOrEqual => (Bound::Included(&first), Bound::Included(value)),
                    Comparison::Greater => (Bound::Excluded(value), Bound::Excluded(&next)),
                    Comparison::GreaterOrEqual => (Bound::Included(value), Bound::Excluded(&next)),
                };
                let mut union = Union::default();
                self.values.range::<Value, _>(range).for_each(|(_, batches)| union.add(batches));
                union.into_bitmap()
            }
            Test::Like(pattern) => {
                let prefix = pattern.prefix();
                let first = Value::Text(prefix.into());
                let mut union = Union::default();
                for (value, batches) in self.values.range(first..) {
                    let Value::Text(text) = value else { break };
                    if !text.starts_with(prefix) {
                        break;
                    }
                    if pattern.matches(text) {
                        union.add(batches);
                    }
                }
                union.into_bitmap()
            }
        }
    }

    fn any_of(&self, values: &[Value]) -> RoaringBitmap {
        let mut union = Union::default();
        values.iter().filter_map(|value| self.values.get(value)).for_each(|batches| union.add(batches));
        union.into_bitmap()
    }

    /// Batches whose value is of the kind of one of `values`, or of any when there is none.
    fn alike(&self, values: &[Value]) -> RoaringBitmap {
        let mut alike = RoaringBitmap::new();
        for (kind, batches) in self.of_kind.iter().enumerate() {
            if values.is_empty() || values.iter().any(|value| value.kind() == Some(kind)) {
                alike |= batches;
            }
        }
        alike
    }

    /// Batches of the sources that `test` names. Equal hashes are not equal ids: the log decides.
    pub(super) fn of_sources(
        &self,
        catalogue: &Catalogue,
        sub_tenant: u32,
        test: &Test,
    ) -> Result<RoaringBitmap> {
        let named = match test {
            Test::Equal(value) | Test::NotEqual(value) => std::slice::from_ref(value),
            Test::In(values) | Test::NotIn(values) => values,
            Test::Ordered(..) | Test::Like(_) | Test::Exists => &[],
        };
        let mut found = RoaringBitmap::new();
        for value in named {
            let Value::Text(id) = value else { continue };
            let Some(posting) = self.sources.get(&catalogue.hash(sub_tenant, id)) else { continue };
            let batches = match posting {
                Posting::One(batch) => std::iter::once(*batch).collect(),
                Posting::Many(batches) => batches.clone(),
            };
            for batch in batches {
                if catalogue.entry(catalogue.batch(batch))?.source_id.cmp(id) == Ordering::Equal {
                    found.insert(batch);
                }
            }
        }
        Ok(found)
    }
}
