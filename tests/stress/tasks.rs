//! Tasks under real runtimes, and threads beside them, that create, claim, fail and are cancelled, on few keys.

use crate::common::{forever, Dice};
use crate::support::{seed, Counts, Roll, Sealed};
use highlander::error::CreateError;
use highlander::map::Claim;
use highlander::{Handle, Registry};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

const KEYS: usize = 4;

/// A type without a lifetime in it: with one, the compiler does not see that a future is `Send`.
struct Value(Sealed<'static>);

struct Scene {
    registry: Registry<u32, Value>,
    rolls: [Roll; KEYS],
    counts: &'static Counts,
    rounds: AtomicUsize,
}

impl Scene {
    fn value(&self, key: u32) -> Value {
        Value(Sealed::new(key, self.counts))
    }

    fn hold(&self, key: u32, handle: Handle<u32, Value>) {
        handle.0.assert_alive(key);
        self.rolls[key as usize].sign_in(handle.0.id);
        let found = self.registry.get(&key);
        assert!(found.is_some_and(|found| Handle::ptr_eq(&found, &handle)));
        self.rolls[key as usize].sign_out();
        self.rounds.fetch_add(1, Relaxed);
    }

    /// One of the ways to get the value of a key, or to give it up.
    async fn round(&'static self, mut dice: Dice) {
        let key = dice.below(KEYS) as u32;
        let fails = dice.below(4) == 0;
        if dice.below(3) == 0 {
            let claim = self.registry.entry(key).claim_or_refused_async().await;
            match claim.expect("no cycle") {
                Claim::Live(handle) => self.hold(key, handle),
                Claim::Vacant(vacancy) => {
                    yield_now(dice.below(3)).await;
                    if !fails {
                        self.hold(key, vacancy.fill(self.value(key)));
                    }
                }
            }
            return;
        }
        let made = self.registry.get_or_try_insert_async(key, |_| async {
            yield_now(dice.below(3)).await;
            match fails {
                true => Err("planted"),
                false => Ok(self.value(key)),
            }
        });
        match made.await {
            Ok(handle) => self.hold(key, handle),
            Err(error) => assert_eq!(error, CreateError::Failed("planted")),
        }
    }

    /// As `round`, without a task.
    fn round_of_thread(&self, dice: &mut Dice) {
        let key = dice.below(KEYS) as u32;
        let made = self.registry.get_or_try_insert_with(key, |_| {
            if dice.below(2) == 0 {
                thread::yield_now();
            }
            Ok::<_, Infallible>(self.value(key))
        });
        self.hold(key, made.expect("it does not fail"));
    }
}

/// Lets others go first, so many times.
async fn yield_now(times: usize) {
    let mut left = times;
    std::future::poll_fn(|context| match left {
        0 => Poll::Ready(()),
        _ => {
            left -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Rounds by eight at a time, each of which may be cancelled.
async fn waves<F: Future<Output = ()>>(
    scene: &'static Scene,
    end: Instant,
    mut dice: Dice,
    spawn: impl Fn(Task) -> (F, Box<dyn FnOnce()>),
) {
    // A hundred at least, however slow the machine is.
    while Instant::now() < end || scene.rounds.load(Relaxed) <= 100 {
        let rounds = (0..8).map(|_| scene.round(Dice::new(dice.next())));
        let rounds: Vec<_> = rounds.map(|round| spawn(Box::pin(round))).collect();
        for (task, cancel) in rounds {
            match dice.below(4) {
                0 => cancel(),
                _ => task.await,
            }
        }
    }
}

fn check(limit: Duration, run: impl FnOnce(&'static Scene, Instant, Dice)) {
    let scene: &'static Scene = forever(Scene {
        registry: Registry::new(),
        rolls: Default::default(),
        counts: forever(Counts::default()),
        rounds: AtomicUsize::new(0),
    });
    let seed = seed();
    let end = Instant::now() + limit;
    let beside = thread::spawn(move || {
        let mut dice = Dice::new(seed ^ 1);
        while Instant::now() < end {
            scene.round_of_thread(&mut dice);
        }
    });
    run(scene, end, Dice::new(seed));
    beside.join().unwrap();
    assert!(scene.rounds.load(Relaxed) > 100);
    for key in 0..KEYS as u32 {
        assert!(matches!(scene.registry.try_get(&key), Ok(None)), "it flies");
    }
    assert_eq!(scene.registry.len(), 0);
    scene.counts.assert_balanced();
}

fn under_tokio(runtime: tokio::runtime::Runtime, scene: &'static Scene, end: Instant, dice: Dice) {
    runtime.block_on(waves(scene, end, dice, |round| {
        let task = tokio::spawn(round);
        let cancel = task.abort_handle();
        let task = async {
            if let Err(error) = task.await {
                if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
        };
        (task, Box::new(move || cancel.abort()))
    }));
    // With all that were cancelled.
    drop(runtime);
}

pub(crate) fn churn(limit: Duration) {
    let builder = tokio::runtime::Builder::new_multi_thread;
    check(limit / 3, |scene, end, dice| {
        let runtime = builder().worker_threads(3).build().unwrap();
        under_tokio(runtime, scene, end, dice);
    });
    check(limit / 3, |scene, end, dice| {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        under_tokio(runtime.unwrap(), scene, end, dice);
    });
    check(limit / 3, |scene, end, dice| {
        // A task of smol that is dropped is cancelled.
        let executor: &'static smol::Executor<'static> = forever(smol::Executor::new());
        let (stop, stopped) = smol::channel::bounded::<()>(1);
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let stopped = stopped.clone();
                thread::spawn(move || {
                    let _ = smol::block_on(executor.run(stopped.recv()));
                })
            })
            .collect();
        smol::block_on(waves(scene, end, dice, |round| {
            let task = std::sync::Arc::new(std::sync::Mutex::new(Some(executor.spawn(round))));
            let cancel = task.clone();
            let take = |task: &std::sync::Mutex<Option<_>>| task.lock().unwrap().take();
            let wait = async move {
                if let Some(task) = take(&task) {
                    task.await;
                }
            };
            let cancel = move || drop(take(&cancel));
            (wait, Box::new(cancel) as Box<dyn FnOnce()>)
        }));
        // What was cancelled is dropped by the workers.
        while !executor.is_empty() {
            thread::yield_now();
        }
        drop(stop);
        workers
            .into_iter()
            .for_each(|worker| worker.join().unwrap());
    });
}
