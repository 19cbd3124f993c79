//! Files mapped into memory, to be read.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::Arc;

use super::sigbus_unsafe::Watch;

#[cfg(target_endian = "big")]
compile_error!("the log is little-endian and is read where it lies");

/// A read-only view of the start of a file; clones share it. It may reach beyond the end of the file and
/// sees what is written later.
///
/// Whoever writes to the file must not change bytes that someone may be looking at: a range is looked at
/// only once it has been written, and is not written again.
///
/// No advice is given to the kernel. Address space costs nothing until it is touched. Scans and single
/// rows share a mapping: `MADV_RANDOM` would take the read-ahead from the scans, `MADV_SEQUENTIAL` would
/// drop pages behind them, and by default one fault maps the 16 cached pages around it. Huge pages are
/// not to be had for a file that is open for writing.
#[derive(Clone)]
pub struct Map(Arc<Mapping>);

struct Mapping {
    start: *const u8,
    length: usize,
    watch: Watch,
}

// SAFETY: the mapping belongs to this value alone, is never written through, and may be read by any thread.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Map {
    pub(super) fn of(file: &File, length: usize) -> io::Result<Self> {
        // The system refuses to map nothing.
        let mapped = length.max(1);
        // SAFETY: a new mapping at an address of the system's choice changes no memory in use.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                mapped,
                libc::PROT_READ,
                libc::MAP_SHARED | libc::MAP_NORESERVE,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        match Watch::over(start as usize, mapped) {
            Ok(watch) => Ok(Self(Arc::new(Mapping { start: start.cast(), length, watch }))),
            Err(error) => {
                // SAFETY: mapped just above, with this length; no one else has seen it.
                unsafe { libc::munmap(start, mapped) };
                Err(error)
            }
        }
    }

    /// How many bytes are mapped.
    pub fn len(&self) -> usize {
        self.0.length
    }

    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.0.length == 0
    }

    /// `length` bytes from `offset` on; `None` beyond the mapping. Where the medium fails or the file
    /// ends, they read as zeros, and from then on [`Map::damaged`] is true: ask it **after** the reading. After many
    /// such pages all of the mapping reads as zeros. A system call that is handed such bytes fails (`EFAULT`).
    pub fn bytes(&self, offset: u64, length: usize) -> Option<&[u8]> {
        let start = self.start_of(offset, length)?;
        // SAFETY: `start..start + length` lies in the mapping, which lives as long as `self`. Pages that
        // cannot be read are replaced by zeros (`sigbus_unsafe`). Bytes that are looked at do not change:
        // the condition on writers in the description of this type.
        Some(unsafe { std::slice::from_raw_parts(start, length) })
    }

    /// `count` float32 from `offset` on, as [`Map::bytes`]; `None` also if `offset` is not a multiple of 4.
    pub fn floats(&self, offset: u64, count: usize) -> Option<&[f32]> {
        let start = self.start_of(offset, count.checked_mul(size_of::<f32>())?)?.cast::<f32>();
        if !start.is_aligned() {
            return None;
        }
        // SAFETY: as in `bytes`; aligned; every pattern of four bytes is an `f32`.
        Some(unsafe { std::slice::from_raw_parts(start, count) })
    }

    /// Whether a page could not be read since the file was mapped.
    pub fn damaged(&self) -> bool {
        self.0.watch.damaged()
    }

    fn start_of(&self, offset: u64, length: usize) -> Option<*const u8> {
        let offset = usize::try_from(offset).ok()?;
        if offset.checked_add(length)? > self.0.length {
            return None;
        }
        // SAFETY: `offset` is at most the length of the mapping.
        Some(unsafe { self.0.start.add(offset) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // Before the address can belong to something else.
        self.watch.end();
        // SAFETY: mapped in `Map::of` with this length; the last reader is gone.
        unsafe { libc::munmap(self.start.cast_mut().cast(), self.length.max(1)) };
    }
}
