//! Maps and sets as data, with the feature `serde`.
#![cfg(feature = "serde")]

use crate::common::Colliding;
use highlander::map::ByAddress;
use highlander::pointer::Watched;
use highlander::{Interner, Registry, WeakKeyMap, WeakKeyValueMap, WeakSet, WeakValueMap};
use serde::de::DeserializeSeed;
use serde_json::{json, to_value, Value};
use std::sync::Arc;

fn text(text: &str) -> Arc<str> {
    text.into()
}

#[test]
fn a_map_is_written_as_its_live_entries() {
    let (one, two) = (Arc::new(1), Arc::new(2));
    let values: WeakValueMap<String, Arc<u32>> = WeakValueMap::new();
    assert_eq!(to_value(&values).unwrap(), json!({}));
    values.insert("one".into(), one.clone());
    values.insert("uno".into(), one.clone());
    values.insert("two".into(), two.clone());
    assert_eq!(
        to_value(&values).unwrap(),
        json!({"one": 1, "uno": 1, "two": 2})
    );
    drop(one);
    assert_eq!(to_value(&values).unwrap(), json!({"two": 2}));

    let (a, b) = (text("a"), text("b"));
    let keys: WeakKeyMap<Arc<str>, Vec<u32>> = WeakKeyMap::new();
    keys.insert(&a, vec![1, 2]);
    keys.insert(&b, vec![]);
    assert_eq!(to_value(&keys).unwrap(), json!({"a": [1, 2], "b": []}));
    let both: WeakKeyValueMap<Arc<str>, Arc<u32>, ByAddress, Colliding> = Default::default();
    both.insert(&a, two.clone());
    both.insert(&b, two.clone());
    assert_eq!(to_value(&both).unwrap(), json!({"a": 2, "b": 2}));
    drop(a);
    assert_eq!(to_value(&keys).unwrap(), json!({"b": []}));
    assert_eq!(to_value(&both).unwrap(), json!({"b": 2}));
    drop(two);
    assert_eq!(to_value(&both).unwrap(), json!({}));
}

#[test]
fn a_set_is_written_as_its_live_members_in_order() {
    let mut owned: Vec<Arc<str>> = ["z", "a", "m"].map(text).to_vec();
    let set: WeakSet<Arc<str>, ByAddress> = owned.iter().cloned().collect();
    assert_eq!(to_value(&set).unwrap(), json!(["z", "a", "m"]));
    owned.remove(1);
    assert_eq!(to_value(&set).unwrap(), json!(["z", "m"]));
}

#[test]
fn registries_interners_and_watched_values_are_written_too() {
    let registry: Registry<String, u32> = Registry::new();
    let held = registry.insert("one".into(), 1).0;
    assert_eq!(to_value(&registry).unwrap(), json!({"one": 1}));
    drop(held);
    assert_eq!(to_value(&registry).unwrap(), json!({}));
    let interner: Interner<str> = Interner::new();
    let _held = interner.intern("a");
    assert_eq!(to_value(&interner).unwrap(), json!(["a"]));
    let values: WeakValueMap<u32, Watched<String>> = WeakValueMap::new();
    let held = values.get_or_insert_with(7, |_| Watched::new("seven".to_string()));
    assert_eq!(to_value(&held).unwrap(), json!("seven"));
    assert_eq!(to_value(&values).unwrap(), json!({"7": "seven"}));
}

#[test]
fn what_is_read_lives_as_long_as_the_owners_that_come_back() {
    let map: WeakValueMap<String, Arc<u32>> = WeakValueMap::new();
    let before = map.get_or_insert_with("two".into(), |_| Arc::new(22));
    let json = json!({"one": 1, "two": 2, "three": 3});
    let mut made = Vec::new();
    let seed = map.seed(|key: &String, number: u32| {
        made.push(key.clone());
        Arc::new(number)
    });
    assert_eq!(format!("{seed:?}"), "MapSeed { .. }");
    let owners = seed.deserialize(json).unwrap();
    made.sort();
    assert_eq!(made, ["one", "three"], "there can only be one");
    assert_eq!((owners.len(), map.entry_count()), (3, 3));
    assert!(owners.iter().any(|owner| Arc::ptr_eq(owner, &before)));
    assert_eq!(
        to_value(&map).unwrap(),
        json!({"one": 1, "two": 22, "three": 3})
    );
    drop(owners);
    assert_eq!(to_value(&map).unwrap(), json!({"two": 22}));
}

#[test]
fn keys_that_are_read_are_owned_by_the_reader() {
    let map: WeakKeyMap<Arc<str>, Vec<u32>> = WeakKeyMap::new();
    let a = text("a");
    map.insert(&a, vec![7]);
    let json = json!({"a": [1], "b": [2, 3]});
    let owners = map
        .seed(|key: String| key.into())
        .deserialize(json)
        .unwrap();
    assert_eq!(owners.len(), 2);
    assert!(
        owners.iter().any(|owner| Arc::ptr_eq(owner, &a)),
        "the key that is stored"
    );
    assert_eq!(
        (map.get("a"), map.get("b")),
        (Some(vec![7]), Some(vec![2, 3]))
    );
    drop(owners);
    assert_eq!(map.len(), 1);

    let pairs: WeakKeyValueMap<Arc<str>, Watched<u32>> = WeakKeyValueMap::new();
    let one = Watched::new(1);
    pairs.insert(&a, one.clone());
    let json = json!({"a": 10, "b": 20});
    let owners = pairs
        .seed(|key: String| key.into(), |_, number| Watched::new(number))
        .deserialize(json)
        .unwrap();
    let mut read: Vec<_> = owners
        .iter()
        .map(|(key, value)| (key.to_string(), **value))
        .collect();
    read.sort();
    assert_eq!(read, [("a".to_string(), 1), ("b".to_string(), 20)]);
    assert!(owners.iter().any(|(key, _)| Arc::ptr_eq(key, &a)));
    drop((owners, one));
    assert_eq!(pairs.entry_count(), 0, "they report their death");
}

#[test]
fn members_that_are_read_are_owned_by_the_reader() {
    let set: WeakSet<Arc<u32>> = WeakSet::new();
    let two = Arc::new(2);
    set.insert(&two);
    let seed = set.seed(Arc::new);
    assert_eq!(format!("{seed:?}"), "SetSeed { .. }");
    let owners = seed.deserialize(json!([1, 2, 3, 1])).unwrap();
    assert_eq!(
        owners.iter().map(|owner| **owner).collect::<Vec<_>>(),
        [1, 2, 3, 1]
    );
    assert!(Arc::ptr_eq(&owners[1], &two) && Arc::ptr_eq(&owners[0], &owners[3]));
    assert_eq!(to_value(&set).unwrap(), json!([2, 1, 3]));
    drop(owners);
    assert_eq!(set.len(), 1);
}

#[test]
fn a_reading_that_fails_leaves_nothing() {
    let map: WeakValueMap<String, Watched<u32>> = WeakValueMap::new();
    let read = |json: Value| map.seed(|_, number| Watched::new(number)).deserialize(json);
    let error = read(json!({"a": 1, "b": "x"})).unwrap_err();
    assert!(error.to_string().contains("expected u32"), "{error}");
    assert!(read(json!([1]))
        .unwrap_err()
        .to_string()
        .contains("expected a map"));
    assert_eq!(map.entry_count(), 0);
    let nested = map.seed(|key: &String, number: u32| {
        map.get_or_insert_with(key.clone(), |_| Watched::new(number))
    });
    let nested = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        nested.deserialize(json!({"a": 1}))
    }));
    assert!(nested.is_err(), "it asks for its own key");
    assert_eq!(map.entry_count(), 0);
    map.close();
    assert!(read(json!({"a": 1}))
        .unwrap_err()
        .to_string()
        .contains("closed"));
    let keys: WeakKeyMap<Arc<str>, u32> = WeakKeyMap::new();
    keys.close();
    let read = keys
        .seed(|key: String| key.into())
        .deserialize(json!({"a": 1}));
    assert!(read.unwrap_err().to_string().contains("closed"));
    let set: WeakSet<Arc<u32>> = WeakSet::new();
    let read = set.seed(Arc::new).deserialize(json!({"a": 1}));
    assert!(read
        .unwrap_err()
        .to_string()
        .contains("expected a sequence"));
}
