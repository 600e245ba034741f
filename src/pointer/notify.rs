//! How a pointer notifies a container that its value has died.

use crate::deadlock::work::Work;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, Weak};

/// The way for a pointer to notify a container: call it when the value has died, and the container forgets
/// that entry.
///
/// It has a weak pointer to the container, and knows where the entry is. So it does nothing when the
/// container or the entry is gone: a late call does no harm. A call while the value is alive is ignored.
///
/// Only implementations of [`Pointer::watch`](crate::pointer::Pointer::watch) need it.
pub struct Notify {
    container: Weak<dyn Notified>,
    entry: u64,
    /// True if the container wants to be notified of the end of the destructor too.
    ends: bool,
}

/// Notifies a container of the end of a destructor. Owns the container until then.
pub(in crate::pointer) struct Ending {
    container: Arc<dyn Notified>,
    entry: u64,
}

/// A container that is notified.
pub(crate) trait Notified: Send + Sync {
    /// Takes out the entry, whose value has died. Sets know an entry by its place in the order, maps by its
    /// hash.
    fn dead(&self, entry: u64);

    /// Returns the destructor of the value, as work that others wait for.
    fn work(&self, entry: u64) -> Option<Arc<Work>> {
        let _ = entry;
        None
    }

    /// Records that the destructor of the value has ended.
    fn ended(&self, entry: u64) {
        let _ = entry;
    }
}

impl Ending {
    pub(in crate::pointer) fn work(&self) -> Option<Arc<Work>> {
        self.container.work(self.entry)
    }

    pub(in crate::pointer) fn ended(self) {
        self.container.ended(self.entry);
    }
}

impl Notify {
    pub(crate) fn new(container: Weak<dyn Notified>, entry: u64) -> Self {
        Self {
            container,
            entry,
            ends: false,
        }
    }

    /// Makes one for a container that is notified of the end of the destructor too.
    pub(crate) fn with_end(container: Weak<dyn Notified>, entry: u64) -> Self {
        Self {
            container,
            entry,
            ends: true,
        }
    }

    /// Returns whether the container waits for the end of the destructor. Then notifying it runs no user
    /// code.
    pub(in crate::pointer) fn ends(&self) -> bool {
        self.ends
    }

    /// Does what [`dead`](Self::dead) does, for a caller that will also call [`Ending::ended`], if an
    /// `Ending` is returned.
    pub(in crate::pointer) fn notify_dead(self) -> Option<Ending> {
        let container = self.container.upgrade()?;
        let entry = self.entry;
        container.dead(entry);
        self.ends.then_some(Ending { container, entry })
    }

    /// Notifies the container. The entry is gone when this returns.
    ///
    /// *Waiting:* for other writers of the container, a few instructions long. *Runs* a map's hook and the
    /// drop of what the entry holds (a weak pointer, the other half of a map's entry), and panics when that
    /// does. So call it with no lock held.
    pub fn dead(self) {
        if let Some(container) = self.container.upgrade() {
            container.dead(self.entry);
        }
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify")
            .field("entry", &self.entry)
            .finish_non_exhaustive()
    }
}

// Why: see ARCHITECTURE.md, "Unwind safety".
impl UnwindSafe for Notify {}
impl RefUnwindSafe for Notify {}
