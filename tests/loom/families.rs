//! Values that are created in two steps: those who may have them unfinished, and those who may not.

use crate::support::*;
use highlander::error::{CreateError, CycleError, Refused};
use highlander::{Handle, Registry, WeakHandle};
use loom::sync::atomic::{AtomicBool, Ordering::Relaxed};
use loom::thread;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

/// Finished when it knows the other one.
struct Member {
    finished: AtomicBool,
    other: OnceLock<WeakHandle<Key, Member>>,
    counted: Counted,
}

fn member(tally: &Tally) -> Member {
    Member {
        finished: AtomicBool::new(false),
        other: OnceLock::new(),
        counted: tally.value(),
    }
}

impl Member {
    fn is_finished(&self) -> bool {
        self.counted.read();
        self.finished.load(Relaxed)
    }

    fn finish(&self, other: Option<&Handle<Key, Member>>) {
        if let Some(other) = other {
            assert!(self.other.set(Handle::downgrade(other)).is_ok());
        }
        self.finished.store(true, Relaxed);
    }
}

#[test]
fn a_value_in_two_steps_against_one_who_waits_and_one_who_looks() {
    model_with(2, || {
        let (registry, tally) = (registry(), Tally::default());
        let other = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            move || {
                if let Some(found) = registry.get(&A) {
                    let found: Handle<Key, Member> = found;
                    assert!(found.is_finished(), "looked up");
                }
                let made = |_: &Key| {
                    let member = member(&tally);
                    member.finish(None);
                    member
                };
                assert!(
                    registry.get_or_insert_with(A, made).is_finished(),
                    "waited for"
                );
            }
        });
        let mine = registry.entry(A).or_create_cyclic(
            |_| member(&tally),
            |mine| {
                thread::yield_now();
                mine.finish(None);
            },
        );
        assert!(mine.is_finished());
        other.join().unwrap();
        drop(mine);
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}

#[test]
fn a_value_in_two_steps_that_is_given_up_against_one_who_waits() {
    model_with(2, || {
        let (registry, tally) = (registry(), Tally::default());
        let other = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            move || {
                let made = |_: &Key| {
                    let member = member(&tally);
                    member.finish(None);
                    member
                };
                assert!(registry.get_or_insert_with(A, made).is_finished());
            }
        });
        let failed = registry.entry(A).or_try_create_cyclic(
            |_| Ok(member(&tally)),
            |_| {
                thread::yield_now();
                Err("no".to_string())
            },
        );
        // It found the value that the other one had made.
        if let Ok(found) = failed {
            assert!(found.is_finished());
        }
        other.join().unwrap();
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}

/// Another thread has looked up the value before, in whose node the draft lives now.
#[test]
fn a_draft_in_a_node_that_a_reader_still_points_to() {
    model_with(2, || {
        let (registry, tally) = (registry(), Tally::default());
        let first = registry.get_or_insert_with(A, |_| {
            let member = member(&tally);
            member.finish(None);
            member
        });
        let reader = thread::spawn({
            let registry = Arc::clone(&registry);
            move || {
                if let Some(found) = registry.get(&A) {
                    assert!(found.is_finished());
                }
            }
        });
        drop(first);
        let mine = registry.entry(A).or_create_cyclic(
            |_| member(&tally),
            |mine| {
                thread::yield_now();
                mine.finish(None);
            },
        );
        assert!(mine.is_finished());
        reader.join().unwrap();
        drop(mine);
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}

/// The key is in the draft's node; who comes later compares with it there.
#[test]
fn a_key_that_is_compared_while_its_draft_is_given_up() {
    model_with(2, || {
        let tally = Tally::default();
        let registry: Arc<Registry<Content, u32, PlacedHasher>> =
            Arc::new(Registry::with_hasher(PlacedHasher::default()));
        let other = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            move || *registry.get_or_insert_with(Content::new(A, &tally), |_| 2)
        });
        let failed = registry
            .entry(Content::new(A, &tally))
            .or_try_create_cyclic(
                |_| Ok(1),
                |_| {
                    thread::yield_now();
                    Err("no".to_string())
                },
            );
        // Or it found the value that the other one had made.
        assert!(failed.is_err() || failed.is_ok_and(|found| *found == 2));
        assert_eq!(other.join().unwrap(), 2);
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}

#[test]
fn a_weak_handle_to_a_draft_against_its_completion() {
    model_with(2, || {
        let (registry, tally) = (registry(), Tally::default());
        let given: Arc<loom::sync::Mutex<Option<WeakHandle<Key, Member>>>> = Arc::default();
        let other = thread::spawn({
            let given = Arc::clone(&given);
            move || {
                let weak = given.lock().unwrap().take();
                if let Some(found) = weak.and_then(|weak| weak.upgrade()) {
                    assert!(found.is_finished());
                }
            }
        });
        let mine = registry.entry(A).or_create_cyclic(
            |_| member(&tally),
            |mine| {
                *given.lock().unwrap() = Some(Handle::downgrade(mine));
                mine.finish(None);
            },
        );
        other.join().unwrap();
        drop(mine);
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}

fn flat(error: CreateError<Refused>) -> Refused {
    error.map_refused(|refused| refused)
}

/// Creates `own`, which asks for `next`, which asks for `own` again.
fn family(
    registry: &Reg<Member>,
    tally: &Tally,
    [own, next]: [Key; 2],
) -> Result<[Handle<Key, Member>; 2], Refused> {
    let never = |_: &Key| unreachable!();
    let mut met = None;
    let mine = registry.entry(own).or_try_create_cyclic(
        |_| Ok(member(tally)),
        |mine| {
            // To let the other one begin costs no forced switch.
            thread::yield_now();
            let next = registry.entry(next).or_try_create_cyclic(
                |_| Ok(member(tally)),
                |next| {
                    let again = registry.get_or_try_insert_with(own, never).map_err(flat)?;
                    next.finish(Some(&again));
                    Ok(())
                },
            );
            let next = next.map_err(flat)?;
            mine.finish(Some(&next));
            met = Some(next);
            Ok(())
        },
    );
    let mine = mine.map_err(flat)?;
    let other = match met {
        Some(other) => other,
        // A look-up may have found one before the other is entered. What creates waits.
        None => registry.get_or_try_insert_with(next, never).map_err(flat)?,
    };
    Ok([mine, other])
}

/// Two threads create for each other, and try again when they are refused. How often that was.
fn crossed(again: fn(CycleError)) -> usize {
    let (registry, tally) = (registry(), Tally::default());
    let refused = Arc::new(AtomicUsize::new(0));
    let create = move |registry: &Reg<Member>, tally: &Tally, refused: &AtomicUsize, keys| loop {
        match family(registry, tally, keys) {
            Ok(family) => return family,
            Err(Refused::Cycle(cycle)) => {
                refused.fetch_add(1, Relaxed);
                again(cycle);
            }
            Err(other) => panic!("{other}"),
        }
    };
    let other = thread::spawn({
        let (registry, tally) = (Arc::clone(&registry), tally.clone());
        let refused = Arc::clone(&refused);
        move || create(&registry, &tally, &refused, [A, B])
    });
    let mine = create(&registry, &tally, &refused, [B, A]);
    for one in &mine {
        assert!(one.is_finished());
        let other = one.other.get().expect("it knows it").upgrade();
        assert!(other.expect("it is finished too").is_finished());
    }
    let theirs = other.join().unwrap();
    assert!(Handle::ptr_eq(&mine[0], &theirs[1]) && Handle::ptr_eq(&mine[1], &theirs[0]));
    assert_eq!((tally.live(), registry.len()), (2, 2));
    drop((mine, theirs));
    assert_eq!((tally.live(), registry.len()), (0, 0));
    refused.load(Relaxed)
}

/// At once: it finds the key led by the other one.
#[test]
fn of_two_threads_that_create_for_each_other_one_is_refused_once() {
    model_with(1, || assert!(crossed(drop) <= 1));
}

#[test]
fn who_is_refused_waits_for_the_other_creation_to_end() {
    model_with(1, || assert!(crossed(|cycle| cycle.wait().unwrap()) <= 1));
}
