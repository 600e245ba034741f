//! `WeakKeyValueMap`: pairs of objects that others own. Which behaviours of Jython and Guava they show is in `BEHAVIOURS.md`.

use crate::common::{panic_of, promptly, Census, Citizen, Dice};
use highlander::error::CreateError;
use highlander::map::{ByAddress, ByEquality};
use highlander::WeakKeyValueMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

type Map = WeakKeyValueMap<Arc<String>, Arc<u32>>;

fn key(text: impl ToString) -> Arc<String> {
    Arc::new(text.to_string())
}

type Held = Vec<(Arc<String>, Arc<u32>)>;

fn filled(n: u32) -> (Map, Held) {
    let map = Map::new();
    let held: Vec<_> = (0..n).map(|i| (key(i), Arc::new(i))).collect();
    for (k, v) in &held {
        assert!(map.insert(k, v.clone()).is_none());
    }
    (map, held)
}

// Jython: dict_builder(MapMaker().weakKeys().weakValues().makeMap, T).
#[test]
fn an_entry_goes_when_either_side_dies() {
    let (map, mut held) = filled(3);
    let (k0, v0) = held.remove(0);
    drop(k0);
    assert!(map.get("0").is_none());
    assert!(map.get_by_value(&v0).is_none());
    let (k1, v1) = held.remove(0);
    drop(v1);
    assert!(map.get("1").is_none());
    drop(k1);
    assert_eq!(map.len(), 1);
    // Each look-up has taken out what it came across.
    assert_eq!((map.entry_count(), map.prune()), (1, 0));
}

// Jython: value to key, or key to value, strong: both are collected.
#[test]
fn sides_that_own_each_other_do_not_leak() {
    struct Owner(
        #[allow(dead_code)] Option<Arc<Owner>>,
        #[allow(dead_code)] Citizen,
    );
    let census = Census::new();
    let map: WeakKeyValueMap<Arc<Owner>, Arc<Owner>, ByAddress> = WeakKeyValueMap::new();
    let k = Arc::new(Owner(None, census.citizen()));
    let v = map.get_or_insert_with(&k, |k| Arc::new(Owner(Some(k.clone()), census.citizen())));
    drop(k);
    assert_eq!(map.len(), 1);
    drop(v);
    assert_eq!((map.len(), census.alive()), (0, 0));
    let v = Arc::new(Owner(None, census.citizen()));
    let k = Arc::new(Owner(Some(v.clone()), census.citizen()));
    map.insert(&k, v);
    assert_eq!(map.len(), 1);
    drop(k);
    assert_eq!((map.len(), census.alive()), (0, 0));
}

#[test]
fn it_is_asked_from_both_sides() {
    let (map, held) = filled(50);
    for (k, v) in &held {
        assert!(Arc::ptr_eq(&map.get(&**k).unwrap(), v));
        assert!(Arc::ptr_eq(&map.get_by_value(v).unwrap(), k));
    }
    assert!(map.get_by_value(&Arc::new(3)).is_none());
    let (k, v) = &held[7];
    let new = Arc::new(70);
    assert!(Arc::ptr_eq(&map.insert(k, new.clone()).unwrap(), v));
    assert!(map.get_by_value(v).is_none());
    assert!(Arc::ptr_eq(&map.get_by_value(&new).unwrap(), k));
    assert!(Arc::ptr_eq(&map.remove("7").unwrap(), &new));
    assert!(map.get_by_value(&new).is_none());
    map.clear();
    assert!(held.iter().all(|(_, v)| map.get_by_value(v).is_none()));
}

// Jython's ExposeAsSuperclass: two classes, one type.
#[test]
fn a_value_may_be_entered_under_several_keys() {
    let map = Map::new();
    let (a, b, v) = (key("a"), key("b"), Arc::new(1));
    map.insert(&a, v.clone());
    map.insert(&b, v.clone());
    assert_eq!(map.get_by_value(&v), Some(b.clone()));
    assert_eq!(map.keys_of(&v), [b.clone(), a.clone()]);
    drop(b);
    assert_eq!(map.get_by_value(&v), Some(a.clone()));
    assert_eq!(map.remove_by_value(&v), [a]);
    assert_eq!(map.len(), 0);
}

#[test]
fn of_equal_keys_the_first_stays() {
    let map = Map::new();
    let (first, second, one, two) = (key("k"), key("k"), Arc::new(1), Arc::new(2));
    map.insert(&first, one.clone());
    map.insert(&second, two.clone());
    assert!(Arc::ptr_eq(&map.get_by_value(&two).unwrap(), &first));
    drop(first);
    assert!(map.get("k").is_none() && map.get_by_value(&two).is_none());
}

#[test]
fn a_late_death_of_either_side_does_not_touch_the_successor() {
    let map = Map::new();
    let (k, old, new) = (key("k"), Arc::new(1), Arc::new(2));
    map.insert(&k, old.clone());
    map.insert(&k, new.clone());
    drop(old);
    map.prune();
    assert!(Arc::ptr_eq(&map.get("k").unwrap(), &new));
    drop(k);
    let again = key("k");
    map.insert(&again, new.clone());
    map.prune();
    assert!(Arc::ptr_eq(&map.get("k").unwrap(), &new));
    assert!(Arc::ptr_eq(&map.get_by_value(&new).unwrap(), &again));
    assert_eq!(map.entry_count(), 1);
}

#[test]
fn the_hook_is_called_once_whichever_side_dies() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let map = Map::new().on_remove(move |_: &std::sync::Weak<String>, _| {
        count.fetch_add(1, SeqCst);
    });
    for i in 0..100 {
        let (k, v) = (key(i), Arc::new(i));
        map.insert(&k, v.clone());
        match i % 3 {
            0 => drop((k, v)),
            1 => {
                drop(k);
                map.prune();
                drop(v);
            }
            _ => {
                drop(v);
                assert!(map.get(&*k).is_none());
            }
        }
    }
    map.prune();
    assert_eq!((map.entry_count(), calls.load(SeqCst)), (0, 100));
}

#[test]
fn the_rest_of_the_methods() {
    let (map, held) = filled(4);
    let [a, b, c] = [0, 1, 2].map(|i| held[i].clone());
    assert_eq!(
        map.try_insert(&a.0, Arc::new(9)).unwrap_err().existing,
        Some(a.1.clone())
    );
    let exchange = |key: &Arc<String>, old: &Arc<u32>, new: &Arc<u32>| {
        map.compare_exchange(key, old, new.clone())
    };
    assert!(exchange(&a.0, &Arc::new(0), &b.1).is_err());
    assert!(exchange(&a.0, &a.1, &b.1).is_ok());
    assert_eq!(map.keys_of(&b.1).len(), 2);
    assert_eq!(exchange(&a.0, &b.1, &a.1).unwrap(), b.1);
    assert!(exchange(&key("none"), &b.1, &a.1).is_err());
    assert_eq!(map.update(&c.0, |v| v.cloned()), Some(c.1.clone()));
    assert_eq!(map.update(&c.0, |_| Some(a.1.clone())), Some(a.1.clone()));
    assert_eq!(map.update(&c.0, |_| None), None);
    assert!(map.remove_if("1", |_, v| **v == 7).is_none());
    assert_eq!(map.retain(|k, _| **k != "1"), 1);
    assert_eq!(
        format!("{:?}", map.clone()).len(),
        "{\"0\": 0, \"3\": 3}".len()
    );
    assert_eq!(
        map.entry(&a.0)
            .valid_if(|v| **v != 0)
            .or_insert_with(|_| c.1.clone()),
        c.1
    );
    let union = map.clone();
    (&union).extend(&filled(0).0);
    assert_eq!(union.len(), 2);
    assert_eq!(map.close().len(), 2);
    assert!(panic_of(|| map.insert(&b.0, b.1.clone())).contains("closed"));
    assert!(map.pop().is_some());
    assert_eq!(map.drain().count(), 1);
    assert!(map.is_empty());
}

#[test]
fn churn_keeps_the_dead_below_the_living_on_both_sides() {
    let (map, held) = filled(500);
    for i in 500..20_000 {
        let (k, v) = (key(i), Arc::new(i));
        map.insert(&k, v.clone());
        assert!(map.entry_count() - 501 <= 501 + 16);
    }
    assert!(held
        .iter()
        .all(|(k, v)| map.get_by_value(v).as_ref() == Some(k)));
}

#[test]
fn threads_agree_on_both_sides() {
    promptly(|| {
        let map = Map::new();
        let left_over = Mutex::new(Vec::new());
        thread::scope(|s| {
            for seed in 0..4 {
                let (map, left_over) = (&map, &left_over);
                s.spawn(move || {
                    let mut dice = Dice::new(seed);
                    let mut held: Vec<(Arc<String>, Arc<u32>)> = Vec::new();
                    for _ in 0..4000 {
                        let n = dice.below(32) as u32;
                        let k = key(n);
                        match dice.below(6) {
                            0 | 1 => {
                                let v = map.get_or_insert_with(&k, |_| Arc::new(n));
                                held.push((k, v));
                            }
                            2 => {
                                let v = Arc::new(n);
                                map.insert(&k, v.clone());
                                held.push((k, v));
                            }
                            3 => drop(map.remove(&*k)),
                            4 => {
                                if let Some((_, v)) = held.last() {
                                    assert!(map.keys_of(v).iter().all(|k| **k == v.to_string()));
                                    map.remove_by_value(v);
                                }
                            }
                            _ => drop(map.prune()),
                        }
                        if held.len() > 8 {
                            held.remove(dice.below(8));
                        }
                    }
                    left_over.lock().unwrap().extend(held);
                });
            }
        });
        for (k, v) in &map {
            assert!(map.keys_of(&v).iter().any(|other| Arc::ptr_eq(other, &k)));
        }
        for (_, v) in left_over.lock().unwrap().iter() {
            for k in map.keys_of(v) {
                assert!(Arc::ptr_eq(&map.get(&*k).unwrap(), v));
            }
        }
        left_over.lock().unwrap().clear();
        map.prune();
        assert_eq!(map.entry_count(), 0);
    });
}

#[test]
fn equality_is_of_the_living_and_of_values() {
    let (a, b) = (Arc::new("a".to_string()), Arc::new("b".to_string()));
    let (one, uno, two) = (Arc::new(1), Arc::new(1), Arc::new(2));
    type Pairs<M = ByEquality> = WeakKeyValueMap<Arc<String>, Arc<u32>, M>;
    let of = |entries: &[(&Arc<String>, &Arc<u32>)]| -> Pairs {
        entries
            .iter()
            .map(|(k, v)| (Arc::clone(k), Arc::clone(v)))
            .collect()
    };
    assert_eq!(of(&[(&a, &one)]), of(&[(&a, &uno)]), "equal values");
    assert_ne!(of(&[(&a, &one)]), of(&[(&a, &two)]));
    assert_ne!(of(&[(&a, &one)]), of(&[(&a, &one), (&b, &two)]));
    let (left, right) = (of(&[(&a, &one)]), of(&[(&a, &one), (&b, &two)]));
    drop(two);
    assert_eq!(left, right, "the other has died");
    assert_eq!(right, left);
    drop(a);
    assert_eq!(left, Pairs::new());
    let equal = Arc::new("b".to_string());
    let by_address =
        |key: &Arc<String>| Pairs::<ByAddress>::from_iter([(key.clone(), one.clone())]);
    assert_eq!(by_address(&b), by_address(&b));
    assert_ne!(by_address(&b), by_address(&equal));
    assert_eq!(of(&[(&b, &one)]), of(&[(&equal, &one)]));
    fn total<T: Eq>(_: &T) {}
    total(&left);
}

#[test]
fn creation_by_a_borrowed_key_and_of_a_stale_value_that_may_fail() {
    let map: WeakKeyValueMap<Arc<str>, Arc<usize>> = WeakKeyValueMap::new();
    let to_pointer = |name: &str| -> Arc<str> { name.into() };
    let fail = |_: &Arc<str>| Err("no");
    let failed = map
        .entry_ref("one")
        .key_with(to_pointer)
        .or_try_insert_with(fail);
    assert_eq!(failed, Err(CreateError::Failed("no")));
    assert_eq!(map.entry_count(), 0);
    let len = |key: &Arc<str>| Arc::new(key.len());
    let (key, three) = map
        .entry_ref("one")
        .key_with(to_pointer)
        .or_insert_with(len);
    assert_eq!((&*key, *three), ("one", 3));
    let never = |_: &str| unreachable!("it is there");
    let again = map
        .entry_ref("one")
        .key_with(never)
        .or_insert_with(|_| unreachable!("it is there"));
    assert!(Arc::ptr_eq(&again.0, &key) && Arc::ptr_eq(&again.1, &three));
    assert_eq!(map.get_by_value(&three), Some(key.clone()));
    drop((again, three));
    // The value has died: a new one, under the key that is made anew.
    let (other, four) = map
        .entry_ref("one")
        .key_with(to_pointer)
        .or_insert_with(|_| Arc::new(4));
    assert!(!Arc::ptr_eq(&other, &key));
    assert_eq!(map.get("one"), Some(four.clone()));
    let wrong = panic_of(|| {
        map.entry_ref("two")
            .key_with(|_| "three".into())
            .or_insert_with(len)
    });
    assert!(
        wrong.contains("the key that was made is not the one that was asked for"),
        "{wrong}"
    );

    assert!(map
        .entry(&other)
        .valid_if(|_| false)
        .or_try_insert_with(fail)
        .is_err());
    assert_eq!(map.get("one"), None);
    map.insert(&other, four.clone());
    let five = |_: &Arc<str>| Ok::<_, ()>(Arc::new(5));
    let kept = map
        .entry(&other)
        .valid_if(|n| **n != 5)
        .or_try_insert_with(five)
        .unwrap();
    assert!(Arc::ptr_eq(&kept, &four));
    let new = map
        .entry(&other)
        .valid_if(|n| **n != 4)
        .or_try_insert_with(five)
        .unwrap();
    assert_eq!((map.get("one"), map.len()), (Some(new), 1));
}

#[test]
fn the_keys_of_a_value_stay_in_order_as_some_of_them_go() {
    promptly(|| {
        let map = WeakKeyValueMap::<Arc<usize>, Arc<u32>>::new();
        let value = Arc::new(0);
        let mut dice = Dice::new(7);
        // The last that came first, as `keys_of` has them.
        let mut keys: Vec<Arc<usize>> = Vec::new();
        for i in 0..3000 {
            // Grows and shrinks in turns.
            if keys.is_empty() || dice.below(10) < if i / 500 % 2 == 0 { 7 } else { 3 } {
                let key = Arc::new(i);
                map.insert(&key, Arc::clone(&value));
                keys.insert(0, key);
            } else {
                let key = keys.remove(dice.below(keys.len()));
                assert!(map.remove(&*key).is_some());
            }
            if i % 50 == 0 {
                assert_eq!(map.keys_of(&value), keys);
            }
        }
        assert_eq!(map.keys_of(&value), keys);
        keys.iter().for_each(|key| drop(map.remove(&**key)));
        assert!(map.keys_of(&value).is_empty());
    });
}

/// Where each removal looks for its entry among all of the value, this takes minutes.
#[test]
fn taking_out_one_of_many_keys_of_a_value_takes_no_search() {
    promptly(|| {
        let map = WeakKeyValueMap::<Arc<u32>, Arc<u32>>::new();
        let value = Arc::new(0);
        let keys: Vec<_> = (0..200_000).map(Arc::new).collect();
        let enter = |key| map.insert(key, Arc::clone(&value));
        assert!(keys.iter().all(|key| enter(key).is_none()));
        let (first, last) = keys.split_at(keys.len() / 2);
        assert!(last.iter().rev().all(|key| map.remove(&**key).is_some()));
        assert!(first.iter().all(|key| map.remove(&**key).is_some()));
        assert!(map.keys_of(&value).is_empty());
    });
}

/// Else each look-up by value would walk over all of them again.
#[test]
fn a_look_up_by_value_takes_out_the_dead_keys_that_it_comes_across() {
    let map: WeakKeyValueMap<Arc<u32>, Arc<u32>> = WeakKeyValueMap::new();
    let value = Arc::new(0);
    for by_one in [true, false] {
        let mut keys: Vec<_> = (0..100).map(Arc::new).collect();
        for key in &keys {
            map.insert(key, value.clone());
        }
        keys.truncate(3);
        if by_one {
            assert_eq!(map.get_by_value(&value), Some(keys[2].clone()));
        } else {
            assert_eq!(map.keys_of(&value), [2, 1, 0].map(Arc::new));
        }
        assert_eq!(map.entry_count(), 3);
        keys.clear();
        assert_eq!((map.get_by_value(&value), map.entry_count()), (None, 0));
    }
}
