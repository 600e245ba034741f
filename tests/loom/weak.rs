//! Weak handles while the value dies.

use crate::support::*;
use highlander::Handle;
use loom::thread;
use std::sync::Arc;

#[test]
fn upgrade_against_last_drop() {
    model(|| {
        let (registry, tally) = (registry(), Tally::default());
        let strong = registry.try_insert(A, tally.value()).ok().unwrap();
        let weak = Handle::downgrade(&strong);
        let other = thread::spawn(move || {
            if let Some(strong) = weak.upgrade() {
                strong.read();
            }
            weak
        });
        drop(strong);
        let weak = other.join().unwrap();
        assert!(weak.upgrade().is_none());
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}

#[test]
fn a_weak_handle_of_a_recycled_node_stays_dead() {
    model_with(2, || {
        let (registry, tally) = (registry(), Tally::default());
        let strong = registry.try_insert(A, tally.value()).ok().unwrap();
        let weak = Handle::downgrade(&strong);
        let other = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            move || {
                drop(strong);
                registry.insert(A, tally.value()).0
            }
        });
        let early = weak.upgrade();
        let new = other.join().unwrap();
        assert!(early.is_none_or(|early| !Handle::ptr_eq(&early, &new)));
        assert!(weak.upgrade().is_none());
        new.read();
    });
}

#[test]
fn two_first_weak_handles_are_one() {
    model(|| {
        let (registry, tally) = (registry(), Tally::default());
        let strong = registry.try_insert(A, tally.value()).ok().unwrap();
        let other = thread::spawn({
            let strong = strong.clone();
            move || Handle::downgrade(&strong)
        });
        let mine = Handle::downgrade(&strong);
        assert!(other.join().unwrap().ptr_eq(&mine));
    });
}
