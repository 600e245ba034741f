//! Exclusive registries whose drafts are given up together, when one owns another: their destructors may ask for each other.

use crate::common::{panic_of, promptly};
use highlander::{CreateError, Handle, Registry};
use std::cell::RefCell;
use std::panic::resume_unwind;
use std::sync::{mpsc, Mutex};
use std::thread;

type Values = Registry<&'static str, Value>;
type Owner = Handle<&'static str, Value>;
type Error = CreateError<&'static str>;

/// It owns another one, and does something as it goes, before that does.
#[derive(Default)]
struct Value {
    at_drop: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    owned: Mutex<Option<Owner>>,
}

impl Value {
    fn new(at_drop: impl FnOnce() + Send + 'static) -> Self {
        Self {
            at_drop: Mutex::new(Some(Box::new(at_drop))),
            owned: Mutex::new(None),
        }
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        if let Some(at_drop) = self.at_drop.get_mut().unwrap().take() {
            at_drop();
        }
    }
}

fn get(values: &Values, name: &'static str) -> Result<Owner, Error> {
    values.get_or_try_insert_with(name, |_| Ok(Value::default()))
}

/// What becomes of `name` when it is made with the help of `around`, which is being created.
fn made_with(values: &Values, name: &'static str, around: &'static str) -> Result<Owner, Error> {
    values.get_or_try_create_cyclic(
        name,
        |_| Ok(Value::default()),
        |_| {
            let got = values.get_or_try_insert_with(around, |_| Err(CreateError::Failed("none")));
            got.map(drop)
        },
    )
}

/// Where a destructor says what it was told.
fn asks(
    values: &'static Values,
    name: &'static str,
) -> (impl FnOnce() + Send + 'static, mpsc::Receiver<bool>) {
    let (told, is_refused) = mpsc::channel();
    let ask = move || {
        let got = get(values, name);
        let _ = told.send(matches!(got, Err(Error::Cycle(_))));
    };
    (ask, is_refused)
}

/// `outer` is created, with `inner` by its help and in its hands, and fails, by an error or a panic.
fn fails(values: &Values, outer: Value, panics: bool) {
    let outer = RefCell::new(Some(outer));
    let create = || {
        values.get_or_try_create_cyclic(
            "outer",
            |_| Ok::<_, Error>(outer.take().unwrap()),
            |outer| {
                *outer.owned.lock().unwrap() = Some(made_with(values, "inner", "outer")?);
                match panics {
                    true => resume_unwind(Box::new("fails")),
                    false => Err(CreateError::Failed("fails")),
                }
            },
        )
    };
    if panics {
        assert_eq!(panic_of(|| drop(create())), "fails");
    } else {
        assert!(matches!(create(), Err(CreateError::Failed("fails"))));
    }
}

#[test]
fn who_owns_what_was_given_up_before_it_may_ask_for_that() {
    for panics in [false, true] {
        promptly(move || {
            let values: &Values = Box::leak(Box::new(Registry::exclusive()));
            let (ask, is_refused) = asks(values, "inner");
            fails(values, Value::new(ask), panics);
            assert_eq!(is_refused.recv(), Ok(true));
            assert!(values.is_empty());
            // It has ended by now.
            drop(values.get_or_insert_with("inner", |_| Value::default()));
        });
    }
}

/// Both are made with the help of the same draft. The second owns the first, and is given up after it.
#[test]
fn so_may_a_member_of_the_family() {
    promptly(|| {
        let values: &Values = Box::leak(Box::new(Registry::exclusive()));
        let (ask, is_refused) = asks(values, "first");
        let ask = RefCell::new(Some(ask));
        let failed = values.get_or_try_create_cyclic(
            "outer",
            |_| Ok::<_, Error>(Value::default()),
            |_| {
                let first = made_with(values, "first", "outer")?;
                let second = made_with(values, "second", "outer")?;
                *second.owned.lock().unwrap() = Some(first);
                *second.at_drop.lock().unwrap() = Some(Box::new(ask.take().unwrap()));
                Err(CreateError::Failed("fails"))
            },
        );
        assert!(matches!(failed, Err(CreateError::Failed("fails"))));
        assert_eq!(is_refused.recv(), Ok(true));
        assert!(values.is_empty());
    });
}

/// Another thread waits for what is given up, and the owner of that for the other thread: one of the two is refused.
#[test]
fn a_circle_through_another_thread_is_refused_to_one() {
    promptly(|| {
        let values: &Values = Box::leak(Box::new(Registry::exclusive()));
        let others: &Values = Box::leak(Box::new(Registry::new()));
        let (going, goes) = mpsc::channel();
        let (begun, begins) = mpsc::channel();
        let (ask, is_refused) = asks(others, "other");
        let outer = Value::new(move || {
            going.send(()).unwrap();
            begins.recv().unwrap();
            ask();
        });
        let other = thread::spawn(move || {
            goes.recv().unwrap();
            let other = others.get_or_try_insert_with("other", |_| {
                begun.send(()).unwrap();
                let inner = get(values, "inner");
                inner.map(|_| Value::default())
            });
            matches!(other, Err(Error::Cycle(_)))
        });
        fails(values, outer, false);
        let refused = (is_refused.recv().unwrap(), other.join().unwrap());
        assert!(
            matches!(refused, (true, false) | (false, true)),
            "{refused:?}"
        );
        assert!(values.is_empty() && others.is_empty());
    });
}

/// Somebody else owns what was given up: who asks for it waits for that, as in the middle of nothing.
#[test]
fn what_was_given_up_and_lives_on_elsewhere_is_waited_for() {
    promptly(|| {
        let values: &Values = Box::leak(Box::new(Registry::exclusive()));
        let (keep, kept) = mpsc::channel();
        let failed = values.get_or_try_create_cyclic(
            "outer",
            |_| Ok::<_, Error>(Value::default()),
            |_| {
                keep.send(made_with(values, "inner", "outer")?).unwrap();
                Err(CreateError::Failed("fails"))
            },
        );
        assert!(matches!(failed, Err(CreateError::Failed("fails"))));
        let inner = kept.recv().unwrap();
        let (asked, asks) = mpsc::channel();
        let other = thread::spawn(move || {
            asks.recv().unwrap();
            drop(inner);
        });
        let outer = values.get_or_try_insert_with("outer", |_| {
            asked.send(()).unwrap();
            let inner = get(values, "inner")?;
            let outer = Value::default();
            *outer.owned.lock().unwrap() = Some(inner);
            Ok::<_, Error>(outer)
        });
        assert!(outer.unwrap().owned.lock().unwrap().is_some());
        other.join().unwrap();
    });
}
