//! Look-ups in loops: reading a map without becoming an owner of its entries.
//!
//! All sessions end in [`Looks::look`]. Whatever it does not find at once is looked up as without a session.

use crate::hash::hash_key;
use crate::keying::Asked;
use crate::pair::Pair;
use crate::pointer::Pointer;
use crate::protection::Reader;
use crate::reverse::{ByValue, Traced};
use crate::side::{Kept, Side, Weakly};
use crate::stats::Count;
use crate::store::{Reverse, Store};
use crate::weak_key_map::WeakKeyMap;
use crate::weak_key_value_map::WeakKeyValueMap;
use crate::weak_value_map::WeakValueMap;
use equivalent::Equivalent;
use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, Hash};

/// What the sessions of all maps do.
struct Looks<'a, A: Side, B: Side, X: Reverse<A, B>> {
    store: &'a Store<A, B, X>,
    reader: Reader<'a, Pair<A, B>>,
    /// Hits that the map's statistics have not been told of.
    hits: Cell<u64>,
}

impl<'a, A: Side, B: Side, X: Reverse<A, B>> Looks<'a, A, B, X> {
    fn new(store: &'a Store<A, B, X>) -> Self {
        Self {
            store,
            reader: store.protection.open(),
            hits: Cell::new(0),
        }
    }

    /// What `view` makes of the entry whose key `is_it`, if there is one that is found at once.
    #[inline(always)]
    fn look<R>(
        &self,
        hash: u64,
        is_it: impl FnOnce(&A) -> bool,
        view: impl FnOnce(&B) -> Option<R>,
    ) -> Option<R> {
        let entry = self.reader.look(&self.store.engine, hash)?;
        if !is_it(entry.key()) {
            return None;
        }
        // SAFETY: protected, so complete and not dropped before `entry` is.
        let result = view(unsafe { &*entry.payload().cast::<Pair<A, B>>() }.value())?;
        drop(entry);
        self.hits.set(self.hits.get() + 1);
        Some(result)
    }
}

impl<A: Side, B: Side, X: Reverse<A, B>> Drop for Looks<'_, A, B, X> {
    fn drop(&mut self) {
        self.store.counters.add_many(Count::Hit, self.hits.get());
    }
}

/// A thread's view of a [`WeakValueMap`] for look-ups in a loop; made by [`WeakValueMap::session`].
///
/// A look-up makes its caller an owner of the *entry* for a moment, by two locked instructions on a line that it shares with all others who look
/// up the same key. A session does not: it writes down which entry it looks at, on a line of its own, and whoever removes entries
/// reads that. So a hit costs no more than the value's own `upgrade` and drop.
///
/// *What it holds back:* entries that are removed while a session is open, or die and are swept, are dropped (key and weak pointer) a
/// little later than otherwise: when 64 have gathered, and when a session is closed. A session that does nothing for a long time, or
/// stands still in the middle of a comparison, holds back no more than that. Values are not held back: they die with their last owner.
///
/// It can be sent to another thread, but not be shared. Opening and closing one takes some microseconds.
pub struct WeakValueSession<'a, K: 'static, P: Pointer, S> {
    map: &'a WeakValueMap<K, P, S>,
    looks: Looks<'a, Kept<K>, Weakly<P>, ()>,
}

impl<K: 'static, P: Pointer, S> WeakValueMap<K, P, S> {
    /// A view for look-ups in a loop.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// let map: WeakValueMap<String, Arc<u32>> = WeakValueMap::new();
    /// let held = map.get_or_insert_with("one".into(), |_| Arc::new(1));
    /// let session = map.session();
    /// for _ in 0..1000 {
    ///     assert_eq!(session.get("one").as_ref(), Some(&held));
    ///     assert_eq!(session.get("two"), None);
    /// }
    /// ```
    pub fn session(&self) -> WeakValueSession<'_, K, P, S> {
        WeakValueSession {
            map: self,
            looks: Looks::new(&self.store),
        }
    }
}

impl<K: Hash + Eq + 'static, P: Pointer, S: BuildHasher> WeakValueSession<'_, K, P, S> {
    /// As [`WeakValueMap::get`].
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<P>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let hash = hash_key(self.map.hasher(), key);
        let found = self.looks.look(
            hash,
            |stored| key.equivalent(&stored.0),
            |value| value.live(),
        );
        match found {
            Some(found) => Some(found),
            None => self.map.get(key),
        }
    }

    /// The map.
    pub fn map(&self) -> &WeakValueMap<K, P, S> {
        self.map
    }
}

impl<K: 'static, P: Pointer, S> fmt::Debug for WeakValueSession<'_, K, P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakValueSession").finish_non_exhaustive()
    }
}

/// A thread's view of a [`WeakKeyMap`] for look-ups in a loop; made by [`WeakKeyMap::session`]. See [`WeakValueSession`] for what it holds back:
/// here that is the values too.
pub struct WeakKeySession<'a, P: Pointer, V: 'static, M, S> {
    map: &'a WeakKeyMap<P, V, M, S>,
    looks: Looks<'a, Weakly<P>, Kept<V>, ()>,
}

impl<P: Pointer, V: 'static, M, S> WeakKeyMap<P, V, M, S> {
    /// A view for look-ups in a loop.
    ///
    /// ```
    /// use highlander::WeakKeyMap;
    /// use std::sync::Arc;
    ///
    /// let sizes: WeakKeyMap<Arc<str>, usize> = WeakKeyMap::new();
    /// let key: Arc<str> = "four".into();
    /// sizes.insert(&key, 4);
    /// let session = sizes.session();
    /// assert_eq!(session.get("four"), Some(4));
    /// assert_eq!(session.get_with("four", |size| size * 2), Some(8));
    /// ```
    pub fn session(&self) -> WeakKeySession<'_, P, V, M, S> {
        WeakKeySession {
            map: self,
            looks: Looks::new(self.store()),
        }
    }
}

impl<P: Pointer, V: 'static, M, S: BuildHasher> WeakKeySession<'_, P, V, M, S> {
    /// As [`WeakKeyMap::get`].
    #[inline]
    pub fn get<Q: ?Sized>(&self, key: &Q) -> Option<V>
    where
        M: Asked<P, Q>,
        V: Clone,
    {
        self.get_with(key, V::clone)
    }

    /// As [`WeakKeyMap::get_with`]. While `view` runs, look-ups by this session take the way without one.
    #[inline]
    pub fn get_with<Q: ?Sized, R>(&self, key: &Q, view: impl FnOnce(&V) -> R) -> Option<R>
    where
        M: Asked<P, Q>,
    {
        let hash = M::hash_asked(self.map.hasher(), key);
        let mut view = Some(view);
        let found = self.looks.look(
            hash,
            |stored| M::matches(&stored.0, key),
            |value| view.take().map(|view| view(&value.0)),
        );
        match view {
            Some(view) => self.map.get_with(key, view),
            None => found,
        }
    }

    /// The map.
    pub fn map(&self) -> &WeakKeyMap<P, V, M, S> {
        self.map
    }
}

impl<P: Pointer, V: 'static, M, S> fmt::Debug for WeakKeySession<'_, P, V, M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakKeySession").finish_non_exhaustive()
    }
}

/// A thread's view of a [`WeakKeyValueMap`] for look-ups in a loop; made by [`WeakKeyValueMap::session`]. See [`WeakValueSession`].
pub struct WeakKeyValueSession<'a, P: Pointer, Q: Pointer, M, S> {
    map: &'a WeakKeyValueMap<P, Q, M, S>,
    looks: Looks<'a, Weakly<P>, Traced<Q>, ByValue<P, Q>>,
}

impl<P: Pointer, Q: Pointer, M, S> WeakKeyValueMap<P, Q, M, S> {
    /// A view for look-ups by key in a loop.
    ///
    /// ```
    /// use highlander::{ByAddress, WeakKeyValueMap};
    /// use std::sync::Arc;
    ///
    /// let wrappers: WeakKeyValueMap<Arc<u32>, Arc<String>, ByAddress> = WeakKeyValueMap::new();
    /// let (class, wrapper) = (Arc::new(1), Arc::new("one".to_string()));
    /// wrappers.insert(&class, wrapper.clone());
    /// assert_eq!(wrappers.session().get(&class), Some(wrapper));
    /// ```
    pub fn session(&self) -> WeakKeyValueSession<'_, P, Q, M, S> {
        WeakKeyValueSession {
            map: self,
            looks: Looks::new(self.store()),
        }
    }
}

impl<P: Pointer, Q: Pointer, M, S: BuildHasher> WeakKeyValueSession<'_, P, Q, M, S> {
    /// As [`WeakKeyValueMap::get`].
    #[inline]
    pub fn get<A: ?Sized>(&self, key: &A) -> Option<Q>
    where
        M: Asked<P, A>,
    {
        let hash = M::hash_asked(self.map.hasher(), key);
        let found = self
            .looks
            .look(hash, |stored| M::matches(&stored.0, key), Side::live);
        match found {
            Some(found) => Some(found),
            None => self.map.get(key),
        }
    }

    /// The map.
    pub fn map(&self) -> &WeakKeyValueMap<P, Q, M, S> {
        self.map
    }
}

impl<P: Pointer, Q: Pointer, M, S> fmt::Debug for WeakKeyValueSession<'_, P, Q, M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakKeyValueSession")
            .finish_non_exhaustive()
    }
}
