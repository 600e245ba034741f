//! The other side of a two-sided map: from a value to the entries that hold it.
//!
//! The entries are in a dashmap under the address of their value, which stays its own while they hold a weak pointer to it. An entry is
//! put on its list after it is linked, and taken off after it is unlinked; both can happen at once, so an entry that has been taken
//! off already says so under the list's lock, and is not put on any more. An entry knows its place in the list, so taking it off takes no search: it
//! leaves a hole, and when the holes are as many as the entries they are closed.

use crate::deadlock::work::GivenUp;
use crate::map::store::death_listener::Reverse;
use crate::map::store::entry_ref::EntryRef;
use crate::map::store::slot::{Slot, Watching, WeakSlot};
use crate::pointer::notify::Notify;
use crate::pointer::traits::{Pointer, WeakPointer};
use crate::sync::{const_fn, AtomicUsize, List, ListMap, OnceCell, Ordering, Row};
use crate::table::exclusive::Exclusive;
use std::sync::Arc;

/// The entry has not been put on its list.
const NOT_YET: usize = usize::MAX;
/// The entry has left its list, or never comes on it.
const GONE: usize = usize::MAX - 1;

/// A weak value that can be found by its address.
pub(crate) struct Traced<Q: Pointer> {
    pub(crate) weak: Q::Weak,
    /// Taken once, so that the entry is found where it was put, whatever the user's code says later.
    address: u64,
    watching: Watching,
    /// Where the entry is in its list, [`NOT_YET`] or [`GONE`]. Written and read under the list's lock.
    place: AtomicUsize,
}

impl<Q: Pointer> Traced<Q> {
    pub(crate) fn new(value: &Q) -> Self {
        Self::watched(value, Watching::NOT)
    }

    pub(crate) fn watched(value: &Q, watching: Watching) -> Self {
        let weak = Q::downgrade(value);
        let address = weak.address().addr() as u64;
        Self {
            weak,
            address,
            watching,
            place: AtomicUsize::new(NOT_YET),
        }
    }
}

impl<Q: Pointer> Slot for Traced<Q> {
    type Stored = Q::Weak;
    type Live = Q;
    type Shown = Q;
    const IS_DEAD_IS_QUIET: bool = Q::Weak::IS_DEAD_IS_QUIET.is_some();
    const IS_WEAK: bool = true;

    #[inline]
    fn stored(&self) -> &Q::Weak {
        &self.weak
    }

    #[inline]
    fn is_dead(&self) -> bool {
        self.weak.is_dead()
    }

    #[inline]
    fn live(&self) -> Option<Q> {
        self.weak.upgrade()
    }

    fn shown<'a>(&'a self, live: &'a Q) -> &'a Q {
        live
    }

    #[inline(always)]
    fn watch(&mut self, notify: impl FnOnce() -> Option<Notify>) {
        self.watching.begin(&self.weak, notify);
    }

    fn expect_end(&mut self, dying: &Arc<Exclusive>, hash: u64) {
        self.watching.expect_end(&self.weak, dying, hash);
    }

    fn leaves(&self) {
        self.watching.leaves(|| self.is_dead());
    }

    fn has_left(&self) {
        self.watching.has_left(|| self.is_dead());
    }

    fn is_abandoned(&self, given_up: GivenUp<'_>) {
        self.watching.is_abandoned(given_up);
    }
}

impl<Q: Pointer> Drop for Traced<Q> {
    #[inline]
    fn drop(&mut self) {
        self.watching.goes(|| self.weak.is_dead());
    }
}

type Entry<P, Q> = EntryRef<WeakSlot<P>, Traced<Q>>;

/// The entries of one value, in the order in which they came.
struct Entries<P: Pointer, Q: Pointer> {
    places: List<Option<Entry<P, Q>>>,
    holes: usize,
}

impl<P: Pointer, Q: Pointer> Default for Entries<P, Q> {
    fn default() -> Self {
        Self {
            places: List::new(),
            holes: 0,
        }
    }
}

impl<P: Pointer, Q: Pointer> Row for Entries<P, Q> {
    fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

impl<P: Pointer, Q: Pointer> Entries<P, Q> {
    /// Puts an entry at the end, unless it has gone.
    fn push(&mut self, held: &Entry<P, Q>) {
        let place = &held.value().place;
        if place.load(Ordering::Relaxed) != GONE {
            place.store(self.places.len(), Ordering::Relaxed);
            self.places.push(Some(held.clone()));
        }
    }

    /// Takes an entry off, if it is on the list. It is not put on any more.
    fn remove(&mut self, held: &Entry<P, Q>) -> Option<Entry<P, Q>> {
        let place = held.value().place.load(Ordering::Relaxed);
        held.value().place.store(GONE, Ordering::Relaxed);
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
        for (place, held) in self.places.iter().flatten().enumerate() {
            held.value().place.store(place, Ordering::Relaxed);
        }
    }
}

/// The entries of a map, by the address of their value.
pub(crate) struct ByValue<P: Pointer, Q: Pointer> {
    entries: OnceCell<Arc<ListMap<Entries<P, Q>>>>,
}

impl<P: Pointer, Q: Pointer> ByValue<P, Q> {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Self {
                entries: OnceCell::new(),
            }
        }
    }

    fn entries(&self) -> &Arc<ListMap<Entries<P, Q>>> {
        self.entries.get_or_init(|| Arc::new(ListMap::new()))
    }

    /// The last entry that holds this value and whose place is before this one, with its place.
    pub(crate) fn entry_of(&self, value: &Q, before: usize) -> Option<(Entry<P, Q>, usize)> {
        let address = Q::address(value).addr() as u64;
        self.entries.get()?.read(address, |entries| {
            let places = &entries.places[..before.min(entries.places.len())];
            let mut last_first = places.iter().enumerate().rev();
            last_first.find_map(|(place, entry)| Some((entry.clone()?, place)))
        })
    }

    /// The entries that hold this value, the last that came first.
    pub(crate) fn entries_of(&self, value: &Q) -> Vec<Entry<P, Q>> {
        let address = Q::address(value).addr() as u64;
        let Some(entries) = self.entries.get() else {
            return Vec::new();
        };
        entries.read(address, |entries| {
            entries.places.iter().rev().flatten().cloned().collect()
        })
    }

    pub(crate) fn shrink_to_fit(&self) {
        if let Some(entries) = self.entries.get() {
            entries.shrink_to_fit();
        }
    }
}

impl<P: Pointer, Q: Pointer> Reverse<WeakSlot<P>, Traced<Q>> for ByValue<P, Q> {
    fn linked(&self, held: &Entry<P, Q>) {
        let address = held.value().address;
        self.entries().update(address, |entries| entries.push(held));
    }

    fn unlinked(&self, held: &Entry<P, Q>) {
        let address = held.value().address;
        let taken_off = self
            .entries()
            .update(address, |entries| entries.remove(held));
        // The caller is an owner too, so this is never the last.
        drop(taken_off);
    }

    fn share(&self) -> Self {
        let shared = Self::new();
        shared.entries.get_or_init(|| Arc::clone(self.entries()));
        shared
    }
}
