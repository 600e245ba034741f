//! `string_cache::DefaultAtom`: 4096 chains behind a mutex each, and never more. Process-global. Keys of 12 bytes are
//! too long for its inline form.

use string_cache::DefaultAtom;

use crate::subject::{Role, Subject};

pub struct StringCache;

impl Subject for StringCache {
    const NAME: &'static str = "string_cache";
    const ROLE: Role = Role::Peer;
    type Handle = DefaultAtom;

    fn build(_live: usize) -> Self {
        StringCache
    }

    fn intern(&self, key: &str) -> Self::Handle {
        DefaultAtom::from(key)
    }
}
