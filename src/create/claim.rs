//! Claims: creation for those who cannot pass a closure.

use crate::create::error::{ClosedError, CycleError, Refusal};
use crate::create::steps::{Accept, Begun, Creates, Creation};
use crate::memory::panics::after;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// A map whose keys can be claimed: [`Registry`](crate::Registry), the weak maps, and [`StrongMap`](crate::StrongMap). It cannot be implemented outside.
///
/// With it a function can take the vacancy of any of them:
/// ```
/// use highlander::{Creator, Registry, Vacancy};
///
/// fn fill_with_default<M: Creator<Value: Default>>(vacancy: Vacancy<'_, M>) -> M::Owner {
///     vacancy.fill(M::Value::default())
/// }
///
/// let registry: Registry<u32, String> = Registry::new();
/// let claim = registry.claim(1).unwrap();
/// assert_eq!(*fill_with_default(claim.vacant().unwrap()), "");
/// ```
#[allow(private_bounds)] // How it is done concerns nobody else.
pub trait Creator:
    Claims<<Self as Creator>::Key, <Self as Creator>::Value, <Self as Creator>::Owner>
{
    /// The key: `K`, or the pointer that is a weak key.
    type Key;
    /// What is entered: `V`, or the pointer that is a weak value.
    type Value;
    /// What comes back: a handle, the pointer, or a clone of the value.
    type Owner;
}

/// How claims are made in a map.
pub(crate) trait Claims<K, V, O> {
    type Core: Creates;

    fn key_of(ticket: &<Self::Core as Creates>::Ticket) -> &K;

    /// What the factory's result is made into.
    fn make<E>(
        ticket: &<Self::Core as Creates>::Ticket,
        make: impl FnOnce(&K) -> Result<V, E>,
    ) -> Result<<Self::Core as Creates>::Made<'_>, E> {
        make(Self::key_of(ticket)).map(|value| Self::made(ticket, value))
    }

    fn made(
        ticket: &<Self::Core as Creates>::Ticket,
        value: V,
    ) -> <Self::Core as Creates>::Made<'_>;
    fn owner(landed: <Self::Core as Creates>::Landed) -> O;

    /// As `made`, where that may run user code.
    fn made_for<'t>(
        creation: &'t Creation<'_, Self::Core>,
        value: V,
    ) -> <Self::Core as Creates>::Made<'t> {
        creation.during(|ticket| Self::made(ticket, value))
    }
}

/// What a claim of a key leads to.
///
/// ```
/// use highlander::{Claim, Registry};
///
/// let sessions: Registry<u32, String> = Registry::new();
/// let session = match sessions.claim(7).unwrap() {
///     Claim::Live(session) => session,
///     Claim::Vacant(vacancy) => vacancy.fill("shaken hands".into()),   // now, or whenever the peer has answered
/// };
/// assert!(matches!(sessions.claim(7), Ok(Claim::Live(same)) if same.ptr_eq(&session)));
/// ```
pub enum Claim<'a, M: Creator> {
    /// The key has a live value.
    Live(M::Owner),
    /// It has none, and nobody else creates one: the caller is to.
    Vacant(Vacancy<'a, M>),
}

/// A key of which the holder alone is to create the value: a token, for code that cannot pass a closure. Others who want the value wait, or are told that it is
/// in flight.
///
/// [`fill`](Self::fill) it, or drop it: then the next of those who wait creates, as after a failure. It may be moved to another thread and filled there.
///
/// # Forgetting
/// A vacancy that is neither filled nor dropped (by [`std::mem::forget`], or in a cycle of `Rc`s) blocks its key: whoever asks for it with a call that creates waits for ever,
/// and the key and a few words more are leaked. Look-ups, other keys, and [`insert`](crate::Registry::insert) are not concerned.
///
/// # Cycles
/// A holder who waits for another key whose creation waits for this one waits for ever: nobody can know who is going to fill a token. What runs inside
/// [`create`](Self::create) is known to be for this key, and gets a [`CycleError`](crate::CycleError) instead.
#[must_use = "dropping a vacancy gives it up"]
pub struct Vacancy<'a, M: Creator> {
    creation: Creation<'a, M::Core>,
}

impl<'a, M: Creator> Claim<'a, M> {
    pub(crate) fn after(begun: Begun<'a, M::Core>) -> Self {
        match begun {
            Begun::Landed(landed) => Self::Live(M::owner(landed)),
            Begun::Ours(creation) => Self::Vacant(Vacancy { creation }),
        }
    }

    /// The live value, if there is one.
    pub fn live(self) -> Option<M::Owner> {
        match self {
            Self::Live(owner) => Some(owner),
            Self::Vacant(_) => None,
        }
    }

    /// The right to create it, if there is none.
    pub fn vacant(self) -> Option<Vacancy<'a, M>> {
        match self {
            Self::Live(_) => None,
            Self::Vacant(vacancy) => Some(vacancy),
        }
    }
}

impl<M: Creator> Vacancy<'_, M> {
    /// The key.
    pub fn key(&self) -> &M::Key {
        M::key_of(self.creation.ticket())
    }

    /// Enters the value. All who wait get it; if somebody has entered another one meanwhile, by `insert` say, they and the caller get that,
    /// and this one is dropped.
    ///
    /// # Panics
    /// When the map has been closed.
    pub fn fill(self, value: M::Value) -> M::Owner {
        self.try_fill(value)
            .unwrap_or_else(|closed| Refusal::Closed(closed).panic())
    }

    /// As [`fill`](Self::fill), of a map that may be closed.
    ///
    /// # Errors
    /// [`ClosedError`] when the map has been closed; the value is dropped.
    pub fn try_fill(self, value: M::Value) -> Result<M::Owner, ClosedError> {
        let made = M::made_for(&self.creation, value);
        let entered = self.creation.enter(made, Accept::All);
        let landed = self.creation.finish(entered)?;
        Ok(M::owner(landed))
    }

    /// Enters what `make` makes, which is known to be a part of this creation: if it comes back to this key, directly or through others, it gets a
    /// [`CycleError`](crate::CycleError).
    ///
    /// In an exclusive registry or map somebody may have inserted a value since the claim, which is ending now. This waits until that has
    /// ended, before it calls `make`. ([`fill`](Self::fill) does not wait, as its value exists already.)
    ///
    /// # Errors
    /// Whatever `make` returns; [`CycleError`] in an exclusive registry or map when the end that it waits for waits for the caller; [`ClosedError`] when the map has been closed.
    pub fn create<E: From<CycleError> + From<ClosedError>>(
        self,
        make: impl FnOnce(&M::Key) -> Result<M::Value, E>,
    ) -> Result<M::Owner, E> {
        if let Err(cycle) = self.creation.wait_for_ends() {
            return Err(after((self, make), cycle.into()));
        }
        let landed = self.creation.create(
            Accept::All,
            |ticket| M::make(ticket, make),
            Refusal::into_error,
        )?;
        Ok(M::owner(landed))
    }

    /// As [`create`](Self::create), in two steps: see [`Registry::get_or_create_cyclic`](crate::Registry::get_or_create_cyclic).
    ///
    /// # Errors
    /// Whatever `allocate` or `initialise` returns, and as `create`.
    pub fn create_cyclic<E: From<CycleError> + From<ClosedError>>(
        self,
        allocate: impl FnOnce(&M::Key) -> Result<M::Value, E>,
        initialise: impl FnOnce(&M::Owner) -> Result<(), E>,
    ) -> Result<M::Owner, E> {
        if let Err(cycle) = self.creation.wait_for_ends() {
            return Err(after((self, allocate, initialise), cycle.into()));
        }
        let initialise = |draft: &<M::Core as Creates>::Landed| {
            let owner = M::owner(draft.clone());
            let initialised = initialise(&owner);
            after(owner, initialised)
        };
        let landed = self.creation.create_in_two(
            |ticket| M::make(ticket, allocate),
            initialise,
            Refusal::into_error,
        )?;
        Ok(M::owner(landed))
    }
}

/// What waits for a value in this map.
pub(crate) type TicketOf<M> = <<M as Claims<
    <M as Creator>::Key,
    <M as Creator>::Value,
    <M as Creator>::Owner,
>>::Core as Creates>::Ticket;

impl<M: Creator> fmt::Debug for Vacancy<'_, M>
where
    M::Key: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vacancy").field("key", self.key()).finish()
    }
}

impl<M: Creator> fmt::Debug for Claim<'_, M>
where
    M::Key: fmt::Debug,
    M::Owner: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live(owner) => f.debug_tuple("Live").field(owner).finish(),
            Self::Vacant(vacancy) => f.debug_tuple("Vacant").field(vacancy).finish(),
        }
    }
}

// Why: see the head of `memory::panics`.
impl<
        M: Creator<
                Key: UnwindSafe + RefUnwindSafe,
                Value: UnwindSafe + RefUnwindSafe,
                Owner: UnwindSafe + RefUnwindSafe,
            > + RefUnwindSafe,
    > UnwindSafe for Vacancy<'_, M>
{
}
impl<
        M: Creator<
                Key: UnwindSafe + RefUnwindSafe,
                Value: UnwindSafe + RefUnwindSafe,
                Owner: UnwindSafe + RefUnwindSafe,
            > + RefUnwindSafe,
    > RefUnwindSafe for Vacancy<'_, M>
{
}
impl<M: Creator> Unpin for Vacancy<'_, M> {}
