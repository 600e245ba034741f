//! Look-ups of many keys at once answer what single calls would, in order, whatever happens in between.

use crate::common::{panic_of, Identity};
use highlander::map::ByAddress;
use highlander::pointer::Watched;
use highlander::{Interner, Registry, StrongMap, WeakKeyMap, WeakKeyValueMap, WeakValueMap};
use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::Arc;
use std::thread;

/// Lengths around the size of a group.
const LENGTHS: [u32; 9] = [0, 1, 2, 15, 16, 17, 31, 33, 1000];

#[test]
fn many_keys_are_as_many_single_ones() {
    for len in LENGTHS {
        let keys: Vec<u32> = (0..len).map(|i| i * 7 % (len + 1)).collect();
        let registry: Registry<u32, u32> = Registry::new();
        let interner: Interner<u32> = Interner::new();
        assert!(registry.get_many(&keys).all(|found| found.is_none()));
        assert!(interner.get_many(&keys).all(|found| found.is_none()));
        let even = keys.iter().filter(|key| **key % 2 == 0);
        let _values: Vec<_> = even
            .clone()
            .map(|key| registry.get_or_insert_with(*key, |key| key + 1))
            .collect();
        let _interned: Vec<_> = even.clone().map(|key| interner.intern(key)).collect();
        let (strong, weak) = (StrongMap::new(), WeakValueMap::new());
        let arcs: Vec<_> = even.map(|key| (*key, Arc::new(key + 1))).collect();
        (&strong).extend(arcs.iter().cloned());
        (&weak).extend(arcs.iter().cloned());

        let single: Vec<_> = keys.iter().map(|key| registry.get(key)).collect();
        assert_eq!(registry.get_many(&keys).collect::<Vec<_>>(), single);
        let single: Vec<_> = keys.iter().map(|key| interner.get(key)).collect();
        assert_eq!(interner.get_many(&keys).collect::<Vec<_>>(), single);
        let single: Vec<_> = keys.iter().map(|key| strong.get(key)).collect();
        assert_eq!(strong.get_many(&keys).collect::<Vec<_>>(), single);
        assert_eq!(weak.get_many(&keys).collect::<Vec<_>>(), single);
        let all: Vec<_> = interner.intern_many(&keys).collect();
        assert_eq!(all.iter().map(|it| **it).collect::<Vec<_>>(), keys);
        assert_eq!(interner.get_many(&keys).flatten().collect::<Vec<_>>(), all);
    }
}

#[test]
fn weak_keys_are_asked_for_by_target_and_by_address() {
    let owned: Vec<Arc<str>> = ["a", "b", "c"].map(Arc::from).to_vec();
    let sizes: WeakKeyMap<Arc<str>, usize> = WeakKeyMap::new();
    let pairs: WeakKeyValueMap<Arc<str>, Arc<str>, ByAddress> = WeakKeyValueMap::new();
    for key in &owned[..2] {
        sizes.insert(key, key.len());
        pairs.insert(key, key.clone());
    }
    assert!(sizes.get_many(["a", "c", "b"]).eq([Some(1), None, Some(1)]));
    let found: Vec<_> = pairs.get_many(&owned).collect();
    assert_eq!(
        found,
        [Some(owned[0].clone()), Some(owned[1].clone()), None]
    );
}

#[test]
fn it_says_how_many_there_are_and_ends_for_good() {
    let map: StrongMap<u32, u32> = (0..40).map(|i| (i, i)).collect();
    let keys: Vec<u32> = (0..40).collect();
    let mut found = map.get_many(&keys);
    for left in (1..=40).rev() {
        assert_eq!(found.size_hint(), (left, Some(left)));
        assert_eq!(found.next(), Some(Some(40 - left as u32)));
    }
    assert_eq!((found.size_hint(), found.next()), ((0, Some(0)), None));
    assert_eq!(found.next(), None);
    assert_eq!(map.get_many(std::iter::repeat(&7)).size_hint().1, None);
    assert_eq!(map.get_many(std::iter::repeat(&7)).nth(1000), Some(Some(7)));
}

#[test]
fn a_key_is_looked_up_when_the_iterator_comes_to_it() {
    let registry: Registry<u32, u32> = Registry::new();
    let keys: Vec<u32> = (0..200).collect();
    let mut kept = Vec::new();
    let mut found = registry.get_many(&keys);
    for key in &keys {
        // In the same group, and the table grows meanwhile.
        assert_eq!(found.next().unwrap(), kept.last().cloned());
        kept = vec![registry.get_or_insert_with(key + 1, |key| *key)];
    }
    drop(kept);
    assert!(registry.is_empty());
}

/// A key whose hash panics when it is told to.
#[derive(PartialEq, Eq, Debug)]
struct Bomb(u32, Cell<bool>);

impl Hash for Bomb {
    fn hash<H: Hasher>(&self, state: &mut H) {
        assert!(!self.1.get(), "boom");
        state.write_u64(self.0.into());
    }
}

#[test]
fn a_hash_that_panics_loses_no_key_of_the_group_before_it() {
    let map: StrongMap<Bomb, u32, Identity> = StrongMap::with_hasher(Identity);
    for key in 1..4 {
        map.insert(Bomb(key, Cell::new(false)), key);
    }
    let keys = [1, 3, 2, 1].map(|key| Bomb(key, Cell::new(key == 2)));
    let mut found = map.get_many(&keys);
    assert_eq!(panic_of(|| found.next()), "boom");
    // What was hashed before is looked up, then what comes behind the one that panicked.
    assert_eq!(found.collect::<Vec<_>>(), [Some(1), Some(3), Some(1)]);
}

#[test]
fn inside_a_creation_the_draft_is_found() {
    let registry: Registry<u32, Vec<u32>> = Registry::new();
    let value = registry.entry(1).or_create_cyclic(
        |_| Vec::new(),
        |draft| {
            let found: Vec<_> = registry.get_many(&[1, 2]).collect();
            assert!(found[0].is_some() && found[1].is_none());
            let _ = draft;
        },
    );
    assert!(registry.get_many(&[1]).eq([Some(value)]));
}

#[test]
fn the_key_of_what_dies_while_many_are_asked_for_goes_too() {
    static KEYS: AtomicUsize = AtomicUsize::new(0);
    #[derive(PartialEq, Eq, Hash)]
    struct Key(u32);
    impl Drop for Key {
        fn drop(&mut self) {
            KEYS.fetch_sub(1, SeqCst);
        }
    }
    let key = |number| {
        KEYS.fetch_add(1, SeqCst);
        Key(number)
    };
    let map: WeakValueMap<Key, Watched<u32>> = WeakValueMap::new();
    let asked: Vec<Key> = (0..40).map(key).collect();
    for round in 0..if cfg!(debug_assertions) { 200 } else { 2000 } {
        let values: Vec<_> = (0..40).map(Watched::new).collect();
        for value in &values {
            map.insert(key(**value), value.clone());
        }
        thread::scope(|scope| {
            scope.spawn(|| {
                // Nobody comes to the rest.
                let found = map.get_many(&asked).take(round % 40);
                found.flatten().for_each(|value| assert!(*value < 40));
            });
            drop(values);
        });
        assert_eq!(
            (map.entry_count(), KEYS.load(SeqCst)),
            (0, 40),
            "in round {round}"
        );
    }
}

#[test]
fn others_may_insert_and_drop_meanwhile() {
    let interner: Interner<str> = Interner::new();
    let words: Vec<String> = (0..5000).map(|i| format!("word {i}")).collect();
    let held: Vec<_> = words.iter().map(|word| interner.intern(word)).collect();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(SeqCst) {
                let others: Vec<_> = (0..2000)
                    .map(|i| interner.intern(&format!("other {i}")))
                    .collect();
                drop(others);
            }
        });
        for _ in 0..20 {
            let all = words.iter().map(String::as_str);
            assert!(interner.intern_many(all.clone()).eq(held.iter().cloned()));
            assert!(interner.get_many(all).flatten().eq(held.iter().cloned()));
        }
        done.store(true, SeqCst);
    });
    assert_eq!(interner.len(), 5000);
}
