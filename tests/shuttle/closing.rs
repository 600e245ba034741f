//! A map that is closed while others create.

use crate::ledger::Ledger;
use crate::maps::{Arcs, Map, Refused, Told};
use crate::support::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// A map that can be closed.
trait Closes: Map {
    /// The values that it had.
    fn shut(&self) -> Vec<Self::P>;

    fn all(&self) -> Vec<Self::P>;
}

impl Closes for Arcs {
    fn shut(&self) -> Vec<Self::P> {
        self.close()
    }

    fn all(&self) -> Vec<Self::P> {
        self.values().collect()
    }
}

impl Closes for Told {
    fn shut(&self) -> Vec<Self::P> {
        self.close()
    }

    fn all(&self) -> Vec<Self::P> {
        self.values().collect()
    }
}

fn close<M: Closes>() {
    let (map, ledger) = (M::build(), Ledger::default());
    let closed = Arc::new(AtomicBool::new(false));
    threads(6, {
        let (map, ledger) = (map.clone(), ledger.clone());
        move |number| {
            if number == 0 {
                pause();
                let had: Vec<u64> = {
                    let had = map.shut();
                    closed.store(true, Ordering::Relaxed);
                    let numbers = had.iter().map(|value| value.number).collect();
                    pause();
                    numbers
                };
                // Whoever came later is not there, not for a moment.
                for _ in 0..2 {
                    for value in map.all() {
                        assert!(had.contains(&value.number), "entered after the end");
                    }
                    pause();
                }
                return;
            }
            for _ in 0..3 {
                let key = KEYS[draw(KEYS.len())];
                let late = closed.load(Ordering::Relaxed);
                let made = map.create(key, || {
                    assert!(!late, "a factory runs that was called after the end");
                    pause();
                    Ok(ledger.value(key))
                });
                match made {
                    Ok(owner) => {
                        let owned = ledger.owned(owner);
                        pause();
                        drop(owned);
                    }
                    Err(Refused::Closed) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
    });
    assert_eq!(map.rest(), 0);
    ledger.settle();
}

#[test]
fn closing_against_creators_of_several_keys() {
    meeting(400, close::<Arcs>);
    meeting(300, close::<Told>);
}
