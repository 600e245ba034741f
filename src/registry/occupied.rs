//! What comes back when a key has a live value already.

use crate::registry::handle::Handle;
use std::error::Error;
use std::fmt;

/// A key already has a live value: that value, and what was to be entered, come back.
///
/// ```
/// use highlander::Registry;
///
/// let registry: Registry<&str, u32> = Registry::new();
/// let first = registry.try_insert("quickening", 1).unwrap();
/// let error = registry.try_insert("quickening", 2).unwrap_err();
/// assert_eq!(error.key, "quickening");
/// assert_eq!(error.value, 2);
/// assert!(error.existing.ptr_eq(&first));
/// ```
pub struct OccupiedError<K, V> {
    /// The live value.
    pub existing: Handle<K, V>,
    /// The key that was to be entered.
    pub key: K,
    /// The value that was to be entered.
    pub value: V,
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for OccupiedError<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OccupiedError")
            .field("key", &self.key)
            .field("existing", &*self.existing)
            .field("value", &self.value)
            .finish()
    }
}

impl<K: fmt::Debug, V> fmt::Display for OccupiedError<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key {:?} has a live value already", self.key)
    }
}

impl<K: fmt::Debug, V: fmt::Debug> Error for OccupiedError<K, V> {}
