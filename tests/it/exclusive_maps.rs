//! Exclusive maps: a value is made when the destructor of the one before has ended, however that entry has gone.

use crate::common::{is_in_flight, promptly, Slow};
use highlander::error::{CreateError, CycleError, Refused};
use highlander::map::Claim;
use highlander::pointer::Watched;
use highlander::{Handle, Registry, WeakKeyValueMap, WeakValueMap};
use std::hash::{Hash, Hasher};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{mpsc, Arc, Weak};
use std::thread;

/// Something of which there can be one at a time.
struct Port {
    in_use: Arc<AtomicBool>,
    opened: Arc<AtomicUsize>,
}

impl Port {
    fn open(in_use: &Arc<AtomicBool>, opened: &Arc<AtomicUsize>) -> Self {
        assert!(!in_use.swap(true, SeqCst), "in use");
        opened.fetch_add(1, SeqCst);
        Port {
            in_use: in_use.clone(),
            opened: opened.clone(),
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        thread::yield_now();
        assert!(self.opened.load(SeqCst) > 0);
        assert!(self.in_use.swap(false, SeqCst));
    }
}

fn exclusive<K: std::hash::Hash + Eq + Send + Sync + 'static, T: Send + Sync + 'static>(
) -> WeakValueMap<K, Watched<T>> {
    WeakValueMap::new().exclusive()
}

#[test]
fn of_many_creators_none_comes_before_the_end_of_the_one_before() {
    promptly(|| {
        let ports: WeakValueMap<usize, Watched<Port>> = exclusive();
        let in_use: [Arc<AtomicBool>; 2] = Default::default();
        let opened = Arc::default();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 0..2000 {
                        let port = n % 2;
                        let open = |_: &usize| Watched::new(Port::open(&in_use[port], &opened));
                        drop(ports.get_or_insert_with(port, open));
                        // What finds the dead must not hide that they have not ended.
                        ports.prune();
                        ports.get(&port);
                    }
                });
            }
        });
        assert!(ports.is_empty() && opened.load(SeqCst) > 0);
    });
}

/// Keeps its key alive, but not to its own end.
struct KeyedPort {
    key: Option<Arc<usize>>,
    _port: Port,
}

impl Drop for KeyedPort {
    fn drop(&mut self) {
        thread::yield_now();
        self.key = None;
    }
}

#[test]
fn of_both_sides_weak_it_is_the_value_that_is_waited_for() {
    promptly(|| {
        let map: WeakKeyValueMap<Arc<usize>, Watched<KeyedPort>> =
            WeakKeyValueMap::new().exclusive();
        let (in_use, opened) = (Arc::default(), Arc::default());
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        // A new key each time. That of a value dies in its destructor, before the port is closed.
                        let open = |key: &Arc<usize>| {
                            Watched::new(KeyedPort {
                                key: Some(key.clone()),
                                _port: Port::open(&in_use, &opened),
                            })
                        };
                        drop(map.get_or_insert_with(&Arc::new(7), open));
                    }
                });
            }
        });
        assert!(opened.load(SeqCst) > 0 && map.is_empty());
    });
}

#[test]
fn handles_report_their_end_too() {
    promptly(|| {
        static VALUES: Registry<u32, Port> = Registry::new();
        let map: WeakValueMap<&str, Handle<u32, Port>> = WeakValueMap::new().exclusive();
        let (in_use, opened) = (Arc::default(), Arc::default());
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        drop(map.get_or_insert_with("port", |_| {
                            VALUES.insert(1, Port::open(&in_use, &opened)).0
                        }));
                    }
                });
            }
        });
        assert!(opened.load(SeqCst) > 0 && map.is_empty());
    });
}

#[test]
fn look_ups_and_insertions_do_not_wait_and_claims_are_told() {
    promptly(|| {
        let map: WeakValueMap<u32, Watched<Option<Slow>>> = exclusive();
        let (slow, ending) = Slow::new();
        let value = map.get_or_insert_with(1, |_| Watched::new(Some(slow)));
        let dying = thread::spawn(move || drop(value));
        ending.await_begin();
        assert!(map.get(&1).is_none() && map.entry_count() == 0);
        assert!(is_in_flight(map.entry(1).try_claim()));
        assert!(matches!(map.entry(2).try_claim(), Ok(Claim::Vacant(_))));
        assert!(map.get_or_insert_with(2, |_| Watched::new(None)).is_none());
        // A value that exists already is entered, and found by creators.
        let entered = Watched::new(None);
        assert!(map.try_insert(1, entered.clone()).is_ok());
        let found = map.get_or_insert_with(1, |_| unreachable!());
        assert!(Watched::ptr_eq(&found, &entered));
        drop((found, entered));
        assert!(
            is_in_flight(map.entry(1).try_claim()),
            "the first has not ended"
        );
        ending.allow();
        dying.join().unwrap();
        assert!(matches!(map.entry(1).try_claim(), Ok(Claim::Vacant(_))));
    });
}

#[test]
fn what_was_taken_out_or_replaced_and_lives_on_is_not_waited_for() {
    promptly(|| {
        let map: WeakValueMap<u32, Watched<u32>> = exclusive();
        let one = map.get_or_insert_with(1, |_| Watched::new(1));
        map.remove(&1);
        let two = map.get_or_insert_with(1, |_| Watched::new(2));
        map.insert(1, one.clone());
        map.clear();
        let three = map.get_or_insert_with(1, |_| Watched::new(3));
        assert_eq!((*one, *two, *three), (1, 2, 3));
        drop(one);
        assert!(Watched::ptr_eq(&map.get(&1).unwrap(), &three));
    });
}

#[test]
fn a_destructor_that_asks_for_its_own_key_is_refused() {
    struct Phoenix(
        Arc<WeakValueMap<u32, Watched<Phoenix>>>,
        mpsc::Sender<CycleError>,
    );
    impl Drop for Phoenix {
        fn drop(&mut self) {
            match self.0.get_or_try_insert_with(1, |_| Err(())) {
                Err(CreateError::Refused(Refused::Cycle(error))) => self.1.send(error).unwrap(),
                other => panic!("{:?}", other.err()),
            }
        }
    }
    promptly(|| {
        let map = Arc::new(exclusive());
        let (refused, errors) = mpsc::channel();
        let made = map.get_or_insert_with(1, |_| Watched::new(Phoenix(map.clone(), refused)));
        drop(made);
        assert!(errors
            .recv()
            .unwrap()
            .to_string()
            .contains("the end of a value"));
        assert!(errors.recv().is_err() && map.is_empty());
    });
}

/// A key that asks for itself when it is dropped, if it has a map to ask.
struct AskingKey(Option<Weak<AskedMap>>);

type AskedMap = WeakValueMap<AskingKey, Watched<u32>>;

impl PartialEq for AskingKey {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for AskingKey {}

impl Hash for AskingKey {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Drop for AskingKey {
    fn drop(&mut self) {
        if let Some(map) = self.0.take().and_then(|map| map.upgrade()) {
            let made = map.get_or_insert_with(AskingKey(None), |_| Watched::new(2));
            assert_eq!(*made, 2);
        }
    }
}

#[test]
fn the_key_of_a_draft_that_is_given_up_may_ask_for_itself() {
    promptly(|| {
        let map: Arc<AskedMap> = Arc::new(exclusive());
        for panics in [false, true] {
            let key = AskingKey(Some(Arc::downgrade(&map)));
            let initialise = |_: &Watched<u32>| {
                assert!(!panics, "as it should");
                Err(())
            };
            let failed = catch_unwind(AssertUnwindSafe(|| {
                map.entry(key)
                    .or_try_create_cyclic(|_| Ok(Watched::new(1)), initialise)
            }));
            assert!(failed.map_or(panics, |failed| failed.is_err()));
            assert_eq!(
                (map.entry_count(), map.stats().created),
                (0, 1 + u64::from(panics))
            );
        }
    });
}

#[test]
fn a_value_that_leaves_its_pointer_alive_has_ended_for_the_map() {
    promptly(|| {
        let map: WeakValueMap<u32, Watched<u32>> = exclusive();
        let one = map.get_or_insert_with(1, |_| Watched::new(1));
        assert_eq!(Watched::into_inner(one), Some(1));
        assert_eq!(*map.get_or_insert_with(1, |_| Watched::new(2)), 2);
    });
}

#[test]
fn a_destructor_that_panics_has_ended_too() {
    struct Bomb(bool);
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(!self.0, "boom");
        }
    }
    promptly(|| {
        let map: WeakValueMap<u32, Watched<Bomb>> = exclusive();
        let bomb = map.get_or_insert_with(1, |_| Watched::new(Bomb(true)));
        assert_eq!(crate::common::panic_of(|| drop(bomb)), "boom");
        assert!(!map.get_or_insert_with(1, |_| Watched::new(Bomb(false))).0);
    });
}

#[test]
fn a_stale_value_that_somebody_holds_is_replaced_and_not_waited_for() {
    promptly(|| {
        let map: WeakValueMap<u32, Watched<u32>> = exclusive();
        let stale = map.get_or_insert_with(1, |_| Watched::new(1));
        let fresh = map
            .entry(1)
            .valid_if(|value| **value != 1)
            .or_insert_with(|_| Watched::new(2));
        assert_eq!((*stale, *fresh), (1, 2));
    });
}

#[test]
fn a_held_value_of_a_dead_key_is_not_waited_for() {
    promptly(|| {
        let map: WeakKeyValueMap<Arc<u32>, Watched<u32>> = WeakKeyValueMap::new().exclusive();
        let key = Arc::new(7);
        let held = map.get_or_insert_with(&key, |_| Watched::new(1));
        drop(key);
        let key = Arc::new(7);
        assert_eq!(*map.get_or_insert_with(&key, |_| Watched::new(2)), 2);
        // A key that reports its death as well.
        let map: WeakKeyValueMap<Watched<u32>, Watched<u32>> = WeakKeyValueMap::new().exclusive();
        let key = Watched::new(7);
        let other = map.get_or_insert_with(&key, |_| Watched::new(3));
        drop(key);
        let key = Watched::new(7);
        assert_eq!(*map.get_or_insert_with(&key, |_| Watched::new(4)), 4);
        assert_eq!((*held, *other), (1, 3));
    });
}

#[test]
fn a_live_value_of_another_key_with_the_same_hash_is_not_waited_for() {
    promptly(|| {
        let map = WeakValueMap::with_hasher(crate::common::Colliding).exclusive();
        let one: Watched<u32> = map.get_or_insert_with(1, |_| Watched::new(1));
        assert!(matches!(map.entry(2).try_claim(), Ok(Claim::Vacant(_))));
        assert_eq!(
            (*one, *map.get_or_insert_with(2, |_| Watched::new(2))),
            (1, 2)
        );
    });
}

#[test]
fn what_is_put_in_and_taken_out_leaves_no_registration_with_the_value() {
    promptly(|| {
        let plain: WeakValueMap<u32, Watched<u32>> = WeakValueMap::new();
        let left = |map: &WeakValueMap<u32, Watched<u32>>| {
            let value = Watched::new(1);
            for _ in 0..1000 {
                map.insert(1, value.clone());
                map.remove(&1);
            }
            map.prune();
            Watched::entry_count(&value)
        };
        assert_eq!((left(&plain), left(&exclusive())), (0, 0));
    });
}

/// What is alive is on no list, so this takes a moment, and not minutes.
#[test]
fn the_cost_of_an_entry_does_not_grow_with_their_number() {
    promptly(|| {
        let map: WeakValueMap<u32, Watched<u32>> = exclusive();
        let create = |n| map.get_or_insert_with(n, |n| Watched::new(*n));
        let held: Vec<_> = (0..100_000).map(create).collect();
        assert_eq!(map.len(), held.len());
        drop(held);
        assert_eq!(map.entry_count(), 0);
    });
}

#[test]
fn callbacks_of_a_value_come_after_its_end_and_may_ask_for_its_key() {
    promptly(|| {
        struct Ends(Arc<AtomicBool>);
        impl Drop for Ends {
            fn drop(&mut self) {
                self.0.store(true, SeqCst);
            }
        }
        let map: Arc<WeakValueMap<u32, Watched<Option<Ends>>>> = Arc::new(exclusive());
        let (ended, asked) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let value = map.get_or_insert_with(1, |_| Watched::new(Some(Ends(ended.clone()))));
        let (theirs, counted) = (map.clone(), asked.clone());
        Watched::on_death(&value, move || {
            assert!(ended.load(SeqCst));
            assert!(theirs
                .get_or_insert_with(1, |_| Watched::new(None))
                .is_none());
            counted.fetch_add(1, SeqCst);
        })
        .keep();
        drop(value);
        assert_eq!(asked.load(SeqCst), 1);
    });
}

#[test]
fn the_next_is_not_made_while_a_draft_that_was_given_up_is_open() {
    promptly(|| {
        let map: Arc<WeakValueMap<usize, Watched<Port>>> = Arc::new(exclusive());
        let (in_use, opened) = (Arc::default(), Arc::default());
        let mut stash = None;
        let failed = map.entry(1).or_try_create_cyclic(
            |_| Ok(Watched::new(Port::open(&in_use, &opened))),
            |port| {
                stash = Some(port.clone());
                Err(())
            },
        );
        assert!(failed.is_err() && is_in_flight(map.entry(1).try_claim()));
        let next = thread::spawn({
            let (map, in_use, opened) = (map.clone(), in_use.clone(), opened.clone());
            move || drop(map.get_or_insert_with(1, |_| Watched::new(Port::open(&in_use, &opened))))
        });
        thread::yield_now();
        drop(stash);
        next.join().unwrap();
        assert_eq!(opened.load(SeqCst), 2);
    });
}

/// One that did not fail itself, and that somebody owns, lives on.
#[test]
fn what_is_given_up_with_a_draft_and_lives_on_is_not_waited_for() {
    promptly(|| {
        let drafts: Registry<&str, u32> = Registry::new();
        let in_the_middle_of_a_failure = |make: &dyn Fn()| {
            let failed = drafts.entry("draft").or_try_create_cyclic(
                |_| Ok(1),
                |_| {
                    make();
                    Err(())
                },
            );
            assert!(failed.is_err());
        };
        let need = || drop(drafts.get_or_insert_with("draft", |_| 2));
        let watched = Watched::new(7);
        let plain: WeakValueMap<u32, Watched<u32>> = exclusive();
        in_the_middle_of_a_failure(&|| {
            drop(plain.get_or_insert_with(1, |_| {
                need();
                watched.clone()
            }));
        });
        assert_eq!(*plain.get_or_insert_with(1, |_| Watched::new(8)), 8);
        drop(plain.remove(&1));

        // What nobody else owns has ended, in between; and afterwards it is as if there had been nothing.
        in_the_middle_of_a_failure(&|| {
            drop(plain.get_or_insert_with(1, |_| {
                need();
                Watched::new(9)
            }));
        });
        assert!(plain.entry(1).try_claim().is_ok());

        let both: WeakKeyValueMap<Arc<u32>, Watched<u32>> = WeakKeyValueMap::new().exclusive();
        let key = Arc::new(1);
        in_the_middle_of_a_failure(&|| {
            drop(both.get_or_insert_with(&key, |_| {
                need();
                watched.clone()
            }));
        });
        assert!(both.entry(&key).try_claim().is_ok());

        let handles: Registry<u32, u32> = Registry::new();
        let handle = handles.get_or_insert_with(1, |_| 7);
        let of_handles: WeakValueMap<u32, Handle<u32, u32>> = WeakValueMap::new().exclusive();
        in_the_middle_of_a_failure(&|| {
            drop(of_handles.get_or_insert_with(1, |_| {
                need();
                handle.clone()
            }));
        });
        assert!(of_handles.entry(1).try_claim().is_ok());
        // They keep no registration of this.
        drop((watched, handle));
    });
}

/// However a dead value is taken out, its end is waited for.
#[test]
fn a_dead_value_that_is_cleared_or_drained_or_pruned_is_waited_for() {
    type Map = WeakValueMap<u32, Watched<Option<Slow>>>;
    let ways: [fn(&Map); 6] = [
        |map| {
            map.clear();
        },
        |map| drop(map.drain().collect::<Vec<_>>()),
        |map| {
            map.prune();
        },
        |map| {
            map.retain(|_, _| true);
        },
        |map| drop(map.insert(1, Watched::new(None))),
        |map| drop(map.get(&1)),
    ];
    promptly(move || {
        for way in ways {
            let map = Arc::new(exclusive());
            let (slow, ending) = Slow::new();
            let value = map.get_or_insert_with(1, |_| Watched::new(Some(slow)));
            let dying = thread::spawn(move || drop(value));
            ending.await_begin();
            way(&map);
            assert!(is_in_flight(map.entry(1).try_claim()));
            ending.allow();
            dying.join().unwrap();
            assert!(map.get_or_insert_with(1, |_| Watched::new(None)).is_none());
        }
    });
}
