//! Looking at the nodes of one bucket after the other, at leisure: without a lock, and without owning what
//! has not been looked at yet.
//!
//! A bucket's word, and its slots, are copied once. Whoever goes on to the next node names it as the one that
//! his thread is looking at, and only then sees whether the bucket is still as it was. If it is not, the
//! nodes that are left are *lost* from sight: those that are linked still are to be looked for under the
//! lock. So what is linked throughout is met once, and nothing that has been linked meanwhile is met beside
//! what it replaced.

use super::array::{self, Array};
use super::bucket::{Slots, Word, SLOTS};
use super::Index;
use crate::memory::grace::ReadGuard;
use crate::memory::node::NodePtr;
use crate::sync::{self, AtomicPtr, Ordering};
use std::ops::Range;
use std::ptr;

/// One more than the greatest upper half of a hash.
const END: u64 = 1 << 32;

/// A place in the table: a bucket, what it showed at one moment, and which of its nodes have been looked at.
/// The first ones lie before the first bucket.
///
/// None of the pointers may be followed: they are kept as numbers, to be compared.
pub(crate) struct BucketCursor {
    array: usize,
    /// The length of that array; 0 if this is no bucket.
    len: usize,
    index: usize,
    /// Where to go on, if this is no bucket: the upper half of a hash.
    behind: u64,
    word: Word,
    /// The slots that have not been looked at.
    left: Slots,
    nodes: [usize; SLOTS],
}

/// What comes after a place in the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ahead {
    /// A bucket, which is the place now.
    Bucket,
    /// From the place on, which may be another one now, one has to look under the lock.
    Unsure,
    Nothing,
}

/// The next node of a bucket in sight.
pub(crate) enum Next {
    /// It has been named, and was linked after that.
    Named(NodePtr),
    Lost,
    Over,
}

impl Index {
    /// Goes on to the next bucket that holds something.
    #[inline(always)]
    pub(in crate::table) fn look_ahead(&self, sight: &mut BucketCursor, _: &ReadGuard) -> Ahead {
        let Some(array) = self.array() else {
            return Ahead::Nothing;
        };
        let first = if sight.is_in(array) {
            sight.index + 1
        } else {
            let behind = sight.behind();
            if behind == END {
                return Ahead::Nothing;
            }
            if array.cuts(behind) {
                *sight = BucketCursor::before(behind);
                return Ahead::Unsure;
            }
            array.index(behind << 32)
        };
        for index in first..array.len() {
            array.prefetch_from(index);
            let bucket = array.at(index);
            let word = bucket.word();
            if word.is_empty() {
                continue;
            }
            if !word.is_complete() {
                *sight = BucketCursor::before(array.start_of(index));
                return Ahead::Unsure;
            }
            *sight = BucketCursor {
                array: ptr::from_ref(array).addr(),
                len: array.len(),
                index,
                behind: 0,
                word,
                left: word.occupied(),
                nodes: bucket.addresses(),
            };
            return Ahead::Bucket;
        }
        *sight = BucketCursor::before(END);
        Ahead::Nothing
    }

    /// Goes on to the next node of a bucket in sight, and names it in `hazard`, which names nothing now; nor
    /// does it unless there is one.
    #[inline(always)]
    pub(in crate::table) fn name_next(
        &self,
        sight: &mut BucketCursor,
        hazard: &AtomicPtr<()>,
        _: &ReadGuard,
    ) -> Next {
        let before = sight.left;
        let Some(slot) = sight.left.next() else {
            return Next::Over;
        };
        if let Some(array) = self.array().filter(|array| sight.is_in(array)) {
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

impl BucketCursor {
    /// Not a bucket, but what lies before this upper half of a hash.
    pub(crate) fn before(half: u64) -> Self {
        Self {
            array: 0,
            len: 0,
            index: 0,
            behind: half,
            word: Word::EMPTY,
            left: Word::EMPTY.occupied(),
            nodes: [0; SLOTS],
        }
    }

    /// Whether this is a bucket of this array, or of one that lay in the same place and was as long: then too
    /// the bucket has the same hashes, and whatever is found in it is linked.
    #[inline(always)]
    fn is_in(&self, array: &Array) -> bool {
        ptr::from_ref(array).addr() == self.array && array.len() == self.len
    }

    /// Whether all nodes have been looked at.
    #[inline(always)]
    pub(crate) fn is_over(&self) -> bool {
        self.left.is_empty()
    }

    /// The upper halves of the hashes that lead to the bucket.
    pub(crate) fn halves(&self) -> Range<u64> {
        array::start_of(self.index, self.len)..self.behind()
    }

    /// Where to go on.
    pub(crate) fn behind(&self) -> u64 {
        if self.len == 0 {
            self.behind
        } else {
            array::start_of(self.index + 1, self.len)
        }
    }

    /// Whether this node was there and has not been looked at.
    pub(crate) fn misses(&self, node: NodePtr) -> bool {
        let mut left = self.left;
        left.any(|slot| self.nodes[slot] == node.addr().get())
    }
}
