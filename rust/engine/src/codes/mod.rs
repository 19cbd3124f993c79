//! A short code for every slot of a generation, and distances measured on the codes alone: what scans and
//! the graph look at before the float32 rows. Knows vectors; does not know names of files, snapshots or the graph.
//!
//! Cosine: int8, `x * 127 / max|x|` rounded, with the inverse norm of the code beside it. Inner product and
//! L2: bfloat16, with the norm beside it.

mod dots_unsafe;
mod kernel_unsafe;
mod quantise_unsafe;
mod top;

use std::io;
use std::ops::Range;
use std::slice;

use numkong::bf16;

use crate::chunked_unsafe::{Chunked, ChunkedRows};
use crate::format::checksum::{combine, crc32c};
use crate::storage::{File, bulk};
use crate::vector::{Dimension, Metric};
use dots_unsafe::Int8Query;
use kernel_unsafe::{as_bf16, as_bf16_mut, as_int8, as_int8_mut};

pub use top::TopCandidates;

/// Codes begin at multiples of this many bytes; the rest of a row is zeros, which change no sum.
const ROW_ALIGNMENT: usize = 16;

/// The codes of the slots `0..len`. One thread at a time appends; any number read without a lock.
pub struct Codes {
    metric: Metric,
    dimension: Dimension,
    rows: ChunkedRows,
    /// Cosine: inverse norm of the code. Otherwise: its norm, at most `f32::MAX`.
    norms: Chunked<f32>,
}

/// Rows whose distances from all queries are measured before the next are looked at: they stay in the cache.
const ROWS_AT_ONCE: usize = 64;

/// A query, coded as the rows are.
pub struct QueryCode(Values);

enum Values {
    Int8(Int8Query),
    Bf16(Vec<bf16>, f32),
}

impl Codes {
    /// No codes, no memory.
    pub fn new(metric: Metric, dimension: Dimension) -> Self {
        let bytes = match metric {
            Metric::Cosine => dimension.get(),
            Metric::InnerProduct | Metric::L2 => dimension.get() * size_of::<bf16>(),
        };
        let width = bytes.next_multiple_of(ROW_ALIGNMENT);
        Self { metric, dimension, rows: ChunkedRows::new(width), norms: Chunked::new() }
    }

    /// How the coded vectors are compared.
    pub const fn metric(&self) -> Metric {
        self.metric
    }

    /// Number of columns of the coded vectors.
    pub const fn dimension(&self) -> Dimension {
        self.dimension
    }

    /// Number of slots that have a code. [`Self::append`] gives the next slot its code.
    #[inline]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no slot has a code.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of one code as [`Self::parts`] gives it.
    pub const fn row_bytes(&self) -> usize {
        self.rows.width()
    }

    /// Bytes allocated.
    pub fn memory_bytes(&self) -> usize {
        self.rows.allocated_bytes() / self.row_bytes() * (self.row_bytes() + size_of::<f32>())
    }

    /// Codes `row` as the next slot. Only one thread at a time may append: which slot a row gets is its
    /// place in the order of calls.
    ///
    /// # Panics
    /// When the row is not of the codes' dimension.
    pub fn append(&self, row: &[f32]) {
        assert_eq!(row.len(), self.dimension.get(), "dimension of an appended row");
        self.rows.push_with(|bytes| {
            // The norm first: whoever sees the row finds its norm.
            self.norms.push(match self.metric {
                Metric::Cosine => quantise_unsafe::int8(row, as_int8_mut(bytes)),
                Metric::InnerProduct | Metric::L2 => quantise_unsafe::bfloat16(row, as_bf16_mut(bytes)),
            });
        });
    }

    /// Codes a query.
    ///
    /// # Panics
    /// When it is not of the codes' dimension.
    pub fn encode_query(&self, query: &[f32]) -> QueryCode {
        assert_eq!(query.len(), self.dimension.get(), "dimension of a query");
        match self.metric {
            Metric::Cosine => {
                let mut values = vec![0; self.row_bytes()];
                let inverse_norm = quantise_unsafe::int8(query, &mut values);
                QueryCode(Values::Int8(Int8Query::new(values, inverse_norm)))
            }
            Metric::InnerProduct | Metric::L2 => {
                let mut values = vec![bf16::ZERO; self.row_bytes() / size_of::<bf16>()];
                let norm = quantise_unsafe::bfloat16(query, &mut values);
                QueryCode(Values::Bf16(values, norm))
            }
        }
    }

    /// The code of a slot as that of a query; `None` when it has none.
    pub fn query_of(&self, slot: u32) -> Option<QueryCode> {
        let (code, norm) = self.code(slot)?;
        Some(QueryCode(match self.metric {
            Metric::Cosine => Values::Int8(Int8Query::new(as_int8(code).to_vec(), norm)),
            Metric::InnerProduct | Metric::L2 => Values::Bf16(as_bf16(code).to_vec(), norm),
        }))
    }

    /// Distance of two slots by their codes; `f32::MAX` when one of them has none. Never NaN or infinite.
    #[inline]
    pub fn distance_between(&self, a: u32, b: u32) -> f32 {
        let Some((a, norm_a)) = self.code(a) else { return f32::MAX };
        let Some((b, norm_b)) = self.code(b) else { return f32::MAX };
        match self.metric {
            Metric::Cosine => kernel_unsafe::cosine(as_int8(a), norm_a, as_int8(b), norm_b),
            Metric::InnerProduct => kernel_unsafe::inner_product(as_bf16(a), norm_a, as_bf16(b), norm_b),
            Metric::L2 => kernel_unsafe::l2(as_bf16(a), norm_a, as_bf16(b), norm_b),
        }
    }

    /// Distance of a slot from a query by their codes; `f32::MAX` when the slot has none. Never NaN or
    /// infinite. The query was coded by codes of this metric and dimension (otherwise: `f32::MAX`).
    #[inline]
    pub fn distance_to(&self, query: &QueryCode, slot: u32) -> f32 {
        self.code(slot).map_or(f32::MAX, |(code, norm)| self.distance(query, code, norm))
    }

    /// Offers every slot of `slots` that is coded and `visible` to `top`.
    pub fn scan(
        &self,
        query: &QueryCode,
        slots: Range<u32>,
        visible: impl Fn(u32) -> bool,
        top: &mut TopCandidates,
    ) {
        self.scan_for(&[query], slots, visible, slice::from_mut(top));
    }

    /// Offers every slot of `slots` that is coded and `visible` to the top of each query. The codes are read once for
    /// all queries. `visible` is asked of slots that are near enough to be kept.
    ///
    /// # Panics
    /// When the queries are not as many as the tops.
    pub fn scan_for(
        &self,
        queries: &[&QueryCode],
        slots: Range<u32>,
        visible: impl Fn(u32) -> bool,
        tops: &mut [TopCandidates],
    ) {
        assert_eq!(queries.len(), tops.len(), "a top for every query");
        let int8: Option<Vec<&Int8Query>> = queries.iter().map(|query| query.int8()).collect();
        let mut distances = vec![0.0; queries.len() * ROWS_AT_ONCE];
        let mut slot = slots.start;
        while slot < slots.end {
            let range = slot as usize..slots.end as usize;
            let rows = self.rows.contiguous(range.clone());
            if rows.is_empty() {
                return;
            }
            // Appended before the rows, in chunks of the same sizes: there is a norm for every row.
            let norms = self.norms.contiguous(range);
            for (rows, norms) in rows.chunks(ROWS_AT_ONCE * self.row_bytes()).zip(norms.chunks(ROWS_AT_ONCE))
            {
                let count = rows.len() / self.row_bytes();
                let norms = &norms[..count];
                match &int8 {
                    Some(queries) => dots_unsafe::distances(queries, rows, norms, &mut distances),
                    None => {
                        for (query, distances) in queries.iter().zip(distances.chunks_exact_mut(count)) {
                            let rows = rows.chunks_exact(self.row_bytes()).zip(norms);
                            for (distance, (row, &norm)) in distances.iter_mut().zip(rows) {
                                *distance = self.distance(query, row, norm);
                            }
                        }
                    }
                }
                for (top, distances) in tops.iter_mut().zip(distances.chunks_exact(count)) {
                    top.offer_all(distances, slot, &visible);
                }
                // As many as lie in a chunk of at most 2^31.
                slot += count as u32;
            }
        }
    }

    /// The codes of the first `count` slots, [`Self::row_bytes`] each, in as many parts as they lie in; `None` when
    /// fewer slots have one.
    pub fn parts(&self, count: u32) -> Option<Vec<&[u8]>> {
        let count = count as usize;
        let mut parts = Vec::new();
        let mut taken = 0;
        while taken < count {
            let rows = self.rows.contiguous(taken..count);
            if rows.is_empty() {
                return None;
            }
            taken += rows.len() / self.row_bytes();
            parts.push(rows);
        }
        Some(parts)
    }

    /// Reads what [`Self::parts`] gave from `offset` of a file on; the second is its CRC-32C. Until that has been
    /// compared the codes are not to be used.
    ///
    /// # Errors
    /// Those of `from`, `UnexpectedEof` when it ends early.
    pub fn read_from(
        metric: Metric,
        dimension: Dimension,
        count: u32,
        from: &dyn File,
        offset: u64,
    ) -> io::Result<(Self, u32)> {
        let mut codes = Self::new(metric, dimension);
        let width = codes.row_bytes();
        codes.rows = ChunkedRows::zeroed(width, count as usize);
        let norm = |code: &[u8]| match metric {
            Metric::Cosine => quantise_unsafe::inverse_norm(as_int8(code)),
            Metric::InnerProduct | Metric::L2 => kernel_unsafe::norm(as_bf16(code)),
        };
        let pieces = bulk::fill(from, offset, codes.rows.pieces(), width, &|bytes| {
            let norms: Vec<f32> = bytes.chunks_exact(width).map(norm).collect();
            (crc32c(bytes), bytes.len() as u64, norms)
        })?;
        let mut sum = 0;
        for (piece, length, norms) in pieces {
            sum = combine(sum, piece, length);
            codes.norms.extend(norms);
        }
        Ok((codes, sum))
    }

    #[inline]
    fn code(&self, slot: u32) -> Option<(&[u8], f32)> {
        Some((self.rows.get(slot as usize)?, *self.norms.get(slot as usize)?))
    }

    #[inline]
    fn distance(&self, query: &QueryCode, code: &[u8], norm: f32) -> f32 {
        match (&query.0, self.metric) {
            (Values::Int8(query), Metric::Cosine) => query.distance(code, norm),
            (Values::Bf16(values, norm_of_query), Metric::InnerProduct) => {
                kernel_unsafe::inner_product(values, *norm_of_query, as_bf16(code), norm)
            }
            (Values::Bf16(values, norm_of_query), Metric::L2) => {
                kernel_unsafe::l2(values, *norm_of_query, as_bf16(code), norm)
            }
            _ => f32::MAX,
        }
    }
}

impl QueryCode {
    const fn int8(&self) -> Option<&Int8Query> {
        match &self.0 {
            Values::Int8(query) => Some(query),
            Values::Bf16(..) => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
