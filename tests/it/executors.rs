//! Creation that awaits, under executors: on one thread and on several, with tasks that are cancelled, and go from thread to thread.

use crate::common::{promptly, Census, Citizen};
use highlander::{Handle, Registry, StrongMap, WeakKeyMap, WeakKeyValueMap, WeakValueMap};
use std::future::Future;
use std::pin::{pin, Pin};
use std::sync::Arc;
use std::task::Poll;
use std::thread;

type Citizens = Registry<u32, Citizen>;

/// Is polled twice.
async fn yield_once() {
    let mut first = true;
    std::future::poll_fn(|context| {
        if std::mem::take(&mut first) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
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
                    .get_or_insert_async(n % 4, |_| async {
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
        assert!(Handle::ptr_eq(value, &values[n % 4]));
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
                                .get_or_insert_async(round, |_| async {
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
                assert!(values.iter().all(|value| Handle::ptr_eq(value, &values[0])));
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
    let create = |key: &u32| {
        let key = *key;
        async move { key.to_string() }
    };
    let future = send(REGISTRY.get_or_insert_async(1, create));
    let claim = send(REGISTRY.entry(2).claim_async());
    static BY_VALUE: WeakValueMap<u32, Arc<str>> = WeakValueMap::new();
    static BY_KEY: WeakKeyMap<Arc<str>, String> = WeakKeyMap::new();
    static BY_BOTH: WeakKeyValueMap<Arc<str>, Arc<str>> = WeakKeyValueMap::new();
    static STRONG: StrongMap<u32, String> = StrongMap::new();
    let key: Arc<str> = Arc::from("k");
    drop(send(BY_VALUE.get_or_insert_async(1, |key: &u32| {
        let key = *key;
        async move { Arc::from(key.to_string()) }
    })));
    drop(send(BY_KEY.get_or_insert_async(&key, |key: &Arc<str>| {
        let key = key.clone();
        async move { key.to_string() }
    })));
    drop(send(BY_BOTH.get_or_insert_async(&key, |key: &Arc<str>| {
        let key = key.clone();
        async move { key }
    })));
    drop(send(STRONG.get_or_insert_async(1, create)));
    drop((
        send(BY_VALUE.entry(1).claim_async()),
        send(BY_KEY.entry(&key).claim_async()),
    ));
    drop((
        send(BY_BOTH.entry(&key).claim_async()),
        send(STRONG.entry(1).claim_or_refused_async()),
    ));
    // With a key of its own it may be spawned.
    fn spawned<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
        thread::spawn(|| pollster::block_on(future)).join().unwrap()
    }
    let of_key = spawned(async move {
        let create = |key: &Arc<str>| {
            let key = key.clone();
            async move {
                yield_once().await;
                key.len().to_string()
            }
        };
        BY_KEY.get_or_insert_async(&key, create).await
    });
    assert_eq!(of_key, "1");
    let value = thread::spawn(|| pollster::block_on(async { pin!(future).await }))
        .join()
        .unwrap();
    assert_eq!(*value, "1");
    drop(claim);
}
