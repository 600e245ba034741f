//! Factories that ask for each other's keys.

use crate::ledger::Ledger;
use crate::maps::{Arcs, Handles, Map, Refused};
use crate::support::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

const RING: [Key; 3] = [A, B, C];

/// The value of a key of the ring, for which that of the next one is needed, unless that would be a cycle.
fn create<M: Map>(
    map: &M,
    ledger: &Ledger,
    cycles: &AtomicUsize,
    at: usize,
) -> Result<M::P, Refused> {
    map.create(RING[at], || {
        pause();
        match create(map, ledger, cycles, (at + 1) % RING.len()) {
            Ok(next) => drop(next),
            Err(Refused::Cycle) => {
                cycles.fetch_add(1, Ordering::Relaxed);
            }
            Err(other) => return Err(other),
        }
        Ok(ledger.value(RING[at]))
    })
}

fn ring<M: Map>(creators: usize) {
    let (map, ledger) = (M::build(), Ledger::default());
    let cycles = Arc::new(AtomicUsize::new(0));
    threads(creators, {
        let (map, ledger, cycles) = (map.clone(), ledger.clone(), cycles.clone());
        move |number| {
            let made = create(&*map, &ledger, &cycles, number % RING.len());
            // Those who create nothing themselves wait for nobody who waits for them.
            let owned = ledger.owned(made.expect("the cycle is broken inside"));
            pause();
            drop(owned);
        }
    });
    // The first value of all had none to rest on.
    assert!(cycles.load(Ordering::Relaxed) >= 1);
    assert_eq!(map.rest(), 0);
    ledger.settle();
}

#[test]
fn three_creators_that_want_each_others_values() {
    meeting(300, || ring::<Handles>(3));
    meeting(300, || ring::<Arcs>(3));
}

#[test]
fn three_creators_and_those_who_wait_for_them() {
    meeting(300, || ring::<Handles>(7));
    meeting(200, || ring::<Arcs>(7));
}
