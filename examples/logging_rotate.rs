//! An ordinary program that logs with the macros of the `log` crate, and whose log files are rotated while
//! its threads log.
//!
//! ```text
//! cargo run --features log --example logging_rotate -- --help
//! ```
//!
//! It goes through a directory on several threads, and logs each file that it finds, and what is odd about
//! some. When a log file is long enough the next one takes its place; the old one is closed by whoever is the
//! last to write to it. In the end the lines are counted: none may be missing, and no file may be open.

use highlander::registries::logging::{FileSink, Handler, Level, Logging, StderrSink};
use lexopt::prelude::*;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::thread;
use std::time::Duration;
use walkdir::{DirEntry, WalkDir};

static LOGGING: Logging = Logging::new();

const HELP: &str = "\
Logs what is in a directory, again and again, into log files that are rotated meanwhile; then counts the lines.

Usage: logging_rotate [OPTIONS] [DIRECTORY]

Of DIRECTORY it looks at 50000 files at most, and says if there are more [default: .]

Options:
      --limit BYTES   a log file that is longer is followed by the next one [default: 65536]
      --rounds N      how often to go through the directory [default: 20]
      --keep LOGS     the directory for the log files [default: a temporary one, which is removed]
  -h, --help          print this
";

const THREADS: usize = 4;
const AT_MOST: usize = 50_000;

struct Options {
    root: PathBuf,
    limit: u64,
    rounds: usize,
    kept: Option<PathBuf>,
}

fn options() -> Result<Option<Options>, lexopt::Error> {
    let (mut root, mut limit, mut rounds, mut kept) = (None, 64 << 10, 20, None);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("limit") => limit = arguments.value()?.parse()?,
            Long("rounds") => rounds = arguments.value()?.parse()?,
            Long("keep") => kept = Some(arguments.value()?.into()),
            Value(path) if root.is_none() => root = Some(path.into()),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(Options {
        root: root.unwrap_or_else(|| ".".into()),
        limit,
        rounds,
        kept,
    }))
}

fn main() -> Result<(), Box<dyn Error>> {
    let Some(options) = options()? else {
        print!("{HELP}");
        return Ok(());
    };
    let (root, kept) = (options.root, options.kept);
    fs::metadata(&root).map_err(|error| format!("{}: {error}", root.display()))?;
    let temporary = std::env::temp_dir().join(format!("logging_rotate-{}", std::process::id()));
    let logs = kept.as_ref().unwrap_or(&temporary);
    fs::create_dir_all(logs)?;

    // Everything into the files, what matters to the screen.
    LOGGING.install(log::LevelFilter::Debug)?;
    LOGGING.root().set_level(Level::DEBUG);
    let screen = LOGGING.handler(StderrSink);
    screen.set_name("screen");
    screen.set_level(Level::ERROR);
    LOGGING.root().add_handler(&screen);
    let mut file = Rotating::begin(logs, options.limit)?;

    let said = AtomicUsize::new(0);
    let (done, finished) = channel::<()>();
    thread::scope(|scope| -> Result<(), Box<dyn Error>> {
        let entries = files(&root);
        log::info!(target: "rotate", "{} files below {}", entries.len(), root.display());
        said.fetch_add(1, Relaxed);
        let part = entries.len().div_ceil(THREADS).max(1);
        for (n, entries) in entries.chunks(part).map(<[_]>::to_vec).enumerate() {
            let (said, done) = (&said, done.clone());
            scope.spawn(move || {
                let _done = done;
                let target = format!("rotate::walker::{n}");
                for _ in 0..options.rounds {
                    said.fetch_add(walk(&target, &entries), Relaxed);
                }
            });
        }
        drop(done);
        // Until the last walker has dropped its end.
        while let Err(RecvTimeoutError::Timeout) = finished.recv_timeout(Duration::from_millis(1)) {
            file.rotate_if_long()?;
        }
        Ok(())
    })?;

    let shutdown = LOGGING.shutdown(Default::default());
    for failure in &shutdown.failures {
        eprintln!("{failure}");
    }
    let (files, said) = (file.number + 1, said.into_inner());
    let lines = lines(logs, files)?;
    println!("{said} records, {lines} lines in {files} files");
    assert_eq!(said, lines, "a record was lost");
    assert_eq!(open_files(logs), 0, "a file stayed open");
    assert!(shutdown.failures.is_empty());
    if kept.is_none() {
        fs::remove_dir_all(logs)?;
    }
    Ok(())
}

/// The handler that writes to the newest file. It owns it beside the root logger, which lets go of it when it
/// is replaced.
struct Rotating<'a> {
    logs: &'a Path,
    limit: u64,
    number: usize,
    current: Handler,
}

impl<'a> Rotating<'a> {
    fn begin(logs: &'a Path, limit: u64) -> Result<Self, Box<dyn Error>> {
        let current = Self::open(logs, 0)?;
        LOGGING.root().add_handler(&current);
        Ok(Self {
            logs,
            limit,
            number: 0,
            current,
        })
    }

    /// A handler of a new file, under the name of the one before: whoever asks for "file" gets the newest.
    fn open(logs: &Path, number: usize) -> Result<Handler, Box<dyn Error>> {
        let path = path(logs, number);
        // Of an earlier run.
        fs::write(&path, "")?;
        let handler = LOGGING.handler(FileSink::append(path)?);
        handler.set_name("file");
        Ok(handler)
    }

    fn rotate_if_long(&mut self) -> Result<(), Box<dyn Error>> {
        if fs::metadata(path(self.logs, self.number))?.len() > self.limit {
            let next = Self::open(self.logs, self.number + 1)?;
            LOGGING.root().replace_handler(&self.current, &next);
            self.current = next;
            self.number += 1;
        }
        Ok(())
    }
}

fn path(logs: &Path, number: usize) -> PathBuf {
    logs.join(format!("rotate.{number}.log"))
}

fn files(root: &Path) -> Vec<DirEntry> {
    let entries = WalkDir::new(root).into_iter().filter_map(Result::ok);
    let files = entries.filter(|entry| entry.file_type().is_file());
    let mut files: Vec<_> = files.take(AT_MOST + 1).collect();
    if files.len() > AT_MOST {
        files.truncate(AT_MOST);
        println!("left out what comes after {AT_MOST} files");
    }
    files
}

/// How many records that were.
fn walk(target: &str, entries: &[DirEntry]) -> usize {
    let mut said = 0;
    for entry in entries {
        match entry.metadata() {
            Ok(data) if data.len() == 0 => {
                log::warn!(target: target, "{} is empty", entry.path().display());
            }
            Ok(data) => {
                log::debug!(target: target, "{} has {} bytes", entry.path().display(), data.len());
            }
            Err(error) => log::warn!(target: target, "{}: {error}", entry.path().display()),
        }
        said += 1;
    }
    log::info!(target: target, "that was all");
    said + 1
}

/// How many records the files have. A name of a file that has a line break in it is more than one line, so a
/// record is known by its beginning.
fn lines(logs: &Path, files: usize) -> std::io::Result<usize> {
    let mut lines = 0;
    for number in 0..files {
        let text = fs::read(path(logs, number))?;
        let begins = |line: &[u8]| {
            line.splitn(3, |byte| *byte == b' ')
                .nth(1)
                .is_some_and(|level| matches!(level, b"DEBUG" | b"INFO" | b"WARNING"))
        };
        lines += text
            .split(|byte| *byte == b'\n')
            .filter(|line| begins(line))
            .count();
    }
    Ok(lines)
}

/// How many files in this directory the process has open, where the system tells.
fn open_files(logs: &Path) -> usize {
    let Ok(open) = fs::read_dir("/proc/self/fd") else {
        return 0;
    };
    let logs = logs.canonicalize().unwrap_or_else(|_| logs.to_owned());
    let links = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.filter(|path| path.starts_with(&logs)).count()
}
