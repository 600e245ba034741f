//! The facade, with two bodies: every atomic, lock, wait, thread-local and concurrent map of the crate.
//!
//! `real` is what users run. `model` presents the same names on top of loom, so the protocols above are
//! checked as they are written. Which body is compiled depends on a private `cfg` *and* the `loom` feature,
//! so that neither a feature unified by somebody else's crate nor a bare `--cfg loom` can switch a production
//! build. With another `cfg` and feature on top of these (`highlander_shuttle`, `shuttle`) `model` is on
//! shuttle instead, which `explorer` chooses.

#[cfg(not(all(highlander_loom, feature = "loom")))]
mod real;
#[cfg(not(all(highlander_loom, feature = "loom")))]
pub(crate) use real::*;

#[cfg(all(highlander_loom, feature = "loom"))]
pub(crate) mod explorer;
#[cfg(all(highlander_loom, feature = "loom"))]
pub(crate) mod model;
#[cfg(all(highlander_loom, feature = "loom"))]
pub(crate) use model::*;

#[cfg(not(all(highlander_loom, feature = "loom")))]
mod barrier;
#[cfg(all(highlander_loom, feature = "loom"))]
mod model_arc;
#[cfg(all(highlander_loom, feature = "loom"))]
pub(crate) use model_arc::{remains, ModelArc, ModelWeak};
mod around_sleep;
mod free;
mod list_map;
mod lock;
mod numbered;
#[cfg(not(all(highlander_loom, feature = "loom")))]
mod parking;
mod sleeper;

/// Set in the state of a record while its thread reads. Above it is a number that each stretch changes.
pub(crate) const READING: usize = 1;

/// Atomics that no protocol rests on (counters, hints): in a model they are no steps.
pub(crate) mod plain {
    #[allow(unused_imports)] // some of them only with some features
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicU8, AtomicUsize,
        Ordering::Relaxed,
    };
    pub(crate) use std::sync::OnceLock;
}
pub(crate) use around_sleep::AroundSleep;
pub(crate) use free::free;
pub(crate) use list_map::{List, ListMap, Row};
pub(crate) use lock::{take, Lock};
pub(crate) use numbered::Numbered;
pub(crate) use sleeper::{Event, Listener, Sleeper};

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}
