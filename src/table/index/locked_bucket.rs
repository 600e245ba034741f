//! A bucket with its part of the line and its list: what did not fit into it.
//!
//! ```text
//!  buckets  │ 0 │ 1 │ … │15 │16 │ … │31 │ …        a full bucket spills into the line of 16 neighbours,
//!  lines    │       0       │       1       │ …    and when that is full too, into a list in a dashmap
//! ```
//!
//! A writer holds the bucket's lock, and takes the line's lock, or the list's, for a moment inside it. So
//! nothing of one bucket changes meanwhile, while others use the same line.
//!
//! A node stays in its place until it is unlinked or the bucket moves. The entries of a list have ascending
//! numbers, each used once; so a caller that has compared some of them goes on behind the last one, whatever
//! has come and gone meanwhile.

use super::array::{Array, Which};
use super::bucket::{Bucket, Locked, Tag};
use crate::memory::node::NodePtr;
use crate::sync::plain::{AtomicU64, Relaxed};
use crate::sync::{List, ListMap, OnceCell};
use std::ops::{Range, RangeInclusive};

pub(in crate::table) struct Listed {
    node: NodePtr,
    number: u64,
}

impl Listed {
    fn new(node: NodePtr) -> Self {
        // From 1: 0 stands for none. In a list they ascend, as they are taken while its bucket is locked.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Relaxed);
        Self { node, number }
    }
}

// SAFETY: a pointer as in a bucket's slot; what it may be used for is checked where it is used.
unsafe impl Send for Listed {}
// SAFETY: as above.
unsafe impl Sync for Listed {}

/// The nodes that found bucket and line full, under the address of their bucket.
pub(in crate::table) type Lists = OnceCell<ListMap<List<Listed>>>;

/// A bucket, locked for writing, with what did not fit; dropping it publishes what has changed.
pub(super) struct LockedBucket<'a> {
    bucket: Locked<'a>,
    lists: &'a Lists,
    array: &'a Array,
    index: usize,
}

impl<'a> LockedBucket<'a> {
    /// Locks the bucket at this index, which may have moved.
    #[inline(always)]
    pub(super) fn lock(array: &'a Array, index: usize, lists: &'a Lists) -> Self {
        Self {
            bucket: array.at(index).lock(),
            lists,
            array,
            index,
        }
    }

    /// Locks the bucket that holds the nodes with this hash now: in this array, or in a successor.
    #[inline(always)]
    pub(super) fn of(hash: u64, array: &'a Array, lists: &'a Lists) -> Self {
        let bucket = Self::lock(array, array.index(hash), lists);
        if bucket.has_moved() {
            bucket.follow(hash)
        } else {
            bucket
        }
    }

    /// Goes on to the successors of a bucket that has moved.
    #[cold]
    #[inline(never)]
    fn follow(self, hash: u64) -> Self {
        let mut bucket = self;
        while bucket.has_moved() {
            let (array, lists) = (bucket.array, bucket.lists);
            drop(bucket);
            let next = array.successor().expect("nodes move to the successor only");
            bucket = Self::lock(next, next.index(hash), lists);
        }
        bucket
    }

    pub(super) fn index(&self) -> usize {
        self.index
    }

    pub(super) fn generation(&self) -> u64 {
        self.array.generation()
    }

    fn line(&self) -> &'a Bucket {
        self.array.line(self.index)
    }

    #[inline(always)]
    pub(super) fn has_moved(&self) -> bool {
        self.bucket.word().has_moved()
    }

    /// Returns whether a node with this tag may be linked here.
    #[inline(always)]
    pub(super) fn may_hold(&self, tag: Tag) -> bool {
        !self.bucket.word().is_complete() || self.bucket.word().matches(tag).next().is_some()
    }

    /// Calls `f` with every linked node of this bucket.
    pub(super) fn for_each(&self, mut f: impl FnMut(NodePtr)) {
        self.bucket.nodes().for_each(&mut f);
        if self.bucket.word().spills() {
            let line = self.line().lock();
            line.nodes()
                .filter(|node| self.owns(*node))
                .for_each(&mut f);
        }
        if self.bucket.word().lists() {
            self.list(|list| list.iter().for_each(|listed| f(listed.node)));
        }
    }

    /// Unlinks the nodes that are `wanted`, and hands them over.
    pub(super) fn take(
        &mut self,
        wanted: impl Fn(NodePtr) -> bool,
        mut taken: impl FnMut(NodePtr),
    ) {
        self.bucket.take(&wanted, &mut taken);
        if self.bucket.word().spills() {
            let mut line = self.line().lock();
            line.take(|node| self.owns(node) && wanted(node), &mut taken);
            let more = line.nodes().any(|node| self.owns(node));
            self.bucket.set_spills(more);
        }
        if self.bucket.word().lists() {
            let more = self.list(|list| {
                list.retain(|listed| {
                    let take = wanted(listed.node);
                    if take {
                        taken(listed.node);
                    }
                    !take
                });
                !list.is_empty()
            });
            self.bucket.set_lists(more);
        }
    }

    /// Calls `f` with the linked nodes that may have this tag, and with some of other buckets.
    pub(super) fn for_each_match(&self, tag: Tag, mut f: impl FnMut(NodePtr)) {
        self.for_each_match_in_slots(tag, &mut f);
        if self.bucket.word().lists() {
            self.list(|list| list.iter().for_each(|listed| f(listed.node)));
        }
    }

    /// Calls `f` with those of `for_each_match` that are not in the list.
    pub(super) fn for_each_match_in_slots(&self, tag: Tag, mut f: impl FnMut(NodePtr)) {
        self.bucket.matches(tag).for_each(&mut f);
        if self.bucket.word().spills() {
            self.line().lock().matches(tag).for_each(&mut f);
        }
    }

    /// Calls `f` with the nodes in the list whose number is in this range, in order, until it says no.
    /// Returns the number of the last one it was called with.
    pub(super) fn for_each_listed(
        &self,
        numbers: RangeInclusive<u64>,
        mut f: impl FnMut(NodePtr) -> bool,
    ) -> Option<u64> {
        if !self.bucket.word().lists() {
            return None;
        }
        self.list(|list| {
            let first = list.partition_point(|listed| listed.number < *numbers.start());
            let mut last = None;
            for listed in &list[first..] {
                if listed.number > *numbers.end() {
                    break;
                }
                last = Some(listed.number);
                if !f(listed.node) {
                    break;
                }
            }
            last
        })
    }

    /// Returns the highest number in the list; 0 if there is none.
    pub(super) fn last_number(&self) -> u64 {
        if !self.bucket.word().lists() {
            return 0;
        }
        self.list(|list| list.last().map_or(0, |last| last.number))
    }

    /// Links a node. False if the bucket was full.
    #[inline(always)]
    pub(super) fn place(&mut self, node: NodePtr, tag: Tag) -> bool {
        let fits = self.bucket.place(node, tag);
        if !fits {
            self.spill(node, tag);
        }
        fits
    }

    #[cold]
    fn spill(&mut self, node: NodePtr, tag: Tag) {
        if self.line().lock().place(node, tag) {
            self.bucket.set_spills(true);
        } else {
            self.list(|list| list.push(Listed::new(node)));
            self.bucket.set_lists(true);
        }
    }

    /// Returns whether this very node is linked in the bucket itself.
    #[inline(always)]
    pub(super) fn has_in_bucket(&self, node: NodePtr, tag: Tag) -> bool {
        self.bucket.matches(tag).any(|linked| linked == node)
    }

    /// Unlinks this very node, if it is linked here.
    #[inline(always)]
    pub(super) fn remove(&mut self, node: NodePtr, tag: Tag) -> bool {
        self.bucket.remove(node, tag)
            || (!self.bucket.word().is_complete() && self.remove_spilled(node, tag))
    }

    #[cold]
    fn remove_spilled(&mut self, node: NodePtr, tag: Tag) -> bool {
        if self.bucket.word().spills() {
            let mut line = self.line().lock();
            if line.remove(node, tag) {
                let more = line.nodes().any(|node| self.owns(node));
                self.bucket.set_spills(more);
                return true;
            }
        }
        if !self.bucket.word().lists() {
            return false;
        }
        let (removed, more) = self.list(|list| {
            let at = list.iter().position(|listed| listed.node == node);
            let removed = at.map(|at| list.remove(at)).is_some();
            (removed, !list.is_empty())
        });
        self.bucket.set_lists(more);
        removed
    }

    /// Puts `new`, whose hash is the same, in the place of this very node, if it is linked here.
    pub(super) fn replace(&mut self, old: NodePtr, new: NodePtr, tag: Tag) -> bool {
        self.bucket.replace(old, new, tag)
            || (self.bucket.word().spills() && self.line().lock().replace(old, new, tag))
            || (self.bucket.word().lists()
                && self.list(|list| {
                    let place = list.iter_mut().find(|listed| listed.node == old);
                    place.map(|listed| listed.node = new).is_some()
                }))
    }

    /// Takes all nodes out, to link them in the successor, and marks the bucket as moved.
    pub(super) fn move_out(&mut self, mut deal: impl FnMut(NodePtr)) {
        self.bucket.nodes().for_each(&mut deal);
        // Taken out first and dealt afterwards: where they go, they may need the same lock.
        if self.bucket.word().spills() {
            let mut line = self.line().lock();
            let spilled: Vec<NodePtr> = line.nodes().filter(|node| self.owns(*node)).collect();
            line.retain(|node| !spilled.contains(&node));
            drop(line);
            spilled.into_iter().for_each(&mut deal);
        }
        if self.bucket.word().lists() {
            let listed = self.list(std::mem::take);
            listed.into_iter().for_each(|listed| deal(listed.node));
        }
        self.bucket.set_moved();
    }

    /// Returns whether a node of the shared line is one of this bucket.
    fn owns(&self, node: NodePtr) -> bool {
        // SAFETY: linked nodes are headers, always.
        self.array.index(unsafe { node.as_ref() }.hash()) == self.index
    }

    #[cold]
    fn list<R>(&self, f: impl FnOnce(&mut List<Listed>) -> R) -> R {
        self.lists
            .get_or_init(ListMap::new)
            .update(self.bucket.address(), f)
    }
}

impl Array {
    /// Locks the buckets of the hashes whose upper half is in this range, one after the other, wherever they
    /// are by now, and lets `visit` work on each. It gets the part of the range, if the bucket may hold nodes
    /// that are not in it, and returns whether to go on. Returns where the rest of the range begins.
    ///
    /// Where a bucket has moved, its part of the range is looked for in the successor; so the parts only ever
    /// become smaller, however often the array is replaced meanwhile.
    pub(super) fn visit(
        &self,
        range: Range<u64>,
        lists: &Lists,
        which: Which,
        visit: &mut impl FnMut(&mut LockedBucket<'_>, Option<&Range<u64>>) -> bool,
    ) -> u64 {
        let (first, last) = self.buckets_of(&range);
        // Only the outermost may hold nodes that are not in the range.
        let (cut_in_front, cut_behind) = (self.cuts(range.start), self.cuts(range.end));
        for index in first..=last {
            self.prefetch_from(index);
            if which == Which::Occupied && self.at(index).word().is_empty() {
                continue;
            }
            let mut bucket = LockedBucket::lock(self, index, lists);
            if bucket.has_moved() {
                drop(bucket);
                let (part, next) = (self.part(&range, index), self.successor());
                let next = next.expect("nodes move to the successor only");
                let come_to = next.visit(part.clone(), lists, which, visit);
                if come_to < part.end {
                    return come_to;
                }
                continue;
            }
            let cut = (cut_in_front && index == first) || (cut_behind && index == last);
            let go_on = visit(&mut bucket, cut.then(|| self.part(&range, index)).as_ref());
            drop(bucket);
            if !go_on {
                return self.start_of(index + 1).min(range.end);
            }
        }
        range.end
    }
}
