//! Registrations of a map at its weak keys and values: for their death, and in an exclusive map for the end
//! of their destructor.

use crate::deadlock::work::GivenUp;
use crate::pointer::notify::Notify;
use crate::pointer::traits::{DeathReport, Pointer};
use crate::pointer::watchers::Registration;
use crate::table::exclusive::{Exclusive, Expected};
use std::sync::Arc;

/// The registration of a slot. Ends with the last of the entries that have this slot one after the other.
#[derive(Clone)]
pub(in crate::map) struct Watching(Option<Arc<WatchState>>);

struct WatchState {
    /// Held, that is all.
    _registration: Option<Registration>,
    /// Held too.
    _before: Watching,
    /// Of a value in an exclusive map.
    expected: Option<Arc<Expected>>,
}

impl Watching {
    pub(in crate::map) const NOT: Self = Self(None);

    /// The registration at a token.
    pub(in crate::map) fn by(registration: Option<Registration>) -> Self {
        Self(registration.map(|registration| {
            Arc::new(WatchState {
                _registration: Some(registration),
                _before: Self::NOT,
                expected: None,
            })
        }))
    }

    /// Registers an exclusive map too.
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

    /// To be called by the destructor of the slot.
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

    /// Registers at the pointer, if it reports its death.
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
