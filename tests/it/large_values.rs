//! Values of 400 KB, on a stack of 2 MiB: what `Arc::new` bears with, a registry bears with too, also where nothing is optimised.
//!
//! (A stack that overflows ends the whole test program.)

use crate::common::{panic_of, Census, Citizen};
use highlander::map::Claim;
use highlander::{Handle, Registry};
use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::Arc;
use std::thread;

const SIZE: usize = 400_000;

struct Large {
    bytes: [u8; SIZE],
    _citizen: Citizen,
}

type Values = Registry<u32, Large>;

#[inline(never)]
fn large(census: &Census) -> Large {
    Large {
        bytes: [7; SIZE],
        _citizen: census.citizen(),
    }
}

fn on_a_stack_of_two_megabytes(f: fn(&Values, &Census)) {
    on_a_stack(2 << 20, f);
}

fn on_a_stack(bytes: usize, f: fn(&Values, &Census)) {
    let small = thread::Builder::new().stack_size(bytes);
    let run = move || {
        let census = Census::new();
        let values = Box::new(Values::new());
        f(&values, &census);
        assert!(values.is_empty());
        assert!(census.born() > 0);
        assert_eq!(census.alive(), 0);
    };
    small.spawn(run).unwrap().join().unwrap();
}

#[test]
fn an_arc_bears_with_them() {
    on_a_stack_of_two_megabytes(|_, census| {
        assert_eq!(Arc::new(large(census)).bytes[SIZE - 1], 7);
    });
}

#[test]
fn they_are_created() {
    on_a_stack_of_two_megabytes(|values, census| {
        let held = values.get_or_insert_with(1, |_| large(census));
        assert_eq!(held.bytes[SIZE - 1], 7);
    });
    on_a_stack_of_two_megabytes(|values, census| {
        let held = values
            .entry_ref(&1)
            .key_with(|key| *key)
            .or_insert_with(|_| large(census));
        assert_eq!(held.bytes[SIZE - 1], 7);
    });
    on_a_stack_of_two_megabytes(|values, census| {
        let make = |_: &u32| Ok::<_, ()>(large(census));
        let held = values.get_or_try_insert_with(1, make);
        assert_eq!(held.unwrap().bytes[SIZE - 1], 7);
    });
    on_a_stack_of_two_megabytes(|values, census| {
        let held = values.entry(1).or_insert_cyclic(|_, _| large(census));
        assert_eq!(held.bytes[SIZE - 1], 7);
    });
    on_a_stack_of_two_megabytes(|values, census| {
        let held = values.entry(1).or_create_cyclic(|_| large(census), |_| {});
        assert_eq!(held.bytes[SIZE - 1], 7);
    });
}

#[test]
fn they_are_inserted() {
    on_a_stack_of_two_megabytes(|values, census| {
        let (held, _) = values.insert(1, large(census));
        assert_eq!(held.bytes[SIZE - 1], 7);
    });
}

#[test]
fn claims_are_filled_with_them() {
    on_a_stack_of_two_megabytes(|values, census| {
        if let Claim::Vacant(vacancy) = values.entry(1).claim() {
            assert_eq!(vacancy.fill(large(census)).bytes[SIZE - 1], 7);
        }
    });
    on_a_stack_of_two_megabytes(|values, census| {
        if let Claim::Vacant(vacancy) = values.entry(1).claim() {
            let held = vacancy.try_fill_with(|_| Ok::<_, ()>(large(census)));
            assert_eq!(held.unwrap().bytes[SIZE - 1], 7);
        }
    });
}

#[test]
fn one_that_is_made_in_vain_goes() {
    // One is inserted inside the creation of the other.
    on_a_stack(4 << 20, |values, census| {
        let held = values.get_or_insert_with(1, |_| {
            let first = values.insert(1, large(census)).0;
            assert_eq!(first.bytes[0], 7);
            // Kept until the creation finds it.
            KEPT.with(|kept| kept.replace(Some(first)));
            large(census)
        });
        assert_eq!(census.alive(), 1);
        assert!(Handle::ptr_eq(&KEPT.take().unwrap(), &held));
    });
    thread_local!(static KEPT: RefCell<Option<Handle<u32, Large>>> = const { std::cell::RefCell::new(None) });
}

/// A key that can be told to panic when it is compared.
#[derive(Clone)]
struct Touchy(Arc<AtomicBool>);

impl PartialEq for Touchy {
    fn eq(&self, _: &Self) -> bool {
        assert!(!self.0.load(SeqCst), "touched");
        true
    }
}

impl Eq for Touchy {}

impl Hash for Touchy {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[test]
fn one_that_is_made_when_a_key_panics_goes_and_its_key_can_be_created_again() {
    let census = Census::new();
    let values: Registry<Touchy, Citizen> = Registry::new();
    let key = Touchy(Arc::default());
    let mut kept = None;
    let text = panic_of(|| {
        values.get_or_insert_with(key.clone(), |_| {
            kept = Some(values.insert(key.clone(), census.citizen()).0);
            key.0.store(true, SeqCst);
            census.citizen()
        })
    });
    assert_eq!(text, "touched");
    key.0.store(false, SeqCst);
    assert_eq!((census.born(), census.alive()), (2, 1));
    drop(kept);
    assert_eq!(census.alive(), 0);
    drop(values.get_or_insert_with(key.clone(), |_| census.citizen()));
    assert_eq!((census.born(), census.alive()), (3, 0));
    assert_eq!(Arc::strong_count(&key.0), 1);
}
