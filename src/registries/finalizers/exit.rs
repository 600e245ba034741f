//! When it is time to run those that are left: at the end of `main`, or when the C library says so.

use super::Finalizers;

/// Runs all finalizers at its end. Made by [`Finalizers::exit_guard`].
#[must_use = "it runs the finalizers when it is dropped; bind it to a name"]
#[derive(Debug)]
pub struct ExitGuard<'a> {
    finalizers: &'a Finalizers,
}

impl<'a> ExitGuard<'a> {
    pub(super) fn new(finalizers: &'a Finalizers) -> Self {
        Self { finalizers }
    }
}

impl Drop for ExitGuard<'_> {
    fn drop(&mut self) {
        self.finalizers.run_all();
    }
}

#[cfg(all(feature = "atexit", target_os = "linux"))]
mod process {
    use super::Finalizers;
    use crate::registries::lock::lock;
    use std::sync::{Mutex, OnceLock};

    /// Those that are to be run, in the order in which they came.
    static REGISTERED: Mutex<Vec<&'static Finalizers>> = Mutex::new(Vec::new());

    impl Finalizers {
        /// Runs all that are left when the process ends by `exit` of the C library: when `main` has returned,
        /// also after a panic, and with [`std::process::exit`]; not with `abort` or `_exit`, nor when a
        /// signal ends the process. Only on Linux, with the feature `atexit`. True if the C library has
        /// agreed; a second call for the same finalizers changes nothing.
        ///
        /// Several are run the last registered first, and all of them again until nothing is left that they
        /// have registered with each other. Functions run on the thread that ends the process, *while other
        /// threads go on*, and after the thread-locals of that thread have been dropped. They must not call
        /// [`std::process::exit`]: the C library forbids it there.
        ///
        /// ```
        /// use highlander::registries::finalizers::PROCESS;
        ///
        /// assert!(PROCESS.at_process_exit());
        /// PROCESS.at_exit(0, || eprintln!("the last words"));
        /// ```
        pub fn at_process_exit(&'static self) -> bool {
            static AGREED: OnceLock<bool> = OnceLock::new();
            // SAFETY: the C library runs it before the code that it is a part of is unloaded, and no panic
            // leaves it.
            let agreed = *AGREED.get_or_init(|| unsafe { libc::atexit(at_exit) } == 0);
            let mut registered = lock(&REGISTERED);
            if !registered.iter().any(|known| std::ptr::eq(*known, self)) {
                registered.push(self);
            }
            agreed
        }
    }

    extern "C" fn at_exit() {
        let (mut done, mut any) = (Vec::new(), false);
        loop {
            // A statement of its own: a finalizer may register others.
            let next = lock(&REGISTERED).pop();
            match next {
                Some(finalizers) => {
                    any |= finalizers.run_all().run > 0;
                    done.push(finalizers);
                }
                // They may have registered something where the turn was over.
                None if std::mem::take(&mut any) => lock(&REGISTERED).extend(done.drain(..).rev()),
                None => return,
            }
        }
    }
}
