//! The map with weak values: from keys to pointers that it does not keep alive.

use crate::map::map::Map;
use crate::map::store::death_listener::CanNotify;
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
/// or any other [`Pointer`]. At most one live value per key; a value whose last owner has gone is never seen
/// again. What it does is said at [`Map`].
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
pub type WeakValueMap<K, P, S = DefaultHashBuilder> = Map<OwnedSlot<K>, WeakSlot<P>, S>;

impl<K: Send + Sync + 'static, P: SyncPointer> WeakValueMap<K, P> {
    const_fn! {
        /// Creates an empty map, which allocates nothing before its first entry. Can be a `static`. For one
        /// thread there is [`local`](Self::local).
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

impl<K: 'static, P: Pointer<Weak: 'static> + 'static> WeakValueMap<K, P> {
    const_fn! {
        /// Creates an empty map of what need not be `Send` and `Sync`, such as [`Rc`](std::rc::Rc). Nobody
        /// can tell it of a death, so it prunes, whatever the pointer.
        ///
        /// ```
        /// use highlander::WeakValueMap;
        /// use std::rc::Rc;
        ///
        /// let map: WeakValueMap<&str, Rc<u32>> = WeakValueMap::local();
        /// let one = map.get_or_insert_with("one", |_| Rc::new(1));
        /// assert!(Rc::ptr_eq(&one, &map.get("one").unwrap()));
        /// ```
        pub const fn local() -> Self {
            Self::local_with_hasher(DefaultHashBuilder)
        }
    }
}

impl<K: Send + Sync + 'static, P: SyncPointer, S> WeakValueMap<K, P, S> {
    const_fn! {
        /// Creates an empty map that hashes with `hasher`.
        pub const fn with_hasher(hasher: S) -> Self {
            Self {
                store: Store::new((), CanNotify::all()),
                hasher,
            }
        }
    }
}

impl<K: 'static, P: Pointer<Weak: 'static> + 'static, S> WeakValueMap<K, P, S> {
    const_fn! {
        /// As [`local`](Self::local), with `hasher`.
        pub const fn local_with_hasher(hasher: S) -> Self {
            Self {
                store: Store::new((), CanNotify::NONE),
                hasher,
            }
        }
    }
}

impl<K: Send + Sync + 'static, P: SyncPointer, S: Default> Default for WeakValueMap<K, P, S> {
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
    /// As [`insert`](Self::insert), for a value that carries a [`Token`], which `token` shows: the entry goes
    /// when the token is dropped, which is when the value is.
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
