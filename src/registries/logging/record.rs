//! What is logged.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

/// How much a record matters; and for loggers and handlers, from where on.
///
/// The numbers are those of Python's `logging`, and others may lie between.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

impl Level {
    /// Of a logger: that of the next one above which has one. Of a handler: it takes all.
    pub const NOTSET: Level = Level(0);
    /// 5, which Python has not.
    pub const TRACE: Level = Level(5);
    /// 10
    pub const DEBUG: Level = Level(10);
    /// 20
    pub const INFO: Level = Level(20);
    /// 30
    pub const WARNING: Level = Level(30);
    /// 40
    pub const ERROR: Level = Level(40);
    /// 50
    pub const CRITICAL: Level = Level(50);

    /// A level of one's own.
    pub const fn new(value: u8) -> Self {
        Self(value)
    }

    /// Its number.
    pub const fn value(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match *self {
            Level::NOTSET => "NOTSET",
            Level::TRACE => "TRACE",
            Level::DEBUG => "DEBUG",
            Level::INFO => "INFO",
            Level::WARNING => "WARNING",
            Level::ERROR => "ERROR",
            Level::CRITICAL => "CRITICAL",
            Level(other) => return write!(f, "Level {other}"),
        })
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is shown, in capitals or not; `WARN` and `FATAL`, as in Python; or a number.
///
/// ```
/// use highlander::registries::logging::Level;
///
/// assert_eq!("debug".parse(), Ok(Level::DEBUG));
/// assert_eq!("35".parse(), Ok(Level::new(35)));
/// assert_eq!(Level::new(35).to_string().parse(), Ok(Level::new(35)));
/// assert_eq!("loud".parse::<Level>().unwrap_err().to_string(), "\"loud\" is no level");
/// ```
impl FromStr for Level {
    type Err = ParseLevelError;

    fn from_str(text: &str) -> Result<Self, ParseLevelError> {
        let wanted = text.trim().to_ascii_uppercase();
        Ok(match &*wanted {
            "NOTSET" => Level::NOTSET,
            "TRACE" => Level::TRACE,
            "DEBUG" => Level::DEBUG,
            "INFO" => Level::INFO,
            "WARNING" | "WARN" => Level::WARNING,
            "ERROR" => Level::ERROR,
            "CRITICAL" | "FATAL" => Level::CRITICAL,
            other => {
                let number = other.strip_prefix("LEVEL ").unwrap_or(other).parse();
                Level(number.map_err(|_| ParseLevelError(text.to_owned()))?)
            }
        })
    }
}

/// A text that names no [`Level`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseLevelError(String);

impl fmt::Display for ParseLevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no level", self.0)
    }
}

impl std::error::Error for ParseLevelError {}

/// One thing that is logged, as sinks get to see it. Shown, it is `LEVEL logger: message`.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    logger: &'a str,
    level: Level,
    message: fmt::Arguments<'a>,
    time: SystemTime,
    place: Option<(&'a str, u32)>,
}

impl<'a> Record<'a> {
    /// Of now, for [`Logger::handle`](super::Logger::handle), which gives it the logger's name.
    pub fn new(level: Level, message: fmt::Arguments<'a>) -> Self {
        Self {
            logger: "",
            level,
            message,
            time: SystemTime::now(),
            place: None,
        }
    }

    /// With the file and line where it was logged.
    pub fn at(self, file: &'a str, line: u32) -> Self {
        Self {
            place: Some((file, line)),
            ..self
        }
    }

    /// Under another name.
    pub(super) fn with(self, logger: &'a str) -> Self {
        Self { logger, ..self }
    }

    /// The name of the logger that it was logged with; by the `log` crate: its target.
    pub fn logger(&self) -> &'a str {
        self.logger
    }

    /// How much it matters.
    pub fn level(&self) -> Level {
        self.level
    }

    /// What it says.
    pub fn message(&self) -> fmt::Arguments<'a> {
        self.message
    }

    /// When it was made.
    pub fn time(&self) -> SystemTime {
        self.time
    }

    /// The file and line where it was logged, if known.
    pub fn place(&self) -> Option<(&'a str, u32)> {
        self.place
    }
}

impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.level, self.logger, self.message)
    }
}
