//! `MapMaker`: what can be asked for, nonsense, and the removal hook.

use crate::common::{panic_of, promptly, Identity};
use highlander::map::map_maker::{StrongKeys, WeakValues};
use highlander::map::{ByAddress, MapMaker, RemovalCause};
use highlander::{WeakKeyMap, WeakValueMap};
use std::sync::{Arc, Mutex, OnceLock, Weak};

type Log = Arc<Mutex<Vec<(u32, RemovalCause)>>>;
type Map = WeakValueMap<u32, Arc<u32>>;

fn logged() -> (Map, Log) {
    let log = Log::default();
    let told = Arc::clone(&log);
    let maker = MapMaker::new().weak_values();
    let map = maker.on_remove(move |k: &u32, cause| told.lock().unwrap().push((*k, cause)));
    (map.build().unwrap(), log)
}

fn taken(log: &Log) -> Vec<(u32, RemovalCause)> {
    std::mem::take(&mut log.lock().unwrap())
}

// Guava: MapMakerTest, and the argument checks of its setters.
#[test]
fn s9_2_nonsense_is_a_clear_error() {
    let maker = || MapMaker::new().weak_values();
    let error =
        |maker: MapMaker<StrongKeys, WeakValues>| maker.build::<u32, Arc<u32>>().unwrap_err();
    assert!(error(maker().concurrency_level(0)).is_concurrency_level());
    assert!(error(maker().concurrency_level(1 << 20)).is_concurrency_level());
    assert!(error(maker().prune_bound(0)).is_prune_bound());
    assert!(error(maker().prune_bound((1 << 32) + 1)).is_prune_bound());
    let map: Map = maker().prune_bound(1 << 32).build().unwrap();
    drop(map.insert(1, Arc::new(1)));
    assert!(error(maker().initial_capacity(usize::MAX)).is_capacity());
    let twice = error(maker().initial_capacity(1).initial_capacity(1));
    assert!(twice.is_set_twice());
    assert_eq!(twice.to_string(), "the initial capacity was set twice");
}

#[test]
fn a_builder_is_reusable_and_its_maps_have_nothing_in_common() {
    let maker = MapMaker::new()
        .weak_values()
        .hasher(Identity)
        .initial_capacity(1000)
        .concurrency_level(4)
        .prune_bound(2);
    let one: WeakValueMap<u32, Arc<u32>, Identity> = maker.build().unwrap();
    let two: WeakValueMap<u64, Arc<str>, Identity> = maker.clone().build().unwrap();
    let value = Arc::new(1);
    one.insert(1, value.clone());
    assert!(one.capacity() >= 1000 && two.is_empty());
    assert_eq!(one.get(&1), Some(value));
}

#[test]
fn s9_1_identity_keys() {
    let map: WeakKeyMap<Arc<str>, u32, ByAddress> =
        MapMaker::new().weak_keys().identity_keys().build().unwrap();
    let (one, equal): (Arc<str>, Arc<str>) = ("k".into(), "k".into());
    map.insert(&one, 1);
    assert_eq!((map.get(&one), map.get(&equal)), (Some(1), None));
}

#[test]
fn each_entry_is_told_of_once_with_its_cause() {
    let (map, log) = logged();
    let held: Vec<_> = (0..10).map(Arc::new).collect();
    for v in &held {
        map.insert(**v, v.clone());
    }
    map.remove(&0);
    map.insert(1, held[2].clone());
    map.retain(|k, _| *k != 2);
    map.update(3, |_| None);
    map.update(4, |_| Some(held[5].clone()));
    assert!(map.pop().is_some());
    let causes: Vec<_> = taken(&log).into_iter().map(|(_, cause)| cause).collect();
    use RemovalCause::*;
    assert_eq!(
        causes,
        [Removed, Replaced, Removed, Removed, Replaced, Removed]
    );
    assert_eq!(map.clear(), 6);
    assert!(taken(&log).iter().all(|(_, cause)| *cause == Cleared));
    map.insert(100, Arc::new(1));
    assert!(map.get(&100).is_none());
    map.insert(101, Arc::new(1));
    map.insert(101, held[0].clone());
    map.insert(102, Arc::new(1));
    drop(map.get_or_insert_with(102, |_| Arc::new(2)));
    map.prune();
    let mut told = taken(&log);
    told.sort_by_key(|t| t.0);
    assert_eq!(told, [(100, Dead), (101, Dead), (102, Dead), (102, Dead)]);
    drop(map);
    assert_eq!(taken(&log), []);
}

#[test]
fn a_sweep_tells_too() {
    let (map, log) = logged();
    for i in 0..1000 {
        map.insert(i, Arc::new(i));
    }
    map.prune();
    let mut told: Vec<_> = taken(&log).into_iter().map(|(k, _)| k).collect();
    told.sort_unstable();
    assert_eq!(told, (0..1000).collect::<Vec<_>>());
}

#[test]
fn a_hook_may_use_the_map() {
    static MAP: OnceLock<Map> = OnceLock::new();
    promptly(|| {
        let hook = |key: &u32, _| {
            let map = MAP.get().unwrap();
            assert!(map.get(key).is_none());
            map.prune();
            if *key < 1000 {
                drop(map.get_or_insert_with(key + 1000, |_| Arc::new(1)));
                map.insert(*key + 2000, Arc::new(1));
            }
        };
        let map = MapMaker::new().weak_values().on_remove(hook).build();
        let map = MAP.get_or_init(|| map.unwrap());
        for i in 0..100 {
            drop(map.get_or_insert_with(i, |_| Arc::new(i)));
            assert!(map.get(&i).is_none());
        }
        map.clear();
        map.prune();
        assert_eq!(map.len(), 0);
    });
}

#[test]
fn a_hook_that_panics_is_called_once_for_each_and_leaves_the_map_whole() {
    let log = Log::default();
    let told = Arc::clone(&log);
    let map: Map = MapMaker::new()
        .weak_values()
        .on_remove(move |k: &u32, cause| {
            told.lock().unwrap().push((*k, cause));
            assert!(*k % 2 == 0, "odd");
        })
        .build()
        .unwrap();
    let held: Vec<_> = (0..10).map(Arc::new).collect();
    for v in &held {
        map.insert(**v, v.clone());
    }
    assert_eq!(panic_of(|| map.remove(&1)), "odd");
    assert!(!map.contains_key(&1));
    assert_eq!(panic_of(|| map.insert(3, held[0].clone())), "odd");
    assert!(Arc::ptr_eq(&map.get(&3).unwrap(), &held[0]));
    assert_eq!(panic_of(|| map.clear()), "odd");
    assert_eq!((map.len(), map.entry_count()), (0, 0));
    let mut told: Vec<_> = taken(&log).into_iter().map(|(k, _)| k).collect();
    told.sort_unstable();
    assert_eq!(told, [0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9]);
    for i in 0..10 {
        let _ =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| map.insert(i, Arc::new(i))));
    }
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| map.prune()));
    assert_eq!(map.entry_count(), 0);
    assert_eq!(taken(&log).len(), 10);
}

#[test]
fn weak_keys_are_told_of_as_they_are_stored() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&log);
    let map: WeakKeyMap<Arc<str>, u32> = MapMaker::new()
        .weak_keys()
        .on_remove(move |key: &Weak<str>, cause| {
            told.lock().unwrap().push((key.upgrade().is_some(), cause))
        })
        .build()
        .unwrap();
    let key: Arc<str> = "k".into();
    map.insert(&key, 1);
    map.remove("k");
    map.insert(&key, 2);
    drop(key);
    map.prune();
    assert_eq!(
        *log.lock().unwrap(),
        [(true, RemovalCause::Removed), (false, RemovalCause::Dead)]
    );
}

#[test]
fn concurrent_removers_tell_once() {
    let (map, log) = logged();
    let held: Vec<_> = (0..2000).map(Arc::new).collect();
    for v in &held {
        map.insert(**v, v.clone());
    }
    std::thread::scope(|s| {
        s.spawn(|| drop(held));
        for _ in 0..2 {
            s.spawn(|| map.prune());
            s.spawn(|| map.retain(|k, _| k % 3 != 0));
            s.spawn(|| (0..2000).for_each(|k| drop(map.remove(&k))));
        }
    });
    map.clear();
    let mut told: Vec<_> = taken(&log).into_iter().map(|(k, _)| k).collect();
    told.sort_unstable();
    assert_eq!(told, (0..2000).collect::<Vec<_>>());
}
