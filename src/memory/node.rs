//! The block that one value lives in: a header with count and hash, then the payload.
//!
//! Node memory is *type-stable*: while its registry lives, a block is only ever a node, so a reader may
//! follow a stale pointer to it. The header's fields that such a reader touches, `count` and `hash`, are
//! atomic for ever; the rest may be read only by an owner, that is after the count was raised from a value
//! other than zero.
//!
//! | count | means | who may do what |
//! |---|---|---|
//! | 0 | free, not linked yet, or its last owner has gone | no owner is added; one thread has it alone |
//! | n > 0 | n owners | anyone may become an owner; owners may read header and payload |
//!
//! From 1 to 0 there is one way, [`Header::release`], and whoever takes it is alone with the node until it is
//! published again. Up from 0 there is one too (but for drafts), [`Header::publish`], under the bucket's lock
//! that links the node: earlier, a reader with a stale pointer from the node's last life could become an
//! owner of a value that then loses against another.
//!
//! A *draft* needs owners before it is linked, as its creator hands it out unfinished. Its hash is *hidden*
//! until then: the lowest bit is set, which no look-up asks for. A reader with a stale pointer may become an
//! owner of a draft; it checks the hash again after that, and releases. Weak handles check it too.

use crate::sync::{AtomicU32, AtomicU64, Ordering};
use std::cell::UnsafeCell;
use std::process::abort;
use std::ptr::{self, NonNull};

/// More owners abort the process, as in `std`. As many threads again could pass the check before the count
/// wraps.
const MAX_OWNERS: u32 = i32::MAX as u32;

/// Set in the hash of a draft. No hash of a key has it; see `hash_key`.
const HIDDEN: u64 = 1;

/// The header before every payload.
#[repr(C)]
pub(crate) struct Header {
    /// The number of owners.
    count: AtomicU32,
    /// Describes the payload's size. Written while the count is 0, read by owners only.
    meta: UnsafeCell<u32>,
    /// The key's hash while linked, hidden in a draft; the link of an intrusive list while dead or retired.
    hash: AtomicU64,
}

/// A pointer to a node that may be alive, dead or recycled.
pub(crate) type NodePtr = NonNull<Header>;

impl Header {
    pub(in crate::memory) fn new() -> Self {
        Self {
            count: AtomicU32::new(0),
            meta: UnsafeCell::new(0),
            hash: AtomicU64::new(0),
        }
    }

    #[inline(always)]
    pub(crate) fn hash(&self) -> u64 {
        // Relaxed: only a filter. What counts is the key, compared after `acquire`.
        self.hash.load(Ordering::Relaxed)
    }

    pub(crate) fn key_hash(&self) -> u64 {
        self.hash() & !HIDDEN
    }

    #[inline(always)]
    pub(crate) fn set_hash(&self, hash: u64) {
        self.hash.store(hash, Ordering::Relaxed);
    }

    /// Returns whether the value is a draft. Asked by an owner, or by one who keeps the node.
    ///
    /// If it is not, all that its creator did to it is seen.
    #[inline(always)]
    pub(crate) fn is_hidden(&self) -> bool {
        // Acquire: pairs with `publish`.
        self.hash.load(Ordering::Acquire) & HIDDEN != 0
    }

    /// Returns the node that [`Header::set_link`] stored in place of the hash.
    #[inline(always)]
    pub(crate) fn link(&self) -> Option<NodePtr> {
        NonNull::new(ptr::with_exposed_provenance_mut(self.hash() as usize))
    }

    /// Stores the next node of a list in place of the hash.
    ///
    /// It is stored as a number, since readers with stale pointers compare this field with a hash at any
    /// time. The provenance is exposed for [`Header::link`]: the next node may lie in any chunk.
    #[inline(always)]
    pub(crate) fn set_link(&self, next: Option<NodePtr>) {
        let next = next.map_or(ptr::null_mut(), NonNull::as_ptr);
        self.set_hash(next.expose_provenance() as u64);
    }

    /// Becomes an owner unless the last one has gone.
    #[inline(always)]
    pub(crate) fn acquire(&self) -> bool {
        let mut count = self.count.load(Ordering::Relaxed);
        loop {
            // One comparison for both unusual cases: 0 wraps to the top.
            if count.wrapping_sub(1) >= MAX_OWNERS - 1 {
                return if count == 0 { false } else { abort() };
            }
            // Acquire: pairs with `publish` and `begin_draft`; what the payload holds was written before.
            // Every other change of a count above zero is a read-modify-write, which keeps that release
            // sequence going.
            match self.count.compare_exchange_weak(
                count,
                count + 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => count = now,
            }
        }
    }

    /// Adds an owner; the caller is one already.
    #[inline(always)]
    pub(crate) fn acquire_again(&self) {
        // Relaxed: the caller is an owner throughout.
        if self.count.fetch_add(1, Ordering::Relaxed) >= MAX_OWNERS {
            abort();
        }
    }

    /// Releases one ownership. True for the last owner, who then has the node alone.
    #[inline(always)]
    #[must_use]
    pub(crate) fn release(&self) -> bool {
        // Release: what this owner did comes before the payload is dropped.
        let count = self.count.fetch_sub(1, Ordering::Release);
        if count != 1 {
            // The node may be gone by now: not a word more about `self`.
            return false;
        }
        // Acquire: pairs with the Release of every earlier owner's last step. (A load, not a fence: some
        // checkers do not know fences, and the line is in hand.)
        self.count.load(Ordering::Acquire);
        true
    }

    /// Gives owners to a node that is being linked. One of them is the caller, which has the node alone, or
    /// owns the draft in it.
    #[inline(always)]
    pub(crate) fn publish(&self, owners: u32) {
        // Relaxed: the caller has it alone, or is an owner, so that it does not become 0.
        if self.count.load(Ordering::Relaxed) == 0 {
            // Release: pairs with `acquire`.
            self.count.store(owners, Ordering::Release);
        } else {
            self.count.fetch_add(owners - 1, Ordering::Relaxed);
            // Release: pairs with `is_hidden`.
            self.hash.store(self.key_hash(), Ordering::Release);
        }
    }

    /// Makes the caller, who has the node alone, the one owner of a draft.
    pub(crate) fn begin_draft(&self) {
        self.set_hash(self.hash() | HIDDEN);
        // Release: pairs with `acquire`. A new owner sees the payload, and that the hash is hidden.
        self.count.store(1, Ordering::Release);
    }

    pub(crate) fn owners(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// # Safety
    /// The caller owns the node, or has it alone.
    #[inline(always)]
    pub(crate) unsafe fn meta(&self) -> u32 {
        // SAFETY: written only by one who has the node alone: by nobody while the caller owns it, and by
        // nobody else while the caller has it alone.
        unsafe { *self.meta.get() }
    }

    /// # Safety
    /// The caller has the node alone: its count is 0, and it built it or was its last owner.
    #[inline(always)]
    pub(crate) unsafe fn set_meta(&self, meta: u32) {
        // SAFETY: alone, by the caller's promise.
        unsafe { *self.meta.get() = meta }
    }
}
