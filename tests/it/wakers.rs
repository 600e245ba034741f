//! Wakers run with no lock held: they may poll their task on the spot, or be the last owner of it.

use crate::common::{promptly, Slow};
use highlander::error::CreateError;
use highlander::{Handle, Registry};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{mpsc, Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A task that is polled wherever it is woken.
struct OnTheSpot {
    future: Mutex<Option<Boxed>>,
    polls: AtomicUsize,
}

impl OnTheSpot {
    fn new(future: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
        Arc::new(Self {
            future: Mutex::new(Some(Box::pin(future))),
            polls: AtomicUsize::new(0),
        })
    }

    fn poll(self: &Arc<Self>) {
        self.polls.fetch_add(1, SeqCst);
        let waker = Waker::from(Arc::clone(self));
        let mut future = self.future.lock().unwrap();
        if let Some(running) = future.as_mut() {
            if running
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_ready()
            {
                *future = None;
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.future.lock().unwrap().is_none()
    }
}

impl Wake for OnTheSpot {
    fn wake(self: Arc<Self>) {
        self.poll();
    }
}

/// A task that goes when it is woken, with all that it owns.
struct Gone(Mutex<Option<Boxed>>);

impl Wake for Gone {
    fn wake(self: Arc<Self>) {
        let future = self.0.lock().unwrap().take();
        drop(future);
    }
}

/// Lets a factory wait for the test.
fn gate() -> (impl FnOnce() + Send, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (inside, is_inside) = mpsc::channel();
    let (go, goes) = mpsc::channel::<()>();
    let wait = move || {
        inside.send(()).unwrap();
        goes.recv().unwrap();
    };
    (wait, is_inside, go)
}

/// A thread that is in the middle of creating 7 for key 1, and what lets it go on.
fn creates_seven(
    registry: &'static Registry<u32, u32>,
) -> (thread::JoinHandle<Handle<u32, u32>>, mpsc::Sender<()>) {
    let (wait, is_inside, go) = gate();
    let creator = thread::spawn(move || {
        registry.get_or_insert_with(1, |_| {
            wait();
            7
        })
    });
    is_inside.recv().unwrap();
    (creator, go)
}

#[test]
fn a_task_that_is_polled_on_the_spot_gets_the_value() {
    promptly(|| {
        static REGISTRY: Registry<u32, u32> = Registry::new();
        let (wait, is_inside, go) = gate();
        let creator = thread::spawn(|| {
            let made = REGISTRY.get_or_insert_with(1, |_| {
                wait();
                7
            });
            assert_eq!(*made, 7);
        });
        is_inside.recv().unwrap();
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                OnTheSpot::new(async {
                    let got = REGISTRY
                        .get_or_insert_async(1, |_| async { unreachable!() })
                        .await;
                    assert_eq!(*got, 7);
                    // And asks for more, where its creator has just landed.
                    drop(got);
                    assert_eq!(*REGISTRY.get_or_insert_async(2, |_| async { 8 }).await, 8);
                })
            })
            .collect();
        tasks.iter().for_each(OnTheSpot::poll);
        go.send(()).unwrap();
        creator.join().unwrap();
        assert!(tasks.iter().all(|task| task.has_ended()));
        assert!(REGISTRY.is_empty());
    });
}

#[test]
fn a_waker_may_be_the_last_owner_of_its_task() {
    struct Loud(&'static AtomicBool);
    impl Drop for Loud {
        fn drop(&mut self) {
            // It may use the registry, also the key that has just landed.
            assert!(REGISTRY.get(&1).is_some());
            assert_eq!(*REGISTRY.get_or_insert_with(3, |_| 3), 3);
            self.0.store(true, SeqCst);
        }
    }
    static REGISTRY: Registry<u32, u32> = Registry::new();
    static DROPPED: AtomicBool = AtomicBool::new(false);
    promptly(|| {
        let (creator, go) = creates_seven(&REGISTRY);
        let loud = Loud(&DROPPED);
        let task: Boxed = Box::pin(async move {
            let _got = REGISTRY
                .get_or_insert_async(1, |_| async { unreachable!() })
                .await;
            drop(loud);
        });
        let task = Arc::new(Gone(Mutex::new(Some(task))));
        {
            let waker = Waker::from(Arc::clone(&task));
            let mut future = task.0.lock().unwrap();
            let polled = future
                .as_mut()
                .unwrap()
                .as_mut()
                .poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        // The waker that the registry has is the last owner now.
        drop(task);
        go.send(()).unwrap();
        assert_eq!(*creator.join().unwrap(), 7);
        assert!(DROPPED.load(SeqCst));
    });
}

#[test]
fn a_task_that_waits_for_a_destructor_may_be_polled_where_that_ends() {
    static REGISTRY: Registry<u32, Option<Slow>> = Registry::new().exclusive();
    promptly(|| {
        let (slow, ending) = Slow::new();
        let value = REGISTRY.get_or_insert_with(1, |_| Some(slow));
        let dying = thread::spawn(move || drop(value));
        ending.await_begin();
        let task = OnTheSpot::new(async {
            assert!(REGISTRY
                .get_or_insert_async(1, |_| async { None })
                .await
                .is_none());
        });
        task.poll();
        assert!(!task.has_ended());
        ending.allow();
        dying.join().unwrap();
        assert!(task.has_ended());
    });
}

/// What it asks for is asked by the task, and not by the creation whose thread happens to poll it.
#[test]
fn a_task_that_is_polled_on_the_spot_is_no_part_of_a_creation_there() {
    static REGISTRY: Registry<u32, u32> = Registry::new();
    promptly(|| {
        let (wait, is_inside, go) = gate();
        let creator = thread::spawn(|| {
            let outer = REGISTRY.get_or_insert_with(10, |_| {
                let inner = REGISTRY.get_or_insert_with(20, |_| {
                    wait();
                    1
                });
                // The task has been woken by now, in here, and has asked for the outer one.
                *inner + 1
            });
            assert_eq!(*outer, 2);
        });
        is_inside.recv().unwrap();
        let task = OnTheSpot::new(async {
            let got = REGISTRY
                .get_or_insert_async(20, |_| async { unreachable!() })
                .await;
            let outer: Handle<_, _> = REGISTRY.get_or_insert_async(10, |_| async { 9 }).await;
            assert_eq!((*got, *outer), (1, 2));
        });
        task.poll();
        go.send(()).unwrap();
        creator.join().unwrap();
        assert!(task.has_ended());
        assert_eq!(task.polls.load(SeqCst), 3);
    });
}

#[test]
fn a_waker_that_panics_leaves_the_value_and_wakes_the_others() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("on purpose");
        }
    }
    static REGISTRY: Registry<u32, u32> = Registry::new();
    promptly(|| {
        let (wait, is_inside, go) = gate();
        let creator = thread::spawn(|| {
            drop(REGISTRY.get_or_insert_with(1, |_| {
                wait();
                7
            }));
        });
        is_inside.recv().unwrap();
        let mut first: Boxed = Box::pin(async {
            REGISTRY
                .get_or_insert_async(1, |_| async { unreachable!() })
                .await;
        });
        let waker = Waker::from(Arc::new(Panics));
        assert!(first
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending());
        let second = OnTheSpot::new(async {
            REGISTRY
                .get_or_insert_async(1, |_| async { unreachable!() })
                .await;
        });
        second.poll();
        go.send(()).unwrap();
        assert!(
            creator.join().is_err(),
            "the panic goes on from the creator"
        );
        assert!(second.has_ended());
        // The first one may be polled by whoever has it.
        assert!(first
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready());
        assert!(REGISTRY.is_empty());
    });
}

/// A waker that asks for a key and waits for it, whatever that is worth.
struct Asks(Box<dyn Fn() + Send + Sync>);

impl Wake for Asks {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

#[test]
fn a_waker_may_wait_for_what_another_one_creates_that_is_woken_after_it() {
    static ENDING: Registry<u32, Option<Slow>> = Registry::new().exclusive();
    static OTHERS: Registry<u32, u32> = Registry::new();
    let creators: [fn() -> Handle<u32, u32>; 2] = [
        || {
            OTHERS.get_or_insert_with(1, |_| {
                drop(ENDING.get_or_insert_with(1, |_| None));
                1
            })
        },
        || {
            pollster::block_on(OTHERS.get_or_insert_async(1, |_| async {
                drop(ENDING.get_or_insert_async(1, |_| async { None }).await);
                1
            }))
        },
    ];
    promptly(move || {
        for creator in creators {
            let (slow, ending) = Slow::new();
            let value = ENDING.get_or_insert_with(1, |_| Some(slow));
            let dying = thread::spawn(move || drop(value));
            ending.await_begin();
            // First a task waits for the end, whose waker asks for what the creator makes, who waits for it too.
            let asks = Asks(Box::new(|| {
                assert_eq!(*OTHERS.get_or_insert_with(1, |_| 2), 1);
            }));
            let waker = Waker::from(Arc::new(asks));
            let mut task: Boxed = Box::pin(async {
                drop(ENDING.get_or_insert_async(1, |_| async { None }).await);
            });
            let polled = task.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            let creator = thread::spawn(creator);
            while OTHERS.try_get(&1).is_ok() {
                thread::yield_now();
            }
            // It has time to fall asleep. If it has not, it need not be woken.
            (0..1000).for_each(|_| thread::yield_now());
            ending.allow();
            let made = creator.join().unwrap();
            dying.join().unwrap();
            assert_eq!(*made, 1);
        }
    });
}

/// Before a thread sleeps that is waking others, it wakes the rest of them, and these may ask for what it is going to wait for.
#[test]
fn who_is_woken_by_a_waker_that_is_going_to_sleep_may_ask_for_the_same() {
    static LANDING: Registry<u32, u32> = Registry::new();
    static ASKED_FOR: Registry<u32, u32> = Registry::new();
    promptly(|| {
        let (creator, go) = creates_seven(&LANDING);
        let (fail, is_failing, go_and_fail) = gate();
        let failing = thread::spawn(|| {
            let fail = |_: &u32| {
                fail();
                Err(CreateError::Failed(()))
            };
            assert!(ASKED_FOR.get_or_try_insert_with(1, fail).is_err());
        });
        is_failing.recv().unwrap();
        let second = Mutex::new(Some(move || {
            go_and_fail.send(()).unwrap();
            failing.join().unwrap();
            assert_eq!(*ASKED_FOR.get_or_insert_with(1, |_| 2), 2);
        }));
        let woken = AtomicUsize::new(0);
        let asks = Asks(Box::new(move || match woken.fetch_add(1, SeqCst) {
            0 => assert_eq!(*ASKED_FOR.get_or_insert_with(1, |_| 3), 3),
            _ => second.lock().unwrap().take().expect("they are two")(),
        }));
        let waker = Waker::from(Arc::new(asks));
        let mut tasks: Vec<Boxed> = (0..2)
            .map(|_| {
                let value = LANDING.get_or_insert_async(1, |_| async { unreachable!() });
                Box::pin(async { drop(value.await) }) as Boxed
            })
            .collect();
        for task in &mut tasks {
            let polled = task.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        go.send(()).unwrap();
        assert_eq!(*creator.join().unwrap(), 7);
        tasks.into_iter().for_each(pollster::block_on);
    });
}
