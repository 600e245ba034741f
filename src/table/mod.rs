//! From a hash to the linked nodes with that hash.
//!
//! The index knows nodes and hashes, but neither keys nor owners' intentions: comparing keys is the caller's, outside of every
//! lock. All calls that follow pointers into the index take a [`Guard`] as proof that nothing they see is freed meanwhile.

mod array;
mod bucket;
mod resize;

use crate::grace::{Graveyard, Guard};
use crate::node::{Header, Node};
use crate::sync::{AtomicPtr, ListMap, OnceCell, Ordering};
use array::Array;
use bucket::{Bucket, Locked, Tag};
use std::ptr::{self, NonNull};

/// A node in an overflow list.
pub(crate) struct Spilled(Node);

// SAFETY: a pointer as in a bucket's slot; what it may be used for is checked where it is used.
unsafe impl Send for Spilled {}
// SAFETY: as above.
unsafe impl Sync for Spilled {}

/// What a look at the index without a lock shows: in one register, which is why it is no enum.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Probe(*mut Header);

impl Probe {
    /// No such node was linked at one moment during the call.
    pub(crate) const ABSENT: Self = Self(ptr::null_mut());
    /// Only a closer look can tell.
    pub(crate) const UNSURE: Self = Self(ptr::without_provenance_mut(1));

    /// A node with this hash, of which the caller is now an owner.
    #[inline(always)]
    pub(crate) fn found(self) -> Option<Node> {
        if self.0.addr() > 1 {
            NonNull::new(self.0)
        } else {
            None
        }
    }
}

/// What has become of a node that was to be linked.
pub(crate) enum Link {
    Linked,
    /// Nodes with the same hash are linked that the caller had not named; it is now an owner of each.
    Rivals(Vec<Node>),
}

/// The linked nodes of one registry, by hash.
pub(crate) struct Index {
    /// Null only when the registry has gone.
    array: AtomicPtr<Array>,
    /// Nodes that found their bucket full, under the address of that bucket. Changed under the bucket's lock only.
    overflow: OnceCell<ListMap<Spilled>>,
}

impl Index {
    pub(crate) fn new(capacity: usize) -> Self {
        let array = Array::boxed(array::len_for(capacity)).as_ptr();
        Self {
            array: AtomicPtr::new(array),
            overflow: OnceCell::new(),
        }
    }

    /// The array, which the caller's guard (or its being alone) keeps from being freed.
    #[inline(always)]
    fn array(&self) -> Option<&Array> {
        // Acquire: pairs with the Release that put it there.
        // SAFETY: null or an array; one that is replaced is buried, not freed.
        unsafe { self.array.load(Ordering::Acquire).as_ref() }
    }

    fn is_current(&self, array: &Array) -> bool {
        ptr::eq(self.array.load(Ordering::Relaxed), array)
    }

    /// How many nodes fit before the index grows.
    pub(crate) fn capacity(&self, _: &Guard) -> usize {
        self.array().map_or(0, |array| array::capacity(array.len()))
    }

    /// Looks for a node with this hash in its bucket, without a lock.
    ///
    /// A node that stays linked from the beginning of the call to its end is found: its tag is in the word, or the word says
    /// that the slots are not the whole truth. So when it is absent, there was a moment without one.
    #[inline(always)]
    pub(crate) fn probe(&self, hash: u64, _: &Guard) -> Probe {
        // SAFETY: only called for a registry that has not gone; and an array that is replaced is buried, not freed.
        let array = unsafe { self.array().unwrap_unchecked() };
        Self::probe_bucket(array.bucket(hash), hash).0
    }

    /// What a bucket shows, and whether its nodes have moved.
    #[inline(always)]
    fn probe_bucket(bucket: &Bucket, hash: u64) -> (Probe, bool) {
        let word = bucket.word();
        for slot in word.matches(Tag::of(hash)) {
            let node = bucket.node(slot);
            // SAFETY: slots point to nodes, and while the guard stands, node memory stays node memory.
            let header = unsafe { node.as_ref() };
            if header.hash() == hash && header.acquire() {
                return (Probe(node.as_ptr()), false);
            }
        }
        let probe = if word.is_complete() {
            Probe::ABSENT
        } else {
            Probe::UNSURE
        };
        (probe, word.has_moved())
    }

    /// As `probe`, and goes on to the bucket's successor when its nodes have moved. Unsure only about the overflow.
    #[cold]
    #[inline(never)]
    pub(crate) fn probe_on(&self, hash: u64, _: &Guard) -> Probe {
        let mut next = self.array();
        while let Some(array) = next {
            match Self::probe_bucket(array.bucket(hash), hash) {
                (_, true) => next = array.successor(),
                (probe, false) => return probe,
            }
        }
        unreachable!("nodes move to the successor only")
    }

    /// All living nodes with this hash; the caller becomes an owner of each.
    #[cold]
    pub(crate) fn candidates(&self, hash: u64, _: &Guard) -> Vec<Node> {
        match self.array() {
            Some(array) => self.living(&array.lock(hash), hash, &[]),
            None => Vec::new(),
        }
    }

    /// The living nodes with this hash in a locked bucket and its overflow, but for the `known` ones.
    #[cold]
    fn living(&self, bucket: &Locked<'_>, hash: u64, known: &[Node]) -> Vec<Node> {
        let mut found = Vec::new();
        let mut look_at = |node: Node| {
            // SAFETY: linked nodes are headers, always.
            let header = unsafe { node.as_ref() };
            if header.hash() == hash && !known.contains(&node) && header.acquire() {
                found.push(node);
            }
        };
        bucket.matches(Tag::of(hash)).for_each(&mut look_at);
        if bucket.overflows() {
            self.overflow().read(bucket.address(), |list| {
                list.iter().for_each(|node| look_at(node.0));
            });
        }
        found
    }

    /// Links a complete node and makes the caller its one owner, unless living nodes with the same hash are linked that the caller
    /// has not compared yet.
    ///
    /// `known` are those it has compared (and owns). `live` tells how many nodes there are, for when the bucket is full.
    #[inline]
    pub(crate) fn link(
        &self,
        node: Node,
        hash: u64,
        known: &[Node],
        live: impl FnOnce() -> usize,
        graveyard: &Graveyard,
        _: &Guard,
    ) -> Link {
        let array = self
            .array()
            .expect("nodes are linked while the registry lives");
        if array.successor().is_some() {
            self.step(array, graveyard);
        }
        let mut bucket = array.lock(hash);
        if bucket.may_hold(Tag::of(hash)) {
            let rivals = self.living(&bucket, hash, known);
            if !rivals.is_empty() {
                return Link::Rivals(rivals);
            }
        }
        let fits = self.place(&mut bucket, node, Tag::of(hash));
        // SAFETY: the caller has the node alone.
        unsafe { node.as_ref() }.publish();
        drop(bucket);
        if !fits {
            self.grow(array, live(), graveyard);
        }
        Link::Linked
    }

    /// Takes this very node out, if it is linked.
    #[inline]
    pub(crate) fn unlink(&self, node: Node, _: &Guard) -> bool {
        let Some(array) = self.array() else {
            return false;
        };
        // SAFETY: the caller owns the node, or has it alone and has not put it in any list.
        let hash = unsafe { node.as_ref() }.hash();
        let mut bucket = array.lock(hash);
        let mut unlinked = bucket.remove(node, Tag::of(hash));
        if bucket.overflows() {
            unlinked = self.refill(&mut bucket, node, unlinked);
        }
        unlinked
    }

    /// Takes `node` out of the overflow, or, when a slot has become vacant, brings another one back in.
    #[cold]
    fn refill(&self, bucket: &mut Locked<'_>, node: Node, vacant: bool) -> bool {
        let (mut unlinked, mut back, mut more) = (vacant, None, false);
        self.overflow_of(bucket, |list| {
            if vacant {
                back = list.pop();
            } else if let Some(at) = list.iter().position(|spilled| spilled.0 == node) {
                list.swap_remove(at);
                unlinked = true;
            }
            more = !list.is_empty();
        });
        if let Some(Spilled(node)) = back {
            // SAFETY: linked nodes are headers, always.
            let placed = bucket.place(node, Tag::of(unsafe { node.as_ref() }.hash()));
            debug_assert!(placed, "a slot was vacant");
        }
        bucket.set_overflows(more);
        unlinked
    }

    /// Puts `new`, complete and with the same hash, in the place of this very `old`, if that is linked, and makes the caller its
    /// one owner.
    pub(crate) fn replace(&self, old: Node, new: Node, _: &Guard) -> bool {
        let Some(array) = self.array() else {
            return false;
        };
        // SAFETY: the caller owns it.
        let hash = unsafe { old.as_ref() }.hash();
        let mut bucket = array.lock(hash);
        let mut replaced = bucket.replace(old, new, Tag::of(hash));
        if !replaced && bucket.overflows() {
            self.overflow_of(&bucket, |list| {
                if let Some(place) = list.iter_mut().find(|spilled| spilled.0 == old) {
                    place.0 = new;
                    replaced = true;
                }
            });
        }
        if replaced {
            // SAFETY: the caller has the node alone.
            unsafe { new.as_ref() }.publish();
        }
        replaced
    }

    /// All living nodes, bucket by bucket; the caller becomes an owner of each. A node that is linked throughout is in it.
    pub(crate) fn living_nodes(&self, expected: usize, _: &Guard) -> Vec<Node> {
        let mut found = Vec::with_capacity(expected);
        let Some(array) = self.array() else {
            return found;
        };
        for index in 0..array.len() {
            array.visit(index, &mut |bucket| {
                let mut look_at = |node: Node| {
                    // SAFETY: linked nodes are headers, always.
                    let header = unsafe { node.as_ref() };
                    if array.index(header.hash()) == index && header.acquire() {
                        found.push(node);
                    }
                };
                bucket.nodes().for_each(&mut look_at);
                if bucket.overflows() {
                    self.overflow().read(bucket.address(), |list| {
                        list.iter().for_each(|node| look_at(node.0));
                    });
                }
            });
        }
        found
    }

    /// Puts a node into a locked bucket, or into its overflow: false.
    #[inline(always)]
    fn place(&self, bucket: &mut Locked<'_>, node: Node, tag: Tag) -> bool {
        let fits = bucket.place(node, tag);
        if !fits {
            self.overflow_of(bucket, |list| list.push(Spilled(node)));
            bucket.set_overflows(true);
        }
        fits
    }

    fn overflow(&self) -> &ListMap<Spilled> {
        self.overflow.get_or_init(ListMap::new)
    }

    /// Works on the overflow list of a locked bucket.
    #[cold]
    fn overflow_of<R>(&self, bucket: &Locked<'_>, f: impl FnOnce(&mut Vec<Spilled>) -> R) -> R {
        self.overflow().update(bucket.address(), f)
    }

    /// Forgets all nodes, as the registry has gone. Owners who find nothing to unlink are content.
    pub(crate) fn close(&self, graveyard: &Graveyard) {
        // AcqRel: the arrays are complete.
        let mut array = self.array.swap(ptr::null_mut(), Ordering::AcqRel);
        while let Some(gone) = NonNull::new(array) {
            // SAFETY: not freed yet.
            array = unsafe { gone.as_ref() }.next.load(Ordering::Acquire);
            // SAFETY: out of reach now; those who are still inside have a guard.
            unsafe { graveyard.bury(Array::blocks(gone)) };
        }
    }

    /// Gives back what the overflow has kept for later.
    pub(crate) fn shrink_overflow(&self) {
        if let Some(overflow) = self.overflow.get() {
            overflow.shrink_to_fit();
        }
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.close(&Graveyard::new());
    }
}
