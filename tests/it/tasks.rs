//! Creation that awaits: one flight for tasks and threads, whatever runs the tasks, and whichever of them are given up.

use crate::common::{promptly, Census, Citizen};
use highlander::{Claim, CreateError, CycleError, Handle, Registry};
use std::future::Future;
use std::pin::{pin, Pin};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
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

#[test]
fn a_task_creates_and_the_others_get_its_value() {
    let (registry, census, gate) = (Citizens::new(), Census::new(), Gate::default());
    let create = async |_: &u32| {
        gate.passed().await;
        census.citizen()
    };
    let mut tasks: Vec<_> = (0..5)
        .map(|_| Task::new(registry.get_or_insert_async(1, create)))
        .collect();
    assert!(tasks.iter_mut().all(|task| task.poll().is_none()));
    assert_eq!((census.born(), registry.len()), (0, 0));
    gate.open();
    assert!(tasks[3].poll().is_none(), "not before it is there");
    let first = tasks[0].poll().unwrap();
    for task in &mut tasks[1..] {
        assert_eq!(task.wakes(), 1, "woken, and not polled in vain");
        assert!(task.poll().unwrap().ptr_eq(&first));
    }
    assert_eq!((census.born(), registry.len()), (1, 1));
    // A hit does not wait.
    let mut hit = Task::new(registry.get_or_insert_async(1, async |_| unreachable!()));
    assert!(hit.poll().unwrap().ptr_eq(&first));
}

#[test]
fn tasks_and_threads_share_a_flight() {
    promptly(|| {
        let (registry, census, gate) = (Citizens::new(), Census::new(), Gate::default());
        let mut creating = Task::new(registry.get_or_insert_async(1, async |_: &u32| {
            gate.passed().await;
            census.citizen()
        }));
        assert!(creating.poll().is_none());
        thread::scope(|scope| {
            let thread = scope.spawn(|| registry.get_or_insert_with(1, |_| unreachable!()));
            gate.open();
            let value = creating.poll().unwrap();
            assert!(thread.join().unwrap().ptr_eq(&value));
        });
        // The other way round.
        let Ok(Claim::Vacant(token)) = registry.claim(2) else {
            panic!("not vacant")
        };
        let mut waiting = Task::new(registry.get_or_insert_async(2, async |_| unreachable!()));
        assert!(waiting.poll().is_none());
        let value = token.fill(census.citizen());
        assert_eq!(waiting.wakes(), 1);
        assert!(waiting.poll().unwrap().ptr_eq(&value));
    });
}

#[test]
fn a_future_that_is_dropped_leaves_the_creation_to_one_who_waits() {
    promptly(|| {
        let (registry, census, gate) = (Citizens::new(), Census::new(), Gate::default());
        let never = || {
            registry.get_or_insert_async(1, async |_: &u32| {
                gate.passed().await;
                unreachable!()
            })
        };
        let mut creating = Task::new(never());
        assert!(creating.poll().is_none());
        let mut waiting = Task::new(registry.get_or_insert_async(1, async |_| census.citizen()));
        assert!(waiting.poll().is_none());
        drop(creating);
        assert_eq!(waiting.wakes(), 1);
        let value = waiting.poll().unwrap();
        assert_eq!((census.born(), registry.len()), (1, 1));
        drop((value, waiting));
        assert!(registry.is_empty());

        // A thread that waits goes on too.
        let mut creating = Task::new(never());
        assert!(creating.poll().is_none());
        thread::scope(|scope| {
            let thread = scope.spawn(|| drop(registry.get_or_insert_with(1, |_| census.citizen())));
            drop(creating);
            thread.join().unwrap();
        });
        assert_eq!((census.alive(), registry.len()), (0, 0));

        // And if nobody waits, nothing is left.
        let mut creating = Task::new(never());
        assert!(creating.poll().is_none());
        drop(creating);
        assert!(matches!(registry.try_get(&1), Ok(None)));
    });
}

#[test]
fn a_future_that_was_never_polled_has_not_begun() {
    let registry: Registry<u32, u32> = Registry::new();
    let unpolled = registry.get_or_insert_async(1, async |_| 1);
    assert_eq!(registry.try_get(&1), Ok(None));
    assert_eq!(*registry.get_or_insert_with(1, |_| 2), 2);
    drop(unpolled);
}

/// The one that was woken may be kept by somebody who has lost interest.
#[test]
fn a_waiting_future_that_is_not_polled_again_does_not_block_the_others() {
    promptly(|| {
        let (registry, census, gate) = (Citizens::new(), Census::new(), Gate::default());
        let mut creating = Task::new(registry.get_or_insert_async(1, async |_: &u32| {
            gate.passed().await;
            unreachable!()
        }));
        assert!(creating.poll().is_none());
        let mut idle = Task::new(registry.get_or_insert_async(1, async |_| unreachable!()));
        assert!(idle.poll().is_none());
        let mut eager = Task::new(registry.get_or_insert_async(1, async |_| census.citizen()));
        assert!(eager.poll().is_none());
        drop(creating);
        let value = eager.poll().unwrap();
        assert!(idle.poll().unwrap().ptr_eq(&value));
    });
}

#[test]
fn a_creation_that_fails_gives_its_error_to_its_own_caller() {
    let (registry, gate) = (Registry::<u32, u32>::new(), Gate::default());
    let mut failing = Task::new(registry.get_or_try_insert_async(1, async |_: &u32| {
        gate.passed().await;
        Err(CreateError::Failed("disk"))
    }));
    let create = async |_: &u32| Ok::<_, CycleError>(2);
    let mut waiting = Task::new(registry.get_or_try_insert_async(1, create));
    assert!(failing.poll().is_none() && waiting.poll().is_none());
    gate.open();
    assert_eq!(
        failing.poll().unwrap().unwrap_err(),
        CreateError::Failed("disk")
    );
    assert_eq!(*waiting.poll().unwrap().unwrap(), 2);
}

#[test]
fn a_factory_that_panics_leaves_nothing() {
    let (registry, census) = (Citizens::new(), Census::new());
    let mut panicking = Task::new(registry.get_or_insert_async(1, async |_| panic!("no")));
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| panicking.poll()));
    assert!(panic.is_err());
    drop(panicking);
    let mut next = Task::new(registry.get_or_insert_async(1, async |_| census.citizen()));
    assert!(next.poll().is_some());
}

#[test]
fn a_factory_that_awaits_its_own_key_gets_an_error() {
    promptly(|| {
        let registry: Registry<u32, u32> = Registry::new().debug_keys();
        async fn create(registry: &Registry<u32, u32>, key: u32) -> Result<u32, CycleError> {
            let next = (key + 1) % 3;
            let next = Box::pin(create(registry, next));
            let created = registry.get_or_try_insert_async(key, async |_| next.await);
            Ok(*created.await?)
        }
        let text = pollster::block_on(create(&registry, 0))
            .unwrap_err()
            .to_string();
        assert!(
            text.ends_with(
                "0, which asked for 1, which asked for 2, which asked for the first again"
            ),
            "{text}"
        );
        // The same on the thread's own stack.
        let mixed = registry.get_or_try_insert_async(5, async |_| {
            registry
                .get_or_try_insert_with(5, |_| Ok::<_, CycleError>(0))
                .map(|v| *v)
        });
        assert!(pollster::block_on(mixed).is_err());
        assert!(registry.is_empty());
    });
}

#[test]
fn two_tasks_that_create_for_each_other_are_told() {
    promptly(|| {
        let registry: Registry<u32, u32> = Registry::new();
        let gate = Gate::default();
        let create = async |own: u32, other: u32| {
            let make = async |_: &u32| {
                gate.passed().await;
                let other =
                    registry.get_or_try_insert_async(other, async |_| Ok::<_, CycleError>(1));
                Ok::<_, CycleError>(*other.await? + 1)
            };
            registry
                .get_or_try_insert_async(own, make)
                .await
                .map(|value| *value)
        };
        let (mut one, mut two) = (Task::new(create(1, 2)), Task::new(create(2, 1)));
        assert!(one.poll().is_none() && two.poll().is_none());
        gate.open();
        assert!(one.poll().is_none(), "waits for the other one");
        assert!(two.poll().unwrap().is_err());
        assert_eq!(one.wakes(), 2);
        assert_eq!(
            one.poll().unwrap(),
            Ok(2),
            "creates what the other one has given up"
        );
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
                let make = async |_: &&str| {
                    Gate::passed(gate).await;
                    Ok::<_, CycleError>(1)
                };
                registry
                    .get_or_try_insert_async(key, make)
                    .await
                    .map(|value| *value)
            }
        };
        // B is begun, and waits.
        let mut b = Task::new(registry.get_or_try_insert_async("b", async |_| {
            first.passed().await;
            Ok::<_, CycleError>(get("c", &second).await? + 1)
        }));
        assert!(b.poll().is_none());
        // A awaits B and creates C, side by side.
        let mut a = Task::new(registry.get_or_try_insert_async("a", async |_| {
            let (b, c) = smol::future::zip(get("b", &second), get("c", &second)).await;
            Ok::<_, CycleError>(b? + c?)
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

#[test]
fn claims_are_awaited() {
    let registry: Registry<u32, u32> = Registry::new();
    let Claim::Vacant(token) = pollster::block_on(registry.claim_async(1)).unwrap() else {
        panic!("not vacant")
    };
    let mut waiting = Task::new(registry.claim_async(1));
    assert!(waiting.poll().is_none());
    let value = token.fill(7);
    assert!(waiting
        .poll()
        .unwrap()
        .unwrap()
        .live()
        .unwrap()
        .ptr_eq(&value));
}

async fn many_tasks_of_few_keys<F, Fut>(
    spawn: impl Fn(Pin<Box<dyn Future<Output = Handle<u32, Citizen>> + Send>>) -> F,
    yield_now: fn() -> Fut,
) where
    F: Future<Output = Handle<u32, Citizen>>,
    Fut: Future<Output = ()> + Send + 'static,
{
    let registry = Arc::new(Citizens::new());
    let census = Census::new();
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let (registry, census) = (registry.clone(), census.clone());
            spawn(Box::pin(async move {
                registry
                    .get_or_insert_async(n % 4, async |_| {
                        yield_now().await;
                        census.citizen()
                    })
                    .await
            }))
        })
        .collect();
    let mut values: Vec<Handle<u32, Citizen>> = Vec::new();
    for task in tasks {
        values.push(task.await);
    }
    for (n, value) in values.iter().enumerate() {
        assert!(value.ptr_eq(&values[n % 4]));
    }
    assert_eq!((census.born(), registry.len()), (4, 4));
    drop(values);
    assert_eq!((census.alive(), registry.len()), (0, 0));
}

#[test]
fn under_tokio_on_one_thread_and_on_several() {
    promptly(|| {
        for mut builder in [
            tokio::runtime::Builder::new_current_thread(),
            tokio::runtime::Builder::new_multi_thread(),
        ] {
            let runtime = builder.build().unwrap();
            runtime.block_on(many_tasks_of_few_keys(
                |task| async { tokio::spawn(task).await.unwrap() },
                tokio::task::yield_now,
            ));
        }
    });
}

#[test]
fn under_smol() {
    promptly(|| {
        smol::block_on(many_tasks_of_few_keys(smol::spawn, smol::future::yield_now));
    });
}

#[test]
fn tasks_that_are_cancelled_at_random_leave_one_value_and_no_flight() {
    promptly(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
        runtime.block_on(async {
            let (registry, census) = (Arc::new(Citizens::new()), Census::new());
            for round in 0..200u32 {
                let tasks: Vec<_> = (0..8)
                    .map(|_| {
                        let (registry, census) = (registry.clone(), census.clone());
                        tokio::spawn(async move {
                            registry
                                .get_or_insert_async(round, async |_| {
                                    tokio::task::yield_now().await;
                                    census.citizen()
                                })
                                .await
                        })
                    })
                    .collect();
                for task in tasks.iter().step_by(2) {
                    task.abort();
                }
                let mut values = Vec::new();
                for task in tasks {
                    values.extend(task.await.ok());
                }
                assert!(values.len() >= 4);
                assert!(values.iter().all(|value| value.ptr_eq(&values[0])));
                drop(values);
                assert!(matches!(registry.try_get(&round), Ok(None)));
            }
            assert_eq!((census.alive(), registry.len()), (0, 0));
        });
    });
}

#[test]
fn futures_may_go_from_thread_to_thread() {
    fn send<T: Send>(future: T) -> T {
        future
    }
    static REGISTRY: Registry<u32, String> = Registry::new();
    let create = async |key: &u32| key.to_string();
    let future = send(REGISTRY.get_or_insert_async(1, create));
    let claim = send(REGISTRY.claim_async(2));
    let value = thread::spawn(|| pollster::block_on(async { pin!(future).await }))
        .join()
        .unwrap();
    assert_eq!(*value, "1");
    drop(claim);
}
