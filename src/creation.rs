//! From a miss to an entry that all who asked for it share: the steps of a creation, for every map, and whoever takes them.
//!
//! ```text
//!  board a flight ─► take the seat, or wait ─► look again ─► make the value ─► enter it ─► land ─► settle
//! ```
//!
//! Between boarding and landing others sleep, so whatever user code need not run there runs when the creation is settled.

use crate::cycle::CycleError;
use crate::engine::InTheWay;
use crate::error::{ClosedError, Refusal};
use crate::flight::{Boarded, Flights, Seat, Turn};
use crate::sync::{self, Listener};
use crate::waits::{self, Waiting};
use std::fmt;
#[cfg(feature = "async")]
use std::future::Future;

/// What differs from map to map. Equality, naming and entering run user code, with no lock held.
pub(crate) trait Creates {
    /// The key, as those who wait for it compare it.
    type Ticket;
    /// What is entered: all who ask get a clone.
    type Landed: Clone;
    /// What a factory's result is made into.
    type Made;
    /// What can only be dropped, or told, when nobody waits any more.
    type Rest;

    fn flights(&self) -> &Flights<Self::Ticket, Self::Landed>;

    fn same(&self, one: &Self::Ticket, other: &Self::Ticket) -> bool;

    /// Writes the key, or something in its place, for the text of an error.
    fn name(&self, ticket: &Self::Ticket, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// What is entered by now. Does not take out what is dead.
    fn look(&self, hash: u64, ticket: &Self::Ticket) -> Option<Self::Landed>;

    /// What has to end before a value with this hash may be made.
    fn in_the_way(&self, hash: u64) -> InTheWay<'_> {
        let _ = hash;
        InTheWay::Nothing
    }

    /// Nothing can be entered any more.
    fn refused(&self) -> Option<ClosedError>;

    /// Enters what was made, unless there is something already that is accepted. Called once for a ticket whose flight it ends.
    fn enter(
        &self,
        hash: u64,
        ticket: &Self::Ticket,
        made: Self::Made,
        accept: &dyn Fn(&Self::Landed) -> bool,
    ) -> (Self::Landed, Self::Rest);

    /// What is left to do after the landing: `rest` if this call has entered it, none if another one has.
    fn settle(&self, landed: &Self::Landed, rest: Option<Self::Rest>) -> Result<(), ClosedError>;
}

/// A key of which the caller is the creator, until this is dropped or something is entered.
pub(crate) struct Creation<'a, M: Creates> {
    map: &'a M,
    hash: u64,
    seat: Seat<'a, M::Ticket, M::Landed>,
}

/// How it begins.
pub(crate) enum Begun<'a, M: Creates> {
    /// It is for the caller to create.
    Ours(Creation<'a, M>),
    /// Somebody else has, or had.
    Landed(M::Landed),
}

impl<'a, M: Creates> Creation<'a, M> {
    /// Begins a creation, unless one is under way: none then.
    pub(crate) fn try_begin(
        map: &'a M,
        hash: u64,
        ticket: M::Ticket,
        accept: &dyn Fn(&M::Landed) -> bool,
    ) -> Result<Option<Begun<'a, M>>, ClosedError> {
        let turn = match board(map, hash, ticket) {
            Boarded::First(seat) => Some(Turn::Create(seat)),
            Boarded::Later(passenger) => passenger.turn(),
        };
        let begun = turn.map(|turn| Self::after(map, hash, turn, accept));
        let begun = begun.transpose()?;
        Ok(begun.filter(|begun| match begun {
            Begun::Ours(creation) => matches!(map.in_the_way(creation.hash), InTheWay::Nothing),
            Begun::Landed(_) => true,
        }))
    }

    /// As [`begin`](Self::begin), without holding up a thread.
    #[cfg(feature = "async")]
    pub(crate) async fn begin_async(
        map: &'a M,
        hash: u64,
        ticket: M::Ticket,
    ) -> Result<Begun<'a, M>, Refusal> {
        let turn = match board(map, hash, ticket) {
            Boarded::First(seat) => Turn::Create(seat),
            Boarded::Later(passenger) => passenger.wait_async().await?,
        };
        let creation = match Self::after(map, hash, turn, &|_| true)? {
            Begun::Ours(creation) => creation,
            landed => return Ok(landed),
        };
        let mut waited = false;
        while let Some((listener, _waiting)) = creation.next_to_wait_for()? {
            listener.wait_async().await;
            waited = true;
        }
        match waited {
            true => Ok(creation.look_again(&|_| true)?),
            false => Ok(Begun::Ours(creation)),
        }
    }

    /// What follows the boarding.
    fn after(
        map: &'a M,
        hash: u64,
        turn: Turn<'a, M::Ticket, M::Landed>,
        accept: &dyn Fn(&M::Landed) -> bool,
    ) -> Result<Begun<'a, M>, ClosedError> {
        match turn {
            Turn::Create(seat) => Self { map, hash, seat }.look_again(accept),
            Turn::Landed(landed) => {
                map.settle(&landed, None)?;
                Ok(Begun::Landed(landed))
            }
        }
    }

    /// Begins a creation, or waits for the one that is under way.
    pub(crate) fn begin(
        map: &'a M,
        hash: u64,
        ticket: M::Ticket,
        accept: &dyn Fn(&M::Landed) -> bool,
    ) -> Result<Begun<'a, M>, Refusal> {
        let turn = match board(map, hash, ticket) {
            Boarded::First(seat) => Turn::Create(seat),
            Boarded::Later(passenger) => passenger.wait()?,
        };
        let creation = match Self::after(map, hash, turn, accept)? {
            Begun::Ours(creation) => creation,
            landed => return Ok(landed),
        };
        let mut waited = false;
        while let Some((listener, _waiting)) = creation.next_to_wait_for()? {
            listener.wait();
            waited = true;
        }
        match waited {
            true => Ok(creation.look_again(accept)?),
            false => Ok(Begun::Ours(creation)),
        }
    }

    /// What has to be waited for before the value may be made: the end of the one that was there before.
    fn next_to_wait_for(&self) -> Result<Option<(Listener, Waiting)>, CycleError> {
        let mut round = 0;
        loop {
            let ended = match self.map.in_the_way(self.hash) {
                InTheWay::Nothing => return Ok(None),
                InTheWay::Soon => {
                    sync::relax(round);
                    round += 1;
                    continue;
                }
                InTheWay::Dying(_, ended) => ended,
            };
            let listener = ended.listen();
            // Again, as what has ended before is not listened to.
            let InTheWay::Dying(death, _) = self.map.in_the_way(self.hash) else {
                continue;
            };
            return self.during(|_| {
                if death.is_own() {
                    return Err(waits::own_cycle(death.work));
                }
                Ok(Some((listener, Waiting::begin(death.work)?)))
            });
        }
    }

    /// Whoever created it last may have left between the caller's look at the index and the boarding.
    fn look_again(self, accept: &dyn Fn(&M::Landed) -> bool) -> Result<Begun<'a, M>, ClosedError> {
        if let Some(landed) = self.map.look(self.hash, self.ticket()).filter(accept) {
            return Ok(Begun::Landed(self.seat.land(landed)));
        }
        match self.map.refused() {
            Some(closed) => Err(closed),
            None => Ok(Begun::Ours(self)),
        }
    }

    pub(crate) fn ticket(&self) -> &M::Ticket {
        self.seat.ticket()
    }

    /// Runs a part of the creation, so that what it waits for is known to be for this key.
    pub(crate) fn during<R>(&self, f: impl FnOnce(&M::Ticket) -> R) -> R {
        self.seat
            .during(&|f| self.map.name(self.ticket(), f), || f(self.ticket()))
    }

    /// Gives up, for this reason.
    fn fail<E>(self, error: E) -> E {
        // Here: it may drop the key, and if that panics, `error` is still ours to drop.
        drop(self);
        error
    }

    /// Enters what was made. All who wait get that, or what somebody has entered meanwhile without a creation.
    pub(crate) fn finish(
        self,
        made: M::Made,
        accept: &dyn Fn(&M::Landed) -> bool,
    ) -> Result<M::Landed, ClosedError> {
        if let Some(closed) = self.map.refused() {
            // Before `made` is dropped: those who wait are refused too.
            drop(self);
            return Err(closed);
        }
        let (landed, rest) = self.map.enter(self.hash, self.seat.ticket(), made, accept);
        let landed = self.seat.land(landed);
        self.map.settle(&landed, Some(rest))?;
        Ok(landed)
    }
}

/// Joins the flight of a key, or begins one.
fn board<M: Creates>(map: &M, hash: u64, ticket: M::Ticket) -> Boarded<'_, M::Ticket, M::Landed> {
    let same = |one: &_, other: &_| map.same(one, other);
    map.flights().board(hash, ticket, &same)
}

/// What `make` makes for a key, or what another creator of the same key is about to make; what is there already, if it is accepted.
///
/// A panic of `make` goes to the caller, an error too; in both cases one of those who wait creates next.
#[cold]
pub(crate) fn get_or_create<M: Creates, E>(
    map: &M,
    hash: u64,
    ticket: M::Ticket,
    accept: &dyn Fn(&M::Landed) -> bool,
    make: impl FnOnce(&M::Ticket) -> Result<M::Made, E>,
    refused: impl Fn(Refusal) -> E,
) -> Result<M::Landed, E> {
    match Creation::begin(map, hash, ticket, accept).map_err(&refused)? {
        Begun::Landed(landed) => Ok(landed),
        Begun::Ours(creation) => {
            let made = match creation.during(make) {
                Ok(made) => made,
                Err(error) => return Err(creation.fail(error)),
            };
            let finished = creation.finish(made, accept);
            finished.map_err(|closed| refused(Refusal::Closed(closed)))
        }
    }
}

/// As [`get_or_create`], without holding up a thread. A future that is dropped gives up, and leaves the creation to one of those who wait.
#[cfg(feature = "async")]
pub(crate) async fn get_or_create_async<M: Creates, E>(
    map: &M,
    hash: u64,
    ticket: M::Ticket,
    make: impl AsyncFnOnce(&M::Ticket) -> Result<M::Made, E>,
    refused: impl Fn(Refusal) -> E,
) -> Result<M::Landed, E> {
    match Creation::begin_async(map, hash, ticket)
        .await
        .map_err(&refused)?
    {
        Begun::Landed(landed) => Ok(landed),
        Begun::Ours(creation) => {
            let made = {
                let mut making = std::pin::pin!(make(creation.ticket()));
                let poll = |context: &mut std::task::Context<'_>| {
                    creation.during(|_| making.as_mut().poll(context))
                };
                std::future::poll_fn(poll).await
            };
            let made = match made {
                Ok(made) => made,
                Err(error) => return Err(creation.fail(error)),
            };
            let finished = creation.finish(made, &|_| true);
            finished.map_err(|closed| refused(Refusal::Closed(closed)))
        }
    }
}
