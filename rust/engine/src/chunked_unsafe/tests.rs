use std::sync::Arc;
use std::thread;

use super::*;
use crate::memory_unsafe::MAPPED_FROM;

#[test]
fn chunks_cover_every_index_once_and_in_order() {
    let mut expected = (0, 0);
    for index in 0..FIRST * 15 {
        assert_eq!(locate(index), expected, "index {index}");
        expected.1 += 1;
        if expected.1 == capacity(expected.0) {
            expected = (expected.0 + 1, 0);
        }
    }
    let (chunk, offset) = locate(u32::MAX as usize);
    assert!(chunk < CHUNKS && offset < capacity(chunk));
}

#[test]
fn elements_never_move_and_nothing_is_read_beyond_the_length() {
    let array = Chunked::new();
    assert_eq!(array.push(7u64), 0);
    let first: *const u64 = &raw const array[0];
    array.extend(1..10_000);
    assert_eq!(first, &raw const array[0]);
    assert_eq!(array.iter().skip(1).copied().collect::<Vec<_>>(), (1..10_000).collect::<Vec<_>>());
    assert_eq!(array.get(10_000), None);
}

#[test]
fn every_element_is_dropped_once() {
    let witness = Arc::new(());
    let array = Chunked::new();
    array.extend((0..500).map(|_| Arc::clone(&witness)));
    assert_eq!(Arc::strong_count(&witness), 501);
    drop(array);
    assert_eq!(Arc::strong_count(&witness), 1);
}

#[test]
fn readers_see_whole_elements_while_others_append() {
    const EACH: u64 = 20_000;
    let array = Chunked::new();
    let rows = ChunkedRows::new(12);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for value in 0..EACH {
                    array.push([value, !value]);
                    rows.push_with(|row| row.fill(value as u8 | 1));
                }
            });
        }
        scope.spawn(|| {
            while array.len() < 2 * EACH as usize || rows.len() < 2 * EACH as usize {
                if let Some(last) = array.len().checked_sub(1) {
                    assert_eq!(array[last][0], !array[last][1]);
                }
                if let Some(last) = rows.len().checked_sub(1) {
                    let row = rows.get(last).unwrap();
                    assert!(row[0] != 0 && row.iter().all(|&byte| byte == row[0]));
                }
            }
        });
    });
    assert_eq!(array.iter().map(|pair| pair[0]).sum::<u64>(), EACH * (EACH - 1));
}

#[test]
fn contiguous_rows_stop_at_the_chunk_the_range_or_the_length() {
    let rows = ChunkedRows::new(2);
    for value in 0..100 {
        rows.push_with(|row| row[0] = value);
    }
    assert_eq!(rows.contiguous(0..1000).len(), FIRST * 2);
    assert_eq!(rows.contiguous(FIRST..1000).len(), (100 - FIRST) * 2);
    assert_eq!(rows.contiguous(3..5), [3, 0, 4, 0]);
    assert!(rows.contiguous(100..200).is_empty() && rows.contiguous(5..5).is_empty());
}

#[test]
fn rows_are_zero_before_they_are_filled_in_small_and_mapped_chunks() {
    let rows = ChunkedRows::new(4096);
    for _ in 0..MAPPED_FROM / 4096 * 3 {
        rows.push_with(|row| {
            assert!(row.iter().all(|&byte| byte == 0));
            row.fill(7);
        });
    }
    assert!(rows.contiguous(600..601).iter().all(|&byte| byte == 7));
    assert!(rows.allocated_bytes() >= rows.len() * 4096);
}

#[test]
fn a_row_whose_filling_panics_is_not_appended() {
    let rows = ChunkedRows::new(4);
    let filling = std::panic::AssertUnwindSafe(|| rows.push_with(|_| panic!("on purpose")));
    assert!(std::panic::catch_unwind(filling).is_err());
    assert!(rows.is_empty());
    assert_eq!(rows.push_with(|row| row.fill(9)), 0);
}

#[test]
fn an_lsn_is_infinite_until_it_is_set() {
    let table = LsnTable::new();
    assert!(table.is_untouched());
    assert_eq!(table.get(u32::MAX), u64::MAX);
    for (slot, lsn) in [(0, 5), (4095, 6), (4096, 7), (1 << 24, 8), (u32::MAX, 9)] {
        table.set(slot, lsn);
        assert_eq!(table.get(slot), lsn);
    }
    assert!(!table.is_untouched());
    assert_eq!([table.get(1), table.get(4097), table.get(1 << 23)], [u64::MAX; 3]);
}

#[test]
fn rows_made_at_once_are_written_in_pieces_and_grow_like_others() {
    for count in [0, 1, FIRST, FIRST + 1, 10_000] {
        let mut rows = ChunkedRows::zeroed(12, count);
        let mut written = 0u32;
        for piece in rows.pieces() {
            for row in piece.chunks_exact_mut(12) {
                assert_eq!(row, [0; 12]);
                row[..4].copy_from_slice(&written.to_le_bytes());
                written += 1;
            }
        }
        assert_eq!((written as usize, rows.len()), (count, count));
        assert_eq!(rows.push_with(|row| row.fill(7)), count);
        for index in 0..count {
            assert_eq!(rows.get(index).unwrap()[..4], (index as u32).to_le_bytes());
        }
        assert_eq!(rows.get(count).unwrap(), [7; 12]);
    }
}
