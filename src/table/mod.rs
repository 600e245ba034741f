//! The table: look up, insert, replace, remove. The one place where keys, ownership and the index meet.
//!
//! Whatever may run a user's code (`Hash`, `Eq`, a destructor) happens here, with no lock and no guard held:
//! the index only hands out nodes with a hash, each with an ownership, and they are compared after that.

pub(crate) mod batch;
mod entering;
pub(crate) mod exclusive;
pub(crate) mod index;
mod last_drop;
pub(crate) mod node_ref;
pub(crate) mod payload;
mod shared;
pub(crate) mod stats;

use crate::deadlock::work::GivenUp;
use crate::memory::grace::{reading, ReadGuard};
use crate::memory::node::NodePtr;
use crate::sync::{const_fn, pointer_in, AtomicPtr, Ordering};
use entering::Few;
use exclusive::InTheWay;
use index::{Ahead, BucketCursor, Index, Next, Place, Probe};
use node_ref::{NodeRef, UninitNode, UnlinkedNode};
use payload::Payload;
use shared::Shared;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::{self, NonNull};

pub(crate) use entering::{Entered, Entering, Rejected, MANY_STRANGERS};

/// Leads from a hash and a key to nodes that are owned. What it shares with these is made at the first need,
/// so a `static` needs no code to start.
pub(crate) struct Table<B: Payload> {
    /// Null until there is something to keep.
    shared: AtomicPtr<Shared<B>>,
    /// True if creators wait for the end of the value that was there before.
    exclusive: bool,
    body: PhantomData<B>,
}

impl<B: Payload> Table<B> {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Self {
                shared: AtomicPtr::new(ptr::null_mut()),
                exclusive: false,
                body: PhantomData,
            }
        }
    }

    const_fn! {
        /// Makes creators wait for the end of the value that was there before. Panics if what it shares with
        /// its nodes exists already: that has no list of ends then.
        pub(crate) const fn set_exclusive(&mut self) {
            assert!(
                pointer_in(&mut self.shared).is_null(),
                "`exclusive` comes before all values and any room for them: see `reserve`"
            );
            self.exclusive = true;
        }
    }

    /// Creates a table with room for so many entries.
    ///
    /// Panics with "capacity overflow" when no table can have that size.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        if capacity == 0 {
            return Self::new();
        }
        let shared = Shared::leak(capacity, false).as_ptr();
        Self {
            shared: AtomicPtr::new(shared),
            exclusive: false,
            body: PhantomData,
        }
    }

    #[inline(always)]
    fn shared(&self) -> Option<&Shared<B>> {
        // Acquire: pairs with `first`.
        // SAFETY: null, or one share is this table's until it is dropped.
        unsafe { self.shared.load(Ordering::Acquire).as_ref() }
    }

    #[inline(always)]
    fn shared_or_new(&self) -> &Shared<B> {
        match self.shared() {
            Some(shared) => shared,
            None => self.first(0),
        }
    }

    #[cold]
    fn first(&self, capacity: usize) -> &Shared<B> {
        let new = Shared::<B>::leak(capacity, self.exclusive);
        // Release: pairs with `shared`.
        let won = self.shared.compare_exchange(
            ptr::null_mut(),
            new.as_ptr(),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        if won.is_err() {
            // SAFETY: made above, and shown to nobody.
            unsafe { Shared::release_share(new) };
        }
        self.shared().expect("one of them won")
    }

    /// Returns another table with the same index and values, which last until the last such table has gone.
    pub(crate) fn share(&self) -> Self {
        self.shared_or_new().share();
        Self {
            // The pointer of the box itself, as the last table frees it.
            shared: AtomicPtr::new(self.shared.load(Ordering::Acquire)),
            exclusive: self.exclusive,
            body: PhantomData,
        }
    }

    /// Runs `f`, while nothing that it meets is freed; returns `absent` where nothing was ever entered.
    #[inline]
    fn read<R>(&self, absent: R, f: impl FnOnce(&Shared<B>, &ReadGuard) -> R) -> R {
        match self.shared() {
            Some(shared) => reading(|guard| f(shared, guard)),
            None => absent,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.shared().map_or(0, |shared| shared.pool.live())
    }

    pub(crate) fn capacity(&self) -> usize {
        self.read(0, |shared, guard| shared.index.capacity(guard))
    }

    /// Makes room for so many entries more than there are.
    ///
    /// Panics with "capacity overflow" when no table can have that size.
    pub(crate) fn reserve(&self, additional: usize) {
        match self.shared() {
            Some(shared) => shared.reserve(additional),
            None if additional == 0 => {}
            // Another thread may be the first, and choose another size.
            None => self.first(additional).reserve(additional),
        }
    }

    pub(crate) fn shrink_to_fit(&self) {
        if let Some(shared) = self.shared() {
            shared.shrink_to_fit();
        }
    }

    /// Prefetches what look-ups of these hashes read first.
    pub(crate) fn prefetch(&self, hashes: impl Iterator<Item = u64> + Clone) {
        if let Some((shared, guard)) = self.shared().zip(ReadGuard::try_enter()) {
            shared.index.prefetch(hashes, &guard);
        }
    }

    /// Looks for a live value that has this hash, the short way. `found` compares its key, and goes on with
    /// `get_slow` if it is another one; so does `missing` if the probe is not sure.
    #[inline(always)]
    pub(crate) fn probe<R>(
        &self,
        hash: u64,
        found: impl FnOnce(NodeRef<B>) -> R,
        missing: impl FnOnce(Probe) -> R,
    ) -> R {
        match self.shared().zip(ReadGuard::try_enter()) {
            Some((shared, guard)) => {
                // SAFETY: the probe has made us an owner of a node: so that is complete, linked or a draft.
                let found = |node| found(unsafe { NodeRef::adopt(node) });
                shared.index.probe(hash, guard, found, missing)
            }
            None => missing(Probe::UNSURE),
        }
    }

    /// Looks for a live value, and publishes it in `hazard` instead of becoming an owner of it.
    #[inline(always)]
    pub(crate) fn protect<R>(
        &self,
        hash: u64,
        hazard: &AtomicPtr<()>,
        found: impl FnOnce(NodePtr) -> R,
        missing: impl FnOnce(Probe) -> R,
    ) -> R {
        // There is no guard either where readers need a fence: there they become owners.
        match self.shared().zip(ReadGuard::try_enter()) {
            Some((shared, guard)) => {
                let index = &shared.index;
                index.protect(hash, hazard, guard, found, missing)
            }
            None => missing(Probe::UNSURE),
        }
    }

    /// Returns the live value whose key `is_it`.
    #[inline(always)]
    pub(crate) fn get(&self, hash: u64, is_it: impl Fn(&B::Key) -> bool) -> Option<NodeRef<B>> {
        self.probe(
            hash,
            |node| {
                if is_it(node.key()) && !Self::is_draft(&node) {
                    Some(node)
                } else {
                    self.get_beside(hash, node, &is_it)
                }
            },
            |probe| match probe {
                Probe::ABSENT => None,
                _ => self.get_slow(hash, &is_it),
            },
        )
    }

    /// Returns whether a node found without a lock is a draft: a reader with a stale pointer can own one.
    #[inline(always)]
    fn is_draft(node: &NodeRef<B>) -> bool {
        B::HAS_DRAFTS && node.header().is_hidden()
    }

    /// Releases a value that only has the same hash, or is a draft, whose destructor may panic; then goes on.
    #[cold]
    #[inline(never)]
    fn get_beside(
        &self,
        hash: u64,
        stranger: NodeRef<B>,
        is_it: &dyn Fn(&B::Key) -> bool,
    ) -> Option<NodeRef<B>> {
        drop(stranger);
        self.get_slow(hash, is_it)
    }

    /// Looks up the long way: a thread's first time, a bucket that has moved or overflows, a shared hash.
    #[cold]
    #[inline(never)]
    pub(crate) fn get_slow(
        &self,
        hash: u64,
        is_it: &dyn Fn(&B::Key) -> bool,
    ) -> Option<NodeRef<B>> {
        let index = &self.shared()?.index;
        let probe = reading(|guard| index.probe_on(hash, guard));
        if probe == Probe::ABSENT {
            return None;
        }
        if let Some(node) = probe.found() {
            // SAFETY: as in `probe`.
            let node = unsafe { NodeRef::<B>::adopt(node) };
            if is_it(node.key()) && !Self::is_draft(&node) {
                return Some(node);
            }
            drop(node);
        }
        self.get_among_many(hash, is_it)
    }

    // Outlined: a miss in a bucket that has spilled, but has no list, hardly ever comes here.
    #[cold]
    #[inline(never)]
    fn get_among_many(&self, hash: u64, is_it: &dyn Fn(&B::Key) -> bool) -> Option<NodeRef<B>> {
        self.find_of(hash, |node| is_it(node.key()).then_some(node))
    }

    /// Returns the first result of `f`, which is called with the values that have this hash, one after the
    /// other. A few of them are owned at a time.
    pub(crate) fn find_of<R>(
        &self,
        hash: u64,
        mut f: impl FnMut(NodeRef<B>) -> Option<R>,
    ) -> Option<R> {
        let index = &self.shared()?.index;
        let mut place = Place::START;
        loop {
            let mut few = Few::new();
            // SAFETY: the index hands out nodes of this table, complete as linked, and a count with each.
            let mut see = |node| few.push(unsafe { NodeRef::adopt(node) });
            reading(|guard| index.next_few(hash, &mut place, &mut see, guard));
            if few.is_empty() {
                return None;
            }
            while let Some(node) = few.pop() {
                let result = f(node);
                if result.is_some() {
                    // Here, not at the scope's end: if a destructor panics, the result is still ours to drop.
                    drop(few);
                    return result;
                }
            }
        }
    }

    /// Puts `new`, with an equal key and so the same hash, in the place of this very `old`, if that is still
    /// entered, and the table not sealed. `new` must not be counted as an entry besides the old one, whose
    /// count it takes over.
    pub(crate) fn replace(
        &self,
        old: &NodeRef<B>,
        new: UnlinkedNode<B>,
    ) -> Result<NodeRef<B>, UnlinkedNode<B>> {
        if self.replace_node(old, new.node()) {
            // SAFETY: linked, and its count is ours.
            Ok(unsafe { new.entered() })
        } else {
            Err(new)
        }
    }

    /// Replaces this very `old` by a complete node of this table. One of its counts is then the caller's.
    pub(crate) fn replace_node(&self, old: &NodeRef<B>, new: NodePtr) -> bool {
        let index = &self.shared_or_new().index;
        reading(|guard| index.replace(old.node(), new, guard))
    }

    pub(crate) fn is_exclusive(&self) -> bool {
        self.exclusive
    }

    /// Returns what has to end before a value with this hash may be made; none if the table is not exclusive.
    pub(crate) fn in_the_way(&self, hash: u64) -> Option<InTheWay> {
        let shared = self.shared()?;
        let exclusive = shared.exclusive.as_ref().filter(|_| B::NEEDS_DROP)?;
        // In this order: a value is on the list before it is unlinked.
        let expect = |node: NodePtr| exclusive.expect(hash, node.addr().get());
        reading(|guard| shared.index.for_each_dead(hash, expect, guard));
        exclusive.in_the_way(hash)
    }

    /// Marks a draft, which may have other owners, as given up.
    pub(crate) fn abandon(&self, draft: &NodeRef<B>, given_up: GivenUp<'_>) {
        let exclusive = self.shared().and_then(|shared| shared.exclusive.as_ref());
        if let Some(exclusive) = exclusive.filter(|_| B::NEEDS_DROP) {
            let hash = draft.header().key_hash();
            exclusive.abandon(hash, draft.node().addr().get(), given_up);
        }
    }

    pub(crate) fn add_live(&self, change: isize) {
        self.shared_or_new().pool.add_live(change);
    }

    /// Takes this very value out, if it is entered. Its owners keep it.
    pub(crate) fn remove(&self, node: &NodeRef<B>) -> bool {
        let unlink = |index: &Index, guard: &ReadGuard| index.unlink(node.node(), guard);
        self.shared().is_some_and(|shared| shared.unlink(unlink))
    }

    pub(crate) fn snapshot(&self) -> Vec<NodeRef<B>> {
        let mut found = Vec::with_capacity(self.len());
        self.own(0..1 << 32, usize::MAX, |_| true, |node| found.push(node));
        found
    }

    /// Shows `see` the entered values whose hash has its upper half in this range, which is not empty, under
    /// the lock of the bucket that each is linked in. It sees nodes that are complete, and have an owner if
    /// they are of a kind that the index keeps. Ends after the bucket in which `see` has said yes for the
    /// `least`th time, and returns where the rest of the range begins. A value that is entered throughout,
    /// and whose hash is in the range up to there, is among them.
    #[inline]
    pub(crate) fn visit(
        &self,
        halves: Range<u64>,
        least: usize,
        see: impl FnMut(NodePtr) -> bool,
    ) -> u64 {
        self.read(halves.end, |shared, guard| {
            shared.index.visit(halves, least, see, guard)
        })
    }

    /// Goes on to the next bucket that holds something.
    #[inline(always)]
    pub(crate) fn look_ahead(&self, cursor: &mut BucketCursor) -> Ahead {
        let Some(shared) = self.shared() else {
            return Ahead::Nothing;
        };
        match ReadGuard::try_enter() {
            Some(guard) => shared.index.look_ahead(cursor, &guard),
            None => Ahead::Unsure,
        }
    }

    /// Goes on to the next node of the cursor's bucket, and publishes it in `hazard`.
    #[inline(always)]
    pub(crate) fn protect_next(&self, cursor: &mut BucketCursor, hazard: &AtomicPtr<()>) -> Next {
        match ReadGuard::try_enter() {
            Some(guard) => {
                let index = &self.shared_or_new().index;
                index.protect_next(cursor, hazard, &guard)
            }
            None if cursor.is_over() => Next::End,
            None => Next::BucketChanged,
        }
    }

    /// Hands out ownerships of the `wanted` values; otherwise like `visit`. Both closures run under the lock.
    pub(crate) fn own(
        &self,
        halves: Range<u64>,
        least: usize,
        wanted: impl Fn(NodePtr) -> bool,
        mut found: impl FnMut(NodeRef<B>),
    ) -> u64 {
        self.visit(halves, least, |node| {
            if !wanted(node) {
                return false;
            }
            // SAFETY: linked nodes are headers, always.
            let header = unsafe { node.as_ref() };
            if B::KEPT {
                // The index is an owner.
                header.acquire_again();
            } else if !header.acquire() {
                return false;
            }
            // SAFETY: linked, so complete, and we have just become an owner.
            found(unsafe { NodeRef::adopt(node) });
            true
        })
    }

    /// Takes the `wanted` values out, and hands out the index's ownerships; otherwise like `own`. Only for a
    /// kind that the index keeps.
    pub(crate) fn take(
        &self,
        halves: Range<u64>,
        least: usize,
        wanted: impl Fn(NodePtr) -> bool,
        mut taken: impl FnMut(NodeRef<B>),
    ) -> u64 {
        const { assert!(B::KEPT) };
        // SAFETY: it was linked, so it is complete; and the index's count is ours with its unlinking.
        let adopt = |node| unsafe { NodeRef::adopt(node) };
        let mut count = 0;
        let taken = |node| {
            count += 1;
            taken(adopt(node));
        };
        let come_to = self.read(halves.end, |shared, guard| {
            shared.index.take(halves, least, wanted, taken, guard)
        });
        if count > 0 {
            self.add_live(-count);
        }
        come_to
    }

    /// Takes out the value that is in this node now, if it is `wanted`: see [`Index::unlink_if`]. Returns the
    /// ownership of the index.
    #[inline]
    pub(crate) fn take_if(
        &self,
        node: NodePtr,
        hash: u64,
        wanted: impl FnOnce(NodePtr) -> bool,
    ) -> Option<NodeRef<B>> {
        const { assert!(B::KEPT) };
        let unlink = |index: &Index, guard: &ReadGuard| index.unlink_if(node, hash, wanted, guard);
        let taken = self.shared()?.unlink(unlink);
        // SAFETY: as in `take`.
        taken.then(|| unsafe { NodeRef::adopt(node) })
    }

    /// Takes this very value out. Returns the ownership of the index. Only for a kind that it keeps.
    pub(crate) fn take_this(&self, node: &NodeRef<B>) -> Option<NodeRef<B>> {
        const { assert!(B::KEPT) };
        self.remove(node).then(|| {
            // SAFETY: as in `take`.
            unsafe { NodeRef::adopt(node.node()) }
        })
    }

    /// Seals the table: nothing is entered any more. Entries stay, and later look-ups find them.
    pub(crate) fn seal(&self) {
        let index = &self.shared_or_new().index;
        reading(|guard| index.seal(guard));
    }

    #[inline]
    pub(crate) fn is_sealed(&self) -> bool {
        self.shared().is_some_and(|shared| shared.index.is_sealed())
    }

    /// Returns the number of buckets, which share the hashes equally; 0 when nothing was ever entered.
    pub(crate) fn buckets(&self) -> usize {
        self.read(0, |shared, guard| shared.index.buckets(guard))
    }

    /// Returns a node of this table, to be filled and entered.
    #[inline]
    pub(crate) fn uninit_node(&self, meta: u32, hash: u64, live: isize) -> UninitNode<B> {
        UninitNode::new(self.shared_or_new(), meta, hash, live)
    }
}

impl<B: Payload> Drop for Table<B> {
    fn drop(&mut self) {
        if let Some(shared) = NonNull::new(self.shared.load(Ordering::Acquire)) {
            // SAFETY: one of the shares is this table's, and it is released here.
            unsafe { Shared::release_share(shared) };
        }
    }
}
