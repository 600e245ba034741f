//! Values that are created in two steps: those who may have them unfinished, and those who may not.

use crate::support::*;
use highlander::{CycleError, Handle, WeakHandle};
use loom::sync::atomic::{AtomicBool, Ordering::Relaxed};
use loom::thread;
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
        let mine = registry.get_or_create_cyclic(
            A,
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
        let failed = registry.get_or_try_create_cyclic(
            A,
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

/// Creates `own`, which asks for `next`, which asks for `own` again.
fn family(
    registry: &Reg<Member>,
    tally: &Tally,
    [own, next]: [Key; 2],
) -> Result<[Handle<Key, Member>; 2], CycleError> {
    let mut met = None;
    let mine = registry.get_or_try_create_cyclic(
        own,
        |_| Ok(member(tally)),
        |mine| {
            // To let the other one begin costs no forced switch.
            thread::yield_now();
            let next = registry.get_or_try_create_cyclic(
                next,
                |_| Ok(member(tally)),
                |next| {
                    let again = registry.get_or_try_insert_with(own, |_| unreachable!())?;
                    next.finish(Some(&again));
                    Ok::<_, CycleError>(())
                },
            )?;
            mine.finish(Some(&next));
            met = Some(next);
            Ok(())
        },
    )?;
    let other = match met {
        Some(other) => {
            let found = [own, next].map(|key| registry.get(&key).is_some());
            assert!(found[0] && found[1], "who creates one finds both");
            other
        }
        // A look-up may have found one before the other is entered. What creates waits.
        None => registry.get_or_try_insert_with(next, |_| unreachable!())?,
    };
    Ok([mine, other])
}

#[test]
fn two_threads_that_create_for_each_other_get_one_family() {
    model_with(1, || {
        let (registry, tally) = (registry(), Tally::default());
        let ended = Arc::new(AtomicBool::new(false));
        let other = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            let ended = Arc::clone(&ended);
            move || {
                let family = family(&registry, &tally, [A, B]).unwrap();
                ended.store(true, Relaxed);
                family
            }
        });
        let mine = family(&registry, &tally, [B, A]).unwrap();
        for one in &mine {
            assert!(one.is_finished());
            let other = one.other.get().expect("it knows it").upgrade();
            assert!(other.expect("it is finished too").is_finished());
        }
        let theirs = other.join().unwrap();
        assert!(mine[0].ptr_eq(&theirs[1]) && mine[1].ptr_eq(&theirs[0]));
        assert_eq!((tally.made(), registry.len()), (2, 2));
        drop((mine, theirs));
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}

#[test]
fn of_two_threads_that_create_for_each_other_one_fails() {
    model_with(1, || {
        let (registry, tally) = (registry(), Tally::default());
        let other = thread::spawn({
            let (registry, tally) = (Arc::clone(&registry), tally.clone());
            move || {
                let failed = registry.get_or_try_create_cyclic(
                    A,
                    |_| Ok(member(&tally)),
                    |_| {
                        thread::yield_now();
                        let next = registry.get_or_try_insert_with(B, |_| {
                            let member = member(&tally);
                            member.finish(None);
                            Ok::<_, CycleError>(member)
                        });
                        drop(next);
                        Err("no".to_string())
                    },
                );
                // Or the other one has made it.
                failed.map(|found| assert!(found.is_finished())).is_ok()
            }
        });
        let mut unfinished = false;
        let mine = registry.get_or_try_create_cyclic(
            B,
            |_| Ok(member(&tally)),
            |mine| {
                thread::yield_now();
                let next = registry.get_or_try_insert_with(A, |_| {
                    let member = member(&tally);
                    member.finish(None);
                    Ok::<_, CycleError>(member)
                })?;
                unfinished = !next.is_finished();
                mine.finish(Some(&next));
                Ok::<_, CycleError>(())
            },
        );
        match &mine {
            Ok(mine) => assert!(
                mine.is_finished() && !unfinished,
                "nobody keeps what is half built"
            ),
            Err(_) => assert!(unfinished, "refused for nothing"),
        }
        drop(mine);
        other.join().unwrap();
        assert_eq!((tally.live(), registry.len()), (0, 0));
    });
}
