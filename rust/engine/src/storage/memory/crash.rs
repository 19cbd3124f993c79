//! What a power cut leaves of the changes that were not durable.

/// Which changes are kept.
pub(super) enum Kept {
    Nothing,
    All,
    /// Some of them, at random.
    Some(Random),
}

/// How the changes to one file are kept.
pub(super) struct Plan {
    /// Lengths are those after so many changes.
    pub(super) lengths: usize,
    data: Data,
}

enum Data {
    /// So many changes, the next torn.
    Prefix(usize),
    /// Each change whole or not.
    Subset(Vec<bool>),
    /// Each sector by itself.
    Scattered,
}

impl Kept {
    /// Whether each of `count` changes of names is kept.
    pub(super) fn names(&mut self, count: usize) -> Vec<bool> {
        match self {
            Self::Nothing => vec![false; count],
            Self::All => vec![true; count],
            Self::Some(random) => {
                if random.coin() {
                    let prefix = random.up_to(count);
                    (0..count).map(|index| index < prefix).collect()
                } else {
                    (0..count).map(|_| random.coin()).collect()
                }
            }
        }
    }

    /// How `count` changes of a file are kept.
    pub(super) fn file(&mut self, count: usize) -> Plan {
        match self {
            Self::Nothing => Plan { lengths: 0, data: Data::Prefix(0) },
            Self::All => Plan { lengths: count, data: Data::Prefix(count) },
            Self::Some(random) => {
                let prefix = random.up_to(count);
                let lengths = match random.up_to(2) {
                    0 => random.up_to(count),
                    1 => (prefix + 1).min(count),
                    _ => count,
                };
                let data = match random.up_to(3) {
                    0 => Data::Subset((0..count).map(|_| random.coin()).collect()),
                    1 => Data::Scattered,
                    _ => Data::Prefix(prefix),
                };
                Plan { lengths, data }
            }
        }
    }

    /// Whether a sector that a failed sync forgot got to the disk before.
    pub(super) fn lost(&mut self) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Some(random) => random.coin(),
        }
    }
}

impl Plan {
    /// Before which change a sector was last written, that `changes` touch.
    pub(super) fn until(&self, changes: &[usize], kept: &mut Kept) -> usize {
        match (&self.data, kept) {
            (Data::Prefix(prefix), Kept::Some(random)) => {
                if changes.contains(prefix) && random.coin() {
                    prefix + 1
                } else {
                    *prefix
                }
            }
            (Data::Prefix(prefix), _) => *prefix,
            (Data::Subset(whole), _) => {
                changes.iter().rev().find(|index| whole[**index]).map_or(0, |index| index + 1)
            }
            (Data::Scattered, Kept::Some(random)) => match random.up_to(changes.len()) {
                0 => 0,
                some => changes[some - 1] + 1,
            },
            (Data::Scattered, _) => 0,
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers for the same seed, everywhere and for ever.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// A number from 0 to `most`.
    fn up_to(&mut self, most: usize) -> usize {
        // The remainder is not larger than `most`.
        (self.next() % (most as u64 + 1)) as usize
    }
}
