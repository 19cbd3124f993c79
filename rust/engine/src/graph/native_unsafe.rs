//! usearch's index (`usearch.cpp`), entered in turns only: whoever adds, searches, reads or has it alone holds the turn
//! that the call needs, so that none of usearch's own conditions is left to a caller.

use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use super::gate::{Gate, Turn};
use super::saved::Saved;
use crate::codes::{Codes, QueryCode};
use crate::error::{Error, Result};
use crate::memory_unsafe::Buffer;

#[repr(C)]
struct Opaque([u8; 0]);

/// How distances are asked for. The functions never panic, and a distance is never NaN or infinite.
#[repr(C)]
struct Metric {
    from_query: unsafe extern "C" fn(codes: *const c_void, query: *const c_void, slot: u32) -> f32,
    between: unsafe extern "C" fn(codes: *const c_void, a: u32, b: u32) -> f32,
}

type Passes = unsafe extern "C" fn(*const c_void, u32) -> bool;

unsafe extern "C" {
    /// Null: no memory, or no such connectivity.
    fn ingot_graph_new(connectivity: usize, metric: Metric) -> *mut Opaque;
    fn ingot_graph_free(graph: *mut Opaque);
    /// Nodes. May be asked at any time.
    fn ingot_graph_size(graph: *const Opaque) -> usize;
    /// Nodes there is room for. May be asked at any time.
    fn ingot_graph_capacity(graph: *const Opaque) -> usize;
    /// Bytes of memory. Not while there are adds.
    fn ingot_graph_bytes(graph: *const Opaque) -> usize;
    /// Makes room, and `threads` places for adds and searches; false: no memory. Alone.
    fn ingot_graph_reserve(graph: *mut Opaque, nodes: usize, threads: usize) -> bool;
    /// Adds a slot; null, or why not: no room, no memory. The place is nobody else's; no search at the same time.
    fn ingot_graph_add(
        graph: *mut Opaque,
        slot: u32,
        expansion: usize,
        place: usize,
        codes: *const c_void,
        query: *const c_void,
    ) -> *const c_char;
    /// Writes at most `count` slots and distances, best first; how many, `usize::MAX`: no memory. The place is nobody
    /// else's; no add at the same time.
    fn ingot_graph_search(
        graph: *const Opaque,
        count: usize,
        expansion: usize,
        place: usize,
        codes: *const c_void,
        query: *const c_void,
        passes: Option<Passes>,
        context: *const c_void,
        found: *mut f32,
        slots: *mut u32,
    ) -> usize;
    /// Not while there are adds, nor the next.
    fn ingot_graph_saved_bytes(graph: *const Opaque) -> usize;
    fn ingot_graph_save(graph: *const Opaque, to: *mut u8);
    /// Replaces all nodes; null, or why not: then only to be freed. Alone. The bytes were checked.
    fn ingot_graph_load(graph: *mut Opaque, from: *const u8, length: usize) -> *const c_char;
}

/// # Safety
/// [`Codes`] and a [`QueryCode`] that are alive.
unsafe extern "C" fn from_query(codes: *const c_void, query: *const c_void, slot: u32) -> f32 {
    // SAFETY: the caller's promise.
    unsafe { (*codes.cast::<Codes>()).distance_to(&*query.cast::<QueryCode>(), slot) }
}

/// # Safety
/// [`Codes`] that are alive.
unsafe extern "C" fn between(codes: *const c_void, a: u32, b: u32) -> f32 {
    // SAFETY: the caller's promise.
    unsafe { (*codes.cast::<Codes>()).distance_between(a, b) }
}

/// # Safety
/// `context` is a `&dyn Fn(u32) -> bool` that is alive, and does not panic.
unsafe extern "C" fn passes(context: *const c_void, slot: u32) -> bool {
    // SAFETY: the caller's promise.
    unsafe { (*context.cast::<&dyn Fn(u32) -> bool>())(slot) }
}

/// A graph over codes.
pub struct Native {
    graph: NonNull<Opaque>,
    codes: Arc<Codes>,
    threads: usize,
    gate: Gate,
}

// SAFETY: its memory is its own, and belongs to no thread.
unsafe impl Send for Native {}
// SAFETY: the calls that must not meet are made in turns that do not.
unsafe impl Sync for Native {}

impl Native {
    /// No nodes, no room. At most `threads` add or search at the same moment.
    ///
    /// # Errors
    /// `GraphFailed` without memory.
    pub fn new(codes: Arc<Codes>, connectivity: usize, threads: usize) -> Result<Self> {
        // SAFETY: takes numbers and functions that are as it wants them.
        let graph = unsafe { ingot_graph_new(connectivity, Metric { from_query, between }) };
        let graph = NonNull::new(graph).ok_or_else(|| failed("make", "out of memory"))?;
        Ok(Self { graph, codes, threads, gate: Gate::new(threads) })
    }

    /// The graph that was saved; no room for more.
    ///
    /// # Errors
    /// `GraphFailed` without memory.
    pub fn load(saved: &Saved<'_>, threads: usize) -> Result<Self> {
        let native = Self::new(Arc::clone(saved.codes()), saved.connectivity(), threads)?;
        let bytes = saved.bytes();
        // SAFETY: nobody else has it yet. It trusts the bytes blindly, and they were checked.
        let refused = unsafe { ingot_graph_load(native.graph.as_ptr(), bytes.as_ptr(), bytes.len()) };
        // SAFETY: it is null or a constant.
        unsafe { done("load", refused) }?;
        Ok(native)
    }

    pub const fn codes(&self) -> &Arc<Codes> {
        &self.codes
    }

    pub const fn threads(&self) -> usize {
        self.threads
    }

    pub fn len(&self) -> usize {
        // SAFETY: the graph is alive.
        unsafe { ingot_graph_size(self.graph.as_ptr()) }
    }

    pub fn capacity(&self) -> usize {
        // SAFETY: the graph is alive.
        unsafe { ingot_graph_capacity(self.graph.as_ptr()) }
    }

    /// Whether there is room for all who may be adding at one moment: who saw so with a turn finds room.
    pub fn has_room(&self) -> bool {
        self.len() + self.threads < self.capacity()
    }

    /// Leave to add, when it comes.
    pub fn add(&self) -> Adding<'_> {
        Adding { native: self, turn: self.gate.add() }
    }

    /// Leave to search, if it comes within `patience`.
    pub fn search(&self, patience: Duration) -> Option<Searching<'_>> {
        Some(Searching { native: self, turn: self.gate.search(patience)? })
    }

    /// Leave to read at length, when it comes.
    pub fn read(&self) -> Reading<'_> {
        Reading { native: self, _turn: self.gate.read() }
    }

    /// Leave to change everything, when it comes. From the call on, searches are told no.
    pub fn exclusive(&self) -> Exclusive<'_> {
        Exclusive { native: self, turn: self.gate.exclusive() }
    }

    fn insert(&self, slot: u32, expansion: usize, turn: &Turn<'_>) -> Result<()> {
        let Some(query) = self.codes.query_of(slot) else {
            return Err(failed("add", &format!("slot {slot} has no code")));
        };
        let (graph, codes) = (self.graph.as_ptr(), Arc::as_ptr(&self.codes).cast());
        // SAFETY: the turn keeps searches out and its place is nobody else's; codes and query outlive the call.
        let refused = unsafe {
            ingot_graph_add(graph, slot, expansion, turn.place(), codes, (&raw const query).cast())
        };
        // SAFETY: it is null or a constant.
        unsafe { done("add", refused) }
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // SAFETY: nobody else has it any more.
        unsafe { ingot_graph_free(self.graph.as_ptr()) };
    }
}

/// Leave to add.
pub struct Adding<'a> {
    native: &'a Native,
    turn: Turn<'a>,
}

impl Adding<'_> {
    /// Adds a slot. Until the first node is linked there is no entry to the graph: it is added alone.
    ///
    /// # Errors
    /// `GraphFailed` without room, a code, or memory.
    pub fn insert(&self, slot: u32, expansion: usize) -> Result<()> {
        if self.native.len() == 0 {
            return Err(failed("add", "the first node is not alone"));
        }
        self.native.insert(slot, expansion, &self.turn)
    }
}

/// Leave to search.
pub struct Searching<'a> {
    native: &'a Native,
    turn: Turn<'a>,
}

impl Searching<'_> {
    /// The at most `count` nearest of the slots that are `visible`; `None` without memory. `visible` must not panic.
    pub fn nearest(
        &self,
        query: &QueryCode,
        count: usize,
        expansion: usize,
        visible: Option<&dyn Fn(u32) -> bool>,
    ) -> Option<Vec<(f32, u32)>> {
        let count = count.min(self.native.len());
        let (mut found, mut slots) = (uninitialised(count), uninitialised(count));
        let context = visible.as_ref().map_or(std::ptr::null(), |visible| std::ptr::from_ref(visible).cast());
        // SAFETY: the turn keeps adds out and its place is nobody else's; codes, query and predicate outlive the call;
        // there is room for `count` of each.
        let written = unsafe {
            ingot_graph_search(
                self.native.graph.as_ptr(),
                count,
                expansion,
                self.turn.place(),
                Arc::as_ptr(&self.native.codes).cast(),
                std::ptr::from_ref(query).cast(),
                visible.map(|_| passes as Passes),
                context,
                found.as_mut_ptr().cast(),
                slots.as_mut_ptr().cast(),
            )
        };
        let pairs = found.get(..written)?.iter().zip(&slots);
        // SAFETY: so many were written.
        Some(pairs.map(|(distance, slot)| unsafe { (distance.assume_init(), slot.assume_init()) }).collect())
    }
}

fn uninitialised<T>(count: usize) -> Vec<MaybeUninit<T>> {
    std::iter::repeat_with(MaybeUninit::uninit).take(count).collect()
}

/// Leave to read.
pub struct Reading<'a> {
    native: &'a Native,
    _turn: Turn<'a>,
}

impl Reading<'_> {
    /// Bytes of memory.
    pub fn memory_bytes(&self) -> usize {
        // SAFETY: the turn keeps adds out.
        unsafe { ingot_graph_bytes(self.native.graph.as_ptr()) }
    }

    /// The graph as bytes.
    pub fn save(&self) -> Buffer {
        let graph = self.native.graph.as_ptr();
        // SAFETY: the turn keeps adds out, and so it is as long as it says when it is written.
        unsafe {
            let mut bytes = Buffer::zeroed(ingot_graph_saved_bytes(graph));
            ingot_graph_save(graph, bytes.as_mut_ptr());
            bytes
        }
    }
}

/// Leave to change everything.
pub struct Exclusive<'a> {
    native: &'a Native,
    turn: Turn<'a>,
}

impl Exclusive<'_> {
    /// Makes room for so many nodes.
    ///
    /// # Errors
    /// `GraphFailed` without memory.
    pub fn reserve(&self, nodes: usize) -> Result<()> {
        // SAFETY: nobody else is in the graph.
        let reserved = unsafe { ingot_graph_reserve(self.native.graph.as_ptr(), nodes, self.native.threads) };
        if reserved { Ok(()) } else { Err(failed("reserve", "out of memory")) }
    }

    /// Adds a slot, also the first.
    ///
    /// # Errors
    /// `GraphFailed` without room, a code, or memory.
    pub fn insert(&self, slot: u32, expansion: usize) -> Result<()> {
        self.native.insert(slot, expansion, &self.turn)
    }
}

/// # Safety
/// `refused` is null or a constant text.
unsafe fn done(operation: &str, refused: *const c_char) -> Result<()> {
    if refused.is_null() {
        return Ok(());
    }
    // SAFETY: the caller's promise.
    let reason = unsafe { CStr::from_ptr(refused) };
    Err(failed(operation, &reason.to_string_lossy()))
}

fn failed(operation: &str, answer: &str) -> Error {
    Error::GraphFailed { reason: format!("{operation}: {answer}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::{Dimension, Metric};

    #[test]
    fn an_add_finds_its_place_though_others_came_since_there_was_room() {
        let codes = Codes::new(Metric::Cosine, Dimension::new(2).unwrap());
        (0..5).for_each(|row| codes.append(&[1.0, row as f32]));
        let native = Native::new(Arc::new(codes), 16, 2).unwrap();
        native.exclusive().reserve(4).unwrap();
        native.exclusive().insert(0, 16).unwrap();
        native.exclusive().insert(1, 16).unwrap();
        assert!(!native.has_room());
        // Admitted before the other two, say: there is a place for each that may add at the same moment.
        (2..4).for_each(|slot| native.add().insert(slot, 16).unwrap());
        assert!(native.add().insert(4, 16).is_err());
        assert_eq!((native.len(), native.capacity()), (4, 4));
        native.exclusive().reserve(8).unwrap();
        native.add().insert(4, 16).unwrap();
    }
}
