//! [`Interned`]: a thin owner, equal by pointer.

use highlander::{Interned, Interner};
use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::mem::size_of;
use std::path::Path;

#[test]
fn a_handle_is_one_word_and_so_is_an_optional_one() {
    assert_eq!(size_of::<Interned<str>>(), size_of::<usize>());
    assert_eq!(size_of::<Interned<[u64]>>(), size_of::<usize>());
    assert_eq!(size_of::<Interned<u8>>(), size_of::<usize>());
    assert_eq!(size_of::<Option<Interned<str>>>(), size_of::<usize>());
}

#[test]
fn the_count_is_that_of_the_handles() {
    let interner: Interner<str> = Interner::new();
    let a = interner.intern("a");
    assert_eq!(Interned::strong_count(&a), 1);
    let copies = vec![a.clone(); 9];
    assert_eq!(Interned::strong_count(&a), 10);
    drop(copies);
    assert_eq!(Interned::strong_count(&a), 1);
    let again = interner.get("a");
    assert_eq!(Interned::strong_count(&a), 2);
    drop(again);
}

#[test]
fn handles_of_two_interners_are_never_equal_even_if_their_contents_are() {
    let (one, two): (Interner<str>, Interner<str>) = (Interner::new(), Interner::new());
    let (a, b) = (one.intern("x"), two.intern("x"));
    assert_ne!(a, b);
    assert!(!Interned::ptr_eq(&a, &b));
    assert_eq!(*a, *b);
    // The order agrees with `==`: not equal, and the same way round both times.
    assert_ne!(a.cmp(&b), std::cmp::Ordering::Equal);
    assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
    assert_eq!(BTreeSet::from([a, b]).len(), 2);
}

#[test]
fn the_order_is_that_of_the_contents() {
    let interner: Interner<str> = Interner::new();
    let words = ["the", "quickening", "", "immortal", "z", "imm"];
    let mut handles: Vec<_> = words.iter().map(|word| interner.intern(word)).collect();
    handles.sort();
    let mut sorted = words;
    sorted.sort_unstable();
    assert_eq!(handles, sorted);
    assert!(handles[0] < handles[1]);
    assert_eq!(
        handles[0].cmp(&handles[0].clone()),
        std::cmp::Ordering::Equal
    );
    let set: BTreeSet<Interned<str>> = handles.into_iter().collect();
    assert!(set.contains("immortal"));
}

#[test]
fn a_map_of_handles_can_be_asked_by_content() {
    let interner: Interner<str> = Interner::new();
    let ages: HashMap<Interned<str>, u32> = [("connor", 518), ("methos", 5000)]
        .map(|(name, age)| (interner.intern(name), age))
        .into();
    assert_eq!(ages.get("methos"), Some(&5000));
    assert_eq!(ages.get(&interner.intern("connor")), Some(&518));
    assert_eq!(ages.get("kurgan"), None);

    let numbers: Interner<[u32]> = Interner::new();
    let set = HashSet::from([numbers.intern(&[1, 2]), numbers.intern(&[])]);
    assert!(set.contains([1, 2].as_slice()));
    assert!(set.contains([].as_slice()));
    assert!(!set.contains([1].as_slice()));
}

#[test]
fn the_content_is_reached_by_every_usual_road() {
    let interner: Interner<str> = Interner::new();
    let a = interner.intern("a/b");
    assert_eq!(a.len(), 3);
    assert_eq!(a, *"a/b");
    assert_eq!(a, "a/b");
    assert_eq!(AsRef::<str>::as_ref(&a), "a/b");
    assert_eq!(AsRef::<[u8]>::as_ref(&a), b"a/b");
    assert_eq!(AsRef::<OsStr>::as_ref(&a), "a/b");
    assert_eq!(AsRef::<Path>::as_ref(&a), Path::new("a/b"));
    assert_eq!(Borrow::<str>::borrow(&a), "a/b");
    assert_eq!(Interned::as_ptr(&a), &*a as *const str);
}

#[test]
fn it_prints_as_its_content() {
    let interner: Interner<str> = Interner::new();
    let a = interner.intern("x\"y");
    assert_eq!(format!("{a}"), "x\"y");
    assert_eq!(format!("{a:?}"), r#""x\"y""#);
    assert_eq!(
        format!("[{a:>5}] [{a:<5}] [{a:.1}]"),
        "[  x\"y] [x\"y  ] [x]"
    );
    assert_eq!(format!("{a:p}"), format!("{:p}", Interned::as_ptr(&a)));
    let points: Interner<(i32, i32)> = Interner::new();
    assert_eq!(format!("{:?}", points.intern(&(1, -1))), "(1, -1)");
}

#[test]
fn an_interned_error_is_an_error_with_the_same_source() {
    use std::error::Error;
    use std::fmt;

    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    struct Inner;
    impl fmt::Display for Inner {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("inner")
        }
    }
    impl Error for Inner {}

    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    struct Outer(Inner);
    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("outer")
        }
    }
    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }
    let interner: Interner<Outer> = Interner::new();
    let error: Box<dyn Error> = Box::new(interner.intern_owned(Outer(Inner)));
    assert_eq!(error.to_string(), "outer");
    assert_eq!(error.source().unwrap().to_string(), "inner");
}
