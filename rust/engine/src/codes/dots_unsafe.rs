//! Distances of int8 codes from the codes of queries, many at a time. Where the processor multiplies bytes (AVX-512
//! VNNI), a tile of rows and queries is kept in registers; elsewhere NumKong measures pair by pair. Both give the
//! same bits: sums of integers, then the same float operations in the same order.

use super::kernel_unsafe::{as_int8, cosine};

/// Bytes that are multiplied at once; a query's code is filled up with zeros to a multiple of them.
const STEP: usize = 64;

/// The int8 code of a query.
pub struct Int8Query {
    values: Vec<i8>,
    columns: usize,
    inverse_norm: f32,
    /// The instruction takes one side unsigned: rows are moved up by 128, which adds this to every product.
    #[cfg(target_arch = "x86_64")]
    excess: i32,
    /// What [`has_vnni`] said: asked once, since the graph measures slot by slot.
    #[cfg(target_arch = "x86_64")]
    vnni: bool,
}

impl Int8Query {
    /// A code as wide as the rows, and its inverse norm.
    pub fn new(mut values: Vec<i8>, inverse_norm: f32) -> Self {
        #[cfg(target_arch = "x86_64")]
        let excess = 128 * values.iter().map(|&value| i32::from(value)).sum::<i32>();
        let columns = values.len();
        values.resize(columns.next_multiple_of(STEP), 0);
        Self {
            values,
            columns,
            inverse_norm,
            #[cfg(target_arch = "x86_64")]
            excess,
            #[cfg(target_arch = "x86_64")]
            vnni: has_vnni(),
        }
    }

    /// `1 - cos` of the query and one row.
    #[inline]
    pub fn distance(&self, row: &[u8], inverse_norm: f32) -> f32 {
        #[cfg(target_arch = "x86_64")]
        if self.vnni && row.len() == self.columns {
            // SAFETY: the processor has the instructions, and the row is as wide as the query.
            return unsafe { vnni::distance(self, row, inverse_norm) };
        }
        cosine(&self.values[..self.columns], self.inverse_norm, as_int8(row), inverse_norm)
    }
}

/// `1 - cos` of every query and every row: of query `q` and row `r` at `distances[q * norms.len() + r]`.
///
/// # Panics
/// When the rows are not as many as `norms`, one is not as wide as a query, or there is not room for all distances.
pub fn distances(queries: &[&Int8Query], rows: &[u8], norms: &[f32], distances: &mut [f32]) {
    let Some(width) = queries.first().map(|query| query.columns) else { return };
    assert!(queries.iter().all(|query| query.columns == width), "queries of one width");
    assert_eq!(rows.len(), norms.len() * width, "whole rows");
    assert!(distances.len() >= queries.len() * norms.len(), "room for the distances");
    if norms.is_empty() {
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if has_vnni() {
        // SAFETY: the processor has the instructions; the lengths fit, see above.
        return unsafe { vnni::distances(queries, rows, norms, distances) };
    }
    plain(queries, rows, norms, distances);
}

fn plain(queries: &[&Int8Query], rows: &[u8], norms: &[f32], distances: &mut [f32]) {
    for (query, distances) in queries.iter().zip(distances.chunks_exact_mut(norms.len())) {
        let rows = rows.chunks_exact(query.columns).map(as_int8).zip(norms);
        for (distance, (row, &norm)) in distances.iter_mut().zip(rows) {
            *distance = cosine(&query.values[..query.columns], query.inverse_norm, row, norm);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn has_vnni() -> bool {
    use std::arch::is_x86_feature_detected;
    is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512f")
}

#[cfg(target_arch = "x86_64")]
mod vnni {
    use std::arch::x86_64::*;

    use super::{Int8Query, STEP};

    /// Sums of one tile: 16 rows of one query, or 4 rows of 4 queries.
    const SUMS: usize = 16;
    /// Rows that share a load of the query, and queries that share a load of the row.
    const SIDE: usize = 4;

    /// # Safety
    /// The row is as wide as the query.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub unsafe fn distance(query: &Int8Query, row: &[u8], inverse_norm: f32) -> f32 {
        let up = _mm512_set1_epi8(i8::MIN);
        let (mut even, mut odd) = (_mm512_setzero_si512(), _mm512_setzero_si512());
        let mut column = 0;
        while column < query.columns {
            // SAFETY: the query is filled up to whole steps; of the row only its columns are read.
            unsafe {
                let values = _mm512_loadu_si512(query.values.as_ptr().add(column).cast());
                let row = load(row.as_ptr().add(column), query.columns - column);
                even = _mm512_dpbusd_epi32(even, _mm512_xor_si512(row, up), values);
            }
            std::mem::swap(&mut even, &mut odd);
            column += STEP;
        }
        let dot = _mm512_reduce_add_epi32(_mm512_add_epi32(even, odd)) - query.excess;
        1.0 - dot as f32 * query.inverse_norm * inverse_norm
    }

    /// # Safety
    /// `rows` are `norms.len()` rows, one at least, each as wide as every query; `distances` has room for all.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub unsafe fn distances(queries: &[&Int8Query], rows: &[u8], norms: &[f32], distances: &mut [f32]) {
        let count = norms.len();
        let (fours, rest) = queries.as_chunks::<SIDE>();
        let (of_fours, of_rest) = distances.split_at_mut(fours.len() * SIDE * count);
        for (queries, distances) in fours.iter().zip(of_fours.chunks_exact_mut(SIDE * count)) {
            // SAFETY: the caller's promise.
            unsafe { of_four(queries, rows, norms, distances) };
        }
        for (query, distances) in rest.iter().zip(of_rest.chunks_exact_mut(count)) {
            // SAFETY: the caller's promise.
            unsafe { of_one(query, rows, norms, distances) };
        }
    }

    /// # Safety
    /// As [`distances`], for one query.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn of_one(query: &Int8Query, rows: &[u8], norms: &[f32], distances: &mut [f32]) {
        let excess = _mm512_set1_epi32(query.excess);
        let inverse_norm = _mm512_set1_ps(query.inverse_norm);
        let all = norms.chunks(SUMS).zip(distances.chunks_mut(SUMS)).enumerate();
        for (tile, (norms, distances)) in all {
            let mut sums = [_mm512_setzero_si512(); SUMS];
            for (side, sums) in sums.as_chunks_mut::<SIDE>().0.iter_mut().enumerate() {
                // SAFETY: the tile has a first row.
                let rows = unsafe { pointers(rows, query.columns, tile * SUMS + side * SIDE, SIDE) };
                // SAFETY: four rows as wide as the query.
                unsafe { multiply(&[query], &rows, sums) };
            }
            let filled = 0xFFFF_u16 >> (SUMS - norms.len());
            // SAFETY: only what is filled is read and written: as many as there are norms, and distances.
            unsafe {
                let norms = _mm512_maskz_loadu_ps(filled, norms.as_ptr());
                let found = cosine(add_up(&sums), excess, inverse_norm, norms);
                _mm512_mask_storeu_ps(distances.as_mut_ptr(), filled, found);
            }
        }
    }

    /// # Safety
    /// As [`distances`], for four queries.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn of_four(queries: &[&Int8Query; SIDE], rows: &[u8], norms: &[f32], distances: &mut [f32]) {
        let count = norms.len();
        let [a, b, c, d] = queries.map(|query| query.excess);
        let excess = _mm512_setr_epi32(a, a, a, a, b, b, b, b, c, c, c, c, d, d, d, d);
        let [a, b, c, d] = queries.map(|query| query.inverse_norm);
        let inverse_norms = _mm512_setr_ps(a, a, a, a, b, b, b, b, c, c, c, c, d, d, d, d);
        for (tile, norms) in norms.chunks(SIDE).enumerate() {
            let first = tile * SIDE;
            let mut sums = [_mm512_setzero_si512(); SUMS];
            // SAFETY: the tile has a first row, and all are as wide as the queries.
            unsafe { multiply(queries, &pointers(rows, queries[0].columns, first, norms.len()), &mut sums) };
            let mut four = [0.0; SIDE];
            four[..norms.len()].copy_from_slice(norms);
            let [a, b, c, d] = four;
            let norms_of_rows = _mm512_setr_ps(a, b, c, d, a, b, c, d, a, b, c, d, a, b, c, d);
            let mut found = [0.0; SUMS];
            // SAFETY: room for 16 floats.
            unsafe {
                let of_tile = cosine(add_up(&sums), excess, inverse_norms, norms_of_rows);
                _mm512_storeu_ps(found.as_mut_ptr(), of_tile);
            }
            for (query, found) in found.as_chunks::<SIDE>().0.iter().enumerate() {
                let to = &mut distances[query * count + first..];
                match to.first_chunk_mut::<SIDE>() {
                    Some(to) if norms.len() == SIDE => *to = *found,
                    _ => to[..norms.len()].copy_from_slice(&found[..norms.len()]),
                }
            }
        }
    }

    /// Where the four rows from `first` on begin, of which `there` are; the last row in place of those that are not.
    ///
    /// # Safety
    /// `rows` are one or more rows of `width` bytes.
    #[inline]
    unsafe fn pointers(rows: &[u8], width: usize, first: usize, there: usize) -> [*const u8; SIDE] {
        let last = (rows.len() / width - 1).min(first + there.max(1) - 1);
        // SAFETY: at most the last row.
        [0, 1, 2, 3].map(|row| unsafe { rows.as_ptr().add((first + row).min(last) * width) })
    }

    /// Adds the products of every query and every row to their sum, query by query.
    ///
    /// # Safety
    /// The rows are as wide as the queries.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    #[inline]
    unsafe fn multiply<const QUERIES: usize, const TILE: usize>(
        queries: &[&Int8Query; QUERIES],
        rows: &[*const u8; SIDE],
        sums: &mut [__m512i; TILE],
    ) {
        let up = _mm512_set1_epi8(i8::MIN);
        let columns = queries[0].columns;
        let mut column = 0;
        while column < columns {
            let mut of_rows = [up; SIDE];
            for (to, row) in of_rows.iter_mut().zip(rows) {
                // SAFETY: of the row only its columns are read.
                *to = _mm512_xor_si512(unsafe { load(row.add(column), columns - column) }, up);
            }
            for (query, sums) in queries.iter().zip(sums.as_chunks_mut::<SIDE>().0) {
                // SAFETY: the query is filled up to whole steps.
                let values = unsafe { _mm512_loadu_si512(query.values.as_ptr().add(column).cast()) };
                for (sum, row) in sums.iter_mut().zip(of_rows) {
                    *sum = _mm512_dpbusd_epi32(*sum, row, values);
                }
            }
            column += STEP;
        }
    }

    /// At most 64 bytes, of which `left` are there; zeros behind them.
    ///
    /// # Safety
    /// `left` bytes can be read.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    unsafe fn load(from: *const u8, left: usize) -> __m512i {
        if left >= STEP {
            // SAFETY: the caller's promise.
            unsafe { _mm512_loadu_si512(from.cast()) }
        } else {
            // SAFETY: bytes that the mask leaves out are not read.
            unsafe { _mm512_maskz_loadu_epi8((1 << left) - 1, from.cast()) }
        }
    }

    /// Adds up each of the registers: the sum of register `i` in lane `i`.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn add_up(sums: &[__m512i; SUMS]) -> __m512i {
        let mut pairs = [_mm512_setzero_si512(); SUMS / 2];
        for (pair, [a, b]) in pairs.iter_mut().zip(sums.as_chunks::<2>().0) {
            *pair = _mm512_add_epi32(_mm512_unpacklo_epi32(*a, *b), _mm512_unpackhi_epi32(*a, *b));
        }
        let mut fours = [_mm512_setzero_si512(); SUMS / 4];
        for (four, [a, b]) in fours.iter_mut().zip(pairs.as_chunks::<2>().0) {
            *four = _mm512_add_epi32(_mm512_unpacklo_epi64(*a, *b), _mm512_unpackhi_epi64(*a, *b));
        }
        // What is left of a sum lies in the same place of the four quarters of its register.
        let [a, b, c, d] = fours;
        let halves =
            |a, b| _mm512_add_epi32(_mm512_shuffle_i32x4::<0x44>(a, b), _mm512_shuffle_i32x4::<0xEE>(a, b));
        let (first, second) = (halves(a, b), halves(c, d));
        _mm512_add_epi32(
            _mm512_shuffle_i32x4::<0x88>(first, second),
            _mm512_shuffle_i32x4::<0xDD>(first, second),
        )
    }

    /// The operations of the plain distance, in its order.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn cosine(sums: __m512i, excess: __m512i, norms: __m512, norms_of_rows: __m512) -> __m512 {
        let dots = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums, excess));
        let scaled = _mm512_mul_ps(_mm512_mul_ps(dots, norms), norms_of_rows);
        _mm512_sub_ps(_mm512_set1_ps(1.0), scaled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::tests::Random;

    #[test]
    fn tiles_and_pairs_give_the_same_bits() {
        for seed in 0..3 {
            let mut random = Random(seed);
            for width in [16, 32, 48, 64, 80, 384, 1536, 3024] {
                let mut code = || -> Vec<i8> { (0..width).map(|_| (random.next() % 255) as i8).collect() };
                let mut queries: Vec<_> = (0..9).map(|_| code()).collect();
                // The largest sums there are.
                queries[3].fill(127);
                let mut rows: Vec<Vec<i8>> = (0..37).map(|_| code()).collect();
                rows[36].fill(127);
                rows[35].fill(-127);
                rows[34].fill(0);
                let norms: Vec<f32> = (0..37).map(|row| 1.0 / (row + 1) as f32).collect();
                let rows: Vec<u8> = rows.concat().into_iter().map(|value| value as u8).collect();
                let queries: Vec<_> =
                    queries.into_iter().map(|values| Int8Query::new(values, random.float())).collect();
                let queries: Vec<_> = queries.iter().collect();
                for count in [1, 2, 3, 4, 5, 15, 16, 17, 37] {
                    let (rows, norms) = (&rows[..count * width], &norms[..count]);
                    for asked in 1..=9 {
                        let mut got = vec![f32::NAN; asked * count];
                        distances(&queries[..asked], rows, norms, &mut got);
                        let mut want = vec![f32::NAN; asked * count];
                        plain(&queries[..asked], rows, norms, &mut want);
                        assert_eq!(got, want, "seed {seed}, width {width}, {asked} queries, {count} rows");
                        for (query, want) in queries.iter().zip(want.chunks_exact(count)) {
                            for ((row, &norm), &want) in rows.chunks_exact(width).zip(norms).zip(want) {
                                assert_eq!(query.distance(row, norm), want, "seed {seed}, width {width}");
                            }
                        }
                    }
                }
            }
        }
    }
}
