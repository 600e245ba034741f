//! `RecentErrors` keeps what creations have failed with, for a time, and not too many.

use crate::common::{flat, panic_of, promptly, Census, Citizen};
use crate::recent::{Hand, T};
use highlander::error::{CreateError, Refused};
use highlander::{Handle, RecentErrors, Registry, WeakValueMap};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::Duration;

type Failed = CreateError<String>;

/// A map of numbers whose creations count their runs.
struct Tries {
    numbers: Registry<u32, u32>,
    errors: RecentErrors<u32, String>,
    hand: Hand,
    runs: AtomicUsize,
}

impl Tries {
    fn new(capacity: usize) -> Self {
        let hand = Hand::new();
        Self {
            numbers: Registry::new(),
            errors: RecentErrors::new(capacity, T).with_clock(hand.clock()),
            hand,
            runs: AtomicUsize::new(0),
        }
    }

    fn ask(&self, key: u32, result: Result<u32, String>) -> Result<Handle<u32, u32>, Failed> {
        let make = |_: &u32| {
            self.runs.fetch_add(1, SeqCst);
            result
        };
        self.numbers
            .get_or_try_insert_with(key, |key| self.errors.or_try(key, make))
    }

    /// Fails with this text, or with the one that is kept.
    fn fail(&self, key: u32, text: &str) -> String {
        match self.ask(key, Err(text.into())) {
            Err(CreateError::Failed(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    fn runs(&self) -> usize {
        self.runs.load(SeqCst)
    }
}

#[test]
fn an_error_is_kept_for_its_time_and_no_longer() {
    let tries = Tries::new(8);
    assert_eq!(tries.fail(1, "one"), "one");
    tries.hand.go_on(T - Duration::from_nanos(1));
    assert_eq!(tries.fail(1, "two"), "one");
    assert_eq!(
        tries.fail(2, "other"),
        "other",
        "other keys are not concerned"
    );
    assert_eq!(tries.runs(), 2);
    tries.hand.go_on(Duration::from_nanos(1));
    assert_eq!(tries.errors.get(&1), None);
    assert_eq!(tries.fail(1, "three"), "three", "asking has not renewed it");
    assert_eq!(tries.errors.get(&1).as_deref(), Some("three"));
    assert_eq!(tries.errors.get(&2).as_deref(), Some("other"));
    tries.hand.go_on(T);
    assert_eq!((tries.errors.expire(), tries.errors.len()), (2, 0));
}

#[test]
fn clear_shrink_to_fit_and_remove_end_errors() {
    let ends: [fn(&RecentErrors<u32, String>); 3] = [
        |errors| assert_eq!(errors.clear(), 1),
        RecentErrors::shrink_to_fit,
        |errors| assert!(errors.remove(&1) && !errors.remove(&1)),
    ];
    for end in ends {
        let tries = Tries::new(8);
        tries.fail(1, "one");
        end(&tries.errors);
        assert!(tries.errors.is_empty());
        assert_eq!(tries.fail(1, "two"), "two");
    }
}

#[test]
fn errors_are_bounded_and_the_oldest_go() {
    let tries = Tries::new(4);
    for key in 0..10 {
        tries.fail(key, "old");
        tries.fail(0, "hot");
    }
    assert_eq!(tries.errors.len(), 4);
    for (key, text) in (6..10).zip(["old"; 4]) {
        assert_eq!(tries.errors.get(&key).as_deref(), (key > 6).then_some(text));
    }
    // The one that failed again has come again.
    assert_eq!(tries.errors.get(&0).as_deref(), Some("hot"));
    assert_eq!(Tries::new(0).fail(1, "none is kept"), "none is kept");
}

#[test]
fn a_success_ends_an_error() {
    let tries = Tries::new(4);
    tries.fail(1, "one");
    tries.hand.go_on(T);
    let number = tries.ask(1, Ok(7)).unwrap();
    assert!(tries.errors.is_empty());
    // A value that is there is found, whatever has failed before or fails now.
    assert_eq!(*tries.ask(1, Err("no".into())).unwrap(), 7);
    drop(number);
    assert_eq!(tries.fail(1, "two"), "two");
    assert_eq!(tries.numbers.insert(1, 8).0.to_string(), "8");
    let held = tries.numbers.insert(1, 8).0;
    assert_eq!(*tries.ask(1, Ok(9)).unwrap(), 8);
    assert!(tries.errors.remove(&1));
    drop(held);
    assert_eq!(*tries.ask(1, Ok(9)).unwrap(), 9);
}

#[test]
fn refusals_are_not_kept() {
    let tries = Tries::new(4);
    // The factory asks for its own key: the refusal is the inner call's, and goes through the factory of the outer one.
    let again = |_: &u32| tries.ask(1, Ok(2)).map(|number| *number);
    let cycle = tries.numbers.get_or_try_insert_with(1, again);
    let cycle = cycle.map_err(flat);
    assert!(
        matches!(cycle, Err(CreateError::Refused(Refused::Cycle(_)))),
        "{cycle:?}"
    );
    assert!(tries.errors.is_empty());
    // What a factory makes of it is an error of its own.
    let text = |key: &u32| again(key).map_err(|error| error.to_string());
    let failed = tries
        .numbers
        .get_or_try_insert_with(1, |key| tries.errors.or_try(key, text));
    let Err(CreateError::Failed(text)) = failed else {
        panic!("{failed:?}")
    };
    assert_eq!(tries.errors.get(&1), Some(text));
    assert_eq!(tries.errors.clear(), 1);
    assert_eq!(*tries.ask(1, Ok(3)).unwrap(), 3);

    let closed: WeakValueMap<u32, Arc<u32>> = WeakValueMap::new();
    closed.close();
    let refused =
        closed.get_or_try_insert_with(1, |key| tries.errors.or_try(key, |_| Ok(Arc::new(1))));
    assert!(matches!(
        refused,
        Err(CreateError::Refused(Refused::Closed(_)))
    ));
    assert!(tries.errors.is_empty());
}

#[test]
fn a_factory_that_panics_leaves_no_error() {
    let tries = Tries::new(4);
    let panic = panic_of(|| {
        let make = |key: &u32| tries.errors.or_try(key, |_| panic!("no"));
        tries.numbers.get_or_try_insert_with(1, make)
    });
    assert_eq!((panic.as_str(), tries.errors.len()), ("no", 0));
    assert_eq!(*tries.ask(1, Ok(1)).unwrap(), 1);
}

#[test]
fn those_who_wait_for_a_creation_that_fails_get_its_error() {
    let tries = promptly(|| {
        let tries = Arc::new(Tries::new(400));
        let barrier = Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for key in 0..200 {
                        barrier.wait();
                        assert_eq!(tries.fail(key, "no"), "no");
                    }
                });
            }
        });
        tries
    });
    assert_eq!(tries.runs(), 200, "one try for each key");
}

#[test]
fn errors_go_with_their_keeper_and_may_call_it_when_they_do() {
    #[derive(Clone)]
    struct Loud(#[allow(dead_code)] Arc<Citizen>);
    impl Drop for Loud {
        fn drop(&mut self) {
            if let Some(errors) = ERRORS.get() {
                errors.remove(&99);
                errors.len();
            }
        }
    }
    static ERRORS: OnceLock<RecentErrors<u32, Loud>> = OnceLock::new();
    let census = Census::new();
    let errors = ERRORS.get_or_init(|| RecentErrors::new(2, T));
    promptly({
        let census = census.clone();
        move || {
            let numbers: Registry<u32, u32> = Registry::new();
            for key in 0..10 {
                let loud = Loud(Arc::new(census.citizen()));
                let fail = |_: &u32| Err(loud);
                let made = numbers.get_or_try_insert_with(key, |key| errors.or_try(key, fail));
                assert!(made.is_err());
            }
        }
    });
    assert_eq!((errors.len(), census.alive()), (2, 2));
    errors.clear();
    assert_eq!(census.alive(), 0);
    let own: RecentErrors<u32, Loud> = RecentErrors::new(2, T);
    let numbers: Registry<u32, u32> = Registry::new();
    let fail = |_: &u32| Err(Loud(Arc::new(census.citizen())));
    let made = numbers.get_or_try_insert_with(1, |key| own.or_try(key, fail));
    drop(made.unwrap_err());
    assert_eq!(census.alive(), 1);
    drop(own);
    assert_eq!(census.alive(), 0);
}

#[cfg(feature = "async")]
#[test]
fn errors_of_factories_that_await_are_kept_too() {
    static NUMBERS: Registry<u32, u32> = Registry::new();
    static ERRORS: RecentErrors<u32, u32> = RecentErrors::new(4, T);
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(async {
        let ask = |error| async move {
            let make = move |_: &u32| async move {
                tokio::task::yield_now().await;
                Err(error)
            };
            let make = |key: &u32| ERRORS.or_try_async(*key, make);
            NUMBERS.get_or_try_insert_async(1, make).await.err()
        };
        assert_eq!(
            tokio::spawn(ask(7)).await.unwrap(),
            Some(CreateError::Failed(7))
        );
        assert_eq!(
            tokio::spawn(ask(8)).await.unwrap(),
            Some(CreateError::Failed(7))
        );
    });
    // Threads share them.
    let found = NUMBERS.get_or_try_insert_with(1, |key| ERRORS.or_try(key, |_| Ok(1)));
    assert_eq!(found.err(), Some(CreateError::Failed(7)));
}

/// An error whose clone forgets all errors of its kind, once.
#[derive(Debug)]
struct Forgetting(u32);

static FORGETTING: RecentErrors<u32, Forgetting> = RecentErrors::new(2, T);
static FORGETS: AtomicUsize = AtomicUsize::new(0);

impl Clone for Forgetting {
    fn clone(&self) -> Self {
        if FORGETS.fetch_sub(1, SeqCst) == 1 {
            assert_eq!(FORGETTING.clear(), 1);
            // It is alive still, as this one looks at it.
            assert!(FORGETTING.get(&1).is_none());
            assert!(!FORGETTING.remove(&1));
        }
        Self(self.0)
    }
}

#[test]
fn an_error_that_is_forgotten_is_not_found_while_somebody_clones_it() {
    let fail = |_: &u32| Err::<u32, _>(Forgetting(7));
    FORGETS.store(usize::MAX, SeqCst);
    assert!(FORGETTING.or_try(&1, fail).is_err());
    FORGETS.store(1, SeqCst);
    assert_eq!(FORGETTING.get(&1).unwrap().0, 7);
    assert!(FORGETTING.get(&1).is_none());
    assert_eq!(FORGETTING.or_try(&1, |_| Ok(1)).ok(), Some(1));
}
