//! How long a collection's searches take at present: whether the next may run where it must not take long.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::thread_unsafe::preemptions;

/// A search that takes longer keeps a thread's other work waiting too long.
const BRISK: Duration = Duration::from_micros(500);
/// What was true longer ago says nothing: pages may have left memory.
const RECENT: Duration = Duration::from_secs(1);

/// When a search began.
pub struct Begun {
    at: Instant,
    preemptions: u64,
}

impl Begun {
    /// Now, on this thread.
    pub fn now() -> Self {
        Self { preemptions: preemptions(), at: Instant::now() }
    }
}

/// The last search.
pub struct Pace {
    made: Instant,
    /// Nanoseconds from `made` to its end; 0 before the first.
    ended: AtomicU64,
    /// Nanoseconds.
    took: AtomicU64,
}

impl Pace {
    pub fn new() -> Self {
        Self { made: Instant::now(), ended: AtomicU64::new(0), took: AtomicU64::new(u64::MAX) }
    }

    /// A search that began on this thread has just ended. Two at once may mix their numbers: both are true. One that
    /// was interrupted says nothing: what it waited for was not its own.
    pub fn record(&self, begun: Begun) {
        if preemptions() != begun.preemptions {
            return;
        }
        let now = Instant::now();
        self.took.store(nanoseconds(now - begun.at), Ordering::Relaxed);
        self.ended.store(nanoseconds(now - self.made), Ordering::Relaxed);
    }

    /// Whether the last search was short, and not long ago.
    pub fn is_brisk(&self) -> bool {
        let since = nanoseconds(self.made.elapsed()).saturating_sub(self.ended.load(Ordering::Relaxed));
        self.took.load(Ordering::Relaxed) < nanoseconds(BRISK) && since < nanoseconds(RECENT)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_short_and_recent_search_is_brisk() {
        let mut pace = Pace::new();
        assert!(!pace.is_brisk(), "nothing is known yet");
        let brisk = |pace: &Pace| {
            // Until one is not interrupted.
            while !pace.is_brisk() {
                pace.record(Begun::now());
            }
        };
        brisk(&pace);
        pace.made -= RECENT;
        assert!(!pace.is_brisk(), "long ago");
        brisk(&pace);
        let long = |preemptions| Begun { at: Instant::now() - BRISK, preemptions };
        pace.record(long(u64::MAX));
        assert!(pace.is_brisk(), "interrupted");
        while pace.is_brisk() {
            pace.record(long(preemptions()));
        }
    }
}
