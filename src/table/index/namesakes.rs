//! Linked nodes that have one hash, a few at a time.
//!
//! A caller becomes an owner of a few nodes with its hash, compares them when no lock is held, and goes on
//! behind the last one. So it never owns many. Those in the slots of a bucket and of its line come first, all
//! at once; then those of the list, in the order of their numbers. In another array it begins anew.
//!
//! - A look-up stops at the number that was the last one when it began. If the node with its key was linked
//!   then, it meets that one, or the one that has taken its place. If that has been unlinked meanwhile, the
//!   key was absent at one moment of the look-up.
//! - An insertion has to meet all. It goes on until nothing is left that it has not compared, and then links
//!   its node under the same lock.

use super::bucket::{Tag, SLOTS};
use super::locked_bucket::LockedBucket;
use super::{acquire, Index, Link};
use crate::memory::grace::{Graveyard, ReadGuard};
use crate::memory::node::NodePtr;

/// The most nodes that are owned at a time, but for those that come and go in the slots during an insertion:
/// as many as bucket and line can hold, and some.
pub(crate) const FEW: usize = if cfg!(all(highlander_loom, feature = "loom")) {
    1
} else {
    2 * SLOTS + 2
};

/// The place up to which the nodes with one hash have been looked at.
pub(crate) struct Place {
    /// The array's; 0 before the first one.
    generation: u64,
    next: u64,
    last: u64,
}

impl Place {
    pub(in crate::table) const START: Self = Self {
        generation: 0,
        next: 0,
        last: 0,
    };
}

pub(crate) struct Compared {
    pub(in crate::table) place: Place,
    /// Those in slots. The caller owns them, so that no new node can be taken for one of them.
    pub(in crate::table) in_slots: Vec<NodePtr>,
}

impl LockedBucket<'_> {
    #[cold]
    pub(super) fn has_namesakes(&self, hash: u64) -> bool {
        let mut any = false;
        self.for_each_match(Tag::of(hash), |node| {
            // SAFETY: linked nodes are headers, always.
            any |= unsafe { node.as_ref() }.hash() == hash;
        });
        any
    }

    /// Shows `see` the next few living nodes with this hash in the list; the caller becomes an owner of each.
    /// It has found so many others before.
    fn next_listed(
        &self,
        hash: u64,
        place: &mut Place,
        mut found: usize,
        see: &mut dyn FnMut(NodePtr),
    ) {
        if found >= FEW {
            return;
        }
        let last = self.for_each_listed(place.next..=place.last, |node| {
            if let Some(node) = acquire(node, hash) {
                see(node);
                found += 1;
            }
            found < FEW
        });
        if let Some(last) = last {
            place.next = last + 1;
        }
    }
}

impl Index {
    /// Shows `see` the next few living nodes with this hash; the caller becomes an owner of each. Shows none
    /// when all have been looked at that were linked when the look-up began.
    #[cold]
    #[inline(never)]
    pub(in crate::table) fn next_few(
        &self,
        hash: u64,
        place: &mut Place,
        see: &mut dyn FnMut(NodePtr),
        _: &ReadGuard,
    ) {
        let Some(array) = self.array() else {
            return;
        };
        let bucket = LockedBucket::of(hash, array, &self.lists);
        let mut found = 0;
        if place.generation != bucket.generation() {
            *place = Place {
                generation: bucket.generation(),
                next: 0,
                last: bucket.last_number(),
            };
            bucket.for_each_match_in_slots(Tag::of(hash), |node| {
                if let Some(node) = acquire(node, hash) {
                    see(node);
                    found += 1;
                }
            });
        }
        bucket.next_listed(hash, place, found, see);
    }

    /// Links a node for a caller that has compared some nodes with the same hash. Shows `see` the next few
    /// others, and whether they are in slots: these are rivals. Links the node if there are none.
    #[cold]
    #[inline(never)]
    pub(in crate::table) fn link_beside(
        &self,
        node: NodePtr,
        compared: &mut Compared,
        see: &mut dyn FnMut(NodePtr, bool),
        live: &dyn Fn() -> usize,
        graveyard: &Graveyard,
        _: &ReadGuard,
    ) -> Link {
        let array = self.array();
        let array = array.expect("nodes are linked while the registry lives");
        // SAFETY: the caller has the node alone, or is an owner of the draft in it.
        let hash = unsafe { node.as_ref() }.key_hash();
        let bucket = LockedBucket::of(hash, array, &self.lists);
        let Compared { place, in_slots } = compared;
        if place.generation != bucket.generation() {
            *place = Place {
                generation: bucket.generation(),
                next: 0,
                last: u64::MAX,
            };
        }
        let mut found = 0;
        bucket.for_each_match_in_slots(Tag::of(hash), |other| {
            if in_slots.contains(&other) {
                return;
            }
            if let Some(other) = acquire(other, hash) {
                see(other, true);
                found += 1;
            }
        });
        bucket.next_listed(hash, place, found, &mut |other| {
            see(other, false);
            found += 1;
        });
        if found > 0 {
            return Link::Rivals;
        }
        self.place(node, hash, bucket, array, live, graveyard)
    }
}
