//! The sink of the `log` crate.

use super::logger::NodeHandle;
use super::record::{Level, Record};
use super::{is_root, Logging};
use std::borrow::Cow;

impl From<log::Level> for Level {
    fn from(level: log::Level) -> Self {
        match level {
            log::Level::Error => Level::ERROR,
            log::Level::Warn => Level::WARNING,
            log::Level::Info => Level::INFO,
            log::Level::Debug => Level::DEBUG,
            log::Level::Trace => Level::TRACE,
        }
    }
}

impl Logging {
    /// Makes it what the macros of the `log` crate write to, for the whole process, and lets pass what is of
    /// the level `max` or more important. With the feature `log`.
    ///
    /// A record's target is the name of its logger, with dots for `::`; so levels and handlers are set for
    /// `module::path`, or for what is above it, by `logger("module.path")`. Logging makes no loggers: a
    /// target that nobody has asked for goes to the next above that is there.
    ///
    /// # Errors
    /// If the process has a logger already; then nothing is done.
    ///
    /// ```
    /// use highlander::registries::logging::{Level, Logging, StderrSink};
    ///
    /// static LOGGING: Logging = Logging::new();
    ///
    /// LOGGING.install(log::LevelFilter::Debug)?;
    /// LOGGING.root().add_handler(&LOGGING.handler(StderrSink));
    /// LOGGING.logger("my_crate.db").set_level(Level::DEBUG);
    /// log::debug!(target: "my_crate::db::pool", "said");
    /// log::debug!(target: "my_crate::web", "not said");
    /// let _ = LOGGING.shutdown(Default::default());
    /// # Ok::<(), log::SetLoggerError>(())
    /// ```
    pub fn install(&'static self, max: log::LevelFilter) -> Result<(), log::SetLoggerError> {
        log::set_logger(self)?;
        log::set_max_level(max);
        Ok(())
    }

    /// The lowest place that there is of this target.
    fn node_of(&self, target: &str) -> NodeHandle {
        let shared = self.shared();
        let dotted: Cow<'_, str> = match target.contains("::") {
            true => target.replace("::", ".").into(),
            false => target.into(),
        };
        let mut name = &*dotted;
        while !is_root(name) {
            if let Some(node) = shared.loggers.get(name) {
                return node;
            }
            name = name.rfind('.').map_or("", |dot| &name[..dot]);
        }
        shared.root.clone()
    }
}

impl log::Log for Logging {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        let node = self.node_of(metadata.target());
        node.is_enabled_for(metadata.level().into())
    }

    fn log(&self, record: &log::Record<'_>) {
        let node = self.node_of(record.target());
        let level = record.level().into();
        if node.is_enabled_for(level) {
            let mut made = Record::new(level, *record.args()).with(record.target());
            if let (Some(file), Some(line)) = (record.file(), record.line()) {
                made = made.at(file, line);
            }
            node.call_handlers(&made);
        }
    }

    /// What goes wrong is told to the hook.
    fn flush(&self) {
        for failure in Logging::flush(self) {
            self.shared().hook.tell(failure);
        }
    }
}
