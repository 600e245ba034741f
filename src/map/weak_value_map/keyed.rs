//! One entry of a map with weak values: looking it up, entering, replacing and removing it.

use super::{Key, Value, WeakValueMap};
use crate::create::error::{ClosedError, InsertError, ReplaceError};
use crate::map::store::entry_ref::Landed;
use crate::map::store::slot::{Slot, WeakSlot};
use crate::memory::hash::hash_key;
use crate::memory::panics::after;
use crate::pointer::traits::Pointer;
use equivalent::Equivalent;
use std::hash::{BuildHasher, Hash};

impl<K: Hash + Eq + 'static, P: Pointer, S: BuildHasher> WeakValueMap<K, P, S> {
    /// The live entry of this key.
    #[inline]
    fn find<Q>(&self, key: &Q) -> Option<Landed<Key<K>, Value<P>>>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let hash = hash_key(&self.hasher, key);
        self.store
            .find_or_draft(hash, |stored| key.equivalent(&stored.0))
    }

    /// The live value of this key. A dead one counts as none, and is taken out.
    ///
    /// The key may be borrowed in any form that is [`Equivalent`] to `K` and hashes alike.
    ///
    /// *Runs* `Hash` and `Equivalent` of the query, and `upgrade` of the value. *Waiting:* none on a hit, unless the key is one of very many with the
    /// same hash; a miss may wait for a writer of its bucket, a few instructions long. *Complexity:* constant on average.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// let map: WeakValueMap<String, Arc<u32>> = WeakValueMap::new();
    /// let held = map.get_or_insert_with("Ramírez".to_string(), |_| Arc::new(1541));
    /// assert_eq!(map.get("Ramírez"), Some(held));
    /// assert_eq!(map.get("Ramírez"), None);
    /// ```
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<P>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let hash = hash_key(&self.hasher, key);
        self.store.see_keyed(hash, key, Slot::live)
    }

    /// The live value of this key, with the key that is stored, cloned.
    pub fn get_key_value<Q>(&self, key: &Q) -> Option<(K, P)>
    where
        Q: ?Sized + Hash + Equivalent<K>,
        K: Clone,
    {
        let landed = self.find(key)?;
        Some((landed.held.key().0.clone(), landed.into_live()))
    }

    /// Whether this key has a live value at some moment during the call.
    ///
    /// Owns the value for that moment, so if its last owner goes just then, it is dropped here.
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        self.get(key).is_some()
    }

    /// Enters a value, in the place of the live one if there is one, which comes back. Owners of that keep it.
    ///
    /// *Waiting:* for writers of the key's bucket, a few instructions long; not for a creation of the key under way, whose callers
    /// then get this value. *Runs* `downgrade`, `Hash` and `Eq`, the hook, and destructors of keys of dead entries.
    ///
    /// # Panics
    /// When the map is closed.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// let map = WeakValueMap::new();
    /// let (old, new) = (Arc::new("old"), Arc::new("new"));
    /// assert_eq!(map.insert(1, old.clone()), None);
    /// assert_eq!(map.insert(1, new.clone()), Some(old.clone()));
    /// drop(old);                                  // a late drop does not touch its successor
    /// assert_eq!(map.get(&1), Some(new));
    /// ```
    pub fn insert(&self, key: K, value: P) -> Option<P> {
        let hash = hash_key(&self.hasher, &key);
        match self.store.insert_keyed(hash, key, WeakSlot::new(&value)) {
            Ok(displaced) => after(value, displaced.map(Landed::into_live)),
            Err(_) => ClosedError::new().panic(),
        }
    }

    /// Enters a value, unless the key has a live one. Guava calls it `putIfAbsent`, CPython `setdefault`.
    ///
    /// # Errors
    /// [`InsertError`] with the live value, or when the map is closed; key and value come back in it.
    pub fn try_insert(&self, key: K, value: P) -> Result<(), InsertError<K, P>> {
        let hash = hash_key(&self.hasher, &key);
        let entered = self
            .store
            .try_insert_keyed(hash, key, WeakSlot::new(&value));
        entered.map_err(|refused| {
            let (key, weak) = refused.parts;
            let existing = refused.existing.map(Landed::into_live);
            let error = InsertError {
                existing,
                key: key.0,
                value,
            };
            after(weak, error)
        })
    }

    /// Puts a value in the place of the live one of this key, which comes back.
    ///
    /// # Errors
    /// [`ReplaceError`] with the value, if there is no live one, or the map is closed.
    pub fn replace(&self, key: K, value: P) -> Result<P, ReplaceError<P>> {
        self.replace_where(key, value, |_| true)
    }

    /// Puts `new` in the place of this very `old`, if that is the value of this key.
    ///
    /// # Errors
    /// [`ReplaceError`] with `new`, if the key has another value or none, or the map is closed.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// let map = WeakValueMap::new();
    /// let (old, equal) = (Arc::new(1), Arc::new(1));
    /// map.insert("k", old.clone());
    /// assert!(map.replace_if("k", &equal, Arc::new(2)).is_err());      // equal, but not the one
    /// let new = Arc::new(2);
    /// assert!(map.replace_if("k", &old, new.clone()).is_ok());
    /// assert_eq!(map.get("k"), Some(new));
    /// ```
    pub fn replace_if(&self, key: K, old: &P, new: P) -> Result<(), ReplaceError<P>> {
        self.replace_where(key, new, |value| P::address(value) == P::address(old))
            .map(drop)
    }

    fn replace_where(
        &self,
        key: K,
        value: P,
        condition: impl Fn(&P) -> bool,
    ) -> Result<P, ReplaceError<P>> {
        let hash = hash_key(&self.hasher, &key);
        let condition = |landed: &Landed<_, Value<P>>| condition(&landed.live);
        let weak = WeakSlot::new(&value);
        match self.store.replace_keyed(hash, key, weak, condition) {
            Ok(displaced) => Ok(after(value, displaced.into_live())),
            Err(refused) => Err(after(refused, ReplaceError { value })),
        }
    }

    /// Changes the entry of a key as `f` says, which gets the live value or none and returns the new value or none. Returns the
    /// value that is entered then.
    ///
    /// *Runs* `f` with no lock held, again if the entry changes meanwhile.
    ///
    /// # Panics
    /// When there is to be a new value and the map is closed.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// let map: WeakValueMap<&str, Arc<u32>> = WeakValueMap::new();
    /// let one = map.update("k", |old| Some(Arc::new(old.map_or(1, |n| **n + 1)))).unwrap();
    /// let two = map.update("k", |old| Some(Arc::new(old.map_or(1, |n| **n + 1)))).unwrap();
    /// assert_eq!((*one, *two), (1, 2));
    /// assert!(map.update("k", |_| None).is_none());
    /// assert!(map.get("k").is_none());
    /// ```
    pub fn update(&self, key: K, mut f: impl FnMut(Option<&P>) -> Option<P>) -> Option<P> {
        let hash = hash_key(&self.hasher, &key);
        let changed = self.store.update_keyed(hash, key, |landed| {
            let old = landed.map(|landed| &landed.live);
            let new = f(old)?;
            // The very same one stays as it is.
            let enter = old.is_none_or(|old| P::address(old) != P::address(&new));
            Some((enter.then(|| WeakSlot::new(&new)), new))
        });
        let new = changed.unwrap_or_else(|closed| closed.panic());
        after(f, new)
    }

    /// Takes out the live value of this key and returns it. Its owners keep it.
    pub fn remove<Q>(&self, key: &Q) -> Option<P>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        self.remove_if(key, |_, _| true)
    }

    /// Takes out the live value of this key if `condition` holds for it, and returns it.
    ///
    /// *Runs* `condition` with no lock held, more than once if the entry changes meanwhile.
    pub fn remove_if<Q>(&self, key: &Q, mut condition: impl FnMut(&K, &P) -> bool) -> Option<P>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let hash = hash_key(&self.hasher, key);
        let is_wanted = |key: &K, landed: &Landed<_, Value<P>>| condition(key, &landed.live);
        let removed = self.store.remove_keyed(hash, key, is_wanted);
        after(condition, removed.map(Landed::into_live))
    }

    /// A new map with the live entries of both; where both have a key, with the other's value.
    ///
    /// Owners are not kept: what dies meanwhile is not in it.
    pub fn union(&self, other: &Self) -> Self
    where
        K: Clone,
        S: Clone,
    {
        let union = self.clone();
        union.extend_with(other);
        union
    }

    /// Enters the live entries of another map, in the place of those with the same key.
    ///
    /// # Panics
    /// When this map is closed; what has been entered by then stays.
    pub fn extend_with(&self, other: &Self)
    where
        K: Clone,
    {
        other.for_each(|key, value| drop(self.insert(key.clone(), value.clone())));
    }
}
