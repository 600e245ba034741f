//! Several keys that many want to create, while creations fail, panic, and are given up.

use crate::ledger::{Ledger, Owned};
use crate::maps::{Arcs, Handles, Kept, Map, Refused, Told};
use crate::support::*;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};

/// The payload of a factory's panic. Thrown without the hook, which would report it.
struct Bang;

/// One call, drawn by lot, and what it came back with.
fn ask<M: Map>(map: &M, ledger: &Ledger, key: Key) -> Option<Owned<M::P>> {
    let makes = || {
        let _creating = ledger.creating(key);
        pause();
        Ok(ledger.value(key))
    };
    let owner = match draw(8) {
        0 | 1 => map.look_up(key),
        2 | 3 => Some(map.create(key, makes).expect("created")),
        4 => {
            let fails = || {
                let _creating = ledger.creating(key);
                pause();
                ledger.fails();
                Err(Refused::Failed)
            };
            map.create(key, fails)
                .inspect_err(|_| ledger.was_refused())
                .ok()
        }
        5 => {
            let panics = || {
                let _creating = ledger.creating(key);
                pause();
                ledger.fails();
                resume_unwind(Box::new(Bang))
            };
            match catch_unwind(AssertUnwindSafe(|| map.create(key, panics))) {
                Ok(owner) => Some(owner.expect("a panic, or a value")),
                Err(payload) => {
                    assert!(payload.is::<Bang>());
                    ledger.was_refused();
                    None
                }
            }
        }
        6 => map.take(key, || makes().ok()).expect("no cycle"),
        7 => {
            let gives_up = || {
                let _creating = ledger.creating(key);
                pause();
                None
            };
            map.take(key, gives_up).expect("no cycle")
        }
        _ => unreachable!(),
    };
    let owner = owner?;
    assert_eq!(owner.key, key, "another key's value");
    Some(ledger.owned(owner))
}

fn all_ask<M: Map>() {
    let (map, ledger) = (M::build(), Ledger::default());
    threads(6, {
        let (map, ledger) = (map.clone(), ledger.clone());
        move |_| {
            for _ in 0..4 {
                let owned = ask(&*map, &ledger, KEYS[draw(KEYS.len())]);
                pause();
                drop(owned);
            }
        }
    });
    assert_eq!(map.rest(), 0);
    ledger.settle();
}

#[test]
fn six_threads_create_handles() {
    meeting(800, all_ask::<Handles>);
}

#[test]
fn six_threads_create_values_that_report() {
    meeting(500, all_ask::<Told>);
}

#[test]
fn six_threads_create_arcs() {
    meeting(500, all_ask::<Arcs>);
}

#[test]
fn six_threads_create_what_is_kept() {
    meeting(500, || {
        all_ask::<Kept>();
    });
}

/// All ask for one key, with factories that succeed, and keep what they get: there is one factory's run, and one value.
#[test]
fn eight_threads_share_one_flight() {
    fn share<M: Map>() {
        let (map, ledger) = (M::build(), Ledger::default());
        threads(8, {
            let (map, ledger) = (map.clone(), ledger.clone());
            let all = std::sync::Mutex::new(Vec::new());
            move |_| {
                let makes = || {
                    pause();
                    Ok(ledger.value(A))
                };
                let owner = map.create(A, makes).expect("created");
                all.lock().unwrap().push(ledger.owned(owner));
            }
        });
        assert_eq!(ledger.made(), 1);
        assert_eq!(map.rest(), 0);
        ledger.settle();
    }
    meeting(200, share::<Handles>);
    meeting(150, share::<Arcs>);
    meeting(150, share::<Told>);
}
