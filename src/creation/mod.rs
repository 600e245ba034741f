//! From a miss to an entry that all who asked for it share: the steps of a creation, for every map, and whoever takes them.
//!
//! ```text
//!  board a flight ─► take the seat, or wait ─► look again ─► make the value ──────────────────────────► enter it ─► land ─► settle
//!                                                  └► allocate it: the draft ─► initialise it ─► wait for what it is tied to ─┘
//! ```
//!
//! Between boarding and landing others sleep, so whatever user code need not run there runs when the creation is settled.
//!
//! A creation that is tied to others (see `waits`) is not entered before they are ready too. Its thread sleeps meanwhile, unless one of them is further out on the same
//! thread, or waits for this one: then the value goes on as it is, and what is left to do is *adopted* by the creation further out.

mod pending;

use crate::cycle::CycleError;
use crate::engine::InTheWay;
use crate::error::{ClosedError, Refusal};
use crate::flight::{Boarded, Flights, Seat, Turn};
use crate::frames::{self, Adopted, Opening};
use crate::node::Node;
use crate::panics::Panics;
use crate::sync::{self, Listener};
use crate::tie::{Fate, Tied};
use crate::waits::{self, Began, Ended, Waiting, Wanted};
use pending::Pending;
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
    /// What of the map is needed to enter something later: it shares all else with it, and may outlive it.
    type Grip: Creates<Ticket = Self::Ticket, Landed = Self::Landed, Made = Self::Made> + 'static;

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

    /// Makes what was made for a ticket complete before it is entered. Called once for a ticket.
    fn draft(&self, hash: u64, ticket: &Self::Ticket, made: Self::Made) -> Self::Landed;

    /// Where it lives.
    fn node(landed: &Self::Landed) -> Node;

    /// As `enter`, of a draft.
    fn enter_draft(
        &self,
        hash: u64,
        ticket: &Self::Ticket,
        draft: Self::Landed,
    ) -> (Self::Landed, Self::Rest);

    fn grip(&self) -> Self::Grip;

    /// What is left to do after the landing: `rest` if this call has entered it, none if another one has.
    fn settle(&self, landed: &Self::Landed, rest: Option<Self::Rest>) -> Result<(), ClosedError>;

    /// What of that is left to do when the landing has panicked.
    fn abandon(&self, rest: Self::Rest) {
        drop(rest);
    }
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

/// What comes before the making of a value.
enum Before {
    Nothing,
    /// Another look.
    Soon,
    /// The end of the one before.
    End(Listener, Waiting),
}

/// What may be found in the place of the value that is to be made.
pub(crate) enum Accept<'a, L> {
    /// Whatever is alive.
    All,
    /// What this says yes to. The rest makes way.
    If(&'a dyn Fn(&L) -> bool),
}

impl<L> Clone for Accept<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for Accept<'_, L> {}

impl<L> Accept<'_, L> {
    #[inline(always)]
    pub(crate) fn accepts(&self, landed: &L) -> bool {
        match self {
            Self::All => true,
            Self::If(accept) => accept(landed),
        }
    }
}

impl<'a, M: Creates> Creation<'a, M> {
    /// Begins a creation, unless one is under way: none then.
    pub(crate) fn try_begin(
        map: &'a M,
        hash: u64,
        ticket: M::Ticket,
    ) -> Result<Option<Begun<'a, M>>, ClosedError> {
        let mut ticket = ticket;
        let turn = loop {
            match board(map, hash, ticket) {
                Boarded::First(seat) => break Some(Turn::Create(seat)),
                Boarded::Later(passenger) => match passenger.now() {
                    Some(Turn::Again(own)) => ticket = own,
                    turn => break turn,
                },
            }
        };
        let begun = turn.map(|turn| Self::after(map, hash, turn, Accept::All));
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
        let mut ticket = ticket;
        let turn = loop {
            match board(map, hash, ticket) {
                Boarded::First(seat) => break Turn::Create(seat),
                Boarded::Later(passenger) => match passenger.wait_async().await? {
                    Turn::Again(own) => ticket = own,
                    turn => break turn,
                },
            }
        };
        let mut begun = Self::after(map, hash, turn, Accept::All)?;
        loop {
            let Begun::Ours(creation) = begun else {
                return Ok(begun);
            };
            match creation.next_to_wait_for()? {
                Before::Nothing => return Ok(Begun::Ours(creation)),
                Before::Soon => {}
                Before::End(listener, _waiting) => listener.wait_async().await,
            }
            begun = creation.look_again(Accept::All)?;
        }
    }

    /// What follows the boarding.
    fn after(
        map: &'a M,
        hash: u64,
        turn: Turn<'a, M::Ticket, M::Landed>,
        accept: Accept<'_, M::Landed>,
    ) -> Result<Begun<'a, M>, ClosedError> {
        match turn {
            Turn::Create(seat) => Self { map, hash, seat }.look_again(accept),
            Turn::Landed(landed) => {
                map.settle(&landed, None)?;
                Ok(Begun::Landed(landed))
            }
            Turn::Unfinished(draft) => Ok(Begun::Landed(draft)),
            Turn::Again(_) => unreachable!("boarded again"),
        }
    }

    /// Begins a creation, or waits for the one that is under way.
    pub(crate) fn begin(
        map: &'a M,
        hash: u64,
        ticket: M::Ticket,
        accept: Accept<'_, M::Landed>,
    ) -> Result<Begun<'a, M>, Refusal> {
        let mut ticket = ticket;
        let turn = loop {
            match board(map, hash, ticket) {
                Boarded::First(seat) => break Turn::Create(seat),
                Boarded::Later(passenger) => match passenger.wait()? {
                    Turn::Again(own) => ticket = own,
                    turn => break turn,
                },
            }
        };
        let mut begun = Self::after(map, hash, turn, accept)?;
        loop {
            let Begun::Ours(creation) = begun else {
                return Ok(begun);
            };
            match creation.next_to_wait_for()? {
                Before::Nothing => return Ok(Begun::Ours(creation)),
                Before::Soon => {}
                Before::End(listener, _waiting) => listener.wait(),
            }
            begun = creation.look_again(accept)?;
        }
    }

    /// What has to be waited for before the value may be made: the end of the one that was there before.
    fn next_to_wait_for(&self) -> Result<Before, CycleError> {
        for round in 0.. {
            let ended = match self.map.in_the_way(self.hash) {
                InTheWay::Nothing => return Ok(Before::Nothing),
                // A few rounds, and then a look whether somebody has entered a live one.
                InTheWay::Soon => {
                    sync::relax(round);
                    match round {
                        0..8 => continue,
                        _ => return Ok(Before::Soon),
                    }
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
                let wanted = Wanted {
                    work: death.work,
                    tie: None,
                    is_own: false,
                };
                match Waiting::begin(&wanted)? {
                    Began::Waiting(waiting) => Ok(Before::End(listener, waiting)),
                    Began::Given => unreachable!("what dies has no draft"),
                }
            });
        }
        Ok(Before::Soon)
    }

    /// Whoever created it last may have left between the caller's look at the index and the boarding.
    fn look_again(self, accept: Accept<'_, M::Landed>) -> Result<Begun<'a, M>, ClosedError> {
        let found = self.map.look(self.hash, self.ticket());
        if let Some(landed) = found.filter(|landed| accept.accepts(landed)) {
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
        self.during_as(None, f)
    }

    fn during_as<R>(&self, opening: Option<Opening<'_>>, f: impl FnOnce(&M::Ticket) -> R) -> R {
        let describe = |f: &mut fmt::Formatter<'_>| self.map.name(self.ticket(), f);
        self.seat.during(&describe, opening, || f(self.ticket()))
    }

    /// As `during`, of a part that may be given what is unfinished, and leave to us what it has made of that.
    fn during_open<R>(&self, adopted: &Adopted, f: impl FnOnce(&M::Ticket) -> R) -> R {
        let tied: &dyn Tied = &self.seat;
        self.during_as(Some(Opening { tied, adopted }), f)
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
        accept: Accept<'_, M::Landed>,
    ) -> Result<M::Landed, ClosedError> {
        if let Some(closed) = self.map.refused() {
            // Before `made` is dropped: those who wait are refused too.
            drop(self);
            return Err(closed);
        }
        let accept = |landed: &M::Landed| accept.accepts(landed);
        let entered = self.map.enter(self.hash, self.seat.ticket(), made, &accept);
        self.land(entered)
    }

    /// Makes the value and enters it.
    pub(crate) fn create<E>(
        self,
        accept: Accept<'_, M::Landed>,
        make: impl FnOnce(&M::Ticket) -> Result<M::Made, E>,
        refused: impl Fn(Refusal) -> E,
    ) -> Result<M::Landed, E> {
        let adopted = Adopted::default();
        // What takes the place of another value asks for more than can be asked later.
        let made = match accept {
            Accept::All => self.during_open(&adopted, make),
            Accept::If(_) => self.during(make),
        };
        let made = match made {
            Ok(made) => made,
            Err(error) => return Err(self.fail(error)),
        };
        let finished = if self.seat.is_tied() {
            let draft = self.draft(made);
            self.finish_draft(draft, &adopted)
        } else {
            self.finish(made, accept).map_err(Refusal::Closed)
        };
        finished.map_err(refused)
    }

    /// Makes the value in two steps: from the second on it can be given to those who must not wait for it.
    pub(crate) fn create_in_two<E>(
        self,
        allocate: impl FnOnce(&M::Ticket) -> Result<M::Made, E>,
        initialise: impl FnOnce(&M::Landed) -> Result<(), E>,
        refused: impl Fn(Refusal) -> E,
    ) -> Result<M::Landed, E> {
        let adopted = Adopted::default();
        let made = match self.during_open(&adopted, allocate) {
            Ok(made) => made,
            Err(error) => return Err(self.fail(error)),
        };
        let draft = self.draft(made);
        match self.during_open(&adopted, |_| initialise(&draft)) {
            Ok(()) => self.finish_draft(draft, &adopted).map_err(refused),
            Err(error) => {
                drop((adopted, draft));
                Err(self.fail(error))
            }
        }
    }

    /// What was made, complete before it is entered, for those who must not wait for it.
    fn draft(&self, made: M::Made) -> M::Landed {
        let draft = self.map.draft(self.hash, self.ticket(), made);
        self.seat.set_draft(draft.clone(), M::node(&draft));
        draft
    }

    /// Enters a draft that is ready, or leaves that to a creation further out.
    fn finish_draft(mut self, draft: M::Landed, adopted: &Adopted) -> Result<M::Landed, Refusal> {
        if self.seat.is_tied() {
            let wanted = self.seat.wanted();
            let tie = self.seat.tie();
            let text = frames::text(&|f| self.map.name(self.ticket(), f));
            waits::ready(wanted.work, &tie, text);
            loop {
                let listener = tie.changed.listen();
                match tie.fate() {
                    Fate::Entered => break,
                    Fate::GivenUp => return Err(self.fail(CycleError::broken()).into()),
                    Fate::Open => {}
                }
                match Waiting::sleep(&wanted, listener) {
                    Ok(Ended::Woken) => {}
                    Ok(Ended::Given) => return Ok(self.leave_to_outer(draft, adopted)),
                    // Unless it has been decided meanwhile that it is entered.
                    Err(error) if self.seat.withdraw() => return Err(self.fail(error).into()),
                    Err(_) => {}
                }
            }
        }
        let mut panics = Panics::new();
        let mut all = adopted.take();
        for one in &mut all {
            panics.catch(|| one.enter());
        }
        let entered = self.enter_draft(draft);
        // Who waits for one of them finds all.
        self.seat.wait_for_family();
        for one in all {
            panics.catch(|| one.land());
        }
        let landed = self.land(entered?);
        // Here, not at the end of the scope: if it goes on, `landed` is still ours to drop.
        drop(panics);
        Ok(landed?)
    }

    /// The innermost work of this thread settles this creation, and those that it has adopted.
    fn leave_to_outer(self, draft: M::Landed, adopted: &Adopted) -> M::Landed {
        for one in adopted.take() {
            frames::adopt(one);
        }
        let Self { map, hash, seat } = self;
        let pending = Pending::new(map.grip(), hash, draft.clone(), seat.leave());
        frames::adopt(Box::new(pending));
        draft
    }

    /// Enters a draft, for those who do not wait.
    fn enter_draft(&mut self, draft: M::Landed) -> Result<(M::Landed, M::Rest), ClosedError> {
        match self.map.refused() {
            Some(closed) => Err(closed),
            None => Ok(self.map.enter_draft(self.hash, self.ticket(), draft)),
        }
    }

    /// Gives what was entered to those who wait.
    /// Ends the flight with what is entered, and does what is left to do then, also when ending it panics: that may drop a key.
    fn land(self, (landed, rest): (M::Landed, M::Rest)) -> Result<M::Landed, ClosedError> {
        struct Unsettled<'a, M: Creates>(&'a M, Option<M::Rest>);
        impl<M: Creates> Drop for Unsettled<'_, M> {
            fn drop(&mut self) {
                let mut panics = Panics::new();
                panics.catch(|| self.1.take().map(|rest| self.0.abandon(rest)));
            }
        }
        let mut unsettled = Unsettled(self.map, Some(rest));
        let landed = self.seat.land(landed);
        unsettled.0.settle(&landed, unsettled.1.take())?;
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
    accept: Accept<'_, M::Landed>,
    make: impl FnOnce(&M::Ticket) -> Result<M::Made, E>,
    refused: impl Fn(Refusal) -> E,
) -> Result<M::Landed, E> {
    match Creation::begin(map, hash, ticket, accept).map_err(&refused)? {
        Begun::Landed(landed) => Ok(landed),
        Begun::Ours(creation) => creation.create(accept, make, refused),
    }
}

/// As [`get_or_create`], in two steps.
#[cold]
pub(crate) fn get_or_create_in_two<M: Creates, E>(
    map: &M,
    hash: u64,
    ticket: M::Ticket,
    allocate: impl FnOnce(&M::Ticket) -> Result<M::Made, E>,
    initialise: impl FnOnce(&M::Landed) -> Result<(), E>,
    refused: impl Fn(Refusal) -> E,
) -> Result<M::Landed, E> {
    match Creation::begin(map, hash, ticket, Accept::All).map_err(&refused)? {
        Begun::Landed(landed) => Ok(landed),
        Begun::Ours(creation) => creation.create_in_two(allocate, initialise, refused),
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
            let finished = creation.finish(made, Accept::All);
            finished.map_err(|closed| refused(Refusal::Closed(closed)))
        }
    }
}
