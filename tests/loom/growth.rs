//! A bucket splits, or overflows, while something else happens.
//!
//! Under the model a bucket has two slots and a table two buckets: the third key in a bucket overflows, and makes the table grow.

use crate::support::*;
use loom::thread;
use std::sync::Arc;

/// Splits the first bucket while `meanwhile` runs, with `A` and `B` in it.
fn while_it_splits(meanwhile: impl Fn(&Int) + Send + Sync + Copy + 'static) {
    model_with(2, move || {
        let (interner, tally) = (interner(), Tally::default());
        let a = interner.intern_owned(Content::new(A, &tally));
        let b = interner.intern_owned(Content::new(B, &tally));
        let other = thread::spawn({
            let interner = Arc::clone(&interner);
            move || meanwhile(&interner)
        });
        let c = interner.intern_owned(Content::new(C, &tally));
        other.join().unwrap();
        assert!(interner.capacity() > 2, "it was to grow");
        for (key, held) in [(A, &a), (B, &b), (C, &c)] {
            assert!(interner.get(&key).as_ref() == Some(held));
        }
        assert_eq!(interner.len(), 3);
        drop((a, b, c));
        assert_eq!((tally.live(), interner.len()), (0, 0));
    });
}

#[test]
fn split_against_look_up() {
    while_it_splits(|interner| {
        assert!(interner.get(&A).is_some_and(|found| found.read() == A));
        assert!(interner.get(&B).is_some_and(|found| found.read() == B));
    });
}

#[test]
fn split_against_insertion() {
    model_with(2, || {
        let (interner, tally) = (interner(), Tally::default());
        let held = [A, B].map(|key| interner.intern_owned(Content::new(key, &tally)));
        let other = thread::spawn({
            let (interner, tally) = (Arc::clone(&interner), tally.clone());
            move || {
                let mine = interner.intern_owned(Content::new(D, &tally));
                assert!(interner.get(&D).is_some_and(|found| found == mine));
                mine
            }
        });
        let c = interner.intern_owned(Content::new(C, &tally));
        let d = other.join().unwrap();
        assert!(interner.capacity() > 2, "it was to grow");
        for (key, held) in [(A, &held[0]), (B, &held[1]), (C, &c), (D, &d)] {
            assert!(interner.get(&key).as_ref() == Some(held));
        }
        assert_eq!(interner.len(), 4);
        drop((held, c, d));
        assert_eq!((tally.live(), interner.len()), (0, 0));
    });
}

#[test]
fn reserving_against_look_up() {
    model_with(2, || {
        let (interner, tally) = (interner(), Tally::default());
        let held = [A, B].map(|key| interner.intern_owned(Content::new(key, &tally)));
        let other = thread::spawn({
            let interner = Arc::clone(&interner);
            move || {
                for key in [A, B] {
                    assert!(interner.get(&key).is_some_and(|found| found.read() == key));
                }
            }
        });
        interner.reserve(8);
        assert!(interner.capacity() >= 10);
        other.join().unwrap();
        for (key, held) in [(A, &held[0]), (B, &held[1])] {
            assert!(interner.get(&key).as_ref() == Some(held));
        }
        drop(held);
        assert_eq!((tally.live(), interner.len()), (0, 0));
    });
}

/// The insertion makes the table grow too: one of the two hangs its successor behind that of the other.
#[test]
fn reserving_against_insertion() {
    model_with(2, || {
        let (interner, tally) = (interner(), Tally::default());
        let held = [A, B].map(|key| interner.intern_owned(Content::new(key, &tally)));
        let other = thread::spawn({
            let (interner, tally) = (Arc::clone(&interner), tally.clone());
            move || {
                let mine = interner.intern_owned(Content::new(C, &tally));
                assert!(interner.get(&C).is_some_and(|found| found == mine));
                mine
            }
        });
        interner.reserve(2);
        assert!(interner.capacity() >= 4);
        let c = other.join().unwrap();
        assert!(interner.capacity() >= 4);
        for (key, held) in [(A, &held[0]), (B, &held[1]), (C, &c)] {
            assert!(interner.get(&key).as_ref() == Some(held));
        }
        assert_eq!(interner.iter().len(), 3);
        drop((held, c));
        assert_eq!((tally.live(), interner.len()), (0, 0));
    });
}

#[test]
fn split_against_last_drop() {
    model_with(2, || {
        let (interner, tally) = (interner(), Tally::default());
        let a = interner.intern_owned(Content::new(A, &tally));
        let b = interner.intern_owned(Content::new(B, &tally));
        let other = thread::spawn(move || drop(a));
        let c = interner.intern_owned(Content::new(C, &tally));
        other.join().unwrap();
        assert!(interner.get(&A).is_none());
        assert!(interner.get(&B).as_ref() == Some(&b));
        assert!(interner.get(&C).as_ref() == Some(&c));
        assert_eq!((tally.live(), interner.len()), (2, 2));
        drop((b, c));
        assert_eq!((tally.live(), interner.len()), (0, 0));
    });
}

#[test]
fn a_removed_value_is_not_found_again_in_a_bucket_that_has_moved() {
    model_with(2, || {
        let registry = registry();
        let a = registry.try_insert(A, 1).ok().unwrap();
        let _b = registry.try_insert(B, 2).ok().unwrap();
        let other = thread::spawn({
            let registry = Arc::clone(&registry);
            move || registry.try_insert(C, 3).ok().unwrap()
        });
        assert!(registry.remove_same(&a));
        assert!(registry.get(&A).is_none());
        let _c = other.join().unwrap();
        assert!(registry.get(&A).is_none());
        assert_eq!(registry.len(), 2);
    });
}

#[test]
fn a_key_that_comes_back_from_the_overflow_is_found_all_the_while() {
    model_with(2, || {
        let (interner, tally) = (interner(), Tally::default());
        // Longer than two buckets from the start, so that the third key in one overflows without making it grow.
        let a = interner.intern_owned(Content::new(A, &tally));
        let b = interner.intern_owned(Content::new(B, &tally));
        let a2 = interner.intern_owned(Content::new(A2, &tally));
        let c = interner.intern_owned(Content::new(C, &tally));
        let other = thread::spawn({
            let interner = Arc::clone(&interner);
            move || {
                for key in [A2, C] {
                    assert!(interner.get(&key).is_some_and(|found| found.read() == key));
                }
            }
        });
        drop((a, b));
        other.join().unwrap();
        drop((a2, c));
        assert_eq!((tally.live(), interner.len()), (0, 0));
    });
}

#[test]
fn split_against_iteration() {
    while_it_splits(|interner| {
        let seen: Vec<_> = interner.iter().collect();
        for key in [A, B] {
            assert_eq!(seen.iter().filter(|found| found.read() == key).count(), 1);
        }
    });
}
