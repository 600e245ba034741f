//! Creations that fail, panic and nest, by many threads at once.

use crate::common::{forever, Colliding, Dice};
use crate::support::{for_a_while, Counts, Roll, Sealed};
use highlander::error::CreateError;
use highlander::hash::DefaultHashBuilder;
use highlander::{Handle, Registry};
use std::hash::BuildHasher;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

type Value = Sealed<'static>;

pub(crate) fn fail_and_panic(limit: Duration) {
    fn check<S: BuildHasher + Default + Sync>(limit: Duration, keys: usize) {
        let registry: Registry<u32, Value, S> = Registry::default();
        let counts: &'static Counts = forever(Counts::default());
        let rolls: Vec<Roll> = (0..keys).map(|_| Roll::default()).collect();
        let creators: Vec<AtomicU32> = (0..keys).map(|_| AtomicU32::new(0)).collect();
        /// Counts the creators of a key while it lives.
        struct Creating<'a>(&'a AtomicU32);
        impl Drop for Creating<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Relaxed);
            }
        }
        let work = |kept: &mut Option<Handle<u32, Value>>, dice: &mut Dice| {
            let key = dice.below(keys) as u32;
            let end = dice.below(6);
            let made = catch_unwind(AssertUnwindSafe(|| {
                registry.get_or_try_insert_with(key, |_| {
                    let _creating = Creating(&creators[key as usize]);
                    assert_eq!(
                        creators[key as usize].fetch_add(1, Relaxed),
                        0,
                        "two creators of one key"
                    );
                    if dice.below(2) == 0 {
                        thread::yield_now();
                    }
                    match end {
                        0 => Err("planted"),
                        // Without the panic hook, which would print.
                        1 => resume_unwind(Box::new("planted")),
                        _ => Ok(Sealed::new(key, counts)),
                    }
                })
            }));
            match made {
                Ok(Ok(handle)) => {
                    handle.assert_alive(key);
                    rolls[key as usize].sign_in(handle.id);
                    assert!(registry
                        .get(&key)
                        .is_some_and(|found| Handle::ptr_eq(&found, &handle)));
                    rolls[key as usize].sign_out();
                    *kept = (dice.below(3) == 0).then_some(handle);
                }
                Ok(Err(error)) => assert_eq!(
                    (error, end),
                    (CreateError::Failed("planted"), 0),
                    "an error goes to its own caller"
                ),
                Err(panic) if panic.downcast_ref() == Some(&"planted") => {
                    assert_eq!(end, 1, "so does a panic")
                }
                Err(panic) => resume_unwind(panic),
            }
            if dice.below(4) == 0 {
                *kept = None;
            }
        };
        for_a_while(limit, 8, |_| None, work);
        assert_eq!((registry.len(), registry.iter().len()), (0, 0));
        counts.assert_balanced();
        assert!(creators.iter().all(|creators| creators.load(Relaxed) == 0));
    }
    check::<DefaultHashBuilder>(limit / 3, 1);
    check::<DefaultHashBuilder>(limit / 3, 5);
    check::<Colliding>(limit / 3, 4);
}

/// A value of each key needs the one below. All threads go down, so there is no cycle, and nobody must be told of one.
pub(crate) fn nested(limit: Duration) {
    struct Storey(Option<Handle<u32, Storey>>, Value);
    fn get<S: BuildHasher>(
        registry: &Registry<u32, Storey, S>,
        counts: &'static Counts,
        key: u32,
    ) -> Handle<u32, Storey> {
        registry.get_or_insert_with(key, |_| {
            let below = key.checked_sub(1).map(|below| get(registry, counts, below));
            Storey(below, Sealed::new(key, counts))
        })
    }
    fn check<S: BuildHasher + Default + Sync>(limit: Duration) {
        let registry: Registry<u32, Storey, S> = Registry::default();
        let counts: &'static Counts = forever(Counts::default());
        let work = |held: &mut Vec<Handle<u32, Storey>>, dice: &mut Dice| {
            let top = get(&registry, counts, dice.below(10) as u32);
            let mut storey = Some(&top);
            while let Some(handle) = storey {
                handle.1.assert_alive(*Handle::key(handle));
                storey = handle.0.as_ref();
            }
            held.push(top);
            let left = dice.below(3);
            held.truncate(left);
        };
        for_a_while(limit, 6, |_| Vec::new(), work);
        assert_eq!(registry.len(), 0);
        counts.assert_balanced();
    }
    check::<DefaultHashBuilder>(limit / 2);
    check::<Colliding>(limit / 2);
}
