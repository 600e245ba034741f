//! What is to run when a value has died, by hand before that, or at the end of the program: once, whichever comes first.
//!
//! *For whom:* whoever has to remove a temporary directory, flush a file or say goodbye to a server when the object that stands for it has gone, and at the latest when the program ends: destructors
//! do not run for what a `static` owns, or what was forgotten.
//!
//! *Modelled after* Python's `weakref.finalize` and the `Finalize` of its `multiprocessing`, whose priorities it has. A panic of one does not stop the others, and is not lost, as
//! an "unraisable" error is there. In a forked child none of its parent's run.
//!
//! ```
//! use highlander::registries::finalizers::Finalizers;
//! use highlander::{Handle, Registry};
//! use std::path::PathBuf;
//!
//! static FINALIZERS: Finalizers = Finalizers::new();
//! static DIRECTORIES: Registry<PathBuf, ()> = Registry::new();
//!
//! fn main() {
//!     let _end = FINALIZERS.guard();                                          // runs what is left, at the end of `main`
//!     let path = std::env::temp_dir().join(format!("highlander-{}", std::process::id()));
//!     let directory = DIRECTORIES.get_or_insert_with(path, |path| std::fs::create_dir_all(path).unwrap());
//!     let path = Handle::key(&directory).clone();                             // the path, and not the handle, which would keep it alive
//!     FINALIZERS.finalize(&directory, move || drop(std::fs::remove_dir(path))).at_exit(0);
//!     drop(directory);                                                        // here it is removed
//! }
//! ```

use super::lock::lock;
use crate::{Handle, Registration, Watched};
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread;

/// What runs.
pub type Job = Box<dyn FnOnce() + Send>;

/// What a panic carries.
pub type Panic = Box<dyn Any + Send>;

/// Something whose death is reported. It cannot be implemented outside.
pub trait Mortal: sealed::Sealed {}

mod sealed {
    use super::{Job, Registration};

    pub trait Sealed {
        fn on_death(&self, job: Job) -> Registration;
    }
}

impl<K: 'static, V: 'static> Mortal for Handle<K, V> {}

impl<K: 'static, V: 'static> sealed::Sealed for Handle<K, V> {
    fn on_death(&self, job: Job) -> Registration {
        Handle::on_death(self, job)
    }
}

impl<T: ?Sized + 'static> Mortal for Watched<T> {}

impl<T: ?Sized + 'static> sealed::Sealed for Watched<T> {
    fn on_death(&self, job: Job) -> Registration {
        Watched::on_death(self, job)
    }
}

/// Finalizers that have neither run nor been cancelled. See the [module](self).
#[derive(Default)]
pub struct Finalizers {
    shared: OnceLock<Arc<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// In the order in which they were made.
    pending: Mutex<Pending>,
    over: AtomicBool,
}

#[derive(Default)]
struct Pending {
    next: u64,
    list: BTreeMap<u64, Arc<Entry>>,
}

struct Entry {
    number: u64,
    /// Of the process that made it: in a forked child it does not run.
    process: u32,
    job: Mutex<Option<Job>>,
    priority: Mutex<Option<i32>>,
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        lock(&self.pending)
    }

    /// The job, for the one who runs it. It is off the list before it runs.
    fn take(&self, entry: &Entry) -> Option<Job> {
        let job = lock(&entry.job).take();
        let entered = self.pending().list.remove(&entry.number);
        drop(entered);
        job
    }

    fn run(&self, entry: &Entry) -> bool {
        let Some(job) = self.take(entry) else {
            return false;
        };
        let may = entry.process == process::id() && !self.over.load(Ordering::Acquire);
        if may {
            job();
        }
        may
    }
}

impl Finalizers {
    /// None yet. Can be a `static`.
    pub const fn new() -> Self {
        Self {
            shared: OnceLock::new(),
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        self.shared.get_or_init(Arc::default)
    }

    fn enter(&self, job: Job, priority: Option<i32>) -> Finalizer {
        let shared = Arc::clone(self.shared());
        let mut pending = shared.pending();
        let number = pending.next;
        pending.next += 1;
        let entry = Arc::new(Entry {
            number,
            process: process::id(),
            job: Mutex::new(Some(job)),
            priority: Mutex::new(priority),
        });
        pending.list.insert(number, Arc::clone(&entry));
        drop(pending);
        Finalizer { shared, entry }
    }

    /// Runs `job` when the object has died: on the thread that lets go of it last, before that drop returns, with no lock held; of several of one object, the newest first. A panic goes
    /// to whoever let go, when the others have run. At exit it runs only if that is [asked for](Finalizer::at_exit).
    ///
    /// A job that owns the object keeps it alive, until it is [detached](Finalizer::detach).
    pub fn finalize(&self, object: &impl Mortal, job: impl FnOnce() + Send + 'static) -> Finalizer {
        let finalizer = self.enter(Box::new(job), None);
        let at_death = finalizer.clone();
        let registration = sealed::Sealed::on_death(
            object,
            Box::new(move || {
                at_death.call();
            }),
        );
        registration.keep();
        finalizer
    }

    /// Runs `job` at exit, if it has not run before.
    pub fn at_exit(&self, priority: i32, job: impl FnOnce() + Send + 'static) -> Finalizer {
        self.enter(Box::new(job), Some(priority))
    }

    /// How many have neither run nor been cancelled.
    pub fn len(&self) -> usize {
        self.shared
            .get()
            .map_or(0, |shared| shared.pending().list.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs those that have a priority for the exit of at least `least`: the highest first, and of one priority the newest. One that is made while they run is run in its
    /// turn. Each runs whatever became of the others; the panics come back.
    pub fn run(&self, least: i32) -> Vec<Panic> {
        let mut panics = Vec::new();
        let Some(shared) = self.shared.get() else {
            return panics;
        };
        loop {
            let pending = shared.pending();
            let with_priority = pending.list.values().filter_map(|entry| {
                let priority = (*lock(&entry.priority))?;
                (priority >= least).then_some((priority, entry.number, entry))
            });
            let next = with_priority.max_by_key(|(priority, number, _)| (*priority, *number));
            let next = next.map(|(_, _, entry)| Arc::clone(entry));
            drop(pending);
            let Some(entry) = next else { return panics };
            let ran = catch_unwind(AssertUnwindSafe(|| shared.run(&entry)));
            panics.extend(ran.err());
        }
    }

    /// The end: runs all that have a priority for the exit, those of 0 and above first; forgets the rest; and from now on nothing runs any more. What is to come between the two parts, such as
    /// waiting for children, can be done by calling [`run(0)`](Self::run) before.
    pub fn exit(&self) -> Vec<Panic> {
        let panics = self.run(i32::MIN);
        let shared = self.shared();
        shared.over.store(true, Ordering::Release);
        let rest = std::mem::take(&mut shared.pending().list);
        // What they own goes here, with no lock held.
        drop(rest);
        panics
    }

    /// Calls [`exit`](Self::exit) when it is dropped, at the end of `main` say; the first panic goes on then, unless there is one already.
    #[must_use = "it ends all when it is dropped"]
    pub fn guard(&self) -> ExitGuard<'_> {
        ExitGuard(self)
    }
}

impl fmt::Debug for Finalizers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finalizers")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// See [`Finalizers::guard`].
#[derive(Debug)]
pub struct ExitGuard<'a>(&'a Finalizers);

impl Drop for ExitGuard<'_> {
    fn drop(&mut self) {
        let first = self.0.exit().into_iter().next();
        if let Some(panic) = first.filter(|_| !thread::panicking()) {
            resume_unwind(panic);
        }
    }
}

/// One of them. Dropping it changes nothing; clones stand for the same.
#[derive(Clone)]
pub struct Finalizer {
    shared: Arc<Shared>,
    entry: Arc<Entry>,
}

impl Finalizer {
    /// Runs it now, on this thread. False if it has run, is running, or was cancelled or detached; and in a forked child, or after the end.
    ///
    /// # Panics
    /// With what the job panics with. It counts as run.
    pub fn call(&self) -> bool {
        self.shared.run(&self.entry)
    }

    /// Takes the job back, to whom asks first. It does not run any more.
    pub fn detach(&self) -> Option<Job> {
        self.shared.take(&self.entry)
    }

    /// Drops the job. True for the one call that did.
    pub fn cancel(&self) -> bool {
        self.detach().is_some()
    }

    /// Whether it has neither run nor been cancelled.
    pub fn is_alive(&self) -> bool {
        lock(&self.entry.job).is_some()
    }

    /// The priority at exit; none if it does not run then.
    pub fn exit_priority(&self) -> Option<i32> {
        *lock(&self.entry.priority)
    }

    /// Sets the priority at exit, or that it does not run then. Ignored if it is not alive.
    pub fn set_exit_priority(&self, priority: Option<i32>) {
        if self.is_alive() {
            *lock(&self.entry.priority) = priority;
        }
    }

    /// The same one, which runs at exit too.
    pub fn at_exit(self, priority: i32) -> Self {
        self.set_exit_priority(Some(priority));
        self
    }
}

impl fmt::Debug for Finalizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finalizer")
            .field("alive", &self.is_alive())
            .field("exit_priority", &self.exit_priority())
            .finish()
    }
}
