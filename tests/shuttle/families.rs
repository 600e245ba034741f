//! Values that lead to each other, created in one step or in two, some of which fail: nobody waits for ever, and nobody keeps what is half built.

use crate::support::*;
use highlander::error::{CreateError, Refused};
use highlander::{Handle, Registry, WeakHandle};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

const KEYS: [Key; 4] = [A, B, C, A2];

/// A failure of one's own, or why another one was refused.
type Failed = CreateError<&'static str>;
type Members = Registry<Key, Member, PlacedHasher>;

struct Member {
    friends: OnceLock<Vec<WeakHandle<Key, Member>>>,
    finished: AtomicBool,
    alive: Arc<AtomicUsize>,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Relaxed);
    }
}

struct Scene {
    members: Members,
    alive: Arc<AtomicUsize>,
    /// One in so many fails.
    failing: usize,
    /// One in so many is created in one step.
    plain: usize,
}

impl Scene {
    fn allocate(&self) -> Member {
        self.alive.fetch_add(1, Relaxed);
        Member {
            friends: OnceLock::new(),
            finished: AtomicBool::new(false),
            alive: self.alive.clone(),
        }
    }

    fn friends(&self, depth: usize) -> Result<Vec<WeakHandle<Key, Member>>, Failed> {
        pause();
        let mut friends = Vec::new();
        let count = if depth == 0 { 0 } else { 1 + draw(2) };
        for _ in 0..count {
            let friend = self.make(KEYS[draw(KEYS.len())], depth - 1)?;
            friends.push(Handle::downgrade(&friend));
        }
        match draw(self.failing) {
            0 => Err(CreateError::Failed("planted")),
            _ => Ok(friends),
        }
    }

    fn finish(&self, member: &Member, friends: Vec<WeakHandle<Key, Member>>) {
        assert!(member.friends.set(friends).is_ok(), "once");
        member.finished.store(true, Relaxed);
    }

    fn make(&self, key: Key, depth: usize) -> Result<Handle<Key, Member>, Failed> {
        if draw(self.plain) == 0 {
            let made = self.members.get_or_try_insert_with(key, |_| {
                let friends = self.friends(depth)?;
                let member = self.allocate();
                self.finish(&member, friends);
                Ok(member)
            });
            return made.map_err(flat);
        }
        let allocate = |_: &Key| Ok(self.allocate());
        let entry = self.members.entry(key);
        let made = entry.or_try_create_cyclic(allocate, |member| {
            let own = self.members.get(&key);
            assert!(
                own.is_some_and(|own| Handle::ptr_eq(&own, member)),
                "its own"
            );
            let friends = self.friends(depth)?;
            self.finish(member, friends);
            Ok(())
        });
        made.map_err(flat)
    }
}

fn flat(error: CreateError<Failed>) -> Failed {
    error.map_refused(Failed::from)
}

fn families(failing: usize, plain: usize) {
    let scene = Arc::new(Scene {
        members: Registry::with_hasher(PlacedHasher::default()),
        alive: Arc::default(),
        failing,
        plain,
    });
    threads(4, {
        let scene = scene.clone();
        move |number| match scene.make(KEYS[number], 2) {
            Ok(member) => {
                assert!(member.finished.load(Relaxed), "half built");
                for friend in member.friends.get().expect("finished") {
                    let friend = friend.upgrade();
                    assert!(friend.is_none_or(|friend| friend.finished.load(Relaxed)));
                }
                let found = scene.members.get(&KEYS[number]);
                assert!(
                    found.is_some_and(|found| Handle::ptr_eq(&found, &member)),
                    "not found"
                );
            }
            Err(CreateError::Refused(Refused::Cycle(_))) => {}
            Err(error) => assert_eq!(error, CreateError::Failed("planted")),
        }
    });
    for key in KEYS {
        assert!(matches!(scene.members.try_get(&key), Ok(None)), "it flies");
    }
    assert_eq!((scene.members.len(), scene.alive.load(Relaxed)), (0, 0));
}

#[test]
fn four_threads_create_families_in_two_steps() {
    meeting(300, || families(1000, 1000));
}

#[test]
fn four_threads_create_families_of_which_some_fail() {
    meeting(300, || families(6, 1000));
}

#[test]
fn four_threads_create_families_of_all_kinds() {
    meeting(400, || families(8, 3));
}
