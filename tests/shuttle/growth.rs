//! Tables that grow and shrink under those who read.

use crate::support::*;
use highlander::{Handle, Registry, WeakValueMap};
use shuttle::sync::Mutex;
use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

/// The same hashes in every run.
type Fixed = BuildHasherDefault<DefaultHasher>;

/// Keys of each thread that inserts. A new table has two buckets of two.
const EACH: usize = 7;

#[test]
fn four_threads_insert_while_two_look_up() {
    meeting(150, || {
        let registry: Arc<Registry<usize, usize, Fixed>> = Arc::default();
        // What is there, and stays until the end.
        let held: Arc<Mutex<Vec<Handle<usize, usize>>>> = Arc::default();
        threads(6, {
            let (registry, held) = (registry.clone(), held.clone());
            move |number| {
                if number < 4 {
                    for key in number * EACH..(number + 1) * EACH {
                        // Every second one goes again.
                        let handle = registry.get_or_insert_with(key, |key| key * 10);
                        assert!(Handle::ptr_eq(&registry.get(&key).expect("held"), &handle));
                        if key % 2 == 0 {
                            held.lock().unwrap().push(handle);
                        }
                    }
                    return;
                }
                for round in 0..2 * EACH {
                    let known = {
                        let held = held.lock().unwrap();
                        (!held.is_empty()).then(|| held[draw(held.len())].clone())
                    };
                    match known {
                        Some(known) => {
                            let found = registry.get(Handle::key(&known)).expect("held");
                            assert!(Handle::ptr_eq(&found, &known));
                        }
                        None => pause(),
                    }
                    match (number, round) {
                        (4, 5) => registry.reserve(40),
                        (5, 5 | 9) => registry.shrink_to_fit(),
                        _ => {}
                    }
                }
            }
        });
        let held = std::mem::take(&mut *held.lock().unwrap());
        assert_eq!(registry.len(), held.len());
        let mut keys: Vec<usize> = registry
            .iter()
            .map(|handle| *Handle::key(&handle))
            .collect();
        keys.sort_unstable();
        let expected: Vec<usize> = (0..4 * EACH).filter(|key| key % 2 == 0).collect();
        assert_eq!(keys, expected);
        drop(held);
        assert_eq!(registry.len(), 0);
    });
}

#[test]
fn a_map_grows_and_is_swept_under_iterations() {
    meeting(150, || {
        let map: Arc<WeakValueMap<usize, Arc<usize>, Fixed>> = Arc::default();
        let stay: Vec<Arc<usize>> = (100..103).map(Arc::new).collect();
        for value in &stay {
            map.insert(**value, value.clone());
        }
        threads(5, {
            let map = map.clone();
            move |number| match number {
                0..3 => {
                    let mut held = Vec::new();
                    for key in number * EACH..(number + 1) * EACH {
                        let value = map.get_or_insert_with(key, |key| Arc::new(*key));
                        assert_eq!(*value, key);
                        if key % 2 == 0 {
                            held.push(value);
                        }
                    }
                    for value in &held {
                        assert!(Arc::ptr_eq(&map.get(&**value).expect("held"), value));
                    }
                }
                3 => {
                    for _ in 0..3 {
                        map.prune();
                        pause();
                        map.shrink_to_fit();
                    }
                }
                _ => {
                    for _ in 0..3 {
                        let mut seen: Vec<usize> = map.values().map(|value| *value).collect();
                        seen.sort_unstable();
                        let those_who_stay = seen.iter().filter(|&&value| value >= 100);
                        assert_eq!(those_who_stay.count(), 3, "{seen:?}");
                        seen.dedup_by(|one, other| one == other && *one >= 100);
                        assert_eq!(seen.iter().filter(|&&value| value >= 100).count(), 3);
                    }
                }
            }
        });
        assert_eq!(map.len(), 3);
        drop(stay);
        map.prune();
        assert_eq!(map.entry_count(), 0);
    });
}
