//! Claims: tokens for values that somebody is going to create.

use crate::common::{promptly, Census, Citizen, Colliding};
use highlander::{Claim, CycleError, Handle, InFlight, Registry, Vacancy};
use std::sync::{mpsc, Arc};
use std::thread;

type Citizens = Registry<u32, Citizen>;

fn vacancy<K: Eq + std::hash::Hash, V>(
    registry: &Registry<K, V>,
    key: K,
) -> Vacancy<'_, Registry<K, V>> {
    match registry.claim(key) {
        Ok(Claim::Vacant(vacancy)) => vacancy,
        _ => panic!("not vacant"),
    }
}

#[test]
fn a_claim_leads_to_the_live_value_or_to_the_right_to_create_it() {
    let registry: Registry<String, u32> = Registry::new();
    let token = vacancy(&registry, "k".into());
    assert_eq!(token.key(), "k");
    assert_eq!(format!("{token:?}"), r#"Vacancy { key: "k" }"#);
    assert!(registry.is_empty());
    let value = token.fill(7);
    assert_eq!((*value, registry.len()), (7, 1));
    let again = registry.claim("k".into()).unwrap();
    assert_eq!(format!("{again:?}"), format!("Live({value:?})"));
    assert!(again.live().unwrap().ptr_eq(&value));
    drop(value);
    assert!(registry.claim("k".into()).unwrap().live().is_none());
}

#[test]
fn who_waits_gets_what_the_token_is_filled_with() {
    promptly(|| {
        let (registry, census) = (Citizens::new(), Census::new());
        let token = vacancy(&registry, 1);
        thread::scope(|scope| {
            let waiters: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| registry.get_or_insert_with(1, |_| unreachable!())))
                .collect();
            let claimant = scope.spawn(|| registry.claim(1).unwrap().live().unwrap());
            thread::yield_now();
            // At once, so that the value lives by those who wait, or not at all.
            let value = token.fill(census.citizen());
            for waiter in waiters.into_iter().chain([claimant]) {
                assert!(waiter.join().unwrap().ptr_eq(&value));
            }
        });
        assert_eq!((census.born(), census.dead()), (1, 1));
        assert!(registry.is_empty());
    });
}

#[test]
fn a_token_that_is_dropped_leaves_the_creation_to_one_who_waits() {
    promptly(|| {
        for _ in 0..100 {
            let registry: Registry<u32, u32> = Registry::new();
            let token = vacancy(&registry, 1);
            let (started, starts) = mpsc::channel();
            thread::scope(|scope| {
                let waiters: Vec<_> = (0..3)
                    .map(|n| {
                        let (started, registry) = (started.clone(), &registry);
                        scope.spawn(move || {
                            started.send(()).unwrap();
                            registry.get_or_insert_with(1, |_| n)
                        })
                    })
                    .collect();
                (0..3).for_each(|_| starts.recv().unwrap());
                drop(token);
                let values: Vec<_> = waiters.into_iter().map(|w| w.join().unwrap()).collect();
                assert!(values.iter().all(|value| value.ptr_eq(&values[0])));
            });
            assert!(registry.is_empty());
        }
    });
}

#[test]
fn a_vacancy_goes_from_claimant_to_claimant() {
    promptly(|| {
        let registry: Registry<u32, u32> = Registry::new();
        let token = vacancy(&registry, 1);
        thread::scope(|scope| {
            let next = scope.spawn(|| match registry.claim(1).unwrap() {
                Claim::Vacant(token) => *token.fill(2),
                Claim::Live(_) => panic!("nobody has filled it"),
            });
            drop(token);
            assert_eq!(next.join().unwrap(), 2);
        });
    });
}

#[test]
fn without_waiting_one_is_told_that_it_is_in_flight() {
    let registry: Registry<u32, u32> = Registry::new();
    assert_eq!(registry.try_get(&1), Ok(None));
    let token = vacancy(&registry, 1);
    assert_eq!(registry.try_get(&1).unwrap_err(), InFlight);
    assert!(registry.try_claim(1).is_none());
    assert_eq!(InFlight.to_string(), "the value is being created");
    assert!(registry.get(&1).is_none());
    assert_eq!(registry.try_get(&2), Ok(None), "another key");
    let value = token.fill(5);
    assert_eq!(registry.try_get(&1).as_ref(), Ok(&Some(value.clone())));
    assert!(registry
        .try_claim(1)
        .unwrap()
        .live()
        .unwrap()
        .ptr_eq(&value));
    drop(value);
    assert!(matches!(registry.try_claim(1), Some(Claim::Vacant(_))));
    assert_eq!(registry.try_get(&1), Ok(None), "given up");
}

#[test]
fn keys_with_one_hash_are_claimed_one_by_one() {
    promptly(|| {
        let registry: Registry<u32, u32, Colliding> = Registry::default();
        let mut tokens: Vec<_> = (0..20)
            .map(|key| match registry.claim(key) {
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
        assert!(registry.get(&1).unwrap().ptr_eq(&entered));
        assert!(registry.claim(1).unwrap().live().unwrap().ptr_eq(&entered));
    });
}

#[test]
fn a_value_entered_meanwhile_is_the_one() {
    let (registry, census) = (Citizens::new(), Census::new());
    let token = vacancy(&registry, 1);
    let entered = registry.try_insert(1, census.citizen()).unwrap();
    let filled = token.fill(census.citizen());
    assert!(filled.ptr_eq(&entered));
    assert_eq!((census.born(), census.dead()), (2, 1));
}

#[test]
fn what_runs_for_a_token_may_not_ask_for_its_key() {
    promptly(|| {
        let registry: Registry<u32, u32> = Registry::new();
        let ask = |_: &u32| registry.get_or_try_insert_with(1, |_| Ok(0)).map(|v| *v);
        #[derive(Debug)]
        struct Refused;
        impl From<CycleError> for Refused {
            fn from(_: CycleError) -> Self {
                Refused
            }
        }
        impl From<highlander::ClosedError> for Refused {
            fn from(_: highlander::ClosedError) -> Self {
                unreachable!()
            }
        }
        let _: Refused = vacancy(&registry, 1).create(ask).unwrap_err();
        assert_eq!(registry.try_get(&1), Ok(None));
        let made = vacancy(&registry, 1).create(|key| Ok::<_, std::io::Error>(key + 1));
        assert_eq!(*made.unwrap(), 2);
    });
}

#[test]
fn tokens_are_as_mobile_as_their_registry() {
    fn both<T: Send + Sync>() {}
    both::<Vacancy<'_, Registry<u32, String>>>();
    both::<Claim<'_, Registry<u32, String>>>();
}

#[test]
fn a_key_is_dropped_with_its_token() {
    #[derive(PartialEq, Eq, Hash)]
    struct Key(u32, Arc<()>);
    let registry: Registry<Key, u32> = Registry::new();
    let mark = Arc::new(());
    let token = vacancy(&registry, Key(1, mark.clone()));
    assert_eq!(Arc::strong_count(&mark), 2);
    assert!(registry.try_claim(Key(1, mark.clone())).is_none());
    assert_eq!(Arc::strong_count(&mark), 2);
    drop(token);
    assert_eq!(Arc::strong_count(&mark), 1);
}
