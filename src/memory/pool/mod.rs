//! Type-stable memory for nodes.
//!
//! ```text
//!  chunk (from the allocator)  ┌──────────┬──────────┬────┐   4 KiB … 256 KiB, each twice the one before
//!                              │ slab     │ slab     │ …  │
//!  slab (4 KiB, aligned)       └──────────┴──────────┴────┘   header: which table, what size; then nodes
//!  shard (one thread's)         free list and uncut rest of a slab, for each size; how many entries are live
//! ```
//!
//! A node finds its slab, and so its table, by clearing the low bits of its address. Freed nodes go to the
//! freeing thread's shard; a shard that runs dry takes the list of another before it takes a new slab. No
//! thread waits for its own shard: if that is taken, it goes on to one that is nobody's, and waits only while
//! all of these are taken. Nodes too large for a slab have a block of their own, with the same header in
//! front, which is retired when the node is freed.

mod class;
mod free_list;
mod shard;
mod slab;

use crate::memory::grace::Graveyard;
use crate::memory::node::NodePtr;
use crate::sync::{self, AtomicIsize, Mutex, Ordering};
pub(crate) use class::Sizes;
use class::{Class, LARGE};
use free_list::FreeList;
use shard::{visit, Inside, PoolShard, Visitor};
pub(crate) use slab::{origin, Origin};
use slab::{slab_header, PoolChunk, SlabHeader, SLAB};
use std::collections::{HashMap, HashSet};
use std::mem::size_of;
use std::ptr::NonNull;

/// Freed large nodes are handed back once they amount to this many bytes.
const LARGE_BATCH: usize = 256 * 1024;
/// The least number of free nodes for which another thread's shard is visited: the barrier costs 1 to 2 µs.
const WORTH_A_VISIT: usize = if cfg!(all(highlander_loom, feature = "loom")) {
    1
} else {
    64
};

/// The nodes of one table.
pub(crate) struct Pool {
    sizes: Sizes,
    align: usize,
    /// First those with an owner: the thread with the number of the shard. Then those for all other threads.
    shards: Box<[PoolShard]>,
    owned: usize,
    chunks: Mutex<Vec<PoolChunk>>,
    /// Nodes outstanding, once the table's owner has gone, and one more while `close` is at work.
    left: AtomicIsize,
    /// Bytes of large nodes retired since the last collection.
    large: AtomicIsize,
}

// SAFETY: the raw pointers lead to memory that the pool owns. Shards see to themselves.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    pub(crate) fn new(sizes: Sizes, align: usize) -> Self {
        let (owned, shared) = sync::shards();
        Self {
            sizes,
            align,
            shards: (0..owned + shared)
                .map(|i| PoolShard::new(sizes, i < owned))
                .collect(),
            owned,
            chunks: Mutex::new(Vec::new()),
            left: AtomicIsize::new(0),
            large: AtomicIsize::new(0),
        }
    }

    /// Returns the number of live entries: exact when nothing is under way, else off by no more than what is.
    pub(crate) fn live(&self) -> usize {
        let sum: isize = self.shards.iter().map(PoolShard::live).sum();
        usize::try_from(sum).unwrap_or(0)
    }

    /// Runs `f` inside the calling thread's shard, or another one.
    #[inline(always)]
    fn inside<R>(&self, f: impl FnOnce(&mut Inside<'_>) -> R) -> R {
        // SAFETY: borrowed until after this call.
        unsafe { Self::inside_of(self, f) }
    }

    /// Runs `f` inside a shard of a pool that may be freed as soon as this thread has left the shard.
    ///
    /// # Safety
    /// The pool is not freed before that.
    #[inline(always)]
    unsafe fn inside_of<R>(pool: *const Self, f: impl FnOnce(&mut Inside<'_>) -> R) -> R {
        // No reference outlasts `f`, at whose end the shard is left.
        // SAFETY: the caller's promise; so below.
        let owned = unsafe { (*pool).owned };
        match sync::own_index() {
            Some(own) if own < owned => {
                // SAFETY: also, the shard is this thread's own, and nobody who is inside comes here.
                if let Some(mut own) = unsafe { (&(*pool).shards)[own].enter() } {
                    return f(&mut own);
                }
            }
            _ => {}
        }
        // SAFETY: as above.
        let mut visitor = unsafe { (*pool).shared_shard() };
        f(&mut visitor)
    }

    #[cold]
    #[inline(never)]
    fn shared_shard(&self) -> Visitor<'_> {
        let shared = &self.shards[self.owned..];
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
        self.inside(|shard| shard.add_live(change));
    }

    /// Returns a dead node of at least `size` bytes, the caller's alone. `live` is added to the entries.
    #[inline]
    pub(crate) fn allocate(&self, size: usize, live: isize, origin: Origin) -> NodePtr {
        let class = self.sizes.class(size);
        if class.index == LARGE {
            return self.allocate_large(size, live, origin);
        }
        let node = self.inside(|shard| {
            let node = shard.take(class.index)?;
            shard.add_outstanding(1);
            shard.add_live(live);
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
        let supply = match self.take_any_list(class.index) {
            Some(list) => list,
            None => self.new_slab(class, origin),
        };
        self.inside(|shard| {
            shard.absorb(class.index, supply);
            shard.add_outstanding(1);
            shard.add_live(live);
            shard
                .take(class.index)
                .expect("the list has just been supplied")
        })
    }

    fn take_any_list(&self, class: usize) -> Option<FreeList> {
        let (owned, shared) = self.shards.split_at(self.owned);
        let from_shared = shared
            .iter()
            .filter(|shard| shard.spare(class) > 0)
            .filter_map(PoolShard::try_visit)
            .find_map(|mut shard| shard.take_list(class));
        from_shared.or_else(|| {
            owned
                .iter()
                .filter(|shard| shard.spare(class) >= WORTH_A_VISIT)
                .filter_map(|shard| visit(std::iter::once(shard)))
                .find_map(|mut visitors| visitors[0].take_list(class))
        })
    }

    fn new_slab(&self, class: Class, origin: Origin) -> FreeList {
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
                    class: class.index,
                    size: class.size,
                })
        };
        FreeList::uncut(slab, self.first(class.size), class.size)
    }

    /// Returns where the first node of a slab lies: behind the header, so that nodes cross few lines.
    fn first(&self, size: usize) -> usize {
        let even = (1 << size.trailing_zeros().min(6)).max(self.align);
        size_of::<SlabHeader>().next_multiple_of(even)
    }

    #[cold]
    fn allocate_large(&self, size: usize, live: isize, origin: Origin) -> NodePtr {
        let node = slab::allocate_large(origin, self.first(64), size);
        self.inside(|shard| {
            shard.add_outstanding(1);
            shard.add_live(live);
        });
        node
    }

    /// Takes back a node that is dead, unlinked and without a payload. `live` is added to the number of live
    /// entries. True for the last node of a closed pool: the caller then has all of it alone.
    ///
    /// Pointers, as another thread may free pool and graveyard as soon as the node is counted as returned.
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
        let (class, bytes) = (slab.class, slab.size);
        if class == LARGE {
            // SAFETY: the node is out, which keeps both. It is unlinked and the caller's: no reader finds it.
            unsafe {
                (*graveyard).retire_later(slab::large_block(node));
                (*pool).count_large(bytes, &*graveyard);
            }
        }
        let return_node = |shard: &mut Inside<'_>| {
            shard.add_outstanding(-1);
            shard.add_live(live);
            if class != LARGE {
                shard.put(class, node);
            }
            shard.is_closed()
        };
        // SAFETY: the node is out until this thread has left the shard, which keeps the pool. If the pool is
        // closed, the node counts as out until `release_ref`.
        unsafe { Self::inside_of(pool, return_node) && Self::release_ref(pool) }
    }

    #[cold]
    fn count_large(&self, bytes: usize, graveyard: &Graveyard) {
        let bytes = bytes as isize;
        if self.large.fetch_add(bytes, Ordering::Relaxed) + bytes > LARGE_BATCH as isize {
            self.large.store(0, Ordering::Relaxed);
            graveyard.collect();
        }
    }

    /// Begins to count the outstanding nodes down, as the table's owner has gone: the last one takes all with
    /// it. The caller holds one count more, until it calls [`Pool::release_ref`]. True if no node is out.
    pub(crate) fn close(&self) -> bool {
        let Some(mut visitors) = visit(self.shards.iter()) else {
            // The system's barrier has failed. Nothing can be counted then, so nothing will be freed.
            self.left.store(isize::MAX, Ordering::Relaxed);
            return false;
        };
        let outstanding: isize = visitors.iter_mut().map(|s| s.outstanding()).sum();
        self.left.store(outstanding + 1, Ordering::Relaxed);
        // A thread that frees a node from now on sees the flag, and with it the count, inside its shard.
        visitors.iter_mut().for_each(|s| s.close());
        outstanding == 0
    }

    /// Counts one down. True for the last, which then frees the pool; for others it may be gone by then.
    ///
    /// # Safety
    /// The caller has one of those that are counted since `close`.
    #[must_use]
    pub(crate) unsafe fn release_ref(pool: *const Self) -> bool {
        // SAFETY: not freed before the last is counted down.
        let left = unsafe { &(*pool).left };
        // AcqRel: all that others did with the pool comes before its end.
        left.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Retires the chunks in which no node is in use. Only creators that need a new slab wait meanwhile.
    pub(crate) fn release_unused(&self, graveyard: &Graveyard) {
        let mut chunks = self.chunks.lock();
        // Free nodes are taken out of the shards first, so that nobody can use them while they are counted.
        let classes = self.sizes.all().count();
        let mut stock: Vec<FreeList> = Vec::with_capacity(classes * self.shards.len());
        match visit(self.shards.iter()) {
            Some(visitors) => {
                for mut shard in visitors {
                    shard.take_free_lists(&mut stock);
                }
            }
            None => return,
        }
        let mut free: HashMap<usize, usize> = HashMap::new();
        for list in &stock {
            list.count_by_slab(&mut free);
        }
        let all_free = |slab: NonNull<SlabHeader>| {
            // SAFETY: a slab that was handed out, so its header is written, and nobody writes to it again.
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
        let mut kept: Vec<FreeList> = stock.into_iter().map(|list| list.without(&gone)).collect();
        if let Some(visitors) = visit(self.shards.iter()) {
            for (mut shard, kept) in visitors.into_iter().zip(kept.chunks_mut(classes)) {
                for (class, kept) in kept.iter_mut().enumerate() {
                    shard.absorb(class, kept.take_all());
                }
            }
        }
        // SAFETY: no node of these chunks is linked or in use, and none can be taken any more.
        unsafe { graveyard.retire(unused.iter().map(PoolChunk::block)) };
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
