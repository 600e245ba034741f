//! The map with weak keys: from objects that it does not keep alive to what is to be known about them.

use crate::error::{ClosedError, CycleError, InsertError, Refusal, ReplaceError};
use crate::hash::DefaultHashBuilder;
use crate::held::{Held, Landed};
use crate::hook::Cause;
use crate::inbox::Reach;
use crate::keying::{Asked, ByEquality, Keying};
use crate::pointer::{Pointer, SyncPointer, WeakPointer};
use crate::side::{Kept, Side, Watching, Weakly};
use crate::stats::Stats;
use crate::store::{Refused, Setup};
use crate::token::Token;
use crate::walk::Walk;
use crate::weak_keyed::WeakKeyed;
use std::fmt;
use std::hash::BuildHasher;

/// A map whose keys are pointers that it holds weakly: an entry, with its value, goes when its key dies.
///
/// Keys are compared by equality of what they lead to, or with `M` = [`ByAddress`](crate::ByAddress) by identity. The hash is taken
/// once, when a key is entered; a dead key equals nothing and is never hashed again.
///
/// ```
/// use highlander::WeakKeyMap;
/// use std::sync::Arc;
///
/// let sizes: WeakKeyMap<Arc<str>, usize> = WeakKeyMap::new();
/// let text: Arc<str> = "MacLeod".into();
/// assert_eq!(sizes.get_or_insert_with(&text, |text| text.len()), 7);
/// assert_eq!(sizes.get("MacLeod"), Some(7));           // by anything equivalent to the target
/// drop(text);
/// assert_eq!(sizes.get("MacLeod"), None);
/// assert!(sizes.is_empty());
/// ```
///
/// By identity, to attach something to an object of somebody else's, the object itself is what is asked for:
/// ```
/// use highlander::{ByAddress, WeakKeyMap};
/// use std::sync::Arc;
///
/// static NOTES: WeakKeyMap<Arc<Vec<u8>>, &str, ByAddress> = WeakKeyMap::new();
/// let (one, equal) = (Arc::new(vec![1]), Arc::new(vec![1]));
/// NOTES.insert(&one, "the one");
/// assert_eq!(NOTES.get(&one), Some("the one"));
/// assert_eq!(NOTES.get(&equal), None);
/// ```
///
/// It does what CPython's `WeakKeyDictionary` does, or with `ByAddress` Guava's `MapMaker().weakKeys()` and .NET's `ConditionalWeakTable`.
/// Of several equal keys the *first* stays in the map: when that one dies the entry goes, though an equal key lives.
///
/// A value that owns its own key, directly or through others, keeps the entry for ever, as in CPython and with Guava: give
/// it a weak pointer to the key, or put it into the key's object.
///
/// # Consistency
/// As for [`WeakValueMap`](crate::WeakValueMap): any operation from anywhere, no lock around user code, no guard that escapes. Values are handed
/// out as clones, taken from an entry that the call owns for that moment; [`get_with`](Self::get_with) shows them without cloning.
/// When a value dies depends on who looks at it: it is dropped by the call that takes the entry out, or by the last that is looking at it.
///
/// # Prompt entries
/// The entry of a key that reports its death, or that was entered [with its token](Self::insert_with_token), goes before the last owner's drop
/// returns; see [`WeakValueMap`](crate::WeakValueMap#prompt-entries). The value is dropped there too, unless somebody is looking at it. A key stays
/// watched when its entry gets another value.
///
/// # Dead entries
/// A plain `Arc` does not tell anybody when it dies. Its entry, *with the value*, stays for a while, invisible but to
/// [`entries`](Self::entries) and [`weak_keys`](Self::weak_keys), until an operation comes across it or a sweep takes it out; see
/// [`WeakValueMap`](crate::WeakValueMap#dead-entries) for how many there can be. [`prune`](Self::prune) takes out all.
pub struct WeakKeyMap<P: Pointer, V: 'static, M = ByEquality, S = DefaultHashBuilder> {
    inner: WeakKeyed<P, Kept<V>, M, S>,
}

impl<P: SyncPointer, V: Send + Sync + 'static, M> WeakKeyMap<P, V, M> {
    /// An empty map, which allocates nothing before its first entry. Can be a `static`. For one thread there is [`local`](Self::local).
    #[cfg(not(all(highlander_loom, feature = "loom")))]
    pub const fn new() -> Self {
        Self::with_hasher(DefaultHashBuilder)
    }

    /// An empty map. (Not `const` under the model checker.)
    #[cfg(all(highlander_loom, feature = "loom"))]
    pub fn new() -> Self {
        Self::with_hasher(DefaultHashBuilder)
    }
}

impl<P: Pointer, V: 'static, M> WeakKeyMap<P, V, M> {
    /// An empty map of what need not be `Send` and `Sync`, such as [`Rc`](std::rc::Rc). Nobody can tell it of a death, so it prunes, whatever the pointer.
    #[cfg(not(all(highlander_loom, feature = "loom")))]
    pub const fn local() -> Self {
        Self::local_with_hasher(DefaultHashBuilder)
    }

    /// An empty map of what need not be `Send` and `Sync`. (Not `const` under the model checker.)
    #[cfg(all(highlander_loom, feature = "loom"))]
    pub fn local() -> Self {
        Self::local_with_hasher(DefaultHashBuilder)
    }
}

impl<P: SyncPointer, V: Send + Sync + 'static, M, S> WeakKeyMap<P, V, M, S> {
    /// An empty map that hashes with `hasher`. For what else can be chosen there is [`MapMaker`](crate::MapMaker).
    #[cfg(not(all(highlander_loom, feature = "loom")))]
    pub const fn with_hasher(hasher: S) -> Self {
        Self::made(hasher, Reach::all())
    }

    /// An empty map that hashes with `hasher`. (Not `const` under the model checker.)
    #[cfg(all(highlander_loom, feature = "loom"))]
    pub fn with_hasher(hasher: S) -> Self {
        Self::made(hasher, Reach::all())
    }

    pub(crate) fn with_setup(setup: Setup<P::Weak>, hasher: S) -> Self {
        Self::made_with(setup, hasher, Reach::all())
    }
}

impl<P: Pointer, V: 'static, M, S> WeakKeyMap<P, V, M, S> {
    /// As [`local`](Self::local), with `hasher`.
    #[cfg(not(all(highlander_loom, feature = "loom")))]
    pub const fn local_with_hasher(hasher: S) -> Self {
        Self::made(hasher, Reach::NONE)
    }

    /// As [`local`](Self::local), with `hasher`. (Not `const` under the model checker.)
    #[cfg(all(highlander_loom, feature = "loom"))]
    pub fn local_with_hasher(hasher: S) -> Self {
        Self::made(hasher, Reach::NONE)
    }

    pub(crate) fn local_with_setup(setup: Setup<P::Weak>, hasher: S) -> Self {
        Self::made_with(setup, hasher, Reach::NONE)
    }

    #[cfg(not(all(highlander_loom, feature = "loom")))]
    const fn made(hasher: S, reach: Reach<Weakly<P>, Kept<V>, ()>) -> Self {
        Self {
            inner: WeakKeyed::new(hasher, (), reach),
        }
    }

    #[cfg(all(highlander_loom, feature = "loom"))]
    fn made(hasher: S, reach: Reach<Weakly<P>, Kept<V>, ()>) -> Self {
        Self {
            inner: WeakKeyed::new(hasher, (), reach),
        }
    }

    fn made_with(setup: Setup<P::Weak>, hasher: S, reach: Reach<Weakly<P>, Kept<V>, ()>) -> Self {
        Self {
            inner: WeakKeyed::with(setup, hasher, (), reach),
        }
    }

    /// The hasher.
    pub fn hasher(&self) -> &S {
        &self.inner.hasher
    }

    /// The number of entries whose key is alive: exact when nothing is under way.
    ///
    /// *Complexity:* linear in `capacity`, since each key has to be looked at; [`entries`](Self::entries) is quick. *Waiting:* for
    /// writers of a bucket, a few instructions long.
    pub fn len(&self) -> usize {
        self.inner.store.count_live()
    }

    /// Whether there is no live entry. *Complexity:* as for `len` at worst.
    pub fn is_empty(&self) -> bool {
        self.inner.store.is_empty()
    }

    /// The number of entries, with those that are dead and have not been taken out yet. *Complexity:* a few loads.
    pub fn entries(&self) -> usize {
        self.inner.store.engine.len()
    }

    /// How many entries fit before the table grows.
    pub fn capacity(&self) -> usize {
        self.inner.store.engine.capacity()
    }

    /// What the map has done so far.
    pub fn stats(&self) -> Stats {
        self.inner.store.stats()
    }

    /// Takes out all dead entries now. Returns how many this call has taken out.
    ///
    /// *Runs* `is_dead` of the keys, destructors of values, and the hook. *Complexity:* linear in `capacity`.
    pub fn prune(&self) -> usize {
        self.inner.store.prune()
    }

    /// Prunes, and gives back memory that is not needed; see [`Registry::shrink_to_fit`](crate::Registry::shrink_to_fit).
    pub fn shrink_to_fit(&self) {
        self.inner.store.shrink_to_fit();
    }

    /// Refuses new entries from now on, and returns the live keys. The entries stay, and are found until they die or are removed.
    ///
    /// An insertion or creation that comes later, or is under way and not among the keys returned, is refused with a [`ClosedError`].
    pub fn close(&self) -> Vec<P> {
        self.inner.store.close();
        self.keys().collect()
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.inner.store.is_closed()
    }

    /// The live keys, each at the moment when it is yielded.
    ///
    /// The iterator goes through the table: what is entered and alive throughout is yielded once, what comes or goes meanwhile may be. It holds no
    /// lock and keeps no key alive but the one in hand; the map may be changed meanwhile. Values of the few entries of one bucket live until the iterator is past
    /// them.
    pub fn keys(&self) -> impl Iterator<Item = P> + use<'_, P, V, M, S> {
        self.inner.store.walk().lives().map(|(key, ())| key)
    }

    /// The weak keys of all entries, also of dead ones that have not been taken out yet: CPython's `keyrefs`.
    pub fn weak_keys(&self) -> impl Iterator<Item = P::Weak> + use<'_, P, V, M, S> {
        self.inner.store.walk().views(|key, _| Some(key.0.clone()))
    }

    /// Clones of the values whose keys are alive; see [`keys`](Self::keys).
    pub fn values(&self) -> impl Iterator<Item = V> + use<'_, P, V, M, S>
    where
        V: Clone,
    {
        let entries = self.inner.store.walk();
        entries.views(|key, value| (!key.is_dead()).then(|| value.0.clone()))
    }

    /// The live entries, values cloned; see [`keys`](Self::keys). [`for_each`](Self::for_each) does without cloning.
    pub fn iter(&self) -> WeakKeyIter<'_, P, V>
    where
        V: Clone,
    {
        WeakKeyIter {
            entries: self.inner.store.walk(),
        }
    }

    /// Calls `f` with each live entry; see [`keys`](Self::keys). *Runs* `f` with no lock held; it may change the map.
    pub fn for_each(&self, mut f: impl FnMut(&P, &V)) {
        for (landed, key) in self.inner.store.walk().landed() {
            f(&key, &landed.held.value().0);
        }
    }

    /// Takes out the entries for which `keep` says no, and the dead ones. Returns how many live ones this call has taken out.
    ///
    /// *Runs* `keep` with no lock held; it may change the map. An entry that is replaced meanwhile is left as it is.
    pub fn retain(&self, mut keep: impl FnMut(&P, &V) -> bool) -> usize {
        self.inner.store.retain(Cause::Removed, |landed, key| {
            keep(&key, &landed.held.value().0)
        })
    }

    /// Takes out all entries. Returns how many live ones this call has taken out. Entries that come while this runs may stay.
    pub fn clear(&self) -> usize {
        self.inner.store.clear()
    }

    /// Takes out all entries, and returns the live ones that this call has taken out, values cloned.
    pub fn drain(&self) -> std::vec::IntoIter<(P, V)>
    where
        V: Clone,
    {
        let item = |held: &Held<_, Kept<V>>, key: P, ()| (key, held.value().0.clone());
        self.inner.store.drain(item).into_iter()
    }

    /// Takes out some live entry, whichever comes first; none if there is none.
    pub fn pop_any(&self) -> Option<(P, V)>
    where
        V: Clone,
    {
        let (landed, key) = self.inner.store.pop()?;
        Some((key, landed.held.value().0.clone()))
    }
}

impl<P: Pointer, V: 'static, M: Keying<P>, S: BuildHasher> WeakKeyMap<P, V, M, S> {
    /// A clone of the value of this key.
    ///
    /// With [`ByEquality`] the key is anything that is [`Equivalent`](crate::Equivalent) to the keys' target and hashes alike, such as a reference to the
    /// target itself; with [`ByAddress`](crate::ByAddress) it is the pointer.
    ///
    /// *Runs* `Hash` and `Equivalent` of the query, `upgrade` of stored keys with the same hash, and the value's `clone`. *Waiting:* none on a
    /// hit, unless the key is one of very many with the same hash; a miss may wait for a writer of its bucket, a few instructions long.
    /// *Complexity:* constant on average.
    pub fn get<Q: ?Sized>(&self, key: &Q) -> Option<V>
    where
        M: Asked<P, Q>,
        V: Clone,
    {
        self.get_with(key, V::clone)
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
    /// logs.get_with("disk", |log| log.lock().unwrap().push(7));
    /// assert_eq!(logs.get_with("disk", |log| log.lock().unwrap().len()), Some(1));
    /// ```
    #[inline]
    pub fn get_with<Q: ?Sized, R>(&self, key: &Q, view: impl FnOnce(&V) -> R) -> Option<R>
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
        Some((key, landed.held.value().0.clone()))
    }

    /// Whether this key has an entry at some moment during the call.
    pub fn contains_key<Q: ?Sized>(&self, key: &Q) -> bool
    where
        M: Asked<P, Q>,
    {
        self.inner.view(key, |_| Some(())).is_some()
    }

    /// A clone of the value of this key, created if there is none.
    ///
    /// *Runs* `make` with no lock held, once per key at a time. *Waiting:* none on a hit; otherwise for a creation of the same
    /// key that is under way, asleep. All who wait get the value that was made.
    ///
    /// # Panics
    /// When `make` panics, that goes to this caller, nothing is entered, and one of the waiters creates. When `make` asks for its own key on
    /// this thread, with the text of [`CycleError`]; when the map is closed, with that of [`ClosedError`].
    pub fn get_or_insert_with(&self, key: &P, make: impl FnOnce(&P) -> V) -> V
    where
        V: Clone,
    {
        self.get_or_try_insert_with(key, |key| Ok(make(key)))
            .unwrap_or_else(|refusal: Refusal| refusal.panic())
    }

    /// A clone of the value of this key, created if there is none, by a factory that may fail: its error comes back as it is.
    ///
    /// # Errors
    /// Whatever `make` returns; [`CycleError`] when it asks for its own key on this thread; [`ClosedError`] when the map is closed.
    pub fn get_or_try_insert_with<E: From<CycleError> + From<ClosedError>>(
        &self,
        key: &P,
        make: impl FnOnce(&P) -> Result<V, E>,
    ) -> Result<V, E>
    where
        V: Clone,
    {
        let made = |key: &P| Ok((Kept(make(key)?), ()));
        let landed: Result<_, E> = self.inner.get_or_create(key, |_| true, made);
        landed.map(|landed| landed.held.value().0.clone())
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), by what the key is looked up with: `to_pointer` makes the key on a miss
    /// only. The key comes back too, as it would be dead otherwise.
    ///
    /// ```
    /// use highlander::WeakKeyMap;
    /// use std::sync::Arc;
    ///
    /// let sizes: WeakKeyMap<Arc<str>, usize> = WeakKeyMap::new();
    /// let (key, size) = sizes.get_or_insert_with_ref("Kurgan", |name| name.into(), |key| key.len());
    /// assert_eq!((&*key, size), ("Kurgan", 6));
    /// ```
    ///
    /// # Panics
    /// As `get_or_insert_with`; and when the key that `to_pointer` makes is not the one that was asked for or hashes differently,
    /// since it would never be found.
    pub fn get_or_insert_with_ref<Q: ?Sized>(
        &self,
        key: &Q,
        to_pointer: impl FnOnce(&Q) -> P,
        make: impl FnOnce(&P) -> V,
    ) -> (P, V)
    where
        M: Asked<P, Q>,
        V: Clone,
    {
        if let Some(found) = self.get_key_value(key) {
            return found;
        }
        let pointer = to_pointer(key);
        assert!(
            M::matches(&P::downgrade(&pointer), key)
                && M::hash(self.hasher(), &pointer) == M::hash_asked(self.hasher(), key),
            "the pointer is not the key that was asked for, or hashes differently"
        );
        let made = |key: &P| Ok((Kept(make(key)), ()));
        let landed: Result<_, Refusal> = self.inner.get_or_create(&pointer, |_| true, made);
        let landed = landed.unwrap_or_else(|refusal| refusal.panic());
        // Another one's key may be the stored one; if it has just died, its equal does as well.
        let stored = landed.held.key().0.upgrade().unwrap_or(pointer);
        (stored, landed.held.value().0.clone())
    }

    /// A clone of the value of this key, unless it is `stale`: then, or if there is none, a new one is created, which takes its
    /// place, and this key that of the stored one.
    ///
    /// *Runs* `stale` and `make` with no lock held. Of several callers who find the same value stale one creates, and the others wait and get what
    /// it makes. `stale` may be asked more than once.
    ///
    /// # Panics
    /// As [`get_or_insert_with`](Self::get_or_insert_with).
    pub fn get_or_replace_if(
        &self,
        key: &P,
        stale: impl Fn(&V) -> bool,
        make: impl FnOnce(&P) -> V,
    ) -> V
    where
        V: Clone,
    {
        let accept = |landed: &Landed<_, Kept<V>>| !stale(&landed.held.value().0);
        let made = |key: &P| Ok((Kept(make(key)), ()));
        let landed: Result<_, Refusal> = self.inner.get_or_create(key, accept, made);
        let landed = landed.unwrap_or_else(|refusal| refusal.panic());
        landed.held.value().0.clone()
    }

    /// Enters a value, in the place of the one that is there, a clone of which comes back. An equal key that is stored already stays.
    ///
    /// # Panics
    /// When the map is closed.
    pub fn insert(&self, key: &P, value: V) -> Option<V>
    where
        V: Clone,
    {
        match self.inner.insert(key, Kept(value)) {
            Ok(displaced) => displaced.map(|landed| landed.held.value().0.clone()),
            Err(_) => Refusal::Closed(ClosedError::new()).panic(),
        }
    }

    /// Enters a value, unless the key has one; as [`try_insert`](Self::try_insert), for values that cannot be cloned.
    ///
    /// # Errors
    /// The value comes back, unless the map was closed just while it was entered.
    pub fn insert_new(&self, key: &P, value: V) -> Result<(), Option<V>> {
        let refused = self.inner.try_insert(key, Kept(value));
        refused.map_err(|refused| refused.parts.map(|(_, value)| value.0))
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
            .try_insert(key, Kept(value))
            .map_err(|refused| InsertError {
                existing: existing_of(&refused),
                key: Some(key.clone()),
                value: value_of(refused),
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
        let condition = |landed: &Landed<_, Kept<V>>| condition(&landed.held.value().0);
        match self.inner.replace_if(key, Kept(value), condition) {
            Ok(displaced) => Ok(displaced.held.value().0.clone()),
            Err(refused) => Err(ReplaceError {
                value: value_of(refused),
            }),
        }
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
            let new = f(landed.map(|landed| &landed.held.value().0))?;
            Some((Some(Kept(new.clone())), new))
        });
        changed.unwrap_or_else(|closed| Refusal::Closed(closed).panic())
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
        let condition =
            |key: &P, landed: &Landed<_, Kept<V>>| condition(key, &landed.held.value().0);
        let removed = self.inner.remove_if(key, condition)?;
        Some(removed.held.value().0.clone())
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
    /// use highlander::{ByAddress, Token, WeakKeyMap};
    /// use std::sync::Arc;
    ///
    /// struct Class { token: Token }
    ///
    /// let notes: WeakKeyMap<Arc<Class>, String, ByAddress> = WeakKeyMap::new();
    /// let class = Arc::new(Class { token: Token::new() });
    /// notes.insert_with_token(&class, "a note".to_string(), |class| &class.token);
    /// drop(class);
    /// assert_eq!(notes.entries(), 0);         // the note has been dropped
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
        match self.inner.insert_watched(hash, key, Kept(value), watch) {
            Ok(displaced) => displaced.map(|landed| landed.held.value().0.clone()),
            Err(_) => Refusal::Closed(ClosedError::new()).panic(),
        }
    }
}

fn existing_of<P: Pointer, V: Clone + 'static>(refused: &Refused<Weakly<P>, Kept<V>>) -> Option<V> {
    let existing = refused.existing.as_ref();
    existing.map(|landed| landed.held.value().0.clone())
}

/// The value that was to be entered, or a clone of it if others have had a look at it.
fn value_of<P: Pointer, V: Clone + 'static>(refused: Refused<Weakly<P>, Kept<V>>) -> V {
    match (refused.parts, refused.late) {
        (Some((_, value)), _) => value.0,
        (None, Some(late)) => late.value().0.clone(),
        (None, None) => unreachable!("a refused entry is here or was entered"),
    }
}

impl<P: Pointer, V: Clone + 'static, M: Keying<P>, S: BuildHasher + Clone> Clone
    for WeakKeyMap<P, V, M, S>
{
    /// A new map with the entries that are alive. Hook, counters and other settings are not copied.
    fn clone(&self) -> Self {
        let copy = Self::made(self.hasher().clone(), self.inner.store.reach);
        copy.extend_with(self);
        copy
    }
}

impl<P: SyncPointer, V: Send + Sync + 'static, M, S: Default> Default for WeakKeyMap<P, V, M, S> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<P, V, M, S> FromIterator<(P, V)> for WeakKeyMap<P, V, M, S>
where
    P: SyncPointer,
    V: Clone + Send + Sync + 'static,
    M: Keying<P>,
    S: BuildHasher + Default,
{
    /// The later of two with the same key wins. Keys that nobody else owns are dead at the end.
    fn from_iter<I: IntoIterator<Item = (P, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

impl<P: Pointer, V: Clone + 'static, M: Keying<P>, S: BuildHasher> Extend<(P, V)>
    for WeakKeyMap<P, V, M, S>
{
    fn extend<I: IntoIterator<Item = (P, V)>>(&mut self, entries: I) {
        (&*self).extend(entries);
    }
}

impl<P: Pointer, V: Clone + 'static, M: Keying<P>, S: BuildHasher> Extend<(P, V)>
    for &WeakKeyMap<P, V, M, S>
{
    /// Enters all, each in the place of one with the same key. If the iterator panics, what came before stays.
    fn extend<I: IntoIterator<Item = (P, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(&key, value);
        }
    }
}

impl<P: Pointer + fmt::Debug, V: fmt::Debug + 'static, M, S> fmt::Debug for WeakKeyMap<P, V, M, S> {
    /// The live entries only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        self.for_each(|key, value| {
            map.entry(key, value);
        });
        map.finish()
    }
}

impl<'a, P: Pointer, V: Clone + 'static, M, S> IntoIterator for &'a WeakKeyMap<P, V, M, S> {
    type Item = (P, V);
    type IntoIter = WeakKeyIter<'a, P, V>;

    fn into_iter(self) -> WeakKeyIter<'a, P, V> {
        self.iter()
    }
}

/// The live entries of a [`WeakKeyMap`], from [`WeakKeyMap::iter`].
pub struct WeakKeyIter<'a, P: Pointer, V: 'static> {
    entries: Walk<'a, Weakly<P>, Kept<V>>,
}

impl<P: Pointer, V: Clone + 'static> Iterator for WeakKeyIter<'_, P, V> {
    type Item = (P, V);

    fn next(&mut self) -> Option<(P, V)> {
        self.entries
            .next_that(|key, value| Some((key.live()?, value.0.clone())))
    }
}

impl<P: Pointer, V: Clone + 'static> std::iter::FusedIterator for WeakKeyIter<'_, P, V> {}

impl<P: Pointer, V: 'static> fmt::Debug for WeakKeyIter<'_, P, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakKeyIter").finish_non_exhaustive()
    }
}
