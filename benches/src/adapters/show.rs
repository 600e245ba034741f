//! No peers, since they do less, but good to see beside the others.

use hstr::Atom;
use lasso::{Spur, ThreadedRodeo};

use crate::cell::Cell;
use crate::subject::{Role, Subject};

/// `hstr`: a store for each thread, swept on demand only. So there are no 2 threads, and no removal at the last drop.
pub struct Hstr;

impl Subject for Hstr {
    const NAME: &'static str = "hstr";
    const ROLE: Role = Role::Show;
    type Handle = Atom;

    fn build(_live: usize) -> Self {
        Hstr
    }

    fn intern(&self, key: &str) -> Self::Handle {
        Atom::from(key)
    }

    fn takes(cell: Cell, threads: usize) -> bool {
        threads == 1 && !cell.removes()
    }
}

impl Drop for Hstr {
    fn drop(&mut self) {
        hstr::global_atom_store_gc();
    }
}

/// `lasso::ThreadedRodeo`: dashmap with an arena behind it; never frees, and its handle is a number that counts nothing.
pub struct Lasso(ThreadedRodeo);

impl Subject for Lasso {
    const NAME: &'static str = "lasso";
    const ROLE: Role = Role::Show;
    type Handle = Spur;

    fn build(_live: usize) -> Self {
        Lasso(ThreadedRodeo::new())
    }

    fn intern(&self, key: &str) -> Self::Handle {
        self.0.get_or_intern(key)
    }

    fn contains(&self, key: &str) -> Option<bool> {
        Some(self.0.contains(key))
    }

    fn takes(cell: Cell, _threads: usize) -> bool {
        !cell.removes()
    }
}
