//! A destructor panics where a call has something in hand that it is about to return: nothing of that is lost.

use crate::common::{panic_of, Census, Citizen};
use highlander::{Handle, Registry, StrongMap, WeakKeyMap, WeakValueMap};
use std::cell::{Cell, RefCell};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

thread_local! {
    /// The next part that is dropped panics.
    static ARMED: Cell<bool> = const { Cell::new(false) };
    /// What the next comparison of keys does.
    static COMPARED: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

fn arm() {
    ARMED.set(true);
}

/// A key or a value: counted, and all alike.
struct Part(#[allow(dead_code)] Citizen, Census);

impl Part {
    fn of(census: &Census) -> Self {
        Self(census.citizen(), census.clone())
    }
}

impl Clone for Part {
    fn clone(&self) -> Self {
        Self::of(&self.1)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        assert!(!ARMED.replace(false), "armed");
    }
}

impl PartialEq for Part {
    fn eq(&self, _: &Self) -> bool {
        if let Some(f) = COMPARED.take() {
            f();
        }
        true
    }
}

impl Eq for Part {}

impl Hash for Part {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// The call panics as it was armed to, and when what it worked on has gone, all is gone.
fn nothing_is_lost<T>(make: impl Fn(&Census) -> T, call: impl Fn(&Arc<T>, &Census)) {
    let census = Census::new();
    let on = Arc::new(make(&census));
    assert_eq!(panic_of(|| call(&on, &census)), "armed");
    drop(on);
    assert_eq!(census.alive(), 0);
}

type Values = Registry<Part, Part>;

fn one_value(census: &Census) -> (Values, RefCell<Option<Handle<Part, Part>>>) {
    let registry = Values::new();
    let (held, _) = registry.insert(Part::of(census), Part::of(census));
    (registry, RefCell::new(Some(held)))
}

#[test]
fn a_value_that_takes_no_place_comes_back_though_its_key_panics() {
    nothing_is_lost(one_value, |on, census| {
        let old = on.1.take().unwrap();
        on.0.remove_same(&old);
        let new = Part::of(census);
        // The key that is cloned for it.
        arm();
        let _ = on.0.replace_same(&old, new);
    });
}

#[test]
fn a_key_comes_out_of_an_iterator_though_its_value_panics() {
    nothing_is_lost(one_value, |on, _| {
        let mut keys = on.0.keys();
        drop(on.1.take());
        arm();
        keys.next();
    });
}

/// Of those calls that look, decide, and swap: the old entry is taken out in between, so that the call is its last owner.
macro_rules! swaps {
    ($name:ident, $map:ty, $new:expr, $key:expr) => {
        mod $name {
            use super::*;

            fn one_entry(census: &Census) -> ($map, Arc<u32>) {
                let (map, key): ($map, _) = ($new, Arc::new(1));
                map.insert($key(&key), Part::of(census));
                (map, key)
            }

            #[test]
            fn an_update_loses_nothing() {
                nothing_is_lost(one_entry, |on, census| {
                    let is_first = Cell::new(true);
                    on.0.update($key(&on.1), |_| {
                        let new = Part::of(census);
                        if is_first.replace(false) {
                            on.0.clear();
                            arm();
                        }
                        Some(new)
                    });
                });
            }

            #[test]
            fn a_replacement_loses_nothing() {
                nothing_is_lost(one_entry, |on, census| {
                    let _ = on.0.replace_if($key(&on.1), Part::of(census), |_| {
                        on.0.clear();
                        arm();
                        true
                    });
                });
            }
        }
    };
}

swaps!(
    of_a_strong_map,
    StrongMap<Arc<u32>, Part>,
    StrongMap::new(),
    Arc::clone
);
swaps!(
    of_a_map_with_weak_keys,
    WeakKeyMap<Arc<u32>, Part>,
    WeakKeyMap::new(),
    std::convert::identity
);

#[test]
fn what_takes_the_place_of_an_entry_that_its_key_has_taken_out_is_not_lost() {
    type Keys = WeakKeyMap<Arc<Part>, Part>;
    let one = |census: &Census| {
        let (map, key) = (Keys::new(), Arc::new(Part::of(census)));
        map.insert(&key, Part::of(census));
        (map, key)
    };
    let calls: [fn(&Keys, &Arc<Part>, Part); 4] = [
        |map, key, new| drop(map.insert(key, new)),
        |map, key, new| drop(map.replace(key, new)),
        |map, key, new| drop(map.replace_if(key, new, |_| true)),
        |map, key, new| {
            let mut new = Some(new);
            map.update(key, |_| new.take());
        },
    ];
    for call in calls {
        nothing_is_lost(one, |on, census| {
            let (key, new) = (Arc::new(Part::of(census)), Part::of(census));
            let clears = on.clone();
            COMPARED.replace(Some(Box::new(move || {
                clears.0.clear();
                arm();
            })));
            call(&on.0, &key, new);
        });
    }

    type Map = StrongMap<Part, Part>;
    let one = |census: &Census| {
        let map = Map::new();
        map.insert(Part::of(census), Part::of(census));
        map
    };
    let calls: [fn(&Map, Part, Part); 3] = [
        |map, key, new| drop(map.replace(key, new)),
        |map, key, new| drop(map.replace_if(key, new, |_| true)),
        |map, key, new| {
            let mut new = Some(new);
            map.update(key, |_| new.take());
        },
    ];
    for call in calls {
        nothing_is_lost(one, |on, census| {
            let (key, new) = (Part::of(census), Part::of(census));
            let clears = on.clone();
            COMPARED.replace(Some(Box::new(move || {
                clears.clear();
                arm();
            })));
            call(on, key, new);
        });
    }
}

/// What only the leak sanitizer sees: what weak handles share.
#[test]
fn an_update_of_a_weak_value_loses_nothing() {
    nothing_is_lost(
        |census| {
            let registry: Registry<u32, Part> = Registry::new();
            let map: WeakValueMap<u32, Handle<u32, Part>> = WeakValueMap::new();
            let (held, _) = registry.insert(1, Part::of(census));
            map.insert(1, held.clone());
            (map, registry, RefCell::new(Some(held)))
        },
        |on, census| {
            let is_first = Cell::new(true);
            on.0.update(1, |_| {
                let (new, _) = on.1.insert(2, Part::of(census));
                if is_first.replace(false) {
                    on.0.clear();
                    on.2.take();
                    arm();
                }
                Some(new)
            });
        },
    );
}
