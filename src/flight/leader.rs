//! Who creates.

use super::{take_off, Asleep, Flight, Flying, Listed, Shard, Wakes, VACANT};
use crate::sync::Ordering;
use crate::waits;
use crate::work::{End, Work};
use std::sync::Arc;

/// The right to create, and the duty to end the flight. Dropped without a result, it is given up.
pub(crate) struct Leader<'a, T, R> {
    shard: &'a Shard<T, R>,
    flight: Arc<Flight<T, R>>,
    /// The flight is over, or has been left.
    is_done: bool,
    /// The key has gone into the value, so nobody can go on with this flight.
    has_used_key: bool,
}

/// Those who are to be told what was decided under the lock.
struct Told<T, R> {
    asleep: Vec<Arc<Asleep<T, R>>>,
    end: Option<Arc<End>>,
}

impl<T, R> Told<T, R> {
    fn notify(self) {
        let ended = self.end.map_or_else(Vec::new, |end| end.tell());
        let asleep = self.asleep.iter().map(|one| Arc::clone(&one.sleeper));
        waits::notify(asleep.chain(ended).collect());
    }
}

/// A flight whose leader has left it for some time.
pub(crate) struct Left<T, R> {
    flight: Arc<Flight<T, R>>,
    has_used_key: bool,
}

impl<T, R> Left<T, R> {
    pub(super) fn hash(&self) -> u64 {
        self.flight.hash
    }

    pub(super) fn resume(self, shard: &Shard<T, R>) -> Leader<'_, T, R> {
        Leader {
            shard,
            flight: self.flight,
            is_done: false,
            has_used_key: self.has_used_key,
        }
    }

    pub(crate) fn work(&self) -> &Work {
        &self.flight.work
    }
}

impl<'a, T, R> Leader<'a, T, R> {
    pub(super) fn new(shard: &'a Shard<T, R>, flight: Arc<Flight<T, R>>) -> Self {
        Self {
            shard,
            flight,
            is_done: false,
            has_used_key: false,
        }
    }

    /// What all who wait share.
    pub(crate) fn ticket(&self) -> &T {
        &self.flight.ticket
    }

    pub(crate) fn work(&self) -> &Work {
        &self.flight.work
    }

    /// The key goes into the value, for good: if this is given up now, those who wait begin anew with keys of their own.
    pub(crate) fn use_key(&mut self) {
        self.has_used_key = true;
    }

    /// Leaves the flight without giving it up; see [`FlightTable::resume`](super::FlightTable::resume).
    pub(crate) fn leave(mut self) -> Left<T, R> {
        self.is_done = true;
        Left {
            flight: Arc::clone(&self.flight),
            has_used_key: self.has_used_key,
        }
    }
}

impl<T, R: Clone> Leader<'_, T, R> {
    /// Ends the flight: all who wait get the result, which has been entered.
    pub(crate) fn land(mut self, result: R) -> R {
        // Whatever comes now, nobody is to enter something with this key again. To clone the result is user code, which may panic.
        self.has_used_key = true;
        let flight = &self.flight;
        let mut is_shared = false;
        let told = loop {
            let told = self.shard.0.with(|list| {
                let ends = is_shared || flight.waiting.load(Ordering::Relaxed) == 0;
                ends.then(|| end(list, flight, false))
            });
            if let Some(told) = told {
                break told;
            }
            // Nobody else sets it: only who leads does.
            let _ = flight.result.set(result.clone());
            is_shared = true;
        };
        self.is_done = true;
        waits::forget(&flight.work);
        told.notify();
        // Here: it may drop a key, and if that panics, `result` is still ours to drop.
        drop(self);
        result
    }
}

/// Takes a flight off its list, which is locked. Those who sleep get the result; if there is none, they begin anew, and the thread that
/// has slept longest leads what it has brought along.
fn end<T, R>(list: &mut Flying<T, R>, flight: &Arc<Flight<T, R>>, hands_over: bool) -> Told<T, R> {
    take_off(list, flight);
    let asleep = std::mem::take(&mut *flight.asleep.lock());
    let mut needs_leader = hands_over;
    for one in &asleep {
        let leads = needs_leader && one.is_thread;
        // Not its last owner, as the one who sleeps has it too.
        let own = one.own.lock().take();
        if let Some(own) = own.filter(|_| leads) {
            list.push(Listed::new(&own));
            needs_leader = false;
            one.decide(Wakes::LeadsOwn);
        } else {
            one.decide(Wakes::Looks);
        }
    }
    Told {
        asleep,
        end: flight.work.take_end(),
    }
}

/// Gives a flight up whose key is still there; its list is locked.
fn hand_over<T, R>(list: &mut Flying<T, R>, flight: &Arc<Flight<T, R>>) -> Told<T, R> {
    let mut asleep = flight.asleep.lock();
    let told = match asleep.iter().position(|one| one.is_thread) {
        Some(first) => {
            let first = asleep.remove(first);
            drop(first.own.lock().take());
            first.decide(Wakes::Leads);
            vec![first]
        }
        None if flight.waiting.load(Ordering::Relaxed) == 0 => {
            take_off(list, flight);
            Vec::new()
        }
        None => {
            flight.set_state(VACANT);
            let told = std::mem::take(&mut *asleep);
            told.iter().for_each(|one| {
                drop(one.own.lock().take());
                one.decide(Wakes::Looks);
            });
            told
        }
    };
    Told {
        asleep: told,
        end: flight.work.take_end(),
    }
}

impl<T, R> Drop for Leader<'_, T, R> {
    /// Gives up, if the flight is not over.
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let flight = &self.flight;
        // Before somebody else leads: what is known of who waits was this one's.
        waits::forget(&flight.work);
        let told = self.shard.0.with(|list| {
            if self.has_used_key {
                end(list, flight, true)
            } else {
                hand_over(list, flight)
            }
        });
        told.notify();
    }
}
