//! What is to run when a value has died, or by hand, or at exit: once, whichever comes first.
//!
//! For whoever has made something that nobody else cleans up (a temporary file, a lock file, a remote
//! session) and cannot count on a destructor alone: statics are never dropped, [`std::process::exit`] drops
//! nothing, and the order in which destructors run at the end of a program is seldom the wanted one.
//!
//! ```
//! use highlander::registries::finalizers::Finalizers;
//! use highlander::Registry;
//! # use std::sync::Mutex;
//! # static LOG: Mutex<Vec<&str>> = Mutex::new(Vec::new());
//! # fn remove(what: &'static str) { LOG.lock().unwrap().push(what) }
//!
//! static SESSIONS: Registry<u32, String> = Registry::new();
//! static FINALIZERS: Finalizers = Finalizers::new();
//!
//! let at_the_end = FINALIZERS.exit_guard();
//! let a = SESSIONS.get_or_insert_with(1, |_| "a".into());
//! let b = SESSIONS.get_or_insert_with(2, |_| "b".into());
//! FINALIZERS.finalize(&a, || remove("session a"));
//! FINALIZERS.finalize(&b, || remove("session b"));
//! FINALIZERS.at_exit(-10, || remove("lock file"));
//! drop(a);                                                    // at its death, now
//! drop(at_the_end);                       // at exit, those that are left: the highest priority first
//! # assert_eq!(*LOG.lock().unwrap(), ["session a", "session b", "lock file"]);
//! ```
//!
//! Modelled after CPython's `weakref.finalize` and `multiprocessing.util.Finalize`, with the exit priorities
//! of the latter.
//!
//! # What dies
//! Whatever reports its death, which is what [`Mortal`] says: a [`Handle`], a [`Watched`], a [`Token`] in a
//! value behind a plain `Arc`, and pointers of your own made of these. A finalizer does not keep its object
//! alive, unless its function owns it: then the object lives until exit, or until
//! [`cancel`](Finalizer::cancel).
//!
//! A finalizer keeps itself alive: it runs whether or not anybody has kept the [`Finalizer`], and when the
//! [`Finalizers`] have been dropped (but then only at death, or by hand). The `Finalizer` is there to
//! [call](Finalizer::call), [cancel](Finalizer::cancel) or [detach](Finalizer::detach) it early. When it has
//! run or was cancelled, nothing is left of it, at the object or here.
//!
//! # Order
//! * At one object's death: the newest first, as with all callbacks. By then the object is out of all its
//!   maps and its weak pointers are dead.
//! * At exit: the highest priority first, within one priority the newest first. One that is made while others
//!   run is run too, when its turn comes by the same rule. One with the priority `None` is for death only,
//!   and does not run at exit.
//!
//! # Exit
//! The exit is when somebody says so: [`run_all`](Finalizers::run_all), or the end of an
//! [`exit_guard`](Finalizers::exit_guard) in `main`; with the feature `atexit` also the C library's `exit`,
//! see `Finalizers::at_process_exit`. It may be said more than once: what is registered later is run at
//! death, or by the next one. (CPython ignores what comes after its exit, since it takes its interpreter
//! apart. Nothing is taken apart here.)
//!
//! # Your code
//! Functions run with no lock held, and may do anything, also with these finalizers. Each runs once: of
//! several threads that call it, and a death, one runs it, and *the others do not wait* until it has ended. A
//! panic at exit stops nothing, and is counted in what comes back ([`Ran`]), after the panic hook has shown
//! it. A panic at death goes on from the last owner's drop when all is done, as with [`Handle::on_death`];
//! one of `call` goes to the caller. The finalizer counts as run in all these cases.
//!
//! # Forked children
//! A finalizer belongs to the process that has made it. In a forked child it does not run, neither at exit
//! nor at death: or the child would remove its parent's files. To forget those of the parent, call
//! [`cancel_all`](Finalizers::cancel_all).
//!
//! # Cost
//! To register, to re-prioritise and to cancel: constant; logarithmic while others run. At exit: a sort of
//! those that are pending, however many come meanwhile. While others run, a few words are left of one that
//! has gone, until more have come than there are, or the run ends.

mod agenda;
mod exit;
mod finalizer;

use crate::memory::panics::discard;
use crate::pointer::{Registration, Token, Watched, WeakWatched};
use crate::sync::{const_fn, plain, OnceCell};
use crate::{Handle, StrongMap, WeakHandle};
use agenda::Agenda;
use finalizer::{FinalizerRecord, PendingFinalizer};
use std::fmt;
use std::panic::{catch_unwind, AssertUnwindSafe, RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

pub use exit::ExitGuard;
pub use finalizer::{Detached, Finalizer};

/// Something that tells of its death.
///
/// For a pointer of your own that is made of one of ours, pass both calls on.
pub trait Mortal {
    /// What is left to know it by when it must not be kept alive: its weak pointer. (A [`Token`] has none.)
    type Weak;

    /// Its weak pointer.
    fn weak(this: &Self) -> Self::Weak;

    /// Runs `callback` at its death, unless the registration is dropped before.
    fn on_death(this: &Self, callback: impl FnOnce() + Send + 'static) -> Registration;
}

impl<K, V> Mortal for Handle<K, V> {
    type Weak = WeakHandle<K, V>;

    fn weak(this: &Self) -> WeakHandle<K, V> {
        Handle::downgrade(this)
    }

    fn on_death(this: &Self, callback: impl FnOnce() + Send + 'static) -> Registration {
        Handle::on_death(this, callback)
    }
}

impl<T: ?Sized> Mortal for Watched<T> {
    type Weak = WeakWatched<T>;

    fn weak(this: &Self) -> WeakWatched<T> {
        Watched::downgrade(this)
    }

    fn on_death(this: &Self, callback: impl FnOnce() + Send + 'static) -> Registration {
        Watched::on_death(this, callback)
    }
}

impl Mortal for Token {
    type Weak = ();

    fn weak(_: &Self) {}

    fn on_death(this: &Self, callback: impl FnOnce() + Send + 'static) -> Registration {
        Token::on_drop(this, callback)
    }
}

/// The object of those finalizers that have none: it never dies.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Mortal for Nobody {
    type Weak = ();

    fn weak(_: &Self) {}

    fn on_death(_: &Self, _: impl FnOnce() + Send + 'static) -> Registration {
        Registration::new(|| false)
    }
}

/// What has become of several functions, each of which ran whatever became of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ran {
    /// How many this call has run.
    pub run: usize,
    /// How many of these have panicked.
    pub panicked: usize,
}

impl Ran {
    /// Runs one more function, which says whether there was something to run. What a panic carries goes no
    /// further.
    pub(in crate::registries) fn step(&mut self, f: impl FnOnce() -> bool) {
        match catch_unwind(AssertUnwindSafe(f)) {
            Ok(ran) => self.run += usize::from(ran),
            Err(panic) => {
                self.run += 1;
                self.panicked += 1;
                discard(panic);
            }
        }
    }
}

/// The finalizers that have neither run nor been cancelled. Can be a `static`; [`PROCESS`] is one for all.
///
/// See [the module](self).
pub struct Finalizers {
    // Made by the first finalizer. The finalizers know it weakly.
    list: OnceCell<Arc<FinalizerList>>,
}

/// Those of the whole process: for libraries whose finalizers are to run in one order with those of others.
#[cfg(not(all(highlander_loom, feature = "loom")))]
pub static PROCESS: Finalizers = Finalizers::new();

struct FinalizerList {
    /// By number: the order in which they were made.
    // Invariant: a finalizer is in it from when it is complete until it is taken, which begins with taking it
    // out of here.
    pending: StrongMap<u64, Arc<dyn PendingFinalizer>>,
    next: plain::AtomicU64,
    agenda: Agenda,
}

impl Finalizers {
    const_fn! {
        /// None yet. Allocates nothing before the first.
        pub const fn new() -> Self {
            Self {
                list: OnceCell::new(),
            }
        }
    }

    fn list(&self) -> &Arc<FinalizerList> {
        self.list.get_or_init(|| {
            Arc::new(FinalizerList {
                pending: StrongMap::new(),
                next: plain::AtomicU64::new(0),
                agenda: Agenda::new(),
            })
        })
    }

    /// Runs `f` once: when the object has died, or when it is [called](Finalizer::call), or at exit with
    /// priority 0.
    ///
    /// *Runs* nothing of yours now. *Waiting:* for others that come to or go from the same object's list, a
    /// few instructions long. *Complexity:* constant on average.
    ///
    /// ```
    /// use highlander::registries::finalizers::Finalizers;
    /// use highlander::pointer::Watched;
    ///
    /// let finalizers = Finalizers::new();
    /// let object = Watched::new("scratch");
    /// let finalizer = finalizers.finalize(&object, || "removed");
    /// assert_eq!(finalizer.call(), Some("removed"));
    /// assert_eq!(finalizer.call(), None);             // once
    /// assert!(!finalizer.is_alive() && finalizers.is_empty());
    /// ```
    pub fn finalize<M: Mortal, R: 'static>(
        &self,
        object: &M,
        f: impl FnOnce() -> R + Send + 'static,
    ) -> Finalizer<M, R> {
        self.finalize_at(object, 0, f)
    }

    /// As [`finalize`](Self::finalize), with a priority at exit; with `None` it does not run at exit.
    ///
    /// ```
    /// use highlander::registries::finalizers::Finalizers;
    /// use highlander::pointer::Watched;
    ///
    /// let finalizers = Finalizers::new();
    /// let object = Watched::new(());
    /// finalizers.finalize_at(&object, None, || ());
    /// finalizers.finalize_at(&object, 7, || ());
    /// assert_eq!(finalizers.run_all().run, 1);
    /// assert_eq!(finalizers.len(), 1);                // the other one waits for the death
    /// ```
    pub fn finalize_at<M: Mortal, R: 'static>(
        &self,
        object: &M,
        priority: impl Into<Option<i32>>,
        f: impl FnOnce() -> R + Send + 'static,
    ) -> Finalizer<M, R> {
        // First, as it may panic: then nothing is registered.
        let weak = M::weak(object);
        let list = self.list();
        let number = list.next.fetch_add(1, plain::Relaxed);
        let record = Arc::new(FinalizerRecord::new(
            list,
            number,
            priority.into(),
            Box::new(f),
        ));
        let at_death = Arc::clone(&record);
        record.set_registration(M::on_death(object, move || {
            at_death.run();
        }));
        let pending = Arc::clone(&record) as Arc<dyn PendingFinalizer>;
        list.pending.insert(number, Arc::clone(&pending));
        list.agenda.has_come(&pending);
        record.forget_if_taken();
        Finalizer::new(weak, record)
    }

    /// Runs `f` once: at exit, or when it is called. There is no object, so there must be a priority.
    pub fn at_exit<R: 'static>(
        &self,
        priority: i32,
        f: impl FnOnce() -> R + Send + 'static,
    ) -> Finalizer<Nobody, R> {
        self.finalize_at(&Nobody, priority, f)
    }

    /// Runs all that have a priority, also those that are made meanwhile; see [order](self#order).
    /// `multiprocessing` calls it `_run_finalizers()`.
    ///
    /// If several threads do this at the same time they share the work, each in order. A function that makes
    /// another one each time does not let it end.
    ///
    /// *Runs* the functions, one after the other. *Waiting:* not for functions that others have begun.
    pub fn run_all(&self) -> Ran {
        self.run_from(i32::MIN)
    }

    /// As [`run_all`](Self::run_all), those with this priority or a higher one. Each call puts all that is
    /// registered in order, so it is no step of a loop.
    ///
    /// ```
    /// use highlander::registries::finalizers::Finalizers;
    ///
    /// let finalizers = Finalizers::new();
    /// finalizers.at_exit(1, || println!("before the workers are stopped"));
    /// finalizers.at_exit(-1, || println!("after"));
    /// assert_eq!(finalizers.run_from(0).run, 1);
    /// // … stop the workers …
    /// assert_eq!(finalizers.run_all().run, 1);
    /// ```
    pub fn run_from(&self, least: i32) -> Ran {
        let mut ran = Ran::default();
        let Some(list) = self.list.get() else {
            return ran;
        };
        let running = list.agenda.begin(|| list.pending());
        while let Some(next) = running.next(least) {
            ran.step(|| next.run());
        }
        ran
    }

    /// Cancels all, whatever their priority, and returns how many this call has cancelled. For a forked
    /// child, which is not to keep what its parent has registered.
    ///
    /// *Runs* the destructors of the functions; a panic of one stops nothing, and goes no further.
    pub fn cancel_all(&self) -> usize {
        let mut cancelled = Ran::default();
        if let Some(list) = self.list.get() {
            for pending in list.pending() {
                cancelled.step(|| pending.cancel());
            }
        }
        cancelled.run
    }

    /// A guard that [runs all](Self::run_all) at its end: for `main`, as the first thing there, so that it is
    /// the last to go.
    ///
    /// It works when `main` returns and when it panics; not with [`std::process::exit`], nor when a signal
    /// ends the process. A panic of a finalizer goes no further.
    ///
    /// ```
    /// use highlander::registries::finalizers::PROCESS;
    ///
    /// fn main() {
    ///     let _finalizers = PROCESS.exit_guard();
    ///     PROCESS.at_exit(0, || println!("the last words"));
    /// }
    /// ```
    pub fn exit_guard(&self) -> ExitGuard<'_> {
        ExitGuard::new(self)
    }

    /// How many have neither run nor been cancelled.
    pub fn len(&self) -> usize {
        self.list.get().map_or(0, |list| list.pending.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl FinalizerList {
    fn pending(&self) -> Vec<Arc<dyn PendingFinalizer>> {
        let mut all = Vec::new();
        let add = |_: &u64, pending: &Arc<dyn PendingFinalizer>| all.push(Arc::clone(pending));
        self.pending.for_each(add);
        all
    }
}

impl Default for Finalizers {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Finalizers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finalizers")
            .field("len", &self.len())
            .finish()
    }
}

// Why: see ARCHITECTURE.md, "Unwind safety".
impl UnwindSafe for Finalizers {}
impl RefUnwindSafe for Finalizers {}
