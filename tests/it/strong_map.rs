//! `StrongMap`: what is kept until it is taken out. Operations and their effects are told in `tests/conformance` and `tests/props`.

use crate::common::{flat, panic_of, promptly, Census, Citizen, Colliding, Dice, Identity};
use highlander::error::{CreateError, Refused};
use highlander::map::slot::OwnedSlot;
use highlander::map::{ByEquality, Iter, RemovalCause};
use highlander::{
    Equivalent, Handle, Registry, StrongMap, WeakKeyMap, WeakKeyValueMap, WeakValueMap,
};
use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, OnceLock, Weak};
use std::thread;

type Map<V = u32> = StrongMap<String, V>;

fn filled(n: u32) -> Map {
    (0..n).map(|n| (n.to_string(), n)).collect()
}

#[test]
fn it_keeps_what_nobody_else_owns() {
    let census = Census::new();
    let map: Map<Arc<Citizen>> = Map::new();
    for n in 0..100 {
        map.insert(n.to_string(), Arc::new(census.citizen()));
    }
    // Neither insertions nor misses sweep anything out.
    assert!((0..1000).all(|n| map.get(&*format!("no {n}")).is_none()));
    map.shrink_to_fit();
    assert_eq!((map.len(), census.alive()), (100, 100));
    drop(map);
    assert_eq!(census.alive(), 0);
}

/// The entry is taken out during the look-up, which then is its last owner, and drops the key: that panics.
#[test]
fn a_look_up_that_panics_at_its_end_drops_what_it_has_found() {
    #[derive(PartialEq, Eq, Hash)]
    struct Bomb(u32);
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    impl Equivalent<Bomb> for u32 {
        fn equivalent(&self, key: &Bomb) -> bool {
            *self == key.0
        }
    }
    let (map, value) = (StrongMap::new(), Arc::new(()));
    map.insert(Bomb(1), Arc::clone(&value));
    let panic = panic_of(|| {
        map.with(&1, |found| {
            assert!(map.remove(&1).is_some());
            Arc::clone(found)
        })
    });
    assert_eq!((panic.as_str(), map.len()), ("dropped", 0));
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn a_value_goes_with_its_entry_or_with_the_last_that_looks_at_it() {
    let census = Census::new();
    let map: StrongMap<u32, Citizen> = StrongMap::new();
    for n in 0..5 {
        map.entry(n).and_view(|_| ()).or_insert(census.citizen());
    }
    assert_eq!(map.retain(|n, _| *n != 0), 1);
    assert_eq!(census.alive(), 4);
    let alive = map.with(&1, |_| {
        assert_eq!(map.retain(|n, _| *n != 1), 1);
        assert!(!map.contains_key(&1));
        census.alive()
    });
    assert_eq!((alive, census.alive()), (Some(4), 3));
    map.for_each(|_, _| {
        map.clear();
    });
    assert_eq!((map.len(), census.alive()), (0, 0));
}

type Entries<'a, V> = Iter<'a, OwnedSlot<String>, OwnedSlot<V>>;

#[test]
fn an_iterator_holds_no_lock_and_shows_what_is_there_when_it_comes_by() {
    let map = filled(1000);
    let mut iter: Entries<'_, u32> = map.iter();
    let (key, value) = iter.next().unwrap();
    assert_eq!(key, value.to_string());
    assert_eq!(map.retain(|_, n| *n % 2 == 0), 500);
    assert_eq!(format!("{iter:?}"), "Iter { .. }");
    let mut rest: Vec<u32> = iter.map(|(_, value)| value).collect();
    rest.push(value);
    // Of what has gone, what was in the bucket in hand at most.
    assert!(rest.iter().filter(|n| *n % 2 == 1).count() < 50);
    rest.retain(|n| n % 2 == 0);
    rest.sort_unstable();
    let even: Vec<u32> = (0..1000).step_by(2).collect();
    assert!(rest == even || rest == even[1..], "{rest:?}");

    let mut iter = map.iter();
    iter.next().unwrap();
    assert_eq!(map.clear(), 500);
    map.insert("new".into(), 1000);
    let rest: Vec<u32> = iter.by_ref().map(|(_, value)| value).collect();
    assert!(rest.len() < 50, "{rest:?}");
    assert!(iter.next().is_none());
    assert_eq!(map.keys().collect::<Vec<_>>(), ["new"]);
    assert_eq!((&map).into_iter().count(), map.values().count());
}

#[test]
fn an_iterator_shows_what_is_there_throughout_once() {
    let map = filled(100);
    let mut seen: Vec<u32> = Vec::new();
    for (key, value) in &map {
        assert_eq!(key, value.to_string());
        seen.extend((value < 100).then_some(value));
        // The table grows meanwhile.
        for n in 0..20 {
            let new = 100 + value % 100 * 20 + n;
            map.insert(new.to_string(), new);
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..100).collect::<Vec<_>>());
    assert_eq!(map.len(), 2100);
}

#[test]
fn the_later_of_two_equal_keys_stays() {
    #[derive(Clone, Debug)]
    struct Name(&'static str, u32);
    impl PartialEq for Name {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Name {}
    impl Hash for Name {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    let map: StrongMap<Name, Arc<str>> = StrongMap::new();
    let text = |text: &str| Arc::<str>::from(text);
    let stored = || map.get_key_value(&Name("k", 0)).map(|(key, _)| key.1);
    let b = text("b");
    map.insert(Name("k", 1), text("a"));
    map.insert(Name("k", 2), b.clone());
    assert_eq!(stored(), Some(2));
    map.compare_exchange(Name("k", 3), &b, text("c")).unwrap();
    assert_eq!(stored(), Some(3));
    map.update(Name("k", 4), |_| Some(text("d")));
    assert_eq!(stored(), Some(4));
    map.entry(Name("k", 5))
        .valid_if(|_| false)
        .or_insert_with(|_| text("e"));
    assert_eq!(stored(), Some(5));
    // One that enters nothing changes no key.
    assert!(map.try_insert(Name("k", 6), text("f")).is_err());
    let refused = map.compare_exchange(Name("k", 6), &b, text("f"));
    assert!(refused.is_err());
    let there = map.get_or_insert_with(Name("k", 6), |_| text("f"));
    assert_eq!(&*there, "e");
    assert_eq!(stored(), Some(5));
}

#[test]
fn what_is_refused_comes_back() {
    let map: Map<Arc<str>> = Map::new();
    let key = |text: &str| text.to_string();
    let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
    let entered = map.try_insert(key("k"), a.clone()).unwrap();
    assert!(Arc::ptr_eq(&entered, &a));
    let error = map.try_insert(key("k"), b.clone()).unwrap_err();
    assert!(!error.is_closed());
    assert!(Arc::ptr_eq(&error.existing.unwrap(), &a));
    assert_eq!((error.key, error.value), (key("k"), b.clone()));
    let refused = map.compare_exchange(key("no"), &a, b.clone()).unwrap_err();
    assert!(Arc::ptr_eq(&refused.value, &b));
    let equal = Arc::from("a");
    let refused = map.compare_exchange(key("k"), &equal, b.clone());
    assert!(Arc::ptr_eq(&refused.unwrap_err().value, &b));
    assert_eq!(map.close(), std::slice::from_ref(&a));
    let error = map.try_insert(key("new"), b.clone()).unwrap_err();
    assert!(error.is_closed() && error.existing.is_none());
    assert_eq!((error.key, error.value), (key("new"), b.clone()));
    // It is there, and there it stays.
    let error = map.try_insert(key("k"), b.clone()).unwrap_err();
    assert_eq!((error.key, error.value), (key("k"), b.clone()));
    let refused = map.compare_exchange(key("k"), &a, b.clone()).unwrap_err();
    assert!(Arc::ptr_eq(&refused.value, &b));
    assert!(Arc::ptr_eq(&map.get("k").unwrap(), &a));
}

#[test]
fn keys_are_asked_for_in_any_form_and_built_on_a_miss_only() {
    #[derive(Hash)]
    struct Shout<'a>(&'a str);
    impl Equivalent<String> for Shout<'_> {
        fn equivalent(&self, key: &String) -> bool {
            self.0 == key
        }
    }
    let map = filled(3);
    assert_eq!(map.get(&Shout("2")), Some(2));
    assert_eq!(map.remove(&Shout("2")), Some(2));
    let never = |_: &str| -> String { unreachable!("it is there") };
    assert_eq!(map.entry_ref("1").key_with(never).or_insert_with(|_| 9), 1);
    let own = |name: &str| name.to_owned();
    let size = |name: &String| name.len() as u32;
    assert_eq!(map.entry_ref("new").key_with(own).or_insert_with(size), 3);
    assert_eq!(map.get("new"), Some(3));
    let text = panic_of(|| {
        map.entry_ref("one")
            .key_with(|_| "other".into())
            .or_insert_with(size)
    });
    assert!(
        text.contains("the key that was made is not the one that was asked for"),
        "{text}"
    );
    let failed = map
        .entry_ref("x")
        .key_with(own)
        .or_try_insert_with(|_| Err("no"));
    assert_eq!(failed, Err(CreateError::Failed("no")));
    assert_eq!(map.len(), 3);
}

#[test]
fn racing_creators_run_one_factory() {
    let (map, runs) = (StrongMap::new(), AtomicUsize::new(0));
    for round in 0..300 {
        let barrier = Barrier::new(4);
        let values: Vec<usize> = thread::scope(|s| {
            let threads: Vec<_> = (0..4)
                .map(|n| {
                    let (map, barrier, runs) = (&map, &barrier, &runs);
                    s.spawn(move || {
                        barrier.wait();
                        let make = |_: &String| runs.fetch_add(1, SeqCst);
                        match n % 2 {
                            0 => map.get_or_insert_with(format!("{round}"), make),
                            _ => map
                                .entry_ref(&*format!("{round}"))
                                .key_with(str::to_owned)
                                .or_insert_with(make),
                        }
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(values, [round as usize; 4]);
        assert_eq!(runs.load(SeqCst), round as usize + 1);
    }
    assert_eq!(map.len(), 300);
    let stats = map.stats();
    assert_eq!(stats.created, 300);
    assert_eq!((stats.dead_seen, stats.pruned, stats.replaced), (0, 0, 0));
}

#[test]
fn a_factory_may_ask_for_other_keys_and_is_told_when_it_asks_for_its_own() {
    promptly(|| {
        let map: StrongMap<u32, u64> = StrongMap::new();
        fn sum(map: &StrongMap<u32, u64>, n: u32) -> u64 {
            map.get_or_insert_with(n, |&n| match n {
                0 => 0,
                _ => u64::from(n) + sum(map, n - 1),
            })
        }
        assert_eq!(sum(&map, 100), 5050);
        assert_eq!(map.len(), 101);
        let never = |_: &u32| Ok::<_, Refused>(1);
        let again = |_: &u32| map.get_or_try_insert_with(999, never).map_err(flat);
        let result = map.get_or_try_insert_with(999, again);
        assert!(matches!(result.map_err(flat), Err(Refused::Cycle(_))));
        assert_eq!(map.get(&999), None);
    });
}

#[test]
fn a_creation_that_was_overtaken_gives_way() {
    let census = Census::new();
    let map: StrongMap<&str, Arc<Citizen>> = StrongMap::new();
    let first = Arc::new(census.citizen());
    let got = map.get_or_insert_with("k", |key| {
        map.insert(*key, first.clone());
        Arc::new(census.citizen())
    });
    assert!(Arc::ptr_eq(&got, &first));
    assert_eq!(census.alive(), 1);
}

#[test]
fn update_is_atomic() {
    let map = Map::new();
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..500 {
                    map.update("k".into(), |n| Some(n.map_or(1, |n| n + 1)));
                }
            });
        }
    });
    assert_eq!(map.get("k"), Some(2000));
    assert_eq!(map.update("k".into(), |_| None), None);
    assert!(map.is_empty());
}

#[test]
fn compare_exchange_and_remove_if_have_one_winner() {
    let map: StrongMap<u32, Arc<usize>> = StrongMap::new();
    let (replaced, removed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for round in 0..500 {
        let zero = Arc::new(0);
        map.insert(0, zero.clone());
        map.insert(1, Arc::new(1));
        thread::scope(|s| {
            for n in 1..4 {
                let (map, zero, replaced, removed) = (&map, &zero, &replaced, &removed);
                s.spawn(move || {
                    let old = map.compare_exchange(0, zero, Arc::new(n));
                    replaced.fetch_add(usize::from(old.is_ok()), SeqCst);
                    let gone = map.remove_if(&1, |_, value| **value == 1);
                    removed.fetch_add(usize::from(gone.is_some()), SeqCst);
                });
            }
        });
        let counts = (replaced.load(SeqCst), removed.load(SeqCst));
        assert_eq!(counts, (round + 1, round + 1));
        assert!(map.get(&0).is_some_and(|n| *n > 0));
        assert_eq!(map.len(), 1);
    }
}

type Log = Arc<Mutex<Vec<(u32, RemovalCause)>>>;

fn logged() -> (StrongMap<u32, u32>, Log) {
    let log = Log::default();
    let told = Arc::clone(&log);
    let hook = move |key: &u32, cause| told.lock().unwrap().push((*key, cause));
    (StrongMap::new().on_remove(hook), log)
}

#[test]
fn each_entry_is_told_of_once_with_its_cause() {
    let (map, log) = logged();
    let taken = || std::mem::take(&mut *log.lock().unwrap());
    use RemovalCause::*;
    for n in 0..10 {
        assert!(map.try_insert(n, n).is_ok());
        assert!(map.try_insert(n, n).is_err());
    }
    assert_eq!(taken(), []);
    map.remove(&0);
    map.remove_if(&1, |_, n| *n == 1);
    map.update(2, |_| None);
    assert_eq!(taken(), [(0, Removed), (1, Removed), (2, Removed)]);
    map.insert(3, 30);
    map.update(4, |_| Some(40));
    map.update(5, |n| n.map(|n| n * 10));
    map.entry(6).valid_if(|_| false).or_insert_with(|_| 60);
    Extend::extend(&mut &map, [(7, 70)]);
    // What is not valid any more is taken out before the next one is made.
    let replaced = [3, 4, 5, 7].map(|n| (n, Replaced));
    let mut told = taken();
    assert_eq!(told.remove(3), (6, Removed));
    assert_eq!(told, replaced);
    map.retain(|_, n| *n != 8);
    assert_eq!(taken(), [(8, Removed)]);
    let (key, _) = map.pop().unwrap();
    assert_eq!(taken(), [(key, Removed)]);
    assert_eq!(map.drain().count(), 5);
    map.insert(0, 0);
    assert_eq!(map.clear(), 1);
    let mut told = taken();
    told.push((key, Cleared));
    told.sort_unstable_by_key(|told| told.0);
    assert_eq!(told, [0, 3, 4, 5, 6, 7, 9].map(|n| (n, Cleared)));
    map.insert(1, 1);
    drop(map);
    assert_eq!(taken(), []);
}

#[test]
fn a_hook_may_use_the_map_and_a_panic_of_it_leaves_the_map_whole() {
    static MAP: OnceLock<StrongMap<u32, u32>> = OnceLock::new();
    promptly(|| {
        let hook = |key: &u32, _| {
            let map = MAP.get().unwrap();
            if *key < 100 {
                assert!(!map.contains_key(key));
                map.insert(key + 100, 0);
            }
            assert!(*key % 2 == 0, "odd");
        };
        let map = MAP.get_or_init(|| StrongMap::new().on_remove(hook));
        Extend::extend(&mut &*map, (0..10).map(|n| (n, n)));
        assert_eq!(map.remove(&0), Some(0));
        assert_eq!(panic_of(|| map.remove(&1)), "odd");
        assert!(!map.contains_key(&1) && map.contains_key(&101));
        assert_eq!(panic_of(|| map.clear()), "odd");
        assert_eq!(map.len(), 8);
        assert!(map.keys().all(|key| key >= 102));
    });
}

#[test]
fn copies_unions_and_equality() {
    let (left, right) = (filled(3), Map::new());
    right.insert("2".into(), 22);
    right.insert("3".into(), 33);
    let union = left.clone();
    (&union).extend(&right);
    let as_std: HashMap<String, u32> = union.iter().collect();
    let expected = [("0", 0), ("1", 1), ("2", 22), ("3", 33)];
    assert_eq!(as_std, expected.map(|(k, v)| (k.to_string(), v)).into());
    assert_eq!(left, filled(3));
    assert_ne!(left, union);
    assert_eq!(left.clone(), left);
    left.insert("3".into(), 33);
    left.insert("2".into(), 22);
    assert_eq!(left, union);
    assert_eq!(format!("{:?}", filled(1)), "{\"0\": 0}");
    // What cannot be cloned can be collected and compared all the same.
    let one: StrongMap<u32, Box<dyn Fn() -> u32>> =
        [(1, Box::new(|| 1u32) as _)].into_iter().collect();
    assert_eq!(one.with(&1, |f| f()), Some(1));
}

#[test]
fn what_cannot_be_shared_works_on_one_thread() {
    let map: StrongMap<Rc<str>, Rc<Cell<u32>>> = StrongMap::new();
    let one = map.get_or_insert_with("one".into(), |_| Rc::new(Cell::new(1)));
    one.set(2);
    assert_eq!(map.get(&Rc::from("one")).unwrap().get(), 2);
    fn both<T: Send + Sync>() {}
    both::<StrongMap<String, Vec<u8>>>();
    both::<Entries<'_, Vec<u8>>>();
}

#[test]
fn colliding_hashes() {
    let map: StrongMap<u32, u32, Colliding> = StrongMap::with_hasher(Colliding);
    for n in 0..60 {
        assert_eq!(map.insert(n, n), None);
    }
    assert_eq!(map.retain(|n, _| n % 4 == 0), 45);
    for n in 0..60 {
        assert_eq!(map.get(&n), (n % 4 == 0).then_some(n));
    }
    assert_eq!(map.insert(8, 80), Some(8));
    assert_eq!((map.len(), map.get(&8)), (15, Some(80)));
}

#[test]
fn memory_goes_down() {
    let map: StrongMap<u32, u32> = (0..10_000).map(|n| (n, n)).collect();
    assert!(map.capacity() >= 10_000);
    map.retain(|n, _| n % 100 == 0);
    map.shrink_to_fit();
    assert!(map.capacity() < 1000);
    assert!((0..10_000).all(|n| map.contains_key(&n) == (n % 100 == 0)));
}

#[test]
fn a_value_that_uses_the_map_in_its_destructor() {
    struct Value(u32, Weak<StrongMap<u32, Value>>, Arc<Mutex<Vec<bool>>>);
    impl Drop for Value {
        fn drop(&mut self) {
            if let Some(map) = self.1.upgrade() {
                self.2.lock().unwrap().push(map.contains_key(&self.0));
                let next = Value(self.0 + 10, Weak::new(), Arc::default());
                map.entry(self.0 + 10).and_view(|_| ()).or_insert(next);
            }
        }
    }
    promptly(|| {
        let map = Arc::new(StrongMap::new());
        let log = Arc::new(Mutex::new(Vec::new()));
        for n in 0..10 {
            let value = Value(n, Arc::downgrade(&map), Arc::clone(&log));
            map.entry(n).and_view(|_| ()).or_insert(value);
        }
        assert_eq!(map.retain(|n, _| *n >= 5), 5);
        assert_eq!(map.len(), 10);
        assert_eq!(map.clear(), 10);
        assert_eq!(*log.lock().unwrap(), [false; 10]);
        assert_eq!(map.len(), 5);
    });
}

#[test]
fn user_code_that_panics_leaves_the_map_whole() {
    #[derive(Debug, PartialEq)]
    struct Fragile(u32);
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            assert!(self.0 != 7, "seven");
            Self(self.0)
        }
    }
    let map = StrongMap::new();
    assert_eq!(map.insert("k", Fragile(7)), None);
    assert_eq!(panic_of(|| map.get("k")), "seven");
    assert_eq!(panic_of(|| map.try_insert("k", Fragile(1))), "seven");
    assert!(map.contains_key("k"));
    // The change is complete when the old one is cloned.
    assert_eq!(panic_of(|| map.insert("k", Fragile(1))), "seven");
    assert_eq!(map.get("k"), Some(Fragile(1)));
    assert_eq!(panic_of(|| map.update("k", |_| Some(Fragile(7)))), "seven");
    assert_eq!(map.with("k", |there| there.0), Some(7));
    assert_eq!(map.update("k", |_| Some(Fragile(1))), Some(Fragile(1)));
    let make = |_: &&str| Fragile(7);
    assert_eq!(panic_of(|| map.get_or_insert_with("new", make)), "seven");
    assert_eq!(map.with("new", |there| there.0), Some(7));
    assert_eq!(panic_of(|| map.remove("new")), "seven");
    assert_eq!(panic_of(|| map.with("k", |_| panic!("seen"))), "seen");
    assert_eq!((map.len(), map.get("k")), (1, Some(Fragile(1))));
}

#[test]
fn handles_of_a_registry_are_kept_alive_by_it() {
    static NAMES: Registry<u32, u32> = Registry::new();
    let pinned: StrongMap<u32, Handle<u32, u32>> = StrongMap::new();
    pinned.insert(1, NAMES.get_or_insert_with(1, |_| 10));
    assert_eq!(NAMES.get(&1).as_deref(), Some(&10));
    pinned.clear();
    assert!(NAMES.is_empty());
}

#[test]
fn closing_is_told_to_all_who_are_on_their_way() {
    promptly(|| {
        for _ in 0..200 {
            let map: StrongMap<u32, u32> = StrongMap::new();
            let closed = thread::scope(|s| {
                let enter = s.spawn(|| (0..50).filter(|n| map.try_insert(*n, *n).is_ok()).count());
                let values = map.close();
                let entered = enter.join().unwrap();
                assert_eq!(map.len(), entered);
                values
            });
            assert!(map.is_closed());
            assert!(map.values().all(|n| closed.contains(&n)));
            let error = map.try_insert(99, 99).unwrap_err();
            assert!(error.is_closed());
            assert_eq!((error.key, error.value), (99, 99));
            let made = map.get_or_try_insert_with(99, |_| Ok::<_, ()>(1));
            assert!(matches!(
                made,
                Err(CreateError::Refused(Refused::Closed(_)))
            ));
            map.clear();
        }
    });
}

#[test]
fn threads_agree() {
    promptly(|| {
        let map: StrongMap<usize, Arc<(usize, Citizen)>> = StrongMap::new();
        let census = Census::new();
        thread::scope(|s| {
            for seed in 0..4 {
                let (map, census) = (&map, &census);
                s.spawn(move || {
                    let mut dice = Dice::new(seed);
                    for _ in 0..5000 {
                        let n = dice.below(64);
                        let make = || Arc::new((n, census.citizen()));
                        match dice.below(10) {
                            0..=2 => assert_eq!(map.get_or_insert_with(n, |_| make()).0, n),
                            3 => assert!(map.get(&n).is_none_or(|v| v.0 == n)),
                            4 => drop(map.insert(n, make())),
                            5 => drop(map.remove(&n)),
                            6 => drop(map.update(n, |v| v.cloned().or_else(|| Some(make())))),
                            7 => drop(
                                map.entry(n)
                                    .valid_if(|_| n % 2 != 0)
                                    .or_insert_with(|_| make()),
                            ),
                            8 => map.for_each(|n, v| assert_eq!(*n, v.0)),
                            _ => match dice.below(20) {
                                0 => drop(map.clear()),
                                1 => map.shrink_to_fit(),
                                2 => drop(map.pop()),
                                _ => drop(map.remove_if(&n, |n, _| n % 3 == 0)),
                            },
                        }
                    }
                });
            }
        });
        assert_eq!(census.alive(), map.len() as isize);
        assert_eq!(map.iter().count(), map.len());
        map.clear();
        assert_eq!((map.len(), census.alive()), (0, 0));
    });
}

/// Were each look at all that has been emptied before, emptying a map would be quadratic.
#[test]
fn pop_any_goes_on_where_it_was() {
    fn goes_on(pop: &mut dyn FnMut() -> Option<u64>, insert: &mut dyn FnMut(u64)) {
        for key in 1..1000 {
            insert(key << HIGH);
        }
        let popped: Vec<u64> = (0..500).map(|_| pop().unwrap()).collect();
        // Not at the beginning, that is: what comes there waits for its turn.
        insert(popped[0]);
        let rest: Vec<u64> = std::iter::from_fn(pop).collect();
        assert!(rest.len() == 500 && !rest[..400].contains(&popped[0]));
    }
    /// So that buckets, which are chosen by the highest bits, are in the order of the keys.
    const HIGH: u32 = 53;
    let owners: Vec<Arc<u64>> = (0..1000).map(|n| Arc::new(n << HIGH)).collect();
    let owner = |key: u64| &owners[(key >> HIGH) as usize];
    let strong: StrongMap<u64, u64, Identity> = StrongMap::default();
    goes_on(&mut || strong.pop().map(|(key, _)| key), &mut |key| {
        assert_eq!(strong.insert(key, key), None)
    });
    let values: WeakValueMap<u64, Arc<u64>, Identity> = WeakValueMap::default();
    goes_on(&mut || values.pop().map(|(key, _)| key), &mut |key| {
        drop(values.insert(key, owner(key).clone()))
    });
    let keys: WeakKeyMap<Arc<u64>, u64, ByEquality, Identity> = WeakKeyMap::default();
    goes_on(&mut || keys.pop().map(|(key, _)| *key), &mut |key| {
        assert_eq!(keys.insert(owner(key), key), None)
    });
    let both: WeakKeyValueMap<Arc<u64>, Arc<u64>, ByEquality, Identity> =
        WeakKeyValueMap::default();
    goes_on(&mut || both.pop().map(|(key, _)| *key), &mut |key| {
        drop(both.insert(owner(key), owner(key).clone()))
    });
}

/// It goes on where it was, so what was there before must be found as well: what came later, and all after the table has changed its size.
#[test]
fn pop_any_finds_all_whatever_came_between() {
    let map: StrongMap<u32, u32> = StrongMap::new();
    let mut dice = Dice::new(7);
    let mut model = std::collections::BTreeSet::new();
    for round in 0..200u32 {
        for n in 0..dice.below(40) as u32 {
            let key = round * 100 + n;
            map.insert(key, key);
            model.insert(key);
        }
        for _ in 0..dice.below(45) {
            let popped = map.pop();
            assert_eq!(popped.is_none(), model.is_empty());
            assert!(popped.is_none_or(|(key, value)| key == value && model.remove(&key)));
        }
        if round % 20 == 0 {
            map.shrink_to_fit();
        }
    }
    while let Some((key, _)) = map.pop() {
        assert!(model.remove(&key));
    }
    assert!(model.is_empty() && map.is_empty());
}

/// Closes its map at the next comparison.
struct Closing(u32);

static TO_BE_CLOSED: StrongMap<Closing, Arc<u32>> = StrongMap::new();
static CLOSES: AtomicUsize = AtomicUsize::new(0);

impl Hash for Closing {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl PartialEq for Closing {
    fn eq(&self, other: &Self) -> bool {
        if CLOSES.fetch_sub(1, SeqCst) == 1 {
            assert_eq!(TO_BE_CLOSED.close(), [Arc::new(1)]);
        }
        self.0 == other.0
    }
}

impl Eq for Closing {}

#[test]
fn what_a_closed_map_refuses_drives_nothing_out() {
    let [one, two, three] = [1, 2, 3].map(Arc::new);
    TO_BE_CLOSED.insert(Closing(1), one.clone());
    CLOSES.store(1, SeqCst);
    let text = panic_of(|| TO_BE_CLOSED.insert(Closing(1), two.clone()));
    assert!(text.starts_with("the map is closed"), "{text}");
    assert_eq!(TO_BE_CLOSED.get(&Closing(1)), Some(one.clone()));
    let refused = TO_BE_CLOSED.compare_exchange(Closing(1), &one, two.clone());
    assert_eq!(refused.unwrap_err().value, two);
    let error = TO_BE_CLOSED.try_insert(Closing(2), three.clone());
    let error = error.unwrap_err();
    assert!(error.is_closed() && error.key.0 == 2 && error.value == three);
    assert_eq!(TO_BE_CLOSED.close(), [one]);
}
