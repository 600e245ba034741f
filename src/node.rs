//! The block that one value lives in: a header with count and hash, then the payload.
//!
//! Node memory is *type-stable*: while its registry lives, a block is only ever a node, so a reader may follow a stale
//! pointer to it. The header's fields that such a reader touches, `count` and `hash`, are atomic for ever; the rest may be read
//! only by an owner, that is after the count was raised from a value other than zero.
//!
//! | count | means | who may do what |
//! |---|---|---|
//! | 0 | free, not linked yet, or its last owner has gone | nobody can become an owner; one thread has it alone |
//! | n > 0 | n owners | anyone may become an owner; owners may read header and payload |
//! | `UNLINKED` + n | n owners of a value that is not linked yet, as it is unfinished | only an owner can make another one |
//! | … + `FINISHED` | … and is about to be | … and weak handles |
//!
//! From 1 to 0 there is one way, [`Header::release`], and whoever takes it is alone with the node until it is published again.
//! From 0 to 1 there is one too, [`Header::publish`], and it is taken under the bucket's lock that links the node: earlier, a reader
//! with a stale pointer from the node's last life could become an owner of a value that then loses against another. Where owners are needed before that, it is
//! *unlinked* until then: no such reader gets it.

use crate::sync::{AtomicU32, AtomicU64, Ordering};
use std::cell::UnsafeCell;
use std::process::abort;
use std::ptr::{self, NonNull};

/// Owners beyond this abort the process, as in `std`: it takes five hundred million forgotten handles.
const MAX_OWNERS: u32 = 1 << 29;

/// Beside the number of owners: the node has not been linked yet. The highest bit, so that such a count is a negative number.
const UNLINKED: u32 = 1 << 31;

/// Beside that: the value is finished.
const FINISHED: u32 = 1 << 30;

/// What comes before every payload.
#[repr(C)]
pub(crate) struct Header {
    /// The number of owners; see the table above.
    count: AtomicU32,
    /// What the payload needs to know about its size. Written while the count is 0, read by owners only.
    meta: UnsafeCell<u32>,
    /// The key's hash while linked; the link of an intrusive list while dead, or while it waits to be given up by its last owner but those who look at it.
    hash: AtomicU64,
}

/// A pointer to a node that may be alive, dead or recycled.
pub(crate) type Node = NonNull<Header>;

impl Header {
    pub(crate) fn new() -> Self {
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

    #[inline(always)]
    pub(crate) fn set_hash(&self, hash: u64) {
        self.hash.store(hash, Ordering::Relaxed);
    }

    /// Returns the node that [`Header::set_link`] stored in place of the hash.
    #[inline(always)]
    pub(crate) fn link(&self) -> Option<Node> {
        NonNull::new(ptr::with_exposed_provenance_mut(self.hash() as usize))
    }

    /// Stores the next node of a list in place of the hash.
    ///
    /// As a number, since readers with stale pointers compare this field with a hash at any time, so it has one type for ever. The
    /// provenance is exposed for [`Header::link`]: the next node may lie in any chunk, so no pointer at hand could lend its own.
    #[inline(always)]
    pub(crate) fn set_link(&self, next: Option<Node>) {
        let next = next.map_or(ptr::null_mut(), NonNull::as_ptr);
        self.set_hash(next.expose_provenance() as u64);
    }

    /// Becomes an owner unless the last one has gone.
    #[inline(always)]
    pub(crate) fn acquire(&self) -> bool {
        let mut count = self.count.load(Ordering::Relaxed);
        loop {
            // One comparison for all that is not as usual: 0 wraps to the top.
            if count.wrapping_sub(1) >= MAX_OWNERS {
                return if count == 0 || count & UNLINKED != 0 {
                    false
                } else {
                    abort()
                };
            }
            // Acquire: pairs with `publish`; what the payload holds was written before. Every other change of a count
            // above zero is a read-modify-write, which keeps that release sequence going.
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
        // Relaxed: the caller could not lose the node meanwhile.
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        if count > MAX_OWNERS && (count & UNLINKED == 0 || owners_in(count) > MAX_OWNERS) {
            abort();
        }
    }

    /// Becomes an owner unless the last one has gone, or the value is unfinished. The caller sees to it that the node is not given back meanwhile.
    pub(crate) fn acquire_finished(&self) -> bool {
        let mut count = self.count.load(Ordering::Relaxed);
        while count & UNLINKED != 0 {
            if count & FINISHED == 0 {
                return false;
            }
            // Acquire: pairs with `finish`, which comes before all changes of such a count.
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
        self.acquire()
    }

    /// Gives up one ownership. True for the last owner, who then has the node alone.
    #[inline(always)]
    #[must_use]
    pub(crate) fn release(&self) -> bool {
        // Release: what this owner did comes before the payload is dropped.
        let count = self.count.fetch_sub(1, Ordering::Release);
        // One comparison for the last owner and for what is not linked.
        if count as i32 > 1 {
            // The node may be gone by now: not a word more about `self`.
            return false;
        }
        self.was_last(count)
    }

    #[inline]
    fn was_last(&self, count: u32) -> bool {
        if owners_in(count) != 1 {
            return false;
        }
        // Acquire: pairs with the Release of every earlier owner's last step. (A load, not a fence: some checkers do
        // not know fences, and the line is in hand.)
        self.count.load(Ordering::Acquire);
        if count != 1 {
            // Relaxed: nobody can become an owner before the node is published again.
            self.count.store(0, Ordering::Relaxed);
        }
        true
    }

    /// Makes the caller, who has the node alone and is just linking it or is an owner of it unlinked, one of this many owners: of this many more
    /// but one, if it was unlinked.
    #[inline(always)]
    pub(crate) fn publish(&self, owners: u32) {
        // Relaxed: the caller has it alone, or knows that it is unlinked.
        let count = self.count.load(Ordering::Relaxed);
        if count == 0 {
            // Release: pairs with `acquire`.
            self.count.store(owners, Ordering::Release);
        } else {
            // Release: as above. The flags stay as they were seen: to finish it comes before linking it.
            let flags = count & (UNLINKED | FINISHED);
            self.count
                .fetch_add((owners - 1).wrapping_sub(flags), Ordering::Release);
        }
    }

    /// Makes the caller, who has the node alone, the one owner of it, before it is linked.
    pub(crate) fn begin_unlinked(&self) {
        // Release: what the payload holds comes before; other owners come from this one.
        self.count.store(UNLINKED + 1, Ordering::Release);
    }

    /// Lets weak handles lead to a value that is about to be linked. The node has an owner.
    pub(crate) fn finish(&self) {
        // Release: pairs with `acquire_finished`.
        self.count.fetch_or(FINISHED, Ordering::Release);
    }

    pub(crate) fn owners(&self) -> u32 {
        owners_in(self.count.load(Ordering::Relaxed))
    }

    /// As `owners`, of what weak handles lead to.
    pub(crate) fn owners_finished(&self) -> u32 {
        let count = self.count.load(Ordering::Relaxed);
        match count & (UNLINKED | FINISHED) {
            UNLINKED => 0,
            _ => owners_in(count),
        }
    }

    /// # Safety
    /// The caller owns the node, or has it alone.
    #[inline(always)]
    pub(crate) unsafe fn meta(&self) -> u32 {
        // SAFETY: written only while the count is 0, and the caller's ownership keeps it above.
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

fn owners_in(count: u32) -> u32 {
    count & !(UNLINKED | FINISHED)
}
