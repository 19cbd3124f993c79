//! Whose turn it is in the graph. usearch's searches read link lists without a lock while an add rewrites
//! them, and a list's entries are not aligned: a search could read half an old and half a new entry, which
//! names a node that is not there. So adds and searches take turns: many adds or many searches, never both.
//!
//! A turn is short. When both wait, it passes on as soon as those who waited when it began are done. A search
//! waits for as long as its caller has patience and not at all for growth; it is told no, and its caller scans.
//! Reading (saving, counting) goes together with searches.

use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex, MutexGuard};

pub struct Gate {
    /// Most adds, and most searches, at the same time.
    limit: usize,
    state: Mutex<State>,
    changed: [Condvar; 3],
}

/// Index of a side in the arrays below.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Search = 0,
    Add = 1,
    Exclusive = 2,
}

#[derive(Default)]
struct State {
    /// Searches (readings among them), adds.
    active: [usize; 2],
    waiting: [usize; 2],
    readings: usize,
    /// The graph is closed for everybody else, or about to be.
    exclusive: bool,
    /// Places that no add and no search has.
    places: Vec<usize>,
    /// Whose turn it is when both wait, and how many may still enter in it.
    turn: usize,
    quota: usize,
}

/// Leave to be in the graph, until dropped.
pub struct Turn<'a> {
    gate: &'a Gate,
    side: Side,
    reading: bool,
    place: usize,
}

impl Turn<'_> {
    /// A number below the limit that no other add, or search, has meanwhile; of no use to a reading.
    pub const fn place(&self) -> usize {
        self.place
    }
}

impl Gate {
    pub fn new(limit: usize) -> Self {
        let state = State { places: (0..limit).rev().collect(), ..State::default() };
        Self { limit, state: Mutex::new(state), changed: Default::default() }
    }

    /// Leave to search; `None` when the graph is closed, or not free within `patience`.
    pub fn search(&self, patience: Duration) -> Option<Turn<'_>> {
        let mut state = self.state.lock();
        if state.exclusive {
            return None;
        }
        if !state.admits(Side::Search, self.limit) {
            let deadline = Instant::now() + patience;
            state.waiting[Side::Search as usize] += 1;
            self.hand_over(&mut state);
            let mut in_time = true;
            while in_time && !state.exclusive && !state.admits(Side::Search, self.limit) {
                (state, in_time) = self.changed[Side::Search as usize].wait_until(state, deadline);
            }
            state.waiting[Side::Search as usize] -= 1;
            if state.exclusive || !state.admits(Side::Search, self.limit) {
                self.hand_over(&mut state);
                return None;
            }
        }
        Some(self.enter(state, Side::Search, false))
    }

    /// Leave to add, when it comes.
    pub fn add(&self) -> Turn<'_> {
        self.wait(Side::Add, false)
    }

    /// Leave to read at length, when it comes: excludes adds, not searches.
    pub fn read(&self) -> Turn<'_> {
        self.wait(Side::Search, true)
    }

    /// Leave to change everything, alone, when it comes. From the call on, searches are told no.
    pub fn exclusive(&self) -> Turn<'_> {
        let mut state = self.state.lock();
        // A long reading first: searches need not be turned away for it.
        while state.exclusive || state.readings > 0 {
            state = self.changed[Side::Exclusive as usize].wait(state);
        }
        state.exclusive = true;
        self.changed[Side::Search as usize].notify_all();
        while state.active != [0, 0] {
            state = self.changed[Side::Exclusive as usize].wait(state);
        }
        Turn { gate: self, side: Side::Exclusive, reading: false, place: 0 }
    }

    fn wait(&self, side: Side, reading: bool) -> Turn<'_> {
        let limit = if reading { usize::MAX } else { self.limit };
        let mut state = self.state.lock();
        if state.exclusive || !state.admits(side, limit) {
            state.waiting[side as usize] += 1;
            self.hand_over(&mut state);
            while state.exclusive || !state.admits(side, limit) {
                state = self.changed[side as usize].wait(state);
            }
            state.waiting[side as usize] -= 1;
        }
        self.enter(state, side, reading)
    }

    fn enter(&self, mut state: MutexGuard<'_, State>, side: Side, reading: bool) -> Turn<'_> {
        state.active[side as usize] += 1;
        state.readings += usize::from(reading);
        if state.waiting[1 - side as usize] > 0 && state.turn == side as usize {
            state.quota = state.quota.saturating_sub(1);
        }
        // As many are in as the limit says at most, readings apart, and alone is who has it exclusively.
        let place = if reading { 0 } else { state.places.pop().unwrap_or(0) };
        Turn { gate: self, side, reading, place }
    }

    /// Gives the turn to the side that waits, once nobody is in the graph and the turn is used up or nobody
    /// is left to use it.
    fn hand_over(&self, state: &mut State) {
        let (turn, other) = (state.turn, 1 - state.turn);
        let over = state.quota == 0 || state.waiting[turn] == 0;
        if state.active == [0, 0] && over && state.waiting[other] > 0 {
            state.turn = other;
            state.quota = state.waiting[other];
        }
        for side in [Side::Search, Side::Add] {
            if state.waiting[side as usize] > 0 && state.admits(side, self.limit) {
                self.changed[side as usize].notify_all();
            }
        }
    }
}

impl State {
    fn admits(&self, side: Side, limit: usize) -> bool {
        let (own, other) = (side as usize, 1 - side as usize);
        let unopposed = self.waiting[other] == 0 || (side == Side::Search && self.readings > 0);
        self.active[other] == 0
            && self.active[own] - if side == Side::Search { self.readings } else { 0 } < limit
            && (unopposed || (self.turn == own && self.quota > 0))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let gate = self.gate;
        let mut state = gate.state.lock();
        if self.side == Side::Exclusive {
            state.exclusive = false;
        } else {
            state.active[self.side as usize] -= 1;
            state.readings -= usize::from(self.reading);
            if !self.reading {
                state.places.push(self.place);
            }
        }
        gate.hand_over(&mut state);
        gate.changed[Side::Exclusive as usize].notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Arc, mpsc};
    use std::thread;

    use super::*;

    const SHORT: Duration = Duration::from_millis(3);
    const NEVER_OVER: Duration = Duration::from_secs(3600);

    /// Counts who is in the graph and checks that they may be there together.
    #[derive(Default)]
    struct Inside([AtomicUsize; 2], [AtomicBool; 2]);

    impl Inside {
        fn visit(&self, side: Side, limit: usize, turn: Turn<'_>) {
            let own = self.0[side as usize].fetch_add(1, Ordering::SeqCst) + 1;
            assert!(own <= limit, "{own} at the same time");
            let place = &self.1[turn.place()];
            assert!(!place.swap(true, Ordering::SeqCst), "two at the same place");
            thread::yield_now();
            place.store(false, Ordering::SeqCst);
            assert_eq!(self.0[1 - side as usize].load(Ordering::SeqCst), 0, "an add beside a search");
            self.0[side as usize].fetch_sub(1, Ordering::SeqCst);
            drop(turn);
        }
    }

    #[test]
    fn adds_and_searches_are_never_in_together_and_neither_starves() {
        const ROUNDS: usize = 2000;
        let shared = Arc::new((Gate::new(2), Inside::default(), AtomicUsize::new(6)));
        let (report, reports) = mpsc::channel();
        // Not joined: a side that starves never ends, and the deadline below must be able to say so.
        for number in 0..6 {
            let (shared, report) = (Arc::clone(&shared), report.clone());
            thread::spawn(move || {
                let (gate, inside, left) = &*shared;
                let mut admitted = 0;
                while admitted < ROUNDS {
                    if number % 2 == 0 {
                        inside.visit(Side::Add, 2, gate.add());
                        admitted += 1;
                    } else if let Some(turn) = gate.search(SHORT) {
                        inside.visit(Side::Search, 2, turn);
                        admitted += 1;
                    }
                }
                left.fetch_sub(1, Ordering::SeqCst);
                report.send(())
            });
        }
        thread::spawn(move || {
            let (gate, inside, left) = &*shared;
            while left.load(Ordering::SeqCst) > 0 {
                let turn = gate.exclusive();
                assert!(inside.0.iter().all(|side| side.load(Ordering::SeqCst) == 0));
                drop(turn);
                drop(gate.read());
            }
            report.send(())
        });
        let deadline = Instant::now() + Duration::from_secs(60);
        for done in 0..7 {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(reports.recv_timeout(left).is_ok(), "{done} of 7 threads came through");
        }
    }

    #[test]
    fn a_long_reading_keeps_adds_out_and_lets_searches_in() {
        let gate = Gate::new(1);
        let added = AtomicBool::new(false);
        thread::scope(|scope| {
            let reading = gate.read();
            scope.spawn(|| {
                drop(gate.add());
                added.store(true, Ordering::SeqCst);
            });
            while gate.state.lock().waiting[Side::Add as usize] == 0 {
                thread::yield_now();
            }
            for _ in 0..10 {
                assert!(gate.search(SHORT).is_some());
            }
            assert!(!added.load(Ordering::SeqCst));
            drop(reading);
        });
        assert!(added.into_inner());
    }

    #[test]
    fn a_search_waits_no_longer_than_its_patience() {
        let gate = Gate::new(1);
        let adding = gate.add();
        assert!(gate.search(SHORT).is_none(), "an add that does not end");
        drop(adding);
        let closed = gate.exclusive();
        assert!(gate.search(NEVER_OVER).is_none(), "a closed graph");
        drop(closed);
        let first = gate.search(SHORT);
        assert!(first.is_some() && gate.search(SHORT).is_none(), "more searches than places");
        assert!(gate.state.lock().waiting[Side::Search as usize] == 0);
    }
}
