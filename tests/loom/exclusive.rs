//! Exclusive registries: the end of a value against the creation of the next.

use crate::support::*;
use highlander::{CycleError, MapMaker, Registry, Watched};
use loom::thread;
use std::sync::Arc;

/// Its end takes its time: others go on in the middle of it.
struct Slow(Counted);

impl Drop for Slow {
    fn drop(&mut self) {
        thread::yield_now();
    }
}

fn exclusive() -> Arc<Reg<Slow>> {
    Arc::new(Registry::exclusive_with_hasher(PlacedHasher::default()))
}

#[test]
fn creation_against_the_end_of_the_value_before() {
    model_with(2, || {
        let (registry, tally) = (exclusive(), Tally::default());
        let first = registry.get_or_insert_with(A, |_| Slow(tally.value()));
        let other = thread::spawn(move || drop(first));
        let mine = registry.get_or_insert_with(A, |_| {
            assert_eq!(tally.live(), 0, "made before the end of the one before");
            Slow(tally.value())
        });
        mine.0.read();
        other.join().unwrap();
        drop(mine);
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}

#[test]
fn two_creators_against_the_end_of_the_value_before() {
    model_with(1, || {
        let (registry, tally) = (exclusive(), Tally::default());
        let first = registry.get_or_insert_with(A, |_| Slow(tally.value()));
        let creator = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            move || {
                registry.get_or_insert_with(A, |_| {
                    assert_eq!(tally.live(), 0);
                    Slow(tally.value())
                })
            }
        });
        let other = thread::spawn(move || drop(first));
        let mine = registry.get_or_insert_with(A, |_| {
            assert_eq!(tally.live(), 0);
            Slow(tally.value())
        });
        let theirs = creator.join().unwrap();
        other.join().unwrap();
        assert!(mine.ptr_eq(&theirs));
        drop((mine, theirs));
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}

/// A future is polled once, and not again until the next value is there.
#[cfg(feature = "async")]
#[test]
fn creation_against_an_end_that_an_idle_future_waits_for() {
    use std::future::Future;
    use std::task::{Context, Poll, Waker};

    model_with(2, || {
        let (registry, tally) = (exclusive(), Tally::default());
        let create = |_: &Key| {
            assert_eq!(tally.live(), 0);
            Slow(tally.value())
        };
        let first = registry.get_or_insert_with(A, create);
        let other = thread::spawn(move || drop(first));
        let mut idle = Box::pin(registry.get_or_insert_async(A, async |key| create(key)));
        let mut context = Context::from_waker(Waker::noop());
        let polled = idle.as_mut().poll(&mut context);
        let waits = polled.is_pending();
        let mine = registry.get_or_insert_with(A, create);
        if let Poll::Ready(theirs) = polled {
            assert!(theirs.ptr_eq(&mine));
        }
        other.join().unwrap();
        if waits {
            match idle.as_mut().poll(&mut context) {
                Poll::Ready(theirs) => assert!(theirs.ptr_eq(&mine)),
                Poll::Pending => panic!("it is there"),
            }
        }
        drop((mine, idle));
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}

/// Asks for its own key at its end, if it has a registry to ask.
struct Asking(Counted, Option<Arc<Reg<Asking>>>);

impl Drop for Asking {
    fn drop(&mut self) {
        if let Some(registry) = self.1.take() {
            let asked = registry.get_or_try_insert_with(A, |_| unreachable!());
            assert!(asked.is_err_and(|error: CycleError| error.is_on_one_thread()));
        }
    }
}

#[test]
fn creation_against_a_destructor_that_asks_for_its_own_key() {
    model_with(2, || {
        let registry: Arc<Reg<Asking>> =
            Arc::new(Registry::exclusive_with_hasher(PlacedHasher::default()));
        let tally = Tally::default();
        let asks = Some(Arc::clone(&registry));
        let first = registry.get_or_insert_with(A, |_| Asking(tally.value(), asks));
        let other = thread::spawn(move || drop(first));
        let mine = registry.get_or_insert_with(A, |_| {
            assert_eq!(tally.live(), 0, "made before the end of the one before");
            Asking(tally.value(), None)
        });
        mine.0.read();
        other.join().unwrap();
        drop(mine);
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}

#[test]
fn creation_in_a_map_against_the_end_of_the_value_before() {
    model_with(1, || {
        let maker = MapMaker::new().hasher(PlacedHasher::default());
        let map = maker.weak_values().exclusive().build().unwrap();
        let (map, tally) = (Arc::new(map), Tally::default());
        let first = map.get_or_insert_with(A, |_: &Key| Watched::new(Slow(tally.value())));
        let other = thread::spawn(move || drop(first));
        // To let the other one begin costs no forced switch.
        thread::yield_now();
        let mine = map.get_or_insert_with(A, |_| {
            assert_eq!(tally.live(), 0, "made before the end of the one before");
            Watched::new(Slow(tally.value()))
        });
        mine.0.read();
        other.join().unwrap();
        drop(mine);
        assert_eq!((tally.live(), map.entries()), (0, 0));
    });
}
