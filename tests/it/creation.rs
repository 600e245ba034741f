//! Creating values: one flight per key, and what is left of one that fails.

use crate::common::{flat, panic_of, promptly, Census, Citizen, Colliding};
use highlander::error::{CreateError, CycleError, Refused};
use highlander::{Handle, Registry};
use std::io;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{mpsc, Arc, Barrier};
use std::thread;
use std::time::Duration;

const CYCLE: &str = "the creation of a value asked for the value that it is creating";

/// Waits until `n` calls for `key` besides its creator's sleep on its flight, or are about to. The flight itself cannot be watched
/// from outside, so this counts those who have come as far as the call.
struct Arrivals(AtomicUsize);

impl Arrivals {
    fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    fn arrive(&self) {
        self.0.fetch_add(1, SeqCst);
    }

    fn wait_for(&self, n: usize) {
        while self.0.load(SeqCst) < n {
            thread::yield_now();
        }
        // Some turns more for the last of them to board.
        (0..100).for_each(|_| thread::yield_now());
    }
}

#[test]
fn of_many_callers_one_creates_and_all_get_its_value() {
    for round in 0..50 {
        let (registry, barrier): (Registry<u32, usize>, _) = (Registry::new(), Barrier::new(8));
        let created = AtomicUsize::new(0);
        let handles: Vec<_> = thread::scope(|scope| {
            let callers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        registry.get_or_insert_with(round, |_| {
                            thread::yield_now();
                            created.fetch_add(1, SeqCst)
                        })
                    })
                })
                .collect();
            callers
                .into_iter()
                .map(|caller| caller.join().unwrap())
                .collect()
        });
        assert_eq!(created.load(SeqCst), 1);
        assert!(handles
            .iter()
            .all(|handle| Handle::ptr_eq(handle, &handles[0])));
        assert_eq!(
            (registry.len(), Handle::strong_count(&handles[0])),
            (1, 8),
            "the flight keeps no owner"
        );
    }
}

#[test]
fn waiters_get_the_value_even_if_its_creator_drops_it_at_once() {
    promptly(|| {
        let registry: Registry<u32, u32> = Registry::new();
        let (arrivals, created) = (Arrivals::new(), AtomicUsize::new(0));
        let entered = Barrier::new(5);
        thread::scope(|scope| {
            let waiters: Vec<_> = (0..4)
                .map(|_| {
                    let (registry, arrivals, created, entered) =
                        (&registry, &arrivals, &created, &entered);
                    scope.spawn(move || {
                        entered.wait();
                        arrivals.arrive();
                        registry.get_or_insert_with(1, |_| created.fetch_add(1, SeqCst) as u32)
                    })
                })
                .collect();
            drop(registry.get_or_insert_with(1, |_| {
                entered.wait();
                arrivals.wait_for(4);
                created.fetch_add(1, SeqCst) as u32
            }));
            let handles: Vec<_> = waiters.into_iter().map(|w| w.join().unwrap()).collect();
            assert!(
                handles.iter().all(|h| Handle::ptr_eq(h, &handles[0])),
                "alive at once, so the same"
            );
        });
        assert_eq!(registry.len(), 0);
    });
}

#[test]
fn other_keys_are_not_held_up_by_a_creation() {
    promptly(|| {
        fn check<S: std::hash::BuildHasher + Default + Sync>() {
            let registry: Registry<u32, u32, S> = Registry::default();
            let (inside, outside) = (Barrier::new(2), Barrier::new(2));
            thread::scope(|scope| {
                let slow = scope.spawn(|| {
                    registry.get_or_insert_with(0, |_| {
                        inside.wait();
                        outside.wait(); // while this sleeps, everything else goes on
                        0
                    })
                });
                inside.wait();
                let others: Vec<_> = (1..100)
                    .map(|i| registry.get_or_insert_with(i, |i| *i))
                    .collect();
                assert!(registry.get(&0).is_none(), "not yet complete, so not there");
                assert_eq!(
                    (registry.len(), registry.iter().len(), others.len()),
                    (99, 99, 99)
                );
                registry.shrink_to_fit();
                assert_eq!(registry.clear(), 99);
                outside.wait();
                assert_eq!(*slow.join().unwrap(), 0);
            });
        }
        check::<highlander::hash::DefaultHashBuilder>();
        check::<Colliding>();
    });
}

#[test]
fn a_failed_creation_leaves_nothing_and_its_error_comes_back_as_it_is() {
    let census = Census::new();
    let registry: Registry<String, Citizen> = Registry::new();
    for _ in 0..3 {
        let error = registry
            .get_or_try_insert_with("k".into(), |key| Err::<Citizen, _>(format!("no {key}")))
            .unwrap_err();
        assert_eq!(error, CreateError::Failed("no k".to_string()));
        assert!(registry.get("k").is_none());
        assert_eq!(
            (registry.len(), registry.iter().len(), registry.is_empty()),
            (0, 0, true)
        );
    }
    let held = registry
        .get_or_try_insert_with("k".into(), |_| Ok::<_, String>(census.citizen()))
        .unwrap();
    assert_eq!((registry.len(), census.alive()), (1, 1));
    drop(held);
}

#[test]
fn a_panicking_creation_leaves_nothing_and_the_panic_goes_to_its_caller() {
    let registry: Registry<String, u32> = Registry::new();
    for _ in 0..3 {
        assert_eq!(
            panic_of(|| registry.get_or_insert_with("k".into(), |key| panic!("boom {key}"))),
            "boom k"
        );
        assert!(registry.get("k").is_none());
        assert_eq!(registry.len(), 0);
    }
    assert_eq!(*registry.get_or_insert_with("k".into(), |_| 7), 7);
}

#[test]
fn after_a_failure_one_of_the_waiters_creates_next() {
    promptly(|| {
        #[derive(Clone, Copy, PartialEq, Debug)]
        enum End {
            Error,
            Panic,
        }
        for end in [End::Error, End::Panic] {
            let registry: Registry<u32, usize> = Registry::new();
            let (attempts, running, arrivals) =
                (AtomicUsize::new(0), AtomicUsize::new(0), Arrivals::new());
            let results: Vec<_> = thread::scope(|scope| {
                let callers: Vec<_> = (0..6)
                    .map(|_| {
                        scope.spawn(|| {
                            arrivals.arrive();
                            catch_unwind(AssertUnwindSafe(|| {
                                registry.get_or_try_insert_with(1, |_| {
                                    assert_eq!(running.fetch_add(1, SeqCst), 0, "one at a time");
                                    arrivals.wait_for(6);
                                    let attempt = attempts.fetch_add(1, SeqCst);
                                    running.fetch_sub(1, SeqCst);
                                    match end {
                                        _ if attempt == 3 => Ok(attempt),
                                        End::Error => Err(format!("attempt {attempt}")),
                                        End::Panic => panic!("attempt {attempt}"),
                                    }
                                })
                            }))
                        })
                    })
                    .collect();
                callers
                    .into_iter()
                    .map(|caller| caller.join().unwrap())
                    .collect()
            });
            let handles: Vec<_> = results.iter().flatten().flatten().collect();
            let errors = results
                .iter()
                .flatten()
                .filter(|result| result.is_err())
                .count();
            let panics = results.iter().filter(|result| result.is_err()).count();
            assert_eq!(
                (attempts.load(SeqCst), handles.len()),
                (4, 3),
                "three failed, the rest share the fourth"
            );
            assert_eq!(
                (errors, panics),
                if end == End::Error { (3, 0) } else { (0, 3) }
            );
            assert!(handles
                .iter()
                .all(|handle| ***handle == 3 && Handle::ptr_eq(handle, handles[0])));
            assert_eq!(registry.len(), 1);
        }
    });
}

#[test]
fn each_caller_has_an_error_type_of_its_own() {
    promptly(|| {
        let registry: Registry<u32, u32> = Registry::new();
        let (inside, arrivals) = (Barrier::new(2), Arrivals::new());
        thread::scope(|scope| {
            let creator = scope.spawn(|| {
                registry.get_or_try_insert_with(1, |_| {
                    inside.wait();
                    arrivals.wait_for(1);
                    Err::<u32, _>(io::Error::other("disk"))
                })
            });
            inside.wait();
            arrivals.arrive();
            let mine = registry.get_or_try_insert_with(1, |_| Err::<u32, _>("net".to_string()));
            assert_eq!(mine.unwrap_err(), CreateError::Failed("net".to_string()));
            assert_eq!(creator.join().unwrap().unwrap_err().to_string(), "disk");
        });
        assert_eq!(registry.len(), 0);
    });
}

#[test]
fn a_factory_that_asks_for_its_own_key_gets_an_error() {
    promptly(|| {
        let registry: Registry<u32, u32> = Registry::new();
        let inner = |key| {
            let never = |_: &u32| -> Result<u32, Refused> { unreachable!() };
            registry.get_or_try_insert_with(key, never).map_err(flat)
        };
        let outer = registry.get_or_try_insert_with(1, |_| inner(1).map(|value| *value));
        let text = outer.map_err(flat).unwrap_err().to_string();
        assert!(text.starts_with(CYCLE), "{text}");
        assert!(text.contains("a key of type `u32`"), "{text}");
        assert_eq!(registry.len(), 0);

        // A factory that copes with it goes on as if nothing had been.
        let value = registry.get_or_insert_with(1, |_| if inner(1).is_err() { 42 } else { 0 });
        assert_eq!(
            (*value, registry.len(), Handle::strong_count(&value)),
            (42, 1, 1)
        );
    });
}

#[test]
fn a_factory_that_asks_for_its_own_key_and_cannot_fail_panics_with_a_clear_text() {
    promptly(|| {
        let registry: Registry<u32, u32> = Registry::new();
        let recurse = |_: &u32| *registry.get_or_insert_with(1, |_| unreachable!());
        let text = panic_of(|| registry.get_or_insert_with(1, recurse));
        assert!(text.starts_with(CYCLE), "{text}");
        assert_eq!(registry.len(), 0);
        assert_eq!(*registry.get_or_insert_with(1, |_| 5), 5);
        let by_ref = panic_of(|| {
            registry.entry_ref(&2).key_with(|k| *k).or_insert_with(|_| {
                *registry
                    .entry_ref(&2)
                    .key_with(|k| *k)
                    .or_insert_with(|_| 0)
            })
        });
        assert!(by_ref.starts_with(CYCLE), "{by_ref}");
    });
}

#[test]
fn a_cycle_through_other_keys_on_one_thread_is_found() {
    promptly(|| {
        fn value_of<S: std::hash::BuildHasher>(
            registry: &Registry<u32, u32, S>,
            key: u32,
            last: u32,
        ) -> Result<Handle<u32, u32>, Refused> {
            let next = (key + 1) % (last + 1);
            let value = registry.get_or_try_insert_with(key, |key| {
                value_of(registry, next, last).map(|inner| *inner + key)
            });
            value.map_err(flat)
        }
        let registry: Registry<u32, u32> = Registry::new();
        let colliding: Registry<u32, u32, Colliding> = Registry::default();
        for last in [1, 2, 20] {
            assert!(
                value_of(&registry, 0, last).is_err(),
                "0 asks for 1 asks for … asks for 0"
            );
            assert!(value_of(&colliding, 0, last).is_err());
        }
        assert_eq!((registry.len(), colliding.len()), (0, 0));

        // The one in the middle may cope: A -> B -> A fails inside B, and B and A are made all the same.
        let a = registry.get_or_insert_with(100, |_| {
            *registry.get_or_insert_with(101, |_| {
                registry
                    .get_or_try_insert_with(100, |_| Ok::<u32, Refused>(0))
                    .map_or(7, |a| *a)
            })
        });
        assert_eq!(*a, 7);
    });
}

#[test]
fn factories_may_create_other_keys_however_deeply() {
    promptly(|| {
        fn depth<S: std::hash::BuildHasher>(
            registry: &Registry<u32, Held, S>,
            key: u32,
        ) -> Handle<u32, Held> {
            registry.get_or_insert_with(key, |key| {
                Held(key.checked_sub(1).map(|less| depth_boxed(registry, less)))
            })
        }
        fn depth_boxed<S: std::hash::BuildHasher>(
            registry: &Registry<u32, Held, S>,
            key: u32,
        ) -> Box<Handle<u32, Held>> {
            Box::new(depth(registry, key))
        }
        struct Held(Option<Box<Handle<u32, Held>>>);
        let registry: Registry<u32, Held> = Registry::new();
        let top = depth(&registry, 200);
        assert_eq!(registry.len(), 201);
        assert!(Handle::ptr_eq(
            &registry.get(&199).unwrap(),
            top.0.as_ref().unwrap()
        ));
        drop(top);
        assert_eq!(registry.len(), 0);
        let colliding: Registry<u32, Held, Colliding> = Registry::default();
        let top = depth(&colliding, 50);
        assert_eq!(colliding.len(), 51);
        drop(top);
        assert_eq!(colliding.len(), 0);
    });
}

#[test]
fn the_same_key_may_be_created_in_another_registry_meanwhile() {
    let (one, two): (Registry<u32, u32>, Registry<u32, u32>) = (Registry::new(), Registry::new());
    let value = one.get_or_insert_with(1, |_| *two.get_or_insert_with(1, |_| 5) + 1);
    assert_eq!((*value, one.len(), two.len()), (6, 1, 0));
}

#[test]
fn a_value_entered_while_its_key_is_being_created_is_the_one() {
    let census = Census::new();
    let registry: Registry<u32, (u32, Citizen)> = Registry::new();
    let mut entered = None;
    let created = registry.get_or_insert_with(1, |_| {
        entered = Some(registry.try_insert(1, (10, census.citizen())).unwrap());
        (20, census.citizen())
    });
    assert_eq!(created.0, 10);
    assert!(Handle::ptr_eq(&created, &entered.unwrap()));
    assert_eq!(
        (registry.len(), census.born(), census.alive()),
        (1, 2, 1),
        "the one made in vain is dropped"
    );
    drop(created);
    assert_eq!((registry.len(), census.alive()), (0, 0));
}

#[test]
fn a_value_entered_and_gone_while_its_key_is_being_created_leaves_the_key_to_the_creator() {
    let registry: Registry<u32, u32> = Registry::new();
    let created = registry.get_or_insert_with(1, |_| {
        drop(registry.insert(1, 10));
        20
    });
    assert_eq!((*created, registry.len()), (20, 1));
}

// What was made in vain is dropped with no lock of ours held.
#[test]
fn the_drop_of_a_value_made_in_vain_may_wait_for_those_who_wait_for_its_key() {
    struct Patient {
        wait_for: Option<mpsc::Receiver<()>>,
        in_time: Arc<AtomicUsize>,
    }
    // A destructor that joins a worker, which is asleep on this very flight.
    impl Drop for Patient {
        fn drop(&mut self) {
            if let Some(worker) = self.wait_for.take() {
                if worker.recv_timeout(Duration::from_secs(3)).is_ok() {
                    self.in_time.fetch_add(1, SeqCst);
                }
            }
        }
    }
    promptly(|| {
        let registry: Registry<u32, std::sync::Mutex<Patient>> = Registry::new();
        let (arrivals, inside) = (Arrivals::new(), Barrier::new(2));
        let in_time = Arc::new(AtomicUsize::new(0));
        let value = |wait_for| {
            std::sync::Mutex::new(Patient {
                wait_for,
                in_time: in_time.clone(),
            })
        };
        let (worker_done, wait_for_worker) = mpsc::channel();
        thread::scope(|scope| {
            let (registry, arrivals, inside, value) = (&registry, &arrivals, &inside, &value);
            scope.spawn(move || {
                inside.wait();
                arrivals.arrive();
                let _got = registry.get_or_insert_with(1, |_| value(None));
                let _ = worker_done.send(());
            });
            let mut entered = None;
            let _created = registry.get_or_insert_with(1, |_| {
                inside.wait();
                arrivals.wait_for(1);
                entered = Some(registry.insert(1, value(None)));
                value(Some(wait_for_worker))
            });
        });
        assert_eq!(
            in_time.load(SeqCst),
            1,
            "the waiter slept until the destructor had ended"
        );
    });
}

#[test]
fn a_creator_finds_the_key_that_it_was_called_with() {
    let registry: Registry<Vec<u8>, usize> = Registry::new();
    let key = vec![1, 2, 3];
    let address = key.as_ptr();
    let value = registry.get_or_insert_with(key, |key| {
        assert_eq!(key.as_ptr(), address);
        key.len()
    });
    assert_eq!(
        Handle::key(&value).as_ptr(),
        address,
        "moved in, not cloned"
    );
}

#[test]
fn a_cycle_turns_into_the_errors_that_factories_use() {
    let cycle = |()| {
        let registry: Registry<u32, u32> = Registry::new();
        let inner = || {
            let value = registry.get_or_try_insert_with(1, |_| Ok::<u32, Refused>(0));
            value.map(|value| *value).map_err(flat)
        };
        let outer = registry.get_or_try_insert_with(1, |_| inner());
        outer.map_err(flat).unwrap_err()
    };
    let Refused::Cycle(error) = cycle(()) else {
        panic!("it is not closed")
    };
    let text = error.to_string();
    assert!(text.starts_with(CYCLE), "{text}");
    assert!(format!("{error:?}").starts_with("CycleError("), "{error:?}");
    let refused = Refused::from(error.clone());
    assert_eq!(refused, Refused::Cycle(error.clone()));
    assert_eq!(refused.to_string(), text);
    let io: io::Error = CreateError::<io::Error>::from(error.clone()).into();
    assert_eq!(
        (io.kind(), io.to_string()),
        (io::ErrorKind::Other, text.clone())
    );
    assert_eq!(io.get_ref().unwrap().downcast_ref(), Some(&refused));
    let string = CreateError::<String>::from(error.clone());
    assert_eq!(string.map_refused(|refused| refused.to_string()), text);
    assert_eq!(
        CreateError::<u8>::from(error.clone()),
        CreateError::Refused(refused)
    );
    let boxed: Box<dyn std::error::Error + Send + Sync> = error.into();
    assert!(boxed.is::<CycleError>());
}

#[test]
fn each_factory_error_type_learns_of_a_cycle() {
    let registry: Registry<u32, u32> = Registry::new();
    let error = registry
        .get_or_try_insert_with(1, |_| {
            let again = registry.get_or_try_insert_with(1, |_| Ok::<_, io::Error>(1))?;
            Ok::<_, io::Error>(*again)
        })
        .unwrap_err();
    let error = io::Error::from(error);
    assert!(matches!(
        error.get_ref().unwrap().downcast_ref(),
        Some(Refused::Cycle(_))
    ));
    let error = registry
        .get_or_try_insert_with(1, |_| {
            registry
                .get_or_try_insert_with(1, |_| Ok::<_, io::ErrorKind>(1))
                .map(|v| *v)
        })
        .unwrap_err();
    assert!(matches!(
        flat(error),
        CreateError::Refused(Refused::Cycle(_))
    ));
}

#[test]
fn a_creation_error_prints_as_what_it_is() {
    use std::error::Error;
    let failed = CreateError::Failed(io::Error::other("disk"));
    assert_eq!(
        (failed.to_string(), failed.source().is_none()),
        ("disk".to_string(), true)
    );
    assert_eq!(format!("{:?}", CreateError::Failed("x")), r#"Failed("x")"#);
    let registry: Registry<u32, u32> = Registry::new();
    let cycle = registry
        .get_or_try_insert_with(1, |_| {
            registry
                .get_or_try_insert_with(1, |_| Ok::<_, &str>(1))
                .map(|v| *v)
        })
        .map_err(flat)
        .unwrap_err();
    assert!(cycle.to_string().starts_with(CYCLE), "{cycle}");
    assert!(
        format!("{cycle:?}").starts_with("Refused(Cycle(CycleError("),
        "{cycle:?}"
    );
}

struct Parent {
    children: Vec<Child>,
    _citizen: Citizen,
}

struct Child {
    parent: highlander::WeakHandle<u32, Parent>,
}

fn parent(me: &highlander::WeakHandle<u32, Parent>, census: &Census) -> Parent {
    assert!(me.upgrade().is_none() && !me.is_alive(), "not yet");
    let child = || Child { parent: me.clone() };
    Parent {
        children: (0..3).map(|_| child()).collect(),
        _citizen: census.citizen(),
    }
}

#[test]
fn a_factory_may_give_the_value_its_own_weak_handle() {
    let (registry, census) = (Registry::<u32, Parent>::new(), Census::new());
    let one = registry.entry(1).or_insert_cyclic(|key, me| {
        assert_eq!(*key, 1);
        parent(me, &census)
    });
    for child in &one.children {
        assert!(Handle::ptr_eq(&child.parent.upgrade().unwrap(), &one));
        assert!(child.parent.ptr_eq(&Handle::downgrade(&one)));
    }
    let same = registry.entry(1).or_insert_cyclic(|_, _| unreachable!());
    assert!(Handle::ptr_eq(&same, &one));
    let weak = one.children[0].parent.clone();
    assert_eq!(weak.strong_count(), 2);
    drop((one, same));
    assert!(weak.upgrade().is_none());
    assert_eq!((census.alive(), registry.len()), (0, 0));
}

#[test]
fn the_weak_handle_of_a_value_that_is_never_entered_stays_dead() {
    let (registry, census) = (Registry::<u32, Parent>::new(), Census::new());
    let mut kept = Vec::new();
    let failed = registry.entry(1).or_try_insert_cyclic(|_, me| {
        kept.push(me.clone());
        drop(parent(me, &census));
        Err(CreateError::Failed("no"))
    });
    assert!(failed.is_err());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        registry.entry(1).or_insert_cyclic(|_, me| {
            kept.push(me.clone());
            panic!("no")
        })
    }));
    assert!(panicked.is_err());
    // Another value is entered while this one is made.
    let entered = registry.entry(1).or_insert_cyclic(|_, me| {
        kept.push(me.clone());
        let other = Parent {
            children: Vec::new(),
            _citizen: census.citizen(),
        };
        // Forgotten, so that it is still there when the one made here comes.
        crate::common::forever(registry.try_insert(1, other));
        parent(me, &census)
    });
    assert!(entered.children.is_empty());
    assert!(kept.iter().all(|weak| weak.upgrade().is_none()));
    assert_eq!(census.alive(), 1);
}

#[test]
fn those_who_wait_see_the_value_with_its_weak_handle() {
    promptly(|| {
        for _ in 0..100 {
            let (registry, census) = (Registry::<u32, Parent>::new(), Census::new());
            let start = Barrier::new(4);
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        start.wait();
                        let value = registry
                            .entry(1)
                            .or_insert_cyclic(|_, me| parent(me, &census));
                        assert!(Handle::ptr_eq(
                            &value.children[2].parent.upgrade().unwrap(),
                            &value
                        ));
                    });
                }
            });
            assert_eq!((census.alive(), registry.len()), (0, 0));
        }
    });
}
