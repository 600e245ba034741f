//! Dead entries of pointers that cannot report their death.
//!
//! An insertion looks first at its thread's eighth-last entry (see `recent_inserts`). If that is dead, it is
//! removed, and that is all. Otherwise the insertion owes a *sweep*: a cursor that all threads share
//! advances, and the dead entries that it passes are removed. Eight such insertions sweep together, and each
//! 64th miss counts as one. A sweep visits a fixed number of buckets. So it costs the same whatever the
//! table's size, except for what the destructors do.
//!
//! Bound: let *l* be the number of live entries and *b* the prune bound. If no more die than are inserted, at
//! most *l / (b - 1)* entries are dead, and 16 more for each thread. (A table that has grown has 2.8 entries
//! in a bucket at least, so each insertion that sweeps pays for *b* entries or more.) When many die at once,
//! they stay until as many insertions have come, or until [`Store::prune`].
//!
//! If `is_dead` runs no user code and the map is not exclusive, `is_dead` is called under the bucket's lock,
//! and the dead are unlinked in the same visit; hooks and destructors run after the lock. Otherwise a sweep
//! becomes an owner of each entry, asks without a lock, and removes the dead one by one; and each insertion
//! owes a sweep.

use crate::map::store::entry_ref::EntryRef;
use crate::map::store::hook::RemovalCause;
use crate::map::store::iter::EVERYWHERE;
use crate::map::store::node::StoreNode;
use crate::map::store::reverse::Indexed;
use crate::map::store::reverse::Reverse;
use crate::map::store::slot::Slot;
use crate::map::store::Store;
use crate::memory::node::NodePtr;
use crate::memory::panics::Panics;
use crate::sync::local;
use crate::sync::plain::Relaxed;
use crate::table::stats::Count;
use std::cell::Cell;
use std::ops::Range;

/// The number of misses of a thread of which one sweeps.
const MISSES_PER_SWEEP: u64 = 64;

/// The number of insertions of a thread that owe a sweep of which one sweeps.
const INSERTIONS_PER_SWEEP: u64 = if cfg!(all(highlander_loom, feature = "loom")) {
    1
} else {
    8
};

/// The average number of entries in a bucket when a table has just grown, in tenths.
const LEAST_LOAD_TENTHS: u64 = 28;

/// One more than the greatest upper half of a hash.
const END: u64 = EVERYWHERE.end;

/// The number of entries that are owned together while they are asked whether they are dead.
const BATCH: usize = 64;

local! {
    /// True while this thread is in a sweep. Destructors of keys may insert, and must not sweep inside each
    /// other without end.
    static SWEEPING: Cell<bool> = Cell::new(false);
}

struct Sweeping;

impl Sweeping {
    fn begin() -> Option<Self> {
        // Not `then_some`: that would make a `Sweeping` in any case, and its drop would end the sweep under
        // way.
        (!SWEEPING.with(|cell| cell.replace(true))).then(|| Self)
    }
}

impl Drop for Sweeping {
    fn drop(&mut self) {
        SWEEPING.with(|cell| cell.set(false));
    }
}

impl<A: Slot, B: Indexed> Store<A, B> {
    /// True if there can be dead entries.
    pub(super) const MORTAL: bool = A::IS_WEAK || B::IS_WEAK;

    /// Returns whether the dead are unlinked where they are found. In an exclusive map `before_unlink` comes
    /// first.
    fn takes_at_once(&self) -> bool {
        Self::QUIET && !self.is_exclusive
    }

    /// Removes the thread's eighth-last entry if it is dead, and otherwise sweeps, once in eight such
    /// insertions. To be called after each insertion.
    #[inline]
    pub(in crate::map) fn sweep(&self, entered: &EntryRef<A, B>) {
        if !Self::MORTAL {
            return;
        }
        if self.takes_at_once() {
            let node_ref = entered.node_ref();
            let old = self.recent.enter(node_ref.node(), node_ref.header().hash());
            if old.is_some_and(|(node, hash)| self.prune_this(node, hash)) {
                return;
            }
        }
        if self.counters.add(Count::Due) % INSERTIONS_PER_SWEEP == 0 {
            self.sweep_for(INSERTIONS_PER_SWEEP);
        } else {
            self.hazards.reclaim_if_due();
        }
    }

    /// Removes the entry that is in this node now, if it is dead. Returns whether it has.
    fn prune_this(&self, node: NodePtr, hash: u64) -> bool {
        // SAFETY: linked while its bucket is locked, so the index is an owner, and the entry complete.
        let dead = |node| unsafe { StoreNode::<A, B>::is_dead(node) };
        let Some(node_ref) = self.table.take_if(node, hash, dead) else {
            return false;
        };
        self.counters.add(Count::Pruned);
        let _sweeping = Sweeping::begin();
        if B::Index::<A>::IS_NOBODY && self.hook.is_none() {
            if B::IS_WEAK {
                drop(self.hazards.retire(node_ref, &self.table));
            } else {
                // The value is dropped now, or by the last owner.
                drop(node_ref);
            }
            return true;
        }
        let entry = EntryRef::new(node_ref);
        let mut panics = Panics::new();
        panics.catch(|| self.notify_unlinked(&entry, RemovalCause::Dead));
        panics.catch(|| drop(self.taken(entry)));
        true
    }

    /// Sweeps for this number of insertions.
    #[cold]
    fn sweep_for(&self, insertions: u64) {
        let Some(_sweeping) = Sweeping::begin() else {
            return;
        };
        let buckets = self.table.buckets() as u64;
        if buckets == 0 {
            return;
        }
        let wanted = (u64::from(self.prune_bound) * insertions * 10).div_ceil(LEAST_LOAD_TENTHS);
        let width = END.div_ceil(buckets) * wanted.min(buckets);
        let start = u64::from(self.cursor.fetch_add(width as u32, Relaxed));
        let end = start + width;
        let mut panics = Panics::new();
        // In two parts where the hashes begin anew.
        self.prune_in(start..END.min(end), &mut panics);
        if end > END {
            self.prune_in(0..(end - END).min(start), &mut panics);
        }
        panics.catch(|| self.hazards.reclaim_if_due());
    }

    /// Removes the dead entries in this range, also when one of them panics. Returns how many.
    fn prune_in(&self, halves: Range<u64>, panics: &mut Panics) -> usize {
        let mut left = halves;
        let mut pruned = 0;
        while !left.is_empty() {
            let (some, come_to) = if self.takes_at_once() {
                self.prune_at_once(left.clone(), panics)
            } else {
                self.prune_afterwards(left.clone(), panics)
            };
            pruned += some;
            left.start = come_to;
        }
        pruned
    }

    /// Removes the next few dead entries where they are found. Returns how many, and where the rest of the
    /// range begins.
    fn prune_at_once(&self, halves: Range<u64>, panics: &mut Panics) -> (usize, u64) {
        let (dead, come_to) = self.take_some(halves, |key, value| key.is_dead() | value.is_dead());
        for entry in &dead.entries {
            panics.catch(|| self.notify_unlinked(entry, RemovalCause::Dead));
        }
        let pruned = dead.entries.len();
        self.counters.add_many(Count::Pruned, pruned as u64);
        panics.catch(|| drop(dead));
        (pruned, come_to)
    }

    /// Removes the next few dead entries, and asks `is_dead` when no lock is held. Returns the same.
    fn prune_afterwards(&self, halves: Range<u64>, panics: &mut Panics) -> (usize, u64) {
        let mut pruned = 0;
        let mut entries = Vec::new();
        let found = |node_ref| entries.push(EntryRef::new(node_ref));
        let come_to = self.table.own(halves, BATCH, |_| true, found);
        for entry in entries {
            let taken = panics.catch(|| {
                entry.is_dead() && self.take_out_as(&entry, RemovalCause::Dead, Count::Pruned)
            });
            pruned += usize::from(taken == Some(true));
            panics.catch(|| drop(entry));
        }
        (pruned, come_to)
    }

    /// Removes all dead entries. Returns how many.
    pub(in crate::map) fn prune(&self) -> usize {
        if !Self::MORTAL {
            return 0;
        }
        // Insertions by destructors need no sweep of their own.
        let _sweeping = Sweeping::begin();
        let mut panics = Panics::new();
        let pruned = self.prune_in(EVERYWHERE, &mut panics);
        panics.catch(|| drop(self.reclaim()));
        pruned
    }

    /// Removes the dead entries with this hash. Returns how many.
    pub(in crate::map) fn prune_of(&self, hash: u64) -> usize {
        if !Self::MORTAL {
            return 0;
        }
        let _sweeping = Sweeping::begin();
        let mut panics = Panics::new();
        let mut pruned = 0;
        let _: Option<()> = self.table.find_of(hash, |node| {
            let entry = EntryRef::new(node);
            let taken = panics.catch(|| {
                entry.is_dead() && self.take_out_as(&entry, RemovalCause::Dead, Count::Pruned)
            });
            pruned += usize::from(taken == Some(true));
            panics.catch(|| drop(entry));
            None
        });
        panics.catch(|| drop(self.reclaim()));
        pruned
    }

    /// Counts a miss, and sweeps now and then.
    #[inline]
    pub(in crate::map) fn missed(&self) {
        if self.counters.add(Count::Miss) % MISSES_PER_SWEEP == 0 && Self::MORTAL {
            self.sweep_for(1);
        }
        self.end_what_died();
    }
}
