//! Reading entries without becoming an owner of them: hazard pointers.
//!
//! ```text
//!  look-up  stores the hazard ─► light barrier ─► is it still linked? ─► compares, upgrades ─► clears it
//!  removal  unlinks ─► retires the index's ownership ─► … heavy barrier ─► reads hazards ─► drops the rest
//! ```
//!
//! To become an owner takes two locked instructions on the node's line, and all readers of a hot key would
//! make them in turn. A look-up of a weak map writes to its thread's own line instead. Because of the two
//! barriers, either the look-up sees that the node is unlinked, or the removal sees the hazard.
//!
//! A heavy barrier interrupts all processors on which the process runs. So retired nodes are scanned at most
//! once a millisecond, by a call that removes, enters or finds nothing. In a quiet map they go with the call
//! that unlinks them. A thread that retires more in a millisecond scans its own list: see [`BATCH`]. In a map
//! that is notified of deaths, each report scans too, and so does each look-up that finds nothing, if
//! something may be retired.
//!
//! A thread has one hazard. A look-up inside a comparison becomes an owner.

use crate::map::store::node::StoreNode;
use crate::memory::node::NodePtr;
use crate::memory::panics::Panics;
use crate::sync::plain::{AtomicBool, AtomicU64, Relaxed};
use crate::sync::{self, const_fn, heavy_barrier, own_record, records};
use crate::sync::{AtomicPtr, AtomicUsize, Lock, OnceCell, Ordering, ThreadRecord};
use crate::table::index::{BucketCursor, Next, Probe};
use crate::table::node_ref::NodeRef;
use crate::table::payload::{payload, Payload};
use crate::table::Table;
use smallvec::SmallVec;
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;

/// A thread scans its own list when it has this many nodes; or a quarter as many as there are entries if that
/// is more, up to [`MAX_BATCH`]. So at most that many wait for each thread, however long a look-up stands
/// still.
pub(in crate::map) const BATCH: usize = if cfg!(all(highlander_loom, feature = "loom")) {
    1
} else {
    64
};

const MAX_BATCH: usize = BATCH * 4;

/// The index's ownerships of nodes that have been unlinked.
pub(in crate::map) struct HazardDomain<B: Payload> {
    /// Shared by all that share a store: a node that has a hazard must not be dropped with one of them.
    shards: OnceCell<Arc<RetireShards<B>>>,
    /// True if each call that retires a node scans at once.
    pub(in crate::map) is_eager: bool,
}

struct RetireShards<B: Payload> {
    /// The lists. Each of the first threads has one of its own; the others share the last.
    shards: Box<[RetireShard<B>]>,
    /// The number of nodes in one shard at which it is scanned.
    threshold: AtomicUsize,
    /// Hint that some list has a node. It is cleared before the lists are taken, and set while one of them is
    /// locked: so no node is missed.
    may_have_retired: AtomicBool,
    /// The millisecond in which all shards were scanned last.
    last_scan_ms: AtomicU64,
}

/// A list on a cache line of its own.
#[repr(align(128))]
struct RetireShard<B: Payload>(Lock<RetireList<B>>);

impl<B: Payload> HazardDomain<B> {
    const_fn! {
        pub(in crate::map) const fn new() -> Self {
            Self {
                shards: OnceCell::new(),
                is_eager: false,
            }
        }
    }

    fn shards(&self) -> &Arc<RetireShards<B>> {
        self.shards.get_or_init(|| Arc::new(RetireShards::new()))
    }

    /// Returns another domain with the same shards.
    pub(in crate::map) fn share(&self) -> Self {
        let mut shared = Self::new();
        shared.is_eager = self.is_eager;
        let _ = shared.shards.set(Arc::clone(self.shards()));
        shared
    }

    /// Retires the index's ownership of a node that has just been unlinked. Drops nothing itself. The node
    /// may be among those that come back, and is then dropped with them, unless the caller is another owner.
    pub(in crate::map) fn retire(&self, node_ref: NodeRef<B>, table: &Table<B>) -> Reclaimed<B> {
        self.retire_all(std::iter::once(node_ref), table)
    }

    /// Retires the index's ownerships of many nodes, as `retire` does.
    pub(in crate::map) fn retire_all(
        &self,
        node_refs: impl Iterator<Item = NodeRef<B>>,
        table: &Table<B>,
    ) -> Reclaimed<B> {
        self.shards().put(node_refs, table, self.is_eager)
    }

    /// Drops retired nodes without a hazard, unless that was done in this millisecond. Runs destructors.
    #[inline(always)]
    pub(in crate::map) fn reclaim_if_due(&self) {
        if let Some(shards) = self.shards.get() {
            if shards.may_have_retired.load(Relaxed) {
                shards.reclaim_all_if_due();
            }
        }
    }

    /// Drops retired nodes without a hazard.
    pub(in crate::map) fn reclaim_now(&self) {
        if let Some(shards) = self.shards.get() {
            if shards.may_have_retired.load(Relaxed) {
                drop(shards.reclaim());
            }
        }
    }

    /// Returns the retired nodes without a hazard.
    #[cold]
    pub(in crate::map) fn reclaim(&self) -> Reclaimed<B> {
        self.shards
            .get()
            .map_or_else(Reclaimed::nothing, |shards| shards.reclaim())
    }
}

impl<B: Payload> RetireShards<B> {
    fn new() -> Self {
        let all = 0..=sync::shards().0;
        Self {
            shards: all
                .map(|_| RetireShard(Lock::new(RetireList::new())))
                .collect(),
            threshold: AtomicUsize::new(BATCH),
            may_have_retired: AtomicBool::new(false),
            last_scan_ms: AtomicU64::new(0),
        }
    }

    fn put(
        &self,
        node_refs: impl Iterator<Item = NodeRef<B>>,
        table: &Table<B>,
        is_eager: bool,
    ) -> Reclaimed<B> {
        let shared = self.shards.len() - 1;
        let own = sync::own_index().map_or(shared, |own| own.min(shared));
        let len = self.shards[own].0.with(|retired| {
            node_refs.for_each(|node_ref| retired.push(node_ref));
            self.set_may_have_retired();
            retired.len
        });
        // Relaxed, here and below: a hint.
        if is_eager || self.is_due() {
            self.reclaim()
        } else if len >= self.threshold.load(Ordering::Relaxed) {
            let threshold = (table.len() / 4).clamp(BATCH, MAX_BATCH);
            self.threshold.store(threshold, Ordering::Relaxed);
            self.reclaim_shards(&self.shards[own..=own])
        } else {
            Reclaimed::nothing()
        }
    }

    #[cold]
    #[inline(never)]
    fn reclaim_all_if_due(&self) {
        if self.is_due() {
            drop(self.reclaim());
        }
    }

    /// Returns true for the first caller in each millisecond.
    fn is_due(&self) -> bool {
        let now = sync::millisecond();
        self.last_scan_ms.load(Relaxed) != now && self.last_scan_ms.swap(now, Relaxed) != now
    }

    /// Sets the flag. To be called while the list that has got a node is locked.
    #[inline]
    fn set_may_have_retired(&self) {
        if !self.may_have_retired.load(Relaxed) {
            self.may_have_retired.store(true, Relaxed);
        }
    }

    fn reclaim(&self) -> Reclaimed<B> {
        self.may_have_retired.store(false, Relaxed);
        self.reclaim_shards(&self.shards)
    }

    fn take(shards: &[RetireShard<B>]) -> RetireList<B> {
        let mut all = RetireList::new();
        for RetireShard(retired) in shards {
            all.append(retired.with(|retired| std::mem::replace(retired, RetireList::new())));
        }
        all
    }

    /// Returns the nodes of these shards that have no hazard, and puts back the others. Must not panic after
    /// it has taken the lists: a list that is dropped drops nodes that have a hazard.
    #[cold]
    fn reclaim_shards(&self, shards: &[RetireShard<B>]) -> Reclaimed<B> {
        let mut free = RetireList::new();
        loop {
            let mut retired = Self::take(shards);
            if retired.len == 0 {
                return Reclaimed(free);
            }
            let put_back = |retired: RetireList<B>| {
                shards[0].0.with(|rest| {
                    rest.append(retired);
                    self.set_may_have_retired();
                });
            };
            // Orders the unlinking before the reading of the hazards. Pairs with the light half in
            // `Index::protect` and in `Index::protect_next`.
            if !heavy_barrier() {
                put_back(retired);
                return Reclaimed(free);
            }
            let hazards = hazards();
            if hazards.is_empty() {
                free.append(retired);
                return Reclaimed(free);
            }
            let mut kept_back = RetireList::new();
            let mut named = Hazards::new();
            while let Some(node_ref) = retired.pop() {
                let hazard = node_ref.node().as_ptr().cast();
                if hazards.contains(&hazard) {
                    named.push(hazard);
                    kept_back.push(node_ref);
                } else {
                    free.push(node_ref);
                }
            }
            if named.is_empty() {
                return Reclaimed(free);
            }
            put_back(kept_back);
            // A reader may have cleared its hazard and seen `may_have_retired == false` just before we set
            // it. Then no call comes for the node. So look once more.
            if !heavy_barrier() {
                return Reclaimed(free);
            }
            let hazards = self::hazards();
            if named.iter().all(|hazard| hazards.contains(hazard)) {
                return Reclaimed(free);
            }
        }
    }
}

type Hazards = SmallVec<[*mut (); 16]>;

/// Reads the hazards of all threads.
fn hazards() -> Hazards {
    // Acquire: pairs with the Release that cleared or replaced a hazard, in `Protected::drop` and in
    // `Index::protect` and `protect_next`. All that its thread read under the hazard was read before.
    records()
        .map(|record| record.hazard.load(Ordering::Acquire))
        .filter(|hazard| !hazard.is_null())
        .collect()
}

/// Ownerships of unlinked nodes. They are chained through their headers, in place of their hashes, by which
/// nobody looks them up any more. So retiring allocates nothing.
struct RetireList<B: Payload> {
    top: Option<NodePtr>,
    len: usize,
    marker: PhantomData<B>,
}

// SAFETY: the thread that takes it may drop the payload, which the thread that hands it over may still be
// reading. The payloads that are used with this are structs of what they hold, so they are `Send` and `Sync`
// if that is.
unsafe impl<B: Payload + Send + Sync> Send for RetireList<B> {}

impl<B: Payload> RetireList<B> {
    const fn new() -> Self {
        Self {
            top: None,
            len: 0,
            marker: PhantomData,
        }
    }

    fn push(&mut self, node_ref: NodeRef<B>) {
        node_ref.header().set_link(self.top);
        self.top = Some(node_ref.node());
        self.len += 1;
        std::mem::forget(node_ref);
    }

    fn pop(&mut self) -> Option<NodeRef<B>> {
        let top = self.top?;
        // SAFETY: pushed, and its ownership forgotten then.
        let node_ref = unsafe { NodeRef::<B>::adopt(top) };
        self.top = node_ref.header().link();
        self.len -= 1;
        Some(node_ref)
    }

    fn append(&mut self, mut other: Self) {
        if self.top.is_none() {
            return *self = other;
        }
        while let Some(node_ref) = other.pop() {
            self.push(node_ref);
        }
    }
}

impl<B: Payload> Drop for RetireList<B> {
    #[inline]
    fn drop(&mut self) {
        if self.top.is_some() {
            let mut panics = Panics::new();
            while let Some(node_ref) = self.pop() {
                panics.catch(|| drop(node_ref));
            }
        }
    }
}

/// Ownerships to be dropped where no lock is held and nothing is left to do. That may run destructors of
/// keys.
#[must_use]
pub(in crate::map) struct Reclaimed<B: Payload>(
    // It is there to be dropped.
    #[allow(dead_code)] RetireList<B>,
);

impl<B: Payload> Reclaimed<B> {
    #[inline]
    pub(in crate::map) fn nothing() -> Self {
        Self(RetireList::new())
    }

    /// Returns the ownerships of nodes that have no hazard.
    pub(in crate::map) fn all(node_refs: impl Iterator<Item = NodeRef<B>>) -> Self {
        let mut retired = RetireList::new();
        node_refs.for_each(|node_ref| retired.push(node_ref));
        Self(retired)
    }
}

/// A thread that can set a hazard.
pub(in crate::map) struct Reader(&'static ThreadRecord);

impl Reader {
    /// Returns the calling thread, if it has used a registry before and is not ending.
    #[inline(always)]
    pub(in crate::map) fn own() -> Option<Self> {
        own_record().map(Self)
    }

    /// Probes the index for an entry with this hash. Calls `found`, with the hazard set, or else `missing`.
    #[inline(always)]
    pub(in crate::map) fn look<B: Payload, R>(
        self,
        table: &Table<B>,
        hash: u64,
        found: impl FnOnce(Protected<B>) -> R,
        missing: impl FnOnce(Probe) -> R,
    ) -> R {
        let hazard = &self.0.hazard;
        if !hazard.load(Ordering::Relaxed).is_null() {
            return missing(Probe::UNSURE);
        }
        table.protect(
            hash,
            hazard,
            |node| {
                found(Protected {
                    hazard,
                    node,
                    marker: PhantomData,
                })
            },
            missing,
        )
    }
}

/// The answer of [`Reader::next`].
pub(in crate::map) enum Seen<B: Payload> {
    Next(Protected<B>),
    /// The rest of the bucket has to be read under its lock.
    BucketChanged,
    Over,
}

impl Reader {
    /// Reads the next entry of the cursor's bucket.
    #[inline(always)]
    pub(in crate::map) fn next<B: Payload>(
        self,
        table: &Table<B>,
        cursor: &mut BucketCursor,
    ) -> Seen<B> {
        let hazard = &self.0.hazard;
        if !hazard.load(Ordering::Relaxed).is_null() {
            return Seen::BucketChanged;
        }
        match table.protect_next(cursor, hazard) {
            Next::Protected(node) => Seen::Next(Protected {
                hazard,
                node,
                marker: PhantomData,
            }),
            Next::BucketChanged => Seen::BucketChanged,
            Next::End => Seen::Over,
        }
    }
}

/// An entry that its thread's hazard names. The index's ownership of it is not dropped before this value.
pub(in crate::map) struct Protected<B: Payload> {
    hazard: &'static AtomicPtr<()>,
    node: NodePtr,
    marker: PhantomData<B>,
}

impl<B: Payload> Protected<B> {
    #[inline(always)]
    pub(in crate::map) fn key(&self) -> &B::Key {
        // SAFETY: it was linked when the hazard named it, so it is complete; and the index's ownership lasts.
        unsafe { B::key(self.node) }
    }
}

impl<B: Payload> Drop for Protected<B> {
    #[inline(always)]
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `hazards`.
        self.hazard.store(ptr::null_mut(), Ordering::Release);
    }
}

impl<A, B> Protected<StoreNode<A, B>> {
    #[inline(always)]
    pub(in crate::map) fn value(&self) -> &B {
        // SAFETY: as in `key`.
        unsafe { &*payload::<StoreNode<A, B>>(self.node).cast::<StoreNode<A, B>>() }.value()
    }
}
