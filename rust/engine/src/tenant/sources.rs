//! The sources of a sub-tenant, in the order of their first rows.

use std::collections::HashSet;

use super::Tenant;
use super::cursor::Question;
use super::page::{Begun, Bookmark};
use crate::collection::{Collection, View};
use crate::error::Result;
use crate::format::RowRange;

/// Spans that one page looks through at most, whatever it finds.
const SPANS_A_PAGE: usize = 100_000;

/// A source and how many rows it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRows {
    /// Its id.
    pub source_id: String,
    /// Rows alive.
    pub rows: u64,
}

impl Tenant {
    /// The names of all sub-tenants, sorted; the default one is always there.
    pub fn sub_tenants(&self) -> Vec<String> {
        let mut names: Vec<String> = self.collections.read().by_name.keys().cloned().collect();
        if !names.iter().any(|name| name == crate::limits::DEFAULT_SUB_TENANT) {
            names.push(crate::limits::DEFAULT_SUB_TENANT.to_owned());
        }
        names.sort_unstable();
        names
    }

    /// One page of the sources that have rows, `limit` at most. Each page shows the moment in which it is read: a
    /// source that is replaced meanwhile moves to the end.
    ///
    /// # Errors
    /// As [`Self::page`].
    pub fn sources(
        &self,
        sub_tenant: &str,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<(Vec<SourceRows>, Bookmark)> {
        let question = Question::sources(&self.id, sub_tenant);
        let (mut bookmark, collection, place) = match self.begin_page(sub_tenant, question, cursor)? {
            Begun::Empty(bookmark) => return Ok((Vec::new(), bookmark)),
            Begun::In { bookmark, collection, place } => (bookmark, collection, place),
        };
        let view = collection.view();
        let mut found: Vec<SourceRows> = Vec::new();
        let mut seen: HashSet<&str> = HashSet::new();
        for (number, span) in view.spans_from(place.map_or(0, |place| place.row)).enumerate() {
            let Some(first) = view.rows_in(span).next() else { continue };
            if found.len() == limit || number == SPANS_A_PAGE {
                bookmark.goes_on(view.lsn(), first.row);
                break;
            }
            let source_id = self.catalogue.entry(self.catalogue.batch(span.batch))?.source_id;
            if seen.insert(source_id)
                && let Some(rows) = self.rows_if_first(&collection, &view, source_id, first.row)?
            {
                found.push(SourceRows { source_id: source_id.to_owned(), rows });
            }
        }
        Ok((found, bookmark))
    }

    /// How many rows a source has in `view`, if `row` is the first of them.
    fn rows_if_first(
        &self,
        collection: &Collection,
        view: &View,
        source_id: &str,
        row: u64,
    ) -> Result<Option<u64>> {
        let mut count = 0;
        for number in self.catalogue.batches_of(collection.sub_tenant(), source_id)? {
            let rows = self.catalogue.batch(number).rows();
            let before =
                RowRange { first: rows.first, count: row.min(rows.end()).saturating_sub(rows.first) };
            if view.count(before) > 0 {
                return Ok(None);
            }
            count += view.count(rows);
        }
        // Forgotten since the view was made: it has been replaced, and comes later, or is gone.
        Ok((count > 0).then_some(count))
    }
}
