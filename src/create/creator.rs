//! The calls of a map that its entries need.

use crate::create::error::CreateError;
use crate::create::steps::{Creates, Creation, Share};
use crate::pointer::token::{Binder, Token};
use std::convert::Infallible;

/// A map that creates values: [`Registry`](crate::Registry), the weak maps, and
/// [`StrongMap`](crate::StrongMap). It cannot be implemented outside.
///
/// With it a function can take the entry or the vacancy of any of them:
/// ```
/// use highlander::map::{Creator, Vacancy};
/// use highlander::Registry;
///
/// fn fill_with_default<M: Creator<Value: Default, Owner: Clone>>(vacancy: Vacancy<'_, M>) -> M::Owner {
///     vacancy.fill(M::Value::default())
/// }
///
/// let registry: Registry<u32, String> = Registry::new();
/// let claim = registry.entry(1).claim();
/// assert_eq!(*fill_with_default(claim.vacant().unwrap()), "");
/// ```
#[allow(private_bounds)] // How it is done concerns nobody else.
pub trait Creator:
    Creating<<Self as Creator>::Key, <Self as Creator>::Value, <Self as Creator>::Owner>
{
    /// The key: `K`, or the pointer that is a weak key.
    type Key;
    /// The value that is entered: `V`, or the pointer that is a weak value.
    type Value;
    /// The owner that comes back: a handle, the pointer, or a clone of the value.
    type Owner;
}

/// The hidden half of [`Creator`].
pub(crate) trait Creating<K, V, O> {
    /// The map as the steps of a creation see it.
    type Core: Creates;
    type Stored;

    fn core(&self) -> &Self::Core;

    fn hash(&self, key: &K) -> u64;

    fn is_it(stored: &Self::Stored, key: &K) -> bool;

    /// Looks up the live value of the key that `is_it`.
    fn find_owner(&self, hash: u64, is_it: impl Fn(&Self::Stored) -> bool) -> Option<O>
    where
        O: Clone;

    /// Looks up the live entry of the key that `is_it`.
    fn find(
        &self,
        hash: u64,
        is_it: impl Fn(&Self::Stored) -> bool,
    ) -> Option<<Self::Core as Creates>::LiveEntry>;

    fn pending_key(&self, hash: u64, key: K) -> <Self::Core as Creates>::PendingKey;

    fn key_of(pending_key: &<Self::Core as Creates>::PendingKey) -> &K;

    /// Runs the factory, and makes its result ready to be entered.
    fn make<E>(
        pending_key: &<Self::Core as Creates>::PendingKey,
        make: impl FnOnce(&K) -> Result<V, E>,
    ) -> Result<<Self::Core as Creates>::Made<'_>, E> {
        make(Self::key_of(pending_key)).map(|value| Self::made(pending_key, value))
    }

    fn made(
        pending_key: &<Self::Core as Creates>::PendingKey,
        value: V,
    ) -> <Self::Core as Creates>::Made<'_>;

    /// Makes a value ready to be entered, where that may run user code.
    fn made_for<'t>(
        creation: &'t Creation<'_, Self::Core>,
        value: V,
    ) -> <Self::Core as Creates>::Made<'t> {
        creation.during(|pending_key| Self::made(pending_key, value))
    }

    fn value(live: &<Self::Core as Creates>::LiveEntry) -> &V;

    fn owner(live: &<Self::Core as Creates>::LiveEntry) -> &O;

    fn into_owner(live: <Self::Core as Creates>::LiveEntry) -> O
    where
        O: Clone;
}

/// The key of a creation under way in this map.
pub(crate) type PendingKeyOf<M> = <CoreOf<M> as Creates>::PendingKey;

pub(crate) type LiveEntryOf<M> = <CoreOf<M> as Creates>::LiveEntry;

pub(in crate::create) type MadeOf<'t, M> = <CoreOf<M> as Creates>::Made<'t>;

pub(in crate::create) type CoreOf<M> =
    <M as Creating<<M as Creator>::Key, <M as Creator>::Value, <M as Creator>::Owner>>::Core;

pub(crate) type StoredOf<M> =
    <M as Creating<<M as Creator>::Key, <M as Creator>::Value, <M as Creator>::Owner>>::Stored;

/// A map whose keys are weak: what it returns does not keep them alive.
pub(crate) trait WeakKeys: Creator {
    fn live_key(live: &LiveEntryOf<Self>) -> Option<Self::Key>;
}

/// A map that a token in the value can notify of its death.
pub(crate) trait Tokens: Creator {
    /// Makes a value that carries a token ready to be entered.
    fn made_with_token<'t>(
        &self,
        hash: u64,
        pending_key: &'t PendingKeyOf<Self>,
        value: Self::Value,
        binder: &Binder,
    ) -> MadeOf<'t, Self>;
}

pub(in crate::create) fn create_in_two<M: Creator, E>(
    creation: Creation<'_, CoreOf<M>>,
    allocate: impl FnOnce(&M::Key) -> Result<M::Value, E>,
    initialise: impl FnOnce(&M::Owner) -> Result<(), E>,
    share: impl Share<E>,
) -> Result<LiveEntryOf<M>, CreateError<E>> {
    creation.create_in_two(
        |pending_key| M::make(pending_key, allocate),
        |draft| initialise(M::owner(draft)),
        share,
    )
}

pub(in crate::create) fn create_with_token<M: Tokens, E>(
    map: &M,
    creation: Creation<'_, CoreOf<M>>,
    make: impl FnOnce(&M::Key, Token) -> Result<M::Value, E>,
    share: impl Share<E>,
) -> Result<LiveEntryOf<M>, CreateError<E>> {
    let hash = creation.hash();
    creation.create(
        |pending_key| {
            let token = Token::new();
            let binder = token.binder();
            let value = make(M::key_of(pending_key), token)?;
            Ok(map.made_with_token(hash, pending_key, value, &binder))
        },
        share,
    )
}

/// Unwraps the result of a factory that cannot fail.
#[inline(always)]
#[track_caller]
pub(crate) fn never_fails<T>(created: Result<T, CreateError<Infallible>>) -> T {
    match created {
        Ok(value) => value,
        Err(CreateError::Failed(never)) => match never {},
        Err(CreateError::Refused(refused)) => refused.panic(),
    }
}
