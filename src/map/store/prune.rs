//! Dead entries of pointers that cannot say when they die.
//!
//! An insertion looks first at what its thread entered a few insertions ago (see `young`). If that is dead
//! already, it is taken out: the table is as full as before, and that is all. Else the insertion owes a
//! *sweep*: a cursor that all threads share goes round the table, and the dead among the entries it meets are
//! taken out. Eight such insertions pay together, and each 64th miss pays as one. A sweep looks at a fixed
//! number of buckets, so it costs the same whatever the size of the table, but for what the destructors do.
//!
//! How many dead entries that leaves: a table that has grown holds 2.8 entries in a bucket at least, so with
//! a bound of *b* an insertion pays for *b* entries at least on average, and a table of *n* has been swept
//! once after *n / b* of those that pay. What is dead then has died since. If no more die than are inserted,
//! these are *n / b* at most, not counting what has died young: so with live entries *l* the dead ones are at
//! most *l / (b - 1)*, and 16 for each thread, which are young or not paid for yet. When many die at once,
//! they stay until as many insertions have come by, or until [`Store::prune`].
//!
//! Where asking whether something is dead is known to run no user code, it is asked under the bucket's lock,
//! and the dead are unlinked in the same visit: a sweep takes over the index's ownerships, and hooks and
//! destructors come when the lock has been given up. Else it becomes an owner of each entry, asks afterwards,
//! and takes the dead out one by one.

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

/// Every so many misses of a thread, one sweeps.
const MISSES_PER_SWEEP: u64 = 64;

/// Every so many insertions of a thread, one sweeps.
const INSERTIONS_PER_SWEEP: u64 = if cfg!(all(highlander_loom, feature = "loom")) {
    1
} else {
    8
};

/// Entries in a bucket, on average, of a table that has just grown, in tenths.
const LEAST_LOAD_TENTHS: u64 = 28;

/// One more than the greatest upper half of a hash.
const END: u64 = EVERYWHERE.end;

/// Entries that are owned together while they are asked whether they are dead.
const BATCH: usize = 64;

local! {
    /// Whether this thread is in a sweep: destructors of keys may insert, and must not sweep inside each
    /// other without end.
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

impl<A: Slot, B: Indexed> Store<A, B> {
    /// Whether there can be dead entries.
    pub(super) const MORTAL: bool = A::IS_WEAK || B::IS_WEAK;

    /// Whether the dead are unlinked where they are found. In an exclusive map somebody may have to wait for
    /// each of them, which has to be said before it is unlinked.
    fn takes_at_once(&self) -> bool {
        Self::QUIET && !self.is_exclusive
    }

    /// To be called for each insertion, with what was entered. Looks at the one that this thread entered a
    /// few insertions ago; if that is alive it is not young any more, and the table is swept a little: by one
    /// of a few such insertions, for all of them.
    #[inline]
    pub(in crate::map) fn sweep(&self, entered: &EntryRef<A, B>) {
        if !Self::MORTAL {
            return;
        }
        if self.takes_at_once() {
            let strong = entered.strong();
            let old = self.young.enter(strong.node(), strong.header().hash());
            if old.is_some_and(|(node, hash)| self.prune_this(node, hash)) {
                return;
            }
        }
        if self.counters.add(Count::Due) % INSERTIONS_PER_SWEEP == 0 {
            self.sweep_for(INSERTIONS_PER_SWEEP);
        } else {
            self.protection.drop_in_time();
        }
    }

    /// Takes out what is in this node now, if that is dead, where asking is quiet.
    fn prune_this(&self, node: NodePtr, hash: u64) -> bool {
        // SAFETY: linked while its bucket is locked, so the index is an owner, and the entry complete.
        let dead = |node| unsafe { StoreNode::<A, B>::is_dead(node) };
        let Some(strong) = self.table.take_if(node, hash, dead) else {
            return false;
        };
        self.counters.add(Count::Pruned);
        let _sweeping = Sweeping::begin();
        if B::Index::<A>::IS_NOBODY && self.hook.is_none() {
            if B::IS_WEAK {
                drop(self.protection.retire(strong, &self.table));
            } else {
                // The value goes now, or with the last who looks at it.
                drop(strong);
            }
            return true;
        }
        let held = EntryRef::new(strong);
        let mut panics = Panics::new();
        panics.catch(|| self.tell(&held, RemovalCause::Dead));
        panics.catch(|| drop(self.taken(held)));
        true
    }

    /// Takes out the dead among the next few entries, as many as so many insertions owe.
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
        panics.catch(|| self.protection.drop_in_time());
    }

    /// Takes out the dead in this range, and lets go of all, whatever panics. Returns how many this call has
    /// taken out.
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

    /// Takes out the next few dead entries where they are found. Returns how many, and where the rest of the
    /// range begins.
    fn prune_at_once(&self, halves: Range<u64>, panics: &mut Panics) -> (usize, u64) {
        let (dead, come_to) = self.take_some(halves, |key, value| key.is_dead() | value.is_dead());
        for held in &dead.entries {
            panics.catch(|| self.tell(held, RemovalCause::Dead));
        }
        let pruned = dead.entries.len();
        self.counters.add_many(Count::Pruned, pruned as u64);
        panics.catch(|| drop(dead));
        (pruned, come_to)
    }

    /// As `prune_at_once`, but asks when no lock is held.
    fn prune_afterwards(&self, halves: Range<u64>, panics: &mut Panics) -> (usize, u64) {
        let mut pruned = 0;
        let mut entries = Vec::new();
        let found = |strong| entries.push(EntryRef::new(strong));
        let come_to = self.table.own(halves, BATCH, |_| true, found);
        for held in entries {
            let taken = panics.catch(|| {
                held.is_dead() && self.take_out_as(&held, RemovalCause::Dead, Count::Pruned)
            });
            pruned += usize::from(taken == Some(true));
            panics.catch(|| drop(held));
        }
        (pruned, come_to)
    }

    /// Takes out all dead entries. Returns how many this call has taken out.
    pub(in crate::map) fn prune(&self) -> usize {
        if !Self::MORTAL {
            return 0;
        }
        // What destructors insert needs no sweep of its own.
        let _sweeping = Sweeping::begin();
        let mut panics = Panics::new();
        let pruned = self.prune_in(EVERYWHERE, &mut panics);
        panics.catch(|| drop(self.give_up()));
        pruned
    }

    /// Takes out the dead of the entries with this hash. Returns how many this call has taken out.
    pub(in crate::map) fn prune_of(&self, hash: u64) -> usize {
        if !Self::MORTAL {
            return 0;
        }
        let _sweeping = Sweeping::begin();
        let mut panics = Panics::new();
        let mut pruned = 0;
        let _: Option<()> = self.table.find_of(hash, |node| {
            let held = EntryRef::new(node);
            let taken = panics.catch(|| {
                held.is_dead() && self.take_out_as(&held, RemovalCause::Dead, Count::Pruned)
            });
            pruned += usize::from(taken == Some(true));
            panics.catch(|| drop(held));
            None
        });
        panics.catch(|| drop(self.give_up()));
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
