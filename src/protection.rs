//! Reading entries without becoming an owner of them.
//!
//! ```text
//!  look-up   ─► says which node it looks at ─► is it linked still? ─► compares, upgrades ─► says that it has finished
//!  removal   ─► unlinks ─► puts the index's ownership aside ─► of each 64, gives up those that nobody looks at
//! ```
//!
//! To become an owner takes two locked instructions on the node's line, which all readers of a hot key make in turn. A look-up of a weak map
//! writes to its thread's own line instead (a *hazard pointer*). Between its saying and its looking again there is the light half of the
//! asymmetric barrier, and between unlinking and reading what the threads say there is the heavy half; so either the look-up sees that
//! the node is unlinked, or the removal sees that somebody looks at it.
//!
//! What is put aside is bounded, however long a look-up stands still in the middle of a comparison: [`BATCH`] nodes less one, and one
//! for each thread. A thread looks at one node at a time; a look-up inside a comparison becomes an owner, as all others do.

use crate::body::{payload, Body};
use crate::engine::Engine;
use crate::node::Node;
use crate::pair::Pair;
use crate::panics::Panics;
use crate::strong::Strong;
use crate::sync::{heavy_barrier, own_record, records, AtomicPtr, Mutex, Ordering, Record};
use crate::table::{Next, Probe, Sight};
use std::marker::PhantomData;
use std::ptr;

/// So many nodes are put aside before somebody looks which of them can go.
pub(crate) const BATCH: usize = if cfg!(all(highlander_loom, feature = "loom")) {
    1
} else {
    64
};

/// The index's ownerships of nodes that have been unlinked.
pub(crate) struct Protection<B: Body> {
    aside: Mutex<Vec<Aside<B>>>,
}

struct Aside<B: Body>(Strong<B>);

// SAFETY: whoever takes it may drop the payload, which those who hand it over may still be reading; the kinds of payload that are used
// with this are what they hold, so that they are `Send` and `Sync` if that is.
unsafe impl<B: Body + Send + Sync> Send for Aside<B> {}

impl<B: Body> Protection<B> {
    #[cfg(not(all(highlander_loom, feature = "loom")))]
    pub(crate) const fn new() -> Self {
        Self {
            aside: Mutex::new(Vec::new()),
        }
    }

    #[cfg(all(highlander_loom, feature = "loom"))]
    pub(crate) fn new() -> Self {
        Self {
            aside: Mutex::new(Vec::new()),
        }
    }

    /// Gives up the index's ownership of a node that has just been unlinked, a little later. The caller is an owner too, so its payload is not
    /// dropped here; others' may go with what comes back.
    pub(crate) fn retire(&self, strong: Strong<B>) -> Due<B> {
        let many = {
            let mut aside = self.aside.lock();
            aside.push(Aside(strong));
            aside.len() >= BATCH
        };
        if many {
            self.give_up()
        } else {
            Due::nothing()
        }
    }

    /// As `retire`, for many, of which the caller need not be another owner.
    pub(crate) fn retire_all(&self, strongs: impl Iterator<Item = Strong<B>>) -> Due<B> {
        let many = {
            let mut aside = self.aside.lock();
            aside.extend(strongs.map(Aside));
            aside.len() >= BATCH
        };
        if many {
            self.give_up()
        } else {
            Due::nothing()
        }
    }

    /// What has been put aside, but for what somebody is looking at.
    #[cold]
    pub(crate) fn give_up(&self) -> Due<B> {
        let aside = std::mem::take(&mut *self.aside.lock());
        if aside.is_empty() {
            return Due(aside);
        }
        // Between unlinking and reading what the threads say. Pairs with the light half in `Index::protect`.
        if !heavy_barrier() {
            self.aside.lock().extend(aside);
            return Due::nothing();
        }
        // Acquire: pairs with the Release of whatever the thread said last; all that it read before was read before.
        let hazards: Vec<_> = records()
            .map(|record| record.hazard.load(Ordering::Acquire))
            .filter(|hazard| !hazard.is_null())
            .collect();
        let (looked_at, free): (Vec<_>, Vec<_>) = aside
            .into_iter()
            .partition(|Aside(strong)| hazards.contains(&strong.node().as_ptr().cast()));
        if !looked_at.is_empty() {
            self.aside.lock().extend(looked_at);
        }
        Due(free)
    }
}

impl<B: Body> Drop for Protection<B> {
    fn drop(&mut self) {
        // Not with the fields: a second panic beside the first would end the process.
        drop(Due(std::mem::take(&mut *self.aside.lock())));
    }
}

/// Ownerships to be given up where no lock is held and nothing is left to do, since that may run destructors of keys.
#[must_use]
pub(crate) struct Due<B: Body>(Vec<Aside<B>>);

impl<B: Body> Due<B> {
    #[inline]
    pub(crate) fn nothing() -> Self {
        Self(Vec::new())
    }

    /// What nobody can be looking at.
    pub(crate) fn all(strongs: impl Iterator<Item = Strong<B>>) -> Self {
        Self(strongs.map(Aside).collect())
    }
}

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

/// A thread that can look at a node, as it has a line of its own to say so.
pub(crate) struct Reader(&'static Record);

impl Reader {
    /// The calling thread, if it has used a registry before, is not ending, and is not looking at a node.
    #[inline(always)]
    pub(crate) fn own() -> Option<Self> {
        own_record().map(Self)
    }

    /// Looks for an entry that has this hash the short way, and lets `found` look at it. Like `missing`, that is what the call ends in.
    #[inline(always)]
    pub(crate) fn look<B: Body, R>(
        self,
        engine: &Engine<B>,
        hash: u64,
        found: impl FnOnce(Protected<B>) -> R,
        missing: impl FnOnce(Probe) -> R,
    ) -> R {
        let hazard = &self.0.hazard;
        if !hazard.load(Ordering::Relaxed).is_null() {
            return missing(Probe::UNSURE);
        }
        engine.protect(
            hash,
            hazard,
            |node| {
                found(Protected {
                    hazard,
                    node,
                    body: PhantomData,
                })
            },
            missing,
        )
    }
}

/// The next entry of a bucket in sight.
pub(crate) enum Seen<B: Body> {
    Next(Protected<B>),
    /// What is left of the bucket is to be looked for under its lock.
    Lost,
    Over,
}

impl Reader {
    /// Looks at the next entry of a bucket in sight.
    #[inline(always)]
    pub(crate) fn next<B: Body>(self, engine: &Engine<B>, sight: &mut Sight) -> Seen<B> {
        let hazard = &self.0.hazard;
        if !hazard.load(Ordering::Relaxed).is_null() {
            return Seen::Lost;
        }
        match engine.name_next(sight, hazard) {
            Next::Named(node) => Seen::Next(Protected {
                hazard,
                node,
                body: PhantomData,
            }),
            Next::Lost => Seen::Lost,
            Next::Over => Seen::Over,
        }
    }
}

/// An entry that its thread is looking at. The index's ownership of it is not given up before this is dropped.
pub(crate) struct Protected<B: Body> {
    hazard: &'static AtomicPtr<()>,
    node: Node,
    body: PhantomData<B>,
}

impl<B: Body> Protected<B> {
    #[inline(always)]
    pub(crate) fn key(&self) -> &B::Key {
        // SAFETY: it was linked when the hazard named it, so complete; and see above.
        unsafe { B::key(self.node) }
    }
}

impl<B: Body> Drop for Protected<B> {
    #[inline(always)]
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `give_up`.
        self.hazard.store(ptr::null_mut(), Ordering::Release);
    }
}

impl<A, B> Protected<Pair<A, B>> {
    #[inline(always)]
    pub(crate) fn value(&self) -> &B {
        // SAFETY: as in `key`.
        unsafe { &*payload::<Pair<A, B>>(self.node).cast::<Pair<A, B>>() }.value()
    }
}
