//! One logger for each dotted name, with those above it.

use super::handler::Handler;
use super::record::{Level, Record};
use super::LoggingShared;
use crate::sync::plain::{AtomicU8, Relaxed};
use crate::sync::{AtomicBool, ModelArc, Ordering, RwLock};
use crate::Handle;
use std::fmt;
use std::iter::successors;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, Weak};

/// The place of a name: a logger, or where one may come.
pub(super) struct LoggerNode {
    /// Where a name was not asked for yet, nothing was done to: so nothing but `parent` needs to know whether
    /// it was.
    asked_for: AtomicBool,
    level: AtomicU8,
    silent: AtomicBool,
    kept: AtomicBool,
    /// Replaced as a whole. Readers exclude nobody, so that one which a fork has stopped does not either. The
    /// lock is held while it is copied, and nothing is dropped under it.
    handlers: RwLock<ModelArc<Vec<Handler>>>,
    parent: Option<NodeHandle>,
    knobs: Arc<Knobs>,
    shared: Weak<LoggingShared>,
}

pub(super) type NodeHandle = Handle<Box<str>, LoggerNode>;

/// What concerns all loggers.
#[derive(Default)]
pub(super) struct Knobs {
    pub(super) disabled: AtomicU8,
}

impl LoggerNode {
    fn new(parent: Option<NodeHandle>, knobs: Arc<Knobs>, shared: Weak<LoggingShared>) -> Self {
        Self {
            asked_for: AtomicBool::new(false),
            level: AtomicU8::new(0),
            silent: AtomicBool::new(false),
            kept: AtomicBool::new(false),
            handlers: RwLock::new(ModelArc::new(Vec::new())),
            parent,
            knobs,
            shared,
        }
    }

    pub(super) fn root(shared: Weak<LoggingShared>) -> Self {
        let root = Self::new(None, Arc::default(), shared);
        root.level.store(Level::WARNING.value(), Relaxed);
        root.asked_for.store(true, Ordering::Relaxed);
        root.kept.store(true, Ordering::Relaxed);
        root
    }

    pub(super) fn below(parent: NodeHandle) -> Self {
        let (knobs, shared) = (Arc::clone(&parent.knobs), parent.shared.clone());
        Self::new(Some(parent), knobs, shared)
    }

    pub(super) fn is_logger(&self) -> bool {
        self.asked_for.load(Ordering::Acquire)
    }

    pub(super) fn knobs(&self) -> &Knobs {
        &self.knobs
    }

    fn level(&self) -> Level {
        Level::new(self.level.load(Relaxed))
    }

    /// This one, and those above it.
    fn upwards(&self) -> impl Iterator<Item = &LoggerNode> {
        successors(Some(self), |node| node.parent.as_deref())
    }

    fn effective_level(&self) -> Level {
        let mut levels = self.upwards().map(LoggerNode::level);
        levels
            .find(|level| *level != Level::NOTSET)
            .unwrap_or(Level::NOTSET)
    }

    pub(super) fn is_enabled_for(&self, level: Level) -> bool {
        let disabled = self.knobs.disabled.load(Relaxed);
        level.value() > disabled && level >= self.effective_level()
    }

    fn handlers(&self) -> ModelArc<Vec<Handler>> {
        let handlers = self.handlers.read();
        ModelArc::clone(&handlers)
    }

    pub(super) fn call_handlers(&self, record: &Record<'_>) {
        for node in self.upwards() {
            for handler in &*node.handlers() {
                handler.handle(record);
            }
            if node.silent.load(Ordering::Relaxed) {
                break;
            }
        }
    }

    /// Puts another list in the place of the one there is, if `f` has one.
    fn edit(&self, f: impl FnOnce(&[Handler]) -> Option<Vec<Handler>>) -> bool {
        let mut place = self.handlers.write();
        let Some(new) = f(&place) else { return false };
        let old = std::mem::replace(&mut *place, ModelArc::new(new));
        drop(place);
        // Perhaps the last owner of a handler.
        drop(old);
        true
    }
}

/// What parts of a program log with. Clones are the same logger.
///
/// See the [module](super) for how long it lives, and [`Logging::logger`](super::Logging::logger) for how to
/// get it.
#[derive(Clone)]
pub struct Logger {
    node: NodeHandle,
}

impl Logger {
    pub(super) fn new(node: NodeHandle) -> Self {
        Self { node }
    }

    pub(super) fn ask_for(&self) {
        if !self.node.is_logger() {
            self.node.asked_for.store(true, Ordering::Release);
        }
    }

    /// Something was done to it, so it has to be the same for who asks for it later.
    fn keep(&self) {
        if !self.node.kept.swap(true, Ordering::Relaxed) {
            if let Some(shared) = self.node.shared.upgrade() {
                shared
                    .kept
                    .insert(Handle::key(&self.node).clone(), self.node.clone());
            }
        }
    }

    /// Its name; the root's is `root`.
    pub fn name(&self) -> &str {
        match &**Handle::key(&self.node) {
            "" => "root",
            name => name,
        }
    }

    /// The next logger above. The root has none.
    pub fn parent(&self) -> Option<Logger> {
        let mut above = successors(self.node.parent.as_ref(), |node| node.parent.as_ref());
        above
            .find(|node| node.is_logger())
            .map(|node| Logger::new(node.clone()))
    }

    /// The level that it was given itself.
    pub fn level(&self) -> Level {
        self.node.level()
    }

    /// Gives it a level; [`Level::NOTSET`] takes it away.
    pub fn set_level(&self, level: Level) {
        self.node.level.store(level.value(), Relaxed);
        self.keep();
    }

    /// Its level, or that of the next one above which has one. *Complexity:* linear in the depth of the name.
    pub fn effective_level(&self) -> Level {
        self.node.effective_level()
    }

    /// Whether a record of this level would be handed to handlers.
    pub fn is_enabled_for(&self, level: Level) -> bool {
        self.node.is_enabled_for(level)
    }

    /// Whether its records go to the handlers of those above too.
    pub fn propagates(&self) -> bool {
        !self.node.silent.load(Ordering::Relaxed)
    }

    /// Lets its records go to the handlers of those above, or not.
    pub fn set_propagates(&self, propagates: bool) {
        self.node.silent.store(!propagates, Ordering::Relaxed);
        self.keep();
    }

    /// Its handlers, in the order in which they were added.
    pub fn handlers(&self) -> Vec<Handler> {
        self.node.handlers().to_vec()
    }

    /// Whether a record would meet a handler, here or above.
    pub fn has_handlers(&self) -> bool {
        for node in self.node.upwards() {
            if !node.handlers().is_empty() {
                return true;
            }
            if node.silent.load(Ordering::Relaxed) {
                break;
            }
        }
        false
    }

    /// Gives it a handler, which it then owns. False if it has it. *Complexity:* linear in how many it has,
    /// as of the next two.
    pub fn add_handler(&self, handler: &Handler) -> bool {
        let added = self.node.edit(|handlers| {
            let add = || handlers.iter().chain([handler]).cloned().collect();
            (!handlers.contains(handler)).then(add)
        });
        self.keep();
        added
    }

    /// Lets go of a handler. Whether it had it. Records that are on their way to it are written.
    pub fn remove_handler(&self, handler: &Handler) -> bool {
        self.node.edit(|handlers| {
            let others = handlers.iter().filter(|other| *other != handler);
            let remove = || others.cloned().collect();
            handlers.contains(handler).then(remove)
        })
    }

    /// Puts a handler in the place of another: each record goes to exactly one of the two. False, and nothing
    /// is done, if it has not the old one, or has the new one.
    ///
    /// When the last owner of the old one has let go, be it a record on its way, its sink is flushed and
    /// closed. So a log file is rotated without a gap:
    /// ```
    /// use highlander::registries::logging::{FileSink, Logging};
    /// # let directory = std::env::temp_dir().join(format!("highlander-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    ///
    /// let logging = Logging::new();
    /// let open = |n: u32| FileSink::append(directory.join(format!("log.{n}")));
    /// let mut current = logging.handler(open(0)?);
    /// logging.root().add_handler(&current);
    /// logging.root().warning(format_args!("into the first file"));
    ///
    /// let next = logging.handler(open(1)?);
    /// logging.root().replace_handler(&current, &next);
    /// current = next;                                             // the first file is closed
    /// logging.root().warning(format_args!("into the second file"));
    /// assert_eq!(logging.handlers(), [current]);
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn replace_handler(&self, old: &Handler, new: &Handler) -> bool {
        let replaced = self.node.edit(|handlers| {
            let with_new = |handler: &Handler| if handler == old { new } else { handler }.clone();
            let replace = || handlers.iter().map(with_new).collect();
            (handlers.contains(old) && !handlers.contains(new)).then(replace)
        });
        self.keep();
        replaced
    }

    /// Logs, if the level is high enough.
    pub fn log(&self, level: Level, message: fmt::Arguments<'_>) {
        if self.is_enabled_for(level) {
            self.handle(Record::new(level, message));
        }
    }

    /// Hands a record to handlers, whatever its level.
    pub fn handle<'a>(&'a self, record: Record<'a>) {
        let record = record.with(self.name());
        self.node.call_handlers(&record);
    }

    /// Logs at the level [`Level::DEBUG`].
    pub fn debug(&self, message: fmt::Arguments<'_>) {
        self.log(Level::DEBUG, message);
    }

    /// Logs at the level [`Level::INFO`].
    pub fn info(&self, message: fmt::Arguments<'_>) {
        self.log(Level::INFO, message);
    }

    /// Logs at the level [`Level::WARNING`].
    pub fn warning(&self, message: fmt::Arguments<'_>) {
        self.log(Level::WARNING, message);
    }

    /// Logs at the level [`Level::ERROR`].
    pub fn error(&self, message: fmt::Arguments<'_>) {
        self.log(Level::ERROR, message);
    }

    /// Logs at the level [`Level::CRITICAL`].
    pub fn critical(&self, message: fmt::Arguments<'_>) {
        self.log(Level::CRITICAL, message);
    }
}

/// Whether both are the same logger.
impl PartialEq for Logger {
    fn eq(&self, other: &Self) -> bool {
        Handle::ptr_eq(&self.node, &other.node)
    }
}

impl Eq for Logger {}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logger")
            .field("name", &self.name())
            .field("level", &self.level())
            .finish_non_exhaustive()
    }
}

// Why: see ARCHITECTURE.md, "Unwind safety".
impl UnwindSafe for Logger {}
impl RefUnwindSafe for Logger {}
