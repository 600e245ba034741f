//! What a panic leaves behind: several things that may panic are each done, and the first panic goes on
//! afterwards.
//!
//! # Unwind safety
//! Every type of this crate can be used after a panic was caught, if what it holds can. The compiler cannot
//! see that, as there are atomics, locks and pointers to nodes in each; so each type says it, with this
//! argument. Code of users (`Hash`, `Eq`, a factory, a hook, a destructor, a waker) runs where the structures
//! of this crate are complete: no lock is held, and a guard finishes or takes back whatever was begun while
//! the panic goes by. Nothing is ever half-changed or poisoned, and what is seen after a panic is what a call
//! on another thread could have seen. What is left are the values themselves. They are seen by reference, and
//! given out and taken by value, so they must bear both.
//!
//! Pointers are as `Arc`: they give out references only. Functions that were given to be called later (hooks,
//! watchers, tasks, sinks) are types that nobody can name any more. They count as safe, as those given to
//! `std::panic::set_hook` do: what such a function shares with others is for its author to see to.
//!
//! All types keep what they hold elsewhere and never hand out a pinned reference into themselves, so they are
//! `Unpin` whatever they hold.

use std::any::Any;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::thread;

/// The first panic of several steps, each of which runs whatever became of the others.
///
/// Dropping it lets the panic go on, so a step that is forgotten about cannot hide one.
#[derive(Default)]
pub(crate) struct Panics(Option<Box<dyn Any + Send>>);

impl Panics {
    pub(crate) fn new() -> Self {
        Self(None)
    }

    pub(crate) fn catch<R>(&mut self, step: impl FnOnce() -> R) -> Option<R> {
        match catch_unwind(AssertUnwindSafe(step)) {
            Ok(result) => Some(result),
            Err(panic) => {
                self.keep(panic);
                None
            }
        }
    }

    #[cold]
    fn keep(&mut self, panic: Box<dyn Any + Send>) {
        match self.0 {
            None => self.0 = Some(panic),
            Some(_) => discard(panic),
        }
    }
}

/// Returns `result`, once `rest` has been dropped.
///
/// When the drop of a local panics at the end of a function, the compiler leaks the value that the function
/// is about to return (rust-lang/rust#47949). If that is an owner, its entry never dies. Here it is an
/// argument still, which unwinding drops. So whoever returns something of a user's calls this with all that
/// is left and may run a destructor of a user's: keys, closures, and owners that are not returned.
#[inline(always)]
pub(crate) fn after<R>(rest: impl Sized, result: R) -> R {
    drop(rest);
    result
}

/// What a future of a user's gives, once the future has been dropped: as [`after`], where `.await` returns
/// something of a user's and drops its future after that.
#[cfg(feature = "async")]
macro_rules! ended {
    ($future:expr) => {{
        let mut future = ::std::pin::pin!(Some($future));
        let output = ::std::future::poll_fn(|context| {
            let future = future.as_mut().as_pin_mut().expect("not over");
            ::std::future::Future::poll(future, context)
        });
        let output = output.await;
        future.set(None);
        output
    }};
}
#[cfg(feature = "async")]
pub(crate) use ended;

/// Drops something whose drop may panic; there that ends.
pub(crate) fn discard<T>(thing: T) {
    let Err(mut panic) = catch_unwind(AssertUnwindSafe(|| drop(thing))) else {
        return;
    };
    // What a panic carries may panic too when it is dropped, though not for ever.
    for _ in 0..16 {
        match catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            Ok(()) => return,
            Err(next) => panic = next,
        }
    }
    std::mem::forget(panic);
}

impl Drop for Panics {
    fn drop(&mut self) {
        match self.0.take() {
            // A second panic beside one that is under way would end the process.
            Some(panic) if thread::panicking() => discard(panic),
            Some(panic) => resume_unwind(panic),
            None => {}
        }
    }
}
