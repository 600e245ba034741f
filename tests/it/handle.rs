//! [`Handle`]: a thin owner that knows its key and compares as its value.

use highlander::{Handle, Registry};
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::mem::size_of;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;

#[test]
fn a_handle_is_one_word_and_so_is_an_optional_one() {
    assert_eq!(size_of::<Handle<String, Vec<u8>>>(), size_of::<usize>());
    assert_eq!(
        size_of::<Option<Handle<u8, [u64; 9]>>>(),
        size_of::<usize>()
    );
}

#[test]
fn it_leads_to_value_and_key() {
    let registry: Registry<String, Vec<u8>> = Registry::new();
    let handle = registry.get_or_insert_with("log".into(), |_| vec![1, 2, 3]);
    assert_eq!((handle.len(), &**Handle::key(&handle)), (3, "log"));
    assert_eq!(Handle::as_ptr(&handle), &*handle as *const Vec<u8>);
    assert_eq!(AsRef::<Vec<u8>>::as_ref(&handle), &[1, 2, 3]);
    assert_eq!(Borrow::<Vec<u8>>::borrow(&handle), &[1, 2, 3]);
}

#[test]
fn the_count_is_that_of_the_handles() {
    let registry: Registry<u32, u32> = Registry::new();
    let a = registry.get_or_insert_with(1, |_| 1);
    assert_eq!(Handle::strong_count(&a), 1);
    let (b, c, weak) = (a.clone(), registry.get(&1).unwrap(), Handle::downgrade(&a));
    assert_eq!(Handle::strong_count(&c), 3);
    drop((a, b));
    assert_eq!((Handle::strong_count(&c), weak.strong_count()), (1, 1));
    let all: Vec<_> = registry.iter().collect();
    assert_eq!(Handle::strong_count(&c), 2);
    drop((all, c));
    assert_eq!(weak.strong_count(), 0);
}

#[test]
fn handles_compare_as_values_and_know_identity_apart() {
    let registry: Registry<u32, u32> = Registry::new();
    let (a, b, c) = (
        registry.get_or_insert_with(1, |_| 5),
        registry.get_or_insert_with(2, |_| 5),
        registry.get_or_insert_with(3, |_| 6),
    );
    assert_eq!(a, b);
    assert!(!Handle::ptr_eq(&a, &b));
    assert!(Handle::ptr_eq(&a, &a.clone()));
    assert_ne!(a, c);
    assert_eq!(
        (a.cmp(&b), a.partial_cmp(&c), c.cmp(&a)),
        (Ordering::Equal, Some(Ordering::Less), Ordering::Greater)
    );
    assert_eq!(HashSet::from([a.clone(), b.clone(), c.clone()]).len(), 2);
    assert_eq!(BTreeSet::from([c, b, a]).len(), 2);
}

#[test]
fn a_map_of_handles_can_be_asked_by_value() {
    let registry: Registry<u32, String> = Registry::new();
    let handle = registry.get_or_insert_with(1, |_| "one".to_string());
    let map = HashMap::from([(handle, 1)]);
    let [one, two] = ["one", "two"].map(String::from);
    assert_eq!((map.get(&one), map.get(&two)), (Some(&1), None));
}

#[test]
fn floats_compare_as_floats_do() {
    let registry: Registry<u32, f64> = Registry::new();
    let nan = registry.get_or_insert_with(1, |_| f64::NAN);
    assert_ne!(nan, nan.clone());
    assert_eq!(nan.partial_cmp(&nan), None);
}

#[test]
fn it_prints_as_its_value() {
    let registry: Registry<u32, &str> = Registry::new();
    let handle = registry.get_or_insert_with(1, |_| "x\"y");
    assert_eq!(
        format!("{handle} {handle:?} {handle:>4}"),
        "x\"y \"x\\\"y\"  x\"y"
    );
    assert_eq!(
        format!("{handle:p}"),
        format!("{:p}", Handle::as_ptr(&handle))
    );
}

#[test]
fn values_keep_their_address_while_the_table_grows_and_shrinks() {
    let registry: Registry<u32, [u32; 10]> = Registry::new();
    let first = registry.get_or_insert_with(0, |_| [7; 10]);
    let address = Handle::as_ptr(&first);
    let more: Vec<_> = (1..20_000)
        .map(|i| registry.get_or_insert_with(i, |i| [*i; 10]))
        .collect();
    assert!(more.iter().all(|h| **h == [*Handle::key(h); 10]));
    drop(more);
    registry.shrink_to_fit();
    assert_eq!((Handle::as_ptr(&first), *first), (address, [7; 10]));
    assert!(Handle::ptr_eq(&registry.get(&0).unwrap(), &first));
}

#[test]
fn what_one_thread_writes_through_a_handle_another_reads() {
    let registry: Registry<u32, AtomicU32> = Registry::new();
    let counter = registry.get_or_insert_with(1, |_| AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            let registry = &registry;
            scope.spawn(move || {
                for _ in 0..1000 {
                    registry.get(&1).unwrap().fetch_add(1, Relaxed);
                }
            });
        }
    });
    assert_eq!(counter.load(Relaxed), 4000);
}

#[test]
fn the_last_handle_may_go_on_another_thread() {
    let registry: Registry<u32, String> = Registry::new();
    let handle = registry.get_or_insert_with(1, |_| "x".to_string());
    thread::scope(|scope| {
        scope.spawn(move || drop(handle));
    });
    assert!(registry.get(&1).is_none());
    assert_eq!(registry.len(), 0);
}
