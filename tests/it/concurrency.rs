//! Several threads at once: short tests of each promise. The long and random ones are in `tests/stress`.

use crate::common::{promptly, Census, Citizen, Colliding, Dice};
use highlander::{Handle, Interner, Registry};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::Barrier;
use std::thread;

#[test]
fn threads_that_intern_the_same_contents_get_the_same_pointers() {
    let interner: Interner<str> = Interner::new();
    let barrier = Barrier::new(4);
    let all: Vec<Vec<_>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    (0..2000).map(|i| interner.intern(&i.to_string())).collect()
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(interner.len(), 2000);
    assert!(all.iter().all(|handles| *handles == all[0]));
    drop(all);
    assert_eq!(interner.len(), 0);
}

// Two owners that let go at once leave nothing behind.
#[test]
fn two_last_owners_that_let_go_together_leave_nothing() {
    let registry: Registry<u32, Citizen> = Registry::new();
    let census = Census::new();
    let barrier = Barrier::new(2);
    let slots: [std::sync::Mutex<Option<Handle<u32, _>>>; 2] = Default::default();
    thread::scope(|scope| {
        for me in 0..2 {
            let (registry, census, barrier, slots) = (&registry, &census, &barrier, &slots);
            scope.spawn(move || {
                for round in 0..3000u32 {
                    if me == 0 {
                        let handle = registry.get_or_insert_with(round % 3, |_| census.citizen());
                        *slots[1].lock().unwrap() = Some(handle.clone());
                        *slots[0].lock().unwrap() = Some(handle);
                    }
                    barrier.wait();
                    let mine = slots[me].lock().unwrap().take();
                    drop(mine);
                    barrier.wait();
                    if me == 0 {
                        assert!(registry.get(&(round % 3)).is_none());
                        assert_eq!((registry.len(), census.alive()), (0, 0));
                    }
                }
            });
        }
    });
    assert_eq!(census.born(), 3000);
}

#[test]
fn a_look_up_beside_the_last_drop_gets_a_living_value_or_none() {
    let registry: Registry<u32, Vec<u32>> = Registry::new();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    if let Some(value) = registry.get(&1) {
                        assert_eq!(*value, [1, 2, 3]);
                    }
                }
            });
        }
        for _ in 0..20_000 {
            drop(registry.get_or_insert_with(1, |_| vec![1, 2, 3]));
        }
        done.store(true, SeqCst);
    });
    assert_eq!(registry.len(), 0);
}

#[test]
fn of_racing_insertions_one_wins_and_the_others_get_it_and_their_own_back() {
    for round in 0..200 {
        let registry: Registry<u32, usize> = Registry::new();
        let barrier = Barrier::new(4);
        let results: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|i| {
                    let (registry, barrier) = (&registry, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        registry
                            .try_insert(round, i)
                            .map_err(|error| (error.existing, error.value))
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        let winner = results.iter().flatten().next().expect("one wins");
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        for (i, result) in results.iter().enumerate() {
            if let Err((existing, value)) = result {
                assert!(Handle::ptr_eq(existing.as_ref().unwrap(), winner));
                assert_eq!(*value, i);
            }
        }
        assert_eq!(registry.len(), 1);
    }
}

#[test]
fn of_racing_removals_and_replacements_of_one_value_one_succeeds() {
    for _ in 0..300 {
        let registry: Registry<u32, u32> = Registry::new();
        let value = registry.get_or_insert_with(1, |_| 0);
        let (barrier, succeeded) = (Barrier::new(4), AtomicUsize::new(0));
        let replacements: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|i| {
                    let (registry, value, barrier, succeeded) =
                        (&registry, &value, &barrier, &succeeded);
                    scope.spawn(move || {
                        barrier.wait();
                        let (success, new) = if i % 2 == 0 {
                            (registry.remove_same(value), None)
                        } else {
                            let new = registry.compare_exchange(value, i).ok();
                            (new.is_some(), new)
                        };
                        succeeded.fetch_add(usize::from(success), SeqCst);
                        new
                    })
                })
                .collect();
            threads
                .into_iter()
                .filter_map(|t| t.join().unwrap())
                .collect()
        });
        assert_eq!(succeeded.load(SeqCst), 1);
        assert_eq!(registry.len(), replacements.len());
        assert!(replacements
            .iter()
            .all(|new| Handle::ptr_eq(&registry.get(&1).unwrap(), new)));
    }
}

#[test]
fn a_value_that_is_held_throughout_is_found_while_the_table_grows_and_shrinks() {
    /// Ends the others also when its thread panics.
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, SeqCst);
        }
    }
    fn check<S: std::hash::BuildHasher + Default + Send + Sync + 'static>(keys: u32) {
        let registry: Registry<u32, u32, S> = Registry::default();
        let held: Vec<_> = (0..50)
            .map(|i| registry.get_or_insert_with(i, |i| *i))
            .collect();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let _done = Done(&done);
                for _ in 0..3 {
                    let more: Vec<_> = (1000..1000 + keys)
                        .map(|i| registry.get_or_insert_with(i, |i| *i))
                        .collect();
                    assert!(registry.len() >= 50 + more.len());
                    drop(more);
                    registry.shrink_to_fit();
                }
            });
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    for (i, handle) in held.iter().enumerate() {
                        let found = registry.get(&(i as u32));
                        assert!(
                            found.is_some_and(|found| Handle::ptr_eq(&found, handle)),
                            "key {i}"
                        );
                    }
                    let mut seen: Vec<u32> = registry.iter().map(|value| *value).collect();
                    let yielded = seen.len();
                    seen.sort_unstable();
                    seen.dedup();
                    assert_eq!(yielded, seen.len(), "some were seen more than once");
                    assert!(
                        seen.iter().copied().take(50).eq(0..50),
                        "one was not seen: {seen:?}"
                    );
                }
            });
        });
        assert_eq!(registry.len(), 50);
    }
    // On a thread of its own: iteration that visits some over and over may take for ever.
    promptly(|| check::<highlander::hash::DefaultHashBuilder>(10_000));
    promptly(|| check::<Colliding>(60));
}

#[test]
fn a_key_that_always_has_a_value_is_never_missed_while_it_is_replaced() {
    let registry: Registry<u32, u32> = Registry::new();
    let done = AtomicBool::new(false);
    let mut current = registry.get_or_insert_with(1, |_| 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut last = 0;
            while !done.load(SeqCst) {
                let value = registry.get(&1).expect("there is always one");
                assert!(*value >= last, "never an older one after a newer one");
                last = *value;
            }
        });
        for i in 1..20_000 {
            current = if i % 2 == 0 {
                registry.insert(1, i).0
            } else {
                registry
                    .compare_exchange(&current, i)
                    .unwrap_or_else(|_| unreachable!())
            };
        }
        done.store(true, SeqCst);
    });
    assert_eq!((*current, registry.len()), (19_999, 1));
}

#[test]
fn weak_handles_agree_about_the_end_of_a_value() {
    for _ in 0..500 {
        let registry: Registry<u32, u32> = Registry::new();
        let strong = registry.get_or_insert_with(1, |_| 5);
        let weak = Handle::downgrade(&strong);
        let barrier = Barrier::new(3);
        thread::scope(|scope| {
            let upgraders: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        weak.upgrade()
                    })
                })
                .collect();
            barrier.wait();
            drop(strong);
            let upgraded: Vec<_> = upgraders
                .into_iter()
                .filter_map(|t| t.join().unwrap())
                .collect();
            assert!(upgraded.iter().all(|value| **value == 5));
            assert_eq!(weak.is_alive(), !upgraded.is_empty());
            assert_eq!(registry.len(), usize::from(!upgraded.is_empty()));
        });
        assert!(weak.upgrade().is_none());
    }
}

#[test]
fn first_weak_handles_made_together_are_one() {
    for _ in 0..300 {
        let registry: Registry<u32, u32> = Registry::new();
        let strong = registry.get_or_insert_with(1, |_| 5);
        let barrier = Barrier::new(2);
        let weaks: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        Handle::downgrade(&strong)
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(weaks[0].ptr_eq(&weaks[1]));
        drop(strong);
        assert!(weaks.iter().all(|weak| weak.upgrade().is_none()));
    }
}

#[test]
fn more_threads_than_stripes_come_and_go() {
    promptly(|| {
        let registry: Registry<u32, u32> = Registry::new();
        for wave in 0..3u64 {
            thread::scope(|scope| {
                for t in 0..40 {
                    let registry = &registry;
                    scope.spawn(move || {
                        let mut dice = Dice::new(wave * 100 + t);
                        let mut held = Vec::new();
                        for _ in 0..200 {
                            let key = dice.below(20) as u32;
                            held.push(registry.get_or_insert_with(key, |key| key * 3));
                            assert!(held
                                .iter()
                                .all(|handle| **handle == *Handle::key(handle) * 3));
                            held.truncate(dice.below(5));
                        }
                    });
                }
            });
            assert_eq!(registry.len(), 0);
        }
    });
}
