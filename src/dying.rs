//! Values of an exclusive registry or map whose destructor has not ended.
//!
//! A registry puts a value here when its last owner has gone. A map is not asked when that happens: it has put the value here when it was entered, is told by the pointer of its
//! death and of its end, and takes it off when the entry is taken out of the map and the value lives on.

use crate::frames::{self, Work};
use crate::notify::{Notified, Notify};
use crate::sync::plain::{AtomicUsize, Relaxed};
use crate::sync::{Event, Mutex};
use std::sync::Arc;

pub(crate) struct Dying {
    list: Mutex<Vec<Death>>,
    /// One of them has ended.
    pub(crate) ended: Event,
}

/// One of them, as those who wait for its end know it.
#[derive(Clone, Copy)]
pub(crate) struct Death {
    hash: u64,
    /// The address of its node, or a number of its own.
    pub(crate) work: Work,
    /// The address of the value, for the maps.
    address: usize,
    /// Where the destructor runs, or will; none while the value is alive.
    thread: Option<usize>,
}

impl Death {
    /// Whether it cannot end before the caller goes on.
    pub(crate) fn is_own(self) -> bool {
        self.thread == Some(frames::this_thread())
    }

    /// Whether the value is alive, or has died and not said so yet.
    pub(crate) fn is_to_come(self) -> bool {
        self.thread.is_none()
    }
}

/// Numbers for works: odd, so that none is the address of anything.
static NEXT: AtomicUsize = AtomicUsize::new(1);

impl Dying {
    pub(crate) fn new() -> Self {
        Self {
            list: Mutex::new(Vec::new()),
            ended: Event::new(),
        }
    }

    /// To be called before the value is unlinked, by the thread that will end it.
    pub(crate) fn begin(&self, hash: u64, work: Work) {
        self.list.lock().push(Death {
            hash,
            work,
            address: 0,
            thread: Some(frames::this_thread()),
        });
    }

    /// To be called when a live value has been entered. What is returned is to be told of its death and of its end.
    pub(crate) fn expect(self: &Arc<Self>, hash: u64, address: usize) -> Notify {
        let work = NEXT.fetch_add(2, Relaxed);
        self.list.lock().push(Death {
            hash,
            work,
            address,
            thread: None,
        });
        let weak = Arc::downgrade(self);
        Notify::with_end(weak, work as u64)
    }

    /// To be called when a live value has been taken out.
    pub(crate) fn forget(&self, hash: u64, address: usize) {
        let mut list = self.list.lock();
        let it =
            |death: &Death| death.hash == hash && death.address == address && death.is_to_come();
        let at = list.iter().position(it);
        at.map(|at| list.swap_remove(at));
        drop(list);
        // Somebody may have begun to wait for its death.
        self.ended.notify_all();
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

    /// One with this hash; one that is dying, rather than one that is not.
    pub(crate) fn find(&self, hash: u64) -> Option<Death> {
        let list = self.list.lock();
        let those = || list.iter().filter(|death| death.hash == hash);
        let dying = those().find(|death| !death.is_to_come());
        dying.or_else(|| those().next()).copied()
    }
}

impl Notified for Dying {
    fn dead(&self, work: u64) {
        let mut list = self.list.lock();
        let found = list.iter_mut().find(|death| death.work == work as Work);
        if let Some(death) = found {
            death.thread = Some(frames::this_thread());
        }
    }

    fn ended(&self, work: u64) {
        self.end(work as Work);
    }
}
