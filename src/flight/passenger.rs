//! One who waits for a creation.

use super::{take_off, tie_of, Flight, Lane, Seat, Turn};
use crate::cycle::CycleError;
use crate::frames::{self, Work};
use crate::sync::{self, Ordering};
use crate::tie::Tie;
#[cfg(feature = "async")]
use crate::waits::Began;
use crate::waits::{self, Ended, Waiting, Wanted};
use std::sync::Arc;

/// What one who waits can see.
enum Sight<'a, T, R> {
    /// The seat is the caller's now.
    Vacant(Seat<'a, T, R>),
    Landed(R),
    /// A draft, for one who must not wait.
    Unfinished(R),
    /// The flight was given up for all.
    Ended,
}

/// One who waits, until it is dropped.
pub(crate) struct Passenger<'a, T, R> {
    lane: &'a Lane<T, R>,
    pub(super) flight: Arc<Flight<T, R>>,
    /// What it would have flown itself: its own ticket.
    pub(super) own: Option<Arc<Flight<T, R>>>,
}

impl<'a, T, R> Passenger<'a, T, R> {
    pub(super) fn new(lane: &'a Lane<T, R>, flight: Arc<Flight<T, R>>) -> Self {
        Self {
            lane,
            flight,
            own: None,
        }
    }
}

impl<'a, T, R: Clone> Passenger<'a, T, R> {
    /// Sleeps until there is a result, or the seat is vacant and the caller's.
    pub(crate) fn wait(self) -> Result<Turn<'a, T, R>, CycleError> {
        let sight = self.wait_here()?;
        Ok(self.take(sight))
    }

    /// As `wait`, if there is nothing to wait for.
    pub(crate) fn now(self) -> Option<Turn<'a, T, R>> {
        let sight = self.look();
        let sight = sight.or_else(|| self.unfinished().map(Sight::Unfinished))?;
        Some(self.take(sight))
    }

    fn take(mut self, sight: Sight<'a, T, R>) -> Turn<'a, T, R> {
        let turn = match sight {
            Sight::Vacant(seat) => Turn::Create(seat),
            Sight::Landed(result) => Turn::Landed(result),
            Sight::Unfinished(draft) => Turn::Unfinished(draft),
            Sight::Ended => {
                let own = self.own.take().and_then(Arc::into_inner);
                Turn::Again(own.expect("brought along, and nobody else's").ticket)
            }
        };
        // Here, not at the end of the scope: if a destructor panics, what has come of it is still ours to drop.
        drop(self);
        turn
    }

    fn wait_here(&self) -> Result<Sight<'a, T, R>, CycleError> {
        let work = self.flight.work();
        if frames::is_inside_any() {
            return self.wait_inside(work);
        }
        // Many factories take less time than falling asleep does.
        for round in 0..sync::spins_for_a_flight() {
            if let Some(sight) = self.look() {
                return Ok(sight);
            }
            sync::relax(round);
        }
        loop {
            if let Some(sight) = self.look() {
                return Ok(sight);
            }
            self.flight.dormitory.sleep_while(|| self.flight.goes_on());
        }
    }

    /// As `wait`, in the middle of something.
    #[cold]
    fn wait_inside(&self, work: Work) -> Result<Sight<'a, T, R>, CycleError> {
        if frames::is_inside(work) {
            let unfinished = self.unfinished().map(Sight::Unfinished);
            return unfinished.ok_or_else(|| waits::own_cycle(work));
        }
        let tie = tie_of(self.lane, &self.flight);
        let wanted = self.wanted(Some(&tie));
        loop {
            let listener = tie.changed.listen();
            if let Some(sight) = self.look() {
                return Ok(sight);
            }
            let ended = Waiting::sleep(&wanted, listener)?;
            if let (Ended::Given, Some(draft)) = (ended, self.flight.draft.get()) {
                return Ok(Sight::Unfinished(draft.clone()));
            }
        }
    }

    /// The value as it is, if the caller is in the middle of something that must not wait for it.
    #[cold]
    pub(crate) fn unfinished(&self) -> Option<R> {
        let draft = self.flight.draft.get()?;
        let tie = self.flight.tie.get()?;
        let given = tie.is_as_good_as_entered() || waits::give(&self.wanted(Some(tie)));
        given.then(|| draft.clone())
    }

    fn wanted(&self, tie: Option<&Arc<Tie>>) -> Wanted {
        Wanted {
            work: self.flight.work(),
            tie: tie.cloned(),
            is_own: false,
        }
    }

    /// As [`wait`](Self::wait), without holding up a thread.
    #[cfg(feature = "async")]
    pub(crate) async fn wait_async(self) -> Result<Turn<'a, T, R>, CycleError> {
        let sight = self.wait_here_async().await?;
        Ok(self.take(sight))
    }

    #[cfg(feature = "async")]
    async fn wait_here_async(&self) -> Result<Sight<'a, T, R>, CycleError> {
        let work = self.flight.work();
        if frames::is_inside(work) {
            return Err(waits::own_cycle(work));
        }
        let lane = self.lane;
        lane.0
            .with(|_| self.flight.polled.store(true, Ordering::Relaxed));
        // A task is given nothing unfinished: what it makes of that might end on any thread.
        let wanted = self.wanted(None);
        loop {
            let listener = self.flight.changed.listen();
            if let Some(sight) = self.look() {
                return Ok(sight);
            }
            if let Began::Waiting(_waiting) = Waiting::begin(&wanted)? {
                listener.wait_async().await;
            }
        }
    }

    /// What the waiting has come to, if it is over.
    fn look(&self) -> Option<Sight<'a, T, R>> {
        if let Some(result) = self.flight.result.get() {
            return Some(Sight::Landed(result.clone()));
        }
        let lane = self.lane;
        if self.flight.ended.load(Ordering::Relaxed) {
            return Some(Sight::Ended);
        }
        if let (Some(tie), Some(draft)) = (self.flight.tie.get(), self.flight.draft.get()) {
            // Whoever has adopted it may wait for the caller, if that is in the middle of something.
            if tie.is_as_good_as_entered() && frames::is_inside_any() {
                return Some(Sight::Unfinished(draft.clone()));
            }
        }
        // Looked at again under the lock.
        if !self.flight.vacant.load(Ordering::Relaxed) {
            return None;
        }
        let ours = lane.0.with(|_| {
            let ours = self.flight.vacant.load(Ordering::Relaxed);
            if ours {
                self.flight.vacant.store(false, Ordering::Relaxed);
            }
            ours
        });
        ours.then(|| Sight::Vacant(Seat::new(lane, Arc::clone(&self.flight))))
    }
}

impl<T, R> Drop for Passenger<'_, T, R> {
    /// Nobody else need be woken: whoever was woken for a vacant seat has looked, or is a task, and of those all were woken.
    fn drop(&mut self) {
        let flight = &self.flight;
        self.lane.0.with(|list| {
            let left = flight.waiting.fetch_sub(1, Ordering::Relaxed) - 1;
            if left == 0 && flight.vacant.load(Ordering::Relaxed) {
                take_off(list, flight);
            }
        });
    }
}
