//! Values of an exclusive registry whose last owner has gone and whose destructor has not ended.

use crate::frames::{self, Work};
use crate::sync::{Event, Mutex};

pub(crate) struct Dying {
    list: Mutex<Vec<Death>>,
    /// One of them has ended.
    pub(crate) ended: Event,
}

/// One of them, as those who wait for its end know it.
#[derive(Clone, Copy)]
pub(crate) struct Death {
    hash: u64,
    /// The address of its node.
    pub(crate) work: Work,
    /// Where the destructor runs, or will.
    thread: usize,
}

impl Death {
    /// Whether it cannot end before the caller goes on.
    pub(crate) fn is_own(self) -> bool {
        self.thread == frames::this_thread()
    }
}

impl Dying {
    pub(crate) fn new() -> Self {
        Self {
            list: Mutex::new(Vec::new()),
            ended: Event::new(),
        }
    }

    /// To be called before the value is unlinked, by the thread that will end it.
    pub(crate) fn begin(&self, hash: u64, work: Work) {
        let thread = frames::this_thread();
        self.list.lock().push(Death { hash, work, thread });
    }

    /// To be called when the destructor has ended.
    pub(crate) fn end(&self, work: Work) {
        let mut list = self.list.lock();
        // Of many that one thread has put aside, the last ends first.
        let at = list.iter().rposition(|death| death.work == work);
        at.map(|at| list.swap_remove(at));
        drop(list);
        self.ended.notify_all();
    }

    /// One with this hash.
    pub(crate) fn find(&self, hash: u64) -> Option<Death> {
        let list = self.list.lock();
        list.iter().find(|death| death.hash == hash).copied()
    }
}
