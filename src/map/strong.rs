//! The map that keeps both sides: its keys and its values stay until they are taken out.

use crate::map::map::Map;
use crate::map::store::death_listener::CanNotify;
use crate::map::store::slot::OwnedSlot;
use crate::map::store::Store;
use crate::memory::hash::DefaultHashBuilder;
use crate::sync::const_fn;

/// A concurrent map that keeps its keys and its values, as a `HashMap` does. Values are handed out as clones,
/// or shown without cloning. [`Map`] describes its calls.
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
/// It does what Guava's `MapMaker().makeMap()` does, which gives a `ConcurrentHashMap`, and what one writes
/// as a dictionary beside a lock. From other concurrent maps it differs as the weak maps do: a factory runs
/// once per key while the others sleep, no guard is ever handed out, and nothing of yours runs under a lock.
///
/// # When a value dies
/// Values are handed out as clones, taken from an entry that the call owns for that moment;
/// [`with`](Map::with) shows them without cloning. To have *the* object, and not copies, store an `Arc`. Key
/// and value of an entry are dropped together, by the call that takes the entry out or by the last one that
/// is looking at it.
///
/// An entry has its own key. A call that replaces a value brings a key too, and the equal key that was there
/// goes with the old value. (A `HashMap` keeps the first key. It matters only for keys that are equal without
/// being the same.)
///
/// A value that owns the map keeps both for ever.
///
/// The alignment of keys and values is 1024 at most, as in a [`Registry`](crate::Registry).
///
/// The everyday calls, all of them at [`Map`] (and their `async` twins):
///
/// | call | returns |
/// |---|---|
/// | [`get(&q)`](Map::get) | `Option<V>` |
/// | [`get_or_insert_with(key, \|key\| …)`](Map::get_or_insert_with) | `V`; the closure makes it, once |
/// | [`get_or_try_insert_with(key, \|key\| …)`](Map::get_or_try_insert_with) | `Result<V, CreateError<E>>` |
/// | [`entry(key)`](Map::entry) | a creation with more to say: conditions, shared errors, circles, claims |
/// | [`insert(key, v)`](Map::insert) | `Option<V>`: the one that was there |
/// | [`try_insert(key, v)`](Map::try_insert) | an error with both, if there is one |
/// | [`remove(&q)`](Map::remove) | `Option<V>` |
/// | [`with(&q, \|v\| …)`](Map::with) | what the closure returns, without an owner or a clone |
/// | [`update(key, \|v\| …)`](Map::update) | the new one, made of the old one |
/// | [`iter()`](Map::iter), [`for_each`](Map::for_each), [`retain`](Map::retain) | what is alive |
/// | [`clear()`](Map::clear), [`drain()`](Map::drain) | how many there were; all of them |
/// | [`close()`](Map::close) | what is alive; nothing is entered any more |
pub type StrongMap<K, V, S = DefaultHashBuilder> = Map<OwnedSlot<K>, OwnedSlot<V>, S>;

impl<K, V> StrongMap<K, V> {
    const_fn! {
        /// Creates an empty map, which allocates nothing before its first entry. Can be a `static`.
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

impl<K, V, S> StrongMap<K, V, S> {
    const_fn! {
        /// Creates an empty map that hashes with `hasher`.
        pub const fn with_hasher(hasher: S) -> Self {
            Self {
                store: Store::new((), CanNotify::NONE),
                hasher,
            }
        }
    }
}

impl<K, V, S: Default> Default for StrongMap<K, V, S> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}
