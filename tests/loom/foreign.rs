//! Maps of a foreign runtime's objects: some are out of reach, and who waits lets go of an interpreter's lock.

use crate::support::*;
use highlander::pointer::{Pointer, WeakPointer};
use highlander::{StrongMap, WeakValueMap};
use loom::sync::atomic::AtomicBool;
use loom::sync::{Condvar, Mutex};
use loom::thread;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

/// An object, and whether it is out of reach.
struct Object {
    counted: Counted,
    is_out: AtomicBool,
}

#[derive(Clone)]
struct Global(Arc<Object>);

#[derive(Clone)]
struct WeakGlobal(Weak<Object>);

impl Global {
    fn new(tally: &Tally) -> Self {
        Self(Arc::new(Object {
            counted: tally.value(),
            is_out: AtomicBool::new(false),
        }))
    }
}

impl Pointer for Global {
    type Target = Object;
    type Weak = WeakGlobal;
    type Death = highlander::pointer::Unreported;

    fn downgrade(this: &Self) -> WeakGlobal {
        WeakGlobal(Arc::downgrade(&this.0))
    }

    fn target(this: &Self) -> &Object {
        &this.0
    }

    fn address(this: &Self) -> *const () {
        Arc::as_ptr(&this.0).cast()
    }
}

impl WeakPointer for WeakGlobal {
    type Strong = Global;

    fn upgrade(&self) -> Option<Global> {
        let object = self.0.upgrade()?;
        let is_out = object.is_out.load(Ordering::Acquire);
        (!is_out).then_some(Global(object))
    }

    fn is_dead(&self) -> bool {
        self.0.strong_count() == 0
    }

    fn address(&self) -> *const () {
        self.0.as_ptr().cast()
    }
}

type Values = WeakValueMap<Key, Global, PlacedHasher>;

/// At each moment there is a value in reach: first the old one, then the new one.
#[test]
fn look_up_against_the_successor_of_what_goes_out_of_reach() {
    model_with(2, || {
        let tally = Tally::default();
        let map = Arc::new(Values::default());
        let (old, new) = (Global::new(&tally), Global::new(&tally));
        map.insert(A, old.clone());
        // A thread that has looked nothing up yet becomes an owner of what it looks at.
        let theirs = map.clone();
        let other = thread::spawn(move || {
            let found = theirs.get(&A).expect("one of them is in reach");
            found.0.counted.read();
        });
        map.insert(A, new.clone());
        old.0.is_out.store(true, Ordering::Release);
        other.join().unwrap();
        drop((map, old, new));
        assert_eq!(tally.live(), 0);
    });
}

/// What is out of reach is taken out by nobody who meets it.
#[test]
fn look_up_against_what_comes_back_into_reach() {
    model_with(2, || {
        let tally = Tally::default();
        let map = Arc::new(Values::default());
        let value = Global::new(&tally);
        value.0.is_out.store(true, Ordering::Release);
        map.insert(A, value.clone());
        let theirs = map.clone();
        let other = thread::spawn(move || drop(theirs.get(&A)));
        value.0.is_out.store(false, Ordering::Release);
        assert!(map.get(&A).is_some());
        other.join().unwrap();
        assert!(map.get(&A).is_some());
        drop((map, value));
        assert_eq!(tally.live(), 0);
    });
}

/// An interpreter's lock.
struct Interpreter {
    is_held: Mutex<bool>,
    released: Condvar,
}

loom::lazy_static! {
    static ref INTERPRETER: Interpreter = Interpreter {
        is_held: Mutex::new(false),
        released: Condvar::new(),
    };
}

fn acquire() {
    let mut is_held = INTERPRETER.is_held.lock().unwrap();
    while *is_held {
        is_held = INTERPRETER.released.wait(is_held).unwrap();
    }
    *is_held = true;
}

fn release() {
    *INTERPRETER.is_held.lock().unwrap() = false;
    INTERPRETER.released.notify_one();
}

fn released(sleep: &mut dyn FnMut()) {
    release();
    sleep();
    acquire();
}

type Strong = StrongMap<Key, u32, PlacedHasher>;

/// Both hold the interpreter's lock when they ask; who creates lets go of it, and takes it again.
#[test]
fn two_who_hold_an_interpreter_create_one_value() {
    model_with(2, || {
        let map = Arc::new(Strong::default().around_sleep(released));
        let create = |map: &Strong| {
            acquire();
            let value = map.get_or_insert_with(A, |_| {
                release();
                acquire();
                7
            });
            assert_eq!(value, 7);
            release();
        };
        let theirs = map.clone();
        let other = thread::spawn(move || create(&theirs));
        create(&map);
        other.join().unwrap();
    });
}

fn panics_after(sleep: &mut dyn FnMut()) {
    sleep();
    panic!("after the sleep");
}

/// It may be its turn to create: then it is that of who comes next.
#[test]
fn a_hook_that_panics_when_its_thread_is_to_create() {
    model_with(2, || {
        let map = Arc::new(Strong::default().around_sleep(panics_after));
        let ask = |map: &Strong, made: Result<u32, ()>| {
            catch_unwind(AssertUnwindSafe(|| {
                map.get_or_try_insert_with(A, |_| made).ok()
            }))
        };
        let theirs = map.clone();
        let other = thread::spawn(move || drop(ask(&theirs, Ok(1))));
        // (One of the two sleeps at most, and panics then.)
        drop(ask(&map, Err(())));
        other.join().unwrap();
        assert!(ask(&map, Ok(2)).expect("nobody else creates").is_some());
    });
}
