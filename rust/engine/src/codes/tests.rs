use std::path::Path;

use super::*;
use crate::exact;
use crate::storage::Storage;
use crate::storage::memory::MemoryDisk;

/// SplitMix64; the seed is in the message of every failure.
pub(crate) struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In -1..1.
    pub fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub fn row(&mut self, columns: usize) -> Vec<f32> {
        (0..columns).map(|_| self.float()).collect()
    }
}

const METRICS: [Metric; 3] = [Metric::Cosine, Metric::InnerProduct, Metric::L2];

fn dimension(columns: usize) -> Dimension {
    Dimension::new(columns).unwrap()
}

fn coded(metric: Metric, rows: &[Vec<f32>]) -> Codes {
    let codes = Codes::new(metric, dimension(rows[0].len()));
    for row in rows {
        codes.append(row);
    }
    codes
}

/// Rows that stretch float32.
fn extreme_rows(columns: usize) -> Vec<Vec<f32>> {
    let single = |value: f32| {
        let mut row = vec![0.0; columns];
        row[columns / 2] = value;
        row
    };
    vec![
        vec![f32::from_bits(1); columns],
        vec![f32::MIN_POSITIVE; columns],
        vec![f32::MAX; columns],
        vec![f32::MIN; columns],
        (0..columns).map(|i| if i % 2 == 0 { f32::MAX } else { f32::MIN }).collect(),
        vec![0.25; columns],
        single(1.0),
        single(f32::MAX),
        single(-f32::from_bits(1)),
        vec![1e-25; columns],
        vec![-3e-25; columns],
    ]
}

#[test]
fn codes_are_as_near_as_their_rows_within_the_rounding_of_a_code() {
    for seed in 0..4 {
        let mut random = Random(seed);
        for columns in [1, 3, 17, 100, 384, 1537, 3024] {
            let rows: Vec<_> = (0..12).map(|_| random.row(columns)).collect();
            for metric in METRICS {
                let codes = coded(metric, &rows);
                let query = codes.encode_query(&rows[0]);
                let exact = exact::prepare(metric, &rows[0]);
                let norm = rows[0].iter().map(|x| x * x).sum::<f32>().sqrt();
                // Of a component, int8 loses 1/254 of the largest, bfloat16 2^-9 of itself.
                let bound = match metric {
                    Metric::Cosine => 0.02,
                    Metric::InnerProduct => 0.02 * norm * norm.max(1.0),
                    Metric::L2 => 0.02 * norm.max(1.0),
                };
                for (slot, row) in (0..).zip(&rows) {
                    let (got, want) = (codes.distance_to(&query, slot), exact.distance(row));
                    assert!(
                        (got - want).abs() <= bound,
                        "seed {seed}, {metric:?}, {columns} columns, slot {slot}: {got} for {want}"
                    );
                    assert_eq!(got, codes.distance_between(0, slot), "seed {seed}, {metric:?}, slot {slot}");
                }
            }
        }
    }
}

#[test]
fn distances_of_extreme_rows_are_finite_and_right() {
    for columns in [1, 16, 385] {
        let rows = extreme_rows(columns);
        for metric in METRICS {
            let codes = coded(metric, &rows);
            for (a, row_a) in (0..).zip(&rows) {
                let exact = exact::prepare(metric, row_a);
                for (b, row_b) in (0..).zip(&rows) {
                    let (got, want) = (codes.distance_between(a, b), exact.distance(row_b));
                    // The smallest bfloat16 is 2^-133: that much is lost of any number, and multiplied.
                    let largest = row_a.iter().chain(row_b).fold(0.0f32, |m, x| m.max(x.abs()));
                    let lost = f32::from_bits(1 << 15) * columns as f32;
                    let bound = match metric {
                        Metric::Cosine => 0.01,
                        Metric::InnerProduct => want.abs() * 0.02 + lost * largest,
                        Metric::L2 => want.abs() * 0.02 + lost,
                    };
                    let near_largest = want.abs() > 0.98 * f32::MAX && got.abs() > 0.98 * f32::MAX;
                    assert!(got.is_finite(), "{metric:?}, {columns} columns, {a} and {b}");
                    assert!(
                        near_largest || (got - want).abs() <= bound,
                        "{metric:?}, {columns} columns, {a} and {b}: {got:e} for {want:e}"
                    );
                }
            }
        }
    }
}

#[test]
fn no_finite_number_becomes_infinite_as_bfloat16() {
    let values = [f32::MAX, f32::MIN, 3.4e38, -3.4e38, 0.0, -0.0, f32::from_bits(1), 1.0];
    let mut code = [bf16::ZERO; 8];
    quantise_unsafe::bfloat16(&values, &mut code);
    for (value, code) in values.iter().zip(code) {
        let back = code.to_f32();
        assert!(back.is_finite() && back.is_sign_negative() == value.is_sign_negative(), "{value} to {back}");
    }
}

#[test]
fn a_scan_gives_what_sorting_every_distance_gives() {
    for seed in 10..14 {
        let mut random = Random(seed);
        let rows: Vec<_> = (0..700).map(|_| random.row(48)).collect();
        for metric in METRICS {
            let codes = coded(metric, &rows);
            let query = codes.encode_query(&random.row(48));
            let (from, to, k) = (13, 650, 25);
            let visible = |slot: u32| !slot.is_multiple_of(3);
            let mut top = TopCandidates::new(k);
            codes.scan(&query, from..300, visible, &mut top);
            codes.scan(&query, 300..to, visible, &mut top);
            let mut want: Vec<_> = (from..to)
                .filter(|&slot| visible(slot))
                .map(|slot| (codes.distance_to(&query, slot), slot))
                .collect();
            want.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            want.truncate(k);
            assert_eq!(top.into_sorted(), want, "seed {seed}, {metric:?}");
        }
    }
}

#[test]
fn a_scan_for_many_queries_gives_what_a_scan_for_each_gives() {
    let mut random = Random(15);
    // More rows than the first chunks hold, and than are measured at once.
    let rows: Vec<_> = (0..5000).map(|_| random.row(40)).collect();
    for metric in METRICS {
        let codes = coded(metric, &rows);
        let queries: Vec<_> = (0..11).map(|_| codes.encode_query(&random.row(40))).collect();
        let visible = |slot: u32| !slot.is_multiple_of(7);
        for asked in [1, 3, 4, 11] {
            let queries: Vec<&QueryCode> = queries[..asked].iter().collect();
            let mut tops = vec![TopCandidates::new(9); asked];
            codes.scan_for(&queries, 5..4999, visible, &mut tops);
            for (query, top) in queries.iter().zip(tops) {
                let mut want: Vec<_> = (5..4999)
                    .filter(|&slot| visible(slot))
                    .map(|slot| (codes.distance_to(query, slot), slot))
                    .collect();
                want.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                assert_eq!(top.into_sorted(), want[..9], "seed 15, {metric:?}, {asked} queries");
            }
        }
    }
}

#[test]
fn a_scan_finds_the_true_neighbours_once_scored_again() {
    let mut random = Random(20);
    let rows: Vec<_> = (0..3000).map(|_| random.row(96)).collect();
    for metric in METRICS {
        let codes = coded(metric, &rows);
        let (mut found, mut asked) = (0, 0);
        for _ in 0..20 {
            let query = random.row(96);
            let exact = exact::prepare(metric, &query);
            let mut want: Vec<_> =
                (0u32..).zip(&rows).map(|(slot, row)| (exact.distance(row), slot)).collect();
            want.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut top = TopCandidates::new(20);
            codes.scan(&codes.encode_query(&query), 0..3000, |_| true, &mut top);
            let candidates = top.into_sorted();
            asked += 10;
            found += want[..10].iter().filter(|(_, slot)| candidates.iter().any(|c| c.1 == *slot)).count();
        }
        assert_eq!(found, asked, "seed 20, {metric:?}");
    }
}

#[test]
fn a_slot_without_a_code_is_as_far_as_can_be() {
    let codes = coded(Metric::Cosine, &[vec![1.0, 2.0]]);
    let query = codes.encode_query(&[1.0, 2.0]);
    assert_eq!(codes.distance_between(0, 1), f32::MAX);
    assert_eq!(codes.distance_to(&query, u32::MAX), f32::MAX);
    let mut top = TopCandidates::new(5);
    codes.scan(&query, 0..100, |_| true, &mut top);
    assert_eq!(top.len(), 1);
}

#[test]
fn codes_read_back_measure_the_same() {
    let mut random = Random(30);
    let rows: Vec<_> = (0..200).map(|_| random.row(50)).chain(extreme_rows(50)).collect();
    for metric in METRICS {
        let codes = coded(metric, &rows);
        let bytes = codes.parts(205).unwrap().concat();
        assert_eq!(bytes.len(), 205 * codes.row_bytes());
        let disk = MemoryDisk::new();
        let file = disk.create(Path::new("codes")).unwrap();
        file.write_at(3, &[&bytes]).unwrap();
        let (read, sum) = Codes::read_from(metric, dimension(50), 205, &*file, 3).unwrap();
        assert_eq!(sum, crc32c(&bytes));
        assert_eq!(read.len(), 205);
        for slot in 0..205 {
            assert_eq!(read.distance_between(7, slot), codes.distance_between(7, slot), "{metric:?}, {slot}");
        }
        let short = Codes::read_from(metric, dimension(50), 206, &*file, 3);
        assert_eq!(short.err().unwrap().kind(), io::ErrorKind::UnexpectedEof);
        assert!(codes.parts(9999).is_none());
    }
}

#[test]
fn readers_measure_what_is_published_while_rows_are_appended() {
    let codes = Codes::new(Metric::Cosine, dimension(24));
    let mut random = Random(40);
    let query = codes.encode_query(&random.row(24));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..20_000 {
                codes.append(&random.row(24));
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while codes.len() < 20_000 {
                    let published = codes.len() as u32;
                    let mut top = TopCandidates::new(3);
                    codes.scan(&query, published.saturating_sub(50)..published, |_| true, &mut top);
                    assert!(top.into_sorted().iter().all(|(distance, _)| (-0.01..2.01).contains(distance)));
                }
            });
        }
    });
}

#[test]
fn top_candidates_prefer_the_smaller_slot_and_never_keep_nan() {
    let mut top = TopCandidates::new(2);
    for (distance, slot) in [(1.0, 9), (f32::NAN, 0), (1.0, 4), (1.0, 7)] {
        top.offer(distance, slot);
    }
    assert_eq!(top.threshold(), 1.0);
    assert_eq!(top.into_sorted(), [(1.0, 4), (1.0, 7)]);
    let mut none = TopCandidates::new(0);
    none.offer(0.0, 1);
    assert!(none.is_empty());
}

#[test]
fn candidates_kept_apart_and_merged_are_those_kept_together() {
    for seed in 50..60 {
        let mut random = Random(seed);
        // Few values: many ties.
        let distances: Vec<f32> = (0..300).map(|_| (random.next() % 40) as f32).collect();
        let mut together = TopCandidates::new(12);
        together.offer_all(&distances, 0, |slot| slot % 5 != 0);
        let mut apart = TopCandidates::new(12);
        apart.offer_all(&distances[..50], 0, |slot| slot % 5 != 0);
        let mut threads = [apart.successor(), apart.successor()];
        threads[0].offer_all(&distances[200..], 200, |slot| slot % 5 != 0);
        threads[1].offer_all(&distances[50..200], 50, |slot| slot % 5 != 0);
        threads.into_iter().for_each(|thread| apart.merge(thread));
        assert_eq!(apart.into_sorted(), together.into_sorted(), "seed {seed}");
    }
}
