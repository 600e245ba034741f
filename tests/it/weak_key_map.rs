//! `WeakKeyMap`: what is known about objects that others own. Which behaviours of CPython and Guava they show is in `BEHAVIOURS.md`.

use crate::common::{flat, panic_of, promptly, Census, Citizen, Colliding, Dice};
use highlander::error::{CreateError, Refused};
use highlander::map::ByAddress;
use highlander::pointer::WeakPointer;
use highlander::{Equivalent, WeakKeyMap};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

type Map<V = u32> = WeakKeyMap<Arc<String>, V>;
type Identities<V = u32> = WeakKeyMap<Arc<String>, V, ByAddress>;

fn key(text: impl ToString) -> Arc<String> {
    Arc::new(text.to_string())
}

fn filled(n: u32) -> (Map, Vec<Arc<String>>) {
    let map = Map::new();
    let keys: Vec<_> = (0..n).map(key).collect();
    for (i, key) in keys.iter().enumerate() {
        assert_eq!(map.insert(key, i as u32), None);
    }
    (map, keys)
}

// CPython: test_weak_keys.
#[test]
fn when_a_key_dies_its_entry_is_absent_without_a_further_call() {
    let (map, mut keys) = filled(3);
    keys.truncate(1);
    assert_eq!(map.len(), 1);
    assert_eq!(map.get("0"), Some(0));
    assert_eq!(map.get("1"), None);
    assert!(!map.contains_key("2"));
    assert_eq!(map.iter().count(), 1);
    assert_eq!(format!("{map:?}"), "{\"0\": 0}");
}

// CPython: an equal but distinct key does not take the first one's place.
#[test]
fn of_equal_keys_the_first_stays_and_the_entry_dies_with_it() {
    let map: Map<Arc<u32>> = Map::new();
    let (first, second) = (key("k"), key("k"));
    let [one, two, three, four, five] = [1, 2, 3, 4, 5].map(Arc::new);
    map.insert(&first, one.clone());
    assert_eq!(map.insert(&second, two.clone()), Some(one));
    assert_eq!(map.len(), 1);
    let (stored, value) = map.get_key_value("k").unwrap();
    assert!(Arc::ptr_eq(&stored, &first));
    assert_eq!(value, two);
    let updated = map.update(&second, |v| v.filter(|v| ***v == 2).map(|_| three.clone()));
    assert_eq!(updated.as_ref(), Some(&three));
    let exchanged = map.compare_exchange(&second, &three, four.clone());
    assert_eq!(exchanged.unwrap(), three);
    assert_eq!(map.get_or_insert_with(&second, |_| unreachable!()), four);
    let (same, _) = map.get_key_value("k").unwrap();
    assert!(Arc::ptr_eq(&same, &first));
    drop((first, stored, same));
    assert_eq!(map.get("k"), None);
    assert_eq!(map.len(), 0);
    map.insert(&second, five.clone());
    assert_eq!(map.get("k"), Some(five));
}

#[test]
fn try_insert_keeps_the_first_value() {
    let map = Map::new();
    let k = key("k");
    map.try_insert(&k, 1).unwrap();
    let error = map.try_insert(&k, 2).unwrap_err();
    assert_eq!((error.existing, error.value), (Some(1), 2));
    assert!(Arc::ptr_eq(&error.key, &k));
    assert_eq!(map.entry(&k).or_insert(3), 1);
    assert_eq!(map.get("k"), Some(1));
}

// CPython: test_weak_keyed_dict_popitem, test_weak_keyed_delitem.
#[test]
fn remove_and_pop_skip_the_dead() {
    let (map, mut keys) = filled(4);
    keys.truncate(1);
    assert_eq!(map.remove("3"), None);
    assert_eq!(map.pop(), Some((keys[0].clone(), 0)));
    assert_eq!(map.pop(), None);
    assert_eq!(map.remove("0"), None);
}

#[test]
fn an_iterator_keeps_alive_the_key_in_hand_alone() {
    let (map, keys) = filled(2);
    let mut iter = map.iter();
    let item = iter.next().unwrap();
    drop(keys);
    assert_eq!(map.len(), 1);
    assert!(iter.next().is_none());
    drop(item);
    assert_eq!(map.len(), 0);
}

#[test]
fn iteration_survives_any_change() {
    let (map, mut keys) = filled(100);
    let mut seen = 0;
    for (k, value) in &map {
        assert_eq!(*k, value.to_string());
        seen += 1;
        if value % 3 == 0 {
            keys.retain(|k| k.parse::<u32>().unwrap() % 3 != 1);
            map.remove(&*k);
            let new = key(1000 + value);
            map.insert(&new, 1000 + value);
            keys.push(new);
        }
    }
    assert!((66..=100).contains(&seen), "{seen}");
}

// CPython: test_weak_keyed_union_operators.
#[test]
fn copies_and_unions() {
    let (left, keys) = filled(3);
    let right = Map::new();
    right.insert(&keys[2], 22);
    let union = left.clone();
    (&union).extend(&right);
    assert_eq!(union.get("2"), Some(22));
    assert_eq!(union.get("1"), Some(1));
    assert_eq!(left.clone().len(), 3);
    let collected: Map = keys.iter().map(|k| (k.clone(), 7)).collect();
    assert_eq!(collected.values().sum::<u32>(), 21);
}

#[test]
fn weak_keys_may_be_dead_keys_never() {
    let (map, mut keys) = filled(5);
    keys.truncate(2);
    assert_eq!(map.weak_keys().count(), 5);
    assert_eq!(map.weak_keys().filter(|k| k.is_dead()).count(), 3);
    assert_eq!((map.keys().count(), map.values().count()), (2, 2));
}

// Guava's weak keys; Jython's WeakKeyDictionary.
#[test]
fn by_address_an_equal_copy_is_another_key() {
    let map = Identities::new();
    let (one, copy) = (key("k"), key("k"));
    map.insert(&one, 1);
    assert_eq!(map.get(&copy), None);
    map.insert(&copy, 2);
    assert_eq!((map.get(&one), map.get(&copy)), (Some(1), Some(2)));
    drop(one);
    assert_eq!((map.len(), map.get(&copy)), (1, Some(2)));
}

#[test]
fn by_address_keys_need_neither_hash_nor_equality_nor_size() {
    let map: WeakKeyMap<Arc<dyn Fn() -> u32>, &str, ByAddress> = WeakKeyMap::new();
    type Function = Arc<dyn Fn() -> u32>;
    let (one, two): (Function, Function) = (Arc::new(|| 1), Arc::new(|| 2));
    map.insert(&one, "one");
    map.insert(&two, "two");
    assert_eq!((map.get(&one), map.get(&two)), (Some("one"), Some("two")));
    let units: WeakKeyMap<Arc<()>, u32, ByAddress> = WeakKeyMap::new();
    let keys: Vec<_> = (0..100).map(|_| Arc::new(())).collect();
    for (i, unit) in keys.iter().enumerate() {
        assert_eq!(units.insert(unit, i as u32), None);
    }
    assert!(keys
        .iter()
        .enumerate()
        .all(|(i, unit)| units.get(unit) == Some(i as u32)));
}

#[test]
fn by_address_a_new_object_never_inherits_from_a_dead_one() {
    let map = Identities::new();
    for i in 0..2000 {
        let k = key(i);
        assert_eq!(map.get(&k), None);
        map.insert(&k, i);
    }
    assert!(map.entry_count() < 32);
}

/// A key that counts how often it is hashed and compared, and cannot be once it is dead.
#[derive(Debug)]
struct Counted(u32, Arc<AtomicUsize>);

impl Hash for Counted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.1.fetch_add(1, SeqCst);
        self.0.hash(state);
    }
}

impl PartialEq for Counted {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Counted {}

#[test]
fn keys_are_hashed_when_they_are_entered_and_never_again() {
    let hashed = Arc::new(AtomicUsize::new(0));
    let map: WeakKeyMap<Arc<Counted>, u32> = WeakKeyMap::new();
    let mut keys: Vec<_> = (0..1000)
        .map(|i| Arc::new(Counted(i, Arc::clone(&hashed))))
        .collect();
    for k in &keys {
        map.insert(k, k.0);
    }
    assert_eq!(hashed.load(SeqCst), 1000);
    keys.retain(|k| k.0 % 2 == 0);
    map.prune();
    map.shrink_to_fit();
    map.clear();
    assert_eq!(hashed.load(SeqCst), 1000);
}

#[test]
fn churn_keeps_the_dead_below_the_living_and_drops_their_values() {
    let census = Census::new();
    let map: WeakKeyMap<Arc<String>, Arc<Citizen>> = WeakKeyMap::new();
    let keys: Vec<_> = (0..500).map(key).collect();
    for k in &keys {
        map.insert(k, Arc::new(census.citizen()));
    }
    for i in 500..20_000 {
        map.insert(&key(i), Arc::new(census.citizen()));
        assert!(map.entry_count() - 500 <= 500 + 16);
        assert_eq!(census.alive(), map.entry_count() as isize);
    }
    assert_eq!(map.len(), 500);
    map.prune();
    assert_eq!(census.alive(), 500);
}

#[test]
fn racing_creators_run_one_factory() {
    let runs = AtomicUsize::new(0);
    let map = Map::new();
    let mut keys = Vec::new();
    for round in 0..300 {
        let barrier = Barrier::new(4);
        // Equal keys, not the same one.
        let mine: Vec<_> = (0..4).map(|_| key(round)).collect();
        let values: Vec<_> = thread::scope(|s| {
            let threads: Vec<_> = mine
                .iter()
                .map(|k| {
                    let (map, barrier, runs) = (&map, &barrier, &runs);
                    s.spawn(move || {
                        barrier.wait();
                        map.get_or_insert_with(k, |_| runs.fetch_add(1, SeqCst) as u32)
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(values.iter().all(|v| *v == values[0]));
        assert_eq!(runs.load(SeqCst), round + 1);
        keys.extend(mine);
    }
    assert_eq!(map.len(), 300);
}

#[test]
fn a_factory_that_asks_for_its_own_key_is_told_so() {
    let map = Map::new();
    let (k, equal) = (key("k"), key("k"));
    let result = map.get_or_try_insert_with(&k, |_| {
        let again = map.get_or_try_insert_with(&equal, |_| Ok::<_, Refused>(1));
        again.map_err(flat)
    });
    assert!(matches!(result.map_err(flat), Err(Refused::Cycle(_))));
    assert_eq!(map.entry_count(), 0);
}

#[test]
fn stale_values_are_replaced() {
    let map = Map::new();
    let k = key("k");
    map.insert(&k, 1);
    assert_eq!(
        map.entry(&k)
            .valid_if(|v| *v >= 1)
            .or_insert_with(|_| unreachable!()),
        1
    );
    assert_eq!(map.entry(&k).valid_if(|v| *v != 1).or_insert_with(|_| 2), 2);
    assert_eq!(map.get("k"), Some(2));
    let replace = |old, new| map.update(&k, |v| v.map(|v| if *v == old { new } else { *v }));
    assert_eq!(replace(1, 9), Some(2));
    assert_eq!(replace(2, 3), Some(3));
    assert_eq!((map.len(), map.entry_count()), (1, 1));
}

#[test]
fn update_is_atomic() {
    let map = Map::new();
    let k = key("k");
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..500 {
                    map.update(&k, |n| Some(n.map_or(1, |n| n + 1)));
                }
            });
        }
    });
    assert_eq!(map.get("k"), Some(2000));
    assert_eq!(map.update(&k, |_| None), None);
    assert_eq!(map.entry_count(), 0);
}

#[test]
fn equivalent_queries() {
    #[derive(Hash)]
    struct Shout<'a>(&'a str);
    impl Equivalent<String> for Shout<'_> {
        fn equivalent(&self, key: &String) -> bool {
            self.0 == key
        }
    }
    let (map, _keys) = filled(3);
    assert_eq!(map.get(&Shout("2")), Some(2));
    let (k, v) = map
        .entry_ref("new")
        .key_with(|s| key(s))
        .or_insert_with(|k| k.len() as u32);
    assert_eq!((&**k, v), ("new", 3));
    let text = panic_of(|| {
        map.entry_ref("one")
            .key_with(|_| key("other"))
            .or_insert_with(|_| 1)
    });
    assert!(text.contains("the key that was made is not the one that was asked for"));
}

#[test]
fn a_closed_map_takes_nothing() {
    let (map, keys) = filled(3);
    assert_eq!(map.close().len(), 3);
    let new = key("new");
    assert!(map.try_insert(&new, 1).unwrap_err().is_closed());
    assert!(panic_of(|| map.insert(&keys[0], 9)).contains("closed"));
    assert!(panic_of(|| map.update(&keys[0], |_| Some(9))).contains("closed"));
    assert!(panic_of(|| map.get_or_insert_with(&new, |_| 9)).contains("closed"));
    assert_eq!(map.get_or_insert_with(&keys[1], |_| unreachable!()), 1);
    assert_eq!(map.retain(|_, v| *v != 1), 1);
    assert_eq!(map.drain().count(), 2);
}

#[test]
fn a_value_that_uses_the_map_in_its_destructor() {
    struct Value(
        Arc<Mutex<Vec<usize>>>,
        std::sync::Weak<WeakKeyMap<Arc<String>, Value>>,
    );
    impl Drop for Value {
        fn drop(&mut self) {
            if let Some(map) = self.1.upgrade() {
                self.0.lock().unwrap().push(map.len());
                map.contains_key("0");
                let new = Value(Arc::default(), std::sync::Weak::new());
                map.entry(&key("new")).and_view(|_| ()).or_insert(new);
            }
        }
    }
    promptly(|| {
        let log = Arc::new(Mutex::new(Vec::new()));
        let map = Arc::new(WeakKeyMap::new());
        let mut keys: Vec<_> = (0..10).map(key).collect();
        for k in &keys {
            let value = Value(Arc::clone(&log), Arc::downgrade(&map));
            map.entry(k).and_view(|_| ()).or_insert(value);
        }
        keys.truncate(5);
        assert_eq!(map.prune(), 5);
        assert_eq!(*log.lock().unwrap(), [5; 5]);
    });
}

#[test]
fn colliding_hashes_and_dead_neighbours() {
    let map: WeakKeyMap<Arc<String>, u32, highlander::map::ByEquality, Colliding> =
        WeakKeyMap::with_hasher(Colliding);
    let mut keys: Vec<_> = (0..40).map(key).collect();
    for (i, k) in keys.iter().enumerate() {
        map.insert(k, i as u32);
    }
    keys.retain(|k| k.parse::<u32>().unwrap() % 4 == 0);
    for k in &keys {
        assert_eq!(map.get(&**k), Some(k.parse().unwrap()));
    }
    let again = key(1);
    map.insert(&again, 100);
    assert_eq!(map.get("1"), Some(100));
    assert_eq!((map.len(), map.entry_count()), (11, 11));
}

#[test]
fn threads_agree() {
    promptly(|| {
        let map: WeakKeyMap<Arc<String>, Arc<(usize, Citizen)>> = WeakKeyMap::new();
        let census = Census::new();
        thread::scope(|s| {
            for seed in 0..4 {
                let (map, census) = (&map, &census);
                s.spawn(move || {
                    let mut dice = Dice::new(seed);
                    let mut keys = Vec::new();
                    for _ in 0..4000 {
                        let n = dice.below(64);
                        let k = key(n);
                        let make = || Arc::new((n, census.citizen()));
                        match dice.below(8) {
                            0..=2 => assert_eq!(map.get_or_insert_with(&k, |_| make()).0, n),
                            3 => assert!(map.get(&*k).is_none_or(|v| v.0 == n)),
                            4 => drop(map.insert(&k, make())),
                            5 => drop(map.remove(&*k)),
                            6 => drop(map.update(&k, |v| v.cloned().or_else(|| Some(make())))),
                            _ => drop(map.prune()),
                        }
                        keys.push(k);
                        if keys.len() > 16 {
                            keys.remove(dice.below(16));
                        }
                    }
                });
            }
        });
        assert_eq!(map.len(), 0);
        map.prune();
        assert_eq!((map.entry_count(), census.alive()), (0, 0));
    });
}

#[test]
fn equality_is_of_the_living_and_of_values() {
    let (map, mut keys) = filled(3);
    let copy = map.clone();
    assert_eq!(map, copy);
    copy.insert(&keys[1], 7);
    assert_ne!(map, copy);
    assert_ne!(copy, map);
    keys.remove(1);
    assert_eq!(map, copy, "it has died in both");
    let more = key("more");
    copy.insert(&more, 1);
    assert_ne!(map, copy);
    assert_ne!(copy, map);
    drop(more);
    assert_eq!(map, copy);
    fn total<T: Eq>(_: &T) {}
    total(&map);

    let (one, equal) = (key("one"), key("one"));
    let by_equality = |key| Map::from_iter([(Arc::clone(key), 1)]);
    let by_address = |key| Identities::from_iter([(Arc::clone(key), 1)]);
    assert_eq!(by_equality(&one), by_equality(&equal));
    assert_ne!(by_address(&one), by_address(&equal));
    // Values that can be compared, but not cloned.
    let (left, right): (Map<Unique>, Map<Unique>) = Default::default();
    left.entry(&one).and_view(|_| ()).or_insert(Unique(1));
    assert!(left != right);
    right.entry(&equal).and_view(|_| ()).or_insert(Unique(1));
    assert!(left == right);
}

#[derive(Debug, PartialEq)]
struct Unique(u32);

#[test]
fn a_value_that_cannot_be_cloned_can_be_taken_out() {
    let map: Map<Mutex<Unique>> = Map::new();
    let one = key("one");
    assert!(map.remove_with("one", |_| ()).is_none());
    let enter = |unique| {
        map.entry(&one)
            .and_view(|_| ())
            .or_insert(Mutex::new(unique))
    };
    enter(Unique(7));
    let seen = map.remove_with("one", |value| {
        assert!(map.is_empty(), "it is out");
        value.lock().unwrap().0
    });
    assert_eq!(seen, Some(7));
    enter(Unique(8));
    let seen = map.with("one", |value| value.lock().unwrap().0);
    assert_eq!(seen, Some(8));
    drop(one);
    assert!(map.remove_with("one", |_| ()).is_none());
}

#[test]
fn fallible_creation_by_a_borrowed_key_and_of_a_stale_value() {
    let map = Map::new().record_stats();
    let fail = |_: &Arc<String>| Err("no");
    let failed = map
        .entry_ref("one")
        .key_with(|name| key(name))
        .or_try_insert_with(fail);
    assert_eq!(failed, Err(CreateError::Failed("no")));
    assert_eq!(map.entry_count(), 0);
    let ok = |_: &Arc<String>| Ok::<_, ()>(1);
    let (one, value) = map
        .entry_ref("one")
        .key_with(|name| key(name))
        .or_try_insert_with(ok)
        .unwrap();
    assert_eq!((one.as_str(), value), ("one", 1));
    let never = |_: &str| unreachable!("it is there");
    let (same, _) = map
        .entry_ref("one")
        .key_with(never)
        .or_try_insert_with(ok)
        .unwrap();
    assert!(Arc::ptr_eq(&one, &same));
    assert_eq!((map.stats().hits, map.stats().misses), (1, 2));

    assert!(map
        .entry(&one)
        .valid_if(|n| *n != 1)
        .or_try_insert_with(fail)
        .is_err());
    assert_eq!(map.get("one"), None);
    map.insert(&one, 1);
    let two = |_: &Arc<String>| Ok::<_, ()>(2);
    assert_eq!(
        map.entry(&one)
            .valid_if(|n| *n != 2)
            .or_try_insert_with(two),
        Ok(1)
    );
    assert_eq!(
        map.entry(&one)
            .valid_if(|n| *n != 1)
            .or_try_insert_with(two),
        Ok(2)
    );
    assert_eq!(map.get("one"), Some(2));
}

#[test]
fn values_go_with_the_call_that_takes_their_entry_out() {
    fn churn(map: &WeakKeyMap<Arc<u32>, Arc<Citizen>>, census: &Census, from: u32) {
        for i in from..from + 300 {
            let key = Arc::new(i);
            map.insert(&key, Arc::new(census.citizen()));
            if i % 7 == 0 {
                assert_eq!(map.remove_with(&i, |_| ()), Some(()));
            }
        }
    }
    let (map, census) = (WeakKeyMap::new(), Census::new());
    let keys: Vec<_> = (0..8).map(Arc::new).collect();
    keys.iter()
        .for_each(|key| drop(map.insert(key, Arc::new(census.citizen()))));
    for i in 0..100 {
        churn(&map, &census, 1000 + i);
        assert_eq!(census.alive(), map.entry_count() as isize);
    }
    thread::scope(|scope| {
        scope.spawn(|| churn(&map, &census, 10_000));
        churn(&map, &census, 20_000);
    });
    assert_eq!(census.alive(), map.entry_count() as isize);
    assert!(map.entry_count() <= 8 + 8 + 2 * 16);
    map.prune();
    assert_eq!((map.entry_count(), census.alive()), (8, 8));
}
