//! The library that the model body is written on: loom, or shuttle.
//!
//! loom runs a small meeting under every interleaving and every weak order, shuttle a large one under many
//! random interleavings, all of which are sequentially consistent. Both run all threads on one OS thread. The
//! names are loom's.

#[cfg(not(all(highlander_shuttle, feature = "shuttle")))]
mod body {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::{atomic, Condvar, Mutex, MutexGuard};
    #[cfg(feature = "logging")]
    pub(crate) use loom::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
    pub(crate) use loom::thread::yield_now;
    pub(crate) use loom::{lazy_static, thread_local};

    /// Threads of one execution.
    pub(crate) const THREADS: usize = 4;
}

#[cfg(all(highlander_shuttle, feature = "shuttle"))]
mod body {
    pub(crate) use shuttle::sync::{atomic, Condvar, Mutex, MutexGuard};
    #[cfg(feature = "logging")]
    pub(crate) use shuttle::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
    pub(crate) use shuttle::thread::yield_now;
    pub(crate) use shuttle::{lazy_static, thread_local};

    /// Threads of one execution.
    pub(crate) const THREADS: usize = 16;

    /// A cell that finds no accesses that meet: a thread is interrupted in atomics, locks and waits only.
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}

pub(crate) use body::*;
