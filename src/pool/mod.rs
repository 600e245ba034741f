//! Type-stable memory for nodes.
//!
//! ```text
//!  chunk (from the allocator)  ┌──────────┬──────────┬────┐   4 KiB … 256 KiB, each twice the one before
//!                              │ slab     │ slab     │ …  │
//!  slab (4 KiB, aligned)       └──────────┴──────────┴────┘   header: which core, how to finish a node; then nodes of one size
//!  stripe (for a few threads)  free list and uncut rest of a slab, for each size; how many entries are live
//! ```
//!
//! A node finds its slab, and so its registry, by clearing the low bits of its address: nothing of the kind is stored in each
//! node. Freed nodes go to the freeing thread's stripe; a stripe that runs dry takes the list of another before it takes
//! a new slab. Nobody waits for a stripe: whoever finds it taken goes on to the next one.
//! Nodes too large for a slab have a block of their own, with the same header in front, which is buried when the node is freed.

mod class;
mod lane;
mod slab;

use crate::grace::Graveyard;
use crate::node::Node;
use crate::sync::{self, AtomicBool, AtomicIsize, Mutex, Ordering};
pub(crate) use class::Sizes;
use class::{Class, LARGE};
use lane::Lane;
pub(crate) use slab::{origin, Origin};
use slab::{slab_header, Chunk, SlabHeader, SLAB};
use std::cell::UnsafeCell;
use std::collections::{HashMap, HashSet};
use std::mem::size_of;
use std::ptr::NonNull;

/// Freed large nodes are handed back once they amount to this many bytes.
const LARGE_BATCH: usize = 256 * 1024;
struct Stock {
    lanes: Box<[Lane]>,
    /// Nodes handed out by this stripe less those returned to it; only the sum over all stripes means something.
    outstanding: isize,
    /// The registry has gone; see [`Pool::close`].
    closed: bool,
}

impl Stock {
    fn take_lanes(&mut self) -> Vec<Lane> {
        self.lanes.iter_mut().map(Lane::take_all).collect()
    }
}

#[repr(align(128))]
struct Stripe {
    locked: AtomicBool,
    /// Entries made less entries gone, as `outstanding`. Written under the lock, read by anybody.
    live: AtomicIsize,
    stock: UnsafeCell<Stock>,
}

/// A stripe that the caller has locked.
struct Locked<'a>(&'a Stripe);

impl Locked<'_> {
    #[inline(always)]
    fn stock(&mut self) -> &mut Stock {
        // SAFETY: the lock is held, and `&mut self` makes the borrow unique.
        unsafe { &mut *self.0.stock.get() }
    }

    #[inline(always)]
    fn add_live(&mut self, change: isize) {
        let live = self.0.live.load(Ordering::Relaxed);
        self.0
            .live
            .store(live.wrapping_add(change), Ordering::Relaxed);
    }
}

impl Drop for Locked<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // Release: pairs with `Stripe::try_lock`.
        self.0.locked.store(false, Ordering::Release);
    }
}

impl Stripe {
    #[inline(always)]
    fn try_lock(&self) -> Option<Locked<'_>> {
        // Acquire: pairs with the unlocking store.
        self.locked
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
            .then(|| Locked(self))
    }

    fn lock(&self) -> Locked<'_> {
        let mut round = 0;
        loop {
            if let Some(locked) = self.try_lock() {
                return locked;
            }
            sync::relax(round);
            round += 1;
        }
    }
}

/// The nodes of one registry.
pub(crate) struct Pool {
    sizes: Sizes,
    align: usize,
    stripes: Box<[Stripe]>,
    chunks: Mutex<Vec<Chunk>>,
    /// Nodes outstanding, once the registry has gone, and one more while `close` is at work.
    left: AtomicIsize,
    /// Bytes of large nodes buried since the last collection.
    large: AtomicIsize,
}

// SAFETY: the raw pointers lead to memory that the pool owns. A stripe's stock is reached under its lock only.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    pub(crate) fn new(sizes: Sizes, align: usize) -> Self {
        let stripes = sync::stripes();
        let stripe = || Stripe {
            locked: AtomicBool::new(false),
            live: AtomicIsize::new(0),
            stock: UnsafeCell::new(Stock {
                lanes: sizes.all().map(Lane::new).collect(),
                outstanding: 0,
                closed: false,
            }),
        };
        Self {
            sizes,
            align,
            stripes: (0..stripes).map(|_| stripe()).collect(),
            chunks: Mutex::new(Vec::new()),
            left: AtomicIsize::new(0),
            large: AtomicIsize::new(0),
        }
    }

    /// The number of live entries: exact when nothing is under way, and never off by more than what is.
    pub(crate) fn live(&self) -> usize {
        let sum: isize = self
            .stripes
            .iter()
            .map(|s| s.live.load(Ordering::Relaxed))
            .sum();
        usize::try_from(sum).unwrap_or(0)
    }

    /// Locks the calling thread's stripe, or another one when that is taken.
    #[inline(always)]
    fn stripe(&self) -> Locked<'_> {
        let own = sync::thread_index() & (self.stripes.len() - 1);
        match self.stripes[own].try_lock() {
            Some(locked) => locked,
            None => self.other_stripe(own),
        }
    }

    #[cold]
    fn other_stripe(&self, own: usize) -> Locked<'_> {
        let mut round = 0;
        loop {
            for offset in 1..=self.stripes.len() {
                let at = (own + offset) & (self.stripes.len() - 1);
                if let Some(locked) = self.stripes[at].try_lock() {
                    return locked;
                }
            }
            sync::relax(round);
            round += 1;
        }
    }

    /// Corrects the number of live entries.
    pub(crate) fn add_live(&self, change: isize) {
        self.stripe().add_live(change);
    }

    /// A node of at least `size` bytes, dead, which the caller has alone. `live` is added to the number of live entries.
    #[inline]
    pub(crate) fn allocate(&self, size: usize, live: isize, origin: Origin) -> Node {
        let class = self.sizes.class(size);
        if class.lane == LARGE {
            return self.allocate_large(size, live, origin);
        }
        let mut stripe = self.stripe();
        match stripe.stock().lanes[class.lane].take() {
            Some(node) => {
                stripe.stock().outstanding += 1;
                stripe.add_live(live);
                node
            }
            None => {
                drop(stripe);
                self.allocate_slow(class, live, origin)
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn allocate_slow(&self, class: Class, live: isize, origin: Origin) -> Node {
        let supply = match self.take_any_list(class.lane) {
            Some(list) => list,
            None => self.new_slab(class, origin),
        };
        let mut stripe = self.stripe();
        let lane = &mut stripe.stock().lanes[class.lane];
        lane.absorb(supply);
        let node = lane.take().expect("the lane has just been supplied");
        stripe.stock().outstanding += 1;
        stripe.add_live(live);
        node
    }

    /// The whole free list of some stripe.
    fn take_any_list(&self, lane: usize) -> Option<Lane> {
        self.stripes
            .iter()
            .filter_map(Stripe::try_lock)
            .find_map(|mut stripe| stripe.stock().lanes[lane].take_list())
    }

    /// The nodes of a new slab.
    fn new_slab(&self, class: Class, origin: Origin) -> Lane {
        let slab = {
            let mut chunks = self.chunks.lock();
            let full = chunks.last().is_none_or(Chunk::is_full);
            if full {
                let chunk = Chunk::after(chunks.last());
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

    /// Where the first node of a slab lies: behind the header, and so that nodes lie across as few cache lines as can be.
    fn first(&self, size: usize) -> usize {
        let even = (1 << size.trailing_zeros().min(6)).max(self.align);
        size_of::<SlabHeader>().next_multiple_of(even)
    }

    #[cold]
    fn allocate_large(&self, size: usize, live: isize, origin: Origin) -> Node {
        let node = slab::allocate_large(origin, self.first(64), size);
        let mut stripe = self.stripe();
        stripe.stock().outstanding += 1;
        stripe.add_live(live);
        node
    }

    /// Takes back a node that is dead, unlinked and without a payload. `live` is added to the number of live entries.
    /// True when this was the last node of a closed pool: the caller then has the pool, and all around it, alone.
    ///
    /// # Safety
    /// The node is of this pool, and the caller has it alone.
    #[inline]
    #[must_use]
    pub(crate) unsafe fn free(&self, node: Node, live: isize, graveyard: &Graveyard) -> bool {
        // SAFETY: the caller's promise.
        let slab = unsafe { slab_header(node) };
        let (lane, bytes) = (slab.lane, slab.size);
        if lane == LARGE {
            // SAFETY: unlinked, so no new reader finds it, and the caller's alone.
            unsafe { graveyard.bury_for_later(slab::large_block(node)) };
            self.count_large(bytes, graveyard);
        }
        let mut stripe = self.stripe();
        stripe.stock().outstanding -= 1;
        stripe.add_live(live);
        if lane != LARGE {
            stripe.stock().lanes[lane].put(node);
        }
        let closed = stripe.stock().closed;
        drop(stripe);
        closed && self.let_go()
    }

    #[cold]
    fn count_large(&self, bytes: usize, graveyard: &Graveyard) {
        let bytes = bytes as isize;
        if self.large.fetch_add(bytes, Ordering::Relaxed) + bytes > LARGE_BATCH as isize {
            self.large.store(0, Ordering::Relaxed);
            graveyard.collect();
        }
    }

    /// The registry has gone: from now on the outstanding nodes are counted down, so that the last one can take all with it.
    /// The caller holds one count more, until it calls [`Pool::let_go`]. True if no node is out.
    pub(crate) fn close(&self) -> bool {
        let mut locked: Vec<_> = self.stripes.iter().map(Stripe::lock).collect();
        let outstanding: isize = locked.iter_mut().map(|s| s.stock().outstanding).sum();
        self.left.store(outstanding + 1, Ordering::Relaxed);
        // Whoever frees a node from now on sees the flag, and with it the count, under its stripe's lock.
        locked.iter_mut().for_each(|s| s.stock().closed = true);
        outstanding == 0
    }

    /// Counts one down. True for the last.
    #[must_use]
    pub(crate) fn let_go(&self) -> bool {
        // AcqRel: all that others did with the pool comes before its end.
        self.left.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Buries the chunks in which no node is in use. Creators that need a new slab meanwhile wait; nobody else does.
    pub(crate) fn release_unused(&self, graveyard: &Graveyard) {
        let mut chunks = self.chunks.lock();
        // What is free is taken out of the stripes first, so that nobody can use it while it is counted.
        let stock: Vec<Vec<Lane>> = self
            .stripes
            .iter()
            .map(|s| s.lock().stock().take_lanes())
            .collect();
        let mut free: HashMap<usize, usize> = HashMap::new();
        for lane in stock.iter().flatten() {
            lane.count_by_slab(&mut free);
        }
        let all_free = |slab: NonNull<SlabHeader>| {
            // SAFETY: a slab that is in use, so its header is written, and nobody writes to it again.
            let size = unsafe { slab.as_ref() }.size;
            let nodes = (SLAB - self.first(size)) / size;
            free.get(&(slab.as_ptr() as usize)) == Some(&nodes)
        };
        let (unused, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut *chunks)
            .into_iter()
            .partition(|chunk| chunk.slabs().all(all_free));
        *chunks = kept;
        // What lies in the other chunks goes back to where it was.
        let gone: HashSet<usize> = unused
            .iter()
            .flat_map(Chunk::slabs)
            .map(|s| s.as_ptr() as usize)
            .collect();
        for (stripe, lanes) in self.stripes.iter().zip(stock) {
            let kept: Vec<Lane> = lanes.into_iter().map(|lane| lane.without(&gone)).collect();
            let mut stripe = stripe.lock();
            for (lane, kept) in stripe.stock().lanes.iter_mut().zip(kept) {
                lane.absorb(kept);
            }
        }
        // SAFETY: no node of these chunks is linked or in use, and none can be taken any more.
        unsafe { graveyard.bury(unused.iter().map(Chunk::block)) };
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
