//! A part of the pool: free nodes, and the entries and nodes counted here.
//!
//! Most shards have an *owner*, one thread at a time, who goes in and out with plain stores: it says that it
//! is inside, then looks whether a visitor is there. A visitor (a thread that looks for nodes, or gives
//! memory back) does the same the other way round, with the heavy half of the asymmetric barrier between the
//! two, so that one of them sees the other: then the owner makes way, and the visitor waits for an owner that
//! is inside, which takes a few instructions. The other shards are for threads that own none, or that have to
//! make way in their own. They are entered as visitors only, without a barrier.
//!
//! | `owner_inside` | `visited` | who is inside |
//! |---|---|---|
//! | no | no | nobody |
//! | yes | no | the owner, or it is about to look at `visited` |
//! | no | yes | a visitor |
//! | yes | yes | the owner, if it saw no visitor; the visitor, once it has seen the owner outside |
//!
//! Invariant: nobody who is inside calls anything that could ask for a shard.

use super::class::Sizes;
use super::free_list::FreeList;
use crate::memory::node::NodePtr;
use crate::sync::{self, AtomicBool, AtomicIsize, AtomicUsize, Ordering, UnsafeCell};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

#[repr(align(128))]
pub(super) struct PoolShard {
    /// Written by the owner alone.
    owner_inside: AtomicBool,
    visited: AtomicBool,
    has_owner: bool,
    /// Entries made less entries gone; only the sum over all shards counts. Written inside, read by anybody.
    live: AtomicIsize,
    stock: UnsafeCell<Stock>,
    /// The lengths of the free lists. Written inside, read by anybody who wonders whether a visit pays.
    spare: Box<[AtomicUsize]>,
}

/// The part that is touched only inside.
struct Stock {
    /// The free nodes, by size.
    free_lists: Box<[FreeList]>,
    /// Nodes handed out less those returned; only the sum over all shards counts.
    outstanding: isize,
    /// The table's owner has gone; see `Pool::close`.
    closed: bool,
}

// SAFETY: one thread at a time has the stock, through `Inside`. Its pointers lead to the pool's memory.
unsafe impl Send for PoolShard {}
// SAFETY: as above.
unsafe impl Sync for PoolShard {}

impl PoolShard {
    pub(super) fn new(sizes: Sizes, has_owner: bool) -> Self {
        let stock = Stock {
            free_lists: sizes.all().map(FreeList::new).collect(),
            outstanding: 0,
            closed: false,
        };
        Self {
            owner_inside: AtomicBool::new(false),
            visited: AtomicBool::new(false),
            has_owner,
            live: AtomicIsize::new(0),
            spare: stock
                .free_lists
                .iter()
                .map(|_| AtomicUsize::new(0))
                .collect(),
            stock: UnsafeCell::new(stock),
        }
    }

    pub(super) fn live(&self) -> isize {
        self.live.load(Ordering::Relaxed)
    }

    pub(super) fn spare(&self, class: usize) -> usize {
        self.spare[class].load(Ordering::Relaxed)
    }

    /// Goes in, unless a visitor is there.
    ///
    /// # Safety
    /// The calling thread is the owner and not inside.
    #[inline(always)]
    pub(super) unsafe fn enter(&self) -> Option<ShardOwner<'_>> {
        debug_assert!(self.has_owner);
        self.owner_inside.store(true, Ordering::Relaxed);
        sync::any_barrier();
        let owner = ShardOwner(Inside::new(self));
        // Acquire: pairs with the Release when a visitor leaves.
        if self.visited.load(Ordering::Acquire) {
            drop(owner);
            return None;
        }
        Some(owner)
    }

    /// Becomes the visitor, unless there is one.
    #[inline]
    fn try_announce(&self) -> bool {
        // Acquire: pairs with the Release when another visitor leaves.
        self.visited
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    fn announce(&self) {
        let mut round = 0;
        while !self.try_announce() {
            sync::relax(round);
            round += 1;
        }
    }

    /// Goes in, unless somebody is there. Only for shards without an owner.
    #[inline]
    pub(super) fn try_visit(&self) -> Option<Visitor<'_>> {
        debug_assert!(!self.has_owner);
        self.try_announce().then(|| Visitor(Inside::new(self)))
    }
}

/// Visits each of these shards, all at once. None if the system's barrier fails: then nothing may be touched.
///
/// *Waits* for other visitors, and for owners that are inside.
pub(super) fn visit<'a>(shards: impl Iterator<Item = &'a PoolShard>) -> Option<Vec<Visitor<'a>>> {
    /// Takes back what was announced.
    struct Announced<'a>(Vec<&'a PoolShard>);
    impl Drop for Announced<'_> {
        fn drop(&mut self) {
            for shard in &self.0 {
                shard.visited.store(false, Ordering::Release);
            }
        }
    }
    let mut announced = Announced(shards.collect());
    // Before anything is announced: an allocator may do anything, and so ask for a shard.
    let mut visitors = Vec::with_capacity(announced.0.len());
    // Always in the pool's order, so that two who visit several do not wait for each other.
    announced.0.iter().for_each(|shard| shard.announce());
    let owned = announced.0.iter().any(|shard| shard.has_owner);
    if owned && !sync::heavy_barrier() {
        return None;
    }
    for shard in announced.0.drain(..) {
        let mut round = 0;
        // Acquire: pairs with the Release when the owner leaves.
        while shard.owner_inside.load(Ordering::Acquire) {
            sync::relax(round);
            round += 1;
        }
        visitors.push(Visitor(Inside::new(shard)));
    }
    Some(visitors)
}

/// Proof that this thread alone is inside a shard.
///
/// A pointer, not a reference: leaving is the last step with which a thread can touch a pool that another one
/// then frees, so no reference to the shard may be held across it.
pub(super) struct Inside<'a> {
    // Invariant: leads to a shard that is not freed before this thread has left.
    shard: NonNull<PoolShard>,
    borrowed: PhantomData<&'a PoolShard>,
}

/// The owner inside its shard; leaves when dropped.
pub(super) struct ShardOwner<'a>(Inside<'a>);

/// A visitor inside a shard; leaves when dropped.
pub(super) struct Visitor<'a>(Inside<'a>);

impl<'a> Inside<'a> {
    #[inline(always)]
    fn new(shard: &'a PoolShard) -> Self {
        Self {
            shard: NonNull::from(shard),
            borrowed: PhantomData,
        }
    }

    #[inline(always)]
    fn shard(&self) -> &PoolShard {
        // SAFETY: the invariant; this thread does not leave while `self` is borrowed.
        unsafe { self.shard.as_ref() }
    }

    #[inline(always)]
    pub(super) fn add_live(&mut self, change: isize) {
        let live = &self.shard().live;
        let sum = live.load(Ordering::Relaxed).wrapping_add(change);
        live.store(sum, Ordering::Relaxed);
    }

    #[inline(always)]
    fn stock<R>(&mut self, f: impl FnOnce(&mut Stock) -> R) -> R {
        self.shard().stock.with_mut(|stock| {
            // SAFETY: inside, and `&mut self` makes the borrow unique.
            f(unsafe { &mut *stock })
        })
    }

    #[inline(always)]
    fn free_list<R>(&mut self, class: usize, f: impl FnOnce(&mut FreeList) -> R) -> R {
        let (result, listed) = self.stock(|stock| {
            let list = &mut stock.free_lists[class];
            (f(list), list.listed())
        });
        self.shard().spare[class].store(listed, Ordering::Relaxed);
        result
    }

    /// Returns the nodes handed out less those returned here; only the sum over all shards means something.
    pub(super) fn outstanding(&mut self) -> isize {
        self.stock(|stock| stock.outstanding)
    }

    #[inline(always)]
    pub(super) fn add_outstanding(&mut self, change: isize) {
        self.stock(|stock| stock.outstanding += change);
    }

    /// Returns whether the table's owner has gone.
    #[inline(always)]
    pub(super) fn is_closed(&mut self) -> bool {
        self.stock(|stock| stock.closed)
    }

    pub(super) fn close(&mut self) {
        self.stock(|stock| stock.closed = true);
    }

    #[inline(always)]
    pub(super) fn take(&mut self, class: usize) -> Option<NodePtr> {
        self.free_list(class, FreeList::take)
    }

    #[inline(always)]
    pub(super) fn put(&mut self, class: usize, node: NodePtr) {
        self.free_list(class, |list| list.put(node));
    }

    pub(super) fn take_list(&mut self, class: usize) -> Option<FreeList> {
        self.free_list(class, FreeList::take_list)
    }

    pub(super) fn absorb(&mut self, class: usize, supply: FreeList) {
        self.free_list(class, |list| list.absorb(supply));
    }

    /// Takes all free nodes, one list for each size. `into` has room for them.
    pub(super) fn take_free_lists(&mut self, into: &mut Vec<FreeList>) {
        into.extend(
            (0..self.shard().spare.len()).map(|class| self.free_list(class, FreeList::take_all)),
        );
    }
}

impl<'a> Deref for ShardOwner<'a> {
    type Target = Inside<'a>;

    #[inline(always)]
    fn deref(&self) -> &Inside<'a> {
        &self.0
    }
}

impl DerefMut for ShardOwner<'_> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Drop for ShardOwner<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: the invariant, up to the store. A reference to an atomic may outlast the atomic's memory.
        let inside = unsafe { &(*self.0.shard.as_ptr()).owner_inside };
        // Release: pairs with the Acquire in `visit`.
        inside.store(false, Ordering::Release);
    }
}

impl<'a> Deref for Visitor<'a> {
    type Target = Inside<'a>;

    fn deref(&self) -> &Inside<'a> {
        &self.0
    }
}

impl DerefMut for Visitor<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Drop for Visitor<'_> {
    fn drop(&mut self) {
        // SAFETY: as above.
        let visited = unsafe { &(*self.0.shard.as_ptr()).visited };
        // Release: pairs with the Acquire in `enter` and `try_announce`.
        visited.store(false, Ordering::Release);
    }
}
