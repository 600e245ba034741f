//! What a registry shares with its values: the index, the nodes' memory, and the question who frees it all.
//!
//! A core lives until its registry and every node have gone, whichever is last. While the registry lives it is the owner; when it
//! goes, the nodes that are still out are counted down (see [`Pool::close`]).

use crate::deadlock::frames::{self, Part};
use crate::deadlock::work::Describe;
use crate::deadlock::work::GivenUp;
use crate::memory::grace::{reading, Graveyard, Guard};
use crate::memory::node::Node;
use crate::memory::panics::Panics;
use crate::memory::pool::{origin, Origin, Pool, Sizes};
use crate::memory::teardown::{self, Dead};
use crate::pointer::watchers::WatchList;
use crate::sync::{self, AtomicPtr, AtomicUsize, Ordering};
use crate::table::body::{node_align, node_size, Body};
use crate::table::dying::{Dying, InTheWay};
use crate::table::index::{Ahead, Compared, Index, Link, Next, Place, Probe, Sight};
use std::alloc::Layout;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::Arc;

pub(crate) struct Core<B: Body> {
    index: Index,
    /// What nodes know of this core.
    origin: Origin,
    pool: Pool,
    /// Engines that use it.
    shares: AtomicUsize,
    /// In an exclusive registry: whose destructor has not ended.
    dying: Option<Dying>,
    // Last, so that it is dropped last: what the others bury on their way out ends here.
    graveyard: Graveyard,
    body: PhantomData<B>,
    #[cfg(all(highlander_loom, feature = "loom"))]
    _counted: sync::Counted,
}

impl<B: Body> Core<B> {
    /// How many owners an entry begins with: the one who enters it, and the index if it is to keep it.
    const OWNERS: u32 = if B::KEPT { 2 } else { 1 };

    /// A new core with one share. It is freed when the last of them is let go of, or by the last node after that.
    pub(crate) fn leak(capacity: usize, exclusive: bool) -> NonNull<Self> {
        let sizes = match B::FIXED_SIZE {
            Some(_) => Sizes::Fixed(node_size::<B>(0)),
            None => Sizes::Varied(node_align::<B>()),
        };
        let core = NonNull::from(Box::leak(Box::new(Self {
            index: Index::new(capacity, Self::OWNERS),
            origin: Origin {
                core: NonNull::dangling(),
            },
            pool: Pool::new(sizes, node_align::<B>()),
            shares: AtomicUsize::new(1),
            dying: exclusive.then(Dying::new),
            graveyard: Graveyard::new(),
            body: PhantomData,
            #[cfg(all(highlander_loom, feature = "loom"))]
            _counted: sync::Counted::new(),
        })));
        // SAFETY: just made, and nobody else's yet. Nodes carry the pointer of the box itself, as one of them may free it.
        unsafe { (*core.as_ptr()).origin.core = core.cast() };
        core
    }

    /// The core that a node belongs to.
    ///
    /// # Safety
    /// The node is of kind `B`, and the caller owns it or has it alone, for `'a`.
    #[inline(always)]
    unsafe fn of<'a>(node: Node) -> &'a Self {
        // SAFETY: a node's origin is the core that allocated it, and that lives while the node is out.
        unsafe { origin(node).core.cast().as_ref() }
    }

    pub(crate) fn len(&self) -> usize {
        self.pool.live()
    }

    pub(crate) fn capacity(&self) -> usize {
        reading(|guard| self.index.capacity(guard))
    }

    /// A dead node for a payload that `meta` describes, which the caller has alone; `live` corrects the number of entries.
    #[inline]
    pub(crate) fn allocate(&self, meta: u32, hash: u64, live: isize) -> Node {
        let node = self.pool.allocate(node_size::<B>(meta), live, self.origin);
        // SAFETY: just allocated, so this call has it alone.
        unsafe {
            node.as_ref().set_meta(meta);
            node.as_ref().set_hash(hash);
        }
        node
    }

    /// Gives back a node that was never linked, or is no longer, and whose payload has gone. The core may go with it.
    ///
    /// # Safety
    /// The node is of kind `B`, and the caller has it alone.
    pub(crate) unsafe fn free(node: Node, live: isize) {
        // SAFETY: the caller's promise.
        let core: NonNull<Self> = unsafe { origin(node) }.core.cast();
        let this = core.as_ptr();
        // SAFETY: the node, which is out, keeps the core until the pool has it; the rest is the caller's promise.
        if unsafe {
            Pool::free(
                &raw const (*this).pool,
                node,
                live,
                &raw const (*this).graveyard,
            )
        } {
            // SAFETY: the registry has gone, and this was the last node.
            unsafe { Self::destroy(core) };
        }
    }

    /// # Safety
    /// The registry has gone, no node is out, and the caller is the one who was told so.
    unsafe fn destroy(core: NonNull<Self>) {
        // SAFETY: made by `leak`, in a box, and nobody else uses it any more.
        unsafe {
            core.drop_in_place();
            sync::free(core.cast(), Layout::new::<Self>());
        }
    }

    /// Looks for a node with this hash the short way, without a lock and without calling anything.
    #[inline(always)]
    pub(crate) fn probe<R>(
        &self,
        hash: u64,
        found: impl FnOnce(Node) -> R,
        missing: impl FnOnce(Probe) -> R,
    ) -> R {
        match Guard::try_enter() {
            Some(guard) => self.index.probe(hash, guard, found, missing),
            None => missing(Probe::UNSURE),
        }
    }

    /// Looks for a node with this hash the short way and names it in `hazard`; see [`Index::protect`].
    #[inline(always)]
    pub(crate) fn protect<R>(
        &self,
        hash: u64,
        hazard: &AtomicPtr<()>,
        found: impl FnOnce(Node) -> R,
        missing: impl FnOnce(Probe) -> R,
    ) -> R {
        // None also where readers need a fence: there they become owners.
        match Guard::try_enter() {
            Some(guard) => self.index.protect(hash, hazard, guard, found, missing),
            None => missing(Probe::UNSURE),
        }
    }

    /// Looks for a node with this hash, without a lock. Unsure only about the overflow.
    pub(crate) fn probe_on(&self, hash: u64) -> Probe {
        reading(|guard| self.index.probe_on(hash, guard))
    }

    /// The next few living nodes with this hash; see [`Index::next_few`].
    pub(crate) fn next_few(&self, hash: u64, place: &mut Place, see: &mut dyn FnMut(Node)) {
        reading(|guard| self.index.next_few(hash, place, see, guard));
    }

    /// All living nodes.
    pub(crate) fn living_nodes(&self) -> Vec<Node> {
        let mut found = Vec::with_capacity(self.len());
        self.visit(0..1 << 32, usize::MAX, |node| {
            let alive = Self::acquire_linked(node);
            if alive {
                found.push(node);
            }
            alive
        });
        found
    }

    /// Becomes an owner of a node whose bucket is locked and that is linked there, unless its last owner has gone.
    #[inline(always)]
    pub(crate) fn acquire_linked(node: Node) -> bool {
        // SAFETY: linked nodes are headers, always.
        let header = unsafe { node.as_ref() };
        if B::KEPT {
            // The index is an owner.
            header.acquire_again();
        }
        B::KEPT || header.acquire()
    }

    /// Shows the linked nodes of a range, under their buckets' locks; see [`Index::visit`].
    #[inline]
    pub(crate) fn visit(
        &self,
        halves: Range<u64>,
        least: usize,
        see: impl FnMut(Node) -> bool,
    ) -> u64 {
        reading(|guard| self.index.visit(halves, least, see, guard))
    }

    /// The next bucket that holds something, if that can be seen the short way; see [`Index::look_ahead`].
    #[inline(always)]
    pub(crate) fn look_ahead(&self, sight: &mut Sight) -> Ahead {
        match Guard::try_enter() {
            Some(guard) => self.index.look_ahead(sight, &guard),
            None => Ahead::Unsure,
        }
    }

    /// Goes on to the next node of a bucket in sight; see [`Index::name_next`].
    #[inline(always)]
    pub(crate) fn name_next(&self, sight: &mut Sight, hazard: &AtomicPtr<()>) -> Next {
        match Guard::try_enter() {
            Some(guard) => self.index.name_next(sight, hazard, &guard),
            None if sight.is_over() => Next::Over,
            None => Next::Lost,
        }
    }

    /// Unlinks nodes of a range; see [`Index::take`].
    #[inline]
    pub(crate) fn take(
        &self,
        halves: Range<u64>,
        least: usize,
        wanted: impl Fn(Node) -> bool,
        mut taken: impl FnMut(Node),
    ) -> u64 {
        let mut count = 0;
        let taken = |node| {
            count += 1;
            taken(node);
        };
        let come_to = reading(|guard| self.index.take(halves, least, wanted, taken, guard));
        if count > 0 {
            self.pool.add_live(-count);
        }
        come_to
    }

    /// Has nothing linked any more; see [`Index::seal`].
    pub(crate) fn seal(&self) {
        reading(|guard| self.index.seal(guard));
    }

    #[inline]
    pub(crate) fn is_sealed(&self) -> bool {
        self.index.is_sealed()
    }

    /// The number of buckets, each of which has an equal part of the hashes.
    pub(crate) fn buckets(&self) -> usize {
        reading(|guard| self.index.buckets(guard))
    }

    /// Links a node; see [`Index::link`].
    #[inline]
    pub(crate) fn link(&self, node: Node, hash: u64) -> Link {
        // Before, not after: nothing may go wrong between linking and the caller's taking over of its count. And outside of the
        // guard, which would hold back what is buried.
        if self.graveyard.is_occupied() {
            self.graveyard.collect();
        }
        let live = || self.pool.live();
        reading(|guard| self.index.link(node, hash, live, &self.graveyard, guard))
    }

    /// Links a node beside those that the caller has compared; see [`Index::link_beside`].
    pub(crate) fn link_beside(
        &self,
        node: Node,
        compared: &mut Compared,
        see: &mut dyn FnMut(Node, bool),
    ) -> Link {
        let (index, graveyard) = (&self.index, &self.graveyard);
        let live = || self.pool.live();
        reading(|guard| index.link_beside(node, compared, see, &live, graveyard, guard))
    }

    /// Takes a node out that has owners still. True for the one call that did.
    pub(crate) fn unlink(&self, node: Node) -> bool {
        let unlinked = reading(|guard| self.index.unlink(node, guard));
        if unlinked {
            self.pool.add_live(-1);
        }
        unlinked
    }

    /// As `unlink`, of what may not be linked any more, and only if it is `wanted`; see [`Index::unlink_if`].
    #[inline]
    pub(crate) fn unlink_if(
        &self,
        node: Node,
        hash: u64,
        wanted: impl FnOnce(Node) -> bool,
    ) -> bool {
        let unlinked = reading(|guard| self.index.unlink_if(node, hash, wanted, guard));
        if unlinked {
            self.pool.add_live(-1);
        }
        unlinked
    }

    /// Puts `new` in the place of this very `old`; see [`Index::replace`].
    pub(crate) fn replace(&self, old: Node, new: Node) -> bool {
        reading(|guard| self.index.replace(old, new, guard))
    }

    /// What has to end before a value with this hash may be made, if the registry is exclusive.
    pub(crate) fn in_the_way(&self, hash: u64) -> Option<InTheWay> {
        let dying = self.dying.as_ref().filter(|_| B::NEEDS_DROP)?;
        // In this order: a value is on the list before it is unlinked.
        let expect = |node: Node| dying.expect(hash, node.addr().get());
        reading(|guard| self.index.for_each_dead(hash, expect, guard));
        dying.in_the_way(hash)
    }

    /// Somebody gives up a draft, of which he is an owner.
    pub(crate) fn abandon(&self, draft: Node, given_up: GivenUp<'_>) {
        if let Some(dying) = self.dying.as_ref().filter(|_| B::NEEDS_DROP) {
            // SAFETY: it has an owner.
            let hash = unsafe { draft.as_ref() }.key_hash();
            dying.abandon(hash, draft.addr().get(), given_up);
        }
    }

    /// Corrects the number of entries.
    pub(crate) fn add_live(&self, change: isize) {
        self.pool.add_live(change);
    }

    /// Makes room in the index for so many entries more than there are.
    ///
    /// Panics with "capacity overflow" when no index can have that size.
    pub(crate) fn reserve(&self, additional: usize) {
        let wanted = self.len().checked_add(additional);
        let wanted = wanted.expect("capacity overflow");
        reading(|guard| self.index.reserve(wanted, &self.graveyard, guard));
        self.graveyard.collect();
    }

    /// Gives back what is not needed. What a reader may still see is given back later.
    pub(crate) fn shrink_to_fit(&self) {
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

    /// One more share, for somebody who has one.
    pub(crate) fn share(&self) {
        // Relaxed: who gets the new one gets it from the caller.
        self.shares.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives up a share. With the last one the registry goes.
    ///
    /// # Safety
    /// `core` was made by `leak`, and the caller has a share, which it does not use any more.
    pub(crate) unsafe fn let_go(core: NonNull<Self>) {
        // SAFETY: not destroyed before the last share is given up.
        // AcqRel: what others did with their shares comes before the end.
        if unsafe { core.as_ref() }
            .shares
            .fetch_sub(1, Ordering::AcqRel)
            == 1
        {
            // SAFETY: the caller's promise, and there is no other share.
            unsafe { Self::close(core) };
        }
    }

    /// The registry goes: the index and all unused memory with it; the rest stays until the last node has gone.
    ///
    /// # Safety
    /// `core` was made by `leak`, and the caller is its only user but for nodes that are out.
    unsafe fn close(core: NonNull<Self>) {
        // SAFETY: not destroyed before this call lets go of the pool.
        let this = unsafe { core.as_ref() };
        if !this.pool.close() {
            this.index.close(&this.graveyard);
            this.pool.release_unused(&this.graveyard);
            this.graveyard.collect();
        }
        // SAFETY: closed just now, which counts this caller.
        if unsafe { Pool::let_go(&raw const (*core.as_ptr()).pool) } {
            // SAFETY: no node is out, and the registry is this call's caller.
            unsafe { Self::destroy(core) };
        }
    }
}

/// The end of a node that has just lost its last owner: unlink it, drop the payload, free the node.
///
/// # Safety
/// The node is of kind `B` and complete, and the caller has it alone and does not use it afterwards.
#[inline]
pub(crate) unsafe fn bury<B: Body>(node: Node) {
    // SAFETY: the caller's promise.
    let watchers = unsafe { B::announce_death(node) };
    // SAFETY: the node is out until it is freed, and keeps the core.
    let core = unsafe { Core::<B>::of(node) };
    if let Some(dying) = core.dying.as_ref().filter(|_| B::NEEDS_DROP) {
        // SAFETY: dead, and the caller's alone.
        dying.begin(unsafe { node.as_ref() }.key_hash(), node.addr().get());
    }
    // The last owner of what the index keeps comes after the index.
    let unlinked = !B::KEPT && reading(|guard| core.index.unlink(node, guard));
    if B::NEEDS_DROP || watchers.is_some() {
        if unlinked {
            core.pool.add_live(-1);
        }
        // SAFETY: dead, unlinked, and the caller's alone.
        unsafe { finish::<B>(node, watchers) };
    } else {
        // SAFETY: as above; there is nothing to drop.
        unsafe { Core::<B>::free(node, -isize::from(unlinked)) };
    }
}

/// Finishes a dead, unlinked node now, or, deep down, soon.
///
/// # Safety
/// The node is of kind `B` and complete, and the caller has it alone and does not use it afterwards.
#[inline]
unsafe fn finish<B: Body>(node: Node, watchers: Option<Arc<WatchList>>) {
    let Some(watchers) = watchers else {
        let what = [node.as_ptr().cast_const().cast(), ptr::null()];
        // SAFETY: the caller's promise. Payloads borrow nothing: there are no registries and no interners but of `'static` types.
        return teardown::end(unsafe { Dead::new(what, finish_now::<B>) });
    };
    // SAFETY: the caller's promise.
    unsafe { finish_watched::<B>(node, watchers) }
}

/// # Safety
/// As for [`finish`].
// The containers not before the unlinking: who is told may ask for the same key, and count what is left.
#[cold]
#[inline(never)]
unsafe fn finish_watched<B: Body>(node: Node, watchers: Arc<WatchList>) {
    let mut panics = Panics::new();
    panics.catch(|| watchers.tell_containers());
    let what = [
        node.as_ptr().cast_const().cast(),
        Arc::into_raw(watchers).cast(),
    ];
    // SAFETY: as in `finish`.
    panics.catch(|| teardown::end(unsafe { Dead::new(what, finish_now::<B>) }));
}

/// Calls back whoever watches, then drops the payload and frees the node, whatever panics.
///
/// # Safety
/// As for [`finish`], and the second word is null or an `Arc` of the watch list.
unsafe fn finish_now<B: Body>([node, watchers]: [*const (); 2]) {
    // SAFETY: a node's pointer is never null.
    let node: Node = unsafe { NonNull::new_unchecked(node.cast_mut().cast()) };
    if watchers.is_null() {
        // SAFETY: the caller's promise.
        return unsafe { drop_and_free::<B>(node) };
    }
    // SAFETY: as above.
    let watchers = unsafe { Arc::from_raw(watchers.cast::<WatchList>()) };
    // SAFETY: the node is out until it is freed, and keeps the core.
    let is_exclusive = unsafe { Core::<B>::of(node) }.dying.is_some();
    // SAFETY: as above.
    let end = || unsafe { drop_and_free::<B>(node) };
    if !is_exclusive {
        return watchers.finish(end);
    }
    // Callbacks may ask for the same key, and get what is made when this one has ended.
    watchers.finish_before_callbacks(end);
}

/// Drops the payload of a dead, unlinked node, and frees the node also when the destructor panics.
///
/// # Safety
/// The node is of kind `B` and complete, and the caller has it alone and does not use it afterwards.
unsafe fn drop_and_free<B: Body>(node: Node) {
    struct Free<B: Body>(Node, PhantomData<B>);
    impl<B: Body> Drop for Free<B> {
        fn drop(&mut self) {
            // SAFETY: the node is out until it is freed, and keeps the core.
            if let Some(dying) = &unsafe { Core::<B>::of(self.0) }.dying {
                dying.end(self.0.addr().get());
            }
            // SAFETY: the caller's promise; the payload is gone by now.
            unsafe { Core::<B>::free(self.0, 0) }
        }
    }
    let _free = Free::<B>(node, PhantomData);
    // SAFETY: the caller's promise.
    let end = || unsafe { B::drop_in_place(node) };
    // SAFETY: as above.
    let dying = unsafe { Core::<B>::of(node) }.dying.as_ref();
    let Some(work) = dying.and_then(|dying| dying.work(node.addr().get())) else {
        return end();
    };
    let key = std::any::type_name::<B::Key>();
    let describe: Describe<'_> = &|f| write!(f, "the end of the value of a key of type `{key}`");
    frames::during(&work, describe, Part::Closed, end);
}
