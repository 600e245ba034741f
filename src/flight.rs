//! Single flight: one creator per key at a time, and the others asleep until it is done.
//!
//! ```text
//!  miss ─► board: join the flight of this key, or enter one of our own         (dashmap: hash to flights)
//!        ─► land:  the first to arrive creates, the others sleep              (once_cell)
//!                  created ─► entered in the index ─► all get the same value
//!                  failed  ─► the error goes to its caller, the next one of the others creates
//!        ─► leave: the last one to leave, or the first after success, takes the flight off the list
//! ```
//!
//! The key waits in the ticket of the first passenger (in a `Seed`: inside the node that the value will live in). Those who come later
//! compare theirs with it there, outside of every lock: two keys with the same hash are two flights. The value stays alive until its last
//! waiter has looked, because the flight owns it too, so a creator may drop its own handle at once.
//!
//! A creator that, directly or not, asks for its own key *on its own thread* is told so. Cycles through several threads are not
//! found; when they are, it will be here, as each flight knows its creator.

use crate::error::CycleError;
use crate::sync::{self, AtomicUsize, ListMap, OnceCell, Ordering};
use std::sync::Arc;

/// A creation under way.
struct Flight<T, R> {
    hash: u64,
    /// What the first to board brought along; it has the key.
    ticket: T,
    result: OnceCell<R>,
    /// The token of the thread that runs the factory; 0 for none.
    creator: AtomicUsize,
    /// Those who have not left yet. Changed under the list's lock.
    passengers: AtomicUsize,
}

/// The creations under way in one registry. Tickets carry the key that is created; results are what each passenger gets a clone of.
pub(crate) struct Flights<T, R> {
    by_hash: OnceCell<ListMap<Arc<Flight<T, R>>>>,
}

impl<T, R: Clone> Flights<T, R> {
    #[cfg(not(all(highlander_loom, feature = "loom")))]
    pub(crate) const fn new() -> Self {
        Self {
            by_hash: OnceCell::new(),
        }
    }

    #[cfg(all(highlander_loom, feature = "loom"))]
    pub(crate) fn new() -> Self {
        Self {
            by_hash: OnceCell::new(),
        }
    }

    /// What `create` makes for a key, or what another creator of the same key is about to make. `create` gets the ticket that all
    /// passengers share, which need not be this one, and the flight keeps that until the last of them has left.
    ///
    /// A panic of `create` goes to the caller, an error too; in both cases one of the waiters creates next. What creation leaves to
    /// be dropped should wait until this call is over: while `create` runs, the others sleep.
    #[cold]
    pub(crate) fn get_or_create<E: From<CycleError>>(
        &self,
        hash: u64,
        ticket: T,
        same: impl Fn(&T, &T) -> bool,
        create: impl FnOnce(&T) -> Result<R, E>,
    ) -> Result<R, E> {
        let seat = self.board(hash, ticket, &same);
        let flight = &*seat.flight;
        let me = sync::thread_token();
        // Only this thread can have stored its own token.
        if flight.creator.load(Ordering::Relaxed) == me {
            return Err(CycleError::new().into());
        }
        let landed = flight.result.get_or_try_init(|| {
            let _creating = Creating::begin(&flight.creator, me);
            create(&flight.ticket)
        });
        let landed = landed.cloned();
        // Here, not at the end of the scope: it may drop a key, and if that panics, `landed` is still ours to drop.
        drop(seat);
        landed
    }

    /// Joins the flight of this key, or begins one.
    fn board(&self, hash: u64, ticket: T, same: &dyn Fn(&T, &T) -> bool) -> Seat<'_, T, R> {
        let by_hash = self.by_hash.get_or_init(ListMap::new);
        let mine = Arc::new(Flight {
            hash,
            ticket,
            result: OnceCell::new(),
            creator: AtomicUsize::new(0),
            passengers: AtomicUsize::new(1),
        });
        // Flights with the same hash that turned out to have another key. We hold a seat in each, so that it stays on the list.
        let mut strangers: Vec<Seat<'_, T, R>> = Vec::new();
        loop {
            let (unknown, landed) = by_hash.update(hash, |list| {
                if list.is_empty() {
                    list.push(Arc::clone(&mine));
                    return (Vec::new(), Vec::new());
                }
                // A flight that has landed is no creation under way: its value is in the index, or has been taken out since.
                let (landed, flying): (Vec<_>, Vec<_>) = std::mem::take(list)
                    .into_iter()
                    .partition(|flight| flight.result.get().is_some());
                *list = flying;
                let known =
                    |flight: &Arc<_>| strangers.iter().any(|s| Arc::ptr_eq(&s.flight, flight));
                let unknown: Vec<_> = list
                    .iter()
                    .filter(|flight| !known(flight))
                    .cloned()
                    .collect();
                for flight in &unknown {
                    flight.passengers.fetch_add(1, Ordering::Relaxed);
                }
                if unknown.is_empty() {
                    list.push(Arc::clone(&mine));
                }
                (unknown, landed)
            });
            drop(landed);
            if unknown.is_empty() {
                return Seat {
                    by_hash,
                    flight: mine,
                };
            }
            let first = strangers.len();
            strangers.extend(unknown.into_iter().map(|flight| Seat { by_hash, flight }));
            let is_ours = |seat: &Seat<'_, T, R>| same(&mine.ticket, &seat.flight.ticket);
            if let Some(at) = strangers[first..].iter().position(is_ours) {
                let seat = strangers.swap_remove(first + at);
                drop((strangers, mine));
                return seat;
            }
        }
    }
}

/// Marks a flight as being created by this thread, until dropped.
struct Creating<'a>(&'a AtomicUsize);

impl<'a> Creating<'a> {
    fn begin(creator: &'a AtomicUsize, me: usize) -> Self {
        creator.store(me, Ordering::Relaxed);
        Self(creator)
    }
}

impl Drop for Creating<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// A place on a flight; left when dropped, also by a panic.
struct Seat<'a, T, R> {
    by_hash: &'a ListMap<Arc<Flight<T, R>>>,
    flight: Arc<Flight<T, R>>,
}

impl<T, R> Drop for Seat<'_, T, R> {
    fn drop(&mut self) {
        // What comes off the list is dropped after its lock: it may be the last to own a key or a value.
        let _off = self.by_hash.update(self.flight.hash, |list| {
            let left = self.flight.passengers.fetch_sub(1, Ordering::Relaxed) - 1;
            if left > 0 && self.flight.result.get().is_none() {
                return None;
            }
            let at = list
                .iter()
                .position(|flight| Arc::ptr_eq(flight, &self.flight))?;
            Some(list.swap_remove(at))
        });
    }
}
