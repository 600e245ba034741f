//! `intern_arc::HashInterner<str>`: one `RwLock`, SipHash (it can't be changed), a mutex for each count.

use intern_arc::{HashInterner, InternedHash};

use crate::subject::{Role, Subject};

pub struct InternArc(HashInterner<str>);

impl Subject for InternArc {
    const NAME: &'static str = "intern-arc";
    const ROLE: Role = Role::Peer;
    type Handle = InternedHash<str>;

    fn build(_live: usize) -> Self {
        InternArc(HashInterner::new())
    }

    fn intern(&self, key: &str) -> Self::Handle {
        self.0.intern_ref(key)
    }
}
