//! The naming of keys in the texts of errors.

use std::fmt;

/// The way in which the texts of errors name keys: by `Debug`, or by their type.
pub(crate) struct Naming<K: ?Sized>(Option<ShowKey<K>>);

type ShowKey<K> = fn(&K, &mut fmt::Formatter<'_>) -> fmt::Result;

impl<K: ?Sized> Naming<K> {
    pub(crate) const BY_TYPE: Self = Self(None);

    /// Names keys by their `Debug`.
    pub(crate) const fn shown() -> Self
    where
        K: fmt::Debug,
    {
        Self(Some(<K as fmt::Debug>::fmt))
    }

    pub(crate) fn name(self, key: &K, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(show) => show(key, f),
            None => write!(f, "a key of type `{}`", std::any::type_name::<K>()),
        }
    }
}

impl<K: ?Sized> Clone for Naming<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: ?Sized> Copy for Naming<K> {}
