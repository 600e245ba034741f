//! Creating a value while others ask for it.

use crate::support::*;
use highlander::map::Claim;
use highlander::Handle;
use loom::thread;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;

#[test]
fn a_creator_against_one_who_takes_the_value_out_and_creates_anew() {
    model_with(2, || {
        let (registry, tally) = (registry(), Tally::default());
        let creator = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            move || drop(registry.get_or_insert_with(A, |_| tally.value()))
        });
        thread::yield_now();
        if let Some(removed) = registry.remove(&A) {
            let new = registry.get_or_insert_with(A, |_| tally.value());
            assert!(
                !Handle::ptr_eq(&new, &removed),
                "it was taken out before the call"
            );
        }
        creator.join().unwrap();
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}

#[test]
fn a_creator_against_one_who_enters_a_value_takes_it_out_and_creates_anew() {
    model_with(2, || {
        let (registry, tally) = (registry(), Tally::default());
        let creator = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            move || {
                let missed = |key: &Key| {
                    thread::yield_now();
                    *key
                };
                drop(
                    registry
                        .entry_ref(&A)
                        .key_with(missed)
                        .or_insert_with(|_| tally.value()),
                );
            }
        });
        thread::yield_now();
        if let Ok(entered) = registry.try_insert(A, tally.value()) {
            thread::yield_now();
            assert!(registry.remove_same(&entered));
            let new = registry.get_or_insert_with(A, |_| tally.value());
            assert!(
                !Handle::ptr_eq(&new, &entered),
                "it was taken out before the call"
            );
        }
        creator.join().unwrap();
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}

#[test]
fn two_creators_of_one_key_get_one_value() {
    model(|| {
        let (registry, tally) = (registry(), Tally::default());
        let other = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            move || registry.get_or_insert_with(A, |_| tally.value())
        });
        let mine = registry.get_or_insert_with(A, |_| tally.value());
        let theirs = other.join().unwrap();
        assert!(Handle::ptr_eq(&mine, &theirs));
        mine.read();
        assert_eq!(tally.made(), 1);
        assert_eq!(registry.len(), 1);
        drop((mine, theirs));
        assert_eq!(tally.live(), 0);
        assert_eq!(registry.len(), 0);
    });
}

#[test]
fn two_creators_of_two_keys_with_one_hash_do_not_mix_them_up() {
    model_with(2, || {
        let (registry, tally) = (registry(), Tally::default());
        let other = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            move || registry.get_or_insert_with(A, |key| (*key, tally.value()))
        });
        let mine = registry.get_or_insert_with(A2, |key| (*key, tally.value()));
        let theirs = other.join().unwrap();
        assert_eq!((mine.0, theirs.0), (A2, A));
        assert_eq!(registry.len(), 2);
    });
}

#[test]
fn a_waiter_gets_the_value_that_its_creator_has_dropped_at_once() {
    model_with(2, || {
        let (registry, tally) = (registry(), Tally::default());
        let other = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            move || drop(registry.get_or_insert_with(A, |_| tally.value()))
        });
        registry.get_or_insert_with(A, |_| tally.value()).read();
        other.join().unwrap();
        assert_eq!(tally.live(), 0);
        assert_eq!(registry.len(), 0);
    });
}

#[test]
fn when_the_creator_fails_the_waiter_creates() {
    model_with(2, || {
        let (registry, tally) = (registry(), Tally::default());
        let other = thread::spawn({
            let registry = Arc::clone(&registry);
            move || {
                registry
                    .get_or_try_insert_with(A, |_| Err("no".to_string()))
                    .map(|found: highlander::Handle<Key, Counted>| found.read())
            }
        });
        let mine = registry.get_or_try_insert_with(A, |_| Ok::<_, Infallible>(tally.value()));
        mine.unwrap().read();
        // It failed, or it found the value that the waiter had made.
        let _ = other.join().unwrap();
        assert_eq!(tally.made(), 1);
        assert_eq!(tally.live(), 0);
        assert_eq!(registry.len(), 0);
    });
}

/// Who has waited gets the error, and who comes later runs its own factory; in both cases nobody is left to lead a flight that nobody knows of.
#[test]
fn when_a_creator_fails_whose_error_is_shared_nobody_is_left_in_flight() {
    model_with(2, || {
        let (registry, runs) = (registry(), Arc::new(AtomicUsize::new(0)));
        let fail = |registry: &Reg<Counted>, runs: &AtomicUsize| {
            let entry = registry.entry(A).share_errors();
            let failed = entry.or_try_insert_with(|_| {
                // A factory takes its time. To let others go on meanwhile costs no forced switch.
                thread::yield_now();
                Err(runs.fetch_add(1, Relaxed))
            });
            failed.map(drop).unwrap_err().into_failed()
        };
        let other = thread::spawn({
            let (registry, runs) = (Arc::clone(&registry), Arc::clone(&runs));
            move || fail(&registry, &runs)
        });
        let mine = fail(&registry, &runs);
        let theirs = other.join().unwrap();
        let runs = runs.load(Relaxed);
        assert_eq!(runs, if mine == theirs { 1 } else { 2 });
        assert!(matches!(registry.try_get(&A), Ok(None)));
    });
}

#[test]
fn when_a_creator_fails_the_others_still_share_one_flight() {
    model_with(1, || {
        let (registry, tally) = (registry(), Tally::default());
        let fails = thread::spawn({
            let registry = Arc::clone(&registry);
            move || {
                registry
                    .get_or_try_insert_with(A, |_| {
                        // A factory takes its time. To let others go on meanwhile costs no forced switch.
                        thread::yield_now();
                        Err("no".to_string())
                    })
                    .is_ok()
            }
        });
        let creates = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            move || {
                registry.get_or_insert_with(A, |_| {
                    thread::yield_now();
                    tally.value()
                })
            }
        });
        thread::yield_now();
        let mine = registry.get_or_insert_with(A, |_| tally.value());
        let theirs = creates.join().unwrap();
        let _ = fails.join().unwrap();
        assert!(Handle::ptr_eq(&mine, &theirs));
        assert_eq!(tally.made(), 1);
    });
}

#[test]
fn when_the_creator_panics_the_waiter_creates() {
    struct Bang;
    std::panic::set_hook(Box::new(|info| {
        if !info.payload().is::<Bang>() {
            eprintln!("{info}");
        }
    }));
    model_with(2, || {
        let (registry, tally) = (registry::<Counted>(), Tally::default());
        let other = thread::spawn({
            let registry = Arc::clone(&registry);
            move || {
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    registry
                        .get_or_insert_with(A, |_| std::panic::panic_any(Bang))
                        .read()
                }));
                if let Err(payload) = result {
                    assert!(payload.is::<Bang>());
                }
            }
        });
        registry.get_or_insert_with(A, |_| tally.value()).read();
        other.join().unwrap();
        assert_eq!((tally.made(), tally.live(), registry.len()), (1, 0, 0));
    });
}

#[test]
fn an_inserted_value_and_a_created_one_become_one() {
    model_with(2, || {
        let (registry, tally) = (registry(), Tally::default());
        let other = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            move || match registry.try_insert(A, tally.value()) {
                Ok(mine) => mine,
                Err(error) => error.existing.expect("it is not closed"),
            }
        });
        let mine = registry.get_or_insert_with(A, |_| tally.value());
        let theirs = other.join().unwrap();
        assert!(Handle::ptr_eq(&mine, &theirs));
        assert_eq!((tally.live(), registry.len()), (1, 1));
        drop((mine, theirs));
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}

#[test]
fn a_recycled_node_is_found_by_nobody_before_it_is_entered() {
    model_with(2, || {
        let (registry, tally) = (registry(), Tally::default());
        // A second free node, so that the next value of `A` does not get the one that it has now.
        drop(registry.try_insert(C, tally.value()));
        let first = registry.try_insert(A, tally.value()).ok().unwrap();
        let reader = thread::spawn({
            let registry = Arc::clone(&registry);
            // May hold a pointer to the first node while that is being recycled.
            move || registry.get(&A)
        });
        drop(first);
        // In one go: where the reader may be meanwhile, it may be before and after as well.
        loom::stop_exploring();
        let between = registry.try_insert(B, tally.value()).ok().unwrap();
        let a = registry
            .try_insert(A, tally.value())
            .unwrap_or_else(|error| error.existing.expect("it is not closed"));
        drop(between);
        loom::explore();
        // Builds an entry for `A` in what was the first node; it is not entered, as there is one.
        assert!(registry.try_insert(A, tally.value()).is_err());
        if let Some(found) = reader.join().unwrap() {
            found.read();
            assert!(Handle::ptr_eq(&found, &a), "two live values of one key");
        }
        drop(a);
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}

#[test]
fn of_two_threads_that_create_for_each_other_one_is_refused() {
    model_with(1, || {
        let registry = registry();
        let create = |registry: &Reg<u32>, own: Key, other: Key| {
            let mut refused = false;
            let made = registry.get_or_try_insert_with(own, |_| {
                // To let the other one begin costs no forced switch.
                thread::yield_now();
                let inner = registry.get_or_try_insert_with(other, |_| Ok::<_, Infallible>(1));
                refused = inner.is_err();
                inner.map(|value| *value + 1)
            });
            (made.map(|value| *value), refused)
        };
        let other = thread::spawn({
            let registry = Arc::clone(&registry);
            move || create(&registry, A, B)
        });
        let mine = create(&registry, B, A);
        let theirs = other.join().unwrap();
        assert!(!(mine.1 && theirs.1), "both are refused");
        for (made, refused) in [mine, theirs] {
            assert_eq!(made.is_err(), refused);
        }
        assert_eq!(registry.len(), 0);
    });
}

#[test]
fn a_creation_waits_for_another_one_that_lands() {
    model_with(2, || {
        let registry = registry();
        let other = thread::spawn({
            let registry = Arc::clone(&registry);
            move || drop(registry.get_or_insert_with(B, |_| 2))
        });
        let mine = registry.get_or_insert_with(A, |_| {
            // To let the other one begin costs no forced switch.
            thread::yield_now();
            *registry.get_or_insert_with(B, |_| 2) + 1
        });
        assert_eq!(*mine, 3);
        other.join().unwrap();
        drop(mine);
        assert_eq!(registry.len(), 0);
    });
}

#[test]
fn token_filled_against_waiter() {
    model_with(2, || {
        let (registry, tally) = (registry(), Tally::default());
        let other = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            move || registry.get_or_insert_with(A, |_| tally.value()).read()
        });
        match registry.entry(A).claim() {
            Claim::Vacant(token) => drop(token.fill(tally.value())),
            Claim::Live(value) => value.read(),
        }
        other.join().unwrap();
        assert!(tally.made() <= 2);
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}

#[test]
fn token_dropped_against_waiter() {
    model_with(2, || {
        let (registry, tally) = (registry(), Tally::default());
        let other = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            move || registry.get_or_insert_with(A, |_| tally.value())
        });
        drop(registry.entry(A).claim());
        let value = other.join().unwrap();
        value.read();
        assert_eq!((tally.made(), registry.len()), (1, 1));
        drop(value);
        assert!(registry.try_get(&A).unwrap().is_none());
    });
}

/// Polls once.
#[cfg(feature = "async")]
fn poll<T>(future: std::pin::Pin<&mut impl std::future::Future<Output = T>>) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

#[cfg(feature = "async")]
#[test]
fn cancelled_creator_against_waiter() {
    model_with(2, || {
        let (registry, tally) = (registry(), Tally::default());
        let other = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            move || registry.get_or_insert_with(A, |_| tally.value()).read()
        });
        {
            let never = |_: &Key| std::future::pending::<Counted>();
            let mut future = std::pin::pin!(registry.get_or_insert_async(A, never));
            if let Some(value) = poll(future.as_mut()) {
                value.read();
            }
        }
        other.join().unwrap();
        assert!(registry.try_get(&A).unwrap().is_none());
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}

#[cfg(feature = "async")]
#[test]
fn cancelled_waiter_against_failing_creator() {
    model_with(2, || {
        let registry = registry::<u32>();
        let other = thread::spawn({
            let registry = Arc::clone(&registry);
            move || {
                let claim = registry.entry(A).claim();
                // To let the other one wait costs no forced switch.
                thread::yield_now();
                drop(claim);
            }
        });
        thread::yield_now();
        {
            let mut future = std::pin::pin!(registry.entry(A).claim_async());
            let _ = poll(future.as_mut());
            thread::yield_now();
        }
        other.join().unwrap();
        assert!(registry.try_get(&A).unwrap().is_none());
        assert!(matches!(
            registry.entry(A).try_claim(),
            Ok(Claim::Vacant(_))
        ));
    });
}

#[cfg(feature = "async")]
#[test]
fn awaiting_against_landing() {
    model_with(2, || {
        let (registry, tally) = (registry(), Tally::default());
        let other = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            move || drop(registry.get_or_insert_with(A, |_| tally.value()))
        });
        let value =
            loom::future::block_on(registry.get_or_insert_async(A, |_| async { tally.value() }));
        value.read();
        other.join().unwrap();
        drop(value);
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}
