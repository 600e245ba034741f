//! How many fit, growing and shrinking, `len`, and registries that are constants.

use crate::common::{panic_of, Colliding, Dice};
use highlander::hash::DefaultHashBuilder;
use highlander::{Handle, Interner, Registry};
#[cfg(target_os = "linux")]
use highlander::{StrongMap, WeakKeyMap, WeakKeyValueMap, WeakSet, WeakValueMap};
use std::any::TypeId;
use std::ffi::{CStr, OsStr};
use std::hash::BuildHasherDefault;
use std::path::Path;
#[cfg(target_os = "linux")]
use std::sync::Arc;

static CLASSES: Registry<TypeId, String> = Registry::new();
static WORDS: Interner<str> = Interner::new();
static BYTES: Interner<[u8]> = Interner::new();
static PATHS: Interner<Path> = Interner::new();
static OS: Interner<OsStr> = Interner::new();
static C: Interner<CStr> = Interner::new();
static NUMBERS: Interner<u64> = Interner::new();
static WITH_HASHER: Registry<u32, u32, Colliding> = Registry::with_hasher(Colliding);
static INTERNER_WITH_HASHER: Interner<str, Colliding> = Interner::with_hasher(Colliding);
static STANDARD: Registry<u32, u32, BuildHasherDefault<std::collections::hash_map::DefaultHasher>> =
    Registry::with_hasher(BuildHasherDefault::new());

#[test]
fn registries_can_be_statics() {
    let class = CLASSES.get_or_insert_with(TypeId::of::<u32>(), |_| "u32".to_string());
    assert_eq!(
        CLASSES.get(&TypeId::of::<u32>()).as_deref(),
        Some(&"u32".to_string())
    );
    assert!(CLASSES.get(&TypeId::of::<u64>()).is_none());
    drop(class);
    assert!(CLASSES.is_empty());
    assert_eq!(WORDS.intern("a"), WORDS.intern("a"));
    assert_eq!(BYTES.intern(b"a"), BYTES.intern(b"a"));
    assert_eq!(PATHS.intern(Path::new("a")), PATHS.intern(Path::new("a")));
    assert_eq!(OS.intern(OsStr::new("a")), OS.intern(OsStr::new("a")));
    assert_eq!(C.intern(c"a"), C.intern(c"a"));
    assert_eq!(NUMBERS.intern(&1), NUMBERS.intern(&1));
    let (held, interned) = (
        WITH_HASHER.get_or_insert_with(1, |_| 1),
        INTERNER_WITH_HASHER.intern("a"),
    );
    assert!(WITH_HASHER.contains_key(&*held) && INTERNER_WITH_HASHER.contains(&*interned));
    assert_eq!(*STANDARD.get_or_insert_with(1, |_| 2), 2);
}

#[test]
fn a_constant_registry_is_made_anew_at_each_use() {
    const fn make() -> Registry<u32, u32> {
        Registry::new()
    }
    static ONE: Registry<u32, u32> = make();
    let two = const { Registry::<u32, u32>::with_hasher(DefaultHashBuilder) };
    let _held = ONE.get_or_insert_with(1, |_| 1);
    assert!(two.get(&1).is_none());
}

#[test]
fn a_new_registry_has_no_capacity_and_one_with_capacity_has_at_least_that() {
    assert_eq!(
        (
            Registry::<u32, u32>::new().capacity(),
            Interner::<str>::new().capacity()
        ),
        (0, 0)
    );
    assert_eq!(Registry::<u32, u32>::with_capacity(0).capacity(), 0);
    for capacity in [1, 2, 7, 17, 18, 100, 1000, 12_345] {
        let (registry, interner) = (
            Registry::<u32, u32>::with_capacity(capacity),
            Interner::<u32>::with_capacity(capacity),
        );
        assert!(registry.capacity() >= capacity && interner.capacity() >= capacity);
        assert!(
            registry.capacity() <= capacity * 2 + 32,
            "{} for {capacity}",
            registry.capacity()
        );
        assert_eq!((registry.len(), interner.len()), (0, 0));
    }
    let hashed = Registry::<u32, u32, Colliding>::with_capacity_and_hasher(100, Colliding);
    assert!(hashed.capacity() >= 100);
}

#[test]
fn what_fits_does_not_make_it_grow() {
    let registry: Registry<u32, u32> = Registry::with_capacity(10_000);
    let capacity = registry.capacity();
    let _held: Vec<_> = (0..10_000)
        .map(|i| registry.get_or_insert_with(i, |i| *i))
        .collect();
    assert_eq!(registry.capacity(), capacity);
}

#[test]
fn what_is_reserved_is_there_and_makes_it_grow_no_more() {
    for before in [0, 1, 20, 500, 3000] {
        for additional in [0, 1, 10, 100, 5000, 60_000] {
            let registry: Registry<usize, usize> = Registry::new();
            let interner: Interner<usize> = Interner::new();
            let mut held: Vec<_> = (0..before)
                .map(|i| (registry.insert(i, i).0, interner.intern(&i)))
                .collect();
            registry.reserve(additional);
            interner.reserve(additional);
            let capacity = (registry.capacity(), interner.capacity());
            assert!(capacity.0 >= before + additional && capacity.1 >= before + additional);
            assert!(capacity.0 <= (before + additional) * 2 + 32);
            held.extend(
                (before..before + additional)
                    .map(|i| (registry.insert(i, i).0, interner.intern(&i))),
            );
            assert_eq!((registry.capacity(), interner.capacity()), capacity);
            registry.reserve(0);
            assert_eq!(registry.capacity(), capacity.0, "there is room already");
            assert!(
                (0..held.len()).all(|i| registry.get(&i).as_ref() == Some(&held[i].0)
                    && interner.get(&i).as_ref() == Some(&held[i].1))
            );
            assert_eq!(registry.iter().len(), held.len());
            drop(held);
            assert_eq!((registry.len(), interner.len()), (0, 0));
            registry.shrink_to_fit();
            assert!(registry.capacity() < 50);
        }
    }
}

#[test]
fn a_table_that_is_just_growing_or_spilling_can_be_reserved() {
    for before in 1..300 {
        let registry: Registry<u64, u64> = Registry::new();
        let held: Vec<_> = (0..before).map(|i| registry.insert(i, i).0).collect();
        registry.reserve(7 * before as usize);
        assert!(registry.capacity() >= 8 * before as usize);
        assert!((0..before).all(|i| registry.get(&i).as_ref() == Some(&held[i as usize])));
        assert_eq!(registry.iter().len(), held.len());
    }
    let colliding: Registry<u64, u64, Colliding> = Registry::with_hasher(Colliding);
    let held: Vec<_> = (0..100).map(|i| colliding.insert(i, i).0).collect();
    colliding.reserve(1000);
    assert!(held
        .iter()
        .all(|held| colliding.get(&**held).as_ref() == Some(held)));
}

#[test]
fn to_reserve_nothing_allocates_nothing() {
    let registry: Registry<u32, u32> = Registry::new();
    registry.reserve(0);
    assert_eq!(registry.capacity(), 0);
}

#[test]
fn those_who_reserve_grow_and_shrink_at_once_lose_nothing() {
    let registry: Registry<u32, u32> = Registry::new();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let inserters: Vec<_> = (0..2)
            .map(|thread| {
                let registry = &registry;
                scope.spawn(move || {
                    let mut held: Vec<Handle<u32, u32>> = Vec::new();
                    for i in 0..20_000 {
                        held.push(registry.insert(i * 2 + thread, i).0);
                        let earlier = &held[held.len() / 2];
                        let found = registry.get(Handle::key(earlier)).unwrap();
                        assert!(Handle::ptr_eq(&found, earlier));
                    }
                    held
                })
            })
            .collect();
        for seed in 0..2 {
            let (registry, done) = (&registry, &done);
            scope.spawn(move || {
                let mut dice = Dice::new(seed + 1);
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let additional = 1 << dice.below(14);
                    registry.reserve(additional);
                    assert!(registry.get(&u32::MAX).is_none());
                    if dice.below(4) == 0 {
                        registry.shrink_to_fit();
                    }
                }
            });
        }
        let held: Vec<_> = inserters
            .into_iter()
            .flat_map(|inserter| inserter.join().unwrap())
            .collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(held
            .iter()
            .all(|held| registry.get(Handle::key(held)).as_ref() == Some(held)));
        assert_eq!((registry.len(), registry.iter().len()), (40_000, 40_000));
    });
}

#[test]
fn a_capacity_that_no_table_can_have_is_refused() {
    assert!(
        panic_of(|| Registry::<u32, u32>::with_capacity(usize::MAX)).contains("capacity overflow")
    );
    assert!(
        panic_of(|| Interner::<str>::with_capacity(usize::MAX / 2)).contains("capacity overflow")
    );
    let registry: Registry<u32, u32> = Registry::new();
    for _ in 0..2 {
        for absurd in [usize::MAX, usize::MAX / 2, usize::MAX / 64] {
            let text = panic_of(|| registry.reserve(absurd));
            assert!(text.contains("capacity overflow"), "{text}");
        }
        let held = registry.insert(1, 1).0;
        assert_eq!(registry.get(&1), Some(held));
    }
}

#[test]
fn len_is_exact_all_the_way_up_and_down() {
    let registry: Registry<u32, u32> = Registry::new();
    let interner: Interner<str> = Interner::new();
    let mut held = Vec::new();
    for i in 0..3000 {
        held.push((
            registry.get_or_insert_with(i, |i| *i),
            interner.intern(&i.to_string()),
        ));
        drop(registry.get(&i));
        drop(registry.get_or_insert_with(i, |_| unreachable!()));
        drop(registry.try_insert(i, 0));
        drop(registry.get_or_try_insert_with(i + 1_000_000, |_| Err::<u32, _>(String::new())));
        assert_eq!((registry.len(), interner.len()), (held.len(), held.len()));
    }
    while held.pop().is_some() {
        assert_eq!((registry.len(), interner.len()), (held.len(), held.len()));
    }
    assert!(registry.is_empty() && interner.is_empty());
}

#[test]
fn it_grows_to_two_hundred_thousand_and_shrinks_again() {
    let interner: Interner<str> = Interner::new();
    let mut held: Vec<_> = (0..200_000)
        .map(|i| interner.intern(&format!("k{i}")))
        .collect();
    assert_eq!(interner.len(), 200_000);
    assert!(
        (200_000..800_000).contains(&interner.capacity()),
        "{}",
        interner.capacity()
    );
    assert!((0..200_000).all(|i| interner.get(format!("k{i}").as_str()).as_ref() == Some(&held[i])));
    assert_eq!(interner.iter().len(), 200_000);
    held.truncate(1000);
    assert_eq!(interner.len(), 1000);
    interner.shrink_to_fit();
    assert!(
        (1000..2000).contains(&interner.capacity()),
        "{}",
        interner.capacity()
    );
    assert!((0..1000).all(|i| interner.get(format!("k{i}").as_str()).as_ref() == Some(&held[i])));
    assert!((1000..2000).all(|i| interner.get(format!("k{i}").as_str()).is_none()));
    held.extend((0..50_000).map(|i| interner.intern(&format!("again {i}"))));
    assert_eq!((interner.len(), interner.iter().len()), (51_000, 51_000));
    drop(held);
    interner.shrink_to_fit();
    assert_eq!(interner.len(), 0);
    assert!(interner.capacity() < 50, "{}", interner.capacity());
}

#[test]
fn shrinking_in_the_middle_of_growing_loses_nothing() {
    let registry: Registry<u32, u32> = Registry::new();
    let mut held = Vec::new();
    for i in 0..5000 {
        held.push(registry.get_or_insert_with(i, |i| *i));
        if i % 7 == 0 {
            registry.shrink_to_fit();
        }
        if i % 100 == 0 {
            assert!(held
                .iter()
                .enumerate()
                .all(|(i, h)| Handle::ptr_eq(&registry.get(&(i as u32)).unwrap(), h)));
            assert_eq!(registry.iter().len(), held.len());
        }
    }
    assert_eq!(registry.len(), 5000);
}

#[test]
fn values_that_were_taken_out_do_not_count_and_are_not_shrunk_away() {
    let registry: Registry<u32, u32> = Registry::new();
    let held: Vec<_> = (0..5000)
        .map(|i| registry.get_or_insert_with(i, |i| *i))
        .collect();
    assert_eq!(registry.clear(), 5000);
    registry.shrink_to_fit();
    assert_eq!((registry.len(), registry.iter().len()), (0, 0));
    assert!(held.iter().enumerate().all(|(i, h)| **h == i as u32));
    assert!(registry.capacity() < 50);
}

/// The system reads files to tell how many processors there are, so the reads of this thread are counted.
#[cfg(target_os = "linux")]
#[test]
fn making_registries_and_maps_asks_the_system_for_nothing() {
    fn reads() -> u64 {
        let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
        let reads = io.lines().find_map(|line| line.strip_prefix("syscr: "));
        reads.unwrap().parse().unwrap()
    }
    fn make_some() {
        let registry: Registry<u32, u32> = Registry::new();
        drop(registry.get_or_insert_with(1, |_| 1));
        drop(Interner::<str>::new().intern("x"));
        let key = Arc::new(1);
        drop(WeakValueMap::<u32, Arc<u32>>::new().insert(1, Arc::clone(&key)));
        let made = WeakValueMap::<u32, Arc<u32>>::new().get_or_insert_with(1, |_| Arc::clone(&key));
        drop(made);
        assert!(WeakKeyMap::<Arc<u32>, u32>::new().insert(&key, 1).is_none());
        drop(WeakKeyValueMap::<Arc<u32>, Arc<u32>>::new().insert(&key, Arc::clone(&key)));
        assert!(StrongMap::<u32, u32>::new().insert(1, 1).is_none());
        WeakSet::<Arc<u32>>::new().insert(&key);
    }
    make_some();
    let before = reads();
    let of_counting = reads() - before;
    assert!(of_counting > 0);
    let before = reads();
    (0..10).for_each(|_| make_some());
    assert_eq!(reads() - before, of_counting);
}
