//! Looking at the nodes of one bucket after the other, at leisure: without a lock, and without owning what has not been looked at yet.
//!
//! A bucket's word, and its slots, are copied once. Whoever goes on to the next node names it as the one that his thread is looking at, and only then
//! sees whether the bucket is still as it was. If it is not, the nodes that are left are *lost* from sight: those that are linked still are to be looked for
//! under the lock. So what is linked throughout is met once, and nothing that has been linked meanwhile is met beside what it replaced.

use super::array::Array;
use super::bucket::{Bucket, Slots, Word, SLOTS};
use super::Index;
use crate::grace::Guard;
use crate::node::Node;
use crate::sync::{self, AtomicPtr, Ordering};
use std::ops::Range;
use std::ptr;

/// What one bucket showed at one moment. None of the pointers may be followed: they are kept as numbers, to be compared.
pub(crate) struct Sight {
    array: usize,
    index: usize,
    /// The upper halves of the hashes that lead to the bucket.
    halves: Range<u64>,
    word: Word,
    /// The slots that have not been looked at.
    left: Slots,
    nodes: [usize; SLOTS],
}

/// What comes after a part of the table that has been looked at.
pub(crate) enum Ahead {
    /// A bucket; beyond this upper half of a hash there may be more.
    Bucket(Sight, u64),
    /// From this upper half on one has to look under the lock.
    Unsure(u64),
    Nothing,
}

/// The next node of a bucket in sight.
pub(crate) enum Next {
    /// It has been named, and was linked after that.
    Named(Node),
    Lost,
    Over,
}

impl Index {
    /// The first bucket in this range that holds something.
    #[inline(always)]
    pub(crate) fn look_ahead(&self, range: Range<u64>, _: &Guard) -> Ahead {
        let Some(array) = self.array().filter(|_| !range.is_empty()) else {
            return Ahead::Nothing;
        };
        let (first, last) = array.buckets_of(&range);
        for index in first..=last {
            array.prefetch_from(index);
            let bucket = array.at(index);
            let word = bucket.word();
            if word.is_empty() {
                continue;
            }
            let halves = array.start_of(index)..array.start_of(index + 1);
            if !word.is_complete() || halves.start < range.start || halves.end > range.end {
                return Ahead::Unsure(halves.start.max(range.start));
            }
            let end = halves.end;
            return Ahead::Bucket(Sight::new(array, index, halves, bucket, word), end);
        }
        Ahead::Nothing
    }

    /// Goes on to the next node of a bucket in sight, and names it in `hazard`, which names nothing now; nor does it unless there is one.
    #[inline(always)]
    pub(crate) fn name_next(&self, sight: &mut Sight, hazard: &AtomicPtr<()>, _: &Guard) -> Next {
        let before = sight.left;
        let Some(slot) = sight.left.next() else {
            return Next::Over;
        };
        // Another array may lie where that one was. Then this is one of its buckets, and whatever is found in it is linked.
        let same = |array: &&Array| ptr::from_ref(*array).addr() == sight.array;
        if let Some(array) = self
            .array()
            .filter(same)
            .filter(|array| sight.index < array.len())
        {
            let bucket = array.at(sight.index);
            if bucket.word() == sight.word {
                let node = bucket.node(slot);
                // As in `protect`: named, then looked at again, the word first.
                hazard.store(node.as_ptr().cast(), Ordering::Release);
                sync::light_barrier();
                if bucket.word() == sight.word && bucket.node(slot) == node {
                    return Next::Named(node);
                }
                hazard.store(ptr::null_mut(), Ordering::Release);
            }
        }
        sight.left = before;
        Next::Lost
    }
}

impl Sight {
    /// Of nothing.
    pub(crate) fn none() -> Self {
        Self {
            array: 0,
            index: 0,
            halves: 0..0,
            word: Word::EMPTY,
            left: Word::EMPTY.occupied(),
            nodes: [0; SLOTS],
        }
    }

    #[inline(always)]
    fn new(array: &Array, index: usize, halves: Range<u64>, bucket: &Bucket, word: Word) -> Self {
        Self {
            array: ptr::from_ref(array).addr(),
            index,
            halves,
            word,
            left: word.occupied(),
            nodes: bucket.addresses(),
        }
    }

    /// Whether all nodes have been looked at.
    #[inline(always)]
    pub(crate) fn is_over(&self) -> bool {
        self.left.is_empty()
    }

    /// The upper halves of the hashes that lead to the bucket.
    pub(crate) fn halves(&self) -> Range<u64> {
        self.halves.clone()
    }

    /// Whether this node was there and has not been looked at.
    pub(crate) fn misses(&self, node: Node) -> bool {
        let mut left = self.left;
        left.any(|slot| self.nodes[slot] == node.addr().get())
    }
}
