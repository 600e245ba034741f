//! A cursor over the nodes of one bucket after the other, without a lock and without owning them.
//!
//! A bucket's word and slots are copied once. To go on to the next node, a thread publishes it in its hazard,
//! and only then checks whether the bucket is still as it was. If the bucket has changed, those of the
//! remaining nodes that are still linked are to be looked for under the lock. So what is linked throughout is
//! met once, and nothing that has been linked meanwhile is met beside what it replaced.

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

/// A place in the table: a bucket as it was at one moment, and which of its nodes have been looked at. The
/// first place lies before the first bucket.
///
/// None of the pointers may be followed: they are kept as numbers, to be compared.
pub(crate) struct BucketCursor {
    array: usize,
    /// The length of that array; 0 if this is no bucket.
    len: usize,
    index: usize,
    /// The upper half of a hash at which to go on, if this is no bucket.
    behind: u64,
    word: Word,
    /// The slots that have not been looked at.
    left: Slots,
    nodes: [usize; SLOTS],
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ahead {
    /// A bucket, which is the place now.
    Bucket,
    /// From the place on, which may be another one now, the caller has to look under the lock.
    Unsure,
    Nothing,
}

/// The next node of a cursor's bucket.
pub(crate) enum Next {
    /// It is in the hazard, and was linked after that.
    Protected(NodePtr),
    BucketChanged,
    End,
}

impl Index {
    /// Goes on to the next bucket that holds something.
    #[inline(always)]
    pub(in crate::table) fn look_ahead(&self, cursor: &mut BucketCursor, _: &ReadGuard) -> Ahead {
        let Some(array) = self.array() else {
            return Ahead::Nothing;
        };
        let first = if cursor.is_in(array) {
            cursor.index + 1
        } else {
            let behind = cursor.behind();
            if behind == END {
                return Ahead::Nothing;
            }
            if array.cuts(behind) {
                *cursor = BucketCursor::before(behind);
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
                *cursor = BucketCursor::before(array.start_of(index));
                return Ahead::Unsure;
            }
            *cursor = BucketCursor {
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
        *cursor = BucketCursor::before(END);
        Ahead::Nothing
    }

    /// Goes on to the next node of the cursor's bucket, and publishes it in `hazard`, which is null before.
    #[inline(always)]
    pub(in crate::table) fn protect_next(
        &self,
        cursor: &mut BucketCursor,
        hazard: &AtomicPtr<()>,
        _: &ReadGuard,
    ) -> Next {
        let before = cursor.left;
        let Some(slot) = cursor.left.next() else {
            return Next::End;
        };
        if let Some(array) = self.array().filter(|array| cursor.is_in(array)) {
            let bucket = array.at(cursor.index);
            if bucket.word() == cursor.word {
                let node = bucket.node(slot);
                // As in `protect`: published, then checked again, the word first.
                hazard.store(node.as_ptr().cast(), Ordering::Release);
                sync::light_barrier();
                if bucket.word() == cursor.word && bucket.node(slot) == node {
                    return Next::Protected(node);
                }
                hazard.store(ptr::null_mut(), Ordering::Release);
            }
        }
        cursor.left = before;
        Next::BucketChanged
    }
}

impl BucketCursor {
    /// Returns the place before this upper half of a hash, which is no bucket.
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

    /// Returns whether this is a bucket of this array, or of one that lay in the same place and was as long:
    /// then too the bucket has the same hashes, and what is found in it is linked.
    #[inline(always)]
    fn is_in(&self, array: &Array) -> bool {
        ptr::from_ref(array).addr() == self.array && array.len() == self.len
    }

    #[inline(always)]
    pub(crate) fn is_over(&self) -> bool {
        self.left.is_empty()
    }

    /// Returns the upper halves of the hashes that lead to the bucket.
    pub(crate) fn halves(&self) -> Range<u64> {
        array::start_of(self.index, self.len)..self.behind()
    }

    /// Returns the upper half of a hash at which to go on.
    pub(crate) fn behind(&self) -> u64 {
        if self.len == 0 {
            self.behind
        } else {
            array::start_of(self.index + 1, self.len)
        }
    }

    /// Returns whether this node was there and has not been looked at.
    pub(crate) fn misses(&self, node: NodePtr) -> bool {
        let mut left = self.left;
        left.any(|slot| self.nodes[slot] == node.addr().get())
    }
}
