//! Dead entries of pointers that cannot say when they die.
//!
//! Each insertion, and each 64th miss, *sweeps*: a cursor that all threads share goes round the table, bucket by bucket, and the dead among the
//! entries it meets are taken out. A sweep ends when it has met `prune_bound` entries or as many buckets, so it costs the same whatever
//! the size of the table, but for the last bucket's entries and what their destructors do.
//!
//! How many dead entries that leaves: with a bound of *b*, a table of *n* entries has been swept once after *n / b* insertions (and
//! there are fewer buckets than entries, as long as it is filled). What is dead then has died since. If no more
//! die than are inserted, these are *n / b* at most: so with live entries *l* the dead ones are at most *l / (b - 1)*, and a few.
//! When many die at once, they stay until as many insertions have come by, or until [`Store::prune`].

use crate::held::Held;
use crate::hook::Cause;
use crate::panics::Panics;
use crate::side::Side;
use crate::stats::Count;
use crate::store::{Reverse, Store};
use crate::sync::local;
use std::cell::Cell;
use std::ops::Range;

/// Every so many misses of a thread, one sweeps.
const MISSES_PER_SWEEP: u64 = 64;

/// Entries that a sweep becomes an owner of at the same time, but for the rest of a bucket.
const MOST_AT_ONCE: usize = 64;

local! {
    /// Whether this thread is in a sweep: destructors of keys may insert, and must not sweep inside each other without end.
    static SWEEPING: Cell<bool> = Cell::new(false);
}

struct Sweeping;

impl Sweeping {
    fn begin() -> Option<Self> {
        // Not `then_some`: that would make one, and with it end the sweep that is under way.
        (!SWEEPING.with(|cell| cell.replace(true))).then(|| Self)
    }
}

impl Drop for Sweeping {
    fn drop(&mut self) {
        SWEEPING.with(|cell| cell.set(false));
    }
}

impl<A: Side, B: Side, X: Reverse<A, B>> Store<A, B, X> {
    /// Takes out the dead among the next few entries.
    pub(crate) fn sweep(&self) {
        if self.prune_bound == 0 {
            return;
        }
        let Some(_sweeping) = Sweeping::begin() else {
            return;
        };
        let mut panics = Panics::new();
        let mut left = self.prune_bound as usize;
        while left > 0 {
            // Not all at once, if somebody has set a large bound: these owners are taken in one stretch of reading.
            let batch = left.min(MOST_AT_ONCE);
            let entries = self.engine.some_from(&self.cursor, batch);
            if entries.is_empty() {
                return;
            }
            self.prune_among(entries.into_iter().map(Held::new), &mut panics);
            left -= batch;
        }
    }

    pub(crate) fn some(&self, halves: Range<u64>) -> Vec<Held<A, B>> {
        self.engine
            .some(halves)
            .into_iter()
            .map(Held::new)
            .collect()
    }

    /// Takes out those that are dead, and lets go of all, whatever panics. Returns how many this call has taken out.
    fn prune_among(&self, entries: impl Iterator<Item = Held<A, B>>, panics: &mut Panics) -> usize {
        let mut pruned = 0;
        for held in entries {
            let taken = panics.catch(|| held.is_dead() && self.take_out(&held, Cause::Dead));
            // If the hook has panicked, it was taken out too.
            if taken == Some(true) {
                self.counters.add(Count::Pruned);
                pruned += 1;
            }
            panics.catch(|| drop(held));
        }
        pruned
    }

    /// Takes out all dead entries. Returns how many this call has taken out.
    pub(crate) fn prune(&self) -> usize {
        // What destructors insert needs no sweep of its own.
        let _sweeping = Sweeping::begin();
        let mut panics = Panics::new();
        let mut pruned = 0;
        for entries in self.windows() {
            pruned += self.prune_among(entries.into_iter(), &mut panics);
        }
        pruned
    }

    /// Counts a miss, and sweeps now and then.
    #[inline]
    pub(crate) fn missed(&self) {
        if self.counters.add(Count::Miss) % MISSES_PER_SWEEP == 0 {
            self.sweep();
        }
    }
}
