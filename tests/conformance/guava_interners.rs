//! Guava's `InternersTest`, of the weak interner.
//!
//! Without meaning here: `testStrong_…` (an interner that keeps everything for ever is not made), `…_null`, `testNullPointerExceptions`,
//! `testConcurrencyLevel…` (it has nothing to choose), `testAsFunction_simplistic` as a type (a closure is one).

use crate::common::{Census, Citizen};
use highlander::{Handle, Interned, Interner, Registry};
use std::sync::Barrier;
use std::thread;

// testWeak_simplistic.
#[test]
fn the_first_is_canonical() {
    let pool = Interner::<str>::new();
    let canonical = pool.intern("a");
    let not = String::from("a");
    assert!(Interned::ptr_eq(&canonical, &pool.intern(&not)));
    assert!(Interned::ptr_eq(&canonical, &pool.intern_owned(not)));
    assert_eq!(pool.len(), 1);
}

// testAsFunction_simplistic.
#[test]
fn as_a_function() {
    let pool = Interner::<str>::new();
    let function = |text: &str| pool.intern(text);
    let canonical = function("a");
    assert!(["a", "a", "a"]
        .map(function)
        .iter()
        .all(|it| Interned::ptr_eq(it, &canonical)));
}

// testWeak_afterGC: when the canonical one is gone, the next sample becomes canonical. Here its entry is gone too.
#[test]
fn after_the_last_drop_the_next_sample_is_canonical() {
    let census = Census::new();
    #[derive(Debug)]
    struct Sample(u32, #[allow(dead_code)] Citizen);
    impl PartialEq for Sample {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Sample {}
    impl std::hash::Hash for Sample {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    let pool = Interner::<Sample>::new();
    let canonical = pool.intern_owned(Sample(5, census.citizen()));
    let same = pool.intern_owned(Sample(5, census.citizen()));
    assert!(Interned::ptr_eq(&canonical, &same));
    assert_eq!((census.born(), census.alive()), (2, 1));
    drop((canonical, same));
    assert_eq!((pool.len(), census.alive()), (0, 0));
    let next = pool.intern_owned(Sample(5, census.citizen()));
    assert_eq!((pool.len(), next.0), (1, 5));
}

// The contract of `Interner.intern`: equal and interned at the same time is the same object, on all threads.
#[test]
fn all_threads_get_the_canonical_one() {
    let pool = Interner::<str>::new();
    for round in 0..300 {
        let text = round.to_string();
        let barrier = Barrier::new(3);
        let got: Vec<_> = thread::scope(|s| {
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    s.spawn(|| {
                        barrier.wait();
                        let it = pool.intern(&text);
                        barrier.wait();
                        it
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(got.iter().all(|it| Interned::ptr_eq(it, &got[0])));
    }
    assert_eq!(pool.len(), 0);
}

// Interners are weak keys with `equals` and dummy values there; the same made of a registry here.
#[test]
fn a_registry_of_units_interns_its_keys() {
    let pool: Registry<String, ()> = Registry::new();
    let one = pool.get_or_insert_with("a".into(), |_| ());
    let two = pool.get_or_insert_with("a".into(), |_| unreachable!());
    assert!(Handle::ptr_eq(&one, &two));
    drop((one, two));
    assert!(pool.is_empty());
}
