//! Rows on their way from memory while others are measured.

/// Asks for a row that will be read soon. A page that is not mapped is not waited for.
#[inline]
pub fn prefetch(row: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        const LINE: usize = 64 / size_of::<f32>();
        for line in row.chunks(LINE) {
            // SAFETY: changes nothing, and reads nothing that a program could see.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}
