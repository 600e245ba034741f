//! What ties a creation to others whose values it was given before they were finished, or that were given its own.

use crate::node::{Header, Node};
use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, Event, Ordering};
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// Made for a flight when it is first needed, and only then.
pub(crate) struct Tie {
    /// The node of a value that is not entered yet; null if there is none. The flight is an owner of it.
    draft: AtomicPtr<Header>,
    /// There is something about it among the knots (see `waits`). Changed under their lock.
    tied: AtomicBool,
    /// Changed under the lock of the knots.
    fate: AtomicU32,
    /// Notified of what happens to the flight, or to its fate. Only threads listen: to notify it runs no user code.
    pub(crate) changed: Event,
}

/// What is to become of a value that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Something that it depends on is unfinished.
    Open,
    /// All that it depends on is ready too: it is to be entered.
    Entered,
    /// Something that it depends on was given up: it is to be given up.
    GivenUp,
}

/// Something that has a tie.
pub(crate) trait Tied {
    fn tie(&self) -> Arc<Tie>;
}

impl Tie {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            draft: AtomicPtr::new(ptr::null_mut()),
            tied: AtomicBool::new(false),
            fate: AtomicU32::new(Fate::Open as u32),
            changed: Event::new(),
        })
    }

    pub(crate) fn has_draft(&self) -> bool {
        !self.draft.load(Ordering::Acquire).is_null()
    }

    /// To be called when the draft is where others find it.
    pub(crate) fn set_draft(&self, node: Node) {
        self.draft.store(node.as_ptr(), Ordering::Release);
    }

    /// Lets weak handles lead to the draft.
    ///
    /// # Safety
    /// The flight is there still.
    pub(crate) unsafe fn finish(&self) {
        if let Some(node) = NonNull::new(self.draft.load(Ordering::Acquire)) {
            // SAFETY: the flight is an owner of it.
            unsafe { node.as_ref() }.finish();
        }
    }

    pub(crate) fn is_tied(&self) -> bool {
        self.tied.load(Ordering::Acquire)
    }

    pub(crate) fn set_tied(&self, tied: bool) {
        self.tied.store(tied, Ordering::Release);
    }

    pub(crate) fn fate(&self) -> Fate {
        match self.fate.load(Ordering::Acquire) {
            fate if fate == Fate::Open as u32 => Fate::Open,
            fate if fate == Fate::Entered as u32 => Fate::Entered,
            _ => Fate::GivenUp,
        }
    }

    pub(crate) fn set_fate(&self, fate: Fate) {
        self.fate.store(fate as u32, Ordering::Release);
    }
}
