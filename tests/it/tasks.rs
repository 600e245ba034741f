//! Creation that awaits: one flight for tasks and threads, whatever runs the tasks, and whichever of them are given up.

use crate::common::{assert_accounted, flat, promptly, Census, Citizen};
use crate::creators::{in_each, Map};
use highlander::error::{CreateError, Refused};
use highlander::{Handle, Registry, WeakKeyMap, WeakKeyValueMap};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{mpsc, Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

type Citizens = Registry<u32, Citizen>;

/// Counts how often its task is woken.
#[derive(Default)]
struct Alarm(AtomicUsize);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// A task that is polled by hand.
struct Task<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    alarm: Arc<Alarm>,
}

impl<'a, T> Task<'a, T> {
    fn new(future: impl Future<Output = T> + 'a) -> Self {
        Self {
            future: Box::pin(future),
            alarm: Arc::default(),
        }
    }

    fn poll(&mut self) -> Option<T> {
        let waker = Waker::from(self.alarm.clone());
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    fn wakes(&self) -> usize {
        self.alarm.0.load(SeqCst)
    }
}

/// A gate that factories wait for.
#[derive(Default)]
struct Gate(Mutex<(bool, Vec<Waker>)>);

impl Gate {
    fn open(&self) {
        let wakers = {
            let mut state = self.0.lock().unwrap();
            state.0 = true;
            std::mem::take(&mut state.1)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    async fn passed(&self) {
        std::future::poll_fn(|context| {
            let mut state = self.0.lock().unwrap();
            if state.0 {
                return Poll::Ready(());
            }
            state.1.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// A factory that nobody should call, or that panics when somebody does.
async fn uncalled() -> Result<Arc<Citizen>, Refused> {
    unreachable!()
}

in_each! { crate::common::Citizen:
    a_task_creates_and_the_others_get_its_value
    tasks_and_threads_share_a_flight
    a_future_that_is_dropped_leaves_the_creation_to_one_who_waits
    a_creation_that_fails_gives_its_error_to_its_own_caller
    a_factory_that_panics_leaves_nothing
    a_factory_that_awaits_its_own_key_gets_an_error
    a_factory_that_is_dropped_may_ask_for_its_own_key
    two_tasks_that_create_for_each_other_are_told
    claims_are_awaited
    who_awaits_a_map_that_is_closed_is_refused
    what_was_entered_before_the_close_stays_whoever_waited_for_it
    a_map_that_is_dropped_with_its_last_value_keeps_nothing
}

fn a_task_creates_and_the_others_get_its_value<M: Map<Citizen>>() {
    let (map, census, gate, key) = (M::counting(), Census::new(), Gate::default(), M::key(1));
    let create = async || {
        gate.passed().await;
        Ok::<_, Refused>(Arc::new(census.citizen()))
    };
    let mut tasks: Vec<_> = (0..5)
        .map(|_| Task::new(map.get_or_try_insert_async(&key, create)))
        .collect();
    assert!(tasks.iter_mut().all(|task| task.poll().is_none()));
    assert_eq!((census.born(), map.entry_count()), (0, 0));
    gate.open();
    assert!(tasks[3].poll().is_none(), "not before it is there");
    let first = tasks[0].poll().unwrap().unwrap();
    for task in &mut tasks[1..] {
        assert_eq!(task.wakes(), 1, "woken, and not polled in vain");
        assert!(M::same(&task.poll().unwrap().unwrap(), &first));
    }
    assert_eq!((census.born(), map.len()), (1, 1));
    // A hit does not wait.
    let mut hit = Task::new(map.get_or_try_insert_async(&key, uncalled));
    assert!(M::same(&hit.poll().unwrap().unwrap(), &first));
    if let Some(stats) = map.stats() {
        assert_eq!((stats.created, stats.joined), (1, 4));
        assert_eq!((stats.misses, stats.hits), (5, 1));
        assert_accounted(stats, 1);
    }
}

fn tasks_and_threads_share_a_flight<M: Map<Citizen>>() {
    promptly(|| {
        let (map, census, gate, key) = (M::empty(), Census::new(), Gate::default(), M::key(1));
        let mut creating = Task::new(map.get_or_try_insert_async(&key, async || {
            gate.passed().await;
            Ok::<_, Refused>(Arc::new(census.citizen()))
        }));
        assert!(creating.poll().is_none());
        thread::scope(|scope| {
            let thread = scope.spawn(|| map.get_or_insert(&key, || unreachable!()));
            gate.open();
            let value = creating.poll().unwrap().unwrap();
            assert!(M::same(&thread.join().unwrap(), &value));
        });
        // The other way round.
        let key = M::key(2);
        let token = map.vacancy(&key);
        let mut waiting = Task::new(map.get_or_try_insert_async(&key, uncalled));
        assert!(waiting.poll().is_none());
        let value = token.fill(Arc::new(census.citizen()));
        assert_eq!(waiting.wakes(), 1);
        assert!(M::same(&waiting.poll().unwrap().unwrap(), &value));
    });
}

fn a_future_that_is_dropped_leaves_the_creation_to_one_who_waits<M: Map<Citizen>>() {
    promptly(|| {
        let (map, census, gate, key) = (M::empty(), Census::new(), Gate::default(), M::key(1));
        let create = async || Ok::<_, Refused>(Arc::new(census.citizen()));
        let never = |key| {
            let make = async || {
                gate.passed().await;
                uncalled().await
            };
            map.get_or_try_insert_async(key, make)
        };
        let mut creating = Task::new(never(&key));
        assert!(creating.poll().is_none());
        let mut waiting = Task::new(map.get_or_try_insert_async(&key, create));
        assert!(waiting.poll().is_none());
        drop(creating);
        assert_eq!(waiting.wakes(), 1);
        let value = waiting.poll().unwrap().unwrap();
        assert_eq!((census.born(), map.len()), (1, 1));
        drop((value, waiting));

        // A thread that waits goes on too.
        let key = M::key(2);
        let mut creating = Task::new(never(&key));
        assert!(creating.poll().is_none());
        thread::scope(|scope| {
            let thread =
                scope.spawn(|| drop(map.get_or_insert(&key, || Arc::new(census.citizen()))));
            drop(creating);
            thread.join().unwrap();
        });
        assert_eq!(census.born(), 2);

        // And if nobody waits, nothing is left.
        let key = M::key(3);
        let mut creating = Task::new(never(&key));
        assert!(creating.poll().is_none());
        assert!(map.try_get(3).is_err());
        drop(creating);
        assert!(map.try_get(3).unwrap().is_none());
    });
}

fn a_creation_that_fails_gives_its_error_to_its_own_caller<M: Map<Citizen>>() {
    let (map, census, gate, key) = (M::empty(), Census::new(), Gate::default(), M::key(1));
    let mut failing = Task::new(map.get_or_try_insert_async(&key, async || {
        gate.passed().await;
        Err("disk")
    }));
    let create = async || Ok::<_, Refused>(Arc::new(census.citizen()));
    let mut waiting = Task::new(map.get_or_try_insert_async(&key, create));
    assert!(failing.poll().is_none() && waiting.poll().is_none());
    gate.open();
    let error = failing.poll().unwrap().unwrap_err();
    assert_eq!(error, CreateError::Failed("disk"));
    let made = waiting.poll().unwrap().unwrap();
    assert!(M::same(&map.try_get(1).unwrap().unwrap(), &made));
}

fn a_factory_that_panics_leaves_nothing<M: Map<Citizen>>() {
    let (map, census, key) = (M::empty(), Census::new(), M::key(1));
    let mut panicking = Task::new(map.get_or_try_insert_async(&key, uncalled));
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| panicking.poll()));
    assert!(panic.is_err());
    assert!(map.try_get(1).unwrap().is_none(), "given up by the panic");
    drop(panicking);
    let create = async || Ok::<_, Refused>(Arc::new(census.citizen()));
    let mut next = Task::new(map.get_or_try_insert_async(&key, create));
    assert!(next.poll().unwrap().is_ok());
}

fn a_factory_that_awaits_its_own_key_gets_an_error<M: Map<Citizen>>() {
    async fn create<M: Map<Citizen>>(
        map: &M,
        keys: &[M::Key; 3],
        at: usize,
    ) -> Result<Arc<Citizen>, Refused> {
        let next: Pin<Box<dyn Future<Output = _> + '_>> = Box::pin(create(map, keys, (at + 1) % 3));
        let created = map.get_or_try_insert_async(&keys[at], async || next.await);
        Ok(M::value(&created.await.map_err(flat)?).clone())
    }
    promptly(|| {
        let (map, keys) = (M::shown(), [0, 1, 2].map(M::key));
        let refused = pollster::block_on(create(&map, &keys, 0));
        let text = refused.unwrap_err().to_string();
        let chain = "0, which asked for 1, which asked for 2, which asked for the first again";
        assert!(text.ends_with(chain), "{text}");
        // The same on the thread's own stack.
        let key = &keys[1];
        let mixed = map.get_or_try_insert_async(key, async || {
            let asked = map.get_or_try_insert(key, || Err("ran"))?;
            Ok::<_, CreateError<_>>(M::value(&asked).clone())
        });
        let refused = flat(pollster::block_on(mixed).unwrap_err());
        assert!(
            matches!(refused, CreateError::Refused(Refused::Cycle(_))),
            "{refused:?}"
        );
        assert_eq!(map.entry_count(), 0);
    });
}

/// Asks when it is dropped.
struct Asks<F: FnMut()>(F);

impl<F: FnMut()> Drop for Asks<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn a_factory_that_is_dropped_may_ask_for_its_own_key<M: Map<Citizen>>() {
    promptly(|| {
        let (map, key, refused) = (M::empty(), M::key(1), Cell::new(false));
        let asks = || {
            let asked = map.get_or_try_insert(&key, || Err("ran"));
            refused.set(matches!(
                asked,
                Err(CreateError::Refused(Refused::Cycle(_)))
            ));
        };
        let mut dropped = Task::new(map.get_or_try_insert_async(&key, async || {
            let _asks = Asks(asks);
            std::future::pending::<Result<_, Refused>>().await
        }));
        assert!(dropped.poll().is_none());
        drop(dropped);
        assert!(refused.get());
        assert!(map.try_get(1).unwrap().is_none());
    });
}

fn two_tasks_that_create_for_each_other_are_told<M: Map<Citizen>>() {
    promptly(|| {
        let (map, census, gate) = (M::empty(), Census::new(), Gate::default());
        let keys = [1, 2].map(M::key);
        let (map, census, gate) = (&map, &census, &gate);
        let create = |own, other| async move {
            let make = async || {
                gate.passed().await;
                let simple = async || Ok::<_, Refused>(Arc::new(census.citizen()));
                let other = map.get_or_try_insert_async(other, simple).await;
                other.map_err(flat)?;
                Ok::<_, Refused>(Arc::new(census.citizen()))
            };
            map.get_or_try_insert_async(own, make).await
        };
        let mut one = Task::new(create(&keys[0], &keys[1]));
        let mut two = Task::new(create(&keys[1], &keys[0]));
        assert!(one.poll().is_none() && two.poll().is_none());
        gate.open();
        assert!(one.poll().is_none(), "waits for the other one");
        assert!(two.poll().unwrap().is_err());
        assert_eq!(one.wakes(), 2);
        let made = one.poll().unwrap();
        assert!(made.is_ok(), "creates what the other one has given up");
        assert_eq!(census.born(), 2);
    });
}

fn claims_are_awaited<M: Map<Citizen>>() {
    let (map, census, key) = (M::empty(), Census::new(), M::key(1));
    let claim = pollster::block_on(map.claim_async(&key)).unwrap();
    let token = claim.vacant().expect("not vacant");
    let [mut waiting, mut patient] = [(); 2].map(|()| Task::new(map.claim_async(&key)));
    assert!(waiting.poll().is_none() && patient.poll().is_none());
    // The vacancy goes from claimant to claimant.
    drop(token);
    let claim = waiting.poll().unwrap().unwrap();
    let token = claim.vacant().expect("not vacant");
    assert!(patient.poll().is_none());
    let value = token.fill(Arc::new(census.citizen()));
    let claim = patient.poll().unwrap().unwrap();
    assert!(M::same(&claim.live().unwrap(), &value));
    let claim = pollster::block_on(map.claim_async(&key)).unwrap();
    assert!(M::same(&claim.live().unwrap(), &value));
}

fn who_awaits_a_map_that_is_closed_is_refused<M: Map<Citizen>>() {
    let (map, census, gate, key) = (M::empty(), Census::new(), Gate::default(), M::key(1));
    let create = async || {
        gate.passed().await;
        Ok::<_, Refused>(Arc::new(census.citizen()))
    };
    let mut creating = Task::new(map.get_or_try_insert_async(&key, create));
    let mut waiting = Task::new(map.get_or_try_insert_async(&key, create));
    let mut claiming = Task::new(map.claim_async(&key));
    assert!(creating.poll().is_none() && waiting.poll().is_none() && claiming.poll().is_none());
    if !map.close() {
        return;
    }
    gate.open();
    let closed = |refused: Option<Refused>| matches!(refused, Some(Refused::Closed(_)));
    assert!(closed(creating.poll().unwrap().err().map(flat)));
    assert!(closed(waiting.poll().unwrap().err().map(flat)));
    assert!(closed(claiming.poll().unwrap().err()));
    assert!(closed(pollster::block_on(map.claim_async(&key)).err()));
    assert_eq!((census.born(), census.dead(), map.entry_count()), (1, 1, 0));
}

fn a_map_that_is_dropped_with_its_last_value_keeps_nothing<M: Map<Citizen>>() {
    let (census, key) = (Census::new(), M::key(1));
    let map = M::empty();
    let create = async || Ok::<_, Refused>(Arc::new(census.citizen()));
    let value = pollster::block_on(map.get_or_try_insert_async(&key, create)).unwrap();
    drop(map);
    assert_eq!(census.dead(), 0);
    drop(value);
    assert_eq!(census.dead(), 1);
}

#[test]
fn a_future_that_was_never_polled_has_not_begun() {
    let registry: Registry<u32, u32> = Registry::new();
    let unpolled = registry.get_or_insert_async(1, |_| async { 1 });
    assert_eq!(registry.try_get(&1), Ok(None));
    assert_eq!(*registry.get_or_insert_with(1, |_| 2), 2);
    drop(unpolled);
}

/// The one that was woken may be kept by somebody who has lost interest.
#[test]
fn a_waiting_future_that_is_not_polled_again_does_not_block_the_others() {
    promptly(|| {
        let (registry, census, gate) = (Citizens::new(), Census::new(), Gate::default());
        let mut creating = Task::new(registry.get_or_insert_async(1, |_: &u32| async {
            gate.passed().await;
            unreachable!()
        }));
        assert!(creating.poll().is_none());
        let mut idle = Task::new(registry.get_or_insert_async(1, |_| async { unreachable!() }));
        assert!(idle.poll().is_none());
        let mut eager = Task::new(registry.get_or_insert_async(1, |_| async { census.citizen() }));
        assert!(eager.poll().is_none());
        drop(creating);
        let value = eager.poll().unwrap();
        assert!(Handle::ptr_eq(&idle.poll().unwrap(), &value));
    });
}

/// A task that awaits several things at once is refused only if what it waits for waits for that very branch.
#[test]
fn what_is_awaited_side_by_side_is_no_cycle() {
    promptly(|| {
        let registry: Registry<&str, u32> = Registry::new();
        let (first, second) = (Gate::default(), Gate::default());
        let get = |key, gate| {
            let registry = &registry;
            async move {
                let make = |_: &&str| async {
                    Gate::passed(gate).await;
                    Ok::<_, Refused>(1)
                };
                let made = registry.get_or_try_insert_async(key, make).await;
                made.map(|value| *value).map_err(flat)
            }
        };
        // B is begun, and waits.
        let mut b = Task::new(registry.get_or_try_insert_async("b", |_| async {
            first.passed().await;
            Ok::<_, Refused>(get("c", &second).await? + 1)
        }));
        assert!(b.poll().is_none());
        // A awaits B and creates C, side by side.
        let mut a = Task::new(registry.get_or_try_insert_async("a", |_| async {
            let (b, c) = smol::future::zip(get("b", &second), get("c", &second)).await;
            Ok::<_, Refused>(b? + c?)
        }));
        assert!(a.poll().is_none());
        // B asks for C, which A creates, although A waits for B: nobody waits for itself.
        first.open();
        assert!(b.poll().is_none());
        second.open();
        assert!(a.poll().is_none(), "C is there, and B not yet");
        let b = b.poll().unwrap().unwrap();
        let a = a.poll().unwrap().unwrap();
        assert_eq!((*a, *b), (3, 2));
    });
}

/// Its comparisons are counted: who asks for a key that is being created compares when it has joined those who wait.
#[derive(Clone, Debug)]
struct Counted(u32);

static COMPARED: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

impl PartialEq for Counted {
    fn eq(&self, other: &Self) -> bool {
        COMPARED[self.0 as usize].fetch_add(1, SeqCst);
        self.0 == other.0
    }
}

impl Eq for Counted {}

impl std::hash::Hash for Counted {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// A future that was polled in the middle of a creation, and waits on, says nothing about that creation when it has ended, nor about
/// another one.
#[test]
fn a_suspended_future_is_no_part_of_a_creation_that_has_ended() {
    promptly(|| {
        static REGISTRY: Registry<Counted, u32> = Registry::new();
        for _ in 0..50 {
            COMPARED
                .iter()
                .for_each(|compared| compared.store(0, SeqCst));
            let (taken, is_taken) = std::sync::mpsc::channel();
            let (go, goes) = std::sync::mpsc::channel::<()>();
            // Creates 0, and in the middle of it asks for 2.
            let creator = thread::spawn(move || {
                *REGISTRY.get_or_insert_with(Counted(0), |_| {
                    taken.send(()).unwrap();
                    goes.recv().unwrap();
                    *REGISTRY.get_or_insert_with(Counted(2), |_| 2) + 100
                })
            });
            is_taken.recv().unwrap();
            let mut task = Task::new(REGISTRY.get_or_insert_async(Counted(0), |_| async { 0 }));
            // It waits for 0; here in the middle of 1.
            let one = REGISTRY.get_or_insert_with(Counted(1), |_| {
                assert!(task.poll().is_none());
                1
            });
            drop(one);
            let two = REGISTRY.get_or_insert_with(Counted(2), |_| {
                go.send(()).unwrap();
                while COMPARED[2].load(SeqCst) == 0 {
                    thread::yield_now();
                }
                // It has time to fall asleep, or to be refused.
                (0..100).for_each(|_| thread::yield_now());
                2
            });
            assert_eq!((*two, creator.join().unwrap()), (2, 102));
            drop(task);
        }
    });
}

/// A future that is awaited by blocking in a factory counts as a part of that creation.
#[test]
fn a_circle_through_a_future_that_a_factory_blocks_on_is_refused() {
    promptly(|| {
        let registry: &'static Registry<u32, u32> = crate::common::forever(Registry::new());
        for _ in 0..50 {
            let both = Arc::new(std::sync::Barrier::new(2));
            let theirs = Arc::clone(&both);
            let other = thread::spawn(move || {
                let mut first = true;
                let made = registry.get_or_try_insert_with(1, |_| {
                    if std::mem::take(&mut first) {
                        theirs.wait();
                    }
                    let two = registry.get_or_try_insert_with(2, |_| Ok::<_, Refused>(2));
                    Ok::<_, Refused>(*two.map_err(flat)? + 1)
                });
                made.is_err()
            });
            let mut first = true;
            let mine = registry.get_or_try_insert_with(2, |_| {
                if std::mem::take(&mut first) {
                    both.wait();
                }
                let make = |_: &u32| async { Ok::<_, Refused>(1) };
                let one = pollster::block_on(registry.get_or_try_insert_async(1, make));
                Ok::<_, Refused>(*one.map_err(flat)? + 1)
            });
            let refused = [mine.is_err(), other.join().unwrap()];
            assert_eq!(
                refused.iter().filter(|refused| **refused).count(),
                1,
                "{refused:?}"
            );
        }
    });
}

/// The flight goes on with another creator, of which the future was never a part.
#[test]
fn a_suspended_future_is_no_part_of_what_another_creator_goes_on_with() {
    promptly(|| {
        let registry: Registry<u32, u32> = Registry::new();
        let (first, second) = (Gate::default(), Gate::default());
        // 2 is begun, and will ask for 1.
        let mut two = Task::new(registry.get_or_try_insert_async(2, |_| async {
            first.passed().await;
            let never = |_: &u32| async { unreachable!() as Result<u32, Refused> };
            let one = registry.get_or_try_insert_async(1, never);
            Ok::<_, Refused>(*one.await.map_err(flat)? + 1)
        }));
        assert!(two.poll().is_none());
        let waits_for_two = registry.get_or_insert_async(2, |_| async { unreachable!() });
        let mut waits_for_two = std::pin::pin!(waits_for_two);
        let one = registry.get_or_insert_async(1, |_| async {
            second.passed().await;
            1
        });
        let mut one = std::pin::pin!(one);
        let mut context = Context::from_waker(Waker::noop());
        // One who creates 1 polls what waits for 2, and fails; another one waits for 1 by then.
        let failed = registry.get_or_try_insert_with(1, |_| {
            assert!(waits_for_two.as_mut().poll(&mut context).is_pending());
            thread::scope(|scope| {
                let poll = || {
                    one.as_mut()
                        .poll(&mut Context::from_waker(Waker::noop()))
                        .is_pending()
                };
                assert!(scope.spawn(poll).join().unwrap());
            });
            Err("no")
        });
        assert_eq!(failed.err(), Some(CreateError::Failed("no")));
        // That one creates it now, and 2 asks for it.
        assert!(one.as_mut().poll(&mut context).is_pending());
        first.open();
        assert!(two.poll().is_none(), "1 does not wait for 2");
        second.open();
        let Poll::Ready(one) = one.as_mut().poll(&mut context) else {
            panic!("the gate is open")
        };
        let two = two.poll().unwrap().unwrap();
        assert_eq!((*one, *two), (1, 2));
        assert!(waits_for_two.as_mut().poll(&mut context).is_ready());
    });
}

/// What it has goes when it is dropped, not when it is done.
struct Keeps<F: FnMut()>(#[allow(dead_code)] Asks<F>);

impl<F: FnMut()> Future for Keeps<F> {
    type Output = Result<u32, ()>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(7))
    }
}

#[test]
fn a_factory_that_is_done_may_ask_for_its_own_key_as_it_is_dropped() {
    promptly(|| {
        let (registry, refused) = (Registry::<u32, u32>::new(), Cell::new(false));
        let asks = || {
            let asked = registry.get_or_try_insert_with(1, |_| Ok::<_, ()>(8));
            refused.set(asked.is_err());
        };
        let made = registry.get_or_try_insert_async(1, |_: &u32| Keeps(Asks(asks)));
        assert_eq!(*pollster::block_on(made).unwrap(), 7);
        assert!(refused.get());
    });
}

fn what_was_entered_before_the_close_stays_whoever_waited_for_it<M: Map<Citizen>>() {
    let (map, census, key) = (M::empty(), Census::new(), M::key(1));
    let token = map.vacancy(&key);
    let mut waiting = Task::new(map.get_or_try_insert_async(&key, uncalled));
    assert!(waiting.poll().is_none());
    let value = token.fill(Arc::new(census.citizen()));
    map.close();
    assert!(M::same(&waiting.poll().unwrap().unwrap(), &value));
    assert!(M::same(&map.get(1).unwrap(), &value));
}

thread_local! {
    /// What happens at the n-th comparison of an [`Overheard`] from now on.
    static MEETING: RefCell<Option<Meeting>> = const { RefCell::new(None) };
}

type Meeting = (u32, Box<dyn FnOnce()>);

struct Overheard(u32);

impl Hash for Overheard {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Eq for Overheard {}

impl PartialEq for Overheard {
    fn eq(&self, other: &Self) -> bool {
        match MEETING.take() {
            Some((1, f)) => f(),
            others => MEETING.set(others.map(|(nth, f)| (nth - 1, f))),
        }
        self.0 == other.0
    }
}

/// Who leads a flight finds what somebody has entered since the caller looked, and is about to land with it. Another one takes it out, and only then asks for the key.
#[test]
fn who_asks_after_a_removal_does_not_get_what_was_removed() {
    let registry = Registry::<Overheard, u32>::new();
    let inserted = Mutex::new(None);
    thread::scope(|scope| {
        // Not around the scope: if this panics, the creator is told.
        let (meets, met) = mpsc::channel();
        let (leaves, left) = mpsc::channel::<()>();
        let missed = |key: &Overheard| {
            let handle = registry.get_or_insert_with(Overheard(key.0), |_| 1);
            *inserted.lock().unwrap() = Some(handle);
            let meet = move || {
                meets.send(()).unwrap();
                left.recv().unwrap();
            };
            // The first one is of what this returns with what was asked for.
            MEETING.set(Some((2, Box::new(meet))));
            Overheard(key.0)
        };
        let creator = scope.spawn(|| {
            registry
                .entry_ref(&Overheard(1))
                .key_with(missed)
                .or_insert_with(|_| unreachable!())
        });
        met.recv().unwrap();
        let removed = registry.remove(&Overheard(1)).unwrap();
        let mut asking = Task::new(registry.get_or_insert_async(Overheard(1), |_| async { 2 }));
        assert!(asking.poll().is_none());
        leaves.send(()).unwrap();
        assert!(Handle::ptr_eq(&creator.join().unwrap(), &removed));
        assert_eq!(*asking.poll().unwrap(), 2);
    });
}

/// When the creation of another owner's equal key is given up, and that key has gone, the entry belongs to the key of whoever creates next.
#[test]
fn who_takes_over_creates_under_a_key_of_its_own() {
    type Noted = WeakKeyMap<Arc<str>, Arc<u32>>;
    type Paired = WeakKeyValueMap<Arc<str>, Arc<u32>>;
    macro_rules! each {
        ($map:ty) => {
            promptly(|| {
                let names = || -> (Arc<str>, Arc<str>) { ("k".into(), "k".into()) };
                let is_kept = |map: &$map, theirs: Arc<str>, mine: &Arc<str>, value: Arc<u32>| {
                    drop(theirs);
                    let (key, found) = map.get_key_value("k").expect("both are alive");
                    assert!(Arc::ptr_eq(&key, mine) && Arc::ptr_eq(&found, &value));
                };

                let (map, (theirs, mine)) = (<$map>::new(), names());
                let mut creator = Task::new(
                    map.get_or_insert_async(&theirs, |_| async { std::future::pending().await }),
                );
                assert!(creator.poll().is_none());
                let mut waiter = Task::new(map.get_or_insert_async(&mine, |key| {
                    assert!(Arc::ptr_eq(key, &mine));
                    async { Arc::new(1) }
                }));
                assert!(waiter.poll().is_none());
                drop(creator);
                is_kept(&map, theirs, &mine, waiter.poll().expect("it creates"));

                let (map, (theirs, mine)) = (<$map>::new(), names());
                let vacancy = map.entry(&theirs).try_claim().unwrap().vacant().unwrap();
                let mut waiter = Task::new(map.entry(&mine).claim_or_refused_async());
                assert!(waiter.poll().is_none());
                drop(vacancy);
                let claimed = waiter.poll().expect("it is free").unwrap();
                let vacancy = claimed.vacant().expect("nobody has made it");
                assert!(Arc::ptr_eq(vacancy.key(), &mine));
                is_kept(&map, theirs, &mine, vacancy.fill(Arc::new(2)));

                // Threads: each may come before the vacancy is dropped, or after that.
                type Call = fn(&$map, &Arc<str>) -> Arc<u32>;
                let calls: [Call; 3] = [
                    |map, key| map.get_or_insert_with(key, |_| Arc::new(3)),
                    |map, key| {
                        map.entry(key)
                            .valid_if(|_| false)
                            .or_insert_with(|_| Arc::new(4))
                    },
                    |map, key| map.entry(key).or_create_cyclic(|_| Arc::new(5), |_| {}),
                ];
                for call in calls {
                    for _ in 0..50 {
                        let (map, (theirs, mine)) = (<$map>::new(), names());
                        let vacancy = map.entry(&theirs).try_claim().unwrap().vacant().unwrap();
                        let (comes, has_come) = mpsc::channel();
                        let value = thread::scope(|scope| {
                            let waiter = scope.spawn(|| {
                                comes.send(()).unwrap();
                                call(&map, &mine)
                            });
                            has_come.recv().unwrap();
                            thread::yield_now();
                            drop(vacancy);
                            waiter.join().unwrap()
                        });
                        is_kept(&map, theirs, &mine, value);
                    }
                }
            });
        };
    }
    each!(Noted);
    each!(Paired);
}

mod deep_down {
    use crate::common::promptly;
    use highlander::pointer::Watched;
    use highlander::Registry;
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::mpsc::{self, Receiver, Sender};
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll, Waker};
    use std::thread;

    /// Runs something when it is dropped, at the end of a chain of 100 of these.
    #[allow(dead_code)] // the next one is there to be dropped
    struct AtTheEnd(
        Option<Box<dyn FnOnce() + Send + Sync>>,
        Option<Watched<AtTheEnd>>,
    );

    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            if let Some(f) = self.0.take() {
                f();
            }
        }
    }

    fn deep_down(f: impl FnOnce() + Send + Sync + 'static) {
        let mut chain = Watched::new(AtTheEnd(Some(Box::new(f)), None));
        for _ in 0..100 {
            chain = Watched::new(AtTheEnd(None, Some(chain)));
        }
    }

    /// Says when its drop begins, and waits until somebody waits for that, or is refused.
    struct Port(Mutex<Option<(Sender<()>, Receiver<()>)>>);

    impl Drop for Port {
        fn drop(&mut self) {
            if let Some((begins, heard)) = self.0.get_mut().unwrap().take() {
                begins.send(()).unwrap();
                heard.recv().unwrap();
            }
        }
    }

    static HEARD: Mutex<Option<Sender<()>>> = Mutex::new(None);

    fn hear() {
        HEARD.lock().unwrap().as_ref().unwrap().send(()).unwrap();
    }

    fn sleeps(sleep: &mut dyn FnMut()) {
        hear();
        sleep();
    }

    #[test]
    fn a_task_that_was_polled_there_is_no_part_of_what_its_thread_does_later() {
        static VALUES: Registry<u32, u32> = Registry::new();
        static PORTS: Registry<u32, Port> = Registry::new().exclusive().around_sleep(sleeps);
        promptly(|| {
            let (begins, has_begun) = mpsc::channel();
            let (hear_it, heard) = mpsc::channel();
            *HEARD.lock().unwrap() = Some(hear_it);
            let port = PORTS.get_or_insert_with(7, |_| Port(Mutex::new(Some((begins, heard)))));
            let (start, started) = mpsc::channel();
            let creator = thread::spawn(move || {
                let mut asked = Ok(());
                let value = VALUES.get_or_insert_with(1, |_| {
                    start.send(()).unwrap();
                    has_begun.recv().unwrap();
                    let next =
                        PORTS.get_or_try_insert_with(7, |_| Ok::<_, ()>(Port(Mutex::new(None))));
                    if let Err(refused) = &next {
                        asked = Err(format!("{refused:?}"));
                        hear();
                    }
                    1
                });
                (value, asked)
            });
            started.recv().unwrap();
            let waits = VALUES.get_or_insert_async(1, |_| async { unreachable!() });
            type Task = Pin<Box<dyn Future<Output = highlander::Handle<u32, u32>> + Send>>;
            let task: Arc<Mutex<Task>> = Arc::new(Mutex::new(Box::pin(waits)));
            let poll = |task: &Mutex<Task>| {
                let mut task = task.lock().unwrap();
                task.as_mut().poll(&mut Context::from_waker(Waker::noop()))
            };
            let there = task.clone();
            deep_down(move || assert!(poll(&there).is_pending()));
            drop(port);
            let (value, asked) = creator.join().unwrap();
            assert_eq!(asked, Ok(()), "it waits for nobody who waits for it");
            assert_eq!(poll(&task), Poll::Ready(value));
        });
    }
}
