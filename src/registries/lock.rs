//! The locks of these registries.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks what is not broken by a panic: nothing that may panic half way changes it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
