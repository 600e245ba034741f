//! Creations that would wait for each other, on several threads and through several maps: one of them is refused, and says why.

use crate::common::{panic_of, promptly};
use highlander::{CreateError, CycleError, Registry};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

type Numbers = Registry<u32, u32>;

/// Each of so many threads creates the key of its number, and when all have begun, asks for the next one's. Returns what each got, and the
/// error that it met inside.
fn ring(registry: &Arc<Numbers>, size: u32) -> Vec<(Result<u32, String>, Option<CycleError>)> {
    let begun = Arc::new(Barrier::new(size as usize));
    let threads: Vec<_> = (0..size)
        .map(|key| {
            let (registry, begun) = (Arc::clone(registry), Arc::clone(&begun));
            thread::spawn(move || {
                let mut met = None;
                let mut first = true;
                let got = registry.get_or_try_insert_with(key, |_| {
                    if std::mem::take(&mut first) {
                        begun.wait();
                    }
                    let next = registry.get_or_try_insert_with((key + 1) % size, |next| {
                        // Only for one whose creator was refused.
                        Ok::<_, CycleError>(*next + 100)
                    });
                    let next = next.inspect_err(|cycle| met = Some(cycle.clone()));
                    next.map(|next| *next).map_err(|cycle| cycle.to_string())
                });
                (got.map(|value| *value), met)
            })
        })
        .collect();
    threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect()
}

#[test]
fn of_two_threads_that_create_for_each_other_one_is_refused() {
    promptly(|| {
        for _ in 0..200 {
            let registry = Arc::new(Numbers::new());
            let outcomes = ring(&registry, 2);
            let refused = outcomes.iter().filter(|(_, met)| met.is_some()).count();
            assert_eq!(refused, 1, "{outcomes:?}");
            let created = outcomes.iter().filter(|(got, _)| got.is_ok()).count();
            assert_eq!(created, 1, "the other one goes on: {outcomes:?}");
            assert!(registry.is_empty());
        }
    });
}

#[test]
fn a_ring_of_many_threads_is_found_by_the_last_of_them() {
    promptly(|| {
        for size in [3, 5, 8] {
            for _ in 0..20 {
                let registry = Arc::new(Numbers::new());
                let outcomes = ring(&registry, size);
                let refused: Vec<_> = outcomes.iter().filter_map(|(_, met)| met.clone()).collect();
                assert_eq!(refused.len(), 1, "{outcomes:?}");
                assert!(registry.is_empty());
            }
        }
    });
}

#[test]
fn the_error_names_the_keys_in_the_order_in_which_they_were_asked_for() {
    promptly(|| {
        let registry = Arc::new(Numbers::new().debug_keys());
        let outcomes = ring(&registry, 3);
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
    });
}

#[test]
fn a_cycle_through_registries_of_other_types_is_found() {
    promptly(|| {
        type Names = Registry<String, u32>;
        let numbers = Arc::new(Numbers::new().debug_keys());
        let names = Arc::new(Names::new().debug_keys());
        let begun = Arc::new(Barrier::new(2));
        let other = thread::spawn({
            let (numbers, names, begun) = (numbers.clone(), names.clone(), begun.clone());
            move || {
                let mut first = true;
                let got = names.get_or_try_insert_with("one".to_string(), |_| {
                    if std::mem::take(&mut first) {
                        begun.wait();
                    }
                    let number = numbers.get_or_try_insert_with(1, |_| Ok::<_, CycleError>(10));
                    number.map(|number| *number)
                });
                got.map(|value| *value)
            }
        });
        let mut first = true;
        let got = numbers.get_or_try_insert_with(1, |_| {
            if std::mem::take(&mut first) {
                begun.wait();
            }
            let name = names.get_or_try_insert_with("one".to_string(), |_| Ok::<_, CycleError>(20));
            name.map(|name| *name)
        });
        let outcomes = [got.map(|value| *value), other.join().unwrap()];
        let text = outcomes
            .iter()
            .find_map(|outcome| outcome.as_ref().err())
            .unwrap_or_else(|| panic!("nobody was refused: {outcomes:?}"))
            .to_string();
        assert!(text.contains('1') && text.contains(r#""one""#), "{text}");
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
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
                        registry
                            .get_or_try_insert_with(other, |_| Ok::<_, CreateError<&str>>(0))
                            .map(|value| *value)
                    })
                    .map(|value| *value)
            })
        };
        let threads = [run(1, 2), run(2, 1)];
        let outcomes = threads.map(|thread| thread.join().unwrap());
        let refused = |outcome: &Result<u32, _>| matches!(outcome, Err(CreateError::Cycle(_)));
        assert_eq!(
            outcomes.iter().filter(|outcome| refused(outcome)).count(),
            1
        );
    });
}
