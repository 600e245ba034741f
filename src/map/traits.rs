//! The traits that a map has in common with other collections: copying, comparing, filling, showing,
//! iterating.

use crate::map::iter::Iter;
use crate::map::map::Map;
use crate::map::store::reverse::Reverse;
use crate::map::store::reverse::ValueSlot;
use crate::map::store::slot::{HashedKey, KeySlot};
use crate::map::store::Store;
use std::fmt;
use std::hash::BuildHasher;

impl<A, B, S> Clone for Map<A, B, S>
where
    A: HashedKey + 'static,
    A::Key: Clone,
    B: ValueSlot + 'static,
    B::Value: Clone,
    S: BuildHasher + Clone,
{
    /// Creates a new map with the entries that are alive. Hook, counters and other settings are not copied.
    fn clone(&self) -> Self {
        let copy = Self {
            store: Store::new(B::Index::nothing(), self.store.can_notify),
            hasher: self.hasher.clone(),
        };
        (&copy).extend(self);
        copy
    }
}

impl<A, B, S> PartialEq for Map<A, B, S>
where
    A: HashedKey + 'static,
    B: ValueSlot + 'static,
    B::Value: PartialEq,
    S: BuildHasher,
{
    /// Returns whether both have the same live keys, compared as the map compares them, with equal values.
    /// The entries are not compared all at one moment.
    ///
    /// Values are compared as their type says: two `Arc`s are equal if their targets are equal.
    ///
    /// *Runs* `Hash` and `Eq` of keys and `PartialEq` of values, with no lock held. It is no look-up: the
    /// statistics do not count it as one.
    fn eq(&self, other: &Self) -> bool {
        let other = (&other.store, &other.hasher);
        self.store.equals(other, |mine, theirs| mine == theirs)
    }
}

impl<A, B, S> Eq for Map<A, B, S>
where
    A: HashedKey + 'static,
    B: ValueSlot + 'static,
    B::Value: Eq,
    S: BuildHasher,
{
}

impl<A, B, S> FromIterator<(A::Key, B::Value)> for Map<A, B, S>
where
    A: HashedKey + 'static,
    B: ValueSlot + 'static,
    S: BuildHasher,
    Self: Default,
{
    /// Creates a map of these entries. Of two with the same key the later one stays. A weak key or value that
    /// nobody else owns is dead at the end.
    fn from_iter<I: IntoIterator<Item = (A::Key, B::Value)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

impl<A, B, S> Extend<(A::Key, B::Value)> for Map<A, B, S>
where
    A: HashedKey + 'static,
    B: ValueSlot + 'static,
    S: BuildHasher,
{
    fn extend<I: IntoIterator<Item = (A::Key, B::Value)>>(&mut self, entries: I) {
        (&*self).extend(entries);
    }
}

impl<A, B, S> Extend<(A::Key, B::Value)> for &Map<A, B, S>
where
    A: HashedKey + 'static,
    B: ValueSlot + 'static,
    S: BuildHasher,
{
    /// Enters all entries. Each replaces a live one with the same key. If the iterator panics, the entries
    /// that came before stay.
    ///
    /// ```
    /// use highlander::StrongMap;
    ///
    /// let one: StrongMap<_, _> = [(1, 'a'), (2, 'b')].into_iter().collect();
    /// let other: StrongMap<_, _> = [(2, 'c')].into_iter().collect();
    /// (&one).extend(&other);
    /// assert_eq!(one, [(1, 'a'), (2, 'c')].into_iter().collect());
    /// ```
    ///
    /// # Panics
    /// When the map is closed. The entries that came before stay.
    fn extend<I: IntoIterator<Item = (A::Key, B::Value)>>(&mut self, entries: I) {
        for (key, value) in entries {
            A::give(key, |key| drop(self.enter(key, value)));
        }
    }
}

impl<A, B, S> fmt::Debug for Map<A, B, S>
where
    A: KeySlot,
    A::Key: fmt::Debug,
    B: ValueSlot,
    B::Value: fmt::Debug,
{
    /// Shows the live entries only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        self.for_each(|key, value| {
            map.entry(key, value);
        });
        map.finish()
    }
}

impl<'a, A, B, S> IntoIterator for &'a Map<A, B, S>
where
    A: KeySlot + 'static,
    A::Key: Clone,
    B: ValueSlot + 'static,
    B::Value: Clone,
{
    type Item = (A::Key, B::Value);
    type IntoIter = Iter<'a, A, B>;

    fn into_iter(self) -> Iter<'a, A, B> {
        self.iter()
    }
}
