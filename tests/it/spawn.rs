//! The futures of all calls that wait can be spawned on a runtime with several threads, for the types that users have: trait objects, borrowed keys, boxed functions.

use crate::common::forever;
use highlander::map::{ByAddress, Claim};
use highlander::pointer::Token;
use highlander::registries::signals::{Receiver, Signal};
use highlander::{Recent, Registry, StrongMap, WeakKeyMap, WeakKeyValueMap, WeakValueMap};
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

trait Shape: Send + Sync {
    fn corners(&self) -> u32;
}

struct Square;

impl Shape for Square {
    fn corners(&self) -> u32 {
        4
    }
}

impl PartialEq for dyn Shape + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.corners() == other.corners()
    }
}

impl Eq for dyn Shape + '_ {}

impl Hash for dyn Shape + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.corners().hash(state);
    }
}

type Function = Box<dyn Fn() -> u32 + Send + Sync>;

fn need_send<F: Future + Send>(future: F) -> F {
    future
}

fn square() -> Arc<dyn Shape> {
    Arc::new(Square)
}

/// A factory's future that is suspended in between, so that others wait, and that moves to another thread.
async fn slowly<T: Send>(value: T) -> T {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    value
}

/// All calls, each spawned twice at a time: so one creates and one waits. An expression for the key is evaluated for each.
macro_rules! spawn_all {
    ($map:expr, $key:expr, $value:expr) => {{
        let map = forever($map);
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..2 {
            tasks.spawn(need_send(async move {
                let _made = map.get_or_insert_async($key, |_| slowly($value)).await;
            }));
            tasks.spawn(need_send(async move {
                let made = map.get_or_try_insert_async($key, |_| slowly(Ok::<_, ()>($value)));
                assert!(made.await.is_ok());
            }));
            tasks.spawn(need_send(async move {
                let entry = map.entry($key).valid_if(|_| true).share_errors();
                let _made = entry.or_insert_with_async(|_| slowly($value)).await;
            }));
            tasks.spawn(need_send(async move {
                let entry = map.entry($key);
                let made = entry.or_try_insert_with_async(|_| slowly(Ok::<_, String>($value)));
                assert!(made.await.is_ok());
            }));
            tasks.spawn(need_send(async move {
                let entry = map.entry($key);
                let made = entry.or_optionally_insert_with_async(|_| slowly(Some($value)));
                assert!(made.await.is_some());
            }));
            tasks.spawn(need_send(async move {
                let entry = map.entry($key).and_view(|_| 7);
                assert_eq!(entry.or_insert_with_async(|_| slowly($value)).await, 7);
            }));
            tasks.spawn(need_send(async move {
                // (That one is not kept across an `await`, see below.)
                if let Claim::Vacant(vacancy) = map.entry($key).claim_async().await {
                    let _made = vacancy.fill($value);
                }
            }));
            tasks.spawn(need_send(async move {
                let claim = map.entry($key).claim_or_refused_async().await;
                assert!(claim.is_ok());
            }));
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
    }};
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap()
        .block_on(test);
}

#[test]
fn of_a_registry() {
    run(async {
        spawn_all!(Registry::new(), "key", square());
        spawn_all!(Registry::new(), 1_u32, Box::new(|| 4_u32) as Function);
        spawn_all!(Registry::new(), square(), 1_u32);
        spawn_all!(Registry::new(), String::from("key"), "value");
    });
}

#[test]
fn of_maps_with_weak_values() {
    run(async {
        spawn_all!(WeakValueMap::new(), "key", square());
        spawn_all!(
            WeakValueMap::new(),
            1_u32,
            Arc::new(Box::new(|| 4_u32) as Function)
        );
        let key = forever(square());
        spawn_all!(WeakKeyValueMap::<_, _>::new(), key, square());
        spawn_all!(
            WeakKeyValueMap::<_, _, ByAddress>::new(),
            key,
            Arc::new("value")
        );
    });
}

#[test]
fn of_maps_that_keep_their_values() {
    run(async {
        spawn_all!(StrongMap::new(), "key", square());
        spawn_all!(StrongMap::new(), square(), "value");
        let key = forever(square());
        spawn_all!(WeakKeyMap::<_, _>::new(), key, square());
        spawn_all!(WeakKeyMap::<_, _, ByAddress>::new(), key, "value");
        let function: &'static Arc<Function> = forever(Arc::new(Box::new(|| 4_u32)));
        spawn_all!(WeakKeyMap::<_, _, ByAddress>::new(), function, "value");
    });
}

#[test]
fn by_borrowed_keys_and_with_tokens() {
    struct Carries(#[allow(dead_code)] Token);
    run(async {
        let map: &WeakValueMap<String, Arc<dyn Shape>> = forever(WeakValueMap::new());
        let made = tokio::spawn(need_send(async move {
            let entry = map.entry_ref("key").key_with(str::to_owned);
            entry.or_insert_with_async(|_| slowly(square())).await
        }));
        assert_eq!(made.await.unwrap().corners(), 4);
        let map: &WeakValueMap<&'static str, Arc<Carries>> = forever(WeakValueMap::new());
        let made = tokio::spawn(need_send(async move {
            let make = |_: &&str, token| slowly(Arc::new(Carries(token)));
            map.entry("key").or_insert_with_token_async(make).await
        }));
        drop(made.await.unwrap());
        assert_eq!(map.entry_count(), 0);
    });
}

/// What is kept across an `await` by its holder, or is made for any map, can be spawned for types without lifetimes.
#[test]
fn vacancies_that_are_kept_and_the_layer_that_keeps_values_a_little() {
    run(async {
        let registry: &Registry<String, u32> = forever(Registry::new());
        let made = tokio::spawn(need_send(async move {
            let claim = registry.entry("key".into()).claim_async().await;
            let vacancy = claim.vacant().unwrap();
            vacancy.fill(slowly(7).await)
        }));
        assert_eq!(*made.await.unwrap(), 7);
        let recent = forever(Recent::new(WeakValueMap::<String, Arc<u32>>::new(), 4));
        let made = tokio::spawn(need_send(async move {
            let key = String::from("key");
            recent
                .get_or_insert_async(key, |_| slowly(Arc::new(7)))
                .await
        }));
        assert_eq!(*made.await.unwrap(), 7);
    });
}

#[test]
fn of_signals() {
    run(async {
        let signal: &Signal<str, usize> = forever(Signal::new());
        let receiver =
            Receiver::new_async(|text: &str| Box::pin(async move { Ok(slowly(text.len()).await) }));
        assert!(signal.connect(&receiver));
        let sent = tokio::spawn(need_send(async move { signal.send_async("four").await }));
        assert_eq!(sent.await.unwrap().unwrap(), [4]);
        let sent = tokio::spawn(need_send(
            async move { signal.send_robust_async("four").await },
        ));
        assert_eq!(sent.await.unwrap().len(), 1);
    });
}
