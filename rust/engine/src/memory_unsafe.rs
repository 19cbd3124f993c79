//! Memory that is asked of the system directly, and given back to it. It does not know what lies in it.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::{ptr, slice};

/// From this many bytes on, memory is mapped: it comes zeroed, in large pages where the system has them, and
/// what is not yet written takes none. (The allocator would write zeros over all of it at once.)
pub(crate) const MAPPED_FROM: usize = 1 << 20;

/// Memory of `layout`, which is not empty and asks for no more alignment than that of a page; zeroed.
pub(crate) fn allocate_zeroed(layout: Layout) -> *mut u8 {
    if layout.size() < MAPPED_FROM {
        // SAFETY: the layout is not empty.
        let start = unsafe { alloc_zeroed(layout) };
        if start.is_null() {
            handle_alloc_error(layout);
        }
        return start;
    }
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping, of nothing that exists.
    let start = unsafe { libc::mmap(ptr::null_mut(), layout.size(), access, kind, -1, 0) };
    if start == libc::MAP_FAILED {
        handle_alloc_error(layout);
    }
    #[cfg(target_os = "linux")]
    // SAFETY: the mapping just made. A refusal costs speed only.
    unsafe {
        libc::madvise(start, layout.size(), libc::MADV_HUGEPAGE);
    }
    start.cast()
}

/// # Safety
/// `start` is of [`allocate_zeroed`] with the same layout, and is not used any more.
pub(crate) unsafe fn free(start: *mut u8, layout: Layout) {
    if layout.size() < MAPPED_FROM {
        // SAFETY: the caller's promise; below the limit it came from the allocator.
        unsafe { dealloc(start, layout) };
    } else {
        // SAFETY: the caller's promise; from the limit on it is a mapping of this size.
        unsafe { libc::munmap(start.cast(), layout.size()) };
    }
}

/// Bytes that are needed for a moment. When they are many they are mapped, and given back to the system with the
/// buffer; the allocator would keep them.
pub struct Buffer {
    start: *mut u8,
    layout: Layout,
}

// SAFETY: the memory belongs to this value alone.
unsafe impl Send for Buffer {}
// SAFETY: it is written through an exclusive borrow only.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// `length` zeros.
    ///
    /// # Panics
    /// When no process could have so many.
    pub fn zeroed(length: usize) -> Self {
        let layout =
            Layout::from_size_align(length, 1).unwrap_or_else(|_| panic!("a buffer of {length} bytes"));
        let start = if length == 0 { ptr::dangling_mut() } else { allocate_zeroed(layout) };
        Self { start, layout }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: allocated in `zeroed` with this length, initialised.
        unsafe { slice::from_raw_parts(self.start, self.layout.size()) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; the borrow is exclusive.
        unsafe { slice::from_raw_parts_mut(self.start, self.layout.size()) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.layout.size() > 0 {
            // SAFETY: allocated in `zeroed` with this layout; nobody borrows it any more.
            unsafe { free(self.start, self.layout) };
        }
    }
}

/// Gives the system what the allocator holds free. A graph that grew leaves behind the tables it outgrew, in as many
/// places as threads have grown it; the allocator gives back only what lies at the end of each.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes an integer only; memory in use is not touched.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Has the allocator keep what is freed, up to so many bytes at the end of each of its heaps, for a process that receives
/// bodies again and again: else each piece is given back and asked for again, page by page. What is a megabyte or longer
/// is mapped by itself, and given back at once. [`give_back`] gives back the end of the first heap only, of the others all but it.
pub fn keep(bytes: usize) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes integers only. Refusals cost speed only.
    unsafe {
        let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
        libc::mallopt(libc::M_TRIM_THRESHOLD, bytes);
        // It would grow with what is freed: then what is large would come from a heap, too, and be kept.
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
        libc::mallopt(libc::M_TOP_PAD, 1 << 20);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_zeros_until_it_is_written() {
        for length in [0, 1, MAPPED_FROM - 1, MAPPED_FROM, MAPPED_FROM + 1] {
            let mut buffer = Buffer::zeroed(length);
            assert_eq!(buffer.len(), length);
            assert!(buffer.iter().all(|byte| *byte == 0));
            buffer.fill(9);
            assert!(buffer.iter().all(|byte| *byte == 9));
        }
    }
}
