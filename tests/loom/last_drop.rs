//! The last owner goes while something else happens.

use crate::support::*;
use highlander::Handle;
use loom::thread;
use std::sync::Arc;

#[test]
fn last_drop_against_get() {
    model(|| {
        let (registry, tally) = (registry(), Tally::default());
        let handle = registry.try_insert(A, tally.value()).ok().unwrap();
        let other = thread::spawn({
            let registry = Arc::clone(&registry);
            move || {
                if let Some(found) = registry.get(&A) {
                    found.read();
                }
            }
        });
        drop(handle);
        other.join().unwrap();
        assert_eq!((tally.live(), registry.len()), (0, 0));
        assert!(registry.get(&A).is_none());
    });
}

#[test]
fn last_drop_against_creation() {
    model(|| {
        let (registry, tally) = (registry(), Tally::default());
        let handle = registry.try_insert(A, tally.value()).ok().unwrap();
        let other = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            move || {
                let made = registry.get_or_insert_with(A, |_| tally.value());
                made.read();
                made
            }
        });
        drop(handle);
        let made = other.join().unwrap();
        // Whether it is the old value or a new one, it is the one that is there now.
        assert!(Handle::ptr_eq(&registry.get(&A).unwrap(), &made));
        assert_eq!((tally.live(), registry.len()), (1, 1));
        drop(made);
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}

#[test]
fn two_last_owners_drop_together() {
    model(|| {
        let (registry, tally) = (registry(), Tally::default());
        let one = registry.try_insert(A, tally.value()).ok().unwrap();
        let two = one.clone();
        let other = thread::spawn(move || {
            two.read();
            drop(two);
        });
        one.read();
        drop(one);
        other.join().unwrap();
        assert_eq!((tally.live(), registry.len()), (0, 0));
        assert!(registry.get(&A).is_none());
    });
}

#[test]
fn a_replaced_value_does_not_take_its_successor_along() {
    model(|| {
        let (registry, tally) = (registry(), Tally::default());
        let old = registry.try_insert(A, tally.value()).ok().unwrap();
        let other = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            move || registry.insert(A, tally.value()).0
        });
        drop(old);
        let new = other.join().unwrap();
        assert!(Handle::ptr_eq(&registry.get(&A).unwrap(), &new));
        assert_eq!((tally.live(), registry.len()), (1, 1));
        drop(new);
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}

#[test]
fn of_two_replacements_of_one_value_one_wins() {
    model_with(2, || {
        let registry = registry();
        let old: Handle<_, u32> = registry.try_insert(A, 0).ok().unwrap();
        let other = thread::spawn({
            let (registry, old) = (Arc::clone(&registry), old.clone());
            move || registry.compare_exchange(&old, 1)
        });
        let mine = registry.compare_exchange(&old, 2);
        let theirs = other.join().unwrap();
        assert!(mine.is_ok() != theirs.is_ok());
        let winner = mine.or(theirs).unwrap();
        assert!(Handle::ptr_eq(&registry.get(&A).unwrap(), &winner));
        drop(old);
        assert!(Handle::ptr_eq(&registry.get(&A).unwrap(), &winner));
        assert_eq!(registry.len(), 1);
    });
}

#[test]
fn replacement_against_look_up() {
    model(|| {
        let (registry, tally) = (registry(), Tally::default());
        let old = registry.insert(A, tally.value()).0;
        let other = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            // The old value is held until the new one is there, and then goes.
            move || registry.compare_exchange(&old, tally.value()).ok().unwrap()
        });
        registry
            .get(&A)
            .expect("at no moment without a value")
            .read();
        let new = other.join().unwrap();
        assert_eq!((tally.live(), registry.len()), (1, 1));
        new.read();
    });
}

#[test]
fn removal_against_last_drop() {
    model(|| {
        let (registry, tally) = (registry(), Tally::default());
        // Stays, so that `len`, which is never below 0, shows when too much is taken off.
        let _stays = registry.try_insert(B, tally.value()).ok().unwrap();
        let handle = registry.try_insert(A, tally.value()).ok().unwrap();
        let other = thread::spawn({
            let registry = Arc::clone(&registry);
            move || drop(registry.remove(&A))
        });
        drop(handle);
        other.join().unwrap();
        assert_eq!((tally.live(), registry.len()), (1, 1));
    });
}

#[test]
fn registry_drop_against_last_drop() {
    model(|| {
        let (registry, tally) = (registry(), Tally::default());
        let handle = registry.try_insert(A, tally.value()).ok().unwrap();
        let other = thread::spawn(move || drop(registry));
        handle.read();
        drop(handle);
        other.join().unwrap();
        assert_eq!((tally.live(), highlander::model::live_tables()), (0, 0));
    });
}

#[test]
fn whoever_is_last_of_registry_and_handles_frees_all() {
    model(|| {
        let (registry, tally) = (registry(), Tally::default());
        let one = registry.try_insert(A, tally.value()).ok().unwrap();
        let two = registry.try_insert(B, tally.value()).ok().unwrap();
        let other = thread::spawn(move || drop(one));
        drop(registry);
        drop(two);
        other.join().unwrap();
        assert_eq!((tally.live(), highlander::model::live_tables()), (0, 0));
    });
}

#[test]
fn iteration_against_insertion_and_last_drop() {
    model_with(2, || {
        let (registry, tally) = (registry(), Tally::default());
        let stays = registry.try_insert(A, tally.value()).ok().unwrap();
        let goes = registry.try_insert(B, tally.value()).ok().unwrap();
        let other = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            move || {
                drop(goes);
                registry.try_insert(C, tally.value()).ok().unwrap()
            }
        });
        let seen: Vec<_> = registry.iter().collect();
        seen.iter().for_each(|handle| handle.read());
        assert_eq!(
            seen.iter()
                .filter(|handle| Handle::ptr_eq(&handle, &stays))
                .count(),
            1
        );
        assert!(seen.len() <= 3);
        let comes = other.join().unwrap();
        drop((seen, stays, comes));
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}
