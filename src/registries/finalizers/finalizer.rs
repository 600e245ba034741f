//! One finalizer: what it runs, and who can still stop it.

use super::{FinalizerList, Mortal};
use crate::pointer::{Pointer, Registration, WeakPointer};
use crate::registries::process_id::this_process;
use crate::sync::plain::{AtomicI64, Relaxed};
use crate::sync::Mutex;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, Weak};

/// What a finalizer runs.
pub(super) type Function<R> = Box<dyn FnOnce() -> R + Send>;

/// A function that is to run once: at the death of an object, by hand, or at exit. Made by
/// [`Finalizers::finalize`](super::Finalizers::finalize).
///
/// Dropping it changes nothing: the function will run all the same.
pub struct Finalizer<M: Mortal, R = ()> {
    object: M::Weak,
    record: Arc<FinalizerRecord<R>>,
}

/// What [`Finalizer::detach`] gives back: the object, and what would have been run.
pub type Detached<M, R> = (M, Box<dyn FnOnce() -> R + Send>);

impl<M: Mortal, R: 'static> Finalizer<M, R> {
    pub(super) fn new(object: M::Weak, record: Arc<FinalizerRecord<R>>) -> Self {
        Self { object, record }
    }

    /// Runs the function now, and returns what it returns. None if it has run, is running, or was cancelled;
    /// or in a forked child.
    ///
    /// *Runs* the function with no lock held; while it runs, the finalizer is dead already. A panic goes to
    /// the caller.
    pub fn call(&self) -> Option<R> {
        self.record.call()
    }

    /// Whether it has neither run (or begun to) nor been cancelled.
    pub fn is_alive(&self) -> bool {
        !self.record.is_taken()
    }

    /// Sees to it that the function does not run. True if that came in time. *Runs* the destructor of the
    /// function.
    pub fn cancel(&self) -> bool {
        self.record.cancel()
    }

    /// Its priority at exit; none if it does not run then.
    pub fn priority(&self) -> Option<i32> {
        unpack(self.record.priority.load(Relaxed))
    }

    /// Changes its priority at exit; with `None` it will not run then. Of a dead finalizer it has no effect.
    /// Python calls it `atexit`.
    pub fn set_priority(&self, priority: impl Into<Option<i32>>) {
        self.record.priority.store(pack(priority.into()), Relaxed);
        if let Some(list) = self.record.list.upgrade() {
            let pending = Arc::clone(&self.record) as Arc<dyn PendingFinalizer>;
            list.agenda.has_come(&pending);
        }
    }
}

impl<M: Mortal<Weak = <M as Pointer>::Weak> + Pointer, R: 'static> Finalizer<M, R> {
    /// The object, if the finalizer is alive.
    ///
    /// It is owned meanwhile: if the others let go of it, it dies in here, when the finalizer turns out to be
    /// dead.
    ///
    /// ```
    /// use highlander::registries::finalizers::Finalizers;
    /// use highlander::pointer::Watched;
    ///
    /// let finalizers = Finalizers::new();
    /// let object = Watched::new(7);
    /// let finalizer = finalizers.finalize(&object, || ());
    /// assert_eq!(finalizer.peek().as_deref(), Some(&7));
    /// finalizer.cancel();
    /// assert!(finalizer.peek().is_none());
    /// ```
    pub fn peek(&self) -> Option<M> {
        let object = self.object.upgrade()?;
        self.is_alive().then_some(object)
    }

    /// As [`cancel`](Self::cancel); gives the object back, and the function. None if the finalizer or the
    /// object is dead. The object is owned meanwhile, as by [`peek`](Self::peek).
    ///
    /// ```
    /// use highlander::registries::finalizers::Finalizers;
    /// use highlander::pointer::Watched;
    ///
    /// let finalizers = Finalizers::new();
    /// let object = Watched::new("mine");
    /// let finalizer = finalizers.finalize(&object, || 7);
    /// let (same, f) = finalizer.detach().unwrap();
    /// assert!(Watched::ptr_eq(&same, &object));
    /// assert_eq!(f(), 7);
    /// assert!(finalizer.detach().is_none());
    /// ```
    pub fn detach(&self) -> Option<Detached<M, R>> {
        let object = self.object.upgrade()?;
        Some((object, self.record.take()?))
    }
}

impl<M: Mortal, R: 'static> fmt::Debug for Finalizer<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finalizer")
            .field("alive", &self.is_alive())
            .field("priority", &self.priority())
            .finish()
    }
}

/// What the list knows of a finalizer.
pub(super) trait PendingFinalizer: Send + Sync {
    /// Runs it. Whether there was something to run.
    fn run(&self) -> bool;
    fn cancel(&self) -> bool;
    fn is_taken(&self) -> bool;
    fn priority(&self) -> Option<i32>;
    /// By the order in which they were made.
    fn number(&self) -> u64;
    /// The one that has made it.
    fn process(&self) -> u32;
}

/// Shared by the list, by what calls at the death, and by the [`Finalizer`].
pub(super) struct FinalizerRecord<R> {
    /// There until somebody takes it: who does has it alone.
    function: Mutex<Option<Function<R>>>,
    /// Owns the call at death, which owns this: a circle, until the function is taken.
    registration: Mutex<Option<Registration>>,
    list: Weak<FinalizerList>,
    number: u64,
    priority: AtomicI64,
    process: u32,
}

impl<R> FinalizerRecord<R> {
    pub(super) fn new(
        list: &Arc<FinalizerList>,
        number: u64,
        priority: Option<i32>,
        function: Function<R>,
    ) -> Self {
        Self {
            function: Mutex::new(Some(function)),
            registration: Mutex::new(None),
            list: Arc::downgrade(list),
            number,
            priority: AtomicI64::new(pack(priority)),
            process: this_process(),
        }
    }

    pub(super) fn set_registration(&self, registration: Registration) {
        *self.registration.lock() = Some(registration);
    }

    /// Takes the function, once, and everything that leads to it.
    fn take(&self) -> Option<Function<R>> {
        if let Some(list) = self.list.upgrade() {
            list.pending.remove(&self.number);
        }
        // Statements of their own: the locks end with them.
        let function = self.function.lock().take();
        let registration = self.registration.lock().take();
        drop(registration);
        function
    }

    /// For an object that has told of its death (wrongly, since it was lent to whoever makes the finalizer)
    /// before all of this was in its place.
    pub(super) fn forget_if_taken(&self) {
        if self.is_taken() {
            self.take();
        }
    }

    fn call(&self) -> Option<R> {
        let function = self.take()?;
        (self.process == this_process()).then(function)
    }
}

impl<R> PendingFinalizer for FinalizerRecord<R> {
    fn run(&self) -> bool {
        self.call().is_some()
    }

    fn cancel(&self) -> bool {
        self.take().is_some()
    }

    fn is_taken(&self) -> bool {
        self.function.lock().is_none()
    }

    fn priority(&self) -> Option<i32> {
        unpack(self.priority.load(Relaxed))
    }

    fn number(&self) -> u64 {
        self.number
    }

    fn process(&self) -> u32 {
        self.process
    }
}

const NEVER: i64 = i64::MIN;

fn pack(priority: Option<i32>) -> i64 {
    priority.map_or(NEVER, i64::from)
}

fn unpack(priority: i64) -> Option<i32> {
    i32::try_from(priority).ok()
}

// Why: see ARCHITECTURE.md, "Unwind safety".
impl<M: Mortal<Weak: UnwindSafe + RefUnwindSafe>, R> UnwindSafe for Finalizer<M, R> {}
impl<M: Mortal<Weak: UnwindSafe + RefUnwindSafe>, R> RefUnwindSafe for Finalizer<M, R> {}
