//! What each thread has entered last. Most of what dies soon dies very soon: so the entries that a thread
//! entered a few insertions ago, which are still in its processor's cache, are looked at before all others.
//!
//! What is kept here is a hint: nodes may have been taken out, given back and used again by the time that
//! they are looked at.

use crate::memory::node::{Header, NodePtr};
use crate::sync;
use crate::sync::plain::{AtomicPtr, AtomicU64, OnceLock, Relaxed};
use std::ptr::NonNull;

/// How many insertions of its thread an entry stays young.
const DEPTH: usize = if cfg!(all(highlander_loom, feature = "loom")) {
    1
} else {
    8
};

/// The young entries of one map.
pub(in crate::map) struct RecentInserts {
    /// One for each of the first threads.
    rings: OnceLock<Box<[Ring]>>,
}

/// Of one thread, which alone writes to it.
#[derive(Default)]
#[repr(align(128))]
struct Ring {
    next: AtomicU64,
    nodes: [AtomicPtr<Header>; DEPTH],
    hashes: [AtomicU64; DEPTH],
}

impl RecentInserts {
    pub(in crate::map) const fn new() -> Self {
        Self {
            rings: OnceLock::new(),
        }
    }

    /// Remembers an entry of this thread, and returns the one that is not young any more: its node may be
    /// anything by now.
    #[inline]
    pub(in crate::map) fn enter(&self, node: NodePtr, hash: u64) -> Option<(NodePtr, u64)> {
        let rings = match self.rings.get() {
            Some(rings) => rings,
            None => self.first(),
        };
        // Numbers of living threads differ, so nobody else uses this ring.
        let ring = rings.get(sync::own_index()?)?;
        let next = ring.next.load(Relaxed);
        ring.next.store(next + 1, Relaxed);
        let at = next as usize % DEPTH;
        let old = NonNull::new(ring.nodes[at].load(Relaxed));
        let old_hash = ring.hashes[at].load(Relaxed);
        ring.nodes[at].store(node.as_ptr(), Relaxed);
        ring.hashes[at].store(hash, Relaxed);
        Some((old?, old_hash))
    }

    #[cold]
    fn first(&self) -> &[Ring] {
        self.rings
            .get_or_init(|| (0..sync::shards().0).map(|_| Ring::default()).collect())
    }
}
