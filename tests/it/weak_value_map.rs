//! `WeakValueMap`: values that others own, one per key. Which behaviours of CPython and Guava they show is in `BEHAVIOURS.md`.

use crate::common::{flat, panic_of, promptly, Census, Citizen, Colliding, Dice};
use highlander::error::{CreateError, Refused};
use highlander::map::RemovalCause;
use highlander::pointer::WeakPointer;
use highlander::{Handle, WeakValueMap};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

type Map<K = u32, V = u32> = WeakValueMap<K, Arc<V>>;

/// A map with `n` live entries, and their owners.
fn filled(n: u32) -> (Map, Vec<Arc<u32>>) {
    let map = Map::new();
    let held = (0..n).map(Arc::new).collect::<Vec<_>>();
    for value in &held {
        assert!(map.insert(**value, value.clone()).is_none());
    }
    (map, held)
}

// CPython, WeakValueDictionary: test_weak_values.
#[test]
fn a_dead_value_is_absent_without_a_further_call() {
    let (map, held) = filled(3);
    drop(held);
    assert!(map.get(&0).is_none());
    assert!(!map.contains_key(&1));
    assert_eq!(map.len(), 0);
    assert!(map.is_empty());
    assert_eq!(map.iter().count(), 0);
}

// CPython bpo-28427.
#[test]
fn an_old_value_does_not_evict_a_new_one() {
    let map = Map::new();
    let (a, b) = (Arc::new(1), Arc::new(2));
    map.insert(7, a.clone());
    let displaced = map.insert(7, b.clone());
    assert!(Arc::ptr_eq(&displaced.unwrap(), &a));
    drop(a);
    map.prune();
    assert!(Arc::ptr_eq(&map.get(&7).unwrap(), &b));
    assert_eq!((map.len(), map.entry_count()), (1, 1));
}

// CPython bpo-19542.
#[test]
fn a_value_that_is_discarded_is_gone_and_one_that_is_kept_stays_the_first() {
    let map = Map::new();
    assert!(map.try_insert(1, Arc::new(1)).is_ok());
    assert_eq!(map.len(), 0);
    let first = Arc::new(2);
    map.try_insert(1, first.clone()).unwrap();
    assert_eq!((map.len(), map.entry_count()), (1, 1));
    let error = map.try_insert(1, Arc::new(3)).unwrap_err();
    assert!(!error.is_closed());
    assert_eq!((error.key, *error.value), (1, 3));
    assert!(Arc::ptr_eq(&error.existing.unwrap(), &first));
}

// CPython: test_weak_valued_pop, popitem.
#[test]
fn remove_and_pop_skip_the_dead() {
    let (map, mut held) = filled(4);
    held.truncate(1);
    assert!(map.remove(&3).is_none());
    assert!(map.remove(&99).is_none());
    assert_eq!(map.pop(), Some((0, held[0].clone())));
    assert_eq!(map.pop(), None);
    assert!(map.remove(&0).is_none());
}

#[test]
fn an_iterator_keeps_alive_the_item_in_hand_alone() {
    let (map, held) = filled(2);
    let mut iter = map.iter();
    let item = iter.next().unwrap();
    drop(held);
    assert_eq!(map.len(), 1);
    assert!(iter.next().is_none());
    drop(item);
    assert_eq!(map.len(), 0);
}

// CPython bpo-7105, gh-89967: here no change under an iterator is an error.
#[test]
fn iteration_survives_any_change() {
    let (map, mut held) = filled(100);
    let mut seen = 0;
    for (key, value) in &map {
        assert_eq!(key, *value);
        seen += 1;
        if key % 3 == 0 {
            held.retain(|v| **v % 3 != 1);
            map.remove(&key);
            let new = Arc::new(key + 1000);
            map.insert(key + 1000, new.clone());
            held.push(new);
        }
        map.len();
    }
    assert!((66..=100).contains(&seen), "{seen}");
}

#[test]
fn readers_beside_an_inserting_thread_never_fail() {
    let map = Arc::new(Map::new());
    let stop = Arc::new(AtomicUsize::new(0));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (map, stop) = (Arc::clone(&map), Arc::clone(&stop));
            thread::spawn(move || {
                while stop.load(SeqCst) == 0 {
                    for (key, value) in &*map {
                        assert_eq!(key, *value);
                    }
                }
            })
        })
        .collect();
    let mut held = std::collections::VecDeque::new();
    for i in 0..20_000 {
        let value = Arc::new(i % 512);
        map.insert(*value, value.clone());
        held.push_back(value);
        if held.len() > 256 {
            held.pop_front();
        }
    }
    stop.store(1, SeqCst);
    for reader in readers {
        reader.join().unwrap();
    }
}

// CPython: test_weak_valued_copy, test_weak_valued_union_operators.
#[test]
fn copies_are_shallow_unions_prefer_the_right_and_equality_is_of_the_living() {
    let (left, mut held) = filled(3);
    let copy = left.clone();
    assert_eq!(copy, left);
    assert!(Arc::ptr_eq(&copy.get(&2).unwrap(), &held[2]));
    let right = Map::new();
    let two = Arc::new(22);
    right.insert(2, two.clone());
    let union = left.clone();
    (&union).extend(&right);
    assert!(Arc::ptr_eq(&union.get(&2).unwrap(), &two));
    assert!(Arc::ptr_eq(&union.get(&1).unwrap(), &held[1]));
    assert_eq!(union.len(), 3);
    assert_ne!(union, left);
    assert!(Arc::ptr_eq(&left.get(&2).unwrap(), &held[2]));
    held.pop();
    let fewer: Map = held.iter().map(|v| (**v, v.clone())).collect();
    assert_eq!(fewer, left);
}

// CPython: test_make_weak_valued_dict..., valuerefs.
#[test]
fn weak_values_may_be_dead_values_never() {
    let (map, mut held) = filled(5);
    held.truncate(2);
    assert_eq!(map.weak_values().count(), 5);
    let dead = map.weak_values().filter(|weak| weak.is_dead()).count();
    assert_eq!(dead, 3);
    assert_eq!(map.values().count(), 2);
    let mut keys: Vec<_> = map.keys().collect();
    keys.sort_unstable();
    assert_eq!(keys, [0, 1]);
}

#[test]
fn an_extension_that_fails_midway_keeps_what_it_has_stored() {
    let map = Map::new();
    let held: Vec<_> = (0..4).map(Arc::new).collect();
    let text = panic_of(|| {
        (&map).extend(held.iter().map(|v| {
            assert!(**v < 2, "two");
            (**v, v.clone())
        }))
    });
    assert_eq!(text, "two");
    assert_eq!(map.len(), 2);
}

// Guava: MapMakerInternalMap compares weak values by `==`.
#[test]
fn weak_values_compare_by_identity() {
    let map = Map::new();
    let (value, equal) = (Arc::new(5), Arc::new(5));
    map.insert(1, value.clone());
    let refused = map.compare_exchange(1, &equal, equal.clone());
    assert!(Arc::ptr_eq(&refused.unwrap_err().value, &equal));
    assert!(map.remove_if(&1, |_, v| Arc::ptr_eq(v, &equal)).is_none());
    assert!(map.compare_exchange(1, &value, equal.clone()).is_ok());
    assert!(map.remove_if(&1, |_, v| Arc::ptr_eq(v, &equal)).is_some());
}

#[test]
fn a_dead_value_is_never_shown_and_counts_as_absent() {
    let (map, held) = filled(1);
    drop(held);
    assert_eq!((map.len(), map.entry_count()), (0, 1));
    assert_eq!(format!("{map:?}"), "{}");
    let new = Arc::new(7);
    map.try_insert(0, new.clone()).unwrap();
    assert_eq!((map.len(), map.entry_count()), (1, 1));
    assert_eq!(format!("{map:?}"), "{0: 7}");
}

// Guava #801, #307: there a dead entry stays until somebody comes by its segment, and fast churn runs out of memory.
#[test]
fn churn_keeps_the_dead_below_the_living_and_a_constant() {
    let (map, held) = filled(1000);
    for i in 0..100_000 {
        map.insert(1000 + i, Arc::new(i));
        let dead = map.entry_count() - held.len();
        assert!(dead <= held.len() + 16, "{dead} dead after {i}");
    }
    assert!(map.stats().pruned > 99_000);
}

#[test]
fn misses_sweep_too() {
    let (map, held) = filled(100);
    drop(held);
    for i in 0..64 * 100 {
        assert!(map.get(&(1000 + i)).is_none());
    }
    assert_eq!(map.entry_count(), 0);
    assert_eq!(map.stats().pruned, 100);
}

#[test]
fn pruning_takes_out_the_very_entry_and_not_its_successor() {
    let (map, mut held) = filled(100);
    held.retain(|v| **v % 2 == 0);
    let fresh: Vec<_> = (0..50)
        .map(|i| {
            let v = Arc::new(i);
            map.insert(2 * i + 1, v.clone());
            v
        })
        .collect();
    map.prune();
    assert_eq!(map.len(), 100);
    assert_eq!(map.entry_count(), 100);
    assert!(fresh
        .iter()
        .all(|v| Arc::ptr_eq(&map.get(&(2 * **v + 1)).unwrap(), v)));
}

#[test]
fn iterators_of_a_growing_map_see_each_lasting_entry_once() {
    let (map, mut held) = filled(500);
    let mut seen = vec![0; 500];
    for (key, _) in &map {
        // What is entered meanwhile may be seen too.
        let Some(seen) = seen.get_mut(key as usize) else {
            continue;
        };
        *seen += 1;
        for i in 0..4 {
            let value = Arc::new(500 + 4 * key + i);
            map.insert(*value, value.clone());
            held.push(value);
        }
    }
    assert!(seen.iter().all(|n| *n == 1));
}

// Guava's `computeIfAbsent` ran its function twice in 8 of 2,000 races.
#[test]
fn racing_creators_run_one_factory_and_share_what_it_makes() {
    let runs = AtomicUsize::new(0);
    let map = Map::<u32, u32>::new().record_stats();
    for round in 0..500 {
        let barrier = Barrier::new(4);
        let values: Vec<_> = thread::scope(|s| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    s.spawn(|| {
                        barrier.wait();
                        let value = map.get_or_insert_with(round, |_| {
                            runs.fetch_add(1, SeqCst);
                            Arc::new(round)
                        });
                        barrier.wait();
                        value
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(values.iter().all(|v| Arc::ptr_eq(v, &values[0])));
        assert_eq!(runs.load(SeqCst), round as usize + 1);
    }
    let stats = map.stats();
    assert_eq!(stats.created, 500);
    assert_eq!(stats.hits + stats.misses, 2000);
}

// ConcurrentHashMap and Caffeine: "Recursive update".
#[test]
fn a_factory_that_asks_for_its_own_key_is_told_so() {
    let map = Map::new();
    let result = map.get_or_try_insert_with(1, |_| {
        let again = map.get_or_try_insert_with(1, |_| Ok::<_, Refused>(Arc::new(1)));
        again.map_err(flat)
    });
    assert!(matches!(result.map_err(flat), Err(Refused::Cycle(_))));
    let text =
        panic_of(|| map.get_or_insert_with(1, |_| map.get_or_insert_with(1, |_| Arc::new(1))));
    assert!(
        text.contains("asked for the value that it is creating"),
        "{text}"
    );
    let nested = map.get_or_insert_with(1, |_| {
        assert_eq!(*map.get_or_insert_with(2, |_| Arc::new(20)), 20);
        Arc::new(10)
    });
    assert_eq!(*nested, 10);
}

#[test]
fn a_factory_that_fails_or_panics_stores_nothing() {
    let map = Map::new();
    let error = map.get_or_try_insert_with(1, |_| Err("no"));
    assert_eq!(error.unwrap_err(), CreateError::Failed("no"));
    assert_eq!(
        panic_of(|| map.get_or_insert_with(1, |_| panic!("oh"))),
        "oh"
    );
    assert_eq!(map.entry_count(), 0);
    assert_eq!(*map.get_or_insert_with(1, |_| Arc::new(1)), 1);
}

#[test]
fn all_who_wait_get_the_value_though_its_creator_lets_go_at_once() {
    promptly(|| {
        let map = Map::new();
        let inside = Barrier::new(2);
        thread::scope(|s| {
            s.spawn(|| {
                drop(map.get_or_insert_with(1, |_| {
                    inside.wait();
                    // The other one is on its way, or will come later; both are fine.
                    while map.stats().misses < 2 {
                        thread::yield_now();
                    }
                    Arc::new(77)
                }))
            });
            inside.wait();
            let value = map.get_or_insert_with(1, |_| Arc::new(88));
            assert!(*value == 77 || *value == 88);
        });
        assert_eq!(map.len(), 0);
    });
}

#[test]
fn a_value_inserted_during_its_creation_wins() {
    let map = Map::new();
    let other = Arc::new(2);
    let census = Census::new();
    let value = map.get_or_insert_with(1, |_| {
        map.insert(1, other.clone());
        Arc::new(1)
    });
    assert!(Arc::ptr_eq(&value, &other));
    drop(census);
    assert_eq!((map.len(), map.entry_count()), (1, 1));
    assert_eq!(map.stats().created, 0);
}

#[test]
fn stale_values_are_replaced_once() {
    let map = Map::<u32, (u32, bool)>::new();
    let old = map.get_or_insert_with(1, |_| Arc::new((1, true)));
    let made = AtomicUsize::new(0);
    let barrier = Barrier::new(4);
    let new: Vec<_> = thread::scope(|s| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                s.spawn(|| {
                    barrier.wait();
                    let new = map.entry(1).valid_if(|v| !v.1).or_insert_with(|_| {
                        made.fetch_add(1, SeqCst);
                        Arc::new((2, false))
                    });
                    barrier.wait();
                    new
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(made.load(SeqCst), 1);
    assert!(new.iter().all(|v| Arc::ptr_eq(v, &new[0])));
    assert!(!Arc::ptr_eq(&old, &new[0]));
    assert_eq!((map.stats().replaced, map.stats().removed), (0, 1));
    assert_eq!(map.entry_count(), 1);
}

#[test]
fn update_is_atomic() {
    let map = Map::<u32, usize>::new();
    let kept = Mutex::new(Vec::new());
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..500 {
                    let new = map.update(1, |old| Some(Arc::new(old.map_or(0, |n| **n) + 1)));
                    kept.lock().unwrap().push(new);
                }
            });
        }
    });
    assert_eq!(*map.get(&1).unwrap(), 2000);
    assert_eq!(map.entry_count(), 1);
}

#[test]
fn a_replacement_needs_a_live_value() {
    let map = Map::new();
    let replace = |new: &Arc<u32>| map.update(1, |old| old.map(|_| new.clone()));
    let (live, new) = (Arc::new(4), Arc::new(5));
    let refused = |value| map.compare_exchange(1, &live, Arc::new(value)).unwrap_err();
    assert!(replace(&new).is_none());
    assert_eq!(*refused(1).value, 1);
    map.insert(1, Arc::new(2));
    assert!(replace(&new).is_none());
    assert_eq!(*refused(3).value, 3);
    assert_eq!(map.len(), 0);
    map.insert(1, live.clone());
    let exchanged = map.compare_exchange(1, &live, new.clone());
    assert!(Arc::ptr_eq(&exchanged.unwrap(), &live));
    assert!(Arc::ptr_eq(&map.get(&1).unwrap(), &new));
    assert!(Arc::ptr_eq(&replace(&live).unwrap(), &live));
    assert!(Arc::ptr_eq(&map.get(&1).unwrap(), &live));
}

#[test]
fn a_closed_map_takes_nothing_and_shows_what_is_there() {
    let (map, held) = filled(3);
    let mut live = map.close();
    live.sort();
    assert_eq!(live, held);
    assert!(map.is_closed());
    assert!(map.try_insert(9, Arc::new(9)).unwrap_err().is_closed());
    assert!(panic_of(|| map.insert(9, Arc::new(9))).contains("closed"));
    assert!(panic_of(|| map.get_or_insert_with(9, |_| Arc::new(9))).contains("closed"));
    assert!(map.compare_exchange(1, &held[1], Arc::new(9)).is_err());
    assert!(panic_of(|| map.update(1, |_| Some(Arc::new(9)))).contains("closed"));
    let error = map.get_or_try_insert_with(9, |_| Ok::<_, ()>(Arc::new(9)));
    assert!(matches!(
        error,
        Err(CreateError::Refused(Refused::Closed(_)))
    ));
    assert!(Arc::ptr_eq(
        &map.get_or_insert_with(1, |_| unreachable!()),
        &held[1]
    ));
    assert_eq!(map.len(), 3);
    assert!(map.remove(&1).is_some());
}

#[test]
fn closing_beside_insertions_leaves_none_behind() {
    for round in 0..200 {
        let map = Map::new();
        let held = Mutex::new(Vec::new());
        let barrier = Barrier::new(2);
        let closed = thread::scope(|s| {
            s.spawn(|| {
                barrier.wait();
                for i in 0..20 {
                    let value = Arc::new(i);
                    let result = map.try_insert(i, value.clone());
                    held.lock().unwrap().push((value, result.is_ok()));
                }
            });
            barrier.wait();
            for _ in 0..round {
                std::hint::spin_loop();
            }
            map.close()
        });
        for (value, entered) in held.lock().unwrap().iter() {
            assert!(!entered || closed.iter().any(|c| Arc::ptr_eq(c, value)));
        }
        assert_eq!(
            map.len(),
            held.lock().unwrap().iter().filter(|h| h.1).count()
        );
    }
}

#[test]
fn unsized_values_and_colliding_hashes() {
    let map: WeakValueMap<String, Arc<dyn std::fmt::Debug + Send + Sync>, Colliding> =
        WeakValueMap::with_hasher(Colliding);
    let mut held: Vec<Arc<dyn std::fmt::Debug + Send + Sync>> = Vec::new();
    for i in 0..60 {
        let value: Arc<dyn std::fmt::Debug + Send + Sync> = Arc::new(i);
        assert!(map.insert(i.to_string(), value.clone()).is_none());
        held.push(value);
    }
    for i in 0..60 {
        assert_eq!(
            format!("{:?}", map.get(i.to_string().as_str()).unwrap()),
            i.to_string()
        );
    }
    held.truncate(30);
    assert_eq!(map.len(), 30);
    assert_eq!(map.prune(), 30);
    assert_eq!(map.entry_count(), 30);
}

thread_local!(static MAP: Cell<Option<&'static Map<Key, u32>>> = const { Cell::new(None) });

/// A key whose every function uses the map that it is in.
#[derive(Clone, Debug)]
struct Key(u32);

impl Key {
    fn meddle(&self) {
        let Some(map) = MAP.take() else { return };
        map.get(&Key(self.0 + 1));
        map.insert(Key(900), Arc::new(1));
        map.prune();
        map.len();
        MAP.set(Some(map));
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.meddle();
        self.0 == other.0
    }
}

impl Eq for Key {}

impl std::hash::Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.meddle();
        (self.0 % 8).hash(state);
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.meddle();
    }
}

#[test]
fn user_code_may_use_the_map_from_anywhere() {
    promptly(|| {
        let map: &'static Map<Key, u32> = crate::common::forever(Map::new());
        MAP.set(Some(map));
        let mut held = Vec::new();
        for i in 0..200 {
            let value = map.get_or_insert_with(Key(i), |_| {
                assert!(map.get(&Key(i)).is_none());
                Arc::new(i)
            });
            if i % 3 == 0 {
                held.push(value);
            }
        }
        for value in &held {
            assert!(Arc::ptr_eq(&map.get(&Key(**value)).unwrap(), value));
        }
        map.retain(|key, _| key.0 % 2 == 0);
        map.clear();
        MAP.set(None);
        assert_eq!(map.len(), 0);
    });
}

#[test]
fn a_value_may_use_the_map_in_its_destructor() {
    struct Value(&'static WeakValueMap<u32, Arc<Value>>, u32);
    impl Drop for Value {
        fn drop(&mut self) {
            assert!(self.0.get(&self.1).is_none());
            if self.1 < 100 {
                let next = self.1 + 1;
                drop(
                    self.0
                        .get_or_insert_with(next, |_| Arc::new(Value(self.0, next))),
                );
            }
        }
    }
    promptly(|| {
        let map: &'static WeakValueMap<u32, Arc<Value>> =
            crate::common::forever(WeakValueMap::new());
        drop(map.get_or_insert_with(0, |_| Arc::new(Value(map, 0))));
        assert_eq!(map.len(), 0);
    });
}

#[test]
fn the_map_drops_its_keys_and_one_that_panics_holds_back_no_other() {
    struct Bomb(u32, #[allow(dead_code)] Citizen);
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(self.0 != 5, "five");
        }
    }
    impl PartialEq for Bomb {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Bomb {}
    impl std::hash::Hash for Bomb {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    for how in 0..3 {
        let census = Census::new();
        let map: WeakValueMap<Bomb, Arc<u32>> = WeakValueMap::new();
        let held: Vec<_> = (0..10).map(Arc::new).collect();
        for value in &held {
            map.insert(Bomb(**value, census.citizen()), value.clone());
        }
        let text = match how {
            0 => panic_of(|| drop(map)),
            1 => panic_of(|| map.clear()),
            _ => {
                drop(held);
                panic_of(|| map.prune())
            }
        };
        assert_eq!(text, "five");
        assert_eq!((census.born(), census.alive()), (10, 0));
    }
}

#[test]
fn of_several_keys_that_panic_when_the_map_is_dropped_the_first_is_heard() {
    struct Bomb(u32);
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("bang");
        }
    }
    impl PartialEq for Bomb {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Bomb {}
    impl std::hash::Hash for Bomb {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    // Fewer than are put aside, more, and many.
    for keys in [2, 63, 64, 200] {
        let map: WeakValueMap<Bomb, Arc<u32>> = WeakValueMap::new();
        let held: Vec<_> = (0..keys).map(Arc::new).collect();
        for value in &held {
            map.insert(Bomb(**value), value.clone());
        }
        assert_eq!(panic_of(|| drop(map)), "bang");
        assert!(held.iter().all(|value| Arc::weak_count(value) == 0));
    }
}

#[test]
fn owners_outlive_the_map() {
    let (map, held) = filled(10);
    let found: Vec<_> = map.values().collect();
    drop(map);
    assert!(found.iter().all(|value| held.contains(value)));
    assert_eq!(found.len(), 10);
    drop(held);
}

#[test]
fn threads_that_insert_look_up_remove_and_prune_agree() {
    promptly(|| {
        let map = Map::<u32, (u32, Citizen)>::new();
        let census = Census::new();
        thread::scope(|s| {
            for seed in 0..4 {
                let (map, census) = (&map, &census);
                s.spawn(move || {
                    let mut dice = Dice::new(seed);
                    let mut held = Vec::new();
                    for _ in 0..5000 {
                        let key = dice.below(64) as u32;
                        let make = || Arc::new((key, census.citizen()));
                        match dice.below(8) {
                            0..=2 => held.push(map.get_or_insert_with(key, |_| make())),
                            3 => held.extend(map.get(&key)),
                            4 => {
                                let value = make();
                                map.insert(key, value.clone());
                                held.push(value);
                            }
                            5 => drop(map.remove(&key)),
                            6 => drop(map.update(key, |old| old.cloned().or_else(|| Some(make())))),
                            _ => {
                                map.prune();
                            }
                        }
                        assert!(held.iter().all(|v| v.0 < 64));
                        if held.len() > 16 {
                            held.remove(dice.below(16));
                        }
                    }
                });
            }
        });
        assert_eq!(census.alive(), 0);
        assert_eq!(map.len(), 0);
        map.prune();
        assert_eq!(map.entry_count(), 0);
    });
}

#[test]
fn it_takes_our_own_handles_too() {
    let registry: highlander::Registry<u32, String> = highlander::Registry::new();
    let handle = registry.get_or_insert_with(1, |_| "one".into());
    let names: WeakValueMap<&str, highlander::Handle<u32, String>> = WeakValueMap::new();
    names.insert("uno", handle.clone());
    assert!(Handle::ptr_eq(&names.get("uno").unwrap(), &handle));
    drop(handle);
    assert!(names.get("uno").is_none());
}

#[test]
fn counters() {
    let (map, held) = filled(3);
    let map = map.record_stats();
    assert!(map.get(&0).is_some() && map.get(&9).is_none());
    drop(held);
    assert!(map.get(&0).is_none());
    let value = map.get_or_insert_with(0, |_| Arc::new(1));
    map.insert(0, Arc::new(2));
    drop(value);
    let stats = map.stats();
    assert_eq!(
        (stats.hits, stats.misses, stats.created, stats.replaced),
        (1, 3, 1, 1)
    );
    assert!(stats.dead_seen >= 1, "{stats:?}");
}

#[test]
fn errors_of_the_users_own() {
    #[derive(Debug, PartialEq)]
    enum Mine {
        Cycle,
        Closed,
    }
    impl From<Refused> for Mine {
        fn from(refused: Refused) -> Self {
            match refused {
                Refused::Cycle(_) => Mine::Cycle,
                _ => Mine::Closed,
            }
        }
    }
    let map = Map::new();
    let nested = |key| {
        let value = map.get_or_try_insert_with(key, |_| Ok::<_, Mine>(Arc::new(0)));
        value.map_err(|error| error.map_refused(Mine::from))
    };
    assert_eq!(
        map.get_or_try_insert_with(1, |_| nested(1)),
        Err(CreateError::Failed(Mine::Cycle))
    );
    map.close();
    assert_eq!(nested(1), Err(Mine::Closed));
}

/// Long scripts against a model: a `HashMap` of weak pointers.
fn script<S: std::hash::BuildHasher + Default>(seed: u64) {
    let mut dice = Dice::new(seed);
    let map: WeakValueMap<u32, Arc<u32>, S> = WeakValueMap::with_hasher(S::default());
    let mut model = std::collections::HashMap::<u32, std::sync::Weak<u32>>::new();
    let mut held: Vec<Arc<u32>> = Vec::new();
    let live = |model: &std::collections::HashMap<u32, std::sync::Weak<u32>>, key| {
        model.get(&key).and_then(std::sync::Weak::upgrade)
    };
    let same = |one: Option<&Arc<u32>>, other: Option<&Arc<u32>>| {
        one.map(Arc::as_ptr) == other.map(Arc::as_ptr)
    };
    for step in 0..2000 {
        let key = dice.below(40) as u32;
        let new = Arc::new(step);
        let old = live(&model, key);
        let mut entered = None;
        match dice.below(13) {
            0 => {
                assert!(same(map.insert(key, new.clone()).as_ref(), old.as_ref()));
                entered = Some(new.clone());
            }
            1 => match map.try_insert(key, new.clone()) {
                Ok(value) => {
                    assert!(old.is_none() && Arc::ptr_eq(&value, &new));
                    entered = Some(value);
                }
                Err(error) => assert!(same(error.existing.as_ref(), old.as_ref())),
            },
            2 | 3 => {
                let got = map.get_or_insert_with(key, |_| new.clone());
                assert!(same(Some(&got), old.as_ref().or(Some(&new))));
                entered = Some(got);
            }
            4 => {
                assert!(same(map.remove(&key).as_ref(), old.as_ref()));
                model.remove(&key);
            }
            5 => match map.compare_exchange(key, old.as_ref().unwrap_or(&new), new.clone()) {
                Ok(displaced) => {
                    assert!(same(Some(&displaced), old.as_ref()));
                    entered = Some(new.clone());
                }
                Err(_) => assert!(old.is_none()),
            },
            6 => {
                let wanted = (step % 2 == 0).then(|| new.clone());
                let got = map.update(key, |value| {
                    assert!(same(value, old.as_ref()));
                    wanted.clone()
                });
                assert!(same(got.as_ref(), wanted.as_ref()));
                model.remove(&key);
                entered = wanted;
            }
            7 => {
                let got = map
                    .entry(key)
                    .valid_if(|v| **v % 2 != 0)
                    .or_insert_with(|_| new.clone());
                let wanted = old.as_ref().filter(|v| ***v % 2 != 0).unwrap_or(&new);
                assert!(same(Some(&got), Some(wanted)));
                entered = Some(got);
            }
            8 => {
                map.retain(|key, value| key % 5 != 0 || **value % 3 == 0);
                model.retain(|key, value| {
                    value.upgrade().is_some_and(|v| key % 5 != 0 || *v % 3 == 0)
                });
            }
            9 => {
                map.prune();
                let dead = map.weak_values().filter(|weak| weak.is_dead()).count();
                assert_eq!(dead, 0);
            }
            10 => map.shrink_to_fit(),
            11 if step % 10 == 0 => {
                let drained = map.drain().count();
                assert_eq!(
                    drained,
                    model.values().filter(|v| v.strong_count() > 0).count()
                );
                model.clear();
            }
            _ => {
                let popped = (step % 7 == 0).then(|| map.pop()).flatten();
                if let Some((key, value)) = popped {
                    assert!(same(Some(&value), live(&model, key).as_ref()));
                    model.remove(&key);
                }
            }
        }
        drop((old, new));
        if let Some(value) = entered {
            model.insert(key, Arc::downgrade(&value));
            if dice.below(3) > 0 {
                held.push(value);
            }
        }
        if held.len() > 25 {
            held.swap_remove(dice.below(held.len()));
        }
        model.retain(|_, value| value.strong_count() > 0);
        assert_eq!(map.len(), model.len());
        for key in 0..40 {
            assert!(same(map.get(&key).as_ref(), live(&model, key).as_ref()));
        }
        assert_eq!(map.iter().count(), model.len());
        assert_eq!(map.is_empty(), model.is_empty());
    }
}

#[test]
fn long_scripts_agree_with_a_model() {
    for seed in 0..20 {
        script::<std::hash::RandomState>(seed);
        script::<Colliding>(seed);
    }
}

#[test]
fn a_stale_value_goes_though_the_factory_fails_and_the_next_one_creates() {
    let (map, mut held) = filled(1);
    let fail = |_: &u32| Err("no");
    let failed = map.entry(0).valid_if(|_| false).or_try_insert_with(fail);
    assert_eq!(failed, Err(CreateError::Failed("no")));
    assert!(map.get(&0).is_none());
    map.insert(0, held[0].clone());
    let same = map
        .entry(0)
        .valid_if(|_| true)
        .or_try_insert_with(fail)
        .unwrap();
    assert!(Arc::ptr_eq(&same, &held[0]));
    let seven = |_: &u32| Ok::<_, ()>(Arc::new(7));
    let new = map.entry(0).valid_if(|_| false).or_try_insert_with(seven);
    held.push(new.unwrap());
    assert_eq!(map.get(&0), Some(Arc::new(7)));
    let stats = map.stats();
    assert_eq!((stats.created, stats.replaced, stats.removed), (1, 0, 2));
    map.close();
    let closed = map.entry(0).valid_if(|_| false).or_try_insert_with(fail);
    assert!(matches!(
        closed,
        Err(CreateError::Refused(Refused::Closed(_)))
    ));
    assert_eq!(map.get(&0), Some(Arc::new(7)));
}

#[test]
fn equality_is_an_equivalence_if_that_of_the_values_is() {
    fn total<T: Eq>(_: &T) {}
    let (map, _held) = filled(3);
    total(&map);
    let (copy, other) = (map.clone(), WeakValueMap::new());
    assert_eq!(map, map);
    assert_eq!(map, copy);
    assert_eq!(copy, map);
    assert_ne!(map, other);
}

/// A key that is counted, and compared by its number.
struct Secret(u32, #[allow(dead_code)] Option<Citizen>);

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Secret {}

impl std::hash::Hash for Secret {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// Lets the time pass after which keys of entries that have been taken out are dropped, with a margin for slow clocks.
fn let_time_pass() {
    let begin = std::time::Instant::now();
    while begin.elapsed() < std::time::Duration::from_millis(20) {
        std::hint::spin_loop();
    }
}

#[test]
fn in_a_quiet_map_a_key_goes_with_the_call_that_takes_its_entry_out() {
    let (map, census) = (Map::<Secret>::new(), Census::new());
    let value = Arc::new(0);
    for key in 0..8 {
        map.insert(Secret(key, Some(census.citizen())), Arc::clone(&value));
    }
    for key in 0..8 {
        let_time_pass();
        assert!(map.remove(&Secret(key, None)).is_some());
        assert_eq!(census.alive(), map.entry_count() as isize);
    }
    assert_eq!(map.entry_count(), 0);
}

#[test]
fn keys_of_entries_that_were_taken_out_in_a_hurry_go_with_the_next_change_by_any_thread() {
    let (map, census) = (Map::<Secret>::new(), Census::new());
    let value = Arc::new(0);
    for key in 0..40 {
        map.insert(Secret(key, Some(census.citizen())), Arc::clone(&value));
    }
    thread::scope(|scope| {
        scope.spawn(|| assert!((0..20).all(|key| map.remove(&Secret(key, None)).is_some())));
        assert!((20..39).all(|key| map.remove(&Secret(key, None)).is_some()));
    });
    let_time_pass();
    thread::scope(|scope| {
        scope.spawn(|| map.insert(Secret(40, Some(census.citizen())), Arc::clone(&value)));
    });
    assert_eq!((map.entry_count(), census.alive()), (2, 2));
}

#[test]
fn with_eager_keys_each_key_goes_with_the_call_that_takes_its_entry_out() {
    let (map, census) = (Map::<Secret>::new().eager_keys(), Census::new());
    let value = Arc::new(0);
    for key in 0..40 {
        map.insert(Secret(key, Some(census.citizen())), Arc::clone(&value));
    }
    // In a hurry: all of them in a few milliseconds.
    for key in 0..10 {
        assert!(map.remove(&Secret(key, None)).is_some());
        assert_eq!(census.alive(), map.entry_count() as isize);
    }
    for key in 10..20 {
        map.insert(Secret(key, Some(census.citizen())), Arc::clone(&value));
        assert_eq!((map.entry_count(), census.alive()), (30, 30));
    }
    map.retain(|key, _| key.0 >= 30);
    assert_eq!(census.alive(), 10);
    let copy = map.clear();
    assert_eq!((copy, census.alive()), (10, 0));
}

#[test]
fn a_dead_entry_is_taken_out_by_its_key_and_nothing_else_is() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&log);
    let (map, census) = (Map::<Secret>::new(), Census::new());
    let map = map.on_remove(move |key: &Secret, cause| told.lock().unwrap().push((key.0, cause)));
    let (lives, dies) = (Arc::new(0), Arc::new(1));
    map.insert(Secret(0, Some(census.citizen())), Arc::clone(&lives));
    map.insert(Secret(1, Some(census.citizen())), Arc::clone(&dies));
    assert!(!map.prune_key(&Secret(1, None)));
    drop(dies);
    assert!(!map.prune_key(&Secret(0, None)) && !map.prune_key(&Secret(2, None)));
    assert_eq!((map.entry_count(), census.alive()), (2, 2));
    assert!(map.prune_key(&Secret(1, None)));
    assert_eq!((map.entry_count(), census.alive()), (1, 1));
    assert!(!map.prune_key(&Secret(1, None)));
    assert_eq!(*log.lock().unwrap(), [(1, RemovalCause::Dead)]);
    assert_eq!(map.stats().pruned, 1);
}
