//! How usearch measures: it stores 8 bytes a node and hands two of them to this metric, which looks the
//! codes up. A stored 8 bytes is a slot; those of a query are the address of its code, told apart by the
//! top bit, which no slot and no address of a program has.

use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;

use crate::codes::{Codes, QueryCode};

/// Bytes usearch stores a node.
pub const STORED_BYTES: usize = 8;

/// Marks the address of a query.
const QUERY: u64 = 1 << 63;

/// The metric as usearch wants it. It never panics: a panic would abort the process in the C++ frames
/// above it. Whatever it cannot measure is as far as can be.
pub type Metric = Box<dyn Fn(*const i8, *const i8) -> f32 + Send + Sync>;

/// The 8 bytes of a query, good as long as the query is borrowed.
pub struct Asked<'a> {
    bytes: [i8; STORED_BYTES],
    query: PhantomData<&'a QueryCode>,
}

impl<'a> Asked<'a> {
    /// What to search with.
    pub fn new(query: &'a QueryCode) -> Self {
        let address = ptr::from_ref(query).expose_provenance() as u64;
        Self { bytes: bytes(address | QUERY), query: PhantomData }
    }

    pub const fn bytes(&self) -> &[i8] {
        &self.bytes
    }
}

/// The 8 bytes of a slot.
pub fn stored(slot: u32) -> [i8; STORED_BYTES] {
    bytes(slot.into())
}

fn bytes(value: u64) -> [i8; STORED_BYTES] {
    value.to_ne_bytes().map(|byte| byte as i8)
}

/// Measures on `codes`.
pub fn on_codes(codes: Arc<Codes>) -> Metric {
    Box::new(move |a, b| {
        if a.is_null() || b.is_null() {
            return f32::MAX;
        }
        // SAFETY: usearch was made for vectors of 8 bytes, passes the vectors it stores or the one it was
        // asked with, and keeps both in memory during the call; neither needs to be aligned.
        let (a, b) = unsafe { (a.cast::<u64>().read_unaligned(), b.cast::<u64>().read_unaligned()) };
        match (a & QUERY != 0, b & QUERY != 0) {
            (false, false) => codes.distance_between(a as u32, b as u32),
            // SAFETY: only `Asked` sets the top bit (loaded files are checked for slots), and it is
            // alive, with the query it borrows, as long as the search that calls this.
            (true, false) => codes.distance_to(unsafe { query_at(a) }, b as u32),
            // SAFETY: as above.
            (false, true) => codes.distance_to(unsafe { query_at(b) }, a as u32),
            (true, true) => f32::MAX,
        }
    })
}

/// # Safety
/// `asked` is of an [`Asked`] that is alive, and so is its query, for as long as the result is used.
unsafe fn query_at<'a>(asked: u64) -> &'a QueryCode {
    // SAFETY: the caller's promise; `Asked::new` exposed the address.
    unsafe { &*ptr::with_exposed_provenance(usize::try_from(asked & !QUERY).unwrap_or(0)) }
}
