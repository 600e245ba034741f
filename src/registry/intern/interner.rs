//! The interner: one canonical value per content.

use crate::memory::hash::{hash_key, DefaultHashBuilder};
use crate::memory::panics::after;
use crate::registry::intern::internable::{Canonical, Internable, InternableRef};
use crate::registry::intern::interned::Interned;
use crate::sync::const_fn;
use crate::table::batch::Batch;
use crate::table::index::Probe;
use crate::table::node_ref::NodeRef;
use crate::table::{Rejected, Table};
use equivalent::Equivalent;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::panic::{RefUnwindSafe, UnwindSafe};

/// A set of canonical values, held weakly: equal contents get the same [`Interned`] handle, and a value goes
/// when its last handle does.
///
/// `T` may be any sized type, or `str`, `[T]`, [`Path`](std::path::Path), [`OsStr`](std::ffi::OsStr) or
/// [`CStr`](std::ffi::CStr), which are stored inline, without a second allocation. Its alignment is 1024 at
/// most; more than that the compiler refuses.
///
/// ```
/// use highlander::{Interned, Interner};
///
/// static NAMES: Interner<str> = Interner::new();
///
/// let name = NAMES.intern("Ramírez");
/// assert_eq!(NAMES.intern("Ramírez"), name);      // the same pointer
/// assert_eq!(NAMES.len(), 1);
/// drop(name);
/// assert_eq!(NAMES.len(), 0);                     // gone with its last owner
/// ```
///
/// # Consistency
/// All operations take `&self` and may be called from any thread, and from inside the `Hash`, `Eq`, `Clone`
/// or `Drop` of a `T` in the same interner: none of these runs under a lock. A look-up that finds its value
/// takes no lock and waits for nobody. A value is found from the moment it is entered until its last handle
/// goes, and never after. `len` is exact when nothing is under way.
///
/// # Complexity
/// Look-ups, insertions and drops take constant time on average. Growth never makes a reader wait.
pub struct Interner<T: ?Sized + Internable, S = DefaultHashBuilder> {
    table: Table<Canonical<T>>,
    hasher: S,
}

// SAFETY: values are handed to other threads by look-ups (hence `Sync`) and dropped there (hence `Send`).
unsafe impl<T: ?Sized + Internable + Send + Sync, S: Send> Send for Interner<T, S> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Internable + Send + Sync, S: Sync> Sync for Interner<T, S> {}

impl<T: ?Sized + Internable + 'static> Interner<T> {
    const_fn! {
        /// Creates an empty interner, which allocates nothing before its first value. Can be a `static`.
        pub const fn new() -> Self {
            Self::with_hasher(DefaultHashBuilder)
        }
    }

    /// Creates an empty interner with room for `capacity` values before its table grows.
    ///
    /// # Panics
    /// With "capacity overflow", when no table can have that size (beyond 2³³ values or so).
    pub fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity_and_hasher(capacity, DefaultHashBuilder)
    }
}

impl<T: ?Sized + Internable + 'static, S> Interner<T, S> {
    const_fn! {
        /// Creates an empty interner that hashes with `hasher`.
        ///
        /// ```
        /// use highlander::Interner;
        /// use std::hash::BuildHasherDefault;
        /// use std::collections::hash_map::DefaultHasher;
        ///
        /// type Hasher = BuildHasherDefault<DefaultHasher>;
        /// let interner: Interner<str, Hasher> = Interner::with_hasher(Hasher::default());
        /// let held = interner.intern("x");
        /// assert!(interner.contains("x"));
        /// ```
        pub const fn with_hasher(hasher: S) -> Self {
            Self {
                table: Table::new(),
                hasher,
            }
        }
    }

    /// Creates an empty interner with room for `capacity` values, that hashes with `hasher`.
    ///
    /// # Panics
    /// With "capacity overflow", when no table can have that size (beyond 2³³ values or so).
    pub fn with_capacity_and_hasher(capacity: usize, hasher: S) -> Self {
        Self {
            table: Table::with_capacity(capacity),
            hasher,
        }
    }
}

impl<T: ?Sized + Internable, S> Interner<T, S> {
    /// Returns the hasher.
    pub fn hasher(&self) -> &S {
        &self.hasher
    }

    /// Returns the number of values. Exact when nothing is under way; otherwise it may count values whose
    /// insertion or removal is.
    ///
    /// *Complexity:* a few loads, whatever the size.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many values fit before the table grows.
    pub fn capacity(&self) -> usize {
        self.table.capacity()
    }

    /// Makes room for `additional` values more than there are: `capacity` is at least `len + additional`
    /// then, and the table need not grow before there are more than `capacity`, unless it is shrunk
    /// meanwhile.
    ///
    /// That is room in the table: a value's memory comes with it. Other threads' values take of it too.
    ///
    /// Others go on meanwhile. *Waiting:* for writers of a bucket, a few instructions long; if another thread
    /// is just replacing the table, a part of the move is left to it and to the insertions to come.
    /// *Complexity:* linear in the old `capacity`, and in the new one for getting the memory; constant if
    /// there is room already.
    ///
    /// # Panics
    /// With "capacity overflow", when no table can have that size (beyond 2³³ values or so).
    ///
    /// ```
    /// use highlander::Interner;
    ///
    /// let interner: Interner<u32> = Interner::new();
    /// interner.reserve(1000);
    /// let capacity = interner.capacity();
    /// assert!(capacity >= 1000);
    /// let _held: Vec<_> = (0..1000).map(|i| interner.intern(&i)).collect();
    /// assert_eq!(interner.capacity(), capacity);
    /// ```
    pub fn reserve(&self, additional: usize) {
        self.table.reserve(additional);
    }

    /// Returns the live values, at some moment for each: one that is live throughout the call is among them,
    /// one that is not may be.
    ///
    /// The iterator owns what it yields and holds no lock: anything may be done meanwhile, and values live at
    /// least until they are yielded.
    ///
    /// *Waiting:* for writers of a bucket, a few instructions long. *Complexity:* linear in `capacity`.
    ///
    /// ```
    /// use highlander::Interner;
    ///
    /// let interner: Interner<str> = Interner::new();
    /// let held = [interner.intern("a"), interner.intern("b")];
    /// let mut seen: Vec<_> = interner.iter().collect();
    /// seen.sort();
    /// assert_eq!(seen, held);
    /// ```
    pub fn iter(&self) -> InternerIter<T> {
        let values: Vec<_> = self
            .table
            .snapshot()
            .into_iter()
            .map(Interned::new)
            .collect();
        InternerIter {
            values: values.into_iter(),
        }
    }

    /// Gives back memory that is not needed: makes the table as short as its values allow, and frees the
    /// blocks in which none is left.
    ///
    /// Others go on meanwhile; memory that a reader may still see is freed by a later call or insertion.
    /// Blocks with a value in them stay as they are, since values do not move.
    ///
    /// *Waiting:* insertions that need a new block wait for the end of this call. *Complexity:* linear in the
    /// capacity and in the number of values that have gone.
    pub fn shrink_to_fit(&self) {
        self.table.shrink_to_fit();
    }
}

impl<T: ?Sized + Internable + Hash + Eq, S: BuildHasher> Interner<T, S> {
    /// Returns the canonical handle of this content, entered if there is none. Clones the value on a miss.
    ///
    /// *Runs* `Hash`, `Eq` and, on a miss, `Clone` of `T`. When several threads miss at once each clones, one
    /// is entered, the others are dropped. *Waiting:* none on a hit; on a miss for other writers of the same
    /// bucket, a few instructions long.
    ///
    /// ```
    /// use highlander::Interner;
    ///
    /// static NAMES: Interner<str> = Interner::new();
    ///
    /// let (one, same) = (NAMES.intern("Gill"), NAMES.intern(&String::from("Gill")));
    /// assert!(one == same && one.as_ptr() == same.as_ptr());
    /// assert_eq!(one.len(), 4);       // it dereferences to the `str`
    /// ```
    ///
    /// # Panics
    /// When an unsized value has more than `u32::MAX` elements. User code that panics leaves no trace.
    #[inline]
    pub fn intern(&self, value: &T) -> Interned<T>
    where
        T: InternableRef,
    {
        self.intern_hashed(hash_key(&self.hasher, value), value)
    }

    /// Returns the canonical handles of these contents in order, as [`intern`](Self::intern) does for each,
    /// when the iterator comes to it.
    ///
    /// For large interners: of sixteen contents at a time, the memory that is to be read is fetched together.
    ///
    /// ```
    /// use highlander::Interner;
    ///
    /// let words: Interner<str> = Interner::new();
    /// let text: Vec<_> = words.intern_many("to be or not to be".split(' ')).collect();
    /// assert_eq!((text.len(), words.len()), (6, 4));
    /// assert_eq!(text[0], text[4]);
    /// ```
    pub fn intern_many<'q, I>(
        &self,
        values: I,
    ) -> impl Iterator<Item = Interned<T>> + use<'_, 'q, T, S, I>
    where
        T: InternableRef + 'q,
        I: IntoIterator<Item = &'q T>,
    {
        Batch::new(
            &self.table,
            values.into_iter(),
            |value: &&T| hash_key(&self.hasher, *value),
            |_| (),
            |hash, value: &T| self.intern_hashed(hash, value),
        )
    }

    #[inline(always)]
    fn intern_hashed(&self, hash: u64, value: &T) -> Interned<T>
    where
        T: InternableRef,
    {
        // Nothing on the way to a hit makes a call, except the last step: so a hit needs no stack.
        self.table.probe(
            hash,
            |node| {
                if value.same(node.key()) {
                    Interned::new(node)
                } else {
                    self.intern_beside(hash, value, node)
                }
            },
            |probe| self.intern_missing(hash, value, probe),
        )
    }

    #[cold]
    #[inline(never)]
    fn intern_beside(&self, hash: u64, value: &T, stranger: NodeRef<Canonical<T>>) -> Interned<T>
    where
        T: InternableRef,
    {
        // This may be its last owner: it is dropped here, where that may run a user's code.
        drop(stranger);
        self.intern_missing(hash, value, Probe::UNSURE)
    }

    #[inline(never)]
    fn intern_missing(&self, hash: u64, value: &T, probe: Probe) -> Interned<T>
    where
        T: InternableRef,
    {
        if probe != Probe::ABSENT {
            if let Some(node) = self.table.get_slow(hash, &|other| value == other) {
                return Interned::new(node);
            }
        }
        // SAFETY: the closure writes the value.
        unsafe { self.enter(hash, value.elements(), |to| value.clone_to(to)) }
    }

    /// Returns the canonical handle of this content, entered if there is none. Drops the value on a hit.
    ///
    /// ```
    /// use highlander::Interner;
    ///
    /// let words: Interner<[u32]> = Interner::new();
    /// let one = words.intern_owned(vec![1, 2, 3]);
    /// assert_eq!(words.intern(&[1, 2, 3]), one);
    /// ```
    ///
    /// # Panics
    /// When an unsized value has more than `u32::MAX` elements.
    pub fn intern_owned(&self, value: impl Into<T::Owned>) -> Interned<T> {
        let owned = value.into();
        let hash = hash_key(&self.hasher, T::as_ref_of(&owned));
        match self.get_hashed(hash, |other| T::as_ref_of(&owned) == other) {
            Some(interned) => after(owned, interned),
            None => self.enter_owned(hash, owned),
        }
    }

    /// Returns the canonical handle of the content of `query`; `make` builds the value on a miss only.
    ///
    /// *Runs* `make` with no lock held. Several threads that miss at once may run it; one result is entered.
    ///
    /// ```
    /// use highlander::Interner;
    ///
    /// let names: Interner<String> = Interner::new();
    /// let a = names.intern_with("Darius", |s| s.to_owned());
    /// let b = names.intern_with("Darius", |_| unreachable!("it is there"));
    /// assert_eq!(a, b);
    /// ```
    ///
    /// # Panics
    /// When what `make` makes is not equivalent to `query` or hashes differently, since it would never be
    /// found; and when an unsized value has more than `u32::MAX` elements.
    pub fn intern_with<Q>(&self, query: &Q, make: impl FnOnce(&Q) -> T::Owned) -> Interned<T>
    where
        Q: ?Sized + Hash + Equivalent<T>,
    {
        let hash = hash_key(&self.hasher, query);
        if let Some(interned) = self.get_hashed(hash, |other| query.equivalent(other)) {
            return after(make, interned);
        }
        let owned = make(query);
        let value = T::as_ref_of(&owned);
        assert!(
            query.equivalent(value) && hash_key(&self.hasher, value) == hash,
            "the value that was made is not equivalent to what was asked for, or hashes differently"
        );
        self.enter_owned(hash, owned)
    }

    /// Returns the canonical handle of this content, if there is one. Enters nothing.
    ///
    /// *Runs* `Hash` of the query and `Equivalent`. *Waiting:* none on a hit, unless the key is one of very
    /// many with the same hash; a miss may wait for a writer of its bucket, a few instructions long.
    ///
    /// ```
    /// use highlander::Interner;
    ///
    /// let interner: Interner<str> = Interner::new();
    /// assert!(interner.get("x").is_none());
    /// let held = interner.intern("x");
    /// assert_eq!(interner.get("x"), Some(held));
    /// assert!(interner.get("x").is_none());       // that was the last handle
    /// ```
    #[inline]
    pub fn get<Q>(&self, query: &Q) -> Option<Interned<T>>
    where
        Q: ?Sized + Hash + Equivalent<T>,
    {
        let hash = hash_key(&self.hasher, query);
        self.get_hashed(hash, |other| query.equivalent(other))
    }

    /// Returns the canonical handles of these contents in order, as [`get`](Self::get) does for each, when
    /// the iterator comes to it; see [`intern_many`](Self::intern_many).
    ///
    /// ```
    /// let interner: highlander::Interner<str> = highlander::Interner::new();
    /// let held = interner.intern("x");
    /// assert!(interner.get_many(["x", "y"]).eq([Some(held), None]));
    /// ```
    pub fn get_many<'q, Q, I>(
        &self,
        queries: I,
    ) -> impl Iterator<Item = Option<Interned<T>>> + use<'_, 'q, T, S, Q, I>
    where
        Q: ?Sized + Hash + Equivalent<T> + 'q,
        I: IntoIterator<Item = &'q Q>,
    {
        Batch::new(
            &self.table,
            queries.into_iter(),
            |query: &&Q| hash_key(&self.hasher, *query),
            |_| (),
            |hash, query: &Q| self.get_hashed(hash, |other| query.equivalent(other)),
        )
    }

    /// Returns whether this content has a live value at some moment during the call.
    ///
    /// Owns the value for that moment, so if its last handle goes just then, it is dropped here.
    ///
    /// ```
    /// let names: highlander::Interner<str> = highlander::Interner::new();
    /// let name = names.intern("Gill");
    /// assert!(names.contains("Gill"));
    /// drop(name);
    /// assert!(!names.contains("Gill"));
    /// ```
    pub fn contains<Q>(&self, query: &Q) -> bool
    where
        Q: ?Sized + Hash + Equivalent<T>,
    {
        self.get(query).is_some()
    }

    #[inline]
    fn get_hashed(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<Interned<T>> {
        self.table.get(hash, is_it).map(Interned::new)
    }

    fn enter_owned(&self, hash: u64, owned: T::Owned) -> Interned<T> {
        let len = T::as_ref_of(&owned).elements();
        // SAFETY: the closure writes the value.
        unsafe { self.enter(hash, len, |to| T::move_to(owned, to)) }
    }

    /// # Safety
    /// `write` writes a value of `len` elements.
    #[inline]
    unsafe fn enter(&self, hash: u64, len: usize, write: impl FnOnce(*mut u8)) -> Interned<T> {
        let meta = u32::try_from(len).expect("a value of more than u32::MAX elements");
        let uninit = self.table.uninit_node(meta, hash, 1);
        write(uninit.payload());
        // SAFETY: written.
        let new = unsafe { uninit.complete() };
        match self.table.insert(new, hash, |new, other| new == other) {
            Ok(entered) => Interned::new(entered),
            Err(Rejected { existing, rejected }) => {
                let existing = existing.expect("an interner is never sealed");
                after(rejected, Interned::new(existing))
            }
        }
    }
}

#[cfg(feature = "serde")]
impl<T: ?Sized + Internable + Hash + Eq, S: BuildHasher> Interner<T, S> {
    /// Returns a seed that deserializes a value straight into this interner: a handle has no `Deserialize`,
    /// since it could not know whose.
    ///
    /// ```
    /// use highlander::Interner;
    /// use serde::de::DeserializeSeed;
    ///
    /// let names: Interner<str> = Interner::new();
    /// let mut json = serde_json::Deserializer::from_str("\"Cassandra\"");
    /// let name = names.seed().deserialize(&mut json).unwrap();
    /// assert_eq!(name, names.intern("Cassandra"));
    /// ```
    pub fn seed(&self) -> InternerSeed<'_, T, S> {
        InternerSeed { interner: self }
    }
}

/// Deserializes into an interner; see [`Interner::seed`].
#[cfg(feature = "serde")]
pub struct InternerSeed<'a, T: ?Sized + Internable, S> {
    interner: &'a Interner<T, S>,
}

#[cfg(feature = "serde")]
impl<T: ?Sized + Internable, S> Clone for InternerSeed<'_, T, S> {
    fn clone(&self) -> Self {
        *self
    }
}

#[cfg(feature = "serde")]
impl<T: ?Sized + Internable, S> Copy for InternerSeed<'_, T, S> {}

#[cfg(feature = "serde")]
impl<T: ?Sized + Internable, S> fmt::Debug for InternerSeed<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InternerSeed").finish_non_exhaustive()
    }
}

#[cfg(feature = "serde")]
impl<'de, T, S> serde_core::de::DeserializeSeed<'de> for InternerSeed<'_, T, S>
where
    T: ?Sized + Internable + Hash + Eq,
    T::Owned: serde_core::Deserialize<'de>,
    S: BuildHasher,
{
    type Value = Interned<T>;

    fn deserialize<D: serde_core::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Interned<T>, D::Error> {
        let owned = <T::Owned as serde_core::Deserialize>::deserialize(deserializer)?;
        Ok(self.interner.intern_owned(owned))
    }
}

impl<T: ?Sized + Internable + 'static, S: Default> Default for Interner<T, S> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<T: ?Sized + Internable + fmt::Debug, S> fmt::Debug for Interner<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<T: ?Sized + Internable, S> IntoIterator for &Interner<T, S> {
    type Item = Interned<T>;
    type IntoIter = InternerIter<T>;

    fn into_iter(self) -> InternerIter<T> {
        self.iter()
    }
}

/// The values of an [`Interner`] at the time of the call to [`Interner::iter`].
pub struct InternerIter<T: ?Sized + Internable> {
    values: std::vec::IntoIter<Interned<T>>,
}

impl<T: ?Sized + Internable> Iterator for InternerIter<T> {
    type Item = Interned<T>;

    fn next(&mut self) -> Option<Interned<T>> {
        self.values.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.values.size_hint()
    }
}

impl<T: ?Sized + Internable> ExactSizeIterator for InternerIter<T> {}
impl<T: ?Sized + Internable> std::iter::FusedIterator for InternerIter<T> {}

impl<T: ?Sized + Internable> fmt::Debug for InternerIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InternerIter")
            .field("left", &self.values.len())
            .finish()
    }
}

#[cfg(feature = "serde")]
impl<T: ?Sized + Internable + serde_core::Serialize, S> serde_core::Serialize for Interner<T, S> {
    /// Serializes the live values as a sequence. It owns all of them until it returns. *Runs* `Serialize` of
    /// values with no lock held.
    fn serialize<Z: serde_core::Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        serializer.collect_seq(self.iter())
    }
}

// Why: see "Unwind safety" in ARCHITECTURE.md.
impl<T: ?Sized + Internable + RefUnwindSafe, S: UnwindSafe> UnwindSafe for Interner<T, S> {}
impl<T: ?Sized + Internable + RefUnwindSafe, S: RefUnwindSafe> RefUnwindSafe for Interner<T, S> {}
impl<T: ?Sized + Internable, S: Unpin> Unpin for Interner<T, S> {}
