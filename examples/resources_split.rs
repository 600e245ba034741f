//! Splits text into many files by a field of each line, with few of them open at a time.
//!
//! ```text
//! cargo run --features resources --example resources_split -- --help
//! ```
//!
//! The well-known `awk '{ print > $1 ".txt" }'` ends in "too many open files" when there are many fields, and
//! so does a map of writers. Here a file is open while somebody writes to it, and the last few a little
//! longer. All threads that meet the same field share one writer, and no two ever write to the same file by
//! different ones.

use highlander::registries::resources::Resources;
use highlander::{Handle, Recent, Registry};
use lexopt::ValueExt;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Mutex;
use std::thread;

const HELP: &str = "\
Splits text into many files by the first word of each line, with few of them open at a time.

Usage: resources_split [OPTIONS] [FILE]...

Without a FILE it splits the Rust sources in `src`.

Options:
      --open N           files to keep open, beside those that are being written to [default: 16]
      --into DIRECTORY   where to write WORD.txt for each word; lines are appended, in no certain order
                         [default: a temporary one, which is checked and removed]
  -h, --help             print this
";

/// One open output. It is flushed and closed when the last one lets go; only then it is opened again.
struct Output(Mutex<BufWriter<File>>);

static OPENED: AtomicUsize = AtomicUsize::new(0);
static FAILED: AtomicUsize = AtomicUsize::new(0);
static OUTPUTS: Resources<PathBuf, Output> = Resources::new();

impl Output {
    fn append(path: &PathBuf) -> io::Result<Self> {
        OPENED.fetch_add(1, Relaxed);
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self(Mutex::new(BufWriter::new(file))))
    }

    fn line(&self, line: &str) -> io::Result<()> {
        writeln!(self.0.lock().unwrap(), "{line}")
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // Nobody is there to be told when the last one lets go, so it is counted.
        if let Err(error) = self.0.get_mut().unwrap().flush() {
            eprintln!("not written: {error}");
            FAILED.fetch_add(1, Relaxed);
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut open = 16;
    let mut into = None;
    let mut inputs = Vec::new();
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            lexopt::Arg::Long("open") => open = arguments.value()?.parse()?,
            lexopt::Arg::Long("into") => into = Some(PathBuf::from(arguments.value()?)),
            lexopt::Arg::Value(path) => inputs.push(PathBuf::from(path)),
            _ => return Err(argument.unexpected().into()),
        }
    }
    if inputs.is_empty() {
        let sources = walkdir::WalkDir::new("src").into_iter();
        let files = sources.map(|entry| entry.map(walkdir::DirEntry::into_path));
        inputs = files.collect::<Result<_, _>>()?;
        inputs.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    }
    let temporary = into.is_none();
    let into = into.unwrap_or_else(|| {
        std::env::temp_dir().join(format!("highlander-split-{}", std::process::id()))
    });
    std::fs::create_dir_all(&into)?;

    // Keeps the last few open, so that not each line opens a file.
    let outputs = Recent::new(OUTPUTS.registry(), open);
    let next = AtomicUsize::new(0);
    let lines = thread::scope(|scope| {
        let work = || {
            let mut lines = 0;
            while let Some(input) = inputs.get(next.fetch_add(1, Relaxed)) {
                lines += split(input, &into, &outputs)?;
            }
            Ok::<_, io::Error>(lines)
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        let counts = threads.into_iter().map(|thread| thread.join().unwrap());
        counts.sum::<io::Result<usize>>()
    })?;
    outputs.clear();
    assert!(OUTPUTS.is_empty(), "all are closed");
    if FAILED.load(Relaxed) > 0 {
        return Err("some lines are lost".into());
    }

    let written: Vec<_> = std::fs::read_dir(&into)?.collect::<Result<_, _>>()?;
    println!(
        "{lines} lines of {} files into {} files in {}: opened {} times, {open} kept open at most",
        inputs.len(),
        written.len(),
        into.display(),
        OPENED.load(Relaxed),
    );
    if temporary {
        let mut count = 0;
        for file in written {
            count += std::fs::read_to_string(file.path())?.lines().count();
        }
        std::fs::remove_dir_all(&into)?;
        assert_eq!(count, lines, "no line is lost, or written twice");
    }
    Ok(())
}

/// Appends each line to the file of its first word. Returns how many there were.
fn split(
    input: &Path,
    into: &Path,
    outputs: &Recent<&Registry<PathBuf, Output>>,
) -> io::Result<usize> {
    let mut lines = 0;
    // What this thread writes to at the moment is open, whatever others need.
    let mut at_hand: HashMap<String, Handle<PathBuf, Output>> = HashMap::new();
    for line in BufReader::new(File::open(input)?).lines() {
        let line = line?;
        let field = field(&line);
        if !at_hand.contains_key(&field) {
            if at_hand.len() == 4 {
                at_hand.clear();
            }
            let path = into.join(format!("{field}.txt"));
            let output = outputs.get_or_try_insert_with(path, Output::append)?;
            at_hand.insert(field.clone(), output);
        }
        at_hand[&field].line(&line)?;
        lines += 1;
    }
    Ok(lines)
}

/// The first word of a line, as far as it is good for the name of a file.
fn field(line: &str) -> String {
    let word = line.split_whitespace().next().unwrap_or("");
    let letters = word
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_');
    let word: String = letters.take(40).collect::<String>().to_lowercase();
    if word.is_empty() {
        "none".into()
    } else {
        word
    }
}
