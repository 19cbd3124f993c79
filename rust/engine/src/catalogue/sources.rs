//! From a source to its batches: a table of hashes, in parts that grow one at a time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use siphasher::sip::SipHasher13;

use crate::sync::RwLock;

/// Keyed hash of a sub-tenant's number and a source id.
pub type SourceKey = u64;

/// Parts, so that growing one moves a small share of the whole. A reader holds a part for one look-up.
const PARTS: usize = 64;

/// The batches of one hash; nearly always one.
enum Chain {
    One(u32),
    Many(Vec<u32>),
}

type Part = HashMap<SourceKey, Chain, BuildHasherDefault<AlreadyHashed>>;

pub(super) struct Sources {
    key: [u8; 16],
    parts: Vec<RwLock<Part>>,
}

impl Sources {
    /// `key` is the tenant's incarnation: nobody outside can choose ids that collide.
    pub(super) fn new(key: [u8; 16]) -> Self {
        Self { key, parts: (0..PARTS).map(|_| RwLock::default()).collect() }
    }

    pub(super) fn hash(&self, sub_tenant: u32, source_id: &str) -> SourceKey {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(&sub_tenant.to_le_bytes());
        hasher.write(source_id.as_bytes());
        hasher.finish()
    }

    fn part(&self, key: SourceKey) -> &RwLock<Part> {
        // The top bits choose the part; the map uses the others.
        &self.parts[(key >> 58) as usize % PARTS]
    }

    /// Makes room for so many sources more, so that adding them moves nothing.
    pub(super) fn reserve(&self, count: usize) {
        for part in &self.parts {
            // They spread evenly but for a few.
            part.write().reserve(count / PARTS + count / PARTS / 16);
        }
    }

    /// Whether a source of this hash has a batch here.
    pub(super) fn has(&self, key: SourceKey) -> bool {
        self.part(key).read().contains_key(&key)
    }

    pub(super) fn get(&self, key: SourceKey) -> Vec<u32> {
        match self.part(key).read().get(&key) {
            None => Vec::new(),
            Some(Chain::One(number)) => vec![*number],
            Some(Chain::Many(numbers)) => numbers.clone(),
        }
    }

    /// The youngest batch of this hash that `accept` takes, asked from the youngest on.
    pub(super) fn youngest<E>(
        &self,
        key: SourceKey,
        mut accept: impl FnMut(u32) -> Result<bool, E>,
    ) -> Result<Option<u32>, E> {
        let part = self.part(key).read();
        let numbers = match part.get(&key) {
            None => &[][..],
            Some(Chain::One(number)) => std::slice::from_ref(number),
            Some(Chain::Many(numbers)) => numbers,
        };
        for &number in numbers.iter().rev() {
            if accept(number)? {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    pub(super) fn add(&self, key: SourceKey, number: u32) {
        match self.part(key).write().entry(key) {
            Entry::Vacant(place) => drop(place.insert(Chain::One(number))),
            Entry::Occupied(mut chain) => match chain.get_mut() {
                Chain::One(first) => *chain.get_mut() = Chain::Many(vec![*first, number]),
                Chain::Many(numbers) => numbers.push(number),
            },
        }
    }

    pub(super) fn retain(&self, key: SourceKey, mut keep: impl FnMut(u32) -> bool) {
        let mut part = self.part(key).write();
        let Some(chain) = part.get_mut(&key) else { return };
        let left: Vec<u32> = match chain {
            Chain::One(number) => Some(*number).into_iter().filter(|&number| keep(number)).collect(),
            Chain::Many(numbers) => numbers.iter().copied().filter(|&number| keep(number)).collect(),
        };
        match *left {
            [] => drop(part.remove(&key)),
            [number] => *chain = Chain::One(number),
            _ => *chain = Chain::Many(left),
        }
    }
}

/// The keys are hashes of their own.
#[derive(Default)]
pub(super) struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0 << 8 | u64::from(byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_source_in_two_sub_tenants_is_two_sources() {
        let sources = Sources::new([3; 16]);
        assert_ne!(sources.hash(0, "a"), sources.hash(1, "a"));
        assert_ne!(sources.hash(0, "a"), Sources::new([4; 16]).hash(0, "a"));
    }

    #[test]
    fn what_is_forgotten_is_not_found() {
        let sources = Sources::new([3; 16]);
        let key = sources.hash(0, "a");
        for number in 0..3 {
            sources.add(key, number);
        }
        assert_eq!(sources.get(key), [0, 1, 2]);
        assert_eq!(sources.youngest(key, |number| Ok::<_, ()>(number < 2)), Ok(Some(1)));
        sources.retain(key, |number| number == 1);
        assert_eq!((sources.get(key), sources.has(key)), (vec![1], true));
        sources.retain(key, |_| false);
        assert_eq!((sources.get(key), sources.has(key)), (vec![], false));
    }
}
