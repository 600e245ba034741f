//! Entries: what each way to end one returns, how they combine, and what they leave behind.

use crate::common::{forever, panic_of, promptly, Census, Citizen};
use highlander::error::{ClaimError, CreateError, InFlight, Refused};
use highlander::map::{Entry, RemovalCause};
use highlander::pointer::Token;
use highlander::{Handle, Registry, StrongMap, WeakKeyMap, WeakValueMap};
use std::num::ParseIntError;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{mpsc, Arc, Barrier, Mutex};
use std::thread;

#[test]
fn an_error_of_any_type_comes_back_as_it_is() {
    struct NoTraits;
    let registry: Registry<&str, u32> = Registry::new();
    let parsed: Result<_, CreateError<ParseIntError>> =
        registry.get_or_try_insert_with("x", |x| x.parse());
    assert!(parsed
        .unwrap_err()
        .into_failed()
        .to_string()
        .contains("invalid digit"));
    let nothing = registry.get_or_try_insert_with("x", |_| Err(()));
    assert_eq!(nothing.unwrap_err(), CreateError::Failed(()));
    let strange = registry.entry("x").or_try_insert_with(|_| Err(NoTraits));
    assert!(matches!(strange, Err(CreateError::Failed(NoTraits))));
    assert!(registry.is_empty());
}

#[test]
fn an_entry_does_nothing_by_itself_and_blocks_nobody() {
    let registry: Registry<u32, u32> = Registry::new();
    let entry = registry.entry(1);
    assert_eq!(registry.try_get(&1), Ok(None));
    let other = registry.entry(1).or_insert(1);
    drop(registry.entry(2));
    assert_eq!(
        (registry.len(), format!("{entry:?}")),
        (1, "Entry { key: OwnedKey(1), .. }".into())
    );
    assert!(Handle::ptr_eq(&entry.or_insert(2), &other));
}

#[test]
fn what_is_there_already_is_returned_by_all_of_them() {
    let map: WeakValueMap<&str, Arc<u32>> = WeakValueMap::new();
    let one = map.entry("one").or_insert(Arc::new(1));
    let same = |other: Arc<u32>| assert!(Arc::ptr_eq(&one, &other));
    same(map.entry("one").or_insert(Arc::new(2)));
    same(map.entry("one").or_default());
    same(map.entry("one").or_insert_with(|_| unreachable!()));
    same(map.entry("one").or_try_insert_with(|_| Err(())).unwrap());
    same(
        map.entry("one")
            .or_optionally_insert_with(|_| None)
            .unwrap(),
    );
    same(
        map.entry("one")
            .or_create_cyclic(|_| unreachable!(), |_| unreachable!()),
    );
    same(map.entry("one").or_insert_with_token(|_, _| unreachable!()));
    same(
        map.entry("one")
            .valid_if(|_| true)
            .or_insert_with(|_| unreachable!()),
    );
    same(map.entry("one").claim().live().unwrap());
    same(map.entry("one").try_claim().unwrap().live().unwrap());
    same(Entry::of(&map, "one").or_default());
    assert_eq!(
        map.entry("one")
            .and_view(|one| **one + 1)
            .or_insert_with(|_| unreachable!()),
        2
    );
    assert_eq!(map.entry_count(), 1);
}

#[test]
fn no_value_is_no_error_and_nothing_is_entered() {
    let (registry, asked) = (Registry::<u32, u32>::new(), AtomicUsize::new(0));
    let load = |id: &u32| {
        asked.fetch_add(1, SeqCst);
        (*id < 10).then_some(*id)
    };
    assert!(registry.entry(70).or_optionally_insert_with(load).is_none());
    assert!(registry.entry(70).or_optionally_insert_with(load).is_none());
    let seven = registry.entry(7).or_optionally_insert_with(load);
    assert_eq!(
        (registry.len(), asked.into_inner(), seven.map(|it| *it)),
        (1, 3, Some(7))
    );
}

#[test]
fn a_value_that_is_no_clone_can_be_looked_at() {
    struct Page(String);
    let pages: StrongMap<u32, Page> = StrongMap::new();
    let length = |page: &Page| page.0.len();
    let made = pages
        .entry(1)
        .and_view(length)
        .or_insert_with(|_| Page("text".into()));
    let again = pages
        .entry(1)
        .and_view(length)
        .or_insert_with(|_| unreachable!());
    let failed = pages
        .entry(2)
        .and_view(length)
        .or_try_insert_with(|_| Err("no page"));
    assert_eq!(
        (made, again, failed.unwrap_err()),
        (4, 4, CreateError::Failed("no page"))
    );
    assert_eq!(pages.len(), 1);
}

#[test]
fn a_borrowed_key_is_made_into_one_on_a_miss_only() {
    let made = AtomicUsize::new(0);
    let own = |name: &str| {
        made.fetch_add(1, SeqCst);
        name.to_owned()
    };
    let map: StrongMap<String, usize> = StrongMap::new();
    for _ in 0..3 {
        let length = map
            .entry_ref("MacLeod")
            .key_with(own)
            .or_insert_with(|name| name.len());
        assert_eq!(length, 7);
    }
    assert_eq!(made.load(SeqCst), 1);
    let other = |_: &str| "Kurgan".to_owned();
    let text = panic_of(|| {
        map.entry_ref("Ramirez")
            .key_with(other)
            .or_insert_with(|_| unreachable!())
    });
    assert!(text.contains("not the one that was asked for"), "{text}");
    assert_eq!(map.len(), 1);
}

#[test]
fn a_weak_key_that_is_made_comes_back_with_its_value() {
    let map: WeakKeyMap<Arc<str>, usize> = WeakKeyMap::new();
    let (key, six) = map.entry_ref("Kurgan").or_insert_with(|key| key.len());
    let (same, again) = map.entry_ref("Kurgan").or_insert_with(|_| unreachable!());
    assert!(Arc::ptr_eq(&key, &same));
    assert_eq!((six, again, map.get("Kurgan")), (6, 6, Some(6)));
    drop((key, same));
    assert_eq!(map.get("Kurgan"), None);
}

#[test]
fn a_stale_value_is_taken_out_before_the_factory_runs() {
    let causes: Arc<Mutex<Vec<RemovalCause>>> = Arc::default();
    let seen = causes.clone();
    let hook = move |_: &u32, cause| seen.lock().unwrap().push(cause);
    let map: WeakValueMap<u32, Arc<u32>> = WeakValueMap::new().on_remove(hook);
    let stale = map.entry(1).or_insert(Arc::new(1));
    let failed = map
        .entry(1)
        .valid_if(|value| **value > 1)
        .or_try_insert_with(|_| {
            assert_eq!(map.get(&1), None);
            Err("no network")
        });
    assert_eq!(failed, Err(CreateError::Failed("no network")));
    assert_eq!((*stale, map.entry_count()), (1, 0));
    assert_eq!(*causes.lock().unwrap(), [RemovalCause::Removed]);
    let fresh = map
        .entry(1)
        .valid_if(|value| **value > 1)
        .or_insert(Arc::new(2));
    let same = map
        .entry(1)
        .valid_if(|value| **value > 1)
        .or_insert(Arc::new(3));
    assert!(Arc::ptr_eq(&fresh, &same));
}

/// Also if its maker's own condition says otherwise: who has waited for a value takes it.
#[test]
fn what_a_creation_has_just_made_is_valid() {
    let map: WeakValueMap<u32, Arc<u32>> = WeakValueMap::new();
    let first = map.entry(1).valid_if(|_| false).or_insert(Arc::new(1));
    let second = map.entry(1).valid_if(|_| false).or_insert(Arc::new(2));
    assert_eq!((*first, *second), (1, 2));
    assert!(Arc::ptr_eq(&map.get(&1).unwrap(), &second));
}

#[test]
fn a_stale_value_makes_way_for_a_claim_a_circle_and_a_token() {
    struct Told {
        number: u32,
        _token: Option<Token>,
    }
    let told = |number, token| {
        Arc::new(Told {
            number,
            _token: token,
        })
    };
    let map: WeakValueMap<u32, Arc<Told>> = WeakValueMap::new();
    let first = map.entry(1).or_insert(told(1, None));
    let second = map
        .entry(1)
        .valid_if(|it| it.number > 1)
        .claim()
        .vacant()
        .unwrap()
        .fill(told(2, None));
    let third = map.entry(1).valid_if(|it| it.number > 2).or_create_cyclic(
        |_| told(3, None),
        |draft| assert!(Arc::ptr_eq(draft, &map.get(&1).unwrap())),
    );
    let fourth = map.entry(1).valid_if(|it| it.number > 3);
    let fourth = fourth.or_insert_with_token(|_, token| told(4, Some(token)));
    let numbers = [&first, &second, &third, &fourth].map(|it| it.number);
    assert_eq!((numbers, map.entry_count()), ([1, 2, 3, 4], 1));
    drop(fourth);
    assert_eq!(map.entry_count(), 0);
}

#[test]
fn a_claim_says_when_it_is_refused_or_somebody_is_at_it() {
    let map: WeakValueMap<u32, Arc<u32>> = WeakValueMap::new();
    let vacancy = map.entry(1).claim().vacant().unwrap();
    assert!(matches!(
        map.entry(1).try_claim(),
        Err(ClaimError::InFlight(InFlight))
    ));
    map.close();
    let refused = vacancy.try_fill_with(|_| Ok::<_, ()>(Arc::new(1)));
    assert!(matches!(
        refused,
        Err(CreateError::Refused(Refused::Closed(_)))
    ));
    assert!(matches!(
        map.entry(1).try_claim(),
        Err(ClaimError::Refused(Refused::Closed(_)))
    ));
    assert!(matches!(
        map.entry(1).claim_or_refused(),
        Err(Refused::Closed(_))
    ));
    assert!(panic_of(|| map.entry(1).claim()).contains("closed"));
}

/// Whatever the order in which they come: of threads each gets the error, whether it has slept or run the factory.
#[test]
fn threads_that_share_errors_run_the_factory_once_for_all_who_wait() {
    promptly(|| {
        let registry: &Registry<u32, Citizen> = forever(Registry::new());
        let (runs, census) = (AtomicUsize::new(0), Census::new());
        let start = Barrier::new(8);
        let fail = |_: &u32| {
            runs.fetch_add(1, SeqCst);
            Err(String::from("no answer"))
        };
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    let failed = registry.entry(1).share_errors().or_try_insert_with(fail);
                    assert_eq!(failed.unwrap_err(), CreateError::Failed("no answer".into()));
                });
            }
        });
        assert!((1..=8).contains(&runs.into_inner()) && registry.is_empty());
        let entry = registry.entry(1).share_errors();
        assert!(entry
            .or_try_insert_with(|_| Ok::<_, String>(census.citizen()))
            .is_ok());
    });
}

#[cfg(feature = "async")]
mod tasks {
    use super::*;
    use crate::idle::{poll, Boxed};
    use std::task::{Poll, Waker};

    /// A creation of 1 that fails when it is polled for the second time.
    fn fails_later<'a>(
        registry: &'a Registry<u32, u32>,
        shares: bool,
    ) -> Boxed<'a, Result<(), CreateError<String>>> {
        let mut polled = false;
        let later = std::future::poll_fn(move |_| match std::mem::replace(&mut polled, true) {
            false => Poll::Pending,
            true => Poll::Ready(Err(String::from("no answer"))),
        });
        let entry = registry.entry(1);
        match shares {
            true => {
                let failing = entry.share_errors().or_try_insert_with_async(|_| later);
                Box::pin(async { failing.await.map(drop) })
            }
            false => {
                let failing = entry.or_try_insert_with_async(|_| later);
                Box::pin(async { failing.await.map(drop) })
            }
        }
    }

    #[test]
    fn an_error_that_is_shared_is_one_for_all_who_wait() {
        let registry: Registry<u32, u32> = Registry::new();
        let mut creator = fails_later(&registry, true);
        assert!(poll(&mut creator, Waker::noop()).is_pending());
        let unasked = |_: &u32| async { unreachable!("somebody has tried") };
        let mut waiting: Vec<_> = (0..7)
            .map(|_| -> Boxed<'_, Result<_, CreateError<String>>> {
                Box::pin(
                    registry
                        .entry(1)
                        .share_errors()
                        .or_try_insert_with_async(unasked),
                )
            })
            .collect();
        assert!(waiting
            .iter_mut()
            .all(|waiter| poll(waiter, Waker::noop()).is_pending()));
        let no_answer = CreateError::Failed(String::from("no answer"));
        assert_eq!(
            poll(&mut creator, Waker::noop()),
            Poll::Ready(Err(no_answer.clone()))
        );
        for waiter in &mut waiting {
            let Poll::Ready(Err(error)) = poll(waiter, Waker::noop()) else {
                panic!("it has waited for the error");
            };
            assert_eq!(error, no_answer);
        }
        assert_eq!(registry.try_get(&1), Ok(None));
    }

    /// One that does not share tries itself; so does one with errors of another type, and all do if it is not shared by who has it.
    #[test]
    fn an_error_is_shared_with_those_only_who_take_it() {
        for shares in [true, false] {
            let registry: Registry<u32, u32> = Registry::new();
            let mut creator = fails_later(&registry, shares);
            assert!(poll(&mut creator, Waker::noop()).is_pending());
            let entry = || registry.entry(1);
            let mut other: Boxed<'_, Result<_, CreateError<u8>>> = Box::pin(
                entry()
                    .share_errors()
                    .or_try_insert_with_async(|_| async { Err(7) }),
            );
            let mut alone: Boxed<'_, Result<_, CreateError<String>>> =
                Box::pin(entry().or_try_insert_with_async(|_| async { Ok(1) }));
            let mut same: Boxed<'_, Result<_, CreateError<String>>> = Box::pin(
                entry()
                    .share_errors()
                    .or_try_insert_with_async(|_| async { Ok(2) }),
            );
            let all_wait = poll(&mut other, Waker::noop()).is_pending()
                && poll(&mut alone, Waker::noop()).is_pending();
            assert!(all_wait && poll(&mut same, Waker::noop()).is_pending());
            assert!(matches!(
                poll(&mut creator, Waker::noop()),
                Poll::Ready(Err(_))
            ));
            assert!(matches!(
                poll(&mut other, Waker::noop()),
                Poll::Ready(Err(CreateError::Failed(7)))
            ));
            let Poll::Ready(Ok(made)) = poll(&mut alone, Waker::noop()) else {
                panic!("it tries itself");
            };
            match (poll(&mut same, Waker::noop()), shares) {
                (Poll::Ready(Err(CreateError::Failed(text))), true) => {
                    assert_eq!(text, "no answer")
                }
                (Poll::Ready(Ok(same)), false) => assert!(Handle::ptr_eq(&same, &made)),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn no_value_is_no_error_for_tasks_either() {
        let registry: Registry<u32, u32> = Registry::new();
        let none = registry
            .entry(1)
            .or_optionally_insert_with_async(|_| async { None });
        assert!(pollster::block_on(none).is_none() && registry.is_empty());
        let one = registry
            .entry(1)
            .or_optionally_insert_with_async(|_| async { Some(1) });
        assert_eq!(pollster::block_on(one).map(|one| *one), Some(1));
    }

    #[test]
    fn a_stale_value_makes_way_for_a_task() {
        let map: WeakValueMap<u32, Arc<u32>> = WeakValueMap::new();
        let first = map.entry(1).or_insert(Arc::new(1));
        let entry = map.entry(1).valid_if(|value| **value > 1);
        let second = pollster::block_on(entry.or_insert_with_async(|_| async { Arc::new(2) }));
        let entry = map.entry(1).valid_if(|value| **value > 2);
        let third = pollster::block_on(entry.claim_async())
            .vacant()
            .unwrap()
            .fill(Arc::new(3));
        assert_eq!((*first, *second, *third, map.entry_count()), (1, 2, 3, 1));
    }

    #[test]
    fn a_hit_is_ready_at_the_first_poll_and_a_future_is_small() {
        let registry: Registry<u32, [u64; 64]> = Registry::new();
        let held = registry.entry(1).or_insert([1; 64]);
        let mut hit: Boxed<'_, _> = Box::pin(
            registry
                .entry(1)
                .or_insert_with_async(|_| async { unreachable!() }),
        );
        assert!(
            matches!(poll(&mut hit, Waker::noop()), Poll::Ready(same) if Handle::ptr_eq(&same, &held))
        );
        let creation = registry.get_or_insert_async(2, |_| async { [2; 64] });
        assert!(
            size_of_val(&creation) <= 64,
            "{} bytes",
            size_of_val(&creation)
        );
    }
}

/// Whatever an entry has been given may ask for its key as it goes.
mod at_the_drop_of_a_condition {
    use super::*;

    static REGISTRY: Registry<u32, u32> = Registry::new();

    /// What a condition has captured.
    struct Asks(u32, mpsc::Sender<String>);

    impl Asks {
        fn for_key(&self, key: u32) -> bool {
            self.0 == key
        }
    }

    impl Drop for Asks {
        fn drop(&mut self) {
            let asked = REGISTRY.get_or_try_insert_with(self.0, |_| Ok::<_, ()>(7));
            let text = asked.map_or_else(|error| format!("{error:?}"), |seven| seven.to_string());
            self.1.send(text).unwrap();
        }
    }

    fn with(key: u32, ask: impl FnOnce(Asks) + Send + 'static) -> String {
        let (sender, receiver) = mpsc::channel();
        promptly(move || ask(Asks(key, sender)));
        receiver.recv().unwrap()
    }

    #[test]
    fn a_creation_is_not_waited_for_by_its_own_thread() {
        let text = with(1, |asks| {
            let entry = REGISTRY.entry(1).valid_if(move |_| asks.for_key(0));
            drop(entry.or_insert(1));
        });
        assert!(text.contains("Cycle"), "{text}");
    }

    #[test]
    fn nor_is_a_claim() {
        let text = with(2, |asks| {
            drop(REGISTRY.entry(2).valid_if(move |_| asks.for_key(0)).claim());
        });
        assert!(text.contains("Cycle"), "{text}");
        let text = with(3, |asks| {
            drop(
                REGISTRY
                    .entry(3)
                    .valid_if(move |_| asks.for_key(0))
                    .try_claim(),
            );
        });
        assert!(text.contains("Cycle"), "{text}");
    }

    #[cfg(feature = "async")]
    #[test]
    fn nor_is_that_of_a_task() {
        let text = with(4, |asks| {
            let entry = REGISTRY.entry(4).valid_if(move |_| asks.for_key(0));
            drop(pollster::block_on(
                entry.or_insert_with_async(|_| async { 1 }),
            ));
        });
        assert!(text.contains("Cycle"), "{text}");
    }

    #[test]
    fn a_hit_is_found() {
        let held = REGISTRY.entry(5).or_insert(5);
        let text = with(5, |asks| {
            drop(
                REGISTRY
                    .entry(5)
                    .valid_if(move |_| asks.for_key(5))
                    .or_insert(6),
            );
        });
        assert_eq!((text, *held), ("5".into(), 5));
    }
}

#[test]
fn a_refusal_panics_where_the_call_stands() {
    use highlander::{Registry, StrongMap, WeakValueMap};
    use std::panic::{self, AssertUnwindSafe, Location};
    use std::sync::{Arc, Mutex};

    static PLACES: Mutex<Vec<(String, u32)>> = Mutex::new(Vec::new());
    let registry: Registry<u32, u32> = Registry::new();
    let strong: StrongMap<u32, String> = StrongMap::new();
    let weak: WeakValueMap<u32, Arc<u32>> = WeakValueMap::new();
    registry.close();
    strong.close();
    weak.close();
    let line = Location::caller().line();
    let calls: [&dyn Fn(); 12] = [
        &|| drop(registry.get_or_insert_with(1, |_| 1)),
        &|| drop(registry.insert(1, 1)),
        &|| drop(registry.entry(1).or_insert(1)),
        &|| drop(registry.entry(1).or_default()),
        &|| drop(registry.entry(1).or_create_cyclic(|_| 1, |_| ())),
        &|| drop(registry.entry(1).or_optionally_insert_with(|_| Some(1))),
        &|| drop(registry.entry(1).claim()),
        &|| drop(strong.get_or_insert_with(1, |_| String::new())),
        &|| drop(strong.insert(1, String::new())),
        &|| drop(strong.update(1, |_| Some(String::new()))),
        &|| drop(weak.get_or_insert_with(1, |_| Arc::new(1))),
        &|| drop(weak.insert(1, Arc::new(1))),
    ];
    let before = panic::take_hook();
    let thread = std::thread::current().id();
    panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() != thread {
            return before(info);
        }
        let place = info.location().unwrap();
        PLACES
            .lock()
            .unwrap()
            .push((place.file().to_owned(), place.line()));
    }));
    for call in calls {
        assert!(panic::catch_unwind(AssertUnwindSafe(call)).is_err());
    }
    drop(panic::take_hook());
    let places = std::mem::take(&mut *PLACES.lock().unwrap());
    let here = |n: u32| (file!().to_owned(), line + 2 + n);
    assert_eq!(places, (0..12).map(here).collect::<Vec<_>>());
}
