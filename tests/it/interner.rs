//! [`Interner`]: one canonical value per content.

use crate::common::{panic_of, Census, Citizen, Colliding};
use highlander::{Equivalent, Interned, Interner};
use std::hash::{Hash, Hasher};

/// Equal by number, counted by its citizen.
#[derive(Debug)]
struct Counted(u32, #[allow(dead_code)] Citizen);

impl PartialEq for Counted {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Counted {}

impl Hash for Counted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[test]
fn equal_contents_get_the_same_pointer() {
    let interner: Interner<str> = Interner::new();
    let a = interner.intern("connor");
    let b = interner.intern(&String::from("connor"));
    let c = interner.intern_owned("connor");
    let d = interner.intern_with("connor", |_| unreachable!("it is there"));
    for other in [&b, &c, &d] {
        assert!(Interned::ptr_eq(&a, other));
        assert_eq!(Interned::as_ptr(&a), Interned::as_ptr(other));
    }
    assert_eq!(interner.len(), 1);
    assert_eq!(Interned::strong_count(&a), 4);
}

#[test]
fn different_contents_get_different_pointers() {
    let interner: Interner<str> = Interner::new();
    let (a, b) = (interner.intern("connor"), interner.intern("duncan"));
    assert_ne!(a, b);
    assert_eq!((&*a, &*b), ("connor", "duncan"));
    assert_eq!(interner.len(), 2);
}

#[test]
fn asking_enters_nothing() {
    let interner: Interner<str> = Interner::new();
    assert!(interner.get("x").is_none());
    assert!(!interner.contains("x"));
    assert_eq!((interner.len(), interner.is_empty()), (0, true));
    let x = interner.intern("x");
    assert!(interner.get("y").is_none());
    assert!(!interner.contains("y"));
    assert_eq!(interner.len(), 1);
    assert_eq!(interner.get("x"), Some(x));
}

#[test]
fn an_entry_is_gone_when_its_last_handle_is() {
    let census = Census::new();
    let interner: Interner<Counted> = Interner::new();
    let first = interner.intern_owned(Counted(1, census.citizen()));
    let second = first.clone();
    let other = interner.intern_owned(Counted(2, census.citizen()));
    drop(first);
    assert_eq!((interner.len(), census.alive()), (2, 2), "a handle is left");
    assert!(interner.contains(&*second));
    drop(second);
    assert_eq!((interner.len(), census.alive()), (1, 1));
    assert!(interner.get(&Counted(1, census.citizen())).is_none());
    drop(other);
    assert_eq!((interner.len(), census.alive()), (0, 0));
    assert!(interner.is_empty());
}

#[test]
fn after_a_value_has_gone_the_next_sample_becomes_canonical() {
    let census = Census::new();
    let interner: Interner<Counted> = Interner::new();
    for round in 1..=1000 {
        let handle = interner.intern_owned(Counted(1, census.citizen()));
        assert_eq!((census.born(), census.alive()), (round, 1));
        drop(handle);
    }
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_sample_that_is_not_needed_is_dropped_at_once() {
    let census = Census::new();
    let interner: Interner<Counted> = Interner::new();
    let canonical = interner.intern_owned(Counted(1, census.citizen()));
    let again = interner.intern_owned(Counted(1, census.citizen()));
    assert_eq!(canonical, again);
    assert_eq!((census.born(), census.alive()), (2, 1));
}

#[test]
fn an_owned_value_is_moved_in_not_cloned() {
    let boxes: Interner<[Box<u32>]> = Interner::new();
    let owned = vec![Box::new(1), Box::new(2)];
    let address: *const u32 = &*owned[1];
    let interned = boxes.intern_owned(owned);
    assert_eq!(&*interned[1] as *const u32, address);

    struct NotClone(u32);
    impl PartialEq for NotClone {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for NotClone {}
    impl Hash for NotClone {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    let interner: Interner<NotClone> = Interner::new();
    assert_eq!(interner.intern_owned(NotClone(7)).0, 7);
    let slices: Interner<[NotClone]> = Interner::new();
    assert_eq!(slices.intern_owned(vec![NotClone(7), NotClone(8)])[1].0, 8);
}

#[test]
fn a_slice_drops_each_of_its_elements_once() {
    let census = Census::new();
    let interner: Interner<[Counted]> = Interner::new();
    let sample = || {
        (0..5)
            .map(|i| Counted(i, census.citizen()))
            .collect::<Vec<_>>()
    };
    let held = interner.intern_owned(sample());
    let again = interner.intern_owned(sample());
    assert_eq!(held, again);
    assert_eq!(census.alive(), 5);
    drop((held, again));
    assert_eq!((census.born(), census.dead()), (10, 10));
}

#[test]
fn an_owned_value_is_built_from_a_query_on_a_miss_only() {
    let interner: Interner<String> = Interner::new();
    let mut built = 0;
    let mut ask = || {
        interner.intern_with("kurgan", |name| {
            built += 1;
            name.to_owned()
        })
    };
    let (a, b) = (ask(), ask());
    assert_eq!(a, b);
    assert_eq!(built, 1);
}

#[test]
fn a_made_value_that_is_not_what_was_asked_for_is_refused() {
    let interner: Interner<String> = Interner::new();
    let text = panic_of(|| interner.intern_with("kurgan", |_| "ramirez".to_owned()));
    assert!(text.contains("not equivalent"), "{text}");

    /// Equivalent to any string, but hashes unlike it.
    struct Any;
    impl Hash for Any {
        fn hash<H: Hasher>(&self, state: &mut H) {
            1u8.hash(state);
        }
    }
    impl Equivalent<String> for Any {
        fn equivalent(&self, _: &String) -> bool {
            true
        }
    }
    panic_of(|| interner.intern_with(&Any, |_| "ramirez".to_owned()));
    assert_eq!(interner.len(), 0);
    let held = interner.intern_with("kurgan", str::to_owned);
    assert_eq!((interner.len(), &**held), (1, "kurgan"));
}

#[test]
fn interners_do_not_share_values() {
    let (one, two): (Interner<str>, Interner<str>) = (Interner::new(), Interner::new());
    let a = one.intern("x");
    assert!(two.get("x").is_none());
    let b = two.intern("x");
    assert_ne!(a, b);
    assert_eq!(*a, *b);
    drop(a);
    assert_eq!((one.len(), two.len()), (0, 1));
}

#[test]
fn iteration_yields_every_live_value_once() {
    let interner: Interner<u32> = Interner::new();
    let mut held: Vec<_> = (0..1000).map(|i| interner.intern(&i)).collect();
    held.retain(|i| **i % 3 == 0);
    let mut seen: Vec<u32> = interner.iter().map(|i| *i).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..1000).filter(|i| i % 3 == 0).collect::<Vec<_>>());
    assert_eq!((&interner).into_iter().len(), held.len());
}

#[test]
fn iteration_yields_owners() {
    let interner: Interner<str> = Interner::new();
    let held = interner.intern("x");
    let mut iter = interner.iter();
    assert_eq!(iter.size_hint(), (1, Some(1)));
    drop(held);
    // BEHAVIOURS.md 1.12: what a live iterator has in hand stays alive, and goes with it.
    assert_eq!(interner.len(), 1);
    let yielded = iter.next().unwrap();
    assert!(iter.next().is_none());
    assert!(iter.next().is_none(), "fused");
    assert_eq!(interner.get("x"), Some(yielded.clone()));
    drop((iter, yielded));
    assert_eq!(interner.len(), 0);
}

#[test]
fn an_iterator_dropped_half_way_lets_go_of_the_rest() {
    let interner: Interner<u32> = Interner::new();
    let held: Vec<_> = (0..100).map(|i| interner.intern(&i)).collect();
    let mut iter = interner.iter();
    drop(held);
    let few: Vec<_> = iter.by_ref().take(10).collect();
    assert_eq!(interner.len(), 100);
    drop(iter);
    assert_eq!(interner.len(), 10);
    drop(few);
    assert_eq!(interner.len(), 0);
}

#[test]
fn anything_may_be_changed_while_iterating() {
    let interner: Interner<u32> = Interner::new();
    let mut held: Vec<_> = (0..100).map(|i| interner.intern(&i)).collect();
    let mut more = Vec::new();
    for (i, value) in interner.iter().enumerate() {
        assert!(*value < 100, "what came later is not in the snapshot");
        held.pop();
        more.push(interner.intern(&(1000 + i as u32)));
        if i % 10 == 0 {
            interner.shrink_to_fit();
            assert_eq!(interner.iter().len(), interner.len());
        }
    }
    assert!(held.is_empty());
    assert_eq!(interner.len(), 100);
}

#[test]
fn values_keep_their_address_and_content_while_the_table_grows_and_shrinks() {
    let interner: Interner<str> = Interner::new();
    let first: Vec<_> = (0..50)
        .map(|i| interner.intern(&format!("first {i}")))
        .collect();
    let addresses: Vec<_> = first.iter().map(Interned::as_ptr).collect();
    let more: Vec<_> = (0..20_000)
        .map(|i| interner.intern(&format!("more {i}")))
        .collect();
    drop(more);
    interner.shrink_to_fit();
    for (i, (value, address)) in first.iter().zip(&addresses).enumerate() {
        assert_eq!(Interned::as_ptr(value), *address);
        assert_eq!(**value, format!("first {i}"));
        assert_eq!(interner.get(&**value).as_ref(), Some(value));
    }
    assert_eq!(interner.len(), 50);
}

#[test]
fn colliding_contents_are_kept_apart() {
    let interner: Interner<str, Colliding> = Interner::default();
    let held: Vec<_> = (0..200).map(|i| interner.intern(&i.to_string())).collect();
    for (i, value) in held.iter().enumerate() {
        assert_eq!(interner.intern(&i.to_string()), *value);
    }
    assert!(interner.get("200").is_none());
    let mut odd = Vec::new();
    for (i, value) in held.into_iter().enumerate() {
        if i % 2 == 1 {
            odd.push(value);
        }
    }
    assert_eq!(interner.len(), 100);
    assert!((0..200).all(|i| interner.contains(i.to_string().as_str()) == (i % 2 == 1)));
}
