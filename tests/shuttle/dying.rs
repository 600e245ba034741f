//! Last owners that let go, against all others.

use crate::ledger::{Ledger, Value};
use crate::maps::{Arcs, Handles, Map, Told};
use crate::support::*;
use highlander::map::ByEquality;
use highlander::pointer::Watched;
use highlander::{Handle, Registry, WeakKeyValueMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Two keys with live values; their owners let go while others look up and create.
fn let_go<M: Map>() {
    let (map, ledger) = (M::build(), Ledger::default());
    let own = |key| {
        let owner = map.create(key, || Ok(ledger.value(key))).expect("created");
        ledger.owned(owner)
    };
    let held = std::sync::Mutex::new(vec![own(A), own(A2)]);
    threads(6, {
        let (map, ledger) = (map.clone(), ledger.clone());
        move |number| {
            if number < 2 {
                let owned = held.lock().unwrap().pop();
                pause();
                let owned = owned.expect("two of them");
                let (key, old) = (owned.key, owned.number);
                drop(owned);
                if let Some(owner) = map.look_up(key) {
                    // There may be a new one. The old one may be there, too, if somebody else owned it when it was looked up.
                    let owned = ledger.owned(owner);
                    assert!(owned.number >= old);
                }
                return;
            }
            for _ in 0..3 {
                let key = [A, A2][draw(2)];
                let owner = match draw(3) {
                    0 => Some(map.create(key, || Ok(ledger.value(key))).expect("created")),
                    _ => map.look_up(key),
                };
                let owned = owner.map(|owner| ledger.owned(owner));
                pause();
                drop(owned);
            }
        }
    });
    assert_eq!(map.rest(), 0);
    ledger.settle();
}

#[test]
fn last_owners_of_handles_against_look_ups_and_creation() {
    meeting(600, let_go::<Handles>);
}

#[test]
fn last_owners_of_arcs_against_look_ups_and_creation() {
    meeting(400, let_go::<Arcs>);
}

#[test]
fn last_owners_that_report_against_look_ups_and_creation() {
    meeting(400, let_go::<Told>);
}

#[test]
fn weak_handles_and_removal_against_last_owners() {
    meeting(500, || {
        let (map, ledger) = (Handles::build(), Ledger::default());
        threads(6, {
            let (map, ledger) = (map.clone(), ledger.clone());
            move |number| {
                for _ in 0..3 {
                    let key = KEYS[draw(KEYS.len())];
                    if number == 0 {
                        // Its owners keep it, and there may be another one: so here the ledger does not ask who owns what.
                        drop(map.remove(&key));
                        continue;
                    }
                    let handle = map.get_or_insert_with(key, |_| ledger.value(key));
                    let weak = Handle::downgrade(&handle);
                    pause();
                    let old = handle.number;
                    drop(handle);
                    pause();
                    if let Some(again) = weak.upgrade() {
                        assert_eq!((again.key, again.number), (key, old));
                    }
                }
            }
        });
        assert_eq!(map.len(), 0);
        ledger.settle();
    });
}

/// No value is made before the destructor of the one before has ended.
#[test]
fn exclusive_values_of_several_keys() {
    meeting(500, || {
        let registry = Registry::with_hasher(PlacedHasher::default()).exclusive();
        let (registry, ledger): (Arc<Handles>, _) = (Arc::new(registry), Ledger::default());
        threads(6, {
            let (registry, ledger) = (registry.clone(), ledger.clone());
            move |_| {
                for _ in 0..3 {
                    let key = KEYS[draw(KEYS.len())];
                    let makes = || {
                        assert_eq!(ledger.alive(key), 0, "two values at a time");
                        pause();
                        let value = ledger.value(key);
                        assert_eq!(ledger.alive(key), 1, "two values at a time");
                        Ok(value)
                    };
                    let owned = match draw(4) {
                        0 => registry.look_up(key),
                        1 => registry.take(key, || makes().ok()).expect("no cycle"),
                        _ => Some(registry.create(key, makes).expect("created")),
                    };
                    let owned = owned.map(|owner| ledger.owned(owner));
                    pause();
                    drop(owned);
                }
            }
        });
        assert_eq!(registry.len(), 0);
        ledger.settle();
    });
}

/// A key that is held weakly, too, and equal to others of the same place and number.
struct Name(Value);

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.hash(state);
    }
}

#[test]
fn keys_die_against_values_and_look_ups() {
    type Pairs = WeakKeyValueMap<Watched<Name>, Watched<Value>, ByEquality, PlacedHasher>;
    meeting(300, || {
        let map: Arc<Pairs> = Arc::new(WeakKeyValueMap::with_hasher(PlacedHasher::default()));
        let (names, values) = (Ledger::default(), Ledger::default());
        let keys: Vec<_> = [A, A2]
            .map(|key| Watched::new(Name(names.value(key))))
            .to_vec();
        let keys = std::sync::Mutex::new(keys);
        threads(6, {
            let (map, names, values) = (map.clone(), names.clone(), values.clone());
            move |number| {
                if number < 2 {
                    let key = keys.lock().unwrap().pop().expect("two of them");
                    let value = map.get_or_insert_with(&key, |key| {
                        pause();
                        Watched::new(values.value(key.0.key))
                    });
                    pause();
                    // One dies first, and the other one after it.
                    match draw(2) {
                        0 => drop((key, value)),
                        _ => drop((value, key)),
                    }
                    return;
                }
                for _ in 0..2 {
                    let key = Watched::new(Name(names.value([A, A2][draw(2)])));
                    let value =
                        match draw(2) {
                            0 => map.get(&*key),
                            _ => Some(map.get_or_insert_with(&key, |key| {
                                Watched::new(values.value(key.0.key))
                            })),
                        };
                    if let Some(value) = &value {
                        assert_eq!(value.key, key.0.key);
                    }
                    pause();
                    match draw(2) {
                        0 => drop((key, value)),
                        _ => drop((value, key)),
                    }
                }
            }
        });
        assert_eq!(map.entry_count(), 0, "without a sweep");
        drop(map);
        names.settle();
        values.settle();
    });
}
