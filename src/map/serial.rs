//! Maps written to a data format, and read from one.
//!
//! Live entries are written, with the targets of pointers in their place. The map keeps nothing of what is
//! read alive, so that needs other owners. So there is no `Deserialize`, but a *seed*, which enters what it
//! reads into a map that exists already, and returns the owners.

use crate::create::entry::{Entry, KeyAndOwner, OwnedKey, StoredKey};
use crate::create::error::CreateError;
use crate::map::map::Map;
use crate::map::store::entry_ref::LiveEntry;
use crate::map::store::reverse::ValueSlot;
use crate::map::store::slot::{Extra, KeySlot, OwnedSlot, Slot, WeakSlot};
use crate::map::weak_key::WeakKeyMap;
use crate::map::weak_key_value::WeakKeyValueMap;
use crate::map::weak_value::WeakValueMap;
use crate::memory::panics::after;
use crate::pointer::keying::Keying;
use crate::pointer::traits::Pointer;
use serde_core::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_core::ser::{Serialize, Serializer};
use std::convert::Infallible;
use std::fmt;
use std::hash::{BuildHasher, Hash};

/// A side of an entry, as it is written.
pub(in crate::map) trait Written: Slot {
    type Data: ?Sized + Serialize;

    fn data(shown: &Self::Shown) -> &Self::Data;
}

impl<T: Serialize + 'static> Written for OwnedSlot<T> {
    type Data = T;

    fn data(shown: &T) -> &T {
        shown
    }
}

impl<P: Pointer<Target: Serialize>, X: Extra<P>> Written for WeakSlot<P, X> {
    type Data = P::Target;

    fn data(shown: &P) -> &P::Target {
        P::target(shown)
    }
}

impl<A: KeySlot + Written + 'static, B: ValueSlot + Written + 'static, S> Serialize
    for Map<A, B, S>
{
    /// Serializes the live entries as a map, in no order, and what is weak as its target. To read it back,
    /// see `seed` of the maps with a weak side.
    ///
    /// It owns all entries until it returns. *Runs* `Serialize` of keys, values and targets with no lock
    /// held.
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        // All are collected before the first is written, as some formats need to know how many there are.
        let living: Vec<_> = self.store.living().collect();
        fn data<A: Written, B: Written>(live_entry: &LiveEntry<A, B>) -> (&A::Data, &B::Data) {
            (A::data(live_entry.key()), B::data(live_entry.value()))
        }
        let written = serializer.collect_map(living.iter().map(data));
        after(living, written)
    }
}

/// Reads a map's entries from a data format into a map that exists already, and returns the owners of what it
/// has entered: made by [`WeakValueMap::seed`], [`WeakKeyMap::seed`] and [`WeakKeyValueMap::seed`].
///
/// `A` and `B` are the types as which keys and values are read, `O` is the owner of an entry. If reading
/// fails midway, the owners of what was read by then are dropped. The entries go with them, unless others own
/// them by then.
///
/// There is no `Deserialize` for these maps, since nobody would own what it has read: all entries would be
/// dead when it returned.
pub struct MapSeed<'a, A, B, O> {
    enter: Box<dyn FnMut(A, B) -> Result<O, String> + 'a>,
}

impl<A, B, O> fmt::Debug for MapSeed<'_, A, B, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapSeed").finish_non_exhaustive()
    }
}

impl<'de, A: Deserialize<'de>, B: Deserialize<'de>, O> DeserializeSeed<'de>
    for MapSeed<'_, A, B, O>
{
    type Value = Vec<O>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<O>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, A: Deserialize<'de>, B: Deserialize<'de>, O> Visitor<'de> for MapSeed<'_, A, B, O> {
    type Value = Vec<O>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<Z: MapAccess<'de>>(mut self, mut entries: Z) -> Result<Vec<O>, Z::Error> {
        let mut owners = Vec::new();
        let mut read = || -> Result<(), Z::Error> {
            while let Some((key, value)) = entries.next_entry()? {
                owners.push((self.enter)(key, value).map_err(Z::Error::custom)?);
            }
            Ok(())
        };
        match read() {
            Ok(()) => Ok(after((self.enter, entries), owners)),
            Err(error) => Err(after((self.enter, entries, owners), error)),
        }
    }
}

impl<K: Hash + Eq + 'static, P: Pointer + 'static, S: BuildHasher> WeakValueMap<K, P, S> {
    /// Returns a seed that reads a map into this one, and returns an owner of each value, in the order of
    /// what was read. `make` makes the pointer of what is read.
    ///
    /// A key that has a live value keeps that value, as in [`get_or_insert_with`](Self::get_or_insert_with):
    /// its owner is returned, and `make` is not called. It is an error if the map is closed, or if `make`
    /// asks for its own key.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use serde::de::DeserializeSeed;
    /// use std::sync::Arc;
    ///
    /// let map: WeakValueMap<String, Arc<u32>> = WeakValueMap::new();
    /// let mut json = serde_json::Deserializer::from_str(r#"{"one": 1}"#);
    /// let owners = map.seed(|_, number: u32| Arc::new(number)).deserialize(&mut json).unwrap();
    /// assert_eq!(map.get("one").as_ref(), Some(&owners[0]));
    /// assert_eq!(serde_json::to_string(&map).unwrap(), r#"{"one":1}"#);
    /// drop(owners);
    /// assert_eq!(serde_json::to_string(&map).unwrap(), "{}");
    /// ```
    pub fn seed<'a, B: 'a>(
        &'a self,
        mut make: impl FnMut(&K, B) -> P + 'a,
    ) -> MapSeed<'a, K, B, P> {
        MapSeed {
            enter: Box::new(move |key, value| {
                let entered = self
                    .entry(key)
                    .or_try_insert_with(|key| Ok(make(key, value)));
                entered.map_err(not_entered)
            }),
        }
    }
}

impl<P: Pointer + 'static, V: 'static, M: Keying<P>, S: BuildHasher> WeakKeyMap<P, V, M, S> {
    /// Returns a seed that reads a map into this one, and returns an owner of each key that is stored, in the
    /// order of what was read. `make` makes the key of what is read.
    ///
    /// A key that is stored and alive keeps its value, and the owner of that key is returned. It is an error
    /// if the map is closed.
    ///
    /// ```
    /// use highlander::WeakKeyMap;
    /// use serde::de::DeserializeSeed;
    /// use std::sync::Arc;
    ///
    /// let sizes: WeakKeyMap<Arc<str>, usize> = WeakKeyMap::new();
    /// let mut json = serde_json::Deserializer::from_str(r#"{"Kurgan": 6}"#);
    /// let keys = sizes.seed(|name: String| name.into()).deserialize(&mut json).unwrap();
    /// assert_eq!((sizes.get("Kurgan"), &*keys[0]), (Some(6), "Kurgan"));
    /// ```
    pub fn seed<'a, A: 'a>(&'a self, mut make: impl FnMut(A) -> P + 'a) -> MapSeed<'a, A, V, P> {
        MapSeed {
            enter: Box::new(move |key, value| {
                let entry = Entry::with_output(self, OwnedKey(make(key)), StoredKey);
                let entered = entry.or_try_insert_with(|_| Ok(value));
                entered.map_err(not_entered)
            }),
        }
    }
}

impl<P: Pointer + 'static, Q: Pointer + 'static, M: Keying<P>, S: BuildHasher>
    WeakKeyValueMap<P, Q, M, S>
{
    /// Returns a seed that reads a map into this one, and returns owners of each key that is stored and of
    /// its value, in the order of what was read. `key` and `value` make the pointers of what is read.
    ///
    /// A key that is stored with a live value keeps that value: the owners of both are returned, and `value`
    /// is not called. It is an error if the map is closed, or if `value` asks for its own key.
    ///
    /// ```
    /// use highlander::WeakKeyValueMap;
    /// use serde::de::DeserializeSeed;
    /// use std::sync::Arc;
    ///
    /// let sizes: WeakKeyValueMap<Arc<str>, Arc<usize>> = WeakKeyValueMap::new();
    /// let mut json = serde_json::Deserializer::from_str(r#"{"Kurgan": 6}"#);
    /// let seed = sizes.seed(|name: String| name.into(), |_, size| Arc::new(size));
    /// let owners = seed.deserialize(&mut json).unwrap();
    /// assert_eq!(sizes.get_by_value(&owners[0].1).as_deref(), Some("Kurgan"));
    /// ```
    pub fn seed<'a, A: 'a, B: 'a>(
        &'a self,
        mut key: impl FnMut(A) -> P + 'a,
        mut value: impl FnMut(&P, B) -> Q + 'a,
    ) -> MapSeed<'a, A, B, (P, Q)> {
        MapSeed {
            enter: Box::new(move |read_key, read_value| {
                let entry = Entry::with_output(self, OwnedKey(key(read_key)), KeyAndOwner);
                let entered = entry.or_try_insert_with(|key| Ok(value(key, read_value)));
                entered.map_err(not_entered)
            }),
        }
    }
}

fn not_entered(error: CreateError<Infallible>) -> String {
    error.to_string()
}
