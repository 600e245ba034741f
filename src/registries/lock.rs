//! Locks of the standard library, where no protocol is to be modelled.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks what a panic cannot have broken, since nothing that may panic half way changes it.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
