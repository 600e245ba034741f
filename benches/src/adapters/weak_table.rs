//! `weak_table::WeakHashSet` behind a lock, as one shares it between threads. Nothing tells it of a death: a dead
//! entry stays until the table, when full, is swept.

use std::sync::{Arc, Weak};

use foldhash::fast::RandomState;
use parking_lot::RwLock;
use weak_table::WeakHashSet;

use crate::subject::{Role, Subject};

pub struct WeakTable(RwLock<WeakHashSet<Weak<str>, RandomState>>);

impl Subject for WeakTable {
    const NAME: &'static str = "weak-table";
    const ROLE: Role = Role::Peer;
    type Handle = Arc<str>;

    fn build(_live: usize) -> Self {
        WeakTable(RwLock::new(WeakHashSet::default()))
    }

    fn intern(&self, key: &str) -> Self::Handle {
        if let Some(live) = self.0.read().get(key) {
            return live;
        }
        let new: Arc<str> = Arc::from(key);
        let mut set = self.0.write();
        // Another thread may have put it there between the locks.
        if let Some(live) = set.get(key) {
            return live;
        }
        set.insert(Arc::clone(&new));
        new
    }

    fn contains(&self, key: &str) -> Option<bool> {
        Some(self.0.read().contains(key))
    }
}
