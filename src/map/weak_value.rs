//! The map with weak values: from keys to pointers that it does not keep alive.

use crate::map::map::Map;
use crate::map::store::death_listener::{CanNotify, Reaches, ReportsTo};
use crate::map::store::entry_ref::LiveEntry;
use crate::map::store::slot::{IsWeak, OwnedSlot, WeakSlot};
use crate::map::store::watching::Watching;
use crate::map::store::Store;
use crate::memory::hash::{hash_key, DefaultHashBuilder};
use crate::pointer::token::Token;
use crate::pointer::traits::{Pointer, SyncPointer};
use crate::sync::const_fn;
use std::hash::{BuildHasher, Hash};

/// A map from keys to pointers that it holds weakly: `Arc<V>`, `Arc<dyn Trait>`, a [`Handle`](crate::Handle),
/// or any other [`Pointer`]. At most one value per key is alive. A value whose last owner has gone is never
/// returned again. [`Map`] describes its calls.
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
/// It does what CPython's `WeakValueDictionary` and Guava's `MapMaker().weakValues()` do, and makes "only
/// one" atomic, which `setdefault` is not.
///
/// The everyday calls, all of them at [`Map`] (and their `async` twins):
///
/// | call | returns |
/// |---|---|
/// | [`get(&q)`](Map::get) | `Option<P>` |
/// | [`get_or_insert_with(key, \|key\| …)`](Map::get_or_insert_with) | `P`; the closure makes it, once |
/// | [`get_or_try_insert_with(key, \|key\| …)`](Map::get_or_try_insert_with) | `Result<P, CreateError<E>>` |
/// | [`entry(key)`](Map::entry) | a creation with more to say: conditions, shared errors, circles, claims |
/// | [`insert(key, p)`](Map::insert) | `Option<P>`: the one that was there |
/// | [`try_insert(key, p)`](Map::try_insert) | an error with both, if there is one |
/// | [`remove(&q)`](Map::remove) | `Option<P>` |
/// | [`with(&q, \|p\| …)`](Map::with) | what the closure returns, without an owner or a clone |
/// | [`update(key, \|p\| …)`](Map::update) | the new one, made of the old one |
/// | [`iter()`](Map::iter), [`for_each`](Map::for_each), [`retain`](Map::retain) | what is alive |
/// | [`clear()`](Map::clear), [`drain()`](Map::drain) | how many there were; all of them |
/// | [`close()`](Map::close) | what is alive; nothing is entered any more |
pub type WeakValueMap<K, P, S = DefaultHashBuilder> = Map<OwnedSlot<K>, WeakSlot<P>, S>;

impl<K, P: Pointer> WeakValueMap<K, P>
where
    P::Death: ReportsTo<OwnedSlot<K>, WeakSlot<P>>,
{
    const_fn! {
        /// Creates an empty map, which allocates nothing before its first entry. Can be a `static`.
        ///
        /// Neither keys nor values need be `Send` or `Sync`, unless a pointer reports its death, as a
        /// [`Watched`](crate::pointer::Watched) does: that happens on any thread.
        ///
        /// ```
        /// use highlander::WeakValueMap;
        /// use std::rc::Rc;
        ///
        /// struct Cache<K: 'static, V: 'static>(WeakValueMap<K, Rc<V>>);       // for any K and V
        ///
        /// impl<K, V> Cache<K, V> {
        ///     const fn new() -> Self { Cache(WeakValueMap::new()) }
        /// }
        ///
        /// let cache = Cache::new();
        /// let one = cache.0.get_or_insert_with("one", |_| Rc::new(1));
        /// assert!(Rc::ptr_eq(&one, &cache.0.get("one").unwrap()));
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

impl<K, P: Pointer, S> WeakValueMap<K, P, S>
where
    P::Death: ReportsTo<OwnedSlot<K>, WeakSlot<P>>,
{
    const_fn! {
        /// Creates an empty map that hashes with `hasher`.
        pub const fn with_hasher(hasher: S) -> Self {
            Self {
                store: Store::new((), P::Death::REACH),
                hasher,
            }
        }
    }
}

impl<K: Send + Sync + 'static, P: SyncPointer> WeakValueMap<K, P> {
    const_fn! {
        /// Creates an empty map as [`new`](Self::new) does, for code that is generic over its pointers, where
        /// the compiler does not know whether these report their death.
        pub const fn new_sync() -> Self {
            Self {
                store: Store::new((), CanNotify::all()),
                hasher: DefaultHashBuilder,
            }
        }
    }
}

impl<K, P: Pointer, S: Default> Default for WeakValueMap<K, P, S>
where
    P::Death: ReportsTo<OwnedSlot<K>, WeakSlot<P>>,
{
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<K, P, S> WeakValueMap<K, P, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    P: SyncPointer,
    S: BuildHasher,
{
    /// Enters a value as [`insert`](Self::insert) does. The value carries a [`Token`], which `token` returns.
    /// The entry goes when the token is dropped, which is when the value is dropped.
    ///
    /// *Runs* `token` too, with no lock held; if it panics, nothing is entered.
    ///
    /// # Panics
    /// When the map is closed.
    ///
    /// ```
    /// use highlander::pointer::Token;
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// struct Socket { port: u16, token: Token }
    ///
    /// let map: WeakValueMap<&str, Arc<Socket>> = WeakValueMap::new();
    /// let socket = Arc::new(Socket { port: 80, token: Token::new() });
    /// map.insert_with_token("http", socket.clone(), |socket| &socket.token);
    /// map.insert_with_token("www", socket.clone(), |socket| &socket.token);
    /// assert_eq!((map.entry_count(), socket.port), (2, 80));
    /// drop(socket);
    /// assert_eq!(map.entry_count(), 0);
    /// ```
    #[track_caller]
    pub fn insert_with_token(
        &self,
        key: K,
        value: P,
        token: impl for<'a> FnOnce(&'a P::Target) -> &'a Token,
    ) -> Option<P> {
        let hash = hash_key(&self.hasher, &key);
        let notify = self.store.notify_prompt(hash);
        let watching = Watching::by(Some(token(P::target(&value)).bind(notify)));
        let value = WeakSlot::new_watched(value, watching);
        let displaced = self.store.insert_keyed(hash, key, value, |_| Watching::NOT);
        displaced.map(LiveEntry::into_owner)
    }
}
