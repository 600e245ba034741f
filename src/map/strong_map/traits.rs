//! What a strong map has in common with other collections: copying, comparing, filling, showing, iterating.

use super::{Key, StrongMap, Value};
use crate::map::store::entry_ref::EntryRef;
use crate::memory::panics::after;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::panic::{RefUnwindSafe, UnwindSafe};

impl<K, V, S> Clone for StrongMap<K, V, S>
where
    K: Hash + Eq + Clone + 'static,
    V: Clone + 'static,
    S: BuildHasher + Clone,
{
    /// A new map with clones of the entries. Hook, counters and other settings are not copied.
    fn clone(&self) -> Self {
        let copy = Self::with_hasher(self.hasher.clone());
        copy.extend_with(self);
        copy
    }
}

impl<K, V, S> PartialEq for StrongMap<K, V, S>
where
    K: Hash + Eq + 'static,
    V: PartialEq + 'static,
    S: BuildHasher,
{
    /// Whether both have the same keys with equal values. Taken at no single moment.
    fn eq(&self, other: &Self) -> bool {
        let mut len = 0;
        let mut equal = true;
        self.for_each(|key, value| {
            len += 1;
            equal = equal && other.with(key, |theirs| theirs == value) == Some(true);
        });
        equal && other.len() == len
    }
}

impl<K: 'static, V: 'static, S: Default> Default for StrongMap<K, V, S> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<K, V, S> FromIterator<(K, V)> for StrongMap<K, V, S>
where
    K: Hash + Eq + 'static,
    V: 'static,
    S: BuildHasher + Default,
{
    /// The later of two with the same key wins.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

impl<K: Hash + Eq + 'static, V: 'static, S: BuildHasher> Extend<(K, V)> for StrongMap<K, V, S> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        (&*self).extend(entries);
    }
}

impl<K: Hash + Eq + 'static, V: 'static, S: BuildHasher> Extend<(K, V)> for &StrongMap<K, V, S> {
    /// Enters all, each in the place of one with the same key. If the iterator panics, what came before stays.
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.enter(key, value);
        }
    }
}

impl<K: fmt::Debug + 'static, V: fmt::Debug + 'static, S> fmt::Debug for StrongMap<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        self.for_each(|key, value| {
            map.entry(key, value);
        });
        map.finish()
    }
}

impl<K: Clone + 'static, V: Clone + 'static, S> IntoIterator for &StrongMap<K, V, S> {
    type Item = (K, V);
    type IntoIter = StrongIter<K, V>;

    fn into_iter(self) -> StrongIter<K, V> {
        self.iter()
    }
}

/// The entries of a [`StrongMap`], from [`StrongMap::iter`].
pub struct StrongIter<K: 'static, V: 'static> {
    entries: std::vec::IntoIter<EntryRef<Key<K>, Value<V>>>,
}

impl<K: 'static, V: 'static> StrongIter<K, V> {
    pub(super) fn new(entries: Vec<EntryRef<Key<K>, Value<V>>>) -> Self {
        Self {
            entries: entries.into_iter(),
        }
    }
}

impl<K: Clone + 'static, V: Clone + 'static> Iterator for StrongIter<K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        let held = self.entries.next()?;
        let entry = (held.key().0.clone(), held.value().0.clone());
        Some(after(held, entry))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl<K: Clone + 'static, V: Clone + 'static> ExactSizeIterator for StrongIter<K, V> {}

impl<K: Clone + 'static, V: Clone + 'static> std::iter::FusedIterator for StrongIter<K, V> {}

impl<K: 'static, V: 'static> fmt::Debug for StrongIter<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StrongIter")
            .field("left", &self.entries.len())
            .finish()
    }
}

// Why: see the head of `memory::panics`.
impl<K: 'static + UnwindSafe + RefUnwindSafe, V: 'static + UnwindSafe + RefUnwindSafe> UnwindSafe
    for StrongIter<K, V>
{
}
impl<K: 'static + UnwindSafe + RefUnwindSafe, V: 'static + UnwindSafe + RefUnwindSafe> RefUnwindSafe
    for StrongIter<K, V>
{
}
impl<K: 'static, V: 'static> Unpin for StrongIter<K, V> {}
