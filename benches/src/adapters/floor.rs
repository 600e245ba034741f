//! What any interner with counted handles has to do at the least: hash the key, find a place in memory, count up, count
//! down. No comparison, no collision, no removal.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::cell::Cell;
use crate::subject::{Role, Subject};
use crate::workload::key;

pub struct Floor {
    hasher: RandomState,
    values: Vec<Arc<[u8]>>,
}

impl Subject for Floor {
    const NAME: &'static str = "floor";
    const ROLE: Role = Role::Floor;
    type Handle = Arc<[u8]>;

    fn build(live: usize) -> Self {
        Floor {
            hasher: RandomState::default(),
            values: (0..live as u64)
                .map(|number| Arc::from(key(0, number)))
                .collect(),
        }
    }

    fn intern(&self, key: &str) -> Self::Handle {
        let hash = self.hasher.hash_one(key);
        // The high half of the product: even over the whole array without a division.
        let index = (u128::from(hash) * self.values.len() as u128) >> 64;
        Arc::clone(&self.values[index as usize])
    }

    fn takes(cell: Cell, _threads: usize) -> bool {
        !cell.removes()
    }
}
