//! Single flight: one creator per key at a time, and the others asleep until it is done.
//!
//! ```text
//!  miss ─► join ─► nobody creates this key: lead ─► create ─► publish: it is entered, all get the same value
//!             │                             ▲          └────► give up: waiters retry, one of them leads
//!             └──► somebody does: sleep ────┘
//! ```
//!
//! - Flights are in short lists by hash, each under a lock that is held for a few instructions. A flight is
//!   on its list while it has a leader, which owns it. One that nobody else wants costs one allocation.
//! - The key waits in a `ReservedNode`: inside the node that the value will live in. Rivals compare their key
//!   with it there, outside of every lock: two keys with the same hash are two flights. The flight owns the
//!   result until its last waiter has seen it, so a creator may drop its own handle at once.
//! - When a flight is given up, the thread that has slept longest leads the flight that it has brought along,
//!   by a decision under the same lock: nobody who comes later can be quicker. All others retry. A task is
//!   never made to lead, since it may be woken and never be polled again.

mod leader;
mod waiter;

use crate::deadlock::work::Work;
use crate::memory::panics::{after, Panics};
use crate::sync::{self, const_fn, plain, AtomicBool, AtomicUsize, List, Lock};
use crate::sync::{AroundSleep, Mutex, Numbered, OnceCell, Ordering, Sleeper};
pub(crate) use leader::{Leader, LeftFlight};
use std::any::{Any, TypeId};
use std::ptr::NonNull;
use std::sync::Arc;
pub(crate) use waiter::{Turn, Waiter};

pub(crate) struct Flight<T, R> {
    hash: u64,
    pending_key: T,
    work: Work,
    /// It is not on its list. Changed under the shard's lock.
    is_over: AtomicBool,
    /// Its owners besides the leader. Changed under the shard's lock.
    waiting: AtomicUsize,
    /// Those of them that are comparing their key with this one. Changed under the shard's lock.
    comparing: AtomicUsize,
    /// When it is over: the value that has the key, if that is no result, while the key is compared. Locked
    /// under the shard's lock.
    kept_value: Mutex<Option<R>>,
    /// The work of dropping `kept_value`. Either the failing leader or the last comparing waiter does it.
    release_work: Work,
    /// Locked under the shard's lock.
    wait_queue: Mutex<WaitQueue<T, R>>,
    /// True from joining until the leader's first look-up, and again while the value is being entered. A
    /// waiter that joins then must look for itself.
    is_entering: plain::AtomicBool,
    /// Set if somebody waits for it.
    result: OnceCell<R>,
    /// The type of others' errors that its creator takes as its own.
    shares: Option<TypeId>,
    /// Set before it is given up, if its error is shared.
    error: OnceCell<SharedError>,
    /// Changed under the shard's lock.
    #[cfg(debug_assertions)]
    is_listed: plain::AtomicBool,
}

/// The error of a factory, for those who waited for it.
pub(in crate::create) type SharedError = Arc<dyn Any + Send + Sync>;

impl<T, R> Flight<T, R> {
    pub(crate) fn new(hash: u64, pending_key: T, shares: Option<TypeId>) -> Arc<Self> {
        Arc::new(Self {
            hash,
            pending_key,
            work: Work::new(),
            is_over: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            comparing: AtomicUsize::new(0),
            kept_value: Mutex::new(None),
            release_work: Work::new(),
            wait_queue: Mutex::new(WaitQueue::new()),
            is_entering: plain::AtomicBool::new(false),
            result: OnceCell::new(),
            shares,
            error: OnceCell::new(),
            #[cfg(debug_assertions)]
            is_listed: plain::AtomicBool::new(false),
        })
    }

    pub(in crate::create) fn pending_key(&self) -> &T {
        &self.pending_key
    }

    pub(in crate::create) fn work(&self) -> &Work {
        &self.work
    }

    pub(in crate::create) fn release_work(&self) -> &Work {
        &self.release_work
    }

    /// Gives an error to those who wait for one of its type, when the flight is given up.
    pub(in crate::create) fn share_error(&self, error: SharedError) {
        let _ = self.error.set(error);
    }

    /// Marks that the leader has looked, and found nothing.
    pub(in crate::create) fn mark_making(&self) {
        self.is_entering.store(false, Ordering::Relaxed);
    }

    /// Marks that the result may be found from now on. (Relaxed: seen with the result's removal.)
    pub(in crate::create) fn mark_entering(&self) {
        self.is_entering.store(true, Ordering::Relaxed);
    }

    /// Returns the error of `other`, if this one takes errors of its type.
    fn error_of<'a>(&self, other: &'a Self) -> Option<&'a SharedError> {
        let error = other.error.get()?;
        (self.shares == Some((**error).type_id())).then_some(error)
    }

    /// Returns whether it is off its list. Acquire: pairs with `remove_from_list`, before which the result or
    /// the error was set.
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Keeps the value that has the key, if somebody is comparing that: the last of those drops it. Called
    /// under the shard's lock, before the flight is over.
    fn keep_key(&self, value: &mut Option<R>) {
        if self.comparing.load(Ordering::Relaxed) > 0 {
            *self.kept_value.lock() = value.take();
        }
    }
}

#[cfg(debug_assertions)]
impl<T, R> Drop for Flight<T, R> {
    fn drop(&mut self) {
        // The list owns no flights.
        let is_listed = self.is_listed.load(Ordering::Relaxed);
        assert!(!is_listed, "a flight is freed that is on its list");
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Decision {
    Pending,
    Retry,
    /// It leads the flight that it has brought along.
    Lead,
}

struct SleepingWaiter<T, R> {
    sleeper: Arc<Sleeper>,
    is_thread: bool,
    decision: Mutex<Decision>,
    /// The flight that it has brought along; taken out with the decision, so that the waiter has it alone.
    own: Mutex<Option<Arc<Flight<T, R>>>>,
}

/// The sleeping waiters of one flight, those that have slept longest first.
struct WaitQueue<T, R> {
    threads: Numbered<Arc<SleepingWaiter<T, R>>>,
    tasks: Numbered<Arc<SleepingWaiter<T, R>>>,
}

impl<T, R> WaitQueue<T, R> {
    fn new() -> Self {
        Self {
            threads: Numbered::new(),
            tasks: Numbered::new(),
        }
    }

    fn of(&mut self, is_thread: bool) -> &mut Numbered<Arc<SleepingWaiter<T, R>>> {
        match is_thread {
            true => &mut self.threads,
            false => &mut self.tasks,
        }
    }

    fn take(&mut self) -> Vec<Arc<SleepingWaiter<T, R>>> {
        self.threads
            .take_all()
            .chain(self.tasks.take_all())
            .collect()
    }
}

/// A flight on a list. Invariant: while it is there it has a leader, which is an owner of it.
struct ListedFlight<T, R>(NonNull<Flight<T, R>>);

// SAFETY: a list entry is used like a reference to the flight, from which `Arc`s are made.
unsafe impl<T, R> Send for ListedFlight<T, R> where Arc<Flight<T, R>>: Send {}

impl<T, R> ListedFlight<T, R> {
    fn new(flight: &Arc<Flight<T, R>>) -> Self {
        // Not through a reference: the pointer is that of an `Arc`.
        // SAFETY: an `Arc` is never null.
        Self(unsafe { NonNull::new_unchecked(Arc::as_ptr(flight).cast_mut()) })
    }

    fn is(&self, flight: &Arc<Flight<T, R>>) -> bool {
        std::ptr::eq(self.0.as_ptr(), Arc::as_ptr(flight))
    }

    fn get(&self) -> &Flight<T, R> {
        // SAFETY: the invariant; the caller has the list's lock, so the flight stays on it.
        unsafe { self.0.as_ref() }
    }

    /// Adds an owner, which compares keys, and then perhaps waits.
    fn join(&self) -> Arc<Flight<T, R>> {
        self.get().waiting.fetch_add(1, Ordering::Relaxed);
        self.get().comparing.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as in `get`; the pointer is that of an `Arc`.
        unsafe {
            Arc::increment_strong_count(self.0.as_ptr());
            Arc::from_raw(self.0.as_ptr())
        }
    }
}

type FlightList<T, R> = List<ListedFlight<T, R>>;

/// Puts a flight on its list: it has a leader from now on.
fn add_to_list<T, R>(list: &mut FlightList<T, R>, flight: &Arc<Flight<T, R>>) {
    // It may have been on the list before; see `Leader::step_down`.
    flight.is_over.store(false, Ordering::Relaxed);
    flight.is_entering.store(true, Ordering::Relaxed);
    #[cfg(debug_assertions)]
    flight.is_listed.store(true, Ordering::Relaxed);
    list.push(ListedFlight::new(flight));
}

/// Other flights that the caller has joined. Leaving one may drop values, and panic: all are left even so.
struct JoinedFlights<'a, T, R>(Vec<Waiter<'a, T, R>>);

impl<T, R> JoinedFlights<'_, T, R> {
    fn none() -> Self {
        Self(Vec::new())
    }
}

impl<T, R> Drop for JoinedFlights<'_, T, R> {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_empty() {
            return;
        }
        let mut panics = Panics::new();
        for waiter in self.0.drain(..) {
            panics.catch(|| drop(waiter));
        }
    }
}

fn remove_from_list<T, R>(list: &mut FlightList<T, R>, flight: &Arc<Flight<T, R>>) {
    let at = list.iter().position(|listed| listed.is(flight));
    list.swap_remove(at.expect("a flight is on its list until it is over"));
    #[cfg(debug_assertions)]
    flight.is_listed.store(false, Ordering::Relaxed);
    // Release: pairs with `is_over`.
    flight.is_over.store(true, Ordering::Release);
}

/// A line of its own for each list.
#[repr(align(128))]
struct Shard<T, R>(Lock<FlightList<T, R>>);

/// The creations under way in one map. `T` has the key; each waiter gets a clone of the result `R`.
pub(crate) struct FlightTable<T, R> {
    inner: OnceCell<Arc<FlightTableInner<T, R>>>,
    /// The hook around the sleep of threads that wait.
    around_sleep: AroundSleep,
}

struct FlightTableInner<T, R> {
    shards: Box<[Shard<T, R>]>,
}

impl<T, R> FlightTableInner<T, R> {
    fn shard(&self, hash: u64) -> &Shard<T, R> {
        // Not the bits that choose the bucket's tag, nor those that choose the bucket.
        &self.shards[(hash >> 16) as usize & (self.shards.len() - 1)]
    }
}

impl<T, R> FlightTable<T, R> {
    pub(crate) const fn set_around_sleep(&mut self, hook: fn(&mut dyn FnMut())) {
        self.around_sleep = AroundSleep::new(hook);
    }
}

pub(in crate::create) enum Joined<'a, T, R> {
    Leader(Leader<'a, T, R>),
    Waiter(Waiter<'a, T, R>),
}

impl<T, R: Clone> FlightTable<T, R> {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Self {
                inner: OnceCell::new(),
                around_sleep: AroundSleep::NOTHING,
            }
        }
    }

    pub(crate) fn around_sleep(&self) -> AroundSleep {
        self.around_sleep
    }

    fn inner(&self) -> &Arc<FlightTableInner<T, R>> {
        self.inner.get_or_init(|| {
            let shards = (0..sync::flight_shards()).map(|_| Shard(Lock::new(List::new())));
            Arc::new(FlightTableInner {
                shards: shards.collect(),
            })
        })
    }

    fn shard(&self, hash: u64) -> &Shard<T, R> {
        self.inner().shard(hash)
    }

    pub(crate) fn are_shared(&self) -> bool {
        let inner = self.inner.get();
        inner.is_some_and(|inner| Arc::strong_count(inner) > 1)
    }

    /// Returns another table of the same flights.
    pub(crate) fn share(&self) -> Self {
        let mut shared = Self::new();
        shared.around_sleep = self.around_sleep;
        let _ = shared.inner.set(Arc::clone(self.inner()));
        shared
    }

    pub(in crate::create) fn resume(&self, left: LeftFlight<T, R>) -> Leader<'_, T, R> {
        let shard = self.shard(left.hash());
        left.resume(shard)
    }

    /// Joins the flight of this key, or leads the one that the caller has brought along.
    #[cold]
    pub(in crate::create) fn join(
        &self,
        mine: Arc<Flight<T, R>>,
        same: &dyn Fn(&T, &T) -> bool,
    ) -> Joined<'_, T, R> {
        let shard = self.shard(mine.hash);
        let begun = shard.0.with(|list| {
            let free = list.iter().all(|listed| listed.get().hash != mine.hash);
            if free {
                add_to_list(list, &mine);
            }
            free
        });
        if begun {
            Joined::Leader(Leader::new(shard, mine))
        } else {
            Self::join_beside(shard, mine, same)
        }
    }

    /// Joins where there may be a flight with the same hash.
    #[cold]
    fn join_beside<'a>(
        shard: &'a Shard<T, R>,
        mine: Arc<Flight<T, R>>,
        same: &dyn Fn(&T, &T) -> bool,
    ) -> Joined<'a, T, R> {
        // Flights with another key. They are owned, so that none is freed and its address used again.
        let mut others: Vec<Waiter<'a, T, R>> = Vec::new();
        loop {
            let unknown: Vec<_> = shard.0.with(|list| {
                let unknown: Vec<_> = list
                    .iter()
                    .filter(|listed| listed.get().hash == mine.hash)
                    .filter(|listed| !others.iter().any(|known| listed.is(known.flight())))
                    .map(ListedFlight::join)
                    .collect();
                if unknown.is_empty() {
                    add_to_list(list, &mine);
                }
                unknown
            });
            if unknown.is_empty() {
                let leader = Leader::new(shard, mine);
                return Joined::Leader(leader.with_other_flights(JoinedFlights(others)));
            }
            let first = others.len();
            others.extend(unknown.into_iter().map(|flight| Waiter::new(shard, flight)));
            let at = Waiter::find(&others[first..], |pending_key| {
                same(&mine.pending_key, pending_key)
            });
            if let Some(at) = at {
                let ours = others.swap_remove(first + at).with_own(mine);
                return after(JoinedFlights(others), Joined::Waiter(ours));
            }
        }
    }

    /// Returns whether somebody leads a flight with this hash and such a key.
    pub(crate) fn any(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> bool {
        let found = self.find(hash, is_it);
        let is_led = found
            .as_ref()
            .is_some_and(|found| !found.flight().is_over());
        after(found, is_led)
    }

    /// Returns the draft of such a flight, for the thread that is in the middle of it.
    #[cold]
    pub(crate) fn draft(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<R> {
        let waiter = self.find(hash, is_it)?;
        let draft = waiter.draft();
        after(waiter, draft)
    }

    fn find(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<Waiter<'_, T, R>> {
        let shard = self.inner.get()?.shard(hash);
        let flights: Vec<_> = shard.0.with(|list| {
            let listed = list.iter().filter(|listed| listed.get().hash == hash);
            listed.map(ListedFlight::join).collect()
        });
        // Owned, so that the keys stay.
        let waiters = flights.into_iter();
        let mut all = JoinedFlights(waiters.map(|flight| Waiter::new(shard, flight)).collect());
        let found = all.0.swap_remove(Waiter::find(&all.0, is_it)?);
        Some(after(all, found))
    }
}
