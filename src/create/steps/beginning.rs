//! The beginning of a creation: the caller leads its flight, or somebody else has made the value meanwhile.
//!
//! In an exclusive map the value before may have to end first. A caller that waits for that leads no flight:
//! else others would wait for it, among them perhaps the very destructor that has to end, and a future that
//! waits may never be polled again. So the flight is left, and joined again after the end.

use super::{Accepts, Creates, Creation};
use crate::create::error::{ClosedError, Refused};
use crate::create::flight::{Flight, FlightTable, Joined, SharedError, Turn};
use crate::deadlock::cycle::CycleError;
use crate::deadlock::frames::{self, Asker, Part};
use crate::deadlock::waits::Waiting;
use crate::deadlock::work::{Describe, Work};
use crate::memory::panics::after;
use crate::table::exclusive::InTheWay;
use std::sync::Arc;
#[cfg(feature = "async")]
use std::task::Poll;

pub(crate) enum Begun<'a, M: Creates> {
    Ours(Creation<'a, M>),
    Found(M::LiveEntry),
    /// Somebody else has failed, with an error that the caller takes as its own.
    Failed(SharedError),
}

type FlightOf<M> = Arc<Flight<<M as Creates>::PendingKey, <M as Creates>::LiveEntry>>;
type JoinedOf<'a, M> = Joined<'a, <M as Creates>::PendingKey, <M as Creates>::LiveEntry>;
type TurnOf<'a, M> = Turn<'a, <M as Creates>::PendingKey, <M as Creates>::LiveEntry>;

enum NextStep<'a, M: Creates> {
    Nothing(Begun<'a, M>),
    Join(FlightOf<M>),
    /// Joins when something has ended.
    Await(InTheWay, FlightOf<M>),
}

/// Begins a creation. None if one is under way, or would have to wait.
pub(crate) fn try_begin<'a, M: Creates>(
    map: &'a M,
    hash: u64,
    pending_key: M::PendingKey,
    accepts: &impl Accepts<M::LiveEntry>,
) -> Result<Option<Begun<'a, M>>, ClosedError> {
    let mut mine = Flight::new(hash, pending_key, accepts.shares());
    loop {
        if let Some(closed) = map.refused() {
            return when_closed(map, hash, mine, accepts, closed).map(Some);
        }
        let turn = match join(map, mine) {
            Joined::Leader(leader) => Turn::Create(leader),
            Joined::Waiter(waiter) => match waiter.now() {
                Some(turn) => turn,
                None => return Ok(None),
            },
        };
        match next(map, hash, turn, accepts)? {
            NextStep::Nothing(begun) => return Ok(Some(begun)),
            NextStep::Join(flight) => mine = flight,
            NextStep::Await(..) => return Ok(None),
        }
    }
}

/// Begins a creation, or waits for the one that is under way.
pub(crate) fn begin<'a, M: Creates>(
    map: &'a M,
    hash: u64,
    pending_key: M::PendingKey,
    accepts: &impl Accepts<M::LiveEntry>,
) -> Result<Begun<'a, M>, Refused> {
    let around = map.flights().around_sleep();
    let mut mine = Flight::new(hash, pending_key, accepts.shares());
    loop {
        if let Some(closed) = map.refused() {
            return Ok(when_closed(map, hash, mine, accepts, closed)?);
        }
        let turn = match join(map, mine) {
            Joined::Leader(leader) => Turn::Create(leader),
            Joined::Waiter(waiter) => waiter.wait(around).map_err(|cycle| cycle.around(around))?,
        };
        mine = match next(map, hash, turn, accepts)? {
            NextStep::Nothing(begun) => return Ok(begun),
            NextStep::Join(flight) => flight,
            NextStep::Await(in_the_way, flight) => {
                let begin = |asker| begin_waiting(map, &flight, &in_the_way, asker);
                match wait(&in_the_way, begin, |sleep| around.run(sleep)) {
                    Ok(()) => flight,
                    Err(cycle) => return Err(after(flight, cycle.around(around).into())),
                }
            }
        };
    }
}

#[cfg(feature = "async")]
pub(crate) async fn begin_async<M: Creates, A: Accepts<M::LiveEntry>>(
    map: &M,
    hash: u64,
    pending_key: M::PendingKey,
    accepts: A,
) -> Result<(Begun<'_, M>, A), Refused> {
    let around = map.flights().around_sleep();
    let mut mine = Flight::new(hash, pending_key, accepts.shares());
    loop {
        if let Some(closed) = map.refused() {
            let begun = when_closed(map, hash, mine, &accepts, closed)?;
            return Ok((begun, accepts));
        }
        let turn = match join(map, mine) {
            Joined::Leader(leader) => Turn::Create(leader),
            Joined::Waiter(waiter) => {
                let turn = waiter.wait_async().await;
                turn.map_err(|cycle| cycle.around(around))?
            }
        };
        mine = match next(map, hash, turn, &accepts)? {
            NextStep::Nothing(begun) => return Ok((begun, accepts)),
            NextStep::Join(flight) => flight,
            NextStep::Await(in_the_way, flight) => {
                let begin = |asker| begin_waiting(map, &flight, &in_the_way, asker);
                match wait_async(&in_the_way, begin).await {
                    Ok(()) => flight,
                    Err(cycle) => return Err(after(flight, cycle.around(around).into())),
                }
            }
        };
    }
}

impl<M: Creates> Creation<'_, M> {
    /// Returns what has to end before the value may be made. A part of the creation: whether a pointer is
    /// dead is asked of user code.
    fn in_the_way(&self) -> Option<InTheWay> {
        let look = || self.during(|_| self.map.in_the_way(self.hash));
        self.map.is_exclusive().then(look).flatten()
    }

    /// Waits for what has to end before the value may be made, if the creation has begun some time ago:
    /// somebody may have entered a value meanwhile, which is about to end. Others wait for the caller.
    pub(in crate::create) fn wait_for_ends(&self) -> Result<(), CycleError> {
        while let Some(in_the_way) = self.in_the_way() {
            // (Not by `during`: the edge is to last longer than that part.)
            let begin = |asker| self.during_as(Part::Closed, |_| in_the_way.begin_waiting(asker));
            // A hook may ask for the key that is being created.
            let around = self.map.flights().around_sleep();
            let sleep = |sleep: &mut dyn FnMut()| {
                self.during_as(Part::Closed, |_| around.run(sleep));
            };
            wait(&in_the_way, begin, sleep).map_err(|cycle| cycle.around(around))?;
        }
        Ok(())
    }
}

fn join<M: Creates>(map: &M, mine: FlightOf<M>) -> JoinedOf<'_, M> {
    let flights: &FlightTable<_, _> = map.flights();
    flights.join(mine, &|one, other| map.same(one, other))
}

/// Looks up what is there, as nothing can be entered any more. Waits for nobody: all creators are refused.
#[cold]
fn when_closed<'a, M: Creates>(
    map: &'a M,
    hash: u64,
    mine: FlightOf<M>,
    accepts: &impl Accepts<M::LiveEntry>,
    closed: ClosedError,
) -> Result<Begun<'a, M>, ClosedError> {
    let found = map.look(hash, mine.pending_key());
    let found = found.filter(|found| accepts.accepts(found));
    after(mine, found.map(Begun::Found).ok_or(closed))
}

fn next<'a, M: Creates>(
    map: &'a M,
    hash: u64,
    turn: TurnOf<'a, M>,
    accepts: &impl Accepts<M::LiveEntry>,
) -> Result<NextStep<'a, M>, ClosedError> {
    let leader = match turn {
        Turn::Create(leader) => leader,
        Turn::Done(live, own) => {
            // If it is not accepted, somebody has entered it meanwhile without a creation.
            let accepted = accepts.accepts(&live);
            let live = match own {
                Some(own) if !accepted => return Ok(NextStep::Join(after(live, own))),
                own => after(own, live),
            };
            map.settle(&live, None);
            return Ok(NextStep::Nothing(Begun::Found(live)));
        }
        Turn::Draft(draft) => return Ok(NextStep::Nothing(Begun::Found(draft))),
        Turn::Failed(error) => return Ok(NextStep::Nothing(Begun::Failed(error))),
        Turn::Again(own) => return Ok(NextStep::Join(own)),
    };
    let mut creation = Creation { map, hash, leader };
    let other_flights = creation.leader.take_other_flights();
    // The last creator may have left between the caller's look-up and its joining. Comparing keys is user
    // code, which may ask for this key; so is `accepts`, and the drop of other keys.
    let found = creation.during(|pending_key| {
        drop(other_flights);
        loop {
            let found = map.look(hash, pending_key)?;
            if accepts.accepts(&found) {
                break Some(found);
            }
            map.take_out(&found);
        }
    });
    if let Some(live) = found {
        return Ok(NextStep::Nothing(Begun::Found(
            creation.leader.publish(live),
        )));
    }
    creation.leader.flight().mark_making();
    if let Some(closed) = map.refused() {
        return Err(closed);
    }
    Ok(match creation.in_the_way() {
        Some(in_the_way) => NextStep::Await(in_the_way, creation.leader.step_down()),
        None => NextStep::Nothing(Begun::Ours(creation)),
    })
}

/// Adds the edge of a caller that is about to wait for an end, for the sake of this key.
fn begin_waiting<M: Creates>(
    map: &M,
    flight: &FlightOf<M>,
    in_the_way: &InTheWay,
    asker: Asker,
) -> Result<Waiting, CycleError> {
    // Nobody waits for this work: it is there for the text of an error.
    let describe: Describe<'_> = &|f| map.name(flight.pending_key(), f);
    frames::during(&Work::new(), describe, Part::Closed, || {
        in_the_way.begin_waiting(asker)
    })
}

fn wait(
    in_the_way: &InTheWay,
    begin: impl FnOnce(Asker) -> Result<Waiting, CycleError>,
    around: impl FnOnce(&mut dyn FnMut()),
) -> Result<(), CycleError> {
    if let Some(listener) = in_the_way.listen() {
        let _waiting = begin(Asker::Thread)?;
        around(&mut || listener.wait());
    }
    Ok(())
}

#[cfg(feature = "async")]
async fn wait_async(
    in_the_way: &InTheWay,
    begin: impl Fn(Asker) -> Result<Waiting, CycleError>,
) -> Result<(), CycleError> {
    let Some(listener) = in_the_way.listen() else {
        return Ok(());
    };
    // The edge of the last poll.
    let mut waiting: Option<Waiting> = None;
    std::future::poll_fn(|context| {
        waiting = None;
        let polled = listener.poll(context);
        if polled.is_pending() {
            match begin(Asker::Task) {
                Ok(begun) => waiting = Some(begun),
                Err(cycle) => return Poll::Ready(Err(cycle)),
            }
        }
        polled.map(Ok)
    })
    .await
}
