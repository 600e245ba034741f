//! Values that are created in two steps, and know each other in a circle.

use crate::common::{flat, is_in_flight, panic_of, promptly};
use highlander::error::{CreateError, CycleError, Refused};
use highlander::{Handle, Registry, WeakHandle};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{mpsc, Arc, Barrier, Mutex, OnceLock};
use std::thread;

type Failed = CreateError<&'static str>;

/// A class that knows those whose names it was given, and is finished when it does.
struct Class {
    friends: OnceLock<Vec<WeakHandle<u32, Class>>>,
    finished: AtomicBool,
}

impl Class {
    fn allocate() -> Self {
        Class {
            friends: OnceLock::new(),
            finished: AtomicBool::new(false),
        }
    }

    fn is_finished(&self) -> bool {
        self.finished.load(SeqCst)
    }

    fn friend(&self, at: usize) -> Handle<u32, Class> {
        self.friends.get().unwrap()[at].upgrade().unwrap()
    }
}

type Classes = Registry<u32, Class>;

/// Keeps what was made alive, as an owner would.
type Owners = Mutex<Vec<Handle<u32, Class>>>;

/// As `build`, again when another thread makes what this one leads to.
fn build_again(
    classes: &Classes,
    owners: &Owners,
    name: u32,
    friends: &(dyn Fn(u32) -> Vec<u32> + Sync),
) -> Handle<u32, Class> {
    loop {
        match build(classes, owners, name, friends) {
            Ok(class) => return class,
            Err(CreateError::Refused(Refused::Cycle(cycle))) => cycle.wait().unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// The class of this name, and all that it leads to.
fn build(
    classes: &Classes,
    owners: &Owners,
    name: u32,
    friends: &(dyn Fn(u32) -> Vec<u32> + Sync),
) -> Result<Handle<u32, Class>, Failed> {
    let class = classes.entry(name).or_try_create_cyclic(
        |_| Ok(Class::allocate()),
        |class| {
            let mut known = Vec::new();
            for friend in friends(name) {
                let friend = build(classes, owners, friend, friends)?;
                known.push(Handle::downgrade(&friend));
                owners.lock().unwrap().push(friend);
            }
            class.friends.set(known).ok().expect("initialised once");
            class.finished.store(true, SeqCst);
            Ok(())
        },
    );
    class.map_err(flat)
}

#[test]
fn the_creating_thread_alone_gets_it_unfinished_and_the_others_wait() {
    promptly(|| {
        let classes = Classes::new();
        let (inside, is_inside) = mpsc::channel();
        let (go, gone_on) = mpsc::channel();
        thread::scope(|scope| {
            let classes = &classes;
            let creator = scope.spawn(move || {
                classes.entry(1).or_create_cyclic(
                    |_| Class::allocate(),
                    |class| {
                        let again = classes.get(&1).expect("its own");
                        assert!(Handle::ptr_eq(&again, class) && !again.is_finished());
                        let again = classes.get_or_insert_with(1, |_| unreachable!());
                        assert!(Handle::ptr_eq(&again, class));
                        let claim = classes.entry(1).claim().live().expect("there already");
                        assert!(Handle::ptr_eq(&claim, class));
                        assert!(Handle::ptr_eq(
                            &classes.try_get(&1).unwrap().unwrap(),
                            class
                        ));
                        assert!(Handle::downgrade(class).upgrade().is_none(), "not yet");
                        assert_eq!(classes.len(), 0);
                        inside.send(()).unwrap();
                        gone_on.recv().unwrap();
                        class.finished.store(true, SeqCst);
                    },
                )
            });
            is_inside.recv().unwrap();
            assert!(classes.get(&1).is_none());
            assert!(classes.try_get(&1).is_err(), "in flight");
            assert!(is_in_flight(classes.entry(1).try_claim()));
            let waiter = scope.spawn(move || {
                let class = classes.get_or_insert_with(1, |_| unreachable!());
                assert!(class.is_finished());
                class
            });
            go.send(()).unwrap();
            let (created, got) = (creator.join().unwrap(), waiter.join().unwrap());
            assert!(
                Handle::ptr_eq(&created, &got) && Handle::ptr_eq(&classes.get(&1).unwrap(), &got)
            );
            let weak = Handle::downgrade(&got);
            assert!(weak.upgrade().is_some());
            drop((created, got));
            assert!(weak.upgrade().is_none() && classes.is_empty());
        });
    });
}

#[test]
fn a_family_on_one_thread_is_entered_when_all_of_it_is_finished() {
    let (classes, owners) = (Classes::new(), Owners::default());
    // 0 -> 1 -> 2 -> {0, 1, 3}
    let friends = |name| match name {
        0 => vec![1],
        1 => vec![2],
        2 => vec![0, 1, 3],
        _ => vec![],
    };
    let seen = Mutex::new(Vec::new());
    let watched = |name| {
        let found: Vec<bool> = (0..4)
            .map(|n| thread::scope(|s| s.spawn(|| classes.get(&n).is_some()).join().unwrap()))
            .collect();
        seen.lock().unwrap().push((name, found));
        friends(name)
    };
    let zero = build(&classes, &owners, 0, &watched).unwrap();
    // Of the four only 3 depends on nothing unfinished, and that comes last.
    assert!(seen
        .lock()
        .unwrap()
        .iter()
        .all(|(_, found)| found == &[false; 4]));
    assert_eq!(classes.len(), 4);
    let two = zero.friend(0).friend(0);
    assert!(
        Handle::ptr_eq(&two.friend(0), &zero) && Handle::ptr_eq(&two.friend(1), &zero.friend(0))
    );
    assert!((0..4).all(|name| classes.get(&name).unwrap().is_finished()));
    drop((zero, two));
    owners.lock().unwrap().clear();
    assert!(classes.is_empty());
}

#[test]
fn what_does_not_depend_on_the_unfinished_is_entered_at_once() {
    let (classes, owners) = (Classes::new(), Owners::default());
    let seen = AtomicBool::new(false);
    let friends = |name| match name {
        0 => vec![1, 2],
        2 => {
            let found = thread::scope(|s| s.spawn(|| classes.get(&1).is_some()).join().unwrap());
            seen.store(found, SeqCst);
            vec![]
        }
        _ => vec![],
    };
    build(&classes, &owners, 0, &friends).unwrap();
    assert!(seen.load(SeqCst));
}

#[test]
fn if_the_outer_one_fails_nobody_keeps_what_was_made_with_its_help() {
    let classes = Classes::new();
    let tries = AtomicU32::new(0);
    let build = || -> Result<_, Failed> {
        let zero = classes.entry(0).or_try_create_cyclic(
            |_| Ok(Class::allocate()),
            |zero| {
                let one = classes.entry(1).or_try_create_cyclic(
                    |_| Ok::<_, &str>(Class::allocate()),
                    |one| {
                        assert!(Handle::ptr_eq(&classes.get(&0).unwrap(), zero));
                        one.finished.store(true, SeqCst);
                        Ok(())
                    },
                )?;
                assert!(Handle::ptr_eq(
                    &classes.get(&1).expect("to the family"),
                    &one
                ));
                match tries.fetch_add(1, SeqCst) {
                    0 => Err(CreateError::Failed("no superclass")),
                    _ => Ok(()),
                }
            },
        );
        zero.map_err(flat)
    };
    assert_eq!(build().err().unwrap(), CreateError::Failed("no superclass"));
    assert!(classes.is_empty() && classes.get(&0).is_none() && classes.get(&1).is_none());
    assert!(
        (0..2).all(|name| classes.try_get(&name).unwrap().is_none()),
        "nothing flies"
    );
    let _zero = build().unwrap();
    assert_eq!(classes.len(), 1, "one had no owner");
}

#[test]
fn if_the_inner_one_fails_the_outer_one_may_go_on_without_it() {
    let classes = Classes::new();
    let zero = classes.entry(0).or_create_cyclic(
        |_| Class::allocate(),
        |zero| {
            let one = classes.entry(1).or_try_create_cyclic(
                |_| Ok(Class::allocate()),
                |_| {
                    assert!(Handle::ptr_eq(&classes.get(&0).unwrap(), zero));
                    Err("no")
                },
            );
            assert_eq!(one.err(), Some(CreateError::Failed("no")));
            assert!(classes.get(&1).is_none());
        },
    );
    assert!(Handle::ptr_eq(&classes.get(&0).unwrap(), &zero) && classes.len() == 1);
}

#[test]
fn what_was_made_with_the_help_of_a_failed_one_fails_too() {
    let classes = Classes::new();
    // 0 asks for 1; 1 asks for 2, which is given 1; then 1 fails. 0, which has 2 by then, fails as well.
    let two = Mutex::new(None);
    let zero = classes.entry(0).or_try_create_cyclic(
        |_| Ok(Class::allocate()),
        |_| {
            let one = classes.entry(1).or_try_create_cyclic(
                |_| Ok(Class::allocate()),
                |_| {
                    let made = classes.entry(2).or_create_cyclic(
                        |_| Class::allocate(),
                        |_| assert!(classes.get(&1).is_some() && classes.get(&0).is_some()),
                    );
                    *two.lock().unwrap() = Some(made);
                    Err("no")
                },
            );
            assert!(one.is_err());
            assert!(
                classes.get(&2).is_none(),
                "it has gone with what it was made with"
            );
            Ok::<_, &str>(())
        },
    );
    assert!(zero.is_ok(), "it was given nothing unfinished");
    assert_eq!(classes.len(), 1);
}

#[test]
fn a_panic_gives_the_whole_family_up() {
    let classes = Classes::new();
    let text = panic_of(|| {
        classes.entry(0).or_create_cyclic(
            |_| Class::allocate(),
            |_| {
                let _one = classes.entry(1).or_create_cyclic(
                    |_| Class::allocate(),
                    |_| assert!(classes.get(&0).is_some()),
                );
                panic!("broken");
            },
        );
    });
    assert_eq!(text, "broken");
    assert!((0..2).all(|name| classes.try_get(&name).unwrap().is_none()));
    assert!(classes.is_empty());
}

#[test]
fn two_threads_that_create_for_each_other_both_get_the_whole_family() {
    promptly(|| {
        for round in 0..300 {
            let (classes, owners) = (Classes::new(), Owners::default());
            let both = Barrier::new(2);
            let met = AtomicU32::new(0);
            // At first both are inside; later as it comes.
            let friends = |name| {
                if round < 100 && met.fetch_add(1, SeqCst) < 2 {
                    both.wait();
                }
                vec![1 - name]
            };
            let build = |name| {
                let class = build_again(&classes, &owners, name, &friends);
                assert!(class.is_finished() && class.friend(0).is_finished());
                assert!(Handle::ptr_eq(&class.friend(0).friend(0), &class));
                class
            };
            thread::scope(|scope| {
                let other = scope.spawn(|| build(1));
                let zero = build(0);
                assert!(Handle::ptr_eq(&zero.friend(0), &other.join().unwrap()));
            });
            assert_eq!(classes.len(), 2);
            owners.lock().unwrap().clear();
            assert_eq!(classes.len(), 0);
        }
    });
}

#[test]
fn families_that_many_threads_build_at_once_are_the_same_for_all() {
    promptly(|| {
        for _ in 0..50 {
            let (classes, owners) = (Classes::new(), Owners::default());
            // Each knows its neighbours in a ring and one across.
            let friends = |name: u32| vec![(name + 1) % 12, (name + 11) % 12, (name + 5) % 12];
            let begin = Barrier::new(4);
            let all: Vec<Vec<_>> = thread::scope(|scope| {
                let (classes, owners, friends, begin) = (&classes, &owners, &friends, &begin);
                let threads: Vec<_> = (0..4)
                    .map(|at| {
                        scope.spawn(move || {
                            begin.wait();
                            (0..12)
                                .map(|name| (name + 3 * at) % 12)
                                .map(|name| build_again(classes, owners, name, friends))
                                .inspect(|class| assert!(class.is_finished()))
                                .collect()
                        })
                    })
                    .collect();
                threads.into_iter().map(|t| t.join().unwrap()).collect()
            });
            assert_eq!(classes.len(), 12);
            for class in all.iter().flatten() {
                let name = *Handle::key(class);
                assert!(Handle::ptr_eq(&classes.get(&name).unwrap(), class));
                for (at, friend) in friends(name).into_iter().enumerate() {
                    assert!(Handle::ptr_eq(
                        &class.friend(at),
                        &classes.get(&friend).unwrap()
                    ));
                    assert!(class.friend(at).is_finished());
                }
            }
        }
    });
}

type Made = Result<Handle<u32, Class>, Failed>;

/// Two threads create for each other. Returns what each got, and the error that one met inside.
fn crossed(classes: &Classes, retries: bool) -> ([Made; 2], Vec<CycleError>) {
    let both = Barrier::new(2);
    let met = Mutex::new(Vec::new());
    let create = |own: u32| {
        let mut first = true;
        loop {
            let made = classes.entry(own).or_try_create_cyclic(
                |_| Ok(Class::allocate()),
                |class| {
                    if std::mem::take(&mut first) {
                        both.wait();
                    }
                    let other = classes.entry(1 - own).or_try_create_cyclic(
                        |_| Ok(Class::allocate()),
                        |other| {
                            assert!(Handle::ptr_eq(&classes.get(&own).unwrap(), class));
                            other.finished.store(true, SeqCst);
                            Ok::<_, &str>(())
                        },
                    );
                    if let Err(CreateError::Refused(Refused::Cycle(cycle))) = &other {
                        met.lock().unwrap().push(cycle.clone());
                    }
                    class
                        .friends
                        .set(vec![Handle::downgrade(&other?)])
                        .ok()
                        .unwrap();
                    class.finished.store(true, SeqCst);
                    Ok::<_, Failed>(())
                },
            );
            match made.map_err(flat) {
                Err(CreateError::Refused(Refused::Cycle(_))) if retries => {}
                made => return made,
            }
        }
    };
    let made = thread::scope(|scope| {
        let other = scope.spawn(|| create(1));
        [create(0), other.join().unwrap()]
    });
    (made, met.into_inner().unwrap())
}

#[test]
fn of_two_threads_that_create_for_each_other_one_is_refused_and_the_other_goes_on() {
    promptly(|| {
        for _ in 0..200 {
            let classes = Classes::new();
            let (made, met) = crossed(&classes, false);
            assert_eq!(met.len(), 1, "{met:?}");
            let went_on: Vec<_> = made.iter().flatten().collect();
            assert_eq!(went_on.len(), 1);
            assert!(went_on[0].is_finished());
            assert!(
                (0..2).all(|name| classes.try_get(&name).is_ok()),
                "nothing flies"
            );
        }
    });
}

#[test]
fn who_is_refused_and_tries_again_at_once_waits_for_the_other() {
    promptly(|| {
        for _ in 0..200 {
            let classes = Classes::new();
            let (made, met) = crossed(&classes, true);
            assert_eq!(met.len(), 1, "not again and again: {met:?}");
            assert!(made.iter().all(|made| made.as_ref().unwrap().is_finished()));
        }
    });
}

#[test]
fn the_value_of_a_failed_initialisation_is_dropped_before_the_call_returns() {
    promptly(|| {
        let values: Registry<u32, Arc<()>> = Registry::new();
        let value = Arc::new(());
        let (begun, begins) = mpsc::channel();
        let (may_fail, fails) = mpsc::channel();
        thread::scope(|scope| {
            let (values, value) = (&values, &value);
            let failing = scope.spawn(move || {
                let failed = values.entry(1).or_try_create_cyclic(
                    |_| Ok(value.clone()),
                    |_| {
                        begun.send(()).unwrap();
                        fails.recv().unwrap();
                        Err("no")
                    },
                );
                assert!(failed.is_err());
                // One is the test's own.
                assert_eq!(Arc::strong_count(value), 1);
            });
            begins.recv().unwrap();
            // One waits in the middle of something else, one as a task that is never polled again: neither is an owner.
            let waits = scope.spawn(move || {
                values.get_or_insert_with(2, |_| {
                    Arc::clone(&values.get_or_insert_with(1, |_| Arc::default()))
                })
            });
            #[cfg(feature = "async")]
            let task = {
                let mut task =
                    Box::pin(values.get_or_insert_async(1, |_| async { Arc::default() }));
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                assert!(std::future::Future::poll(task.as_mut(), &mut context).is_pending());
                task
            };
            may_fail.send(()).unwrap();
            failing.join().unwrap();
            waits.join().unwrap();
            #[cfg(feature = "async")]
            drop(task);
        });
    });
}

#[test]
fn what_a_failed_creation_has_not_helped_to_make_stays_with_its_family() {
    let classes = Classes::new();
    // 0 asks for 1, which asks for 2 and fails; 2 has got 0, and nothing of 1.
    let two = Mutex::new(None);
    let zero = classes.entry(0).or_create_cyclic(
        |_| Class::allocate(),
        |zero| {
            let one = classes.entry(1).or_try_create_cyclic(
                |_| Ok(Class::allocate()),
                |_| {
                    let made = classes.entry(2).or_create_cyclic(
                        |_| Class::allocate(),
                        |_| assert!(Handle::ptr_eq(&classes.get(&0).unwrap(), zero)),
                    );
                    *two.lock().unwrap() = Some(made);
                    Err("no")
                },
            );
            assert!(one.is_err() && classes.get(&1).is_none());
            let found = thread::scope(|s| s.spawn(|| classes.get(&2).is_some()).join().unwrap());
            assert!(!found, "it needs 0, which is not complete");
        },
    );
    let two = two.into_inner().unwrap().unwrap();
    assert!(
        Handle::ptr_eq(&classes.get(&2).unwrap(), &two)
            && Handle::ptr_eq(&classes.get(&0).unwrap(), &zero)
    );
    assert_eq!(classes.len(), 2);
}

#[test]
fn a_draft_that_was_never_entered_is_found_by_nobody_and_weak_handles_to_it_stay_empty() {
    let classes = Classes::new();
    let stash = Mutex::new(None);
    let other = Mutex::new(None);
    let landed = classes.entry(1).or_create_cyclic(
        |_| Class::allocate(),
        |class| {
            *stash.lock().unwrap() = Some(class.clone());
            let two = classes.entry(2).or_create_cyclic(
                |_| Class::allocate(),
                |_| {
                    assert!(Handle::ptr_eq(&classes.get(&1).unwrap(), class));
                },
            );
            drop(two);
            *other.lock().unwrap() = Some(classes.insert(1, Class::allocate()).0);
        },
    );
    let draft = stash.into_inner().unwrap().unwrap();
    assert!(
        Handle::ptr_eq(&landed, other.lock().unwrap().as_ref().unwrap())
            && !Handle::ptr_eq(&draft, &landed)
    );
    let weak = Handle::downgrade(&draft);
    assert!(weak.upgrade().is_none() && !weak.is_alive() && weak.strong_count() == 0);
    // It is an owner like any other, but for that.
    let again = draft.clone();
    assert_eq!(Handle::strong_count(&draft), 2);
    assert!(
        !classes.remove_same(&draft)
            && classes.compare_exchange(&draft, Class::allocate()).is_err()
    );
    drop((draft, again));
    assert!(weak.upgrade().is_none());
    assert!(Handle::ptr_eq(&classes.get(&1).unwrap(), &landed));
}

#[test]
fn a_plain_creation_in_the_middle_of_a_family_belongs_to_it() {
    let classes = Classes::new();
    let others: Registry<&str, Handle<u32, Class>> = Registry::new();
    let kept = Mutex::new(None);
    let zero = classes.entry(0).or_create_cyclic(
        |_| Class::allocate(),
        |zero| {
            let plain = others.get_or_insert_with("plain", |_| classes.get(&0).unwrap());
            assert!(Handle::ptr_eq(&(*plain), zero));
            assert!(
                Handle::ptr_eq(&others.get("plain").unwrap(), &plain),
                "seen by the family"
            );
            let found =
                thread::scope(|s| s.spawn(|| others.get("plain").is_some()).join().unwrap());
            assert!(!found, "and by nobody else");
            *kept.lock().unwrap() = Some(plain);
        },
    );
    let plain = kept.lock().unwrap().take().unwrap();
    assert!(
        Handle::ptr_eq(&others.get("plain").unwrap(), &plain) && Handle::ptr_eq(&(*plain), &zero)
    );
    drop(plain);
    assert!(others.is_empty());
}

#[test]
fn a_registry_may_go_before_what_was_made_in_it_is_entered() {
    let classes = Classes::new();
    let gone = Arc::new(());
    let kept = Mutex::new(None);
    let zero = classes.entry(0).or_create_cyclic(
        |_| Class::allocate(),
        |_| {
            let local: Registry<u32, (Handle<u32, Class>, Arc<()>)> = Registry::new();
            let value = local.get_or_insert_with(1, |_| (classes.get(&0).unwrap(), gone.clone()));
            // Moved, and dropped.
            let moved = Box::new(local);
            assert!(Handle::ptr_eq(&moved.get(&1).unwrap(), &value));
            drop(moved);
            *kept.lock().unwrap() = Some(value);
        },
    );
    let value = kept.lock().unwrap().take().unwrap();
    assert!(Handle::ptr_eq(&value.0, &zero));
    drop(value);
    assert_eq!(Arc::strong_count(&gone), 1);
}

#[test]
fn allocate_that_asks_for_its_own_key_is_a_cycle() {
    let classes = Classes::new();
    let error = classes.entry(0).or_try_create_cyclic(
        |_| {
            classes
                .get_or_try_insert_with(0, |_| Ok(Class::allocate()))
                .map(|_| Class::allocate())
                .map_err(flat)
        },
        |_| Ok::<_, Refused>(()),
    );
    assert!(error.is_err() && classes.is_empty());
}

#[test]
fn a_value_inserted_meanwhile_is_what_the_caller_gets() {
    let classes = Classes::new();
    let mut inserted = None;
    let got = classes.entry(0).or_create_cyclic(
        |_| Class::allocate(),
        |class| {
            let other = thread::scope(|s| {
                s.spawn(|| classes.insert(0, Class::allocate()).0)
                    .join()
                    .unwrap()
            });
            assert!(!Handle::ptr_eq(&other, class));
            inserted = Some(other);
        },
    );
    assert!(Handle::ptr_eq(&inserted.unwrap(), &got) && classes.len() == 1);
}

#[test]
fn a_family_of_thousands_on_one_thread_takes_no_time_to_speak_of() {
    let build_all = || {
        let (classes, owners) = (Classes::new(), Owners::default());
        // A chain that leads back from everywhere to the first, the one before and one in the middle.
        let friends = |name: u32| match name {
            1999 => vec![0, 1000],
            _ => vec![name.saturating_sub(1), name / 2, name + 1],
        };
        let first = build(&classes, &owners, 0, &friends).unwrap();
        assert_eq!(classes.len(), 2000);
        drop(first);
        owners.lock().unwrap().clear();
        assert!(classes.is_empty());
    };
    let thread = thread::Builder::new()
        .stack_size(256 << 20)
        .spawn(build_all);
    thread.unwrap().join().unwrap();
}
