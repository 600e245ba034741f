//! From a hash to the linked nodes with that hash.
//!
//! The index knows nodes and hashes, but no keys: these the caller compares, outside of every lock. All calls
//! that follow pointers into it take a [`ReadGuard`]: nothing that they see is freed meanwhile.

mod array;
mod bucket;
mod cursor;
mod locked_bucket;
mod namesakes;
mod resize;

use crate::memory::grace::{Graveyard, ReadGuard};
use crate::memory::node::{Header, NodePtr};
use crate::sync::{self, AtomicBool, AtomicPtr, Ordering};
use array::{Array, Which};
use bucket::{Bucket, Tag, Word};
pub(crate) use cursor::{Ahead, BucketCursor, Next};
use locked_bucket::{Lists, LockedBucket};
pub(crate) use namesakes::{Compared, Place, FEW};
use std::ops::Range;
use std::ptr::{self, NonNull};

/// The result of a look-up without a lock. In one register, so no enum.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Probe(*mut Header);

impl Probe {
    /// No such node was linked at one moment during the call.
    pub(crate) const ABSENT: Self = Self(ptr::null_mut());
    /// Only a look-up under the lock can tell.
    pub(crate) const UNSURE: Self = Self(ptr::without_provenance_mut(1));

    /// Returns a node with this hash, of which the caller is now an owner.
    #[inline(always)]
    pub(in crate::table) fn found(self) -> Option<NodePtr> {
        if self.0.addr() > 1 {
            NonNull::new(self.0)
        } else {
            None
        }
    }
}

pub(in crate::table) enum Link {
    Linked,
    /// Nodes with the same hash are linked, which the caller has to compare first.
    Rivals,
    Sealed,
}

/// The linked nodes of one table, by hash.
#[repr(align(128))] // The one line that every look-up reads; nobody writes beside it.
pub(in crate::table) struct Index {
    /// Null only when the table's owner has gone.
    array: AtomicPtr<Array>,
    lists: Lists,
    /// The owners that a node begins with when it is linked.
    owners: u32,
    /// Nothing is linked any more. Asked under the lock of the node's bucket.
    is_sealed: AtomicBool,
}

impl Index {
    /// Creates an index. `owners` is how many a node begins with when it is linked; one is the caller.
    pub(crate) fn new(capacity: usize, owners: u32) -> Self {
        let array = Array::boxed(array::len_for(capacity), 1).as_ptr();
        Self {
            array: AtomicPtr::new(array),
            lists: Lists::new(),
            owners,
            is_sealed: AtomicBool::new(false),
        }
    }

    /// Returns the array, which the caller's guard (or its being alone) keeps from being freed.
    #[inline(always)]
    fn array(&self) -> Option<&Array> {
        // Acquire: pairs with the Release that put it there.
        // SAFETY: null or an array; one that is replaced is retired, not freed.
        unsafe { self.array.load(Ordering::Acquire).as_ref() }
    }

    fn is_current(&self, array: &Array) -> bool {
        ptr::eq(self.array.load(Ordering::Relaxed), array)
    }

    /// Returns how many nodes fit before the index grows; if it is being replaced, into the last successor.
    pub(in crate::table) fn capacity(&self, _: &ReadGuard) -> usize {
        self.array()
            .map_or(0, |array| array::capacity(array.last().len()))
    }

    /// Looks for a node with this hash in its bucket, without a lock.
    ///
    /// Absent means that no slot showed the tag, and that the slots were the whole truth: at that moment no
    /// such node was linked. A slot that shows the tag, but whose node cannot be owned, proves nothing: that
    /// node may just have been replaced by another one.
    ///
    /// Two continuations instead of a result to be looked at again: on the most frequent path that saves a
    /// tenth of all instructions. The guard has been left before either is called.
    #[inline(always)]
    pub(in crate::table) fn probe<R>(
        &self,
        hash: u64,
        guard: ReadGuard,
        found: impl FnOnce(NodePtr) -> R,
        missing: impl FnOnce(Probe) -> R,
    ) -> R {
        // SAFETY: only called for a table that has not gone; a replaced array is retired, not freed.
        let array = unsafe { self.array().unwrap_unchecked() };
        let bucket = array.bucket(hash);
        let word = bucket.word();
        let slots = word.matches(Tag::of(hash));
        let certain = slots.is_empty() && word.is_complete();
        for slot in slots {
            if let Some(node) = acquire(bucket.node(slot), hash) {
                drop(guard);
                return found(node);
            }
        }
        drop(guard);
        missing(if certain {
            Probe::ABSENT
        } else {
            Probe::UNSURE
        })
    }

    /// Prefetches the buckets of these hashes, then the first node that each leads to.
    pub(in crate::table) fn prefetch(
        &self,
        hashes: impl Iterator<Item = u64> + Clone,
        _: &ReadGuard,
    ) {
        let Some(array) = self.array() else { return };
        hashes
            .clone()
            .for_each(|hash| sync::prefetch(array.bucket(hash)));
        for hash in hashes {
            array.bucket(hash).prefetch_node(Tag::of(hash));
        }
    }

    /// Looks up like `probe`, but publishes the node in `hazard` instead of becoming an owner. What is found
    /// was linked after it was published; if nothing is found, the hazard is null.
    #[inline(always)]
    pub(in crate::table) fn protect<R>(
        &self,
        hash: u64,
        hazard: &AtomicPtr<()>,
        guard: ReadGuard,
        found: impl FnOnce(NodePtr) -> R,
        missing: impl FnOnce(Probe) -> R,
    ) -> R {
        // SAFETY: as in `probe`.
        let array = unsafe { self.array().unwrap_unchecked() };
        let bucket = array.bucket(hash);
        let word = bucket.word();
        let slots = word.matches(Tag::of(hash));
        let certain = slots.is_empty() && word.is_complete();
        for slot in slots {
            let node = bucket.node(slot);
            // SAFETY: slots point to nodes, and while the caller's guard stands, node memory stays node
            // memory.
            if unsafe { node.as_ref() }.hash() != hash {
                continue;
            }
            // Release: pairs with the Acquire of those that read hazards: the node before is done with.
            hazard.store(node.as_ptr().cast(), Ordering::Release);
            // Between publishing and checking again. Pairs with the heavy half of those that reclaim nodes.
            sync::light_barrier();
            // The word first: if the slot, read after it, has this node, then the node was linked when the
            // word was read, or has been linked since. Then its hash is its key's again.
            if bucket.word() == word
                && bucket.node(slot) == node
                // SAFETY: as above.
                && unsafe { node.as_ref() }.hash() == hash
            {
                drop(guard);
                return found(node);
            }
            hazard.store(ptr::null_mut(), Ordering::Release);
            break;
        }
        drop(guard);
        missing(if certain {
            Probe::ABSENT
        } else {
            Probe::UNSURE
        })
    }

    /// Looks up like `probe`, also where the nodes have moved or spilled to.
    #[cold]
    #[inline(never)]
    pub(in crate::table) fn probe_on(&self, hash: u64, _: &ReadGuard) -> Probe {
        let mut next = self.array();
        while let Some(array) = next {
            let bucket = array.bucket(hash);
            let word = bucket.word();
            if word.has_moved() {
                next = array.successor();
                continue;
            }
            let probe = probe_slots(bucket, word, hash);
            if probe != Probe::ABSENT || word.is_complete() {
                return probe;
            }
            if word.is_locked() || word.lists() {
                return Probe::UNSURE;
            }
            let line = array.line(array.index(hash));
            let probe = probe_slots(line, line.word(), hash);
            // Word and line were not read at once. But a node leaves the line for the successor only while
            // the bucket is locked, and never comes back; so with the same word now, it was not there.
            let missed_it = probe == Probe::ABSENT && bucket.word() != word;
            return if missed_it { Probe::UNSURE } else { probe };
        }
        unreachable!("nodes move to the successor only")
    }

    /// Links a complete node and gives it its first owners, one of which is the caller, unless nodes with the
    /// same hash are linked: then it is to be linked by `link_beside`.
    ///
    /// `live` returns how many nodes there are, for when the bucket is full.
    #[inline]
    pub(in crate::table) fn link(
        &self,
        node: NodePtr,
        hash: u64,
        live: impl FnOnce() -> usize,
        graveyard: &Graveyard,
        _: &ReadGuard,
    ) -> Link {
        let array = self
            .array()
            .expect("nodes are linked while the registry lives");
        if array.successor().is_some() {
            self.step(array, graveyard);
        }
        let bucket = LockedBucket::of(hash, array, &self.lists);
        if bucket.may_hold(Tag::of(hash)) && bucket.has_namesakes(hash) {
            return Link::Rivals;
        }
        self.place(node, hash, bucket, array, live, graveyard)
    }

    /// Links a node in its bucket, where it has no rivals, unless the index is sealed.
    #[inline(always)]
    fn place(
        &self,
        node: NodePtr,
        hash: u64,
        mut bucket: LockedBucket<'_>,
        array: &Array,
        live: impl FnOnce() -> usize,
        graveyard: &Graveyard,
    ) -> Link {
        if self.is_sealed() {
            return Link::Sealed;
        }
        let fits = bucket.place(node, Tag::of(hash));
        // SAFETY: the caller has the node alone, or is an owner of the draft in it.
        unsafe { node.as_ref() }.publish(self.owners);
        drop(bucket);
        if !fits {
            self.grow(array, live(), graveyard);
        }
        Link::Linked
    }

    /// Shows the linked nodes with this hash that have no owner any more, under their bucket's lock.
    #[cold]
    pub(in crate::table) fn for_each_dead(
        &self,
        hash: u64,
        mut see: impl FnMut(NodePtr),
        _: &ReadGuard,
    ) {
        let Some(array) = self.array() else { return };
        LockedBucket::of(hash, array, &self.lists).for_each_match(Tag::of(hash), |node| {
            // SAFETY: linked nodes are headers, always. Published under this lock, so one without an owner
            // has lost it.
            let header = unsafe { node.as_ref() };
            if header.hash() == hash && header.owners() == 0 {
                see(node);
            }
        });
    }

    #[inline]
    pub(in crate::table) fn unlink(&self, node: NodePtr, _: &ReadGuard) -> bool {
        let Some(array) = self.array() else {
            return false;
        };
        // SAFETY: the caller owns the node, or has it alone and has not put it in any list.
        let hash = unsafe { node.as_ref() }.hash();
        LockedBucket::of(hash, array, &self.lists).remove(node, Tag::of(hash))
    }

    /// Takes out the node that is linked at this address now, if it is in the slots of this hash's bucket,
    /// and `wanted`, which is called under the bucket's lock. It may be another one than the caller has seen
    /// there.
    #[inline]
    pub(in crate::table) fn unlink_if(
        &self,
        node: NodePtr,
        hash: u64,
        wanted: impl FnOnce(NodePtr) -> bool,
        _: &ReadGuard,
    ) -> bool {
        let Some(array) = self.array() else {
            return false;
        };
        let mut bucket = LockedBucket::of(hash, array, &self.lists);
        let tag = Tag::of(hash);
        bucket.has_in_bucket(node, tag) && wanted(node) && bucket.remove(node, tag)
    }

    /// Puts `new`, complete and with the same hash, in the place of this very `old`, if that is linked and
    /// the index is not sealed, and gives it its first owners.
    pub(in crate::table) fn replace(&self, old: NodePtr, new: NodePtr, _: &ReadGuard) -> bool {
        let Some(array) = self.array() else {
            return false;
        };
        // SAFETY: the caller owns it.
        let hash = unsafe { old.as_ref() }.hash();
        let mut bucket = LockedBucket::of(hash, array, &self.lists);
        let replaced = !self.is_sealed() && bucket.replace(old, new, Tag::of(hash));
        if replaced {
            // SAFETY: the caller has the node alone.
            unsafe { new.as_ref() }.publish(self.owners);
        }
        replaced
    }

    /// Shows `see` the linked nodes whose hash has its upper half in this range, which is not empty, each
    /// once, under the lock of the bucket that it is linked in. Ends after the bucket in which `see` has said
    /// yes for the `least`th time, and returns where the rest of the range begins. A node that is linked
    /// throughout, and whose hash is in the range up to there, is among them.
    pub(in crate::table) fn visit(
        &self,
        halves: Range<u64>,
        least: usize,
        mut see: impl FnMut(NodePtr) -> bool,
        _: &ReadGuard,
    ) -> u64 {
        let mut seen = 0;
        self.visit_buckets(halves, Which::Occupied, &mut |bucket, part| {
            bucket.for_each(|node| seen += usize::from(is_in(part, node) && see(node)));
            seen < least
        })
    }

    /// Unlinks the nodes that are `wanted`, and hands them over; otherwise like `visit`.
    pub(in crate::table) fn take(
        &self,
        halves: Range<u64>,
        least: usize,
        wanted: impl Fn(NodePtr) -> bool,
        mut taken: impl FnMut(NodePtr),
        _: &ReadGuard,
    ) -> u64 {
        let mut count = 0;
        self.visit_buckets(halves, Which::Occupied, &mut |bucket, part| {
            bucket.take(
                |node| is_in(part, node) && wanted(node),
                |node| {
                    count += 1;
                    taken(node);
                },
            );
            count < least
        })
    }

    /// Seals the index: nothing is linked any more. What has been linked before this returns, and not been
    /// taken out, is found by a look-up that begins after that.
    pub(in crate::table) fn seal(&self, _: &ReadGuard) {
        self.is_sealed.store(true, Ordering::Relaxed);
        // A call that links holds the lock of a bucket: either before us, or it sees the flag.
        self.visit_buckets(0..1 << 32, Which::All, &mut |_, _| true);
    }

    #[inline]
    pub(in crate::table) fn is_sealed(&self) -> bool {
        // Relaxed: see `seal`; otherwise a hint.
        self.is_sealed.load(Ordering::Relaxed)
    }

    fn visit_buckets(
        &self,
        halves: Range<u64>,
        which: Which,
        visit: &mut impl FnMut(&mut LockedBucket<'_>, Option<&Range<u64>>) -> bool,
    ) -> u64 {
        match self.array() {
            Some(array) => array.visit(halves, &self.lists, which, visit),
            None => halves.end,
        }
    }

    /// Returns the number of buckets, each of which has an equal part of the hashes.
    pub(in crate::table) fn buckets(&self, _: &ReadGuard) -> usize {
        self.array().map_or(0, Array::len)
    }

    /// Forgets all nodes, as the table's owner has gone. Last owners then find nothing to unlink.
    pub(in crate::table) fn close(&self, graveyard: &Graveyard) {
        // AcqRel: the arrays are complete.
        let mut array = self.array.swap(ptr::null_mut(), Ordering::AcqRel);
        while let Some(gone) = NonNull::new(array) {
            // SAFETY: not freed yet.
            array = unsafe { gone.as_ref() }.next.load(Ordering::Acquire);
            // SAFETY: out of reach now; those who are still inside have a guard.
            unsafe { graveyard.retire(Array::blocks(gone)) };
        }
    }

    pub(in crate::table) fn shrink_lists(&self) {
        if let Some(lists) = self.lists.get() {
            lists.shrink_to_fit();
        }
    }
}

/// Returns whether the upper half of a linked node's hash is in this part, if there is one.
#[inline(always)]
fn is_in(part: Option<&Range<u64>>, node: NodePtr) -> bool {
    // SAFETY: linked nodes are headers, always.
    part.is_none_or(|part| part.contains(&(unsafe { node.as_ref() }.hash() >> 32)))
}

/// Returns the first living node with this hash among those that a word shows; the caller is now an owner.
/// Absent if no slot shows the tag; unsure if one does, but there was nothing to own.
#[inline(always)]
fn probe_slots(bucket: &Bucket, word: Word, hash: u64) -> Probe {
    let mut probe = Probe::ABSENT;
    for slot in word.matches(Tag::of(hash)) {
        if let Some(node) = acquire(bucket.node(slot), hash) {
            return Probe(node.as_ptr());
        }
        probe = Probe::UNSURE;
    }
    probe
}

/// Makes the caller an owner of a node that a slot points to, if it has this hash and is alive.
#[inline(always)]
fn acquire(node: NodePtr, hash: u64) -> Option<NodePtr> {
    // SAFETY: slots point to nodes, and while the caller's guard stands, node memory stays node memory.
    let header = unsafe { node.as_ref() };
    (header.hash() == hash && header.acquire()).then_some(node)
}

impl Drop for Index {
    fn drop(&mut self) {
        self.close(&Graveyard::new());
    }
}
