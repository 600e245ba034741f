//! Look up, insert, replace, remove: the one place where keys, ownership and the index meet.
//!
//! Whatever may run a user's code (`Hash`, `Eq`, a destructor) happens here, with no lock and no guard held: the index below only
//! hands out nodes with a hash, each with an ownership, and they are compared after that.

use crate::deadlock::work::GivenUp;
use crate::memory::node::Node;
use crate::memory::panics::Panics;
use crate::sync::{AtomicPtr, Ordering};
use crate::table::body::Body;
use crate::table::core::Core;
use crate::table::dying::InTheWay;
use crate::table::index::{Ahead, Compared, Link, Next, Place, Probe, Sight, FEW};
use crate::table::strong::{Blank, Draft, Strong};
use smallvec::SmallVec;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::{self, NonNull};

/// A registry without hasher and handles. The core is made when it is first needed, so that a `static` needs no code to start.
pub(crate) struct Engine<B: Body> {
    /// Null until there is something to keep.
    core: AtomicPtr<Core<B>>,
    /// Whether creators wait for the end of the value that was there before.
    exclusive: bool,
    body: PhantomData<B>,
}

impl<B: Body> Engine<B> {
    #[cfg(not(all(highlander_loom, feature = "loom")))]
    pub(crate) const fn new() -> Self {
        Self::new_exclusive(false)
    }

    #[cfg(not(all(highlander_loom, feature = "loom")))]
    pub(crate) const fn new_exclusive(exclusive: bool) -> Self {
        Self {
            core: AtomicPtr::new(ptr::null_mut()),
            exclusive,
            body: PhantomData,
        }
    }

    #[cfg(all(highlander_loom, feature = "loom"))]
    pub(crate) fn new() -> Self {
        Self::new_exclusive(false)
    }

    #[cfg(all(highlander_loom, feature = "loom"))]
    pub(crate) fn new_exclusive(exclusive: bool) -> Self {
        Self {
            core: AtomicPtr::new(ptr::null_mut()),
            exclusive,
            body: PhantomData,
        }
    }

    /// Panics with "capacity overflow" when no table can have that size.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        if capacity == 0 {
            return Self::new();
        }
        let core = Core::leak(capacity, false).as_ptr();
        Self {
            core: AtomicPtr::new(core),
            exclusive: false,
            body: PhantomData,
        }
    }

    #[inline(always)]
    fn core(&self) -> Option<&Core<B>> {
        // Acquire: pairs with `first_core`.
        // SAFETY: null or a core of which one share is this engine's until it is dropped.
        unsafe { self.core.load(Ordering::Acquire).as_ref() }
    }

    #[inline(always)]
    pub(crate) fn core_or_new(&self) -> &Core<B> {
        match self.core() {
            Some(core) => core,
            None => self.first_core(0),
        }
    }

    #[cold]
    fn first_core(&self, capacity: usize) -> &Core<B> {
        let new = Core::<B>::leak(capacity, self.exclusive);
        // Release: pairs with `core`.
        let won = self.core.compare_exchange(
            ptr::null_mut(),
            new.as_ptr(),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        if won.is_err() {
            // SAFETY: made above, and shown to nobody.
            unsafe { Core::let_go(new) };
        }
        self.core().expect("one of them won")
    }

    /// Another engine with the same index and values. They last until the last of all has gone.
    pub(crate) fn share(&self) -> Self {
        self.core_or_new().share();
        Self {
            // The pointer of the box itself, as the last engine frees it.
            core: AtomicPtr::new(self.core.load(Ordering::Acquire)),
            exclusive: self.exclusive,
            body: PhantomData,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.core().map_or(0, Core::len)
    }

    pub(crate) fn capacity(&self) -> usize {
        self.core().map_or(0, Core::capacity)
    }

    /// Makes room for so many entries more than there are.
    ///
    /// Panics with "capacity overflow" when no table can have that size.
    pub(crate) fn reserve(&self, additional: usize) {
        match self.core() {
            Some(core) => core.reserve(additional),
            None if additional == 0 => {}
            // If another thread makes it, that one has other wishes.
            None => self.first_core(additional).reserve(additional),
        }
    }

    pub(crate) fn shrink_to_fit(&self) {
        if let Some(core) = self.core() {
            core.shrink_to_fit();
        }
    }

    /// Looks for a live value that has this hash, the short way. `found` compares its key, and goes on with `get_slow` if it is
    /// another one; so does `missing` if the probe is not sure.
    #[inline(always)]
    pub(crate) fn probe<R>(
        &self,
        hash: u64,
        found: impl FnOnce(Strong<B>) -> R,
        missing: impl FnOnce(Probe) -> R,
    ) -> R {
        match self.core() {
            // SAFETY: the probe has made us an owner of a node that was linked, so complete.
            Some(core) => core.probe(hash, |node| found(unsafe { Strong::adopt(node) }), missing),
            None => missing(Probe::UNSURE),
        }
    }

    /// As `probe`, but names the node in `hazard` instead of becoming an owner of it.
    #[inline(always)]
    pub(crate) fn protect<R>(
        &self,
        hash: u64,
        hazard: &AtomicPtr<()>,
        found: impl FnOnce(Node) -> R,
        missing: impl FnOnce(Probe) -> R,
    ) -> R {
        match self.core() {
            Some(core) => core.protect(hash, hazard, found, missing),
            None => missing(Probe::UNSURE),
        }
    }

    /// The live value whose key `is_it`, if there is one.
    #[inline(always)]
    pub(crate) fn get(&self, hash: u64, is_it: impl Fn(&B::Key) -> bool) -> Option<Strong<B>> {
        self.probe(
            hash,
            |strong| {
                if is_it(strong.key()) && !Self::is_draft(&strong) {
                    Some(strong)
                } else {
                    self.get_beside(hash, strong, &is_it)
                }
            },
            |probe| match probe {
                Probe::ABSENT => None,
                _ => self.get_slow(hash, &is_it),
            },
        )
    }

    /// Whether what was found without a lock is a draft: a reader with a stale pointer can become an owner of one.
    #[inline(always)]
    fn is_draft(strong: &Strong<B>) -> bool {
        B::HAS_DRAFTS && strong.header().is_hidden()
    }

    /// Lets go of a value that only has the same hash, or is a draft; its destructor may panic. Goes on after that.
    #[cold]
    #[inline(never)]
    fn get_beside(
        &self,
        hash: u64,
        stranger: Strong<B>,
        is_it: &dyn Fn(&B::Key) -> bool,
    ) -> Option<Strong<B>> {
        drop(stranger);
        self.get_slow(hash, is_it)
    }

    /// As `get`, the long way: this is the thread's first look, the bucket has moved or overflows, or two keys share the hash.
    #[cold]
    #[inline(never)]
    pub(crate) fn get_slow(&self, hash: u64, is_it: &dyn Fn(&B::Key) -> bool) -> Option<Strong<B>> {
        let core = self.core()?;
        let probe = core.probe_on(hash);
        if probe == Probe::ABSENT {
            return None;
        }
        if let Some(node) = probe.found() {
            // SAFETY: as in `probe`.
            let strong = unsafe { Strong::<B>::adopt(node) };
            if is_it(strong.key()) && !Self::is_draft(&strong) {
                return Some(strong);
            }
            drop(strong);
        }
        self.get_among_many(hash, is_it)
    }

    // Outlined: whoever misses in a bucket that overflows does not come here.
    #[cold]
    #[inline(never)]
    fn get_among_many(&self, hash: u64, is_it: &dyn Fn(&B::Key) -> bool) -> Option<Strong<B>> {
        self.find_of(hash, |strong| is_it(strong.key()).then_some(strong))
    }

    /// The first result of `f`, which is called with the values that have this hash, one after the other. A few of them are owned at a time.
    pub(crate) fn find_of<R>(
        &self,
        hash: u64,
        mut f: impl FnMut(Strong<B>) -> Option<R>,
    ) -> Option<R> {
        let core = self.core()?;
        let mut place = Place::START;
        loop {
            let mut few = Few::new();
            core.next_few(hash, &mut place, &mut |node| {
                // SAFETY: the index hands out nodes of this engine, complete because they were linked, and a count with each.
                few.push(unsafe { Strong::adopt(node) });
            });
            if few.is_empty() {
                return None;
            }
            while let Some(strong) = few.pop() {
                let result = f(strong);
                if result.is_some() {
                    // Here, not at the end of the scope: if a destructor panics, the result is still ours to drop.
                    drop(few);
                    return result;
                }
            }
        }
    }

    /// Enters a value, unless a live one with an equal key is there: then that one, with the value given back.
    /// The value was counted as an entry when its node was allocated. Not for an engine that may be sealed.
    #[inline]
    pub(crate) fn insert(
        &self,
        new: Draft<B>,
        hash: u64,
        same: impl Fn(&B::Key, &B::Key) -> bool,
    ) -> Result<Strong<B>, Rejected<B>> {
        let Entered {
            entering,
            strangers,
        } = self.enter(new.node(), hash, |other| same(new.key(), other));
        let result = match entering.existing() {
            // SAFETY: linked, and its count is ours.
            None => Ok(unsafe { new.entered() }),
            Some(existing) => Err(Rejected {
                existing,
                rejected: new,
            }),
        };
        drop(strangers);
        result
    }

    /// Links a complete node of this engine, with its one count for the caller, unless there is a live value whose key `is_it`.
    #[inline]
    pub(crate) fn enter(
        &self,
        node: Node,
        hash: u64,
        is_it: impl Fn(&B::Key) -> bool,
    ) -> Entered<B> {
        let core = self.core_or_new();
        match Entering::of(core.link(node, hash)) {
            Some(entering) => Entered {
                entering,
                strangers: Vec::new(),
            },
            None => Self::enter_beside(core, node, &is_it),
        }
    }

    #[cold]
    #[inline(never)]
    fn enter_beside(core: &Core<B>, node: Node, is_it: &dyn Fn(&B::Key) -> bool) -> Entered<B> {
        let mut compared = Compared {
            place: Place::START,
            in_slots: Vec::new(),
        };
        let mut strangers: Vec<Strong<B>> = Vec::new();
        loop {
            let (mut slotted, mut listed) = (Few::new(), Few::new());
            let link = core.link_beside(node, &mut compared, &mut |node, in_slot| {
                // SAFETY: as in `find_of`.
                let strong = unsafe { Strong::adopt(node) };
                if in_slot {
                    slotted.push(strong);
                } else {
                    listed.push(strong);
                }
            });
            if let Some(entering) = Entering::of(link) {
                return Entered {
                    entering,
                    strangers,
                };
            }
            while let Some(strong) = slotted.pop() {
                if is_it(strong.key()) {
                    return Self::occupied(strong, strangers, [slotted, listed]);
                }
                compared.in_slots.push(strong.node());
                strangers.push(strong);
            }
            while let Some(strong) = listed.pop() {
                if is_it(strong.key()) {
                    return Self::occupied(strong, strangers, [slotted, listed]);
                }
                // Some are kept for the caller, who takes out those that are dead.
                if strangers.len() < MANY_STRANGERS {
                    strangers.push(strong);
                }
            }
        }
    }

    fn occupied(
        existing: Strong<B>,
        mut strangers: Vec<Strong<B>>,
        few: [Few<B>; 2],
    ) -> Entered<B> {
        few.into_iter().for_each(|few| few.move_to(&mut strangers));
        let entering = Entering::Occupied(existing);
        Entered {
            entering,
            strangers,
        }
    }

    /// Puts `new`, with an equal key and so the same hash, in the place of this very `old`, if that is still entered, and the engine not sealed. `new` must not
    /// be counted as an entry besides the old one, whose count it takes over.
    pub(crate) fn replace(&self, old: &Strong<B>, new: Draft<B>) -> Result<Strong<B>, Draft<B>> {
        if self.replace_node(old, new.node()) {
            // SAFETY: linked, and its count is ours.
            Ok(unsafe { new.entered() })
        } else {
            Err(new)
        }
    }

    /// As `replace`, with a complete node of this engine, whose one count is then the caller's.
    pub(crate) fn replace_node(&self, old: &Strong<B>, new: Node) -> bool {
        self.core_or_new().replace(old.node(), new)
    }

    /// What has to end before a value with this hash may be made; always nothing, if the registry is not exclusive.
    pub(crate) fn in_the_way(&self, hash: u64) -> Option<InTheWay> {
        self.core().filter(|_| self.exclusive)?.in_the_way(hash)
    }

    /// Says that a draft is given up, which may have other owners.
    pub(crate) fn abandon(&self, draft: &Strong<B>, given_up: GivenUp<'_>) {
        if let Some(core) = self.core().filter(|_| self.exclusive) {
            core.abandon(draft.node(), given_up);
        }
    }

    /// Corrects the number of entries.
    pub(crate) fn add_live(&self, change: isize) {
        self.core_or_new().add_live(change);
    }

    /// Takes this very value out, if it is entered. Its owners keep it.
    pub(crate) fn remove(&self, strong: &Strong<B>) -> bool {
        self.core().is_some_and(|core| core.unlink(strong.node()))
    }

    /// All live values.
    pub(crate) fn snapshot(&self) -> Vec<Strong<B>> {
        self.core()
            .map_or_else(Vec::new, |core| adopt_all(core.living_nodes()))
    }

    /// Shows `see` the entered values whose hash has its upper half in this range, which is not empty, under the lock of the bucket that each is linked in:
    /// as nodes that are complete, and have an owner if they are of a kind that the index keeps. After the bucket in which `least` times has been said yes, that
    /// is all. Returns where the rest of the range begins. What is entered throughout, and its hash in the range up to there, is among them.
    #[inline]
    pub(crate) fn visit(
        &self,
        halves: Range<u64>,
        least: usize,
        see: impl FnMut(Node) -> bool,
    ) -> u64 {
        match self.core() {
            Some(core) => core.visit(halves, least, see),
            None => halves.end,
        }
    }

    /// Goes on to the next bucket that holds something.
    #[inline(always)]
    pub(crate) fn look_ahead(&self, sight: &mut Sight) -> Ahead {
        match self.core() {
            Some(core) => core.look_ahead(sight),
            None => Ahead::Nothing,
        }
    }

    /// Goes on to the next node of a bucket in sight, and names it in `hazard`.
    #[inline(always)]
    pub(crate) fn name_next(&self, sight: &mut Sight, hazard: &AtomicPtr<()>) -> Next {
        self.core_or_new().name_next(sight, hazard)
    }

    /// As `visit`, but hands out ownerships of the values that are `wanted`. Both functions are called under the lock.
    pub(crate) fn own(
        &self,
        halves: Range<u64>,
        least: usize,
        wanted: impl Fn(Node) -> bool,
        mut found: impl FnMut(Strong<B>),
    ) -> u64 {
        self.visit(halves, least, |node| {
            let acquired = wanted(node) && Core::<B>::acquire_linked(node);
            if acquired {
                // SAFETY: linked, so complete, and we have just become an owner.
                found(unsafe { Strong::adopt(node) });
            }
            acquired
        })
    }

    /// As `own`, but takes the values out: the ownerships are those of the index. Only for a kind that it keeps.
    pub(crate) fn take(
        &self,
        halves: Range<u64>,
        least: usize,
        wanted: impl Fn(Node) -> bool,
        mut taken: impl FnMut(Strong<B>),
    ) -> u64 {
        const { assert!(B::KEPT) };
        // SAFETY: it was linked, so it is complete; and the index's count is ours with its unlinking.
        let taken = |node| taken(unsafe { Strong::adopt(node) });
        match self.core() {
            Some(core) => core.take(halves, least, wanted, taken),
            None => halves.end,
        }
    }

    /// Takes out what is in this node now, if it is linked and `wanted`, which is asked under the lock of its bucket; and returns the ownership of the index.
    #[inline]
    pub(crate) fn take_if(
        &self,
        node: Node,
        hash: u64,
        wanted: impl FnOnce(Node) -> bool,
    ) -> Option<Strong<B>> {
        const { assert!(B::KEPT) };
        let taken = self.core()?.unlink_if(node, hash, wanted);
        // SAFETY: as in `take`.
        taken.then(|| unsafe { Strong::adopt(node) })
    }

    /// Takes this very value out, if it is entered, and returns the ownership of the index. Only for a kind that it keeps.
    pub(crate) fn take_this(&self, strong: &Strong<B>) -> Option<Strong<B>> {
        const { assert!(B::KEPT) };
        self.remove(strong).then(|| {
            // SAFETY: as in `take`.
            unsafe { Strong::adopt(strong.node()) }
        })
    }

    /// Has nothing entered any more. What is in stays, and is found by a look that begins after this.
    pub(crate) fn seal(&self) {
        self.core_or_new().seal();
    }

    #[inline]
    pub(crate) fn is_sealed(&self) -> bool {
        self.core().is_some_and(Core::is_sealed)
    }

    /// The number of buckets, each of which has an equal part of the hashes; 0 when nothing was ever entered.
    pub(crate) fn buckets(&self) -> usize {
        self.core().map_or(0, Core::buckets)
    }

    /// A node of this engine, to be filled and entered.
    #[inline]
    pub(crate) fn blank(&self, meta: u32, hash: u64, live: isize) -> Blank<B> {
        Blank::new(self.core_or_new(), meta, hash, live)
    }
}

/// Of so many strangers there may be more than an insertion has kept.
pub(crate) const MANY_STRANGERS: usize = 2 * FEW;

/// What has become of a node that was to be entered.
pub(crate) enum Entering<B: Body> {
    Linked,
    /// There is a value already.
    Occupied(Strong<B>),
    /// Nothing is entered any more.
    Sealed,
}

impl<B: Body> Entering<B> {
    /// None if there are rivals to be compared.
    #[inline]
    fn of(link: Link) -> Option<Self> {
        match link {
            Link::Linked => Some(Self::Linked),
            Link::Sealed => Some(Self::Sealed),
            Link::Rivals => None,
        }
    }

    /// The value that is there already; none if the node is linked now. Where nothing is ever sealed.
    pub(crate) fn existing(self) -> Option<Strong<B>> {
        match self {
            Self::Linked => None,
            Self::Occupied(existing) => Some(existing),
            Self::Sealed => unreachable!("it is never sealed"),
        }
    }
}

/// The same, with what has been compared.
pub(crate) struct Entered<B: Body> {
    pub(crate) entering: Entering<B>,
    /// Values with the same hash and other keys, all of them or [`MANY_STRANGERS`] at least. To be dropped when the caller has taken over what is its own: the destructor of
    /// one of them may panic.
    pub(crate) strangers: Vec<Strong<B>>,
}

/// A value that could not be entered, and the one that is there.
pub(crate) struct Rejected<B: Body> {
    pub(crate) existing: Strong<B>,
    pub(crate) rejected: Draft<B>,
}

/// Takes over the ownerships that the index has acquired.
fn adopt_all<B: Body>(nodes: Vec<Node>) -> Vec<Strong<B>> {
    nodes
        .into_iter()
        // SAFETY: the index hands out nodes of this engine, complete because they were linked, and a count with each.
        .map(|node| unsafe { Strong::adopt(node) })
        .collect()
}

/// Values with one hash, which are compared one after the other. Whatever panics, all are let go of.
struct Few<B: Body>(SmallVec<[Strong<B>; FEW]>);

impl<B: Body> Few<B> {
    fn new() -> Self {
        Self(SmallVec::new())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn push(&mut self, strong: Strong<B>) {
        self.0.push(strong);
    }

    fn pop(&mut self) -> Option<Strong<B>> {
        self.0.pop()
    }

    fn move_to(mut self, strangers: &mut Vec<Strong<B>>) {
        strangers.extend(self.0.drain(..));
    }
}

impl<B: Body> Drop for Few<B> {
    fn drop(&mut self) {
        if !self.is_empty() {
            let mut panics = Panics::new();
            while let Some(strong) = self.pop() {
                panics.catch(|| drop(strong));
            }
        }
    }
}

impl<B: Body> Drop for Engine<B> {
    fn drop(&mut self) {
        if let Some(core) = NonNull::new(self.core.load(Ordering::Acquire)) {
            // SAFETY: one of the shares is this engine's, and it is given up here.
            unsafe { Core::let_go(core) };
        }
    }
}
