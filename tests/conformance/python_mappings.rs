//! CPython's `test_weakref`, the classes about mappings, and the `BasicTestMappingProtocol` that they inherit.
//!
//! What is said of one kind of dictionary there is asked of every kind of map here. Reference cycles stand for "dies later, in another
//! thread" there; here another thread lets go.
//!
//! Without meaning here:
//! * `deepcopy`: clones are shallow, and a deep copy of values would be dead on arrival;
//! * `test_make_weak_valued_dict_misc`, and the keyword arguments in `test_update`: there are none;
//! * `TypeError` for what cannot be a key, be referred to weakly or be iterated (`test_weak_keyed_bad_delitem`, parts of `test_read` and
//!   `test_update`): that does not compile;
//! * `repr` with an address: `Debug` shows the live entries;
//! * the `ReferencesTestCase`, `SubclassableWeakrefTestCase`, `WeakMethodTestCase`: no mappings; see `tests/it/watched.rs`.

use crate::common::{promptly, Census, Citizen};
use crate::maps::{on_every_map, same, Settings, Side, Subject, Table, Value, ABSENT, OWNED};
use highlander::pointer::{Watched, WeakPointer};
use highlander::{WeakKeyMap, WeakSet, WeakValueMap};
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

on_every_map!(
    all: [
        make_from_dict,
        make_from_another,
        setdefault,
        update,
        update_that_fails_midway,
        delitem,
        pop,
        basic_read,
        basic_write,
    ],
    weak: [
        len_beside_an_iterator,
        identity_copy_and_death,
        iterators_touch_all,
        destroy_while_iterating,
        destroy_and_mutate_while_iterating,
        delete_and_len_while_iterating,
        popitem,
        union_operators,
        equality_looks_at_live_entries,
        repr,
    ],
);

/// Fills a table up with all that it owns.
fn fill<K: Subject>(t: &mut Table<K>) -> usize {
    for n in t.size..OWNED {
        t.map.insert(t.key(n), t.value(n));
    }
    t.size = OWNED;
    OWNED
}

/// `test_weak_keyed_len_cycles`, `test_weak_valued_len_cycles`.
fn len_beside_an_iterator<K: Subject>(t: &mut Table<K>) {
    let all = fill(t);
    let map = Rc::clone(&t.map);
    let mut items = map.items();
    let in_hand = items.next();
    (0..all).for_each(|n| t.kill(n));
    assert_eq!(t.map.len(), 1, "the one in hand");
    drop(in_hand);
    assert_eq!(t.map.len(), 0, "an iterator keeps nothing alive");
    assert!(items.next().is_none());
}

/// `test_weak_values`, `test_weak_keys`.
fn identity_copy_and_death<K: Subject>(t: &mut Table<K>) {
    let all = fill(t);
    t.expect_unchanged();
    let copy = t.map.copy();
    for n in 0..all {
        assert!(same(&copy.get(t.key(n)), &Some(t.value(n))));
    }
    t.kill(0);
    assert_eq!((t.map.len(), copy.len()), (all - 1, all - 1));
    (1..all).for_each(|n| t.kill(n));
    assert_eq!((t.map.len(), copy.len()), (0, 0));
    // What nobody keeps is gone at once.
    match t.mortal {
        Side::Values => t.map.insert(&K::key(2), Arc::new(2)),
        Side::Keys => t.map.insert(&K::key(2), t.value_again(2)),
        Side::Neither => unreachable!("a case for weak maps"),
    };
    assert!(t.map.get(&K::key(2)).is_none());
}

/// `test_weak_keyed_iters`, `test_weak_valued_iters` with `check_iters`; `keyrefs`, `valuerefs`.
fn iterators_touch_all<K: Subject>(t: &mut Table<K>) {
    let all = fill(t);
    let mut numbers: Vec<_> = t.map.items().map(|(key, _)| K::number(&key)).collect();
    for key in t.map.keys() {
        numbers.retain(|n| *n != K::number(&key));
    }
    assert!(numbers.is_empty());
    let mut values: Vec<_> = t.map.values().map(|value| *value).collect();
    values.sort_unstable();
    assert_eq!(values, (0..all as u32).collect::<Vec<_>>());
    assert_eq!(t.map.weak(), (all, 0));
    t.kill(3);
    assert_eq!(t.map.weak(), (all, 1), "weak pointers may be dead");
    t.map.prune();
    assert_eq!(t.map.weak(), (all - 1, 0));
}

/// `test_weak_keys_destroy_while_iterating`, `test_weak_values_destroy_while_iterating`: `check_weak_destroy_while_iterating`, bpo-7105.
fn destroy_while_iterating<K: Subject>(t: &mut Table<K>) {
    let all = fill(t);
    let map = Rc::clone(&t.map);
    let mut items = map.items();
    items.next();
    t.kill(all - 1);
    let left = items.count();
    assert!([all - 1, all - 2].contains(&left), "{left}");
    assert_eq!(t.map.len(), all - 1);
    let mut keys = map.keys();
    keys.next();
    t.kill(all - 2);
    let left = keys.count();
    assert!([all - 2, all - 3].contains(&left), "{left}");
    let mut values = map.values();
    values.next();
    t.kill(all - 3);
    let left = values.count();
    assert!([all - 3, all - 4].contains(&left), "{left}");
    assert_eq!(t.map.len(), all - 3);
}

/// `check_weak_destroy_and_mutate_while_iterating`.
fn destroy_and_mutate_while_iterating<K: Subject>(t: &mut Table<K>) {
    let mut all = fill(t);
    // An iterator that has begun, and an entry that has died under it: its key and value again.
    let map = Rc::clone(&t.map);
    let mut scene = |t: &mut Table<K>| {
        let mut items = map.items();
        drop(items.next());
        all -= 1;
        t.kill(all);
        (items, t.key_again(all), t.value_again(all))
    };
    let (_items, key, _) = scene(t);
    assert!(!t.map.contains_key(&key));
    let (_items, key, _) = scene(t);
    assert!(t.map.remove(&key).is_none());
    assert!(!t.map.contains_key(&key));
    let (_items, key, value) = scene(t);
    t.map.insert(&key, value.clone());
    assert!(same(&t.map.get(&key), &Some(value)));
    t.map.remove(&key);
    let copy = t.map.copy();
    let (_items, key, _) = scene(t);
    t.map.extend_with(&copy);
    assert!(!t.map.contains_key(&key), "the copy has lost it too");
    assert_eq!(t.map.len(), copy.len());
    let (_items, ..) = scene(t);
    assert_eq!((t.map.clear(), t.map.len()), (all, 0));
}

/// `check_weak_del_and_len_while_iterating`, bpo-21173.
fn delete_and_len_while_iterating<K: Subject>(t: &mut Table<K>) {
    let all = fill(t);
    let map = Rc::clone(&t.map);
    let mut items = map.items();
    drop(items.next());
    t.kill(0);
    assert_eq!(t.map.len(), all - 1);
    let first = t.map.keys().next().unwrap();
    assert!(t.map.remove(&first).is_some());
    assert_eq!(t.map.len(), all - 2);
    t.kill(1);
    let before = t.map.len();
    assert!(t.map.pop().is_some());
    assert_eq!(t.map.len(), before - 1);
    let first = t.map.keys().next().unwrap();
    t.map.remove(&first);
    assert_eq!(t.map.len(), before - 2);
    t.map.clear();
    assert_eq!((t.map.len(), t.map.entry_count()), (0, 0));
}

/// `test_make_weak_keyed_dict_from_dict`, `test_make_weak_valued_dict_from_dict`.
fn make_from_dict<K: Subject>(t: &mut Table<K>) {
    let plain: HashMap<usize, Value> = (0..OWNED).map(|n| (n, t.value(n))).collect();
    let entries = plain.iter().map(|(n, v)| (t.key(*n).clone(), v.clone()));
    let map = K::collected(entries.collect());
    assert_eq!(map.len(), OWNED);
    for (n, value) in &plain {
        assert!(same(&map.get(t.key(*n)), &Some(value.clone())));
    }
}

/// `test_make_weak_keyed_dict_from_weak_keyed_dict`, and of values; `test_constructor_identity`'s meaning.
fn make_from_another<K: Subject>(t: &mut Table<K>) {
    let map = K::collected(t.map.items().collect());
    assert_eq!(map.len(), t.size);
    map.clear();
    t.expect_unchanged();
}

/// `test_weak_valued_dict_popitem`, `test_weak_keyed_dict_popitem`.
fn popitem<K: Subject>(t: &mut Table<K>) {
    for left in (0..t.size).rev() {
        let (key, value) = t.map.pop().unwrap();
        assert_eq!(K::number(&key), *value);
        assert!(Arc::ptr_eq(&value, &t.value(*value as usize)));
        assert_eq!(t.map.len(), left);
    }
    assert!(t.map.pop().is_none());
    t.map.insert(t.key(0), t.value(0));
    t.kill(0);
    assert!(t.map.pop().is_none(), "a dead one is not popped");
}

/// `test_weak_valued_dict_setdefault`, `test_weak_keyed_dict_setdefault`: whichever way it is asked for.
fn setdefault<K: Subject>(t: &mut Table<K>) {
    let (one, two) = (t.value(6), t.value(7));
    let first = t.map.get_or_insert(t.key(ABSENT), || one.clone());
    assert!(Arc::ptr_eq(&first, &one));
    let second = t.map.get_or_insert(t.key(ABSENT), || two.clone());
    assert!(Arc::ptr_eq(&second, &one));
    let third = t.map.try_insert(t.key(ABSENT), two).unwrap_err();
    assert!(same(&third, &Some(one)));
}

/// `test_weak_valued_dict_update`, `test_weak_keyed_dict_update`.
fn update<K: Subject>(t: &mut Table<K>) {
    let other = K::collected([0, 5, 6].map(|n| (t.key(n).clone(), t.value(7))).to_vec());
    t.map.extend_with(&other);
    t.expect_changed(&[(0, Some(7)), (5, Some(7)), (6, Some(7))]);
    assert_eq!(other.len(), 3);
}

/// BEHAVIOURS.md 1.16: what an update has stored before it failed stays.
fn update_that_fails_midway<K: Subject>(t: &mut Table<K>) {
    let mut entries = [5, 6].map(|n| (t.key(n).clone(), t.value(n))).into_iter();
    let text = crate::common::panic_of(|| {
        t.map.extend(&mut std::iter::from_fn(|| {
            Some(entries.next().expect("no more"))
        }))
    });
    assert_eq!(text, "no more");
    t.expect_changed(&[(5, Some(5)), (6, Some(6))]);
}

/// `test_weak_valued_union_operators`, `test_weak_keyed_union_operators`.
fn union_operators<K: Subject>(t: &mut Table<K>) {
    let right = K::collected([0, 6].map(|n| (t.key(n).clone(), t.value(7))).to_vec());
    let union = t.map.union(&right);
    t.expect_unchanged();
    assert!(same(&union.get(t.key(0)), &Some(t.value(7))));
    assert!(same(&union.get(t.key(6)), &Some(t.value(7))));
    assert_eq!(union.len(), t.size.saturating_sub(1) + 2);
    let other_way = right.union(&t.map);
    let zero = if t.size > 0 { 0 } else { 7 };
    assert!(same(&other_way.get(t.key(0)), &Some(t.value(zero))));
    t.kill(7);
    if t.mortal == Side::Values {
        assert!(union.get(t.key(6)).is_none(), "a union is weak too");
    }
}

/// `test_weak_keyed_delitem`, `test_weak_valued_delitem`, and the absent key of `test_weak_keyed_bad_delitem`.
fn delitem<K: Subject>(t: &mut Table<K>) {
    t.map.insert(t.key(5), t.value(5));
    t.map.insert(t.key(6), t.value(6));
    assert!(t.map.remove(t.key(5)).is_some());
    t.expect_changed(&[(6, Some(6))]);
    assert!(t.map.remove(t.key(5)).is_none());
}

/// `test_pop`.
fn pop<K: Subject>(t: &mut Table<K>) {
    for n in 0..t.size {
        let value = t.map.remove(t.key(n));
        assert!(same(&value, &Some(t.value(n))));
        assert!(t.map.remove(t.key(n)).is_none());
    }
    assert!(t.map.is_empty());
}

/// `test_make_weak_keyed_dict_repr`, `test_make_weak_valued_dict_repr`: nothing dead is printed.
fn repr<K: Subject>(t: &mut Table<K>) {
    assert_eq!(format!("{:?}", K::empty()).matches("{}").count(), 1);
    let all = fill(t);
    (0..all).for_each(|n| t.kill(n));
    assert_eq!(format!("{:?}", t.map).matches("{}").count(), 1);
}

/// `BasicTestMappingProtocol.test_read`, `test_len`, `test_get`, `test_getitem`, `test_bool`, `test_keys`, `test_values`, `test_items`.
fn basic_read<K: Subject>(t: &mut Table<K>) {
    t.expect_unchanged();
    assert!(t.map.get(&K::key(77)).is_none());
    assert!(K::empty().is_empty());
    let empty = K::empty();
    assert!(empty.items().next().is_none() && empty.keys().next().is_none());
    assert!(empty.values().next().is_none() && empty.remove(t.key(0)).is_none());
}

/// `BasicTestMappingProtocol.test_write`, `test_update`, `test_setdefault`, `test_popitem`, `test_pop`.
fn basic_write<K: Subject>(t: &mut Table<K>) {
    let map = K::empty();
    for n in 0..OWNED {
        map.insert(t.key(n), t.value(n));
        assert!(same(&map.get(t.key(n)), &Some(t.value(n))));
    }
    for n in 0..OWNED {
        assert!(map.remove(t.key(n)).is_some());
        assert!(!map.contains_key(t.key(n)));
    }
    map.extend(&mut (0..OWNED).map(|n| (t.key(n).clone(), t.value(n))));
    assert_eq!(map.len(), OWNED);
    assert_eq!(map.clear(), OWNED);
    assert!(map.is_empty());
}

/// `test_eq` of the protocol, BEHAVIOURS.md 1.14: equality is of the live entries, and of values by what they are.
fn equality_looks_at_live_entries<K: Subject>(t: &mut Table<K>) {
    // (A copy has no settings of its own, so it would not count its hits.)
    let copy = K::build(&Settings {
        counted: true,
        ..Settings::default()
    });
    copy.extend_with(&t.map);
    let looked = |map: &K| (map.stats().hits, map.stats().misses);
    let before = (looked(&t.map), looked(&copy));
    let equal = |t: &Table<K>, copy: &K| {
        let equal = t.map.equals(copy);
        assert_eq!(copy.equals(&t.map), equal, "whichever is asked");
        equal
    };
    assert!(equal(t, &copy) && t.map.equals(&t.map));
    assert_eq!((looked(&t.map), looked(&copy)), before, "no look-up");
    copy.insert(t.key(6), t.value(6));
    assert!(!equal(t, &copy), "one entry more");
    t.kill(6);
    assert!(equal(t, &copy), "a dead one does not count");

    copy.insert(t.key(7), t.value(7));
    let (other, same) = (Arc::new(77), Arc::new(7));
    t.map.insert(t.key(7), other.clone());
    assert!(!equal(t, &copy), "another value");
    t.map.insert(t.key(7), same.clone());
    assert!(equal(t, &copy), "an equal value");
    t.map.remove(t.key(7));
    let key = t.equal_key(7);
    t.map.insert(&key, same.clone());
    assert_eq!(equal(t, &copy), K::EQUAL_KEYS, "an equal key");
}

/// `test_weak_keyed_cascading_deletes`: comparing keys lets go of others, while an entry is looked for.
#[test]
fn keys_whose_comparison_lets_go_of_other_keys() {
    #[derive(Clone, Default)]
    struct Owners(Arc<Mutex<Vec<Arc<Cascading>>>>, Arc<AtomicBool>);
    struct Cascading(u32, Owners);
    impl PartialEq for Cascading {
        fn eq(&self, other: &Self) -> bool {
            if self.1 .1.load(SeqCst) {
                let last = self.1 .0.lock().unwrap().pop();
                drop(last);
            }
            self.0 == other.0
        }
    }
    impl Eq for Cascading {}
    impl Hash for Cascading {
        fn hash<H: Hasher>(&self, state: &mut H) {
            (self.0 % 3).hash(state);
        }
    }
    promptly(|| {
        let owners = Owners::default();
        let map: WeakKeyMap<Arc<Cascading>, u32> = WeakKeyMap::new();
        let keys: Vec<_> = (0..40)
            .map(|n| Arc::new(Cascading(n, owners.clone())))
            .collect();
        for key in &keys {
            map.insert(key, key.0);
        }
        *owners.0.lock().unwrap() = keys;
        owners.1.store(true, SeqCst);
        let probes: Vec<_> = (0..40).map(|n| Cascading(n, owners.clone())).collect();
        for probe in &probes {
            map.remove(probe);
        }
        owners.1.store(false, SeqCst);
        let left = std::mem::take(&mut *owners.0.lock().unwrap());
        assert!(left.iter().all(|key| !map.contains_key(&**key)));
        drop(left);
        assert_eq!(map.len(), 0);
        map.prune();
        assert_eq!(map.entry_count(), 0);
    });
}

/// Runs `work` while another thread lets go of what it is given, and prunes.
fn beside_deaths<K: Subject>(
    map: &K,
    doomed: Vec<(K::Key, Value)>,
    work: impl FnOnce(&AtomicBool),
) {
    let over = AtomicBool::new(false);
    thread::scope(|s| {
        s.spawn(|| {
            for (n, entry) in doomed.into_iter().enumerate() {
                drop(entry);
                if n % 100 == 0 {
                    map.prune();
                }
            }
            over.store(true, SeqCst);
        });
        work(&over);
    });
}

fn doomed<K: Subject>(map: &K, n: u32) -> Vec<(K::Key, Value)> {
    let entries: Vec<_> = (0..n).map(|n| (K::key(n), Arc::new(n))).collect();
    entries
        .iter()
        .for_each(|(key, value)| drop(map.insert(key, value.clone())));
    entries
}

/// Once for each kind of map.
macro_rules! once_on_every_map {
    ($($case:ident),* $(,)?) => {
        mod once {
            use crate::maps::*;
            use highlander::hash::DefaultHashBuilder;
            $(
                #[test]
                fn $case() {
                    super::$case::<WeakValues<DefaultHashBuilder>>();
                    super::$case::<WeakKeys<DefaultHashBuilder>>();
                    super::$case::<IdentityKeys<DefaultHashBuilder>>();
                    super::$case::<BothWeak<DefaultHashBuilder>>();
                    super::$case::<IdentityBothWeak<DefaultHashBuilder>>();
                }
            )*
        }
    };
}

once_on_every_map!(
    threaded_copy,
    threaded_len,
    threaded_setdefault_and_pop,
    threaded_consistency,
    consistency,
);

/// `test_threaded_weak_key_dict_copy`, `test_threaded_weak_value_dict_copy`, bpo-35615.
fn threaded_copy<K: Subject>() {
    let map = K::empty();
    let entries = doomed(&map, 2000);
    beside_deaths(&map, entries, |over| {
        let mut last = usize::MAX;
        while !over.load(SeqCst) {
            let copy = map.copy();
            let len = copy.len();
            assert!(len <= last, "the dead do not come back");
            last = len;
            copy.for_each(&mut |key, value| assert_eq!(K::number(key), **value));
        }
        assert_eq!(map.copy().len(), 0);
    });
}

/// `test_weak_keyed_len_race`, `test_weak_valued_len_race`, bpo-14159: `len` is never out of bounds, and only falls.
fn threaded_len<K: Subject>() {
    let map = K::empty();
    let entries = doomed(&map, 2000);
    beside_deaths(&map, entries, |over| {
        let mut last = 2000;
        while !over.load(SeqCst) {
            let len = map.len();
            assert!(len <= last);
            last = len;
        }
        assert_eq!(map.len(), 0);
    });
}

/// `test_threaded_weak_valued_setdefault`, `test_threaded_weak_valued_pop`, bpo-19542: what comes back is alive.
fn threaded_setdefault_and_pop<K: Subject>() {
    let map = K::empty();
    let key = K::key(10);
    thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                for n in 0..2000 {
                    let value = map.get_or_insert(&key, || Arc::new(n));
                    assert!(Arc::strong_count(&value) > 0);
                    if n % 3 == 0 {
                        let mine = Arc::new(n);
                        map.insert(&key, mine.clone());
                        drop(mine);
                    }
                    if let Some(popped) = map.remove(&key) {
                        assert!(*popped < 2000);
                    }
                    if n % 64 == 0 {
                        map.prune();
                    }
                }
            });
        }
    });
    map.remove(&key);
    assert_eq!(map.len(), 0);
}

/// `test_threaded_weak_valued_consistency`, bpo-28427: a dying predecessor does not take the successor with it.
fn threaded_consistency<K: Subject>() {
    let map = K::empty();
    let over = AtomicBool::new(false);
    thread::scope(|s| {
        s.spawn(|| {
            while !over.load(SeqCst) {
                map.prune();
            }
        });
        for n in 0..2000 {
            let (key, value) = (K::key(10), Arc::new(n));
            map.insert(&key, value.clone());
            assert_eq!(map.len(), 1);
            assert!(same(&map.get(&key), &Some(value)));
        }
        over.store(true, SeqCst);
    });
    assert_eq!(map.len(), 0);
}

/// `test_weak_valued_consistency`: the same in one thread.
fn consistency<K: Subject>() {
    let map = K::empty();
    let (first, second) = (K::key(10), K::key(10));
    map.insert(&first, Arc::new(1));
    let kept = Arc::new(2);
    if K::WEAK_KEYS {
        drop(first);
    }
    map.insert(&second, kept.clone());
    map.prune();
    assert_eq!((map.len(), map.entry_count()), (1, 1));
    assert!(same(&map.get(&second), &Some(kept)));
}

/// `test_remove_closure`, bpo-38006: what tells a container of a death does not keep the container alive, nor does it mind that it is gone.
#[test]
fn what_tells_of_a_death_does_not_own_the_container() {
    let census = Census::new();
    struct Member(#[allow(dead_code)] Citizen);
    let set: WeakSet<Watched<Member>, highlander::map::ByAddress> = WeakSet::new();
    let member = Watched::new(Member(census.citizen()));
    set.insert(&member);
    let weak = Watched::downgrade(&member);
    drop(set);
    assert!(!weak.is_dead());
    drop(member);
    assert_eq!(census.alive(), 0);
}

/// `collect_in_thread` with threaded creation and removal: of two that call `setdefault` at once neither gets another value.
#[test]
fn setdefault_has_one_winner() {
    let map: WeakValueMap<u32, Arc<(u32, usize)>> = WeakValueMap::new();
    for round in 0..1000 {
        let barrier = std::sync::Barrier::new(2);
        let got: Vec<_> = thread::scope(|s| {
            let threads: Vec<_> = (0..2)
                .map(|me| {
                    let (map, barrier) = (&map, &barrier);
                    s.spawn(move || {
                        barrier.wait();
                        let mine = Arc::new((round, me));
                        match map.try_insert(round, mine.clone()) {
                            Ok(entered) => entered,
                            Err(error) => error.existing.unwrap(),
                        }
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        // The loser has got the winner's while that was alive, or the winner had let go before.
        let there = map.get(&round).unwrap();
        assert!(got.iter().all(|value| Arc::ptr_eq(value, &there)));
    }
}
