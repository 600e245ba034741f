//! What a map with weak values has in common with other collections: copying, comparing, filling, showing, iterating.

use super::{Key, Value, WeakValueMap};
use crate::map::store::iter::Walk;
use crate::map::store::slot::Slot;
use crate::memory::hash::hash_key;
use crate::pointer::traits::{Pointer, SyncPointer};
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::panic::{RefUnwindSafe, UnwindSafe};

impl<K: Hash + Eq + Clone + 'static, P: Pointer, S: BuildHasher + Clone> Clone
    for WeakValueMap<K, P, S>
{
    /// A new map with the entries that are alive. Hook, counters and other settings are not copied.
    fn clone(&self) -> Self {
        let copy = Self::made(self.hasher.clone(), self.store.reach);
        copy.extend_with(self);
        copy
    }
}

impl<K: Hash + Eq + 'static, P: Pointer + PartialEq, S: BuildHasher> PartialEq
    for WeakValueMap<K, P, S>
{
    /// Whether both have the same live keys with equal values. Taken at no single moment.
    ///
    /// Values are compared as `P` says: two `Arc`s are equal if what they lead to is.
    ///
    /// *Runs* `Hash` and `Eq` of keys and `PartialEq` of values, with no lock held. It is no look-up: the statistics do not count it as one.
    fn eq(&self, other: &Self) -> bool {
        let mut len = 0;
        for ((), mine) in self.store.living() {
            let key = &mine.held.key().0;
            let hash = hash_key(&other.hasher, key);
            let theirs = other.store.peek(hash, |stored| *key == stored.0);
            if !theirs.is_some_and(|theirs| theirs.live == mine.live) {
                return false;
            }
            len += 1;
        }
        other.len() == len
    }
}

impl<K: Hash + Eq + 'static, P: Pointer + Eq, S: BuildHasher> Eq for WeakValueMap<K, P, S> {}

impl<K: Send + Sync + 'static, P: SyncPointer, S: Default> Default for WeakValueMap<K, P, S> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<K: Hash + Eq + Send + Sync + 'static, P: SyncPointer, S: BuildHasher + Default>
    FromIterator<(K, P)> for WeakValueMap<K, P, S>
{
    /// The later of two with the same key wins. Values that nobody else owns are dead at the end.
    fn from_iter<I: IntoIterator<Item = (K, P)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

impl<K: Hash + Eq + 'static, P: Pointer, S: BuildHasher> Extend<(K, P)> for WeakValueMap<K, P, S> {
    fn extend<I: IntoIterator<Item = (K, P)>>(&mut self, entries: I) {
        (&*self).extend(entries);
    }
}

impl<K: Hash + Eq + 'static, P: Pointer, S: BuildHasher> Extend<(K, P)> for &WeakValueMap<K, P, S> {
    /// Enters all, each in the place of a live one with the same key. If the iterator panics, what came before stays.
    fn extend<I: IntoIterator<Item = (K, P)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: fmt::Debug + 'static, P: Pointer + fmt::Debug, S> fmt::Debug for WeakValueMap<K, P, S> {
    /// The live entries only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        self.for_each(|key, value| {
            map.entry(key, value);
        });
        map.finish()
    }
}

impl<'a, K: Clone + 'static, P: Pointer, S> IntoIterator for &'a WeakValueMap<K, P, S> {
    type Item = (K, P);
    type IntoIter = WeakValueIter<'a, K, P>;

    fn into_iter(self) -> WeakValueIter<'a, K, P> {
        self.iter()
    }
}

/// The live entries of a [`WeakValueMap`], from [`WeakValueMap::iter`].
pub struct WeakValueIter<'a, K: 'static, P: Pointer> {
    entries: Walk<'a, Key<K>, Value<P>>,
}

impl<'a, K: 'static, P: Pointer> WeakValueIter<'a, K, P> {
    pub(super) fn new(entries: Walk<'a, Key<K>, Value<P>>) -> Self {
        Self { entries }
    }
}

impl<K: Clone + 'static, P: Pointer> Iterator for WeakValueIter<'_, K, P> {
    type Item = (K, P);

    fn next(&mut self) -> Option<(K, P)> {
        self.entries.next_that(|key, value| {
            let live = value.live()?;
            Some((key.0.clone(), live))
        })
    }
}

impl<K: Clone + 'static, P: Pointer> std::iter::FusedIterator for WeakValueIter<'_, K, P> {}

impl<K: 'static, P: Pointer> fmt::Debug for WeakValueIter<'_, K, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakValueIter").finish_non_exhaustive()
    }
}

// Why: see the head of `memory::panics`.
impl<K: 'static + UnwindSafe + RefUnwindSafe, P: Pointer + UnwindSafe + RefUnwindSafe> UnwindSafe
    for WeakValueIter<'_, K, P>
{
}
impl<K: 'static + UnwindSafe + RefUnwindSafe, P: Pointer + UnwindSafe + RefUnwindSafe> RefUnwindSafe
    for WeakValueIter<'_, K, P>
{
}
impl<K: 'static, P: Pointer> Unpin for WeakValueIter<'_, K, P> {}
