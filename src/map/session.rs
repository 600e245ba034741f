//! Look-ups in loops, which count their hits for themselves.

use crate::map::store::reverse::{ByValue, Traced};
use crate::map::store::slot::{OwnedSlot, Slot, WeakSlot};
use crate::map::store::{Reverse, Store};
use crate::map::weak_key_value_map::WeakKeyValueMap;
use crate::map::weak_value_map::WeakValueMap;
use crate::memory::hash::hash_key;
use crate::pointer::keying::Asked;
use crate::pointer::traits::Pointer;
use crate::table::stats::Count;
use equivalent::Equivalent;
use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::panic::{RefUnwindSafe, UnwindSafe};

/// What the sessions of all maps do.
struct Looks<'a, A: Slot, B: Slot, X: Reverse<A, B>> {
    store: &'a Store<A, B, X>,
    /// Hits that the map's statistics have not been told of.
    hits: Cell<u64>,
}

impl<'a, A: Slot, B: Slot, X: Reverse<A, B>> Looks<'a, A, B, X> {
    fn new(store: &'a Store<A, B, X>) -> Self {
        Self {
            store,
            hits: Cell::new(0),
        }
    }

    /// As [`Store::view`].
    #[inline(always)]
    fn view<R>(
        &self,
        hash: u64,
        is_it: impl Fn(&A) -> bool,
        view: impl FnMut(&B) -> Option<R>,
    ) -> Option<R> {
        let hit = || self.hits.set(self.hits.get() + 1);
        self.store.view_as(hash, is_it, view, hit)
    }
}

impl<A: Slot, B: Slot, X: Reverse<A, B>> Drop for Looks<'_, A, B, X> {
    fn drop(&mut self) {
        self.store.counters.add_many(Count::Hit, self.hits.get());
    }
}

/// A thread's view of a [`WeakValueMap`] for look-ups in a loop; made by [`WeakValueMap::session`].
///
/// It counts its hits for itself, and tells the map's statistics of them when it is dropped. It holds no lock and nothing back: between two
/// look-ups it might as well not be there. It can be sent to another thread, but not be shared.
pub struct WeakValueSession<'a, K: 'static, P: Pointer, S> {
    map: &'a WeakValueMap<K, P, S>,
    looks: Looks<'a, OwnedSlot<K>, WeakSlot<P>, ()>,
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
        self.looks
            .view(hash, |stored| key.equivalent(&stored.0), Slot::live)
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

/// A thread's view of a [`WeakKeyValueMap`] for look-ups in a loop; made by [`WeakKeyValueMap::session`]. See [`WeakValueSession`].
pub struct WeakKeyValueSession<'a, P: Pointer, Q: Pointer, M, S> {
    map: &'a WeakKeyValueMap<P, Q, M, S>,
    looks: Looks<'a, WeakSlot<P>, Traced<Q>, ByValue<P, Q>>,
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
        self.looks
            .view(hash, |stored| M::matches(&stored.0, key), Slot::live)
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

// Why: see the head of `memory::panics`.
impl<
        K: 'static + UnwindSafe + RefUnwindSafe,
        P: Pointer + UnwindSafe + RefUnwindSafe,
        S: RefUnwindSafe,
    > UnwindSafe for WeakValueSession<'_, K, P, S>
{
}
impl<
        K: 'static + UnwindSafe + RefUnwindSafe,
        P: Pointer + UnwindSafe + RefUnwindSafe,
        S: RefUnwindSafe,
    > RefUnwindSafe for WeakValueSession<'_, K, P, S>
{
}
impl<K: 'static, P: Pointer, S> Unpin for WeakValueSession<'_, K, P, S> {}

// Why: see the head of `memory::panics`.
impl<
        P: Pointer + UnwindSafe + RefUnwindSafe,
        Q: Pointer + UnwindSafe + RefUnwindSafe,
        M,
        S: RefUnwindSafe,
    > UnwindSafe for WeakKeyValueSession<'_, P, Q, M, S>
{
}
impl<
        P: Pointer + UnwindSafe + RefUnwindSafe,
        Q: Pointer + UnwindSafe + RefUnwindSafe,
        M,
        S: RefUnwindSafe,
    > RefUnwindSafe for WeakKeyValueSession<'_, P, Q, M, S>
{
}
impl<P: Pointer, Q: Pointer, M, S> Unpin for WeakKeyValueSession<'_, P, Q, M, S> {}
