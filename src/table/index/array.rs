//! An array of buckets, and how a hash chooses one.

use super::bucket::{Bucket, SLOTS};
use crate::memory::grace::Block;
use crate::sync::{self, AtomicPtr, AtomicUsize, Ordering};
use std::alloc::Layout;
use std::ops::Range;
use std::ptr::{self, NonNull};

/// Nodes per bucket, in quarters, at which a table grows. At 4 ¼ of 7 slots, 2.7 % of keys spill.
const MAX_LOAD_QUARTERS: usize = if SLOTS == 7 { 17 } else { 4 };
/// Buckets that share a line for what they cannot hold: 7 nodes. At the highest load 16 spill 1.9 on average.
const SHARERS: usize = 16;
/// Buckets from which on the nodes of a table hardly fit into a core's own cache.
const LARGE: usize = 2048;
/// The number of buckets by which nodes are prefetched.
const AHEAD: usize = 6;
/// The length of a new table. Two is the least that grows by halves; the model starts there to split soon.
const FIRST_LEN: usize = if cfg!(all(highlander_loom, feature = "loom")) {
    2
} else {
    4
};
/// The greatest length: the half of the hash that chooses a bucket can tell 2³² apart, and no more.
const MAX_LEN: usize = 1 << 31;

/// The buckets to visit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    All,
    /// Those that hold something. One that is passed over was empty at one moment.
    Occupied,
}

/// An array of buckets. While it is being replaced, `next` is its successor, and each bucket either holds its
/// nodes or says that they have moved there.
///
/// Lengths run 2, 3, 4, 6, 8, 12, 16, …: each is a half or a third more than the one before, so a table is
/// never much emptier than it needs to be; a reservation may take several such steps at once. Buckets are in
/// the order of the hashes, so a few neighbours of the old table (a *group*) and some of the new one hold the
/// very same range, and can be moved on their own.
pub(super) struct Array {
    len: usize,
    /// One more than the number of arrays before it.
    generation: u64,
    buckets: NonNull<Bucket>,
    /// Set once, before the first group moves.
    pub(super) next: AtomicPtr<Array>,
    /// Groups that somebody has begun to move, and groups that are done.
    pub(super) claimed: AtomicUsize,
    pub(super) moved: AtomicUsize,
}

impl Array {
    /// Allocates an array, which the caller frees through [`Array::blocks`].
    pub(super) fn boxed(len: usize, generation: u64) -> NonNull<Self> {
        // SAFETY: all-zero bytes are what `Bucket::new` makes, and `len` is not 0.
        let buckets = unsafe { sync::zeroed_array(Self::layout(len), total(len), Bucket::new) };
        let array = Box::new(Self {
            len,
            generation,
            buckets,
            next: AtomicPtr::new(ptr::null_mut()),
            claimed: AtomicUsize::new(0),
            moved: AtomicUsize::new(0),
        });
        NonNull::from(Box::leak(array))
    }

    /// Frees an array that nobody else has ever seen, or that nobody can see any more.
    ///
    /// # Safety
    /// The array was [`Array::boxed`], and the caller has it alone.
    pub(super) unsafe fn free(this: NonNull<Self>) {
        // SAFETY: the caller's promise.
        unsafe {
            Self::blocks(this)
                .into_iter()
                .for_each(|block| block.free())
        }
    }

    fn layout(len: usize) -> Layout {
        Layout::array::<Bucket>(total(len)).expect("capacity overflow")
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns a number that no other array of the same index has.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    #[inline(always)]
    pub(super) fn at(&self, index: usize) -> &Bucket {
        debug_assert!(index < self.len);
        // SAFETY: within the array, which lives as long as `self`.
        unsafe { self.buckets.add(index).as_ref() }
    }

    /// Returns the line that a bucket shares with its neighbours: they lie behind the buckets.
    #[inline]
    pub(super) fn line(&self, index: usize) -> &Bucket {
        // SAFETY: `total` buckets were allocated.
        unsafe { self.buckets.add(self.len + index / SHARERS).as_ref() }
    }

    /// Returns which bucket a hash leads to: monotone in the hash, so that lengths need not be powers of two.
    #[inline(always)]
    pub(super) fn index(&self, hash: u64) -> usize {
        self.index_of_half(hash >> 32)
    }

    #[inline(always)]
    pub(super) fn bucket(&self, hash: u64) -> &Bucket {
        self.at(self.index(hash))
    }

    #[inline(always)]
    pub(super) fn successor(&self) -> Option<&Array> {
        // Acquire: pairs with `set_successor`; the array is built. It outlives this one, which the borrow
        // stands for.
        // SAFETY: null or an array, and one that is not freed before `self` is.
        unsafe { self.next.load(Ordering::Acquire).as_ref() }
    }

    /// Returns the last of the successors; the array itself if it is not being replaced.
    pub(super) fn last(&self) -> &Array {
        let mut last = self;
        while let Some(next) = last.successor() {
            last = next;
        }
        last
    }

    /// Prefetches nodes for a caller that visits one bucket after the other and has come to this one.
    #[inline(always)]
    pub(super) fn prefetch_from(&self, index: usize) {
        if self.len >= LARGE && index + AHEAD < self.len {
            self.at(index + AHEAD).prefetch_nodes();
        }
    }

    /// Returns the first and the last bucket to which hashes with upper halves in this range lead.
    #[inline(always)]
    pub(super) fn buckets_of(&self, range: &Range<u64>) -> (usize, usize) {
        (
            self.index_of_half(range.start),
            self.index_of_half(range.end - 1),
        )
    }

    /// Returns whether this upper half and the one before it lead to the same bucket.
    #[inline(always)]
    pub(super) fn cuts(&self, half: u64) -> bool {
        half > 0 && self.index_of_half(half - 1) == self.index_of_half(half)
    }

    /// Returns the part of a range of upper halves that leads to this bucket.
    #[cold]
    pub(super) fn part(&self, range: &Range<u64>, index: usize) -> Range<u64> {
        range.start.max(self.start_of(index))..range.end.min(self.start_of(index + 1))
    }

    /// Returns the least upper half of a hash that leads to this bucket.
    #[inline]
    pub(super) fn start_of(&self, index: usize) -> u64 {
        start_of(index, self.len)
    }

    #[inline(always)]
    fn index_of_half(&self, half: u64) -> usize {
        ((half * self.len as u64) >> 32) as usize
    }

    /// Returns the memory of an array, to be freed when nobody can see it any more.
    ///
    /// # Safety
    /// The array was [`Array::boxed`] and leaked, and is not freed yet. Others may still be reading it.
    pub(super) unsafe fn blocks(this: NonNull<Self>) -> [Block; 2] {
        // SAFETY: not freed yet; only shared access, as others may have.
        let array = unsafe { this.as_ref() };
        [
            Block {
                memory: array.buckets.cast(),
                layout: Self::layout(array.len),
            },
            Block {
                memory: this.cast(),
                layout: Layout::new::<Self>(),
            },
        ]
    }

    pub(super) fn is_crowded(&self, live: usize) -> bool {
        live > capacity(self.len)
    }
}

/// Returns the least upper half of a hash that leads to this bucket of an array of this length.
pub(super) fn start_of(index: usize, len: usize) -> u64 {
    ((index as u64) << 32).div_ceil(len as u64)
}

fn total(len: usize) -> usize {
    len + len.div_ceil(SHARERS)
}

pub(super) fn capacity(len: usize) -> usize {
    len.saturating_mul(MAX_LOAD_QUARTERS) / 4
}

pub(super) fn len_for(nodes: usize) -> usize {
    let mut len = FIRST_LEN;
    while capacity(len) < nodes {
        len = longer(len).expect("capacity overflow");
    }
    len
}

pub(super) fn longer(len: usize) -> Option<usize> {
    let next = if len.is_power_of_two() {
        len / 2 * 3
    } else {
        len / 3 * 4
    };
    (next <= MAX_LEN).then_some(next)
}

pub(super) fn shorter(len: usize) -> Option<usize> {
    let previous = if len.is_power_of_two() {
        len / 4 * 3
    } else {
        len / 3 * 2
    };
    (previous >= FIRST_LEN).then_some(previous)
}

/// Returns the greatest common divisor: of the lengths of an array and its successor, the number of groups.
pub(super) fn gcd(a: usize, b: usize) -> usize {
    if b == 0 {
        a
    } else {
        gcd(b, a % b)
    }
}
