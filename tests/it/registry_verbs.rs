//! What a [`Registry`] can do that maps can: closing, changing in place, taking out all, counting.

use crate::common::panic_of;
use highlander::error::{CreateError, Refused};
use highlander::{Handle, Registry};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::Barrier;
use std::thread;

#[test]
fn a_closed_registry_takes_nothing_and_shows_what_is_in() {
    let registry: Registry<u32, &str> = Registry::new();
    let (one, _) = registry.insert(1, "one");
    assert!(!registry.is_closed());
    let closed = registry.close();
    assert!(registry.is_closed());
    assert_eq!(closed, std::slice::from_ref(&one));
    let refused = registry.try_insert(2, "two").unwrap_err();
    assert!(refused.is_closed());
    assert_eq!((refused.key, refused.value), (2, "two"));
    assert_eq!(
        refused.to_string(),
        "the map is closed, and takes no new entries"
    );
    let text = panic_of(|| drop(registry.insert(2, "two")));
    assert!(text.contains("closed"), "{text}");
    let text = panic_of(|| drop(registry.update(2, |_| Some("two"))));
    assert!(text.contains("closed"), "{text}");
    let text = panic_of(|| drop(registry.update(1, |_| Some("two"))));
    assert!(text.contains("closed"), "{text}");
    let text = panic_of(|| drop(registry.get_or_insert_with(2, |_| "two")));
    assert!(text.contains("closed"), "{text}");
    let created = registry.get_or_try_insert_with(2, |_| Ok::<_, ()>("two"));
    assert!(matches!(
        created,
        Err(CreateError::Refused(Refused::Closed(_)))
    ));
    assert_eq!(
        registry.compare_exchange(&one, "new").unwrap_err().value,
        "new"
    );
    let found = registry.get_or_insert_with(1, |_| unreachable!());
    assert!(Handle::ptr_eq(&found, &one));
    assert_eq!(registry.len(), 1);
    // It may still be emptied.
    assert!(registry.update(1, |_| None).is_none());
    assert!(registry.is_empty());
    assert!(registry.close().is_empty());
}

#[test]
fn a_creation_under_way_when_the_registry_is_closed_is_refused() {
    let registry: Registry<u32, u32> = Registry::new();
    let created = registry.get_or_try_insert_with(1, |_| {
        assert!(registry.close().is_empty());
        Ok::<_, ()>(1)
    });
    assert!(matches!(
        created,
        Err(CreateError::Refused(Refused::Closed(_)))
    ));
    let drafts: Registry<u32, u32> = Registry::new();
    let created = drafts.entry(1).or_try_create_cyclic(
        |_| Ok::<_, ()>(1),
        |_| {
            drafts.close();
            Ok(())
        },
    );
    assert!(matches!(
        created,
        Err(CreateError::Refused(Refused::Closed(_)))
    ));
    assert_eq!((registry.len(), drafts.len()), (0, 0));
}

#[test]
fn what_is_entered_is_among_what_close_returns() {
    for round in 0..50 {
        let registry: Registry<u32, u32> = Registry::new();
        let start = Barrier::new(3);
        let enter = |base: u32| {
            start.wait();
            let mut held = Vec::new();
            for key in base..base + 1000 {
                let entered = if key % 2 == 0 {
                    registry.try_insert(key, key).ok()
                } else {
                    registry
                        .get_or_try_insert_with(key, |key| Ok::<_, ()>(*key))
                        .ok()
                };
                match entered {
                    Some(handle) => held.push(handle),
                    None => break,
                }
            }
            held
        };
        let (held, mut closed) = thread::scope(|scope| {
            let one = scope.spawn(|| enter(0));
            let two = scope.spawn(|| enter(10_000));
            start.wait();
            for _ in 0..round * 40 {
                std::hint::spin_loop();
            }
            let closed = registry.close();
            let mut held = one.join().unwrap();
            held.extend(two.join().unwrap());
            (held, closed)
        });
        let keys = |handles: &mut Vec<Handle<u32, u32>>| {
            let mut keys: Vec<_> = handles.iter().map(|h| *Handle::key(h)).collect();
            keys.sort_unstable();
            keys
        };
        let mut held = held;
        assert_eq!(keys(&mut held), keys(&mut closed));
        assert_eq!(registry.len(), held.len());
    }
}

#[test]
fn updates_from_two_threads_lose_none() {
    const EACH: u32 = 2000;
    let registry: Registry<&str, u32> = Registry::new();
    let count = || {
        // All are kept, so that the live one is never gone.
        (0..EACH)
            .map(|_| registry.update("k", |old| Some(old.map_or(1, |n| n + 1))))
            .collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let one = scope.spawn(count);
        let two = scope.spawn(count);
        let (one, two) = (one.join().unwrap(), two.join().unwrap());
        assert_eq!(registry.get("k").as_deref(), Some(&(2 * EACH)));
        assert_eq!(registry.len(), 1);
        drop((one, two));
    });
    assert_eq!(registry.len(), 0);
}

#[test]
fn an_update_whose_function_panics_changes_nothing() {
    let registry: Registry<String, u32> = Registry::new();
    let (one, _) = registry.insert("k".into(), 1);
    panic_of(|| drop(registry.update("k".into(), |_| panic!("no"))));
    assert!(Handle::ptr_eq(&registry.get("k").unwrap(), &one));
    panic_of(|| drop(registry.update("other".into(), |_| panic!("no"))));
    assert_eq!(registry.len(), 1);
}

#[test]
fn drain_and_pop_take_out_each_value_once() {
    let registry: Registry<u32, u32> = Registry::new();
    assert_eq!(registry.drain().len(), 0);
    assert!(registry.pop().is_none());
    let held: Vec<_> = (0..500).map(|i| registry.insert(i, i).0).collect();
    let popped: Vec<_> = (0..100).map(|_| registry.pop().unwrap()).collect();
    assert_eq!(registry.len(), 400);
    let mut out: Vec<u32> = registry.drain().map(|handle| *handle).collect();
    assert_eq!((out.len(), registry.len()), (400, 0));
    out.extend(popped.iter().map(|handle| **handle));
    out.sort_unstable();
    assert!(out.iter().copied().eq(0..500));
    assert!(registry.pop().is_none());
    drop(held);
}

#[test]
fn with_shows_a_value_and_for_each_all() {
    let registry: Registry<String, Vec<u32>> = Registry::new();
    assert!(registry.with("k", |_| unreachable!()).is_none());
    let held = registry.get_or_insert_with("k".into(), |_| vec![1, 2]);
    assert_eq!(registry.with("k", Vec::len), Some(2));
    let mut seen = Vec::new();
    registry.for_each(|key, value| seen.push((key.clone(), value.len())));
    assert_eq!(seen, [("k".to_string(), 2)]);
    // The last owner goes inside.
    let dropped = AtomicBool::new(false);
    let mut held = Some(held);
    registry.with("k", |list| {
        drop(held.take());
        dropped.store(list.len() == 2, SeqCst);
    });
    assert!(dropped.into_inner() && registry.is_empty());
}

#[test]
fn the_statistics_account_for_every_value() {
    let registry: Registry<u32, u32> = Registry::new().record_stats();
    let held: Vec<_> = (0..10)
        .map(|i| registry.get_or_insert_with(i, |i| *i))
        .collect();
    let (other, _) = registry.insert(10, 10);
    let (newer, displaced) = registry.insert(10, 11);
    assert!(displaced.is_some());
    registry.remove(&0);
    assert!(registry.get(&1).is_some() && registry.get(&77).is_none());
    drop(held);
    let stats = registry.stats();
    assert_eq!((stats.created, stats.inserted), (10, 2));
    assert_eq!((stats.replaced, stats.removed, stats.reported), (1, 1, 9));
    assert_eq!((stats.hits, stats.misses), (1, 11));
    assert_eq!(registry.len(), 1);
    drop((other, newer));
    assert_eq!(registry.try_get(&77), Ok(None));
    assert_eq!(registry.stats().misses, 12);
    let silent: Registry<u32, u32> = Registry::new();
    let _one = silent.get_or_insert_with(1, |_| 1);
    assert_eq!(silent.stats(), Default::default());
}
