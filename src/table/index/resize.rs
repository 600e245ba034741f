//! Growing and shrinking, a few buckets at a time.
//!
//! The array gets a successor, and each insertion moves a few groups of neighbouring buckets, until all have
//! moved and the successor takes the array's place. Nobody waits for the whole: a reader that finds a moved
//! bucket looks into the successor, and a writer waits for its own bucket's group at most. The old array is
//! retired.
//!
//! A reservation sets a successor that is as long as needed, and moves all groups that nobody has begun to
//! move. If others still have some in hand, the needed array becomes that successor's successor: no group may
//! leave a successor before all have arrived there.

use super::array::{self, gcd, Array};
use super::bucket::Tag;
use super::locked_bucket::LockedBucket;
use super::Index;
use crate::memory::grace::{Graveyard, ReadGuard};
use crate::sync::Ordering;
use std::ptr::{self, NonNull};

/// The most buckets in a group before it moves. After it there may be more, but no more are locked at a time.
const WIDEST_GROUP: usize = 4;
/// Groups that an insertion moves while the array is being replaced.
const GROUPS_PER_STEP: usize = 4;

impl Index {
    /// Begins to replace the array by a longer one, if it is crowded with `live` nodes and has no successor.
    #[cold]
    pub(super) fn grow(&self, array: &Array, live: usize, graveyard: &Graveyard) {
        if array.successor().is_none() && array.is_crowded(live) {
            if let Some(len) = array::longer(array.len()) {
                set_successor(array, len);
                self.step(array, graveyard);
            }
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn step(&self, array: &Array, graveyard: &Graveyard) {
        let Some(next) = array.successor() else {
            return;
        };
        let groups = gcd(array.len(), next.len());
        for _ in 0..GROUPS_PER_STEP {
            if array.claimed.load(Ordering::Relaxed) >= groups {
                return;
            }
            let group = array.claimed.fetch_add(1, Ordering::Relaxed);
            if group >= groups {
                return;
            }
            self.move_group(array, next, group, groups);
            // AcqRel: the thread that counts the last group has seen the work on all others.
            if array.moved.fetch_add(1, Ordering::AcqRel) + 1 == groups {
                self.succeed(array, next, graveyard);
                return;
            }
        }
    }

    /// Makes room for so many nodes in all, all at once; others go on meanwhile.
    ///
    /// Panics with "capacity overflow" when no array can be that long.
    pub(in crate::table) fn reserve(&self, nodes: usize, graveyard: &Graveyard, _: &ReadGuard) {
        let wanted = array::len_for(nodes);
        while let Some(array) = self.array() {
            if let Some(next) = array.successor() {
                self.move_rest(array, next, graveyard);
                if !self.is_current(array) {
                    continue;
                }
                // Another thread has a last group in hand; it will finish the move.
            }
            let last = array.last();
            if last.len() >= wanted {
                return;
            }
            set_successor(last, wanted);
        }
    }

    /// Moves the groups that nobody has begun to move.
    fn move_rest(&self, array: &Array, next: &Array, graveyard: &Graveyard) {
        let groups = gcd(array.len(), next.len());
        while array.claimed.load(Ordering::Relaxed) < groups {
            self.step(array, graveyard);
        }
    }

    /// Makes the array as short as `live` nodes allow, all at once; others go on meanwhile.
    pub(in crate::table) fn shrink(
        &self,
        live: impl Fn() -> usize,
        graveyard: &Graveyard,
        _: &ReadGuard,
    ) {
        while let Some(array) = self.array() {
            if let Some(next) = array.successor() {
                self.move_rest(array, next, graveyard);
                if self.is_current(array) {
                    // Another thread has a last group in hand; it will finish the move.
                    return;
                }
                continue;
            }
            match array::shorter(array.len()) {
                Some(len) if live() <= array::capacity(len) => set_successor(array, len),
                _ => return,
            }
        }
    }

    /// Moves one group: locks its buckets, deals their nodes out to the successor's, and marks them as moved.
    fn move_group(&self, array: &Array, next: &Array, group: usize, groups: usize) {
        let (from, to) = (array.len() / groups, next.len() / groups);
        debug_assert!(
            from <= WIDEST_GROUP,
            "from {} to {}",
            array.len(),
            next.len()
        );
        // In ascending order; all other code locks one bucket at a time.
        let mut old: [Option<LockedBucket<'_>>; WIDEST_GROUP] = std::array::from_fn(|i| {
            (i < from).then(|| LockedBucket::lock(array, group * from + i, &self.lists))
        });
        // Nobody finds these yet: the way to them leads through the old ones. They are locked to be written,
        // not to be kept from anybody; so one can make way for another.
        let mut new: [Option<LockedBucket<'_>>; WIDEST_GROUP] = [const { None }; WIDEST_GROUP];
        for bucket in old.iter_mut().flatten() {
            bucket.move_out(|node| {
                // SAFETY: linked nodes are headers, always.
                let hash = unsafe { node.as_ref() }.hash();
                let index = next.index(hash);
                debug_assert_eq!(index / to, group, "a group holds one range of hashes");
                let place = &mut new[index % WIDEST_GROUP];
                if place.as_ref().is_none_or(|bucket| bucket.index() != index) {
                    *place = None;
                    *place = Some(LockedBucket::lock(next, index, &self.lists));
                }
                let bucket = place.as_mut().expect("locked above");
                bucket.place(node, Tag::of(hash));
            });
        }
        // First the new ones, so that they are complete when the old ones say so.
        drop(new);
        drop(old);
    }

    /// Puts the successor in the array's place, when every group has moved.
    fn succeed(&self, array: &Array, next: &Array, graveyard: &Graveyard) {
        let old = self.array.load(Ordering::Relaxed);
        if !ptr::eq(old, array) {
            return;
        }
        let new = array.next.load(Ordering::Relaxed);
        debug_assert!(ptr::eq(new, next));
        // Release: pairs with the Acquire load of the array; the successor is complete.
        let won = self
            .array
            .compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed);
        if let (Ok(_), Some(old)) = (won, NonNull::new(old)) {
            // SAFETY: from here on no reader that loads the array finds the old one.
            unsafe { graveyard.retire(Array::blocks(old)) };
        }
    }
}

/// Gives the array a successor, unless it has one.
fn set_successor(array: &Array, len: usize) {
    let next = Array::boxed(len, array.generation() + 1);
    // Release: pairs with `Array::successor`.
    let won = array.next.compare_exchange(
        ptr::null_mut(),
        next.as_ptr(),
        Ordering::AcqRel,
        Ordering::Relaxed,
    );
    if won.is_err() {
        // SAFETY: shown to nobody.
        unsafe { Array::free(next) };
    }
}
