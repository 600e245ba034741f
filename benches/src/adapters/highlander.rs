//! highlander itself: `Interner<str>`, and the look-ups without insertion of interner and registry.

use highlander::{Handle, Interned, Interner, Registry};

use super::{INTERNER_GET, REGISTRY_GET};
use crate::cell::Cell;
use crate::subject::{Role, Subject};

pub struct Highlander(Interner<str>);

impl Subject for Highlander {
    const NAME: &'static str = "highlander";
    const ROLE: Role = Role::Ours;
    type Handle = Interned<str>;

    fn build(_live: usize) -> Self {
        Highlander(Interner::new())
    }

    fn intern(&self, key: &str) -> Self::Handle {
        self.0.intern(key)
    }

    fn contains(&self, key: &str) -> Option<bool> {
        Some(self.0.contains(key))
    }
}

/// The same interner by `get`. (Only for hits: a miss is filled by `intern`, to get the live keys in.)
pub struct InternerGet(Interner<str>);

impl Subject for InternerGet {
    const NAME: &'static str = INTERNER_GET;
    const ROLE: Role = Role::OursToo;
    type Handle = Interned<str>;

    fn build(_live: usize) -> Self {
        InternerGet(Interner::new())
    }

    fn intern(&self, key: &str) -> Self::Handle {
        match self.0.get(key) {
            Some(live) => live,
            None => self.0.intern(key),
        }
    }

    fn contains(&self, key: &str) -> Option<bool> {
        Some(self.0.contains(key))
    }

    fn takes(cell: Cell, _threads: usize) -> bool {
        !cell.removes()
    }
}

/// A registry by `get`, its keys boxed strings, looked up by `&str`. (Only for hits, as above.)
pub struct RegistryGet(Registry<Box<str>, u32>);

impl Subject for RegistryGet {
    const NAME: &'static str = REGISTRY_GET;
    const ROLE: Role = Role::OursToo;
    type Handle = Handle<Box<str>, u32>;

    fn build(_live: usize) -> Self {
        RegistryGet(Registry::new())
    }

    fn intern(&self, key: &str) -> Self::Handle {
        match self.0.get(key) {
            Some(live) => live,
            None => self.0.get_or_insert_with(key.into(), |_| 0),
        }
    }

    fn contains(&self, key: &str) -> Option<bool> {
        Some(self.0.get(key).is_some())
    }

    fn takes(cell: Cell, _threads: usize) -> bool {
        !cell.removes()
    }
}
