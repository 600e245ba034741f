//! Hashers: keyed by default, and any other that a user brings, however bad.

use crate::common::{promptly, Colliding, Identity};
use highlander::hash::DefaultHashBuilder;
use highlander::pointer::Watched;
use highlander::{Handle, Interner, Registry};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

fn fill_find_and_empty<S: BuildHasher>(
    registry: Registry<u64, u64, S>,
    keys: impl Iterator<Item = u64> + Clone,
) {
    let mut held: Vec<_> = keys
        .clone()
        .map(|key| registry.get_or_insert_with(key, |key| !key))
        .collect();
    assert_eq!(registry.len(), held.len());
    assert!(keys
        .clone()
        .zip(&held)
        .all(|(key, handle)| Handle::ptr_eq(&registry.get(&key).unwrap(), handle)));
    assert_eq!(
        registry
            .iter()
            .map(|h| *Handle::key(&h))
            .collect::<HashSet<_>>(),
        keys.clone().collect()
    );
    while held.pop().is_some() {
        assert_eq!(registry.len(), held.len());
    }
    assert!(keys.clone().all(|key| registry.get(&key).is_none()));
}

#[test]
fn one_hash_for_all_keys_is_slow_but_right() {
    fill_find_and_empty(Registry::with_hasher(Colliding), 0..300);
}

/// Each key counts, when it is compared, how many owners the values have beside those that the test holds.
#[test]
fn a_look_up_among_many_keys_with_one_hash_owns_a_few_of_them_at_a_time() {
    thread_local! {
        static HELD: RefCell<Vec<Handle<Counting, u32>>> = const { RefCell::new(Vec::new()) };
        static MOST: Cell<usize> = const { Cell::new(0) };
    }
    // The derived hash is of what is compared.
    #[allow(clippy::derived_hash_with_manual_eq)]
    #[derive(Eq, Hash)]
    struct Counting(u32);
    impl PartialEq for Counting {
        fn eq(&self, other: &Self) -> bool {
            let owned = HELD.with_borrow(|held| {
                let owners = held.iter().map(Handle::strong_count).sum::<usize>();
                owners - held.len()
            });
            MOST.set(MOST.get().max(owned));
            self.0 == other.0
        }
    }
    const KEYS: u32 = 200;
    const FEW: usize = 64;
    let registry: Registry<Counting, u32, Colliding> = Registry::with_hasher(Colliding);
    for key in 0..KEYS {
        let handle = registry.get_or_insert_with(Counting(key), |_| key);
        HELD.with_borrow_mut(|held| held.push(handle));
    }
    assert!((1..=FEW).contains(&MOST.take()));
    for key in 0..KEYS {
        assert_eq!(registry.get(&Counting(key)).map(|found| *found), Some(key));
        assert!(registry.insert(Counting(key), 0).1.is_some());
    }
    assert!(registry.get(&Counting(KEYS)).is_none());
    assert!((1..=FEW).contains(&MOST.take()));
    HELD.take();
    assert_eq!(registry.len(), 0);
}

#[test]
fn many_keys_with_one_hash_take_quadratic_time_and_no_longer() {
    // Where each insertion looks for each key in a list of all others, this takes minutes.
    promptly(|| fill_find_and_empty(Registry::with_hasher(Colliding), 0..3000));
}

#[test]
fn numbers_may_hash_as_themselves() {
    fill_find_and_empty(Registry::with_hasher(Identity), 0..5000);
    fill_find_and_empty(
        Registry::with_hasher(Identity),
        (0..500u64).map(|i| i.rotate_right(8)),
    );
    fill_find_and_empty(Registry::with_hasher(Identity), (0..5000).map(|i| i << 32));
    fill_find_and_empty(
        Registry::with_hasher(Identity),
        (0..500).map(|i| u64::MAX - i),
    );
}

#[test]
fn small_numbers_that_hash_as_themselves_do_not_crowd_into_one_bucket() {
    // A look-up of a key that collides with n others acquires each; all of them at once would take minutes.
    fill_find_and_empty(Registry::with_hasher(Identity), 0..50_000);
}

#[test]
fn a_standard_random_state_works_as_it_is() {
    fill_find_and_empty(Registry::with_hasher(RandomState::new()), 0..1000);
    let interner: Interner<str, RandomState> = Interner::default();
    let a = interner.intern("x");
    assert_eq!(interner.get("x"), Some(a));
    let sized = Interner::<u32, RandomState>::with_capacity_and_hasher(100, RandomState::new());
    assert!(sized.capacity() >= 100);
}

#[test]
fn a_hasher_with_a_state_is_used_and_can_be_asked_for() {
    #[derive(Clone)]
    struct Salted(u64);
    impl BuildHasher for Salted {
        type Hasher = std::collections::hash_map::DefaultHasher;

        fn build_hasher(&self) -> Self::Hasher {
            let mut hasher = Self::Hasher::new();
            hasher.write_u64(self.0);
            hasher
        }
    }
    let registry: Registry<u32, u32, Salted> = Registry::with_capacity_and_hasher(10, Salted(7));
    let interner: Interner<str, Salted> = Interner::with_hasher(Salted(8));
    assert_eq!((registry.hasher().0, interner.hasher().0), (7, 8));
    let (a, b) = (registry.get_or_insert_with(1, |_| 1), interner.intern("x"));
    assert_eq!(*registry.get(&1).unwrap(), *a);
    assert_eq!(interner.get("x"), Some(b));
}

#[test]
fn the_default_hasher_gives_a_key_one_hash_and_different_keys_different_ones() {
    let hash = |value: &str| DefaultHashBuilder.hash_one(value);
    assert_eq!(hash("a"), hash("a"));
    let hashes: HashSet<u64> = (0..10_000u32)
        .map(|i| DefaultHashBuilder.hash_one(i))
        .collect();
    assert_eq!(hashes.len(), 10_000);
    // A `str` hashes as a `String`, and a slice as a `Vec`: what borrowed look-ups stand on.
    assert_eq!(hash("a"), DefaultHashBuilder.hash_one("a".to_string()));
    assert_eq!(
        DefaultHashBuilder.hash_one([1u16, 2].as_slice()),
        DefaultHashBuilder.hash_one(vec![1u16, 2])
    );
}

#[test]
fn the_default_hasher_hashes_each_width_by_its_value() {
    fn distinct<T: Hash>(values: impl IntoIterator<Item = T>) -> usize {
        values
            .into_iter()
            .map(|value| DefaultHashBuilder.hash_one(value))
            .collect::<HashSet<_>>()
            .len()
    }
    assert_eq!(distinct(0..=u8::MAX), 256);
    assert_eq!(distinct(0..1000u16), 1000);
    assert_eq!(distinct((0..128).map(|i| 1u128 << i)), 128);
    assert_eq!(distinct((0..1000).map(|i| i as usize)), 1000);
    assert_eq!(distinct(-500..500i64), 1000);
    assert_eq!(distinct((0..100).map(|n| vec![0u8; n])), 100);
}

#[test]
fn the_default_hashers_secret_is_not_printed() {
    let mut hasher = DefaultHashBuilder.build_hasher();
    assert_eq!(format!("{hasher:?}"), "DefaultHasher { .. }");
    hasher.write(b"x");
    assert_eq!(hasher.clone().finish(), hasher.finish());
    assert_eq!(format!("{hasher:?}"), "DefaultHasher { .. }");
    assert_eq!(std::mem::size_of::<DefaultHashBuilder>(), 0);
}

/// Words that collide under foldhash's fixed seed, which everybody knows. The table must not be told that hash of them.
#[test]
fn weak_handles_hash_with_the_secret_of_the_process() {
    const FIRST_WORD: u64 = 0x6c89_082e_fa98_ec4e;
    let words: Vec<Vec<u8>> = (0..1000u64)
        .map(|i| [FIRST_WORD.to_ne_bytes(), i.to_ne_bytes()].concat())
        .collect();
    let distinct = |hashes: &mut dyn Iterator<Item = u64>| hashes.collect::<HashSet<_>>().len();
    let public = foldhash::fast::FixedState::default();
    let mut known = words.iter().map(|word| public.hash_one(word));
    assert_eq!(distinct(&mut known), 1, "foldhash has new constants");

    let registry: Registry<usize, Vec<u8>> = Registry::new();
    let enter = |(i, word): (usize, &Vec<u8>)| registry.insert(i, word.clone()).0;
    let handles: Vec<_> = words.iter().enumerate().map(enter).collect();
    let weak = handles.iter().map(Handle::downgrade);
    assert_eq!(
        distinct(&mut weak.map(|weak| Identity.hash_one(weak))),
        1000
    );

    let watched: Vec<_> = words.into_iter().map(Watched::new).collect();
    let weak = watched.iter().map(Watched::downgrade);
    assert_eq!(
        distinct(&mut weak.map(|weak| Identity.hash_one(weak))),
        1000
    );
}

/// The default hasher leaves out the end mark that `str` writes behind its bytes; what that mark is for must hold all the same.
#[test]
fn strings_that_are_cut_elsewhere_hash_differently() {
    // No run of one letter: there the function itself (foldhash) confuses some lengths, under some seeds, with end marks or without.
    let text = "The quick brown fox jumps over a lazy dog\u{ff}";
    let cuts: Vec<usize> = (0..=text.len())
        .filter(|&at| text.is_char_boundary(at))
        .collect();
    let mut hashes = std::collections::HashSet::new();
    for &one in &cuts {
        for &two in cuts.iter().filter(|&&two| two >= one) {
            let parts = (&text[..one], &text[one..two], &text[two..]);
            assert!(
                hashes.insert(DefaultHashBuilder.hash_one(parts)),
                "{parts:?}"
            );
        }
    }
    // A byte of the same value that is not such a mark counts.
    let bytes = |a: u8, b: u8, c: u8| DefaultHashBuilder.hash_one((a, b, c));
    assert_ne!(bytes(255, 7, 255), bytes(7, 255, 255));
    assert_ne!(bytes(255, 255, 7), bytes(255, 7, 255));
    assert_ne!(
        DefaultHashBuilder.hash_one(("x", 255u8)),
        DefaultHashBuilder.hash_one("x")
    );
    assert_ne!(
        DefaultHashBuilder.hash_one(("x", 255u8, 1u8)),
        DefaultHashBuilder.hash_one(("x", 1u8))
    );
}
