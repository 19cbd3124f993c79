//! How long a collection's searches take at present: whether the next may run where it must not take long.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A search that takes longer keeps a thread's other work waiting too long.
const BRISK: Duration = Duration::from_micros(500);
/// What was true longer ago says nothing: pages may have left memory.
const RECENT: Duration = Duration::from_secs(1);

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

    /// A search that began at `started` has just ended. Two at once may mix their numbers: both are true.
    pub fn record(&self, started: Instant) {
        let now = Instant::now();
        self.took.store(nanoseconds(now - started), Ordering::Relaxed);
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
        pace.record(Instant::now());
        assert!(pace.is_brisk());
        pace.made -= RECENT;
        assert!(!pace.is_brisk(), "long ago");
        pace.record(Instant::now() - BRISK);
        assert!(!pace.is_brisk(), "too slow");
    }
}
