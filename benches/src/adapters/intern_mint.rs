//! `intern_mint::Interned`: byte slices only. Process-global.

use intern_mint::Interned;

use crate::subject::{Role, Subject};

pub struct InternMint;

impl Subject for InternMint {
    const NAME: &'static str = "intern-mint";
    const ROLE: Role = Role::Peer;
    type Handle = Interned;

    fn build(_live: usize) -> Self {
        InternMint
    }

    fn intern(&self, key: &str) -> Self::Handle {
        Interned::new(key.as_bytes())
    }
}
