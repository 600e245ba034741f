//! One entry of a map: looking it up, entering, replacing and removing it.

use crate::create::error::{InFlight, OccupiedError, ReplaceError};
use crate::map::map::Map;
use crate::map::store::entry_ref::LiveEntry;
use crate::map::store::keyed::NotEntered;
use crate::map::store::reverse::ValueSlot;
use crate::map::store::slot::{HashedKey, Lookup, Slot};
use crate::map::store::watching::Watching;
use crate::memory::panics::after;
use crate::pointer::traits::Pointer;
use crate::table::batch::Batch;
use std::hash::BuildHasher;

impl<A: HashedKey + 'static, B: ValueSlot + 'static, S: BuildHasher> Map<A, B, S> {
    /// Returns the live value of this key. A dead one counts as none, and is taken out.
    ///
    /// A kept key may be borrowed in any form that is [`Equivalent`](crate::Equivalent) to it and hashes
    /// alike. A weak key is asked for by its target, or by what is equivalent to that: `&*arc`, or a `&str`
    /// for an `Arc<str>`. With [`ByAddress`](crate::map::ByAddress) it is asked for by the pointer itself.
    ///
    /// *Runs* `Hash` and `Equivalent` of the query, `upgrade` of what is weak, and `clone` of a kept value.
    /// *Waiting:* none on a hit, unless the key is one of very many with the same hash; a miss may wait for a
    /// writer of its bucket, a few instructions long. *Complexity:* constant on average.
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
    pub fn get<Q>(&self, key: &Q) -> Option<B::Value>
    where
        Q: ?Sized,
        A: Lookup<Q>,
        B::Value: Clone,
    {
        self.store
            .get_asked_with(&self.hasher, key, Slot::live_owner)
    }

    /// Iterates over the live values of these keys in order. For each it does what [`get`](Self::get) does,
    /// when the iterator comes to it.
    ///
    /// For large maps: of sixteen keys at a time, the memory that has to be read is fetched together.
    ///
    /// ```
    /// let map: highlander::StrongMap<u32, char> = [(1, 'a'), (2, 'b')].into_iter().collect();
    /// assert!(map.get_many(&[2, 3, 1]).eq([Some('b'), None, Some('a')]));
    /// ```
    pub fn get_many<'q, Q, I>(
        &self,
        keys: I,
    ) -> impl Iterator<Item = Option<B::Value>> + use<'_, 'q, A, B, S, Q, I>
    where
        Q: ?Sized + 'q,
        I: IntoIterator<Item = &'q Q>,
        A: Lookup<Q>,
        B::Value: Clone,
    {
        Batch::new(
            &self.store.table,
            keys.into_iter(),
            |key: &&Q| A::hash_asked(&self.hasher, *key),
            |hash| self.store.touch_value(hash),
            |hash, key: &Q| {
                self.store
                    .get_with_or_draft(hash, |stored| stored.is_asked(key), Slot::live_owner)
            },
        )
    }

    /// Calls `view` with the live value of this key, and returns its result. Returns none, and does not call
    /// `view`, if there is no such value. So a kept value need not be `Clone`.
    ///
    /// *Runs* `view` with no lock held: it may use the map. The value stays until it returns, whatever
    /// becomes of the entry.
    ///
    /// ```
    /// use highlander::StrongMap;
    /// use std::sync::Mutex;
    ///
    /// let logs: StrongMap<&str, Mutex<Vec<u32>>> = StrongMap::new();
    /// logs.entry("disk").and_view(|log| log.lock().unwrap().push(7)).or_default();
    /// assert_eq!(logs.with("disk", |log| log.lock().unwrap().len()), Some(1));
    /// ```
    #[inline]
    pub fn with<Q, R>(&self, key: &Q, view: impl FnOnce(&B::Value) -> R) -> Option<R>
    where
        Q: ?Sized,
        A: Lookup<Q>,
    {
        let live_entry = self.store.get_asked(&self.hasher, key)?;
        let seen = view(live_entry.value());
        Some(after(live_entry, seen))
    }

    /// Returns the live value of this key, with the key that is stored.
    ///
    /// ```
    /// use highlander::WeakKeyMap;
    /// use std::sync::Arc;
    ///
    /// let sizes: WeakKeyMap<Arc<str>, usize> = WeakKeyMap::new();
    /// let word: Arc<str> = "word".into();
    /// sizes.insert(&word, 4);
    /// let (key, size) = sizes.get_key_value("word").unwrap();
    /// assert!(Arc::ptr_eq(&key, &word) && size == 4);
    /// ```
    pub fn get_key_value<Q>(&self, key: &Q) -> Option<(A::Key, B::Value)>
    where
        Q: ?Sized,
        A: Lookup<Q>,
        A::Key: Clone,
        B::Value: Clone,
    {
        self.store.get_asked(&self.hasher, key)?.into_owners()
    }

    /// Returns whether this key has a live value at some moment during the call.
    ///
    /// It owns a weak value for that moment. So if the last other owner goes just then, the value is dropped
    /// here.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// let map = WeakValueMap::new();
    /// let value = Arc::new(1);
    /// map.insert("k", value.clone());
    /// assert!(map.contains_key("k"));
    /// drop(value);
    /// assert!(!map.contains_key("k"));
    /// ```
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: ?Sized,
        A: Lookup<Q>,
    {
        let is_live = |value: &B| value.live().map(drop);
        let seen = self.store.get_asked_with(&self.hasher, key, is_live);
        seen.is_some()
    }

    /// Returns the live value of this key, as [`get`](Self::get) does, or an error if the value is being
    /// created.
    ///
    /// # Errors
    /// [`InFlight`] when there is none yet, and another call is creating it.
    ///
    /// ```
    /// use highlander::error::InFlight;
    /// use highlander::StrongMap;
    ///
    /// static SIZES: StrongMap<&str, usize> = StrongMap::new();
    ///
    /// assert_eq!(SIZES.try_get("a"), Ok(None));
    /// let vacancy = SIZES.entry("a").claim().vacant().unwrap();
    /// assert_eq!(SIZES.try_get("a"), Err(InFlight));
    /// vacancy.fill(1);
    /// assert_eq!(SIZES.try_get("a"), Ok(Some(1)));
    /// ```
    pub fn try_get<Q>(&self, key: &Q) -> Result<Option<B::Value>, InFlight>
    where
        Q: ?Sized,
        A: Lookup<Q>,
        B::Value: Clone,
    {
        self.store
            .try_get_asked_with(&self.hasher, key, Slot::live_owner)
    }

    /// Enters a value, and returns the live one that it replaces, if there is one. Owners of that one keep
    /// it. An equal weak key that is stored already stays; a kept key comes with its value.
    ///
    /// *Waiting:* for writers of the key's bucket, a few instructions long; not for a creation of the key
    /// under way, whose callers then get this value. *Runs* `downgrade`, `Hash` and `Eq`, the hook,
    /// destructors of what has died, and `clone` and destructor of a kept value that was replaced.
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
    #[track_caller]
    pub fn insert(&self, key: A::Given<'_>, value: B::Value) -> Option<B::Value>
    where
        B::Value: Clone,
    {
        self.enter(key, value).map(LiveEntry::into_owner)
    }

    /// Enters a value, unless the key has a live one, and returns it. Guava calls this `putIfAbsent`, CPython
    /// `setdefault`.
    ///
    /// # Errors
    /// [`OccupiedError`] with the live value, or without one when the map is closed. Key and value come back
    /// in it.
    ///
    /// ```
    /// use highlander::StrongMap;
    ///
    /// let map = StrongMap::new();
    /// assert_eq!(map.try_insert("k", 1).unwrap(), 1);
    /// let error = map.try_insert("k", 2).unwrap_err();
    /// assert_eq!((error.existing, error.key, error.value), (Some(1), "k", 2));
    /// ```
    pub fn try_insert(
        &self,
        key: A::Given<'_>,
        value: B::Value,
    ) -> Result<B::Value, OccupiedError<A::Key, B::Value>>
    where
        B::Value: Clone,
    {
        let hash = A::hash(&self.hasher, A::key(&key));
        match self.store.try_insert_keyed(hash, key, value) {
            Ok(entered) => Ok(entered.into_owner()),
            Err(refused) => {
                let NotEntered {
                    given,
                    value,
                    existing,
                } = refused;
                let key = A::into_key(given);
                let existing = existing.map(LiveEntry::into_owner);
                Err(OccupiedError {
                    existing,
                    key,
                    value,
                })
            }
        }
    }

    /// Replaces this very `old` by `new`, if `old` is the value of this key, and returns the old one. Values
    /// are compared by identity, so they have to be pointers.
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
    /// assert!(map.compare_exchange("k", &equal, Arc::new(2)).is_err());      // equal, but not the one
    /// let new = Arc::new(2);
    /// assert!(map.compare_exchange("k", &old, new.clone()).is_ok());
    /// assert_eq!(map.get("k"), Some(new));
    /// ```
    pub fn compare_exchange(
        &self,
        key: A::Given<'_>,
        old: &B::Value,
        new: B::Value,
    ) -> Result<B::Value, ReplaceError<B::Value>>
    where
        B::Value: Pointer,
    {
        let hash = A::hash(&self.hasher, A::key(&key));
        let is_old = |value: &B::Value| B::Value::same(value, old);
        match self.store.replace_keyed(hash, key, new, is_old) {
            Ok(displaced) => Ok(displaced.into_owner()),
            Err(NotEntered {
                given,
                value,
                existing,
            }) => Err(after((given, existing), ReplaceError { value })),
        }
    }

    /// Changes the entry of a key as `f` says: `f` gets the live value or none, and returns the new value or
    /// none. Returns the value that is entered then. If `f` returns the weak value that is there already, the
    /// entry stays: that is no replacement. Java calls this `compute`, and with `old?` first,
    /// `computeIfPresent`.
    ///
    /// *Runs* `f` with no lock held, again if the entry changes meanwhile.
    ///
    /// # Panics
    /// When there is to be a new value and the map is closed.
    ///
    /// ```
    /// use highlander::StrongMap;
    ///
    /// let uses = StrongMap::new();
    /// uses.update("sword", |n| Some(n.map_or(1, |n| n + 1)));
    /// assert_eq!(uses.update("sword", |n| Some(n.map_or(1, |n| n + 1))), Some(2));
    /// assert_eq!(uses.update("sword", |_| None), None);
    /// assert!(uses.is_empty());
    /// ```
    #[track_caller]
    pub fn update(
        &self,
        key: A::Given<'_>,
        f: impl FnMut(Option<&B::Value>) -> Option<B::Value>,
    ) -> Option<B::Value>
    where
        B::Value: Clone,
    {
        let hash = A::hash(&self.hasher, A::key(&key));
        let entered = self.store.update_keyed(hash, key, f);
        entered.map(LiveEntry::into_owner)
    }

    /// Takes out the live value of this key and returns it. Its owners keep it.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// let map = WeakValueMap::new();
    /// let value = Arc::new(1);
    /// map.insert("k", value.clone());
    /// assert!(Arc::ptr_eq(&map.remove("k").unwrap(), &value));
    /// assert!(map.remove("k").is_none());
    /// ```
    pub fn remove<Q>(&self, key: &Q) -> Option<B::Value>
    where
        Q: ?Sized,
        A: Lookup<Q>,
        B::Value: Clone,
    {
        self.remove_if(key, |_, _| true)
    }

    /// Takes out the live value of this key if `condition` holds for it, and returns it.
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
    pub fn remove_if<Q>(
        &self,
        key: &Q,
        condition: impl FnMut(&A::Key, &B::Value) -> bool,
    ) -> Option<B::Value>
    where
        Q: ?Sized,
        A: Lookup<Q>,
        B::Value: Clone,
    {
        let removed = self.store.remove_asked(&self.hasher, key, condition)?;
        Some(removed.into_owner())
    }

    /// Takes out the entry of this key if it is dead, and drops its key before it returns. Returns whether
    /// this call has taken something out. That may be the dead entry of another key with the same 64 bits of
    /// hash.
    ///
    /// *Runs* `Hash` of what is asked for, `is_dead` of weak keys and values, destructors of the other side,
    /// and the hook.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// let map: WeakValueMap<String, Arc<u32>> = WeakValueMap::new();
    /// let session = map.get_or_insert_with("secret".into(), |_| Arc::new(1));
    /// assert!(!map.prune_key("secret"));           // it is alive
    /// drop(session);
    /// assert!(map.prune_key("secret"));
    /// assert_eq!(map.entry_count(), 0);
    /// ```
    pub fn prune_key<Q>(&self, key: &Q) -> bool
    where
        Q: ?Sized,
        A: Lookup<Q>,
    {
        self.store.prune_of(A::hash_asked(&self.hasher, key)) > 0
    }

    /// Takes out this very value, if it is the value of this key. Returns whether this call has. Values are
    /// compared by identity, so they have to be pointers.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// let map = WeakValueMap::new();
    /// let (first, second) = (Arc::new(1), Arc::new(2));
    /// map.insert("k", first.clone());
    /// map.insert("k", second.clone());
    /// assert!(!map.remove_same("k", &first));     // somebody else has taken its place
    /// assert!(map.remove_same("k", &second));
    /// ```
    pub fn remove_same<Q>(&self, key: &Q, value: &B::Value) -> bool
    where
        Q: ?Sized,
        A: Lookup<Q>,
        B::Value: Pointer,
    {
        let is_same = |_: &A::Key, live: &B::Value| B::Value::same(live, value);
        let removed = self.store.remove_asked(&self.hasher, key, is_same);
        removed.is_some()
    }

    /// Takes out the live entry of this key, calls `view` with its value, and returns the result: for kept
    /// values that cannot be cloned. Returns none, and does not call `view`, if there was no such entry or
    /// another call has taken it out first.
    ///
    /// *Runs* `view` with no lock held, when the entry is out.
    ///
    /// ```
    /// use highlander::WeakKeyMap;
    /// use std::sync::{Arc, Mutex};
    ///
    /// let logs: WeakKeyMap<Arc<str>, Mutex<Vec<u32>>> = WeakKeyMap::new();
    /// let disk: Arc<str> = "disk".into();
    /// logs.entry(&disk).and_view(|log| log.lock().unwrap().push(7)).or_default();
    /// let log = logs.remove_with("disk", |log| std::mem::take(&mut *log.lock().unwrap()));
    /// assert_eq!(log, Some(vec![7]));
    /// assert!(logs.is_empty());
    /// ```
    pub fn remove_with<Q, R>(&self, key: &Q, view: impl FnOnce(&B::Value) -> R) -> Option<R>
    where
        Q: ?Sized,
        A: Lookup<Q>,
    {
        let removed = self.store.remove_asked(&self.hasher, key, |_, _| true)?;
        let seen = view(removed.value());
        Some(after(removed, seen))
    }

    /// Enters a value as `insert` does, and returns the entry that it replaces: its value need not be cloned.
    #[track_caller]
    pub(in crate::map) fn enter(
        &self,
        key: A::Given<'_>,
        value: B::Value,
    ) -> Option<LiveEntry<A, B>> {
        let hash = A::hash(&self.hasher, A::key(&key));
        let unwatched = |_: &A::Key| Watching::NOT;
        self.store.insert_keyed(hash, key, B::new(value), unwatched)
    }
}
