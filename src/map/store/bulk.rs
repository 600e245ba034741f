//! Operations on all entries: count, retain, clear, pop, drain. User code runs with no lock held.

use crate::map::store::death_listener::notify_unlinked;
use crate::map::store::entry_ref::{EntryRef, LiveEntry};
use crate::map::store::hazard::Reclaimed;
use crate::map::store::hook::RemovalCause;
use crate::map::store::iter::{Walk, EVERYWHERE};
use crate::map::store::node::StoreNode;
use crate::map::store::reverse::Indexed;
use crate::map::store::reverse::Reverse;
use crate::map::store::slot::Slot;
use crate::map::store::Store;
use crate::memory::panics::{after, Panics};
use crate::sync::plain::Relaxed;
use smallvec::SmallVec;
use std::ops::Range;

/// The number of entries that are unlinked together: so few that they are still in the cache when they are
/// dropped.
const BULK: usize = if cfg!(all(highlander_loom, feature = "loom")) {
    1
} else {
    512
};

impl<A: Slot, B: Indexed> Store<A, B> {
    /// Iterates over all entries, also dead ones.
    pub(in crate::map) fn walk(&self) -> Walk<'_, A, B> {
        Walk::new(&self.table)
    }

    /// Iterates over the live entries, as owners of both sides.
    pub(in crate::map) fn living(&self) -> impl Iterator<Item = LiveEntry<A, B>> + '_ {
        self.walk().live()
    }

    /// True if `is_dead` runs no user code.
    pub(in crate::map) const QUIET: bool = A::IS_DEAD_IS_QUIET && B::IS_DEAD_IS_QUIET;

    /// Counts the live entries, up to `enough`.
    fn count_live_up_to(&self, enough: usize) -> usize {
        if !Self::MORTAL {
            return self.table.len();
        }
        if !Self::QUIET {
            return self
                .walk()
                .owned()
                .filter(|entry| !entry.is_dead())
                .take(enough)
                .count();
        }
        let mut live = 0;
        self.table.visit(EVERYWHERE, enough, |node| {
            // SAFETY: linked while its bucket is locked, so the index is an owner, and the entry complete.
            let alive = !unsafe { StoreNode::<A, B>::is_dead(node) };
            live += usize::from(alive);
            alive
        });
        live
    }

    /// Counts the live entries.
    pub(in crate::map) fn count_live(&self) -> usize {
        self.count_live_up_to(usize::MAX)
    }

    pub(in crate::map) fn is_empty(&self) -> bool {
        self.count_live_up_to(1) == 0
    }

    /// Removes the live entries for which `keep` returns false, and the dead ones. Returns how many live ones
    /// it has removed.
    pub(in crate::map) fn retain(
        &self,
        cause: RemovalCause,
        mut keep: impl FnMut(&LiveEntry<A, B>) -> bool,
    ) -> usize {
        let mut taken = 0;
        for entry in self.walk().owned() {
            match entry.upgrade() {
                Ok(live_entry) => {
                    if !keep(&live_entry) && self.take_out(&live_entry.entry, cause) {
                        taken += 1;
                    }
                }
                Err(lost) => {
                    if lost.is_dead() {
                        self.take_out(&lost, RemovalCause::Dead);
                    }
                }
            }
        }
        drop(self.reclaim());
        taken
    }

    /// Removes all entries, a few at a time. `cause_of` is shown each, and returns the cause for which the
    /// hook runs. The hook runs once, also if `cause_of` panics.
    pub(in crate::map) fn take_all(
        &self,
        panics: &mut Panics,
        mut cause_of: impl FnMut(&EntryRef<A, B>) -> RemovalCause,
    ) {
        if self.is_exclusive {
            return self.take_each(panics, cause_of);
        }
        let mut left = EVERYWHERE;
        while !left.is_empty() {
            let (taken, come_to) = self.take_some(left.clone(), |_, _| true);
            left.start = come_to;
            for entry in &taken.entries {
                let cause = panics.catch(|| cause_of(entry));
                panics.catch(|| self.notify_taken(entry, cause.unwrap_or(RemovalCause::Cleared)));
            }
            panics.catch(|| drop(taken));
        }
        panics.catch(|| drop(self.reclaim()));
    }

    /// Removes all entries of an exclusive map, where `before_unlink` comes first.
    #[cold]
    fn take_each(
        &self,
        panics: &mut Panics,
        mut cause_of: impl FnMut(&EntryRef<A, B>) -> RemovalCause,
    ) {
        for entry in self.walk().owned() {
            // A step of its own: an entry for which this panics is taken out too.
            panics.catch(|| entry.value().before_unlink());
            if let Some(of_index) = self.table.take_this(entry.node_ref()) {
                let cause = panics.catch(|| cause_of(&entry));
                panics.catch(|| self.notify_taken(&entry, cause.unwrap_or(RemovalCause::Cleared)));
                panics.catch(|| drop(self.taken(EntryRef::new(of_index))));
            }
            panics.catch(|| drop(entry));
        }
        panics.catch(|| drop(self.reclaim()));
    }

    /// Removes all entries. Returns how many live ones it has removed.
    pub(in crate::map) fn clear(&self) -> usize {
        let mut taken = 0;
        self.take_all(&mut Panics::new(), |entry| {
            let dead = entry.is_dead();
            taken += usize::from(!dead);
            if dead {
                RemovalCause::Dead
            } else {
                RemovalCause::Cleared
            }
        });
        taken
    }

    /// Removes some live entry: of the bucket where the last one was, or of a later one.
    pub(in crate::map) fn pop(&self) -> Option<LiveEntry<A, B>> {
        let start = u64::from(self.popped.load(Relaxed));
        self.pop_in(start..EVERYWHERE.end)
            .or_else(|| self.pop_in(EVERYWHERE.start..start))
    }

    fn pop_in(&self, mut halves: Range<u64>) -> Option<LiveEntry<A, B>> {
        while !halves.is_empty() {
            let mut owned = Vec::new();
            let found = |node_ref| owned.push(EntryRef::new(node_ref));
            halves.start = self.table.own(halves.clone(), 1, |_| true, found);
            let mut live_entry = owned.into_iter().filter_map(|entry| entry.upgrade().ok());
            let mut hash = 0;
            let popped = live_entry.find(|live_entry| {
                // (Before it is taken out: its header may change then.)
                hash = live_entry.entry.node_ref().header().key_hash();
                self.take_out(&live_entry.entry, RemovalCause::Removed)
            });
            if let Some(popped) = after(live_entry, popped) {
                // There may be more in its bucket.
                let width = EVERYWHERE.end.div_ceil(self.table.buckets().max(1) as u64);
                let start = (hash >> 32).saturating_sub(width);
                self.popped.store(start as u32, Relaxed);
                return Some(popped);
            }
        }
        None
    }

    /// Removes all entries, and returns the live ones.
    pub(in crate::map) fn drain(&self) -> Vec<(A::Shown, B::Shown)>
    where
        A::Shown: Clone,
        B::Shown: Clone,
    {
        let mut drained = Vec::new();
        self.take_all(&mut Panics::new(), |entry| {
            let (key, value) = (entry.key(), entry.value());
            match (key.live(), value.live()) {
                (Some(key_live), Some(live)) => {
                    drained.push((key.owner(key_live), value.owner(live)));
                    RemovalCause::Cleared
                }
                _ if entry.is_dead() => RemovalCause::Dead,
                _ => RemovalCause::Cleared,
            }
        });
        drained
    }

    /// Unlinks the `wanted` entries among the next few; `wanted` is called under a lock. Also returns where
    /// the rest of the range begins.
    pub(in crate::map) fn take_some(
        &self,
        halves: Range<u64>,
        wanted: impl Fn(&A, &B) -> bool,
    ) -> (Taken<'_, A, B>, u64) {
        let mut taken = Taken {
            store: self,
            entries: SmallVec::new(),
        };
        let come_to = self.table.take(
            halves,
            BULK,
            |node| {
                // SAFETY: linked while its bucket is locked, so the index is an owner, and the entry
                // complete.
                let (key, value) = unsafe { StoreNode::<A, B>::sides(node) };
                wanted(key, value)
            },
            |node_ref| taken.entries.push(EntryRef::new(node_ref)),
        );
        (taken, come_to)
    }

    /// Takes over an entry, with the index's ownership of it.
    pub(in crate::map) fn taken(&self, entry: EntryRef<A, B>) -> Taken<'_, A, B> {
        Taken {
            store: self,
            entries: SmallVec::from_iter([entry]),
        }
    }

    /// Does all that is to be done once for an unlinked entry, except for retiring the index's ownership.
    pub(in crate::map) fn notify_unlinked(&self, entry: &EntryRef<A, B>, cause: RemovalCause) {
        notify_unlinked(entry, &self.reverse, self.hook.as_ref(), cause);
    }

    /// Does what `notify_unlinked` does, and counts the entry.
    fn notify_taken(&self, entry: &EntryRef<A, B>, cause: RemovalCause) {
        self.counters.add(cause.count());
        self.notify_unlinked(entry, cause);
    }

    pub(in crate::map) fn shrink_to_fit(&self) {
        self.prune();
        self.table.shrink_to_fit();
        self.reverse.shrink_to_fit();
    }
}

/// Entries that were unlinked together, with the index's ownerships. The ownerships are retired, not dropped:
/// an entry may have a hazard.
pub(in crate::map) struct Taken<'a, A: Slot, B: Indexed> {
    store: &'a Store<A, B>,
    pub(in crate::map) entries: SmallVec<[EntryRef<A, B>; 16]>,
}

impl<A: Slot, B: Indexed> Drop for Taken<'_, A, B> {
    fn drop(&mut self) {
        let node_ref = self.entries.drain(..).map(EntryRef::into_node_ref);
        let _reclaimed: Reclaimed<_> = if B::IS_WEAK {
            self.store.hazards.retire_all(node_ref, &self.store.table)
        } else {
            // Only owners read these entries.
            Reclaimed::all(node_ref)
        };
    }
}
