//! A map that is closed while others create.

use crate::ledger::Ledger;
use crate::maps::{Arcs, Map, Refused, Told};
use crate::support::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

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
    // What is seen after the end and was not handed out, and what calls have made and kept. Neither is a step.
    let (strange, kept) = (Arc::new(Numbers::default()), Arc::new(Numbers::default()));
    threads(6, {
        let (map, ledger) = (map.clone(), ledger.clone());
        let (strange, kept) = (strange.clone(), kept.clone());
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
                for _ in 0..2 {
                    let numbers = map.all().into_iter().map(|value| value.number);
                    let numbers: Vec<u64> = numbers.collect();
                    let unknown = numbers.into_iter().filter(|number| !had.contains(number));
                    strange.lock().unwrap().extend(unknown);
                    pause();
                }
                return;
            }
            for _ in 0..3 {
                let key = KEYS[draw(KEYS.len())];
                let late = closed.load(Ordering::Relaxed);
                let mut mine = None;
                let made = map.create(key, || {
                    assert!(!late, "a factory runs that was called after the end");
                    pause();
                    let value = ledger.value(key);
                    mine = Some(value.number);
                    Ok(value)
                });
                match made {
                    Ok(owner) => {
                        if mine == Some(owner.number) {
                            kept.lock().unwrap().push(owner.number);
                        }
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
    // A creation that was about to enter its value may do so, for a moment: but then it is refused.
    let (strange, kept) = (strange.lock().unwrap(), kept.lock().unwrap());
    let both = strange.iter().find(|number| kept.contains(number));
    assert_eq!(both, None, "entered, kept, and not handed out");
    assert_eq!(map.rest(), 0);
    ledger.settle();
}

type Numbers = Mutex<Vec<u64>>;

#[test]
fn closing_against_creators_of_several_keys() {
    meeting(400, close::<Arcs>);
    meeting(300, close::<Told>);
}
