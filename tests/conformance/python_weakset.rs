//! CPython's `test_weakset`, of sets by equality.
//!
//! Without meaning here: `test_methods`, `test_new_or_init`, `test_init`, `test_subclass_with_custom_hash`, `test_abc`, `test_hash`,
//! `test_copying` of subclasses (there are no dynamic types; a set is not `Hash`), and the operators with other collections
//! (`test_or`, `test_and`, `test_sub`, `test_xor` with `set` and `frozenset`): the operations take sets of the same pointers.

use highlander::WeakSet;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::Arc;
use std::thread;

type Text = Arc<String>;
type Set = WeakSet<Text>;

fn texts(letters: &str) -> Vec<Text> {
    letters.chars().map(|c| Arc::new(c.to_string())).collect()
}

fn set_of(items: &[Text]) -> Set {
    items.iter().cloned().collect()
}

/// Three members, three others, and the letters, which are other objects.
fn scene() -> (Vec<Text>, Vec<Text>, Vec<Text>, Set) {
    let items = texts("abc");
    let set = set_of(&items);
    (
        items,
        texts("xyz"),
        texts("abcdefghijklmnopqrstuvwxyz"),
        set,
    )
}

fn is_in(set: &Set, item: &Text) -> bool {
    set.contains(&**item)
}

fn has(items: &[Text], item: &Text) -> bool {
    items.contains(item)
}

// test_len.
#[test]
fn len() {
    let (items, .., set) = scene();
    assert_eq!(set.len(), items.len());
    let one = texts("F");
    let of_one = set_of(&one);
    assert_eq!(of_one.len(), 1);
    drop(one);
    assert_eq!(of_one.len(), 0);
}

// test_contains.
#[test]
fn contains() {
    let (items, _, letters, set) = scene();
    for c in &letters {
        assert_eq!(is_in(&set, c), has(&items, c));
    }
    let one = texts("F");
    let of_one = set_of(&one);
    assert!(of_one.contains("F"));
    drop(one);
    assert!(!of_one.contains("F"));
}

// test_union, test_or, test_intersection, test_and, test_difference, test_sub, test_symmetric_difference, test_xor.
#[test]
fn operations() {
    let (items, others, letters, set) = scene();
    let mixed: Vec<Text> = others.iter().chain(&items[1..]).cloned().collect();
    let other = set_of(&mixed);
    let (union, both) = (set.union(&other), set.intersection(&other));
    let (less, one_only) = (set.difference(&other), set.symmetric_difference(&other));
    for c in &letters {
        let (a, b) = (has(&items, c), has(&mixed, c));
        assert_eq!(is_in(&union, c), a || b);
        assert_eq!(is_in(&both, c), a && b);
        assert_eq!(is_in(&less, c), a && !b);
        assert_eq!(is_in(&one_only, c), a != b);
    }
    assert_eq!(set, set_of(&items), "it has not changed");
    assert_eq!(set.intersection(&set_of(&others)), Set::new());
}

// test_isdisjoint.
#[test]
fn isdisjoint() {
    let (_items, others, letters, set) = scene();
    assert!(set.is_disjoint(&set_of(&others)));
    assert!(!set.is_disjoint(&set_of(&letters)));
    assert!(set.is_disjoint(&Set::new()));
}

// test_sub_and_super, test_gt, test_lt.
#[test]
fn sub_and_super() {
    let (p, q, r) = (texts("ab"), texts("abcde"), texts("def"));
    let (ps, qs, rs) = (set_of(&p), set_of(&q), set_of(&r));
    assert!(ps.is_subset(&qs) && ps != qs && qs.is_subset(&qs));
    assert!(qs.is_superset(&ps) && qs.is_superset(&qs));
    assert!(!qs.is_subset(&rs) && !qs.is_superset(&rs));
    drop(p);
    assert!(ps.is_subset(&rs), "the dead are in no set");
}

// test_gc: members that own sets that they are in.
#[test]
fn members_that_own_their_set() {
    struct Nest {
        _set: Arc<WeakSet<Arc<Nest>, highlander::map::ByAddress>>,
    }
    let set = Arc::new(WeakSet::new());
    let nests: Vec<_> = (0..1000)
        .map(|_| {
            let nest = Arc::new(Nest { _set: set.clone() });
            set.insert(&nest);
            nest
        })
        .collect();
    let alive = Arc::downgrade(&set);
    drop(set);
    assert_eq!(alive.upgrade().unwrap().len(), 1000);
    drop(nests);
    assert!(alive.upgrade().is_none(), "no cycle of owners");
}

// test_constructor_identity, test_copy.
#[test]
fn a_copy_is_another_set() {
    let (items, .., set) = scene();
    let copy = set.clone();
    assert_eq!(copy, set);
    copy.remove(&*items[0]);
    assert_eq!((copy.len(), set.len()), (2, 3));
}

// test_clear.
#[test]
fn clear() {
    let (_items, .., set) = scene();
    assert_eq!(set.clear(), 3);
    assert_eq!((set.len(), set.entry_count()), (0, 0));
    assert_eq!(set, Set::new());
}

// test_add.
#[test]
fn add() {
    let (_items, .., set) = scene();
    let q = Arc::new("Q".to_string());
    assert!(set.insert(&q));
    let copy = set.clone();
    assert!(!set.insert(&q));
    assert_eq!(set, copy);
    let of_one = Set::new();
    of_one.insert(&Arc::new("gone".to_string()));
    assert_eq!(of_one.len(), 0);
    of_one.insert(&q);
    of_one.insert(&q);
    assert_eq!(of_one.len(), 1);
}

// test_remove, test_discard.
#[test]
fn remove() {
    let (_items, .., set) = scene();
    assert!(set.remove("a"));
    assert!(!set.contains("a"));
    assert!(!set.remove("a") && !set.remove("Q"));
    assert_eq!(set.len(), 2);
}

// test_pop.
#[test]
fn pop() {
    let (items, .., set) = scene();
    for expected in &items {
        let popped = set.pop_first().unwrap();
        assert!(Arc::ptr_eq(&popped, expected));
        assert!(!is_in(&set, &popped));
    }
    assert!(set.pop_first().is_none());
}

// test_update, test_update_set, test_ior.
#[test]
fn update() {
    let (items, others, _, set) = scene();
    set.extend(others.iter().cloned());
    assert!(items.iter().chain(&others).all(|c| is_in(&set, c)));
    assert_eq!(set.len(), 6);
}

// test_intersection_update, test_iand, test_difference_update, test_isub: each is a `retain`.
#[test]
fn updates_that_take_out() {
    let (items, others, _, set) = scene();
    let mixed: Vec<Text> = others.iter().chain(&items[1..]).cloned().collect();
    let other = set_of(&mixed);
    let both = set.clone();
    assert_eq!(both.retain(|c| is_in(&other, c)), 1);
    assert_eq!(both, set.intersection(&other));
    let less = set.clone();
    assert_eq!(less.retain(|c| !is_in(&other, c)), 2);
    assert_eq!(less, set.difference(&other));
}

// test_inplace_on_self; test_symmetric_difference_update, test_ixor.
#[test]
fn operations_with_itself() {
    let (items, .., set) = scene();
    assert_eq!(set.union(&set), set);
    assert_eq!(set.intersection(&set), set);
    assert_eq!(set.difference(&set), Set::new());
    assert_eq!(set.symmetric_difference(&set), Set::new());
    let same = set.clone();
    same.extend(&same);
    assert_eq!(same, set);
    assert_eq!(same.retain(|c| !is_in(&same, c)), 3, "taken out one by one");
    assert!(same.is_empty());
    drop(items);
}

// test_eq, test_ne.
#[test]
fn eq() {
    let (items, others, letters, set) = scene();
    assert_eq!(set, set_of(&items));
    assert_eq!(set, set_of(&letters[..3]), "other objects, but equal");
    assert_ne!(set, set_of(&others));
    assert_ne!(set, Set::new());
    let reversed: Set = items.iter().rev().cloned().collect();
    assert_eq!(set, reversed, "in any order");
}

// test_weak_destroy_while_iterating, bpo-7105.
#[test]
fn destroy_while_iterating() {
    let mut items = texts("abc");
    let set = set_of(&items);
    let mut iter = set.iter();
    let first = iter.next();
    items.pop();
    // The iterator may own what it has read ahead.
    assert!([1, 2].contains(&iter.by_ref().count()));
    drop((iter, first));
    assert_eq!(set.len(), 2);
}

// test_weak_destroy_and_mutate_while_iterating.
#[test]
fn destroy_and_mutate_while_iterating() {
    let mut items = texts("abcdefghijklmnopqrstuvwxyz");
    let set = set_of(&items);
    let mut scene = || {
        let mut iter = set.iter();
        iter.next();
        drop(iter);
        let gone = items.pop().unwrap();
        let again = gone.to_string();
        drop(gone);
        Arc::new(again)
    };
    let u = scene();
    assert!(!is_in(&set, &u));
    let u = scene();
    assert!(!set.remove(&*u));
    let u = scene();
    assert!(set.insert(&u) && is_in(&set, &u));
    let copy = set.clone();
    let v = scene();
    set.extend(&copy);
    assert!(!is_in(&set, &v));
    assert_eq!(set.len(), copy.len());
    let _w = scene();
    set.clear();
    assert_eq!(set.len(), 0);
}

// test_len_cycles.
#[test]
fn len_beside_an_iterator() {
    let items = texts("abcdefghijklmnopqrst");
    let set = set_of(&items);
    let mut iter = set.iter();
    iter.next();
    drop(items);
    // Up to 15 are read ahead.
    assert!(set.len() <= 16);
    drop(iter);
    assert_eq!(set.len(), 0);
}

// test_len_race, gh-123089.
#[test]
fn len_race() {
    for _ in 0..20 {
        let items = texts("abcdefghijklmnopqrst");
        let set: WeakSet<Text, highlander::map::ByAddress> = items.iter().cloned().collect();
        let over = AtomicBool::new(false);
        thread::scope(|s| {
            s.spawn(|| {
                items.into_iter().for_each(drop);
                over.store(true, SeqCst);
            });
            let mut last = 20;
            while !over.load(SeqCst) {
                let len = set.len();
                assert!(len <= last);
                last = len;
            }
        });
        assert_eq!(set.len(), 0);
    }
}

// test_repr.
#[test]
fn repr() {
    let (mut items, .., set) = scene();
    assert_eq!(format!("{set:?}"), r#"{"a", "b", "c"}"#);
    items.remove(1);
    assert_eq!(format!("{set:?}"), r#"{"a", "c"}"#);
}
