//! Maps that are told of a death, while values and keys die.

use crate::support::*;
use highlander::pointer::{Token, Watched};
use highlander::{Equivalent, Handle, WeakKeyValueMap, WeakValueMap};
use loom::thread;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

/// A key or value at a place of the table, equal to others with the same key, and counted.
struct Placed {
    key: Key,
    token: Token,
    counted: Counted,
}

impl Placed {
    fn new(key: Key, tally: &Tally) -> Watched<Placed> {
        Watched::new(Placed {
            key,
            token: Token::new(),
            counted: tally.value(),
        })
    }
}

impl PartialEq for Placed {
    fn eq(&self, other: &Self) -> bool {
        self.counted.read();
        self.key == other.key
    }
}

impl Eq for Placed {}

impl Hash for Placed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl Equivalent<Placed> for Key {
    fn equivalent(&self, other: &Placed) -> bool {
        other.counted.read();
        *self == other.key
    }
}

type Both =
    WeakKeyValueMap<Watched<Placed>, Watched<Placed>, highlander::map::ByEquality, PlacedHasher>;
type Values<P> = WeakValueMap<Key, P, PlacedHasher>;

#[test]
fn key_dies_against_value_dies() {
    model_with(2, || {
        let tally = Tally::default();
        let told = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&told);
        let map = Both::default().on_remove(move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let (key, value) = (Placed::new(A, &tally), Placed::new(B, &tally));
        map.insert(&key, value.clone());
        let other = thread::spawn(move || drop(key));
        drop(value);
        other.join().unwrap();
        assert_eq!((map.entry_count(), tally.live()), (0, 0));
        assert_eq!(told.load(Ordering::Relaxed), 1, "hook");
    });
}

#[test]
fn key_dies_against_look_up() {
    model_with(2, || {
        let tally = Tally::default();
        let map = Arc::new(Both::default());
        let (key, value) = (Placed::new(A, &tally), Placed::new(B, &tally));
        map.insert(&key, value.clone());
        let other = thread::spawn(move || drop(key));
        if let Some(key) = map.get_by_value(&value) {
            key.counted.read();
        }
        other.join().unwrap();
        assert_eq!(map.entry_count(), 0);
        drop(value);
        assert_eq!(tally.live(), 0);
    });
}

/// An equal key is entered while the value is made, and dies while that is to be entered.
#[test]
fn creation_by_a_borrowed_key_against_the_death_of_an_equal_one() {
    model_with(1, || {
        let tally = Tally::default();
        let map = Both::default();
        let theirs = Placed::new(B, &tally);
        let mut other = None;
        let make_key = |_: &Key| Placed::new(A, &tally);
        let (key, value) = map.entry_ref(&A).key_with(make_key).or_insert_with(|_| {
            let key = Placed::new(A, &tally);
            assert!(map.try_insert(&key, theirs.clone()).is_ok());
            other = Some(thread::spawn(move || drop(key)));
            Placed::new(B, &tally)
        });
        // Whoever has got a key from a creation finds its entry under it.
        let found = map.get_key_value(&A);
        let is_it =
            found.is_some_and(|(k, v)| Watched::ptr_eq(&k, &key) && Watched::ptr_eq(&v, &value));
        assert!(is_it, "it is stored");
        other.expect("made").join().unwrap();
        drop((key, theirs));
        assert_eq!(map.entry_count(), 0);
        drop(value);
        assert_eq!(tally.live(), 0);
    });
}

#[test]
fn value_dies_against_look_up() {
    model_with(2, || {
        let tally = Tally::default();
        let map = Arc::new(Values::default());
        let value = Placed::new(A, &tally);
        map.insert(A, value.clone());
        let other = thread::spawn(move || drop(value));
        if let Some(value) = map.get(&A) {
            value.counted.read();
        }
        other.join().unwrap();
        assert_eq!((map.entry_count(), tally.live()), (0, 0));
    });
}

/// Whoever is last, the report or the look-up, drops the key: nothing waits for a later call.
#[test]
fn the_key_of_what_dies_goes_with_a_look_up() {
    // Without, a look-up of a model becomes an owner.
    let _reclaim = Switch::on(highlander::model::set_reclaim);
    model_with(2, || {
        let tally = Tally::default();
        let map = Arc::new(WeakValueMap::<Placed, Watched<u32>, PlacedHasher>::default());
        let key = Placed {
            key: A,
            token: Token::new(),
            counted: tally.value(),
        };
        let value = map.get_or_insert_with(key, |_| Watched::new(1));
        let other = {
            let map = Arc::clone(&map);
            thread::spawn(move || drop(map.get(&A)))
        };
        drop(value);
        other.join().unwrap();
        assert_eq!((map.entry_count(), tally.live()), (0, 0));
    });
}

#[test]
fn token_drop_against_creation_of_a_successor() {
    model_with(2, || {
        let tally = Tally::default();
        let map = Arc::new(Values::default());
        // It lets go of the token before its value is dropped, but after its weak pointers are dead.
        let old = Placed::new(A, &tally);
        map.insert_with_token(A, old.clone(), |old| &old.token);
        let other = thread::spawn(move || drop(old));
        let new = map.get_or_insert_with(A, |_| Placed::new(A, &tally));
        new.counted.read();
        other.join().unwrap();
        // The same, if the look-up was an owner of the old one.
        assert_eq!(map.entry_count(), 1);
        assert!(map
            .get(&A)
            .is_some_and(|found| Watched::ptr_eq(&found, &new)));
        drop(new);
        assert_eq!(tally.live(), 0);
    });
}

#[test]
fn last_drop_against_registration_through_a_map() {
    model_with(1, || {
        let tally = Tally::default();
        let map = Values::default();
        let one = Placed::new(A, &tally);
        map.insert(A, one.clone());
        let two = one.clone();
        let other = thread::spawn(move || drop(one));
        map.insert(B, two);
        other.join().unwrap();
        assert_eq!((map.entry_count(), tally.live()), (0, 0));
    });
}

#[test]
fn map_dies_against_value_dies() {
    model_with(2, || {
        let tally = Tally::default();
        let map = Values::default();
        let value = Placed::new(A, &tally);
        map.insert(A, value.clone());
        let other = thread::spawn(move || drop(value));
        drop(map);
        other.join().unwrap();
        assert_eq!(tally.live(), 0);
    });
}

#[test]
fn handle_dies_against_creation_from_its_callback() {
    model_with(2, || {
        let (registry, tally) = (registry(), Tally::default());
        let map = Arc::new(Values::default());
        let handle = registry.try_insert(A, tally.value()).ok().unwrap();
        map.insert(A, handle.clone());
        Handle::on_death(&handle, {
            let (registry, map, tally) = (Arc::clone(&registry), Arc::clone(&map), tally.clone());
            move || {
                assert_eq!((registry.len(), map.entry_count()), (0, 0), "out of both");
                let next = registry.get_or_insert_with(A, |_| tally.value());
                next.read();
            }
        })
        .keep();
        let other = thread::spawn(move || drop(handle));
        if let Some(handle) = registry.get(&A) {
            handle.read();
        }
        other.join().unwrap();
        assert_eq!((registry.len(), map.entry_count(), tally.live()), (0, 0, 0));
    });
}
