//! Arrays that grow without moving: one thread at a time appends, any number read without a lock.
//! They know memory and publication; they do not know what the elements mean.
//!
//! Elements lie in chunks that double in size, found through a fixed table of pointers. An element is
//! written before the length that covers it is published (release), and a reader looks only below a
//! length it has read (acquire): nothing it can see is ever written again.

use std::alloc::Layout;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::{Index, Range};
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use crate::memory_unsafe::{allocate_zeroed, free};
use crate::sync::Mutex;

/// Elements of the first chunk. Small, because most collections are.
const FIRST: usize = 1 << FIRST_BITS;
const FIRST_BITS: u32 = 6;
/// Enough for every `u32`.
const CHUNKS: usize = 27;

/// Chunk of element `index`, and its place there.
#[inline]
const fn locate(index: usize) -> (usize, usize) {
    let shifted = index + FIRST;
    let chunk = shifted.ilog2() - FIRST_BITS;
    (chunk as usize, shifted - (FIRST << chunk))
}

/// Elements of chunk `chunk`.
#[inline]
const fn capacity(chunk: usize) -> usize {
    FIRST << chunk
}

const fn empty_table<T>() -> [AtomicPtr<T>; CHUNKS] {
    [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS]
}

/// An append-only array whose elements never move.
///
/// Appends exclude each other; readers wait for nothing.
pub struct Chunked<T> {
    chunks: [AtomicPtr<T>; CHUNKS],
    len: AtomicUsize,
    writer: Mutex<()>,
    // Shared between threads, it hands out `&T` and takes `T` in.
    owns: PhantomData<(T, Mutex<T>)>,
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Chunked<T> {
    /// No elements, no memory.
    pub const fn new() -> Self {
        Self { chunks: empty_table(), len: AtomicUsize::new(0), writer: Mutex::new(()), owns: PhantomData }
    }

    /// Number of elements that can be read.
    #[inline]
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element `index`; `None` at or beyond the length.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        if index >= self.len() {
            return None;
        }
        let (chunk, offset) = locate(index);
        let start = self.chunks[chunk].load(Ordering::Acquire);
        // SAFETY: below the published length the chunk is allocated and the element written, and
        // neither is touched again until `self` is dropped.
        Some(unsafe { &*start.add(offset) })
    }

    /// The elements of `range` that lie one behind the other from its start: up to its end, the length, or
    /// the end of the chunk. Empty only when no element of the range can be read.
    pub fn contiguous(&self, range: Range<usize>) -> &[T] {
        let end = range.end.min(self.len());
        if range.start >= end {
            return &[];
        }
        let (chunk, offset) = locate(range.start);
        let start = self.chunks[chunk].load(Ordering::Acquire);
        // SAFETY: as in `get`, for elements of one chunk.
        unsafe { slice::from_raw_parts(start.add(offset), (end - range.start).min(capacity(chunk) - offset)) }
    }

    /// The elements there are now, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len()).map_while(|index| self.get(index))
    }

    /// Appends one element and gives its index.
    ///
    /// # Panics
    /// When the array holds every index that a `u32` can name, several times over.
    pub fn push(&self, value: T) -> usize {
        let _writer = self.writer.lock();
        let index = self.len.load(Ordering::Relaxed);
        // SAFETY: the writer's lock is held and nothing at or beyond the length is visible.
        unsafe { self.write(index, value) };
        self.len.store(index + 1, Ordering::Release);
        index
    }

    /// Appends all of `values`; they become readable together. `values` must not append to `self`.
    ///
    /// # Panics
    /// As [`Self::push`].
    pub fn extend(&self, values: impl IntoIterator<Item = T>) {
        let _writer = self.writer.lock();
        let mut index = self.len.load(Ordering::Relaxed);
        for value in values {
            // SAFETY: as in `push`. Should the iterator panic, what was written is leaked, not read.
            unsafe { self.write(index, value) };
            index += 1;
        }
        self.len.store(index, Ordering::Release);
    }

    /// # Safety
    /// The caller holds the writer's lock and `index` is at or beyond the published length.
    unsafe fn write(&self, index: usize, value: T) {
        let (chunk, offset) = locate(index);
        let mut start = self.chunks[chunk].load(Ordering::Relaxed);
        if start.is_null() {
            start = Box::into_raw(Box::<[T]>::new_uninit_slice(capacity(chunk))).cast();
            self.chunks[chunk].store(start, Ordering::Release);
        }
        // SAFETY: `offset` lies inside the chunk; nobody else reads or writes there (see above).
        unsafe { start.add(offset).write(value) };
    }
}

impl<T> Index<usize> for Chunked<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        let len = self.len();
        self.get(index).unwrap_or_else(|| panic!("index {index} of {len} elements"))
    }
}

impl<T> Drop for Chunked<T> {
    fn drop(&mut self) {
        let mut left = *self.len.get_mut();
        for (chunk, start) in self.chunks.iter_mut().enumerate() {
            let start = *start.get_mut();
            if start.is_null() {
                break;
            }
            let filled = left.min(capacity(chunk));
            left -= filled;
            // SAFETY: exactly the elements below the length are initialised, and `self` is the last to
            // reach them; the allocation was made by `write` as a boxed slice of this length.
            unsafe {
                ptr::drop_in_place(ptr::slice_from_raw_parts_mut(start, filled));
                let whole = ptr::slice_from_raw_parts_mut(start.cast::<MaybeUninit<T>>(), capacity(chunk));
                drop(Box::from_raw(whole));
            }
        }
    }
}

/// An append-only array of rows of bytes, all of one width. A row never moves and never straddles a
/// chunk; rows that follow each other in a chunk are contiguous.
pub struct ChunkedRows {
    width: usize,
    chunks: [AtomicPtr<u8>; CHUNKS],
    len: AtomicUsize,
    writer: Mutex<()>,
}

impl ChunkedRows {
    /// Chunks begin at multiples of this: a width that is one, too, aligns every row.
    pub const ALIGNMENT: usize = 64;

    /// No rows, no memory.
    ///
    /// # Panics
    /// When `width` is 0.
    pub fn new(width: usize) -> Self {
        assert_ne!(width, 0, "a row has bytes");
        Self { width, chunks: empty_table(), len: AtomicUsize::new(0), writer: Mutex::new(()) }
    }

    /// `count` rows of zeros, to be written through [`Self::pieces`].
    ///
    /// # Panics
    /// When `width` is 0; as [`Self::push_with`].
    pub fn zeroed(width: usize, count: usize) -> Self {
        let mut rows = Self::new(width);
        let chunks = if count == 0 { 0 } else { locate(count - 1).0 + 1 };
        for chunk in 0..chunks {
            *rows.chunks[chunk].get_mut() = allocate_zeroed(rows.layout(chunk));
        }
        *rows.len.get_mut() = count;
        rows
    }

    /// All rows, in as many pieces as they lie in.
    pub fn pieces(&mut self) -> Vec<&mut [u8]> {
        let mut left = *self.len.get_mut();
        let mut pieces = Vec::new();
        for (chunk, start) in self.chunks.iter_mut().enumerate() {
            if left == 0 {
                break;
            }
            let rows = left.min(capacity(chunk));
            left -= rows;
            // SAFETY: below the length the chunk is allocated and initialised; the borrow of `self` is exclusive,
            // and no two pieces overlap.
            pieces.push(unsafe { slice::from_raw_parts_mut(*start.get_mut(), rows * self.width) });
        }
        pieces
    }

    /// Bytes of a row.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Number of rows that can be read.
    #[inline]
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes allocated. Of large chunks the system backs only what has been written.
    pub fn allocated_bytes(&self) -> usize {
        let bytes = |chunk: usize, start: &AtomicPtr<u8>| {
            if start.load(Ordering::Relaxed).is_null() { 0 } else { capacity(chunk) * self.width }
        };
        self.chunks.iter().enumerate().map(|(chunk, start)| bytes(chunk, start)).sum()
    }

    /// Row `index`; `None` at or beyond the length.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        if index >= self.len() {
            return None;
        }
        let (chunk, offset) = locate(index);
        let start = self.chunks[chunk].load(Ordering::Acquire);
        // SAFETY: below the published length the chunk is allocated and the row written, and neither
        // is touched again until `self` is dropped.
        Some(unsafe { slice::from_raw_parts(start.add(offset * self.width), self.width) })
    }

    /// The rows of `range` that lie one behind the other from its start: up to its end, the length, or
    /// the end of the chunk. Empty only when no row of the range can be read.
    pub fn contiguous(&self, range: Range<usize>) -> &[u8] {
        let end = range.end.min(self.len());
        if range.start >= end {
            return &[];
        }
        let (chunk, offset) = locate(range.start);
        let rows = (end - range.start).min(capacity(chunk) - offset);
        let start = self.chunks[chunk].load(Ordering::Acquire);
        // SAFETY: as in `get`, for `rows` rows of one chunk.
        unsafe { slice::from_raw_parts(start.add(offset * self.width), rows * self.width) }
    }

    /// Appends one row, which `fill` writes over zeros, and gives its index. Should `fill` panic, no row
    /// is appended. `fill` must not append to `self`.
    ///
    /// # Panics
    /// When the array holds every index that a `u32` can name, several times over.
    pub fn push_with(&self, fill: impl FnOnce(&mut [u8])) -> usize {
        let _writer = self.writer.lock();
        let index = self.len.load(Ordering::Relaxed);
        let (chunk, offset) = locate(index);
        let mut start = self.chunks[chunk].load(Ordering::Relaxed);
        if start.is_null() {
            start = allocate_zeroed(self.layout(chunk));
            self.chunks[chunk].store(start, Ordering::Release);
        }
        // SAFETY: the row lies inside the chunk, is initialised (zeros), and is beyond the published
        // length: while the writer's lock is held nobody else reaches it.
        fill(unsafe { slice::from_raw_parts_mut(start.add(offset * self.width), self.width) });
        self.len.store(index + 1, Ordering::Release);
        index
    }

    fn layout(&self, chunk: usize) -> Layout {
        capacity(chunk)
            .checked_mul(self.width)
            .and_then(|bytes| Layout::from_size_align(bytes, Self::ALIGNMENT).ok())
            .unwrap_or_else(|| panic!("a chunk of {} rows of {} bytes", capacity(chunk), self.width))
    }
}

impl Drop for ChunkedRows {
    fn drop(&mut self) {
        for chunk in 0..CHUNKS {
            let start = *self.chunks[chunk].get_mut();
            if !start.is_null() {
                // SAFETY: allocated in `push_with` with this layout; `self` is the last to reach it.
                unsafe { free(start, self.layout(chunk)) };
            }
        }
    }
}

/// Slots of one block of an [`LsnTable`].
const BLOCK: usize = 4096;

/// The LSNs of one block of slots.
struct Block([AtomicU64; BLOCK]);

/// An LSN for every `u32` slot, `u64::MAX` until it is set. Memory is taken by blocks of 4096 slots, and
/// only for those that were set.
pub struct LsnTable {
    touched: AtomicBool,
    // Directories of block pointers, of doubling size.
    directories: [AtomicPtr<AtomicPtr<Block>>; CHUNKS],
    writer: Mutex<()>,
}

impl Default for LsnTable {
    fn default() -> Self {
        Self::new()
    }
}

impl LsnTable {
    /// A table of `u64::MAX`, without memory.
    pub const fn new() -> Self {
        Self { touched: AtomicBool::new(false), directories: empty_table(), writer: Mutex::new(()) }
    }

    /// Whether no slot was ever set.
    #[inline]
    pub fn is_untouched(&self) -> bool {
        !self.touched.load(Ordering::Acquire)
    }

    /// The LSN of `slot`.
    #[inline]
    pub fn get(&self, slot: u32) -> u64 {
        let (directory, place) = locate(slot as usize / BLOCK);
        let pointers = self.directories[directory].load(Ordering::Acquire);
        if pointers.is_null() {
            return u64::MAX;
        }
        // SAFETY: a directory is stored once, with `capacity(directory) > place` entries, and stays.
        let block = unsafe { &*pointers.add(place) }.load(Ordering::Acquire);
        if block.is_null() {
            return u64::MAX;
        }
        // SAFETY: a block is stored once, initialised, and stays; its LSNs are atomic.
        unsafe { &*block }.0[slot as usize % BLOCK].load(Ordering::Acquire)
    }

    /// Sets the LSN of `slot`.
    pub fn set(&self, slot: u32, value: u64) {
        let _writer = self.writer.lock();
        self.touched.store(true, Ordering::Release);
        let (directory, place) = locate(slot as usize / BLOCK);
        let mut pointers = self.directories[directory].load(Ordering::Relaxed);
        if pointers.is_null() {
            let fresh: Box<[AtomicPtr<Block>]> =
                (0..capacity(directory)).map(|_| AtomicPtr::new(ptr::null_mut())).collect();
            pointers = Box::into_raw(fresh).cast();
            self.directories[directory].store(pointers, Ordering::Release);
        }
        // SAFETY: as in `get`.
        let entry = unsafe { &*pointers.add(place) };
        let mut block = entry.load(Ordering::Relaxed);
        if block.is_null() {
            block = Box::into_raw(Box::new(Block([const { AtomicU64::new(u64::MAX) }; BLOCK])));
            entry.store(block, Ordering::Release);
        }
        // SAFETY: as in `get`.
        unsafe { &*block }.0[slot as usize % BLOCK].store(value, Ordering::Release);
    }
}

impl Drop for LsnTable {
    fn drop(&mut self) {
        for (directory, pointers) in self.directories.iter_mut().enumerate() {
            let pointers = *pointers.get_mut();
            if pointers.is_null() {
                continue;
            }
            // SAFETY: both were made by `Box` in `set`, with these lengths; `self` is the last to reach
            // them.
            unsafe {
                let entries = Box::from_raw(ptr::slice_from_raw_parts_mut(pointers, capacity(directory)));
                for mut entry in entries {
                    let block = *entry.get_mut();
                    if !block.is_null() {
                        drop(Box::from_raw(block));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
