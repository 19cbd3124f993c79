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
        let wanted = Wanted::of(selector);
        let hashes = wanted.sources().map(|source| self.catalogue.hash(collection.sub_tenant(), source));
        let hashes: HashSet<u64> = hashes.collect();
        let mut found = Vec::new();
        for span in view.spans_from(row) {
            let batch = self.catalogue.batch(span.batch);
            if !wanted.is_all() && !hashes.contains(&batch.source_hash) {
                continue;
            }
            let entry = if wanted.is_all() { None } else { Some(self.catalogue.entry(batch)?) };
            for one in view.rows_in(span) {
                let index = batch.index_of(one.row);
                if entry.is_none_or(|entry| wanted.has(entry.source_id, index)) {
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
    /// Source -> the rows of it, by their index; `None` is all.
    Some(HashMap<&'a str, Option<HashSet<u32>>>),
}

impl<'a> Wanted<'a> {
    fn of(selector: Option<&'a Selector>) -> Self {
        match selector {
            None => Self::All,
            Some(Selector::Source(id)) => Self::Some(HashMap::from([(id.as_str(), None)])),
            Some(Selector::Chunks(ids)) => {
                let mut wanted: HashMap<&str, Option<HashSet<u32>>> = HashMap::new();
                for (source, index) in ids.iter().filter_map(|id| parse_chunk_id(id)) {
                    wanted.entry(source).or_insert_with(|| Some(HashSet::new())).iter_mut().for_each(
                        |indices| {
                            indices.insert(index);
                        },
                    );
                }
                Self::Some(wanted)
            }
        }
    }

    const fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }

    fn sources(&self) -> impl Iterator<Item = &'a str> {
        let some = match self {
            Self::All => None,
            Self::Some(wanted) => Some(wanted.keys().copied()),
        };
        some.into_iter().flatten()
    }

    fn has(&self, source: &str, index: u32) -> bool {
        match self {
            Self::All => true,
            Self::Some(wanted) => wanted
                .get(source)
                .is_some_and(|indices| indices.as_ref().is_none_or(|some| some.contains(&index))),
        }
    }
}
