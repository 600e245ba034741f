//! Counts lines with worker processes.
//!
//! ```text
//! cargo run --features after-fork --example after_fork_workers -- --help
//! ```
//!
//! Before they are forked, the parent has a report that is half written, and a sequence of numbers: a child
//! must neither write the same half again nor give out the same numbers. Both say so where they are made;
//! `main` knows nothing of it.

#[cfg(not(unix))]
fn main() {
    println!("there is no fork on this system");
}

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    match workers::directory()? {
        Some(directory) => Ok(workers::run(directory)?),
        None => Ok(()),
    }
}

#[cfg(unix)]
mod workers {
    use highlander::pointer::Watched;
    use highlander::registries::after_fork::AfterFork;
    use lexopt::prelude::*;
    use std::fs;
    use std::io::{self, Write};
    use std::path::PathBuf;
    use std::sync::{Mutex, PoisonError};

    const HELP: &str = "\
Counts the lines of Rust files with four processes that are forked from this one.

Usage: after_fork_workers [DIRECTORY]

DIRECTORY is searched for .rs files [default: src]
";

    const WORKERS: usize = 4;

    static AFTER_FORK: AfterFork = AfterFork::new();

    /// Lines that are written out together, when it is dropped or flushed.
    struct Report {
        buffer: Mutex<String>,
    }

    impl Report {
        fn new() -> Watched<Self> {
            let buffer = Mutex::default();
            let report = Watched::new(Self { buffer });
            // What is in the buffer is the parent's to write.
            AFTER_FORK.register(&report, |report: &Watched<Self>| report.take().clear());
            report
        }

        fn note(&self, line: &str) {
            let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
            buffer.push_str(line);
            buffer.push('\n');
        }

        fn take(&self) -> String {
            std::mem::take(&mut self.buffer.lock().unwrap_or_else(PoisonError::into_inner))
        }

        fn flush(&self) -> io::Result<()> {
            // In one piece, as the others write to the same place.
            io::stdout().write_all(self.take().as_bytes())
        }
    }

    /// Numbers that no other process gives out.
    struct Numbers(Mutex<(u32, u32)>);

    impl Numbers {
        fn new() -> Watched<Self> {
            let numbers = Watched::new(Self(Mutex::new((std::process::id(), 0))));
            AFTER_FORK.register(&numbers, |numbers: &Watched<Self>| {
                *numbers.0.lock().unwrap() = (std::process::id(), 0);
            });
            numbers
        }

        fn next(&self) -> String {
            let mut numbers = self.0.lock().unwrap();
            numbers.1 += 1;
            format!("{}-{}", numbers.0, numbers.1)
        }
    }

    /// Returns what was given, or the default; none if it was help that was asked for.
    pub(super) fn directory() -> Result<Option<PathBuf>, lexopt::Error> {
        let mut arguments = lexopt::Parser::from_env();
        let mut directory = None;
        while let Some(argument) = arguments.next()? {
            match argument {
                Short('h') | Long("help") => {
                    print!("{HELP}");
                    return Ok(None);
                }
                Value(path) if directory.is_none() => directory = Some(path.into()),
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(Some(directory.unwrap_or_else(|| "src".into())))
    }

    pub(super) fn run(from: PathBuf) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in walkdir::WalkDir::new(from).sort_by_file_name() {
            let path: PathBuf = entry?.into_path();
            if path.extension().is_some_and(|end| end == "rs") {
                files.push(path);
            }
        }

        let (report, numbers) = (Report::new(), Numbers::new());
        report.note(&format!(
            "{}: the parent has {} files",
            numbers.next(),
            files.len()
        ));

        let mut children = Vec::new();
        for worker in 0..WORKERS {
            // SAFETY: this process has one thread, so all works in the child as before.
            let pid = AFTER_FORK.around(|| unsafe { libc::fork() });
            match pid {
                -1 => return Err(io::Error::last_os_error()),
                0 => {
                    let mine = files.iter().skip(worker).step_by(WORKERS);
                    let lines: usize = mine.map(|path| lines(path)).sum();
                    report.note(&format!(
                        "{}: worker {worker} counts {lines} lines",
                        numbers.next()
                    ));
                    report.flush()?;
                    std::process::exit(0);
                }
                child => children.push(child),
            }
        }
        for child in children {
            let mut status = 0;
            // SAFETY: the status is ours to be written to.
            let joined = unsafe { libc::waitpid(child, &mut status, 0) };
            assert_eq!((joined, status), (child, 0), "a worker has failed");
        }
        let expected: usize = files.iter().map(|path| lines(path)).sum();
        report.note(&format!(
            "{}: together they should have counted {expected}",
            numbers.next()
        ));
        report.flush()?;
        drop((report, numbers));
        assert!(AFTER_FORK.is_empty());
        Ok(())
    }

    fn lines(path: &std::path::Path) -> usize {
        fs::read_to_string(path).map_or(0, |text| text.lines().count())
    }
}
