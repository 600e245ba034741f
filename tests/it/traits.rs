//! What the types implement, and how they print.

use highlander::error::{CreateError, CycleError, OccupiedError, ReplaceError};
use highlander::hash::DefaultHashBuilder;
use highlander::map::{InternerIter, RegistryIter};
use highlander::{Handle, Interned, Interner, Registry, WeakHandle};
use std::error::Error;
use std::fmt::{Debug, Display};
use std::hash::RandomState;
use std::panic::{RefUnwindSafe, UnwindSafe};

fn both<T: Send + Sync>() {}

// That these compile is the test. What must *not* be `Send` is tested by documentation that must not compile.
#[test]
fn handles_and_registries_of_shareable_values_can_be_shared() {
    both::<Registry<String, Vec<u8>>>();
    both::<Registry<String, Box<dyn Fn() + Send + Sync>, RandomState>>();
    both::<Handle<String, Vec<u8>>>();
    both::<WeakHandle<String, Vec<u8>>>();
    both::<RegistryIter<String, Vec<u8>>>();
    both::<Interner<str>>();
    both::<Interner<[String], RandomState>>();
    both::<Interned<str>>();
    both::<Interned<[String]>>();
    both::<InternerIter<str>>();
    both::<CycleError>();
    both::<CreateError<String>>();
    both::<OccupiedError<String, u8>>();
    both::<ReplaceError<String>>();
}

#[test]
fn values_that_cannot_be_shared_work_on_one_thread() {
    use std::cell::Cell;
    use std::rc::Rc;
    let registry: Registry<Rc<str>, Cell<u32>> = Registry::new();
    let handle = registry.get_or_insert_with("x".into(), |_| Cell::new(1));
    handle.set(2);
    assert_eq!(registry.get("x").unwrap().get(), 2);
    let interner: Interner<Rc<str>> = Interner::new();
    assert_eq!(interner.intern_owned("x"), interner.intern(&"x".into()));
}

#[test]
fn they_can_be_used_across_a_caught_panic() {
    fn safe<T: UnwindSafe + RefUnwindSafe>() {}
    safe::<CycleError>();
    safe::<CreateError<String>>();
    safe::<DefaultHashBuilder>();
}

#[test]
fn a_registry_is_usable_after_a_panic_without_asserting_that_it_is() {
    let registry: Registry<u32, String> = Registry::new();
    let held = registry.get_or_insert_with(1, |_| "one".into());
    let caught = std::panic::catch_unwind(|| {
        assert_eq!(*held, "one");
        registry.get_or_insert_with(2, |_| panic!("no value"))
    });
    assert!(caught.is_err());
    assert_eq!((registry.len(), registry.get(&2)), (1, None));
    assert_eq!(*registry.get_or_insert_with(2, |_| "two".into()), "two");
}

#[test]
fn handles_are_clone_whatever_they_hold() {
    fn clone<T: Clone>() {}
    struct Neither;
    clone::<Handle<Neither, Neither>>();
    clone::<WeakHandle<Neither, Neither>>();
    clone::<Interned<Neither>>();
}

#[test]
fn registries_are_made_by_default() {
    let registry: Registry<u32, u32> = Default::default();
    let interner: Interner<str, RandomState> = Default::default();
    assert!(registry.is_empty() && interner.is_empty());
}

#[test]
fn a_registry_prints_its_entries() {
    let registry: Registry<&str, u32> = Registry::new();
    assert_eq!(format!("{registry:?}"), "{}");
    let held = registry.get_or_insert_with("one", |_| 1);
    assert_eq!(format!("{registry:?}"), r#"{"one": 1}"#);
    assert_eq!(format!("{registry:#?}"), "{\n    \"one\": 1,\n}");
    assert_eq!(format!("{:?}", registry.iter()), "RegistryIter { left: 1 }");
    let _more = registry.get_or_insert_with("two", |_| 2);
    let text = format!("{registry:?}");
    assert!(
        text == r#"{"one": 1, "two": 2}"# || text == r#"{"two": 2, "one": 1}"#,
        "{text}"
    );
    drop(held);
    assert_eq!(format!("{registry:?}"), r#"{"two": 2}"#);
}

#[test]
fn an_interner_prints_its_values() {
    let interner: Interner<str> = Interner::new();
    assert_eq!(format!("{interner:?}"), "{}");
    let _held = interner.intern("one");
    assert_eq!(format!("{interner:?}"), r#"{"one"}"#);
    assert_eq!(format!("{:?}", interner.iter()), "InternerIter { left: 1 }");
    assert_eq!(format!("{:?}", DefaultHashBuilder), "DefaultHashBuilder");
}

#[test]
fn errors_print_what_went_wrong() {
    fn is_error<E: Error + Debug + Display + 'static>(_: &E) {}
    let registry: Registry<&str, u32> = Registry::new();
    let live = registry.get_or_insert_with("k", |_| 1);
    let occupied = registry.try_insert("k", 2).unwrap_err();
    is_error(&occupied);
    assert_eq!(
        occupied.to_string(),
        r#"the key "k" has a live value already"#
    );
    assert_eq!(
        format!("{occupied:?}"),
        r#"OccupiedError { existing: Some(1), key: "k", value: 2 }"#
    );
    registry.remove_same(&live);
    let gone = registry.compare_exchange(&live, 3).unwrap_err();
    is_error(&gone);
    assert_eq!(
        gone.to_string(),
        "the value to be replaced is not in the registry any more"
    );
    assert_eq!(format!("{gone:?}"), "ReplaceError { value: 3 }");
}

#[cfg(feature = "serde")]
mod with_serde {
    use super::*;

    #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq, Eq, Hash)]
    struct Point {
        x: i32,
        y: i32,
    }

    #[test]
    fn a_handle_is_written_as_its_value() {
        let registry: Registry<u32, Point> = Registry::new();
        let handle = registry.get_or_insert_with(1, |_| Point { x: 1, y: -2 });
        assert_eq!(serde_json::to_string(&handle).unwrap(), r#"{"x":1,"y":-2}"#);
    }

    #[test]
    fn an_interned_value_is_written_as_its_value() {
        let (points, words, lists): (Interner<Point>, Interner<str>, Interner<[u32]>) =
            Default::default();
        assert_eq!(
            serde_json::to_string(&points.intern_owned(Point { x: 0, y: 1 })).unwrap(),
            r#"{"x":0,"y":1}"#
        );
        assert_eq!(
            serde_json::to_string(&words.intern("a\"b")).unwrap(),
            r#""a\"b""#
        );
        assert_eq!(
            serde_json::to_string(&lists.intern(&[1, 2])).unwrap(),
            "[1,2]"
        );
    }

    #[test]
    fn values_are_read_straight_into_an_interner() {
        use serde::de::DeserializeSeed;
        let (points, words): (Interner<Point>, Interner<str>) = Default::default();
        let read = |json: &str| {
            words
                .seed()
                .deserialize(&mut serde_json::Deserializer::from_str(json))
        };
        let a = read(r#""a\u0062""#).unwrap();
        assert_eq!((&*a, words.len()), ("ab", 1));
        assert_eq!(read(r#""ab""#).unwrap(), a, "the same pointer");
        assert!(read("7").is_err());
        assert_eq!(words.len(), 1);
        let json = serde_json::to_string(&points.intern_owned(Point { x: 0, y: 1 })).unwrap();
        assert_eq!(points.len(), 0);
        let point = points
            .seed()
            .deserialize(&mut serde_json::Deserializer::from_str(&json))
            .unwrap();
        assert_eq!(*point, Point { x: 0, y: 1 });
        assert_eq!(format!("{:?}", points.seed()), "InternerSeed { .. }");
    }
}
