//! The handle of an [`Interner`](crate::Interner).

use crate::registry::intern::internable::{Canonical, Internable};
use crate::table::node_ref::NodeRef;
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::error::Error;
use std::ffi::OsStr;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::Path;

/// An owner of the one canonical value with its content. The value lives, and stays entered, while a handle
/// to it does.
///
/// One word; dereferences to the value. Dropping the last handle takes the entry out and drops the value
/// before the drop returns. Handles may outlive their interner.
///
/// # Comparing
/// * `==` compares pointers: within one interner, equal pointers and equal contents are the same thing.
///   Handles from *two* interners are never equal; compare `*a == *b` where that may happen.
/// * `Hash` hashes the content, so that a `HashMap<Interned<str>, _>` can be asked with a `&str` (that is
///   what `Borrow` promises).
/// * `Ord` orders by content, and by address where that is equal, as it can be between two interners.
///
/// ```
/// use highlander::{Interned, Interner};
/// use std::collections::HashMap;
///
/// let interner: Interner<str> = Interner::new();
/// let a = interner.intern("methos");
/// let b = interner.intern("methos");
/// assert_eq!(a, b);
/// assert_eq!(std::mem::size_of_val(&a), std::mem::size_of::<usize>());
///
/// let mut age: HashMap<Interned<str>, u32> = HashMap::new();
/// age.insert(a, 5000);
/// assert_eq!(age.get("methos"), Some(&5000));
/// ```
pub struct Interned<T: ?Sized + Internable> {
    node: NodeRef<Canonical<T>>,
}

// SAFETY: a handle gives `&T` to its thread (hence `Sync`), and may drop the value (hence `Send`).
unsafe impl<T: ?Sized + Internable + Send + Sync> Send for Interned<T> {}
// SAFETY: a shared handle can be cloned, so the same bounds as for `Send`.
unsafe impl<T: ?Sized + Internable + Send + Sync> Sync for Interned<T> {}

impl<T: ?Sized + Internable> Interned<T> {
    #[inline(always)]
    pub(in crate::registry) fn new(node: NodeRef<Canonical<T>>) -> Self {
        Self { node }
    }

    /// Returns whether both lead to the very same value; the same as `==`.
    #[inline]
    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        this.node.node() == other.node.node()
    }

    /// Returns the address of the value, which stays the same while it lives.
    #[inline]
    pub fn as_ptr(this: &Self) -> *const T {
        &**this
    }

    /// Returns the number of handles to this value at some moment. Others may change it at any time.
    pub fn strong_count(this: &Self) -> usize {
        this.node.header().owners() as usize
    }
}

impl<T: ?Sized + Internable> Clone for Interned<T> {
    /// Returns another owner of the same value. Aborts the process beyond `i32::MAX` owners.
    #[inline]
    fn clone(&self) -> Self {
        Self {
            node: self.node.clone(),
        }
    }
}

impl<T: ?Sized + Internable> Deref for Interned<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        self.node.key()
    }
}

impl<T: ?Sized + Internable> AsRef<T> for Interned<T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T: ?Sized + Internable> Borrow<T> for Interned<T> {
    fn borrow(&self) -> &T {
        self
    }
}

impl AsRef<[u8]> for Interned<str> {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsRef<OsStr> for Interned<str> {
    fn as_ref(&self) -> &OsStr {
        (**self).as_ref()
    }
}

impl AsRef<Path> for Interned<str> {
    fn as_ref(&self) -> &Path {
        (**self).as_ref()
    }
}

impl<T: ?Sized + Internable> PartialEq for Interned<T> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        Self::ptr_eq(self, other)
    }
}

impl<T: ?Sized + Internable> Eq for Interned<T> {}

impl PartialEq<str> for Interned<str> {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for Interned<str> {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl<T: ?Sized + Internable + Ord> PartialOrd for Interned<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: ?Sized + Internable + Ord> Ord for Interned<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        if Self::ptr_eq(self, other) {
            return Ordering::Equal;
        }
        (**self)
            .cmp(&**other)
            .then_with(|| self.node.node().cmp(&other.node.node()))
    }
}

impl<T: ?Sized + Internable + Hash> Hash for Interned<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<T: ?Sized + Internable + fmt::Debug> fmt::Debug for Interned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + Internable + fmt::Display> fmt::Display for Interned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + Internable> fmt::Pointer for Interned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Pointer::fmt(&Self::as_ptr(self), f)
    }
}

impl<T: ?Sized + Internable + Error> Error for Interned<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        (**self).source()
    }
}

#[cfg(feature = "serde")]
impl<T: ?Sized + Internable + serde_core::Serialize> serde_core::Serialize for Interned<T> {
    /// Serializes as the value. To read it back, see [`Interner::seed`](crate::Interner::seed).
    fn serialize<S: serde_core::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

// Why: see "Unwind safety" in ARCHITECTURE.md.
impl<T: ?Sized + Internable + RefUnwindSafe> UnwindSafe for Interned<T> {}
impl<T: ?Sized + Internable + RefUnwindSafe> RefUnwindSafe for Interned<T> {}
impl<T: ?Sized + Internable> Unpin for Interned<T> {}
