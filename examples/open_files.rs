//! A cache of open files: one for each path, shared by all threads that read it, and closed by the last drop.
//!
//! ```text
//! cargo run --example open_files -- --help
//! ```

use highlander::{Handle, Recent, Registry};
use lexopt::prelude::*;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::{error::Error, thread};
use walkdir::WalkDir;

const HELP: &str = "\
Looks at lines at random places of large files, without reading the files: how long are lines, how do they look?

Usage: open_files [OPTIONS] [PATH]...

A PATH is a file, or a directory with files. Without one: the Rust sources in `src`.

Options:
  -n, --lines N     lines to look at [default: 10000]
      --show N      lines to print, one each time that a file is taken up [default: 5]
      --keep N      files to keep open, beside those that are being read [default: 16]
  -j, --threads N   [default: 4]
  -h, --help        print this

Exit code: 0 when done, 1 when a file could not be read, 2 for a fault of the command line.
";

/// The one open file of each path.
static FILES: Registry<PathBuf, OpenFile> = Registry::new().record_stats();
static OPEN: AtomicUsize = AtomicUsize::new(0);
static MOST_OPEN: AtomicUsize = AtomicUsize::new(0);

struct OpenFile {
    length: u64,
    file: Mutex<File>,
}

impl OpenFile {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        MOST_OPEN.fetch_max(OPEN.fetch_add(1, Relaxed) + 1, Relaxed);
        let file = Mutex::new(file);
        Ok(Self { length, file })
    }

    /// Reads the line that begins next after this place; after the last one, the first.
    fn line_after(&self, place: u64) -> io::Result<Vec<u8>> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = Vec::new();
        if place > 0 {
            file.seek(SeekFrom::Start(place - 1))?;
            let mut reader = BufReader::with_capacity(512, &mut *file);
            reader.skip_until(b'\n')?;
            reader.read_until(b'\n', &mut line)?;
        }
        if line.is_empty() {
            file.rewind()?;
            BufReader::with_capacity(512, &mut *file).read_until(b'\n', &mut line)?;
        }
        Ok(line)
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Relaxed);
    }
}

/// How many lines a thread looks at while it has the file.
const AT_A_TIME: usize = 10;

type Cache = Recent<&'static Registry<PathBuf, OpenFile>>;

/// The open file of this path: opened by the first who asks, while the others wait for it.
fn open(cache: &Cache, path: &Path) -> io::Result<Handle<PathBuf, OpenFile>> {
    // The path is copied on a miss only. (`get_or_try_insert_with` takes one that is owned.)
    Ok(cache
        .entry_ref(path)
        .or_try_insert_with(|path| OpenFile::open(path))?)
}

struct Options {
    lines: usize,
    show: usize,
    keep: usize,
    threads: usize,
    files: Vec<PathBuf>,
}

fn options() -> Result<Option<Options>, Box<dyn Error>> {
    let mut options = Options {
        lines: 10_000,
        show: 5,
        keep: 16,
        threads: 4,
        files: Vec::new(),
    };
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Short('n') | Long("lines") => options.lines = arguments.value()?.parse()?,
            Long("show") => options.show = arguments.value()?.parse()?,
            Long("keep") => options.keep = arguments.value()?.parse()?,
            Short('j') | Long("threads") => {
                options.threads = arguments.value()?.parse::<usize>()?.max(1)
            }
            Value(path) => paths.push(path.into()),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let by_default = paths.is_empty();
    if by_default {
        paths.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    }
    for entry in paths.iter().flat_map(WalkDir::new) {
        let entry = entry?;
        let is_rust = || entry.path().extension().is_some_and(|end| end == "rs");
        if entry.file_type().is_file() && (!by_default || is_rust()) {
            options.files.push(entry.into_path());
        }
    }
    if options.files.is_empty() {
        return Err("there are no files".into());
    }
    Ok(Some(options))
}

/// What one thread has seen.
#[derive(Default)]
struct Seen {
    lines: usize,
    bytes: usize,
    longest: usize,
    shown: Vec<String>,
    failures: Vec<String>,
}

fn look(options: &Options, cache: &Cache, next: &AtomicUsize) -> Seen {
    let (mut seen, random) = (Seen::default(), RandomState::new());
    loop {
        let from = next.fetch_add(AT_A_TIME, Relaxed);
        if from >= options.lines {
            return seen;
        }
        let path = &options.files[random.hash_one(from) as usize % options.files.len()];
        let mut look = || -> io::Result<()> {
            let file = open(cache, path)?;
            for n in from..options.lines.min(from + AT_A_TIME) {
                let place = random.hash_one(!n) % file.length.max(1);
                let line = file.line_after(place)?;
                let line = String::from_utf8_lossy(&line);
                let line = line.trim_end();
                seen.lines += 1;
                seen.bytes += line.len();
                seen.longest = seen.longest.max(line.len());
                if n % AT_A_TIME == 0 && n / AT_A_TIME < options.show {
                    let shown = format!("{} after {place}: {line}", path.display());
                    seen.shown.push(shown);
                }
            }
            Ok(())
        };
        if let Err(error) = look() {
            seen.failures.push(format!("{}: {error}", path.display()));
        }
    }
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("open_files: {error}; try --help");
            return ExitCode::from(2);
        }
    };
    let (cache, next) = (Recent::new(&FILES, options.keep), AtomicUsize::new(0));
    let seen: Vec<Seen> = thread::scope(|scope| {
        let work = || look(&options, &cache, &next);
        let threads: Vec<_> = (0..options.threads).map(|_| scope.spawn(work)).collect();
        let seen = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"));
        seen.collect()
    });

    seen.iter()
        .flat_map(|seen| &seen.shown)
        .for_each(|line| println!("{line}"));
    let sum = |what: fn(&Seen) -> usize| seen.iter().map(what).sum::<usize>();
    let lines = sum(|seen| seen.lines);
    println!(
        "{lines} lines of {} files: {} bytes long on average, {} at most",
        options.files.len(),
        sum(|seen| seen.bytes) / lines.max(1),
        seen.iter().map(|seen| seen.longest).max().unwrap_or(0),
    );
    let stats = FILES.stats();
    println!(
        "opened {} times, open already {} times; {} open at most at the same time",
        stats.created,
        stats.hits,
        MOST_OPEN.load(Relaxed),
    );
    // What is kept is the last that is open.
    cache.clear();
    assert_eq!(
        (FILES.len(), OPEN.load(Relaxed)),
        (0, 0),
        "a file stayed open"
    );

    let mut failures: Vec<&String> = seen.iter().flat_map(|seen| &seen.failures).collect();
    failures.sort();
    failures.dedup();
    failures
        .iter()
        .for_each(|failure| eprintln!("open_files: {failure}"));
    ExitCode::from(u8::from(!failures.is_empty()))
}
