//! The two ways in which a map keeps the keys or the values of its entries: as they are, or weakly.

use crate::deadlock::work::GivenUp;
use crate::pointer::notify::Notify;
use crate::pointer::traits::{Pointer, WeakPointer};
use crate::pointer::watchers::Registration;
use crate::table::exclusive::{Exclusive, Expected};
use std::sync::Arc;

/// One side of an entry. All of it may be user code: never called under a lock, but for an `is_dead` that is quiet.
pub(crate) trait Slot: 'static {
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

    /// Asks to be told of its death and its end, for an exclusive map. To be called while it is alive, before it is linked.
    fn expect_end(&mut self, dying: &Arc<Exclusive>, hash: u64) {
        let _ = (dying, hash);
    }

    /// It is about to be taken out of its map. If it is dead, an exclusive map waits for its end from now on.
    fn leaves(&self) {}

    /// It has been taken out of its map. If it lives on, its end is not waited for.
    fn has_left(&self) {}

    /// It will never be in its map, and an exclusive map waits for its end; if that is not because it `has_failed` itself, only until its entry has gone.
    fn is_abandoned(&self, given_up: GivenUp<'_>) {
        let _ = given_up;
    }
}

/// Kept as it is: it lives as long as its entry.
pub(crate) struct OwnedSlot<T>(pub(crate) T);

impl<T: 'static> Slot for OwnedSlot<T> {
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
pub(crate) struct WeakSlot<P: Pointer>(pub(crate) P::Weak, Watching);

/// That somebody is to be told of the death of a weak side. Ends with the last of the entries that have this side one after the other.
#[derive(Clone)]
pub(crate) struct Watching(Option<Arc<Told>>);

struct Told {
    /// Held, that is all.
    _registration: Option<Registration>,
    /// As above.
    _before: Watching,
    /// Of a value in an exclusive map.
    expected: Option<Arc<Expected>>,
}

impl Watching {
    pub(crate) const NOT: Self = Self(None);

    /// By a token: `registration` is what it gave.
    pub(crate) fn by(registration: Option<Registration>) -> Self {
        Self(registration.map(|registration| {
            Arc::new(Told {
                _registration: Some(registration),
                _before: Self::NOT,
                expected: None,
            })
        }))
    }

    /// By an exclusive map too, which is told of the death and of the end.
    pub(crate) fn expect_end<W: WeakPointer>(
        &mut self,
        weak: &W,
        dying: &Arc<Exclusive>,
        hash: u64,
    ) {
        let Some(live) = weak.upgrade() else { return };
        let expected = Expected::new(dying, hash, |notify| W::Strong::watch(&live, notify));
        *self = Self(Some(Arc::new(Told {
            _registration: None,
            _before: self.clone(),
            expected: Some(expected),
        })));
    }

    #[inline]
    fn expected(&self) -> Option<&Arc<Expected>> {
        self.0.as_ref()?.expected.as_ref()
    }

    #[inline]
    pub(crate) fn leaves(&self, is_dead: impl FnOnce() -> bool) {
        if let Some(expected) = self.expected().filter(|_| is_dead()) {
            expected.await_end();
        }
    }

    #[inline]
    pub(crate) fn has_left(&self, is_dead: impl FnOnce() -> bool) {
        if let Some(expected) = self.expected().filter(|_| !is_dead()) {
            expected.forget();
        }
    }

    pub(crate) fn is_abandoned(&self, given_up: GivenUp<'_>) {
        if let Some(expected) = self.expected() {
            expected.is_abandoned(given_up);
        }
    }

    /// The entry is going.
    #[inline]
    pub(crate) fn goes(&self, is_dead: impl FnOnce() -> bool) {
        let waits = |expected: &&Arc<Expected>| expected.may_live_on() && !is_dead();
        if let Some(expected) = self.expected().filter(waits) {
            expected.lives_on();
        }
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

impl<P: Pointer> WeakSlot<P> {
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

impl<P: Pointer> Slot for WeakSlot<P> {
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

    fn expect_end(&mut self, dying: &Arc<Exclusive>, hash: u64) {
        self.1.expect_end(&self.0, dying, hash);
    }

    #[inline]
    fn leaves(&self) {
        self.1.leaves(|| self.is_dead());
    }

    #[inline]
    fn has_left(&self) {
        self.1.has_left(|| self.is_dead());
    }

    fn is_abandoned(&self, given_up: GivenUp<'_>) {
        self.1.is_abandoned(given_up);
    }
}

impl<P: Pointer> Drop for WeakSlot<P> {
    #[inline]
    fn drop(&mut self) {
        self.1.goes(|| self.0.is_dead());
    }
}
