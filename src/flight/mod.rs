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
//! Who would wait for itself, directly or through others, is told so, or is given the value as it is, if there is one already: the *draft*; see `waits`.
//! A flight with a draft that is given up does not go on with another creator, since the key has gone into the draft: those who wait board again.

mod passenger;
mod seat;

use crate::frames::Work;
#[cfg(feature = "async")]
use crate::sync::Event;
use crate::sync::{self, AtomicBool, AtomicUsize, Dormitory, List, Lock, OnceCell, Ordering};
use crate::tie::Tie;
use passenger::Passenger;
pub(crate) use seat::{Left, Seat};
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
    /// Where threads wait for `vacant` or `result` to change.
    dormitory: Dormitory,
    /// Where tasks do.
    #[cfg(feature = "async")]
    changed: Event,
    /// A task waits, or has waited. Changed under the list's lock.
    polled: AtomicBool,
    /// It was given up for all. Changed under the list's lock.
    ended: AtomicBool,
    /// The value before it is entered. An owner of it, and so of the key, until the flight goes.
    draft: OnceCell<R>,
    /// Made when it is first needed. Set under the list's lock.
    tie: OnceCell<Arc<Tie>>,
}

impl<T, R> Flight<T, R> {
    fn work(self: &Arc<Self>) -> Work {
        Arc::as_ptr(self) as Work
    }

    /// Lets those who wait know that the seat is vacant: one, if that is a thread, which will take it. A task may be woken and not polled
    /// again, so where there are tasks all are woken.
    fn wake(&self, all: bool) {
        if all {
            self.wake_all();
        } else {
            self.dormitory.wake_one();
        }
    }

    fn wake_all(&self) {
        self.dormitory.wake_all();
        #[cfg(feature = "async")]
        self.changed.notify_all();
    }

    /// There is nothing yet for those who wait.
    fn goes_on(&self) -> bool {
        let over = self.vacant.load(Ordering::Relaxed) || self.ended.load(Ordering::Relaxed);
        !over && self.result.get().is_none()
    }

    fn is_tied(&self) -> bool {
        self.tie.get().is_some_and(|tie| tie.is_tied())
    }
}

/// The tie of a flight. From now on those who change the flight notify it too: under the lock of its list, after the change, they look whether it is there.
fn tie_of<T, R>(lane: &Lane<T, R>, flight: &Flight<T, R>) -> Arc<Tie> {
    if let Some(tie) = flight.tie.get() {
        return Arc::clone(tie);
    }
    let tie = Tie::new();
    lane.0.with(|_| Arc::clone(flight.tie.get_or_init(|| tie)))
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
    airspace: OnceCell<Arc<Airspace<T, R>>>,
}

struct Airspace<T, R> {
    lanes: Box<[Lane<T, R>]>,
    /// For those who share it and outlive who has made it.
    closed: AtomicBool,
}

/// How a boarding ends.
pub(crate) enum Turn<'a, T, R> {
    /// It is for the caller to create.
    Create(Seat<'a, T, R>),
    /// Somebody else has.
    Landed(R),
    /// It is not entered yet, and the caller must not wait for that.
    Unfinished(R),
    /// What the caller has boarded with. The flight was given up for all.
    Again(T),
}

impl<T, R> Airspace<T, R> {
    fn lane(&self, hash: u64) -> &Lane<T, R> {
        // Not the bits that choose the bucket's tag, nor those that choose the bucket.
        &self.lanes[(hash >> 16) as usize & (self.lanes.len() - 1)]
    }
}

impl<T, R: Clone> Flights<T, R> {
    #[cfg(not(all(highlander_loom, feature = "loom")))]
    pub(crate) const fn new() -> Self {
        Self {
            airspace: OnceCell::new(),
        }
    }

    #[cfg(all(highlander_loom, feature = "loom"))]
    pub(crate) fn new() -> Self {
        Self {
            airspace: OnceCell::new(),
        }
    }

    fn airspace(&self) -> &Arc<Airspace<T, R>> {
        self.airspace.get_or_init(|| {
            let lanes = (0..sync::lanes()).map(|_| Lane(Lock::new(List::new())));
            Arc::new(Airspace {
                lanes: lanes.collect(),
                closed: AtomicBool::new(false),
            })
        })
    }

    fn lane(&self, hash: u64) -> &Lane<T, R> {
        self.airspace().lane(hash)
    }

    /// Lets those know who share these that nothing is to be entered any more.
    pub(crate) fn close(&self) {
        self.airspace().closed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn are_closed(&self) -> bool {
        self.airspace().closed.load(Ordering::Relaxed)
    }

    pub(crate) fn are_shared(&self) -> bool {
        let airspace = self.airspace.get();
        airspace.is_some_and(|airspace| Arc::strong_count(airspace) > 1)
    }

    /// The same flights.
    pub(crate) fn share(&self) -> Self {
        let shared = Self::new();
        let _ = shared.airspace.set(Arc::clone(self.airspace()));
        shared
    }

    /// The seat of a flight of these that its last holder has left.
    pub(crate) fn resume(&self, flight: Left<T, R>) -> Seat<'_, T, R> {
        let mut seat = Seat::new(self.lane(flight.flight.hash), flight.flight);
        seat.is_in = flight.is_in;
        seat
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
            dormitory: Dormitory::new(),
            #[cfg(feature = "async")]
            changed: Event::new(),
            polled: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            draft: OnceCell::new(),
            tie: OnceCell::new(),
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
        self.look_on(hash, is_it).is_some()
    }

    /// The value of such a flight as it is, for whoever is in the middle of something that must not wait for it.
    #[cold]
    pub(crate) fn unfinished(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<R> {
        self.look_on(hash, is_it)?.unfinished()
    }

    /// Boards a flight with this hash and such a ticket.
    fn look_on(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<Passenger<'_, T, R>> {
        let lane = self.airspace.get()?.lane(hash);
        let flights: Vec<_> = lane.0.with(|list| {
            let listed = list.iter().filter(|listed| listed.get().hash == hash);
            listed.map(Listed::join).collect()
        });
        // On board, so that the tickets stay.
        let passengers = flights
            .into_iter()
            .map(|flight| Passenger::new(lane, flight));
        let mut passengers: Vec<_> = passengers.collect();
        let at = passengers
            .iter()
            .position(|other| is_it(&other.flight.ticket))?;
        Some(passengers.swap_remove(at))
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
            let unknown = unknown.into_iter();
            strangers.extend(unknown.map(|flight| Passenger::new(lane, flight)));
            let is_ours = |other: &Passenger<'_, T, R>| same(&mine.ticket, &other.flight.ticket);
            if let Some(at) = strangers[first..].iter().position(is_ours) {
                let mut ours = strangers.swap_remove(first + at);
                drop(strangers);
                ours.own = Some(mine);
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

fn take_off<T, R>(list: &mut Flying<T, R>, flight: &Arc<Flight<T, R>>) {
    let at = list.iter().position(|listed| listed.is(flight));
    list.swap_remove(at.expect("a flight is on its list until it ends"));
}
