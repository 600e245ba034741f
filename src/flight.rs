//! Single flight: one creator per key at a time, and the others asleep until it is done.
//!
//! ```text
//!  miss ─► board ─► nobody creates this key: the seat is ours ─► create ─► land:    entered in the index, all get the same value
//!             │                                          ▲          └───► give up: the seat is vacant, one of those who wait is woken
//!             └───► somebody does: wait asleep ──────────┘ the seat may become ours
//! ```
//!
//! The flights under way are in short lists, by hash, each under a lock that is held for a few instructions. Whoever has the seat of a flight takes it off
//! the list; if it is vacant, the last one who waits does. A flight that nobody else wants costs one allocation, and no one is told of its end.
//!
//! The key waits in the ticket of the first passenger (in a `Seed`: inside the node that the value will live in). Those who come later
//! compare theirs with it there, outside of every lock: two keys with the same hash are two flights. The result stays alive until its last
//! waiter has looked, because the flight owns it too, so a creator may drop its own handle at once.
//!
//! Who would wait for itself, directly or through others, is told so; see `waits`.

use crate::error::CycleError;
use crate::sync::{self, AtomicBool, AtomicUsize, Event, List, Lock, OnceCell, Ordering};
use crate::waits::{self, Describe, Waiting, Work};
use std::ptr::NonNull;
use std::sync::Arc;

/// A creation under way.
struct Flight<T, R> {
    hash: u64,
    /// What the first to board brought along; it has the key.
    ticket: T,
    /// Those who are on board besides whoever has the seat. Changed under the list's lock.
    waiting: AtomicUsize,
    /// Nobody has the seat. Changed under the list's lock.
    vacant: AtomicBool,
    /// Set if somebody waits for it.
    result: OnceCell<R>,
    /// What changes `vacant` or `result`.
    changed: Event,
    /// A task waits, or has waited. Changed under the list's lock.
    polled: AtomicBool,
}

impl<T, R> Flight<T, R> {
    fn work(self: &Arc<Self>) -> Work {
        Arc::as_ptr(self) as Work
    }

    /// Lets those who wait know that the seat is vacant: one, if that is a thread, which will take it. A task may be woken and not polled
    /// again, so where there are tasks all are woken.
    fn wake(&self, tasks: bool) {
        if tasks {
            self.changed.notify_all();
        } else {
            self.changed.notify_one();
        }
    }
}

/// A flight on a list. Invariant: while it is there, whoever has its seat, or if nobody has, each one who waits, is an owner of it.
struct Listed<T, R>(NonNull<Flight<T, R>>);

// SAFETY: a list entry is used like a reference to the flight, from which `Arc`s are made.
unsafe impl<T, R> Send for Listed<T, R> where Arc<Flight<T, R>>: Send {}

impl<T, R> Listed<T, R> {
    fn new(flight: &Arc<Flight<T, R>>) -> Self {
        Self(NonNull::from(&**flight))
    }

    fn is(&self, flight: &Arc<Flight<T, R>>) -> bool {
        std::ptr::eq(self.0.as_ptr(), Arc::as_ptr(flight))
    }

    fn get(&self) -> &Flight<T, R> {
        // SAFETY: the invariant; the caller has the list's lock, so the flight stays on it.
        unsafe { self.0.as_ref() }
    }

    /// One more owner.
    fn join(&self) -> Arc<Flight<T, R>> {
        self.get().waiting.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as in `get`; the pointer is that of an `Arc`.
        unsafe {
            Arc::increment_strong_count(self.0.as_ptr());
            Arc::from_raw(self.0.as_ptr())
        }
    }
}

type Flying<T, R> = List<Listed<T, R>>;

/// A line of its own for each list.
#[repr(align(128))]
struct Lane<T, R>(Lock<Flying<T, R>>);

/// The creations under way in one registry. Tickets carry the key that is created; results are what each passenger gets a clone of.
pub(crate) struct Flights<T, R> {
    lanes: OnceCell<Box<[Lane<T, R>]>>,
}

/// How a boarding ends.
pub(crate) enum Turn<'a, T, R> {
    /// It is for the caller to create.
    Create(Seat<'a, T, R>),
    /// Somebody else has.
    Landed(R),
}

impl<T, R: Clone> Flights<T, R> {
    #[cfg(not(all(highlander_loom, feature = "loom")))]
    pub(crate) const fn new() -> Self {
        Self {
            lanes: OnceCell::new(),
        }
    }

    #[cfg(all(highlander_loom, feature = "loom"))]
    pub(crate) fn new() -> Self {
        Self {
            lanes: OnceCell::new(),
        }
    }

    fn lane(&self, hash: u64) -> &Lane<T, R> {
        let lanes = self.lanes.get_or_init(|| {
            (0..sync::lanes())
                .map(|_| Lane(Lock::new(List::new())))
                .collect()
        });
        Self::lane_of(lanes, hash)
    }

    fn lane_of(lanes: &[Lane<T, R>], hash: u64) -> &Lane<T, R> {
        // Not the bits that choose the bucket's tag, nor those that choose the bucket.
        &lanes[(hash >> 16) as usize & (lanes.len() - 1)]
    }

    /// Joins the flight of this key, or begins one. All passengers share the ticket of the first, and the flight keeps that until the last of them
    /// has left.
    #[cold]
    pub(crate) fn board(
        &self,
        hash: u64,
        ticket: T,
        same: &dyn Fn(&T, &T) -> bool,
    ) -> Boarded<'_, T, R> {
        let lane = self.lane(hash);
        let mine = Arc::new(Flight {
            hash,
            ticket,
            waiting: AtomicUsize::new(0),
            vacant: AtomicBool::new(false),
            result: OnceCell::new(),
            changed: Event::new(),
            polled: AtomicBool::new(false),
        });
        let begun = lane.0.with(|list| {
            let free = list.iter().all(|listed| listed.get().hash != hash);
            if free {
                list.push(Listed::new(&mine));
            }
            free
        });
        if begun {
            Boarded::First(Seat::new(lane, mine))
        } else {
            Self::board_beside(lane, mine, same)
        }
    }

    /// Whether there is a flight with this hash and such a ticket.
    pub(crate) fn any(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> bool {
        let Some(lanes) = self.lanes.get() else {
            return false;
        };
        let lane = Self::lane_of(lanes, hash);
        let flights: Vec<_> = lane.0.with(|list| {
            let listed = list.iter().filter(|listed| listed.get().hash == hash);
            listed.map(Listed::join).collect()
        });
        // On board, so that the tickets stay.
        let passengers: Vec<_> = flights
            .into_iter()
            .map(|flight| Passenger { lane, flight })
            .collect();
        passengers.iter().any(|other| is_it(&other.flight.ticket))
    }

    /// As `board`, where there may be a flight with the same hash.
    #[cold]
    fn board_beside<'a>(
        lane: &'a Lane<T, R>,
        mine: Arc<Flight<T, R>>,
        same: &dyn Fn(&T, &T) -> bool,
    ) -> Boarded<'a, T, R> {
        // Flights that turned out to have another key. We are on board of each, so that it stays on the list.
        let mut strangers: Vec<Passenger<'a, T, R>> = Vec::new();
        loop {
            let unknown: Vec<_> = lane.0.with(|list| {
                let unknown: Vec<_> = list
                    .iter()
                    .filter(|listed| listed.get().hash == mine.hash)
                    .filter(|listed| !strangers.iter().any(|other| listed.is(&other.flight)))
                    .map(Listed::join)
                    .collect();
                if unknown.is_empty() {
                    list.push(Listed::new(&mine));
                }
                unknown
            });
            if unknown.is_empty() {
                return Boarded::First(Seat::new(lane, mine));
            }
            let first = strangers.len();
            strangers.extend(unknown.into_iter().map(|flight| Passenger { lane, flight }));
            let is_ours = |other: &Passenger<'_, T, R>| same(&mine.ticket, &other.flight.ticket);
            if let Some(at) = strangers[first..].iter().position(is_ours) {
                let ours = strangers.swap_remove(first + at);
                drop((strangers, mine));
                return Boarded::Later(ours);
            }
        }
    }
}

/// A place on a flight.
pub(crate) enum Boarded<'a, T, R> {
    First(Seat<'a, T, R>),
    Later(Passenger<'a, T, R>),
}

/// The right to create, and the duty to end the flight; dropped without a result, it goes to one of those who wait.
pub(crate) struct Seat<'a, T, R> {
    lane: &'a Lane<T, R>,
    flight: Arc<Flight<T, R>>,
    /// The flight is not on its list any more.
    ended: bool,
}

impl<'a, T, R> Seat<'a, T, R> {
    fn new(lane: &'a Lane<T, R>, flight: Arc<Flight<T, R>>) -> Self {
        Self {
            lane,
            flight,
            ended: false,
        }
    }
}

impl<T, R: Clone> Seat<'_, T, R> {
    /// What all passengers share.
    pub(crate) fn ticket(&self) -> &T {
        &self.flight.ticket
    }

    /// Runs a part of the creation, on this thread and now.
    pub(crate) fn during<U>(&self, describe: Describe<'_>, f: impl FnOnce() -> U) -> U {
        waits::during(self.flight.work(), describe, f)
    }

    /// Ends the flight: all who wait get the result.
    pub(crate) fn land(mut self, result: R) -> R {
        let flight = &self.flight;
        // Until nobody waits, or there is something for those who do: what it takes to clone it is user code, which may panic while the flight is
        // still on its list.
        let mut for_others = None;
        loop {
            let ended = self.lane.0.with(|list| {
                let ends = for_others.is_some() || flight.waiting.load(Ordering::Relaxed) == 0;
                if ends {
                    take_off(list, flight);
                }
                ends
            });
            if ended {
                break;
            }
            for_others = Some(result.clone());
        }
        self.ended = true;
        if let Some(result) = for_others {
            // Nobody else sets it: only who has the seat does.
            let _ = self.flight.result.set(result);
            self.flight.changed.notify_all();
        }
        // Here: it may drop a key, and if that panics, `result` is still ours to drop.
        drop(self);
        result
    }
}

fn take_off<T, R>(list: &mut Flying<T, R>, flight: &Arc<Flight<T, R>>) {
    let at = list.iter().position(|listed| listed.is(flight));
    list.swap_remove(at.expect("a flight is on its list until it ends"));
}

impl<T, R> Drop for Seat<'_, T, R> {
    /// Gives up, if the flight has not ended.
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let tasks = self.lane.0.with(|list| {
            if self.flight.waiting.load(Ordering::Relaxed) == 0 {
                take_off(list, &self.flight);
            } else {
                self.flight.vacant.store(true, Ordering::Relaxed);
            }
            self.flight.polled.load(Ordering::Relaxed)
        });
        self.flight.wake(tasks);
    }
}

/// One who waits, until it is dropped.
pub(crate) struct Passenger<'a, T, R> {
    lane: &'a Lane<T, R>,
    flight: Arc<Flight<T, R>>,
}

impl<'a, T, R: Clone> Passenger<'a, T, R> {
    /// Sleeps until there is a result, or the seat is vacant and the caller's.
    pub(crate) fn wait(self) -> Result<Turn<'a, T, R>, CycleError> {
        let work = self.flight.work();
        if waits::is_inside(work) {
            return Err(waits::own_cycle(work));
        }
        // Many factories take less time than falling asleep does.
        for round in 0..sync::spins_for_a_flight() {
            if let Some(turn) = self.turn() {
                return Ok(turn);
            }
            sync::relax(round);
        }
        loop {
            let listener = self.flight.changed.listen();
            // Again, as what has changed before is not listened to.
            if let Some(turn) = self.turn() {
                return Ok(turn);
            }
            let waiting = Waiting::begin(work)?;
            listener.wait();
            drop(waiting);
        }
    }

    /// As [`wait`](Self::wait), without holding up a thread.
    #[cfg(feature = "async")]
    pub(crate) async fn wait_async(self) -> Result<Turn<'a, T, R>, CycleError> {
        let work = self.flight.work();
        if waits::is_inside(work) {
            return Err(waits::own_cycle(work));
        }
        let lane = self.lane;
        lane.0
            .with(|_| self.flight.polled.store(true, Ordering::Relaxed));
        loop {
            let listener = self.flight.changed.listen();
            if let Some(turn) = self.turn() {
                return Ok(turn);
            }
            let waiting = Waiting::begin(work)?;
            listener.wait_async().await;
            drop(waiting);
        }
    }

    /// What the waiting has come to, if it is over.
    pub(crate) fn turn(&self) -> Option<Turn<'a, T, R>> {
        if let Some(result) = self.flight.result.get() {
            return Some(Turn::Landed(result.clone()));
        }
        // Looked at again under the lock.
        if !self.flight.vacant.load(Ordering::Relaxed) {
            return None;
        }
        let lane = self.lane;
        let ours = lane.0.with(|_| {
            let ours = self.flight.vacant.load(Ordering::Relaxed);
            if ours {
                self.flight.vacant.store(false, Ordering::Relaxed);
            }
            ours
        });
        ours.then(|| Turn::Create(Seat::new(lane, Arc::clone(&self.flight))))
    }
}

impl<T, R> Drop for Passenger<'_, T, R> {
    /// Nobody else need be woken: a notification that a listener has not used goes on to the next.
    fn drop(&mut self) {
        let flight = &self.flight;
        self.lane.0.with(|list| {
            let left = flight.waiting.fetch_sub(1, Ordering::Relaxed) - 1;
            if left == 0 && flight.vacant.load(Ordering::Relaxed) {
                take_off(list, flight);
            }
        });
    }
}
