//! What is in flight: what records that are decided, but perhaps not applied, change. A record may be half applied
//! when it is looked at: every question is asked about rows, which are born once and die once, so that it does no
//! harm to hear of them from here and from the catalogue.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::format::{RowRange, checksum};

/// What makes metadata the same as other: its length and its CRC-32C; `None` = there is none.
pub(super) type Summary = Option<(usize, u32)>;

/// The summary of metadata.
pub(super) fn summary(text: Option<&[u8]>) -> Summary {
    text.map(|text| (text.len(), checksum::crc32c(text)))
}

/// What makes the vectors of a request the same as those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vectors {
    /// CRC-32C.
    pub(super) digest: u32,
    pub(super) rows: u64,
    pub(super) dimension: u16,
    /// Whether their rows have explicit ids.
    pub(super) explicit: bool,
}

/// A batch in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Birth {
    lsn: u64,
    pub(super) rows: RowRange,
    /// Whether the rows have explicit ids.
    pub(super) explicit: bool,
    /// Whether the source was there, and its metadata stays unless the batch has its own.
    pub(super) continues: bool,
    pub(super) metadata: Summary,
}

/// A row with an explicit id, in flight.
#[derive(Clone, Debug)]
pub(super) struct Named {
    lsn: u64,
    pub(super) row: u64,
    pub(super) source_id: Arc<str>,
}

/// By sub-tenant and name.
type Names<V> = HashMap<u32, HashMap<String, V>>;

/// What the records in flight change.
#[derive(Default)]
pub(super) struct Overlay {
    /// LSN of the last record in flight.
    last: u64,
    births: Names<Vec<Birth>>,
    named: Names<Named>,
    /// LSN of the last explicit id that looks like a computed one, by the source it looks to be of.
    lookalikes: Names<u64>,
    /// Ranges by their first row: how many rows, and when they die.
    deaths: BTreeMap<u64, (u64, u64)>,
    /// All vectors of a record, by its first row.
    vectors: HashMap<u64, (Vectors, u64)>,
}

impl Overlay {
    /// Records up to `lsn` are applied: the catalogue knows them.
    pub(super) fn applied(&mut self, lsn: u64) {
        if self.last <= lsn {
            *self = Self { last: self.last, ..Self::default() };
            return;
        }
        retain(&mut self.births, |births| {
            births.retain(|birth| birth.lsn > lsn);
            !births.is_empty()
        });
        retain(&mut self.named, |named| named.lsn > lsn);
        retain(&mut self.lookalikes, |last| *last > lsn);
        self.deaths.retain(|_, (_, death)| *death > lsn);
        self.vectors.retain(|_, (_, birth)| *birth > lsn);
    }

    /// A batch is born; of explicit ids, [`Self::name`] tells.
    pub(super) fn born(
        &mut self,
        (sub_tenant, source_id): (u32, &str),
        (rows, lsn): (RowRange, u64),
        (explicit, continues): (bool, bool),
        metadata: Summary,
    ) {
        self.last = lsn;
        let births = self.births.entry(sub_tenant).or_default().entry(source_id.to_owned()).or_default();
        births.push(Birth { lsn, rows, explicit, continues, metadata });
    }

    /// A row in flight has an explicit id; `lookalike` is the source of which it could be a computed one.
    pub(super) fn name(
        &mut self,
        sub_tenant: u32,
        chunk_id: &str,
        lookalike: Option<&str>,
        (row, lsn): (u64, u64),
        source_id: &Arc<str>,
    ) {
        let named = Named { lsn, row, source_id: Arc::clone(source_id) };
        self.named.entry(sub_tenant).or_default().insert(chunk_id.to_owned(), named);
        if let Some(source) = lookalike {
            let last = self.lookalikes.entry(sub_tenant).or_default();
            match last.get_mut(source) {
                Some(last) => *last = lsn,
                None => drop(last.insert(source.to_owned(), lsn)),
            }
        }
    }

    /// The vectors of a record, from `first_row` on.
    pub(super) fn holds(&mut self, first_row: u64, vectors: Vectors, lsn: u64) {
        self.vectors.insert(first_row, (vectors, lsn));
    }

    /// Rows die that have not died yet.
    pub(super) fn died(&mut self, rows: &[RowRange], lsn: u64) {
        self.last = lsn;
        self.deaths.extend(rows.iter().map(|range| (range.first, (range.count, lsn))));
    }

    /// The batches of a source, oldest first.
    pub(super) fn births(&self, sub_tenant: u32, source_id: &str) -> &[Birth] {
        let births = self.births.get(&sub_tenant).and_then(|births| births.get(source_id));
        births.map_or(&[], Vec::as_slice)
    }

    /// The row that an explicit id names, which may have died.
    pub(super) fn named(&self, sub_tenant: u32, chunk_id: &str) -> Option<&Named> {
        self.named.get(&sub_tenant)?.get(chunk_id)
    }

    /// Whether an explicit id may look like a computed one of a source.
    pub(super) fn has_lookalikes(&self, sub_tenant: u32, source_id: &str) -> bool {
        self.lookalikes.get(&sub_tenant).is_some_and(|last| last.contains_key(source_id))
    }

    /// The vectors of the record whose first row this is.
    pub(super) fn vectors_from(&self, first_row: u64) -> Option<Vectors> {
        self.vectors.get(&first_row).map(|&(vectors, _)| vectors)
    }

    /// Whether a row dies in flight.
    pub(super) fn kills(&self, row: u64) -> bool {
        self.deaths.range(..=row).next_back().is_some_and(|(first, (count, _))| row < first + count)
    }

    /// Appends to `living` those of `rows` that do not die in flight.
    pub(super) fn survivors(&self, rows: RowRange, living: &mut Vec<RowRange>) {
        let mut from = rows.first;
        // The first range that may reach into `rows` begins before them.
        let begin = self.deaths.range(..=rows.first).next_back().map_or(rows.first, |(&first, _)| first);
        for (&first, &(count, _)) in self.deaths.range(begin..rows.end()) {
            if first > from {
                living.push(RowRange { first: from, count: first - from });
            }
            from = from.max(first + count);
        }
        if from < rows.end() {
            living.push(RowRange { first: from, count: rows.end() - from });
        }
    }
}

fn retain<V>(names: &mut Names<V>, mut keep: impl FnMut(&mut V) -> bool) {
    names.retain(|_, names| {
        names.retain(|_, value| keep(value));
        !names.is_empty()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn rows(first: u64, count: u64) -> RowRange {
        RowRange { first, count }
    }

    #[test]
    fn what_survives_is_what_no_record_in_flight_kills() {
        let mut overlay = Overlay::default();
        overlay.died(&[rows(10, 5), rows(20, 1)], 7);
        overlay.died(&[rows(15, 2)], 8);
        for asked in
            [rows(0, 40), rows(10, 5), rows(12, 9), rows(16, 4), rows(17, 3), rows(20, 1), rows(0, 10)]
        {
            let mut living = Vec::new();
            overlay.survivors(asked, &mut living);
            let found: Vec<u64> = living.iter().flat_map(|range| range.first..range.end()).collect();
            let expected: Vec<u64> =
                (asked.first..asked.end()).filter(|row| !(10..17).contains(row) && *row != 20).collect();
            assert_eq!(found, expected, "{asked:?}");
            assert!(expected.iter().all(|&row| !overlay.kills(row)));
        }
        overlay.applied(7);
        assert!(!overlay.kills(10) && overlay.kills(16));
        overlay.applied(8);
        assert!(!overlay.kills(16));
    }
}
