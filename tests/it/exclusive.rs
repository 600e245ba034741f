//! Exclusive registries: a value is made when the destructor of the one before has ended, and not earlier.

use crate::common::{is_in_flight, promptly, Colliding, Ending, Slow};
use highlander::error::{CreateError, CycleError, Refused};
use highlander::map::Claim;
use highlander::pointer::Watched;
use highlander::{Handle, Registry, WeakValueMap};
use std::any::Any;
use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{mpsc, Arc, Barrier, Mutex};
use std::thread;

/// Something of which there can be one at a time.
struct Port<'a> {
    in_use: &'a AtomicBool,
    opened: &'a AtomicUsize,
}

impl<'a> Port<'a> {
    fn open(in_use: &'a AtomicBool, opened: &'a AtomicUsize) -> Self {
        assert!(!in_use.swap(true, SeqCst), "in use");
        opened.fetch_add(1, SeqCst);
        Port { in_use, opened }
    }
}

impl Drop for Port<'_> {
    fn drop(&mut self) {
        thread::yield_now();
        assert!(self.opened.load(SeqCst) > 0);
        assert!(self.in_use.swap(false, SeqCst));
    }
}

#[test]
fn of_many_creators_none_comes_before_the_end_of_the_one_before() {
    promptly(|| {
        static IN_USE: [AtomicBool; 2] = [const { AtomicBool::new(false) }; 2];
        static OPENED: AtomicUsize = AtomicUsize::new(0);
        static PORTS: Registry<usize, Port<'static>> = Registry::new().exclusive();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 0..2000 {
                        let port = n % 2;
                        let open = |_: &usize| Port::open(&IN_USE[port], &OPENED);
                        drop(PORTS.get_or_insert_with(port, open));
                    }
                });
            }
        });
        assert!(PORTS.is_empty());
        assert!(OPENED.load(SeqCst) > 0);
    });
}

/// A value that is dying on a thread of its own, and what lets it end.
fn dying<S>(
    registry: &'static Registry<u32, Option<Slow>, S>,
    key: u32,
) -> (thread::JoinHandle<()>, Ending)
where
    S: std::hash::BuildHasher + Sync,
{
    let (slow, ending) = Slow::new();
    let value = registry.get_or_insert_with(key, |_| Some(slow));
    let thread = thread::spawn(move || drop(value));
    ending.await_begin();
    (thread, ending)
}

#[test]
fn look_ups_do_not_wait_and_claims_are_told() {
    promptly(|| {
        static REGISTRY: Registry<u32, Option<Slow>> = Registry::new().exclusive();
        let (thread, ending) = dying(&REGISTRY, 1);
        assert!(REGISTRY.get(&1).is_none());
        assert!(REGISTRY.is_empty());
        assert!(is_in_flight(REGISTRY.entry(1).try_claim()));
        assert!(matches!(
            REGISTRY.entry(2).try_claim(),
            Ok(Claim::Vacant(_))
        ));
        assert!(REGISTRY.get_or_insert_with(2, |_| None).is_none());
        // A value that exists already is entered.
        let entered = REGISTRY.try_insert(1, None).ok().unwrap();
        assert!(Handle::ptr_eq(
            &REGISTRY.get_or_insert_with(1, |_| unreachable!()),
            &entered
        ));
        drop(entered);
        ending.allow();
        thread.join().unwrap();
        assert!(matches!(
            REGISTRY.entry(1).try_claim(),
            Ok(Claim::Vacant(_))
        ));
    });
}

#[test]
fn creators_wait_and_share_what_comes() {
    promptly(|| {
        static REGISTRY: Registry<u32, Option<Slow>> = Registry::new().exclusive();
        let (thread, ending) = dying(&REGISTRY, 1);
        static ENDED: AtomicBool = AtomicBool::new(false);
        thread::scope(|scope| {
            let creators: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        REGISTRY.get_or_insert_with(1, |_| {
                            assert!(ENDED.load(SeqCst), "too early");
                            None
                        })
                    })
                })
                .collect();
            thread::yield_now();
            ENDED.store(true, SeqCst);
            ending.allow();
            let values: Vec<_> = creators.into_iter().map(|c| c.join().unwrap()).collect();
            assert!(values.iter().all(|value| Handle::ptr_eq(value, &values[0])));
        });
        thread.join().unwrap();
    });
}

#[test]
fn keys_with_one_hash_wait_for_each_other_and_no_longer() {
    promptly(|| {
        let registry: &'static Registry<u32, Option<Slow>, Colliding> =
            crate::common::forever(Registry::with_hasher(Colliding).exclusive());
        let (thread, ending) = dying(registry, 1);
        assert!(is_in_flight(registry.entry(2).try_claim()));
        ending.allow();
        thread.join().unwrap();
        assert!(registry.get_or_insert_with(2, |_| None).is_none());
    });
}

/// Asks for its own key again when it dies.
struct Phoenix(
    &'static Registry<u32, Option<Phoenix>>,
    &'static Mutex<Vec<CycleError>>,
);

impl Drop for Phoenix {
    fn drop(&mut self) {
        let asked = self.0.get_or_try_insert_with(1, |_| Ok::<_, ()>(None));
        if let Err(CreateError::Refused(Refused::Cycle(cycle))) = asked {
            self.1.lock().unwrap().push(cycle);
        }
    }
}

#[test]
fn a_destructor_that_asks_for_its_own_key_gets_an_error() {
    promptly(|| {
        static REGISTRY: Registry<u32, Option<Phoenix>> = Registry::new().exclusive();
        static MET: Mutex<Vec<CycleError>> = Mutex::new(Vec::new());
        drop(REGISTRY.get_or_insert_with(1, |_| Some(Phoenix(&REGISTRY, &MET))));
        let met = std::mem::take(&mut *MET.lock().unwrap());
        let [cycle] = &met[..] else { panic!("{met:?}") };
        assert!(
            cycle
                .to_string()
                .contains("the end of the value of a key of type `u32`"),
            "{cycle}"
        );
        assert!(REGISTRY.is_empty());
        assert!(REGISTRY.get_or_insert_with(1, |_| None).is_none());
        // As a part of the creation of another key, too.
        drop(REGISTRY.get_or_insert_with(2, |_| {
            drop(REGISTRY.get_or_insert_with(1, |_| Some(Phoenix(&REGISTRY, &MET))));
            None
        }));
        assert_eq!(MET.lock().unwrap().len(), 1);
    });
}

/// Each waits, when it dies, for the key of the other one.
struct Crossed {
    registry: &'static Registry<u32, Option<Crossed>>,
    other: u32,
    met: Arc<std::sync::Barrier>,
    refused: Arc<AtomicUsize>,
}

impl Drop for Crossed {
    fn drop(&mut self) {
        self.met.wait();
        let asked = self
            .registry
            .get_or_try_insert_with(self.other, |_| Ok::<_, ()>(None));
        if asked.is_err() {
            self.refused.fetch_add(1, SeqCst);
        }
    }
}

#[test]
fn destructors_that_wait_for_each_other_are_told() {
    promptly(|| {
        let registry: &'static Registry<u32, Option<Crossed>> =
            crate::common::forever(Registry::new().exclusive());
        for _ in 0..100 {
            let met = Arc::new(std::sync::Barrier::new(2));
            let refused = Arc::new(AtomicUsize::new(0));
            let crossed = |own: u32, other: u32| {
                let (met, refused) = (met.clone(), refused.clone());
                let value = Crossed {
                    registry,
                    other,
                    met,
                    refused,
                };
                registry.get_or_insert_with(own, |_| Some(value))
            };
            let values = [crossed(1, 2), crossed(2, 1)];
            let threads = values.map(|value| thread::spawn(move || drop(value)));
            threads
                .into_iter()
                .for_each(|thread| thread.join().unwrap());
            assert_eq!(refused.load(SeqCst), 1);
            assert!(registry.is_empty());
        }
    });
}

#[test]
fn a_destructor_that_panics_has_ended() {
    promptly(|| {
        struct Bang;
        impl Drop for Bang {
            fn drop(&mut self) {
                panic!("on purpose");
            }
        }
        let registry: Registry<u32, Option<Bang>> = Registry::new().exclusive();
        let value = registry.get_or_insert_with(1, |_| Some(Bang));
        let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(value)));
        assert!(dropped.is_err());
        assert!(registry.get_or_insert_with(1, |_| None).is_none());
    });
}

#[test]
fn long_chains_end_one_after_the_other() {
    struct Link(#[allow(dead_code)] Option<Handle<u32, Link>>);
    promptly(|| {
        let registry: Registry<u32, Link> = Registry::new().exclusive();
        for _ in 0..2 {
            let mut last = None;
            for n in 0..10_000 {
                last = Some(registry.get_or_insert_with(n, |_| Link(last.take())));
            }
            drop(last);
            assert!(registry.is_empty());
        }
    });
}

#[cfg(feature = "async")]
#[test]
fn futures_wait_too() {
    promptly(|| {
        static REGISTRY: Registry<u32, Option<Slow>> = Registry::new().exclusive();
        let (thread, ending) = dying(&REGISTRY, 1);
        let creating = thread::spawn(|| {
            pollster::block_on(REGISTRY.get_or_insert_async(1, |_| async { None })).is_none()
        });
        thread::yield_now();
        ending.allow();
        assert!(creating.join().unwrap());
        thread.join().unwrap();
    });
}

#[test]
fn a_callback_at_the_death_may_ask_for_the_same_key() {
    promptly(|| {
        static REGISTRY: Registry<u32, Option<Quick>> = Registry::new().exclusive();
        static ENDED: AtomicBool = AtomicBool::new(false);
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        struct Quick;
        impl Drop for Quick {
            fn drop(&mut self) {
                ENDED.store(true, SeqCst);
            }
        }
        let value = REGISTRY.get_or_insert_with(1, |_| Some(Quick));
        Handle::on_death(&value, || {
            assert!(ENDED.load(SeqCst), "the value has ended by then");
            assert!(REGISTRY.get_or_insert_with(1, |_| None).is_none());
            ASKED.fetch_add(1, SeqCst);
        })
        .keep();
        drop(value);
        assert_eq!(ASKED.load(SeqCst), 1);
        assert!(REGISTRY.is_empty());
    });
}

#[test]
fn the_next_is_not_allocated_while_one_whose_initialisation_has_failed_is_open() {
    promptly(|| {
        static IN_USE: AtomicBool = AtomicBool::new(false);
        static OPENED: AtomicUsize = AtomicUsize::new(0);
        static PORTS: Registry<u32, Port<'static>> = Registry::new().exclusive();
        let stash = Mutex::new(None);
        let failed = PORTS.entry(1).or_try_create_cyclic(
            |_| Ok(Port::open(&IN_USE, &OPENED)),
            |port| {
                *stash.lock().unwrap() = Some(port.clone());
                Err("no".to_string())
            },
        );
        assert!(failed.is_err());
        assert!(is_in_flight(PORTS.entry(1).try_claim()), "it is open still");
        assert!(matches!(PORTS.entry(2).try_claim(), Ok(Claim::Vacant(_))));
        let next =
            thread::spawn(|| drop(PORTS.get_or_insert_with(1, |_| Port::open(&IN_USE, &OPENED))));
        thread::yield_now();
        drop(stash.lock().unwrap().take());
        next.join().unwrap();
        assert_eq!(OPENED.load(SeqCst), 2);
        // Given up by a panic, and with nobody else who owns it, it has ended when that has gone by.
        let panicked = std::panic::catch_unwind(|| {
            PORTS
                .entry(1)
                .or_create_cyclic(|_| Port::open(&IN_USE, &OPENED), |_| panic!("no"))
        });
        assert!(panicked.is_err());
        drop(PORTS.get_or_insert_with(1, |_| Port::open(&IN_USE, &OPENED)));
        assert_eq!(OPENED.load(SeqCst), 4);
    });
}

#[test]
fn a_vacancy_creates_when_what_was_inserted_meanwhile_has_ended() {
    promptly(|| {
        static REGISTRY: Registry<u32, Option<Slow>> = Registry::new().exclusive();
        static ENDED: AtomicBool = AtomicBool::new(false);
        let vacancy = REGISTRY.entry(1).claim().vacant().unwrap();
        let (slow, ending) = Slow::new();
        let inserted = REGISTRY.insert(1, Some(slow)).0;
        let dying = thread::spawn(move || drop(inserted));
        ending.await_begin();
        let (creates, is_creating) = mpsc::channel();
        let creating = thread::spawn(move || {
            creates.send(()).unwrap();
            let made = vacancy.try_fill_with(|_| {
                assert!(ENDED.load(SeqCst), "too early");
                Ok::<_, ()>(None)
            });
            made.unwrap().is_none()
        });
        is_creating.recv().unwrap();
        // It has time to create, if it does not wait.
        (0..1000).for_each(|_| thread::yield_now());
        assert!(!creating.is_finished());
        ENDED.store(true, SeqCst);
        ending.allow();
        assert!(creating.join().unwrap());
        dying.join().unwrap();
        // What exists already is filled in at once.
        let vacancy = REGISTRY.entry(2).claim().vacant().unwrap();
        assert!(vacancy.fill(None).is_none());
    });
}

/// Calls its function when it is dropped.
struct AtDrop(Option<Box<dyn FnOnce() + Send + Sync>>);

impl AtDrop {
    fn new(f: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(f)))
    }
}

impl Drop for AtDrop {
    fn drop(&mut self) {
        (self.0.take().unwrap())();
    }
}

/// One inside the other, so deep that what dies in there is put aside.
fn at_the_bottom(f: impl FnOnce() + Send + Sync + 'static) -> Watched<Box<dyn Any + Send + Sync>> {
    let bottom: Box<dyn Any + Send + Sync> = Box::new(AtDrop::new(f));
    (0..100).fold(Watched::new(bottom), |inner, _| {
        Watched::new(Box::new(inner))
    })
}

/// `value` dies at the bottom, and before it can end, the thread asks for what another one is creating, which asks for the value's successor.
fn refused_to_one_of_two<V: Send + Sync + 'static>(
    value: V,
    successor: impl FnOnce() -> Result<(), CreateError<()>> + Send + 'static,
) {
    static OTHERS: Registry<u32, ()> = Registry::new();
    let (dies, dead) = mpsc::channel();
    let (creates, is_creating) = mpsc::channel();
    let (asked, answer) = mpsc::channel();
    let (dies, is_creating) = (Mutex::new(dies), Mutex::new(is_creating));
    let asked = Mutex::new(asked);
    let chain = at_the_bottom(move || {
        drop(value);
        dies.lock().unwrap().send(()).unwrap();
        is_creating.lock().unwrap().recv().unwrap();
        let other = OTHERS.get_or_try_insert_with(1, |_| Ok::<_, ()>(()));
        asked.lock().unwrap().send(other.is_err()).unwrap();
    });
    let creator = thread::spawn(move || {
        let other = OTHERS.get_or_try_insert_with(1, |_| {
            dead.recv().unwrap();
            creates.send(()).unwrap();
            successor()
        });
        other.is_err()
    });
    drop(chain);
    assert!(answer.recv().unwrap() | creator.join().unwrap());
}

#[test]
fn a_circle_through_a_destructor_that_is_put_aside_is_refused() {
    promptly(|| {
        static REGISTRY: Registry<u32, AtDrop> = Registry::new().exclusive();
        let map: WeakValueMap<u32, Watched<u32>> = WeakValueMap::new().exclusive();
        let map = Arc::new(map);
        for _ in 0..50 {
            let value = REGISTRY.get_or_insert_with(1, |_| AtDrop::new(|| {}));
            refused_to_one_of_two(value, || {
                let made = REGISTRY.get_or_try_insert_with(1, |_| Ok(AtDrop::new(|| {})));
                made.map(drop)
            });
            let value = map.get_or_insert_with(1, |_| Watched::new(1));
            let asks = Arc::clone(&map);
            refused_to_one_of_two(value, move || {
                let made = asks.get_or_try_insert_with(1, |_| Ok(Watched::new(1)));
                made.map(drop)
            });
        }
        assert!(REGISTRY.is_empty() && map.is_empty());
    });
}

/// As `refused_to_one_of_two`; the dying thread waits for a future, which it has polled before, and does not poll again until it is woken.
#[cfg(feature = "async")]
#[test]
fn a_circle_through_a_future_and_what_is_put_aside_after_its_poll_is_refused() {
    use std::future::Future;
    use std::task::{Context, Poll, Wake};

    struct Unpark(thread::Thread, AtomicBool);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.1.store(true, SeqCst);
            self.0.unpark();
        }
    }

    static REGISTRY: Registry<u32, AtDrop> = Registry::new().exclusive();
    static OTHERS: Registry<u32, ()> = Registry::new();
    promptly(|| {
        let value = REGISTRY.get_or_insert_with(1, |_| AtDrop::new(|| {}));
        let (dies, dead) = mpsc::channel();
        let (creates, is_creating) = mpsc::channel();
        let (dies, is_creating) = (Mutex::new(dies), Mutex::new(is_creating));
        let chain = at_the_bottom(move || {
            is_creating.lock().unwrap().recv().unwrap();
            let make = |_: &u32| async { Ok::<_, ()>(()) };
            let mut future = Box::pin(OTHERS.get_or_try_insert_async(1, make));
            let woken = Arc::new(Unpark(thread::current(), AtomicBool::new(false)));
            let waker = Arc::clone(&woken).into();
            let mut context = Context::from_waker(&waker);
            assert!(future.as_mut().poll(&mut context).is_pending());
            drop(value);
            dies.lock().unwrap().send(()).unwrap();
            loop {
                while !woken.1.swap(false, SeqCst) {
                    thread::park();
                }
                if let Poll::Ready(made) = future.as_mut().poll(&mut context) {
                    return drop(made);
                }
            }
        });
        let creator = thread::spawn(move || {
            OTHERS.get_or_try_insert_with(1, |_| {
                creates.send(()).unwrap();
                dead.recv().unwrap();
                let make = |_: &u32| Ok::<_, ()>(AtDrop::new(|| {}));
                let made = REGISTRY.get_or_try_insert_with(1, make);
                made.map(drop)
            })
        });
        drop(chain);
        let refused = creator.join().unwrap();
        assert!(matches!(
            refused.map_err(crate::common::flat),
            Err(CreateError::Refused(Refused::Cycle(_)))
        ));
        // And what is named in a note is forgotten with what it was put aside for.
        assert!(REGISTRY.is_empty());
        REGISTRY.get_or_insert_with(1, |_| AtDrop::new(|| {}));
    });
}

/// Asks for its own key when it is dropped, if it is told to.
struct Asking(bool);

static ASKED: Registry<u32, Asking> = Registry::new().exclusive();
static REFUSALS: AtomicUsize = AtomicUsize::new(0);

impl Drop for Asking {
    fn drop(&mut self) {
        if self.0 {
            let asked = ASKED.get_or_try_insert_with(1, |_| -> Result<_, ()> { unreachable!() });
            let Err(CreateError::Refused(Refused::Cycle(cycle))) = asked else {
                panic!("it is not refused")
            };
            assert!(cycle.is_on_one_thread());
            REFUSALS.fetch_add(1, SeqCst);
        }
    }
}

#[test]
fn a_destructor_that_asks_for_its_own_key_is_refused_and_nobody_else_is() {
    const ROUNDS: usize = 3000;
    let others: [fn(); 3] = [
        || drop(ASKED.get_or_insert_with(1, |_| Asking(false))),
        || drop(ASKED.entry(1).claim()),
        || {
            let inner = |_: &u32| {
                drop(ASKED.get_or_insert_with(1, |_| Asking(false)));
                Asking(false)
            };
            drop(ASKED.get_or_insert_with(2, inner));
        },
    ];
    promptly(move || {
        for other in others {
            let turn = &Barrier::new(2);
            thread::scope(|scope| {
                scope.spawn(move || {
                    for _ in 0..ROUNDS {
                        turn.wait();
                        other();
                        turn.wait();
                    }
                });
                for _ in 0..ROUNDS {
                    let value = ASKED.get_or_insert_with(1, |_| Asking(true));
                    turn.wait();
                    drop(value);
                    turn.wait();
                }
            });
        }
        assert_eq!(REFUSALS.load(SeqCst), 3 * ROUNDS);
    });
}

/// A key that runs the function of its thread when it is compared, once.
struct Compared;

thread_local! {
    static COMPARES: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

impl PartialEq for Compared {
    fn eq(&self, _: &Self) -> bool {
        let compares = COMPARES.take();
        if let Some(compares) = compares {
            compares();
        }
        true
    }
}

impl Eq for Compared {}

impl Hash for Compared {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// One thread gives up a draft in the middle of another one's comparison with its key, which so keeps it; and that asks for the key.
fn refused_while_it_compares(
    create_and_fail: impl FnOnce(&dyn Fn()) + Send,
    create: impl Fn() -> Result<(), CreateError<()>> + Send + Clone + 'static,
) {
    let (compares, is_compared) = mpsc::channel();
    let (gives_up, given_up) = mpsc::channel();
    thread::scope(|scope| {
        let (begins, begun) = mpsc::channel();
        scope.spawn(move || {
            create_and_fail(&|| {
                begins.send(()).unwrap();
                is_compared.recv().unwrap();
            });
            gives_up.send(()).unwrap();
        });
        begun.recv().unwrap();
        let again = create.clone();
        COMPARES.replace(Some(Box::new(move || {
            compares.send(()).unwrap();
            given_up.recv().unwrap();
            assert!(matches!(
                again(),
                Err(CreateError::Refused(Refused::Cycle(_)))
            ));
        })));
        create().unwrap();
    });
}

#[test]
fn who_keeps_a_draft_from_ending_by_a_comparison_does_not_wait_for_its_end() {
    promptly(|| {
        static REGISTRY: Registry<Compared, AtDrop> = Registry::new().exclusive();
        static OPEN: AtomicUsize = AtomicUsize::new(0);
        let open = || {
            assert_eq!(OPEN.fetch_add(1, SeqCst), 0);
            AtDrop::new(|| assert_eq!(OPEN.fetch_sub(1, SeqCst), 1))
        };
        refused_while_it_compares(
            move |meet| {
                let initialise = |_: &Handle<_, _>| {
                    meet();
                    Err(())
                };
                let failed = REGISTRY
                    .entry(Compared)
                    .or_try_create_cyclic(|_| Ok(open()), initialise);
                assert!(failed.is_err());
            },
            move || {
                REGISTRY
                    .get_or_try_insert_with(Compared, |_| Ok(open()))
                    .map(drop)
            },
        );
        type Map = WeakValueMap<Compared, Watched<AtDrop>>;
        let map = Arc::new(Map::new().exclusive());
        let failing = Arc::clone(&map);
        refused_while_it_compares(
            move |meet| {
                let initialise = |_: &Watched<_>| {
                    meet();
                    Err(())
                };
                let allocate = |_: &_| Ok(Watched::new(open()));
                let failed = failing
                    .entry(Compared)
                    .or_try_create_cyclic(allocate, initialise);
                assert!(failed.is_err());
            },
            move || {
                map.get_or_try_insert_with(Compared, |_| Ok(Watched::new(open())))
                    .map(drop)
            },
        );
        assert_eq!(OPEN.load(SeqCst), 0);
    });
}
