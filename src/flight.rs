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
//! The key waits inside the node that the value will live in. Those who come later compare theirs with it there, outside of every lock:
//! two keys with the same hash are two flights. The value stays alive until its last waiter has looked, because the flight owns
//! it too, so a creator may drop its own handle at once.
//!
//! A creator that, directly or not, asks for its own key *on its own thread* is told so. Cycles through several threads are not
//! found; when they are, it will be here, as each flight knows its creator.

use crate::engine::{Engine, Entered};
use crate::entry::Entry;
use crate::error::CycleError;
use crate::node::Node;
use crate::strong::{Blank, Strong};
use crate::sync::{self, AtomicBool, AtomicUsize, ListMap, OnceCell, Ordering};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::sync::Arc;

/// A creation under way.
struct Flight<K, V> {
    hash: u64,
    seed: Seed<K, V>,
    result: OnceCell<Strong<Entry<K, V>>>,
    /// The token of the thread that runs the factory; 0 for none.
    creator: AtomicUsize,
    /// Those who have not left yet. Changed under the list's lock.
    passengers: AtomicUsize,
}

// SAFETY: the key in the seed is only read while shared; the node is written by the one creator, in a part that nobody
// reads before it is published. The bounds are those of a handle, as every passenger gets one.
unsafe impl<K: Send + Sync, V: Send + Sync> Send for Flight<K, V> {}
// SAFETY: as above.
unsafe impl<K: Send + Sync, V: Send + Sync> Sync for Flight<K, V> {}

/// A node that has a key, but no value yet.
struct Seed<K, V> {
    node: Node,
    /// The node has become an entry, owned by `result` and the handles.
    sown: AtomicBool,
    /// Gives the node back if not.
    blank: ManuallyDrop<Blank<Entry<K, V>>>,
}

impl<K, V> Seed<K, V> {
    fn new(blank: Blank<Entry<K, V>>, key: K) -> Self {
        let node = blank.node();
        // SAFETY: the blank has the node alone.
        unsafe { Entry::<K, V>::write_key(node, key) };
        Self {
            node,
            sown: AtomicBool::new(false),
            blank: ManuallyDrop::new(blank),
        }
    }

    fn key(&self) -> &K {
        // SAFETY: the key is written; it is dropped with the seed, or with the entry, which the flight's result owns.
        unsafe { <Entry<K, V> as crate::body::Body>::key(self.node) }
    }

    /// Makes the seed an entry with this value, unless another value with its key has been entered meanwhile: then the seed keeps
    /// its key, which others may be reading. What is left over is put aside, to be dropped where nobody waits for it.
    ///
    /// # Safety
    /// Called by one thread at a time, and never again once it has entered the seed.
    unsafe fn sow(
        &self,
        engine: &Engine<Entry<K, V>>,
        hash: u64,
        value: V,
        leftovers: &mut Leftovers<K, V>,
    ) -> Strong<Entry<K, V>>
    where
        K: Eq,
    {
        /// Drops the value again when `Eq` panics.
        struct Unsow<K, V>(Node, PhantomData<(K, V)>);
        impl<K, V> Drop for Unsow<K, V> {
            fn drop(&mut self) {
                // SAFETY: written below, and not entered.
                drop(unsafe { Entry::<K, V>::take_value(self.0) });
            }
        }
        // SAFETY: no value is there now, and others read the key only.
        unsafe { Entry::<K, V>::write_value(self.node, value) };
        let unsow = Unsow::<K, V>(self.node, PhantomData);
        let Entered {
            existing,
            strangers,
        } = engine.enter(self.node, hash, |other| self.key() == other);
        std::mem::forget(unsow);
        leftovers.strangers = strangers;
        match existing {
            Some(existing) => {
                // SAFETY: written above, and not entered.
                leftovers.value = Some(unsafe { Entry::<K, V>::take_value(self.node) });
                existing
            }
            None => {
                self.sown.store(true, Ordering::Relaxed);
                engine.add_live(1);
                // SAFETY: linked, and its count is ours.
                unsafe { Strong::adopt(self.node) }
            }
        }
    }
}

/// What a creation leaves to be dropped.
struct Leftovers<K, V> {
    /// The value that was made in vain.
    value: Option<V>,
    /// Values of other keys with the same hash.
    strangers: Vec<Strong<Entry<K, V>>>,
}

impl<K, V> Drop for Seed<K, V> {
    fn drop(&mut self) {
        if !self.sown.load(Ordering::Relaxed) {
            // SAFETY: dropped once, here, and after the key also when that one's destructor panics.
            let blank = unsafe { ManuallyDrop::take(&mut self.blank) };
            // SAFETY: no value was written, and the last passenger has the node alone.
            unsafe { Entry::<K, V>::drop_key(blank.node()) };
        }
    }
}

/// The creations under way in one registry.
pub(crate) struct Flights<K, V> {
    by_hash: OnceCell<ListMap<Arc<Flight<K, V>>>>,
}

impl<K, V> Flights<K, V> {
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

    /// The live value for `key`, or the one that `make` makes, or the one that another creator of the same key is about to make.
    ///
    /// A panic of `make` goes to the caller, an error too; in both cases one of the waiters creates next.
    #[cold]
    pub(crate) fn get_or_create<E: From<CycleError>>(
        &self,
        engine: &Engine<Entry<K, V>>,
        hash: u64,
        key: K,
        make: impl FnOnce(&K) -> Result<V, E>,
    ) -> Result<Strong<Entry<K, V>>, E>
    where
        K: Eq,
    {
        let seat = self.board(engine, hash, key);
        let flight = &*seat.flight;
        let me = sync::thread_token();
        // Only this thread can have stored its own token.
        if flight.creator.load(Ordering::Relaxed) == me {
            return Err(CycleError::new().into());
        }
        let mut leftovers = Leftovers {
            value: None,
            strangers: Vec::new(),
        };
        let landed = flight.result.get_or_try_init(|| {
            let _creating = Creating::begin(&flight.creator, me);
            let key = flight.seed.key();
            // Whoever created it last may have left between our look at the index and our boarding.
            if let Some(existing) = engine.get(hash, |other| other == key) {
                return Ok(existing);
            }
            let value = make(key)?;
            // SAFETY: `get_or_try_init` runs one of us at a time, and none after the first success.
            Ok(unsafe { flight.seed.sow(engine, hash, value, &mut leftovers) })
        });
        let landed = landed.cloned();
        // Here, where the others do not wait any more, and not at the end of the scope: they may drop keys and values, and if
        // that panics, `landed` is still ours to drop.
        drop(leftovers);
        drop(seat);
        landed
    }

    /// Joins the flight of this key, or begins one.
    fn board(&self, engine: &Engine<Entry<K, V>>, hash: u64, key: K) -> Seat<'_, K, V>
    where
        K: Eq,
    {
        let by_hash = self.by_hash.get_or_init(ListMap::new);
        let mine = Arc::new(Flight {
            hash,
            seed: Seed::new(engine.blank(0, hash, 0), key),
            result: OnceCell::new(),
            creator: AtomicUsize::new(0),
            passengers: AtomicUsize::new(1),
        });
        // Flights with the same hash that turned out to have another key. We hold a seat in each, so that it stays on the list.
        let mut strangers: Vec<Seat<'_, K, V>> = Vec::new();
        loop {
            let (unknown, landed) = by_hash.update(hash, |list| {
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
            let is_ours = |seat: &Seat<'_, K, V>| *seat.flight.seed.key() == *mine.seed.key();
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
struct Seat<'a, K, V> {
    by_hash: &'a ListMap<Arc<Flight<K, V>>>,
    flight: Arc<Flight<K, V>>,
}

impl<K, V> Drop for Seat<'_, K, V> {
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
