//! Which receiver it is.

use crate::sync::plain::{AtomicU64, Relaxed};

/// Which receiver it is: a number that is used once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReceiverId(pub(super) u64);

impl ReceiverId {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Relaxed))
    }
}
