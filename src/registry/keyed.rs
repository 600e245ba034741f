//! The calls of a registry for one entry: look up, enter, replace, remove.

use super::Registry;
use crate::create::error::{ClosedError, OccupiedError, ReplaceError};
use crate::deadlock::frames;
use crate::memory::hash::hash_key;
use crate::memory::panics::after;
use crate::registry::handle::Handle;
use crate::registry::node::RegistryNode;
use crate::table::batch::Batch;
use crate::table::node_ref::{NodeRef, UnlinkedNode};
use crate::table::payload::Halves;
use crate::table::stats::Count;
use crate::table::Rejected;
use equivalent::Equivalent;
use std::hash::{BuildHasher, Hash};

impl<K: Hash + Eq, V, S: BuildHasher> Registry<K, V, S> {
    /// Returns the live value of this key.
    ///
    /// The key may be borrowed in any form that is [`Equivalent`] to `K` and hashes alike: `&str` for
    /// `String`, or a struct of references for a struct of owned parts.
    ///
    /// *Runs* `Hash` and `Equivalent` of the query. *Waiting:* none on a hit, unless the key is one of very
    /// many with the same hash; a miss may wait for a writer of its bucket, a few instructions long.
    ///
    /// ```
    /// use highlander::Registry;
    ///
    /// let registry: Registry<String, u32> = Registry::new();
    /// let held = registry.get_or_insert_with("MacLeod".to_string(), |_| 1518);
    /// assert_eq!(registry.get("MacLeod").as_deref(), Some(&1518));
    /// assert!(registry.get("Kurgan").is_none());
    /// ```
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<Handle<K, V>>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        self.get_hashed(hash_key(&self.hasher, key), key)
    }

    #[inline(always)]
    fn get_hashed<Q>(&self, hash: u64, key: &Q) -> Option<Handle<K, V>>
    where
        Q: ?Sized + Equivalent<K>,
    {
        match self.look_up(hash, |other| key.equivalent(other)) {
            Some(node) => Some(Handle::new(node)),
            None => self.draft_of(hash, key),
        }
    }

    /// Returns the live values of these keys in order, as [`get`](Self::get) does for each, when the iterator
    /// comes to it.
    ///
    /// For large registries: of sixteen keys at a time, the memory that has to be read is fetched together.
    ///
    /// ```
    /// let registry: highlander::Registry<String, u32> = highlander::Registry::new();
    /// let held = registry.get_or_insert_with("MacLeod".to_string(), |_| 1518);
    /// assert!(registry.get_many(["MacLeod", "Kurgan"]).eq([Some(held), None]));
    /// ```
    pub fn get_many<'q, Q, I>(
        &self,
        keys: I,
    ) -> impl Iterator<Item = Option<Handle<K, V>>> + use<'_, 'q, K, V, S, Q, I>
    where
        Q: ?Sized + Hash + Equivalent<K> + 'q,
        I: IntoIterator<Item = &'q Q>,
    {
        Batch::new(
            &self.table,
            keys.into_iter(),
            |key: &&Q| hash_key(&self.hasher, *key),
            |_| (),
            |hash, key: &Q| self.get_hashed(hash, key),
        )
    }

    /// Returns what `view` makes of the live value of this key, or none without calling it.
    ///
    /// It owns the value until `view` has returned. *Runs* `view` with no lock held.
    ///
    /// ```
    /// use highlander::Registry;
    ///
    /// let registry: Registry<&str, Vec<u32>> = Registry::new();
    /// let _held = registry.get_or_insert_with("k", |_| vec![1, 2]);
    /// assert_eq!(registry.with("k", |list| list.len()), Some(2));
    /// ```
    #[inline]
    pub fn with<Q, R>(&self, key: &Q, view: impl FnOnce(&V) -> R) -> Option<R>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let handle = self.get(key)?;
        let seen = view(&handle);
        Some(after(handle, seen))
    }

    /// Returns the draft of this key, for the thread that is in the middle of making it.
    #[inline]
    pub(super) fn draft_of<Q>(&self, hash: u64, key: &Q) -> Option<Handle<K, V>>
    where
        Q: ?Sized + Equivalent<K>,
    {
        if !frames::is_inside_any() {
            return None;
        }
        let draft = self
            .flights
            .draft(hash, |seed| key.equivalent(seed.key()))?;
        Some(draft.handle)
    }

    /// Returns whether this key has a live value at some moment during the call.
    ///
    /// Owns the value for that moment, so if its last handle goes just then, it is dropped here.
    ///
    /// ```
    /// use highlander::Registry;
    ///
    /// static USERS: Registry<u32, String> = Registry::new();
    ///
    /// let user = USERS.get_or_insert_with(7, |_| "Duncan".into());
    /// assert!(USERS.contains_key(&7) && !USERS.contains_key(&8));
    /// drop(user);
    /// assert!(!USERS.contains_key(&7));
    /// ```
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        self.get(key).is_some()
    }

    /// Enters a value that exists already, unless the key has a live one.
    ///
    /// Does not wait for a creation under way: if this value comes first, the creator gets it too, and drops
    /// the one it has made.
    ///
    /// # Errors
    /// [`OccupiedError`] with the live value, or when the registry is closed; key and value come back in it.
    ///
    /// ```
    /// use highlander::Registry;
    ///
    /// let registry: Registry<u32, String> = Registry::new();
    /// let held = registry.try_insert(1, "first".into()).unwrap();
    /// let error = registry.try_insert(1, "second".into()).unwrap_err();
    /// assert_eq!(error.value, "second");
    /// assert_eq!(error.existing.as_deref(), Some(&"first".to_string()));
    /// ```
    pub fn try_insert(
        &self,
        key: K,
        value: V,
    ) -> Result<Handle<K, V>, OccupiedError<K, V, Handle<K, V>>> {
        let (hash, new) = self.prepare(key, value);
        self.enter(new, hash)
            .map_err(|Rejected { existing, rejected }| {
                let (key, value) = take_back(rejected);
                OccupiedError {
                    existing: existing.map(Handle::new),
                    key,
                    value,
                }
            })
    }

    /// Enters a value. A live one makes way, and comes back as the second part; its owners keep it.
    ///
    /// # Panics
    /// When the registry is closed.
    ///
    /// ```
    /// use highlander::{Handle, Registry};
    ///
    /// let registry: Registry<u32, &str> = Registry::new();
    /// let (old, none) = registry.insert(1, "old");
    /// assert!(none.is_none());
    /// let (new, displaced) = registry.insert(1, "new");
    /// assert!(Handle::ptr_eq(&displaced.unwrap(), &old));
    /// drop(old);                                  // a late drop does not touch its successor
    /// assert_eq!(*registry.get(&1).unwrap(), "new");
    /// ```
    #[track_caller]
    pub fn insert(&self, key: K, value: V) -> (Handle<K, V>, Option<Handle<K, V>>) {
        let (hash, mut new) = self.prepare(key, value);
        loop {
            let Rejected { existing, rejected } = match self.enter(new, hash) {
                Ok(entered) => return (entered, None),
                Err(rejected) => rejected,
            };
            let Some(existing) = existing else {
                drop(take_back(rejected));
                ClosedError::new().panic();
            };
            match self.put_in_place(&existing, rejected) {
                Ok(entered) => {
                    // Both were counted, and one of them is an entry.
                    self.table.add_live(-1);
                    return (entered, Some(Handle::new(existing)));
                }
                // Taken out or replaced by somebody else meanwhile.
                Err(rejected) => new = rejected,
            }
        }
    }

    /// Puts a new value in the place of this very one, if that is still entered. The key is cloned.
    ///
    /// # Errors
    /// [`ReplaceError`] with the new value, when the old one is not entered any more, or the registry is
    /// closed.
    ///
    /// ```
    /// use highlander::{Handle, Registry};
    ///
    /// let registry: Registry<u32, &str> = Registry::new();
    /// let (old, _) = registry.insert(1, "old");
    /// let new = registry.compare_exchange(&old, "new").unwrap();
    /// assert!(Handle::ptr_eq(&registry.get(&1).unwrap(), &new));
    /// assert!(registry.compare_exchange(&old, "late").is_err());
    /// ```
    pub fn compare_exchange(
        &self,
        old: &Handle<K, V>,
        value: V,
    ) -> Result<Handle<K, V>, ReplaceError<V>>
    where
        K: Clone,
    {
        let key = Handle::key(old).clone();
        let hash = old.node_ref().header().key_hash();
        let new = self.new_node(hash, key, value, 0);
        self.put_in_place(old.node_ref(), new).map_err(|rejected| {
            let (key, value) = take_back(rejected);
            after(key, ReplaceError { value })
        })
    }

    /// Changes the entry of a key as `f` says, which gets the live value or none and returns the new value or
    /// none. Returns what is entered then.
    ///
    /// *Runs* `f` with no lock held, again if the entry changes. Does not wait for a creation under way.
    ///
    /// # Panics
    /// When there is to be a new value and the registry is closed.
    ///
    /// ```
    /// use highlander::Registry;
    ///
    /// let versions: Registry<&str, u32> = Registry::new();
    /// let one = versions.update("k", |old| Some(old.map_or(1, |n| n + 1))).unwrap();
    /// let two = versions.update("k", |old| Some(old.map_or(1, |n| n + 1))).unwrap();
    /// assert_eq!((*one, *two), (1, 2));
    /// assert!(versions.update("k", |_| None).is_none());
    /// assert!(versions.is_empty());
    /// ```
    #[track_caller]
    pub fn update(
        &self,
        key: K,
        mut f: impl FnMut(Option<&V>) -> Option<V>,
    ) -> Option<Handle<K, V>> {
        let hash = hash_key(&self.hasher, &key);
        let mut key = key;
        loop {
            // Not by `get`: a draft is not entered.
            let old = self.table.get(hash, |other| key == *other).map(Handle::new);
            let Some(new) = f(old.as_deref()) else {
                match &old {
                    Some(old) if !self.remove_same(old) => continue,
                    _ => return after((f, key, old), None),
                }
            };
            let new = self.new_node(hash, key, new, isize::from(old.is_none()));
            let entered = match &old {
                Some(old) => self.put_in_place(old.node_ref(), new),
                None => {
                    let entered = self.enter(new, hash);
                    entered.map_err(|rejected| after(rejected.existing, rejected.rejected))
                }
            };
            let rejected = match entered {
                Ok(entered) => return Some(after((f, old), entered)),
                Err(rejected) => rejected,
            };
            let (given_back, value) = take_back(rejected);
            key = after((value, old), given_back);
            if self.is_closed() {
                drop((f, key));
                ClosedError::new().panic();
            }
        }
    }

    /// Takes out the live value of this key and returns it. Its owners keep it.
    ///
    /// ```
    /// use highlander::{Handle, Registry};
    ///
    /// let users: Registry<String, u32> = Registry::new();
    /// let user = users.get_or_insert_with("Duncan".into(), |_| 400);
    /// let removed = users.remove("Duncan").unwrap();      // still alive, and not found any more
    /// assert!(Handle::ptr_eq(&user, &removed) && users.get("Duncan").is_none());
    /// ```
    pub fn remove<Q>(&self, key: &Q) -> Option<Handle<K, V>>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        self.remove_if(key, |_, _| true)
    }

    /// Takes out the live value of this key if `condition` holds for it, and returns it.
    ///
    /// *Runs* `condition` with no lock held, more than once if the entry changes meanwhile.
    ///
    /// ```
    /// let ages = highlander::Registry::new();
    /// let _age = ages.get_or_insert_with("Duncan", |_| 400);
    /// assert!(ages.remove_if("Duncan", |_, age| *age < 100).is_none());
    /// assert!(ages.remove_if("Duncan", |_, age| *age > 100).is_some());
    /// ```
    pub fn remove_if<Q>(
        &self,
        key: &Q,
        mut condition: impl FnMut(&K, &V) -> bool,
    ) -> Option<Handle<K, V>>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let hash = hash_key(&self.hasher, key);
        // Another thread may take out or replace the one just found; then the present one is to be removed.
        loop {
            // Not by `get`: a draft is not entered, and so is not taken out.
            let handle = Handle::new(self.table.get(hash, |other| key.equivalent(other))?);
            if !condition(Handle::key(&handle), &handle) {
                return None;
            }
            if self.remove_same(&handle) {
                return Some(after(condition, handle));
            }
        }
    }

    /// Enters a new value, unless there is a live one, or the registry is closed.
    fn enter(
        &self,
        new: UnlinkedNode<RegistryNode<K, V>>,
        hash: u64,
    ) -> Result<Handle<K, V>, Rejected<RegistryNode<K, V>>> {
        let entered = self.table.insert(new, hash, |new, other| new == other)?;
        self.count(Count::Inserted);
        Ok(Handle::new(entered))
    }

    /// Puts a new value in the place of this very one, if that is still entered, and the registry not closed.
    fn put_in_place(
        &self,
        old: &NodeRef<RegistryNode<K, V>>,
        new: UnlinkedNode<RegistryNode<K, V>>,
    ) -> Result<Handle<K, V>, UnlinkedNode<RegistryNode<K, V>>> {
        let entered = self.table.replace(old, new)?;
        self.count(Count::Inserted);
        self.count(Count::Replaced);
        Ok(Handle::new(entered))
    }

    /// Makes a value to be entered, counted as an entry.
    fn prepare(&self, key: K, value: V) -> (u64, UnlinkedNode<RegistryNode<K, V>>) {
        let hash = hash_key(&self.hasher, &key);
        (hash, self.new_node(hash, key, value, 1))
    }

    fn new_node(
        &self,
        hash: u64,
        key: K,
        value: V,
        live: isize,
    ) -> UnlinkedNode<RegistryNode<K, V>> {
        let uninit = self.table.uninit_node(0, hash, live);
        // SAFETY: `uninit` has the node alone; key and value are written, then it is complete.
        unsafe {
            RegistryNode::<K, V>::write_key(uninit.node(), key);
            RegistryNode::<K, V>::value_place(uninit.node()).write(value);
            uninit.complete()
        }
    }
}

fn take_back<K, V>(new: UnlinkedNode<RegistryNode<K, V>>) -> (K, V) {
    // SAFETY: nobody watches what was never entered, and this moves out both.
    unsafe {
        new.take(|node| {
            let value = RegistryNode::<K, V>::value_place(node).read();
            (RegistryNode::<K, V>::take_key(node), value)
        })
    }
}
