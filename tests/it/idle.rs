//! Futures that wait and are not polled again, and wakers and values that panic as somebody lets go of them beside a creation: nobody else is held up.

use crate::common::{at_next_comparison, compared, panic_of, promptly, Census, Slow};
use highlander::error::CreateError;
use highlander::map::{Claim, Vacancy};
use highlander::pointer::Watched;
use highlander::{Handle, Registry, StrongMap, WeakValueMap};
use std::future::Future;
use std::hash::{BuildHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Counts.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

pub fn poll<T>(future: &mut Boxed<'_, T>, waker: &Waker) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

#[test]
fn a_future_that_waits_for_an_end_holds_nobody_up() {
    promptly(|| {
        let registry: Registry<u32, Option<Slow>> = Registry::new().exclusive();
        type Begin = fn(&Registry<u32, Option<Slow>>) -> Boxed<'_, ()>;
        let futures: [Begin; 2] = [
            |registry| Box::pin(async { drop(registry.entry(1).claim_or_refused_async().await) }),
            |registry| {
                let made = registry.get_or_insert_async(1, |_| async { None });
                Box::pin(async { drop(made.await) })
            },
        ];
        for future in futures {
            let (slow, ending) = Slow::new();
            let held = registry.get_or_insert_with(1, |_| Some(slow));
            thread::scope(|scope| {
                let dying = scope.spawn(|| drop(held));
                ending.await_begin();
                let mut idle = future(&registry);
                let waker = Waker::from(Arc::<Woken>::default());
                assert!(poll(&mut idle, &waker).is_pending());
                let next = scope.spawn(|| drop(registry.get_or_insert_with(1, |_| None)));
                // It may or may not wait by now: either way the idle one must not keep it.
                ending.allow();
                dying.join().unwrap();
                next.join().unwrap();
                assert!(matches!(
                    registry.entry(1).try_claim(),
                    Ok(Claim::Vacant(_))
                ));
                pollster::block_on(idle);
            });
        }
        assert!(registry.is_empty());
    });
}

#[test]
fn futures_that_wait_for_an_end_all_get_what_is_made_then() {
    promptly(|| {
        let map: WeakValueMap<u32, Watched<Option<Slow>>> = WeakValueMap::new().exclusive();
        let (slow, ending) = Slow::new();
        let held = map.get_or_insert_with(1, |_| Watched::new(Some(slow)));
        let made = AtomicUsize::new(0);
        thread::scope(|scope| {
            let dying = scope.spawn(|| drop(held));
            ending.await_begin();
            let woken = Arc::<Woken>::default();
            let waker = Waker::from(woken.clone());
            let mut waiting: Vec<Boxed<'_, Watched<Option<Slow>>>> = (0..5)
                .map(|_| {
                    let made = &made;
                    let value = map.get_or_insert_async(1, move |_| async move {
                        made.fetch_add(1, SeqCst);
                        Watched::new(None)
                    });
                    Box::pin(value) as Boxed<'_, _>
                })
                .collect();
            for one in &mut waiting {
                assert!(poll(one, &waker).is_pending());
            }
            ending.allow();
            dying.join().unwrap();
            assert!(woken.0.load(SeqCst) >= 5);
            let owners: Vec<_> = waiting.into_iter().map(pollster::block_on).collect();
            assert!(owners
                .iter()
                .all(|owner| Watched::ptr_eq(owner, &owners[0])));
            assert_eq!(made.load(SeqCst), 1);
        });
    });
}

#[test]
fn an_end_wakes_those_that_wait_for_it_and_nobody_else() {
    promptly(|| {
        let registry: Registry<u32, String> = Registry::new().exclusive();
        let mut open = Vec::new();
        for key in 0..50 {
            let give_up = |draft: &Handle<u32, String>| {
                open.push(draft.clone());
                Err(())
            };
            let given_up = registry
                .entry(key)
                .or_try_create_cyclic(|n| Ok(n.to_string()), give_up);
            assert!(given_up.is_err());
        }
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(woken.clone());
        let mut waiting: Vec<Boxed<'_, Handle<u32, String>>> = (0..50)
            .map(|key| {
                let value = registry.get_or_insert_async(key, |n| {
                    let n = *n;
                    async move { n.to_string() }
                });
                Box::pin(value) as Boxed<'_, _>
            })
            .collect();
        for one in &mut waiting {
            assert!(poll(one, &waker).is_pending());
        }
        for (ended, (draft, mut one)) in open.into_iter().zip(waiting).enumerate() {
            drop(draft);
            assert_eq!(woken.0.load(SeqCst), ended + 1);
            assert!(poll(&mut one, &waker).is_ready());
        }
    });
}

type Made = Result<Handle<u32, Parent>, CreateError<()>>;

/// A task that is polled by whoever wakes it, then and there.
struct Spot {
    future: Mutex<Option<Boxed<'static, Made>>>,
    result: Mutex<Option<Made>>,
}

impl Wake for Spot {
    fn wake(self: Arc<Self>) {
        self.run();
    }
}

impl Spot {
    fn run(self: &Arc<Self>) {
        if let Ok(mut future) = self.future.try_lock() {
            if let Some(running) = &mut *future {
                let waker = Waker::from(self.clone());
                if let Poll::Ready(result) = poll(running, &waker) {
                    *self.result.lock().unwrap() = Some(result);
                    *future = None;
                }
            }
        }
    }
}

struct Parent {
    child: Mutex<Option<Handle<u32, Parent>>>,
    /// Called in the destructor.
    meanwhile: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Parent {
    fn new() -> Self {
        Self {
            child: Mutex::new(None),
            meanwhile: None,
        }
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        if let Some(meanwhile) = self.meanwhile.take() {
            meanwhile();
        }
        drop(self.child.lock().unwrap().take());
    }
}

#[test]
fn a_task_that_is_polled_in_the_destructor_that_it_waits_for_goes_on_waiting() {
    static REGISTRY: Registry<u32, Parent> = Registry::new().exclusive();
    promptly(|| {
        let spot = Arc::new(Spot {
            future: Mutex::new(None),
            result: Mutex::new(None),
        });
        let child = REGISTRY.get_or_insert_with(2, |_| Parent::new());
        // It waits for the end of the parent from inside of its destructor, woken by the end of the child, which some other task waits for.
        let waits = spot.clone();
        let meanwhile = move || {
            let waits = waits.clone();
            thread::spawn(move || {
                let value = REGISTRY.get_or_try_insert_async(0, |_| async { Ok(Parent::new()) });
                *waits.future.lock().unwrap() = Some(Box::pin(value));
                waits.run();
            })
            .join()
            .unwrap();
        };
        let parent = REGISTRY.get_or_insert_with(0, |_| Parent {
            child: Mutex::new(Some(child)),
            meanwhile: Some(Box::new(meanwhile)),
        });
        drop(parent);
        let result = spot.result.lock().unwrap().take();
        assert!(result.expect("it was woken by the end").is_ok());
    });
}

/// Its last owner finds out that it panics.
struct Panicking;

impl Wake for Panicking {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Panicking {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("a waker's drop");
        }
    }
}

#[test]
fn a_waker_that_panics_as_it_is_dropped_leaves_no_flight_behind() {
    let registry: Registry<u32, u32> = Registry::new();
    let Claim::Vacant(vacancy) = registry.entry(1).claim() else {
        panic!("it is empty");
    };
    let mut waits: Boxed<'_, _> = Box::pin(registry.get_or_insert_async(1, |_| async { 1 }));
    let waker = Waker::from(Arc::new(Panicking));
    assert!(poll(&mut waits, &waker).is_pending());
    // The future has the last one.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(waker)));
    assert_eq!(panic_of(|| drop(waits)), "a waker's drop");
    drop(vacancy);
    assert!(registry.try_get(&1).unwrap().is_none());
    assert_eq!(*registry.get_or_insert_with(1, |_| 2), 2);
}

#[derive(Clone, Default)]
struct OneHash;

struct Seven;

impl Hasher for Seven {
    fn finish(&self) -> u64 {
        7
    }

    fn write(&mut self, _: &[u8]) {}
}

impl BuildHasher for OneHash {
    type Hasher = Seven;

    fn build_hasher(&self) -> Seven {
        Seven
    }
}

struct Key(u32);

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        compared();
        self.0 == other.0
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

struct Armed(bool, #[allow(dead_code)] crate::common::Citizen);

impl Drop for Armed {
    fn drop(&mut self) {
        assert!(!self.0 || thread::panicking(), "armed");
    }
}

#[test]
fn a_value_that_panics_as_it_is_let_go_of_beside_another_key_leaves_no_flight_behind() {
    type Of = Registry<Key, Armed, OneHash>;
    static REGISTRY: Of = Registry::with_hasher(OneHash);
    promptly(|| {
        let census = Census::new();
        for key in [1, 2] {
            let vacancy: Vacancy<'static, Of> = match REGISTRY.entry(Key(1)).claim() {
                Claim::Vacant(vacancy) => vacancy,
                Claim::Live(_) => panic!("nobody keeps it"),
            };
            let value = Armed(true, census.citizen());
            at_next_comparison(move || drop(vacancy.fill(value)));
            // Another key, or the same one: whoever compares keys is the last owner of the other's value.
            let text = panic_of(|| {
                drop(REGISTRY.get_or_insert_with(Key(key), |_| Armed(false, census.citizen())));
            });
            assert_eq!(text, "armed");
            assert!(REGISTRY.try_get(&Key(key)).unwrap().is_none());
            thread::scope(|scope| {
                let ask = || {
                    drop(REGISTRY.get_or_insert_with(Key(key), |_| Armed(false, census.citizen())))
                };
                scope.spawn(ask);
            });
            assert_eq!(census.alive(), 0);
        }
    });
}

#[test]
fn a_key_that_only_idle_futures_wait_for_is_not_in_flight() {
    promptly(|| {
        let registry: Registry<u32, u32> = Registry::new();
        let map: StrongMap<u32, u32> = StrongMap::new();
        let waker = Waker::from(Arc::<Woken>::default());
        let creator = registry.entry(1).claim().vacant().unwrap();
        let other = map.entry(1).claim().vacant().unwrap();
        let mut idle: Boxed<'_, ()> = Box::pin(async {
            let _both = (
                registry.get_or_insert_async(1, |_| async { 1 }).await,
                map.get_or_insert_async(1, |_| async { 1 }).await,
            );
        });
        let mut also_idle: Boxed<'_, u32> = Box::pin(map.get_or_insert_async(1, |_| async { 1 }));
        assert!(poll(&mut idle, &waker).is_pending());
        assert!(poll(&mut also_idle, &waker).is_pending());
        assert!(registry.try_get(&1).is_err() && map.try_get(&1).is_err());
        drop((creator, other));
        assert!(registry.try_get(&1).unwrap().is_none() && map.try_get(&1).unwrap().is_none());
        assert!(matches!(
            registry.entry(1).try_claim(),
            Ok(Claim::Vacant(_))
        ));
        assert!(poll(&mut idle, &waker).is_ready());
        assert!(matches!(poll(&mut also_idle, &waker), Poll::Ready(1)));
    });
}
