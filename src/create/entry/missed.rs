//! An entry whose look-up has missed: it begins a creation, or waits for one.

use super::policy::{By, Condition, Errors, Output};
use super::Selects;
use crate::create::creator::{CoreOf, Creator, LiveEntryOf, PendingKeyOf};
use crate::create::error::{ClaimError, CreateError, InFlight, Refused};
use crate::create::steps::{self, Begun, Creates, Creation};
use crate::memory::panics::after;
use std::any::TypeId;
use std::ops::ControlFlow;

/// An entry without a live value, and its pending key.
pub(crate) struct Missed<'a, M: Creator, C, O> {
    pub(super) map: &'a M,
    pub(super) hash: u64,
    pub(super) pending_key: PendingKeyOf<M>,
    pub(super) condition: C,
    pub(super) output: O,
}

impl<'a, M: Creator, C: Condition<M>, O> Missed<'a, M, C, O> {
    #[cold]
    pub(super) fn new(
        map: &'a M,
        hash: u64,
        key: impl Selects<M>,
        condition: C,
        output: O,
    ) -> Self {
        let key = key.into_key(map, hash);
        Self {
            map,
            hash,
            pending_key: map.pending_key(hash, key),
            condition,
            output,
        }
    }

    /// Begins a creation, or waits for the one under way.
    #[cold]
    pub(super) fn begin(
        self,
        shares: Option<TypeId>,
    ) -> Result<(Begun<'a, CoreOf<M>>, O), Refused> {
        let condition = By::new(self.condition, shares);
        let begun = steps::begin(self.map.core(), self.hash, self.pending_key, &condition);
        drop_unused(condition, self.output, begun)
    }

    pub(super) fn try_begin(self) -> Result<(Begun<'a, CoreOf<M>>, O), ClaimError> {
        let condition = By::new(self.condition, None);
        let begun = steps::try_begin(self.map.core(), self.hash, self.pending_key, &condition);
        let begun = match begun {
            Ok(Some(begun)) => Ok(begun),
            Ok(None) => Err(ClaimError::InFlight(InFlight)),
            Err(closed) => Err(ClaimError::Refused(closed.into())),
        };
        drop_unused(condition, self.output, begun)
    }

    /// Has `create` create the value with `steps`, unless somebody else does.
    #[cold]
    pub(super) fn create<S, E>(
        self,
        steps: S,
        create: impl FnOnce(Creation<'a, CoreOf<M>>, S) -> Result<LiveEntryOf<M>, CreateError<E>>,
    ) -> Result<O::Of, CreateError<E>>
    where
        C: Errors<E>,
        O: Output<M>,
    {
        let shares = <C as Errors<E>>::shared_type();
        match creates::<_, C, _, _, _>(self.begin(shares), (steps, create)) {
            ControlFlow::Continue((creation, output, (steps, create))) => {
                of_created(output, create(creation, steps))
            }
            ControlFlow::Break(done) => done,
        }
    }
}

/// The next step of a call: it creates, or it is done.
pub(super) type GoesOn<'a, M, O, S, E> =
    ControlFlow<Result<<O as Output<M>>::Of, CreateError<E>>, (Creation<'a, CoreOf<M>>, O, S)>;

/// Returns what follows when a creation has begun. If it is for the caller to create, `steps` come back.
pub(super) fn creates<'a, M: Creator, C: Errors<E>, O: Output<M>, S, E>(
    begun: Result<(Begun<'a, CoreOf<M>>, O), Refused>,
    steps: S,
) -> GoesOn<'a, M, O, S, E> {
    ControlFlow::Break(match begun {
        Ok((Begun::Ours(creation), output)) => {
            return ControlFlow::Continue((creation, output, steps))
        }
        Ok((Begun::Found(live), output)) => Ok(output.of(after(steps, live))),
        Ok((Begun::Failed(error), output)) => {
            let error = after((steps, output), error);
            Err(CreateError::Failed(C::take(error)))
        }
        Err(refused) => Err(after(steps, refused.into())),
    })
}

/// Makes the call's result from that of its creation.
pub(super) fn of_created<M: Creator, O: Output<M>, E>(
    output: O,
    created: Result<LiveEntryOf<M>, CreateError<E>>,
) -> Result<O::Of, CreateError<E>> {
    match created {
        Ok(live) => Ok(output.of(live)),
        Err(error) => Err(after(output, error)),
    }
}

/// Makes an option from the result of a factory whose only error is that there is no such thing.
#[track_caller]
pub(super) fn optional<T>(created: Result<T, CreateError<()>>) -> Option<T> {
    match created {
        Ok(found) => Some(found),
        Err(CreateError::Failed(())) => None,
        Err(CreateError::Refused(refused)) => refused.panic(),
    }
}

/// Drops unused things, as a part of the creation, if that has begun: their drop may ask for the key.
pub(super) fn drop_unused<'a, M: Creates, T, O, E>(
    unused: T,
    output: O,
    begun: Result<Begun<'a, M>, E>,
) -> Result<(Begun<'a, M>, O), E> {
    match begun {
        Ok(Begun::Ours(creation)) => {
            if std::mem::needs_drop::<T>() {
                creation.during(|_| drop(unused));
            }
            Ok((Begun::Ours(creation), output))
        }
        Ok(begun) => Ok((after(unused, begun), output)),
        Err(error) => Err(after((unused, output), error)),
    }
}
