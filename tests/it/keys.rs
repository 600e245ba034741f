//! Which keys and values there may be: borrowed queries, odd sizes, odd alignments.

use highlander::{Equivalent, Handle, Interned, Interner, Registry};
use std::ffi::{CStr, CString, OsStr, OsString};
use std::hash::Hash;
use std::path::{Path, PathBuf};

#[test]
fn a_string_key_is_found_by_str() {
    let strings: Registry<String, u32> = Registry::new();
    let boxed: Registry<Box<str>, u32> = Registry::new();
    let _held = (
        strings.get_or_insert_with("key".into(), |_| 1),
        boxed.get_or_insert_with("key".into(), |_| 2),
        strings
            .entry_ref("")
            .key_with(str::to_owned)
            .or_insert_with(|_| 3),
    );
    assert_eq!(*strings.get("key").unwrap(), 1);
    assert_eq!(*strings.get(&"key".to_string()).unwrap(), 1);
    assert_eq!(*boxed.get("key").unwrap(), 2);
    assert_eq!(*strings.get("").unwrap(), 3);
    assert!(strings.contains_key("key") && !strings.contains_key("ke") && boxed.get("").is_none());
    assert_eq!(strings.remove("key").as_deref(), Some(&1));
}

#[test]
fn paths_os_strings_c_strings_and_bytes_are_found_by_their_borrowed_forms() {
    let paths: Registry<PathBuf, u32> = Registry::new();
    let os: Registry<OsString, u32> = Registry::new();
    let c: Registry<CString, u32> = Registry::new();
    let bytes: Registry<Vec<u8>, u32> = Registry::new();
    let arrays: Registry<Box<[u32]>, u32> = Registry::new();
    let _held = (
        paths.get_or_insert_with("a/b".into(), |_| 1),
        os.get_or_insert_with("x".into(), |_| 2),
        c.get_or_insert_with(c"x".into(), |_| 3),
        bytes.get_or_insert_with(b"x".into(), |_| 4),
        arrays.get_or_insert_with([1, 2].into(), |_| 5),
    );
    assert_eq!(*paths.get(Path::new("a/b")).unwrap(), 1);
    assert_eq!(*paths.get(Path::new("a//b/")).unwrap(), 1, "equal as paths");
    assert_eq!(*os.get(OsStr::new("x")).unwrap(), 2);
    assert_eq!(*c.get(c"x").unwrap(), 3);
    assert_eq!(*bytes.get(b"x".as_slice()).unwrap(), 4);
    assert_eq!(*arrays.get([1, 2].as_slice()).unwrap(), 5);
}

#[test]
fn a_composite_key_is_found_by_its_parts() {
    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    struct Key {
        host: String,
        port: u16,
        tags: Vec<String>,
    }
    #[derive(Hash)]
    struct Query<'a>(&'a str, u16, &'a [&'a str]);
    impl Equivalent<Key> for Query<'_> {
        fn equivalent(&self, key: &Key) -> bool {
            self.0 == key.host && self.1 == key.port && self.2.iter().eq(&key.tags)
        }
    }
    let owned = |query: &Query| Key {
        host: query.0.into(),
        port: query.1,
        tags: query.2.iter().map(|tag| tag.to_string()).collect(),
    };
    let registry: Registry<Key, u32> = Registry::new();
    let query = Query("localhost", 80, &["a", "b"]);
    let held = registry
        .entry_ref(&query)
        .key_with(owned)
        .or_insert_with(|key| key.port.into());
    assert!(Handle::ptr_eq(&registry.get(&query).unwrap(), &held));
    assert!(Handle::ptr_eq(
        &registry.get(&owned(&query)).unwrap(),
        &held
    ));
    assert!(registry.get(&Query("localhost", 81, &["a", "b"])).is_none());
    assert!(registry.remove(&query).is_some());

    let interner: Interner<Key> = Interner::new();
    let one = interner.intern_with(&query, owned);
    assert_eq!(interner.get(&query), Some(one.clone()));
    assert_eq!(interner.intern_owned(owned(&query)), one);
}

#[test]
fn pairs_are_found_by_pairs_of_references() {
    #[derive(Hash)]
    struct Pair<'a, A: ?Sized, B: ?Sized>(&'a A, &'a B);
    impl Equivalent<(String, PathBuf)> for Pair<'_, str, Path> {
        fn equivalent(&self, key: &(String, PathBuf)) -> bool {
            *self.0 == key.0 && *self.1 == *key.1
        }
    }
    let registry: Registry<(String, PathBuf), u32> = Registry::new();
    let _held = registry.get_or_insert_with(("a".into(), "b".into()), |_| 1);
    assert_eq!(*registry.get(&Pair("a", Path::new("b"))).unwrap(), 1);
    assert!(registry.get(&Pair("b", Path::new("a"))).is_none());
}

#[test]
fn an_interner_takes_every_unsized_type_it_says() {
    let paths: Interner<Path> = Interner::new();
    let path = paths.intern(Path::new("a/b"));
    assert_eq!(paths.intern_owned("a/b"), path);
    assert_eq!(
        paths.get(Path::new("a/b")).as_deref(),
        Some(Path::new("a/b"))
    );

    let os: Interner<OsStr> = Interner::new();
    let name = os.intern(OsStr::new("x"));
    assert_eq!(os.intern_owned("x"), name);
    assert_eq!(&*name, "x");

    let c: Interner<CStr> = Interner::new();
    let text = c.intern(c"hello");
    assert_eq!(c.intern_owned(c"hello"), text);
    assert_eq!(text.to_bytes_with_nul(), b"hello\0");
    assert_eq!(&*c.intern(c""), c"");

    let bytes: Interner<[u8]> = Interner::new();
    assert_eq!(bytes.intern(b"\0\xff"), bytes.intern_owned(*b"\0\xff"));
    let strings: Interner<[String]> = Interner::new();
    let list = ["a".to_string(), "b".to_string()];
    assert_eq!(strings.intern(&list), strings.intern_owned(list.clone()));
}

#[test]
fn paths_that_are_equal_are_one() {
    let paths: Interner<Path> = Interner::new();
    let one = paths.intern(Path::new("a/b"));
    assert_eq!(paths.intern(Path::new("a//b/.")), one);
    assert_eq!(one.as_os_str(), "a/b", "the first sample stays");
}

#[test]
fn values_without_size_are_entries_like_others() {
    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    struct Nothing;
    let interner: Interner<Nothing> = Interner::new();
    let (a, b) = (interner.intern(&Nothing), interner.intern_owned(Nothing));
    assert_eq!((a == b, interner.len()), (true, 1));
    drop((a, b));
    assert_eq!(interner.len(), 0);

    let empty: Interner<[u64; 0]> = Interner::new();
    assert_eq!(empty.intern(&[]), empty.intern(&[]));
    let units: Interner<[()]> = Interner::new();
    let held: Vec<_> = (0..1000).map(|n| units.intern(&vec![(); n])).collect();
    assert!(held
        .iter()
        .enumerate()
        .all(|(n, value)| value.len() == n && units.intern(&vec![(); n]) == *value));

    let registry: Registry<(), ()> = Registry::new();
    let one = registry.get_or_insert_with((), |()| ());
    assert!(Handle::ptr_eq(&registry.get(&()).unwrap(), &one));
    let sets: Registry<u32, ()> = Registry::new();
    let many: Vec<_> = (0..1000)
        .map(|i| sets.get_or_insert_with(i, |_| ()))
        .collect();
    assert!(!Handle::ptr_eq(&many[0], &many[1]));
    assert_eq!(sets.len(), 1000);
}

#[test]
fn strings_of_every_length_keep_their_content() {
    let interner: Interner<str> = Interner::new();
    let text: String = (0..5001u32)
        .map(|i| char::from(b'a' + (i % 23) as u8))
        .collect();
    let held: Vec<_> = (0..=5000)
        .map(|len| interner.intern(&text[..len]))
        .collect();
    assert_eq!(interner.len(), 5001);
    assert!(held
        .iter()
        .enumerate()
        .all(|(len, value)| **value == text[..len]));
    assert!((0..=5000).all(|len| interner.get(&text[..len]).as_ref() == Some(&held[len])));
    // Half of them go, and others take their places.
    let mut held: Vec<_> = held.into_iter().step_by(2).collect();
    interner.shrink_to_fit();
    held.extend(
        (0..=5000)
            .step_by(2)
            .map(|len| interner.intern(&text[1..=len.max(1)])),
    );
    assert!(held[..2501]
        .iter()
        .enumerate()
        .all(|(i, value)| **value == text[..2 * i]));
    drop(held);
    assert_eq!(interner.len(), 0);
}

#[test]
fn large_values_are_entries_like_others() {
    let registry: Registry<u32, [u64; 1000]> = Registry::new();
    let held: Vec<_> = (0..100)
        .map(|i| registry.get_or_insert_with(i, |i| [u64::from(*i); 1000]))
        .collect();
    assert!(held
        .iter()
        .all(|value| **value == [u64::from(*Handle::key(value)); 1000]));
    registry.shrink_to_fit();
    assert!((0..100).all(|i| Handle::ptr_eq(&registry.get(&i).unwrap(), &held[i as usize])));
    drop(held);
    assert_eq!(registry.len(), 0);

    let interner: Interner<[u8]> = Interner::new();
    let megabytes: Vec<_> = (0..5u8)
        .map(|i| interner.intern_owned(vec![i; 1 << 20]))
        .collect();
    assert!(megabytes
        .iter()
        .enumerate()
        .all(|(i, value)| value.len() == 1 << 20 && value.iter().all(|b| *b == i as u8)));
    assert_eq!(
        interner.get(&*vec![3; 1 << 20]).as_ref(),
        Some(&megabytes[3])
    );
}

/// Values of every size around each step of the allocator's, all alive at once.
#[test]
fn values_of_every_fixed_size_lie_apart() {
    fn check<const N: usize>() {
        let registry: Registry<u16, [u8; N]> = Registry::new();
        let held: Vec<_> = (0..300)
            .map(|i| registry.get_or_insert_with(i, |i| [*i as u8; N]))
            .collect();
        assert!(
            held.iter().all(|h| **h == [*Handle::key(h) as u8; N]),
            "size {N}"
        );
    }
    check::<1>();
    check::<7>();
    check::<14>();
    check::<38>();
    check::<39>();
    check::<40>();
    check::<104>();
    check::<105>();
    check::<1000>();
    check::<1980>();
    check::<1990>();
    check::<2000>();
    check::<2040>();
    check::<4000>();
    check::<4096>();
}

#[repr(align(32))]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct A32(u8);
#[repr(align(64))]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct A64(u8);
#[repr(align(128))]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct A128(u8);
#[repr(align(256))]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct A256(u8);
#[repr(align(512))]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct A512(u8);
#[repr(align(1024))]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct A1024(u8);

#[test]
fn sized_values_lie_at_their_alignment() {
    fn check<T: Clone + Eq + Hash + 'static>(make: impl Fn(u8) -> T) {
        let registry: Registry<u8, T> = Registry::new();
        let interner: Interner<T> = Interner::new();
        let values: Vec<_> = (0..50)
            .map(|i| registry.get_or_insert_with(i, |i| make(*i)))
            .collect();
        let interned: Vec<_> = (0..50).map(|i| interner.intern(&make(i))).collect();
        for i in 0..50u8 {
            let at = usize::from(i);
            assert_eq!(Handle::as_ptr(&values[at]).addr() % align_of::<T>(), 0);
            assert_eq!(Interned::as_ptr(&interned[at]).addr() % align_of::<T>(), 0);
            assert!(*values[at] == make(i) && *interned[at] == make(i));
        }
    }
    check(|i| i);
    check(u128::from);
    check(A32);
    check(A64);
    check(A128);
    check(A256);
    check(A512);
    check(A1024);
    check(|i| (A64(i), i, [i; 100]));
    check(|i| (A1024(i), [i; 5000]));
}

#[test]
fn slices_of_every_length_lie_at_their_alignment() {
    fn check<T: Clone + Eq + Hash + 'static>(make: impl Fn(u8) -> T) {
        let interner: Interner<[T]> = Interner::new();
        // Several of each length, since the first node of a slab is always well aligned.
        let slice = |len: usize, first: u8| {
            (0..len)
                .map(|i| make(first.wrapping_add(i as u8)))
                .collect::<Vec<T>>()
        };
        let mut wrong = Vec::new();
        let mut held = Vec::new();
        for len in 1..=80 {
            for first in 0..4 {
                let value = interner.intern_owned(slice(len, first));
                if value.as_ptr().addr() % align_of::<T>() != 0 {
                    wrong.push(len);
                    std::mem::forget(value); // not touched any more
                } else {
                    held.push((value, len, first));
                }
            }
        }
        assert_eq!(
            wrong,
            [0; 0],
            "misaligned lengths at alignment {}",
            align_of::<T>()
        );
        assert!(held
            .iter()
            .all(|(value, len, first)| **value == slice(*len, *first)));
    }
    check(u64::from);
    check(u128::from);
    check(A32);
    check(A64);
    check(A128);
    check(A256);
    check(A512);
    check(A1024);
}
