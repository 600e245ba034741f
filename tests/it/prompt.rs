//! Maps that are told of a death: before the last drop returns the entry has gone, with no further call.

use crate::common::*;
use highlander::map::{ByAddress, RemovalCause};
use highlander::pointer::{SyncPointer, Token, Watched};
use highlander::{
    Equivalent, Handle, Registry, WeakKeyMap, WeakKeyValueMap, WeakSet, WeakValueMap,
};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;

type Log<K> = Arc<Mutex<Vec<(K, RemovalCause)>>>;

fn noting<K: Clone + Send + 'static>(
    log: &Log<K>,
) -> impl Fn(&K, RemovalCause) + Send + Sync + 'static {
    let log = Arc::clone(log);
    move |key, cause| log.lock().unwrap().push((key.clone(), cause))
}

#[test]
fn a_value_leaves_all_maps_before_its_last_drop_returns() {
    let values: [WeakValueMap<u32, Watched<String>>; 3] = Default::default();
    let keys: [WeakKeyMap<Watched<String>, u32>; 2] = Default::default();
    let both: WeakKeyValueMap<Watched<String>, Watched<String>> = WeakKeyValueMap::new();
    let set: WeakSet<Watched<String>> = WeakSet::new();
    let (one, other) = (
        Watched::new("Ramirez".to_string()),
        Watched::new("Kurgan".to_string()),
    );
    for map in &values {
        map.insert(1, one.clone());
        map.insert(2, one.clone());
    }
    for map in &keys {
        map.insert(&one, 1);
    }
    both.insert(&one, other.clone());
    both.insert(&other, one.clone());
    set.insert(&one);
    assert_eq!(Watched::entry_count(&one), 6 + 2 + 2 + 1);
    let second = one.clone();
    drop(one);
    assert_eq!((values[0].entry_count(), both.entry_count()), (2, 2));
    drop(second);
    assert!(values.iter().all(|map| map.entry_count() == 0));
    assert!(keys.iter().all(|map| map.entry_count() == 0));
    assert_eq!((both.entry_count(), set.entry_count()), (0, 0));
    assert_eq!(Watched::entry_count(&other), 0);
    assert!(both.keys_of(&other).is_empty());
}

#[test]
fn the_key_is_dropped_with_the_value_and_the_value_with_the_key() {
    let census = Census::new();
    let map: WeakValueMap<CountedKey, Watched<u32>> = WeakValueMap::new();
    let value = map.get_or_insert_with(CountedKey(1, census.citizen()), |_| Watched::new(1));
    assert_eq!(census.alive(), 1);
    drop(value);
    assert_eq!(census.alive(), 0);

    let map: WeakKeyMap<Watched<u32>, Citizen> = WeakKeyMap::new();
    let key = Watched::new(1);
    map.entry(&key).and_view(|_| ()).or_insert(census.citizen());
    assert_eq!(census.alive(), 1);
    drop(key);
    assert_eq!(census.alive(), 0);
}

struct CountedKey(u32, #[allow(dead_code)] Citizen);

impl PartialEq for CountedKey {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl Eq for CountedKey {}
impl std::hash::Hash for CountedKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// Asks for a [`CountedKey`].
#[derive(Hash)]
struct Asked(u32);

impl Equivalent<CountedKey> for Asked {
    fn equivalent(&self, key: &CountedKey) -> bool {
        self.0 == key.0
    }
}

#[test]
fn the_key_goes_too_when_a_look_up_has_come_before_the_report() {
    promptly(|| {
        let census = Census::new();
        let map: WeakValueMap<CountedKey, Watched<u32>> = WeakValueMap::new();
        let turn = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    turn.wait();
                    (0..5).for_each(|_| drop(map.get(&Asked(1))));
                    turn.wait();
                }
            });
            for _ in 0..20_000 {
                let key = CountedKey(1, census.citizen());
                let value = map.get_or_insert_with(key, |_| Watched::new(1));
                turn.wait();
                drop(value);
                turn.wait();
                assert_eq!(census.alive(), 0);
            }
        });
    });
}

#[test]
fn the_hook_is_told_once_when_weak_pointers_are_dead() {
    let log: Log<u32> = Arc::default();
    let map: WeakValueMap<u32, Watched<u32>> = WeakValueMap::new().on_remove(noting(&log));
    let value = Watched::new(1);
    map.insert(1, value.clone());
    map.insert(2, value.clone());
    map.remove(&2);
    drop(value);
    assert_eq!(
        *log.lock().unwrap(),
        [(2, RemovalCause::Removed), (1, RemovalCause::Dead)]
    );
    assert_eq!(map.prune(), 0);
    assert_eq!(log.lock().unwrap().len(), 2);
}

#[test]
fn of_a_pair_that_dies_together_the_hook_is_told_once() {
    let told = Arc::new(Mutex::new(0));
    let count = Arc::clone(&told);
    let map: WeakKeyValueMap<Watched<u32>, Watched<u32>> = WeakKeyValueMap::new().on_remove(
        move |_: &highlander::pointer::WeakWatched<u32>, cause| {
            assert_eq!(cause, RemovalCause::Dead);
            *count.lock().unwrap() += 1;
        },
    );
    for round in 1..100 {
        let (key, value) = (Watched::new(1), Watched::new(2));
        map.insert(&key, value.clone());
        let other = thread::spawn(move || drop(key));
        drop(value);
        other.join().unwrap();
        assert_eq!((map.entry_count(), *told.lock().unwrap()), (0, round));
    }
}

#[test]
fn a_panicking_hook_does_not_keep_others_from_being_told() {
    let panicking = || -> WeakValueMap<u32, Watched<u32>> {
        WeakValueMap::new().on_remove(|_: &u32, _| panic!("hook"))
    };
    let (one, two) = (panicking(), panicking());
    let quiet: WeakValueMap<u32, Watched<u32>> = WeakValueMap::new();
    let value = Watched::new(1);
    let called = Arc::new(Mutex::new(false));
    let seen = Arc::clone(&called);
    Watched::on_death(&value, move || *seen.lock().unwrap() = true).keep();
    quiet.insert(1, value.clone());
    one.insert(1, value.clone());
    two.insert(1, value.clone());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(value))).is_err());
    assert_eq!(
        (one.entry_count(), two.entry_count(), quiet.entry_count()),
        (0, 0, 0)
    );
    assert!(*called.lock().unwrap());
    quiet.insert(1, Watched::new(2));
    assert_eq!(quiet.entry_count(), 0);
}

#[test]
fn a_death_does_not_touch_the_successor() {
    let map: WeakValueMap<&str, Watched<u32>> = WeakValueMap::new();
    let (old, new) = (Watched::new(1), Watched::new(2));
    map.insert("k", old.clone());
    map.insert("k", new.clone());
    // What was taken out is dropped a little later, or now.
    map.prune();
    assert_eq!(
        (Watched::entry_count(&old), Watched::entry_count(&new)),
        (0, 1)
    );
    drop(old);
    assert!(map
        .get("k")
        .is_some_and(|found| Watched::ptr_eq(&found, &new)));
}

#[test]
fn an_entry_that_is_removed_is_not_watched_any_more() {
    let map: WeakValueMap<u32, Watched<u32>> = WeakValueMap::new();
    let value = Watched::new(1);
    for i in 0..1000 {
        map.insert(i, value.clone());
        map.remove(&i);
        assert!(Watched::entry_count(&value) < 64, "no more are put aside");
    }
    map.prune();
    assert_eq!(Watched::entry_count(&value), 0);
    drop(map.get_or_insert_with(1, |_| value.clone()));
    drop(map);
    assert_eq!(Watched::entry_count(&value), 0);
}

#[test]
fn a_map_that_has_died_is_not_told() {
    let map: WeakValueMap<u32, Watched<u32>> = WeakValueMap::new();
    let value = map.get_or_insert_with(1, |_| Watched::new(1));
    drop(map);
    drop(value);
}

#[test]
fn a_key_that_stays_for_the_next_value_is_still_watched() {
    let map: WeakKeyMap<Watched<u32>, Arc<u32>> = WeakKeyMap::new();
    let (first, equal) = (Watched::new(1), Watched::new(1));
    map.insert(&first, Arc::new(1));
    map.insert(&equal, Arc::new(2));
    let three = map.update(&equal, |n| n.map(|n| Arc::new(**n + 1)));
    map.compare_exchange(&equal, &three.unwrap(), Arc::new(4))
        .unwrap();
    assert_eq!(
        (Watched::entry_count(&first), Watched::entry_count(&equal)),
        (1, 0)
    );
    drop(first);
    assert_eq!(map.entry_count(), 0);
}

#[test]
fn every_way_in_is_watched() {
    let map: WeakValueMap<u32, Watched<u32>> = WeakValueMap::new();
    let make = |n| move |_: &u32| Watched::new(n);
    let ways: [&dyn Fn() -> Watched<u32>; 6] = [
        &|| map.get_or_insert_with(1, make(1)),
        &|| map.entry(1).valid_if(|_| false).or_insert_with(make(2)),
        &|| map.update(1, |_| Some(Watched::new(3))).unwrap(),
        &|| {
            let value = Watched::new(4);
            map.try_insert(1, value.clone()).unwrap();
            value
        },
        &|| {
            let (old, new) = (Watched::new(4), Watched::new(5));
            map.insert(1, old.clone());
            map.update(1, |old| old.map(|_| new.clone())).unwrap();
            new
        },
        &|| {
            let (old, new) = (Watched::new(4), Watched::new(5));
            map.insert(1, old.clone());
            map.compare_exchange(1, &old, new.clone()).unwrap();
            new
        },
    ];
    for way in ways {
        let value = way();
        assert_eq!((map.entry_count(), Watched::entry_count(&value)), (1, 1));
        drop(value);
        assert_eq!(map.entry_count(), 0);
    }
}

#[test]
fn a_dying_value_may_be_created_anew_from_its_callback() {
    static MAP: WeakValueMap<u32, Watched<u32>> = WeakValueMap::new();
    static NEXT: OnceLock<Watched<u32>> = OnceLock::new();
    let value = MAP.get_or_insert_with(1, |_| Watched::new(1));
    Watched::on_death(&value, || {
        let next = MAP.get_or_insert_with(1, |_| Watched::new(2));
        NEXT.set(next).unwrap();
    })
    .keep();
    drop(value);
    assert_eq!(MAP.get(&1).as_deref(), Some(&2));
}

#[test]
fn a_map_of_one_thread_prunes() {
    let map: WeakValueMap<Rc<str>, Rc<u32>> = WeakValueMap::new();
    let value = map.get_or_insert_with("one".into(), |_| Rc::new(1));
    assert!(Rc::ptr_eq(&value, &map.clone().get("one").unwrap()));
    drop(value);
    assert_eq!((map.len(), map.entry_count(), map.prune()), (0, 1, 1));
}

#[test]
fn a_map_that_is_made_for_any_sync_pointer_is_told_of_deaths() {
    fn dies<P: SyncPointer>(value: P) -> (usize, usize) {
        let (map, by_key) = (WeakValueMap::new_sync(), WeakKeyMap::new_sync());
        let both: WeakKeyValueMap<P, P, ByAddress> = WeakKeyValueMap::new_sync();
        map.insert(1, value.clone());
        let by_key: &WeakKeyMap<P, u32, ByAddress> = &by_key;
        by_key.insert(&value, 1);
        both.insert(&value, value.clone());
        let count = || map.entry_count() + by_key.entry_count() + both.entry_count();
        let before = count();
        drop(value);
        (before, count())
    }
    assert_eq!(dies(Watched::new(1)), (3, 0));
    assert_eq!(dies(Arc::new(1)), (3, 3));
}

#[test]
fn a_copy_is_told_too() {
    let map: WeakValueMap<u32, Watched<u32>> = WeakValueMap::new();
    let value = map.get_or_insert_with(1, |_| Watched::new(1));
    let copy = map.clone();
    drop(value);
    assert_eq!(copy.entry_count(), 0);
}

#[test]
fn of_many_with_one_hash_exactly_the_dead_go() {
    let map: WeakValueMap<u32, Watched<u32>, SameHash> = WeakValueMap::default();
    let mut held: Vec<_> = (0..100)
        .map(|i| map.get_or_insert_with(i, |_| Watched::new(i)))
        .collect();
    while let Some(value) = held.pop() {
        let key = *value;
        drop(value);
        assert_eq!(map.entry_count(), held.len());
        assert!(map.get(&key).is_none());
    }
}

#[derive(Clone, Default)]
struct SameHash;

impl std::hash::BuildHasher for SameHash {
    type Hasher = SameHash;
    fn build_hasher(&self) -> SameHash {
        SameHash
    }
}

impl std::hash::Hasher for SameHash {
    fn finish(&self) -> u64 {
        7
    }
    fn write(&mut self, _: &[u8]) {}
}

#[test]
fn a_handle_leaves_all_maps_before_its_last_drop_returns() {
    let registry: Registry<u32, String> = Registry::new();
    let values: WeakValueMap<u32, Handle<u32, String>> = WeakValueMap::new();
    let keys: WeakKeyMap<Handle<u32, String>, u32, ByAddress> = WeakKeyMap::new();
    let set: WeakSet<Handle<u32, String>> = WeakSet::new();
    let handle = registry.get_or_insert_with(1, |_| "Connor".to_string());
    values.insert(1, handle.clone());
    values.insert(2, handle.clone());
    keys.insert(&handle, 1);
    set.insert(&handle);
    drop(handle.clone());
    assert_eq!(
        (values.entry_count(), keys.entry_count(), set.entry_count()),
        (2, 1, 1)
    );
    drop(handle);
    assert_eq!(
        (values.entry_count(), keys.entry_count(), set.entry_count()),
        (0, 0, 0)
    );
    assert_eq!(registry.len(), 0);
}

#[test]
fn callbacks_of_a_handle_run_newest_first_when_it_is_gone_and_before_its_destructor() {
    struct Noisy(Arc<Mutex<Vec<&'static str>>>);
    impl Drop for Noisy {
        fn drop(&mut self) {
            self.0.lock().unwrap().push("destructor");
        }
    }
    static REGISTRY: OnceLock<Registry<u32, Noisy>> = OnceLock::new();
    let registry = REGISTRY.get_or_init(Registry::new);
    let log: Arc<Mutex<Vec<_>>> = Arc::default();
    let handle = registry.get_or_insert_with(1, |_| Noisy(Arc::clone(&log)));
    let weak = Handle::downgrade(&handle);
    let note = |word, panics: bool| {
        let (log, weak) = (Arc::clone(&log), weak.clone());
        move || {
            assert!(weak.upgrade().is_none() && registry.get(&1).is_none());
            log.lock().unwrap().push(word);
            assert!(!panics, "callback");
        }
    };
    Handle::on_death(&handle, note("first", false)).keep();
    Handle::on_death(&handle, note("second", true)).keep();
    drop(Handle::on_death(&handle, note("never", false)));
    Handle::on_death(&handle, note("third", false)).keep();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(handle))).is_err());
    assert_eq!(
        *log.lock().unwrap(),
        ["third", "second", "first", "destructor"]
    );
    assert_eq!(registry.len(), 0);
}

#[test]
fn a_handle_without_weak_ones_is_out_too_when_its_callbacks_run() {
    let registry: Arc<Registry<u32, u32>> = Arc::default();
    let (seen, len) = (Arc::clone(&registry), Arc::new(OnceLock::new()));
    let handle = registry.get_or_insert_with(1, |_| 1);
    let told = Arc::clone(&len);
    Handle::on_death(&handle, move || told.set(seen.len()).unwrap()).keep();
    drop(handle);
    assert_eq!(len.get(), Some(&0));
    // And a panic of one leaves nothing behind.
    let handle = registry.get_or_insert_with(1, |_| 1);
    Handle::on_death(&handle, || panic!("callback")).keep();
    assert_eq!(panic_of(|| drop(handle)), "callback");
    assert_eq!(registry.len(), 0);
    assert_eq!(*registry.get_or_insert_with(1, |_| 2), 2);
}

#[test]
fn a_key_that_is_being_compared_when_its_value_dies_goes_with_prune_or_the_map() {
    /// Lets go of the value of the entry that it is compared with.
    #[derive(Clone)]
    struct Treacherous(
        Arc<Mutex<Option<Watched<u32>>>>,
        #[allow(dead_code)] Arc<Citizen>,
    );
    impl PartialEq for Treacherous {
        fn eq(&self, _: &Self) -> bool {
            let value = self.0.lock().unwrap().take();
            drop(value);
            true
        }
    }
    impl Eq for Treacherous {}
    impl std::hash::Hash for Treacherous {
        fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
    }
    let probe = Census::new();
    for prunes in [true, false] {
        let census = Census::new();
        let map: WeakValueMap<Treacherous, Watched<u32>> = WeakValueMap::new();
        let value = Watched::new(1);
        let key = Treacherous(Arc::default(), Arc::new(census.citizen()));
        map.insert(key, value.clone());
        // The first look-up of a thread goes another way.
        let asked = Treacherous(Arc::default(), Arc::new(probe.citizen()));
        assert!(map.get(&asked).is_some());
        *asked.0.lock().unwrap() = Some(value);
        assert!(map.get(&asked).is_none());
        assert_eq!(map.entry_count(), 0);
        if prunes {
            map.prune();
            assert_eq!(census.alive(), 0);
        }
        drop(map);
        assert_eq!(census.alive(), 0);
    }
}

#[test]
fn a_callback_of_a_handle_may_create_the_next_value_of_the_key() {
    static REGISTRY: Registry<u32, u32> = Registry::new();
    static NEXT: OnceLock<Handle<u32, u32>> = OnceLock::new();
    let handle = REGISTRY.get_or_insert_with(1, |_| 1);
    Handle::on_death(&handle, || {
        promptly(|| {
            let next = REGISTRY.get_or_insert_with(1, |_| 2);
            NEXT.set(next).unwrap();
        });
    })
    .keep();
    drop(handle);
    assert_eq!((REGISTRY.get(&1).as_deref(), REGISTRY.len()), (Some(&2), 1));
}

#[test]
fn a_registration_may_outlive_the_handle() {
    let registry: Registry<u32, u32> = Registry::new();
    let handle = registry.get_or_insert_with(1, |_| 1);
    let (kept, early) = (
        Handle::on_death(&handle, || {}),
        Handle::on_death(&handle, || unreachable!()),
    );
    assert!(early.detach());
    drop(handle);
    assert!(!kept.detach());
}

trait Plugin: Send + Sync {
    fn token(&self) -> &Token;
}

struct Spell(u32, Token);

impl Plugin for Spell {
    fn token(&self) -> &Token {
        &self.1
    }
}

impl Spell {
    fn new(number: u32) -> Arc<Self> {
        Arc::new(Self(number, Token::new()))
    }
}

impl PartialEq for Spell {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl Eq for Spell {}
impl std::hash::Hash for Spell {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[test]
fn a_token_takes_its_entries_out_of_all_maps() {
    let map: WeakValueMap<u32, Arc<dyn Plugin>> = WeakValueMap::new();
    let keys: WeakKeyMap<Arc<Spell>, u32> = WeakKeyMap::new();
    let both: WeakKeyValueMap<Arc<Spell>, Arc<Spell>, ByAddress> = WeakKeyValueMap::new();
    let (spell, other) = (Spell::new(1), Spell::new(2));
    map.insert_with_token(1, spell.clone(), |plugin| plugin.token());
    assert_eq!(keys.insert_with_token(&spell, 7, |spell| &spell.1), None);
    both.insert_with_tokens(&spell, other.clone(), |s| Some(&s.1), |s| Some(&s.1));
    both.insert_with_tokens(&other, spell.clone(), |_| None, |s| Some(&s.1));
    assert_eq!(Token::entry_count(&spell.1), 4);
    drop(spell);
    assert_eq!(
        (map.entry_count(), keys.entry_count(), both.entry_count()),
        (0, 0, 0)
    );
    assert_eq!(Token::entry_count(&other.1), 0);
}

#[test]
fn a_factory_gets_the_token() {
    let map: WeakValueMap<u32, Arc<Spell>> = WeakValueMap::new();
    let make = |n: &u32, token| Arc::new(Spell(*n, token));
    let spell = map.entry(1).or_insert_with_token(make);
    assert!(Arc::ptr_eq(
        &spell,
        &map.entry(1).or_insert_with_token(|_, _| unreachable!())
    ));
    drop(spell);
    assert_eq!(map.entry_count(), 0);

    let classes: WeakKeyValueMap<Arc<u32>, Arc<Spell>> = WeakKeyValueMap::new();
    let class = Arc::new(1);
    let spell = classes
        .entry(&class)
        .or_insert_with_token(|n, token| Arc::new(Spell(**n, token)));
    assert_eq!(classes.get_by_value(&spell), Some(class));
    drop(spell);
    assert_eq!(classes.entry_count(), 0);
}

#[test]
fn a_token_that_is_dropped_early_leaves_the_entry_to_pruning() {
    let map: WeakValueMap<u32, Arc<u32>> = WeakValueMap::new();
    let value = map.entry(1).or_insert_with_token(|_, _| Arc::new(1));
    assert_eq!(map.get(&1), Some(value.clone()));
    drop(value);
    assert_eq!((map.len(), map.entry_count(), map.prune()), (0, 1, 1));
}

#[test]
fn a_factory_that_fails_with_a_token_leaves_nothing() {
    let map: WeakValueMap<u32, Arc<Spell>> = WeakValueMap::new();
    let failed = map.entry(1).or_try_insert_with_token(|_, _| Err(7));
    assert!(failed.is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| {
        map.entry(1).or_insert_with_token(|_, _| panic!("factory"))
    }))
    .is_err());
    let spell = map
        .entry(1)
        .or_insert_with_token(|n, token| Arc::new(Spell(*n, token)));
    drop(spell);
    assert_eq!(map.entry_count(), 0);
}

#[test]
fn a_token_of_a_map_that_has_died_does_nothing() {
    let map: WeakValueMap<u32, Arc<Spell>> = WeakValueMap::new();
    let spell = Spell::new(1);
    map.insert_with_token(1, spell.clone(), |spell| &spell.1);
    drop(map);
    assert_eq!(Token::entry_count(&spell.1), 0);
    drop(spell);
}

#[test]
fn a_late_token_does_not_touch_the_successor() {
    let map: WeakValueMap<u32, Arc<Spell>> = WeakValueMap::new();
    let (old, new) = (Spell::new(1), Spell::new(2));
    map.insert_with_token(1, old.clone(), |spell| &spell.1);
    map.insert_with_token(1, new.clone(), |spell| &spell.1);
    drop(old);
    assert!(Arc::ptr_eq(&map.get(&1).unwrap(), &new));
    let mut replaced = Arc::into_inner(new).unwrap();
    assert!(map.get(&1).is_none());
    replaced.1 = Token::new();
}

#[test]
fn the_token_of_a_stored_key_survives_other_ways_in() {
    let map: WeakKeyMap<Arc<Spell>, u32> = WeakKeyMap::new();
    let (first, equal) = (Spell::new(1), Spell::new(1));
    map.insert(&first, 1);
    map.insert_with_token(&equal, 2, |spell| &spell.1);
    map.insert(&equal, 3);
    map.update(&equal, |n| n.map(|n| n + 1));
    assert_eq!(
        (Token::entry_count(&first.1), Token::entry_count(&equal.1)),
        (1, 0)
    );
    drop(first);
    assert_eq!(map.entry_count(), 0);
}

#[test]
fn what_is_told_is_counted_and_the_counters_account_for_each_entry() {
    let values: WeakValueMap<u32, Watched<u32>> = WeakValueMap::new();
    let keys: WeakKeyMap<Arc<Spell>, u32> = WeakKeyMap::new();
    let both: WeakKeyValueMap<Watched<u32>, Watched<u32>> = WeakKeyValueMap::new();
    let threads = 4;
    thread::scope(|scope| {
        for thread in 0..threads {
            let (values, keys, both) = (&values, &keys, &both);
            scope.spawn(move || {
                for i in 0..50 {
                    let n = thread * 50 + i;
                    let spell = Spell::new(n);
                    keys.insert_with_token(&spell, n, |spell| &spell.1);
                    let one = values.get_or_insert_with(n, |n| Watched::new(*n));
                    let two = Watched::new(n + 1000);
                    both.insert(&one, two.clone());
                    both.insert(&two, one.clone());
                    let of_two = values.insert(n, two.clone());
                    assert_eq!(of_two, Some(one));
                }
            });
        }
    });
    let told = u64::from(threads * 50);
    assert_eq!(
        (values.entry_count(), keys.entry_count(), both.entry_count()),
        (0, 0, 0)
    );
    // Between the death and the report, an insertion of another thread may sweep the entry.
    let (of_keys, of_both, stats) = (keys.stats(), both.stats(), values.stats());
    assert_eq!(of_keys.reported + of_keys.pruned, told);
    assert_eq!(of_both.reported + of_both.pruned, 2 * told);
    assert_eq!((stats.created, stats.inserted), (told, told));
    assert_eq!(
        (stats.replaced, stats.reported + stats.pruned),
        (told, told)
    );
    assert_eq!((stats.dead_seen, stats.removed), (0, 0));
    for stats in [values.stats(), keys.stats(), both.stats()] {
        assert_accounted(stats, 0);
    }
}

#[test]
fn an_entry_is_counted_once_also_when_its_hook_panics() {
    let map: WeakValueMap<u32, Watched<u32>> =
        WeakValueMap::new().on_remove(|_: &u32, _| panic!("hook"));
    let (one, two) = (Watched::new(1), Watched::new(2));
    map.insert(1, one.clone());
    assert!(catch_unwind(AssertUnwindSafe(|| map.insert(1, two.clone()))).is_err());
    assert_accounted(map.stats(), map.entry_count());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(two))).is_err());
    assert_accounted(map.stats(), 0);
    map.insert(1, one.clone());
    assert!(catch_unwind(AssertUnwindSafe(|| map.remove(&1))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| {
        map.insert(1, one.clone());
        map.entry(1)
            .valid_if(|_| false)
            .or_insert_with(|_| Watched::new(3))
    }))
    .is_err());
    // It was taken out before anything was made.
    assert_accounted(map.stats(), 0);
    let three = map.entry(1).or_insert_with(|_| Watched::new(3));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(three))).is_err());
    let stats = map.stats();
    assert_eq!((stats.created, stats.inserted), (1, 4), "{stats:?}");
    assert_eq!((stats.replaced, stats.removed, stats.reported), (1, 2, 2));
    assert_accounted(stats, 0);
}
