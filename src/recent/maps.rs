//! The traits of a map that the layer uses.

use crate::create::creator::Creator;
use crate::map::store::reverse::ValueSlot;
use crate::map::store::slot::{HashedKey, Lookup, WeakSide};
use crate::map::Map;
use crate::pointer::traits::Pointer;
use crate::registry::handle::Handle;
use crate::registry::Registry;
use equivalent::Equivalent;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

/// A map whose values die when nobody owns them, so that a [`Recent`](super::Recent) can keep some:
/// [`Registry`], [`WeakValueMap`](crate::WeakValueMap), [`WeakKeyValueMap`](crate::WeakKeyValueMap), and a
/// reference to one, an [`Arc`] of one, or what else leads to one.
#[allow(private_bounds)] // How it is asked concerns nobody else.
pub trait WeakValued {
    /// The key: `K`, or the pointer that is a weak key.
    type Key;
    /// The value that is entered: `V`, or the pointer that is a weak value.
    type Value;
    /// The owner that keeps a value alive: a handle, or the pointer.
    type Owner: Clone;
    /// The map, where `Self` leads to it.
    type Map: Identifies<Key = Self::Key, Value = Self::Value, Owner = Self::Owner>;

    /// Returns the map.
    fn map(&self) -> &Self::Map;
}

/// The calls that all of these maps have.
pub(crate) trait Identifies: Creator {
    /// Returns the identity of a value, for as long as somebody owns it.
    fn identity(owner: &Self::Owner) -> u64;

    /// Calls `shrink_to_fit`.
    fn give_back(&self);
}

/// A map that can look up this borrowed form of its keys.
pub(crate) trait LooksUp<Q: ?Sized>: Creator {
    fn look_up(&self, key: &Q) -> Option<Self::Owner>;
    fn take_out(&self, key: &Q) -> Option<Self::Owner>;
}

impl<M: WeakValued> WeakValued for &M {
    type Key = M::Key;
    type Value = M::Value;
    type Owner = M::Owner;
    type Map = M::Map;

    #[inline]
    fn map(&self) -> &M::Map {
        (**self).map()
    }
}

impl<M: WeakValued> WeakValued for Arc<M> {
    type Key = M::Key;
    type Value = M::Value;
    type Owner = M::Owner;
    type Map = M::Map;

    #[inline]
    fn map(&self) -> &M::Map {
        (**self).map()
    }
}

impl<K: Hash + Eq + 'static, V: 'static, S: BuildHasher> WeakValued for Registry<K, V, S> {
    type Key = K;
    type Value = V;
    type Owner = Handle<K, V>;
    type Map = Self;

    #[inline]
    fn map(&self) -> &Self {
        self
    }
}

impl<K: Hash + Eq + 'static, V: 'static, S: BuildHasher> Identifies for Registry<K, V, S> {
    #[inline]
    fn identity(owner: &Handle<K, V>) -> u64 {
        // Not the address of the value: a value without a size may share that with others.
        Handle::identity(owner)
    }

    fn give_back(&self) {
        self.shrink_to_fit();
    }
}

impl<K, V, S, Q> LooksUp<Q> for Registry<K, V, S>
where
    K: Hash + Eq + 'static,
    V: 'static,
    S: BuildHasher,
    Q: ?Sized + Hash + Equivalent<K>,
{
    #[inline]
    fn look_up(&self, key: &Q) -> Option<Handle<K, V>> {
        self.get(key)
    }

    fn take_out(&self, key: &Q) -> Option<Handle<K, V>> {
        self.remove(key)
    }
}

impl<A, B, S> WeakValued for Map<A, B, S>
where
    A: HashedKey + 'static,
    B: ValueSlot<Value: Pointer> + WeakSide + 'static,
    S: BuildHasher,
{
    type Key = A::Key;
    type Value = B::Value;
    type Owner = B::Value;
    type Map = Self;

    #[inline]
    fn map(&self) -> &Self {
        self
    }
}

impl<A, B, S> Identifies for Map<A, B, S>
where
    A: HashedKey + 'static,
    B: ValueSlot<Value: Pointer> + WeakSide + 'static,
    S: BuildHasher,
{
    #[inline]
    fn identity(owner: &B::Value) -> u64 {
        B::Value::identity_hash(owner)
    }

    fn give_back(&self) {
        self.shrink_to_fit();
    }
}

impl<A, B, S, Q> LooksUp<Q> for Map<A, B, S>
where
    A: Lookup<Q> + 'static,
    B: ValueSlot<Value: Pointer> + WeakSide + 'static,
    S: BuildHasher,
    Q: ?Sized,
{
    #[inline]
    fn look_up(&self, key: &Q) -> Option<B::Value> {
        self.get(key)
    }

    fn take_out(&self, key: &Q) -> Option<B::Value> {
        self.remove(key)
    }
}
