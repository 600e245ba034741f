//! Single flight: one creator per key at a time, and the others asleep until it is done.
//!
//! ```text
//!  miss ─► join ─► nobody creates this key: the caller leads ─► create ─► publish: entered in the index, all get the same value
//!             │                                         ▲          └────► give up: those who wait begin anew, and one of them leads
//!             └──► somebody does: wait asleep ──────────┘
//! ```
//!
//! The flights under way are in short lists, by hash, each under a lock that is held for a few instructions.
//! Whoever leads a flight takes it off the list. A flight that nobody else wants costs one allocation, and no
//! one is told of its end.
//!
//! The key waits in the ticket of the one who began (in a `ReservedNode`: inside the node that the value will
//! live in). Those who come later compare theirs with it there, outside of every lock: two keys with the same
//! hash are two flights. The result stays alive until its last waiter has looked, because the flight owns it
//! too, so a creator may drop its own handle at once.
//!
//! When the value is made, the key belongs to the value's node. So whoever is just comparing keys must not
//! lose that: a draft that is given up is dropped at once, or, if somebody is comparing its key, by the last
//! of those.
//!
//! A flight is on its list while somebody leads it. After that it is over: who waits gets the result, or
//! begins anew with a key of its own, as that of who has failed may be about to die.
//!
//! A flight that is given up may have an error with it, for those who have said that they take one of its
//! type: they do not begin anew.
//!
//! When a flight is given up, the thread that has slept longest leads what it has brought along, under the
//! same lock: nobody who comes later can be quicker. So whoever has failed because that thread waits finds a
//! flight led by it, when it tries again. All others are woken and look; of a task nothing more can be asked,
//! since it may be woken and never be polled again. For the same reason a task that has to wait for the end
//! of a value, before it may create, leads nothing meanwhile.

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

/// A creation under way.
pub(crate) struct Flight<T, R> {
    hash: u64,
    /// What the first one brought along; it has the key.
    pending_key: T,
    work: Work,
    /// It is not on its list. Changed under the shard's lock.
    is_over: AtomicBool,
    /// Those who hold it besides whoever leads. Changed under the shard's lock.
    waiting: AtomicUsize,
    /// Those of them who are comparing their key with the one in the ticket. Changed under the shard's lock.
    comparing: AtomicUsize,
    /// If it is over without a result, what has the key, until nobody compares it any more. Locked under the
    /// shard's lock.
    kept_value: Mutex<Option<R>>,
    /// What those do who may be the last to let go of that: who gives up, and who compares.
    release_work: Work,
    /// Those who sleep. Locked under the shard's lock.
    wait_queue: Mutex<WaitQueue<T, R>>,
    /// What lands may be found already, and may be taken out again: it is being entered, or whoever leads has
    /// not yet looked whether there is something. Who joins now began perhaps after that.
    is_entering: plain::AtomicBool,
    /// Set if somebody waits for it.
    result: OnceCell<R>,
    /// Which errors of others are as good for whoever has brought it along as one of its own.
    shares: Option<TypeId>,
    /// Set before it is given up, if it has one for others.
    error: OnceCell<SharedError>,
    /// Changed under the shard's lock.
    #[cfg(debug_assertions)]
    is_listed: plain::AtomicBool,
}

/// The error of a factory, for those who have waited for it.
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

    /// What those do who may be the last to let go of the value, if it is given up.
    pub(in crate::create) fn release_work(&self) -> &Work {
        &self.release_work
    }

    /// Those who wait for an error of this type get it, when the flight is given up.
    pub(in crate::create) fn share_error(&self, error: SharedError) {
        let _ = self.error.set(error);
    }

    /// There was nothing when its leader looked.
    pub(in crate::create) fn mark_making(&self) {
        self.is_entering.store(false, Ordering::Relaxed);
    }

    /// To be called before the result can be found. (Relaxed: who has seen the result taken out, or not there
    /// any more, sees this too.)
    pub(in crate::create) fn mark_entering(&self) {
        self.is_entering.store(true, Ordering::Relaxed);
    }

    /// The error of `other`, if it has one that is as good for this one.
    fn error_of<'a>(&self, other: &'a Self) -> Option<&'a SharedError> {
        let error = other.error.get()?;
        (self.shares == Some((**error).type_id())).then_some(error)
    }

    /// Acquire: pairs with `remove_from_list`, before which the result or the error was set.
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Keeps what has the key, if somebody is comparing that. To be called under the shard's lock, before the
    /// flight is over.
    fn keep_key(&self, value: &mut Option<R>) {
        if self.comparing.load(Ordering::Relaxed) > 0 {
            *self.kept_value.lock() = value.take();
        }
    }
}

#[cfg(debug_assertions)]
impl<T, R> Drop for Flight<T, R> {
    fn drop(&mut self) {
        // The list owns none of those that are on it.
        let is_listed = self.is_listed.load(Ordering::Relaxed);
        assert!(!is_listed, "a flight is freed that is on its list");
    }
}

/// What has been decided for one who sleeps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Decision {
    /// Nothing yet.
    Pending,
    /// To look again.
    Retry,
    /// As the leader of the flight that it has brought along.
    Lead,
}

/// One who sleeps.
struct SleepingWaiter<T, R> {
    sleeper: Arc<Sleeper>,
    is_thread: bool,
    decision: Mutex<Decision>,
    /// What it would have led itself; taken out when it is decided how it wakes, so that the one who sleeps
    /// has it alone then.
    own: Mutex<Option<Arc<Flight<T, R>>>>,
}

/// Those who sleep for one flight, by their numbers: who has slept longest has the least.
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

    /// All of them, the threads first.
    fn take(&mut self) -> Vec<Arc<SleepingWaiter<T, R>>> {
        self.threads
            .take_all()
            .chain(self.tasks.take_all())
            .collect()
    }
}

/// A flight on a list. Invariant: while it is there, somebody leads it, who is an owner of it.
struct ListedFlight<T, R>(NonNull<Flight<T, R>>);

// SAFETY: a list entry is used like a reference to the flight, from which `Arc`s are made.
unsafe impl<T, R> Send for ListedFlight<T, R> where Arc<Flight<T, R>>: Send {}

impl<T, R> ListedFlight<T, R> {
    fn new(flight: &Arc<Flight<T, R>>) -> Self {
        // Not by way of a reference: the pointer is that of an `Arc`.
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

    /// One more owner, who compares keys, and then perhaps waits.
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

/// The caller leads it from now on.
fn add_to_list<T, R>(list: &mut FlightList<T, R>, flight: &Arc<Flight<T, R>>) {
    // It may have been on the list before; see `Leader::step_down`.
    flight.is_over.store(false, Ordering::Relaxed);
    flight.is_entering.store(true, Ordering::Relaxed);
    #[cfg(debug_assertions)]
    flight.is_listed.store(true, Ordering::Relaxed);
    list.push(ListedFlight::new(flight));
}

/// Flights that were looked at, and turned out to have another key, or have been waited for. Each is left,
/// though another one panics: that may drop what their creators have made.
struct JoinedFlights<'a, T, R>(Vec<Waiter<'a, T, R>>);

impl<T, R> JoinedFlights<'_, T, R> {
    fn none() -> Self {
        Self(Vec::new())
    }
}

impl<T, R> Drop for JoinedFlights<'_, T, R> {
    fn drop(&mut self) {
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
    // Release: pairs with the Acquire of those who look.
    flight.is_over.store(true, Ordering::Release);
}

/// A line of its own for each list.
#[repr(align(128))]
struct Shard<T, R>(Lock<FlightList<T, R>>);

/// The creations under way in one registry. Tickets carry the key that is created; results are what each
/// waiter gets a clone of.
pub(crate) struct FlightTable<T, R> {
    inner: OnceCell<Arc<FlightTableInner<T, R>>>,
    /// What threads that wait do around their sleep.
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

/// How a call for a key begins.
pub(in crate::create) enum Joined<'a, T, R> {
    /// It is for the caller to create.
    Leader(Leader<'a, T, R>),
    /// Somebody else does.
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

    /// The same flights.
    pub(crate) fn share(&self) -> Self {
        let mut shared = Self::new();
        shared.around_sleep = self.around_sleep;
        let _ = shared.inner.set(Arc::clone(self.inner()));
        shared
    }

    /// The leader of a flight of these that has been left.
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

    /// As `join`, where there may be a flight with the same hash.
    #[cold]
    fn join_beside<'a>(
        shard: &'a Shard<T, R>,
        mine: Arc<Flight<T, R>>,
        same: &dyn Fn(&T, &T) -> bool,
    ) -> Joined<'a, T, R> {
        // Flights that turned out to have another key. We hold each, so that it stays on the list.
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

    /// Whether somebody leads a flight with this hash and such a ticket.
    pub(crate) fn any(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> bool {
        let found = self.find(hash, is_it);
        let is_led = found
            .as_ref()
            .is_some_and(|found| !found.flight().is_over());
        after(found, is_led)
    }

    /// The draft of such a flight, for the thread that is in the middle of it.
    #[cold]
    pub(crate) fn draft(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<R> {
        let waiter = self.find(hash, is_it)?;
        let draft = waiter.draft();
        after(waiter, draft)
    }

    /// Joins a flight with this hash and such a ticket.
    fn find(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<Waiter<'_, T, R>> {
        let shard = self.inner.get()?.shard(hash);
        let flights: Vec<_> = shard.0.with(|list| {
            let listed = list.iter().filter(|listed| listed.get().hash == hash);
            listed.map(ListedFlight::join).collect()
        });
        // Held, so that the tickets stay.
        let waiters = flights.into_iter();
        let mut all = JoinedFlights(waiters.map(|flight| Waiter::new(shard, flight)).collect());
        let found = all.0.swap_remove(Waiter::find(&all.0, is_it)?);
        Some(after(all, found))
    }
}
