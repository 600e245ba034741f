//! Reading entries without becoming an owner of them.
//!
//! ```text
//!  look-up   ─► says which node it looks at ─► is it linked still? ─► compares, upgrades ─► says that it has finished
//!  removal   ─► unlinks ─► puts the index's ownership aside ─► when many have gathered, gives up those that nobody looks at
//! ```
//!
//! To become an owner takes two locked instructions on the node's line, which all readers of a hot key make
//! in turn. A look-up of a weak map writes to its thread's own line instead (a *hazard pointer*). Between its
//! saying and its looking again there is the light half of the asymmetric barrier, and between unlinking and
//! reading what the threads say there is the heavy half; so either the look-up sees that the node is
//! unlinked, or the removal sees that somebody looks at it.
//!
//! What is put aside waits for a short time only: whoever removes, enters or finds nothing looks which nodes
//! can go, once a millisecond has passed since that was done last. So in a quiet map they go with the call
//! that takes them out. Looking interrupts all processors on which the process runs, which is why not every
//! call does it.
//!
//! What is put aside is bounded in number too, however long a look-up stands still in the middle of a
//! comparison: on each thread's pile [`BATCH`] nodes less one, or as many as a quarter of the entries, up to
//! [`MOST`]; and one for each thread. A thread looks at one node at a time; a look-up inside a comparison
//! becomes an owner, as all others do.

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

/// So many nodes are put aside, at least, before somebody looks which of them can go.
pub(in crate::map) const BATCH: usize = if cfg!(all(highlander_loom, feature = "loom")) {
    1
} else {
    64
};

/// And so many at most, where there are as many entries: looking interrupts all processors on which the
/// process runs.
const MOST: usize = BATCH * 4;

/// The index's ownerships of nodes that have been unlinked.
pub(in crate::map) struct HazardDomain<B: Payload> {
    /// Those of all who share a store are the same: what somebody looks at must not go with one of them.
    piles: OnceCell<Arc<Piles<B>>>,
    /// Whoever puts something aside looks at once what can go.
    pub(in crate::map) is_eager: bool,
}

struct Piles<B: Payload> {
    /// Each of the first threads has one of its own; the others share the last.
    lanes: Box<[RetireShard<B>]>,
    /// How many are put aside on a pile before somebody looks: a quarter as many as there were entries when
    /// that was done last, within bounds.
    enough: AtomicUsize,
    /// Something may be put aside. Cleared before the piles are taken, and set while one of them is locked:
    /// so it is not missed.
    waits: AtomicBool,
    /// In which millisecond somebody looked at all piles last.
    looked: AtomicU64,
}

/// A line of its own for each pile.
#[repr(align(128))]
struct RetireShard<B: Payload>(Lock<RetireList<B>>);

impl<B: Payload> HazardDomain<B> {
    const_fn! {
        pub(in crate::map) const fn new() -> Self {
            Self {
                piles: OnceCell::new(),
                is_eager: false,
            }
        }
    }

    fn piles(&self) -> &Arc<Piles<B>> {
        self.piles.get_or_init(|| Arc::new(Piles::new()))
    }

    /// Another one with the same piles.
    pub(in crate::map) fn share(&self) -> Self {
        let mut shared = Self::new();
        shared.is_eager = self.is_eager;
        let _ = shared.piles.set(Arc::clone(self.piles()));
        shared
    }

    /// Gives up the index's ownership of a node that has just been unlinked, a little later. The caller is an
    /// owner too, so its payload is not dropped here; others' may go with what comes back.
    pub(in crate::map) fn retire(&self, strong: NodeRef<B>, table: &Table<B>) -> Due<B> {
        self.retire_all(std::iter::once(strong), table)
    }

    /// As `retire`, for many, of which the caller need not be another owner.
    pub(in crate::map) fn retire_all(
        &self,
        strongs: impl Iterator<Item = NodeRef<B>>,
        table: &Table<B>,
    ) -> Due<B> {
        self.piles().put(strongs, table, self.is_eager)
    }

    /// Drops what has been put aside, if there is something, and time for that. To be called now and then, as
    /// a destructor may be.
    #[inline(always)]
    pub(in crate::map) fn drop_in_time(&self) {
        if let Some(piles) = self.piles.get() {
            if piles.waits.load(Relaxed) {
                piles.drop_now_if_time();
            }
        }
    }

    /// As `drop_in_time`, at once.
    pub(in crate::map) fn drop_what_waits(&self) {
        if let Some(piles) = self.piles.get() {
            if piles.waits.load(Relaxed) {
                drop(piles.give_up());
            }
        }
    }

    /// What has been put aside, but for what somebody is looking at.
    #[cold]
    pub(in crate::map) fn give_up(&self) -> Due<B> {
        self.piles
            .get()
            .map_or_else(Due::nothing, |piles| piles.give_up())
    }
}

impl<B: Payload> Piles<B> {
    fn new() -> Self {
        let all = 0..=sync::shards().0;
        Self {
            lanes: all
                .map(|_| RetireShard(Lock::new(RetireList::new())))
                .collect(),
            enough: AtomicUsize::new(BATCH),
            waits: AtomicBool::new(false),
            looked: AtomicU64::new(0),
        }
    }

    fn put(
        &self,
        strongs: impl Iterator<Item = NodeRef<B>>,
        table: &Table<B>,
        is_eager: bool,
    ) -> Due<B> {
        let shared = self.lanes.len() - 1;
        let own = sync::own_index().map_or(shared, |own| own.min(shared));
        let len = self.lanes[own].0.with(|pile| {
            strongs.for_each(|strong| pile.push(strong));
            self.something_waits();
            pile.len
        });
        // Relaxed, here and below: a hint.
        if is_eager || self.is_time() {
            self.give_up()
        } else if len >= self.enough.load(Ordering::Relaxed) {
            let enough = (table.len() / 4).clamp(BATCH, MOST);
            self.enough.store(enough, Ordering::Relaxed);
            self.give_up_of(&self.lanes[own..=own])
        } else {
            Due::nothing()
        }
    }

    #[cold]
    #[inline(never)]
    fn drop_now_if_time(&self) {
        if self.is_time() {
            drop(self.give_up());
        }
    }

    /// Whether nobody has looked at the piles in this millisecond. True for one caller.
    fn is_time(&self) -> bool {
        let now = sync::millisecond();
        self.looked.load(Relaxed) != now && self.looked.swap(now, Relaxed) != now
    }

    /// To be called while the pile is locked on which it is put.
    #[inline]
    fn something_waits(&self) {
        if !self.waits.load(Relaxed) {
            self.waits.store(true, Relaxed);
        }
    }

    fn give_up(&self) -> Due<B> {
        self.waits.store(false, Relaxed);
        self.give_up_of(&self.lanes)
    }

    fn take(piles: &[RetireShard<B>]) -> RetireList<B> {
        let mut all = RetireList::new();
        for RetireShard(pile) in piles {
            all.append(pile.with(|pile| std::mem::replace(pile, RetireList::new())));
        }
        all
    }

    /// Nothing between the taking of the piles and the end may panic: a pile that is dropped drops what
    /// somebody may be looking at.
    #[cold]
    fn give_up_of(&self, piles: &[RetireShard<B>]) -> Due<B> {
        let mut free = RetireList::new();
        loop {
            let mut aside = Self::take(piles);
            if aside.len == 0 {
                return Due(free);
            }
            let put_back = |pile: RetireList<B>| {
                piles[0].0.with(|rest| {
                    rest.append(pile);
                    self.something_waits();
                });
            };
            // Between unlinking and reading what the threads say. Pairs with the light half in
            // `Index::protect`.
            if !heavy_barrier() {
                put_back(aside);
                return Due(free);
            }
            let hazards = hazards();
            if hazards.is_empty() {
                free.append(aside);
                return Due(free);
            }
            let mut looked_at = RetireList::new();
            let mut names = Hazards::new();
            while let Some(strong) = aside.pop() {
                let name = strong.node().as_ptr().cast();
                if hazards.contains(&name) {
                    names.push(name);
                    looked_at.push(strong);
                } else {
                    free.push(strong);
                }
            }
            if names.is_empty() {
                return Due(free);
            }
            put_back(looked_at);
            // Who was looking may have finished meanwhile, and asked whether something waits before that was
            // said: then nobody comes for it. Who finishes after the barrier sees it said.
            if !heavy_barrier() {
                return Due(free);
            }
            let hazards = self::hazards();
            if names.iter().all(|name| hazards.contains(name)) {
                return Due(free);
            }
        }
    }
}

type Hazards = SmallVec<[*mut (); 16]>;

/// What the threads are looking at.
fn hazards() -> Hazards {
    // Acquire: pairs with the Release of whatever the thread said last; all that it read before was read
    // before.
    records()
        .map(|record| record.hazard.load(Ordering::Acquire))
        .filter(|hazard| !hazard.is_null())
        .collect()
}

/// Ownerships of nodes that have been unlinked, linked through their headers, where their hash was: nobody
/// finds anything by that any more. So putting aside takes no memory.
struct RetireList<B: Payload> {
    /// Each has the next one in place of its hash.
    top: Option<NodePtr>,
    len: usize,
    body: PhantomData<B>,
}

// SAFETY: whoever takes it may drop the payload, which those who hand it over may still be reading; the kinds
// of payload that are used with this are what they hold, so that they are `Send` and `Sync` if that is.
unsafe impl<B: Payload + Send + Sync> Send for RetireList<B> {}

impl<B: Payload> RetireList<B> {
    const fn new() -> Self {
        Self {
            top: None,
            len: 0,
            body: PhantomData,
        }
    }

    fn push(&mut self, strong: NodeRef<B>) {
        strong.header().set_link(self.top);
        self.top = Some(strong.node());
        self.len += 1;
        std::mem::forget(strong);
    }

    fn pop(&mut self) -> Option<NodeRef<B>> {
        let top = self.top?;
        // SAFETY: pushed, and its ownership forgotten then.
        let strong = unsafe { NodeRef::<B>::adopt(top) };
        self.top = strong.header().link();
        self.len -= 1;
        Some(strong)
    }

    fn append(&mut self, mut other: Self) {
        if self.top.is_none() {
            return *self = other;
        }
        while let Some(strong) = other.pop() {
            self.push(strong);
        }
    }
}

impl<B: Payload> Drop for RetireList<B> {
    #[inline]
    fn drop(&mut self) {
        if self.top.is_some() {
            let mut panics = Panics::new();
            while let Some(strong) = self.pop() {
                panics.catch(|| drop(strong));
            }
        }
    }
}

/// Ownerships to be given up where no lock is held and nothing is left to do, since that may run destructors
/// of keys.
#[must_use]
pub(in crate::map) struct Due<B: Payload>(
    // Dropped, that is all.
    #[allow(dead_code)] RetireList<B>,
);

impl<B: Payload> Due<B> {
    #[inline]
    pub(in crate::map) fn nothing() -> Self {
        Self(RetireList::new())
    }

    /// What nobody can be looking at.
    pub(in crate::map) fn all(strongs: impl Iterator<Item = NodeRef<B>>) -> Self {
        let mut pile = RetireList::new();
        strongs.for_each(|strong| pile.push(strong));
        Self(pile)
    }
}

/// A thread that can look at a node, as it has a line of its own to say so.
pub(in crate::map) struct Reader(&'static ThreadRecord);

impl Reader {
    /// The calling thread, if it has used a registry before, is not ending, and is not looking at a node.
    #[inline(always)]
    pub(in crate::map) fn own() -> Option<Self> {
        own_record().map(Self)
    }

    /// Looks for an entry that has this hash the short way, and lets `found` look at it. Like `missing`, that
    /// is what the call ends in.
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
                    body: PhantomData,
                })
            },
            missing,
        )
    }
}

/// The next entry of a bucket in sight.
pub(in crate::map) enum Seen<B: Payload> {
    Next(Protected<B>),
    /// What is left of the bucket is to be looked for under its lock.
    Lost,
    Over,
}

impl Reader {
    /// Looks at the next entry of a bucket in sight.
    #[inline(always)]
    pub(in crate::map) fn next<B: Payload>(
        self,
        table: &Table<B>,
        sight: &mut BucketCursor,
    ) -> Seen<B> {
        let hazard = &self.0.hazard;
        if !hazard.load(Ordering::Relaxed).is_null() {
            return Seen::Lost;
        }
        match table.protect_next(sight, hazard) {
            Next::Protected(node) => Seen::Next(Protected {
                hazard,
                node,
                body: PhantomData,
            }),
            Next::BucketChanged => Seen::Lost,
            Next::End => Seen::Over,
        }
    }
}

/// An entry that its thread is looking at. The index's ownership of it is not given up before this is
/// dropped.
pub(in crate::map) struct Protected<B: Payload> {
    hazard: &'static AtomicPtr<()>,
    node: NodePtr,
    body: PhantomData<B>,
}

impl<B: Payload> Protected<B> {
    #[inline(always)]
    pub(in crate::map) fn key(&self) -> &B::Key {
        // SAFETY: it was linked when the hazard named it, so complete; and see above.
        unsafe { B::key(self.node) }
    }
}

impl<B: Payload> Drop for Protected<B> {
    #[inline(always)]
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `give_up`.
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
