//! The policy of an entry: which values count, and what comes back of them.

use crate::create::creator::{Creator, LiveEntryOf, StoredOf, WeakKeys};
use crate::create::flight::SharedError;
use crate::create::steps::{Accepts, Creates};
use crate::memory::panics::after;
use std::any::TypeId;
use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// Decides which values count.
pub(crate) trait Condition<M: Creator>: Errors<Infallible> + Errors<()> {
    /// True if all values count.
    const ANY: bool;

    fn holds(&self, live: &LiveEntryOf<M>) -> bool;
}

/// Decides whether a factory's error is shared with those who wait.
pub(crate) trait Errors<E> {
    /// Returns the type of others' errors that count as one's own.
    fn shared_type() -> Option<TypeId>;

    fn share(error: &E) -> Option<SharedError>;

    /// Makes an error of one's own from a shared one.
    fn take(error: SharedError) -> E;
}

/// An error is one for all who wait: see [`share_errors`](super::Entry::share_errors).
#[derive(Clone, Copy, Debug)]
pub struct ShareErrors<C>(pub(crate) C);

impl<M: Creator, C: Condition<M>> Condition<M> for ShareErrors<C> {
    const ANY: bool = C::ANY;

    fn holds(&self, live: &LiveEntryOf<M>) -> bool {
        self.0.holds(live)
    }
}

impl<E: Clone + Send + Sync + 'static, C> Errors<E> for ShareErrors<C> {
    fn shared_type() -> Option<TypeId> {
        Some(TypeId::of::<E>())
    }

    fn share(error: &E) -> Option<SharedError> {
        Some(Arc::new(error.clone()))
    }

    fn take(error: SharedError) -> E {
        let shared: &E = (*error)
            .downcast_ref()
            .expect("of the type that was asked for");
        let own = shared.clone();
        after(error, own)
    }
}

/// The result of an entry's call: an owner, or what [`and_view`](super::Entry::and_view) says. It is sealed.
#[allow(private_bounds)] // How it is done concerns nobody else.
pub trait Output<M: Creator>: Gives<M, <Self as Output<M>>::Of> {
    /// The type of the result.
    type Of;
}

/// The hidden half of [`Output`].
pub(crate) trait Gives<M: Creator, R>: Sized {
    fn of(self, live: LiveEntryOf<M>) -> R;

    /// Makes the result of a found value, if that will do.
    #[inline(always)]
    fn of_found(self, live: LiveEntryOf<M>) -> Result<R, Self> {
        Ok(self.of(live))
    }

    /// Looks up a value that counts.
    #[inline(always)]
    fn look_up<C: Condition<M>>(
        self,
        map: &M,
        hash: u64,
        is_it: impl Fn(&StoredOf<M>) -> bool,
        condition: &C,
    ) -> Result<R, Self> {
        look_up(self, map, hash, is_it, condition)
    }
}

/// Looks up a value that counts, and returns what `output` makes of it.
#[inline(always)]
fn look_up<M: Creator, R, O: Gives<M, R>>(
    output: O,
    map: &M,
    hash: u64,
    is_it: impl Fn(&StoredOf<M>) -> bool,
    condition: &impl Condition<M>,
) -> Result<R, O> {
    match map.find(hash, is_it) {
        Some(live) if condition.holds(&live) => output.of_found(live),
        stale => Err(after(stale, output)),
    }
}

/// Any live value counts.
#[derive(Clone, Copy, Debug)]
pub struct AnyLive;

impl<M: Creator> Condition<M> for AnyLive {
    const ANY: bool = true;

    #[inline(always)]
    fn holds(&self, _: &LiveEntryOf<M>) -> bool {
        true
    }
}

/// A value counts if a function says so: see [`valid_if`](super::Entry::valid_if).
#[derive(Clone, Copy)]
pub struct ValidIf<F, C> {
    pub(in crate::create) is_valid: F,
    pub(in crate::create) and: C,
}

impl<M: Creator, F: Fn(&M::Owner) -> bool, C: Condition<M>> Condition<M> for ValidIf<F, C> {
    const ANY: bool = false;

    /// Returns true also for a value that was just created: else those who ask at one time would each make
    /// their own.
    fn holds(&self, live: &LiveEntryOf<M>) -> bool {
        let is_valid = || (self.is_valid)(M::owner(live));
        self.and.holds(live) && (M::Core::is_fresh(live) || is_valid())
    }
}

/// Each waiter runs its own factory.
impl<E> Errors<E> for AnyLive {
    fn shared_type() -> Option<TypeId> {
        None
    }

    fn share(_: &E) -> Option<SharedError> {
        None
    }

    fn take(_: SharedError) -> E {
        unreachable!("none is shared")
    }
}

impl<E, F, C: Errors<E>> Errors<E> for ValidIf<F, C> {
    fn shared_type() -> Option<TypeId> {
        C::shared_type()
    }

    fn share(error: &E) -> Option<SharedError> {
        C::share(error)
    }

    fn take(error: SharedError) -> E {
        C::take(error)
    }
}

/// An owner of the value comes back.
#[derive(Clone, Copy, Debug)]
pub struct Owned;

impl<M: Creator<Owner: Clone>> Output<M> for Owned {
    type Of = M::Owner;
}

impl<M: Creator<Owner: Clone>> Gives<M, M::Owner> for Owned {
    #[inline(always)]
    fn of(self, live: LiveEntryOf<M>) -> M::Owner {
        M::into_owner(live)
    }

    #[inline(always)]
    fn look_up<C: Condition<M>>(
        self,
        map: &M,
        hash: u64,
        is_it: impl Fn(&StoredOf<M>) -> bool,
        condition: &C,
    ) -> Result<M::Owner, Self> {
        if C::ANY {
            return map.find_owner(hash, is_it).ok_or(self);
        }
        look_up(self, map, hash, is_it, condition)
    }
}

/// The key that is stored comes back too, as perhaps nobody else owns it: see
/// [`entry_ref`](crate::WeakKeyMap::entry_ref).
#[derive(Clone, Copy, Debug)]
pub struct KeyAndOwner;

impl<M: WeakKeys<Owner: Clone>> Output<M> for KeyAndOwner {
    type Of = (M::Key, M::Owner);
}

impl<M: WeakKeys<Owner: Clone>> Gives<M, (M::Key, M::Owner)> for KeyAndOwner {
    fn of(self, live: LiveEntryOf<M>) -> (M::Key, M::Owner) {
        let found = Gives::<M, _>::of_found(self, live);
        found.expect("a creation keeps its key alive")
    }

    fn of_found(self, live: LiveEntryOf<M>) -> Result<(M::Key, M::Owner), Self> {
        match M::live_key(&live) {
            Some(key) => Ok((key, M::into_owner(live))),
            None => Err(after(live, self)),
        }
    }
}

/// The key that is stored comes back.
#[cfg(feature = "serde")]
#[derive(Debug)]
pub(crate) struct StoredKey;

#[cfg(feature = "serde")]
impl<M: WeakKeys> Output<M> for StoredKey {
    type Of = M::Key;
}

#[cfg(feature = "serde")]
impl<M: WeakKeys> Gives<M, M::Key> for StoredKey {
    fn of(self, live: LiveEntryOf<M>) -> M::Key {
        let found = Gives::<M, _>::of_found(self, live);
        found.expect("a creation keeps its key alive")
    }

    fn of_found(self, live: LiveEntryOf<M>) -> Result<M::Key, Self> {
        let key = M::live_key(&live);
        after(live, key.ok_or(self))
    }
}

/// The result of a function of the value comes back: see [`and_view`](super::Entry::and_view).
#[derive(Clone, Copy)]
pub struct View<F>(pub(crate) F);

impl<M: Creator, R, F: FnOnce(&M::Value) -> R> Output<M> for View<F> {
    type Of = R;
}

impl<M: Creator, R, F: FnOnce(&M::Value) -> R> Gives<M, R> for View<F> {
    fn of(self, live: LiveEntryOf<M>) -> R {
        let output = (self.0)(M::value(&live));
        after(live, output)
    }
}

/// A condition as the steps of a creation see it.
pub(in crate::create) struct By<M, C> {
    pub(in crate::create) condition: C,
    shares: Option<TypeId>,
    map: PhantomData<fn() -> M>,
}

impl<M: Creator, C: Condition<M>> By<M, C> {
    pub(crate) fn new(condition: C, shares: Option<TypeId>) -> Self {
        Self {
            condition,
            shares,
            map: PhantomData,
        }
    }
}

impl<M: Creator, C: Condition<M>> Accepts<LiveEntryOf<M>> for By<M, C> {
    fn accepts(&self, found: &LiveEntryOf<M>) -> bool {
        self.condition.holds(found)
    }

    fn shares(&self) -> Option<TypeId> {
        self.shares
    }
}

impl<F, C> fmt::Debug for ValidIf<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValidIf").finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for View<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").finish_non_exhaustive()
    }
}
