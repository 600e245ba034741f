//! The values of a registry, one after the other.

use crate::registry::handle::Handle;
use crate::registry::Registry;
use std::fmt;

impl<K, V, S> IntoIterator for &Registry<K, V, S> {
    type Item = Handle<K, V>;
    type IntoIter = RegistryIter<K, V>;

    fn into_iter(self) -> RegistryIter<K, V> {
        self.iter()
    }
}

/// The values of a [`Registry`] at the time of the call to [`Registry::iter`].
pub struct RegistryIter<K, V> {
    values: std::vec::IntoIter<Handle<K, V>>,
}

impl<K, V> RegistryIter<K, V> {
    pub(super) fn new(values: Vec<Handle<K, V>>) -> Self {
        Self {
            values: values.into_iter(),
        }
    }
}

impl<K, V> Iterator for RegistryIter<K, V> {
    type Item = Handle<K, V>;

    fn next(&mut self) -> Option<Handle<K, V>> {
        self.values.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.values.size_hint()
    }
}

impl<K, V> ExactSizeIterator for RegistryIter<K, V> {}
impl<K, V> std::iter::FusedIterator for RegistryIter<K, V> {}

impl<K, V> fmt::Debug for RegistryIter<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryIter")
            .field("left", &self.values.len())
            .finish()
    }
}
