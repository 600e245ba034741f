//! What concerns all entries of a store: counting, choosing, taking out. Here too user code runs with nothing
//! held but the entries it is shown.

use crate::map::store::death_listener::tell;
use crate::map::store::entry_ref::{EntryRef, LiveEntry};
use crate::map::store::hazard::Due;
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

/// Entries that are taken out together. The nodes of so many are still in the cache when they are dropped.
const BULK: usize = if cfg!(all(highlander_loom, feature = "loom")) {
    1
} else {
    512
};

impl<A: Slot, B: Indexed> Store<A, B> {
    /// All entries, also dead ones.
    pub(in crate::map) fn walk(&self) -> Walk<'_, A, B> {
        Walk::new(&self.table)
    }

    /// All live entries, as owners of both sides.
    pub(in crate::map) fn living(&self) -> impl Iterator<Item = LiveEntry<A, B>> + '_ {
        self.walk().landed()
    }

    /// Whether asking if something is dead is known to run no user code.
    pub(in crate::map) const QUIET: bool = A::IS_DEAD_IS_QUIET && B::IS_DEAD_IS_QUIET;

    /// The number of live entries, or less if it is `enough` at least.
    fn count_live_up_to(&self, enough: usize) -> usize {
        if !Self::MORTAL {
            return self.table.len();
        }
        if !Self::QUIET {
            return self
                .walk()
                .owned()
                .filter(|held| !held.is_dead())
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

    /// The number of live entries.
    pub(in crate::map) fn count_live(&self) -> usize {
        self.count_live_up_to(usize::MAX)
    }

    pub(in crate::map) fn is_empty(&self) -> bool {
        self.count_live_up_to(1) == 0
    }

    /// Takes out the live entries for which `keep` says no, and the dead ones. Returns how many live ones
    /// this call has taken out.
    pub(in crate::map) fn retain(
        &self,
        cause: RemovalCause,
        mut keep: impl FnMut(&LiveEntry<A, B>) -> bool,
    ) -> usize {
        let mut taken = 0;
        for held in self.walk().owned() {
            match held.landed() {
                Ok(landed) => {
                    if !keep(&landed) && self.take_out(&landed.held, cause) {
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
        drop(self.give_up());
        taken
    }

    /// Takes out all entries, a few at a time. `cause_of` sees each, and says for what cause it is told of:
    /// once, also if that panics.
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
            for held in &taken.entries {
                let cause = panics.catch(|| cause_of(held));
                panics.catch(|| self.tell_taken(held, cause.unwrap_or(RemovalCause::Cleared)));
            }
            panics.catch(|| drop(taken));
        }
        panics.catch(|| drop(self.give_up()));
    }

    /// As `take_all`, of an exclusive map: somebody may have to wait for the end of each value, which has to
    /// be said before it is unlinked.
    #[cold]
    fn take_each(
        &self,
        panics: &mut Panics,
        mut cause_of: impl FnMut(&EntryRef<A, B>) -> RemovalCause,
    ) {
        for held in self.walk().owned() {
            // Apart from the taking: what panics here goes out too.
            panics.catch(|| held.value().leaves());
            if let Some(of_index) = self.table.take_this(held.strong()) {
                let cause = panics.catch(|| cause_of(&held));
                panics.catch(|| self.tell_taken(&held, cause.unwrap_or(RemovalCause::Cleared)));
                panics.catch(|| drop(self.taken(EntryRef::new(of_index))));
            }
            panics.catch(|| drop(held));
        }
        panics.catch(|| drop(self.give_up()));
    }

    /// Takes out all entries, the live ones for this cause. Returns how many live ones this call has taken
    /// out.
    pub(in crate::map) fn clear(&self) -> usize {
        let mut taken = 0;
        self.take_all(&mut Panics::new(), |held| {
            let dead = held.is_dead();
            taken += usize::from(!dead);
            if dead {
                RemovalCause::Dead
            } else {
                RemovalCause::Cleared
            }
        });
        taken
    }

    /// Takes out some live entry: one of the bucket of which the last one was, or of the next.
    pub(in crate::map) fn pop(&self) -> Option<LiveEntry<A, B>> {
        let start = u64::from(self.popped.load(Relaxed));
        self.pop_in(start..EVERYWHERE.end)
            .or_else(|| self.pop_in(EVERYWHERE.start..start))
    }

    fn pop_in(&self, mut halves: Range<u64>) -> Option<LiveEntry<A, B>> {
        while !halves.is_empty() {
            let mut owned = Vec::new();
            let found = |strong| owned.push(EntryRef::new(strong));
            halves.start = self.table.own(halves.clone(), 1, |_| true, found);
            let mut landed = owned.into_iter().filter_map(|held| held.landed().ok());
            let mut hash = 0;
            let popped = landed.find(|landed| {
                // (Before it is taken out, which may change what is there.)
                hash = landed.held.strong().header().key_hash();
                self.take_out(&landed.held, RemovalCause::Removed)
            });
            if let Some(popped) = after(landed, popped) {
                // There may be more in its bucket.
                let width = EVERYWHERE.end.div_ceil(self.table.buckets().max(1) as u64);
                let start = (hash >> 32).saturating_sub(width);
                self.popped.store(start as u32, Relaxed);
                return Some(popped);
            }
        }
        None
    }

    /// Takes out all entries, and returns the live ones.
    pub(in crate::map) fn drain(&self) -> Vec<(A::Shown, B::Shown)>
    where
        A::Shown: Clone,
        B::Shown: Clone,
    {
        let mut drained = Vec::new();
        self.take_all(&mut Panics::new(), |held| {
            let (key, value) = (held.key(), held.value());
            match (key.live(), value.live()) {
                (Some(key_live), Some(live)) => {
                    drained.push((key.owner(key_live), value.owner(live)));
                    RemovalCause::Cleared
                }
                _ if held.is_dead() => RemovalCause::Dead,
                _ => RemovalCause::Cleared,
            }
        });
        drained
    }

    /// Takes out the `wanted` entries among the next few. That is asked under a lock. Returns also where the
    /// rest of the range begins.
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
            |strong| taken.entries.push(EntryRef::new(strong)),
        );
        (taken, come_to)
    }

    /// An entry of which the caller has taken over the ownership of the index.
    pub(in crate::map) fn taken(&self, held: EntryRef<A, B>) -> Taken<'_, A, B> {
        Taken {
            store: self,
            entries: SmallVec::from_iter([held]),
        }
    }

    /// What is to be done once with an entry that was taken out, but for giving up the index's ownership.
    pub(in crate::map) fn tell(&self, held: &EntryRef<A, B>, cause: RemovalCause) {
        tell(held, &self.reverse, self.hook.as_ref(), cause);
    }

    /// As `tell`, and counts the entry.
    fn tell_taken(&self, held: &EntryRef<A, B>, cause: RemovalCause) {
        self.counters.add(cause.count());
        self.tell(held, cause);
    }

    pub(in crate::map) fn shrink_to_fit(&self) {
        self.prune();
        self.table.shrink_to_fit();
        self.reverse.shrink_to_fit();
    }
}

/// Entries that have been taken out together. The owners are those that the index was, so they are not simply
/// dropped: somebody may be looking at an entry without owning it.
pub(in crate::map) struct Taken<'a, A: Slot, B: Indexed> {
    store: &'a Store<A, B>,
    pub(in crate::map) entries: SmallVec<[EntryRef<A, B>; 16]>,
}

impl<A: Slot, B: Indexed> Drop for Taken<'_, A, B> {
    fn drop(&mut self) {
        let strong = self.entries.drain(..).map(EntryRef::into_strong);
        let _due: Due<_> = if B::IS_WEAK {
            self.store.protection.retire_all(strong, &self.store.table)
        } else {
            // Nobody looks at these without owning them.
            Due::all(strong)
        };
    }
}
