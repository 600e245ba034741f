//! The other side of a two-sided map: from a value to the entries that hold it.
//!
//! The entries are in a dashmap under the address of their value, which stays its own while they hold a weak pointer to it. An entry is
//! put on its list after it is linked, and taken off after it is unlinked; both can happen at once, so an entry that has been taken
//! off already says so under the list's lock, and is not put on any more.

use crate::dying::Dying;
use crate::held::Held;
use crate::inbox::Reverse;
use crate::notify::Notify;
use crate::pointer::{Pointer, WeakPointer};
use crate::side::{Side, Watching, Weakly};
use crate::sync::{AtomicBool, ListMap, OnceCell, Ordering};
use std::sync::Arc;

/// A weak value that can be found by its address.
pub(crate) struct Traced<Q: Pointer> {
    pub(crate) weak: Q::Weak,
    /// Taken once, so that the entry is found where it was put, whatever the user's code says later.
    address: u64,
    watching: Watching,
    /// The entry has gone. Written and read under its list's lock.
    gone: AtomicBool,
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
            gone: AtomicBool::new(false),
        }
    }
}

impl<Q: Pointer> Side for Traced<Q> {
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

    fn expect_end(&mut self, dying: &Arc<Dying>, hash: u64) {
        self.watching.expect_end(&self.weak, dying, hash);
    }

    fn leaves(&self) {
        self.watching.leaves(|| self.is_dead());
    }

    fn has_left(&self) {
        self.watching.has_left(|| self.is_dead());
    }

    fn is_abandoned(&self) {
        self.watching.is_abandoned();
    }
}

type Entry<P, Q> = Held<Weakly<P>, Traced<Q>>;

/// The entries of a map, by the address of their value.
pub(crate) struct ByValue<P: Pointer, Q: Pointer> {
    entries: OnceCell<Arc<ListMap<Entry<P, Q>>>>,
}

impl<P: Pointer, Q: Pointer> ByValue<P, Q> {
    #[cfg(not(all(highlander_loom, feature = "loom")))]
    pub(crate) const fn new() -> Self {
        Self {
            entries: OnceCell::new(),
        }
    }

    #[cfg(all(highlander_loom, feature = "loom"))]
    pub(crate) fn new() -> Self {
        Self {
            entries: OnceCell::new(),
        }
    }

    fn entries(&self) -> &Arc<ListMap<Entry<P, Q>>> {
        self.entries.get_or_init(|| Arc::new(ListMap::new()))
    }

    /// The entries that hold this value, the last that came first.
    pub(crate) fn entries_of(&self, value: &Q) -> Vec<Entry<P, Q>> {
        let address = Q::address(value).addr() as u64;
        let Some(entries) = self.entries.get() else {
            return Vec::new();
        };
        entries.read(address, |list| list.iter().rev().cloned().collect())
    }

    pub(crate) fn shrink_to_fit(&self) {
        if let Some(entries) = self.entries.get() {
            entries.shrink_to_fit();
        }
    }
}

impl<P: Pointer, Q: Pointer> Reverse<Weakly<P>, Traced<Q>> for ByValue<P, Q> {
    fn linked(&self, held: &Entry<P, Q>) {
        self.entries().update(held.value().address, |list| {
            if !held.value().gone.load(Ordering::Relaxed) {
                list.push(held.clone());
            }
        });
    }

    fn unlinked(&self, held: &Entry<P, Q>) {
        let taken_off = self.entries().update(held.value().address, |list| {
            held.value().gone.store(true, Ordering::Relaxed);
            let at = list.iter().position(|other| other.is(held))?;
            Some(list.remove(at))
        });
        // The caller is an owner too, so this is never the last.
        drop(taken_off);
    }

    fn share(&self) -> Self {
        let shared = Self::new();
        shared.entries.get_or_init(|| Arc::clone(self.entries()));
        shared
    }
}
