//! The function that a map calls when an entry has gone.

use crate::table::stats::Count;
use std::sync::Arc;

/// The reason why an entry has gone, as a removal hook is given it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemovalCause {
    /// Its weak key or value was found dead, or has reported its death.
    Dead,
    /// It was taken out by a call that named it or chose it, such as `remove`, `retain`, `pop` or `update`.
    Removed,
    /// Another value took its place.
    Replaced,
    /// All entries were taken out, by `clear` or `drain`.
    Cleared,
}

impl RemovalCause {
    /// Returns the counter for an entry that was taken out for this cause, unless the caller has a better
    /// one.
    pub(in crate::map) fn count(self) -> Count {
        match self {
            Self::Dead => Count::DeadSeen,
            Self::Replaced => Count::Replaced,
            Self::Removed | Self::Cleared => Count::Removed,
        }
    }
}

/// A removal hook, called outside of all locks with what is stored as the key: the key, or the weak pointer
/// to it.
pub(in crate::map) struct Hook<T: ?Sized>(Arc<Function<T>>);

type Function<T> = dyn Fn(&T, RemovalCause) + Send + Sync;

impl<T: ?Sized> Hook<T> {
    pub(in crate::map) fn new(hook: impl Fn(&T, RemovalCause) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    pub(in crate::map) fn call(&self, key: &T, cause: RemovalCause) {
        (self.0)(key, cause);
    }
}

impl<T: ?Sized> Clone for Hook<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
