//! One entry of a map with weak keys: looking it up, entering, replacing and removing it.

use super::WeakKeyMap;
use crate::create::error::{ClosedError, InsertError, ReplaceError};
use crate::map::store::entry_ref::Landed;
use crate::map::store::slot::{OwnedSlot, Watching};
use crate::memory::panics::after;
#[allow(unused_imports)] // for the documentation
use crate::pointer::keying::ByEquality;
use crate::pointer::keying::{Asked, Keying};
use crate::pointer::token::Token;
use crate::pointer::traits::{Pointer, SyncPointer, WeakPointer};
use std::hash::BuildHasher;

impl<P: Pointer, V: 'static, M: Keying<P>, S: BuildHasher> WeakKeyMap<P, V, M, S> {
    /// A clone of the value of this key.
    ///
    /// With [`ByEquality`] the key is anything that is [`Equivalent`](crate::Equivalent) to the keys' target and hashes alike, such as a reference to the
    /// target itself; with [`ByAddress`](crate::map::ByAddress) it is the pointer.
    ///
    /// *Runs* `Hash` and `Equivalent` of the query, `upgrade` of stored keys with the same hash, and the value's `clone`. *Waiting:* none on a
    /// hit, unless the key is one of very many with the same hash; a miss may wait for a writer of its bucket, a few instructions long.
    /// *Complexity:* constant on average.
    pub fn get<Q: ?Sized>(&self, key: &Q) -> Option<V>
    where
        M: Asked<P, Q>,
        V: Clone,
    {
        self.with(key, V::clone)
    }

    /// What `view` makes of the value of this key; none if there is none, and then `view` is not called.
    ///
    /// *Runs* `view` with no lock held: it may use the map, and the value stays until it returns, whatever becomes of the key.
    ///
    /// ```
    /// use highlander::WeakKeyMap;
    /// use std::sync::{Arc, Mutex};
    ///
    /// let logs: WeakKeyMap<Arc<str>, Mutex<Vec<u32>>> = WeakKeyMap::new();
    /// let disk: Arc<str> = "disk".into();
    /// logs.insert_new(&disk, Mutex::default()).unwrap();
    /// logs.with("disk", |log| log.lock().unwrap().push(7));
    /// assert_eq!(logs.with("disk", |log| log.lock().unwrap().len()), Some(1));
    /// ```
    #[inline]
    pub fn with<Q: ?Sized, R>(&self, key: &Q, view: impl FnOnce(&V) -> R) -> Option<R>
    where
        M: Asked<P, Q>,
    {
        let mut view = Some(view);
        self.inner
            .view(key, |value| view.take().map(|view| view(&value.0)))
    }

    /// A clone of the value of this key, with the key that is stored.
    pub fn get_key_value<Q: ?Sized>(&self, key: &Q) -> Option<(P, V)>
    where
        M: Asked<P, Q>,
        V: Clone,
    {
        let landed = self.inner.find(key)?;
        let key = landed.held.key().0.upgrade()?;
        Some((key, landed.into_clone()))
    }

    /// Whether this key has an entry at some moment during the call.
    pub fn contains_key<Q: ?Sized>(&self, key: &Q) -> bool
    where
        M: Asked<P, Q>,
    {
        self.inner.view(key, |_| Some(())).is_some()
    }

    /// Enters a value, in the place of the one that is there, a clone of which comes back. An equal key that is stored already stays.
    ///
    /// # Panics
    /// When the map is closed.
    pub fn insert(&self, key: &P, value: V) -> Option<V>
    where
        V: Clone,
    {
        match self.inner.insert(key, OwnedSlot(value)) {
            Ok(displaced) => displaced.map(Landed::into_clone),
            Err(_) => ClosedError::new().panic(),
        }
    }

    /// Enters a value, unless the key has one; as [`try_insert`](Self::try_insert), for values that cannot be cloned.
    ///
    /// # Errors
    /// The value comes back, if there is one, or the map is closed.
    pub fn insert_new(&self, key: &P, value: V) -> Result<(), V> {
        let refused = self.inner.try_insert(key, OwnedSlot(value));
        refused.map_err(|refused| {
            let (key, value) = refused.parts;
            after((key, refused.existing), value.0)
        })
    }

    /// Enters a value, unless the key has one. Guava calls it `putIfAbsent`, CPython `setdefault`.
    ///
    /// # Errors
    /// [`InsertError`] with a clone of the value that is there, or when the map is closed; key and value come back in it.
    pub fn try_insert(&self, key: &P, value: V) -> Result<(), InsertError<P, V>>
    where
        V: Clone,
    {
        self.inner
            .try_insert(key, OwnedSlot(value))
            .map_err(|refused| {
                let (existing, key) = (refused.existing_value(), key.clone());
                let (weak, value) = refused.into_parts();
                let error = InsertError {
                    existing,
                    key,
                    value,
                };
                after(weak, error)
            })
    }

    /// Puts a value in the place of the one of this key, a clone of which comes back.
    ///
    /// # Errors
    /// [`ReplaceError`] with the value, if there is none, or the map is closed.
    pub fn replace(&self, key: &P, value: V) -> Result<V, ReplaceError<V>>
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
    pub fn replace_if(
        &self,
        key: &P,
        value: V,
        mut condition: impl FnMut(&V) -> bool,
    ) -> Result<V, ReplaceError<V>>
    where
        V: Clone,
    {
        let is_wanted = |landed: &Landed<_, OwnedSlot<V>>| condition(landed.value());
        let replaced = match self.inner.replace_if(key, OwnedSlot(value), is_wanted) {
            Ok(displaced) => Ok(displaced.into_clone()),
            Err(refused) => Err(refused.into_unreplaced()),
        };
        after(condition, replaced)
    }

    /// Changes the entry of a key as `f` says, which gets the value or none and returns the new value or none. Returns a clone of the
    /// value that is entered then.
    ///
    /// *Runs* `f` with no lock held, again if the entry changes meanwhile.
    ///
    /// # Panics
    /// When there is to be a new value and the map is closed.
    ///
    /// ```
    /// use highlander::WeakKeyMap;
    /// use std::sync::Arc;
    ///
    /// let uses: WeakKeyMap<Arc<str>, u32> = WeakKeyMap::new();
    /// let word: Arc<str> = "sword".into();
    /// uses.update(&word, |n| Some(n.map_or(1, |n| n + 1)));
    /// uses.update(&word, |n| Some(n.map_or(1, |n| n + 1)));
    /// assert_eq!(uses.get("sword"), Some(2));
    /// ```
    pub fn update(&self, key: &P, mut f: impl FnMut(Option<&V>) -> Option<V>) -> Option<V>
    where
        V: Clone,
    {
        let changed = self.inner.update(key, |landed| {
            let new = f(landed.map(|landed| landed.value()))?;
            Some((Some(OwnedSlot(new.clone())), new))
        });
        let new = changed.unwrap_or_else(|closed| closed.panic());
        after(f, new)
    }

    /// Takes out the entry of this key, and returns a clone of its value.
    pub fn remove<Q: ?Sized>(&self, key: &Q) -> Option<V>
    where
        M: Asked<P, Q>,
        V: Clone,
    {
        self.remove_if(key, |_, _| true)
    }

    /// Takes out the entry of this key if `condition` holds for it, and returns a clone of its value.
    ///
    /// *Runs* `condition` with no lock held, more than once if the entry changes meanwhile.
    pub fn remove_if<Q: ?Sized>(
        &self,
        key: &Q,
        mut condition: impl FnMut(&P, &V) -> bool,
    ) -> Option<V>
    where
        M: Asked<P, Q>,
        V: Clone,
    {
        let is_wanted = |key: &P, landed: &Landed<_, OwnedSlot<V>>| condition(key, landed.value());
        let removed = self.inner.remove_if(key, is_wanted);
        after(condition, removed.map(Landed::into_clone))
    }

    /// Takes out the entry of this key, and returns what `view` makes of its value: for values that cannot be cloned. None if there was none, or another call
    /// has taken it out first; then `view` is not called.
    ///
    /// *Runs* `view` with no lock held, when the entry is out.
    ///
    /// ```
    /// use highlander::WeakKeyMap;
    /// use std::sync::{Arc, Mutex};
    ///
    /// let logs: WeakKeyMap<Arc<str>, Mutex<Vec<u32>>> = WeakKeyMap::new();
    /// let disk: Arc<str> = "disk".into();
    /// logs.insert_new(&disk, Mutex::new(vec![7])).unwrap();
    /// let log = logs.remove_with("disk", |log| std::mem::take(&mut *log.lock().unwrap()));
    /// assert_eq!(log, Some(vec![7]));
    /// assert!(logs.is_empty());
    /// ```
    pub fn remove_with<Q: ?Sized, R>(&self, key: &Q, view: impl FnOnce(&V) -> R) -> Option<R>
    where
        M: Asked<P, Q>,
    {
        let removed = self.inner.remove_if(key, |_, _| true)?;
        let seen = view(removed.value());
        Some(after(removed, seen))
    }

    /// A new map with the live entries of both; where both have a key, with the other's value.
    pub fn union(&self, other: &Self) -> Self
    where
        V: Clone,
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
        V: Clone,
    {
        other.for_each(|key, value| drop(self.insert(key, value.clone())));
    }
}

impl<P, V, M, S> WeakKeyMap<P, V, M, S>
where
    P: SyncPointer,
    V: Send + Sync + 'static,
    M: Keying<P>,
    S: BuildHasher,
{
    /// As [`insert`](Self::insert), for keys that carry a [`Token`], which `token` shows: the entry goes, and its value with it, when the token of the stored
    /// key is dropped, which is when that key is.
    ///
    /// The other ways in (`update`, `replace`, `insert`) keep the token of a key that is there already.
    ///
    /// *Runs* `token` too, with no lock held, again if the entry changes meanwhile; if it panics, nothing is entered.
    ///
    /// # Panics
    /// When the map is closed.
    ///
    /// ```
    /// use highlander::map::ByAddress;
    /// use highlander::pointer::Token;
    /// use highlander::WeakKeyMap;
    /// use std::sync::Arc;
    ///
    /// struct Class { token: Token }
    ///
    /// let notes: WeakKeyMap<Arc<Class>, String, ByAddress> = WeakKeyMap::new();
    /// let class = Arc::new(Class { token: Token::new() });
    /// notes.insert_with_token(&class, "a note".to_string(), |class| &class.token);
    /// drop(class);
    /// assert_eq!(notes.entry_count(), 0);         // the note has been dropped
    /// ```
    pub fn insert_with_token(
        &self,
        key: &P,
        value: V,
        token: impl for<'a> Fn(&'a P::Target) -> &'a Token,
    ) -> Option<V>
    where
        V: Clone,
    {
        let hash = M::hash(self.hasher(), key);
        let watch = |key: &P| {
            let notify = self.inner.store.notify_prompt(hash);
            Watching::by(Some(token(P::target(key)).bind(notify)))
        };
        match self
            .inner
            .insert_watched(hash, key, OwnedSlot(value), watch)
        {
            Ok(displaced) => after(token, displaced.map(Landed::into_clone)),
            Err(_) => ClosedError::new().panic(),
        }
    }
}
