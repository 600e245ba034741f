//! Exclusive registries whose drafts are given up together, when one owns another: a destructor that asks for one of the others is refused, on whatever thread it runs.

use crate::common::{at_next_comparison, compared, flat, forever, panic_of, promptly};
use highlander::error::{CreateError, Refused};
use highlander::pointer::Watched;
use highlander::{Handle, Registry};
use std::any::Any;
use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::panic::resume_unwind;
use std::sync::{mpsc, Mutex};
use std::thread;

type Values = Registry<Key, Value>;
type Owner = Handle<Key, Value>;
type Error = CreateError<&'static str>;

#[derive(Debug)]
struct Key(&'static str);

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        compared();
        self.0 == other.0
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

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

/// The same registry, or one that is not exclusive.
fn beside(values: &'static Values, elsewhere: bool) -> &'static Values {
    match elsewhere {
        true => forever(Values::new()),
        false => values,
    }
}

fn get(values: &Values, name: &'static str) -> Result<Owner, Error> {
    values.get_or_try_insert_with(Key(name), |_| Ok(Value::default()))
}

/// What becomes of `name` when it is made with the help of `outer`, which is being created in `outers`.
fn made_in(values: &Values, name: &'static str, outers: &Values) -> Result<Owner, Error> {
    let made = values.entry(Key(name)).or_try_create_cyclic(
        |_| Ok(Value::default()),
        |_| {
            let none = |_: &_| Err("none");
            outers.get_or_try_insert_with(Key("outer"), none).map(drop)
        },
    );
    made.map_err(flat)
}

/// What a destructor may do, and where it says whether it was refused because of what its own thread does.
fn asks(
    values: &'static Values,
    name: &'static str,
) -> (impl FnOnce() + Send + 'static, mpsc::Receiver<Option<bool>>) {
    let (told, is_refused) = mpsc::channel();
    let ask = move || {
        let got = get(values, name);
        let _ = told.send(match got {
            Err(Error::Refused(Refused::Cycle(cycle))) => Some(cycle.is_on_one_thread()),
            _ => None,
        });
    };
    (ask, is_refused)
}

/// `outer` is created in `outers`, with `inner` in `values` by its help and in its hands, and fails, by an error or a panic.
fn fails(outers: &Values, values: &Values, outer: Value, panics: bool) {
    let outer = RefCell::new(Some(outer));
    let create = || {
        let created = outers.entry(Key("outer")).or_try_create_cyclic(
            |_| Ok::<_, Error>(outer.take().unwrap()),
            |outer| {
                *outer.owned.lock().unwrap() = Some(made_in(values, "inner", outers)?);
                match panics {
                    true => resume_unwind(Box::new("fails")),
                    false => Err(CreateError::Failed("fails")),
                }
            },
        );
        created.map_err(flat)
    };
    if panics {
        assert_eq!(panic_of(|| drop(create())), "fails");
    } else {
        assert!(matches!(create(), Err(CreateError::Failed("fails"))));
    }
}

#[test]
fn who_owns_what_was_given_up_before_it_may_ask_for_that() {
    for (panics, elsewhere) in [(false, false), (true, false), (false, true), (true, true)] {
        promptly(move || {
            let values = forever(Values::new().exclusive());
            let outers = beside(values, elsewhere);
            let (ask, is_refused) = asks(values, "inner");
            fails(outers, values, Value::new(ask), panics);
            assert_eq!(is_refused.recv(), Ok(Some(true)));
            assert!(values.is_empty() && outers.is_empty());
            // It has ended by now.
            assert!(get(values, "inner").is_ok());
        });
    }
}

/// Both are made with the help of the same draft. The second owns the first, and is given up after it.
#[test]
fn so_may_a_member_of_the_family() {
    promptly(|| {
        let values = forever(Values::new().exclusive());
        let (ask, is_refused) = asks(values, "first");
        let ask = RefCell::new(Some(ask));
        let failed = values.entry(Key("outer")).or_try_create_cyclic(
            |_| Ok::<_, Error>(Value::default()),
            |_| {
                let first = made_in(values, "first", values)?;
                let second = made_in(values, "second", values)?;
                *second.owned.lock().unwrap() = Some(first);
                *second.at_drop.lock().unwrap() = Some(Box::new(ask.take().unwrap()));
                Err(CreateError::Failed("fails"))
            },
        );
        assert!(matches!(
            failed.map_err(flat),
            Err(CreateError::Failed("fails"))
        ));
        assert_eq!(is_refused.recv(), Ok(Some(true)));
        assert!(values.is_empty());
    });
}

/// A look-up compares its key with that of what is given up, and so has it when all the others have let go of it. Its destructor runs there, and asks for what it owns, which is given up
/// in the same call or in the one around it, before or after that.
fn the_last_owner_compares(inner_fails: bool, asks_late: bool) {
    let values = forever(Values::new().exclusive());
    let (ask, is_refused) = asks(values, "outer");
    let (compares, comparing) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel();
    let (asking, asked) = mpsc::channel();
    let look = move || {
        at_next_comparison(move || {
            compares.send(()).unwrap();
            goes_on.recv().unwrap();
        });
        assert!(matches!(values.try_get(&Key("inner")), Err(_) | Ok(None)));
    };
    let at_drop = Box::new(move || {
        asking.send(()).unwrap();
        ask();
    });
    let once = RefCell::new(Some((look, at_drop)));
    let looks = RefCell::new(None);
    // While somebody compares its key, at the latest.
    let prepare = |inner: &Value, outer: &Owner| {
        let (look, at_drop) = once.take().unwrap();
        *inner.owned.lock().unwrap() = Some(outer.clone());
        *inner.at_drop.lock().unwrap() = Some(at_drop);
        *looks.borrow_mut() = Some(thread::spawn(look));
        comparing.recv().unwrap();
    };
    let failed = values.entry(Key("outer")).or_try_create_cyclic(
        |_| Ok::<_, Error>(Value::default()),
        |outer| {
            if inner_fails {
                let inner = values.entry(Key("inner")).or_try_create_cyclic(
                    |_| Ok(Value::default()),
                    |inner| {
                        prepare(inner, outer);
                        Err("fails")
                    },
                );
                assert!(matches!(inner, Err(CreateError::Failed("fails"))));
            } else {
                prepare(&*made_in(values, "inner", values)?, outer);
            }
            if !asks_late {
                go_on.send(()).unwrap();
                asked.recv().unwrap();
            }
            Err(CreateError::Failed("fails"))
        },
    );
    assert!(matches!(
        failed.map_err(flat),
        Err(CreateError::Failed("fails"))
    ));
    if asks_late {
        go_on.send(()).unwrap();
    }
    looks.take().unwrap().join().unwrap();
    assert_eq!(is_refused.recv(), Ok(Some(true)));
    assert!(values.is_empty());
    assert!(get(values, "outer").is_ok() && get(values, "inner").is_ok());
}

#[test]
fn the_last_owner_may_be_somebody_who_compares() {
    promptly(|| the_last_owner_compares(false, true));
}

#[test]
fn so_may_it_if_the_owner_was_given_up_in_a_call_inside_of_the_other() {
    promptly(|| the_last_owner_compares(true, true));
    promptly(|| the_last_owner_compares(true, false));
}

/// Where ends are put aside. Who owns what is given up there goes later, on the same thread, and nobody else knows of that.
#[test]
fn in_the_depth_of_a_chain_nobody_waits_for_what_was_put_aside() {
    for elsewhere in [false, true] {
        promptly(move || {
            let outers = forever(Values::new().exclusive());
            let inners = beside(outers, elsewhere);
            let (ask, is_refused) = asks(outers, "outer");
            let bottom = move || {
                let failed = outers.entry(Key("outer")).or_try_create_cyclic(
                    |_| Ok::<_, Error>(Value::default()),
                    |outer| {
                        let inner = made_in(inners, "inner", outers)?;
                        *inner.owned.lock().unwrap() = Some(outer.clone());
                        Err(CreateError::Failed("fails"))
                    },
                );
                assert!(matches!(
                    failed.map_err(flat),
                    Err(CreateError::Failed("fails"))
                ));
                ask();
            };
            let mut chain: Watched<Box<dyn Any + Send + Sync>> =
                Watched::new(Box::new(Value::new(bottom)));
            for _ in 0..70 {
                chain = Watched::new(Box::new(chain));
            }
            drop(chain);
            assert_eq!(is_refused.recv(), Ok(Some(true)));
            assert!(outers.is_empty() && inners.is_empty());
            assert!(get(outers, "outer").is_ok());
        });
    }
}

/// What somebody has inserted for a key of the family is owned by another member only, and dies while the family is published: so it is not in the way.
#[test]
fn what_dies_with_a_member_that_lands_makes_way() {
    promptly(|| {
        for values in [forever(Values::new().exclusive()), forever(Values::new())] {
            let outer = values.entry(Key("outer")).or_try_create_cyclic(
                |_| Ok::<_, Error>(Value::default()),
                |outer| {
                    let inner = values.entry(Key("inner")).or_try_create_cyclic(
                        |_| {
                            let member = made_in(values, "member", values)?;
                            let inserted = values.try_insert(Key("inner"), Value::default());
                            *member.owned.lock().unwrap() = Some(inserted.ok().unwrap());
                            Ok::<_, Error>(Value::default())
                        },
                        |_| Ok(()),
                    );
                    *outer.owned.lock().unwrap() = Some(inner.map_err(flat)?);
                    Ok(())
                },
            );
            let outer = outer.ok().unwrap();
            assert_eq!(values.len(), 2);
            let inner = outer.owned.lock().unwrap().take().unwrap();
            let found = values.get(&Key("inner")).unwrap();
            assert!(Handle::ptr_eq(&found, &inner));
        }
    });
}

/// Another thread waits for what is given up, and the owner of that for the other thread: one of the two is refused.
#[test]
fn a_circle_through_another_thread_is_refused_to_one() {
    promptly(|| {
        let values = forever(Values::new().exclusive());
        let others = forever(Values::new());
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
            let other = others.get_or_try_insert_with(Key("other"), |_| {
                begun.send(()).unwrap();
                let inner = get(values, "inner");
                inner.map(|_| Value::default())
            });
            matches!(other.map_err(flat), Err(Error::Refused(Refused::Cycle(_))))
        });
        fails(values, values, outer, false);
        let refused = (is_refused.recv().unwrap().is_some(), other.join().unwrap());
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
        let values = forever(Values::new().exclusive());
        let (keep, kept) = mpsc::channel();
        let failed = values.entry(Key("outer")).or_try_create_cyclic(
            |_| Ok::<_, Error>(Value::default()),
            |_| {
                keep.send(made_in(values, "inner", values)?).unwrap();
                Err(CreateError::Failed("fails"))
            },
        );
        assert!(matches!(
            failed.map_err(flat),
            Err(CreateError::Failed("fails"))
        ));
        let inner = kept.recv().unwrap();
        let (asked, asks) = mpsc::channel();
        let other = thread::spawn(move || {
            asks.recv().unwrap();
            drop(inner);
        });
        let outer = values.get_or_try_insert_with(Key("outer"), |_| {
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
