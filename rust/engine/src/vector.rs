//! The words for a vector: its dimension, its metric, and the rows of one upload.

mod spare;

use std::iter;
use std::num::NonZeroU16;
use std::ops::Range;

use crate::limits::MAX_DIMENSION;

/// Number of columns of a tenant's vectors: 1..=3024.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimension(NonZeroU16);

impl Dimension {
    /// `None` unless `columns` is in 1..=3024.
    pub fn new(columns: usize) -> Option<Self> {
        if columns > MAX_DIMENSION {
            return None;
        }
        NonZeroU16::new(u16::try_from(columns).ok()?).map(Self)
    }

    /// Number of columns.
    pub const fn get(self) -> usize {
        self.0.get() as usize
    }

    /// Bytes of one row of float32 numbers.
    pub const fn row_bytes(self) -> usize {
        self.get() * size_of::<f32>()
    }
}

/// How two vectors are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Metric {
    /// `1 - cos(a, b)`
    Cosine = 0,
    /// `-dot(a, b)`
    InnerProduct = 1,
    /// Euclidean distance, root taken.
    L2 = 2,
}

impl Metric {
    /// Its name in requests and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::InnerProduct => "ip",
            Self::L2 => "l2",
        }
    }

    /// The metric of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Cosine, Self::InnerProduct, Self::L2].into_iter().find(|metric| metric.name() == name)
    }
}

/// Floats that a chunk of [`Rows`] has room for (1 MiB); the first has less while it is small.
const CHUNK_FLOATS: usize = 1 << 18;
/// Floats up to which the first chunk doubles (64 KiB).
const SMALL_FLOATS: usize = 1 << 14;

/// The rows of one upload, row-major, in chunks that hold whole rows: growing copies nothing.
#[derive(Debug)]
pub struct Rows {
    dimension: Dimension,
    chunks: Vec<Vec<f32>>,
    count: usize,
}

impl Rows {
    /// No rows yet. Memory is taken as rows arrive.
    pub const fn new(dimension: Dimension) -> Self {
        Self { dimension, chunks: Vec::new(), count: 0 }
    }

    /// Number of columns.
    pub const fn dimension(&self) -> Dimension {
        self.dimension
    }

    /// Number of rows.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no row.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Rows that one chunk holds.
    pub const fn rows_per_chunk(&self) -> usize {
        let rows = CHUNK_FLOATS / self.dimension.get();
        if rows == 0 { 1 } else { rows }
    }

    /// The chunks in order, each of whole rows, all but the last of [`Self::rows_per_chunk`] rows.
    pub fn chunks(&self) -> impl ExactSizeIterator<Item = &[f32]> + DoubleEndedIterator {
        self.chunks.iter().map(Vec::as_slice)
    }

    /// Some of the rows as they lie: pieces of whole rows, in order.
    ///
    /// # Panics
    /// When `rows` reaches beyond the last.
    pub fn pieces(&self, rows: Range<usize>) -> impl Iterator<Item = &[f32]> {
        let (per_chunk, dimension) = (self.rows_per_chunk(), self.dimension.get());
        let mut at = rows.start;
        iter::from_fn(move || {
            let until = rows.end.min((at / per_chunk + 1) * per_chunk);
            (at < rows.end).then(|| {
                let start = at % per_chunk * dimension;
                let piece = &self.chunks[at / per_chunk][start..start + (until - at) * dimension];
                at = until;
                piece
            })
        })
    }

    /// Row `index`.
    ///
    /// # Panics
    /// When `index >= self.len()`.
    pub fn row(&self, index: usize) -> &[f32] {
        let per_chunk = self.rows_per_chunk();
        let start = index % per_chunk * self.dimension.get();
        &self.chunks[index / per_chunk][start..start + self.dimension.get()]
    }

    /// Appends a row of zeros and gives it, to be filled in place.
    pub fn grow(&mut self) -> &mut [f32] {
        let dimension = self.dimension.get();
        let chunk = self.room(dimension);
        chunk.resize(chunk.len() + dimension, 0.0);
        self.count += 1;
        self.last_mut()
    }

    /// The last chunk, with room for a row or more. A small upload stays small: its only chunk doubles.
    fn room(&mut self, wanted: usize) -> &mut Vec<f32> {
        let chunk_floats = self.rows_per_chunk() * self.dimension.get();
        let full = self.chunks.last().is_none_or(|chunk| chunk.len() == chunk_floats);
        if full {
            let chunk = match (self.chunks.is_empty(), wanted) {
                (true, 0..=SMALL_FLOATS) => Vec::with_capacity(wanted),
                _ => spare::take(),
            };
            self.chunks.push(chunk);
        }
        let last = self.chunks.len() - 1;
        let chunk = &mut self.chunks[last];
        if chunk.len() == chunk.capacity() {
            let twice = chunk.len() * 2;
            if twice <= SMALL_FLOATS {
                chunk.reserve_exact(chunk.len());
            } else {
                let mut large = spare::take();
                large.extend_from_slice(chunk);
                *chunk = large;
            }
        }
        chunk
    }

    /// The last row, empty when there is none.
    pub fn last_mut(&mut self) -> &mut [f32] {
        let dimension = self.dimension.get();
        match self.chunks.last_mut() {
            Some(chunk) => {
                let start = chunk.len() - dimension;
                &mut chunk[start..]
            }
            None => &mut [],
        }
    }

    /// Appends whole rows that lie one behind the other.
    ///
    /// # Panics
    /// When `values` is not a multiple of the dimension.
    pub fn extend(&mut self, mut values: &[f32]) {
        assert_eq!(values.len() % self.dimension.get(), 0, "whole rows only");
        self.count += values.len() / self.dimension.get();
        let chunk_floats = self.rows_per_chunk() * self.dimension.get();
        while !values.is_empty() {
            let chunk = self.room(values.len());
            // Whole rows: a chunk that doubled has room for a number of them.
            let room = chunk.capacity().min(chunk_floats) - chunk.len();
            let (now, rest) = values.split_at(values.len().min(room));
            chunk.extend_from_slice(now);
            values = rest;
        }
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        spare::give(&mut self.chunks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_grow_by_whole_chunks_and_a_small_upload_stays_small() {
        let mut rows = Rows::new(Dimension::new(3000).unwrap());
        rows.grow();
        assert_eq!(rows.chunks[0].capacity(), 3000);
        for index in 1..200 {
            rows.grow()[0] = index as f32;
        }
        rows.last_mut()[2999] = 7.0;
        assert_eq!(rows.len(), 200);
        assert!(rows.chunks().rev().skip(1).all(|chunk| chunk.len() == rows.rows_per_chunk() * 3000));
        assert!(rows.chunks.iter().all(|chunk| chunk.capacity() <= CHUNK_FLOATS));
        for index in 0..200 {
            assert_eq!(rows.row(index)[0], index as f32);
        }
        assert_eq!(rows.row(199)[2999], 7.0);
        for range in [0..200, 0..0, 86..88, 87..174, 199..200] {
            let pieces: Vec<f32> = rows.pieces(range.clone()).flatten().copied().collect();
            let expected: Vec<f32> = range.flat_map(|row| rows.row(row)).copied().collect();
            assert!(pieces == expected);
        }
    }
}
