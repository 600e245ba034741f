//! Claims: tokens for values that somebody is going to create.

use crate::common::{
    assert_accounted, is_in_flight, panic_of, promptly, Census, Citizen, Colliding,
};
use crate::creators::{in_each, with_weak_keys, Map};
use highlander::error::{ClaimError, CreateError, InFlight, Refused};
use highlander::map::{Claim, RemovalCause, Vacancy};
use highlander::{Handle, Registry, StrongMap, WeakKeyMap, WeakKeyValueMap, WeakValueMap};
use std::sync::{mpsc, Arc, Mutex, OnceLock, Weak};
use std::thread;

in_each! { crate::common::Citizen:
    a_claim_leads_to_the_live_value_or_to_the_right_to_create_it
    who_waits_gets_what_the_token_is_filled_with
    a_token_that_is_dropped_leaves_the_creation_to_one_who_waits
    a_vacancy_goes_from_claimant_to_claimant
    without_waiting_one_is_told_that_it_is_in_flight
    a_closed_map_gives_no_vacancies
    a_token_is_not_filled_when_the_map_has_been_closed
    who_waits_for_a_token_of_a_closed_map_is_refused
    a_map_that_is_closed_by_its_hook_keeps_what_has_come
    a_value_entered_meanwhile_is_the_one
    a_value_that_died_meanwhile_makes_way
    a_dead_value_is_replaced_by_a_claim
    statistics_and_hook_know_of_a_claim
    a_creation_cannot_claim_its_own_key
    what_runs_for_a_token_may_not_ask_for_its_key
}

mod weak_keys {
    use super::{a_token_keeps_its_key_alive, with_weak_keys};
    with_weak_keys! { crate::common::Citizen: a_token_keeps_its_key_alive }
}

fn a_claim_leads_to_the_live_value_or_to_the_right_to_create_it<M: Map<Citizen>>() {
    let (map, census, key) = (M::empty(), Census::new(), M::key(7));
    let token = map.vacancy(&key);
    assert_eq!(M::number(token.key()), 7);
    assert_eq!(format!("{token:?}"), "Vacancy { key: 7 }");
    assert_eq!((map.len(), map.entry_count()), (0, 0));
    let value = token.fill(Arc::new(census.citizen()));
    assert_eq!((map.len(), census.born()), (1, 1));
    let again = map.claim(&key).unwrap();
    assert_eq!(format!("{again:?}"), format!("Live({value:?})"));
    assert!(M::same(&again.live().unwrap(), &value));
    assert!(map.claim(&key).unwrap().vacant().is_none());
    drop(value);
    assert_eq!(census.dead(), usize::from(!M::KEEPS_VALUES));
    let live = map.claim(&key).unwrap().live();
    assert_eq!(live.is_some(), M::KEEPS_VALUES);
}

fn who_waits_gets_what_the_token_is_filled_with<M: Map<Citizen>>() {
    promptly(|| {
        let (map, census, key) = (M::empty(), Census::new(), M::key(1));
        let token = map.vacancy(&key);
        thread::scope(|scope| {
            let waiters: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| map.get_or_insert(&key, || unreachable!())))
                .collect();
            let claimant = scope.spawn(|| map.claim(&key).unwrap().live().unwrap());
            thread::yield_now();
            // At once, so that the value lives by those who wait, or not at all.
            let value = token.fill(Arc::new(census.citizen()));
            for waiter in waiters.into_iter().chain([claimant]) {
                assert!(M::same(&waiter.join().unwrap(), &value));
            }
        });
        assert_eq!(census.born(), 1);
        assert_eq!(map.len(), usize::from(M::KEEPS_VALUES));
        drop(map);
        assert_eq!(census.dead(), 1);
    });
}

fn a_token_that_is_dropped_leaves_the_creation_to_one_who_waits<M: Map<Citizen>>() {
    promptly(|| {
        for _ in 0..50 {
            let (map, census, key) = (M::empty(), Census::new(), M::key(1));
            let token = map.vacancy(&key);
            let (started, starts) = mpsc::channel();
            thread::scope(|scope| {
                let waiters: Vec<_> = (0..3)
                    .map(|_| {
                        let (started, map, key, census) = (started.clone(), &map, &key, &census);
                        scope.spawn(move || {
                            started.send(()).unwrap();
                            map.get_or_insert(key, || Arc::new(census.citizen()))
                        })
                    })
                    .collect();
                (0..3).for_each(|_| starts.recv().unwrap());
                drop(token);
                let values: Vec<_> = waiters.into_iter().map(|w| w.join().unwrap()).collect();
                assert!(values.iter().all(|value| M::same(value, &values[0])));
                assert_eq!((census.born(), census.dead()), (1, 0));
            });
            assert_eq!(map.len(), usize::from(M::KEEPS_VALUES));
        }
    });
}

fn a_vacancy_goes_from_claimant_to_claimant<M: Map<Citizen>>() {
    promptly(|| {
        let (map, census, key) = (M::empty(), Census::new(), M::key(1));
        let token = map.vacancy(&key);
        thread::scope(|scope| {
            let next = scope.spawn(|| map.vacancy(&key).fill(Arc::new(census.citizen())));
            drop(token);
            next.join().unwrap();
        });
        assert_eq!(census.born(), 1);
    });
}

fn without_waiting_one_is_told_that_it_is_in_flight<M: Map<Citizen>>() {
    let (map, census, key) = (M::empty(), Census::new(), M::key(1));
    assert!(map.try_get(1).unwrap().is_none());
    let token = map.vacancy(&key);
    assert_eq!(map.try_get(1).unwrap_err(), InFlight);
    assert!(is_in_flight(map.try_claim(&key)));
    assert_eq!(InFlight.to_string(), "the value is being created");
    assert!(map.try_get(2).unwrap().is_none(), "another key");
    let value = token.fill(Arc::new(census.citizen()));
    assert!(M::same(&map.try_get(1).unwrap().unwrap(), &value));
    let claim = map.try_claim(&key).unwrap();
    assert!(M::same(&claim.live().unwrap(), &value));
    drop(value);
    let other = M::key(2);
    let claim = map.try_claim(&other).unwrap();
    assert_eq!(map.try_get(2).unwrap_err(), InFlight);
    drop(claim);
    assert!(map.try_get(2).unwrap().is_none(), "given up");
}

fn a_closed_map_gives_no_vacancies<M: Map<Citizen>>() {
    let (map, census, key, other) = (M::empty(), Census::new(), M::key(1), M::key(2));
    let value = map.insert(&key, Arc::new(census.citizen()));
    if !map.close() {
        return;
    }
    assert!(matches!(map.claim(&other), Err(Refused::Closed(_))));
    assert!(matches!(
        map.try_claim(&other),
        Err(ClaimError::Refused(Refused::Closed(_)))
    ));
    assert!(map.try_get(2).unwrap().is_none(), "nothing is left flying");
    // What is there is found.
    assert!(M::same(&map.claim(&key).unwrap().live().unwrap(), &value));
    let claim = map.try_claim(&key).unwrap();
    assert!(M::same(&claim.live().unwrap(), &value));
}

fn a_token_is_not_filled_when_the_map_has_been_closed<M: Map<Citizen>>() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&told);
    let Some(map) = M::hooked(move |cause| hook.lock().unwrap().push(cause)) else {
        return;
    };
    let (census, one, two, three) = (Census::new(), M::key(1), M::key(2), M::key(3));
    let [first, second, third] = [&one, &two, &three].map(|key| map.vacancy(key));
    map.close();
    let text = first
        .try_fill(Arc::new(census.citizen()))
        .unwrap_err()
        .to_string();
    let panic = panic_of(|| second.fill(Arc::new(census.citizen())));
    assert_eq!(panic, text);
    let make = |_: &_| Ok::<_, ()>(Arc::new(census.citizen()));
    assert!(matches!(
        third.try_fill_with(make),
        Err(CreateError::Refused(Refused::Closed(_)))
    ));
    assert_eq!((map.len(), map.entry_count()), (0, 0));
    assert!((1..4).all(|key| matches!(map.try_get(key), Ok(None))));
    assert_accounted(map.stats().unwrap(), 0);
    assert!(told.lock().unwrap().is_empty(), "they were never in");
    assert_eq!((census.born(), census.dead()), (3, 3));
}

fn who_waits_for_a_token_of_a_closed_map_is_refused<M: Map<Citizen>>() {
    promptly(|| {
        let (map, census, key) = (M::empty(), Census::new(), M::key(1));
        let token = map.vacancy(&key);
        if !map.close() {
            return;
        }
        // At once, as nobody can enter anything any more; so also on the token's own thread.
        assert!(matches!(
            map.try_claim(&key),
            Err(ClaimError::Refused(Refused::Closed(_)))
        ));
        assert!(map.claim(&key).is_err());
        thread::scope(|scope| {
            let waiter = scope.spawn(|| map.get_or_try_insert(&key, || Err(())));
            let claimant = scope.spawn(|| map.claim(&key).err());
            assert!(token.try_fill(Arc::new(census.citizen())).is_err());
            assert!(matches!(
                waiter.join().unwrap(),
                Err(CreateError::Refused(Refused::Closed(_)))
            ));
            assert!(matches!(claimant.join().unwrap(), Some(Refused::Closed(_))));
        });
        assert_eq!(map.entry_count(), 0);
    });
}

fn a_value_entered_meanwhile_is_the_one<M: Map<Citizen>>() {
    let (map, census, key) = (M::empty(), Census::new(), M::key(1));
    let token = map.vacancy(&key);
    let entered = map.insert(&key, Arc::new(census.citizen()));
    assert!(M::same(&map.try_get(1).unwrap().unwrap(), &entered));
    let filled = token.fill(Arc::new(census.citizen()));
    assert!(M::same(&filled, &entered));
    assert_eq!((census.born(), census.dead(), map.entry_count()), (2, 1, 1));
    if let Some(stats) = map.stats() {
        assert_eq!((stats.created, stats.inserted), (0, 1));
    }
}

fn a_value_that_died_meanwhile_makes_way<M: Map<Citizen>>() {
    let (map, census, key) = (M::empty(), Census::new(), M::key(1));
    let token = map.vacancy(&key);
    drop(map.insert(&key, Arc::new(census.citizen())));
    let filled = token.fill(Arc::new(census.citizen()));
    let live = map.try_get(1).unwrap().unwrap();
    assert!(M::same(&live, &filled));
    assert_eq!((map.len(), map.entry_count(), census.alive()), (1, 1, 1));
    if let Some(stats) = map.stats() {
        let created = u64::from(!M::KEEPS_VALUES);
        assert_eq!((stats.created, stats.dead_seen), (created, created));
        assert_accounted(stats, 1);
    }
}

fn a_dead_value_is_replaced_by_a_claim<M: Map<Citizen>>() {
    let causes = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&causes);
    let map = M::hooked(move |cause| told.lock().unwrap().push(cause));
    let (Some(map), false) = (map, M::KEEPS_VALUES) else {
        return;
    };
    let (census, key) = (Census::new(), M::key(1));
    drop(map.insert(&key, Arc::new(census.citizen())));
    assert_eq!((map.len(), map.entry_count()), (0, 1));
    let token = map.vacancy(&key);
    let value = token.fill(Arc::new(census.citizen()));
    assert_eq!((map.len(), map.entry_count()), (1, 1));
    assert_eq!(*causes.lock().unwrap(), [RemovalCause::Dead]);
    assert!(M::same(&map.claim(&key).unwrap().live().unwrap(), &value));
}

fn statistics_and_hook_know_of_a_claim<M: Map<Citizen>>() {
    let causes = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&causes);
    let Some(map) = M::hooked(move |cause| told.lock().unwrap().push(cause)) else {
        return;
    };
    let (census, key) = (Census::new(), M::key(1));
    drop(map.vacancy(&key));
    let stats = map.stats().unwrap();
    assert_eq!((stats.misses, stats.hits, stats.created), (1, 0, 0));
    let value = map.vacancy(&key).fill(Arc::new(census.citizen()));
    drop(map.claim(&key).unwrap());
    drop(map.try_claim(&key).unwrap());
    let stats = map.stats().unwrap();
    assert_eq!((stats.misses, stats.hits), (2, 2));
    assert_eq!((stats.created, stats.joined, stats.inserted), (1, 0, 0));
    drop((value, key));
    map.prune();
    let kept = map.entry_count();
    assert_eq!(*causes.lock().unwrap(), vec![RemovalCause::Dead; 1 - kept]);
    assert_accounted(map.stats().unwrap(), kept);
    assert_eq!(census.alive(), kept as isize);
}

fn a_creation_cannot_claim_its_own_key<M: Map<Citizen>>() {
    let (map, key) = (M::shown(), M::key(1));
    let refused = map.get_or_try_insert(&key, || match map.claim(&key) {
        Err(Refused::Cycle(cycle)) => {
            assert!(is_in_flight(map.try_claim(&key)), "somebody does");
            Err(cycle.to_string())
        }
        _ => Err("no cycle".to_string()),
    });
    let text = refused.unwrap_err().into_failed();
    assert!(
        text.ends_with(": 1, which asked for the first again"),
        "{text}"
    );
    assert!(map.try_get(1).unwrap().is_none());
}

fn what_runs_for_a_token_may_not_ask_for_its_key<M: Map<Citizen>>() {
    promptly(|| {
        let (map, census, key) = (M::empty(), Census::new(), M::key(1));
        let ask = |_: &M::Key| {
            let asked = map.get_or_try_insert(&key, || Err("ran"))?;
            Ok::<_, CreateError<_>>(M::value(&asked).clone())
        };
        let failed = map.vacancy(&key).try_fill_with(ask);
        let refused = failed.unwrap_err().into_failed();
        assert!(
            matches!(refused, CreateError::Refused(Refused::Cycle(_))),
            "{refused:?}"
        );
        assert!(map.try_get(1).unwrap().is_none());
        let make = |key: &M::Key| {
            assert_eq!(M::number(key), 1);
            Ok::<_, std::io::Error>(Arc::new(census.citizen()))
        };
        let made = map.vacancy(&key).try_fill_with(make).unwrap();
        assert!(M::same(&map.try_get(1).unwrap().unwrap(), &made));
    });
}

fn a_token_keeps_its_key_alive<M: Map<Citizen, Key = Arc<u32>>>() {
    let (map, census) = (M::empty(), Census::new());
    let (key, weak) = {
        let key = M::key(1);
        (map.vacancy(&key), Arc::downgrade(&key))
    };
    let held = weak.upgrade().expect("the token owns it");
    assert!(Arc::ptr_eq(key.key(), &held));
    drop(held);
    // It is what others ask for meanwhile, and what is entered.
    assert_eq!(map.try_get(1).unwrap_err(), InFlight);
    let held = weak.upgrade().unwrap();
    let value = key.fill(Arc::new(census.citizen()));
    assert!(M::same(&map.try_get(1).unwrap().unwrap(), &value));
    drop(held);
    assert!(weak.upgrade().is_none(), "nobody else owns it");
    assert!(map.try_get(1).unwrap().is_none());
    // Given up.
    let weak = {
        let key = M::key(2);
        drop(map.vacancy(&key));
        Arc::downgrade(&key)
    };
    assert!(weak.upgrade().is_none());
    assert!(map.try_get(2).unwrap().is_none());
}

fn vacancy<K: Eq + std::hash::Hash + 'static, V: 'static>(
    registry: &Registry<K, V>,
    key: K,
) -> Vacancy<'_, Registry<K, V>> {
    registry.entry(key).claim().vacant().expect("not vacant")
}

#[test]
fn keys_with_one_hash_are_claimed_one_by_one() {
    promptly(|| {
        let registry: Registry<u32, u32, Colliding> = Registry::default();
        let mut tokens: Vec<_> = (0..20)
            .map(|key| match registry.entry(key).claim_or_refused() {
                Ok(Claim::Vacant(token)) => token,
                _ => panic!("not vacant"),
            })
            .collect();
        assert!((0..20).all(|key| registry.try_get(&key).is_err()));
        assert_eq!(registry.try_get(&20), Ok(None));
        tokens.truncate(10);
        let values: Vec<Handle<u32, u32>> = tokens
            .into_iter()
            .map(|token| {
                let key = *token.key();
                token.fill(key * 2)
            })
            .collect();
        assert_eq!(registry.len(), 10);
        assert!((0..10).all(|key| registry.get(&key).is_some()));
        assert!((10..20).all(|key| registry.try_get(&key) == Ok(None)));
        drop(values);
        assert!(registry.is_empty());
    });
}

#[test]
fn a_token_may_be_filled_on_another_thread() {
    promptly(|| {
        let registry: Registry<u32, u32> = Registry::new();
        let token = vacancy(&registry, 1);
        let value = thread::scope(|scope| scope.spawn(|| token.fill(3)).join().unwrap());
        assert_eq!(*value, 3);
    });
}

#[test]
fn a_thread_that_panics_or_ends_with_a_token_gives_it_up() {
    promptly(|| {
        static REGISTRY: Registry<u32, u32> = Registry::new();
        thread_local! {
            static KEPT: std::cell::RefCell<Option<Vacancy<'static, Registry<u32, u32>>>> = const { std::cell::RefCell::new(None) };
        }
        let panicking = thread::spawn(|| {
            let _token = vacancy(&REGISTRY, 1);
            std::panic::panic_any(());
        });
        assert!(panicking.join().is_err());
        let ending = thread::spawn(|| {
            KEPT.with(|kept| *kept.borrow_mut() = Some(vacancy(&REGISTRY, 2)));
            assert_eq!(REGISTRY.try_get(&2).unwrap_err(), InFlight);
        });
        ending.join().unwrap();
        assert_eq!(*REGISTRY.get_or_insert_with(1, |_| 10), 10);
        assert_eq!(*REGISTRY.get_or_insert_with(2, |_| 20), 20);
    });
}

/// What `Vacancy` says of forgetting.
#[test]
fn a_forgotten_token_blocks_its_key_and_nothing_else() {
    promptly(|| {
        let registry = crate::common::forever(Registry::<u32, u32>::new());
        std::mem::forget(vacancy(registry, 1));
        assert_eq!(registry.try_get(&1).unwrap_err(), InFlight);
        assert!(registry.get(&1).is_none());
        assert_eq!(*registry.get_or_insert_with(2, |_| 2), 2);
        let (entered, displaced) = registry.insert(1, 7);
        assert!(displaced.is_none());
        assert!(Handle::ptr_eq(&registry.get(&1).unwrap(), &entered));
        assert!(Handle::ptr_eq(
            &registry.entry(1).claim().live().unwrap(),
            &entered
        ));
    });
}

#[test]
fn tokens_are_as_mobile_as_their_registry() {
    fn both<T: Send + Sync>() {}
    both::<Vacancy<'_, Registry<u32, String>>>();
    both::<Claim<'_, Registry<u32, String>>>();
    both::<Vacancy<'_, WeakValueMap<u32, Arc<str>>>>();
    both::<Claim<'_, WeakValueMap<u32, Arc<str>>>>();
    both::<Vacancy<'_, WeakKeyMap<Arc<str>, String>>>();
    both::<Claim<'_, WeakKeyMap<Arc<str>, String>>>();
    both::<Vacancy<'_, WeakKeyValueMap<Arc<str>, Arc<u32>>>>();
    both::<Claim<'_, WeakKeyValueMap<Arc<str>, Arc<u32>>>>();
    both::<Vacancy<'_, StrongMap<u32, String>>>();
    both::<Claim<'_, StrongMap<u32, String>>>();
}

#[test]
fn a_key_is_dropped_with_its_token() {
    #[derive(PartialEq, Eq, Hash)]
    struct Key(u32, Arc<()>);
    let registry: Registry<Key, u32> = Registry::new();
    let mark = Arc::new(());
    let token = vacancy(&registry, Key(1, mark.clone()));
    assert_eq!(Arc::strong_count(&mark), 2);
    assert!(is_in_flight(
        registry.entry(Key(1, mark.clone())).try_claim()
    ));
    assert_eq!(Arc::strong_count(&mark), 2);
    drop(token);
    assert_eq!(Arc::strong_count(&mark), 1);
}

/// Equal to all others. Some panic when they are dropped.
struct Key {
    breaks: bool,
}

impl PartialEq for Key {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Key {}

impl std::hash::Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

impl Drop for Key {
    fn drop(&mut self) {
        if self.breaks {
            panic!("broken");
        }
    }
}

#[test]
fn a_hit_whose_key_panics_when_it_is_dropped_keeps_nothing() {
    let [sound, broken] = [false, true].map(|breaks| move || Key { breaks });
    let census = Census::new();

    let registry: Registry<Key, Citizen> = Registry::new();
    let value = registry.get_or_insert_with(sound(), |_| census.citizen());
    assert_eq!(
        panic_of(|| registry.entry(broken()).claim_or_refused()),
        "broken"
    );
    assert_eq!(panic_of(|| registry.entry(broken()).try_claim()), "broken");
    drop(value);
    assert_eq!((registry.len(), census.alive()), (0, 0));

    let map: WeakValueMap<Key, Arc<Citizen>> = WeakValueMap::new();
    let value = map.get_or_insert_with(sound(), |_| Arc::new(census.citizen()));
    assert_eq!(
        panic_of(|| map.entry(broken()).claim_or_refused()),
        "broken"
    );
    assert_eq!(panic_of(|| map.entry(broken()).try_claim()), "broken");
    drop(value);
    assert_eq!((map.len(), census.alive()), (0, 0));

    let map: StrongMap<Key, Arc<Citizen>> = StrongMap::new();
    map.insert(sound(), Arc::new(census.citizen()));
    assert_eq!(
        panic_of(|| map.entry(broken()).claim_or_refused()),
        "broken"
    );
    assert_eq!(panic_of(|| map.entry(broken()).try_claim()), "broken");
    map.clear();
    assert_eq!(census.alive(), 0);
}

fn a_map_that_is_closed_by_its_hook_keeps_what_has_come<M: Map<Citizen>>() {
    let (census, place) = (Census::new(), Arc::new(OnceLock::<Weak<M>>::new()));
    let close = {
        let place = Arc::clone(&place);
        move |cause| {
            if cause == RemovalCause::Replaced {
                assert!(place.get().unwrap().upgrade().unwrap().close());
            }
        }
    };
    let Some(map) = M::hooked(close) else { return };
    let (map, key) = (Arc::new(map), M::key(1));
    place.set(Arc::downgrade(&map)).unwrap();
    let old = map.insert(&key, Arc::new(census.citizen()));
    let new = map.insert(&key, Arc::new(census.citizen()));
    assert!(M::same(&map.get(1).unwrap(), &new));
    assert_eq!(map.len(), 1);
    drop(old);
}
