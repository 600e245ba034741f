//! The leader of a flight: it creates the value.

use super::{
    add_to_list, remove_from_list, Decision, Flight, FlightList, JoinedFlights, Shard,
    SleepingWaiter,
};
use crate::deadlock::frames::{self, Part};
use crate::deadlock::waits;
use crate::deadlock::work::{Describe, Work, WorkEnd};
use crate::memory::panics::Panics;
use crate::sync::Ordering;
use std::sync::Arc;

/// The right to create, and the duty to end the flight. Dropped without a result, it gives the flight up.
pub(crate) struct Leader<'a, T, R> {
    shard: &'a Shard<T, R>,
    flight: Arc<Flight<T, R>>,
    /// The flight is over, or has been left.
    is_done: bool,
    /// The value that has the key, once it is made: nobody can go on with this flight then.
    value: Option<R>,
    /// Flights that the caller has joined before. Leaving them may drop keys and values.
    other_flights: JoinedFlights<'a, T, R>,
}

/// Those to be notified of what was decided under the lock.
struct Resolved<T, R> {
    sleeping: Vec<Arc<SleepingWaiter<T, R>>>,
    end: Option<Arc<WorkEnd>>,
}

impl<T, R> Resolved<T, R> {
    #[inline]
    fn notify(self) {
        if !self.sleeping.is_empty() || self.end.is_some() {
            self.notify_some();
        }
    }

    #[cold]
    fn notify_some(self) {
        let ended = self.end.map_or_else(Vec::new, |end| end.finish());
        let sleeping = self.sleeping.iter().map(|one| Arc::clone(&one.sleeper));
        waits::notify(sleeping.chain(ended).collect());
    }
}

/// A flight whose leader has left it for some time.
pub(crate) struct LeftFlight<T, R> {
    flight: Arc<Flight<T, R>>,
}

impl<T, R> LeftFlight<T, R> {
    pub(super) fn hash(&self) -> u64 {
        self.flight.hash
    }

    pub(super) fn resume(self, shard: &Shard<T, R>) -> Leader<'_, T, R> {
        Leader::new(shard, self.flight)
    }

    pub(in crate::create) fn flight(&self) -> &Flight<T, R> {
        &self.flight
    }
}

impl<'a, T, R> Leader<'a, T, R> {
    pub(super) fn new(shard: &'a Shard<T, R>, flight: Arc<Flight<T, R>>) -> Self {
        Self {
            shard,
            flight,
            is_done: false,
            value: None,
            other_flights: JoinedFlights::none(),
        }
    }

    pub(super) fn with_other_flights(mut self, other_flights: JoinedFlights<'a, T, R>) -> Self {
        self.other_flights = other_flights;
        self
    }

    /// Takes what is to be dropped as a part of the creation, since that may ask for its key.
    pub(in crate::create) fn take_other_flights(&mut self) -> impl Sized + use<'a, T, R> {
        std::mem::replace(&mut self.other_flights, JoinedFlights::none())
    }

    pub(in crate::create) fn pending_key(&self) -> &T {
        &self.flight.pending_key
    }

    pub(in crate::create) fn flight(&self) -> &Flight<T, R> {
        &self.flight
    }

    /// Sets the value, which has the key from now on.
    pub(in crate::create) fn set_value(&mut self, value: R) -> &R {
        self.value.insert(value)
    }

    pub(in crate::create) fn value(&self) -> Option<&R> {
        self.value.as_ref()
    }

    /// Ends the flight without a result: those who sleep go on with the flights that they have brought along.
    /// The caller may join again with this one. (Others that look at it see by its state if it is listed
    /// again.)
    pub(in crate::create) fn step_down(mut self) -> Arc<Flight<T, R>> {
        self.is_done = true;
        waits::forget(&self.flight.work);
        let resolved = self.shard.0.with(|list| end(list, &self.flight, true));
        let flight = Arc::clone(&self.flight);
        resolved.notify();
        flight
    }

    /// Leaves the flight without giving it up, and takes the value out; see
    /// [`FlightTable::resume`](super::FlightTable::resume).
    pub(in crate::create) fn leave(mut self) -> (LeftFlight<T, R>, Option<R>) {
        self.is_done = true;
        let flight = Arc::clone(&self.flight);
        (LeftFlight { flight }, self.value.take())
    }
}

impl<T, R: Clone> Leader<'_, T, R> {
    pub(in crate::create) fn publish_value(mut self) -> R {
        let value = self.value.take();
        self.publish(value.expect("there is one"))
    }

    /// Ends the flight: all waiters get the result, which has been entered.
    pub(in crate::create) fn publish(mut self, result: R) -> R {
        // In `self`, not a local: to clone it is user code, which may panic, and then others may be comparing
        // the key that it has. The unused value is dropped at the end.
        let mut unused_value = self.value.replace(result);
        let mut is_shared = false;
        let resolved = loop {
            let flight = &self.flight;
            let resolved = self.shard.0.with(|list| {
                let ends = is_shared || flight.waiting.load(Ordering::Relaxed) == 0;
                ends.then(|| {
                    flight.keep_key(&mut unused_value);
                    end(list, flight, false)
                })
            });
            if let Some(resolved) = resolved {
                break resolved;
            }
            // A caller that asks for the key in that clone would wait for this.
            let describe: Describe<'_> = &|f| f.write_str("the sharing of a value that was made");
            let result =
                frames::during(&flight.work, describe, Part::Closed, || self.value.clone());
            let result = result.expect("set above");
            // Nobody else sets it: only the leader does.
            let _ = self.flight.result.set(result);
            is_shared = true;
        };
        self.is_done = true;
        let result = self.value.take().expect("set above");
        waits::forget(&self.flight.work);
        resolved.notify();
        // Here: this may drop a key, and if that panics, `result` is still ours to drop.
        drop((unused_value, self));
        result
    }
}

/// Takes a flight off its list, which is locked, and decides for all who sleep. They get the result, or the
/// error, if they take errors of its type. Without either they retry, with keys of their own, as the failed
/// key may be about to die; and the thread that has slept longest leads the flight that it has brought along.
fn end<T, R>(
    list: &mut FlightList<T, R>,
    flight: &Arc<Flight<T, R>>,
    is_given_up: bool,
) -> Resolved<T, R> {
    remove_from_list(list, flight);
    let sleeping = match flight.waiting.load(Ordering::Relaxed) {
        0 => Vec::new(),
        _ => flight.wait_queue.lock().take(),
    };
    let mut needs_leader = is_given_up;
    for waiter in &sleeping {
        let leads = needs_leader && waiter.is_thread;
        // Not its last owner: the sleeping one has it too.
        let own = waiter.own.lock().take();
        let leads_own = |own: &Arc<Flight<T, R>>| leads && own.error_of(flight).is_none();
        if let Some(own) = own.filter(leads_own) {
            add_to_list(list, &own);
            needs_leader = false;
            waiter.decide(Decision::Lead);
        } else {
            waiter.decide(Decision::Retry);
        }
    }
    Resolved {
        sleeping,
        end: flight.work.take_end(),
    }
}

impl<T, R> Drop for Leader<'_, T, R> {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let flight = &self.flight;
        // Before somebody else leads: the edges of this work were this leader's.
        waits::forget(&flight.work);
        let mut value = self.value.take();
        let has_value = value.is_some();
        let resolved = self.shard.0.with(|list| {
            flight.keep_key(&mut value);
            end(list, flight, true)
        });
        let release = || {
            let mut panics = Panics::new();
            // In this order: the value may ask for its key when it is dropped, and wait for one of them.
            panics.catch(|| resolved.notify());
            panics.catch(|| drop(value));
        };
        if !has_value {
            return release();
        }
        let describe: Describe<'_> = &|f| f.write_str("the end of what was given up");
        let kept = |see: &mut dyn FnMut(&Work)| see(&flight.release_work);
        frames::during(&Work::new(), describe, Part::KeepsAlive(&kept), release);
    }
}
