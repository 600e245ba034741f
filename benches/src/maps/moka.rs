//! `moka`, a cache: it keeps its values alive, so it is no peer. For show, since `get_with` is what many use for "one creator per key".

use std::sync::Arc;

use foldhash::fast::RandomState;
use moka::sync::Cache;

use super::subject::{MapSubject, Payload};
use super::MapCell;
use crate::subject::Role;

pub struct Moka(Cache<String, Arc<Payload>, RandomState>);

impl MapSubject for Moka {
    const NAME: &'static str = "moka (strong)";
    const ROLE: Role = Role::Show;
    type Value = Arc<Payload>;

    fn build() -> Self {
        // Room for all: what is measured is not its policy.
        let builder = Cache::builder().max_capacity(u64::MAX);
        Moka(builder.build_with_hasher(RandomState::default()))
    }

    fn get(&self, key: &str) -> Option<Self::Value> {
        self.0.get(key)
    }

    fn get_or_create(&self, key: &str) -> Self::Value {
        self.0.get_with_by_ref(key, Arc::default)
    }

    fn for_each(&self, f: &mut dyn FnMut(&Self::Value)) {
        self.0.iter().for_each(|(_, value)| f(&value));
    }

    fn entry_count(&self) -> usize {
        self.0.run_pending_tasks();
        self.0.entry_count() as usize
    }

    /// It would keep what the others let go.
    fn takes(cell: MapCell) -> bool {
        matches!(cell, MapCell::Hit(_) | MapCell::Miss)
    }
}
