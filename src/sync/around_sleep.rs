//! A hook of the user's around the sleep of a thread.

/// A hook around sleeping, if there is one.
#[derive(Clone, Copy)]
pub(crate) struct AroundSleep(Option<fn(&mut dyn FnMut())>);

impl AroundSleep {
    pub(crate) const NOTHING: Self = Self(None);

    pub(crate) const fn new(hook: fn(&mut dyn FnMut())) -> Self {
        Self(Some(hook))
    }

    pub(crate) fn is_nothing(self) -> bool {
        self.0.is_none()
    }

    /// Sleeps, in the hook if there is one. `sleep` returns at once when it is called again after its end: so
    /// a hook may call it as often as it likes, and when it does not call it at all, the thread sleeps all
    /// the same.
    ///
    /// Runs the user's code, which may panic.
    pub(crate) fn run(self, sleep: &mut dyn FnMut()) {
        if let Some(hook) = self.0 {
            hook(sleep);
        }
        sleep();
    }
}
