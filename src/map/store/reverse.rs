//! The reverse index of a two-sided map: from a value to the entries that hold it.
//!
//! The entries are in a dashmap under the identity hash of their value. A look-up compares the values
//! afterwards, when no lock is held, since others may have the same hash. An entry is put on its list after
//! it is linked, and taken off after it is unlinked. Both can happen at the same time. So an entry that has
//! been taken off is marked under the list's lock, and is not put on after that. An entry knows its place in
//! the list, so taking it off takes no search. It leaves a hole, and when there are more holes than entries,
//! the holes are closed.

use crate::map::store::entry_ref::EntryRef;
use crate::map::store::slot::{Extra, OwnedSlot, Slot, WeakSlot};
use crate::pointer::traits::{Pointer, WeakPointer};
use crate::sync::{const_fn, AtomicUsize, List, ListMap, OnceCell, Ordering, Row};
use std::sync::Arc;

/// Values as a map keeps them: an [`OwnedSlot`], or a [`WeakSlot`]. It cannot be implemented outside.
#[allow(private_bounds)]
pub trait ValueSlot: Indexed<Shown = <Self as ValueSlot>::Value> {
    /// The value, of which calls return a clone: `V`, or the pointer that owns a weak value.
    type Value;
}

/// A side for values, and the reverse index of its map, if it has one.
pub(crate) trait Indexed: Slot {
    type Index<A: Slot>: Reverse<A, Self>;
}

/// The reverse index. Calls no user code.
pub(crate) trait Reverse<A, B> {
    /// True if there is no index.
    const IS_NOBODY: bool = false;

    fn linked(&self, entry: &EntryRef<A, B>);
    fn unlinked(&self, entry: &EntryRef<A, B>);
    /// Returns an empty index.
    fn nothing() -> Self;
    /// Returns another index with the same contents.
    fn share(&self) -> Self;
    /// Releases memory that is not needed.
    fn shrink_to_fit(&self) {}
}

impl<A, B> Reverse<A, B> for () {
    const IS_NOBODY: bool = true;

    #[inline(always)]
    fn linked(&self, _: &EntryRef<A, B>) {}

    #[inline(always)]
    fn unlinked(&self, _: &EntryRef<A, B>) {}

    fn nothing() {}

    fn share(&self) {}
}

impl<T> ValueSlot for OwnedSlot<T> {
    type Value = T;
}

impl<T> Indexed for OwnedSlot<T> {
    type Index<A: Slot> = ();
}

impl<P: Pointer> ValueSlot for WeakSlot<P> {
    type Value = P;
}

impl<P: Pointer> ValueSlot for WeakSlot<P, Traced> {
    type Value = P;
}

impl<P: Pointer> Indexed for WeakSlot<P> {
    type Index<A: Slot> = ();
}

impl<P: Pointer> Indexed for WeakSlot<P, Traced> {
    type Index<A: Slot> = ByValue<A, P>;
}

/// A value by which its entries are found.
impl<P: Pointer> Extra<P> for Traced {
    type Data = IndexPlace;

    fn of(weak: &P::Weak) -> IndexPlace {
        IndexPlace {
            identity: weak.identity_hash(),
            place: AtomicUsize::new(NOT_YET),
        }
    }
}

/// The entry has not been put on its list.
const NOT_YET: usize = usize::MAX;
/// The entry has left its list, or is never put on it.
const GONE: usize = usize::MAX - 1;

/// Says of a weak value that its entries can be found by it.
#[derive(Clone, Copy, Debug)]
pub struct Traced(());

/// The place of an entry in the reverse index.
pub(crate) struct IndexPlace {
    /// The identity hash, taken once. So the entry is found where it was put, whatever the user's code
    /// returns later.
    identity: u64,
    /// The place of the entry in its list, [`NOT_YET`] or [`GONE`]. Written and read under the list's lock.
    place: AtomicUsize,
}

type TracedEntry<A, Q> = EntryRef<A, WeakSlot<Q, Traced>>;

/// The entries of the values with one identity hash, in the order in which they came.
struct Entries<A: Slot, Q: Pointer> {
    places: List<Option<TracedEntry<A, Q>>>,
    holes: usize,
}

impl<A: Slot, Q: Pointer> Default for Entries<A, Q> {
    fn default() -> Self {
        Self {
            places: List::new(),
            holes: 0,
        }
    }
}

impl<A: Slot, Q: Pointer> Row for Entries<A, Q> {
    fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

impl<A: Slot, Q: Pointer> Entries<A, Q> {
    /// Puts an entry at the end, unless it was taken off before.
    fn push(&mut self, entry: &TracedEntry<A, Q>) {
        let place = &entry.value().extra.place;
        if place.load(Ordering::Relaxed) != GONE {
            place.store(self.places.len(), Ordering::Relaxed);
            self.places.push(Some(entry.clone()));
        }
    }

    /// Takes an entry off, if it is on the list. After that it is not put on any more.
    fn remove(&mut self, entry: &TracedEntry<A, Q>) -> Option<TracedEntry<A, Q>> {
        let place = entry.value().extra.place.load(Ordering::Relaxed);
        entry.value().extra.place.store(GONE, Ordering::Relaxed);
        let taken = self.places.get_mut(place)?.take()?;
        self.holes += 1;
        while let Some(None) = self.places.last() {
            self.places.pop();
            self.holes -= 1;
        }
        if self.holes * 2 > self.places.len() {
            self.close_holes();
        }
        Some(taken)
    }

    fn close_holes(&mut self) {
        self.places.retain(|entry| entry.is_some());
        self.places.shrink_to_fit();
        self.holes = 0;
        for (place, entry) in self.places.iter().flatten().enumerate() {
            entry.value().extra.place.store(place, Ordering::Relaxed);
        }
    }
}

/// The entries of a map, by the identity hash of their value.
pub(crate) struct ByValue<A: Slot, Q: Pointer> {
    entries: OnceCell<Arc<ListMap<Entries<A, Q>>>>,
}

impl<A: Slot, Q: Pointer> ByValue<A, Q> {
    const_fn! {
        pub(in crate::map) const fn new() -> Self {
            Self {
                entries: OnceCell::new(),
            }
        }
    }

    fn entries(&self) -> &Arc<ListMap<Entries<A, Q>>> {
        self.entries.get_or_init(|| Arc::new(ListMap::new()))
    }

    /// Returns the last entry that holds this value and whose place is before this one, with its place.
    pub(in crate::map) fn entry_of(
        &self,
        value: &Q,
        before: usize,
    ) -> Option<(TracedEntry<A, Q>, usize)> {
        let identity = Q::identity_hash(value);
        let mut before = before;
        loop {
            let (entry, place) = self.entries.get()?.read(identity, |entries| {
                let places = &entries.places[..before.min(entries.places.len())];
                let mut last_first = places.iter().enumerate().rev();
                last_first.find_map(|(place, entry)| Some((entry.clone()?, place)))
            })?;
            if entry.value().weak.same(value) {
                return Some((entry, place));
            }
            before = place;
        }
    }

    /// Returns the entries that hold this value, the newest first.
    pub(in crate::map) fn entries_of(&self, value: &Q) -> Vec<TracedEntry<A, Q>> {
        let identity = Q::identity_hash(value);
        let Some(entries) = self.entries.get() else {
            return Vec::new();
        };
        let mut found: Vec<TracedEntry<A, Q>> = entries.read(identity, |entries| {
            entries.places.iter().rev().flatten().cloned().collect()
        });
        found.retain(|entry| entry.value().weak.same(value));
        found
    }
}

impl<A: Slot, Q: Pointer> Reverse<A, WeakSlot<Q, Traced>> for ByValue<A, Q> {
    fn linked(&self, entry: &TracedEntry<A, Q>) {
        let identity = entry.value().extra.identity;
        self.entries()
            .update(identity, |entries| entries.push(entry));
    }

    fn unlinked(&self, entry: &TracedEntry<A, Q>) {
        let identity = entry.value().extra.identity;
        let taken_off = self
            .entries()
            .update(identity, |entries| entries.remove(entry));
        // The caller is an owner too, so this is never the last.
        drop(taken_off);
    }

    fn nothing() -> Self {
        Self::new()
    }

    fn shrink_to_fit(&self) {
        if let Some(entries) = self.entries.get() {
            entries.shrink_to_fit();
        }
    }

    fn share(&self) -> Self {
        let shared = Self::new();
        shared.entries.get_or_init(|| Arc::clone(self.entries()));
        shared
    }
}
