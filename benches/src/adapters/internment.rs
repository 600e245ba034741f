//! `internment::ArcIntern<str>`: from a `&str` it allocates on a miss only, and `str` has a container of its own that is
//! found without a look-up of the type. Process-global.

use internment::ArcIntern;

use crate::subject::{Role, Subject};

pub struct Internment;

impl Subject for Internment {
    const NAME: &'static str = "internment";
    const ROLE: Role = Role::Peer;
    type Handle = ArcIntern<str>;

    fn build(_live: usize) -> Self {
        Internment
    }

    fn intern(&self, key: &str) -> Self::Handle {
        ArcIntern::from(key)
    }
}
