//! Type-stable memory for nodes.
//!
//! ```text
//!  chunk (from the allocator)  ┌──────────┬──────────┬────┐   4 KiB … 256 KiB, each twice the one before
//!                              │ slab     │ slab     │ …  │
//!  slab (4 KiB, aligned)       └──────────┴──────────┴────┘   header: which core, what size; then nodes
//!  stripe (one thread's)        free list and uncut rest of a slab, for each size; how many entries are live
//! ```
//!
//! A node finds its slab, and so its registry, by clearing the low bits of its address: nothing of the kind
//! is stored in each node. Freed nodes go to the freeing thread's stripe; a stripe that runs dry takes the
//! list of another before it takes a new slab. Nobody waits for a stripe: whoever finds it taken goes on to
//! one that is nobody's. Nodes too large for a slab have a block of their own, with the same header in front,
//! which is buried when the node is freed.

mod class;
mod lane;
mod shard;
mod slab;

use crate::memory::grace::Graveyard;
use crate::memory::node::NodePtr;
use crate::sync::{self, AtomicIsize, Mutex, Ordering};
pub(crate) use class::Sizes;
use class::{Class, LARGE};
use lane::Lane;
use shard::{visit, Inside, PoolShard, Visitor};
pub(crate) use slab::{origin, Origin};
use slab::{slab_header, PoolChunk, SlabHeader, SLAB};
use std::collections::{HashMap, HashSet};
use std::mem::size_of;
use std::ptr::NonNull;

/// Freed large nodes are handed back once they amount to this many bytes.
const LARGE_BATCH: usize = 256 * 1024;
/// The least number of free nodes for which another thread's stripe is visited: the barrier costs a
/// microsecond or two.
const WORTH_A_VISIT: usize = if cfg!(all(highlander_loom, feature = "loom")) {
    1
} else {
    64
};

/// The nodes of one registry.
pub(crate) struct Pool {
    sizes: Sizes,
    align: usize,
    /// First those with an owner: the thread whose number is that of the stripe. Then those for all other
    /// threads.
    stripes: Box<[PoolShard]>,
    owned: usize,
    chunks: Mutex<Vec<PoolChunk>>,
    /// Nodes outstanding, once the registry has gone, and one more while `close` is at work.
    left: AtomicIsize,
    /// Bytes of large nodes buried since the last collection.
    large: AtomicIsize,
}

// SAFETY: the raw pointers lead to memory that the pool owns. Stripes see to themselves.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    pub(crate) fn new(sizes: Sizes, align: usize) -> Self {
        let (owned, shared) = sync::stripes();
        Self {
            sizes,
            align,
            stripes: (0..owned + shared)
                .map(|i| PoolShard::new(sizes, i < owned))
                .collect(),
            owned,
            chunks: Mutex::new(Vec::new()),
            left: AtomicIsize::new(0),
            large: AtomicIsize::new(0),
        }
    }

    /// The number of live entries: exact when nothing is under way, and never off by more than what is.
    pub(crate) fn live(&self) -> usize {
        let sum: isize = self.stripes.iter().map(PoolShard::live).sum();
        usize::try_from(sum).unwrap_or(0)
    }

    /// Does something inside the calling thread's stripe, or another one.
    #[inline(always)]
    fn inside<R>(&self, f: impl FnOnce(&mut Inside<'_>) -> R) -> R {
        // SAFETY: borrowed until after this call.
        unsafe { Self::inside_of(self, f) }
    }

    /// As `inside`, for a pool that may be freed as soon as this thread has left the stripe.
    ///
    /// # Safety
    /// The pool is not freed before that.
    #[inline(always)]
    unsafe fn inside_of<R>(pool: *const Self, f: impl FnOnce(&mut Inside<'_>) -> R) -> R {
        // No reference outlasts `f`, at whose end the stripe is left.
        // SAFETY: the caller's promise; so below.
        let owned = unsafe { (*pool).owned };
        match sync::own_index() {
            Some(own) if own < owned => {
                // SAFETY: also, the number is this thread's alone, and nobody who is inside comes here.
                if let Some(mut own) = unsafe { (&(*pool).stripes)[own].enter() } {
                    return f(&mut own);
                }
            }
            _ => {}
        }
        // SAFETY: as above.
        let mut visitor = unsafe { (*pool).shared_stripe() };
        f(&mut visitor)
    }

    #[cold]
    #[inline(never)]
    fn shared_stripe(&self) -> Visitor<'_> {
        let shared = &self.stripes[self.owned..];
        let first = sync::own_index().unwrap_or(0);
        let mut round = 0;
        loop {
            for offset in 0..shared.len() {
                if let Some(visitor) = shared[first.wrapping_add(offset) % shared.len()].try_visit()
                {
                    return visitor;
                }
            }
            sync::relax(round);
            round += 1;
        }
    }

    /// Corrects the number of live entries.
    pub(crate) fn add_live(&self, change: isize) {
        self.inside(|stripe| stripe.add_live(change));
    }

    /// A node of at least `size` bytes, dead, which the caller has alone. `live` is added to the number of
    /// live entries.
    #[inline]
    pub(crate) fn allocate(&self, size: usize, live: isize, origin: Origin) -> NodePtr {
        let class = self.sizes.class(size);
        if class.lane == LARGE {
            return self.allocate_large(size, live, origin);
        }
        let node = self.inside(|stripe| {
            let node = stripe.take(class.lane)?;
            stripe.add_outstanding(1);
            stripe.add_live(live);
            Some(node)
        });
        match node {
            Some(node) => node,
            None => self.allocate_slow(class, live, origin),
        }
    }

    #[cold]
    #[inline(never)]
    fn allocate_slow(&self, class: Class, live: isize, origin: Origin) -> NodePtr {
        let supply = match self.take_any_list(class.lane) {
            Some(list) => list,
            None => self.new_slab(class, origin),
        };
        self.inside(|stripe| {
            stripe.absorb(class.lane, supply);
            stripe.add_outstanding(1);
            stripe.add_live(live);
            stripe
                .take(class.lane)
                .expect("the lane has just been supplied")
        })
    }

    /// The whole free list of some stripe.
    fn take_any_list(&self, lane: usize) -> Option<Lane> {
        let (owned, shared) = self.stripes.split_at(self.owned);
        let from_shared = shared
            .iter()
            .filter(|stripe| stripe.spare(lane) > 0)
            .filter_map(PoolShard::try_visit)
            .find_map(|mut stripe| stripe.take_list(lane));
        from_shared.or_else(|| {
            owned
                .iter()
                .filter(|stripe| stripe.spare(lane) >= WORTH_A_VISIT)
                .filter_map(|stripe| visit(std::iter::once(stripe)))
                .find_map(|mut visitors| visitors[0].take_list(lane))
        })
    }

    /// The nodes of a new slab.
    fn new_slab(&self, class: Class, origin: Origin) -> Lane {
        let slab = {
            let mut chunks = self.chunks.lock();
            let full = chunks.last().is_none_or(PoolChunk::is_full);
            if full {
                let chunk = PoolChunk::after(chunks.last());
                chunks.push(chunk);
            }
            chunks
                .last_mut()
                .expect("there is one now")
                .take_slab(SlabHeader {
                    origin,
                    lane: class.lane,
                    size: class.size,
                })
        };
        Lane::uncut(slab, self.first(class.size), class.size)
    }

    /// Where the first node of a slab lies: behind the header, and so that nodes lie across as few cache
    /// lines as can be.
    fn first(&self, size: usize) -> usize {
        let even = (1 << size.trailing_zeros().min(6)).max(self.align);
        size_of::<SlabHeader>().next_multiple_of(even)
    }

    #[cold]
    fn allocate_large(&self, size: usize, live: isize, origin: Origin) -> NodePtr {
        let node = slab::allocate_large(origin, self.first(64), size);
        self.inside(|stripe| {
            stripe.add_outstanding(1);
            stripe.add_live(live);
        });
        node
    }

    /// Takes back a node that is dead, unlinked and without a payload. `live` is added to the number of live
    /// entries. True when this was the last node of a closed pool: the caller then has the pool, and all
    /// around it, alone.
    ///
    /// Pointers, as pool and graveyard may be freed by another thread as soon as the node is counted as
    /// returned.
    ///
    /// # Safety
    /// The node is of this pool, whose graveyard is `graveyard`, and the caller has it alone.
    #[inline]
    #[must_use]
    pub(crate) unsafe fn free(
        pool: *const Self,
        node: NodePtr,
        live: isize,
        graveyard: *const Graveyard,
    ) -> bool {
        // SAFETY: the caller's promise.
        let slab = unsafe { slab_header(node) };
        let (lane, bytes) = (slab.lane, slab.size);
        if lane == LARGE {
            // SAFETY: the node is out, which keeps both. It is unlinked, so no new reader finds it, and the
            // caller's alone.
            unsafe {
                (*graveyard).bury_for_later(slab::large_block(node));
                (*pool).count_large(bytes, &*graveyard);
            }
        }
        let give_back = |stripe: &mut Inside<'_>| {
            stripe.add_outstanding(-1);
            stripe.add_live(live);
            if lane != LARGE {
                stripe.put(lane, node);
            }
            stripe.is_closed()
        };
        // SAFETY: the node is out until this thread has left the stripe, which keeps the pool. If the pool is
        // closed, the node counts as out until `let_go`.
        unsafe { Self::inside_of(pool, give_back) && Self::let_go(pool) }
    }

    #[cold]
    fn count_large(&self, bytes: usize, graveyard: &Graveyard) {
        let bytes = bytes as isize;
        if self.large.fetch_add(bytes, Ordering::Relaxed) + bytes > LARGE_BATCH as isize {
            self.large.store(0, Ordering::Relaxed);
            graveyard.collect();
        }
    }

    /// The registry has gone: from now on the outstanding nodes are counted down, so that the last one can
    /// take all with it. The caller holds one count more, until it calls [`Pool::let_go`]. True if no node is
    /// out.
    pub(crate) fn close(&self) -> bool {
        let Some(mut visitors) = visit(self.stripes.iter()) else {
            // The system's barrier has stopped to work. Nothing can be counted then, so nothing will be
            // freed.
            self.left.store(isize::MAX, Ordering::Relaxed);
            return false;
        };
        let outstanding: isize = visitors.iter_mut().map(|s| s.outstanding()).sum();
        self.left.store(outstanding + 1, Ordering::Relaxed);
        // Whoever frees a node from now on sees the flag, and with it the count, inside its stripe.
        visitors.iter_mut().for_each(|s| s.close());
        outstanding == 0
    }

    /// Counts one down. True for the last, who then frees the pool; for all others it may be gone when this
    /// returns.
    ///
    /// # Safety
    /// The caller has one of those that are counted since `close`.
    #[must_use]
    pub(crate) unsafe fn let_go(pool: *const Self) -> bool {
        // SAFETY: not freed before the last is counted down.
        let left = unsafe { &(*pool).left };
        // AcqRel: all that others did with the pool comes before its end.
        left.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Buries the chunks in which no node is in use. Creators that need a new slab meanwhile wait; nobody
    /// else does.
    pub(crate) fn release_unused(&self, graveyard: &Graveyard) {
        let mut chunks = self.chunks.lock();
        // What is free is taken out of the stripes first, so that nobody can use it while it is counted.
        let lanes = self.sizes.all().count();
        let mut stock: Vec<Lane> = Vec::with_capacity(lanes * self.stripes.len());
        match visit(self.stripes.iter()) {
            Some(visitors) => {
                for mut stripe in visitors {
                    stripe.take_lanes(&mut stock);
                }
            }
            None => return,
        }
        let mut free: HashMap<usize, usize> = HashMap::new();
        for lane in &stock {
            lane.count_by_slab(&mut free);
        }
        let all_free = |slab: NonNull<SlabHeader>| {
            // SAFETY: a slab that is in use, so its header is written, and nobody writes to it again.
            let size = unsafe { slab.as_ref() }.size;
            let nodes = (SLAB - self.first(size)) / size;
            free.get(&slab.addr().get()) == Some(&nodes)
        };
        let (unused, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut *chunks)
            .into_iter()
            .partition(|chunk| chunk.slabs().all(all_free));
        *chunks = kept;
        // What lies in the other chunks goes back to where it was.
        let gone: HashSet<usize> = unused
            .iter()
            .flat_map(PoolChunk::slabs)
            .map(|slab| slab.addr().get())
            .collect();
        let mut kept: Vec<Lane> = stock.into_iter().map(|lane| lane.without(&gone)).collect();
        if let Some(visitors) = visit(self.stripes.iter()) {
            for (mut stripe, kept) in visitors.into_iter().zip(kept.chunks_mut(lanes)) {
                for (lane, kept) in kept.iter_mut().enumerate() {
                    stripe.absorb(lane, kept.take_all());
                }
            }
        }
        // SAFETY: no node of these chunks is linked or in use, and none can be taken any more.
        unsafe { graveyard.bury(unused.iter().map(PoolChunk::block)) };
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for chunk in self.chunks.lock().drain(..) {
            // SAFETY: the pool is dropped when no node of it is in use, and nobody looks for one any more.
            unsafe { chunk.block().free() };
        }
    }
}
