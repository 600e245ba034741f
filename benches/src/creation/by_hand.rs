//! What people write themselves: a map of `Weak`s behind a mutex, with the factory under the lock or outside of it; and those of the other tables.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use foldhash::fast::RandomState;
use parking_lot::Mutex;

use super::subject::CreationSubject;
use crate::maps::subject::{MapSubject, Payload};
use crate::maps::OnceCells;
use crate::subject::Role;

/// Entries before the first sweep.
const FEW: usize = 64;

/// Nobody tells it of a death, so it sweeps when it has become twice as large as the last sweep has left it.
struct Swept {
    map: HashMap<String, Weak<Payload>, RandomState>,
    sweep_at: usize,
}

impl Swept {
    fn new() -> Self {
        Swept {
            map: HashMap::default(),
            sweep_at: FEW,
        }
    }

    fn find(&self, key: &str) -> Option<Arc<Payload>> {
        self.map.get(key)?.upgrade()
    }

    fn enter(&mut self, key: &str, value: &Arc<Payload>) {
        self.map.insert(key.to_owned(), Arc::downgrade(value));
        if self.map.len() >= self.sweep_at {
            self.map.retain(|_, weak| weak.strong_count() > 0);
            self.sweep_at = FEW.max(2 * self.map.len());
        }
    }
}

/// The factory runs under the lock, where it holds up all other keys and may not ask for one.
pub struct Locked(Mutex<Swept>);

impl CreationSubject for Locked {
    const NAME: &'static str = "mutex+Weak, locked";
    const ROLE: Role = Role::Peer;
    const SINGLE: bool = true;
    type Value = Arc<Payload>;

    fn build() -> Self {
        Locked(Mutex::new(Swept::new()))
    }

    fn get_or_create(&self, key: &str, work: impl FnOnce()) -> Self::Value {
        let mut map = self.0.lock();
        match map.find(key) {
            Some(live) => live,
            None => {
                work();
                let new = Arc::default();
                map.enter(key, &new);
                new
            }
        }
    }
}

/// The factory runs outside of the lock: all who miss run theirs, and all but one throw away what it made.
pub struct Unlocked(Mutex<Swept>);

impl CreationSubject for Unlocked {
    const NAME: &'static str = "mutex+Weak, unlocked";
    const ROLE: Role = Role::Peer;
    const SINGLE: bool = false;
    type Value = Arc<Payload>;

    fn build() -> Self {
        Unlocked(Mutex::new(Swept::new()))
    }

    fn get_or_create(&self, key: &str, work: impl FnOnce()) -> Self::Value {
        if let Some(live) = self.0.lock().find(key) {
            return live;
        }
        work();
        let new = Arc::default();
        let mut map = self.0.lock();
        match map.find(key) {
            Some(live) => live,
            None => {
                map.enter(key, &new);
                new
            }
        }
    }
}

pub type DashmapWeak = crate::adapters::by_hand::DashmapWeak;

impl CreationSubject for DashmapWeak {
    const NAME: &'static str = <Self as MapSubject>::NAME;
    const ROLE: Role = Role::Peer;
    const SINGLE: bool = false;
    type Value = <Self as MapSubject>::Value;

    fn build() -> Self {
        <Self as MapSubject>::build()
    }

    #[inline]
    fn get_or_create(&self, key: &str, work: impl FnOnce()) -> Self::Value {
        self.intern_with(key, work)
    }
}

impl CreationSubject for OnceCells {
    const NAME: &'static str = <Self as MapSubject>::NAME;
    const ROLE: Role = Role::Peer;
    const SINGLE: bool = true;
    type Value = <Self as MapSubject>::Value;

    fn build() -> Self {
        <Self as MapSubject>::build()
    }

    #[inline]
    fn get_or_create(&self, key: &str, work: impl FnOnce()) -> Self::Value {
        self.get_or_create_with(key, work)
    }
}
