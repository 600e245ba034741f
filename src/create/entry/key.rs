//! The key of an entry: the key itself, or a borrowed form that leads to it.

use crate::create::creator::{Creator, StoredOf};
use std::fmt;

/// A way to name a key, which is made into one on a miss only.
pub(crate) trait Selects<M: Creator> {
    fn hash(&self, map: &M) -> u64;

    fn is_it(&self, stored: &StoredOf<M>) -> bool;

    fn into_key(self, map: &M, hash: u64) -> M::Key;
}

/// A map that can be asked for a borrowed form of its keys.
pub(crate) trait Asks<Q: ?Sized>: Creator {
    fn hash_asked(&self, asked: &Q) -> u64;

    fn is_asked(stored: &StoredOf<Self>, asked: &Q) -> bool;

    fn is_asked_key(key: &Self::Key, asked: &Q) -> bool;
}

/// An entry's key, as it will be stored: of [`entry`](crate::Registry::entry).
#[derive(Clone, Debug)]
pub struct OwnedKey<K>(pub(crate) K);

impl<M: Creator> Selects<M> for OwnedKey<M::Key> {
    #[inline(always)]
    fn hash(&self, map: &M) -> u64 {
        map.hash(&self.0)
    }

    #[inline(always)]
    fn is_it(&self, stored: &StoredOf<M>) -> bool {
        M::is_it(stored, &self.0)
    }

    #[inline(always)]
    fn into_key(self, _: &M, _: u64) -> M::Key {
        self.0
    }
}

/// A borrowed form of an entry's key, and how the key is made from it: of
/// [`entry_ref`](crate::Registry::entry_ref).
#[derive(Clone, Copy, Debug)]
pub struct BorrowedKey<'q, Q: ?Sized, F = FromRef> {
    pub(crate) asked: &'q Q,
    pub(crate) to_key: F,
}

/// Makes a key by [`From`] a reference.
#[derive(Clone, Copy, Debug)]
pub struct FromRef;

/// Makes a key by a function: of [`key_with`](super::Entry::key_with).
#[derive(Clone, Copy)]
pub struct KeyWith<F>(pub(crate) F);

pub(in crate::create) trait MakesKey<Q: ?Sized, K> {
    fn key(self, asked: &Q) -> K;
}

impl<Q: ?Sized, K: for<'q> From<&'q Q>> MakesKey<Q, K> for FromRef {
    fn key(self, asked: &Q) -> K {
        K::from(asked)
    }
}

impl<Q: ?Sized, K, F: FnOnce(&Q) -> K> MakesKey<Q, K> for KeyWith<F> {
    fn key(self, asked: &Q) -> K {
        (self.0)(asked)
    }
}

impl<M: Asks<Q>, Q: ?Sized, F: MakesKey<Q, M::Key>> Selects<M> for BorrowedKey<'_, Q, F> {
    #[inline(always)]
    fn hash(&self, map: &M) -> u64 {
        map.hash_asked(self.asked)
    }

    #[inline(always)]
    fn is_it(&self, stored: &StoredOf<M>) -> bool {
        M::is_asked(stored, self.asked)
    }

    fn into_key(self, map: &M, hash: u64) -> M::Key {
        let key = self.to_key.key(self.asked);
        assert!(
            M::is_asked_key(&key, self.asked) && map.hash(&key) == hash,
            "the key that was made is not the one that was asked for, or hashes differently"
        );
        key
    }
}

impl<F> fmt::Debug for KeyWith<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyWith").finish_non_exhaustive()
    }
}
