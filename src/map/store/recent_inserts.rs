//! The last insertions of each thread. Most of what dies soon dies very soon. So an insertion first looks at
//! its thread's eighth-last one, which is still in the processor's cache.
//!
//! What is kept here is a hint: a node may have been unlinked, released and used again.

use crate::memory::node::{Header, NodePtr};
use crate::sync;
use crate::sync::plain::{AtomicPtr, AtomicU64, OnceLock, Relaxed};
use std::ptr::NonNull;

/// The number of insertions of each thread that are remembered.
const DEPTH: usize = if cfg!(all(highlander_loom, feature = "loom")) {
    1
} else {
    8
};

/// The last insertions into one map.
pub(in crate::map) struct RecentInserts {
    /// One ring for each of the first threads.
    rings: OnceLock<Box<[Ring]>>,
}

/// The last insertions of one thread, which alone writes to them.
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

    /// Remembers an insertion of this thread, and returns the oldest one, which it forgets. That node may be
    /// used for another entry by now.
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
