//! The registry: one live value per key.

use crate::body::Halves;
use crate::engine::{Engine, Entered, Rejected};
use crate::entry::Entry;
use crate::error::{CycleError, OccupiedError, ReplaceError};
use crate::flight::Flights;
use crate::handle::Handle;
use crate::hash::{hash_key, owned_key, DefaultHashBuilder};
use crate::seed::Seed;
use crate::strong::{Draft, Strong};
use equivalent::Equivalent;
use std::fmt;
use std::hash::{BuildHasher, Hash};

/// A map from keys to values that it holds weakly: at most one live value per key, gone when its last [`Handle`] is.
///
/// ```
/// use highlander::{Handle, Registry};
///
/// struct Class { name: String }
///
/// static CLASSES: Registry<u32, Class> = Registry::new();
///
/// let class = CLASSES.get_or_insert_with(7, |id| Class { name: format!("class {id}") });
/// let again = CLASSES.get_or_insert_with(7, |_| unreachable!("there can only be one"));
/// assert!(class.ptr_eq(&again));
/// assert_eq!(again.name, "class 7");
///
/// drop((class, again));
/// assert!(CLASSES.get(&7).is_none());
/// ```
///
/// # Consistency
/// All operations take `&self` and may be called from any thread, and from inside a factory, a `Drop`, a `Hash` or an `Eq` of the
/// same registry: none of these runs under a lock. A look-up that finds its value takes no lock and waits for nobody. A value is
/// found from the moment it is complete and entered until its last handle goes or it is removed, and never after. `len` is
/// exact when nothing is under way.
///
/// A value that owns a handle to itself, directly or through others, never dies: give it a [`WeakHandle`](crate::WeakHandle) instead.
///
/// Keys and values are `'static`: a deeply nested value may be dropped a little after its owner let go, so it must not borrow.
///
/// ```compile_fail
/// let local = String::from("local");
/// let registry: highlander::Registry<&str, u32> = highlander::Registry::new();
/// registry.insert(&local, 1);
/// ```
/// ```
/// let local = String::from("local");
/// let registry: highlander::Registry<String, u32> = highlander::Registry::new();
/// registry.insert(local, 1);
/// ```
///
/// # Creating
/// [`get_or_insert_with`](Registry::get_or_insert_with) runs one factory per key at a time. Others that ask for the same key sleep until it
/// is done and get the same value; other keys are not held up. When a factory fails or panics nothing is entered, and one
/// of the waiters runs its own.
///
/// A factory may create values under other keys. One that comes back to its own key on the same thread gets an error. Two threads whose
/// factories each ask for the key that the other one is creating are not told apart from slow ones yet: they wait for ever.
pub struct Registry<K, V, S = DefaultHashBuilder> {
    engine: Engine<Entry<K, V>>,
    flights: Creations<Entry<K, V>>,
    hasher: S,
}

/// Those who wait have a seed, and get an owner.
type Creations<B> = Flights<Seed<B>, Strong<B>>;

// SAFETY: keys and values that one thread has entered are handed to others by look-ups (hence `Sync`) and dropped there (hence `Send`).
unsafe impl<K: Send + Sync, V: Send + Sync, S: Send> Send for Registry<K, V, S> {}
// SAFETY: as above.
unsafe impl<K: Send + Sync, V: Send + Sync, S: Sync> Sync for Registry<K, V, S> {}

impl<K: 'static, V: 'static> Registry<K, V> {
    /// An empty registry, which allocates nothing before its first value. Can be a `static`.
    #[cfg(not(all(highlander_loom, feature = "loom")))]
    pub const fn new() -> Self {
        Self::with_hasher(DefaultHashBuilder)
    }

    /// An empty registry. (Not `const` under the model checker.)
    #[cfg(all(highlander_loom, feature = "loom"))]
    pub fn new() -> Self {
        Self::with_hasher(DefaultHashBuilder)
    }

    /// An empty registry with room for `capacity` values before its table grows.
    ///
    /// # Panics
    /// With "capacity overflow", when no table can have that size (beyond 2³² values or so).
    pub fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity_and_hasher(capacity, DefaultHashBuilder)
    }
}

impl<K: 'static, V: 'static, S> Registry<K, V, S> {
    /// An empty registry that hashes with `hasher`.
    #[cfg(not(all(highlander_loom, feature = "loom")))]
    pub const fn with_hasher(hasher: S) -> Self {
        Self {
            engine: Engine::new(),
            flights: Flights::new(),
            hasher,
        }
    }

    /// An empty registry that hashes with `hasher`. (Not `const` under the model checker.)
    #[cfg(all(highlander_loom, feature = "loom"))]
    pub fn with_hasher(hasher: S) -> Self {
        Self {
            engine: Engine::new(),
            flights: Flights::new(),
            hasher,
        }
    }

    /// An empty registry with room for `capacity` values before its table grows, that hashes with `hasher`.
    ///
    /// # Panics
    /// With "capacity overflow", when no table can have that size (beyond 2³² values or so).
    pub fn with_capacity_and_hasher(capacity: usize, hasher: S) -> Self {
        Self {
            engine: Engine::with_capacity(capacity),
            flights: Flights::new(),
            hasher,
        }
    }
}

impl<K, V, S> Registry<K, V, S> {
    /// The hasher.
    pub fn hasher(&self) -> &S {
        &self.hasher
    }

    /// The number of entries. Exact when nothing is under way; otherwise it may count those whose insertion or removal is.
    ///
    /// *Complexity:* a few loads, whatever the size.
    pub fn len(&self) -> usize {
        self.engine.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries fit before the table grows.
    pub fn capacity(&self) -> usize {
        self.engine.capacity()
    }

    /// The live values, at some moment for each: one that is entered throughout the call is among them, one that is not may be.
    ///
    /// The iterator owns what it yields and holds no lock: anything may be done meanwhile, and values live at least until they are yielded.
    ///
    /// *Waiting:* for writers of a bucket, a few instructions long. *Complexity:* linear in `capacity`.
    ///
    /// ```
    /// use highlander::{Handle, Registry};
    ///
    /// let registry: Registry<u32, &str> = Registry::new();
    /// let held = [registry.insert(1, "one").0, registry.insert(2, "two").0];
    /// for value in &registry {
    ///     registry.remove(Handle::key(&value));   // changing the registry is fine
    /// }
    /// assert!(registry.is_empty());
    /// ```
    pub fn iter(&self) -> RegistryIter<K, V> {
        let values: Vec<_> = self
            .engine
            .snapshot()
            .into_iter()
            .map(Handle::new)
            .collect();
        RegistryIter {
            values: values.into_iter(),
        }
    }

    /// The keys of the live values, cloned; see [`Registry::iter`]. To borrow them instead, iterate over the handles and use [`Handle::key`].
    pub fn keys(&self) -> impl ExactSizeIterator<Item = K> + use<K, V, S>
    where
        K: Clone,
    {
        self.iter().map(|handle| Handle::key(&handle).clone())
    }

    /// Takes out the entries for which `keep` says no. Their owners keep the values. Returns how many this call has taken out.
    ///
    /// *Runs* `keep` with no lock held; it may use the registry. An entry that is replaced meanwhile is left as it is.
    ///
    /// ```
    /// use highlander::Registry;
    ///
    /// let registry: Registry<u32, u32> = Registry::new();
    /// let held: Vec<_> = (0..10).map(|i| registry.insert(i, i * i).0).collect();
    /// assert_eq!(registry.retain(|key, _| key % 2 == 0), 5);
    /// assert_eq!(registry.len(), 5);
    /// assert_eq!(*held[3], 9);
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool) -> usize {
        self.iter()
            .filter(|handle| !keep(Handle::key(handle), handle) && self.remove_same(handle))
            .count()
    }

    /// Takes out all entries. Their owners keep the values. Returns how many this call has taken out.
    ///
    /// Entries that come while this runs may stay.
    pub fn clear(&self) -> usize {
        self.retain(|_, _| false)
    }

    /// Takes out this very value, if it is entered. True for the one call that did. Other values of its key are left alone.
    ///
    /// ```
    /// use highlander::Registry;
    ///
    /// let registry: Registry<&str, u32> = Registry::new();
    /// let (old, _) = registry.insert("k", 1);
    /// let (new, displaced) = registry.insert("k", 2);
    /// assert!(displaced.unwrap().ptr_eq(&old));
    /// assert!(!registry.remove_same(&old));       // not entered any more
    /// assert!(registry.get("k").unwrap().ptr_eq(&new));
    /// ```
    pub fn remove_same(&self, handle: &Handle<K, V>) -> bool {
        self.engine.remove(handle.strong())
    }

    /// Gives back memory that is not needed: makes the table as short as its entries allow, and frees the blocks in which none is left.
    ///
    /// Others go on meanwhile; memory that a reader may still see is freed by a later call or insertion. Blocks with a value in
    /// them stay as they are, since values do not move.
    ///
    /// *Waiting:* insertions that need a new block wait for the end of this call. *Complexity:* linear in the capacity and in
    /// the number of values that have gone.
    pub fn shrink_to_fit(&self) {
        self.engine.shrink_to_fit();
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> Registry<K, V, S> {
    /// The live value of this key.
    ///
    /// The key may be borrowed in any form that is [`Equivalent`] to `K` and hashes alike: `&str` for `String`, or a struct of references
    /// for a struct of owned parts.
    ///
    /// *Runs* `Hash` and `Equivalent` of the query. *Waiting:* none on a hit, unless the key is one of very many with the same hash; a miss may wait for a writer of its bucket, a
    /// few instructions long.
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
        let hash = hash_key(&self.hasher, key);
        self.engine
            .get(hash, |other| key.equivalent(other))
            .map(Handle::new)
    }

    /// Whether this key has a live value at some moment during the call.
    ///
    /// Owns the value for that moment, so if its last handle goes just then, it is dropped here.
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        self.get(key).is_some()
    }

    /// The live value of this key, created if there is none.
    ///
    /// *Runs* `make` with no lock held, once per key at a time. *Waiting:* none on a hit; otherwise for a creation of the same
    /// key that is under way, asleep. All who wait get the value that was made, even if its creator drops its own handle at once.
    ///
    /// # Panics
    /// When `make` panics, that goes to this caller, nothing is entered, and one of the waiters creates. When `make` asks for its own key on
    /// this thread, with the text of [`CycleError`].
    ///
    /// ```
    /// use highlander::Registry;
    ///
    /// let squares: Registry<u32, u32> = Registry::new();
    /// let nine = squares.get_or_insert_with(3, |n| n * n);
    /// assert_eq!(*nine, 9);
    /// ```
    #[inline]
    pub fn get_or_insert_with(&self, key: K, make: impl FnOnce(&K) -> V) -> Handle<K, V> {
        or_panic(self.get_or_try_insert_with(key, |key| Ok(make(key))))
    }

    /// The live value of this key, created if there is none, by a factory that may fail: its error comes back as it is.
    ///
    /// A failed creation enters nothing; one of those who wait runs its own factory. The error type must be able to say that the
    /// factory asked for its own key; one that cannot can be wrapped in a [`CreateError`](crate::CreateError).
    ///
    /// ```
    /// use highlander::{Handle, Registry};
    /// use std::{fs::File, io, path::{Path, PathBuf}};
    ///
    /// static FILES: Registry<PathBuf, File> = Registry::new();
    ///
    /// fn open(path: &Path) -> io::Result<Handle<PathBuf, File>> {
    ///     FILES.get_or_try_insert_with(path.to_owned(), |path| File::open(path))
    /// }
    /// assert_eq!(open(Path::new("no such file")).unwrap_err().kind(), io::ErrorKind::NotFound);
    /// assert!(FILES.is_empty());
    /// ```
    ///
    /// # Errors
    /// Whatever `make` returns, and [`CycleError`] when it asks for its own key on this thread.
    #[inline]
    pub fn get_or_try_insert_with<E: From<CycleError>>(
        &self,
        key: K,
        make: impl FnOnce(&K) -> Result<V, E>,
    ) -> Result<Handle<K, V>, E> {
        let hash = hash_key(&self.hasher, &key);
        match self.engine.get(hash, |other| key == *other) {
            Some(strong) => {
                // Here, not at the end of the scope: if a destructor panics, `strong` is still ours to drop.
                drop((key, make));
                Ok(Handle::new(strong))
            }
            None => self.create(hash, key, make),
        }
    }

    /// As [`get_or_insert_with`](Registry::get_or_insert_with), by a borrowed key: `to_owned` builds the key on a miss only.
    ///
    /// ```
    /// use highlander::{Equivalent, Registry};
    ///
    /// #[derive(PartialEq, Eq, Hash)]
    /// struct Name { space: String, local: String }
    ///
    /// #[derive(Hash)]
    /// struct NameRef<'a> { space: &'a str, local: &'a str }
    ///
    /// impl Equivalent<Name> for NameRef<'_> {
    ///     fn equivalent(&self, name: &Name) -> bool {
    ///         self.space == name.space && self.local == name.local
    ///     }
    /// }
    ///
    /// let registry: Registry<Name, usize> = Registry::new();
    /// let query = NameRef { space: "clan", local: "MacLeod" };
    /// let owned = |name: &NameRef| Name { space: name.space.into(), local: name.local.into() };
    /// let held = registry.get_or_insert_with_ref(&query, owned, |name| name.local.len());
    /// assert_eq!(*held, 7);
    /// assert!(registry.get(&query).is_some());
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
        make: impl FnOnce(&K) -> V,
    ) -> Handle<K, V>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        or_panic(self.get_or_try_insert_with_ref(key, to_owned, |key| Ok(make(key))))
    }

    /// As [`get_or_try_insert_with`](Registry::get_or_try_insert_with), by a borrowed key: `to_owned` builds the key on a miss only.
    ///
    /// # Errors
    /// Whatever `make` returns, and [`CycleError`] when it asks for its own key on this thread.
    ///
    /// # Panics
    /// When the key that `to_owned` builds is not equivalent to the borrowed one or hashes differently, since it would never be found.
    #[inline]
    pub fn get_or_try_insert_with_ref<Q, E: From<CycleError>>(
        &self,
        key: &Q,
        to_owned: impl FnOnce(&Q) -> K,
        make: impl FnOnce(&K) -> Result<V, E>,
    ) -> Result<Handle<K, V>, E>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let hash = hash_key(&self.hasher, key);
        if let Some(strong) = self.engine.get(hash, |other| key.equivalent(other)) {
            return Ok(Handle::new(strong));
        }
        let owned = owned_key(&self.hasher, hash, key, to_owned);
        self.create(hash, owned, make)
    }

    fn create<E: From<CycleError>>(
        &self,
        hash: u64,
        key: K,
        make: impl FnOnce(&K) -> Result<V, E>,
    ) -> Result<Handle<K, V>, E> {
        let seed = Seed::new(self.engine.blank(0, hash, 0), key);
        // Put aside until nobody waits any more: a value that was made in vain, and values of other keys with the same hash.
        let mut leftovers = (None, Vec::new());
        let landed = self.flights.get_or_create(
            hash,
            seed,
            |mine, theirs| mine.key() == theirs.key(),
            |seed| {
                // Whoever created it last may have left between our look at the index and our boarding.
                if let Some(existing) = self.engine.get(hash, |other| seed.key() == other) {
                    return Ok(existing);
                }
                let value = make(seed.key())?;
                let enter = |node| {
                    let Entered {
                        existing,
                        strangers,
                    } = self.engine.enter(node, hash, |other| seed.key() == other);
                    leftovers.1 = strangers;
                    match existing {
                        Some(existing) => (false, existing),
                        None => {
                            self.engine.add_live(1);
                            // SAFETY: linked, and its count is ours.
                            (true, unsafe { Strong::adopt(node) })
                        }
                    }
                };
                // SAFETY: a flight creates once at a time, and never after the first success, which owns what was sown.
                let (landed, value) = unsafe { seed.sow(value, enter) };
                leftovers.0 = value;
                Ok(landed)
            },
        );
        // Here, not at the end of the scope: if a destructor panics, `landed` is still ours to drop.
        drop(leftovers);
        landed.map(Handle::new)
    }

    /// Enters a value that exists already, unless the key has a live one.
    ///
    /// Does not wait for a creation under way: if this value comes first, the creator gets it too, and drops the one it has made.
    ///
    /// # Errors
    /// [`OccupiedError`] with the live value, and with the key and value that were to be entered.
    ///
    /// ```
    /// use highlander::Registry;
    ///
    /// let registry: Registry<u32, String> = Registry::new();
    /// let held = registry.try_insert(1, "first".into()).unwrap();
    /// let error = registry.try_insert(1, "second".into()).unwrap_err();
    /// assert_eq!(error.value, "second");
    /// assert_eq!(*error.existing, "first");
    /// ```
    pub fn try_insert(&self, key: K, value: V) -> Result<Handle<K, V>, OccupiedError<K, V>> {
        let (hash, new) = self.prepare(key, value);
        match self.engine.insert(new, hash, |new, other| new == other) {
            Ok(entered) => Ok(Handle::new(entered)),
            Err(Rejected { existing, rejected }) => {
                let (key, value) = take_back(rejected);
                Err(OccupiedError {
                    existing: Handle::new(existing),
                    key,
                    value,
                })
            }
        }
    }

    /// Enters a value, in the place of the live one if there is one, which comes back as the second part. Its owners keep it.
    ///
    /// ```
    /// use highlander::Registry;
    ///
    /// let registry: Registry<u32, &str> = Registry::new();
    /// let (old, none) = registry.insert(1, "old");
    /// assert!(none.is_none());
    /// let (new, displaced) = registry.insert(1, "new");
    /// assert!(displaced.unwrap().ptr_eq(&old));
    /// drop(old);                                  // a late drop does not touch its successor
    /// assert_eq!(*registry.get(&1).unwrap(), "new");
    /// ```
    pub fn insert(&self, key: K, value: V) -> (Handle<K, V>, Option<Handle<K, V>>) {
        let (hash, mut new) = self.prepare(key, value);
        loop {
            let Rejected { existing, rejected } =
                match self.engine.insert(new, hash, |new, other| new == other) {
                    Ok(entered) => return (Handle::new(entered), None),
                    Err(rejected) => rejected,
                };
            match self.engine.replace(&existing, rejected) {
                Ok(entered) => {
                    // Both were counted, and one of them is an entry.
                    self.engine.add_live(-1);
                    return (Handle::new(entered), Some(Handle::new(existing)));
                }
                // Taken out or replaced by somebody else meanwhile.
                Err(rejected) => new = rejected,
            }
        }
    }

    /// Puts a new value in the place of this very one, if it is entered still; see [`Registry::insert`]. The key is cloned.
    ///
    /// # Errors
    /// [`ReplaceError`] with the new value, when the old one has been taken out or replaced.
    ///
    /// ```
    /// use highlander::{Handle, Registry};
    ///
    /// let registry: Registry<u32, &str> = Registry::new();
    /// let (old, _) = registry.insert(1, "old");
    /// let new = registry.replace_same(&old, "new").unwrap();
    /// assert!(registry.get(&1).unwrap().ptr_eq(&new));
    /// assert!(registry.replace_same(&old, "late").is_err());
    /// ```
    pub fn replace_same(
        &self,
        old: &Handle<K, V>,
        value: V,
    ) -> Result<Handle<K, V>, ReplaceError<V>>
    where
        K: Clone,
    {
        let key = Handle::key(old).clone();
        let hash = old.strong().header().hash();
        let new = self.entry(hash, key, value, 0);
        match self.engine.replace(old.strong(), new) {
            Ok(entered) => Ok(Handle::new(entered)),
            Err(rejected) => Err(ReplaceError {
                value: take_back(rejected).1,
            }),
        }
    }

    /// Takes out the live value of this key and returns it. Its owners keep it.
    pub fn remove<Q>(&self, key: &Q) -> Option<Handle<K, V>>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        // Another thread may take out or replace the one just found; then whatever is there now is the one to remove.
        loop {
            let handle = self.get(key)?;
            if self.remove_same(&handle) {
                return Some(handle);
            }
        }
    }

    /// Takes out the live value of this key if `condition` holds for it, and returns it.
    ///
    /// *Runs* `condition` with no lock held, more than once if the entry changes meanwhile.
    pub fn remove_if<Q>(
        &self,
        key: &Q,
        mut condition: impl FnMut(&K, &V) -> bool,
    ) -> Option<Handle<K, V>>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        loop {
            let handle = self.get(key)?;
            if !condition(Handle::key(&handle), &handle) {
                return None;
            }
            if self.remove_same(&handle) {
                return Some(handle);
            }
        }
    }

    /// A value to be entered, counted as an entry.
    fn prepare(&self, key: K, value: V) -> (u64, Draft<Entry<K, V>>) {
        let hash = hash_key(&self.hasher, &key);
        (hash, self.entry(hash, key, value, 1))
    }

    fn entry(&self, hash: u64, key: K, value: V, live: isize) -> Draft<Entry<K, V>> {
        let blank = self.engine.blank(0, hash, live);
        // SAFETY: the blank has the node alone; key and value are written, then it is complete.
        unsafe {
            Entry::<K, V>::write_key(blank.node(), key);
            Entry::<K, V>::write_value(blank.node(), value);
            blank.complete()
        }
    }
}

/// Key and value of an entry that was never entered.
fn take_back<K, V>(draft: Draft<Entry<K, V>>) -> (K, V) {
    // SAFETY: nobody watches what was never entered, and this moves out both.
    unsafe {
        draft.take(|node| {
            let value = Entry::<K, V>::take_value(node);
            (Entry::<K, V>::take_key(node), value)
        })
    }
}

/// For calls whose factory cannot fail but by asking for itself.
#[inline]
fn or_panic<T>(result: Result<T, CycleError>) -> T {
    match result {
        Ok(value) => value,
        Err(cycle) => panic!("{cycle}"),
    }
}

impl<K: 'static, V: 'static, S: Default> Default for Registry<K, V, S> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<K: fmt::Debug, V: fmt::Debug, S> fmt::Debug for Registry<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handles: Vec<_> = self.iter().collect();
        f.debug_map()
            .entries(handles.iter().map(|h| (Handle::key(h), &**h)))
            .finish()
    }
}

impl<K, V, S> IntoIterator for &Registry<K, V, S> {
    type Item = Handle<K, V>;
    type IntoIter = RegistryIter<K, V>;

    fn into_iter(self) -> RegistryIter<K, V> {
        self.iter()
    }
}

/// The values of a [`Registry`] at the time of the call to [`Registry::iter`].
pub struct RegistryIter<K, V> {
    values: std::vec::IntoIter<Handle<K, V>>,
}

impl<K, V> Iterator for RegistryIter<K, V> {
    type Item = Handle<K, V>;

    fn next(&mut self) -> Option<Handle<K, V>> {
        self.values.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.values.size_hint()
    }
}

impl<K, V> ExactSizeIterator for RegistryIter<K, V> {}
impl<K, V> std::iter::FusedIterator for RegistryIter<K, V> {}

impl<K, V> fmt::Debug for RegistryIter<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryIter")
            .field("left", &self.values.len())
            .finish()
    }
}
