//! The map with weak keys: from objects that it does not keep alive to data about them.

use crate::map::map::Map;
use crate::map::store::death_listener::{CanNotify, Reaches, ReportsTo};
use crate::map::store::entry_ref::LiveEntry;
use crate::map::store::slot::{OwnedSlot, WeakSlot};
use crate::map::store::watching::Watching;
use crate::map::store::Store;
use crate::memory::hash::DefaultHashBuilder;
use crate::memory::panics::after;
use crate::pointer::keying::{ByEquality, Keying};
use crate::pointer::token::Token;
use crate::pointer::traits::{Pointer, SyncPointer};
use crate::sync::const_fn;
use std::hash::BuildHasher;

/// A map whose keys are pointers that it holds weakly: an entry, with its value, goes when its key dies.
/// [`Map`] describes its calls.
///
/// Keys are compared by equality of their targets, or with `M` = [`ByAddress`](crate::map::ByAddress) by
/// identity. The hash is taken once, when a key is entered. A dead key equals nothing and is never hashed
/// again.
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
/// By identity, to attach something to an object of somebody else's. Then the key is asked for by the pointer
/// itself:
/// ```
/// use highlander::map::ByAddress;
/// use highlander::WeakKeyMap;
/// use std::sync::Arc;
///
/// static NOTES: WeakKeyMap<Arc<Vec<u8>>, &str, ByAddress> = WeakKeyMap::new();
/// let (one, equal) = (Arc::new(vec![1]), Arc::new(vec![1]));
/// NOTES.insert(&one, "the one");
/// assert_eq!(NOTES.get(&one), Some("the one"));
/// assert_eq!(NOTES.get(&equal), None);
/// ```
///
/// A value that is not `Clone`, such as a `Mutex`, is used in its place:
/// ```
/// use highlander::map::ByAddress;
/// use highlander::WeakKeyMap;
/// use std::sync::{Arc, Mutex};
///
/// trait Widget: Send + Sync {}
/// # struct Button;
/// # impl Widget for Button {}
/// static CLICKS: WeakKeyMap<Arc<dyn Widget>, Mutex<u32>, ByAddress> = WeakKeyMap::new();
///
/// fn click(widget: &Arc<dyn Widget>) -> u32 {
///     let count = |clicks: &Mutex<u32>| { let mut clicks = clicks.lock().unwrap(); *clicks += 1; *clicks };
///     CLICKS.entry(widget).and_view(count).or_default()      // creates it first, if need be
/// }
/// let button: Arc<dyn Widget> = Arc::new(Button);
/// click(&button);
/// assert_eq!(click(&button), 2);
/// assert_eq!(CLICKS.with(&button, |clicks| *clicks.lock().unwrap()), Some(2));
/// ```
///
/// It does what CPython's `WeakKeyDictionary` does, or with `ByAddress` Guava's `MapMaker().weakKeys()` and
/// .NET's `ConditionalWeakTable`. Of several equal keys the *first* stays in the map: when that one dies the
/// entry goes, though an equal key lives. A key stays watched when its entry gets another value.
///
/// A value that owns its own key, directly or through others, keeps the entry for ever, as in CPython and
/// with Guava: give it a weak pointer to the key, or put it into the key's object.
///
/// Values are handed out as clones, taken from an entry that the call owns for that moment;
/// [`with`](Map::with) shows them without cloning. A value is dropped by the call that takes the entry out,
/// or by the last one that is looking at it.
///
/// The alignment of values is 1024 at most, as in a [`Registry`](crate::Registry).
///
/// The everyday calls, all of them at [`Map`] (and their `async` twins):
///
/// | call | returns |
/// |---|---|
/// | [`get(&q)`](Map::get) | `Option<V>` |
/// | [`get_or_insert_with(&key, \|key\| …)`](Map::get_or_insert_with) | `V`; the closure makes it, once |
/// | [`get_or_try_insert_with(&key, \|key\| …)`](Map::get_or_try_insert_with) | `Result<V, CreateError<E>>` |
/// | [`entry(&key)`](Map::entry) | a creation with more to say: conditions, shared errors, circles, claims |
/// | [`insert(&key, v)`](Map::insert) | `Option<V>`: the one that was there |
/// | [`try_insert(&key, v)`](Map::try_insert) | an error with both, if there is one |
/// | [`remove(&q)`](Map::remove) | `Option<V>` |
/// | [`with(&q, \|v\| …)`](Map::with) | what the closure returns, without an owner or a clone |
/// | [`update(&key, \|v\| …)`](Map::update) | the new one, made of the old one |
/// | [`iter()`](Map::iter), [`for_each`](Map::for_each), [`retain`](Map::retain) | what is alive |
/// | [`clear()`](Map::clear), [`drain()`](Map::drain) | how many there were; all of them |
/// | [`close()`](Map::close) | what is alive; nothing is entered any more |
pub type WeakKeyMap<P, V, M = ByEquality, S = DefaultHashBuilder> =
    Map<WeakSlot<P, M>, OwnedSlot<V>, S>;

impl<P, V, M> WeakKeyMap<P, V, M>
where
    P: Pointer<Death: ReportsTo<WeakSlot<P, M>, OwnedSlot<V>>>,
    M: Keying<P>,
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

impl<P, V, M, S> WeakKeyMap<P, V, M, S>
where
    P: Pointer<Death: ReportsTo<WeakSlot<P, M>, OwnedSlot<V>>>,
    M: Keying<P>,
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

impl<P: SyncPointer, V: Send + Sync + 'static, M: Keying<P>> WeakKeyMap<P, V, M> {
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

impl<P, V, M, S> Default for WeakKeyMap<P, V, M, S>
where
    P: Pointer<Death: ReportsTo<WeakSlot<P, M>, OwnedSlot<V>>>,
    M: Keying<P>,
    S: Default,
{
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<P, V, M, S> WeakKeyMap<P, V, M, S>
where
    P: SyncPointer,
    V: Send + Sync + 'static,
    M: Keying<P>,
    S: BuildHasher,
{
    /// Enters a value as [`insert`](Self::insert) does. The key carries a [`Token`], which `token` returns.
    /// The entry goes, with its value, when the token of the stored key is dropped, which is when that key is
    /// dropped.
    ///
    /// Later calls of `update` and `insert` keep the token of a key that is there already.
    ///
    /// *Runs* `token` too, with no lock held, again if the entry changes meanwhile; if it panics, nothing is
    /// entered.
    ///
    /// # Panics
    /// When the map is closed.
    ///
    /// ```
    /// use highlander::map::ByAddress;
    /// use highlander::pointer::Token;
    /// use highlander::WeakKeyMap;
    /// use std::sync::Arc;
    ///
    /// struct Class { token: Token }
    ///
    /// let notes: WeakKeyMap<Arc<Class>, String, ByAddress> = WeakKeyMap::new();
    /// let class = Arc::new(Class { token: Token::new() });
    /// notes.insert_with_token(&class, "a note".to_string(), |class| &class.token);
    /// drop(class);
    /// assert_eq!(notes.entry_count(), 0);         // the note has been dropped
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
        let hash = M::hash(&self.hasher, key);
        let watch = |key: &P| {
            let notify = self.store.notify_prompt(hash);
            Watching::by(Some(token(P::target(key)).bind(notify)))
        };
        let value = (OwnedSlot(value), ());
        let displaced = self.store.insert_keyed(hash, key, value, watch);
        after(token, displaced.map(LiveEntry::into_owner))
    }
}
