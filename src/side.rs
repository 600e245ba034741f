//! The two ways in which a map keeps the keys or the values of its entries: as they are, or weakly.

use crate::dying::Dying;
use crate::notify::Notify;
use crate::pointer::{Pointer, WeakPointer};
use crate::watchers::Registration;
use std::sync::Arc;

/// One side of an entry. All of it may be user code: never called under a lock, but for an `is_dead` that is quiet.
pub(crate) trait Side: 'static {
    /// What is stored, and shown to hooks.
    type Stored;
    /// What keeps it alive while somebody looks at the entry.
    type Live: Clone + 'static;
    /// What names it in the text of an error.
    type Shown: 'static;
    /// `is_dead` reads memory, and neither calls anything nor waits nor panics: it is ours, or somebody has promised it (`Quiet`).
    const IS_DEAD_IS_QUIET: bool;
    /// Whether this is a weak pointer, so that nothing of the user's but its key waits when an entry is dropped a little later.
    const IS_WEAK: bool;

    fn stored(&self) -> &Self::Stored;
    fn is_dead(&self) -> bool;
    fn live(&self) -> Option<Self::Live>;
    fn shown<'a>(&'a self, live: &'a Self::Live) -> &'a Self::Shown;

    /// Asks to be told of its death, if it can report that and nobody has asked yet. To be called while it is alive.
    #[inline(always)]
    fn watch(&mut self, notify: impl FnOnce() -> Option<Notify>) {
        let _ = notify;
    }

    /// Has an exclusive map wait for its end, from now on.
    fn expect_end(&self, dying: &Arc<Dying>, hash: u64) {
        let _ = (dying, hash);
    }

    /// It is taken out of an exclusive map. If it lives on, its end is not waited for any more.
    fn forget_end(&self, dying: &Dying, hash: u64) {
        let _ = (dying, hash);
    }
}

/// Where a weak side is, and how it is asked to report its death and its end, if it is alive.
pub(crate) fn expect_end<W: WeakPointer>(weak: &W, dying: &Arc<Dying>, hash: u64) {
    if let Some(live) = weak.upgrade() {
        let notify = dying.expect(hash, weak.address().addr());
        if let Some(registration) = W::Strong::watch(&live, notify) {
            registration.keep();
        }
    }
}

/// Kept as it is: it lives as long as its entry.
pub(crate) struct Kept<T>(pub(crate) T);

impl<T: 'static> Side for Kept<T> {
    type Stored = T;
    type Live = ();
    type Shown = T;
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

    fn shown<'a>(&'a self, (): &'a ()) -> &'a T {
        &self.0
    }
}

/// Kept weakly: its death is the entry's.
pub(crate) struct Weakly<P: Pointer>(pub(crate) P::Weak, Watching);

/// That somebody is to be told of the death of a weak side. Ends with the last of the entries that have this side one after the other.
#[derive(Clone)]
pub(crate) struct Watching(Option<Arc<Registration>>);

impl Watching {
    pub(crate) const NOT: Self = Self(None);

    /// By a token: `registration` is what it gave.
    pub(crate) fn by(registration: Option<Registration>) -> Self {
        Self(registration.map(Arc::new))
    }

    pub(crate) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// By the pointer itself, if it can.
    #[inline(always)]
    pub(crate) fn begin<W: WeakPointer>(
        &mut self,
        weak: &W,
        notify: impl FnOnce() -> Option<Notify>,
    ) {
        if W::Strong::REPORTS && self.0.is_none() {
            if let (Some(live), Some(notify)) = (weak.upgrade(), notify()) {
                *self = Self::by(W::Strong::watch(&live, notify));
            }
        }
    }
}

impl<P: Pointer> Weakly<P> {
    #[inline]
    pub(crate) fn new(pointer: &P) -> Self {
        Self::watched(pointer, Watching::NOT)
    }

    pub(crate) fn watched(pointer: &P, watching: Watching) -> Self {
        Self(P::downgrade(pointer), watching)
    }

    /// The same side for the next entry.
    pub(crate) fn again(&self) -> Self {
        Self(self.0.clone(), self.1.clone())
    }

    /// As `again`, and unless it is watched already, with what `watch` says.
    pub(crate) fn again_watched(&self, watch: impl FnOnce() -> Watching) -> Self {
        let watching = if self.1.is_none() {
            watch()
        } else {
            self.1.clone()
        };
        Self(self.0.clone(), watching)
    }
}

impl<P: Pointer> Side for Weakly<P> {
    type Stored = P::Weak;
    type Live = P;
    type Shown = P;
    const IS_DEAD_IS_QUIET: bool = P::Weak::IS_DEAD_IS_QUIET.is_some();
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

    fn shown<'a>(&'a self, live: &'a P) -> &'a P {
        live
    }

    #[inline(always)]
    fn watch(&mut self, notify: impl FnOnce() -> Option<Notify>) {
        self.1.begin(&self.0, notify);
    }

    fn expect_end(&self, dying: &Arc<Dying>, hash: u64) {
        expect_end(&self.0, dying, hash);
    }

    fn forget_end(&self, dying: &Dying, hash: u64) {
        if !self.is_dead() {
            dying.forget(hash, self.0.address().addr());
        }
    }
}
