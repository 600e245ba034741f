//! `after_fork`: behaviours 3.3 to 3.5 of `BEHAVIOURS.md`, as far as no process is forked: `run` is called here. Real forks are in `tests/process.rs`.

use crate::common::{panic_of, Census, Citizen};
use highlander::pointer::Watched;
use highlander::registries::after_fork::AfterFork;
use highlander::Registry;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

type Log = Arc<Mutex<Vec<u32>>>;

#[test]
fn an_object_is_not_kept_and_what_is_registered_twice_runs_twice() {
    let (after_fork, census) = (AfterFork::new(), Census::new());
    let (object, runs) = (Arc::new(census.citizen()), Arc::new(AtomicUsize::new(0)));
    let count = {
        let runs = Arc::clone(&runs);
        move |_: &Arc<Citizen>| {
            runs.fetch_add(1, SeqCst);
        }
    };
    after_fork.register(&object, count.clone());
    after_fork.register(&object, count);
    assert_eq!((Arc::strong_count(&object), after_fork.len()), (1, 2));
    assert_eq!((after_fork.prepare().run().run, runs.load(SeqCst)), (2, 2));
    drop(object);
    assert_eq!((census.alive(), after_fork.len()), (0, 0));
    assert_eq!(after_fork.prepare().run().run, 0);
}

#[test]
fn functions_run_in_the_order_of_registration_and_the_dead_are_passed_over() {
    let (after_fork, log) = (AfterFork::new(), Log::default());
    let objects: Vec<_> = (0..100).map(Watched::new).collect();
    let first = objects.len() as u32;
    for object in &objects {
        let log = Arc::clone(&log);
        after_fork.register(object, move |object: &Watched<u32>| {
            log.lock().unwrap().push(**object);
        });
    }
    let odd: Vec<_> = objects.into_iter().filter(|n| **n % 2 == 1).collect();
    assert_eq!(after_fork.prepare().run().run, 50);
    let expected: Vec<_> = (0..first).filter(|n| n % 2 == 1).collect();
    assert_eq!(*log.lock().unwrap(), expected);
    drop(odd);
}

#[test]
fn a_panic_does_not_stop_the_rest() {
    let (after_fork, log) = (AfterFork::new(), Log::default());
    let object = Arc::new(());
    for i in 0..4 {
        let log = Arc::clone(&log);
        after_fork.register(&object, move |_: &Arc<()>| {
            assert_ne!(i, 1, "one");
            log.lock().unwrap().push(i);
        });
    }
    let ran = after_fork.prepare().run();
    assert_eq!((ran.run, ran.panicked), (4, 1));
    assert_eq!(*log.lock().unwrap(), [0, 2, 3]);
}

/// What is prepared is owned until it has run; what dies before is not called, what comes after is not either.
#[test]
fn the_snapshot_owns_the_objects() {
    let (after_fork, census, log) = (AfterFork::new(), Census::new(), Log::default());
    let (one, two) = (
        Watched::new(census.citizen()),
        Watched::new(census.citizen()),
    );
    for (number, object) in [(1, &one), (2, &two)] {
        let log = Arc::clone(&log);
        after_fork.register(object, move |_: &Watched<Citizen>| {
            log.lock().unwrap().push(number)
        });
    }
    drop(one);
    let prepared = after_fork.prepare();
    assert_eq!((prepared.len(), prepared.is_empty()), (1, false));
    drop(two);
    assert_eq!((census.alive(), after_fork.len()), (1, 1));
    prepared.run();
    assert_eq!((census.alive(), after_fork.len()), (1, 1));
    drop(prepared);
    assert_eq!((census.alive(), after_fork.len()), (0, 0));
    assert_eq!(*log.lock().unwrap(), [2]);
}

/// bpo-17555: a registry that is passed on from child to child does not grow. Here, one whose objects come and go does not.
#[test]
fn the_registry_does_not_grow() {
    let after_fork = AfterFork::new();
    for generation in 0..10_000 {
        let object = Arc::new(generation);
        after_fork.register(&object, |_: &Arc<u32>| ());
        let watched = Watched::new(generation);
        after_fork.register(&watched, |_: &Watched<u32>| ());
        assert!(after_fork.len() <= 2);
    }
    // Arcs do not report their death; see what a `WeakValueMap` says of dead entries.
    assert!(after_fork.is_empty());
}

#[test]
fn a_function_may_register_and_fork_hooks_may_nest() {
    static AFTER_FORK: AfterFork = AfterFork::new();
    let (log, object) = (Log::default(), Arc::new(7));
    let inner = Arc::clone(&log);
    AFTER_FORK.register(&object, move |object: &Arc<u32>| {
        let log = Arc::clone(&inner);
        AFTER_FORK.register(object, move |_: &Arc<u32>| log.lock().unwrap().push(2));
        inner.lock().unwrap().push(1);
    });
    AFTER_FORK.prepare().run();
    assert_eq!(
        *log.lock().unwrap(),
        [1],
        "what comes meanwhile is for the next fork"
    );
    AFTER_FORK.prepare().run();
    assert_eq!(*log.lock().unwrap(), [1, 1, 2]);
}

#[test]
fn the_function_goes_with_the_object() {
    let (after_fork, census) = (AfterFork::new(), Census::new());
    let registry: Registry<u32, u32> = Registry::new();
    let handle = registry.get_or_insert_with(1, |_| 1);
    let citizen = census.citizen();
    after_fork.register(&handle, move |_: &highlander::Handle<u32, u32>| {
        let _ = &citizen;
    });
    drop(handle);
    assert!(after_fork.is_empty());
    drop(after_fork);
    assert_eq!(census.alive(), 0);
}

#[test]
fn around_runs_nothing_in_the_parent() {
    let after_fork = AfterFork::new();
    let object = Arc::new(());
    after_fork.register(&object, |_: &Arc<()>| unreachable!());
    assert_eq!(after_fork.around(|| 7), 7);
    assert_eq!(Arc::strong_count(&object), 1);
}

#[test]
fn many_threads_register_and_prepare() {
    let after_fork = AfterFork::new();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut kept = Vec::new();
                for i in 0..1000 {
                    let object = Watched::new(i);
                    after_fork.register(&object, |_: &Watched<u32>| ());
                    if i % 2 == 0 {
                        kept.push(object);
                    }
                }
            });
        }
        for _ in 0..20 {
            let prepared = after_fork.prepare();
            let expected = prepared.len();
            assert_eq!(prepared.run().run, expected);
        }
    });
    assert!(after_fork.is_empty());
}

/// The snapshot may be the last owner.
#[test]
fn an_object_that_panics_when_it_goes_stops_nothing_either() {
    struct Bomb {
        _citizen: Citizen,
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("gone");
        }
    }
    let (after_fork, census) = (AfterFork::new(), Census::new());
    let objects: Vec<_> = (0..3)
        .map(|_| {
            Arc::new(Bomb {
                _citizen: census.citizen(),
            })
        })
        .collect();
    for object in &objects {
        after_fork.register(object, |object| drop(Arc::clone(object)));
    }
    let prepared = after_fork.prepare();
    drop(objects);
    assert_eq!(census.alive(), 3);
    let ran = prepared.run();
    assert_eq!((ran.run, ran.panicked, census.alive()), (3, 0, 3));
    assert_eq!(panic_of(|| drop(prepared)), "gone");
    assert_eq!(
        census.alive(),
        0,
        "each goes, whatever becomes of the others"
    );
}

#[test]
fn what_reports_its_death_leaves_at_once_with_its_function() {
    let (after_fork, census) = (AfterFork::new(), Census::new());
    let registry: Registry<u32, u32> = Registry::new();
    let (watched, handle) = (Watched::new(1), registry.get_or_insert_with(1, |key| *key));
    let (one, two) = (census.citizen(), census.citizen());
    after_fork.register(&watched, move |_| {
        let _ = &one;
    });
    after_fork.register(&handle, move |_| {
        let _ = &two;
    });
    assert_eq!((after_fork.len(), Watched::entry_count(&watched)), (2, 1));
    drop(watched);
    assert_eq!((after_fork.len(), census.alive()), (1, 1));
    drop(handle);
    assert_eq!((after_fork.is_empty(), census.alive()), (true, 0));
}
