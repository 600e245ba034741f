//! Guava's testlib: what its testers ask of every `ConcurrentMap`, asked of every kind of map.
//!
//! Each case is named after its testers. *Present* is entry 0, *absent* a key that was never entered; a case that needs the former does
//! nothing on an empty map. Where a tester has an absent key, there is also a case with a *dead* one, which is to be the same; those are
//! for the weak maps only. `equality_of_values` has what is by identity elsewhere and by equality in a strong map.
//!
//! Without meaning here:
//! * everything with `null` keys, values, entries and functions: there is no null;
//! * everything `unsupported`: each map supports all operations;
//! * `…ConcurrentWith…Iteration` expects a `ConcurrentModificationException`; here such iterations go on, which is tested;
//! * `MapHashCodeTester`, `MapSerializationTester`, and `equals` with other kinds of maps and with lists: maps are not hashed, and other types are
//!   not compared. `equals` itself: see `python_mappings`, and below for the strong map;
//! * the order of iteration (`KnownOrder`): there is none;
//! * the views' own reflection of changes: `keys`, `values` and `iter` are snapshots, not views.

use crate::common::panic_of;
use crate::maps::{on_every_map, same, Subject, Table, Value, ABSENT, OWNED};
use highlander::error::CreateError;
use highlander::map::RemovalCause;
use std::sync::Arc;

on_every_map!(
    all: [
        put_absent_adds,
        put_present_displaces,
        put_the_same_value_again,
        put_if_absent,
        put_all,
        remove,
        remove_key_and_value,
        replace,
        replace_key_old_new,
        replace_all,
        compute,
        compute_whose_function_panics_changes_nothing,
        compute_if_absent,
        compute_if_absent_that_fails_adds_nothing,
        compute_if_present,
        merge,
        contains_key_and_get,
        contains_value_is_by_identity,
        size_and_is_empty,
        clear,
        iteration_shows_each_entry_once,
        removal_while_iterating,
        insertion_while_iterating,
        replacement_while_iterating,
        clear_while_iterating,
        retain_is_remove_if,
        drain_takes_all,
        text,
        creation_with_entries,
    ],
    weak: [
        put_of_a_dead_one_adds,
        put_if_absent_of_a_dead_one,
        remove_of_a_dead_one,
        replace_of_a_dead_one,
        compute_of_a_dead_one_sees_none,
        compute_if_absent_of_a_dead_one,
        size_of_the_living,
        text_of_the_living,
    ],
);

/// MapPutTester: `testPut_supportedNotPresent`.
fn put_absent_adds<K: Subject>(t: &mut Table<K>) {
    assert!(t.map.insert(t.key(ABSENT), t.value(ABSENT)).is_none());
    t.expect_changed(&[(ABSENT, Some(ABSENT))]);
    t.expect_told(&[]);
}

/// MapPutTester: `testPut_supportedPresent`.
fn put_present_displaces<K: Subject>(t: &mut Table<K>) {
    if t.size == 0 {
        return;
    }
    let displaced = t.map.insert(t.key(0), t.value(ABSENT));
    assert!(same(&displaced, &Some(t.value(0))));
    t.expect_changed(&[(0, Some(ABSENT))]);
    t.expect_told(&[(0, RemovalCause::Replaced)]);
}

/// ConcurrentMapReplaceTester: `testReplace_supportedPresentNoChange`, of `put`.
fn put_the_same_value_again<K: Subject>(t: &mut Table<K>) {
    if t.size == 0 {
        return;
    }
    assert!(same(&t.map.insert(t.key(0), t.value(0)), &Some(t.value(0))));
    t.expect_unchanged();
}

fn put_of_a_dead_one_adds<K: Subject>(t: &mut Table<K>) {
    if t.size == 0 {
        return;
    }
    t.kill(0);
    let (key, value) = (t.key_again(0), t.value_again(0));
    assert!(t.map.insert(&key, value.clone()).is_none());
    assert_eq!(t.map.len(), t.size);
    assert!(same(&t.map.get(&key), &Some(value)));
}

/// ConcurrentMapPutIfAbsentTester, MapPutIfAbsentTester: `supportedAbsent`, `supportedPresent`.
fn put_if_absent<K: Subject>(t: &mut Table<K>) {
    assert_eq!(t.map.try_insert(t.key(ABSENT), t.value(ABSENT)), Ok(()));
    t.expect_changed(&[(ABSENT, Some(ABSENT))]);
    let existing = t.map.try_insert(t.key(ABSENT), t.value(6)).unwrap_err();
    assert!(same(&existing, &Some(t.value(ABSENT))));
    t.expect_changed(&[(ABSENT, Some(ABSENT))]);
    t.expect_told(&[]);
}

fn put_if_absent_of_a_dead_one<K: Subject>(t: &mut Table<K>) {
    if t.size == 0 {
        return;
    }
    t.kill(0);
    let (key, value) = (t.key_again(0), t.value_again(0));
    assert_eq!(t.map.try_insert(&key, value.clone()), Ok(()));
    assert!(same(&t.map.get(&key), &Some(value.clone())));
    assert_eq!(t.map.len(), t.size);
    t.map.prune();
    t.expect_told(&[(0, RemovalCause::Dead)]);
}

/// MapPutAllTester: `testPutAll_supportedNothing`, `…NonePresent`, `…SomePresent`.
fn put_all<K: Subject>(t: &mut Table<K>) {
    t.map.extend(&mut std::iter::empty());
    t.expect_unchanged();
    let mut entries = [5, 6, 0]
        .map(|n| (t.key(n).clone(), t.value(6)))
        .into_iter();
    t.map.extend(&mut entries);
    t.expect_changed(&[(5, Some(6)), (6, Some(6)), (0, Some(6))]);
}

/// MapRemoveTester: `testRemove_present`, `testRemove_notPresent`.
fn remove<K: Subject>(t: &mut Table<K>) {
    assert!(t.map.remove(t.key(ABSENT)).is_none());
    t.expect_unchanged();
    if t.size > 0 {
        assert!(same(&t.map.remove(t.key(0)), &Some(t.value(0))));
        t.expect_changed(&[(0, None)]);
        assert!(t.map.remove(t.key(0)).is_none());
        t.expect_told(&[(0, RemovalCause::Removed)]);
    }
}

/// ConcurrentMapRemoveTester, MapRemoveEntryTester: `supportedPresent`, `…KeyWrongValue`, `supportedWrongKeyPresentValue`,
/// `supportedAbsentKeyAbsentValue`.
fn remove_key_and_value<K: Subject>(t: &mut Table<K>) {
    for remove in [K::remove_same, K::remove_if_same] {
        assert!(!remove(&t.map, t.key(ABSENT), &t.value(ABSENT)));
        assert!(!remove(&t.map, t.key(ABSENT), &t.value(0)));
        assert!(!remove(&t.map, t.key(0), &t.value(ABSENT)));
        t.expect_unchanged();
        assert_eq!(remove(&t.map, t.key(0), &t.value(0)), t.size > 0);
        t.expect_changed(&[(0, None)]);
        if t.size > 0 {
            t.map.insert(t.key(0), t.value(0));
        }
    }
}

fn remove_of_a_dead_one<K: Subject>(t: &mut Table<K>) {
    if t.size == 0 {
        return;
    }
    t.kill(0);
    let key = t.key_again(0);
    assert!(t.map.remove(&key).is_none());
    assert!(t.map.remove_if(&key, &mut |_, _| true).is_none());
    assert_eq!(t.map.len(), t.size - 1);
    t.map.prune();
    t.expect_told(&[(0, RemovalCause::Dead)]);
}

/// ConcurrentMapReplaceTester, MapReplaceTester: `supportedPresent`, `…NoChange`, `supportedAbsent`.
fn replace<K: Subject>(t: &mut Table<K>) {
    assert!(t.map.replace(t.key(ABSENT), t.value(ABSENT)).is_none());
    t.expect_unchanged();
    if t.size > 0 {
        assert!(same(
            &t.map.replace(t.key(0), t.value(0)),
            &Some(t.value(0))
        ));
        t.expect_unchanged();
        assert!(same(
            &t.map.replace(t.key(0), t.value(6)),
            &Some(t.value(0))
        ));
        t.expect_changed(&[(0, Some(6))]);
    }
}

/// ConcurrentMapReplaceEntryTester, MapReplaceEntryTester: `supportedPresent`, `…Unchanged`, `supportedWrongValue`, `supportedAbsentKey`.
fn replace_key_old_new<K: Subject>(t: &mut Table<K>) {
    assert!(!t
        .map
        .compare_exchange(t.key(ABSENT), &t.value(5), t.value(6)));
    assert!(!t.map.compare_exchange(t.key(0), &t.value(5), t.value(6)));
    t.expect_unchanged();
    let there = t.size > 0;
    assert_eq!(
        t.map.compare_exchange(t.key(0), &t.value(0), t.value(0)),
        there
    );
    t.expect_unchanged();
    assert_eq!(
        t.map.compare_exchange(t.key(0), &t.value(0), t.value(6)),
        there
    );
    t.expect_changed(&[(0, there.then_some(6))]);
}

fn replace_of_a_dead_one<K: Subject>(t: &mut Table<K>) {
    if t.size == 0 {
        return;
    }
    t.kill(0);
    let (key, value) = (t.key_again(0), t.value_again(0));
    assert!(t.map.replace(&key, t.value(6)).is_none());
    assert!(!t.map.compare_exchange(&key, &value, t.value(6)));
    assert_eq!(t.map.len(), t.size - 1);
}

/// MapReplaceAllTester: `testReplaceAllRotate`, `testReplaceAllPreservesOrder` without the order.
fn replace_all<K: Subject>(t: &mut Table<K>) {
    for (key, value) in t.map.items() {
        let next = (K::number(&key) as usize + 1) % OWNED;
        assert!(same(&t.map.replace(&key, t.value(next)), &Some(value)));
    }
    let rotated: Vec<_> = (0..t.size).map(|n| (n, Some(n + 1))).collect();
    t.expect_changed(&rotated);
}

/// MapComputeTester: the four of absent and present, before and after.
fn compute<K: Subject>(t: &mut Table<K>) {
    let new = t.value(6);
    let added = t.map.update(t.key(ABSENT), &mut |old| {
        assert!(old.is_none());
        Some(new.clone())
    });
    assert!(same(&added, &Some(new.clone())));
    t.expect_changed(&[(ABSENT, Some(6))]);
    let gone = t.map.update(t.key(ABSENT), &mut |old| {
        assert!(same(&old.cloned(), &Some(new.clone())));
        None
    });
    assert!(gone.is_none());
    t.expect_unchanged();
    let none = t.map.update(t.key(ABSENT), &mut |old| {
        assert!(old.is_none());
        None
    });
    assert!(none.is_none());
    t.expect_told(&[(ABSENT, RemovalCause::Removed)]);
    if t.size > 0 {
        t.map.update(t.key(0), &mut |_| Some(new.clone()));
        t.expect_changed(&[(0, Some(6))]);
        t.expect_told(&[(0, RemovalCause::Replaced)]);
    }
}

fn compute_of_a_dead_one_sees_none<K: Subject>(t: &mut Table<K>) {
    if t.size == 0 {
        return;
    }
    t.kill(0);
    let (key, value) = (t.key_again(0), t.value_again(0));
    let found = t.map.update(&key, &mut |old| {
        assert!(old.is_none());
        Some(value.clone())
    });
    assert!(same(&found, &Some(value.clone())));
    assert_eq!(t.map.len(), t.size);
}

/// MapComputeTester: `testCompute_presentFunctionThrows`, `…absentFunctionThrows`; MapMergeTester: `testMergeFunctionThrows`.
fn compute_whose_function_panics_changes_nothing<K: Subject>(t: &mut Table<K>) {
    for n in [0, ABSENT] {
        assert_eq!(
            panic_of(|| t.map.update(t.key(n), &mut |_| panic!("no"))),
            "no"
        );
        t.expect_unchanged();
    }
    t.expect_told(&[]);
}

/// MapComputeIfAbsentTester: `supportedAbsent`, `supportedPresent`.
fn compute_if_absent<K: Subject>(t: &mut Table<K>) {
    let made = t.map.get_or_insert(t.key(ABSENT), || t.value(6));
    assert!(Arc::ptr_eq(&made, &t.value(6)));
    t.expect_changed(&[(ABSENT, Some(6))]);
    let found = t
        .map
        .get_or_insert(t.key(ABSENT), || unreachable!("it is there"));
    assert!(Arc::ptr_eq(&made, &found));
    t.expect_told(&[]);
}

fn compute_if_absent_of_a_dead_one<K: Subject>(t: &mut Table<K>) {
    if t.size == 0 {
        return;
    }
    t.kill(0);
    let (key, value) = (t.key_again(0), t.value_again(0));
    let made = t.map.get_or_insert(&key, || value.clone());
    assert!(Arc::ptr_eq(&made, &value));
    assert_eq!(t.map.len(), t.size);
    t.map.prune();
    t.expect_told(&[(0, RemovalCause::Dead)]);
}

/// MapComputeIfAbsentTester: `functionReturnsNullNotInserted`, `functionThrows`.
fn compute_if_absent_that_fails_adds_nothing<K: Subject>(t: &mut Table<K>) {
    let failed = t
        .map
        .get_or_try_insert(t.key(ABSENT), || Err(CreateError::Failed("no")));
    assert_eq!(failed, Err(CreateError::Failed("no")));
    t.expect_unchanged();
    let text = panic_of(|| t.map.get_or_insert(t.key(ABSENT), || panic!("oh")));
    assert_eq!(text, "oh");
    t.expect_unchanged();
    assert_eq!(t.map.entry_count(), t.size);
    let made = t.map.get_or_insert(t.key(ABSENT), || t.value(6));
    assert!(Arc::ptr_eq(&made, &t.value(6)));
}

/// MapComputeIfPresentTester: `supportedAbsent`, `supportedPresent`, `functionReturnsNull`. Here it is `update` with `?`.
fn compute_if_present<K: Subject>(t: &mut Table<K>) {
    let new = t.value(6);
    let if_present = |key| {
        t.map.update(key, &mut |old| {
            old?;
            Some(new.clone())
        })
    };
    assert!(if_present(t.key(ABSENT)).is_none());
    t.expect_unchanged();
    assert_eq!(if_present(t.key(0)).is_some(), t.size > 0);
    t.expect_changed(&[(0, (t.size > 0).then_some(6))]);
    t.map.update(t.key(0), &mut |_| None);
    t.expect_changed(&[(0, None)]);
}

/// MapMergeTester: `testAbsent`, `testMergePresent`, `testMergePresentToNull`. Here it is `update` too.
fn merge<K: Subject>(t: &mut Table<K>) {
    let merge = |key, value: Value, f: &dyn Fn(&Value, &Value) -> Option<Value>| {
        t.map.update(key, &mut |old| match old {
            None => Some(value.clone()),
            Some(old) => f(old, &value),
        })
    };
    let never = |_: &Value, _: &Value| unreachable!("the key is absent");
    assert!(same(
        &merge(t.key(ABSENT), t.value(5), &never),
        &Some(t.value(5))
    ));
    t.expect_changed(&[(ABSENT, Some(5))]);
    let sum = |old: &Value, new: &Value| Some(t.value((**old + **new) as usize - 4));
    assert!(same(
        &merge(t.key(ABSENT), t.value(6), &sum),
        &Some(t.value(7))
    ));
    t.expect_changed(&[(ABSENT, Some(7))]);
    assert!(merge(t.key(ABSENT), t.value(6), &|_, _| None).is_none());
    t.expect_unchanged();
}

/// MapContainsKeyTester, MapGetTester, MapGetOrDefaultTester.
fn contains_key_and_get<K: Subject>(t: &mut Table<K>) {
    t.expect_unchanged();
    let equal = t.map.get(&t.equal_key(0));
    let found = t.size > 0 && K::EQUAL_KEYS;
    assert_eq!(equal.is_some(), found);
    assert!(!t.map.contains_key(&K::key(99)));
    let or_default = t.map.get(t.key(ABSENT)).unwrap_or(t.value(6));
    assert!(Arc::ptr_eq(&or_default, &t.value(6)));
}

/// MapContainsValueTester, and the weak maps' comparison of values by `==`.
fn contains_value_is_by_identity<K: Subject>(t: &mut Table<K>) {
    let contains = |value: &Value| t.map.values().any(|there| Arc::ptr_eq(&there, value));
    assert_eq!(contains(&t.value(0)), t.size > 0);
    assert!(!contains(&Arc::new(0)));
    assert!(!contains(&t.value(ABSENT)));
}

/// MapSizeTester, MapIsEmptyTester.
fn size_and_is_empty<K: Subject>(t: &mut Table<K>) {
    assert_eq!((t.map.len(), t.map.is_empty()), (t.size, t.size == 0));
    for n in 0..t.size {
        t.map.remove(t.key(n));
        let left = t.size - n - 1;
        assert_eq!((t.map.len(), t.map.is_empty()), (left, left == 0));
    }
    assert_eq!(t.map.entry_count(), 0);
}

fn size_of_the_living<K: Subject>(t: &mut Table<K>) {
    for n in 0..t.size {
        t.kill(n);
        let left = t.size - n - 1;
        assert_eq!((t.map.len(), t.map.is_empty()), (left, left == 0));
    }
    assert!(t.map.entry_count() <= t.size);
}

/// MapClearTester: `testClear`.
fn clear<K: Subject>(t: &mut Table<K>) {
    assert_eq!(t.map.clear(), t.size);
    t.expect(&[]);
    assert_eq!((t.map.entry_count(), t.map.clear()), (0, 0));
    let told: Vec<_> = (0..t.size).map(|n| (n, RemovalCause::Cleared)).collect();
    t.expect_told(&told);
    t.map.insert(t.key(1), t.value(1));
    t.expect(&[(1, 1)]);
}

/// MapEntrySetTester, MapForEachTester: `testForEachUnknownOrder`.
fn iteration_shows_each_entry_once<K: Subject>(t: &mut Table<K>) {
    t.expect_unchanged();
    let (least, most) = t.map.items().size_hint();
    assert!(least <= t.size && most.is_none_or(|most| most >= t.size));
    let mut items = t.map.items();
    assert_eq!(items.by_ref().count(), t.size);
    assert!(items.next().is_none() && items.next().is_none());
}

/// MapEntrySetTester: `testEntrySetIteratorRemove`; MapRemoveTester: `testRemovePresentConcurrentWithEntrySetIteration`, `…KeySet…`,
/// `…Values…`: where the model fails, the loop here goes on.
fn removal_while_iterating<K: Subject>(t: &mut Table<K>) {
    for (key, value) in t.map.items() {
        assert!(same(&t.map.remove(&key), &Some(value)));
    }
    t.expect(&[]);
    t.map.insert(t.key(0), t.value(0));
    t.map.insert(t.key(1), t.value(1));
    for key in t.map.keys() {
        t.map.remove(&key);
    }
    t.expect(&[]);
}

/// MapPutTester: `testPutAbsentConcurrentWithEntrySetIteration` and its kin.
fn insertion_while_iterating<K: Subject>(t: &mut Table<K>) {
    let mut seen = 0;
    for (key, _) in t.map.items() {
        seen += usize::from((K::number(&key) as usize) < t.size);
        for n in ABSENT..OWNED {
            t.map.insert(t.key(n), t.value(n));
        }
    }
    assert_eq!(seen, t.size);
    let all = if t.size > 0 { ABSENT..OWNED } else { 0..0 };
    t.expect_changed(&all.map(|n| (n, Some(n))).collect::<Vec<_>>());
}

/// MapEntrySetTester: `testSetValue`.
fn replacement_while_iterating<K: Subject>(t: &mut Table<K>) {
    for (key, old) in t.map.items() {
        assert!(t.map.compare_exchange(&key, &old, t.value(7)));
        assert!(!t.map.compare_exchange(&key, &old, t.value(7)));
    }
    t.expect_changed(&(0..t.size).map(|n| (n, Some(7))).collect::<Vec<_>>());
}

/// MapClearTester: `testClearConcurrentWithEntrySetIteration`, `…KeySet…`, `…Values…`.
fn clear_while_iterating<K: Subject>(t: &mut Table<K>) {
    let mut items = t.map.items();
    let first = items.next();
    assert_eq!(t.map.clear(), t.size);
    let rest = items.count();
    assert!(usize::from(first.is_some()) + rest <= t.size);
    t.expect(&[]);
}

/// CollectionRemoveIfTester, CollectionRetainAllTester, CollectionRemoveAllTester of the views.
fn retain_is_remove_if<K: Subject>(t: &mut Table<K>) {
    assert_eq!(t.map.retain(&mut |_, _| true), 0);
    t.expect_unchanged();
    let text = panic_of(|| {
        t.map.retain(&mut |_, _| panic!("no"));
        panic!("no");
    });
    assert_eq!(text, "no");
    t.expect_unchanged();
    let gone = t.map.retain(&mut |key, _| K::number(key) != 0);
    assert_eq!(gone, usize::from(t.size > 0));
    t.expect_changed(&[(0, None)]);
}

/// The views' `clear`, with what was in them.
fn drain_takes_all<K: Subject>(t: &mut Table<K>) {
    let drained = t.map.drain();
    assert_eq!(drained.len(), t.size);
    t.expect(&[]);
    let told: Vec<_> = (0..t.size).map(|n| (n, RemovalCause::Cleared)).collect();
    t.expect_told(&told);
    for (key, value) in drained {
        assert!(Arc::ptr_eq(&value, &t.value(K::number(&key) as usize)));
    }
    assert!(t.map.pop().is_none());
}

/// MapToStringTester: `testToString_size0`, `testToString_size1`.
fn text<K: Subject>(t: &mut Table<K>) {
    let text = format!("{:?}", t.map);
    assert_eq!(text.matches(": ").count(), t.size);
    for n in 0..t.size {
        assert!(text.contains(&format!("\"{n}\": {n}")), "{text}");
    }
}

fn text_of_the_living<K: Subject>(t: &mut Table<K>) {
    if t.size > 0 {
        t.kill(0);
        assert!(!format!("{:?}", t.map).contains("\"0\""));
    }
}

/// MapCreationTester: with duplicates the later one wins.
fn creation_with_entries<K: Subject>(t: &mut Table<K>) {
    let entries = [(0, 0), (1, 1), (0, 6)].map(|(k, v)| (t.key(k).clone(), t.value(v)));
    let map = K::collected(entries.to_vec());
    assert_eq!(map.len(), 2);
    assert!(same(&map.get(t.key(0)), &Some(t.value(6))));
    assert!(K::collected(Vec::new()).is_empty());
}

/// What the testers ask of values by `equals`: in a map that is strong on both sides a value is what it is equal to.
mod equality_of_values {
    use highlander::StrongMap;

    type Map = StrongMap<String, String>;

    fn filled() -> Map {
        [("one", "january"), ("two", "february")]
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .into_iter()
            .collect()
    }

    /// ConcurrentMapReplaceEntryTester: `testReplaceEntry_supportedPresent`, `…supportedWrongValue`, `…supportedAbsentKey`.
    #[test]
    fn replace_key_old_new() {
        let map = filled();
        let replace = |key: &str, old: &str, new: &str| {
            let mut replaced = false;
            let entered = map.update(key.into(), |there| {
                replaced = there.is_some_and(|there| there == old);
                if replaced {
                    Some(new.into())
                } else {
                    there.cloned()
                }
            });
            assert!(!replaced || entered.as_deref() == Some(new));
            replaced
        };
        assert!(!replace("one", "march", "april"));
        assert!(!replace("three", "january", "april"));
        assert_eq!(map, filled());
        assert!(replace("one", "january", "january"));
        assert_eq!(map, filled());
        assert!(replace("one", "january", "march"));
        assert_eq!(map.get("one").as_deref(), Some("march"));
    }

    /// ConcurrentMapRemoveTester, MapRemoveEntryTester: `testRemove_supportedPresent`, `…PresentKeyWrongValue`, `…WrongKeyPresentValue`.
    #[test]
    fn remove_key_and_value() {
        let map = filled();
        let remove = |key: &str, old: &str| map.remove_if(key, |_, there| there == old).is_some();
        assert!(!remove("one", "february"));
        assert!(!remove("three", "january"));
        assert_eq!(map, filled());
        assert!(remove("one", "january"));
        assert_eq!(map.len(), 1);
    }

    /// MapContainsValueTester: `testContains_yes`, `testContains_no`.
    #[test]
    fn contains_value() {
        let contains = |value: &str| filled().values().any(|there| there == value);
        assert!(contains("january") && !contains("march"));
    }

    /// MapEqualsTester: `testEquals_otherMapWithSameEntries`, `…ButDifferentEntries`, `…smallerMap`, `…largerMap`.
    #[test]
    fn equals() {
        let (one, other) = (filled(), filled());
        assert_eq!(one, other);
        assert_eq!(one, one.clone());
        other.insert("two".into(), "march".into());
        assert_ne!(one, other);
        other.remove("two");
        assert_ne!(one, other);
        assert_ne!(other, one);
        let union = one.clone();
        (&union).extend(&other);
        assert_eq!(union, one);
        assert_eq!(Map::new(), Map::default());
    }
}
