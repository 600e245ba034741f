//! The part that a table shares with its nodes: the index and the nodes' memory; and who frees it all.
//!
//! It lives until the tables that use it and every node have gone. When the last table goes, the nodes that
//! are still out are counted down (see [`Pool::close`]).

use crate::memory::grace::{reading, Graveyard, ReadGuard};
use crate::memory::node::NodePtr;
use crate::memory::pool::{origin, Origin, Pool, Sizes};
use crate::sync::{self, AtomicUsize, Ordering};
use crate::table::exclusive::Exclusive;
use crate::table::index::Index;
use crate::table::payload::{node_align, node_size, Payload};
use std::alloc::Layout;
use std::marker::PhantomData;
use std::ptr::NonNull;

pub(super) struct Shared<B: Payload> {
    pub(super) index: Index,
    origin: Origin,
    pub(super) pool: Pool,
    shares: AtomicUsize,
    /// In an exclusive table: the values whose destructor has not ended.
    pub(super) exclusive: Option<Exclusive>,
    // Memory of the index and the pool that a reader may still see.
    pub(super) graveyard: Graveyard,
    body: PhantomData<B>,
    #[cfg(all(highlander_loom, feature = "loom"))]
    _counted: sync::Counted,
}

impl<B: Payload> Shared<B> {
    /// The owners that an entry begins with: the call that enters it, and the index if it keeps it.
    const OWNERS: u32 = if B::KEPT { 2 } else { 1 };

    /// Creates one, with one share. It is freed with the last share, or by the last node after that.
    pub(super) fn leak(capacity: usize, exclusive: bool) -> NonNull<Self> {
        let sizes = match B::FIXED_SIZE {
            Some(_) => Sizes::Fixed(node_size::<B>(0)),
            None => Sizes::Varied(node_align::<B>()),
        };
        let shared = NonNull::from(Box::leak(Box::new(Self {
            index: Index::new(capacity, Self::OWNERS),
            origin: Origin {
                table: NonNull::dangling(),
            },
            pool: Pool::new(sizes, node_align::<B>()),
            shares: AtomicUsize::new(1),
            exclusive: exclusive.then(Exclusive::new),
            graveyard: Graveyard::new(),
            body: PhantomData,
            #[cfg(all(highlander_loom, feature = "loom"))]
            _counted: sync::Counted::new(),
        })));
        // SAFETY: just made, and nobody else's. Nodes carry the box's own pointer, as one may free it.
        unsafe { (*shared.as_ptr()).origin.table = shared.cast() };
        shared
    }

    /// Returns what a node belongs to.
    ///
    /// # Safety
    /// The node is of kind `B`, and the caller owns it or has it alone, for `'a`.
    #[inline(always)]
    pub(super) unsafe fn of<'a>(node: NodePtr) -> &'a Self {
        // SAFETY: a node's origin is what allocated it, and that lives while the node is out.
        unsafe { origin(node).table.cast().as_ref() }
    }

    /// Allocates a dead node for a payload that `meta` describes. `live` is added to the number of entries.
    #[inline]
    pub(super) fn allocate(&self, meta: u32, hash: u64, live: isize) -> NodePtr {
        let node = self.pool.allocate(node_size::<B>(meta), live, self.origin);
        // SAFETY: just allocated, so this call has it alone.
        unsafe {
            node.as_ref().set_meta(meta);
            node.as_ref().set_hash(hash);
        }
        node
    }

    /// Frees a node that was never linked, or is no longer, and whose payload has gone. All may go with it.
    ///
    /// # Safety
    /// The node is of kind `B`, and the caller has it alone.
    pub(super) unsafe fn free(node: NodePtr, live: isize) {
        // SAFETY: the caller's promise.
        let shared: NonNull<Self> = unsafe { origin(node) }.table.cast();
        let this = shared.as_ptr();
        // SAFETY: the node, which is out, keeps it until the pool has it; the rest is the caller's promise.
        if unsafe {
            Pool::free(
                &raw const (*this).pool,
                node,
                live,
                &raw const (*this).graveyard,
            )
        } {
            // SAFETY: the last table has gone, and this was the last node.
            unsafe { Self::destroy(shared) };
        }
    }

    /// # Safety
    /// The last table has gone, no node is out, and the caller was the one to learn that.
    unsafe fn destroy(shared: NonNull<Self>) {
        // SAFETY: made by `leak`, in a box, and nobody else uses it any more.
        unsafe {
            shared.drop_in_place();
            sync::free(shared.cast(), Layout::new::<Self>());
        }
    }

    /// Takes one entry out by `unlink`, and counts it. Returns what that returned.
    #[inline]
    pub(super) fn unlink(&self, unlink: impl FnOnce(&Index, &ReadGuard) -> bool) -> bool {
        let unlinked = reading(|guard| unlink(&self.index, guard));
        if unlinked {
            self.pool.add_live(-1);
        }
        unlinked
    }

    /// Makes room for so many entries more than there are.
    ///
    /// Panics with "capacity overflow" when no index can have that size.
    pub(super) fn reserve(&self, additional: usize) {
        let wanted = self.pool.live().checked_add(additional);
        let wanted = wanted.expect("capacity overflow");
        reading(|guard| self.index.reserve(wanted, &self.graveyard, guard));
        self.graveyard.collect();
    }

    /// Frees what is not needed; what a reader may still see, later.
    pub(super) fn shrink_to_fit(&self) {
        reading(|guard| {
            self.index
                .shrink(|| self.pool.live(), &self.graveyard, guard)
        });
        self.index.shrink_lists();
        self.pool.release_unused(&self.graveyard);
        for _ in 0..16 {
            if self.graveyard.collect() {
                break;
            }
            sync::relax(u32::MAX);
        }
    }

    pub(super) fn share(&self) {
        // Relaxed: the new one is handed on by the caller.
        self.shares.fetch_add(1, Ordering::Relaxed);
    }

    /// Releases a share. With the last one the last table goes.
    ///
    /// # Safety
    /// `shared` was made by `leak`, and the caller has a share, which it does not use any more.
    pub(super) unsafe fn release_share(shared: NonNull<Self>) {
        // SAFETY: not destroyed before the last share is released.
        // AcqRel: what others did with their shares comes before the end.
        if unsafe { shared.as_ref() }
            .shares
            .fetch_sub(1, Ordering::AcqRel)
            == 1
        {
            // SAFETY: the caller's promise, and there is no other share.
            unsafe { Self::close(shared) };
        }
    }

    /// Frees the index and unused memory, as the last table goes; the rest goes with the last node.
    ///
    /// # Safety
    /// `shared` was made by `leak`, and the caller is its only user but for nodes that are out.
    unsafe fn close(shared: NonNull<Self>) {
        // SAFETY: not destroyed before this call releases the pool.
        let this = unsafe { shared.as_ref() };
        if !this.pool.close() {
            this.index.close(&this.graveyard);
            this.pool.release_unused(&this.graveyard);
            this.graveyard.collect();
        }
        // SAFETY: closed just now, which counts this caller.
        if unsafe { Pool::release_ref(&raw const (*shared.as_ptr()).pool) } {
            // SAFETY: no node is out, and the last table is this call's caller.
            unsafe { Self::destroy(shared) };
        }
    }
}
