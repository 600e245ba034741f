//! Guava's `MapMakerTest` and `MapMakerInternalMapTest`, as far as they are about behaviour.
//!
//! Without meaning here:
//! * `testNullParameters`, `testComputerThatReturnsNull`: there is no null;
//! * `testInitialCapacity_negative`: a `usize` is not negative; too much is a panic (`tests/it/settings.rs`);
//! * `testSetWeakKeys`, `testSetWeakValues` twice: what is weak is said once, by the type of the map;
//! * `testSetKeyEquivalence`: keys compare by equality or address, `Equivalent` queries aside;
//! * expiry and maximum size (`testExpiration_setTwice`, `testMaximumSize_…`, `testSizeBasedEviction`): these are caches;
//! * internals: the number of segments and their sizes (`testDefaults`, `testSetConcurrencyLevel`, `testSetInitialCapacity`), `testNewEntry`,
//!   `testCopyEntry`, `testRemoveFromChain`, `testClearValue`, `testGetLiveValue`.

use crate::common::promptly;
use crate::maps::{is_cycle, on_every_map, same, Settings, Side, Subject, Table, OWNED};
use highlander::error::{CreateError, Refused};
use highlander::map::RemovalCause;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

on_every_map!(
    all: [
        recursive_computation,
        recursion_into_itself,
        runtime_exception,
        a_clear_during_a_computation_does_not_touch_it,
        a_stale_value_is_replaced,
        closed_maps_take_nothing,
    ],
    weak: [
        segment_get_and_contains,
        segment_operations_on_a_cleared_reference,
        a_dead_one_is_reclaimed_by_writes,
        a_dead_one_is_reclaimed_by_reads,
        pruning_reclaims_by_identity,
        what_is_reserved_is_there,
    ],
);

/// Beside `testInitialCapacity`: room can be had later too, and dead entries take of it.
fn what_is_reserved_is_there<K: Subject>(t: &mut Table<K>) {
    let mut owned = Vec::new();
    for additional in [0, 1, 20, 300] {
        t.map.reserve(additional);
        let (capacity, entries) = (t.map.capacity(), t.map.entry_count());
        assert!(capacity >= entries + additional);
        for n in 0..additional {
            let n = (1000 * additional + n) as u32;
            let (key, value) = (K::key(n), Arc::new(n));
            t.map.insert(&key, value.clone());
            owned.push((key, value));
        }
        assert_eq!(t.map.capacity(), capacity);
    }
    assert_eq!(t.map.len(), owned.len() + t.size);
    if t.size > 0 {
        t.kill(0);
    }
    t.map.shrink_to_fit();
    assert_eq!(t.map.len(), owned.len() + t.size.saturating_sub(1));
}

/// `testSegmentGetAndContains`: dead neighbours and neighbours with the same hash are passed by.
fn segment_get_and_contains<K: Subject>(t: &mut Table<K>) {
    for n in t.size..OWNED {
        t.map.insert(t.key(n), t.value(n));
    }
    for n in (0..OWNED).step_by(2) {
        t.kill(n);
    }
    for n in (1..OWNED).step_by(2) {
        assert!(same(&t.map.get(t.key(n)), &Some(t.value(n))));
        assert!(t.map.contains_key(t.key(n)));
    }
    for n in (0..OWNED).step_by(2) {
        assert!(!t.map.contains_key(&t.key_again(n)));
    }
    assert_eq!(t.map.len(), OWNED / 2);
}

/// `testSegmentReplaceValue`, `testSegmentReplace`, `testSegmentPut`, `testSegmentPutIfAbsent`, `testSegmentRemove`, `testSegmentRemoveValue`: the
/// part *cleared* of each.
fn segment_operations_on_a_cleared_reference<K: Subject>(t: &mut Table<K>) {
    for how in 0..6 {
        let map = K::empty();
        let number = 40 + how;
        let (mut key, mut value) = (Some(K::key(number)), Some(Arc::new(number)));
        map.insert(key.as_ref().unwrap(), value.clone().unwrap());
        match t.mortal {
            Side::Keys => drop(key.take()),
            Side::Values => drop(value.take()),
            Side::Neither => unreachable!("a case for weak maps"),
        }
        let key = key.unwrap_or_else(|| K::key(number));
        let old = value.unwrap_or_else(|| Arc::new(number));
        let new = Arc::new(0);
        let installed = match how {
            0 => {
                assert!(!map.compare_exchange(&key, &old, new.clone()));
                false
            }
            1 => {
                assert!(map.replace(&key, new.clone()).is_none());
                false
            }
            2 => {
                assert!(map.insert(&key, new.clone()).is_none());
                true
            }
            3 => {
                assert_eq!(map.try_insert(&key, new.clone()), Ok(()));
                true
            }
            4 => {
                assert!(map.remove(&key).is_none());
                false
            }
            _ => {
                assert!(!map.remove_same(&key, &old) && !map.remove_if_same(&key, &old));
                false
            }
        };
        assert_eq!(map.len(), usize::from(installed));
        assert!(same(&map.get(&key), &installed.then_some(new.clone())));
    }
}

/// `testDrainKeyReferenceQueueOnWrite`, `testDrainValueReferenceQueueOnWrite`, `testExpand_cleanup`: churn on other keys takes the dead out.
fn a_dead_one_is_reclaimed_by_writes<K: Subject>(t: &mut Table<K>) {
    (0..t.size).for_each(|n| t.kill(n));
    // One that lives, so that the table is not just emptied.
    t.map.insert(t.key(7), t.value(7));
    for n in 0..500 {
        let key = K::key(1000 + n);
        t.map.insert(&key, Arc::new(n));
        t.map.remove(&key);
        if t.map.entry_count() == 1 {
            break;
        }
    }
    assert_eq!((t.map.len(), t.map.entry_count()), (1, 1));
}

/// `testDrainKeyReferenceQueueOnRead`, `testDrainValueReferenceQueueOnRead`: so do misses, each 64th of them. (By a bound of 1 it takes more.)
fn a_dead_one_is_reclaimed_by_reads<K: Subject>(t: &mut Table<K>) {
    if t.size == 0 || t.map.capacity() > 100 {
        return;
    }
    (0..t.size).for_each(|n| t.kill(n));
    for n in 0..64 * 200 {
        if t.map.entry_count() == 0 {
            break;
        }
        assert!(t.map.get(&K::key(1000 + n % 50)).is_none());
    }
    assert_eq!(t.map.entry_count(), 0);
}

/// `testRemoveEntry`, `testReclaim…`: only what still holds the dead reference is taken out.
fn pruning_reclaims_by_identity<K: Subject>(t: &mut Table<K>) {
    if t.size == 0 {
        return;
    }
    t.kill(0);
    let (key, value) = (t.key_again(0), t.value_again(0));
    t.map.insert(&key, value.clone());
    t.map.prune();
    assert!(same(&t.map.get(&key), &Some(value.clone())));
    assert_eq!((t.map.len(), t.map.entry_count()), (t.size, t.size));
    t.expect_told(&[(0, RemovalCause::Dead)]);
    assert_eq!(t.map.prune(), 0);
}

/// `testRecursiveComputation`: a factory may ask for other keys.
fn recursive_computation<K: Subject>(t: &mut Table<K>) {
    fn depth<K: Subject>(t: &Table<K>, n: usize) -> Arc<u32> {
        t.map.get_or_insert(t.key(n), || match n {
            0 => t.value(0),
            _ => t.value(*depth(t, n - 1) as usize + 1),
        })
    }
    assert_eq!(*depth(t, OWNED - 1), OWNED as u32 - 1);
    assert_eq!(t.map.len(), OWNED);
}

/// BEHAVIOURS.md 9.7: for its own key it gets an error, "Recursive update".
fn recursion_into_itself<K: Subject>(t: &mut Table<K>) {
    let key = t.key(5);
    let inner = || t.map.get_or_try_insert(key, || Ok(t.value(6)));
    let result = t.map.get_or_try_insert(key, inner);
    assert!(is_cycle(&result));
    t.expect_unchanged();
    assert!(inner().is_ok());
}

/// `testRuntimeException`.
fn runtime_exception<K: Subject>(t: &mut Table<K>) {
    let text = crate::common::panic_of(|| t.map.get_or_insert(t.key(5), || panic!("mine")));
    assert_eq!(text, "mine");
    t.expect_unchanged();
}

/// `testRemovalNotification_clear`: what is being computed while the map is cleared is entered, and the hook hears nothing of it.
fn a_clear_during_a_computation_does_not_touch_it<K: Subject>(t: &mut Table<K>) {
    t.map.get_or_insert(t.key(5), || {
        assert_eq!(t.map.clear(), t.size);
        t.value(5)
    });
    t.expect(&[(5, 5)]);
    let told: Vec<_> = (0..t.size).map(|n| (n, RemovalCause::Cleared)).collect();
    t.expect_told(&told);
}

/// `valid_if`, which Guava writes as `compute`.
fn a_stale_value_is_replaced<K: Subject>(t: &mut Table<K>) {
    if t.size == 0 {
        return;
    }
    let kept = t
        .map
        .get_valid_or_insert(t.key(0), |_| true, || unreachable!("not stale"));
    assert!(Arc::ptr_eq(&kept, &t.value(0)));
    let new = t
        .map
        .get_valid_or_insert(t.key(0), |v| **v != 0, || t.value(6));
    assert!(Arc::ptr_eq(&new, &t.value(6)));
    t.expect_changed(&[(0, Some(6))]);
    // It goes before the new one is made.
    t.expect_told(&[(0, RemovalCause::Removed)]);
}

/// No model has it: a closed map.
fn closed_maps_take_nothing<K: Subject>(t: &mut Table<K>) {
    assert_eq!(t.map.close(), t.size);
    assert!(t.map.is_closed());
    t.expect_unchanged();
    assert_eq!(t.map.try_insert(t.key(5), t.value(5)), Err(None));
    if t.size > 0 {
        let text = crate::common::panic_of(|| t.map.replace(t.key(0), t.value(5)));
        assert!(text.contains("closed"), "{text}");
    } else {
        assert!(t.map.replace(t.key(0), t.value(5)).is_none());
    }
    assert!(!t.map.compare_exchange(t.key(0), &t.value(0), t.value(5)));
    let text = crate::common::panic_of(|| t.map.insert(t.key(5), t.value(5)));
    assert!(text.contains("closed"), "{text}");
    let text = crate::common::panic_of(|| t.map.update(t.key(5), &mut |_| Some(t.value(5))));
    assert!(text.contains("closed"), "{text}");
    let refused = t.map.get_or_try_insert(t.key(5), || Ok(t.value(5)));
    assert!(matches!(
        refused,
        Err(CreateError::Refused(Refused::Closed(_)))
    ));
    t.expect_unchanged();
    t.expect_told(&[]);
    if t.size > 0 {
        let found = t.map.get_or_insert(t.key(0), || unreachable!("there"));
        assert!(Arc::ptr_eq(&found, &t.value(0)));
        assert!(t.map.remove(t.key(0)).is_some());
    }
}

/// `testSegmentPut_expand`, `testExpand`, `testExpand_cleanup`.
fn growth_keeps_the_live_ones<K: Subject>() {
    let map = K::build(&Settings {
        capacity: Some(1),
        ..Settings::default()
    });
    let mut held: Vec<_> = (0..3 * 1024).map(|n| (K::key(n), Arc::new(n))).collect();
    for (key, value) in &held {
        assert!(map.insert(key, value.clone()).is_none());
    }
    assert!(map.capacity() >= 3 * 1024);
    let check = |held: &[(K::Key, Arc<u32>)]| {
        assert_eq!(map.len(), held.len());
        for (key, value) in held {
            assert!(same(&map.get(key), &Some(value.clone())));
        }
    };
    check(&held);
    held.retain(|(_, value)| **value % 3 == 0);
    match (K::WEAK_KEYS, K::WEAK_VALUES) {
        (_, true) => {}
        (true, false) => drop(map.prune()),
        (false, false) => drop(map.retain(&mut |_, value| **value % 3 == 0)),
    }
    check(&held);
    map.shrink_to_fit();
    check(&held);
    assert_eq!(map.entry_count(), held.len());
    assert!(map.capacity() < 3 * 1024);
}

/// `testRemovalNotification_clear_basher`: each value that is computed beside a clear is told of, or is in the map, and never both.
fn clear_basher<K: Subject>() {
    promptly(|| {
        let log = Arc::<Mutex<Vec<_>>>::default();
        let settings = Settings {
            log: Some(log.clone()),
            ..Settings::default()
        };
        let map = K::build(&settings);
        let held: Vec<_> = (0..600).map(|n| (K::key(n), Arc::new(n))).collect();
        for (key, value) in &held[..100] {
            map.insert(key, value.clone());
        }
        let (barrier, done) = (Barrier::new(5), AtomicUsize::new(0));
        thread::scope(|s| {
            for part in held[100..].chunks(125) {
                let (map, barrier, done) = (&map, &barrier, &done);
                s.spawn(move || {
                    barrier.wait();
                    for (key, value) in part {
                        let got = map.get_or_insert(key, || value.clone());
                        assert!(Arc::ptr_eq(&got, value));
                        done.fetch_add(1, SeqCst);
                    }
                });
            }
            barrier.wait();
            while done.load(SeqCst) < 50 {
                thread::yield_now();
            }
            map.clear();
        });
        let told: Vec<u32> = log.lock().unwrap().iter().filter_map(|t| t.0).collect();
        assert!((0..100).all(|n| told.contains(&n)));
        for (key, value) in &held {
            let (is_told, is_in) = (told.contains(value), map.contains_key(key));
            assert!(is_told != is_in, "{value}: told {is_told}, in {is_in}");
        }
        assert_eq!(told.len() + map.len(), 600);
    });
}

mod once {
    use crate::maps::*;
    use highlander::hash::DefaultHashBuilder as Default;

    #[test]
    fn growth_keeps_the_live_ones() {
        super::growth_keeps_the_live_ones::<Strong<Default>>();
        super::growth_keeps_the_live_ones::<WeakValues<Default>>();
        super::growth_keeps_the_live_ones::<WeakKeys<Default>>();
        super::growth_keeps_the_live_ones::<IdentityKeys<Default>>();
        super::growth_keeps_the_live_ones::<BothWeak<Default>>();
        super::growth_keeps_the_live_ones::<IdentityBothWeak<Default>>();
    }

    /// `testReturnsPlainConcurrentHashMapWhenPossible`: with nothing weak asked for, a map that keeps both.
    #[test]
    fn strong_when_nothing_else_is_asked_for() {
        let map: highlander::StrongMap<Value, Value> = highlander::StrongMap::with_capacity(5);
        for n in 0..100 {
            map.insert(Value::new(n), Value::new(n));
        }
        assert_eq!(map.len(), 100);
        for n in 0..100 {
            assert_eq!(map.get(&Value::new(n)), Some(Value::new(n)));
        }
    }

    #[test]
    fn clear_basher() {
        super::clear_basher::<Strong<Default>>();
        super::clear_basher::<WeakValues<Default>>();
        super::clear_basher::<WeakKeys<Default>>();
        super::clear_basher::<IdentityKeys<Default>>();
        super::clear_basher::<BothWeak<Default>>();
        super::clear_basher::<IdentityBothWeak<Default>>();
    }
}
