//! The registry: one live value per key.
//!
//! Here: the type, and what concerns all of its entries. `keyed` has what concerns one, `creating` the calls
//! that run a factory, `cyclic` those whose values know themselves.

pub(crate) mod handle;
pub(crate) mod intern;
pub(crate) mod node;

mod creating;
mod cyclic;
mod iter;
mod keyed;

use crate::create::flight::FlightTable;
use crate::create::reserved_node::ReservedNode;
use crate::deadlock::naming::Naming;
use crate::memory::hash::DefaultHashBuilder;
use crate::memory::panics::after;
use crate::registry::handle::Handle;
use crate::registry::node::RegistryNode;
use crate::sync::const_fn;
use crate::table::node_ref::NodeRef;
use crate::table::stats::{Count, Counters, Stats};
use crate::table::Table;
use creating::LiveHandle;
pub use iter::RegistryIter;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// A map from keys to values that it holds weakly: at most one live value per key, gone when its last
/// [`Handle`] is.
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
/// assert!(Handle::ptr_eq(&class, &again));
/// assert_eq!(again.name, "class 7");
///
/// drop((class, again));
/// assert!(CLASSES.get(&7).is_none());
/// ```
///
/// # Consistency
/// All operations take `&self` and may be called from any thread, and from inside a factory, a `Drop`, a
/// `Hash` or an `Eq` of the same registry: none of these runs under a lock. A look-up that finds its value
/// takes no lock and waits for nobody. A value is found from the moment it is complete and entered until its
/// last handle goes or it is removed, and never after. `len` is exact when nothing is under way.
///
/// A value that owns a handle to itself, directly or through others, never dies: give it a
/// [`WeakHandle`](crate::WeakHandle) instead.
///
/// Keys and values are `'static`: a deeply nested value may be dropped a little later, so it must not borrow.
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
/// Keys and values may have any alignment up to 1024 bytes. More than that the compiler refuses, here and in
/// all maps and interners that keep them; what needs it lies in a `Box` or `Arc`.
///
/// ```compile_fail
/// #[repr(align(4096))]
/// struct Page([u8; 4096]);
/// let registry: highlander::Registry<u32, Page> = highlander::Registry::new();
/// registry.insert(1, Page([0; 4096]));   // error: types with an alignment above 1024 are not supported
/// ```
/// ```
/// #[repr(align(4096))]
/// struct Page([u8; 4096]);
/// let registry: highlander::Registry<u32, Box<Page>> = highlander::Registry::new();
/// registry.insert(1, Box::new(Page([0; 4096])));
/// ```
///
/// Large values need no box: what a factory returns is written once, where it stays. One of 400 KB is created
/// on a stack of 2 MiB, also where nothing is optimised; but a call that awaits carries it in its future
/// until then, and a value that is passed in, or comes back as an error, is moved like any argument.
///
/// # Creating
/// [`get_or_insert_with`](Registry::get_or_insert_with) runs one factory per key at a time. Others that ask
/// for the same key sleep until it is done and get the same value; other keys are not held up. When a factory
/// fails or panics nothing is entered, and one of the waiters runs its own.
///
/// (Keys that share all 64 bits of their hash are compared with each other, with no lock held: a call that
/// enters a value goes on until it has met all of them, those too that come meanwhile; and it owns each value
/// while it compares its key.)
///
/// A factory may create values under other keys, here or in any other registry or map. One that comes back to
/// its own key, directly or through other factories, on one thread or through several, gets a
/// [`CycleError`](crate::error::CycleError) instead of waiting for itself: of two threads whose factories
/// each ask for the key that the other one is creating, the one who asks last. (A factory that waits for
/// another thread by other means than these types is not seen through.)
pub struct Registry<K, V, S = DefaultHashBuilder> {
    table: Table<RegistryNode<K, V>>,
    flights: Creations<K, V>,
    naming: Naming<K>,
    hasher: S,
    counters: Counters,
    /// False unless [`Registry::record_stats`] was called.
    is_counted: bool,
}

/// Waiters have a reserved node, and get an owner.
type Creations<K, V> = FlightTable<ReservedNode<RegistryNode<K, V>>, LiveHandle<K, V>>;

// SAFETY: keys and values that one thread has entered are handed to others by look-ups (hence `Sync`) and
// dropped there (hence `Send`).
unsafe impl<K: Send + Sync, V: Send + Sync, S: Send> Send for Registry<K, V, S> {}
// SAFETY: as above.
unsafe impl<K: Send + Sync, V: Send + Sync, S: Sync> Sync for Registry<K, V, S> {}

impl<K: 'static, V: 'static> Registry<K, V> {
    const_fn! {
        /// Creates an empty registry, which allocates nothing before its first value. Can be a `static`.
        pub const fn new() -> Self {
            Self::with_hasher(DefaultHashBuilder)
        }
    }

    /// Creates an empty registry with room for `capacity` values before its table grows.
    ///
    /// # Panics
    /// With "capacity overflow", when no table can have that size (beyond 2³³ values or so).
    pub fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity_and_hasher(capacity, DefaultHashBuilder)
    }
}

impl<K: 'static, V: 'static, S> Registry<K, V, S> {
    const_fn! {
        /// Creates an empty registry that hashes with `hasher`.
        pub const fn with_hasher(hasher: S) -> Self {
            Self {
                table: Table::new(),
                flights: FlightTable::new(),
                naming: Naming::BY_TYPE,
                hasher,
                counters: Counters::new(),
                is_counted: false,
            }
        }
    }

    /// Creates an empty registry with room for `capacity` values, that hashes with `hasher`.
    ///
    /// # Panics
    /// With "capacity overflow", when no table can have that size (beyond 2³³ values or so).
    pub fn with_capacity_and_hasher(capacity: usize, hasher: S) -> Self {
        Self {
            table: Table::with_capacity(capacity),
            flights: FlightTable::new(),
            naming: Naming::BY_TYPE,
            hasher,
            counters: Counters::new(),
            is_counted: false,
        }
    }
}

impl<K, V, S> Registry<K, V, S> {
    /// Names keys by their `Debug` where the text of a [`CycleError`](crate::error::CycleError) would
    /// otherwise name their type.
    ///
    /// *Runs* `Debug` of keys that are being created, with no lock held, when a creation that waits for
    /// another one is noted or refused.
    ///
    /// ```
    /// use highlander::error::Refused;
    /// use highlander::Registry;
    ///
    /// static MODULES: Registry<&str, u32> = Registry::new().debug_keys();
    ///
    /// fn load(name: &'static str, imports: &'static str) -> Result<u32, Refused> {
    ///     Ok(*MODULES.get_or_try_insert_with(name, |_| load(imports, name))?)
    /// }
    /// let text = load("chicken", "egg").unwrap_err().to_string();
    /// assert!(text.ends_with(r#""chicken", which asked for "egg", which asked for the first again"#));
    /// ```
    #[must_use]
    pub const fn debug_keys(mut self) -> Self
    where
        K: fmt::Debug,
    {
        self.naming = Naming::shown();
        self
    }

    /// Sets a hook around sleeping: a thread that is about to sleep, until somebody else's creation or
    /// destructor in this registry has ended, calls it. The thread sleeps when the hook calls what it is
    /// given. For a thread that lets go of an interpreter's lock meanwhile.
    ///
    /// See [`around_sleep` of the maps](crate::map::Map::around_sleep), of which all holds here.
    ///
    /// ```
    /// use highlander::Registry;
    ///
    /// fn in_between(sleep: &mut dyn FnMut()) {
    ///     // … lets go of the interpreter
    ///     sleep();
    ///     // … takes it again
    /// }
    /// static MODULES: Registry<&str, usize> = Registry::new().around_sleep(in_between);
    ///
    /// assert_eq!(*MODULES.get_or_insert_with("sys", |name| name.len()), 3);       // nobody to wait for
    /// ```
    #[must_use]
    pub const fn around_sleep(mut self, hook: fn(sleep: &mut dyn FnMut())) -> Self {
        self.flights.set_around_sleep(hook);
        self
    }

    const_fn! {
        /// Makes the registry exclusive: a value is not made before the destructor of the one that had the
        /// key has *ended*. For files, sockets, locks on disk, child processes.
        ///
        /// Creators, claims and futures wait for that, asleep; `try_claim` says that it is in flight. A
        /// destructor that asks for its own key, directly or through others, gets a
        /// [`CycleError`](crate::error::CycleError). Look-ups do not wait, nor do [`insert`](Self::insert)
        /// and [`try_insert`](Self::try_insert), whose value exists already; and a value that was
        /// [removed](Self::remove) and lives on is no business of the registry's. Two keys with the same
        /// 64-bit hash wait for each other.
        ///
        /// A value whose [initialisation](crate::map::Entry::or_create_cyclic) has failed, or that is given
        /// up with a draft that it was made with, is open until its last owner has let go of it: creators
        /// wait for that too, so nobody should put a handle of it aside before the draft is published. The
        /// destructor of one of those that are given up in one call, or in calls inside of it, gets a
        /// [`CycleError`](crate::error::CycleError) if it asks for another one of them: it may own that. (Who
        /// owns one by other ways, and asks for it, waits for ever. An exclusive *map* waits for the former
        /// only: what is behind its pointers may belong to others.) Callbacks
        /// [at the death](crate::Handle::on_death) of a value run when its destructor has ended, and not
        /// before: so they may ask for the same key. A destructor that others may wait for is given no
        /// [drafts](crate::map::Entry::or_create_cyclic), also inside of their creation. Of a draft that is
        /// complete, and not entered since somebody has inserted another value, the end is not waited for.
        ///
        /// ```
        /// use highlander::Registry;
        /// use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
        ///
        /// static IN_USE: AtomicBool = AtomicBool::new(false);
        /// struct Port;
        /// impl Port {
        ///     fn open() -> Self {
        ///         assert!(!IN_USE.swap(true, SeqCst), "the port is in use");
        ///         Port
        ///     }
        /// }
        /// impl Drop for Port {
        ///     fn drop(&mut self) { IN_USE.store(false, SeqCst) }
        /// }
        ///
        /// static PORTS: Registry<u16, Port> = Registry::new().exclusive();
        /// std::thread::scope(|scope| {
        ///     for _ in 0..4 {
        ///         let open = |_| drop(PORTS.get_or_insert_with(80, |_| Port::open()));
        ///         scope.spawn(move || (0..100).for_each(open));
        ///     }
        /// });
        /// ```
        ///
        /// # Panics
        /// When the registry holds values, or room for them ([`with_capacity`](Registry::with_capacity)):
        /// [`reserve`](Self::reserve) that afterwards.
        #[must_use]
        pub const fn exclusive(mut self) -> Self {
            self.table.set_exclusive();
            self
        }
    }

    /// Counts what the registry does, for its [`stats`](Self::stats).
    ///
    /// ```
    /// use highlander::Registry;
    ///
    /// static USERS: Registry<u32, String> = Registry::new().record_stats();
    ///
    /// let user = USERS.get_or_insert_with(1, |id| format!("user {id}"));
    /// assert_eq!(USERS.get(&1), Some(user));
    /// let stats = USERS.stats();
    /// assert_eq!((stats.hits, stats.misses, stats.created, stats.reported), (1, 1, 1, 1));
    /// ```
    #[must_use]
    pub const fn record_stats(mut self) -> Self {
        self.is_counted = true;
        self
    }

    /// Returns counters of what the registry has done. All 0, unless [that was asked
    /// for](Self::record_stats). Values whose last owner has gone are those that are `reported`.
    pub fn stats(&self) -> Stats {
        if !self.is_counted {
            return Stats::default();
        }
        let mut stats = self.counters.stats(0);
        let entered = stats.created + stats.inserted;
        let elsewhere = stats.replaced + stats.removed + self.len() as u64;
        stats.reported = entered.saturating_sub(elsewhere);
        stats
    }

    #[inline(always)]
    fn count(&self, what: Count) {
        if self.is_counted {
            self.counters.add(what);
        }
    }

    /// Looks up the live value whose key `is_it`, and counts that.
    #[inline(always)]
    fn look_up(
        &self,
        hash: u64,
        is_it: impl Fn(&K) -> bool,
    ) -> Option<NodeRef<RegistryNode<K, V>>> {
        let found = self.table.get(hash, is_it);
        self.count(match found {
            Some(_) => Count::Hit,
            None => Count::Miss,
        });
        found
    }

    /// Returns the hasher.
    pub fn hasher(&self) -> &S {
        &self.hasher
    }

    /// Returns the number of entries. Exact when nothing is under way; otherwise it may count those whose
    /// insertion or removal is.
    ///
    /// *Complexity:* a few loads, whatever the size.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many entries fit before the table grows.
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
    /// use highlander::Registry;
    ///
    /// let registry: Registry<u32, u32> = Registry::new();
    /// registry.reserve(1000);
    /// let capacity = registry.capacity();
    /// assert!(capacity >= 1000);
    /// let _held: Vec<_> = (0..1000).map(|i| registry.insert(i, i).0).collect();
    /// assert_eq!(registry.capacity(), capacity);
    /// ```
    pub fn reserve(&self, additional: usize) {
        self.table.reserve(additional);
    }

    /// Refuses new entries from now on, and returns the live values, so that each can be shut down. The
    /// entries stay, and are found until they die or are removed.
    ///
    /// An insertion or creation that comes later, or is under way and not among the values returned, is
    /// refused with a [`ClosedError`](crate::error::ClosedError). Of values that are
    /// [published together](crate::map::Entry::or_create_cyclic) each is refused for itself: see
    /// [the guide](crate::guide::creating#what-becomes-of-whom).
    ///
    /// ```
    /// use highlander::{Handle, Registry};
    ///
    /// let registry: Registry<u32, &str> = Registry::new();
    /// let (one, _) = registry.insert(1, "one");
    /// assert!(Handle::ptr_eq(&registry.close()[0], &one));
    /// assert!(registry.try_insert(2, "two").unwrap_err().is_closed());
    /// assert!(registry.get(&1).is_some());
    /// ```
    pub fn close(&self) -> Vec<Handle<K, V>> {
        self.table.seal();
        self.iter().collect()
    }

    /// Returns whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.table.is_sealed()
    }

    /// Returns the live values, at some moment for each: one that is entered throughout the call is among
    /// them, one that is not may be.
    ///
    /// The iterator owns what it yields and holds no lock: anything may be done meanwhile, and values live at
    /// least until they are yielded.
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
        let values: Vec<_> = self.table.snapshot().into_iter().map(Handle::new).collect();
        RegistryIter::new(values)
    }

    /// Returns the keys of the live values, cloned; see [`Registry::iter`]. To borrow them instead, iterate
    /// over the handles and use [`Handle::key`].
    ///
    /// ```
    /// let registry = highlander::Registry::new();
    /// let _values = [1, 2].map(|key| registry.get_or_insert_with(key, |key| key * 10));
    /// let mut keys: Vec<_> = registry.keys().collect();
    /// keys.sort();
    /// assert_eq!(keys, [1, 2]);
    /// ```
    pub fn keys(&self) -> impl ExactSizeIterator<Item = K> + use<K, V, S>
    where
        K: Clone,
    {
        self.iter().map(|handle| {
            let key = Handle::key(&handle).clone();
            after(handle, key)
        })
    }

    /// Calls `f` with each live entry; see [`Registry::iter`]. No lock is held; `f` may change the registry.
    ///
    /// ```
    /// let registry = highlander::Registry::new();
    /// let _values = [1, 2].map(|key| registry.get_or_insert_with(key, |key| key * 10));
    /// let mut sum = 0;
    /// registry.for_each(|key, value| sum += key + value);
    /// assert_eq!(sum, 33);
    /// ```
    pub fn for_each(&self, mut f: impl FnMut(&K, &V)) {
        self.iter()
            .for_each(|handle| f(Handle::key(&handle), &handle));
    }

    /// Takes out the entries for which `keep` says no, and returns how many. Their owners keep the values.
    ///
    /// *Runs* `keep` with no lock held; it may use the registry. An entry that is replaced meanwhile stays.
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
    ///
    /// ```
    /// let registry = highlander::Registry::new();
    /// let value = registry.get_or_insert_with(1, |_| "one");
    /// assert_eq!((registry.clear(), registry.len(), *value), (1, 0, "one"));
    /// ```
    pub fn clear(&self) -> usize {
        self.retain(|_, _| false)
    }

    /// Takes out all entries, and returns the values that this call has taken out.
    ///
    /// ```
    /// let registry = highlander::Registry::new();
    /// let _value = registry.get_or_insert_with(1, |_| "one");
    /// let drained: Vec<_> = registry.drain().map(|value| *value).collect();
    /// assert_eq!((drained, registry.len()), (vec!["one"], 0));
    /// ```
    pub fn drain(&self) -> std::vec::IntoIter<Handle<K, V>> {
        let drained: Vec<_> = self
            .iter()
            .filter(|handle| self.remove_same(handle))
            .collect();
        drained.into_iter()
    }

    /// Takes out some live value, whichever comes first; none if there is none. *Complexity:* linear in
    /// `capacity` at worst: for all of them there is [`drain`](Self::drain).
    ///
    /// ```
    /// let registry = highlander::Registry::new();
    /// let value = registry.get_or_insert_with(1, |_| "one");
    /// assert_eq!(registry.pop(), Some(value));
    /// assert!(registry.pop().is_none());
    /// ```
    pub fn pop(&self) -> Option<Handle<K, V>> {
        let mut halves = 0..1 << 32;
        while !halves.is_empty() {
            let mut some = Vec::new();
            let found = |node| some.push(Handle::new(node));
            halves.start = self.table.own(halves.clone(), 1, |_| true, found);
            let mut some = some.into_iter();
            let popped = some.find(|handle| self.remove_same(handle));
            if popped.is_some() {
                return after(some, popped);
            }
        }
        None
    }

    /// Takes out this very value, if it is entered. True for the one call that did. No other one is touched.
    ///
    /// ```
    /// use highlander::{Handle, Registry};
    ///
    /// let registry: Registry<&str, u32> = Registry::new();
    /// let (old, _) = registry.insert("k", 1);
    /// let (new, displaced) = registry.insert("k", 2);
    /// assert!(Handle::ptr_eq(&displaced.unwrap(), &old));
    /// assert!(!registry.remove_same(&old));       // not entered any more
    /// assert!(Handle::ptr_eq(&registry.get("k").unwrap(), &new));
    /// ```
    pub fn remove_same(&self, handle: &Handle<K, V>) -> bool {
        let removed = self.table.remove(handle.node_ref());
        if removed {
            self.count(Count::Removed);
        }
        removed
    }

    /// Gives back memory that is not needed: makes the table as short as its entries allow, and frees the
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

#[cfg(feature = "serde")]
impl<K: serde_core::Serialize, V: serde_core::Serialize, S> serde_core::Serialize
    for Registry<K, V, S>
{
    /// Serializes the live entries as a map. It owns all of them until it returns. *Runs* `Serialize` of keys
    /// and values with no lock held.
    ///
    /// There is no `Deserialize`, as nobody would own what it read: enter that, and keep the handles.
    fn serialize<Z: serde_core::Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        let living: Vec<_> = self.iter().collect();
        let entries = living.iter().map(|handle| (Handle::key(handle), &**handle));
        let written = serializer.collect_map(entries);
        after(living, written)
    }
}

// Why: see "Unwind safety" in ARCHITECTURE.md.
impl<K: UnwindSafe + RefUnwindSafe, V: UnwindSafe + RefUnwindSafe, S: UnwindSafe> UnwindSafe
    for Registry<K, V, S>
{
}
impl<K: UnwindSafe + RefUnwindSafe, V: UnwindSafe + RefUnwindSafe, S: RefUnwindSafe> RefUnwindSafe
    for Registry<K, V, S>
{
}
impl<K, V, S: Unpin> Unpin for Registry<K, V, S> {}
