//! Reading entries without becoming an owner of them.
//!
//! ```text
//!  session   ─► says which node it looks at ─► is it linked still? ─► compares, upgrades ─► says that it has finished
//!  removal   ─► unlinks ─► is a session open? no: gives up the index's ownership
//!                                             yes: puts it aside; now and then gives up those that no session looks at
//! ```
//!
//! To become an owner takes two locked instructions on the node's line, a look-up that all readers of a hot key make in turn. A session
//! writes to a line of its own instead (a *hazard pointer*). Between its saying and its looking again there is the light half of the asymmetric
//! barrier, and between unlinking and reading what sessions say there is the heavy half; so either the session sees that the node is
//! unlinked, or the removal sees that the session looks at it.
//!
//! What is put aside is bounded, however long a session does nothing, or stands still in the middle of a comparison:
//! [`BATCH`] nodes less one, and one for each open session.

use crate::body::{payload, Body};
use crate::engine::Engine;
use crate::node::{Header, Node};
use crate::panics::Panics;
use crate::strong::Strong;
use crate::sync::{any_barrier, heavy_barrier, AtomicPtr, AtomicUsize, Mutex, Ordering};
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;

/// So many nodes are put aside before somebody looks which of them can go.
pub(crate) const BATCH: usize = if cfg!(all(highlander_loom, feature = "loom")) {
    1
} else {
    64
};

/// What one session says.
#[repr(align(128))]
struct Hazard(AtomicPtr<Header>);

/// What the sessions of one store share with its removals.
pub(crate) struct Protection<B: Body> {
    /// The number of open sessions.
    open: AtomicUsize,
    shared: Mutex<Shared<B>>,
}

struct Shared<B: Body> {
    hazards: Vec<Arc<Hazard>>,
    /// The index's ownerships of nodes that have been unlinked.
    aside: Vec<Aside<B>>,
}

struct Aside<B: Body>(Strong<B>);

// SAFETY: whoever takes it may drop the payload, which those who hand it over may still be reading; the kinds of payload that are used
// with this are what they hold, so that they are `Send` and `Sync` if that is.
unsafe impl<B: Body + Send + Sync> Send for Aside<B> {}

impl<B: Body> Protection<B> {
    #[cfg(not(all(highlander_loom, feature = "loom")))]
    pub(crate) const fn new() -> Self {
        Self {
            open: AtomicUsize::new(0),
            shared: Mutex::new(Shared {
                hazards: Vec::new(),
                aside: Vec::new(),
            }),
        }
    }

    #[cfg(all(highlander_loom, feature = "loom"))]
    pub(crate) fn new() -> Self {
        Self {
            open: AtomicUsize::new(0),
            shared: Mutex::new(Shared {
                hazards: Vec::new(),
                aside: Vec::new(),
            }),
        }
    }

    /// A reader that need not become an owner of what it reads.
    pub(crate) fn open(&self) -> Reader<'_, B> {
        let hazard = Arc::new(Hazard(AtomicPtr::new(ptr::null_mut())));
        self.shared.lock().hazards.push(Arc::clone(&hazard));
        self.open.fetch_add(1, Ordering::Relaxed);
        // Pairs with the light half in `retire`: a removal that has not seen the session has unlinked its node for all to see.
        let works = heavy_barrier();
        Reader {
            protection: self,
            hazard,
            works,
        }
    }

    /// Gives up the index's ownership of a node that has just been unlinked, now or later. The caller is an owner too, so its payload is not
    /// dropped here; others' may go with what comes back.
    #[inline]
    pub(crate) fn retire(&self, strong: Strong<B>) -> Due<B> {
        // Between unlinking and looking for sessions. Pairs with the heavy half in `open`.
        any_barrier();
        // Acquire: pairs with the Release of each session that has been closed; all that it read was read before.
        if self.open.load(Ordering::Acquire) == 0 {
            drop(strong);
            Due(Vec::new())
        } else {
            self.put_aside(strong)
        }
    }

    #[cold]
    fn put_aside(&self, strong: Strong<B>) -> Due<B> {
        let due = {
            let mut shared = self.shared.lock();
            shared.aside.push(Aside(strong));
            // If the last session has been closed meanwhile, nobody else would look again.
            shared.aside.len() >= BATCH || self.open.load(Ordering::Relaxed) == 0
        };
        if due {
            self.give_up()
        } else {
            Due(Vec::new())
        }
    }

    /// What has been put aside, but for what sessions are looking at.
    pub(crate) fn give_up(&self) -> Due<B> {
        let aside = std::mem::take(&mut self.shared.lock().aside);
        if aside.is_empty() {
            return Due(aside);
        }
        // Between unlinking and reading what sessions say. Pairs with the light half in `Reader::look`.
        if !heavy_barrier() {
            self.shared.lock().aside.extend(aside);
            return Due(Vec::new());
        }
        let mut shared = self.shared.lock();
        // Acquire: pairs with the Release when a session has finished.
        let hazards = shared.hazards.iter().map(|h| h.0.load(Ordering::Acquire));
        let hazards: Vec<_> = hazards.collect();
        let (looked_at, free): (Vec<_>, Vec<_>) = aside
            .into_iter()
            .partition(|Aside(strong)| hazards.contains(&strong.node().as_ptr()));
        shared.aside.extend(looked_at);
        Due(free)
    }
}

/// Ownerships to be given up where no lock is held and nothing is left to do, since that may run destructors of keys.
#[must_use]
pub(crate) struct Due<B: Body>(Vec<Aside<B>>);

impl<B: Body> Drop for Due<B> {
    #[inline]
    fn drop(&mut self) {
        if !self.0.is_empty() {
            let mut panics = Panics::new();
            for strong in std::mem::take(&mut self.0) {
                panics.catch(|| drop(strong));
            }
        }
    }
}

/// The reader's side of a session.
pub(crate) struct Reader<'a, B: Body> {
    protection: &'a Protection<B>,
    hazard: Arc<Hazard>,
    /// Whether the system's barrier does what it should; if not, this reader protects nothing.
    works: bool,
}

impl<'a, B: Body> Reader<'a, B> {
    /// An entry that has this hash and is linked, if it is found the short way, and if this reader is not looking at another one.
    #[inline(always)]
    pub(crate) fn look(&self, engine: &Engine<B>, hash: u64) -> Option<Protected<'_, B>> {
        if !self.works || !self.hazard.0.load(Ordering::Relaxed).is_null() {
            return None;
        }
        let node = engine.protect(hash, &self.hazard.0)?;
        Some(Protected {
            hazard: &self.hazard.0,
            node,
            body: PhantomData,
        })
    }
}

impl<B: Body> Drop for Reader<'_, B> {
    fn drop(&mut self) {
        // First: see `put_aside`.
        // Release: pairs with the Acquire in `retire`.
        self.protection.open.fetch_sub(1, Ordering::Release);
        {
            let hazards = &mut self.protection.shared.lock().hazards;
            hazards.retain(|hazard| !Arc::ptr_eq(hazard, &self.hazard));
        }
        drop(self.protection.give_up());
    }
}

/// An entry that a reader is looking at. The index's ownership of it is not given up before this is dropped.
pub(crate) struct Protected<'a, B: Body> {
    hazard: &'a AtomicPtr<Header>,
    node: Node,
    body: PhantomData<&'a B>,
}

impl<B: Body> Protected<'_, B> {
    #[inline(always)]
    pub(crate) fn key(&self) -> &B::Key {
        // SAFETY: it was linked when the hazard named it, so complete; and see above.
        unsafe { B::key(self.node) }
    }

    #[inline(always)]
    pub(crate) fn payload(&self) -> *mut u8 {
        payload::<B>(self.node)
    }
}

impl<B: Body> Drop for Protected<'_, B> {
    #[inline(always)]
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `give_up`; all that was read was read before.
        self.hazard.store(ptr::null_mut(), Ordering::Release);
    }
}
