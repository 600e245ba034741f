//! Registrations of a map for the death of its weak keys and values, and in an exclusive map for the end of
//! their destructors.

use crate::deadlock::work::GivenUp;
use crate::pointer::notify::Notify;
use crate::pointer::traits::{DeathReport, Pointer};
use crate::pointer::watchers::Registration;
use crate::table::exclusive::{Exclusive, Expected};
use std::sync::Arc;

/// The registration of a slot. It ends with the last of the entries that take over this slot from each other.
#[derive(Clone)]
pub(in crate::map) struct Watching(Option<Arc<WatchState>>);

struct WatchState {
    /// Kept until the state is dropped.
    _registration: Option<Registration>,
    /// Kept too.
    _before: Watching,
    /// Some for a value in an exclusive map.
    expected: Option<Arc<Expected>>,
}

impl Watching {
    pub(in crate::map) const NOT: Self = Self(None);

    /// Makes the watching of one registration; of none, the one that registers nothing.
    pub(in crate::map) fn by(registration: Option<Registration>) -> Self {
        Self(registration.map(|registration| {
            Arc::new(WatchState {
                _registration: Some(registration),
                _before: Self::NOT,
                expected: None,
            })
        }))
    }

    /// Registers an exclusive map too, for the end of the value.
    pub(in crate::map) fn expect_end<P: Pointer>(
        &mut self,
        live: &P,
        exclusive: &Arc<Exclusive>,
        hash: u64,
    ) {
        let expected = Expected::new(exclusive, hash, |notify| P::watch(live, notify));
        *self = Self(Some(Arc::new(WatchState {
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
    pub(in crate::map) fn before_unlink(&self, is_dead: impl FnOnce() -> bool) {
        if let Some(expected) = self.expected().filter(|_| is_dead()) {
            expected.await_end();
        }
    }

    #[inline]
    pub(in crate::map) fn after_unlink(&self, is_dead: impl FnOnce() -> bool) {
        if let Some(expected) = self.expected().filter(|_| !is_dead()) {
            expected.forget();
        }
    }

    pub(in crate::map) fn abandon(&self, given_up: GivenUp<'_>) {
        if let Some(expected) = self.expected() {
            expected.abandon(given_up);
        }
    }

    /// Ends the wait for a value that may live on, if it is alive. To be called by the destructor of the
    /// slot.
    #[inline]
    pub(in crate::map) fn on_entry_drop(&self, is_dead: impl FnOnce() -> bool) {
        let waits = |expected: &&Arc<Expected>| expected.may_live_on() && !is_dead();
        if let Some(expected) = self.expected().filter(waits) {
            expected.cancel_wait_for_end();
        }
    }

    pub(in crate::map) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Registers with the pointer, if it reports its death and nothing is registered yet.
    #[inline(always)]
    pub(in crate::map) fn begin<P: Pointer>(
        &mut self,
        live: &P,
        notify: impl FnOnce() -> Option<Notify>,
    ) {
        if P::Death::IS_REPORTED && self.0.is_none() {
            if let Some(notify) = notify() {
                *self = Self::by(P::watch(live, notify));
            }
        }
    }
}
