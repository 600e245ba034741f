//! `highlander::WeakValueMap<String, Arc<V>>`, and `Registry` beside it.

use std::sync::Arc;

use highlander::{Handle, Registry, WeakValueMap};

use super::subject::{MapSubject, Payload};
use super::MapCell;
use crate::subject::Role;

pub struct Ours(WeakValueMap<String, Arc<Payload>>);

impl MapSubject for Ours {
    const NAME: &'static str = "highlander";
    const ROLE: Role = Role::Ours;
    type Value = Arc<Payload>;

    fn build() -> Self {
        Ours(WeakValueMap::new())
    }

    #[inline]
    fn get(&self, key: &str) -> Option<Self::Value> {
        self.0.get(key)
    }

    #[inline]
    fn get_or_create(&self, key: &str) -> Self::Value {
        self.0.entry_ref(key).or_insert_with(|_| Arc::default())
    }

    fn for_each(&self, f: &mut dyn FnMut(&Self::Value)) {
        self.0.values().for_each(|value| f(&value));
    }

    fn prune(&self) -> Option<usize> {
        Some(self.0.prune())
    }

    fn entry_count(&self) -> usize {
        self.0.entry_count()
    }
}

/// For those who can take a handle of ours instead of an `Arc`: the entry goes at the last drop.
pub struct Kept(Registry<String, Payload>);

impl MapSubject for Kept {
    const NAME: &'static str = "registry";
    const ROLE: Role = Role::OursToo;
    type Value = Handle<String, Payload>;

    fn build() -> Self {
        Kept(Registry::new())
    }

    #[inline]
    fn get(&self, key: &str) -> Option<Self::Value> {
        self.0.get(key)
    }

    #[inline]
    fn get_or_create(&self, key: &str) -> Self::Value {
        self.0.entry_ref(key).or_insert_with(|_| Payload::default())
    }

    fn for_each(&self, f: &mut dyn FnMut(&Self::Value)) {
        self.0.iter().for_each(|value| f(&value));
    }

    fn entry_count(&self) -> usize {
        self.0.len()
    }

    fn takes(cell: MapCell) -> bool {
        cell != MapCell::Prune
    }
}
