//! Whether somebody else is served at present, too.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Owner;

/// Owners are served together while requests of another came within this time.
const TOGETHER: Duration = Duration::from_secs(1);

/// Whose request came last, and until when several count as served together. Of this process: whatever threads serve
/// them, they share its processors.
struct Company {
    last: AtomicU64,
    /// Nanoseconds.
    until: AtomicU64,
}

static COMPANY: Company = Company::new();

/// A request of `owner` has come.
pub fn came(owner: Owner) {
    COMPANY.came(owner, now());
}

/// Whether requests of more than one owner have come of late.
pub(super) fn is_there(now: u64) -> bool {
    COMPANY.is_there(now)
}

/// Until when what happens at `now` is of late.
pub(super) fn late(now: u64) -> u64 {
    now + nanoseconds(TOGETHER)
}

/// Nanoseconds since the first question.
pub(super) fn now() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    nanoseconds(START.elapsed())
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Company {
    const fn new() -> Self {
        Self { last: AtomicU64::new(0), until: AtomicU64::new(0) }
    }

    fn came(&self, owner: Owner, now: u64) {
        if self.last.load(Ordering::Relaxed) == owner.number() {
            return;
        }
        if self.last.swap(owner.number(), Ordering::Relaxed) != Owner::NOBODY.number() {
            self.until.store(late(now), Ordering::Relaxed);
        }
    }

    fn is_there(&self, now: u64) -> bool {
        now < self.until.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_who_ask_within_a_second_are_together() {
        let (company, second) = (Company::new(), nanoseconds(TOGETHER));
        for now in [1, 2, 3] {
            company.came(Owner::of("a"), now);
            assert!(!company.is_there(now), "alone");
        }
        company.came(Owner::of("b"), 4);
        assert!(company.is_there(5));
        company.came(Owner::of("b"), second);
        assert!(company.is_there(second + 3));
        assert!(!company.is_there(second + 4), "alone again");
        company.came(Owner::of("a"), 2 * second);
        assert!(company.is_there(2 * second));
    }
}
