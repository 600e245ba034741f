//! Creations that would wait for each other, on several threads and through several maps: one of them is refused, and says why.

use crate::common::{flat, panic_of, promptly};
use crate::creators::{in_each, Map};
use highlander::error::{CreateError, CycleError, Refused};
use highlander::Registry;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

type Numbers = Registry<u32, u32>;

in_each! { u32:
    of_two_threads_that_create_for_each_other_one_is_refused
    a_ring_of_many_threads_is_found_by_the_last_of_them
    the_error_names_the_keys_in_the_order_in_which_they_were_asked_for
    a_cycle_through_a_registry_of_another_type_is_found
    a_claim_is_refused_whose_waiting_would_close_the_ring
}

type Outcome<O> = (Result<O, Refused>, Option<CycleError>);

/// Each of so many threads creates the key of its number, and when all have begun, asks for the next one's. Returns what each got, and the
/// error that it met inside.
fn ring<M: Map<u32>>(map: &M, size: u32) -> Vec<Outcome<M::Owner>> {
    let begun = Barrier::new(size as usize);
    let keys: Vec<_> = (0..size).map(M::key).collect();
    let create = |own: &M::Key, next: &M::Key| {
        let mut met = None;
        let mut first = true;
        let got = map.get_or_try_insert(own, || {
            if std::mem::take(&mut first) {
                begun.wait();
            }
            // Creates only if the next one's creator was refused.
            let next = map.get_or_try_insert(next, || Ok::<_, Refused>(Arc::new(1)));
            if let Err(CreateError::Refused(Refused::Cycle(cycle))) = &next {
                met = Some(cycle.clone());
            }
            Ok(Arc::new(**M::value(&next.map_err(flat)?) + 1))
        });
        (got.map_err(flat), met)
    };
    thread::scope(|scope| {
        let pairs = keys.iter().zip(keys.iter().cycle().skip(1));
        let threads: Vec<_> = pairs
            .map(|(own, next)| scope.spawn(|| create(own, next)))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

fn of_two_threads_that_create_for_each_other_one_is_refused<M: Map<u32>>() {
    promptly(|| {
        for _ in 0..100 {
            let map = M::empty();
            let outcomes = ring(&map, 2);
            let refused = outcomes.iter().filter(|(_, met)| met.is_some()).count();
            assert_eq!(refused, 1, "{outcomes:?}");
            let created = outcomes.iter().filter(|(got, _)| got.is_ok()).count();
            assert_eq!(created, 1, "the other one goes on: {outcomes:?}");
            assert!((0..2).all(|key| map.try_get(key).is_ok()), "nothing flies");
            if let Some(stats) = map.stats() {
                assert_eq!((stats.created, stats.joined), (2, 0));
            }
        }
    });
}

fn a_ring_of_many_threads_is_found_by_the_last_of_them<M: Map<u32>>() {
    promptly(|| {
        for size in [3, 5, 8] {
            for _ in 0..10 {
                let map = M::empty();
                let outcomes = ring(&map, size);
                let refused: Vec<_> = outcomes.iter().filter_map(|(_, met)| met.clone()).collect();
                assert_eq!(refused.len(), 1, "{outcomes:?}");
                let created = outcomes.iter().filter(|(got, _)| got.is_ok()).count();
                assert_eq!(created, size as usize - 1, "{outcomes:?}");
            }
        }
    });
}

fn the_error_names_the_keys_in_the_order_in_which_they_were_asked_for<M: Map<u32>>() {
    promptly(|| {
        let outcomes = ring(&M::shown(), 3);
        let text = outcomes
            .iter()
            .find_map(|(_, met)| met.as_ref())
            .unwrap()
            .to_string();
        let chain = |from: u32| {
            let (second, third) = ((from + 1) % 3, (from + 2) % 3);
            format!(
                "the creation of a value asked for the value that it is creating: {from}, which asked for {second}, \
                 which asked for {third}, which asked for the first again"
            )
        };
        assert!((0..3).any(|from| text == chain(from)), "{text}");
        // Not shown, they are named by their type.
        let outcomes = ring(&M::empty(), 2);
        let text = outcomes.iter().find_map(|(_, met)| met.as_ref()).unwrap();
        let by_type = format!("a key of type `{}`", std::any::type_name::<M::Key>());
        assert_eq!(text.to_string().matches(&by_type).count(), 2, "{text}");
    });
}

fn a_cycle_through_a_registry_of_another_type_is_found<M: Map<u32>>() {
    promptly(|| {
        let (map, key) = (M::shown(), M::key(1));
        let names: Registry<String, u32> = Registry::new().debug_keys();
        let begun = Barrier::new(2);
        let outcomes: [Result<u32, Refused>; 2] = thread::scope(|scope| {
            let other = scope.spawn(|| {
                let mut first = true;
                let got = names.get_or_try_insert_with("one".to_string(), |_| {
                    if std::mem::take(&mut first) {
                        begun.wait();
                    }
                    let number = map.get_or_try_insert(&key, || Ok::<_, Refused>(Arc::new(10)));
                    number.map(|number| **M::value(&number)).map_err(flat)
                });
                got.map(|value| *value).map_err(flat)
            });
            let mut first = true;
            let got = map.get_or_try_insert(&key, || {
                if std::mem::take(&mut first) {
                    begun.wait();
                }
                let name =
                    names.get_or_try_insert_with("one".to_string(), |_| Ok::<_, Refused>(20));
                name.map(|name| Arc::new(*name)).map_err(flat)
            });
            let got = got.map(|got| **M::value(&got)).map_err(flat);
            [got, other.join().unwrap()]
        });
        let refused: Vec<_> = outcomes.iter().filter_map(|o| o.as_ref().err()).collect();
        let [Refused::Cycle(cycle)] = refused[..] else {
            panic!("{outcomes:?}")
        };
        let text = cycle.to_string();
        let (ahead, behind) = (
            r#": 1, which asked for "one", which asked for the first again"#,
            r#": "one", which asked for 1, which asked for the first again"#,
        );
        assert!(text.ends_with(ahead) || text.ends_with(behind), "{text}");
    });
}

/// What waits for a token's key is known when `try_fill_with` is used.
fn a_claim_is_refused_whose_waiting_would_close_the_ring<M: Map<u32>>() {
    promptly(|| {
        let (map, one, two) = (M::shown(), M::key(1), M::key(2));
        let (token, begun) = (map.vacancy(&one), Barrier::new(2));
        let (created, claimed) = thread::scope(|scope| {
            let other = scope.spawn(|| {
                let mut claimed = None;
                let created = map.get_or_try_insert(&two, || {
                    begun.wait();
                    let claim = map.claim(&one);
                    claimed = Some(claim.map(|claim| claim.live().is_some()));
                    Ok::<_, Refused>(Arc::new(5))
                });
                (created.unwrap(), claimed.unwrap())
            });
            let created = token.try_fill_with(|_| {
                begun.wait();
                let two = map.get_or_try_insert(&two, || unreachable!());
                let two = two.map_err(|error: CreateError<Refused>| error.to_string())?;
                Ok::<_, String>(Arc::new(**M::value(&two) + 1))
            });
            let created = created.map_err(CreateError::into_failed);
            let (two, claimed) = other.join().unwrap();
            (created.map(|one| (one, two)), claimed)
        });
        // Whoever came last was refused.
        match (created, claimed) {
            (Ok((one, two)), Err(Refused::Cycle(cycle))) => {
                assert_eq!((**M::value(&one), **M::value(&two)), (6, 5));
                assert!(cycle.to_string().contains('1'), "{cycle}");
            }
            (Err(text), Ok(false)) => assert!(text.ends_with("the first again"), "{text}"),
            (created, claimed) => panic!("{created:?}, {claimed:?}"),
        }
    });
}

#[test]
fn a_call_that_cannot_fail_panics_with_the_chain_and_the_other_thread_goes_on() {
    promptly(|| {
        let registry: Arc<Registry<&str, u32>> = Arc::new(Registry::new().debug_keys());
        let begun = Arc::new(Barrier::new(2));
        let run = |own: &'static str, other: &'static str| {
            let (registry, begun) = (registry.clone(), begun.clone());
            thread::spawn(move || {
                let mut first = true;
                let create = || {
                    *registry.get_or_insert_with(own, |_| {
                        if std::mem::take(&mut first) {
                            begun.wait();
                        }
                        *registry.get_or_insert_with(other, |_| 1) + 1
                    })
                };
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(create));
                result.map_err(|panic| panic_of(|| std::panic::resume_unwind(panic)))
            })
        };
        let threads = [run("egg", "hen"), run("hen", "egg")];
        let outcomes = threads.map(|thread| thread.join().unwrap());
        let texts: Vec<_> = outcomes
            .iter()
            .filter_map(|outcome| outcome.as_ref().err())
            .collect();
        let [text] = texts[..] else {
            panic!("{outcomes:?}")
        };
        assert!(
            text.ends_with(r#""egg", which asked for "hen", which asked for the first again"#)
                || text
                    .ends_with(r#""hen", which asked for "egg", which asked for the first again"#),
            "{text}"
        );
        assert!(outcomes.contains(&Ok(2)), "{outcomes:?}");
    });
}

/// Waiting for others is no cycle, however deep: the thread at the end of the chain is at work.
#[test]
fn a_chain_that_does_not_come_back_is_waited_for() {
    promptly(|| {
        const LENGTH: u32 = 6;
        for _ in 0..20 {
            let registry = Arc::new(Numbers::new());
            let (begun, order) = (
                Arc::new(Barrier::new(LENGTH as usize)),
                Arc::new(Mutex::new(0)),
            );
            let threads: Vec<_> = (0..LENGTH)
                .map(|key| {
                    let (registry, begun, order) = (registry.clone(), begun.clone(), order.clone());
                    thread::spawn(move || {
                        registry.get_or_insert_with(key, |_| {
                            begun.wait();
                            if key + 1 == LENGTH {
                                // The others have time to fall asleep, or not.
                                thread::yield_now();
                                return 0;
                            }
                            *order.lock().unwrap() += 1;
                            *registry.get_or_insert_with(key + 1, |_| unreachable!()) + 1
                        })
                    })
                })
                .collect();
            let values: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
            assert_eq!(**values.first().unwrap(), LENGTH - 1);
            assert_eq!(*order.lock().unwrap(), LENGTH - 1);
        }
    });
}

/// Who creates nothing cannot be a part of a cycle, and a wait that is over leaves no trace for a later one.
#[test]
fn the_same_two_keys_may_be_created_for_each_other_one_after_the_other() {
    promptly(|| {
        let registry = Numbers::new();
        for _ in 0..3 {
            let one =
                registry.get_or_insert_with(1, |_| *registry.get_or_insert_with(2, |_| 5) + 1);
            assert_eq!(*one, 6);
            drop(one);
            let two =
                registry.get_or_insert_with(2, |_| *registry.get_or_insert_with(1, |_| 7) + 1);
            assert_eq!(*two, 8);
        }
    });
}

/// The cycle that another creation was refused for.
#[derive(Debug)]
struct Own(Option<CycleError>);

impl From<CreateError<Own>> for Own {
    fn from(error: CreateError<Own>) -> Self {
        error.map_refused(|refused| match refused {
            Refused::Cycle(cycle) => Self(Some(cycle)),
            _ => Self(None),
        })
    }
}

#[test]
fn an_error_type_of_ones_own_learns_of_a_cycle_on_several_threads() {
    promptly(|| {
        let registry = Arc::new(Numbers::new());
        let begun = Arc::new(Barrier::new(2));
        let run = |own: u32, other: u32| {
            let (registry, begun) = (registry.clone(), begun.clone());
            thread::spawn(move || {
                let mut first = true;
                registry
                    .get_or_try_insert_with(own, |_| {
                        if std::mem::take(&mut first) {
                            begun.wait();
                        }
                        let other = registry.get_or_try_insert_with(other, |_| Ok::<_, Own>(0))?;
                        Ok::<_, Own>(*other)
                    })
                    .map(|value| *value)
            })
        };
        let threads = [run(1, 2), run(2, 1)];
        let outcomes = threads.map(|thread| thread.join().unwrap());
        let refused =
            |outcome: &Result<u32, _>| matches!(outcome, Err(CreateError::Failed(Own(Some(_)))));
        assert_eq!(
            outcomes.iter().filter(|outcome| refused(outcome)).count(),
            1
        );
    });
}
