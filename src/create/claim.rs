//! Claims: creation for those who cannot pass a closure.

use crate::create::creator::{create_in_two, create_with_token, never_fails};
use crate::create::creator::{CoreOf, Creator, LiveEntryOf, Tokens};
use crate::create::error::{ClosedError, CreateError};
use crate::create::steps::{Begun, Creation};
use crate::memory::panics::after;
use crate::pointer::token::Token;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// The outcome of a claim of a key; see [`claim`](crate::map::Entry::claim).
///
/// ```
/// use highlander::map::Claim;
/// use highlander::{Handle, Registry};
///
/// let sessions: Registry<u32, String> = Registry::new();
/// let session = match sessions.entry(7).claim() {
///     Claim::Live(session) => session,
///     Claim::Vacant(vacancy) => vacancy.fill("shaken hands".into()),   // now, or later
/// };
/// assert!(matches!(sessions.entry(7).claim(), Claim::Live(same) if Handle::ptr_eq(&same, &session)));
/// ```
pub enum Claim<'a, M: Creator> {
    /// The key has a live value.
    Live(M::Owner),
    /// It has none, and nobody else creates one: the caller is to.
    Vacant(Vacancy<'a, M>),
}

/// The right to create the value of a key, which the holder alone has: for code that cannot pass a closure.
/// Others who want the value wait, or are told that it is in flight.
///
/// [`fill`](Self::fill) it, or drop it: then the next of those who wait creates, as after a failure. It may
/// be moved to another thread and filled there.
///
/// # Forgetting
/// A vacancy that is neither filled nor dropped (by [`std::mem::forget`], or in a cycle of `Rc`s) blocks its
/// key: whoever asks for it with a call that creates waits for ever, and the key and a few words more are
/// leaked. Look-ups, other keys, and [`insert`](crate::Registry::insert) are not concerned.
///
/// # Cycles
/// A holder who waits for another key whose creation waits for this one waits for ever: nobody can know who
/// is going to fill a vacancy. What runs inside [`fill_with`](Self::fill_with) and the calls like it is known
/// to be for this key, and is [refused](crate::error::Refused) instead.
///
/// # Tasks
/// It is `Send` when the map may be used on every thread. But a task that keeps one across an `.await` can be
/// spawned only if the types of the map have no lifetimes in them (`&'static str`, `Arc<dyn Trait>`): of
/// others the compiler says that an "implementation of `Send` is not general enough". Fill it in one go
/// there, or use a call that takes a future.
#[must_use = "dropping a vacancy gives it up"]
pub struct Vacancy<'a, M: Creator> {
    map: &'a M,
    creation: Creation<'a, CoreOf<M>>,
}

impl<'a, M: Creator> Claim<'a, M> {
    pub(in crate::create) fn after(
        map: &'a M,
        begun: Begun<'a, CoreOf<M>>,
        owner: impl FnOnce(LiveEntryOf<M>) -> M::Owner,
    ) -> Self {
        match begun {
            Begun::Found(live) => Self::Live(owner(live)),
            Begun::Ours(creation) => Self::Vacant(Vacancy { map, creation }),
            Begun::Failed(_) => unreachable!("a claim shares no errors"),
        }
    }

    /// Returns the live value, if there is one.
    pub fn live(self) -> Option<M::Owner> {
        match self {
            Self::Live(owner) => Some(owner),
            Self::Vacant(_) => None,
        }
    }

    /// Returns the right to create it, if there is no live value.
    pub fn vacant(self) -> Option<Vacancy<'a, M>> {
        match self {
            Self::Live(_) => None,
            Self::Vacant(vacancy) => Some(vacancy),
        }
    }
}

impl<M: Creator> Vacancy<'_, M> {
    /// Returns the key.
    pub fn key(&self) -> &M::Key {
        M::key_of(self.creation.pending_key())
    }
}

impl<M: Creator<Owner: Clone>> Vacancy<'_, M> {
    /// Enters the value. All who wait get it; if somebody has entered another one meanwhile, by `insert` say,
    /// they and the caller get that, and this one is dropped.
    ///
    /// ```
    /// use highlander::map::Claim;
    ///
    /// let map: highlander::StrongMap<&str, u32> = highlander::StrongMap::new();
    /// match map.entry("a").claim() {
    ///     Claim::Live(value) => println!("it is {value}"),
    ///     Claim::Vacant(vacancy) => assert_eq!(vacancy.fill(1), 1),       // others wait until then
    /// }
    /// assert_eq!(map.get("a"), Some(1));
    /// ```
    ///
    /// # Panics
    /// When the map has been closed.
    #[track_caller]
    pub fn fill(self, value: M::Value) -> M::Owner {
        match self.try_fill(value) {
            Ok(owner) => owner,
            Err(closed) => closed.panic(),
        }
    }

    /// Enters the value like [`fill`](Self::fill), unless the map is closed.
    ///
    /// # Errors
    /// [`ClosedError`] when the map has been closed; the value is dropped.
    pub fn try_fill(self, value: M::Value) -> Result<M::Owner, ClosedError> {
        let made = M::made_for(&self.creation, value);
        let entered = self.creation.enter(made);
        let live = self.creation.finish(entered)?;
        Ok(M::into_owner(live))
    }

    /// Enters the value that `make` makes, which is known to be a part of this creation: if it comes back to
    /// this key, directly or through others, it is refused.
    ///
    /// In an exclusive registry or map somebody may have inserted a value since the claim, which is ending
    /// now. This waits for that end before it calls `make`. ([`fill`](Self::fill) does not: its value
    /// exists.)
    ///
    /// # Panics
    /// When `make` panics; and with the text of [`Refused`](crate::error::Refused) when the creation is
    /// refused.
    #[track_caller]
    pub fn fill_with(self, make: impl FnOnce(&M::Key) -> M::Value) -> M::Owner {
        never_fails(self.try_fill_with(|key| Ok(make(key))))
    }

    /// Enters the value that `make` makes, which may fail; otherwise like [`fill_with`](Self::fill_with).
    ///
    /// # Errors
    /// [`CreateError::Failed`] with the error of `make`; [`CreateError::Refused`] when the map has been
    /// closed, and, in an exclusive registry or map, when the end that it waits for waits for the caller.
    pub fn try_fill_with<E>(
        self,
        make: impl FnOnce(&M::Key) -> Result<M::Value, E>,
    ) -> Result<M::Owner, CreateError<E>> {
        self.create(make, |_, creation, make| {
            creation.create(|pending_key| M::make(pending_key, make), |_| None)
        })
    }

    /// Enters the value that is made in two steps, like [`try_fill_with`](Self::try_fill_with): see
    /// [`or_create_cyclic`](crate::map::Entry::or_create_cyclic).
    ///
    /// # Errors
    /// [`CreateError::Failed`] with the error of `allocate` or `initialise`; and as there.
    pub fn try_fill_cyclic<E>(
        self,
        allocate: impl FnOnce(&M::Key) -> Result<M::Value, E>,
        initialise: impl FnOnce(&M::Owner) -> Result<(), E>,
    ) -> Result<M::Owner, CreateError<E>> {
        self.create((allocate, initialise), |_, creation, steps| {
            create_in_two::<M, E>(creation, steps.0, steps.1, |_| None)
        })
    }

    /// Enters the value that `make` makes with a [`Token`], like [`fill_with`](Self::fill_with): see
    /// [`or_insert_with_token`](crate::map::Entry::or_insert_with_token).
    ///
    /// # Panics
    /// See there.
    #[allow(private_bounds)] // Which maps can be notified by a token is in their documentation.
    #[track_caller]
    pub fn fill_with_token(self, make: impl FnOnce(&M::Key, Token) -> M::Value) -> M::Owner
    where
        M: Tokens,
    {
        never_fails(self.create(make, |map, creation, make| {
            create_with_token(map, creation, |key, token| Ok(make(key, token)), |_| None)
        }))
    }

    fn create<S, E>(
        self,
        steps: S,
        create: impl FnOnce(&M, Creation<'_, CoreOf<M>>, S) -> Result<LiveEntryOf<M>, CreateError<E>>,
    ) -> Result<M::Owner, CreateError<E>> {
        if let Err(cycle) = self.creation.wait_for_ends() {
            return Err(after((self, steps), cycle.into()));
        }
        create(self.map, self.creation, steps).map(M::into_owner)
    }
}

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

// Why: see "Unwind safety" in ARCHITECTURE.md.
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
