//! Where records go, known by name and kept alive by nobody here.

use super::failure::{attempt, BoxError, Failure, FailureHook, Step};
use super::record::{Level, Record};
use super::{LoggingShared, NameHandle};
use crate::pointer::Watched;
use crate::sync::plain::{AtomicU8, Relaxed};
use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering};
use crate::Handle;
use std::fmt;
use std::mem;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, Weak};

/// What brings records out: into a file, to a screen, over a line.
///
/// All functions are called with no lock held, on any thread, also on several at the same time. What they
/// return or panic with does not reach who logs; see [`Logging::on_failure`](super::Logging::on_failure). The
/// same is true of the sink's destructor, which counts as a part of [`Step::Close`].
pub trait Sink: Send + Sync + 'static {
    /// Writes one record.
    ///
    /// # Errors
    /// Whatever went wrong.
    fn write(&self, record: &Record<'_>) -> Result<(), BoxError>;

    /// Brings out what it has not brought out yet. Nothing, unless implemented.
    ///
    /// # Errors
    /// Whatever went wrong.
    fn flush(&self) -> Result<(), BoxError> {
        Ok(())
    }

    /// Gives back what it holds. Called once, after a flush, also if that has failed. Nothing is written
    /// after it but what was under way. Nothing, unless implemented: what the drop of the sink gives back.
    ///
    /// # Errors
    /// Whatever went wrong.
    fn close(&self) -> Result<(), BoxError> {
        Ok(())
    }

    /// Whether it wants a flush before it is closed. True, unless implemented: a buffer in memory may say no,
    /// as in CPython from 3.12 on.
    fn flush_on_close(&self) -> bool {
        true
    }
}

/// Whoever has the sink sees what it has taken.
///
/// ```
/// use highlander::registries::logging::{BoxError, Logging, Record, Sink};
/// use std::sync::{Arc, Mutex};
///
/// #[derive(Default)]
/// struct Lines(Mutex<Vec<String>>);
/// impl Sink for Lines {
///     fn write(&self, record: &Record<'_>) -> Result<(), BoxError> {
///         self.0.lock().unwrap().push(record.to_string());
///         Ok(())
///     }
/// }
///
/// let (logging, lines) = (Logging::new(), Arc::new(Lines::default()));
/// let handler = logging.handler(Arc::clone(&lines));
/// logging.root().add_handler(&handler);
/// logging.root().warning(format_args!("seen"));
/// assert_eq!(*lines.0.lock().unwrap(), ["WARNING root: seen"]);
/// ```
impl<S: Sink + ?Sized> Sink for Arc<S> {
    fn write(&self, record: &Record<'_>) -> Result<(), BoxError> {
        (**self).write(record)
    }

    fn flush(&self) -> Result<(), BoxError> {
        (**self).flush()
    }

    fn close(&self) -> Result<(), BoxError> {
        (**self).close()
    }

    fn flush_on_close(&self) -> bool {
        (**self).flush_on_close()
    }
}

/// A sink with a level and, if wanted, a name. Clones are owners of the same one; when the last has gone, the
/// sink is flushed, closed and dropped.
#[derive(Clone)]
pub struct Handler {
    body: Watched<HandlerBody>,
}

pub(super) struct HandlerBody {
    /// None at the very end.
    sink: Option<Box<dyn Sink>>,
    level: AtomicU8,
    closed: AtomicBool,
    /// Nothing of a user's runs or is dropped under this lock.
    name: Mutex<Name>,
    shared: Weak<LoggingShared>,
    hook: Arc<FailureHook>,
}

#[derive(Default)]
struct Name {
    handle: Option<NameHandle>,
    /// A closed handler takes no name any more.
    closed: bool,
    /// What it was called when it was closed, for those who are told of what comes later.
    was: Option<String>,
}

impl Name {
    fn text(&self) -> Option<String> {
        let handle = self.handle.as_ref();
        handle.map(|name| Handle::key(name).to_string())
    }
}

impl HandlerBody {
    pub(super) fn new(sink: Box<dyn Sink>, shared: &Arc<LoggingShared>) -> Self {
        Self {
            sink: Some(sink),
            level: AtomicU8::new(0),
            closed: AtomicBool::new(false),
            name: Mutex::new(Name::default()),
            shared: Arc::downgrade(shared),
            hook: Arc::clone(&shared.hook),
        }
    }

    fn name(&self) -> MutexGuard<'_, Name> {
        self.name.lock()
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// The name that it has, or had when it was closed.
    fn last_name(&self) -> Option<String> {
        let name = self.name();
        name.text().or_else(|| name.was.clone())
    }

    fn attempt(
        &self,
        step: Step,
        f: impl FnOnce(&dyn Sink) -> Result<(), BoxError>,
    ) -> Result<(), Failure> {
        attempt(|| self.sink.as_deref().map_or(Ok(()), f))
            .map_err(|error| Failure::new(self.last_name(), step, error))
    }

    /// The last two steps, for the one caller who closes it.
    fn close(&self) -> Option<Vec<Failure>> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return None;
        }
        let flush = self.attempt(Step::Flush, |sink| match sink.flush_on_close() {
            true => sink.flush(),
            false => Ok(()),
        });
        let close = self.attempt(Step::Close, |sink| sink.close());
        let mut name = self.name();
        name.closed = true;
        name.was = name.text();
        let handle = name.handle.take();
        drop(name);
        // Frees the name, if it still is this one's.
        drop(handle);
        Some([flush, close].into_iter().filter_map(Result::err).collect())
    }
}

impl Drop for HandlerBody {
    fn drop(&mut self) {
        for failure in self.close().into_iter().flatten() {
            self.hook.tell(failure);
        }
        let sink = self.sink.take();
        let dropped = attempt(|| {
            drop(sink);
            Ok(())
        });
        if let Err(error) = dropped {
            self.hook
                .tell(Failure::new(self.last_name(), Step::Close, error));
        }
    }
}

impl Handler {
    pub(super) fn new(body: HandlerBody) -> Self {
        Self::of(Watched::new(body))
    }

    pub(super) fn of(body: Watched<HandlerBody>) -> Self {
        Self { body }
    }

    pub(super) fn watched(&self) -> &Watched<HandlerBody> {
        &self.body
    }

    /// The name that it was given last, if any. Another handler may have taken it since.
    pub fn name(&self) -> Option<String> {
        self.body.name().text()
    }

    /// Whether it is the one that is found under its name.
    pub fn owns_name(&self) -> bool {
        let (Some(name), Some(shared)) = (self.name(), self.body.shared.upgrade()) else {
            return false;
        };
        let owner = shared.names.get(&*name).and_then(|name| name.upgrade());
        owner.is_some_and(|owner| Watched::ptr_eq(&owner, &self.body))
    }

    /// Gives it a name, and its old name up; with `""`, only the latter. It is found under the new name from
    /// before it is not found under the old one. If another handler has that name, this takes it over.
    ///
    /// Whether it was named: not if it is closed or its [`Logging`](super::Logging) has gone.
    ///
    /// *Waits* for nobody but, a few instructions long, others who name this handler, of whom the last one
    /// wins.
    ///
    /// ```
    /// use highlander::registries::logging::{Logging, StderrSink};
    ///
    /// let logging = Logging::new();
    /// let (old, new) = (logging.handler(StderrSink), logging.handler(StderrSink));
    /// old.set_name("console");
    /// new.set_name("console");
    /// assert_eq!(logging.handler_named("console"), Some(new.clone()));
    /// old.set_name("old console");        // does not take it away from the new one
    /// assert_eq!(logging.handler_named("console"), Some(new));
    /// ```
    pub fn set_name(&self, name: &str) -> bool {
        // Before a name is taken from its owner, for nothing.
        if self.is_closed() {
            return false;
        }
        let entered = match (name.is_empty(), self.body.shared.upgrade()) {
            (true, _) => None,
            (false, None) => return false,
            (false, Some(shared)) => {
                let weak = Watched::downgrade(&self.body);
                Some(shared.names.insert(name.into(), weak).0)
            }
        };
        let mut place = self.body.name();
        if place.closed {
            // Somebody closes it at this moment: it had the name, and has given it up. The lock first: what
            // goes with the entry runs without it.
            drop(place);
            return false;
        }
        let old = mem::replace(&mut place.handle, entered);
        drop(place);
        // What is dropped is this handler's entry and nobody else's.
        drop(old);
        true
    }

    /// From which level on it takes records.
    pub fn level(&self) -> Level {
        Level::new(self.body.level.load(Relaxed))
    }

    /// Takes records from this level on.
    pub fn set_level(&self, level: Level) {
        self.body.level.store(level.value(), Relaxed);
    }

    /// Whether somebody has closed it.
    pub fn is_closed(&self) -> bool {
        self.body.is_closed()
    }

    /// Writes the record, if its level is high enough. What goes wrong is told to the hook.
    pub fn handle(&self, record: &Record<'_>) {
        if record.level() < self.level() {
            return;
        }
        let written = self.body.attempt(Step::Write, |sink| {
            if self.body.is_closed() {
                return Err(format!("closed; it did not take {record}").into());
            }
            sink.write(record)
        });
        if let Err(failure) = written {
            self.body.hook.tell(failure);
        }
    }

    /// Brings out what its sink has not brought out yet. Nothing, if it is closed.
    ///
    /// # Errors
    /// What the sink says, or its panic.
    pub fn flush(&self) -> Result<(), Failure> {
        if self.is_closed() {
            return Ok(());
        }
        self.body.attempt(Step::Flush, |sink| sink.flush())
    }

    /// Flushes and closes the sink, once: nothing more is done by who comes second, and that one does not
    /// wait. The handler leaves the list, and its name is free. Records that come later are refused, and told
    /// to the hook; those under way go on. To lose none, use
    /// [`Logger::replace_handler`](super::Logger::replace_handler), and let go of it.
    ///
    /// What goes wrong comes back; both steps are taken.
    pub fn close(&self) -> Vec<Failure> {
        self.end().unwrap_or_default()
    }

    /// None if somebody else closes it.
    pub(super) fn end(&self) -> Option<Vec<Failure>> {
        let failures = self.body.close()?;
        if let Some(shared) = self.body.shared.upgrade() {
            shared.handlers.remove(&self.body);
        }
        Some(failures)
    }
}

/// Whether both are the same handler.
impl PartialEq for Handler {
    fn eq(&self, other: &Self) -> bool {
        Watched::ptr_eq(&self.body, &other.body)
    }
}

impl Eq for Handler {}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler")
            .field("name", &self.name())
            .field("level", &self.level())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

// Why: see ARCHITECTURE.md, "Unwind safety".
impl UnwindSafe for Handler {}
impl RefUnwindSafe for Handler {}
