//! One entry of a strong map: looking it up, entering, replacing and removing it.

use super::{Key, StrongMap, Value};
use crate::create::error::{ClosedError, InsertError, ReplaceError};
use crate::map::store::entry_ref::Landed;
use crate::map::store::slot::OwnedSlot;
use crate::memory::hash::hash_key;
use crate::memory::panics::after;
use equivalent::Equivalent;
use std::hash::{BuildHasher, Hash};

impl<K: Hash + Eq + 'static, V: 'static, S: BuildHasher> StrongMap<K, V, S> {
    #[inline]
    fn find<Q>(&self, key: &Q) -> Option<Landed<Key<K>, Value<V>>>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let hash = hash_key(&self.hasher, key);
        self.store
            .find_or_draft(hash, |stored| key.equivalent(&stored.0))
    }

    /// A clone of the value of this key.
    ///
    /// The key may be borrowed in any form that is [`Equivalent`] to `K` and hashes alike.
    ///
    /// *Runs* `Hash` and `Equivalent` of the query, and the value's `clone`. *Waiting:* none on a hit, unless the key is one of very many with the
    /// same hash; a miss may wait for a writer of its bucket, a few instructions long. *Complexity:* constant on average.
    ///
    /// ```
    /// use highlander::StrongMap;
    ///
    /// let map: StrongMap<String, u32> = StrongMap::new();
    /// map.insert("Ramírez".to_string(), 1541);
    /// assert_eq!(map.get("Ramírez"), Some(1541));
    /// assert_eq!(map.get("Kurgan"), None);
    /// ```
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        Q: ?Sized + Hash + Equivalent<K>,
        V: Clone,
    {
        self.with(key, V::clone)
    }

    /// What `view` makes of the value of this key; none if there is none, and then `view` is not called.
    ///
    /// *Runs* `view` with no lock held: it may use the map, and the value stays until it returns, whatever becomes of the entry.
    ///
    /// ```
    /// use highlander::StrongMap;
    /// use std::sync::Mutex;
    ///
    /// let logs: StrongMap<&str, Mutex<Vec<u32>>> = StrongMap::new();
    /// logs.insert_new("disk", Mutex::default()).unwrap();
    /// logs.with("disk", |log| log.lock().unwrap().push(7));
    /// assert_eq!(logs.with("disk", |log| log.lock().unwrap().len()), Some(1));
    /// ```
    #[inline]
    pub fn with<Q, R>(&self, key: &Q, view: impl FnOnce(&V) -> R) -> Option<R>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let mut view = Some(view);
        let hash = hash_key(&self.hasher, key);
        self.store
            .see_keyed(hash, key, |value| view.take().map(|view| view(&value.0)))
    }

    /// Clones of the value of this key and of the key that is stored.
    pub fn get_key_value<Q>(&self, key: &Q) -> Option<(K, V)>
    where
        Q: ?Sized + Hash + Equivalent<K>,
        K: Clone,
        V: Clone,
    {
        let landed = self.find(key)?;
        Some((landed.held.key().0.clone(), landed.into_clone()))
    }

    /// Whether this key has an entry at some moment during the call.
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        self.find(key).is_some()
    }

    /// Enters a value, in the place of the one that is there, a clone of which comes back.
    ///
    /// *Waiting:* for writers of the key's bucket, a few instructions long; not for a creation of the key under way, whose callers
    /// then get this value. *Runs* `Hash` and `Eq`, the hook, and the old value's `clone` and destructor.
    ///
    /// # Panics
    /// When the map is closed.
    ///
    /// ```
    /// let map = highlander::StrongMap::new();
    /// assert_eq!(map.insert(1, "old"), None);
    /// assert_eq!(map.insert(1, "new"), Some("old"));
    /// assert_eq!(map.get(&1), Some("new"));
    /// ```
    pub fn insert(&self, key: K, value: V) -> Option<V>
    where
        V: Clone,
    {
        self.enter(key, value).map(Landed::into_clone)
    }

    /// As `insert`; what had to make way comes back as it is.
    pub(super) fn enter(&self, key: K, value: V) -> Option<Landed<Key<K>, Value<V>>> {
        let hash = hash_key(&self.hasher, &key);
        match self.store.insert_keyed(hash, key, OwnedSlot(value)) {
            Ok(displaced) => displaced,
            Err(_) => ClosedError::new().panic(),
        }
    }

    /// Enters a value, unless the key has one; as [`try_insert`](Self::try_insert), for values that cannot be cloned.
    ///
    /// # Errors
    /// Key and value come back, if there is one, or the map is closed.
    pub fn insert_new(&self, key: K, value: V) -> Result<(), (K, V)> {
        let hash = hash_key(&self.hasher, &key);
        let entered = self.store.try_insert_keyed(hash, key, OwnedSlot(value));
        entered.map_err(|refused| {
            let (key, value) = refused.parts;
            after(refused.existing, (key.0, value.0))
        })
    }

    /// Enters a value, unless the key has one. Guava calls it `putIfAbsent`, CPython `setdefault`.
    ///
    /// # Errors
    /// [`InsertError`] with a clone of the value that is there, or when the map is closed; key and value come back in it.
    pub fn try_insert(&self, key: K, value: V) -> Result<(), InsertError<K, V>>
    where
        V: Clone,
    {
        let hash = hash_key(&self.hasher, &key);
        let entered = self.store.try_insert_keyed(hash, key, OwnedSlot(value));
        entered.map_err(|refused| {
            let existing = refused.existing_value();
            let (key, value) = refused.into_parts();
            InsertError {
                existing,
                key: key.0,
                value,
            }
        })
    }

    /// Puts a value in the place of the one of this key, a clone of which comes back.
    ///
    /// # Errors
    /// [`ReplaceError`] with the value, if there is none, or the map is closed.
    pub fn replace(&self, key: K, value: V) -> Result<V, ReplaceError<V>>
    where
        V: Clone,
    {
        self.replace_if(key, value, |_| true)
    }

    /// As [`replace`](Self::replace), if `condition` holds for the value that is there.
    ///
    /// *Runs* `condition` with no lock held, more than once if the entry changes meanwhile.
    ///
    /// # Errors
    /// [`ReplaceError`] with the new value, if there is none that fulfils the condition, or the map is closed.
    ///
    /// ```
    /// let map = highlander::StrongMap::new();
    /// map.insert("k", 1);
    /// // Guava's `replace(key, old, new)`.
    /// assert_eq!(map.replace_if("k", 2, |old| *old == 1).unwrap(), 1);
    /// assert!(map.replace_if("k", 3, |old| *old == 1).is_err());
    /// assert_eq!(map.get("k"), Some(2));
    /// ```
    pub fn replace_if(
        &self,
        key: K,
        value: V,
        mut condition: impl FnMut(&V) -> bool,
    ) -> Result<V, ReplaceError<V>>
    where
        V: Clone,
    {
        let hash = hash_key(&self.hasher, &key);
        let is_wanted = |landed: &Landed<_, Value<V>>| condition(landed.value());
        let replaced = match self
            .store
            .replace_keyed(hash, key, OwnedSlot(value), is_wanted)
        {
            Ok(displaced) => Ok(displaced.into_clone()),
            Err(refused) => Err(refused.into_unreplaced()),
        };
        after(condition, replaced)
    }

    /// Changes the entry of a key as `f` says, which gets the value or none and returns the new value or none. Returns a clone of the
    /// value that is entered then. Java calls it `compute`, and with `old?` first, `computeIfPresent`.
    ///
    /// *Runs* `f` with no lock held, again if the entry changes meanwhile.
    ///
    /// # Panics
    /// When there is to be a new value and the map is closed.
    ///
    /// ```
    /// let uses = highlander::StrongMap::new();
    /// uses.update("sword", |n| Some(n.map_or(1, |n| n + 1)));
    /// assert_eq!(uses.update("sword", |n| Some(n.map_or(1, |n| n + 1))), Some(2));
    /// assert_eq!(uses.update("sword", |_| None), None);
    /// assert!(uses.is_empty());
    /// ```
    pub fn update(&self, key: K, mut f: impl FnMut(Option<&V>) -> Option<V>) -> Option<V>
    where
        V: Clone,
    {
        let hash = hash_key(&self.hasher, &key);
        let changed = self.store.update_keyed(hash, key, |landed| {
            let new = f(landed.map(Landed::value))?;
            Some((Some(OwnedSlot(new.clone())), new))
        });
        let new = changed.unwrap_or_else(|closed| closed.panic());
        after(f, new)
    }

    /// Takes out the entry of this key, and returns a clone of its value.
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        Q: ?Sized + Hash + Equivalent<K>,
        V: Clone,
    {
        self.remove_if(key, |_, _| true)
    }

    /// Takes out the entry of this key if `condition` holds for it, and returns a clone of its value.
    ///
    /// *Runs* `condition` with no lock held, more than once if the entry changes meanwhile.
    ///
    /// ```
    /// let map = highlander::StrongMap::new();
    /// map.insert("k", 1);
    /// // Guava's `remove(key, value)`.
    /// assert_eq!(map.remove_if("k", |_, value| *value == 2), None);
    /// assert_eq!(map.remove_if("k", |_, value| *value == 1), Some(1));
    /// ```
    pub fn remove_if<Q>(&self, key: &Q, mut condition: impl FnMut(&K, &V) -> bool) -> Option<V>
    where
        Q: ?Sized + Hash + Equivalent<K>,
        V: Clone,
    {
        let hash = hash_key(&self.hasher, key);
        let is_wanted = |key: &K, landed: &Landed<_, Value<V>>| condition(key, landed.value());
        let removed = self.store.remove_keyed(hash, key, is_wanted);
        after(condition, removed.map(Landed::into_clone))
    }

    /// A new map with the entries of both; where both have a key, with the other's value.
    pub fn union(&self, other: &Self) -> Self
    where
        K: Clone,
        V: Clone,
        S: Clone,
    {
        let union = self.clone();
        union.extend_with(other);
        union
    }

    /// Enters the entries of another map, in the place of those with the same key.
    ///
    /// # Panics
    /// When this map is closed; what has been entered by then stays.
    pub fn extend_with(&self, other: &Self)
    where
        K: Clone,
        V: Clone,
    {
        other.for_each(|key, value| drop(self.enter(key.clone(), value.clone())));
    }
}
