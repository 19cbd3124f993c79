//! Answers in pages: all pages of a request show one snapshot, which the cursor between them names.

use std::collections::{HashMap, HashSet};

use super::cursor::{Place, Question, Sent};
use super::{Selector, Tenant};
use crate::collection::{Collection, Found, View};
use crate::error::{Error, Result};
use crate::format::name::parse_chunk_id;

/// Where an answer goes on.
pub struct Bookmark {
    question: Question,
    incarnation: [u8; 16],
    sub_tenant: u32,
    lsn: u64,
    next: Option<u64>,
}

impl Bookmark {
    /// LSN of the view that the page shows.
    pub const fn lsn(&self) -> u64 {
        self.lsn
    }

    /// Whether there is more behind the page.
    pub const fn is_needed(&self) -> bool {
        self.next.is_some()
    }

    /// The cursor to what follows the page; `None` when nothing does.
    pub fn next(&self) -> Option<String> {
        self.next.map(|row| self.at(row))
    }

    /// The cursor to `row` and what follows.
    pub fn at(&self, row: u64) -> String {
        let place = Place { sub_tenant: self.sub_tenant, lsn: self.lsn, row };
        place.cursor(self.question, self.incarnation)
    }
}

impl Tenant {
    /// One page of rows of a sub-tenant in insertion order, `limit` at most: the first, or the one that `cursor` leads
    /// to. All pages show what was alive when the first was read.
    ///
    /// # Errors
    /// [`Error::SubTenantNotFound`]; [`Error::InvalidId`]; [`Error::CorruptData`]; [`Error::CursorOfAnother`];
    /// [`Error::CursorExpired`].
    pub fn page(
        &self,
        sub_tenant: &str,
        selector: Option<&Selector>,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<(Vec<Found>, Bookmark)> {
        if let Some(selector) = selector {
            selector.check()?;
        }
        let question = Question::rows(&self.id, sub_tenant, selector);
        let begun = self.begin_page(sub_tenant, question, cursor)?;
        let (mut bookmark, collection, place) = match begun {
            Begun::Empty(bookmark) => return Ok((Vec::new(), bookmark)),
            Begun::In { bookmark, collection, place } => (bookmark, collection, place),
        };
        let most = limit.saturating_add(1);
        let (view, mut found) = match place {
            None => self.rows_now(&collection, selector, most)?,
            Some(place) => {
                let view = collection.view_at(place.lsn).ok_or(Error::CursorExpired)?;
                let found = self.rows_then(&view, &collection, selector, place.row, most)?;
                (view, found)
            }
        };
        bookmark.lsn = view.lsn();
        bookmark.next = found.get(limit).map(|found| found.row);
        found.truncate(limit);
        Ok((found, bookmark))
    }

    /// What a page has to begin with: its collection, and the place that a cursor names.
    pub(super) fn begin_page(
        &self,
        sub_tenant: &str,
        question: Question,
        cursor: Option<&str>,
    ) -> Result<Begun> {
        let incarnation = self.shared.incarnation;
        let sent = cursor.map(|text| Sent::read(text, question)).transpose()?;
        let existing = self.existing(sub_tenant)?;
        let place = sent.map(|sent| sent.place(incarnation)).transpose()?;
        let number = existing.as_ref().map_or(0, |collection| collection.sub_tenant());
        if place.is_some_and(|place| place.sub_tenant != number) {
            return Err(Error::CursorExpired);
        }
        let bookmark = Bookmark { question, incarnation, sub_tenant: number, lsn: 0, next: None };
        Ok(match existing {
            Some(collection) => Begun::In { bookmark, collection, place },
            None => Begun::Empty(bookmark),
        })
    }

    /// Selected rows that were alive in a view that may have passed, from `row` on. The catalogue has forgotten what
    /// has died since: the spans of the view are looked through.
    fn rows_then(
        &self,
        view: &View,
        collection: &Collection,
        selector: Option<&Selector>,
        row: u64,
        most: usize,
    ) -> Result<Vec<Found>> {
        if let Some(Selector::Filter(filter)) = selector {
            let selection = collection.select(view, filter, &|| Ok(()))?;
            return Ok(selection.rows_from(view, row).take(most).collect());
        }
        let wanted = Wanted::of(selector);
        let hashes =
            wanted.sources().into_iter().map(|source| self.catalogue.hash(collection.sub_tenant(), source));
        let hashes: HashSet<u64> = hashes.collect();
        let mut found = Vec::new();
        for span in view.spans_from(row) {
            let batch = self.catalogue.batch(span.batch);
            // An explicit id may be in any batch that has such.
            let may_have = wanted.names_rows() && batch.explicit;
            if !wanted.is_all() && !may_have && !hashes.contains(&batch.source_hash) {
                continue;
            }
            let source_id = if wanted.is_all() { "" } else { self.catalogue.entry(batch)?.source_id };
            for one in view.rows_in(span) {
                let has = match &wanted {
                    Wanted::All => true,
                    Wanted::Source(source) => *source == source_id,
                    Wanted::Chunks { ids, .. } if batch.explicit => {
                        ids.contains(self.catalogue.chunk_id(batch, batch.offset_of(one.row))?)
                    }
                    Wanted::Chunks { computed, .. } => computed
                        .get(source_id)
                        .is_some_and(|indices| indices.contains(&batch.index_of(one.row))),
                };
                if has {
                    found.push(one);
                    if found.len() >= most {
                        return Ok(found);
                    }
                }
            }
        }
        Ok(found)
    }
}

/// A page about to be read.
pub(super) enum Begun {
    /// The default sub-tenant before its first row.
    Empty(Bookmark),
    /// One with rows.
    In { bookmark: Bookmark, collection: std::sync::Arc<Collection>, place: Option<Place> },
}

impl Bookmark {
    /// There is more behind the page: at `lsn`, from `row` on.
    pub(super) fn goes_on(&mut self, lsn: u64, row: u64) {
        (self.lsn, self.next) = (lsn, Some(row));
    }
}

/// What a selector wants, to be asked row by row.
enum Wanted<'a> {
    All,
    Source(&'a str),
    Chunks {
        ids: HashSet<&'a str>,
        /// Source -> the indices of its rows that have one of the ids, if computed.
        computed: HashMap<&'a str, HashSet<u32>>,
    },
}

impl<'a> Wanted<'a> {
    fn of(selector: Option<&'a Selector>) -> Self {
        match selector {
            // What a filter holds of is not asked for row by row.
            None | Some(Selector::Filter(_)) => Self::All,
            Some(Selector::Source(id)) => Self::Source(id),
            Some(Selector::Chunks(ids)) => {
                let mut computed: HashMap<&str, HashSet<u32>> = HashMap::new();
                for (source, index) in ids.iter().filter_map(|id| parse_chunk_id(id)) {
                    computed.entry(source).or_default().insert(index);
                }
                Self::Chunks { ids: ids.iter().map(String::as_str).collect(), computed }
            }
        }
    }

    const fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }

    const fn names_rows(&self) -> bool {
        matches!(self, Self::Chunks { .. })
    }

    /// The sources whose batches may have what is wanted, those with explicit ids apart.
    fn sources(&self) -> Vec<&'a str> {
        match self {
            Self::All => Vec::new(),
            Self::Source(source) => vec![source],
            Self::Chunks { computed, .. } => computed.keys().copied().collect(),
        }
    }
}
