//! Values that lead to each other at random, created in one step or in two, by many threads, some of which fail.

use crate::common::{forever, Colliding, Dice};
use crate::support::{for_a_while, Counts, Roll, Sealed};
use highlander::error::CreateError;
use highlander::hash::DefaultHashBuilder;
use highlander::{Handle, Registry, WeakHandle, WeakValueMap};
use std::hash::BuildHasher;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const KEYS: usize = 12;

struct Member {
    seal: Sealed<'static>,
    friends: OnceLock<Vec<WeakHandle<u32, Member>>>,
    finished: AtomicBool,
}

struct Scene<S> {
    members: Registry<u32, Member, S>,
    /// Another type of map in between.
    others: WeakValueMap<u32, Arc<Handle<u32, Member>>>,
    counts: &'static Counts,
}

type Made = Result<Handle<u32, Member>, String>;

fn text(error: CreateError<String>) -> String {
    error.to_string()
}

impl<S: BuildHasher> Scene<S> {
    fn allocate(&self, key: u32) -> Member {
        Member {
            seal: Sealed::new(key, self.counts),
            friends: OnceLock::new(),
            finished: AtomicBool::new(false),
        }
    }

    /// What a value of this key needs, to a depth at which it needs nothing.
    fn friends(&self, depth: u32, dice: &mut Dice) -> Result<Vec<WeakHandle<u32, Member>>, String> {
        let count = if depth == 0 { 0 } else { dice.below(3) };
        let mut friends = Vec::new();
        for _ in 0..count {
            let friend = dice.below(KEYS) as u32;
            let friend = match dice.below(4) {
                0 => {
                    let through = self.others.get_or_try_insert_with(friend, |_| {
                        self.make(friend, depth - 1, dice).map(Arc::new)
                    });
                    Handle::clone(&*through.map_err(text)?)
                }
                _ => self.make(friend, depth - 1, dice)?,
            };
            friend.seal.assert_alive(*Handle::key(&friend));
            friends.push(Handle::downgrade(&friend));
        }
        match dice.below(24) {
            0 => Err("planted".into()),
            // Without the panic hook, which would print.
            1 => resume_unwind(Box::new("planted")),
            _ => Ok(friends),
        }
    }

    fn make(&self, key: u32, depth: u32, dice: &mut Dice) -> Made {
        if dice.below(4) == 0 {
            let made = self.members.get_or_try_insert_with(key, |_| {
                let friends = self.friends(depth, dice)?;
                let member = self.allocate(key);
                assert!(member.friends.set(friends).is_ok());
                member.finished.store(true, SeqCst);
                Ok(member)
            });
            return made.map_err(text);
        }
        let made = self.members.entry(key).or_try_create_cyclic(
            |_| Ok(self.allocate(key)),
            |member| {
                let own = self.members.get(&key);
                assert!(
                    own.is_some_and(|own| Handle::ptr_eq(&own, member)),
                    "its own"
                );
                let friends = self.friends(depth, dice)?;
                assert!(member.friends.set(friends).is_ok());
                member.finished.store(true, SeqCst);
                Ok(())
            },
        );
        made.map_err(text)
    }
}

pub(crate) fn at_random(limit: Duration) {
    fn check<S: BuildHasher + Default + Sync>(limit: Duration) {
        let scene: Scene<S> = Scene {
            members: Registry::default(),
            others: WeakValueMap::new(),
            counts: forever(Counts::default()),
        };
        let rolls: Vec<Roll> = (0..KEYS).map(|_| Roll::default()).collect();
        let work = |kept: &mut Vec<Handle<u32, Member>>, dice: &mut Dice| {
            let key = dice.below(KEYS) as u32;
            let made = catch_unwind(AssertUnwindSafe(|| scene.make(key, 4, dice)));
            match made {
                Ok(Ok(member)) => {
                    member.seal.assert_alive(key);
                    rolls[key as usize].sign_in(member.seal.id);
                    assert!(
                        member.finished.load(SeqCst),
                        "nobody is given what is half built"
                    );
                    for friend in member.friends.get().expect("finished").iter() {
                        if let Some(friend) = friend.upgrade() {
                            assert!(friend.finished.load(SeqCst), "nor led to it");
                        }
                    }
                    let found = scene.members.get(&key);
                    assert!(found.is_some_and(|found| Handle::ptr_eq(&found, &member)));
                    rolls[key as usize].sign_out();
                    kept.push(member);
                }
                Ok(Err(error)) => {
                    let cycle = error.contains("creation of a");
                    assert!(error == "planted" || cycle, "{error}");
                }
                Err(panic) if panic.downcast_ref() == Some(&"planted") => {}
                Err(panic) => resume_unwind(panic),
            }
            let left = dice.below(4);
            kept.truncate(left);
        };
        for_a_while(limit, 6, |_| Vec::new(), work);
        assert_eq!((scene.members.len(), scene.members.iter().len()), (0, 0));
        assert_eq!(scene.others.len(), 0);
        for key in 0..KEYS as u32 {
            assert!(
                scene
                    .members
                    .try_get(&key)
                    .is_ok_and(|found| found.is_none()),
                "it flies"
            );
            assert!(
                scene
                    .others
                    .try_get(&key)
                    .is_ok_and(|found| found.is_none()),
                "it flies"
            );
        }
        scene.counts.assert_balanced();
    }
    check::<DefaultHashBuilder>(limit / 2);
    check::<Colliding>(limit / 2);
}
