//! What ties a creation to others whose values it was given before they were finished, or that were given its own.

use crate::node::{Header, Node};
use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Event, OnceCell, Ordering};
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// Made for a flight when it is first needed, and only then.
pub(crate) struct Tie {
    /// The node of a value that is not entered yet; null if there is none. The flight is an owner of it.
    draft: AtomicPtr<Header>,
    /// There is something about it among the knots (see `waits`). Changed under their lock.
    tied: AtomicBool,
    /// It is ready, and a creation further out on its thread settles it. Changed under the lock of the knots.
    adopted: AtomicBool,
    /// Changed under the lock of the knots.
    fate: AtomicU32,
    /// Set before the fate is [`Fate::Entered`], unless it is adopted: then who settles it does that in time, or nobody waits for it.
    entering: OnceCell<Arc<Entering>>,
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

/// A family that is being entered: those who wait for one of them find all.
pub(crate) struct Entering {
    left: AtomicUsize,
    all: Event,
}

impl Entering {
    /// Of so many.
    pub(crate) fn new(members: usize) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicUsize::new(members),
            all: Event::new(),
        })
    }

    /// One of them is in, or will never be.
    pub(crate) fn one_is_in(&self) {
        // Release: pairs with `wait_for_all`.
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.all.notify_all();
        }
    }

    /// Sleeps until all are in. They wait for nothing but this.
    pub(crate) fn wait_for_all(&self) {
        loop {
            let listener = self.all.listen();
            if self.left.load(Ordering::Acquire) == 0 {
                return;
            }
            listener.wait();
        }
    }
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
            adopted: AtomicBool::new(false),
            fate: AtomicU32::new(Fate::Open as u32),
            entering: OnceCell::new(),
            changed: Event::new(),
        })
    }

    /// Has it entered, with the others of the family.
    pub(crate) fn set_entering(&self, family: &Arc<Entering>) {
        // Set once: nothing is given up after that.
        let _ = self.entering.set(Arc::clone(family));
        self.set_fate(Fate::Entered);
    }

    /// The family that it is entered with, if that has been decided.
    pub(crate) fn entering(&self) -> Option<&Arc<Entering>> {
        match self.fate() {
            Fate::Entered => self.entering.get(),
            _ => None,
        }
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

    pub(crate) fn is_adopted(&self) -> bool {
        self.adopted.load(Ordering::Acquire)
    }

    pub(crate) fn set_adopted(&self) {
        self.adopted.store(true, Ordering::Release);
    }

    /// Whether it is finished, though it is entered only when whoever has adopted it ends: nobody need wait for that.
    pub(crate) fn is_as_good_as_entered(&self) -> bool {
        self.is_adopted() && self.fate() == Fate::Entered
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
