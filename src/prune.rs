//! Dead entries of pointers that cannot say when they die.
//!
//! Each insertion, and each 64th miss, *sweeps*: a cursor that all threads share goes round the table, and the dead among the entries
//! it meets are taken out. A sweep looks at a fixed number of buckets, so it costs the same whatever the size of the table, but for what
//! the destructors do.
//!
//! How many dead entries that leaves: a table that has grown holds [`LEAST_LOAD`] entries in a bucket at least, so with a bound of *b* a
//! sweep meets *b* entries at least on average, and a table of *n* has been swept once after *n / b* insertions. What is dead then has died since.
//! If no more die than are inserted, these are *n / b* at most: so with live entries *l* the dead ones are at most *l / (b - 1)*, and a few.
//! When many die at once, they stay until as many insertions have come by, or until [`Store::prune`].
//!
//! Where asking whether something is dead is known to run no user code, it is asked under the bucket's lock, and a sweep becomes an owner of the
//! dead only. Else it becomes an owner of each entry, and asks afterwards.

use crate::held::Held;
use crate::hook::Cause;
use crate::pair::Pair;
use crate::panics::Panics;
use crate::side::Side;
use crate::stats::Count;
use crate::store::{Reverse, Store};
use crate::sync::local;
use crate::sync::plain::Relaxed;
use std::cell::Cell;
use std::ops::Range;

/// Every so many misses of a thread, one sweeps.
const MISSES_PER_SWEEP: u64 = 64;

/// Entries in a bucket, on average, of a table that has just grown: 2.8, rounded down.
const LEAST_LOAD: u64 = 2;

/// One more than the greatest upper half of a hash.
const END: u64 = 1 << 32;

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
    /// Whether there can be dead entries.
    const MORTAL: bool = A::IS_WEAK || B::IS_WEAK;

    /// Takes out the dead among the next few entries.
    pub(crate) fn sweep(&self) {
        if !Self::MORTAL {
            return;
        }
        let Some(_sweeping) = Sweeping::begin() else {
            return;
        };
        let buckets = self.engine.buckets() as u64;
        if buckets == 0 {
            return;
        }
        let wanted = u64::from(self.prune_bound).div_ceil(LEAST_LOAD);
        let width = END.div_ceil(buckets) * wanted.min(buckets);
        let start = u64::from(self.cursor.fetch_add(width as u32, Relaxed));
        let end = start + width;
        let mut panics = Panics::new();
        // In two parts where the hashes begin anew.
        self.prune_in(start..END.min(end), &mut panics);
        if end > END {
            self.prune_in(0..(end - END).min(start), &mut panics);
        }
    }

    /// Takes out the dead in this range, and lets go of all, whatever panics. Returns how many this call has taken out.
    fn prune_in(&self, halves: Range<u64>, panics: &mut Panics) -> usize {
        if halves.is_empty() {
            return 0;
        }
        let quiet = A::IS_DEAD_IS_QUIET && B::IS_DEAD_IS_QUIET;
        let dead = self.engine.some(halves, |node| {
            // SAFETY: linked while its bucket is locked, so the index is an owner, and the entry complete.
            !quiet || unsafe { Pair::<A, B>::is_dead(node) }
        });
        let mut pruned = 0;
        for held in dead.map(Held::new) {
            let taken = panics.catch(|| {
                let dead = quiet || held.is_dead();
                dead && self.take_out_as(&held, Cause::Dead, Count::Pruned)
            });
            // If the hook has panicked, it was taken out too.
            pruned += usize::from(taken == Some(true));
            panics.catch(|| drop(held));
        }
        pruned
    }

    pub(crate) fn some(&self, halves: Range<u64>) -> Vec<Held<A, B>> {
        self.engine.some(halves, |_| true).map(Held::new).collect()
    }

    /// Takes out all dead entries. Returns how many this call has taken out.
    pub(crate) fn prune(&self) -> usize {
        if !Self::MORTAL {
            return 0;
        }
        // What destructors insert needs no sweep of its own.
        let _sweeping = Sweeping::begin();
        let mut panics = Panics::new();
        let mut pruned = 0;
        for halves in self.window_ranges() {
            pruned += self.prune_in(halves, &mut panics);
        }
        panics.catch(|| drop(self.give_up()));
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
