//! What is to be done in a forked child.
//!
//! *For whom:* whoever has objects that a fork would break, since the child has a copy of each: connections that two processes must not share, seeds of random numbers, caches of process ids.
//!
//! An object registers what to do for it, and is not kept alive by that; whoever forks calls [`run`](AfterFork::run) in the child, first of all. This crate forks nothing itself, and cannot know that
//! somebody has.
//!
//! *Modelled after* `register_after_fork` of Python's `multiprocessing`: in the order of registration, each whatever became of the others, the same twice if it was registered twice. The
//! registry does not grow with each generation of children: what a dead object had registered is gone.
//!
//! # What is safe in the child
//! A fork takes along the thread that forks, and no other. Whatever lock another one held at that moment stays locked in the child for ever: one of the allocator's, which the C library sees to; one of
//! the program's own; and those of this crate. Its locks are held for a few instructions each, by threads that write (insert, remove, create, let go of the last owner) to the same bucket, flight or list. So:
//!
//! - *If no other thread used these registries at the moment of the fork* (the program had one thread, or the others were elsewhere) all of them are usable in the child as before.
//! - *Otherwise* only look-ups that hit are sure to return: they take no lock. Anything else may wait for a thread that is not there. POSIX gives no more than that: between `fork` and `exec` a program with
//!   threads may call what is async-signal-safe.
//! - A creation that another thread had under way stays under way for ever: who asks for that key waits for ever. Values that it owned are leaked in the child.
//! - Owners are copied too: a value that both processes own is dropped in both. What closes a file or removes a directory then does so twice; [`finalizers`](super::finalizers) do not.
//!
//! ```
//! use highlander::registries::after_fork::AfterFork;
//! use highlander::Watched;
//! use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
//!
//! struct Connection { process: AtomicU32 }
//! static AFTER_FORK: AfterFork = AfterFork::new();
//!
//! let connection = Watched::new(Connection { process: AtomicU32::new(std::process::id()) });
//! AFTER_FORK.register(&connection, |connection| connection.process.store(std::process::id(), Relaxed));
//!
//! // in the child, after a fork by whatever means:
//! assert!(AFTER_FORK.run().is_empty());                // what has panicked
//! drop(connection);
//! assert!(AFTER_FORK.is_empty());
//! ```

use super::lock::lock;
use crate::{Pointer, WeakPointer};
use std::any::Any;
use std::fmt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard};

/// What is to be done for one object.
trait Step: Send + Sync {
    /// Nothing, if the object has gone.
    fn run(&self);
    fn is_dead(&self) -> bool;
}

struct For<W, F> {
    object: W,
    step: F,
}

impl<W, F> Step for For<W, F>
where
    W: WeakPointer + Send + Sync,
    F: Fn(&W::Strong) + Send + Sync,
{
    fn run(&self) {
        if let Some(object) = self.object.upgrade() {
            (self.step)(&object);
        }
    }

    fn is_dead(&self) -> bool {
        self.object.is_dead()
    }
}

/// What is to be done in a forked child, for which objects, in the order of registration. See the [module](self).
#[derive(Default)]
pub struct AfterFork {
    steps: Mutex<Steps>,
}

#[derive(Default)]
struct Steps {
    list: Vec<Arc<dyn Step>>,
    /// How long the list may become before the dead are looked for.
    enough: usize,
}

impl AfterFork {
    /// Nothing to do yet. Can be a `static`.
    pub const fn new() -> Self {
        Self {
            steps: Mutex::new(Steps {
                list: Vec::new(),
                enough: 0,
            }),
        }
    }

    /// Nothing that may panic runs under it, and nothing is dropped.
    fn steps(&self) -> MutexGuard<'_, Steps> {
        lock(&self.steps)
    }

    /// Has `step` run in the child for this object, if that is alive then. It is not kept alive. What is registered twice runs twice.
    ///
    /// *Complexity:* constant on average; the steps of dead objects are forgotten when they may be as many as the rest.
    pub fn register<P>(&self, object: &P, step: impl Fn(&P) + Send + Sync + 'static)
    where
        P: Pointer,
        P::Weak: Send + Sync,
    {
        let object = P::downgrade(object);
        let step = Arc::new(For { object, step });
        let mut steps = self.steps();
        steps.list.push(step);
        let full = steps.list.len() > steps.enough;
        drop(steps);
        if full {
            self.forget_dead();
        }
    }

    fn forget_dead(&self) {
        // Asked outside of the lock.
        let snapshot = self.steps().list.clone();
        let dead: Vec<_> = snapshot.iter().filter(|step| step.is_dead()).collect();
        let mut steps = self.steps();
        let all = std::mem::take(&mut steps.list);
        let is_dead = |step: &Arc<dyn Step>| dead.iter().any(|dead| Arc::ptr_eq(dead, step));
        let (gone, left): (Vec<_>, Vec<_>) = match dead.is_empty() {
            true => (Vec::new(), all),
            false => all.into_iter().partition(is_dead),
        };
        steps.enough = 2 * left.len().max(8);
        steps.list = left;
        drop(steps);
        drop(gone);
    }

    /// Runs all steps whose objects are alive, in the order of registration, each whatever became of the others. To be called in the child, first of all. The panics come back.
    ///
    /// *Runs* the steps with no lock held. One that is registered meanwhile is not run: it comes from the child.
    pub fn run(&self) -> Vec<Box<dyn Any + Send>> {
        self.forget_dead();
        let snapshot = self.steps().list.clone();
        let ran = snapshot
            .iter()
            .map(|step| catch_unwind(AssertUnwindSafe(|| step.run())));
        ran.filter_map(Result::err).collect()
    }

    /// How many steps there are for objects that are alive.
    pub fn len(&self) -> usize {
        let snapshot = self.steps().list.clone();
        snapshot.iter().filter(|step| !step.is_dead()).count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for AfterFork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfterFork").finish_non_exhaustive()
    }
}
