//! One entry of a map with weak keys and weak values: looking it up by its key, entering, replacing and removing it.

use super::WeakKeyValueMap;
use crate::create::error::{ClosedError, InsertError, ReplaceError};
use crate::map::store::entry_ref::Landed;
use crate::map::store::reverse::Traced;
use crate::map::store::slot::{Slot, Watching};
use crate::memory::panics::after;
#[allow(unused_imports)] // for the documentation
use crate::pointer::keying::ByEquality;
use crate::pointer::keying::{Asked, Keying};
use crate::pointer::token::Token;
use crate::pointer::traits::{Pointer, SyncPointer, WeakPointer};
use std::hash::BuildHasher;

impl<P: Pointer, Q: Pointer, M: Keying<P>, S: BuildHasher> WeakKeyValueMap<P, Q, M, S> {
    /// The live value of this key. A dead one counts as none, and is taken out.
    ///
    /// With [`ByEquality`] the key is anything that is [`Equivalent`](crate::Equivalent) to the keys' target and hashes alike, such as a
    /// reference to the target itself; with [`ByAddress`](crate::map::ByAddress) it is the pointer.
    ///
    /// *Runs* `Hash` and `Equivalent` of the query, `upgrade` of stored keys with the same hash and of the value. *Waiting:* none on a
    /// hit, unless the key is one of very many with the same hash; a miss may wait for a writer of its bucket, a few instructions long.
    /// *Complexity:* constant on average.
    #[inline]
    pub fn get<A: ?Sized>(&self, key: &A) -> Option<Q>
    where
        M: Asked<P, A>,
    {
        self.inner.view(key, Slot::live)
    }

    /// The live value of this key, with the key that is stored.
    pub fn get_key_value<A: ?Sized>(&self, key: &A) -> Option<(P, Q)>
    where
        M: Asked<P, A>,
    {
        let landed = self.inner.find(key)?;
        Some((landed.held.key().0.upgrade()?, landed.into_live()))
    }

    /// Whether this key has a live value at some moment during the call.
    pub fn contains_key<A: ?Sized>(&self, key: &A) -> bool
    where
        M: Asked<P, A>,
    {
        self.get(key).is_some()
    }

    /// Enters a value, in the place of the live one if there is one, which comes back. An equal key that is stored already stays.
    ///
    /// # Panics
    /// When the map is closed.
    pub fn insert(&self, key: &P, value: Q) -> Option<Q> {
        match self.inner.insert(key, Traced::new(&value)) {
            Ok(displaced) => after(value, displaced.map(Landed::into_live)),
            Err(_) => ClosedError::new().panic(),
        }
    }

    /// Enters a value, unless the key has a live one. Guava calls it `putIfAbsent`, CPython `setdefault`.
    ///
    /// # Errors
    /// [`InsertError`] with the live value, or when the map is closed; key and value come back in it.
    pub fn try_insert(&self, key: &P, value: Q) -> Result<(), InsertError<P, Q>> {
        let result = self.inner.try_insert(key, Traced::new(&value));
        result.map_err(|refused| InsertError {
            existing: refused.existing.map(Landed::into_live),
            key: key.clone(),
            value: after(refused.parts, value),
        })
    }

    /// Puts a value in the place of the live one of this key, which comes back.
    ///
    /// # Errors
    /// [`ReplaceError`] with the value, if there is no live one, or the map is closed.
    pub fn replace(&self, key: &P, value: Q) -> Result<Q, ReplaceError<Q>> {
        match self.inner.replace_if(key, Traced::new(&value), |_| true) {
            Ok(displaced) => Ok(after(value, displaced.into_live())),
            Err(refused) => Err(after(refused, ReplaceError { value })),
        }
    }

    /// Puts `new` in the place of this very `old`, if that is the value of this key.
    ///
    /// # Errors
    /// [`ReplaceError`] with `new`, if the key has another value or none, or the map is closed.
    pub fn replace_if(&self, key: &P, old: &Q, new: Q) -> Result<(), ReplaceError<Q>> {
        let is_old = |landed: &Landed<_, Traced<Q>>| Q::address(&landed.live) == Q::address(old);
        match self.inner.replace_if(key, Traced::new(&new), is_old) {
            Ok(_) => Ok(()),
            Err(refused) => Err(after(refused, ReplaceError { value: new })),
        }
    }

    /// Changes the entry of a key as `f` says, which gets the live value or none and returns the new value or none. Returns the
    /// value that is entered then. The value that is there already stays as it is: that is no replacement.
    ///
    /// *Runs* `f` with no lock held, again if the entry changes meanwhile.
    ///
    /// # Panics
    /// When there is to be a new value and the map is closed.
    pub fn update(&self, key: &P, mut f: impl FnMut(Option<&Q>) -> Option<Q>) -> Option<Q> {
        let changed = self.inner.update(key, |landed| {
            let old = landed.map(|landed| &landed.live);
            let new = f(old)?;
            let same = old.is_some_and(|old| Q::address(old) == Q::address(&new));
            Some(((!same).then(|| Traced::new(&new)), new))
        });
        let new = changed.unwrap_or_else(|closed| closed.panic());
        after(f, new)
    }

    /// Takes out the live value of this key and returns it. Its owners keep it.
    pub fn remove<A: ?Sized>(&self, key: &A) -> Option<Q>
    where
        M: Asked<P, A>,
    {
        self.remove_if(key, |_, _| true)
    }

    /// Takes out the live value of this key if `condition` holds for it, and returns it.
    ///
    /// *Runs* `condition` with no lock held, more than once if the entry changes meanwhile.
    pub fn remove_if<A: ?Sized>(
        &self,
        key: &A,
        mut condition: impl FnMut(&P, &Q) -> bool,
    ) -> Option<Q>
    where
        M: Asked<P, A>,
    {
        let is_wanted = |key: &P, landed: &Landed<_, Traced<Q>>| condition(key, &landed.live);
        let removed = self.inner.remove_if(key, is_wanted);
        after(condition, removed.map(Landed::into_live))
    }

    /// A new map with the live entries of both; where both have a key, with the other's value.
    pub fn union(&self, other: &Self) -> Self
    where
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
    pub fn extend_with(&self, other: &Self) {
        other.for_each(|key, value| drop(self.insert(key, value.clone())));
    }
}

impl<P: SyncPointer, Q: SyncPointer, M: Keying<P>, S: BuildHasher> WeakKeyValueMap<P, Q, M, S> {
    /// As [`insert`](Self::insert), for sides that carry a [`Token`]: `key_token` and `value_token` show them, `None` for a side that has none. The entry goes when
    /// one of the tokens is dropped, which is when that side is.
    ///
    /// *Runs* both too, with no lock held, `key_token` again if the entry changes meanwhile; if one panics, nothing is entered.
    ///
    /// # Panics
    /// When the map is closed.
    ///
    /// ```
    /// use highlander::map::ByAddress;
    /// use highlander::pointer::Token;
    /// use highlander::WeakKeyValueMap;
    /// use std::sync::Arc;
    ///
    /// struct Class(Token);
    /// struct Wrapper(Token);
    ///
    /// let wrappers: WeakKeyValueMap<Arc<Class>, Arc<Wrapper>, ByAddress> = WeakKeyValueMap::new();
    /// let class = Arc::new(Class(Token::new()));
    /// let wrapper = Arc::new(Wrapper(Token::new()));
    /// wrappers.insert_with_tokens(&class, wrapper.clone(), |class| Some(&class.0), |wrapper| Some(&wrapper.0));
    /// drop(class);
    /// assert_eq!(wrappers.entry_count(), 0);
    /// assert_eq!(Token::entry_count(&wrapper.0), 0);
    /// ```
    pub fn insert_with_tokens(
        &self,
        key: &P,
        value: Q,
        key_token: impl for<'a> Fn(&'a P::Target) -> Option<&'a Token>,
        value_token: impl for<'a> FnOnce(&'a Q::Target) -> Option<&'a Token>,
    ) -> Option<Q> {
        let hash = M::hash(self.hasher(), key);
        let watching = |token: Option<&Token>| {
            let bind = |token: &Token| token.bind(self.inner.store.notify_prompt(hash));
            Watching::by(token.map(bind))
        };
        let side = Traced::watched(&value, watching(value_token(Q::target(&value))));
        let watch = |key: &P| watching(key_token(P::target(key)));
        match self.inner.insert_watched(hash, key, side, watch) {
            Ok(displaced) => after((key_token, value), displaced.map(Landed::into_live)),
            Err(_) => ClosedError::new().panic(),
        }
    }
}
