//! A bucket: one cache line that holds the truth about the keys whose hash leads to it.
//!
//! ```text
//!  word  ┌────────┬────────┬────────┬─ … ─┬────────┐
//!        │ flags  │ tag 0  │ tag 1  │     │ tag 6  │   8 bits each; tag 0 = the slot is vacant
//!  slots └────────┴────────┴────────┴─ … ─┴────────┘   7 pointers to nodes
//! ```
//!
//! The word is the snapshot: a node is linked here from the store of a word that shows its tag to the store
//! of one that does not. Readers load it once, follow the slots whose tag matches, and trust nothing but the
//! node they find there. Writers hold the `LOCKED` bit, change slots first and publish the new word with the
//! store that unlocks.
//!
//! | flag | meaning | set by | cleared by |
//! |---|---|---|---|
//! | `LOCKED` | a writer is at work | the writer | the writer, publishing |
//! | `SPILLS` | more nodes are in the line that it shares (see `locked_bucket`) | a writer | a writer |
//! | `LISTS` | even more are in its list | a writer | a writer |
//! | `MOVED` | the nodes are in the next array, and there are no tags here | the mover | never |

use crate::memory::node::{Header, NodePtr};
use crate::sync::{self, AtomicPtr, AtomicU64, Ordering};
use std::ptr::{self, NonNull};

/// Nodes in one bucket. Fewer in models, so that buckets overflow and split within a few steps.
pub(super) const SLOTS: usize = if cfg!(all(highlander_loom, feature = "loom")) {
    2
} else {
    7
};

const LOCKED: u64 = 1;
const SPILLS: u64 = 1 << 1;
const LISTS: u64 = 1 << 2;
const MOVED: u64 = 1 << 3;

/// A one in each byte that holds a tag.
const ONES: u64 = (u64::MAX / 0xFF) << 8 & (u64::MAX >> (8 * (7 - SLOTS)));

/// The eight bits of a hash that a bucket keeps. Never 0, which means vacant. Never 1 either, so that no tag
/// matches a vacant slot: [`Word::matches`] can take a byte that differs from the tag in its lowest bit alone
/// for a match.
#[derive(Clone, Copy)]
pub(super) struct Tag(u64);

impl Tag {
    #[inline(always)]
    pub(super) fn of(hash: u64) -> Self {
        // The bits just below those that choose the bucket.
        Self(((hash >> 24) as u8).max(2).into())
    }
}

/// A value that a bucket's word had at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(u64);

impl Word {
    /// Of a bucket in which nothing is linked.
    pub(super) const EMPTY: Self = Self(0);

    /// Returns the slots that may hold this tag: all that do, and now and then one that does not.
    #[inline(always)]
    pub(super) fn matches(self, tag: Tag) -> Slots {
        let x = self.0 ^ (tag.0 * ONES);
        // A byte of `x` is zero where the tag is; the subtraction borrows into its top bit. A borrow into the
        // next byte can add a false match above a true one, which the comparison of hashes weeds out.
        Slots(x.wrapping_sub(ONES) & !x & ONES << 7)
    }

    /// Returns a slot without a node.
    #[inline(always)]
    fn vacant(self) -> Option<usize> {
        // The lowest match is never a false one.
        self.matches(Tag(0)).next()
    }

    /// Returns the slots that have a tag.
    #[inline(always)]
    pub(super) fn occupied(self) -> Slots {
        // The top bit of a byte: of its own, or carried there by the others.
        const LOW: u64 = ONES * 0x7F;
        Slots((((self.0 & LOW) + LOW) | self.0) & ONES << 7)
    }

    fn with(self, slot: usize, tag: Tag) -> Self {
        Self(self.without(slot).0 | tag.0 << (8 * slot + 8))
    }

    fn without(self, slot: usize) -> Self {
        Self(self.0 & !(0xFF << (8 * slot + 8)))
    }

    /// Returns whether the slots are the whole truth. Not while a writer is at work: it may have published a
    /// node, which another reader can own by now, and not the word that shows it.
    #[inline(always)]
    pub(super) fn is_complete(self) -> bool {
        self.0 & (LOCKED | SPILLS | LISTS | MOVED) == 0
    }

    /// Returns whether nothing is linked, neither here nor elsewhere, and no writer is at work.
    #[inline(always)]
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline(always)]
    pub(super) fn has_moved(self) -> bool {
        self.0 & MOVED != 0
    }

    pub(super) fn spills(self) -> bool {
        self.0 & SPILLS != 0
    }

    pub(super) fn lists(self) -> bool {
        self.0 & LISTS != 0
    }

    pub(super) fn is_locked(self) -> bool {
        self.0 & LOCKED != 0
    }

    fn with_flag(self, flag: u64, on: bool) -> Self {
        Self(if on { self.0 | flag } else { self.0 & !flag })
    }
}

/// Slots of a bucket, lowest first.
#[derive(Clone, Copy)]
pub(super) struct Slots(u64);

impl Slots {
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

impl Iterator for Slots {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let slot = self.0.trailing_zeros() as usize / 8 - 1;
        self.0 &= self.0 - 1;
        Some(slot)
    }
}

#[repr(C, align(64))]
pub(super) struct Bucket {
    word: AtomicU64,
    slots: [AtomicPtr<Header>; SLOTS],
}

impl Bucket {
    /// Returns the value of all-zero bytes.
    pub(super) fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            slots: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
        }
    }

    #[inline(always)]
    pub(super) fn word(&self) -> Word {
        // Acquire: pairs with the unlocking store; slots are at least as new as the tags.
        Word(self.word.load(Ordering::Acquire))
    }

    /// Returns the node of an occupied slot, perhaps a dead one. `slot` comes from a word of this bucket.
    ///
    /// A slot once occupied is never null again: a removed node's pointer stays for readers of an older word.
    #[inline(always)]
    pub(super) fn node(&self, slot: usize) -> NodePtr {
        debug_assert!(slot < SLOTS);
        // SAFETY: a word only ever names the slots there are.
        let slot = unsafe { self.slots.get_unchecked(slot) };
        // Acquire: pairs with the Release stores in `place` and `replace`; the node's header is initialised.
        let node = slot.load(Ordering::Acquire);
        debug_assert!(!node.is_null());
        // SAFETY: the word showed a tag for this slot (none matches a vacant one), so a node was stored here.
        unsafe { NonNull::new_unchecked(node) }
    }

    /// Returns the addresses in the slots.
    #[inline(always)]
    pub(super) fn addresses(&self) -> [usize; SLOTS] {
        std::array::from_fn(|slot| self.slots[slot].load(Ordering::Relaxed).addr())
    }

    /// Prefetches the nodes that are linked here, or were a moment ago.
    #[inline(always)]
    pub(super) fn prefetch_nodes(&self) {
        for slot in self.word().occupied() {
            sync::prefetch(self.node(slot).as_ptr());
        }
    }

    /// Prefetches the first node with this tag.
    #[inline(always)]
    pub(super) fn prefetch_node(&self, tag: Tag) {
        if let Some(slot) = self.word().matches(tag).next() {
            sync::prefetch(self.node(slot).as_ptr());
        }
    }

    /// Becomes the bucket's writer. Waits for other writers, first busily, then asleep.
    #[inline(always)]
    pub(super) fn lock(&self) -> Locked<'_> {
        let word = self.word.load(Ordering::Relaxed);
        if word & LOCKED == 0 && self.try_lock(word) {
            return Locked {
                bucket: self,
                word: Word(word),
            };
        }
        self.lock_slow()
    }

    #[inline(always)]
    fn try_lock(&self, word: u64) -> bool {
        // Acquire: pairs with the unlocking store.
        self.word
            .compare_exchange_weak(word, word | LOCKED, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    #[cold]
    #[inline(never)]
    fn lock_slow(&self) -> Locked<'_> {
        let address = ptr::from_ref(&self.word).addr();
        sync::take(address, || loop {
            let word = self.word.load(Ordering::Relaxed);
            if word & LOCKED != 0 {
                return None;
            }
            // It may fail though nobody has the lock.
            if self.try_lock(word) {
                return Some(Locked {
                    bucket: self,
                    word: Word(word),
                });
            }
        })
    }
}

/// A bucket, locked for writing; dropping it publishes what has changed.
pub(super) struct Locked<'a> {
    bucket: &'a Bucket,
    /// The word to be published, without `LOCKED`.
    word: Word,
}

impl Locked<'_> {
    pub(super) fn word(&self) -> Word {
        self.word
    }

    /// Returns a number that no other bucket has while this one exists.
    pub(super) fn address(&self) -> u64 {
        ptr::from_ref(self.bucket).addr() as u64
    }

    pub(super) fn set_spills(&mut self, spills: bool) {
        self.word = self.word.with_flag(SPILLS, spills);
    }

    pub(super) fn set_lists(&mut self, lists: bool) {
        self.word = self.word.with_flag(LISTS, lists);
    }

    /// Marks the bucket as moved. The tags go, so that readers from now on look in the next array only; the
    /// slots stay for those that loaded the word before.
    pub(super) fn set_moved(&mut self) {
        self.word = Word(MOVED);
    }

    /// Returns the nodes that are linked in this bucket and may have this tag.
    pub(super) fn matches(&self, tag: Tag) -> impl Iterator<Item = NodePtr> + '_ {
        self.word.matches(tag).map(|slot| self.bucket.node(slot))
    }

    /// Returns the nodes that are linked in this bucket.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodePtr> + '_ {
        self.word.occupied().map(|slot| self.bucket.node(slot))
    }

    /// Links a node, if a slot is vacant.
    #[inline(always)]
    pub(super) fn place(&mut self, node: NodePtr, tag: Tag) -> bool {
        let Some(slot) = self.word.vacant() else {
            return false;
        };
        // Release: pairs with `Bucket::node`.
        self.bucket.slots[slot].store(node.as_ptr(), Ordering::Release);
        self.word = self.word.with(slot, tag);
        true
    }

    #[inline(always)]
    fn slot_of(&self, node: NodePtr, tag: Tag) -> Option<usize> {
        self.word
            .matches(tag)
            .find(|slot| self.bucket.node(*slot) == node)
    }

    /// Unlinks this very node, if it is linked here.
    #[inline(always)]
    pub(super) fn remove(&mut self, node: NodePtr, tag: Tag) -> bool {
        let Some(slot) = self.slot_of(node, tag) else {
            return false;
        };
        // The pointer stays; see `Bucket::node`.
        self.word = self.word.without(slot);
        true
    }

    /// Unlinks the nodes that are `wanted`, and hands them over.
    pub(super) fn take(&mut self, wanted: impl Fn(NodePtr) -> bool, taken: impl FnMut(NodePtr)) {
        // All are asked before any answer decides: so the processor waits for the memory of all at once.
        let mut tags = 0;
        for slot in self.word.occupied() {
            tags |= u64::from(wanted(self.bucket.node(slot))) * (0xFF << (8 * slot + 8));
        }
        let gone = Word(self.word.0 & tags);
        self.word = Word(self.word.0 & !tags);
        gone.occupied()
            .map(|slot| self.bucket.node(slot))
            .for_each(taken);
    }

    /// Unlinks the nodes that `keep` does not want.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(NodePtr) -> bool) {
        for slot in self.word.occupied() {
            if !keep(self.bucket.node(slot)) {
                self.word = self.word.without(slot);
            }
        }
    }

    /// Puts `new`, whose hash is the same, in the place of this very node, if it is linked here.
    pub(super) fn replace(&mut self, old: NodePtr, new: NodePtr, tag: Tag) -> bool {
        let Some(slot) = self.slot_of(old, tag) else {
            return false;
        };
        self.bucket.slots[slot].store(new.as_ptr(), Ordering::Release);
        true
    }
}

impl Drop for Locked<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // Release: pairs with the Acquire loads of readers and of the next writer. After this store the
        // bucket may be gone, so only its address is used.
        let address = ptr::from_ref(&self.bucket.word).addr();
        self.bucket.word.store(self.word.0, Ordering::Release);
        sync::wake_parked(address);
    }
}
