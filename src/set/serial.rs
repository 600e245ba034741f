//! Sets written to a data format, and read from one.
//!
//! Live members are written as their targets. The set keeps nothing of what is read alive, so that needs
//! other owners. So there is no `Deserialize`, but a *seed*, which enters what it reads into a set that
//! exists already, and returns the owners.

use crate::memory::panics::after;
use crate::pointer::keying::Keying;
use crate::pointer::traits::SyncPointer;
use crate::set::WeakSet;
use serde_core::de::{Deserialize, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_core::ser::{Serialize, Serializer};
use std::fmt;
use std::hash::BuildHasher;

impl<P: SyncPointer<Target: Serialize>, M, S> Serialize for WeakSet<P, M, S> {
    /// Serializes the live members as a sequence of their targets, in order. To read it back, see
    /// [`WeakSet::seed`].
    ///
    /// It owns all members until it returns. *Runs* `Serialize` of targets with no lock held.
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        let living: Vec<P> = self.iter().collect();
        let written = serializer.collect_seq(living.iter().map(P::target));
        after(living, written)
    }
}

/// Reads a sequence into a [`WeakSet`] that exists already, and returns the owners of its members: made by
/// [`WeakSet::seed`]. See [`MapSeed`](crate::map::MapSeed) for what it leaves behind if reading fails, and
/// why there is no `Deserialize`.
pub struct SetSeed<'a, A, O> {
    enter: Box<dyn FnMut(A) -> O + 'a>,
}

impl<A, O> fmt::Debug for SetSeed<'_, A, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetSeed").finish_non_exhaustive()
    }
}

impl<'de, A: Deserialize<'de>, O> DeserializeSeed<'de> for SetSeed<'_, A, O> {
    type Value = Vec<O>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<O>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, A: Deserialize<'de>, O> Visitor<'de> for SetSeed<'_, A, O> {
    type Value = Vec<O>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<Z: SeqAccess<'de>>(mut self, mut members: Z) -> Result<Vec<O>, Z::Error> {
        let mut owners = Vec::new();
        let mut read = || -> Result<(), Z::Error> {
            while let Some(member) = members.next_element()? {
                owners.push((self.enter)(member));
            }
            Ok(())
        };
        match read() {
            Ok(()) => Ok(after((self.enter, members), owners)),
            Err(error) => Err(after((self.enter, members, owners), error)),
        }
    }
}

impl<P: SyncPointer, M: Keying<P>, S: BuildHasher> WeakSet<P, M, S> {
    /// Returns a seed that reads a sequence into this set, and returns an owner of each member, in order.
    /// `make` makes the pointer of what is read.
    ///
    /// If an equal member is there and alive, that one is returned.
    ///
    /// ```
    /// use highlander::WeakSet;
    /// use serde::de::DeserializeSeed;
    /// use std::sync::Arc;
    ///
    /// let set: WeakSet<Arc<str>> = WeakSet::new();
    /// let mut json = serde_json::Deserializer::from_str(r#"["a", "b", "a"]"#);
    /// let owners = set.seed(|text: String| text.into()).deserialize(&mut json).unwrap();
    /// assert!(Arc::ptr_eq(&owners[0], &owners[2]));
    /// assert_eq!(serde_json::to_string(&set).unwrap(), r#"["a","b"]"#);
    /// ```
    pub fn seed<'a, A: 'a>(&'a self, mut make: impl FnMut(A) -> P + 'a) -> SetSeed<'a, A, P> {
        SetSeed {
            enter: Box::new(move |member| self.get_or_insert(make(member))),
        }
    }
}
