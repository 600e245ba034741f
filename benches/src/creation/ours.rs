//! `highlander::Registry`, and `WeakValueMap` over `Arc`.

use std::sync::Arc;

use highlander::{Handle, Registry, WeakValueMap};

use super::subject::CreationSubject;
use crate::maps::subject::Payload;
use crate::subject::Role;

pub struct ByHandle(Registry<String, Payload>);

impl CreationSubject for ByHandle {
    const NAME: &'static str = "registry";
    const ROLE: Role = Role::Ours;
    const SINGLE: bool = true;
    type Value = Handle<String, Payload>;

    fn build() -> Self {
        ByHandle(Registry::new())
    }

    #[inline]
    fn get_or_create(&self, key: &str, work: impl FnOnce()) -> Self::Value {
        self.0.entry_ref(key).or_insert_with(|_| {
            work();
            Payload::default()
        })
    }
}

pub struct ByArc(WeakValueMap<String, Arc<Payload>>);

impl CreationSubject for ByArc {
    const NAME: &'static str = "weak map";
    const ROLE: Role = Role::OursToo;
    const SINGLE: bool = true;
    type Value = Arc<Payload>;

    fn build() -> Self {
        ByArc(WeakValueMap::new())
    }

    #[inline]
    fn get_or_create(&self, key: &str, work: impl FnOnce()) -> Self::Value {
        self.0.entry_ref(key).or_insert_with(|_| {
            work();
            Arc::default()
        })
    }
}
