//! What a map is told when it is made: capacity, hasher, prune bound, what is counted, whether it is exclusive, and the removal hook.

use crate::common::{panic_of, promptly, Identity};
use highlander::error::{CreateError, Refused};
use highlander::map::{ByAddress, ByEquality, RemovalCause};
use highlander::pointer::Watched;
use highlander::{Registry, StrongMap, WeakKeyMap, WeakKeyValueMap, WeakValueMap};
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock, Weak};

type Log = Arc<Mutex<Vec<(u32, RemovalCause)>>>;
type Map = WeakValueMap<u32, Arc<u32>>;

fn logged() -> (Map, Log) {
    let log = Log::default();
    let told = Arc::clone(&log);
    let map = Map::new().on_remove(move |k: &u32, cause| told.lock().unwrap().push((*k, cause)));
    (map, log)
}

fn taken(log: &Log) -> Vec<(u32, RemovalCause)> {
    std::mem::take(&mut log.lock().unwrap())
}

// Guava: MapMakerTest, and the argument checks of its setters.
#[test]
fn nonsense_is_a_clear_error() {
    let none = panic_of(|| Map::new().prune_bound(0));
    assert_eq!(none, "the prune bound is 0");
    let map = Map::new().prune_bound(u32::MAX);
    drop(map.insert(0, Arc::new(0)));
    // Eight insertions pay together for a sweep: of all that is there.
    let held: Vec<_> = (1..9).map(Arc::new).collect();
    for value in &held {
        map.insert(**value, value.clone());
    }
    assert_eq!(map.entry_count(), 8);
    const TOO_MANY: usize = usize::MAX;
    let panics = [
        panic_of(|| Map::with_capacity(TOO_MANY)),
        panic_of(|| WeakKeyMap::<Arc<u32>, u32>::with_capacity(TOO_MANY)),
        panic_of(|| WeakKeyValueMap::<Arc<u32>, Arc<u32>>::with_capacity(TOO_MANY)),
        panic_of(|| StrongMap::<u32, u32>::with_capacity(TOO_MANY)),
        panic_of(|| map.reserve(TOO_MANY)),
    ];
    assert_eq!(panics, ["capacity overflow"; 5]);
}

#[test]
fn a_registry_with_room_cannot_become_exclusive() {
    let refused = "`exclusive` comes before all values and any room for them";
    let used = Registry::new();
    drop(used.insert(1, 1));
    for registry in [Registry::with_capacity(10), used] {
        let text = panic_of(move || registry.exclusive());
        assert!(text.starts_with(refused), "{text}");
    }
    let registry: Registry<u32, u32> = Registry::new().exclusive().exclusive();
    registry.reserve(100);
    assert!(registry.capacity() >= 100);
}

#[test]
fn a_prune_bound_of_one_counts_as_two() {
    let left = [1, 2, 3].map(|bound| {
        let map: WeakValueMap<u32, Arc<u32>, Identity> =
            WeakValueMap::with_hasher(Identity).prune_bound(bound);
        // Each ninth lives, so that sweeps are owed; all others die much later than they came.
        let mut dying = std::collections::VecDeque::new();
        let mut live = Vec::new();
        for key in 0..20_000_u32 {
            let value = Arc::new(key);
            map.insert(key.wrapping_mul(0x9E37_79B9), value.clone());
            match key % 9 {
                0 => live.push(value),
                _ => dying.push_back(value),
            }
            if dying.len() > 100 {
                dying.pop_front();
            }
        }
        map.entry_count()
    });
    assert_eq!(left[0], left[1]);
    assert!(left[1] > left[2], "{left:?}");
}

#[test]
fn each_kind_has_the_capacity_and_the_hasher_that_were_asked_for() {
    macro_rules! check {
        ($map:ident<$($side:ty),*; $($keying:ty)?>) => {{
            let map = $map::<$($side,)*>::with_capacity(1000);
            assert!(map.capacity() >= 1000 && map.is_empty());
            let map: $map<$($side,)* $($keying,)? Identity> = $map::with_hasher(Identity);
            assert_eq!((map.capacity(), format!("{:?}", map.hasher())), (0, "Identity".into()));
            map.reserve(1000);
            assert!(map.capacity() >= 1000);
            map
        }};
    }
    let one = Arc::new(1);
    let map = check!(WeakValueMap<u32, Arc<u32>;>);
    map.insert(1, one.clone());
    assert_eq!(map.get(&1), Some(one.clone()));
    let map = check!(WeakKeyMap<Arc<u32>, u32; ByEquality>);
    map.insert(&one, 1);
    assert_eq!(map.get(&1), Some(1));
    let map = check!(WeakKeyValueMap<Arc<u32>, Arc<u32>; ByEquality>);
    map.insert(&one, one.clone());
    assert_eq!(map.get_by_value(&one), Some(one.clone()));
    let map = check!(StrongMap<u32, Rc<str>;>);
    map.insert(1, "one".into());
    assert_eq!(map.get(&1).as_deref(), Some("one"));
    // Of one thread.
    let map: WeakValueMap<Rc<u32>, Rc<str>, Identity> = WeakValueMap::with_hasher(Identity);
    let value = map.get_or_insert_with(Rc::new(1), |_| "one".into());
    assert_eq!(map.get(&1), Some(value));
}

#[test]
fn by_address_an_equal_copy_is_another_key() {
    let map: WeakKeyMap<Arc<str>, u32, ByAddress> = WeakKeyMap::new();
    let (one, equal): (Arc<str>, Arc<str>) = ("k".into(), "k".into());
    map.insert(&one, 1);
    assert_eq!((map.get(&one), map.get(&equal)), (Some(1), None));
}

#[test]
fn a_static_can_have_all_that_needs_no_closure() {
    static MAP: WeakValueMap<&str, Watched<u32>> = WeakValueMap::new()
        .prune_bound(8)
        .record_stats()
        .debug_keys()
        .exclusive();
    promptly(|| {
        let again = |_: &_| MAP.get_or_try_insert_with("ego", |_| Ok::<_, ()>(Watched::new(1)));
        let refused = MAP.get_or_try_insert_with("ego", again).unwrap_err();
        let CreateError::Failed(CreateError::Refused(Refused::Cycle(cycle))) = refused else {
            panic!("{refused:?}");
        };
        assert!(cycle.to_string().contains("\"ego\""), "{cycle}");
        let held = MAP.get_or_insert_with("one", |_| Watched::new(1));
        assert_eq!(MAP.get("one"), Some(held));
        assert_eq!(MAP.stats().hits, 1);
    });
}

#[test]
fn with_a_higher_prune_bound_fewer_dead_entries_stay() {
    // Each insertion enters one that dies a little later than what its thread looks at first, so it is for sweeps to find it.
    let most = |map: &Map| {
        let held: Vec<_> = (0..1000).map(Arc::new).collect();
        for value in &held {
            map.insert(**value, value.clone());
        }
        let mut recent = std::collections::VecDeque::new();
        let mut most = 0;
        for i in 1000..20_000 {
            let value = Arc::new(i);
            map.insert(i, value.clone());
            recent.push_back(value);
            if recent.len() > 20 {
                recent.pop_front();
            }
            let live = held.len() + recent.len();
            most = most.max(map.entry_count() - live);
        }
        most
    };
    let (two, eight) = (most(&Map::new()), most(&Map::new().prune_bound(8)));
    assert!(two <= 1020 + 16, "{two}");
    assert!(eight <= 1020 / 7 + 16, "{eight}");
}

#[test]
fn hits_are_counted_only_if_that_was_asked_for() {
    let one = Arc::new(1);
    for (map, counted) in [(Map::new(), 0), (Map::new().record_stats(), 3)] {
        map.insert(1, one.clone());
        assert!(map.get(&1).is_some() && map.get(&2).is_none());
        map.with(&1, |_| ());
        map.get_or_insert_with(1, |_| unreachable!());
        let stats = map.stats();
        assert_eq!((stats.hits, stats.misses, stats.inserted), (counted, 1, 1));
    }
}

#[test]
fn a_copy_has_none_of_the_settings() {
    let (map, log) = logged();
    let map = map.record_stats();
    let one = Arc::new(1);
    map.insert(1, one);
    let copy = map.clone();
    copy.get(&1);
    copy.clear();
    assert_eq!((copy.stats().hits, taken(&log)), (0, vec![]));
}

#[test]
fn of_two_hooks_the_later_one_is_called() {
    let (map, log) = logged();
    let calls = Arc::new(Mutex::new(0));
    let count = Arc::clone(&calls);
    let map = map.on_remove(move |_: &u32, _| *count.lock().unwrap() += 1);
    map.insert(1, Arc::new(1));
    map.clear();
    assert_eq!((*calls.lock().unwrap(), taken(&log)), (1, vec![]));
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
    map.compare_exchange(5, &held[5], held[6].clone()).unwrap();
    assert!(map.pop().is_some());
    let causes: Vec<_> = taken(&log).into_iter().map(|(_, cause)| cause).collect();
    use RemovalCause::*;
    assert_eq!(
        causes,
        [Removed, Replaced, Removed, Removed, Replaced, Replaced, Removed]
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
        let map = MAP.get_or_init(|| Map::new().on_remove(hook));
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
    let map = Map::new().on_remove(move |k: &u32, cause| {
        told.lock().unwrap().push((*k, cause));
        assert!(*k % 2 == 0, "odd");
    });
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
    let hook = move |key: &Weak<str>, cause| {
        told.lock().unwrap().push((key.upgrade().is_some(), cause));
    };
    let map: WeakKeyMap<Arc<str>, u32> = WeakKeyMap::new().on_remove(hook);
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
