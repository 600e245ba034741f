//! Loggers by dotted name, and handlers that are shut down in order.
//!
//! For programs whose parts log without knowing where it goes, and which must lose nothing at the end nor
//! leave a file open. Modelled after CPython's `logging` (3.11 to 3.13): one logger for each dotted name,
//! handlers that are known by name and in the order in which they were made, none kept alive. With the
//! feature `log`, it is what the macros of the [`log`](https://docs.rs/log) crate write to:
//! `Logging::install`.
//!
//! ```
//! use highlander::registries::logging::{BoxError, Level, Logging, Record, Sink};
//! use std::sync::{Arc, Mutex};
//!
//! struct Lines(Arc<Mutex<Vec<String>>>);
//! impl Sink for Lines {
//!     fn write(&self, record: &Record<'_>) -> Result<(), BoxError> {
//!         self.0.lock().unwrap().push(record.to_string());
//!         Ok(())
//!     }
//! }
//!
//! static LOGGING: Logging = Logging::new();
//! let lines = Arc::default();
//! let handler = LOGGING.handler(Lines(Arc::clone(&lines)));
//! handler.set_name("lines");
//! LOGGING.root().add_handler(&handler);
//! LOGGING.logger("db").set_level(Level::DEBUG);
//!
//! LOGGING.logger("db.pool").debug(format_args!("{} connections", 3));
//! LOGGING.logger("web").debug(format_args!("not said: the root has the level WARNING"));
//! assert_eq!(*lines.lock().unwrap(), ["DEBUG db.pool: 3 connections"]);
//!
//! assert!(LOGGING.shutdown(Default::default()).failures.is_empty());
//! assert!(LOGGING.handler_named("lines").is_none());
//! ```
//!
//! # Loggers
//! [`Logging::logger`] gives whoever asks the one [`Logger`] of this name. `a.b.c` is below `a.b`, `a`, and
//! the root: if there is no such logger yet, its place is held, and who asks for it later gets what the lower
//! ones are below already. A logger without a level has that of the next one above that has one. A record
//! goes to the handlers of its logger, and of those above up to the first that does not propagate.
//!
//! A logger to which something was done (a level, a handler, propagation) stays until the `Logging` goes, as
//! all do in CPython. One to which nothing was done lives as long as somebody has it or one below it; nobody
//! can tell its successor from it. So names made of request numbers do not fill the memory.
//!
//! # Handlers
//! A [`Handler`] owns a [`Sink`], which is yours. Handlers live as long as somebody has them, loggers among
//! others. When the last owner lets go, the handler leaves the list and its name is free before that drop
//! returns, in which its sink is flushed and closed, if it has not been closed before. A record that is on
//! its way to a handler is written before that; so [`Logger::replace_handler`] loses none.
//!
//! A name belongs to the handler that took it last. The one before does not notice, and when it is renamed,
//! closed, or dies, the name stays with its new owner. (In CPython it is taken away from it.)
//!
//! # Shutting down
//! [`Logging::shutdown`] goes through the live handlers, the newest first: flush, then close. Each step is
//! taken whatever became of the one before, each error is collected, and a [`Policy`] says whether those
//! behind a failure have their turn. Each sink is closed once. (In CPython a flush that fails leaves the file
//! open, and what was closed is closed again.) Nothing is done by itself at the end of the process: what a
//! `static` owns is not dropped, so `main` has to call it.
//!
//! # Your code
//! A sink runs with no lock held, on as many threads as log at the same time; so it brings its own lock if it
//! needs one, and may log, to itself too. An error of a sink or a panic does not reach who logs: it is told
//! to the hook ([`Logging::on_failure`]), which prints it unless told otherwise. The same is done with
//! records for a closed handler.
//!
//! *Waiting:* a record waits for its sinks, and at each logger, a few instructions long, for others that
//! change its handlers; not for other records. *Complexity:* a record is linear in the depth of the name and
//! in the handlers that it meets; [`Logging::logger`] takes one look-up when the logger exists, else one for
//! each level up to the first that exists, of as much of the name as that has.
//!
//! # What owns what
//! A sink that owns a [`Handler`] of itself, or a logger that has it, keeps both for ever. A `Logging` may go
//! before its loggers and handlers; they go on, but for what is asked of it.

#[cfg(feature = "log")]
mod facade;
mod failure;
mod handler;
mod logger;
mod record;
mod shutdown;
mod sinks;

use crate::map::ByAddress;
use crate::pointer::{Watched, WeakWatched};
use crate::sync::plain::Relaxed;
use crate::sync::{const_fn, OnceCell};
use crate::{Handle, Registry, StrongMap, WeakSet};
use failure::FailureHook;
use handler::HandlerBody;
use logger::{LoggerNode, NodeHandle};
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

pub use failure::{BoxError, Failure, Policy, Step};
pub use handler::{Handler, Sink};
pub use logger::Logger;
pub use record::{Level, ParseLevelError, Record};
pub use shutdown::Shutdown;
pub use sinks::{FileSink, StderrSink};

/// Loggers and handlers that belong together; usually a `static`, one for the program. See the
/// [module](self).
///
/// It allocates nothing before it is first used.
pub struct Logging {
    shared: OnceCell<Arc<LoggingShared>>,
}

/// By name, with the handler known weakly: the entry is owned by the handler, so that it goes with it or with
/// its renaming, and no later one of the same name does.
type Names = Registry<Box<str>, WeakWatched<HandlerBody>>;

/// What a handler has of its name.
type NameHandle = Handle<Box<str>, WeakWatched<HandlerBody>>;

struct LoggingShared {
    handlers: WeakSet<Watched<HandlerBody>, ByAddress>,
    names: Names,
    loggers: Registry<Box<str>, LoggerNode>,
    /// Loggers to which something was done.
    kept: StrongMap<Box<str>, NodeHandle>,
    root: NodeHandle,
    hook: Arc<FailureHook>,
}

/// No live handler has this name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownHandler(String);

impl fmt::Display for UnknownHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no handler is named {:?}", self.0)
    }
}

impl std::error::Error for UnknownHandler {}

impl Logging {
    const_fn! {
        /// Without handlers, and with a root logger of the level [`Level::WARNING`].
        pub const fn new() -> Self {
            Self {
                shared: OnceCell::new(),
            }
        }
    }

    fn shared(&self) -> &Arc<LoggingShared> {
        self.shared.get_or_init(|| {
            Arc::new_cyclic(|shared| {
                let loggers = Registry::new();
                let root = LoggerNode::root(shared.clone());
                let (root, _) = loggers.insert(Box::default(), root);
                LoggingShared {
                    handlers: WeakSet::new(),
                    names: Registry::new(),
                    loggers,
                    kept: StrongMap::new(),
                    root,
                    hook: Arc::default(),
                }
            })
        })
    }

    /// The logger above all others, which is also that of the names `""` and `"root"`.
    pub fn root(&self) -> Logger {
        Logger::new(self.shared().root.clone())
    }

    /// The one logger of this name. Made if there is none, with its place in the order of names.
    ///
    /// ```
    /// use highlander::registries::logging::Logging;
    ///
    /// let logging = Logging::new();
    /// let leaf = logging.logger("a.b.c");
    /// assert_eq!(leaf.parent(), Some(logging.root()));    // nobody has asked for those between
    /// let late = logging.logger("a.b");
    /// assert_eq!(leaf.parent(), Some(late));
    /// assert_eq!(logging.logger("a.b.c"), leaf);
    /// ```
    pub fn logger(&self, name: &str) -> Logger {
        let logger = Logger::new(self.shared().node(name));
        logger.ask_for();
        logger
    }

    /// The logger of this name, if somebody has asked for it and it lives.
    pub fn existing_logger(&self, name: &str) -> Option<Logger> {
        if is_root(name) {
            return Some(self.root());
        }
        let node = self.shared.get()?.loggers.get(name)?;
        node.is_logger().then(|| Logger::new(node))
    }

    /// The names of the loggers that live, the root's not among them, in no order. *Complexity:* linear in
    /// their number.
    pub fn logger_names(&self) -> Vec<String> {
        let Some(shared) = self.shared.get() else {
            return Vec::new();
        };
        let named = shared.loggers.iter().filter(|node| node.is_logger());
        let named = named.map(|node| Handle::key(&node).to_string());
        named.filter(|name| !name.is_empty()).collect()
    }

    /// Silences whatever is of this level or below, for all loggers; [`Level::NOTSET`] ends that. As
    /// `logging.disable`.
    pub fn disable(&self, level: Level) {
        let knobs = self.shared().root.knobs();
        knobs.disabled.store(level.value(), Relaxed);
    }

    /// A new handler that writes to `sink`, at the end of the list. It lives as long as somebody has it.
    pub fn handler(&self, sink: impl Sink) -> Handler {
        let shared = self.shared();
        let handler = Handler::new(HandlerBody::new(Box::new(sink), shared));
        shared.handlers.insert(handler.watched());
        handler
    }

    /// The handlers that live and are not closed, in the order in which they were made.
    pub fn handlers(&self) -> Vec<Handler> {
        let shared = self.shared.get();
        let handlers = shared.into_iter().flat_map(|shared| shared.handlers.iter());
        let handlers = handlers.map(Handler::of);
        handlers.filter(|handler| !handler.is_closed()).collect()
    }

    /// The live handler that has this name. Waits for nobody.
    pub fn handler_named(&self, name: &str) -> Option<Handler> {
        let names = &self.shared.get()?.names;
        let mut before = None;
        loop {
            let named = names.get(name)?;
            let handler = named.upgrade();
            if handler.is_some() || before.is_some_and(|before| Handle::ptr_eq(&named, &before)) {
                return handler.map(Handler::of);
            }
            // It has died. Perhaps another one took the name over before.
            before = Some(named);
        }
    }

    /// The names that live handlers have, in no order. *Complexity:* linear in their number.
    pub fn handler_names(&self) -> Vec<String> {
        let names = self
            .shared
            .get()
            .into_iter()
            .flat_map(|shared| &shared.names);
        let alive = names.filter(|name| name.is_alive());
        alive.map(|name| Handle::key(&name).to_string()).collect()
    }

    /// Sets the level of the handler with this name, as an incremental configuration does.
    ///
    /// # Errors
    /// [`UnknownHandler`] if there is none.
    pub fn set_handler_level(&self, name: &str, level: Level) -> Result<(), UnknownHandler> {
        let handler = self.handler_named(name);
        let handler = handler.ok_or_else(|| UnknownHandler(name.to_owned()))?;
        handler.set_level(level);
        Ok(())
    }

    /// Calls `hook` with what goes wrong in sinks while somebody logs, or when a handler's last owner lets
    /// go. Without it, that is printed to the standard error output.
    ///
    /// *Runs* the hook with no lock held, where the sink has failed; a panic of it is swallowed. A hook that
    /// logs to the sink that fails does so for ever.
    pub fn on_failure(&self, hook: impl Fn(&Failure) + Send + Sync + 'static) {
        self.shared().hook.set(Arc::new(hook));
    }

    /// Flushes the live handlers, the newest first, and returns what went wrong.
    pub fn flush(&self) -> Vec<Failure> {
        let handlers = self.handlers().into_iter().rev();
        handlers
            .filter_map(|handler| handler.flush().err())
            .collect()
    }

    /// Flushes and closes the handlers that live when it begins, the newest first.
    ///
    /// Handlers that are made meanwhile or later are not touched, and work; the next shutdown is theirs. One
    /// that another thread is closing, or whose last owner is letting go of it, is not waited for. Loggers
    /// keep their handlers, which take nothing any more.
    ///
    /// *Runs* [`Sink::flush`] and [`Sink::close`], with no lock held. A panic in one is a failure.
    ///
    /// ```
    /// use highlander::registries::logging::{BoxError, Logging, Policy, Record, Sink};
    ///
    /// struct Full;
    /// impl Sink for Full {
    ///     fn write(&self, _: &Record<'_>) -> Result<(), BoxError> { Ok(()) }
    ///     fn flush(&self) -> Result<(), BoxError> { Err("the disk is full".into()) }
    /// }
    ///
    /// let logging = Logging::new();
    /// let handlers = [logging.handler(Full), logging.handler(Full)];
    /// let first = logging.shutdown(Policy::StopAtFailure);
    /// assert_eq!((first.closed, first.failures.len(), &first.left[..]), (1, 1, &handlers[..1]));
    /// let rest = logging.shutdown(Policy::GoOn);
    /// assert_eq!((rest.closed, rest.failures.len()), (1, 1));
    /// assert_eq!(rest.failures[0].to_string(), "a handler without a name: flush: the disk is full");
    /// ```
    pub fn shutdown(&self, policy: Policy) -> Shutdown {
        let mut handlers = self.handlers();
        let mut shutdown = Shutdown::default();
        while let Some(handler) = handlers.pop() {
            let Some(failures) = handler.end() else {
                continue;
            };
            shutdown.closed += 1;
            shutdown.failures.extend(failures);
            if policy == Policy::StopAtFailure && !shutdown.failures.is_empty() {
                break;
            }
        }
        shutdown.left = handlers;
        shutdown
    }

    /// Makes all as if there had never been a handler: names are free, handlers shut down whatever fails, and
    /// none is in the list. As a new configuration does.
    pub fn clear_handlers(&self) -> Shutdown {
        if let Some(shared) = self.shared.get() {
            shared.names.clear();
        }
        self.shutdown(Policy::GoOn)
    }
}

impl LoggingShared {
    fn node(self: &Arc<Self>, name: &str) -> NodeHandle {
        if is_root(name) {
            return self.root.clone();
        }
        if let Some(node) = self.loggers.get(name) {
            return node;
        }
        // Up to the first that exists, and from there down: so that no depth of names is a depth of the
        // stack.
        let mut missing = vec![name.len()];
        let mut above = name.rmatch_indices('.').map(|(end, _)| end);
        let mut node = loop {
            let Some(end) = above.next().filter(|end| *end > 0) else {
                break self.root.clone();
            };
            if let Some(node) = self.loggers.get(&name[..end]) {
                break node;
            }
            missing.push(end);
        };
        for end in missing.into_iter().rev() {
            let parent = node;
            let entry = self.loggers.entry_ref(&name[..end]);
            node = entry.or_insert_with(|_| LoggerNode::below(parent));
        }
        node
    }
}

fn is_root(name: &str) -> bool {
    name.is_empty() || name == "root"
}

impl Default for Logging {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Logging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logging")
            .field("handlers", &self.handlers())
            .finish_non_exhaustive()
    }
}

// Why: see ARCHITECTURE.md, "Unwind safety".
impl UnwindSafe for Logging {}
impl RefUnwindSafe for Logging {}
