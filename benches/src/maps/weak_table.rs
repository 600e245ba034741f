//! `weak_table::WeakValueHashMap` behind a lock. Dead entries stay until the table, when full, is swept.

use std::sync::{Arc, Weak};

use foldhash::fast::RandomState;
use parking_lot::RwLock;
use weak_table::WeakValueHashMap;

use super::subject::{MapSubject, Payload};
use crate::subject::Role;

pub struct WeakTable(RwLock<WeakValueHashMap<String, Weak<Payload>, RandomState>>);

impl MapSubject for WeakTable {
    const NAME: &'static str = "weak-table";
    const ROLE: Role = Role::Peer;
    type Value = Arc<Payload>;

    fn build() -> Self {
        WeakTable(RwLock::new(WeakValueHashMap::default()))
    }

    fn get(&self, key: &str) -> Option<Self::Value> {
        self.0.read().get(key)
    }

    fn get_or_create(&self, key: &str) -> Self::Value {
        if let Some(live) = self.get(key) {
            return live;
        }
        let (owned, new) = (key.to_owned(), Arc::<Payload>::default());
        let mut map = self.0.write();
        // Another thread may have put it there between the locks; then `new` is dropped after the lock.
        if let Some(live) = map.get(key) {
            return live;
        }
        map.insert(owned, Arc::clone(&new));
        new
    }

    fn for_each(&self, f: &mut dyn FnMut(&Self::Value)) {
        // Owners first: one of them may be the last by the time that `f` is through.
        let owners: Vec<Self::Value> = self.0.read().values().collect();
        owners.iter().for_each(f);
    }

    fn prune(&self) -> Option<usize> {
        let mut map = self.0.write();
        let before = map.len();
        map.remove_expired();
        Some(before - map.len())
    }

    fn entry_count(&self) -> usize {
        self.0.read().len()
    }
}
