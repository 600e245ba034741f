//! The map with weak values: from keys to pointers that it does not keep alive.

use crate::error::{ClosedError, CycleError, InsertError, Refusal, ReplaceError};
use crate::hash::{hash_key, DefaultHashBuilder};
use crate::held::{Held, Landed};
use crate::hook::Cause;
use crate::inbox::Reach;
use crate::pointer::{Pointer, SyncPointer, WeakPointer};
use crate::side::{Kept, Watching, Weakly};
use crate::stats::Stats;
use crate::store::{Refused, Setup, Store};
use crate::token::Token;
use equivalent::Equivalent;
use std::fmt;
use std::hash::{BuildHasher, Hash};

type Key<K> = Kept<K>;
type Value<P> = Weakly<P>;

/// A map from keys to pointers that it holds weakly: `Arc<V>`, `Arc<dyn Trait>`, a [`Handle`](crate::Handle), or any other [`Pointer`].
/// At most one live value per key; a value whose last owner has gone is never seen again.
///
/// ```
/// use highlander::WeakValueMap;
/// use std::sync::Arc;
///
/// trait Codec: Send + Sync { fn name(&self) -> String; }
/// struct Flac;
/// impl Codec for Flac { fn name(&self) -> String { "flac".into() } }
///
/// static CODECS: WeakValueMap<String, Arc<dyn Codec>> = WeakValueMap::new();
///
/// let codec = CODECS.get_or_insert_with("audio/flac".into(), |_| Arc::new(Flac));
/// assert!(Arc::ptr_eq(&codec, &CODECS.get("audio/flac").unwrap()));
/// drop(codec);
/// assert!(CODECS.get("audio/flac").is_none());      // the map has not kept it alive
/// assert_eq!(CODECS.len(), 0);
/// ```
///
/// It does what CPython's `WeakValueDictionary` and Guava's `MapMaker().weakValues()` do, and makes "only one" atomic, which
/// `setdefault` is not.
///
/// # Consistency
/// All operations take `&self` and may be called from any thread, and from inside a factory, a `Drop`, a `Hash`, an `Eq`, a hook or a
/// [`Pointer`] function: none of these runs under a lock. A look-up finds a value if it is entered and alive throughout the call, and does
/// not if it is at no moment of it. What a call returns is an owner; no guard of the map is ever handed out, so nothing that a
/// caller holds (across an `.await`, say) blocks anybody.
///
/// # Prompt entries
/// The entry of a value that reports its death ([`Watched`](crate::Watched), [`Handle`](crate::Handle), or an `Arc` that was entered with a
/// [`Token`]) goes, with its key, before the last owner's drop returns, in each map that it is in. The hook is told by that thread,
/// once, when all weak pointers are dead. A panic of the hook, or of the key's destructor, does not keep other maps and callbacks from being told, and goes
/// on from the drop of the value. The report says only where to look: it takes out what is dead, and never a successor.
///
/// A map made with [`local`](Self::local) cannot be told, since a value may die on another thread. Its entries are all pruned.
///
/// # Dead entries
/// A plain `Arc` does not tell anybody when it dies. Its entry, with the key, stays for a while as a *dead entry*, which no operation
/// shows but [`entries`](Self::entries) and [`weak_values`](Self::weak_values), and which keeps the memory of the value (not the
/// value itself: that was dropped when its last owner went), since a `Weak` does. Dead entries are taken out
/// * when a look-up or an insertion comes across them, and
/// * by *sweeps*: each insertion, and each 64th miss of a thread, looks at the next few entries, at most 8 and the rest of their bucket, or 8
///   buckets. ([`MapMaker::prune_bound`](crate::MapMaker::prune_bound) sets another number than 8.) So as long as no more die than are
///   inserted, there are at most a seventh as many dead entries as live ones, and a few, whichever keys are asked for.
///
/// (A [`WeakSet`](crate::WeakSet) is swept by insertions and removals instead, 4 to 64 entries at a time.)
///
/// When many die at once they stay until as many insertions have come by, or until [`prune`](Self::prune), which takes out all.
///
/// # User code that panics
/// The map stays consistent. A panic of a destructor or hook goes to the caller whose operation took the entry out, once that is
/// complete; a call that sweeps may so get the panic of another entry's key.
pub struct WeakValueMap<K: 'static, P: Pointer, S = DefaultHashBuilder> {
    store: Store<Key<K>, Value<P>>,
    hasher: S,
}

impl<K: Send + Sync + 'static, P: SyncPointer> WeakValueMap<K, P> {
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

impl<K: 'static, P: Pointer> WeakValueMap<K, P> {
    /// An empty map of what need not be `Send` and `Sync`, such as [`Rc`](std::rc::Rc). Nobody can tell it of a death, so it prunes, whatever the pointer.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::rc::Rc;
    ///
    /// let map: WeakValueMap<&str, Rc<u32>> = WeakValueMap::local();
    /// let one = map.get_or_insert_with("one", |_| Rc::new(1));
    /// assert!(Rc::ptr_eq(&one, &map.get("one").unwrap()));
    /// ```
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

impl<K: Send + Sync + 'static, P: SyncPointer, S> WeakValueMap<K, P, S> {
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

    pub(crate) fn with_setup(setup: Setup<K>, hasher: S) -> Self {
        Self::made_with(setup, hasher, Reach::all())
    }
}

impl<K: 'static, P: Pointer, S> WeakValueMap<K, P, S> {
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

    pub(crate) fn local_with_setup(setup: Setup<K>, hasher: S) -> Self {
        Self::made_with(setup, hasher, Reach::NONE)
    }

    #[cfg(not(all(highlander_loom, feature = "loom")))]
    const fn made(hasher: S, reach: Reach<Key<K>, Value<P>, ()>) -> Self {
        Self {
            store: Store::new((), reach),
            hasher,
        }
    }

    #[cfg(all(highlander_loom, feature = "loom"))]
    fn made(hasher: S, reach: Reach<Key<K>, Value<P>, ()>) -> Self {
        Self {
            store: Store::new((), reach),
            hasher,
        }
    }

    fn made_with(setup: Setup<K>, hasher: S, reach: Reach<Key<K>, Value<P>, ()>) -> Self {
        Self {
            store: Store::with(setup, (), reach),
            hasher,
        }
    }

    /// The hasher.
    pub fn hasher(&self) -> &S {
        &self.hasher
    }

    /// The number of live entries: exact when nothing is under way.
    ///
    /// *Complexity:* linear in `capacity`, since each entry has to be looked at; [`entries`](Self::entries) is quick. *Waiting:* for
    /// writers of a bucket, a few instructions long.
    pub fn len(&self) -> usize {
        self.store.count_live()
    }

    /// Whether there is no live entry. *Complexity:* as for `len` at worst.
    pub fn is_empty(&self) -> bool {
        self.store.is_empty()
    }

    /// The number of entries, with those that are dead and have not been taken out yet. *Complexity:* a few loads.
    pub fn entries(&self) -> usize {
        self.store.engine.len()
    }

    /// How many entries fit before the table grows.
    pub fn capacity(&self) -> usize {
        self.store.engine.capacity()
    }

    /// What the map has done so far.
    pub fn stats(&self) -> Stats {
        self.store.stats()
    }

    /// Takes out all dead entries now. Returns how many this call has taken out.
    ///
    /// *Runs* `is_dead` of the weak values, destructors of keys, and the hook. *Complexity:* linear in `capacity`.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// let map = WeakValueMap::new();
    /// let held: Vec<_> = (0..10).map(|i| { let v = Arc::new(i); map.insert(i, v.clone()); v }).collect();
    /// drop(held);
    /// assert_eq!((map.len(), map.entries()), (0, 10));
    /// assert_eq!(map.prune(), 10);
    /// assert_eq!(map.entries(), 0);
    /// ```
    pub fn prune(&self) -> usize {
        self.store.prune()
    }

    /// Prunes, and gives back memory that is not needed; see [`Registry::shrink_to_fit`](crate::Registry::shrink_to_fit).
    pub fn shrink_to_fit(&self) {
        self.store.shrink_to_fit();
    }

    /// Refuses new entries from now on, and returns the live values, so that each can be shut down. The entries stay, and are
    /// found until they die or are removed.
    ///
    /// An insertion or creation that comes later, or is under way and not among the values returned, is refused with a [`ClosedError`].
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// let map = WeakValueMap::new();
    /// let one = Arc::new("one");
    /// map.insert(1, one.clone());
    /// assert_eq!(map.close(), [one]);
    /// assert!(map.try_insert(2, Arc::new("two")).unwrap_err().is_closed());
    /// assert!(map.get(&1).is_none());          // the last owner was the list above
    /// ```
    pub fn close(&self) -> Vec<P> {
        self.store.close();
        self.values().collect()
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.store.is_closed()
    }

    /// The live values, each at the moment when it is yielded.
    ///
    /// The iterator is a snapshot of entries: what is entered and alive throughout is in it once, what comes or goes may be. It holds no
    /// lock and keeps no value alive but the one in hand; the map may be changed meanwhile.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// let map = WeakValueMap::new();
    /// let (one, two) = (Arc::new(1), Arc::new(2));
    /// map.insert("one", one.clone());
    /// map.insert("two", two.clone());
    /// let values = map.values();
    /// drop(two);
    /// assert_eq!(values.collect::<Vec<_>>(), [one]);
    /// ```
    pub fn values(&self) -> impl Iterator<Item = P> + use<K, P, S> {
        let entries = self.store.snapshot().into_iter();
        entries.filter_map(|held| held.value().0.upgrade())
    }

    /// The weak values of all entries, also of dead ones that have not been taken out yet: ask each with
    /// [`upgrade`](WeakPointer::upgrade).
    pub fn weak_values(&self) -> impl Iterator<Item = P::Weak> + use<K, P, S> {
        let entries = self.store.snapshot().into_iter();
        entries.map(|held| held.value().0.clone())
    }

    /// The keys of the live values, cloned; see [`values`](Self::values).
    pub fn keys(&self) -> impl Iterator<Item = K> + use<K, P, S>
    where
        K: Clone,
    {
        let entries = self.store.snapshot().into_iter();
        entries.filter_map(|held| Some((held.value().0.upgrade()?, held.key().0.clone()).1))
    }

    /// The live entries, keys cloned; see [`values`](Self::values). [`for_each`](Self::for_each) does without cloning.
    pub fn iter(&self) -> WeakValueIter<K, P>
    where
        K: Clone,
    {
        WeakValueIter {
            entries: self.store.snapshot().into_iter(),
        }
    }

    /// Calls `f` with each live entry; see [`values`](Self::values). *Runs* `f` with no lock held; it may change the map.
    pub fn for_each(&self, mut f: impl FnMut(&K, &P)) {
        for held in self.store.snapshot() {
            if let Some(value) = held.value().0.upgrade() {
                f(&held.key().0, &value);
            }
        }
    }

    /// Takes out the entries for which `keep` says no, and the dead ones. Returns how many live ones this call has taken out.
    ///
    /// *Runs* `keep` with no lock held; it may change the map. An entry that is replaced meanwhile is left as it is.
    pub fn retain(&self, mut keep: impl FnMut(&K, &P) -> bool) -> usize {
        self.store.retain(Cause::Removed, |landed, ()| {
            keep(&landed.held.key().0, &landed.live)
        })
    }

    /// Takes out all entries. Owners keep the values. Returns how many live ones this call has taken out. Entries that come while this runs may stay.
    pub fn clear(&self) -> usize {
        self.store.clear()
    }

    /// Takes out all entries, and returns the live ones that this call has taken out.
    pub fn drain(&self) -> std::vec::IntoIter<(K, P)>
    where
        K: Clone,
    {
        let item = |landed: &Landed<Key<K>, Value<P>>, ()| {
            (landed.held.key().0.clone(), landed.live.clone())
        };
        self.store.drain(item).into_iter()
    }

    /// Takes out some live entry, whichever comes first; none if there is none. CPython calls it `popitem`.
    pub fn pop_any(&self) -> Option<(K, P)>
    where
        K: Clone,
    {
        let (landed, ()) = self.store.pop()?;
        Some((landed.held.key().0.clone(), landed.live))
    }
}

impl<K: Hash + Eq + 'static, P: Pointer, S: BuildHasher> WeakValueMap<K, P, S> {
    /// The live entry of this key.
    #[inline]
    fn find<Q>(&self, key: &Q) -> Option<Landed<Key<K>, Value<P>>>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let hash = hash_key(&self.hasher, key);
        self.store.find(hash, |stored| key.equivalent(&stored.0))
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
        self.find(key).map(Landed::into_live)
    }

    /// The live value of this key, with the key that is stored, cloned.
    pub fn get_key_value<Q>(&self, key: &Q) -> Option<(K, P)>
    where
        Q: ?Sized + Hash + Equivalent<K>,
        K: Clone,
    {
        let landed = self.find(key)?;
        Some((landed.held.key().0.clone(), landed.live))
    }

    /// Whether this key has a live value at some moment during the call.
    ///
    /// Owns the value for that moment, so if its last owner goes just then, it is dropped here.
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        self.find(key).is_some()
    }

    /// The live value of this key, created if there is none.
    ///
    /// *Runs* `make` with no lock held, once per key at a time. *Waiting:* none on a hit; otherwise for a creation of the same
    /// key that is under way, asleep. All who wait get the value that was made, even if its creator lets go of its own at once.
    ///
    /// # Panics
    /// When `make` panics, that goes to this caller, nothing is entered, and one of the waiters creates. When `make` asks for its own key on
    /// this thread, with the text of [`CycleError`]; when the map is closed, with that of [`ClosedError`].
    #[inline]
    pub fn get_or_insert_with(&self, key: K, make: impl FnOnce(&K) -> P) -> P {
        self.get_or_try_insert_with(key, |key| Ok(make(key)))
            .unwrap_or_else(|refusal: Refusal| refusal.panic())
    }

    /// The live value of this key, created if there is none, by a factory that may fail: its error comes back as it is.
    ///
    /// A failed creation enters nothing; one of those who wait runs its own factory. An error type that cannot say why a creation
    /// was refused can be wrapped in a [`CreateError`](crate::CreateError).
    ///
    /// # Errors
    /// Whatever `make` returns; [`CycleError`] when it asks for its own key on this thread; [`ClosedError`] when the map is closed.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::{fs::File, io, path::{Path, PathBuf}, sync::Arc};
    ///
    /// static FILES: WeakValueMap<PathBuf, Arc<File>> = WeakValueMap::new();
    ///
    /// fn open(path: &Path) -> io::Result<Arc<File>> {
    ///     FILES.get_or_try_insert_with(path.to_owned(), |path| File::open(path).map(Arc::new))
    /// }
    /// assert_eq!(open(Path::new("no such file")).unwrap_err().kind(), io::ErrorKind::NotFound);
    /// assert_eq!(FILES.entries(), 0);
    /// ```
    #[inline]
    pub fn get_or_try_insert_with<E: From<CycleError> + From<ClosedError>>(
        &self,
        key: K,
        make: impl FnOnce(&K) -> Result<P, E>,
    ) -> Result<P, E> {
        let hash = hash_key(&self.hasher, &key);
        match self.store.find(hash, |stored| key == stored.0) {
            Some(landed) => {
                // Here, not at the end of the scope: if a destructor panics, the value is still ours to drop.
                drop((key, make));
                Ok(landed.into_live())
            }
            None => self.create(hash, key, |_| true, make),
        }
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), by a borrowed key: `to_owned` builds the key on a miss only.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// let map: WeakValueMap<String, Arc<usize>> = WeakValueMap::new();
    /// let held = map.get_or_insert_with_ref("MacLeod", |name| name.to_owned(), |name| Arc::new(name.len()));
    /// assert_eq!(*held, 7);
    /// ```
    ///
    /// # Panics
    /// As `get_or_insert_with`; and when the key that `to_owned` builds is not equivalent to the borrowed one or hashes differently,
    /// since it would never be found.
    #[inline]
    pub fn get_or_insert_with_ref<Q>(
        &self,
        key: &Q,
        to_owned: impl FnOnce(&Q) -> K,
        make: impl FnOnce(&K) -> P,
    ) -> P
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        self.get_or_try_insert_with_ref(key, to_owned, |key| Ok(make(key)))
            .unwrap_or_else(|refusal: Refusal| refusal.panic())
    }

    /// As [`get_or_try_insert_with`](Self::get_or_try_insert_with), by a borrowed key: `to_owned` builds the key on a miss only.
    ///
    /// # Errors
    /// As `get_or_try_insert_with`.
    ///
    /// # Panics
    /// When the key that `to_owned` builds is not equivalent to the borrowed one or hashes differently, since it would never be found.
    #[inline]
    pub fn get_or_try_insert_with_ref<Q, E: From<CycleError> + From<ClosedError>>(
        &self,
        key: &Q,
        to_owned: impl FnOnce(&Q) -> K,
        make: impl FnOnce(&K) -> Result<P, E>,
    ) -> Result<P, E>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let hash = hash_key(&self.hasher, key);
        if let Some(landed) = self.store.find(hash, |stored| key.equivalent(&stored.0)) {
            return Ok(landed.into_live());
        }
        let owned = to_owned(key);
        assert!(
            key.equivalent(&owned) && hash_key(&self.hasher, &owned) == hash,
            "the owned key is not equivalent to the borrowed one, or hashes differently"
        );
        self.create(hash, owned, |_| true, make)
    }

    /// The live value of this key, unless it is `stale`: then, or if there is none, a new one, which takes its place. Owners of the stale one keep it.
    ///
    /// *Runs* `stale` and `make` with no lock held. Of several callers who find the same value stale one creates, and the others wait and get what
    /// it makes. `stale` may be asked more than once.
    ///
    /// # Panics
    /// As [`get_or_insert_with`](Self::get_or_insert_with).
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::{Arc, atomic::{AtomicBool, Ordering::SeqCst}};
    ///
    /// let map = WeakValueMap::new();
    /// let connect = |_: &&str| Arc::new(AtomicBool::new(true));
    /// let first = map.get_or_insert_with("db", connect);
    /// first.store(false, SeqCst);                                     // the connection breaks
    /// let second = map.get_or_replace_if("db", |c| !c.load(SeqCst), connect);
    /// assert!(!Arc::ptr_eq(&first, &second));
    /// assert!(Arc::ptr_eq(&second, &map.get("db").unwrap()));
    /// ```
    pub fn get_or_replace_if(
        &self,
        key: K,
        stale: impl Fn(&P) -> bool,
        make: impl FnOnce(&K) -> P,
    ) -> P {
        let hash = hash_key(&self.hasher, &key);
        match self.store.find(hash, |stored| key == stored.0) {
            Some(landed) if !stale(&landed.live) => {
                drop((key, make));
                landed.into_live()
            }
            _ => self
                .create(hash, key, |value| !stale(value), |key| Ok(make(key)))
                .unwrap_or_else(|refusal: Refusal| refusal.panic()),
        }
    }

    #[cold]
    fn create<E: From<CycleError> + From<ClosedError>>(
        &self,
        hash: u64,
        key: K,
        accept: impl Fn(&P) -> bool,
        make: impl FnOnce(&K) -> Result<P, E>,
    ) -> Result<P, E> {
        self.create_side(hash, key, accept, |key| {
            let value = make(key)?;
            Ok((Weakly::new(&value), value))
        })
    }

    fn create_side<E: From<CycleError> + From<ClosedError>>(
        &self,
        hash: u64,
        key: K,
        accept: impl Fn(&P) -> bool,
        make: impl FnOnce(&K) -> Result<(Value<P>, P), E>,
    ) -> Result<P, E> {
        let landed: Result<_, E> = self.store.get_or_create(
            hash,
            (Kept(key), ()),
            |(asked, ()), stored| asked.0 == stored.0,
            |landed| accept(&landed.live),
            |ticket| make(&ticket.seed.key().0),
        );
        landed.map(Landed::into_live)
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
        let parts = (Kept(key), Weakly::new(&value));
        match self.store.insert(hash, parts, same_key, |_| true) {
            Ok(displaced) => displaced.map(Landed::into_live),
            Err(_) => Refusal::Closed(ClosedError::new()).panic(),
        }
    }

    /// Enters a value, unless the key has a live one. Guava calls it `putIfAbsent`, CPython `setdefault`.
    ///
    /// # Errors
    /// [`InsertError`] with the live value, or when the map is closed; key and value come back in it.
    pub fn try_insert(&self, key: K, value: P) -> Result<(), InsertError<K, P>> {
        let hash = hash_key(&self.hasher, &key);
        let parts = (Kept(key), Weakly::new(&value));
        match self.store.insert(hash, parts, same_key, |_| false) {
            Ok(_) => Ok(()),
            Err(Refused {
                existing, parts, ..
            }) => Err(InsertError {
                existing: existing.map(|landed| landed.live),
                key: parts.map(|(key, _)| key.0),
                value,
            }),
        }
    }

    /// Puts a value in the place of the live one of this key, which comes back.
    ///
    /// # Errors
    /// [`ReplaceError`] with the value, if there is no live one, or the map is closed.
    pub fn replace(&self, key: K, value: P) -> Result<P, ReplaceError<P>> {
        let mut key = Some(key);
        self.replace_where(&mut key, value, |_| true)
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
        let mut key = Some(key);
        self.replace_where(&mut key, new, |value| P::address(value) == P::address(old))
            .map(drop)
    }

    fn replace_where(
        &self,
        key: &mut Option<K>,
        value: P,
        condition: impl Fn(&P) -> bool,
    ) -> Result<P, ReplaceError<P>> {
        let hash = hash_key(&self.hasher, key.as_ref().expect("given"));
        loop {
            let Some(asked) = key.as_ref() else {
                // Closed while it was entered.
                return Err(ReplaceError { value });
            };
            let found = self.store.peek(hash, |stored| *asked == stored.0);
            let old = match found {
                Some(landed) if condition(&landed.live) && !self.is_closed() => landed,
                _ => return Err(ReplaceError { value }),
            };
            let parts = (
                Kept(key.take().expect("looked at above")),
                Weakly::new(&value),
            );
            match self.store.swap(old, parts) {
                Ok(displaced) => return Ok(displaced.into_live()),
                Err(refused) => *key = refused.parts.map(|(key, _)| key.0),
            }
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
        let mut key = Some(key);
        loop {
            let asked = key
                .as_ref()
                .unwrap_or_else(|| Refusal::Closed(ClosedError::new()).panic());
            let found = self.store.peek(hash, |stored| *asked == stored.0);
            let new = f(found.as_ref().map(|landed| &landed.live));
            let Some(value) = new else {
                match found {
                    Some(landed) if !self.store.take_out(&landed.held, Cause::Removed) => continue,
                    _ => return None,
                }
            };
            if self.is_closed() {
                Refusal::Closed(ClosedError::new()).panic();
            }
            let parts = |key: &mut Option<K>| {
                (
                    Kept(key.take().expect("looked at above")),
                    Weakly::new(&value),
                )
            };
            let refused = match found {
                Some(landed) if P::address(&landed.live) == P::address(&value) => {
                    return Some(value)
                }
                Some(landed) => self.store.swap(landed, parts(&mut key)).err(),
                None => self
                    .store
                    .insert(hash, parts(&mut key), same_key, |_| false)
                    .err(),
            };
            match refused {
                None => return Some(value),
                Some(refused) => key = refused.parts.map(|(key, _)| key.0),
            }
        }
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
        // Another thread may take out or replace the one just found; then whatever is there now is the one to remove.
        loop {
            let landed = self.store.peek(hash, |stored| key.equivalent(&stored.0))?;
            if !condition(&landed.held.key().0, &landed.live) {
                return None;
            }
            if self.store.take_out(&landed.held, Cause::Removed) {
                return Some(landed.into_live());
            }
        }
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

impl<K, P, S> WeakValueMap<K, P, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    P: SyncPointer,
    S: BuildHasher,
{
    /// As [`get_or_insert_with`](Self::get_or_insert_with), for values that report their own death: `make` gets a [`Token`] to be stored in the value.
    /// When the token is dropped, which is when the value is, exactly this entry goes, and its key with it.
    ///
    /// If `make` does not store the token, or fails, nothing is wrong: the entry is pruned like that of any `Arc`; see
    /// [`Token`](Token#when-it-does-not-go-as-planned) for what else may happen.
    ///
    /// # Panics
    /// As [`get_or_insert_with`](Self::get_or_insert_with).
    ///
    /// ```
    /// use highlander::{Token, WeakValueMap};
    /// use std::sync::Arc;
    ///
    /// trait Codec: Send + Sync { fn name(&self) -> &str; }
    /// struct Flac { name: String, _token: Token }
    /// impl Codec for Flac { fn name(&self) -> &str { &self.name } }
    ///
    /// static CODECS: WeakValueMap<String, Arc<dyn Codec>> = WeakValueMap::new();
    ///
    /// let codec = CODECS.get_or_insert_with_token("flac".into(), |name, token| {
    ///     Arc::new(Flac { name: name.clone(), _token: token })
    /// });
    /// assert_eq!((codec.name(), CODECS.entries()), ("flac", 1));
    /// drop(codec);
    /// assert_eq!(CODECS.entries(), 0);        // not only invisible, but gone
    /// ```
    pub fn get_or_insert_with_token(&self, key: K, make: impl FnOnce(&K, Token) -> P) -> P {
        self.get_or_try_insert_with_token(key, |key, token| Ok(make(key, token)))
            .unwrap_or_else(|refusal: Refusal| refusal.panic())
    }

    /// As [`get_or_insert_with_token`](Self::get_or_insert_with_token), by a factory that may fail: its error comes back as it is.
    ///
    /// # Errors
    /// As [`get_or_try_insert_with`](Self::get_or_try_insert_with).
    pub fn get_or_try_insert_with_token<E: From<CycleError> + From<ClosedError>>(
        &self,
        key: K,
        make: impl FnOnce(&K, Token) -> Result<P, E>,
    ) -> Result<P, E> {
        let hash = hash_key(&self.hasher, &key);
        if let Some(landed) = self.store.find(hash, |stored| key == stored.0) {
            drop((key, make));
            return Ok(landed.into_live());
        }
        self.create_side(
            hash,
            key,
            |_| true,
            |key| {
                let token = Token::new();
                let binder = token.binder();
                let value = make(key, token)?;
                let watching = Watching::by(binder.bind(self.store.notify_prompt(hash)));
                Ok((Weakly::watched(&value, watching), value))
            },
        )
    }

    /// As [`insert`](Self::insert), for a value that carries a [`Token`], which `token` shows: the entry goes when the token is dropped, which is when
    /// the value is.
    ///
    /// *Runs* `token` too, with no lock held; if it panics, nothing is entered.
    ///
    /// # Panics
    /// When the map is closed.
    ///
    /// ```
    /// use highlander::{Token, WeakValueMap};
    /// use std::sync::Arc;
    ///
    /// struct Socket { port: u16, token: Token }
    ///
    /// let map: WeakValueMap<&str, Arc<Socket>> = WeakValueMap::new();
    /// let socket = Arc::new(Socket { port: 80, token: Token::new() });
    /// map.insert_with_token("http", socket.clone(), |socket| &socket.token);
    /// map.insert_with_token("www", socket.clone(), |socket| &socket.token);
    /// assert_eq!((map.entries(), socket.port), (2, 80));
    /// drop(socket);
    /// assert_eq!(map.entries(), 0);
    /// ```
    pub fn insert_with_token(
        &self,
        key: K,
        value: P,
        token: impl for<'a> FnOnce(&'a P::Target) -> &'a Token,
    ) -> Option<P> {
        let hash = hash_key(&self.hasher, &key);
        let notify = self.store.notify_prompt(hash);
        let watching = Watching::by(Some(token(P::target(&value)).bind(notify)));
        let parts = (Kept(key), Weakly::watched(&value, watching));
        match self.store.insert(hash, parts, same_key, |_| true) {
            Ok(displaced) => displaced.map(Landed::into_live),
            Err(_) => Refusal::Closed(ClosedError::new()).panic(),
        }
    }
}

fn same_key<K: Eq>(one: &Kept<K>, other: &Kept<K>) -> bool {
    one.0 == other.0
}

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
    fn eq(&self, other: &Self) -> bool {
        let mut len = 0;
        let mut equal = true;
        self.for_each(|key, value| {
            len += 1;
            equal = equal && other.get(key).is_some_and(|theirs| theirs == *value);
        });
        equal && other.len() == len
    }
}

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

impl<K: Clone + 'static, P: Pointer, S> IntoIterator for &WeakValueMap<K, P, S> {
    type Item = (K, P);
    type IntoIter = WeakValueIter<K, P>;

    fn into_iter(self) -> WeakValueIter<K, P> {
        self.iter()
    }
}

/// The live entries of a [`WeakValueMap`], from [`WeakValueMap::iter`].
pub struct WeakValueIter<K: 'static, P: Pointer> {
    entries: std::vec::IntoIter<Held<Key<K>, Value<P>>>,
}

impl<K: Clone + 'static, P: Pointer> Iterator for WeakValueIter<K, P> {
    type Item = (K, P);

    fn next(&mut self) -> Option<(K, P)> {
        self.entries.find_map(|held| {
            let value = held.value().0.upgrade()?;
            Some((held.key().0.clone(), value))
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.entries.len()))
    }
}

impl<K: Clone + 'static, P: Pointer> std::iter::FusedIterator for WeakValueIter<K, P> {}

impl<K: 'static, P: Pointer> fmt::Debug for WeakValueIter<K, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakValueIter")
            .field("left_at_most", &self.entries.len())
            .finish()
    }
}
