//! Pointers to objects of a foreign runtime (see `foreign_vm`): which objects are the same, what cannot be reached, deaths that are reported late.

use crate::common::promptly;
use crate::foreign_vm::{Global, Vm};
use highlander::map::{ByAddress, RemovalCause};
use highlander::pointer::{Pointer, WeakPointer};
use highlander::{Recent, WeakKeyMap, WeakKeyValueMap, WeakSet, WeakValueMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{mpsc, Arc, Mutex};
use std::thread;

type Values = WeakValueMap<u32, Global>;
type Keys = WeakKeyMap<Global, usize, ByAddress>;
type Pairs = WeakKeyValueMap<Global, Global, ByAddress>;

fn is(one: &Global, other: &Global) -> bool {
    Global::same(one, other)
}

fn objects(vm: &'static Vm, count: usize) -> Vec<Global> {
    (0..count)
        .map(|n| vm.object(&format!("object {n}")))
        .collect()
}

#[test]
fn objects_that_move_and_share_identity_hashes_are_told_apart() {
    // 2 bits: of 40 objects, 10 share each hash.
    let vm = Vm::new(2);
    let objects = objects(vm, 40);
    let (keys, set): (Keys, WeakSet<Global, ByAddress>) = Default::default();
    for (n, object) in objects.iter().enumerate() {
        assert_eq!(keys.insert(object, n), None);
        assert!(set.insert(object));
    }
    let places: Vec<_> = objects.iter().map(Global::place).collect();
    vm.compact();
    assert!(objects
        .iter()
        .map(Global::place)
        .zip(places)
        .all(|(now, before)| now != before));
    for (n, object) in objects.iter().enumerate() {
        assert_eq!(keys.get(object), Some(n));
        assert!(set.contains(object) && !set.insert(object));
    }
    assert_eq!((keys.len(), set.len()), (40, 40));
    assert_eq!(keys.remove(&objects[7]), Some(7));
    assert!(set.remove(&objects[7]));
    for (n, object) in objects.iter().enumerate() {
        assert_eq!(
            (keys.contains_key(object), set.contains(object)),
            (n != 7, n != 7)
        );
    }
}

#[test]
fn an_address_that_is_used_again_is_another_object() {
    let vm = Vm::new(0);
    let _attached = vm.attach();
    let (keys, set): (Keys, WeakSet<Global, ByAddress>) = Default::default();
    let first = vm.object("first");
    let (place, weak) = (first.place(), Global::downgrade(&first));
    keys.insert(&first, 1);
    set.insert(&first);
    drop(first);
    assert_eq!(vm.collect(), 1);
    let reports = vm.take_reports();
    assert_eq!(reports.len(), 2);
    let second = vm.object("second");
    assert_eq!(second.place(), place);
    assert!(weak.is_dead() && !weak.same(&second));
    assert_eq!(keys.get(&second), None);
    assert!(!set.contains(&second) && set.insert(&second));
    assert_eq!(keys.insert(&second, 2), None);
    // Reported when its place is another object's.
    reports.into_iter().for_each(|notify| notify.dead());
    assert_eq!(
        (keys.get(&second), keys.entry_count(), set.entry_count()),
        (Some(2), 1, 1)
    );
}

#[test]
fn a_weak_pointer_keeps_its_identity_hash_when_it_is_dead() {
    let vm = Vm::new(20);
    let _attached = vm.attach();
    let object = vm.object("o");
    let (hash, weak) = (Global::identity_hash(&object), Global::downgrade(&object));
    drop(object);
    vm.collect();
    assert!(weak.upgrade().is_none() && weak.is_dead());
    assert_eq!(
        (weak.identity_hash(), weak.clone().identity_hash()),
        (hash, hash)
    );
}

#[test]
fn calls_by_identity_compare_objects_and_not_their_hashes() {
    let vm = Vm::new(0);
    let _attached = vm.attach();
    let (one, other) = (vm.object("o"), vm.object("o"));
    let map = Values::new();
    map.insert(1, one.clone());
    vm.compact();
    assert!(!map.remove_same(&1, &other));
    assert!(map.compare_exchange(1, &other, vm.object("new")).is_err());
    let old = map.compare_exchange(1, &one, other.clone()).unwrap();
    assert!(is(&old, &one));
    // An `update` to the very same object is no replacement.
    let replaced = map.stats().replaced;
    map.update(1, |value| value.cloned());
    assert_eq!(map.stats().replaced, replaced);
    map.update(1, |_| Some(one.clone()));
    assert_eq!(map.stats().replaced, replaced + 1);
    assert!(map.remove_same(&1, &one) && map.is_empty());
}

#[test]
fn values_that_share_an_identity_hash_lead_to_their_own_keys() {
    let vm = Vm::new(1);
    let _attached = vm.attach();
    let (keys, values) = (objects(vm, 12), objects(vm, 4));
    let pairs = Pairs::new();
    for (n, key) in keys.iter().enumerate() {
        pairs.insert(key, values[n % 4].clone());
    }
    vm.compact();
    for (n, value) in values.iter().enumerate() {
        let expected = [n + 8, n + 4, n].map(|at| &keys[at]);
        let found = pairs.keys_of(value);
        assert_eq!(found.len(), 3);
        assert!(found
            .iter()
            .zip(expected)
            .all(|(found, expected)| is(found, expected)));
        assert!(is(&pairs.get_by_value(value).unwrap(), &keys[n + 8]));
    }
    assert_eq!(pairs.remove_by_value(&values[2]).len(), 3);
    assert!(pairs.get_by_value(&values[2]).is_none());
    assert_eq!(pairs.len(), 9);
    assert!(pairs.get_by_value(&vm.object("stranger")).is_none());
}

#[test]
fn a_layer_keeps_objects_that_move() {
    let vm = Vm::new(20);
    let _attached = vm.attach();
    let recent = Recent::new(Values::new(), 2);
    for key in [1, 2, 3] {
        recent.get_or_insert_with(key, |key| vm.object(&key.to_string()));
        vm.compact();
    }
    assert_eq!(vm.collect(), 1);
    assert!(recent.get(&1).is_none() && recent.get(&2).is_some() && recent.get(&3).is_some());
    let two = recent.get(&2).unwrap();
    vm.compact();
    assert!(recent.is_kept(&two) && recent.release(&two) && !recent.is_kept(&two));
}

#[cfg(feature = "registries")]
#[test]
fn registries_know_objects_by_what_they_are() {
    use highlander::registries::memo::Same;
    use highlander::registries::signals::{Receiver, Signal};
    use std::collections::HashSet;

    let vm = Vm::new(0);
    let _attached = vm.attach();
    let (one, other) = (vm.object("o"), vm.object("o"));
    #[allow(clippy::mutable_key_type)] // Its identity does not change.
    let same: HashSet<_> = [&one, &other, &one.clone()].map(|o| Same(o.clone())).into();
    assert_eq!(same.len(), 2);
    vm.compact();
    assert!(same.contains(&Same(one.clone())));

    let signal: Signal<str, String, Global> = Signal::new();
    let [of_one, of_other] =
        [1, 2].map(|n| Receiver::new(move |said: &str| format!("{n}: {said}")));
    assert!(signal.of(&one).connect(&of_one) && signal.of(&other).connect(&of_other));
    assert!(signal.of(&other).connect(&of_one));
    assert!(!signal.of(&other).connect(&of_one) && signal.of(&other).disconnect(&of_one));
    assert!(!signal.of(&vm.object("stranger")).disconnect(&of_one));
    vm.compact();
    assert_eq!(signal.of(&one).send("hi").unwrap(), ["1: hi"]);
    assert_eq!(signal.of(&other).send("hi").unwrap(), ["2: hi"]);
    assert!(signal
        .of(&vm.object("stranger"))
        .send("hi")
        .unwrap()
        .is_empty());
}

/// What a removal hook was told.
type Told = Arc<Mutex<Vec<(u32, RemovalCause)>>>;

fn told_values() -> (Values, Told) {
    let told = Told::default();
    let log = told.clone();
    let hook = move |key: &u32, cause| log.lock().unwrap().push((*key, cause));
    (Values::new().on_remove(hook), told)
}

#[test]
fn what_is_out_of_reach_is_absent_and_not_taken_out() {
    let vm = Vm::new(20);
    let (map, told) = told_values();
    let set: WeakSet<Global, ByAddress> = WeakSet::new();
    let by_name: WeakKeyMap<Global, u32> = WeakKeyMap::new();
    let pairs = Pairs::new();
    let object = vm.object("o");
    map.insert(1, object.clone());
    set.insert(&object);
    by_name.insert(&object, 1);
    pairs.insert(&object, object.clone());
    // Detached. (More misses than it takes for one to sweep.)
    for _ in 0..200 {
        assert!(map.get(&1).is_none() && !map.contains_key(&1) && map.get(&2).is_none());
        assert!(map.with(&1, |_| ()).is_none() && matches!(map.try_get(&1), Ok(None)));
        assert!(by_name.get("o").is_none() && pairs.get(&object).is_none());
        assert!(pairs.get_by_value(&object).is_none() && pairs.keys_of(&object).is_empty());
    }
    assert!(map.remove(&1).is_none() && !map.remove_same(&1, &object) && map.pop().is_none());
    assert!(map
        .update(1, |value| {
            assert!(value.is_none());
            None
        })
        .is_none());
    assert!(map.iter().next().is_none() && map.values().next().is_none());
    map.for_each(|_, _| unreachable!());
    assert_eq!(map.retain(|_, _| unreachable!()), 0);
    assert_eq!(
        (map.prune(), by_name.prune(), pairs.prune(), set.prune()),
        (0, 0, 0, 0)
    );
    assert!(set.iter().next().is_none() && set.pop_first().is_none() && set.drain().len() == 0);
    assert_eq!(set.retain(|_| unreachable!()), 0);
    // Who has an owner of the very member needs no other.
    assert!(set.contains(&object) && !set.insert(&object));
    assert!(is(&set.get_or_insert(object.clone()), &object));
    assert_eq!(
        (map.len(), by_name.len(), pairs.len(), set.len()),
        (1, 1, 1, 1)
    );
    assert!(told.lock().unwrap().is_empty());

    let _attached = vm.attach();
    assert!(is(&map.get(&1).unwrap(), &object) && is(&set.first().unwrap(), &object));
    assert_eq!(by_name.get("o"), Some(1));
    assert!(is(&pairs.get_by_value(&object).unwrap(), &object));
    assert!(is(&map.remove(&1).unwrap(), &object));
}

#[test]
fn members_by_weak_pointers_are_known_by_their_identity() {
    let vm = Vm::new(0); // all objects have one number
    let set: WeakSet<Global, ByAddress> = WeakSet::new();
    let (one, other) = (vm.object("one"), vm.object("other"));
    let [weak_one, weak_other] = [&one, &other].map(Global::downgrade);
    // Out of reach: they are entered all the same, each once.
    assert!(set.insert_weak(&weak_one) && set.insert_weak(&weak_other));
    assert!(!set.insert_weak(&weak_one) && !set.insert(&one));
    assert!(set.contains(&one) && set.contains(&other));
    assert!(set.remove_weak(&weak_one) && !set.remove_weak(&weak_one));
    assert!(!set.contains(&one) && set.contains(&other));
    // By an owner, and out by a weak pointer, and the other way round.
    assert!(set.insert(&one) && set.remove_weak(&weak_one));
    let _attached = vm.attach();
    assert!(!set.insert_weak(&weak_other) && set.insert_weak(&weak_one));
    assert!(set.remove(&one) && set.remove(&other));
    assert_eq!(set.entry_count(), 0);
}

#[test]
fn what_died_out_of_reach_is_pruned_all_the_same() {
    let vm = Vm::new(20);
    let (map, told) = told_values();
    let set: WeakSet<Global, ByAddress> = WeakSet::new();
    let object = vm.object("o");
    map.insert(1, object.clone());
    set.insert(&object);
    let attached = vm.attach();
    drop(object);
    vm.release_all();
    assert_eq!(vm.collect(), 1);
    drop(attached);
    assert!(map.get(&1).is_none() && set.iter().next().is_none());
    assert_eq!((map.entry_count(), set.entry_count()), (0, 0));
    assert_eq!(*told.lock().unwrap(), [(1, RemovalCause::Dead)]);
}

#[test]
fn a_value_takes_the_place_of_one_that_is_out_of_reach_to_the_end() {
    let vm = Vm::new(20);
    let (map, told) = told_values();
    let old = vm.object("old");
    map.insert(1, old.clone());

    // A factory that fails leaves it.
    assert!(map.get_or_try_insert_with(1, |_| Err("detached")).is_err());
    assert_eq!((map.len(), told.lock().unwrap().len()), (1, 0));

    // One that attaches finds it in reach when it has ended.
    let mut attached = None;
    let found = map.get_or_insert_with(1, |_| {
        attached = Some(vm.attach());
        vm.object("vain")
    });
    assert!(is(&found, &old));
    drop(attached);

    let new = map.get_or_insert_with(1, |_| vm.object("new"));
    assert_eq!(*told.lock().unwrap(), [(1, RemovalCause::Replaced)]);
    assert_eq!(map.entry_count(), 1);
    // So do calls that enter a value which exists.
    assert!(map.insert(1, old.clone()).is_none());
    assert!(map.try_insert(1, new.clone()).is_ok());
    assert!(map
        .update(1, |value| {
            assert!(value.is_none());
            Some(old.clone())
        })
        .is_some());
    assert!(map.compare_exchange(1, &old, new.clone()).is_err());
    assert_eq!(*told.lock().unwrap(), [(1, RemovalCause::Replaced); 4]);
    let _attached = vm.attach();
    assert!(is(&map.get(&1).unwrap(), &old) && !is(&new, &old));
}

#[test]
fn a_key_by_address_is_the_same_in_reach_or_out_of_it() {
    let vm = Vm::new(0);
    let keys = Keys::new();
    let (key, other) = (vm.object("o"), vm.object("o"));
    let mut last = None;
    let mut enter = |value: usize| {
        keys.insert(&other, 0);
        keys.insert(&key, value);
        assert_eq!((keys.get(&key), keys.entry_count()), (Some(value), 2));
        assert_eq!(keys.update(&key, |_| Some(value + 1)), Some(value + 1));
        assert_eq!((keys.get(&key), keys.entry_count()), (Some(value + 1), 2));
        last = Some(value + 1);
    };
    enter(1);
    {
        let _attached = vm.attach();
        enter(3);
    }
    enter(5);
    vm.compact();
    enter(7);
    assert_eq!(keys.get(&key), last);
    // What is there stays, and keeps its key.
    let other_value = keys.get_or_insert_with(&other, |_| unreachable!());
    assert_eq!(other_value, 0);
    let entry = keys.entry(&key).valid_if(|n| *n > 8);
    assert_eq!(entry.or_insert_with(|_| 9), 9);
    assert_eq!(keys.try_insert(&key, 10).unwrap_err().existing, Some(9));
    assert_eq!(keys.insert(&key, 11), Some(9));
    assert_eq!(keys.stats().created, 1);
    assert_eq!((keys.remove(&key), keys.remove(&key)), (Some(11), None));
    assert_eq!((keys.get(&other), keys.entry_count()), (Some(0), 1));
}

#[test]
fn drain_and_clear_take_out_what_is_out_of_reach() {
    let vm = Vm::new(20);
    let (map, told) = told_values();
    let object = vm.object("o");
    map.insert(1, object.clone());
    assert_eq!(map.drain().len(), 0);
    map.insert(2, object.clone());
    assert_eq!(map.clear(), 1);
    let causes = [(1, RemovalCause::Cleared), (2, RemovalCause::Cleared)];
    assert_eq!(
        (map.entry_count(), &told.lock().unwrap()[..]),
        (0, &causes[..])
    );
}

/// Some threads are attached, and must always find what is there; others are not, and must not take it out.
#[test]
fn detached_threads_do_not_take_out_what_attached_ones_find() {
    promptly(|| {
        let vm = Vm::new(3);
        let map = Values::new();
        let kept = objects(vm, 8);
        for (key, object) in (0..).zip(&kept) {
            map.insert(key, object.clone());
        }
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let detached = || {
                while !over.load(SeqCst) {
                    (0..8).for_each(|key| assert!(map.get(&key).is_none()));
                    assert!(map.get(&99).is_none());
                    map.prune();
                }
            };
            scope.spawn(detached);
            scope.spawn(detached);
            let attached: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        for round in 0..300 {
                            let _attached = vm.attach();
                            for (key, object) in (0..).zip(&kept) {
                                assert!(is(&map.get(&key).expect("in reach"), object));
                            }
                            if round % 16 == 0 {
                                vm.compact();
                            }
                        }
                    })
                })
                .collect();
            let ended: Vec<_> = attached.into_iter().map(|thread| thread.join()).collect();
            over.store(true, SeqCst);
            ended.into_iter().for_each(|ended| ended.unwrap());
        });
        assert_eq!((map.len(), map.entry_count()), (8, 8));
    });
}

#[test]
fn a_late_report_takes_out_the_dead_and_nothing_that_came_after() {
    let vm = Vm::new(20);
    let _attached = vm.attach();
    let (map, told) = told_values();
    let set: WeakSet<Global, ByAddress> = WeakSet::new();
    let (first, stays) = (vm.object("first"), vm.object("stays"));
    for (key, object) in [(1, &first), (2, &stays)] {
        map.insert(key, object.clone());
        set.insert(object);
    }
    drop(first);
    assert_eq!(
        (vm.collect(), map.entry_count(), set.entry_count()),
        (1, 2, 2)
    );
    // Dead, and not reported: shown by nobody.
    assert_eq!((map.len(), set.len(), set.iter().count()), (1, 1, 1));

    let reports = vm.take_reports();
    assert!(!reports.is_empty());
    let second = map.get_or_insert_with(1, |_| vm.object("second"));
    assert!(set.insert(&second));
    reports.into_iter().for_each(|notify| notify.dead());
    assert!(is(&map.get(&1).unwrap(), &second) && set.contains(&second));
    assert_eq!((map.entry_count(), set.entry_count()), (2, 2));
    assert_eq!(*told.lock().unwrap(), [(1, RemovalCause::Dead)]);

    drop(second);
    assert_eq!(
        (vm.collect(), map.entry_count(), set.entry_count()),
        (1, 2, 2)
    );
    assert!(vm.report() > 0);
    assert_eq!((map.entry_count(), set.entry_count()), (1, 1));
    assert_eq!(told.lock().unwrap().len(), 2);

    // Later than the containers.
    drop(stays);
    vm.collect();
    let reports = vm.take_reports();
    drop((map, set));
    reports.into_iter().for_each(|notify| notify.dead());
}

#[test]
fn a_cleaner_is_taken_back_with_its_entry() {
    let vm = Vm::new(20);
    let _attached = vm.attach();
    let pairs = Pairs::new();
    let object = vm.object("o");
    pairs.insert(&object, object.clone());
    assert_eq!(vm.sizes().3, 2);
    pairs.remove(&object);
    pairs.prune();
    assert_eq!(vm.sizes(), (1, 1, 0, 0));
    // Also of what is dead, and pruned before it is reported.
    pairs.insert(&object, object.clone());
    drop(object);
    assert_eq!((vm.collect(), vm.sizes().3), (1, 2));
    assert_eq!(pairs.prune(), 1);
    assert_eq!(vm.sizes(), (0, 0, 0, 0));
}

/// The collector and the queue of reports have threads of their own.
#[test]
fn values_are_made_again_while_a_collector_is_late() {
    promptly(|| {
        let vm = Vm::new(2);
        let map = Values::new();
        let made = AtomicUsize::new(0);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let until_over = |f: &dyn Fn()| {
                while !over.load(SeqCst) {
                    f();
                    thread::yield_now();
                }
            };
            scope.spawn(move || {
                until_over(&|| {
                    vm.collect();
                    vm.compact();
                });
            });
            scope.spawn(move || until_over(&|| _ = vm.report()));
            let users: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        for round in 0..300 {
                            let _attached = vm.attach();
                            let key = round % 5;
                            let value = map.get_or_insert_with(key, |_| {
                                made.fetch_add(1, SeqCst);
                                vm.object("value")
                            });
                            // It is there as long as it is owned.
                            assert!(is(&map.get(&key).expect("owned"), &value));
                        }
                    })
                })
                .collect();
            let ended: Vec<_> = users.into_iter().map(|thread| thread.join()).collect();
            over.store(true, SeqCst);
            ended.into_iter().for_each(|ended| ended.unwrap());
        });
        assert!(made.load(SeqCst) >= 5);
        let _attached = vm.attach();
        vm.collect();
        vm.report();
        assert_eq!(map.entry_count(), 0);
        drop(map);
        assert_eq!(vm.sizes(), (0, 0, 0, 0));
    });
}

#[test]
fn what_detached_threads_let_go_of_is_released_in_one_go_by_an_attached_one() {
    promptly(|| {
        let vm = Vm::new(20);
        let map = Values::new();
        let (done, are_done) = mpsc::channel();
        thread::scope(|scope| {
            for thread in 0..4 {
                let (map, done) = (&map, done.clone());
                scope.spawn(move || {
                    for key in thread * 100..thread * 100 + 100 {
                        drop(map.get_or_insert_with(key, |_| vm.object("o")));
                    }
                    done.send(()).unwrap();
                });
            }
            (0..4).for_each(|_| are_done.recv().unwrap());
            // Let go of, and alive until their owner's thread comes by.
            let _attached = vm.attach();
            assert_eq!((vm.collect(), map.len()), (0, 400));
            assert!(vm.release_all() >= 400);
            assert_eq!((vm.collect(), map.len()), (400, 0));
            vm.report();
            assert_eq!(map.entry_count(), 0);
        });
    });
}
