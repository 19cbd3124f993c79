//! Chunks of rows that were used and wait to be used again: a page that the system gives anew costs more than all that is
//! done with the numbers on it. What nobody has wanted for a second is given back.

use std::mem;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use super::CHUNK_FLOATS;
use crate::sync::{Condvar, Mutex};

/// Chunks kept (64 MiB), two of the largest uploads.
const MOST: usize = 64;
/// How long nobody must have wanted a chunk before all are given back.
const IDLE: Duration = Duration::from_secs(1);

static SPARE: Spare = Spare::new();

/// An empty chunk with room for [`CHUNK_FLOATS`].
pub fn take() -> Vec<f32> {
    SPARE.take().unwrap_or_else(|| Vec::with_capacity(CHUNK_FLOATS))
}

/// Keeps those of `chunks` that [`take`] can give.
pub fn give(chunks: &mut Vec<Vec<f32>>) {
    SPARE.give(chunks);
}

/// What is kept. Nobody waits for its lock: where another thread has it, or had it when this process was forked, there
/// is other memory.
struct Spare(Mutex<Kept>);

struct Kept {
    chunks: Vec<Vec<f32>>,
    /// Since the watching thread last looked.
    wanted: bool,
    /// The process in which a thread watches. A forked child has none.
    watched_in: Option<u32>,
}

impl Spare {
    const fn new() -> Self {
        Self(Mutex::new(Kept { chunks: Vec::new(), wanted: false, watched_in: None }))
    }

    fn take(&self) -> Option<Vec<f32>> {
        let mut kept = self.0.try_lock()?;
        kept.wanted = true;
        kept.chunks.pop()
    }

    fn give(&'static self, chunks: &mut Vec<Vec<f32>>) {
        chunks.retain(|chunk| chunk.capacity() == CHUNK_FLOATS);
        if chunks.is_empty() {
            return;
        }
        let Some(mut kept) = self.0.try_lock() else { return };
        let room = MOST.saturating_sub(kept.chunks.len());
        for mut chunk in chunks.drain(..chunks.len().min(room)) {
            chunk.clear();
            kept.chunks.push(chunk);
        }
        if kept.watched_in != Some(process::id()) {
            let watching = thread::Builder::new().name("ingot-spare".to_owned()).spawn(|| self.watch());
            match watching {
                Ok(_) => kept.watched_in = Some(process::id()),
                // Without a thread nothing would ever be given back.
                Err(_) => kept.chunks.clear(),
            }
        }
    }

    /// Gives all back once nobody has wanted any for a while, and ends.
    fn watch(&self) {
        // Nobody wakes it.
        let (never, alarm) = (Mutex::new(()), Condvar::new());
        loop {
            let end = Instant::now() + IDLE;
            let mut guard = never.lock();
            while Instant::now() < end {
                guard = alarm.wait_until(guard, end).0;
            }
            drop(guard);
            let mut kept = self.0.lock();
            if !mem::replace(&mut kept.wanted, false) {
                kept.watched_in = None;
                let chunks = mem::take(&mut kept.chunks);
                drop(kept);
                drop(chunks);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(count: usize) -> Vec<Vec<f32>> {
        (0..count).map(|_| vec![1.0; CHUNK_FLOATS]).collect()
    }

    /// One that no thread watches.
    fn unwatched() -> &'static Spare {
        let spare = Spare::new();
        spare.0.lock().watched_in = Some(process::id());
        Box::leak(Box::new(spare))
    }

    #[test]
    fn a_chunk_that_was_given_is_taken_again_and_is_empty() {
        let spare = unwatched();
        assert!(spare.take().is_none());
        let mut chunks = full(1);
        let place = chunks[0].as_ptr();
        spare.give(&mut chunks);
        let taken = spare.take().unwrap();
        assert_eq!((taken.as_ptr(), taken.len(), taken.capacity()), (place, 0, CHUNK_FLOATS));
        assert!(spare.take().is_none());
    }

    #[test]
    fn no_more_than_the_bound_is_kept_and_nothing_small() {
        let spare = unwatched();
        spare.give(&mut full(MOST - 1));
        spare.give(&mut vec![vec![1.0; 100]]);
        assert_eq!(spare.0.lock().chunks.len(), MOST - 1);
        spare.give(&mut full(3));
        assert_eq!(spare.0.lock().chunks.len(), MOST);
    }

    #[test]
    fn what_nobody_wants_is_given_back_and_the_thread_ends() {
        static SPARE: Spare = Spare::new();
        // Twice: the second time another thread has to come.
        for _ in 0..2 {
            SPARE.give(&mut full(2));
            let deadline = Instant::now() + Duration::from_secs(60);
            while SPARE.0.lock().watched_in.is_some() {
                assert!(Instant::now() < deadline, "still watched");
                thread::park_timeout(Duration::from_millis(10));
            }
            assert!(SPARE.0.lock().chunks.is_empty());
        }
    }
}
