//! User code that runs in the middle of a creation, and is no factory, asks for the same key: it gets an answer, a draft or a [`CycleError`], and never waits for
//! itself.

use crate::common::promptly;
use highlander::error::{CreateError, Refused};
use highlander::map::{ByAddress, Claim};
use highlander::pointer::{Notify, Pointer, Registration, ReportedWithEnd, Watched, WeakPointer};
use highlander::{Handle, Registry, StrongMap, WeakKeyMap, WeakKeyValueMap, WeakValueMap};
use std::cell::{Cell, RefCell};
use std::hash::{Hash, Hasher};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{mpsc, Arc, Barrier, LazyLock, Mutex, Weak};
use std::thread;

type Error = CreateError<&'static str>;

#[test]
fn a_draft_is_not_entered_and_so_is_not_taken_out() {
    promptly(|| {
        let registry: Registry<u32, u32> = Registry::new();
        let held = registry.entry(1).or_create_cyclic(
            |key| *key,
            |draft| {
                assert!(registry.remove(&1).is_none());
                assert!(registry.remove_if(&1, |_, _| unreachable!()).is_none());
                assert!(!registry.remove_same(draft));
            },
        );
        assert!(Handle::ptr_eq(&registry.remove(&1).unwrap(), &held));
    });
}

#[test]
fn a_draft_is_found_by_every_look_up_alike() {
    let strong: StrongMap<u32, u32> = StrongMap::new();
    let find = |_: &u32| {
        assert!(strong.contains_key(&1));
        assert_eq!(strong.get(&1), Some(1));
        assert_eq!(strong.get_key_value(&1), Some((1, 1)));
        assert!(!strong.contains_key(&2));
        assert_eq!(strong.get_key_value(&2), None);
    };
    strong.entry(1).or_create_cyclic(|key| *key, find);

    let values: WeakValueMap<u32, Arc<u32>> = WeakValueMap::new();
    let find = |draft: &Arc<u32>| {
        assert!(values.contains_key(&1));
        let (key, value) = values.get_key_value(&1).unwrap();
        assert!(key == 1 && Arc::ptr_eq(&value, draft));
    };
    values.entry(1).or_create_cyclic(|key| Arc::new(*key), find);

    let (key, keys) = (Arc::new(1), WeakKeyMap::<Arc<u32>, u32>::new());
    let find = |_: &u32| {
        assert!(keys.contains_key(&*key));
        let (stored, value) = keys.get_key_value(&*key).unwrap();
        assert!(Arc::ptr_eq(&stored, &key) && value == 7);
    };
    keys.entry(&key).or_create_cyclic(|_| 7, find);

    let both: WeakKeyValueMap<Arc<u32>, Arc<u32>> = WeakKeyValueMap::new();
    let find = |draft: &Arc<u32>| {
        assert!(both.contains_key(&*key));
        let (stored, value) = both.get_key_value(&*key).unwrap();
        assert!(Arc::ptr_eq(&stored, &key) && Arc::ptr_eq(&value, draft));
    };
    both.entry(&key).or_create_cyclic(|_| Arc::new(7), find);
}

#[test]
fn what_says_whether_a_value_is_stale_may_ask_for_its_key() {
    promptly(|| {
        let map: WeakValueMap<u32, Arc<u32>> = WeakValueMap::new();
        let old = map.get_or_insert_with(1, |_| Arc::new(1));
        let asked = Cell::new(0);
        let refused = Cell::new(0);
        let is_cycle = |asked| matches!(asked, Err(Error::Refused(Refused::Cycle(_))));
        let stale = |value: &Arc<u32>| {
            if **value != 1 {
                return false;
            }
            asked.set(asked.get() + 1);
            let inner = map.entry(1).valid_if(|_| false).or_try_insert_with(|_| {
                // It has been taken out by now.
                map.insert(1, old.clone());
                Err("inner")
            });
            // Outside of the creation it is an attempt of its own; inside, it would wait for itself.
            refused.set(refused.get() + u32::from(is_cycle(inner)));
            true
        };
        let new = map
            .entry(1)
            .valid_if(|value| !stale(value))
            .or_insert_with(|_| Arc::new(2));
        assert_eq!((*old, *new), (1, 2));
        assert!(asked.get() > 1 && refused.get() > 0);
        assert_eq!(map.get(&1), Some(new));
    });
}

/// A pointer any of whose functions may ask for the key.
struct Asking(Arc<u32>);
struct WeakAsking(Weak<u32>);

type Asks = (&'static str, u32, fn());

thread_local! {
    /// Asked at the n-th step of this kind.
    static ASKS: Cell<Option<Asks>> = const { Cell::new(None) };
}

fn step(kind: &'static str) {
    match ASKS.take() {
        Some((wanted, nth, ask)) if wanted == kind => match nth {
            1 => ask(),
            nth => ASKS.set(Some((kind, nth - 1, ask))),
        },
        asks => ASKS.set(asks),
    }
}

impl Asking {
    fn new() -> Self {
        Self(Arc::new(1))
    }
}

impl Clone for Asking {
    fn clone(&self) -> Self {
        step("clone");
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        step("drop");
    }
}

impl Clone for WeakAsking {
    fn clone(&self) -> Self {
        step("clone of a weak one");
        Self(Weak::clone(&self.0))
    }
}

impl Drop for WeakAsking {
    fn drop(&mut self) {
        step("drop of a weak one");
    }
}

impl Pointer for Asking {
    type Target = u32;
    type Weak = WeakAsking;
    /// It could not; `watch` says so.
    type Death = ReportedWithEnd;

    fn downgrade(this: &Self) -> WeakAsking {
        step("downgrade");
        WeakAsking(Arc::downgrade(&this.0))
    }

    fn target(this: &Self) -> &u32 {
        step("target");
        &this.0
    }

    fn address(this: &Self) -> *const () {
        step("address");
        Arc::as_ptr(&this.0).cast()
    }

    fn watch(_: &Self, _: Notify) -> Option<Registration> {
        step("watch");
        None
    }
}

impl WeakPointer for WeakAsking {
    type Strong = Asking;

    fn upgrade(&self) -> Option<Asking> {
        step("upgrade");
        self.0.upgrade().map(Asking)
    }

    fn is_dead(&self) -> bool {
        step("is_dead");
        self.0.strong_count() == 0
    }

    fn address(&self) -> *const () {
        step("address of a weak one");
        self.0.as_ptr().cast()
    }
}

const STEPS: [&str; 11] = [
    "clone",
    "drop",
    "clone of a weak one",
    "drop of a weak one",
    "downgrade",
    "target",
    "address",
    "watch",
    "upgrade",
    "is_dead",
    "address of a weak one",
];

/// Each way to create, with each step of each kind that asks in turn.
fn each_step_asks(ways: &[fn()], ask: fn()) {
    for way in ways {
        for kind in STEPS {
            for nth in 1.. {
                assert!(nth < 50, "{kind} has no end");
                ASKS.set(Some((kind, nth, ask)));
                way();
                if ASKS.take().is_some() {
                    break;
                }
            }
        }
    }
}

/// Vacant without a question.
fn quietly<R>(f: impl FnOnce() -> R) -> R {
    let asks = ASKS.take();
    let result = f();
    ASKS.set(asks);
    result
}

macro_rules! ways {
    ($map:expr, $key:expr, $value:expr) => {{
        fn vacancy() -> highlander::map::Vacancy<'static, Of> {
            quietly(|| match $map.entry($key).claim() {
                Claim::Vacant(vacancy) => vacancy,
                Claim::Live(_) => panic!("nobody keeps it"),
            })
        }
        let ways: &[fn()] = &[
            || drop($map.get_or_insert_with($key, |_| $value)),
            || drop($map.entry($key).or_create_cyclic(|_| $value, |_| {})),
            || {
                let failed = |_: &Asking| Err("failed");
                let _ = $map.entry($key).or_try_create_cyclic(|_| Ok($value), failed);
            },
            || {
                let inserts = |_: &Asking| drop($map.insert($key, $value));
                drop($map.entry($key).or_create_cyclic(|_| $value, inserts));
            },
            || drop($map.entry($key).valid_if(|_| false).or_insert_with(|_| $value)),
            || drop(vacancy().fill($value)),
            || drop(vacancy().try_fill_with(|_| Ok::<_, &str>($value))),
            || drop(vacancy().try_fill_cyclic(|_| Ok::<_, &str>($value), |_| Ok(()))),
            || drop(vacancy()),
        ];
        let ask: fn() = || {
            // Whatever it is, it is an answer. What it is about to enter may be in the way of a vacancy.
            let _ = $map.get_or_try_insert_with($key, |_| Err("inner"));
        };
        each_step_asks(ways, ask);
    }};
}

#[test]
fn functions_of_pointers_may_ask_for_the_key_of_a_weak_value() {
    type Of = WeakValueMap<u32, Asking>;
    static MAP: Of = WeakValueMap::new();
    promptly(|| ways!(MAP, 1, Asking::new()));
}

#[test]
fn functions_of_pointers_may_ask_for_the_key_of_a_value_with_a_weak_key() {
    type Of = WeakKeyValueMap<Arc<u32>, Asking>;
    static MAP: Of = WeakKeyValueMap::new();
    static KEY: Mutex<Option<Arc<u32>>> = Mutex::new(None);
    fn key() -> Arc<u32> {
        KEY.lock().unwrap().get_or_insert_default().clone()
    }
    promptly(|| ways!(MAP, &key(), Asking::new()));
}

#[test]
fn functions_of_pointers_may_ask_for_the_weak_key_that_they_are() {
    type Of = WeakKeyValueMap<Asking, Asking, ByAddress>;
    static MAP: std::sync::LazyLock<Of> = std::sync::LazyLock::new(Of::default);
    thread_local!(static KEY: Asking = Asking::new());
    fn key() -> Asking {
        quietly(|| KEY.with(Clone::clone))
    }
    promptly(|| ways!(MAP, &key(), Asking::new()));
}

/// While another thread waits, who has to be given a clone; and in an exclusive map, where the dead are looked for first.
#[test]
fn functions_of_pointers_may_ask_for_the_key_that_another_one_waits_for() {
    type Of = WeakValueMap<Compared, Asking>;
    macro_rules! asks {
        ($map:expr) => {{
            static MAP: LazyLock<Of> = LazyLock::new(|| $map);
            fn with_one_who_waits(create: impl FnOnce(Compared, &dyn Fn())) {
                given_up_to_one_who_waits(
                    &*MAP,
                    |_, wait| create(Compared::new(1), wait),
                    |map, key| drop(map.get_or_insert_with(key, |_| Asking::new())),
                );
            }
            let ways: &[fn()] = &[
                || {
                    with_one_who_waits(|key, wait| {
                        let make = |_: &_| {
                            wait();
                            Asking::new()
                        };
                        drop(MAP.get_or_insert_with(key, make));
                    })
                },
                || {
                    with_one_who_waits(|key, wait| {
                        let initialise = |_: &_| wait();
                        drop(
                            MAP.entry(key)
                                .or_create_cyclic(|_| Asking::new(), initialise),
                        );
                    })
                },
                || {
                    with_one_who_waits(|key, wait| {
                        let fail = |_: &_| {
                            wait();
                            Err("failed")
                        };
                        drop(
                            MAP.entry(key)
                                .or_try_create_cyclic(|_| Ok(Asking::new()), fail),
                        );
                    })
                },
                || {
                    with_one_who_waits(|key, wait| {
                        // It is left to the creation around it.
                        let others: Registry<u32, u32> = Registry::new();
                        others.entry(1).or_create_cyclic(
                            |_| 1,
                            |_| {
                                let make = |_: &_| {
                                    wait();
                                    assert!(others.get(&1).is_some());
                                    Asking::new()
                                };
                                drop(MAP.get_or_insert_with(key, make));
                            },
                        );
                    })
                },
            ];
            let ask: fn() = || {
                drop(MAP.remove(&Compared::new(1)));
                let fails = |_: &_| Err("inner");
                let _ = MAP.get_or_try_insert_with(Compared::new(1), fails);
            };
            each_step_asks(ways, ask);
        }};
    }
    promptly(|| asks!(Of::new()));
    promptly(|| asks!(WeakValueMap::new().exclusive()));
}

/// A member of a family, whose destructor asks.
struct Member<M: Asked>(u32, std::marker::PhantomData<M>);

trait Asked: Sized + 'static {
    fn ask(key: u32) -> Result<(), Error>;
}

thread_local! {
    /// Whose destructor asks for which key.
    static FAMILY: Cell<Option<(u32, u32)>> = const { Cell::new(None) };
    static ANSWERS: Cell<u32> = const { Cell::new(0) };
}

impl<M: Asked> Member<M> {
    fn new(number: u32) -> Self {
        Self(number, std::marker::PhantomData)
    }
}

impl<M: Asked> Drop for Member<M> {
    fn drop(&mut self) {
        match FAMILY.get() {
            Some((dying, key)) if dying == self.0 => {
                FAMILY.set(None);
                let _ = M::ask(key);
                ANSWERS.set(ANSWERS.get() + 1);
            }
            _ => {}
        }
    }
}

macro_rules! families {
    ($name:ident, $map:ty, $new:expr, $value:ty, $wrap:expr) => {
        #[test]
        fn $name() {
            struct Here;
            type Value = Member<Here>;
            static MAP: std::sync::LazyLock<$map> = std::sync::LazyLock::new(|| $new);
            impl Asked for Here {
                fn ask(key: u32) -> Result<(), Error> {
                    let value = |_: &u32| Ok::<_, &str>($wrap(Value::new(9)));
                    MAP.get_or_try_insert_with(key, value).map(drop)
                }
            }
            promptly(|| {
                for dying in 1..=3 {
                    for asked in 1..=3 {
                        for panics in [false, true] {
                            let member = |number| {
                                let needs_the_first = |_: &$value| {
                                    MAP.get_or_insert_with(1, |_| unreachable!());
                                };
                                let value = |_: &u32| $wrap(Value::new(number));
                                MAP.entry(number).or_create_cyclic(value, needs_the_first)
                            };
                            let before = ANSWERS.get();
                            let initialise = |_: &$value| {
                                drop((member(2), member(3)));
                                FAMILY.set(Some((dying, asked)));
                                assert!(!panics, "as told");
                                Err("as told")
                            };
                            let outer = catch_unwind(AssertUnwindSafe(|| {
                                let value = |_: &u32| Ok($wrap(Value::new(1)));
                                MAP.entry(1).or_try_create_cyclic(value, initialise)
                            }));
                            assert_eq!(outer.is_err(), panics);
                            assert!(outer.is_err() || outer.unwrap().is_err());
                            assert_eq!(ANSWERS.get(), before + 1);
                            MAP.clear();
                            assert!(MAP.is_empty());
                        }
                    }
                }
            });
        }
    };
}

families!(
    destructors_of_a_family_that_is_given_up_may_ask_for_each_other_in_a_registry,
    Registry<u32, Value>,
    Registry::new(),
    Handle<u32, Value>,
    std::convert::identity
);
families!(
    destructors_of_a_family_that_is_given_up_may_ask_for_each_other_in_an_exclusive_registry,
    Registry<u32, Value>,
    Registry::new().exclusive(),
    Handle<u32, Value>,
    std::convert::identity
);
families!(
    destructors_of_a_family_that_is_given_up_may_ask_for_each_other_in_a_map,
    WeakValueMap<u32, Arc<Value>>,
    WeakValueMap::new(),
    Arc<Value>,
    Arc::new
);
families!(
    destructors_of_a_family_that_is_given_up_may_ask_for_each_other_in_an_exclusive_map,
    WeakValueMap<u32, Watched<Value>>,
    WeakValueMap::new().exclusive(),
    Watched<Value>,
    Watched::new
);
families!(
    destructors_of_a_family_that_is_given_up_may_ask_for_each_other_in_a_strong_map,
    StrongMap<u32, Arc<Value>>,
    StrongMap::new(),
    Arc<Value>,
    Arc::new
);

/// Asks an exclusive map for its own value, when it is dropped.
struct Note(
    &'static WeakValueMap<u32, Watched<u32>>,
    Arc<Mutex<Vec<bool>>>,
);

impl Note {
    fn ask(&self) {
        let value = |_: &u32| Ok::<_, &str>(Watched::new(2));
        let asked = self.0.get_or_try_insert_with(1, value);
        let refused = matches!(asked, Err(Error::Refused(Refused::Cycle(_))));
        self.1.lock().unwrap().push(refused);
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        self.ask();
    }
}

/// Whichever of the two was entered first: what another container does at a value's death comes in the middle of that.
#[test]
fn what_another_container_runs_at_a_death_is_refused_the_key_of_the_dying_value() {
    static MAP: WeakValueMap<u32, Watched<u32>> = WeakValueMap::new().exclusive();
    promptly(|| {
        let refused: Arc<Mutex<Vec<bool>>> = Arc::default();
        let notes: WeakKeyMap<Watched<u32>, Arc<Note>, ByAddress> = WeakKeyMap::default();
        let hooked: WeakValueMap<u32, Watched<u32>> = {
            let note = Note(&MAP, refused.clone());
            let hook = move |_: &u32, _| note.ask();
            WeakValueMap::new().on_remove(hook)
        };
        type Other<'a> = &'a dyn Fn(&Watched<u32>);
        let others: [Other<'_>; 2] = [
            &|value| drop(notes.insert(value, Arc::new(Note(&MAP, refused.clone())))),
            &|value| drop(hooked.insert(5, value.clone())),
        ];
        for other in others {
            for is_first in [true, false] {
                let value = Watched::new(1);
                if is_first {
                    other(&value);
                }
                MAP.insert(1, value.clone());
                if !is_first {
                    other(&value);
                }
                drop(value);
                assert_eq!(
                    refused.lock().unwrap().drain(..).collect::<Vec<_>>(),
                    [true]
                );
                drop(MAP.get_or_insert_with(1, |_| Watched::new(3)));
            }
        }
    });
}

/// A key that says when it is compared, and may ask as it is dropped.
struct Compared {
    number: u32,
    compared: Option<mpsc::Sender<()>>,
    at_drop: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Compared {
    fn new(number: u32) -> Self {
        Self {
            number,
            compared: None,
            at_drop: None,
        }
    }
}

impl PartialEq for Compared {
    fn eq(&self, other: &Self) -> bool {
        for compared in [&self.compared, &other.compared].into_iter().flatten() {
            let _ = compared.send(());
        }
        self.number == other.number
    }
}

impl Eq for Compared {}

impl Hash for Compared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

impl Drop for Compared {
    fn drop(&mut self) {
        if let Some(at_drop) = self.at_drop.take() {
            at_drop();
        }
    }
}

/// One who waits for key 1 while `first` gives it up: runs `first` when the other one has joined, and gives what came of both.
fn given_up_to_one_who_waits<M: Sync, R: Send>(
    map: &M,
    first: impl FnOnce(&M, &dyn Fn()),
    second: impl FnOnce(&M, Compared) -> R + Send,
) -> R {
    let (compared, joined) = mpsc::channel();
    thread::scope(|scope| {
        let mut waiting = None;
        let mut second = Some((second, compared));
        let (waits, key) = (RefCell::new(&mut waiting), RefCell::new(&mut second));
        first(map, &|| {
            let (second, compared) = key.borrow_mut().take().unwrap();
            let mut key = Compared::new(1);
            key.compared = Some(compared);
            **waits.borrow_mut() = Some(scope.spawn(move || second(map, key)));
            joined.recv().unwrap();
        });
        waiting.unwrap().join().unwrap()
    })
}

#[test]
fn a_key_that_is_not_needed_any_more_may_ask_for_itself() {
    promptly(|| {
        static REGISTRY: LazyLock<Registry<Compared, u32>> = LazyLock::new(Registry::new);
        static STRONG: LazyLock<StrongMap<Compared, u32>> = LazyLock::new(StrongMap::new);
        type Ask = fn() -> Result<u32, Error>;
        let asks: [Ask; 2] = [
            || {
                let asked = REGISTRY.get_or_try_insert_with(Compared::new(1), |_| Ok::<_, &str>(3));
                asked.map(|handle| *handle)
            },
            || STRONG.get_or_try_insert_with(Compared::new(1), |_| Ok::<_, &str>(3)),
        ];
        for (strong, ask) in asks.into_iter().enumerate() {
            let made = given_up_to_one_who_waits(
                &(),
                |(), joined| {
                    let fails = |_: &Compared| {
                        joined();
                        Err::<u32, _>("no")
                    };
                    let failed = match strong {
                        0 => REGISTRY
                            .get_or_try_insert_with(Compared::new(1), fails)
                            .is_err(),
                        _ => STRONG
                            .get_or_try_insert_with(Compared::new(1), fails)
                            .is_err(),
                    };
                    assert!(failed);
                },
                |(), mut key| {
                    key.at_drop = Some(Box::new(move || drop(ask())));
                    match strong {
                        0 => *REGISTRY.get_or_insert_with(key, |_| 2),
                        _ => STRONG.get_or_insert_with(key, |_| 2),
                    }
                },
            );
            assert_eq!(made, 2);
        }
    });
}

/// A value that asks for its key at its end, and gets what one who waited has made.
struct AsksAnew(bool);

static ANEW: LazyLock<Registry<Compared, AsksAnew>> = LazyLock::new(Registry::new);
static ANEW_MAP: LazyLock<WeakValueMap<Compared, Arc<AsksInMap>>> =
    LazyLock::new(WeakValueMap::new);

impl Drop for AsksAnew {
    fn drop(&mut self) {
        if self.0 {
            drop(ANEW.get_or_insert_with(Compared::new(1), |_| AsksAnew(false)));
        }
    }
}

struct AsksInMap(bool);

impl Drop for AsksInMap {
    fn drop(&mut self) {
        if self.0 {
            drop(ANEW_MAP.get_or_insert_with(Compared::new(1), |_| Arc::new(AsksInMap(false))));
        }
    }
}

#[test]
fn a_draft_that_is_given_up_may_ask_for_its_key_while_another_one_waits() {
    promptly(|| {
        for panics in [false, true] {
            let fail = move |joined: &dyn Fn()| {
                joined();
                assert!(!panics, "as it should");
                Err("no")
            };
            let made = given_up_to_one_who_waits(
                &(),
                |(), joined| {
                    let failed = catch_unwind(AssertUnwindSafe(|| {
                        ANEW.entry(Compared::new(1))
                            .or_try_create_cyclic(|_| Ok(AsksAnew(true)), |_| fail(joined))
                    }));
                    assert!(failed.map_or(panics, |failed| failed.is_err()));
                },
                |(), key| ANEW.get_or_insert_with(key, |_| AsksAnew(false)).0,
            );
            assert!(!made);
            let made = given_up_to_one_who_waits(
                &(),
                |(), joined| {
                    let failed = catch_unwind(AssertUnwindSafe(|| {
                        ANEW_MAP.entry(Compared::new(1)).or_try_create_cyclic(
                            |_| Ok(Arc::new(AsksInMap(true))),
                            |_| fail(joined),
                        )
                    }));
                    assert!(failed.map_or(panics, |failed| failed.is_err()));
                },
                |(), key| {
                    let made = ANEW_MAP.get_or_insert_with(key, |_| Arc::new(AsksInMap(false)));
                    made.0
                },
            );
            assert!(!made);
        }
    });
}

/// One who waits for a creation that ends in what somebody has inserted meanwhile does not get that if it is stale.
#[test]
fn what_is_stale_is_not_handed_out_to_one_who_waited() {
    promptly(|| {
        let map: StrongMap<Compared, u32> = StrongMap::new();
        let made = given_up_to_one_who_waits(
            &map,
            |map, joined| {
                let made = map.get_or_insert_with(Compared::new(1), |_| {
                    joined();
                    map.insert(Compared::new(1), 1);
                    2
                });
                assert_eq!(made, 1, "what was inserted meanwhile");
            },
            |map, key| {
                map.entry(key)
                    .valid_if(|value| *value != 1)
                    .or_insert_with(|_| 3)
            },
        );
        assert_eq!(made, 3);
        assert_eq!(map.get(&Compared::new(1)), Some(3));
    });
}

/// One who waited gets what was made meanwhile, whatever he says is stale.
#[test]
fn what_is_made_meanwhile_is_not_stale() {
    promptly(|| {
        let map: StrongMap<Compared, u32> = StrongMap::new();
        let made = given_up_to_one_who_waits(
            &map,
            |map, joined| {
                let make = |_: &Compared| {
                    joined();
                    2
                };
                assert_eq!(
                    map.entry(Compared::new(1))
                        .valid_if(|_| false)
                        .or_insert_with(make),
                    2
                );
            },
            |map, key| map.entry(key).valid_if(|_| false).or_insert_with(|_| 3),
        );
        assert_eq!(made, 2);
    });
}

/// At which step, and what is asked then.
type Nth = (u32, fn());

/// A key with the hash of all others, that asks at the n-th comparison.
struct Alike(u32);

thread_local! {
    static COMPARISON: Cell<Option<Nth>> = const { Cell::new(None) };
}

impl PartialEq for Alike {
    fn eq(&self, other: &Self) -> bool {
        match COMPARISON.take() {
            Some((1, ask)) => ask(),
            Some((nth, ask)) => COMPARISON.set(Some((nth - 1, ask))),
            None => {}
        }
        self.0 == other.0
    }
}

impl Eq for Alike {}

impl Hash for Alike {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// While a family is entered, one after the other, those that are to come and those that have come may be asked for: by whoever compares keys.
#[test]
fn each_of_a_family_may_be_asked_for_while_another_one_is_entered() {
    static REGISTRY: LazyLock<Registry<Alike, u32>> = LazyLock::new(Registry::new);
    static MAP: WeakValueMap<Alike, Watched<u32>> = WeakValueMap::new().exclusive();
    macro_rules! family {
        ($map:expr, $new:expr) => {{
            let others = [7, 8].map(|n| $map.get_or_insert_with(Alike(n), $new));
            let asks: [fn(); 3] = [
                || drop($map.get_or_try_insert_with(Alike(1), |_| Err("inner"))),
                || drop($map.get_or_try_insert_with(Alike(2), |_| Err("inner"))),
                || drop($map.get_or_try_insert_with(Alike(3), |_| Err("inner"))),
            ];
            for ask in asks {
                for nth in 1.. {
                    assert!(nth < 1000, "there is no end");
                    COMPARISON.set(Some((nth, ask)));
                    let member = |n| {
                        $map.get_or_insert_with(Alike(n), |key| {
                            assert!($map.get(&Alike(1)).is_some());
                            $new(key)
                        })
                    };
                    let initialise = |_: &_| drop((member(2), member(3)));
                    let made = $map.entry(Alike(1)).or_create_cyclic($new, initialise);
                    drop(made);
                    if COMPARISON.take().is_some() {
                        break;
                    }
                }
            }
            drop(others);
            assert!($map.is_empty());
        }};
    }
    promptly(|| family!(REGISTRY, |key: &Alike| key.0));
    promptly(|| family!(MAP, |key: &Alike| Watched::new(key.0)));
}

/// A key whose `Debug` may ask.
#[derive(PartialEq, Eq, Hash)]
struct Shown(u32);

thread_local! {
    static SHOWING: Cell<Option<Nth>> = const { Cell::new(None) };
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match SHOWING.take() {
            Some((1, ask)) => ask(),
            Some((nth, ask)) => SHOWING.set(Some((nth - 1, ask))),
            None => {}
        }
        write!(f, "{}", self.0)
    }
}

/// A draft that is left to the creation around it is named, for errors to come; and its pointer is cloned.
#[test]
fn each_of_a_family_may_be_asked_for_while_another_one_is_left() {
    static MAP: WeakValueMap<Shown, Watched<u32>> = WeakValueMap::new().debug_keys();
    static REGISTRY: LazyLock<Registry<Shown, u32>> =
        LazyLock::new(|| Registry::new().debug_keys());
    macro_rules! family {
        ($map:expr, $new:expr) => {{
            let asks: [fn(); 3] = [
                || drop($map.get_or_try_insert_with(Shown(1), |_| Err("inner"))),
                || drop($map.get_or_try_insert_with(Shown(2), |_| Err("inner"))),
                || drop($map.get_or_try_insert_with(Shown(3), |_| Err("inner"))),
            ];
            let mut shown = 0;
            for ask in asks {
                for nth in 1.. {
                    assert!(nth < 1000, "there is no end");
                    SHOWING.set(Some((nth, ask)));
                    let third = |_: &_| assert!($map.get(&Shown(1)).is_some());
                    let second = |_: &_| drop($map.entry(Shown(3)).or_create_cyclic($new, third));
                    let first = |_: &_| drop($map.entry(Shown(2)).or_create_cyclic($new, second));
                    drop($map.entry(Shown(1)).or_create_cyclic($new, first));
                    if SHOWING.take().is_some() {
                        break;
                    }
                    shown += 1;
                }
            }
            assert!(shown > 0 && $map.is_empty());
        }};
    }
    promptly(|| family!(MAP, |key: &Shown| Watched::new(key.0)));
    promptly(|| family!(REGISTRY, |key: &Shown| key.0));
}

/// A value that was made with the help of others, all of which wait for a draft further out, is becoming a draft itself: those may be asked for by its pointer.
#[test]
fn each_of_a_family_may_be_asked_for_while_what_it_was_made_for_becomes_a_draft() {
    static MAP: LazyLock<WeakValueMap<u32, Asking>> = LazyLock::new(WeakValueMap::new);
    fn needs_the_first(_: &u32) -> Asking {
        assert!(MAP.get(&1).is_some());
        Asking::new()
    }
    fn needs_others(_: &u32) -> Asking {
        drop(MAP.get_or_insert_with(3, needs_the_first));
        Asking::new()
    }
    fn within_the_first(f: fn()) {
        drop(MAP.entry(1).or_create_cyclic(|_| Asking::new(), |_| f()));
    }
    promptly(|| {
        let ways: [fn(); 2] = [
            || within_the_first(|| drop(MAP.get_or_insert_with(2, needs_others))),
            || within_the_first(|| drop(MAP.entry(2).or_create_cyclic(needs_others, |_| {}))),
        ];
        each_step_asks(&ways, || {
            drop(MAP.get_or_try_insert_with(3, |_| Err("inner")));
        });
    });
}

/// A key that is being created is named for those who may come to wait for it, before its thread waits for another one.
#[test]
fn what_a_thread_is_going_to_wait_for_may_be_asked_for_as_it_says_what_it_is_doing() {
    static FAILS: Barrier = Barrier::new(2);
    static HAS_FAILED: Barrier = Barrier::new(2);
    static NAMES: Registry<u32, u32> = Registry::new();
    let things: Registry<Shown, u32> = Registry::new().debug_keys();
    promptly(move || {
        let (begins, begun) = mpsc::channel();
        let failing = thread::spawn(move || {
            let fail = |_: &u32| {
                begins.send(()).unwrap();
                FAILS.wait();
                Err("the first")
            };
            assert!(NAMES.get_or_try_insert_with(1, fail).is_err());
            HAS_FAILED.wait();
        });
        begun.recv().unwrap();
        let ask = || {
            FAILS.wait();
            HAS_FAILED.wait();
            assert_eq!(*NAMES.get_or_insert_with(1, |_| 2), 2);
        };
        SHOWING.set(Some((1, ask)));
        let thing = things.get_or_insert_with(Shown(7), |_| *NAMES.get_or_insert_with(1, |_| 3));
        assert_eq!(*thing, 3);
        failing.join().unwrap();
    });
}
