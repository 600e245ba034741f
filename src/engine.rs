//! Look up, insert, replace, remove: the one place where keys, ownership and the index meet.
//!
//! Whatever may run a user's code (`Hash`, `Eq`, a destructor) happens here, with no lock and no guard held: the index below only
//! hands out nodes with a hash, each with an ownership, and they are compared after that.

use crate::body::Body;
use crate::core::Core;
use crate::node::Node;
use crate::strong::{Blank, Strong};
use crate::sync::{AtomicPtr, Ordering};
use crate::table::{Link, Probe};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

/// A registry without hasher and handles. The core is made when it is first needed, so that a `static` needs no code to start.
pub(crate) struct Engine<B: Body> {
    /// Null until there is something to keep.
    core: AtomicPtr<Core<B>>,
    body: PhantomData<B>,
}

impl<B: Body> Engine<B> {
    #[cfg(not(all(highlander_loom, feature = "loom")))]
    pub(crate) const fn new() -> Self {
        Self { core: AtomicPtr::new(ptr::null_mut()), body: PhantomData }
    }

    #[cfg(all(highlander_loom, feature = "loom"))]
    pub(crate) fn new() -> Self {
        Self { core: AtomicPtr::new(ptr::null_mut()), body: PhantomData }
    }

    /// Panics with "capacity overflow" when no table can have that size.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        if capacity == 0 {
            return Self::new();
        }
        let core = Box::into_raw(Core::boxed(capacity));
        Self { core: AtomicPtr::new(core), body: PhantomData }
    }

    #[inline(always)]
    fn core(&self) -> Option<&Core<B>> {
        // Acquire: pairs with `first_core`.
        // SAFETY: null or a core, which is closed only when `self` is dropped.
        unsafe { self.core.load(Ordering::Acquire).as_ref() }
    }

    #[inline(always)]
    pub(crate) fn core_or_new(&self) -> &Core<B> {
        match self.core() {
            Some(core) => core,
            None => self.first_core(),
        }
    }

    #[cold]
    fn first_core(&self) -> &Core<B> {
        let new = Box::into_raw(Core::<B>::boxed(0));
        // Release: pairs with `core`.
        let won = self.core.compare_exchange(
            ptr::null_mut(),
            new,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        if won.is_err() {
            // SAFETY: made above, and shown to nobody.
            drop(unsafe { Box::from_raw(new) });
        }
        self.core().expect("one of them won")
    }

    pub(crate) fn len(&self) -> usize {
        self.core().map_or(0, Core::len)
    }

    pub(crate) fn capacity(&self) -> usize {
        self.core().map_or(0, Core::capacity)
    }

    pub(crate) fn shrink_to_fit(&self) {
        if let Some(core) = self.core() {
            core.shrink_to_fit();
        }
    }

    /// The live value whose key `is_it`, if there is one.
    #[inline(always)]
    pub(crate) fn get(&self, hash: u64, is_it: impl Fn(&B::Key) -> bool) -> Option<Strong<B>> {
        let core = self.core()?;
        match core.probe(hash) {
            Probe::Absent => None,
            Probe::Found(node) => {
                // SAFETY: the probe has made us an owner.
                let strong = unsafe { Strong::<B>::adopt(node) };
                if is_it(strong.key()) {
                    Some(strong)
                } else {
                    Self::get_among(core, hash, &is_it)
                }
            }
            Probe::Unsure => Self::get_among(core, hash, &is_it),
        }
    }

    /// Compares all that have this hash: another key has it too, or the bucket overflows.
    #[cold]
    #[inline(never)]
    fn get_among(core: &Core<B>, hash: u64, is_it: &dyn Fn(&B::Key) -> bool) -> Option<Strong<B>> {
        adopt_all(core.candidates(hash)).into_iter().find(|strong| is_it(strong.key()))
    }

    /// Enters a value, unless a live one whose key `is_it` is there: then that one, with the value given back.
    /// The value's node was allocated by this engine's core with `live` 1 and with this hash.
    #[inline]
    pub(crate) fn insert(
        &self,
        new: Strong<B>,
        hash: u64,
        is_it: impl Fn(&B::Key, &B::Key) -> bool,
    ) -> Result<Strong<B>, Rejected<B>> {
        let core = self.core_or_new();
        match core.link(new.node(), hash, &[]) {
            Link::Linked => Ok(new),
            Link::Rivals(rivals) => Self::insert_beside(core, new, hash, adopt_all(rivals), &is_it),
        }
    }

    /// Counts a rejected value as an entry again, for another attempt to insert it.
    pub(crate) fn count_again(&self) {
        self.core_or_new().add_live(1);
    }

    /// As [`Engine::insert`], for a node that was allocated with `live` 0.
    pub(crate) fn insert_uncounted(
        &self,
        new: Strong<B>,
        hash: u64,
        is_it: impl Fn(&B::Key, &B::Key) -> bool,
    ) -> Result<Strong<B>, Rejected<B>> {
        self.count_again();
        self.insert(new, hash, is_it)
    }

    #[cold]
    #[inline(never)]
    fn insert_beside(
        core: &Core<B>,
        new: Strong<B>,
        hash: u64,
        mut known: Vec<Strong<B>>,
        is_it: &dyn Fn(&B::Key, &B::Key) -> bool,
    ) -> Result<Strong<B>, Rejected<B>> {
        /// Takes back the count when the value is not entered after all, a panic in `Eq` included.
        struct Uncount<'a, B: Body>(&'a Core<B>);
        impl<B: Body> Drop for Uncount<'_, B> {
            fn drop(&mut self) {
                self.0.add_live(-1);
            }
        }
        let uncount = Uncount(core);
        let mut compared = 0;
        loop {
            let mut rivals = known[compared..].iter();
            if let Some(at) = rivals.position(|rival| is_it(new.key(), rival.key())) {
                let existing = known.swap_remove(compared + at);
                return Err(Rejected { existing, rejected: new });
            }
            compared = known.len();
            let nodes: Vec<Node> = known.iter().map(Strong::node).collect();
            match core.link(new.node(), hash, &nodes) {
                Link::Linked => {
                    std::mem::forget(uncount);
                    return Ok(new);
                }
                Link::Rivals(rivals) => known.extend(adopt_all(rivals)),
            }
        }
    }

    /// Puts `new`, with an equal key and so the same hash, in the place of this very `old`, if that is still entered.
    pub(crate) fn replace(&self, old: &Strong<B>, new: &Strong<B>) -> bool {
        self.core().is_some_and(|core| core.replace(old.node(), new.node()))
    }

    /// Takes this very value out, if it is entered. Its owners keep it.
    pub(crate) fn remove(&self, strong: &Strong<B>) -> bool {
        self.core().is_some_and(|core| core.unlink(strong.node()))
    }

    /// All live values.
    pub(crate) fn snapshot(&self) -> Vec<Strong<B>> {
        self.core().map_or_else(Vec::new, |core| adopt_all(core.living_nodes()))
    }

    /// A node of this engine, to be filled and entered.
    #[inline]
    pub(crate) fn blank(&self, meta: u32, hash: u64, live: isize) -> Blank<B> {
        Blank::new(self.core_or_new(), meta, hash, live)
    }
}

/// A value that could not be entered, and the one that is there.
pub(crate) struct Rejected<B: Body> {
    pub(crate) existing: Strong<B>,
    pub(crate) rejected: Strong<B>,
}

/// Takes over the ownerships that the index has acquired.
fn adopt_all<B: Body>(nodes: Vec<Node>) -> Vec<Strong<B>> {
    // SAFETY: the index hands out nodes of this engine, complete because they were linked, and a count with each.
    nodes.into_iter().map(|node| unsafe { Strong::adopt(node) }).collect()
}

impl<B: Body> Drop for Engine<B> {
    fn drop(&mut self) {
        if let Some(core) = NonNull::new(self.core.load(Ordering::Acquire)) {
            // SAFETY: boxed by this engine, whose only other users are the handles still out.
            unsafe { Core::close(core) };
        }
    }
}
