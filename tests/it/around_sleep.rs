//! The hook around sleeping: for threads that hold an interpreter's lock while they wait for somebody else's creation, or for the end of a destructor.

use crate::common::{panic_of, promptly, Slow};
use crate::foreign_vm::{detached, Global, Vm};
use highlander::error::{CreateError, Refused};
use highlander::pointer::Watched;
use highlander::{Registry, StrongMap, WeakValueMap};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// One thread creates a value, for which it has to be attached; another one is attached, and asks for it. Returns whether the first was attached within that time.
fn creator_is_attached(map: &StrongMap<u32, usize>, limit: Duration) -> bool {
    let vm = Vm::new(0);
    let (creating, is_creating) = mpsc::channel();
    let (attached, is_attached) = mpsc::channel();
    thread::scope(|scope| {
        let creator = scope.spawn(move || {
            let mut done = false;
            map.get_or_insert_with(1, |_| {
                creating.send(()).unwrap();
                is_attached.recv().unwrap();
                done = vm.attach_within(limit).is_some();
                7
            });
            done
        });
        is_creating.recv().unwrap();
        let held = vm.attach();
        attached.send(()).unwrap();
        assert_eq!(map.get_or_insert_with(1, |_| unreachable!()), 7);
        assert!(vm.is_attached());
        drop(held);
        creator.join().unwrap()
    })
}

#[test]
fn who_waits_lets_go_of_the_interpreter_for_who_creates() {
    promptly(|| {
        static MAP: StrongMap<u32, usize> = StrongMap::new().around_sleep(detached);
        assert!(creator_is_attached(&MAP, Duration::from_secs(1000)));
    });
}

/// What the hook is for: without it, who creates waits for ever. Here it gives up.
#[test]
fn without_the_hook_who_creates_never_gets_the_interpreter() {
    promptly(|| {
        let map = StrongMap::new();
        assert!(!creator_is_attached(&map, Duration::from_millis(50)));
    });
}

/// All threads are attached, and all ask for all keys; each factory lets go of the interpreter, and takes it again.
#[test]
fn many_attached_threads_create_and_wait_for_each_other() {
    promptly(|| {
        let vm = Vm::new(2);
        let values: WeakValueMap<usize, Global> = WeakValueMap::new().around_sleep(detached);
        let registry: Registry<usize, usize> = Registry::new().around_sleep(detached);
        let start = std::sync::Barrier::new(6);
        thread::scope(|scope| {
            for thread in 0..6 {
                let (values, registry, start) = (&values, &registry, &start);
                scope.spawn(move || {
                    start.wait();
                    for round in 0..60 {
                        let _attached = vm.attach();
                        let key = (round + thread % 2) % 4;
                        let value = values.get_or_insert_with(key, |_| {
                            detached(&mut thread::yield_now);
                            vm.object("value")
                        });
                        assert!(values.get(&key).is_some());
                        drop(value);
                        let handle = registry.get_or_insert_with(key, |key| {
                            detached(&mut thread::yield_now);
                            *key
                        });
                        assert_eq!(*handle, key);
                        if round % 8 == 0 {
                            vm.collect();
                            vm.compact();
                        }
                    }
                });
            }
        });
    });
}

thread_local! {
    /// How often the hook was called on this thread, and what it does before the sleep, and after it.
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static PLAN: Cell<Plan> = const { Cell::new((|| (), |sleep| sleep(), || ())) };
}

type Plan = (fn(), fn(&mut dyn FnMut()), fn());

fn planned(sleep: &mut dyn FnMut()) {
    CALLS.set(CALLS.get() + 1);
    let (before, asleep, after) = PLAN.get();
    before();
    asleep(sleep);
    after();
}

/// Somebody creates this key, and ends when somebody else is in the hook; `asks` runs on another thread meanwhile, and this returns what it returns.
fn while_creating<R: Send>(
    map: &StrongMap<u32, u32>,
    fails: bool,
    asks: impl FnOnce() -> R + Send,
) -> R {
    let (creating, is_creating) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let created: Result<_, CreateError<()>> = map.get_or_try_insert_with(1, |_| {
                creating.send(()).unwrap();
                await_hooks(1);
                if fails {
                    Err(())
                } else {
                    Ok(1)
                }
            });
            assert_eq!(created.is_err(), fails);
        });
        is_creating.recv().unwrap();
        scope.spawn(asks).join().unwrap()
    })
}

static IN_HOOKS: AtomicUsize = AtomicUsize::new(0);
/// Of the tests that count in `IN_HOOKS`, one runs at a time.
static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn one_at_a_time(f: impl FnOnce() + Send + 'static) {
    promptly(|| {
        let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
        IN_HOOKS.store(0, SeqCst);
        f();
    });
}

fn enters() {
    IN_HOOKS.fetch_add(1, SeqCst);
}

fn await_hooks(count: usize) {
    while IN_HOOKS.load(SeqCst) < count {
        thread::yield_now();
    }
}

fn hooked() -> StrongMap<u32, u32> {
    StrongMap::new().around_sleep(planned)
}

#[test]
fn the_hook_is_called_by_who_sleeps_and_by_nobody_else() {
    one_at_a_time(|| {
        let map = hooked();
        let calls = while_creating(&map, false, || {
            PLAN.set((enters, |sleep| sleep(), || ()));
            assert_eq!(map.get_or_insert_with(1, |_| 2), 1);
            let asleep = CALLS.get();
            // A hit; a creation that nobody else is in the middle of.
            assert_eq!(map.get_or_insert_with(1, |_| 2), 1);
            assert_eq!(map.get_or_insert_with(2, |_| 2), 2);
            (asleep, CALLS.get())
        });
        assert_eq!(calls, (1, 1));
    });
}

#[test]
fn a_hook_that_sleeps_twice_or_not_at_all_changes_nothing() {
    one_at_a_time(|| {
        let plans: [fn(&mut dyn FnMut()); 2] = [
            |_| (),
            |sleep| {
                sleep();
                sleep();
            },
        ];
        for asleep in plans {
            IN_HOOKS.store(0, SeqCst);
            let map = hooked();
            while_creating(&map, false, || {
                PLAN.set((enters, asleep, || ()));
                assert_eq!(map.get_or_insert_with(1, |_| 2), 1);
                assert_eq!(CALLS.get(), 1);
            });
        }
    });
}

#[test]
fn a_panic_of_the_hook_before_the_sleep_goes_to_its_caller_alone() {
    one_at_a_time(|| {
        let map = hooked();
        while_creating(&map, false, || {
            PLAN.set((|| panic!("before"), |sleep| sleep(), || ()));
            assert_eq!(panic_of(|| map.get_or_insert_with(1, |_| 2)), "before");
            PLAN.set((enters, |sleep| sleep(), || ()));
            assert_eq!(map.get_or_insert_with(1, |_| 2), 1);
        });
    });
}

/// It is its turn to create when it panics: the next one creates.
#[test]
fn a_panic_of_the_hook_after_the_sleep_lets_the_next_one_create() {
    one_at_a_time(|| {
        let map = hooked();
        let (panicked, made) = while_creating(&map, true, || {
            thread::scope(|scope| {
                let first = scope.spawn(|| {
                    PLAN.set((
                        enters,
                        |sleep| sleep(),
                        || {
                            enters();
                            // Until the next one waits for this one.
                            await_hooks(3);
                            panic!("after");
                        },
                    ));
                    panic_of(|| map.get_or_insert_with(1, |_| unreachable!()))
                });
                await_hooks(2);
                let next = scope.spawn(|| {
                    PLAN.set((enters, |sleep| sleep(), || ()));
                    map.get_or_insert_with(1, |_| 5)
                });
                (first.join().unwrap(), next.join().unwrap())
            })
        });
        assert_eq!((&panicked[..], made, map.get(&1)), ("after", 5, Some(5)));
    });
}

static ASKED: StrongMap<u32, u32> = StrongMap::new().around_sleep(asks_again);

/// Asks for the key for which it waits, when it may be its turn to create that.
fn asks_again(sleep: &mut dyn FnMut()) {
    enters();
    sleep();
    let refused = ASKED.get_or_try_insert_with(1, |_| Ok::<_, ()>(3));
    assert!(matches!(
        refused,
        Err(CreateError::Refused(Refused::Cycle(_)))
    ));
    // Another one it may create.
    assert_eq!(ASKED.get_or_insert_with(2, |_| 4), 4);
}

#[test]
fn a_hook_that_asks_for_the_key_that_is_its_turn_is_refused() {
    one_at_a_time(|| {
        let made = while_creating(&ASKED, true, || ASKED.get_or_insert_with(1, |_| 9));
        assert_eq!((made, ASKED.get(&2)), (9, Some(4)));
    });
}

#[test]
fn who_waits_for_the_end_of_a_destructor_is_in_the_hook() {
    one_at_a_time(|| {
        let map: WeakValueMap<u32, Watched<Slow>> =
            WeakValueMap::new().exclusive().around_sleep(planned);
        let (slow, ending) = Slow::new();
        let old = map.get_or_insert_with(1, |_| Watched::new(slow));
        thread::scope(|scope| {
            scope.spawn(move || drop(old));
            ending.await_begin();
            let waiter = scope.spawn(|| {
                PLAN.set((enters, |sleep| sleep(), || ()));
                let (slow, ending) = Slow::new();
                ending.allow();
                drop(map.get_or_insert_with(1, |_| Watched::new(slow)));
                CALLS.get()
            });
            await_hooks(1);
            ending.allow();
            assert_eq!(waiter.join().unwrap(), 1);
        });

        let registry: Registry<u32, Slow> = Registry::new().exclusive().around_sleep(planned);
        IN_HOOKS.store(0, SeqCst);
        let (slow, ending) = Slow::new();
        let old = registry.get_or_insert_with(1, |_| slow);
        thread::scope(|scope| {
            scope.spawn(move || drop(old));
            ending.await_begin();
            let waiter = scope.spawn(|| {
                PLAN.set((enters, |sleep| sleep(), || ()));
                let (slow, ending) = Slow::new();
                ending.allow();
                drop(registry.get_or_insert_with(1, |_| slow));
                CALLS.get()
            });
            await_hooks(1);
            ending.allow();
            assert_eq!(waiter.join().unwrap(), 1);
        });
    });
}

static CLAIMED: WeakValueMap<u32, Watched<Option<Slow>>> = WeakValueMap::new()
    .exclusive()
    .around_sleep(asks_for_what_is_claimed);

fn asks_for_what_is_claimed(sleep: &mut dyn FnMut()) {
    let refused = CLAIMED.get_or_try_insert_with(1, |_| Ok::<_, ()>(Watched::new(None)));
    assert!(matches!(
        refused,
        Err(CreateError::Refused(Refused::Cycle(_)))
    ));
    enters();
    sleep();
}

/// Who has claimed a key waits too, if somebody has entered a value meanwhile that is about to end.
#[test]
fn who_fills_what_it_has_claimed_waits_for_an_end_in_the_hook() {
    one_at_a_time(|| {
        let vacancy = CLAIMED.entry(1).claim().vacant().unwrap();
        let (slow, ending) = Slow::new();
        let old = Watched::new(Some(slow));
        CLAIMED.insert(1, old.clone());
        thread::scope(|scope| {
            scope.spawn(move || drop(old));
            ending.await_begin();
            scope.spawn(move || {
                await_hooks(1);
                ending.allow();
            });
            assert!(vacancy.fill_with(|_| Watched::new(None)).is_none());
        });
        assert_eq!(IN_HOOKS.load(SeqCst), 1);
    });
}

/// Two threads create a key each, and ask for the other's: one is refused, and waits for the other creation.
#[test]
fn who_was_refused_waits_in_the_hook_of_the_map_that_refused() {
    one_at_a_time(|| {
        let vm = Vm::new(0);
        let map: StrongMap<u32, u32> = StrongMap::new().around_sleep(detached);
        let both = std::sync::Barrier::new(2);
        let refused = AtomicUsize::new(0);
        thread::scope(|scope| {
            for (mine, other) in [(1, 2), (2, 1)] {
                let (map, both, refused) = (&map, &both, &refused);
                scope.spawn(move || {
                    let mut meets = true;
                    loop {
                        let _attached = vm.attach();
                        let made = map.get_or_try_insert_with(mine, |_| {
                            if std::mem::take(&mut meets) {
                                detached(&mut || {
                                    both.wait();
                                });
                            }
                            let other = map.get_or_try_insert_with(other, |n| Ok::<_, Refused>(*n));
                            Ok::<_, Refused>(other? + 10)
                        });
                        match made.map_err(Refused::from) {
                            Ok(_) => break,
                            Err(Refused::Cycle(cycle)) => {
                                refused.fetch_add(1, SeqCst);
                                // The other one has to be attached to end.
                                let _ = cycle.wait();
                                assert!(vm.is_attached());
                            }
                            Err(other) => panic!("{other}"),
                        }
                    }
                });
            }
        });
        assert!(refused.load(SeqCst) > 0);
        assert_eq!(map.len(), 2);
    });
}

#[cfg(feature = "registries")]
#[test]
fn a_class_map_has_the_hook_too() {
    use highlander::registries::class_map::{ClassMap, Wrap};
    use std::sync::Arc;

    struct Attaches(&'static Vm);
    impl Wrap for Attaches {
        type Descriptor = Arc<str>;
        type Wrapper = Arc<usize>;
        type Error = CreateError<()>;
        fn allocate(&self, name: &Arc<str>) -> Result<Arc<usize>, CreateError<()>> {
            // As an interpreter does now and then.
            detached(&mut thread::yield_now);
            Ok(Arc::new(name.len()))
        }
        fn initialise(
            &self,
            _: &ClassMap<Self>,
            _: &Arc<str>,
            _: &Arc<usize>,
        ) -> Result<(), CreateError<()>> {
            detached(&mut thread::yield_now);
            assert!(self.0.is_attached());
            Ok(())
        }
    }
    promptly(|| {
        let vm = Vm::new(0);
        let classes = ClassMap::new(Attaches(vm)).around_sleep(detached);
        let name: Arc<str> = "List".into();
        let start = std::sync::Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..50 {
                        let _attached = vm.attach();
                        assert_eq!(*classes.wrapper(&name).unwrap(), 4);
                    }
                });
            }
        });
    });
}
