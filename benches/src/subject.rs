//! What a benchmark needs of an interner.

use crate::cell::Cell;

/// One interner, used as its users use it at its best.
pub trait Subject: Sync + Sized + 'static {
    const NAME: &'static str;
    const ROLE: Role;

    /// Owns the interned string together with the others; when the last one is dropped the entry goes.
    type Handle: Send;

    /// An empty interner. (`live`, how many keys are to come, is for the floor only: the others have to grow.)
    fn build(live: usize) -> Self;

    fn intern(&self, key: &str) -> Self::Handle;

    /// Whether the key is there, without putting it there; `None` from those that can't tell.
    fn contains(&self, key: &str) -> Option<bool> {
        let _ = key;
        None
    }

    /// Whether the subject can do this at all.
    fn takes(cell: Cell, threads: usize) -> bool {
        let _ = (cell, threads);
        true
    }
}

/// Why a subject is in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What the ratios are about.
    Ours,
    /// Other ways into highlander.
    OursToo,
    /// Weak and shared between threads: what ours has to beat.
    Peer,
    /// Does less (one thread only, or never frees): to compare with, not to beat.
    Show,
    /// No interner can be faster.
    Floor,
}

/// What is repeated to count its instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Nothing: what the loop itself costs.
    Nothing,
    /// Intern a live key, drop the handle.
    Hit,
    /// Look for a key that is not there.
    Miss,
    /// Intern a key that is not there, drop the handle.
    Fresh,
}
