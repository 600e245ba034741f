//! A lock of one word, held briefly: one locked instruction to take it, a plain store to release it.
//!
//! Like a bucket's lock it spins briefly and then parks, and a panic does not poison it.

use super::{park_while, relax, spin_rounds, wake_parked, AtomicU64, Ordering, UnsafeCell};

pub(crate) struct Lock<T> {
    /// 1 while it is locked.
    word: AtomicU64,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by one thread at a time, so it is as if it were sent from each to the next.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            word: AtomicU64::new(0),
            value: UnsafeCell::new(value),
        }
    }

    /// Runs `f`, which runs no user code, on the value, alone.
    #[inline(always)]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        if !self.try_take() {
            self.take_slowly();
        }
        let _release = Release(&self.word);
        // SAFETY: the word says that this thread alone has the value, until `_release` goes.
        self.value.with_mut(|value| f(unsafe { &mut *value }))
    }

    #[inline(always)]
    fn try_take(&self) -> bool {
        // Acquire: pairs with `Release`.
        self.word
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    #[cold]
    #[inline(never)]
    fn take_slowly(&self) {
        let address = std::ptr::from_ref(&self.word).addr();
        take(address, || self.try_take().then_some(()));
    }
}

/// Calls `attempt` until it takes a lock, after whose release [`wake_parked`] is called with this address. It
/// fails only while somebody has the lock: else nobody would wake the caller. It runs no user code, and does
/// not panic.
pub(crate) fn take<R>(address: usize, mut attempt: impl FnMut() -> Option<R>) -> R {
    let mut round = 0;
    loop {
        // First: a thread that cannot sleep (see `Refusal`) returns from `park_while` without having looked.
        let mut taken = attempt();
        if taken.is_none() {
            if round < spin_rounds() {
                relax(round);
                round += 1;
            } else {
                park_while(address, || {
                    taken = attempt();
                    taken.is_none()
                });
            }
        }
        if let Some(taken) = taken {
            return taken;
        }
    }
}

struct Release<'a>(&'a AtomicU64);

impl Drop for Release<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // Release: pairs with `try_take`. After this store the lock may be gone, so only its address is used.
        let address = std::ptr::from_ref(self.0).addr();
        self.0.store(0, Ordering::Release);
        wake_parked(address);
    }
}
