//! Explicit chunk ids as numbers: from the hash of an id to its row, and for each source how many of them look like
//! a computed id of it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::sources::AlreadyHashed;
use crate::sync::RwLock;

/// Parts, so that growing one moves a small share of the whole. A reader holds a part for one look-up.
const PARTS: usize = 64;

type Table<V> = HashMap<u64, V, BuildHasherDefault<AlreadyHashed>>;

/// Where the row of an explicit id is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The batch.
    pub batch: u32,
    /// Which of its rows.
    pub index: u32,
}

/// The hashes of an explicit id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdHash {
    /// Of the id.
    pub id: u64,
    /// Of the source whose computed id it could be, if any.
    pub lookalike: Option<u64>,
}

#[derive(Default)]
struct Part {
    places: Table<Place>,
    /// Further places of the same hash: of an id that is being taken over, or of another id.
    more: Table<Vec<Place>>,
    lookalikes: Table<u32>,
}

/// The explicit ids of a tenant.
pub(super) struct Explicit {
    parts: Vec<RwLock<Part>>,
    count: AtomicUsize,
}

impl Explicit {
    pub(super) fn new() -> Self {
        Self { parts: (0..PARTS).map(|_| RwLock::default()).collect(), count: AtomicUsize::new(0) }
    }

    fn part(&self, hash: u64) -> &RwLock<Part> {
        &self.parts[(hash >> 58) as usize % PARTS]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Every row whose id has this hash; nearly always one or none.
    pub(super) fn get(&self, id: u64) -> Vec<Place> {
        if self.is_empty() {
            return Vec::new();
        }
        let part = self.part(id).read();
        let Some(&place) = part.places.get(&id) else { return Vec::new() };
        let mut places = vec![place];
        places.extend(part.more.get(&id).into_iter().flatten());
        places
    }

    /// Whether any id may look like a computed one of the source with this hash.
    pub(super) fn has_lookalikes(&self, source: u64) -> bool {
        !self.is_empty() && self.part(source).read().lookalikes.contains_key(&source)
    }

    pub(super) fn add(&self, hash: IdHash, place: Place) {
        {
            let mut part = self.part(hash.id).write();
            match part.places.entry(hash.id) {
                Entry::Vacant(vacant) => drop(vacant.insert(place)),
                Entry::Occupied(_) => part.more.entry(hash.id).or_default().push(place),
            }
        }
        if let Some(source) = hash.lookalike {
            *self.part(source).write().lookalikes.entry(source).or_default() += 1;
        }
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Forgets an id that was added with this hash and place.
    pub(super) fn remove(&self, hash: IdHash, place: Place) {
        if !self.part(hash.id).write().remove(hash.id, place) {
            return;
        }
        if let Some(source) = hash.lookalike {
            let mut part = self.part(source).write();
            if let Entry::Occupied(mut count) = part.lookalikes.entry(source) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Part {
    fn remove(&mut self, id: u64, place: Place) -> bool {
        let Some(first) = self.places.get_mut(&id) else { return false };
        let Some(more) = self.more.get_mut(&id) else {
            return *first == place && self.places.remove(&id).is_some();
        };
        if *first == place {
            // The others are never none.
            *first = more.swap_remove(0);
        } else if let Some(at) = more.iter().position(|&other| other == place) {
            more.swap_remove(at);
        } else {
            return false;
        }
        if more.is_empty() {
            self.more.remove(&id);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn place(batch: u32) -> Place {
        Place { batch, index: 7 }
    }

    #[test]
    fn two_rows_of_one_hash_are_both_found_and_forgotten_one_by_one() {
        let explicit = Explicit::new();
        let hash = IdHash { id: 5, lookalike: Some(9) };
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            for batch in 0..3 {
                explicit.add(hash, place(batch));
            }
            let mut left = vec![0, 1, 2];
            for batch in order {
                let mut found: Vec<u32> = explicit.get(5).iter().map(|place| place.batch).collect();
                found.sort_unstable();
                assert_eq!(found, left);
                assert!(explicit.has_lookalikes(9));
                explicit.remove(hash, place(batch));
                explicit.remove(hash, place(batch));
                left.retain(|&other| other != batch);
            }
            assert!(explicit.is_empty() && explicit.get(5).is_empty() && !explicit.has_lookalikes(9));
        }
    }
}
