//! A mutex, a map, a once-cell for each key: what resource pools of GPU crates do. The cell makes one creator per key; what it lacks there is added
//! here: removal by identity, and no waiting caller that spins on a cell whose value has died.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use foldhash::fast::RandomState;
use once_cell::sync::OnceCell;
use parking_lot::Mutex;

use super::subject::MapSubject;
use super::MapCell;
use crate::subject::Role;

type Slot = Arc<OnceCell<Weak<Value>>>;
type Map = Mutex<HashMap<Arc<str>, Slot, RandomState>>;

/// Removes its own entry when it dies.
pub struct Value {
    key: Arc<str>,
    map: &'static Map,
}

impl Drop for Value {
    fn drop(&mut self) {
        let mut map = self.map.lock();
        let own = |slot: &Slot| {
            let weak = slot.get();
            weak.is_some_and(|weak| std::ptr::eq(weak.as_ptr(), self))
        };
        // Dropped after the lock: the memory of key and cell.
        let removed = match map.get(&*self.key) {
            Some(slot) if own(slot) => map.remove_entry(&*self.key),
            _ => None,
        };
        drop(map);
        drop(removed);
    }
}

/// Leaked, as if in a `static`.
pub struct OnceCells(&'static Map);

impl OnceCells {
    /// As [`MapSubject::get_or_create`], where creating a value takes some work.
    #[inline]
    pub fn get_or_create_with(&self, key: &str, work: impl FnOnce()) -> Arc<Value> {
        match self.get(key) {
            Some(live) => live,
            None => self.create(key, work),
        }
    }

    #[cold]
    fn create(&self, key: &str, work: impl FnOnce()) -> Arc<Value> {
        let mut work = Some(work);
        let owned: Arc<str> = Arc::from(key);
        loop {
            let slot: Slot = Arc::clone(self.0.lock().entry(Arc::clone(&owned)).or_default());
            let mut made = None;
            let weak = slot.get_or_init(|| {
                if let Some(work) = work.take() {
                    work();
                }
                let new = Arc::new(Value {
                    key: Arc::clone(&owned),
                    map: self.0,
                });
                let weak = Arc::downgrade(&new);
                made = Some(new);
                weak
            });
            if let Some(live) = made.or_else(|| weak.upgrade()) {
                return live;
            }
            // Dead, and about to be removed by its own drop: it makes way now.
            let mut map = self.0.lock();
            if map.get(key).is_some_and(|now| Arc::ptr_eq(now, &slot)) {
                map.remove(key);
            }
        }
    }
}

impl MapSubject for OnceCells {
    const NAME: &'static str = "mutex+once-cells";
    const ROLE: Role = Role::Peer;
    type Value = Arc<Value>;

    fn build() -> Self {
        OnceCells(Box::leak(Box::default()))
    }

    fn get(&self, key: &str) -> Option<Self::Value> {
        let map = self.0.lock();
        // The owner leaves with the return value, after the lock.
        map.get(key)?.get()?.upgrade()
    }

    fn get_or_create(&self, key: &str) -> Self::Value {
        self.get_or_create_with(key, || {})
    }

    fn for_each(&self, f: &mut dyn FnMut(&Self::Value)) {
        let owners: Vec<Self::Value> = {
            let map = self.0.lock();
            map.values()
                .filter_map(|slot| slot.get()?.upgrade())
                .collect()
        };
        owners.iter().for_each(f);
    }

    fn entry_count(&self) -> usize {
        self.0.lock().len()
    }

    fn takes(cell: MapCell) -> bool {
        cell != MapCell::Prune
    }
}

impl Drop for OnceCells {
    fn drop(&mut self) {
        self.0.lock().shrink_to_fit();
    }
}
