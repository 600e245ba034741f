//! The two ways in which a map keeps the keys or the values of its entries: as they are, or weakly.

use crate::pointer::{Pointer, WeakPointer};

/// One side of an entry. All of it may be user code: never called under a lock.
pub(crate) trait Side: 'static {
    /// What is stored, and shown to hooks.
    type Stored;
    /// What keeps it alive while somebody looks at the entry.
    type Live: Clone + 'static;
    /// `is_dead` is no user code: it reads memory, and neither calls anything nor waits.
    const IS_DEAD_IS_QUIET: bool;
    /// Whether this is a weak pointer, so that nothing of the user's but its key waits when an entry is dropped a little later.
    const IS_WEAK: bool;

    fn stored(&self) -> &Self::Stored;
    fn is_dead(&self) -> bool;
    fn live(&self) -> Option<Self::Live>;
}

/// Kept as it is: it lives as long as its entry.
pub(crate) struct Kept<T>(pub(crate) T);

impl<T: 'static> Side for Kept<T> {
    type Stored = T;
    type Live = ();
    const IS_DEAD_IS_QUIET: bool = true;
    const IS_WEAK: bool = false;

    #[inline]
    fn stored(&self) -> &T {
        &self.0
    }

    #[inline]
    fn is_dead(&self) -> bool {
        false
    }

    #[inline]
    fn live(&self) -> Option<()> {
        Some(())
    }
}

/// Kept weakly: its death is the entry's.
pub(crate) struct Weakly<P: Pointer>(pub(crate) P::Weak);

impl<P: Pointer> Weakly<P> {
    #[inline]
    pub(crate) fn new(pointer: &P) -> Self {
        Self(P::downgrade(pointer))
    }
}

impl<P: Pointer> Side for Weakly<P> {
    type Stored = P::Weak;
    type Live = P;
    const IS_DEAD_IS_QUIET: bool = P::Weak::IS_DEAD_IS_QUIET;
    const IS_WEAK: bool = true;

    #[inline]
    fn stored(&self) -> &P::Weak {
        &self.0
    }

    #[inline]
    fn is_dead(&self) -> bool {
        self.0.is_dead()
    }

    #[inline]
    fn live(&self) -> Option<P> {
        self.0.upgrade()
    }
}
