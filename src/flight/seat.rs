//! The right to create.

use super::{take_off, tie_of, Flight, Lane};
use crate::frames::{self, Describe, Opening};
use crate::node::Node;
use crate::sync::Ordering;
use crate::tie::{Tie, Tied};
use crate::waits::{self, Wanted};
use std::sync::Arc;

/// The right to create, and the duty to end the flight; dropped without a result, it goes to one of those who wait.
pub(crate) struct Seat<'a, T, R> {
    lane: &'a Lane<T, R>,
    flight: Arc<Flight<T, R>>,
    /// The flight is not on its list any more.
    ended: bool,
    /// The others of its family have been told that it is entered.
    pub(super) is_in: bool,
}

impl<'a, T, R> Seat<'a, T, R> {
    pub(super) fn new(lane: &'a Lane<T, R>, flight: Arc<Flight<T, R>>) -> Self {
        Self {
            lane,
            flight,
            ended: false,
            is_in: false,
        }
    }
}

impl<T, R: Clone> Seat<'_, T, R> {
    /// What all passengers share.
    pub(crate) fn ticket(&self) -> &T {
        &self.flight.ticket
    }

    /// Runs a part of the creation, on this thread and now.
    pub(crate) fn during<U>(
        &self,
        describe: Describe<'_>,
        opening: Option<Opening<'_>>,
        f: impl FnOnce() -> U,
    ) -> U {
        frames::during(self.flight.work(), describe, opening, f)
    }

    /// Whether it was given something unfinished, or has been given to others unfinished.
    pub(crate) fn is_tied(&self) -> bool {
        self.flight.is_tied()
    }

    /// Lets those have the value who must not wait for it. It lives in this node.
    pub(crate) fn set_draft(&self, draft: R, node: Node) {
        let tie = self.tie();
        // Nobody else sets it: only who has the seat does, and once.
        let _ = self.flight.draft.set(draft);
        tie.set_draft(node);
    }

    /// What this waits for when it is ready.
    pub(crate) fn wanted(&self) -> Wanted {
        Wanted {
            work: self.flight.work(),
            tie: Some(self.tie()),
            is_own: true,
        }
    }

    /// Gives up what is ready, unless it has been decided that it is entered.
    pub(crate) fn withdraw(&self) -> bool {
        waits::withdraw(self.flight.work(), &self.tie())
    }

    /// Leaves the seat without giving it up; see [`Flights::resume`].
    pub(crate) fn leave(mut self) -> Left<T, R> {
        self.ended = true;
        Left {
            flight: Arc::clone(&self.flight),
            is_in: self.is_in,
        }
    }

    /// Waits until its family is entered, if it has one. To be called when the value is.
    pub(crate) fn wait_for_family(&mut self) {
        self.is_in();
        if let Some(family) = self.flight.tie.get().and_then(|tie| tie.entering()) {
            family.wait_for_all();
        }
    }

    /// Ends the flight: all who wait get the result.
    pub(crate) fn land(mut self, result: R) -> R {
        let flight = &self.flight;
        // Until nobody waits, or there is something for those who do: what it takes to clone it is user code, which may panic while the flight is
        // still on its list.
        let mut for_others = None;
        loop {
            let ended = self.lane.0.with(|list| {
                let ends = for_others.is_some() || flight.waiting.load(Ordering::Relaxed) == 0;
                if ends {
                    take_off(list, flight);
                }
                ends
            });
            if ended {
                break;
            }
            for_others = Some(result.clone());
        }
        self.ended = true;
        if let Some(result) = for_others {
            // Nobody else sets it: only who has the seat does.
            let _ = self.flight.result.set(result);
            self.flight.wake_all();
            // Whoever makes the tie later than this sees the result.
            let tie = self.lane.0.with(|_| self.flight.tie.get());
            if let Some(tie) = tie {
                tie.changed.notify_all();
            }
        }
        // Here: it may drop a key, and if that panics, `result` is still ours to drop.
        drop(self);
        result
    }
}

impl<T, R> Tied for Seat<'_, T, R> {
    fn tie(&self) -> Arc<Tie> {
        tie_of(self.lane, &self.flight)
    }
}

impl<T, R> Seat<'_, T, R> {
    /// Lets the family know that the value is entered, or will never be.
    pub(crate) fn is_in(&mut self) {
        let family = self.flight.tie.get().and_then(|tie| tie.entering());
        if let Some(family) = family.filter(|_| !self.is_in) {
            family.one_is_in();
            self.is_in = true;
        }
    }
}

/// A flight whose seat waits for somebody to resume it.
pub(crate) struct Left<T, R> {
    pub(super) flight: Arc<Flight<T, R>>,
    pub(super) is_in: bool,
}

impl<T, R> Drop for Seat<'_, T, R> {
    /// Gives up, if the flight has not ended.
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.is_in();
        let flight = &self.flight;
        if let Some(tie) = flight.tie.get().filter(|tie| tie.is_tied()) {
            waits::give_up(flight.work(), tie);
        }
        let (all, tie) = self.lane.0.with(|list| {
            let for_all = flight.draft.get().is_some();
            if for_all || flight.waiting.load(Ordering::Relaxed) == 0 {
                take_off(list, flight);
                flight.ended.store(true, Ordering::Relaxed);
            } else {
                flight.vacant.store(true, Ordering::Relaxed);
            }
            let all = for_all || flight.polled.load(Ordering::Relaxed);
            (all, flight.tie.get())
        });
        flight.wake(all);
        if let Some(tie) = tie {
            tie.changed.notify_all();
        }
    }
}
