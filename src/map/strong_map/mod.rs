//! The map that is strong on both sides: it keeps its keys and its values until they are taken out.
//!
//! Here: the type, and what concerns all of its entries. `keyed` has what concerns one, `creating` the calls that run a factory, `traits` the rest.

mod creating;
mod keyed;
mod traits;

use crate::deadlock::naming::Naming;
use crate::map::store::death_listener::CanNotify;
use crate::map::store::entry_ref::EntryRef;
use crate::map::store::hook::RemovalCause;
use crate::map::store::slot::OwnedSlot;
use crate::map::store::{Setup, Store};
use crate::memory::hash::DefaultHashBuilder;
use crate::memory::panics::after;
use crate::sync::const_fn;
use crate::table::stats::Stats;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

pub use traits::StrongIter;

type Key<K> = OwnedSlot<K>;
type Value<V> = OwnedSlot<V>;

/// A concurrent map that keeps its keys and its values, as a `HashMap` does. Values are handed out as clones, or shown without cloning.
///
/// ```
/// use highlander::StrongMap;
/// use std::path::{Path, PathBuf};
///
/// static SIZES: StrongMap<PathBuf, u64> = StrongMap::new();
///
/// let size = |path: &Path| SIZES.entry_ref(path).or_insert_with(|path| path.as_os_str().len() as u64);
/// assert_eq!(size(Path::new("/etc")), 4);           // computed by the first who asks, once
/// assert_eq!(SIZES.get(Path::new("/etc")), Some(4));
/// assert_eq!(SIZES.remove(Path::new("/etc")), Some(4));
/// assert!(SIZES.is_empty());
/// ```
///
/// It does what Guava's `MapMaker().makeMap()` does, which gives a `ConcurrentHashMap`, and what one writes as a dictionary beside a lock. From other
/// concurrent maps it differs as the weak maps do: a factory runs once per key while the others sleep, no guard is ever handed out, and nothing of yours
/// runs under a lock.
///
/// # Consistency
/// All operations take `&self` and may be called from any thread, and from inside a factory, a `Drop`, a `Hash`, an `Eq`, a `Clone` or a hook: none of
/// these runs under a lock. A look-up finds a value if it is entered throughout the call, and does not if it is at no moment of it. Nothing that a caller
/// holds (across an `.await`, say) blocks anybody.
///
/// # When a value dies
/// Values are handed out as clones, taken from an entry that the call owns for that moment; [`with`](Self::with) shows them without
/// cloning. To have *the* object, and not copies, store an `Arc`. Key and value of an entry are dropped together, by the call that takes the entry out or
/// by the last that is looking at it.
///
/// An entry has its own key: whoever puts a value in the place of another one brings a key too, and the equal key that was there goes with the old value. (A
/// `HashMap` keeps the first key. It matters only for keys that are equal without being the same.)
///
/// A value that owns the map keeps both for ever.
///
/// The alignment of keys and values is 1024 at most, as in a [`Registry`](crate::Registry).
///
/// # User code that panics
/// The map stays consistent. A panic of a destructor, a `Clone` or a hook goes to the caller whose operation ran it, once the change is complete.
pub struct StrongMap<K: 'static, V: 'static, S = DefaultHashBuilder> {
    store: Store<Key<K>, Value<V>>,
    hasher: S,
}

impl<K: 'static, V: 'static> StrongMap<K, V> {
    const_fn! {
        /// An empty map, which allocates nothing before its first entry. Can be a `static`.
        ///
        /// It is `Send` and `Sync` if keys and values are:
        /// ```
        /// fn share<T: Sync>(_: T) {}
        /// share(highlander::StrongMap::<u32, std::sync::Arc<u32>>::new());
        /// ```
        /// ```compile_fail
        /// fn share<T: Sync>(_: T) {}
        /// share(highlander::StrongMap::<u32, std::rc::Rc<u32>>::new());
        /// ```
        pub const fn new() -> Self {
            Self::with_hasher(DefaultHashBuilder)
        }
    }
}

impl<K: 'static, V: 'static, S> StrongMap<K, V, S> {
    const_fn! {
        /// An empty map that hashes with `hasher`. For what else can be chosen there is [`MapMaker`](crate::map::MapMaker).
        pub const fn with_hasher(hasher: S) -> Self {
            Self {
                store: Store::new((), CanNotify::NONE),
                hasher,
            }
        }
    }

    pub(crate) fn with_setup(setup: Setup<K>, hasher: S) -> Self {
        Self {
            store: Store::with(setup, (), CanNotify::NONE),
            hasher,
        }
    }

    /// The same map, whose keys are named as they show themselves (by `Debug`) where the text of a [`CycleError`](crate::error::CycleError) would otherwise name their
    /// type; see [`Registry::debug_keys`](crate::Registry::debug_keys). A [`clone`](Clone::clone) of it names them by their type again.
    ///
    /// ```
    /// use highlander::StrongMap;
    ///
    /// static MAP: StrongMap<&str, u32> = StrongMap::new().debug_keys();
    ///
    /// let text = MAP.get_or_try_insert_with("ego", |_| MAP.get_or_try_insert_with("ego", |_| Ok::<_, String>(1))).unwrap_err().to_string();
    /// assert!(text.ends_with(r#""ego", which asked for the first again"#));
    /// ```
    #[must_use]
    pub const fn debug_keys(mut self) -> Self
    where
        K: fmt::Debug,
    {
        self.store.naming = Naming::shown();
        self
    }

    /// The hasher.
    pub fn hasher(&self) -> &S {
        &self.hasher
    }

    /// The number of entries: exact when nothing is under way, and otherwise off by no more than what is. *Complexity:* a few loads.
    pub fn len(&self) -> usize {
        self.store.table.len()
    }

    /// Whether there is no entry. *Complexity:* a few loads.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries fit before the table grows.
    pub fn capacity(&self) -> usize {
        self.store.table.capacity()
    }

    /// Makes room for `additional` entries more than there are: `capacity` is at least `len + additional` then, and the table need not grow
    /// before there are more than `capacity`, unless it is shrunk meanwhile. Waiting and complexity are those of
    /// [`WeakValueMap::reserve`](crate::WeakValueMap::reserve).
    ///
    /// # Panics
    /// With "capacity overflow", when no table can have that size (beyond 2³² entries or so).
    pub fn reserve(&self, additional: usize) {
        self.store.table.reserve(additional);
    }

    /// What the map has done so far. Nothing in it dies, so those numbers stay 0.
    pub fn stats(&self) -> Stats {
        self.store.stats()
    }

    /// Gives back memory that is not needed; see [`Registry::shrink_to_fit`](crate::Registry::shrink_to_fit).
    pub fn shrink_to_fit(&self) {
        self.store.shrink_to_fit();
    }

    /// Refuses new entries from now on, and returns clones of the values, so that each can be shut down. The entries stay, and are found until they
    /// are removed.
    ///
    /// An insertion or creation that comes later, or is under way and not among the values returned, is refused with a [`ClosedError`](crate::error::ClosedError).
    /// Of values that are [published together](crate::map::Entry::or_create_cyclic) each is refused for itself: see [the guide](crate::guide::creating#what-becomes-of-whom).
    ///
    /// ```
    /// use highlander::StrongMap;
    ///
    /// let map = StrongMap::new();
    /// map.insert(1, "one");
    /// assert_eq!(map.close(), ["one"]);
    /// assert!(map.try_insert(2, "two").unwrap_err().is_closed());
    /// assert_eq!(map.remove(&1), Some("one"));
    /// ```
    pub fn close(&self) -> Vec<V>
    where
        V: Clone,
    {
        self.store.close();
        self.values().collect()
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.store.is_closed()
    }

    fn entries(&self) -> std::vec::IntoIter<EntryRef<Key<K>, Value<V>>> {
        let owned = self.store.table.snapshot().into_iter();
        // Collected, which moves nothing: what owns entries may go where they may.
        owned.map(EntryRef::new).collect::<Vec<_>>().into_iter()
    }

    /// Clones of the keys.
    ///
    /// The iterator is a snapshot of entries: what is entered throughout is in it once, what comes or goes may be. It holds no lock; the map may be
    /// changed meanwhile. Keys and values live at least until the iterator is past them.
    pub fn keys(&self) -> impl Iterator<Item = K> + use<K, V, S>
    where
        K: Clone,
    {
        self.entries().map(|held| {
            let key = held.key().0.clone();
            after(held, key)
        })
    }

    /// Clones of the values; see [`keys`](Self::keys).
    pub fn values(&self) -> impl Iterator<Item = V> + use<K, V, S>
    where
        V: Clone,
    {
        self.entries().map(|held| {
            let value = held.value().0.clone();
            after(held, value)
        })
    }

    /// The entries, cloned; see [`keys`](Self::keys). [`for_each`](Self::for_each) does without cloning.
    pub fn iter(&self) -> StrongIter<K, V>
    where
        K: Clone,
        V: Clone,
    {
        StrongIter::new(self.entries().collect())
    }

    /// Calls `f` with each entry; see [`keys`](Self::keys). *Runs* `f` with no lock held; it may change the map.
    pub fn for_each(&self, mut f: impl FnMut(&K, &V)) {
        for held in self.entries() {
            f(&held.key().0, &held.value().0);
        }
    }

    /// Takes out the entries for which `keep` says no. Returns how many this call has taken out.
    ///
    /// *Runs* `keep` with no lock held; it may change the map. An entry that is replaced meanwhile is left as it is.
    pub fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool) -> usize {
        self.store.retain(RemovalCause::Removed, |landed, ()| {
            keep(&landed.held.key().0, landed.value())
        })
    }

    /// Takes out all entries. Returns how many this call has taken out. Entries that come while this runs may stay.
    pub fn clear(&self) -> usize {
        self.store.clear()
    }

    /// Takes out all entries, and returns those that this call has taken out, cloned.
    pub fn drain(&self) -> std::vec::IntoIter<(K, V)>
    where
        K: Clone,
        V: Clone,
    {
        let item = |held: &EntryRef<Key<K>, Value<V>>, (), ()| {
            (held.key().0.clone(), held.value().0.clone())
        };
        self.store.drain(item).into_iter()
    }

    /// Takes out some entry, whichever comes first, and returns it, cloned; none if there is none. Where one was found the next call goes on, so emptying a map so takes a time linear
    /// in its size.
    /// Where entries come between the calls, each looks through the table until it meets one: a few entries in what has room for many are not a queue.
    pub fn pop(&self) -> Option<(K, V)>
    where
        K: Clone,
        V: Clone,
    {
        let (landed, ()) = self.store.pop()?;
        Some((landed.held.key().0.clone(), landed.into_clone()))
    }
}

// Why: see the head of `memory::panics`.
impl<
        K: 'static + UnwindSafe + RefUnwindSafe,
        V: 'static + UnwindSafe + RefUnwindSafe,
        S: UnwindSafe,
    > UnwindSafe for StrongMap<K, V, S>
{
}
impl<
        K: 'static + UnwindSafe + RefUnwindSafe,
        V: 'static + UnwindSafe + RefUnwindSafe,
        S: RefUnwindSafe,
    > RefUnwindSafe for StrongMap<K, V, S>
{
}
impl<K: 'static, V: 'static, S: Unpin> Unpin for StrongMap<K, V, S> {}
