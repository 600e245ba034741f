//! Exclusive registries: the end of a value against the creation of the next.

use crate::support::*;
use highlander::error::{CreateError, Refused};
use highlander::pointer::Watched;
use highlander::{Handle, Registry, WeakValueMap};
use loom::thread;
use std::cell::RefCell;
use std::convert::Infallible;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Its end takes its time: others go on in the middle of it.
struct Slow(Counted);

impl Drop for Slow {
    fn drop(&mut self) {
        thread::yield_now();
    }
}

fn exclusive() -> Arc<Reg<Slow>> {
    Arc::new(Registry::with_hasher(PlacedHasher::default()).exclusive())
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
        assert!(Handle::ptr_eq(&mine, &theirs));
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
        let mut idle = Box::pin(registry.get_or_insert_async(A, |_| async { create(&A) }));
        let mut context = Context::from_waker(Waker::noop());
        let polled = idle.as_mut().poll(&mut context);
        let waits = polled.is_pending();
        let mine = registry.get_or_insert_with(A, create);
        if let Poll::Ready(theirs) = polled {
            assert!(Handle::ptr_eq(&theirs, &mine));
        }
        other.join().unwrap();
        if waits {
            match idle.as_mut().poll(&mut context) {
                Poll::Ready(theirs) => assert!(Handle::ptr_eq(&theirs, &mine)),
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
            let never = |_: &Key| -> Result<_, Infallible> { unreachable!() };
            let Err(CreateError::Refused(refused)) = registry.get_or_try_insert_with(A, never)
            else {
                panic!("made");
            };
            assert!(matches!(refused, Refused::Cycle(cycle) if cycle.is_on_one_thread()));
        }
    }
}

#[test]
fn creation_against_a_destructor_that_asks_for_its_own_key() {
    model_with(2, || {
        let registry: Arc<Reg<Asking>> =
            Arc::new(Registry::with_hasher(PlacedHasher::default()).exclusive());
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

/// A key equal to all others. When it is compared it asks for itself, if it has a registry to ask.
struct Meeting(RefCell<Option<Arc<Meetings>>>);

type Meetings = Registry<Meeting, Counted, PlacedHasher>;

// SAFETY: only the thread that has made one with a registry compares it with others.
unsafe impl Sync for Meeting {}

impl Meeting {
    fn quiet() -> Self {
        Self(RefCell::new(None))
    }

    fn meets(&self) {
        let registry = self.0.take();
        if let Some(registry) = registry {
            // Made, or refused; but it does not wait for the end of a draft that it keeps itself.
            let _ = registry.get_or_try_insert_with(Meeting::quiet(), |_| Err(Failure));
        }
    }
}

#[derive(Debug)]
struct Failure;

impl From<CreateError<Failure>> for Failure {
    fn from(_: CreateError<Failure>) -> Self {
        Self
    }
}

impl PartialEq for Meeting {
    fn eq(&self, other: &Self) -> bool {
        self.meets();
        other.meets();
        true
    }
}

impl Eq for Meeting {}

impl Hash for Meeting {
    fn hash<H: Hasher>(&self, state: &mut H) {
        A.hash(state);
    }
}

#[test]
fn a_comparison_that_asks_against_a_draft_that_is_given_up() {
    model_with(1, || {
        let registry: Arc<Meetings> =
            Arc::new(Registry::with_hasher(PlacedHasher::default()).exclusive());
        let tally = Tally::default();
        let other = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            move || {
                let allocate = |_: &Meeting| {
                    assert_eq!(tally.live(), 0);
                    Ok(tally.value())
                };
                let fail = |_: &_| {
                    // It costs no forced switch here, nor below.
                    thread::yield_now();
                    Err(Failure)
                };
                let failed = registry
                    .entry(Meeting::quiet())
                    .or_try_create_cyclic(allocate, fail);
                // Whoever was first.
                drop(failed);
            }
        });
        thread::yield_now();
        let asking = Meeting(RefCell::new(Some(Arc::clone(&registry))));
        let mine = registry.get_or_insert_with(asking, |key| {
            key.0.take();
            assert_eq!(tally.live(), 0);
            tally.value()
        });
        mine.read();
        other.join().unwrap();
        drop(mine);
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}

/// Calls its function when it is dropped.
struct AtDrop<F: FnOnce()>(Option<F>, #[allow(dead_code)] Counted);

impl<F: FnOnce()> Drop for AtDrop<F> {
    fn drop(&mut self) {
        (self.0.take().unwrap())();
    }
}

/// A thread that creates `B`, and asks for `A` in the middle of that.
fn creates_what_asks<V: Send + Sync + 'static>(
    registry: &Arc<Reg<V>>,
    others: &Arc<Reg<Counted>>,
    tally: &Tally,
    value: fn(Counted) -> V,
    begins: fn(),
) -> thread::JoinHandle<()> {
    let (registry, others, tally) = (Arc::clone(registry), Arc::clone(others), tally.clone());
    thread::spawn(move || {
        let made = others.get_or_try_insert_with(B, |_| {
            begins();
            let inner =
                registry.get_or_try_insert_with(A, |_| Ok::<_, Infallible>(value(tally.value())));
            inner.map(|_| tally.value())
        });
        drop(made);
    })
}

/// What dies at the bottom of the chain is put aside, so that it is in none of the frames of the thread that will end it.
#[test]
fn a_creation_against_a_destructor_that_is_put_aside() {
    model_with(1, || {
        let (registry, others, tally) = (exclusive(), registry::<Counted>(), Tally::default());
        let value = registry.get_or_insert_with(A, |_| Slow(tally.value()));
        let creator = creates_what_asks(&registry, &others, &tally, Slow, || {});
        let asks = {
            let (others, tally) = (Arc::clone(&others), tally.clone());
            move || {
                drop(value);
                drop(others.get_or_try_insert_with(B, |_| Ok::<_, Infallible>(tally.value())));
            }
        };
        // Two levels: as deep as it takes in the models.
        let bottom = Watched::new(AtDrop(Some(asks), tally.value()));
        drop(Watched::new(bottom));
        creator.join().unwrap();
        assert_eq!((tally.live(), registry.len(), others.len()), (0, 0, 0));
    });
}

/// As above, where what dies is put aside when the future that is then waited for has been polled already.
#[cfg(feature = "async")]
#[test]
fn a_creation_against_what_is_put_aside_after_the_poll_of_a_future() {
    use std::future::{poll_fn, Future};

    model_with(1, || {
        let (registry, others, tally) = (exclusive(), registry::<Counted>(), Tally::default());
        let value = registry.get_or_insert_with(A, |_| Slow(tally.value()));
        // To let the other one poll costs no forced switch.
        let creator = creates_what_asks(&registry, &others, &tally, Slow, thread::yield_now);
        let asks = {
            let (others, tally) = (Arc::clone(&others), tally.clone());
            move || {
                thread::yield_now();
                let make = |_: &Key| async { Ok::<_, Infallible>(tally.value()) };
                let mut future = Box::pin(others.get_or_try_insert_async(B, make));
                let mut value = Some(value);
                let polled = poll_fn(|context| {
                    let polled = future.as_mut().poll(context);
                    drop(value.take());
                    polled
                });
                drop(loom::future::block_on(polled));
            }
        };
        let bottom = Watched::new(AtDrop(Some(asks), tally.value()));
        drop(Watched::new(bottom));
        creator.join().unwrap();
        assert_eq!((tally.live(), registry.len(), others.len()), (0, 0, 0));
    });
}

/// It owns another one, and does something as it goes, before that does. (Its locks are no steps: one thread has it.)
struct Owning {
    at_drop: std::sync::Mutex<Option<AtDrop<Box<dyn FnOnce() + Send>>>>,
    owned: std::sync::Mutex<Option<Handle<Key, Owning>>>,
    #[allow(dead_code)]
    counted: Counted,
}

impl Owning {
    fn new(counted: Counted) -> Self {
        Self {
            at_drop: Default::default(),
            owned: Default::default(),
            counted,
        }
    }
}

/// What was made with the help of a draft is given up first, and goes with that draft, whose destructor asks for what waits for it.
#[test]
fn a_creation_against_the_owner_of_what_was_given_up() {
    model_with(1, || {
        let inners = Arc::new(Registry::with_hasher(PlacedHasher::default()).exclusive());
        let (outers, others, tally) = (registry(), registry::<Counted>(), Tally::default());
        let creator = creates_what_asks(&inners, &others, &tally, Owning::new, || {});
        let asks = {
            let (others, tally) = (Arc::clone(&others), tally.clone());
            move || drop(others.get_or_try_insert_with(B, |_| Ok::<_, Failure>(tally.value())))
        };
        let inner = |_: &_| {
            let outer = outers.get_or_try_insert_with(B, |_| Err(Failure));
            Ok(outer.map(drop)?)
        };
        let failed = outers.entry(B).or_try_create_cyclic(
            |_| Ok(Owning::new(tally.value())),
            |outer| {
                let made = |_: &_| Ok(Owning::new(tally.value()));
                let inner = inners.entry(A).or_try_create_cyclic(made, inner)?;
                *outer.owned.lock().unwrap() = Some(inner);
                let asks = AtDrop(Some(Box::new(asks) as Box<_>), tally.value());
                *outer.at_drop.lock().unwrap() = Some(asks);
                // To let the other one ask costs no forced switch.
                thread::yield_now();
                Err(Failure)
            },
        );
        assert!(failed.is_err());
        creator.join().unwrap();
        assert!(inners.is_empty() && outers.is_empty() && others.is_empty());
        assert_eq!(tally.live(), 0);
    });
}

#[test]
fn creation_in_a_map_against_the_end_of_the_value_before() {
    model_with(1, || {
        let map = WeakValueMap::with_hasher(PlacedHasher::default()).exclusive();
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
        assert_eq!((tally.live(), map.entry_count()), (0, 0));
    });
}

/// The value belongs to somebody who never lets go of it. Who waits for its end is told that it will not come.
#[test]
fn a_creator_against_a_value_that_is_given_up_and_lives_on() {
    model_with(1, || {
        let map = WeakValueMap::with_hasher(PlacedHasher::default()).exclusive();
        let (map, tally) = (Arc::new(map), Tally::default());
        let drafts = registry::<Counted>();
        let lasting = Watched::new(tally.value());
        let other = thread::spawn({
            let (map, tally) = (Arc::clone(&map), tally.clone());
            move || {
                // To let the other one begin costs no forced switch, here and below.
                thread::yield_now();
                let mine = map.get_or_insert_with(A, |_: &Key| Watched::new(tally.value()));
                mine.read();
            }
        });
        let allocate = |_: &Key| Ok(tally.value());
        let fail = |_: &_| {
            map.get_or_insert_with(A, |_| {
                assert!(drafts.get(&B).is_some());
                thread::yield_now();
                lasting.clone()
            });
            thread::yield_now();
            Err(Failure)
        };
        assert!(drafts
            .entry(B)
            .or_try_create_cyclic(allocate, fail)
            .is_err());
        other.join().unwrap();
        lasting.read();
        drop(lasting);
        assert_eq!((tally.live(), map.entry_count()), (0, 0));
    });
}
