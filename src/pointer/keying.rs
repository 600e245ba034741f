//! How weak keys are compared: by equality of what they lead to, or by identity.
//!
//! A dead key equals nothing, and is never hashed or compared again. Its hash is the one that was taken when
//! it was entered.

use crate::memory::hash::hash_key;
use crate::pointer::traits::{Pointer, WeakPointer};
use equivalent::Equivalent;
use std::hash::{BuildHasher, Hash};

/// Weak keys are the same if their targets are equal, as in CPython's `WeakKeyDictionary` and Guava's weak
/// interners. The first key stays.
///
/// Look-ups take anything that is [`Equivalent`] to the target and hashes like it: `&*arc`, or a `&str` for
/// an `Arc<Name>`.
#[derive(Clone, Copy, Debug)]
pub struct ByEquality(());

/// Weak keys are the same if they lead to the very same object, as with `MapMaker.weakKeys()` of Guava and in
/// .NET's `ConditionalWeakTable`. The target is not hashed or compared. Only the identity of the object
/// counts, by [`Pointer::same`]. Look-ups take the pointer itself.
#[derive(Clone, Copy, Debug)]
pub struct ByAddress(());

mod sealed {
    use super::{ByAddress, ByEquality, Equivalent, Hash, Pointer};

    pub trait Sealed {}
    impl Sealed for ByEquality {}
    impl Sealed for ByAddress {}

    /// A trait of its own, as an implementation of `Asked` outside of the crate would otherwise be possible
    /// with a `Q` of its own.
    pub trait CanAsk<P: Pointer, Q: ?Sized> {}
    impl<P: Pointer, Q: ?Sized + Hash + Equivalent<P::Target>> CanAsk<P, Q> for ByEquality {}
    impl<P: Pointer> CanAsk<P, P> for ByAddress {}
}

/// A way to compare weak keys of type `P`: [`ByEquality`] or [`ByAddress`]. It cannot be implemented outside
/// of this crate.
#[diagnostic::on_unimplemented(
    message = "what `{P}` leads to cannot be compared by equality",
    label = "it has no `Hash` and `Eq`",
    note = "to compare by identity, write `ByAddress` behind the other types: `WeakSet<Arc<dyn Listener>, ByAddress>`"
)]
pub trait Keying<P: Pointer>: sealed::Sealed + 'static {
    #[doc(hidden)]
    fn hash<S: BuildHasher>(hasher: &S, key: &P) -> u64;

    /// Returns whether a stored key is alive and the same as this one.
    #[doc(hidden)]
    fn same(stored: &P::Weak, key: &P) -> bool;

    /// Returns an owner of the stored key, if it is alive and the same as this one.
    #[doc(hidden)]
    fn twin(stored: &P::Weak, key: &P) -> Option<P>;

    /// Returns an owner of a stored key that is known to be the same as this one.
    #[doc(hidden)]
    fn owner(stored: &P::Weak, key: &P) -> Option<P>;
}

/// Says what a map with weak keys `P` can be asked for: the target or what is [`Equivalent`] to it with
/// [`ByEquality`], the pointer with [`ByAddress`]. It cannot be implemented outside of this crate.
///
/// ```compile_fail,E0277
/// use highlander::map::{Asked, ByEquality};
/// use std::sync::{Arc, Weak};
///
/// struct Mine;
/// impl Asked<Arc<u8>, Mine> for ByEquality {
///     fn hash_asked<S: std::hash::BuildHasher>(_: &S, _: &Mine) -> u64 { 0 }
///     fn matches(_: &Weak<u8>, _: &Mine) -> bool { true }
///     fn find(_: &Weak<u8>, _: &Mine) -> Option<Arc<u8>> { None }
///     fn found(_: &Weak<u8>, _: &Mine) -> Option<Arc<u8>> { None }
/// }
/// ```
pub trait Asked<P: Pointer, Q: ?Sized>: Keying<P> + sealed::CanAsk<P, Q> {
    #[doc(hidden)]
    fn hash_asked<S: BuildHasher>(hasher: &S, asked: &Q) -> u64;

    /// Returns whether a stored key is alive and the one that is asked for.
    #[doc(hidden)]
    fn matches(stored: &P::Weak, asked: &Q) -> bool;

    /// Returns an owner of the stored key, if it is alive and the one that is asked for.
    #[doc(hidden)]
    fn find(stored: &P::Weak, asked: &Q) -> Option<P>;

    /// Returns an owner of a stored key that is known to be the one that is asked for.
    #[doc(hidden)]
    fn found(stored: &P::Weak, asked: &Q) -> Option<P>;
}

#[diagnostic::do_not_recommend]
impl<P: Pointer> Keying<P> for ByEquality
where
    P::Target: Hash + Eq,
{
    #[inline]
    fn hash<S: BuildHasher>(hasher: &S, key: &P) -> u64 {
        hash_key(hasher, P::target(key))
    }

    #[inline]
    fn same(stored: &P::Weak, key: &P) -> bool {
        Self::twin(stored, key).is_some()
    }

    #[inline]
    fn twin(stored: &P::Weak, key: &P) -> Option<P> {
        stored
            .upgrade()
            .filter(|stored| P::target(stored) == P::target(key))
    }

    #[inline]
    fn owner(stored: &P::Weak, _: &P) -> Option<P> {
        stored.upgrade()
    }
}

impl<P: Pointer, Q> Asked<P, Q> for ByEquality
where
    P::Target: Hash + Eq,
    Q: ?Sized + Hash + Equivalent<P::Target>,
{
    #[inline]
    fn hash_asked<S: BuildHasher>(hasher: &S, asked: &Q) -> u64 {
        hash_key(hasher, asked)
    }

    #[inline]
    fn matches(stored: &P::Weak, asked: &Q) -> bool {
        <Self as Asked<P, Q>>::find(stored, asked).is_some()
    }

    #[inline]
    fn find(stored: &P::Weak, asked: &Q) -> Option<P> {
        stored
            .upgrade()
            .filter(|stored| asked.equivalent(P::target(stored)))
    }

    #[inline]
    fn found(stored: &P::Weak, _: &Q) -> Option<P> {
        stored.upgrade()
    }
}

impl<P: Pointer> Keying<P> for ByAddress {
    #[inline]
    fn hash<S: BuildHasher>(hasher: &S, key: &P) -> u64 {
        hash_key(hasher, &P::identity_hash(key))
    }

    #[inline]
    fn same(stored: &P::Weak, key: &P) -> bool {
        stored.same(key)
    }

    #[inline]
    fn twin(stored: &P::Weak, key: &P) -> Option<P> {
        Self::same(stored, key).then(|| Self::owner(stored, key))?
    }

    /// Clones the caller's owner. So nothing has to be upgraded, which may be out of reach.
    #[inline]
    fn owner(stored: &P::Weak, key: &P) -> Option<P> {
        (!stored.is_dead()).then(|| key.clone())
    }
}

impl<P: Pointer> Asked<P, P> for ByAddress {
    #[inline]
    fn hash_asked<S: BuildHasher>(hasher: &S, asked: &P) -> u64 {
        Self::hash(hasher, asked)
    }

    #[inline]
    fn matches(stored: &P::Weak, asked: &P) -> bool {
        Self::same(stored, asked)
    }

    #[inline]
    fn find(stored: &P::Weak, asked: &P) -> Option<P> {
        Self::twin(stored, asked)
    }

    #[inline]
    fn found(stored: &P::Weak, asked: &P) -> Option<P> {
        Self::owner(stored, asked)
    }
}
