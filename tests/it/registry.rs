//! [`Registry`]: one live value per key, and what changes which entry.

use crate::common::{panic_of, Census, Citizen, Colliding};
use highlander::error::CreateError;
use highlander::{Equivalent, Handle, Registry};
use std::hash::{Hash, Hasher};

#[test]
fn a_key_that_was_never_entered_has_no_value() {
    let registry: Registry<u32, u32> = Registry::new();
    assert!(registry.get(&1).is_none());
    assert!(!registry.contains_key(&1));
    assert!(registry.remove(&1).is_none());
    assert!(registry.remove_if(&1, |_, _| unreachable!()).is_none());
    assert_eq!(registry.retain(|_, _| unreachable!()), 0);
    assert_eq!(
        (registry.clear(), registry.len(), registry.is_empty()),
        (0, 0, true)
    );
    registry.shrink_to_fit();
    assert_eq!(registry.iter().len() + registry.keys().len(), 0);
}

#[test]
fn overlapping_creations_of_a_key_give_the_same_value() {
    let registry: Registry<String, String> = Registry::new();
    let first = registry.get_or_insert_with("k".into(), |key| format!("value of {key}"));
    let second = registry.get_or_insert_with("k".into(), |_| unreachable!());
    let third =
        registry.get_or_try_insert_with("k".into(), |_| -> Result<_, String> { unreachable!() });
    let fourth = registry
        .entry_ref("k")
        .key_with(|_| unreachable!())
        .or_insert_with(|_| unreachable!());
    let fifth = registry.get("k").unwrap();
    for other in [&second, &third.unwrap(), &fourth, &fifth] {
        assert!(Handle::ptr_eq(&first, other));
    }
    assert_eq!((&**first, registry.len()), ("value of k", 1));
}

// BEHAVIOURS.md 1.8
#[test]
fn an_entry_is_gone_when_its_last_handle_is() {
    let census = Census::new();
    let registry: Registry<Box<str>, Citizen> = Registry::new();
    let a = registry.get_or_insert_with("a".into(), |_| census.citizen());
    let b = registry.get_or_insert_with("b".into(), |_| census.citizen());
    let copy = a.clone();
    drop(a);
    assert!(registry.contains_key("a"));
    drop(copy);
    assert!(registry.get("a").is_none());
    assert!(!registry.contains_key("a"));
    assert_eq!((registry.len(), census.alive()), (1, 1));
    assert_eq!(registry.keys().collect::<Vec<_>>(), ["b".into()]);
    drop(b);
    assert_eq!((registry.len(), census.alive()), (0, 0));
}

#[test]
fn the_key_goes_with_the_entry() {
    let census = Census::new();

    struct Key(u32, #[allow(dead_code)] Citizen);
    impl PartialEq for Key {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Key {}
    impl Hash for Key {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    let key = |n| Key(n, census.citizen());

    let registry: Registry<Key, u32> = Registry::new();
    let a = registry.get_or_insert_with(key(1), |_| 1);
    assert_eq!(census.alive(), 1);
    drop(registry.get_or_insert_with(key(1), |_| 1)); // a key that is not needed goes at once
    assert_eq!(census.alive(), 1);
    let _ = registry
        .try_insert(key(1), 2)
        .map_err(|error| assert_eq!(error.key.0, 1));
    assert_eq!(census.alive(), 1);
    let (b, displaced) = registry.insert(key(1), 3);
    assert_eq!(census.alive(), 2, "the displaced value keeps its key");
    drop((a, displaced));
    assert_eq!(census.alive(), 1);
    let gone = registry.get_or_try_insert_with(key(2), |_| Err::<u32, String>("no".into()));
    let no = gone.err().map(CreateError::into_failed);
    assert_eq!((no.as_deref(), census.alive()), (Some("no"), 1));
    drop(b);
    assert_eq!((census.alive(), census.born()), (0, 5));
}

// BEHAVIOURS.md 1.9
#[test]
fn a_late_drop_of_a_displaced_value_does_not_touch_its_successor() {
    let registry: Registry<u32, &str> = Registry::new();
    let (a, none) = registry.insert(1, "a");
    assert!(none.is_none());
    let (b, displaced) = registry.insert(1, "b");
    assert!(displaced.is_some_and(|old| Handle::ptr_eq(&old, &a)));
    assert_eq!(registry.len(), 1);
    drop(a);
    assert_eq!(registry.len(), 1);
    assert!(Handle::ptr_eq(&registry.get(&1).unwrap(), &b));
    drop(b);
    assert_eq!(registry.len(), 0);
}

// BEHAVIOURS.md 1.10
#[test]
fn a_value_whose_handle_is_thrown_away_was_never_there() {
    let registry: Registry<u32, u32> = Registry::new();
    drop(registry.get_or_insert_with(1, |_| 1));
    assert_eq!(registry.len(), 0);
    let kept = registry.get_or_insert_with(1, |_| 2);
    assert_eq!(
        (
            *kept,
            *registry.get_or_insert_with(1, |_| 3),
            registry.len()
        ),
        (2, 2, 1)
    );
    drop(registry.insert(2, 2));
    drop(registry.try_insert(3, 3));
    assert_eq!(registry.len(), 1);
}

#[test]
fn an_occupied_key_refuses_a_value_and_gives_it_back() {
    let census = Census::new();
    let registry: Registry<String, (u32, Citizen)> = Registry::new();
    let live = registry
        .try_insert("k".into(), (1, census.citizen()))
        .unwrap();
    let error = registry
        .try_insert("k".into(), (2, census.citizen()))
        .unwrap_err();
    let existing = error.existing.as_ref().unwrap();
    assert_eq!((&*error.key, error.value.0, existing.0), ("k", 2, 1));
    assert!(Handle::ptr_eq(existing, &live));
    assert_eq!(census.alive(), 2);
    drop(error);
    assert_eq!(
        (census.alive(), registry.len(), Handle::strong_count(&live)),
        (1, 1, 1)
    );
    drop(live);
    assert!(registry
        .try_insert("k".into(), (3, census.citizen()))
        .is_ok());
}

#[test]
fn replacing_works_on_this_very_value_only() {
    let registry: Registry<String, u32> = Registry::new();
    let (a, _) = registry.insert("k".into(), 1);
    let b = registry.compare_exchange(&a, 2).unwrap();
    assert_eq!((registry.len(), &**Handle::key(&b), *a), (1, "k", 1));
    assert!(Handle::ptr_eq(&registry.get("k").unwrap(), &b));
    assert_eq!(registry.compare_exchange(&a, 3).unwrap_err().value, 3);
    assert!(Handle::ptr_eq(&registry.get("k").unwrap(), &b));
    let removed = registry.remove("k").unwrap();
    assert_eq!(registry.compare_exchange(&removed, 4).unwrap_err().value, 4);
    assert_eq!(registry.len(), 0);
}

#[test]
fn a_removed_value_belongs_to_its_owners_only() {
    let registry: Registry<u32, u32> = Registry::new();
    let a = registry.get_or_insert_with(1, |_| 10);
    let removed = registry.remove(&1).unwrap();
    assert!(Handle::ptr_eq(&removed, &a));
    assert_eq!((registry.len(), *a, *Handle::key(&a)), (0, 10, 1));
    assert!(registry.get(&1).is_none());
    assert!(registry.remove(&1).is_none());
    assert_eq!(registry.iter().len(), 0);
    let b = registry.get_or_insert_with(1, |_| 20);
    drop((a, removed));
    assert_eq!((registry.len(), *registry.get(&1).unwrap()), (1, 20));
    drop(b);
}

#[test]
fn removing_by_handle_happens_once_and_to_that_value_only() {
    let registry: Registry<u32, u32> = Registry::new();
    let a = registry.get_or_insert_with(1, |_| 1);
    let other = registry.get_or_insert_with(2, |_| 2);
    assert!(registry.remove_same(&a));
    assert!(!registry.remove_same(&a));
    let b = registry.get_or_insert_with(1, |_| 3);
    assert!(
        !registry.remove_same(&a),
        "a successor is not the same value"
    );
    assert!(Handle::ptr_eq(&registry.get(&1).unwrap(), &b));
    assert!(Handle::ptr_eq(&registry.get(&2).unwrap(), &other));
}

#[test]
fn handles_of_another_registry_change_nothing() {
    let (one, two): (Registry<u32, u32>, Registry<u32, u32>) = (Registry::new(), Registry::new());
    let (a, b) = (
        one.get_or_insert_with(1, |_| 1),
        two.get_or_insert_with(1, |_| 2),
    );
    assert!(!one.remove_same(&b));
    assert_eq!(one.compare_exchange(&b, 3).unwrap_err().value, 3);
    assert!(Handle::ptr_eq(&one.get(&1).unwrap(), &a));
    assert!(Handle::ptr_eq(&two.get(&1).unwrap(), &b));
    assert_eq!((one.len(), two.len()), (1, 1));
    let empty: Registry<u32, u32> = Registry::new();
    assert!(!empty.remove_same(&b));
    assert!(empty.compare_exchange(&b, 3).is_err());
}

#[test]
fn a_condition_decides_about_removal() {
    let registry: Registry<u32, u32> = Registry::new();
    let _held = registry.get_or_insert_with(1, |_| 10);
    assert!(registry
        .remove_if(&1, |key, value| *key == 1 && *value == 11)
        .is_none());
    assert_eq!(registry.len(), 1);
    assert_eq!(
        *registry
            .remove_if(&1, |key, value| *key == 1 && *value == 10)
            .unwrap(),
        10
    );
    assert_eq!(registry.len(), 0);
}

#[test]
fn an_entry_replaced_while_the_condition_runs_is_asked_about_again() {
    let registry: Registry<u32, u32> = Registry::new();
    let old = registry.get_or_insert_with(1, |_| 10);
    let mut seen = Vec::new();
    let mut new = None;
    let removed = registry.remove_if(&1, |_, value| {
        seen.push(*value);
        new.get_or_insert_with(|| registry.insert(1, 20).0);
        true
    });
    assert_eq!(seen, [10, 20]);
    assert!(Handle::ptr_eq(&removed.unwrap(), &new.unwrap()));
    assert_eq!((*old, registry.len()), (10, 0));
}

#[test]
fn retaining_takes_out_what_is_not_wanted_and_counts_it() {
    let registry: Registry<u32, u32> = Registry::new();
    let held: Vec<_> = (0..100)
        .map(|i| registry.get_or_insert_with(i, |i| i * i))
        .collect();
    assert_eq!(
        registry.retain(|key, value| key % 2 == 0 && value % 3 == 0),
        83
    );
    assert_eq!(registry.len(), 17);
    assert!((0..100).all(|i| registry.contains_key(&i) == (i % 6 == 0)));
    assert_eq!(registry.clear(), 17);
    assert_eq!((registry.len(), *held[7]), (0, 49));
}

#[test]
fn retaining_does_not_count_or_touch_what_was_replaced_meanwhile() {
    let registry: Registry<u32, u32> = Registry::new();
    let _old = registry.get_or_insert_with(1, |_| 1);
    let mut new = None;
    let taken_out = registry.retain(|_, _| {
        new = Some(registry.insert(1, 2).0);
        false
    });
    assert_eq!(taken_out, 0);
    assert!(Handle::ptr_eq(&registry.get(&1).unwrap(), &new.unwrap()));
}

#[test]
fn iteration_and_keys_show_the_live_values() {
    let registry: Registry<u32, u32> = Registry::new();
    let mut held: Vec<_> = (0..500)
        .map(|i| registry.get_or_insert_with(i, |i| i + 1))
        .collect();
    held.retain(|value| **value % 5 == 0);
    registry.remove(&4);
    let expected: Vec<u32> = (5..500).filter(|i| i % 5 == 4).collect();
    let mut keys: Vec<u32> = registry.keys().collect();
    let mut from_handles: Vec<u32> = registry.iter().map(|h| *Handle::key(&h)).collect();
    let mut values: Vec<u32> = (&registry).into_iter().map(|h| *h - 1).collect();
    for list in [&mut keys, &mut from_handles, &mut values] {
        list.sort_unstable();
        assert_eq!(*list, expected);
    }
}

// BEHAVIOURS.md 1.12, 1.13
#[test]
fn iteration_owns_what_it_yields_and_never_fails_because_of_a_change() {
    let registry: Registry<u32, u32> = Registry::new();
    let mut held: Vec<_> = (0..50)
        .map(|i| registry.get_or_insert_with(i, |i| *i))
        .collect();
    let mut count = 0;
    for value in registry.iter() {
        held.pop();
        assert_eq!(*value, *Handle::key(&value));
        assert!(
            Handle::ptr_eq(&registry.get(&*value).unwrap(), &value),
            "alive while in hand"
        );
        let _new = registry.get_or_insert_with(100 + count, |i| *i);
        registry.len();
        count += 1;
    }
    assert_eq!((count, registry.len()), (50, 0));
}

#[test]
fn a_borrowed_key_is_made_an_owned_one_on_a_miss_only() {
    let registry: Registry<String, usize> = Registry::new();
    let mut made = Vec::new();
    let mut ask = |name: &str| {
        registry
            .entry_ref(name)
            .key_with(|name| {
                made.push(name.to_owned());
                name.to_owned()
            })
            .or_insert_with(|key| key.len())
    };
    let (a, b, c) = (ask("methos"), ask("methos"), ask("joe"));
    assert!(Handle::ptr_eq(&a, &b));
    assert_eq!((*a, *c), (6, 3));
    assert_eq!(made, ["methos", "joe"]);
    let failed = registry
        .entry_ref("x")
        .key_with(str::to_owned)
        .or_try_insert_with(|_| Err::<usize, _>("no".to_string()));
    assert_eq!(failed.unwrap_err().into_failed(), "no");
    assert_eq!(registry.len(), 2);
}

#[test]
fn an_owned_key_that_is_not_the_borrowed_one_is_refused() {
    let registry: Registry<String, u32> = Registry::new();
    let text = panic_of(|| {
        registry
            .entry_ref("a")
            .key_with(|_| "b".to_string())
            .or_insert_with(|_| 1)
    });
    assert!(
        text.contains("the key that was made is not the one that was asked for"),
        "{text}"
    );

    struct Shouting<'a>(&'a str);
    impl Hash for Shouting<'_> {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.0.to_uppercase().hash(state);
        }
    }
    impl Equivalent<String> for Shouting<'_> {
        fn equivalent(&self, key: &String) -> bool {
            self.0.eq_ignore_ascii_case(key)
        }
    }
    panic_of(|| {
        registry
            .entry_ref(&Shouting("a"))
            .key_with(|_| "a".to_string())
            .or_insert_with(|_| 1)
    });
    assert_eq!(registry.len(), 0);
    let held = registry
        .entry_ref(&Shouting("a"))
        .key_with(|_| "A".to_string())
        .or_insert_with(|_| 1);
    assert!(Handle::ptr_eq(&registry.get("A").unwrap(), &held));
}

#[test]
fn colliding_keys_have_entries_of_their_own() {
    let registry: Registry<u32, u32, Colliding> = Registry::default();
    let mut held: Vec<_> = (0..100)
        .map(|i| registry.get_or_insert_with(i, |i| i * 2))
        .collect();
    assert_eq!(registry.len(), 100);
    assert!((0..100).all(|i| *registry.get(&i).unwrap() == i * 2));
    assert!(registry.get(&100).is_none());
    let (new, old) = registry.insert(50, 0);
    assert!(Handle::ptr_eq(&old.unwrap(), &held[50]));
    held[50] = new;
    held[99] = registry.compare_exchange(&held[99], 7).unwrap();
    assert!(Handle::ptr_eq(&registry.get(&99).unwrap(), &held[99]));
    assert!(registry.remove_same(&held[0]));
    held.truncate(60);
    assert_eq!(registry.len(), 59);
    assert_eq!(registry.iter().len(), 59);
    assert!((1..60).all(|i| Handle::ptr_eq(&registry.get(&i).unwrap(), &held[i as usize])));
}
