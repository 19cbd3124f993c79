//! Who asks at present, and who of them for much: a crowd lets the others go first.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use super::Owner;
use crate::sync::Mutex;
use crate::thread_unsafe;

/// How long it counts that an owner asked, and that it had several requests at a time.
const OF_LATE: Duration = Duration::from_secs(1);

/// Owners after whom those that nothing is known of any more are forgotten.
const MOST_REMEMBERED: usize = 1024;

/// Until when it counts that somebody who is to be spared waiting shares this process with others: nanoseconds since its
/// start. No lock, so that it may be asked for anywhere and survives a fork.
static MIXED_UNTIL: AtomicU64 = AtomicU64::new(0);
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// How long a thread computes before it gives way again.
const BETWEEN_YIELDS: u64 = 50_000;

thread_local! {
    static GAVE_WAY: Cell<u64> = const { Cell::new(0) };
}

/// To be called every few tens of microseconds by whoever computes for longer than that. While somebody who has one request
/// at a time shares the process with others, those threads run now that became ready meanwhile: the system would let the
/// caller go on for up to its slice, which is milliseconds. A thread that [lets others run
/// first](thread_unsafe::let_others_run_first) always gives way. Whether it did.
pub fn give_way() -> bool {
    let now = now();
    let last = GAVE_WAY.get();
    let gives = (last == 0 || now >= last + BETWEEN_YIELDS)
        && (now < MIXED_UNTIL.load(Ordering::Relaxed) || thread_unsafe::lets_others_run_first());
    if gives {
        std::thread::yield_now();
        GAVE_WAY.set(now);
    }
    gives
}

/// Owners that share threads. One for whatever shares them, not one for the process: a lock that some thread holds when
/// the process forks is held for ever in the child.
pub struct Company {
    owners: Mutex<Owners>,
}

impl Company {
    /// Nobody asks.
    pub fn new() -> Self {
        LazyLock::force(&START);
        Self { owners: Mutex::default() }
    }

    /// A request of `owner` has come.
    pub fn request(self: &Arc<Self>, owner: Owner) -> Request {
        if owner != Owner::NOBODY {
            let now = now();
            if self.owners.lock().came(owner, now) {
                MIXED_UNTIL.fetch_max(now + nanoseconds(OF_LATE), Ordering::Relaxed);
            }
        }
        Request { company: Arc::clone(self), owner }
    }

    /// Whether `owner` is to let others go first.
    pub(super) fn is_crowding(&self, owner: Owner) -> bool {
        owner != Owner::NOBODY && self.owners.lock().is_crowding(owner, now())
    }
}

impl Default for Company {
    fn default() -> Self {
        Self::new()
    }
}

/// A request in progress, until it is dropped.
#[must_use]
pub struct Request {
    company: Arc<Company>,
    owner: Owner,
}

impl Request {
    /// `completion`, which then ends the request, too.
    pub fn until<T: 'static>(self, completion: Box<dyn FnOnce(T) + Send>) -> Box<dyn FnOnce(T) + Send> {
        Box::new(move |outcome| {
            drop(self);
            completion(outcome);
        })
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if self.owner != Owner::NOBODY {
            self.company.owners.lock().ended(self.owner, now());
        }
    }
}

/// Nanoseconds since the process began.
fn now() -> u64 {
    nanoseconds(START.elapsed())
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What is known of them.
#[derive(Default)]
struct Owners {
    known: HashMap<Owner, Known>,
    /// How many are known when those are forgotten of whom nothing counts any more.
    forget_at: usize,
    /// The last of those who came with one request at a time, and until when that counts.
    quiet: Option<(Owner, u64)>,
    /// Who came last, and until when that counts.
    last: Option<(Owner, u64)>,
}

#[derive(Default)]
struct Known {
    in_progress: usize,
    /// Until when it counts that it had several.
    crowd_until: u64,
}

impl Owners {
    /// Whether somebody who has one request at a time came right after another owner, or the other way round.
    fn came(&mut self, owner: Owner, now: u64) -> bool {
        if self.known.len() >= self.forget_at {
            self.known.retain(|_, known| known.in_progress > 0 || now < known.crowd_until);
            self.forget_at = MOST_REMEMBERED.max(2 * self.known.len());
        }
        let until = now + nanoseconds(OF_LATE);
        let known = self.known.entry(owner).or_default();
        known.in_progress += 1;
        if known.in_progress > 1 {
            known.crowd_until = until;
        } else if now >= known.crowd_until {
            self.quiet = Some((owner, until));
        }
        let followed =
            self.last.replace((owner, until)).filter(|(last, until)| *last != owner && now < *until);
        let is_quiet = |owner| self.quiet.is_some_and(|(quiet, until)| quiet == owner && now < until);
        followed.is_some_and(|(last, _)| is_quiet(owner) || is_quiet(last))
    }

    fn ended(&mut self, owner: Owner, now: u64) {
        if let Some(known) = self.known.get_mut(&owner) {
            known.in_progress -= 1;
            if known.in_progress == 0 && now >= known.crowd_until {
                self.known.remove(&owner);
            }
        }
    }

    fn is_crowding(&self, owner: Owner, now: u64) -> bool {
        self.quiet.is_some_and(|(quiet, until)| quiet != owner && now < until)
            && self.known.get(&owner).is_some_and(|known| now < known.crowd_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn who_had_several_requests_at_a_time_lets_those_go_first_who_had_not() {
        let (a, b, c) = (Owner::of("a"), Owner::of("b"), Owner::of("c"));
        let mut company = Owners::default();
        (1..5).for_each(|now| _ = company.came(a, now));
        assert!(!company.is_crowding(a, 5), "alone");
        company.came(b, 5);
        assert!(company.is_crowding(a, 6) && !company.is_crowding(b, 6));
        // One at a time, it may be as often as it likes.
        (6..100).for_each(|now| {
            company.ended(b, now);
            company.came(b, now);
        });
        assert!(company.is_crowding(a, 100) && !company.is_crowding(b, 100));
        (0..4).for_each(|_| company.ended(a, 101));
        assert!(company.is_crowding(a, SECOND + 3), "it had several a moment ago");
        assert!(!company.is_crowding(a, SECOND + 4), "long ago");
        company.came(b, SECOND + 5);
        assert!(!company.is_crowding(b, SECOND + 6), "nobody else asks");
        company.came(c, SECOND + 7);
        assert!(company.is_crowding(b, SECOND + 8));
        company.came(c, SECOND + 9);
        assert!(company.is_crowding(b, 2 * SECOND), "the other asked with one, first");
        company.came(b, 2 * SECOND);
        assert!(
            !company.is_crowding(b, 2 * SECOND + 7) && !company.is_crowding(c, 2 * SECOND + 7),
            "both do"
        );
    }

    #[test]
    fn who_shares_the_process_with_a_quiet_one_gives_way() {
        let (a, b, c) = (Owner::of("a"), Owner::of("b"), Owner::of("c"));
        let mut owners = Owners::default();
        assert!(!owners.came(a, 1), "alone");
        owners.ended(a, 2);
        assert!(!owners.came(a, 3), "it follows itself");
        assert!(owners.came(b, 4), "a quiet one follows another");
        assert!(!owners.came(b, 5), "loud by now, and no other came between");
        assert!(owners.came(a, 5), "the quiet one, though it has several: it had not a moment ago");
        assert!(!owners.came(b, SECOND + 6), "the other was here too long ago");
        (0..2).for_each(|_| _ = owners.came(c, 3 * SECOND));
        (0..2).for_each(|_| _ = owners.came(b, 5 * SECOND));
        assert!(!owners.came(c, 5 * SECOND + 1) && !owners.came(b, 5 * SECOND + 1), "both are loud");

        let company = Arc::new(Company::new());
        let _requests = (company.request(a), company.request(b));
        assert!(give_way());
        std::thread::spawn(|| assert!(give_way(), "every thread")).join().unwrap();
    }

    #[test]
    fn owners_who_are_gone_are_forgotten() {
        let mut company = Owners::default();
        for number in 0..2 * MOST_REMEMBERED as u64 {
            let owner = Owner::of(&number.to_string());
            (0..2).for_each(|_| _ = company.came(owner, number * SECOND));
            (0..2).for_each(|_| company.ended(owner, number * SECOND));
        }
        assert!(company.known.len() <= MOST_REMEMBERED);
        let owner = Owner::of("one at a time");
        let before = company.known.len();
        company.came(owner, u64::MAX / 2);
        company.ended(owner, u64::MAX / 2);
        assert!(company.known.len() <= before && !company.known.contains_key(&owner));
    }
}
