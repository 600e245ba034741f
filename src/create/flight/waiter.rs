//! A waiter for somebody else's creation.

use super::{Decision, Flight, JoinedFlights, Leader, Shard, SharedError, SleepingWaiter};
use crate::deadlock::cycle::CycleError;
use crate::deadlock::frames::{self, Asker, Own, Part};
#[cfg(feature = "async")]
use crate::deadlock::waits::Waiting;
use crate::deadlock::waits::WillWait;
use crate::deadlock::work::{Describe, Work, WorkEnd};
use crate::memory::panics::{after, Panics};
use crate::sync::plain::{AtomicBool, Relaxed};
use crate::sync::{self, AroundSleep, Mutex, Ordering, Sleeper};
use std::sync::Arc;
#[cfg(feature = "async")]
use std::task::{ready, Context, Poll};

pub(crate) enum Turn<'a, T, R> {
    Create(Leader<'a, T, R>),
    /// Somebody else has created the value. With the caller's own flight.
    Done(R, Option<Arc<Flight<T, R>>>),
    /// A draft, for the thread that is in the middle of making it.
    Draft(R),
    /// The flight is over, with no result. With the caller's own flight.
    Again(Arc<Flight<T, R>>),
    /// The flight is over, with an error that the caller takes as its own.
    Failed(SharedError),
}

/// An owner of somebody else's flight, until it is dropped.
pub(crate) struct Waiter<'a, T, R> {
    shard: &'a Shard<T, R>,
    flight: Arc<Flight<T, R>>,
    own: Option<Arc<Flight<T, R>>>,
    /// While it sleeps, with its number in the queue.
    sleeping: Option<(u64, Arc<SleepingWaiter<T, R>>)>,
    /// It may look at the flight's key.
    is_comparing: AtomicBool,
    /// When it joined, the result could be found already, and taken out: so it looks for itself.
    is_late: bool,
}

impl<T, R> SleepingWaiter<T, R> {
    /// Sets the decision. Called under the shard's lock, once it has been taken from the queue.
    pub(super) fn decide(&self, decision: Decision) {
        *self.decision.lock() = decision;
    }
}

impl<'a, T, R> Waiter<'a, T, R> {
    pub(super) fn new(shard: &'a Shard<T, R>, flight: Arc<Flight<T, R>>) -> Self {
        let is_late = flight.is_entering.load(Ordering::Relaxed);
        Self {
            is_late,
            shard,
            flight,
            own: None,
            sleeping: None,
            is_comparing: AtomicBool::new(true),
        }
    }

    /// Sets the caller's own flight: this one has the same key, and is waited for.
    pub(super) fn with_own(mut self, own: Arc<Flight<T, R>>) -> Self {
        self.own = Some(own);
        self
    }

    /// Returns which of these has such a key. None of them looks at its key afterwards.
    pub(super) fn find(all: &[Self], is_it: impl Fn(&T) -> bool) -> Option<usize> {
        let describe: Describe<'_> = &|f| f.write_str("the comparison of keys");
        let kept = |see: &mut dyn FnMut(&Work)| {
            all.iter().for_each(|one| see(&one.flight.release_work));
        };
        frames::during(&Work::new(), describe, Part::KeepsAlive(&kept), || {
            let found = all.iter().position(|one| is_it(&one.flight.pending_key));
            let mut panics = Panics::new();
            all.iter().for_each(|one| {
                panics.catch(|| one.finish_comparing());
            });
            found
        })
    }

    /// Ends the comparison of the flight's key. The last one to do so drops a kept value.
    fn finish_comparing(&self) {
        if !self.is_comparing.swap(false, Relaxed) {
            return;
        }
        let flight = &self.flight;
        let kept_value = self.shard.0.with(|_| {
            let left = flight.comparing.fetch_sub(1, Ordering::Relaxed) - 1;
            if left == 0 {
                flight.kept_value.lock().take()
            } else {
                None
            }
        });
        drop(kept_value);
    }

    pub(super) fn flight(&self) -> &Arc<Flight<T, R>> {
        &self.flight
    }

    /// Enters the queue, unless the flight is over.
    fn enqueue(&mut self, is_thread: bool) -> Option<Arc<Sleeper>> {
        let sleeper = Arc::new(Sleeper::new());
        let flight = &self.flight;
        self.sleeping = self.shard.0.with(|_| {
            if flight.is_over() {
                return None;
            }
            let mut queue = flight.wait_queue.lock();
            let sleeping = Arc::new(SleepingWaiter {
                sleeper: Arc::clone(&sleeper),
                is_thread,
                decision: Mutex::new(Decision::Pending),
                own: Mutex::new(self.own.clone()),
            });
            let number = queue.of(is_thread).push(Arc::clone(&sleeping));
            Some((number, sleeping))
        });
        self.sleeping.is_some().then_some(sleeper)
    }

    /// Leaves the queue, if nothing has been decided for this one. Returns the decision, and what is to be
    /// dropped: it may own a task, whose drop is user code.
    fn dequeue(&mut self) -> (Decision, impl Sized + use<T, R>) {
        let Some((number, sleeping)) = self.sleeping.take() else {
            return (Decision::Pending, (None, None));
        };
        let flight = &self.flight;
        let listed = self.shard.0.with(|_| {
            let mut queue = flight.wait_queue.lock();
            let listed = queue.of(sleeping.is_thread).remove(number);
            if listed.is_some() {
                drop(sleeping.own.lock().take());
            }
            listed
        });
        let decision = *sleeping.decision.lock();
        (decision, (Some(sleeping), listed))
    }

    /// Leads, if that has been decided.
    fn lead(&mut self, decision: Decision) -> Option<Leader<'a, T, R>> {
        (decision == Decision::Lead).then(|| {
            let own = self.own.take().expect("it was listed");
            Leader::new(self.shard, own)
        })
    }

    /// Returns the end of the present leader's work.
    fn end(&self) -> Arc<WorkEnd> {
        let flight = &self.flight;
        let end = self
            .shard
            .0
            .with(|_| (!flight.is_over()).then(|| flight.work.end()));
        end.unwrap_or_else(|| Arc::new(WorkEnd::over(flight.work.number())))
    }

    fn own_cycle(&self) -> CycleError {
        let work = &self.flight.work;
        CycleError::on_one_thread(frames::own_cycle(|other| std::ptr::eq(other, work)))
    }
}

impl<'a, T, R: Clone> Waiter<'a, T, R> {
    /// Sleeps until there is a result, or the caller leads.
    pub(in crate::create) fn wait(
        mut self,
        around: AroundSleep,
    ) -> Result<Turn<'a, T, R>, CycleError> {
        match self.wait_here(around) {
            Ok(turn) => Ok(self.leave_with(turn)),
            refused => after(self, refused),
        }
    }

    /// Leaves the flight; if the caller leads now, that is done later, as a part of the creation.
    fn leave_with(mut self, turn: Turn<'a, T, R>) -> Turn<'a, T, R> {
        match turn {
            Turn::Done(result, _) => {
                let own = self.own.take();
                after(self, Turn::Done(result, own))
            }
            Turn::Create(leader) => {
                Turn::Create(leader.with_other_flights(JoinedFlights(vec![self])))
            }
            turn => after(self, turn),
        }
    }

    /// Returns the turn, if there is nothing to wait for.
    pub(in crate::create) fn now(self) -> Option<Turn<'a, T, R>> {
        let turn = self.try_turn();
        match turn.or_else(|| self.draft().map(Turn::Draft)) {
            Some(turn) => Some(self.leave_with(turn)),
            none => after(self, none),
        }
    }

    /// Returns the draft, for the thread that is in the middle of making it.
    pub(super) fn draft(&self) -> Option<R> {
        match frames::own_draft(&self.flight.work, Asker::Thread) {
            Own::Draft(draft) => Some(draft),
            Own::No | Own::Refused => None,
        }
    }

    fn wait_here(&mut self, around: AroundSleep) -> Result<Turn<'a, T, R>, CycleError> {
        if frames::is_inside_any() {
            match frames::own_draft(&self.flight.work, Asker::Thread) {
                Own::Draft(draft) => return Ok(Turn::Draft(draft)),
                Own::Refused => return Err(self.own_cycle()),
                Own::No => {}
            }
        } else {
            // Many factories take less time than falling asleep.
            for round in 0..sync::spins_for_a_creation() {
                if let Some(turn) = self.try_turn() {
                    return Ok(turn);
                }
                sync::relax(round);
            }
        }
        loop {
            if let Some(turn) = self.try_turn() {
                return Ok(turn);
            }
            // Before this one can be made to lead.
            let waits = WillWait::find(Asker::Thread);
            let Some(sleeper) = self.enqueue(true) else {
                continue;
            };
            let refused = match waits.begin(self.flight.work.number()) {
                Ok(_waiting) => {
                    self.sleep(&sleeper, around);
                    None
                }
                Err(cycle) => Some(cycle),
            };
            // (A thread has nothing of a user's to drop.)
            let (decision, _) = self.dequeue();
            if let Some(leader) = self.lead(decision) {
                return Ok(Turn::Create(leader));
            }
            if let Some(cycle) = refused.filter(|_| decision == Decision::Pending) {
                return Err(CycleError::of(cycle, self.end()));
            }
        }
    }

    /// Sleeps until it is notified. A hook around that may ask for the same key, when it is this one's turn
    /// to create already: so it is a part of what this one would create.
    fn sleep(&self, sleeper: &Sleeper, around: AroundSleep) {
        let mut sleep = || sleeper.wait();
        match &self.own {
            Some(own) if !around.is_nothing() => {
                let describe: Describe<'_> = &|f| f.write_str("a hook around sleeping");
                frames::during(&own.work, describe, Part::Closed, || around.run(&mut sleep));
            }
            _ => sleep(),
        }
    }

    #[cfg(feature = "async")]
    pub(in crate::create) async fn wait_async(mut self) -> Result<Turn<'a, T, R>, CycleError> {
        let mut sleeper: Option<Arc<Sleeper>> = None;
        // The edge of the last poll.
        let mut waiting: Option<Waiting> = None;
        let turn = std::future::poll_fn(|context| {
            waiting = None;
            let turn = self.poll(&mut sleeper, context);
            if turn.is_pending() {
                match self.begin_waiting() {
                    Ok(begun) => waiting = Some(begun),
                    Err(cycle) => return Poll::Ready(Err(cycle)),
                }
            }
            turn.map(Ok)
        });
        match turn.await {
            Ok(turn) => Ok(self.leave_with(turn)),
            refused => after(self, refused),
        }
    }

    #[cfg(feature = "async")]
    fn poll(
        &mut self,
        sleeper: &mut Option<Arc<Sleeper>>,
        context: &Context<'_>,
    ) -> Poll<Turn<'a, T, R>> {
        loop {
            if let Some(sleeper) = sleeper {
                ready!(sleeper.poll(context));
                self.dequeue();
            }
            *sleeper = None;
            if let Some(turn) = self.try_turn() {
                return Poll::Ready(turn);
            }
            *sleeper = self.enqueue(false);
        }
    }

    /// Adds the edge of a task. Tasks are given no drafts: what they make of them might end on any thread.
    #[cfg(feature = "async")]
    fn begin_waiting(&self) -> Result<Waiting, CycleError> {
        let work = &self.flight.work;
        if let Own::Draft(_) | Own::Refused = frames::own_draft::<R>(work, Asker::Task) {
            return Err(self.own_cycle());
        }
        let waiting = WillWait::find(Asker::Task).begin(work.number());
        waiting.map_err(|cycle| CycleError::of(cycle, self.end()))
    }

    /// Returns the turn, if there is a result or the flight is over.
    fn try_turn(&self) -> Option<Turn<'a, T, R>> {
        let flight = &self.flight;
        // First: if it is over, the result is there, or there is none.
        let is_over = flight.is_over();
        if let Some(result) = flight.result.get().filter(|_| !self.is_late) {
            return Some(Turn::Done(result.clone(), None));
        }
        is_over.then(|| {
            let own = self.own.as_ref();
            let own = own.expect("those who wait bring one along");
            match own.error_of(flight) {
                Some(error) => Turn::Failed(Arc::clone(error)),
                None => Turn::Again(Arc::clone(own)),
            }
        })
    }
}

impl<T, R> Drop for Waiter<'_, T, R> {
    /// Leaves the flight. Nobody else need be woken: a thread that was woken has looked, and all tasks were
    /// woken.
    fn drop(&mut self) {
        // Each step is done whatever panics: the flight counts this one until the last.
        let mut panics = Panics::new();
        // A panic may have ended the sleep.
        let (decision, unused) = self.dequeue();
        panics.catch(|| drop(self.lead(decision)));
        panics.catch(|| self.finish_comparing());
        let waiting = &self.flight.waiting;
        self.shard.0.with(|_| {
            waiting.fetch_sub(1, Ordering::Relaxed);
        });
        panics.catch(|| drop(unused));
    }
}
