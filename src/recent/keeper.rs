//! Keeps owners, up to a number and for a time.

use super::queue::{Identity, Queue, Use};
use crate::memory::panics::Panics;
use crate::sync::plain::{AtomicU64, Relaxed};
use crate::sync::{const_fn, OnceCell};
use std::time::{Duration, Instant};

/// Places have numbers of 32 bits.
const MAX_CAPACITY: usize = 1 << 30;

/// The limit divided by this is the exactness of the times of uses, and the time between sweeps.
const GRAINS: u32 = 8;

pub(super) struct Keeper<O> {
    capacity: usize,
    limit: Option<Limit>,
    clock: Option<Box<Clock>>,
    store: OnceCell<KeptOwners<O>>,
}

type Clock = dyn Fn() -> Instant + Send + Sync;

/// The time for which an owner is kept.
#[derive(Clone, Copy)]
pub(super) enum Limit {
    /// The time after its last use.
    Idle(Duration),
    /// The time after it was taken in.
    Live(Duration),
}

struct KeptOwners<O> {
    start: Instant,
    queue: Queue<O>,
    next_sweep: AtomicU64,
}

impl Limit {
    pub(super) fn duration(self) -> Duration {
        match self {
            Self::Idle(time) | Self::Live(time) => time,
        }
    }

    fn grain(self) -> u64 {
        nanos(self.duration() / GRAINS)
    }

    /// Returns the least age of the recorded use of an owner that may go.
    fn age(self) -> u64 {
        match self {
            // The last use may be younger than the recorded one by the grain.
            Self::Idle(time) => nanos(time).saturating_add(self.grain()),
            Self::Live(time) => nanos(time),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl<O> Keeper<O> {
    const_fn! {
        pub(super) const fn new(capacity: usize, limit: Option<Limit>) -> Self {
            assert!(capacity <= MAX_CAPACITY, "the maximum capacity is above 2^30");
            Self {
                capacity,
                limit,
                clock: None,
                store: OnceCell::new(),
            }
        }
    }

    pub(super) const fn set_limit(&mut self, limit: Limit) {
        self.limit = Some(limit);
    }

    pub(super) fn set_clock(&mut self, clock: impl Fn() -> Instant + Send + Sync + 'static) {
        self.clock = Some(Box::new(clock));
    }

    pub(super) const fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) const fn limit(&self) -> Option<Limit> {
        self.limit
    }

    /// Returns the time. Runs the user's clock, if there is one.
    pub(super) fn now(&self) -> Instant {
        match &self.clock {
            Some(clock) => clock(),
            None => Instant::now(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.store.get().map_or(0, |store| store.queue.len())
    }

    /// Marks an owner as used. Keeps a clone, if none is kept and it may be kept. Then another one may go.
    #[inline]
    pub(super) fn keep(&self, owner: &O, identity: u64, may_be_kept: impl FnOnce() -> bool)
    where
        O: Clone,
    {
        if self.capacity == 0 {
            return;
        }
        let store = match self.store.get() {
            Some(store) => store,
            None => self.start(),
        };
        let identity = Identity::new(identity);
        let used = match self.limit {
            None => Use::NO_TIME,
            Some(limit) => Use {
                now: store.since(self.now()),
                grain: match limit {
                    Limit::Idle(_) => limit.grain(),
                    Limit::Live(_) => u64::MAX,
                },
            },
        };
        if !store.queue.mark(identity, used) && may_be_kept() {
            Self::take_in(&store.queue, identity, owner, used);
        }
        if let Some(limit) = self.limit {
            self.sweep_if_due(store, limit, used.now);
        }
    }

    /// Enters a clone of an owner. Clones and drops outside of the lock.
    #[inline(never)]
    fn take_in(queue: &Queue<O>, identity: Identity, owner: &O, used: Use)
    where
        O: Clone,
    {
        let owner = owner.clone();
        let gone = queue.enter(identity, owner, used);
        drop(gone);
    }

    #[cold]
    fn start(&self) -> &KeptOwners<O> {
        let start = self.now();
        self.store.get_or_init(|| KeptOwners {
            start,
            queue: Queue::new(self.capacity),
            next_sweep: AtomicU64::new(0),
        })
    }

    pub(super) fn contains(&self, identity: u64) -> bool {
        let store = self.store.get();
        store.is_some_and(|store| store.queue.contains(Identity::new(identity)))
    }

    /// Drops this owner. Returns true if it was kept.
    pub(super) fn release(&self, identity: u64) -> bool {
        let store = self.store.get();
        let gone = store.and_then(|store| store.queue.take(Identity::new(identity)));
        gone.is_some()
    }

    pub(super) fn clear(&self) -> usize {
        self.release_until(u64::MAX)
    }

    /// Drops the owners that have been kept for long enough.
    pub(super) fn expire(&self) -> usize {
        match (self.store.get(), self.limit) {
            (Some(store), Some(limit)) => self.sweep(limit, store.since(self.now())),
            _ => 0,
        }
    }

    /// Drops the owners that have been kept for long enough, but not at each call.
    #[inline]
    pub(super) fn tick(&self) {
        if let (Some(store), Some(limit)) = (self.store.get(), self.limit) {
            self.sweep_if_due(store, limit, store.since(self.now()));
        }
    }

    #[inline]
    fn sweep_if_due(&self, store: &KeptOwners<O>, limit: Limit, now: u64) {
        let due = store.next_sweep.load(Relaxed);
        if now >= due {
            // Only one of several threads sweeps.
            let next = now.saturating_add(limit.grain().max(1));
            let ours = store
                .next_sweep
                .compare_exchange(due, next, Relaxed, Relaxed);
            if ours.is_ok() {
                self.sweep(limit, now);
            }
        }
    }

    #[cold]
    fn sweep(&self, limit: Limit, now: u64) -> usize {
        now.checked_sub(limit.age())
            .map_or(0, |deadline| self.release_until(deadline))
    }

    /// Drops the owners whose last use is at or before `deadline`: each, whatever panics, with no lock held.
    fn release_until(&self, deadline: u64) -> usize {
        let store = self.store.get();
        let gone = store.map_or_else(Vec::new, |store| store.queue.take_until(deadline));
        let count = gone.len();
        let mut panics = Panics::new();
        for owner in gone {
            panics.catch(|| drop(owner));
        }
        drop(panics);
        count
    }
}

impl<O> Drop for Keeper<O> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Use {
    const NO_TIME: Self = Self {
        now: 0,
        grain: u64::MAX,
    };
}

impl<O> KeptOwners<O> {
    #[inline]
    fn since(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.start))
    }
}
