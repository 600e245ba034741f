//! The map with weak keys and weak values, which can be asked from both sides.

use crate::map::map::Map;
use crate::map::store::death_listener::{CanNotify, Reaches, ReportsTo};
use crate::map::store::entry_ref::LiveEntry;
use crate::map::store::hook::RemovalCause;
use crate::map::store::reverse::{ByValue, Traced};
use crate::map::store::slot::{IsWeak, Slot, WeakSlot};
use crate::map::store::watching::Watching;
use crate::map::store::Store;
use crate::memory::hash::DefaultHashBuilder;
use crate::memory::panics::after;
use crate::pointer::keying::{ByEquality, Keying};
use crate::pointer::token::Token;
use crate::pointer::traits::{Pointer, SyncPointer};
use crate::sync::const_fn;
use std::hash::BuildHasher;

/// A map from pointers to pointers that keeps neither side alive: an entry goes when its key or its value
/// dies, whichever is first. [`Map`] describes its calls.
///
/// It can be asked from either side: [`get`](Map::get) by the key, [`get_by_value`](Map::get_by_value) by the
/// value, which is always compared by identity. Keys are compared by equality, or with `M` =
/// [`ByAddress`](crate::map::ByAddress) by identity too.
///
/// ```
/// use highlander::map::ByAddress;
/// use highlander::WeakKeyValueMap;
/// use std::sync::Arc;
///
/// struct Class(&'static str);
/// struct Wrapper { of: &'static str }
///
/// static WRAPPERS: WeakKeyValueMap<Arc<Class>, Arc<Wrapper>, ByAddress> = WeakKeyValueMap::new();
///
/// let class = Arc::new(Class("Object"));
/// let wrapper = WRAPPERS.get_or_insert_with(&class, |class| Arc::new(Wrapper { of: class.0 }));
/// assert_eq!(wrapper.of, "Object");
/// assert!(Arc::ptr_eq(&WRAPPERS.get(&class).unwrap(), &wrapper));
/// assert!(Arc::ptr_eq(&WRAPPERS.get_by_value(&wrapper).unwrap(), &class));
/// drop(wrapper);
/// assert!(WRAPPERS.get(&class).is_none());             // either side may go
/// ```
///
/// It does what the talk's `WeakKeyValueDictionary` was to do, and Guava's
/// `MapMaker().weakKeys().weakValues()`, Jython's map from classes to their wrappers. Value and key may each
/// own the other, which no map with one weak side survives without a leak.
///
/// The index by value follows that by key: an entry can be looked up by its value a moment later than by its
/// key, but before the call that enters it returns. One value may be entered under several keys.
///
/// The everyday calls, all of them at [`Map`] (and their `async` twins):
///
/// | call | returns |
/// |---|---|
/// | [`get(&q)`](Map::get) | `Option<Q>` |
/// | [`get_or_insert_with(&key, \|key\| …)`](Map::get_or_insert_with) | `Q`; the closure makes it, once |
/// | [`get_or_try_insert_with(&key, \|key\| …)`](Map::get_or_try_insert_with) | `Result<Q, CreateError<E>>` |
/// | [`entry(&key)`](Map::entry) | a creation with more to say: conditions, shared errors, circles, claims |
/// | [`insert(&key, q)`](Map::insert) | `Option<Q>`: the one that was there |
/// | [`try_insert(&key, q)`](Map::try_insert) | an error with both, if there is one |
/// | [`remove(&q)`](Map::remove) | `Option<Q>` |
/// | [`with(&q, \|q\| …)`](Map::with) | what the closure returns, without an owner or a clone |
/// | [`update(&key, \|q\| …)`](Map::update) | the new one, made of the old one |
/// | [`get_by_value(&q)`](WeakKeyValueMap::get_by_value) | `Option<P>`: its key |
/// | [`keys_of(&q)`](WeakKeyValueMap::keys_of) | all its keys |
/// | [`remove_by_value(&q)`](WeakKeyValueMap::remove_by_value) | `Vec<P>`: the keys of these entries |
/// | [`iter()`](Map::iter), [`for_each`](Map::for_each), [`retain`](Map::retain) | what is alive |
/// | [`clear()`](Map::clear), [`drain()`](Map::drain) | how many there were; all of them |
/// | [`close()`](Map::close) | what is alive; nothing is entered any more |
pub type WeakKeyValueMap<P, Q, M = ByEquality, S = DefaultHashBuilder> =
    Map<WeakSlot<P, M>, WeakSlot<Q, Traced>, S>;

impl<P, Q, M> WeakKeyValueMap<P, Q, M>
where
    P: Pointer,
    Q: Pointer,
    M: Keying<P>,
    (P::Death, Q::Death): ReportsTo<WeakSlot<P, M>, WeakSlot<Q, Traced>>,
{
    const_fn! {
        /// Creates an empty map, which allocates nothing before its first entry. Can be a `static`.
        ///
        /// Neither keys nor values need be `Send` or `Sync`, unless a pointer reports its death, as a
        /// [`Watched`](crate::pointer::Watched) does: that happens on any thread.
        pub const fn new() -> Self {
            Self::with_hasher(DefaultHashBuilder)
        }
    }

    /// Creates an empty map with room for `capacity` entries before its table grows.
    ///
    /// # Panics
    /// With "capacity overflow", when no table can have that size (beyond 2³² entries or so).
    pub fn with_capacity(capacity: usize) -> Self {
        let map = Self::new();
        map.reserve(capacity);
        map
    }
}

impl<P, Q, M, S> WeakKeyValueMap<P, Q, M, S>
where
    P: Pointer,
    Q: Pointer,
    M: Keying<P>,
    (P::Death, Q::Death): ReportsTo<WeakSlot<P, M>, WeakSlot<Q, Traced>>,
{
    const_fn! {
        /// Creates an empty map that hashes with `hasher`.
        pub const fn with_hasher(hasher: S) -> Self {
            Self {
                store: Store::new(ByValue::new(), <(P::Death, Q::Death)>::REACH),
                hasher,
            }
        }
    }
}

impl<P: SyncPointer, Q: SyncPointer, M: Keying<P>> WeakKeyValueMap<P, Q, M> {
    const_fn! {
        /// Creates an empty map as [`new`](Self::new) does, for code that is generic over its pointers, where
        /// the compiler does not know whether these report their death.
        pub const fn new_sync() -> Self {
            Self {
                store: Store::new(ByValue::new(), CanNotify::all()),
                hasher: DefaultHashBuilder,
            }
        }
    }
}

impl<P, Q, M, S> Default for WeakKeyValueMap<P, Q, M, S>
where
    P: Pointer,
    Q: Pointer,
    M: Keying<P>,
    S: Default,
    (P::Death, Q::Death): ReportsTo<WeakSlot<P, M>, WeakSlot<Q, Traced>>,
{
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<P: Pointer + 'static, Q: Pointer + 'static, M: Keying<P>, S> WeakKeyValueMap<P, Q, M, S> {
    /// Returns the key under which this very value is entered. Of several that are alive, returns the one
    /// that was entered last. An entry that another thread is entering is found by its key a moment earlier
    /// than by its value. One that another thread is taking out is found by its value a moment longer.
    ///
    /// *Runs* `identity_hash` and `same` of values and `upgrade` of keys, no `Hash` and no `Eq`. *Waiting:*
    /// for calls that enter or take out a value in the same part of the reverse index, a few instructions
    /// long.
    ///
    /// ```
    /// use highlander::map::ByAddress;
    /// use highlander::WeakKeyValueMap;
    /// use std::sync::Arc;
    ///
    /// let map: WeakKeyValueMap<Arc<str>, Arc<u32>, ByAddress> = WeakKeyValueMap::new();
    /// let (class, alias): (Arc<str>, Arc<str>) = ("class".into(), "alias".into());
    /// let wrapper = Arc::new(1);
    /// map.insert(&class, wrapper.clone());
    /// map.insert(&alias, wrapper.clone());
    /// assert_eq!(map.get_by_value(&wrapper).as_deref(), Some("alias"));
    /// assert_eq!(map.keys_of(&wrapper), [alias.clone(), class.clone()]);
    /// assert_eq!(map.remove_by_value(&wrapper).len(), 2);
    /// assert!(map.is_empty());
    /// ```
    pub fn get_by_value(&self, value: &Q) -> Option<P> {
        let mut before = usize::MAX;
        while let Some((entry, place)) = self.store.reverse.entry_of(value, before) {
            if let Some(key) = entry.key().live() {
                return after(entry, Some(key));
            }
            self.store.saw_lost(&entry);
            before = place;
        }
        None
    }

    /// Returns all live keys under which this very value is entered, the newest first. For entries that
    /// others enter or take out meanwhile, see [`get_by_value`](Self::get_by_value).
    pub fn keys_of(&self, value: &Q) -> Vec<P> {
        let mut keys = Vec::new();
        for entry in self.store.reverse.entries_of(value) {
            match entry.key().live() {
                Some(key) => keys.push(key),
                None => {
                    self.store.saw_lost(&entry);
                }
            }
        }
        keys
    }

    /// Takes out the entries that hold this very value. Returns those of their keys that are alive. For
    /// entries that others enter or take out meanwhile, see [`get_by_value`](Self::get_by_value).
    pub fn remove_by_value(&self, value: &Q) -> Vec<P> {
        let mut keys = Vec::new();
        for entry in self.store.reverse.entries_of(value) {
            let key = entry.key().live();
            let is_dead = key.is_none() && entry.is_dead();
            let cause = match is_dead {
                true => RemovalCause::Dead,
                false => RemovalCause::Removed,
            };
            if self.store.take_out(&entry, cause) {
                keys.extend(key);
            }
        }
        keys
    }
}

impl<P: SyncPointer, Q: SyncPointer, M: Keying<P>, S: BuildHasher> WeakKeyValueMap<P, Q, M, S> {
    /// Enters a value as [`insert`](Self::insert) does, for sides that carry a [`Token`]. `key_token` and
    /// `value_token` return the tokens, or `None` for a side that has none. The entry goes when one of the
    /// tokens is dropped, which is when that side is dropped.
    ///
    /// *Runs* both too, with no lock held, and `key_token` again if the entry changes meanwhile. If one of
    /// them panics, nothing is entered.
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
    /// wrappers.insert_with_tokens(&class, wrapper.clone(), |class| Some(&class.0), |it| Some(&it.0));
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
        let hash = M::hash(&self.hasher, key);
        let watching = |token: Option<&Token>| {
            let bind = |token: &Token| token.bind(self.store.notify_prompt(hash));
            Watching::by(token.map(bind))
        };
        let value_watching = watching(value_token(Q::target(&value)));
        let value = WeakSlot::new_watched(value, value_watching);
        let watch = |key: &P| watching(key_token(P::target(key)));
        let displaced = self.store.insert_keyed(hash, key, value, watch);
        after(key_token, displaced.map(LiveEntry::into_owner))
    }
}
