//! Several steps that may panic: each is done, and the first panic goes on afterwards.
//!
//! For why every type is `UnwindSafe` and `Unpin`, see "Unwind safety" in ARCHITECTURE.md.

use std::any::Any;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::thread;

/// The first panic of several steps, each of which runs whatever became of the others.
///
/// Dropping it lets that panic go on. While another one unwinds already, it is discarded.
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
/// is about to return (rust-lang/rust#47949). If that is an owner, its entry never dies. Here it is still an
/// argument, which unwinding drops. So a function that returns something of a user's calls this with all that
/// is left and may run a user's destructor: keys, closures, and owners that are not returned.
#[inline(always)]
pub(crate) fn after<R>(rest: impl Sized, result: R) -> R {
    drop(rest);
    result
}

/// Awaits a user's future, and drops it before the output is returned: see [`after`]. (`.await` drops its
/// future after that.)
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

/// Drops something whose drop may panic, and hides that panic.
pub(crate) fn discard<T>(thing: T) {
    let Err(mut panic) = catch_unwind(AssertUnwindSafe(|| drop(thing))) else {
        return;
    };
    // A panic's payload may panic too when it is dropped, though not for ever.
    for _ in 0..16 {
        match catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            Ok(()) => return,
            Err(next) => panic = next,
        }
    }
    std::mem::forget(panic);
}

impl Drop for Panics {
    #[inline]
    fn drop(&mut self) {
        if let Some(panic) = self.0.take() {
            go_on(panic);
        }
    }
}

#[cold]
fn go_on(panic: Box<dyn Any + Send>) {
    // A second panic beside one that is under way would end the process.
    match thread::panicking() {
        true => discard(panic),
        false => resume_unwind(panic),
    }
}
