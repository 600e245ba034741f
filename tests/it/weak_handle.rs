//! [`WeakHandle`]: knows a value without keeping it, and behaves as `BEHAVIOURS.md` says of `weakref.ref`.
// What in a weak handle can change has no part in how it compares and hashes.
#![allow(clippy::mutable_key_type)]

use crate::common::{Census, Citizen};
use highlander::{Handle, Registry, WeakHandle};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

// BEHAVIOURS.md 1.1
#[test]
fn it_gives_a_handle_until_the_last_one_has_gone() {
    let registry: Registry<u32, String> = Registry::new();
    let strong = registry.get_or_insert_with(1, |_| "x".to_string());
    let weak = Handle::downgrade(&strong);
    assert!(weak.is_alive());
    assert!(Handle::ptr_eq(&weak.upgrade().unwrap(), &strong));
    let second = strong.clone();
    drop(strong);
    assert!(weak.upgrade().is_some());
    drop(second);
    assert!(weak.upgrade().is_none());
    assert!(!weak.is_alive());
    assert_eq!(weak.strong_count(), 0);
}

#[test]
fn it_does_not_keep_value_key_or_entry() {
    let census = Census::new();
    let registry: Registry<u32, Citizen> = Registry::new();
    let strong = registry.get_or_insert_with(1, |_| census.citizen());
    let weaks: Vec<_> = (0..10).map(|_| Handle::downgrade(&strong)).collect();
    assert_eq!(Handle::strong_count(&strong), 1);
    drop(strong);
    assert_eq!((census.alive(), registry.len()), (0, 0));
    assert!(weaks.iter().all(|weak| weak.upgrade().is_none()));
}

#[test]
fn an_upgraded_handle_keeps_the_value() {
    let registry: Registry<u32, u32> = Registry::new();
    let strong = registry.get_or_insert_with(1, |_| 10);
    let weak = Handle::downgrade(&strong);
    let again = weak.upgrade().unwrap();
    drop(strong);
    assert_eq!((*again, *Handle::key(&again), registry.len()), (10, 1, 1));
    drop(again);
    assert_eq!(registry.len(), 0);
}

#[test]
fn it_never_leads_to_a_later_value_of_its_key_or_of_its_memory() {
    let registry: Registry<u32, u32> = Registry::new();
    let mut dead = Vec::new();
    for round in 0..100 {
        // The memory is that of the last round.
        let strong = registry.get_or_insert_with(1, |_| round);
        let weak = Handle::downgrade(&strong);
        assert!(dead
            .iter()
            .all(|weak: &WeakHandle<_, _>| weak.upgrade().is_none() && !weak.is_alive()));
        assert_eq!(*weak.upgrade().unwrap(), round);
        dead.push(weak);
    }
}

#[test]
fn it_follows_the_value_not_the_entry() {
    let registry: Registry<u32, u32> = Registry::new();
    let (old, _) = registry.insert(1, 1);
    let weak = Handle::downgrade(&old);
    let (_new, _) = registry.insert(1, 2);
    assert_eq!(weak.upgrade().as_deref(), Some(&1), "displaced, but alive");
    registry.clear();
    assert!(Handle::ptr_eq(&weak.upgrade().unwrap(), &old));
    drop(old);
    assert!(weak.upgrade().is_none());
}

#[test]
fn it_outlives_the_registry() {
    let registry: Registry<u32, u32> = Registry::new();
    let strong = registry.get_or_insert_with(1, |_| 1);
    let weak = Handle::downgrade(&strong);
    drop(registry);
    assert_eq!(weak.upgrade().as_deref(), Some(&1));
    drop(strong);
    assert!(weak.upgrade().is_none());
    assert!(weak.clone().upgrade().is_none());
}

#[test]
fn identity_is_that_of_the_value_alive_or_dead() {
    let registry: Registry<u32, u32> = Registry::new();
    let (a, b) = (
        registry.get_or_insert_with(1, |_| 1),
        registry.get_or_insert_with(2, |_| 1),
    );
    let (one, two, other) = (
        Handle::downgrade(&a),
        Handle::downgrade(&a),
        Handle::downgrade(&b),
    );
    assert!(one.ptr_eq(&two) && !one.ptr_eq(&other));
    drop((a, b));
    assert!(one.ptr_eq(&two) && !one.ptr_eq(&other));
}

// BEHAVIOURS.md 1.6
#[test]
fn the_living_compare_as_their_values_and_the_dead_by_identity() {
    let registry: Registry<u32, u32> = Registry::new();
    let (a, b, c) = (
        registry.get_or_insert_with(1, |_| 5),
        registry.get_or_insert_with(2, |_| 5),
        registry.get_or_insert_with(3, |_| 6),
    );
    let (wa, wb, wc) = (
        Handle::downgrade(&a),
        Handle::downgrade(&b),
        Handle::downgrade(&c),
    );
    assert_eq!(wa, wb);
    assert_ne!(wa, wc);
    drop(b);
    assert_ne!(wa, wb, "one is dead");
    drop(a);
    assert_ne!(wa, wb, "both are dead");
    assert_eq!(wa, wa.clone());
    assert_eq!(wb, wb.clone());
    assert_eq!(wc, Handle::downgrade(&c));
}

#[test]
fn hashes_of_equal_living_values_are_equal() {
    let registry: Registry<u32, String> = Registry::new();
    let (a, b) = (
        registry.get_or_insert_with(1, |_| "same".to_string()),
        registry.get_or_insert_with(2, |_| "same".to_string()),
    );
    let state = RandomState::new();
    assert_eq!(
        state.hash_one(Handle::downgrade(&a)),
        state.hash_one(Handle::downgrade(&b))
    );
    assert_eq!(
        HashSet::from([Handle::downgrade(&a), Handle::downgrade(&b)]).len(),
        1
    );
}

#[test]
fn a_hash_taken_alive_survives_death() {
    let registry: Registry<u32, String> = Registry::new();
    let strong = registry.get_or_insert_with(1, |_| "x".to_string());
    let (weak, sibling) = (Handle::downgrade(&strong), Handle::downgrade(&strong));
    let map = HashMap::from([(weak.clone(), 1)]);
    drop(strong);
    assert_eq!(map.get(&weak), Some(&1));
    assert_eq!(
        map.get(&sibling),
        Some(&1),
        "all weak handles of one value are equal"
    );
}

#[test]
fn a_hash_first_asked_for_after_death_is_that_of_the_identity() {
    let registry: Registry<u32, String> = Registry::new();
    let strong = registry.get_or_insert_with(1, |_| "x".to_string());
    let weak = Handle::downgrade(&strong);
    drop(strong);
    let map = HashMap::from([(weak.clone(), 1)]);
    assert_eq!(map.get(&weak), Some(&1));
    let strong = registry.get_or_insert_with(1, |_| "x".to_string());
    assert_eq!(map.get(&Handle::downgrade(&strong)), None);
}

#[test]
fn it_prints_its_value_or_that_it_is_dead() {
    let registry: Registry<u32, &str> = Registry::new();
    let strong = registry.get_or_insert_with(1, |_| "x");
    let weak = Handle::downgrade(&strong);
    assert_eq!(format!("{weak:?}"), r#"WeakHandle("x")"#);
    drop(strong);
    assert_eq!(format!("{weak:?}"), "WeakHandle(dead)");
}

#[test]
fn a_value_may_hold_weak_handles_to_itself_and_its_children_without_a_leak() {
    use std::sync::OnceLock;
    struct Node {
        me: OnceLock<WeakHandle<u32, Node>>,
        parent: Option<WeakHandle<u32, Node>>,
        children: OnceLock<Vec<Handle<u32, Node>>>,
        _counted: Citizen,
    }
    let census = Census::new();
    let registry: Registry<u32, Node> = Registry::new();
    let node = |key: u32, parent: Option<&Handle<u32, Node>>| {
        let handle = registry.get_or_insert_with(key, |_| Node {
            me: OnceLock::new(),
            parent: parent.map(Handle::downgrade),
            children: OnceLock::new(),
            _counted: census.citizen(),
        });
        let _ = handle.me.set(Handle::downgrade(&handle));
        handle
    };
    let root = node(0, None);
    let _ = root
        .children
        .set((1..10).map(|key| node(key, Some(&root))).collect());
    assert_eq!(registry.len(), 10);
    let child = registry.get(&3).unwrap();
    assert!(Handle::ptr_eq(
        &child.parent.as_ref().unwrap().upgrade().unwrap(),
        &root
    ));
    assert!(Handle::ptr_eq(
        &child.me.get().unwrap().upgrade().unwrap(),
        &child
    ));
    drop(root);
    assert_eq!((registry.len(), census.alive()), (1, 1));
    assert!(child.parent.as_ref().unwrap().upgrade().is_none());
    drop(child);
    assert_eq!((registry.len(), census.alive()), (0, 0));
}
