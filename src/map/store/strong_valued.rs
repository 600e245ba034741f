//! What the two maps with strong values have in common: these stay in their entries, which others may be looking at, and so are handed out as clones.

use crate::create::error::ReplaceError;
use crate::map::store::create::Made;
use crate::map::store::entry_ref::Landed;
use crate::map::store::slot::{OwnedSlot, Slot};
use crate::map::store::Refused;
use crate::memory::panics::after;

impl<A: Slot, V: 'static> Landed<A, OwnedSlot<V>> {
    /// The value, for as long as the entry is owned here.
    #[inline]
    pub(crate) fn value(&self) -> &V {
        &self.held.value().0
    }

    /// A clone of the value; the entry is let go.
    #[inline]
    pub(crate) fn into_clone(self) -> V
    where
        V: Clone,
    {
        let clone = self.value().clone();
        after(self, clone)
    }
}

impl<A: Slot, V: Clone + 'static> Refused<A, OwnedSlot<V>> {
    /// A clone of the value that is there; none if the store is closed.
    pub(crate) fn existing_value(&self) -> Option<V> {
        self.existing.as_ref().map(|landed| landed.value().clone())
    }

    /// The key and the value that were to be entered.
    pub(crate) fn into_parts(self) -> (A, V) {
        let (key, value) = self.parts;
        after(self.existing, (key, value.0))
    }

    /// The error of a replacement that did not come about.
    pub(crate) fn into_unreplaced(self) -> ReplaceError<V> {
        let (key, value) = self.into_parts();
        after(key, ReplaceError { value })
    }
}

/// What is entered; nothing else has to keep it alive.
pub(crate) fn kept<V: 'static>(value: V) -> Made<OwnedSlot<V>> {
    (OwnedSlot(value), ())
}
