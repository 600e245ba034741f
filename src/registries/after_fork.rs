//! What is to be done in a forked child, by objects that are not kept alive for it.
//!
//! For whoever has something that a forked child must not simply share with its parent: a buffer that both
//! would write out, a connection that both would speak on, a seed of random numbers, a count of threads that
//! the child does not have.
//!
//! ```
//! use highlander::registries::after_fork::AfterFork;
//! use std::sync::{Arc, Mutex};
//!
//! static AFTER_FORK: AfterFork = AfterFork::new();
//!
//! let buffer = Arc::new(Mutex::new(vec!["written by the parent, later"]));
//! AFTER_FORK.register(&buffer, |buffer| buffer.lock().unwrap().clear());
//!
//! let prepared = AFTER_FORK.prepare();            // in the parent
//! // match fork() { 0 => { prepared.run(); … } … }
//! assert_eq!(prepared.run().run, 1);              // in the child
//! assert!(buffer.lock().unwrap().is_empty());
//!
//! drop((prepared, buffer));
//! assert!(AFTER_FORK.is_empty());                 // it was not kept alive
//! ```
//!
//! Modelled after CPython's `multiprocessing.util.register_after_fork`: functions run in the order in which
//! they were registered, with the object as their argument; objects that have died are passed over; a panic
//! is shown by the panic hook and stops nothing; and an object that is registered twice is called twice.
//!
//! # Forking
//! This crate does not fork. Take [`prepare`](AfterFork::prepare) before, and [`Prepared::run`] in the child;
//! or [`around`](AfterFork::around), which does both and knows the child by its process id.
//!
//! CPython takes its snapshot in the child. Here it is taken in the parent, since here other threads run
//! meanwhile: what `run` does in the child then takes no lock of this crate and does not allocate for itself,
//! so it cannot meet a lock that a thread of the parent has left held. An object that is registered between
//! the two is not called.
//!
//! From `prepare` on the objects are owned, until the [`Prepared`] is dropped. In a child of a process with
//! other threads that may be the last drop of an object that one of these has let go of meanwhile; it is
//! bound by the table below, as any drop there. A child that must never wait ends by `exec` or `_exit` before
//! that, or calls `std::mem::forget(prepared)`.
//!
//! # What is safe in a child
//! A child has the one thread that called `fork`. If the parent had no other thread, all works in it as
//! before. If it had, POSIX allows a child no more than what a signal handler may do, until it calls `exec`.
//! What is beyond that, on the systems of today, for this crate:
//!
//! | in the child of a process with threads | |
//! |---|---|
//! | the standard library and the C library | the allocators of glibc, musl and macOS see to it that they work. A `Mutex` that another thread held, and a `stdout` that was being written to, stay locked for ever |
//! | to read a handle, to clone it, to compare it | works |
//! | a look-up that hits | works |
//! | a registry, map or set that the child makes | works, after [`Prepared::run`]: all that is done with it, also by threads that the child makes; creations too, if no other thread was just going to sleep, or being woken, inside of one |
//! | a miss, an insertion, a removal, the drop of a last handle, in one that the parent's threads were *changing* | may wait for ever, for a bucket or a list that was locked |
//! | a creation of a key that another thread was creating | waits for ever: that thread is not there |
//! | the end of a creation that the forking thread itself had under way, while other threads waited for that key | leaves it to those, who are not there: the key may stay taken, and the value alive, for ever |
//! | an iteration over one that was being changed | may wait for ever |
//! | to give memory back | a thread that was reading at that moment counts as reading for ever, so what it might have seen stays |
//!
//! What is made at the first use of this crate (a secret for hashing, a look whether the system has
//! `membarrier`) must not be under way on another thread; `prepare` uses the crate, and so has it done by
//! then.
//!
//! So: have all threads stopped, or fork before there are any, or let the child do little and `exec`.
//! Functions registered here run in the child and are bound by the same table: a lock that one of them takes
//! should be replaced rather than taken, or taken by the parent around the fork.
//!
//! # Waiting, cost, panics
//! To register waits for other writers, a few instructions long, and takes constant time on average; it runs
//! [`Pointer::downgrade`] and [`Pointer::watch`] with no lock held. An object that reports its death leaves
//! at once, a plain `Arc` as [in a `WeakValueMap`](WeakValueMap#dead-entries); its function goes with the
//! entry, a little later. To prepare takes time linear in what is registered. Nothing here panics but what is
//! yours, and a panic in [`Prepared::run`] goes no further.

use super::finalizers::Ran;
use super::process_id::this_process;
use crate::memory::panics::{after, Panics};
use crate::pointer::{Notify, Pointer, Registration, Reported, SyncPointer, WeakPointer};
use crate::sync::nobody_is_parked;
use crate::sync::plain::{AtomicU64, Relaxed};
use crate::WeakValueMap;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

/// Objects, and what is to be done with each in a forked child. Can be a `static`. See [the module](self).
pub struct AfterFork {
    /// By number: the order in which they were registered.
    tasks: WeakValueMap<u64, ForkTask>,
    next: AtomicU64,
}

impl AfterFork {
    /// Nothing registered yet.
    pub const fn new() -> Self {
        Self {
            tasks: WeakValueMap::new(),
            next: AtomicU64::new(0),
        }
    }

    /// From now on, `f` runs in forked children, with this object, if it is alive at the fork. It is not kept
    /// alive. (If `f` owns it, it is, for ever.)
    ///
    /// The same again runs twice.
    pub fn register<P: SyncPointer>(&self, object: &P, f: impl Fn(&P) + Send + Sync + 'static) {
        let number = self.next.fetch_add(1, Relaxed);
        let bound = Bound {
            object: object.clone(),
            f: Arc::new(f),
        };
        self.tasks.insert(number, ForkTask(Arc::new(bound)));
    }

    /// Owners of the objects that are alive, with what is to be done with them: to be called in the parent,
    /// right before the fork.
    pub fn prepare(&self) -> Prepared {
        let mut tasks: Vec<_> = self.tasks.iter().collect();
        tasks.sort_by_key(|(number, _)| *number);
        Prepared {
            tasks,
            process: this_process(),
        }
    }

    /// [Prepares](Self::prepare), calls `fork`, and [runs](Prepared::run) what was prepared if that returns
    /// in another process than it was called in. Returns what `fork` returns, in both.
    ///
    /// It compares process ids. A child in a pid namespace of its own may happen to have the id of its
    /// parent: then use the two steps. So do if there are other threads, which may let go of objects
    /// meanwhile: here the child lets go of them too, see [forking](self#forking).
    ///
    /// ```
    /// use highlander::registries::after_fork::AfterFork;
    ///
    /// let after_fork = AfterFork::new();
    /// # fn fork() -> i32 { -1 }
    /// match after_fork.around(|| fork()) {
    ///     0 => { /* the child, in which all has been run */ }
    ///     -1 => { /* there is no child */ }
    ///     child => println!("{child}"),
    /// }
    /// ```
    pub fn around<T>(&self, fork: impl FnOnce() -> T) -> T {
        let (prepared, parent) = (self.prepare(), this_process());
        let forked = fork();
        if this_process() != parent {
            prepared.run();
        }
        after(prepared, forked)
    }

    /// The number of objects that are registered and alive, each as often as it is registered. *Complexity:*
    /// as [`WeakValueMap::len`].
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}

impl Default for AfterFork {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for AfterFork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfterFork")
            .field("len", &self.len())
            .finish()
    }
}

/// What is to be done if this is a child; see [`AfterFork::prepare`]. It owns the objects.
#[must_use = "run it in the child, drop it in the parent"]
pub struct Prepared {
    tasks: Vec<(u64, ForkTask)>,
    /// The parent.
    process: u32,
}

impl Prepared {
    /// Calls each function with its object, in the order in which they were registered; a panic of one does
    /// not stop the others.
    ///
    /// The objects stay owned: see [forking](self#forking). In a child that has no objects it is worth
    /// calling too: this crate learns from it that threads of the parent which wait for its locks are not
    /// there.
    pub fn run(&self) -> Ran {
        if self.process != this_process() {
            nobody_is_parked();
        }
        let mut ran = Ran::default();
        for (_, task) in &self.tasks {
            ran.step(|| {
                task.0.run();
                true
            });
        }
        ran
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}

impl Drop for Prepared {
    /// Lets go of each object, whatever becomes of the others; the first panic goes on then.
    fn drop(&mut self) {
        let mut panics = Panics::new();
        for task in self.tasks.drain(..) {
            panics.catch(|| drop(task));
        }
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("len", &self.len())
            .finish()
    }
}

/// An owner of some object, with what is to be done with it: a pointer to anything, as far as the map is
/// concerned.
#[derive(Clone)]
struct ForkTask(Arc<dyn Subject>);

/// Its weak twin.
#[derive(Clone)]
struct WeakTask(Arc<dyn WeakSubject>);

trait Subject: Send + Sync {
    fn run(&self);
    fn downgrade(&self) -> WeakTask;
    fn address(&self) -> *const ();
    fn watch(&self, notify: Notify) -> Option<Registration>;
}

trait WeakSubject: Send + Sync {
    fn upgrade(&self) -> Option<ForkTask>;
    fn is_dead(&self) -> bool;
    fn address(&self) -> *const ();
}

struct Bound<P, F> {
    object: P,
    f: Arc<F>,
}

impl<P: SyncPointer, F: Fn(&P) + Send + Sync + 'static> Subject for Bound<P, F> {
    fn run(&self) {
        (self.f)(&self.object);
    }

    fn downgrade(&self) -> WeakTask {
        WeakTask(Arc::new(WeakBound::<P, F> {
            object: P::downgrade(&self.object),
            f: Arc::clone(&self.f),
        }))
    }

    fn address(&self) -> *const () {
        P::address(&self.object)
    }

    fn watch(&self, notify: Notify) -> Option<Registration> {
        P::watch(&self.object, notify)
    }
}

struct WeakBound<P: Pointer, F> {
    object: P::Weak,
    f: Arc<F>,
}

impl<P: SyncPointer, F: Fn(&P) + Send + Sync + 'static> WeakSubject for WeakBound<P, F> {
    fn upgrade(&self) -> Option<ForkTask> {
        let (object, f) = (self.object.upgrade()?, Arc::clone(&self.f));
        Some(ForkTask(Arc::new(Bound { object, f })))
    }

    fn is_dead(&self) -> bool {
        self.object.is_dead()
    }

    fn address(&self) -> *const () {
        self.object.address()
    }
}

impl Pointer for ForkTask {
    type Target = ();
    type Weak = WeakTask;
    type Death = Reported;

    fn downgrade(this: &Self) -> WeakTask {
        this.0.downgrade()
    }

    fn target(_: &Self) -> &() {
        &()
    }

    fn address(this: &Self) -> *const () {
        this.0.address()
    }

    fn watch(this: &Self, notify: Notify) -> Option<Registration> {
        this.0.watch(notify)
    }
}

impl WeakPointer for WeakTask {
    type Strong = ForkTask;

    fn upgrade(&self) -> Option<ForkTask> {
        self.0.upgrade()
    }

    fn is_dead(&self) -> bool {
        self.0.is_dead()
    }

    fn address(&self) -> *const () {
        self.0.address()
    }
}

// Why: see ARCHITECTURE.md, "Unwind safety".
impl UnwindSafe for AfterFork {}
impl RefUnwindSafe for AfterFork {}

// Why: see ARCHITECTURE.md, "Unwind safety".
impl UnwindSafe for Prepared {}
impl RefUnwindSafe for Prepared {}
