//! Sorts more words than it wants to hold in memory.
//!
//! ```text
//! cargo run --features finalizers --example finalizers_scratch -- --help
//! ```
//!
//! Runs are sorted and written to scratch files, then merged. Every scratch file is removed when its run has
//! died. Those that are left when `main` ends, well or by an error or a panic, are removed then; the
//! directory last.

use highlander::registries::finalizers::PROCESS;
use highlander::{Handle, Registry};
use lexopt::prelude::*;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Lines, Write};
use std::path::{Path, PathBuf};

const HELP: &str = "\
Counts the words of all text files in a directory, and shows the most frequent ones.

Usage: finalizers_scratch [DIRECTORY]

DIRECTORY is read with all that is below it; files that are not text are left out [default: src]
";

/// How many words are in memory at a time.
const WORDS: usize = 5_000;

/// The one scratch file of each number.
static RUNS: Registry<u32, Run> = Registry::new();

struct Run {
    path: PathBuf,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(from) = directory()? else {
        return Ok(());
    };
    // Before all else, so the last to go: it also works when something below fails or panics.
    let _exit = PROCESS.exit_guard();
    let scratch = scratch_directory()?;

    let mut runs = Vec::new();
    let mut words = Vec::new();
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry?;
        if !entry.file_type().is_file() {
            continue;
        }
        // What is not text is left out.
        let Ok(text) = fs::read_to_string(entry.path()) else {
            continue;
        };
        for word in text
            .split(|c: char| !c.is_alphabetic())
            .filter(|w| !w.is_empty())
        {
            words.push(word.to_lowercase());
            if words.len() == WORDS {
                runs.push(run_of(&scratch, &mut words)?);
            }
        }
    }
    runs.push(run_of(&scratch, &mut words)?);
    let files = fs::read_dir(&scratch)?.count();
    println!(
        "{} runs, {files} scratch files, {} finalizers",
        runs.len(),
        PROCESS.len()
    );

    let (words, mut often) = merge(runs)?;
    println!("{words} words, {} different ones", often.len());
    often.sort_by_key(|(word, count)| (Reverse(*count), word.clone()));
    for (word, count) in often.iter().take(5) {
        println!("{count:8} {word}");
    }
    let files = fs::read_dir(&scratch)?.count();
    println!(
        "after the merge: {files} scratch files, {} finalizer",
        PROCESS.len()
    );
    assert_eq!((files, PROCESS.len()), (0, 1));
    Ok(())
}

/// Returns what was given, or the default; none if it was help that was asked for.
fn directory() -> Result<Option<PathBuf>, lexopt::Error> {
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

/// A directory that is removed at exit: after all that has a higher priority.
fn scratch_directory() -> io::Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("highlander-{}", std::process::id()));
    fs::create_dir_all(&path)?;
    let removed = path.clone();
    PROCESS.at_exit(-100, move || {
        let done = fs::remove_dir(&removed);
        println!(
            "{}: {}",
            removed.display(),
            if done.is_ok() { "removed" } else { "not empty" }
        );
    });
    Ok(path)
}

/// Sorts the words and writes them to a scratch file, which is there as long as somebody has the handle.
fn run_of(scratch: &Path, words: &mut Vec<String>) -> io::Result<Handle<u32, Run>> {
    words.sort_unstable();
    let number = RUNS.len() as u32;
    let path = scratch.join(format!("run-{number}"));
    let mut file = BufWriter::new(File::create(&path)?);
    for word in words.drain(..) {
        writeln!(file, "{word}")?;
    }
    file.flush()?;
    let run = RUNS.get_or_insert_with(number, |_| Run { path: path.clone() });
    PROCESS.finalize(&run, move || {
        if let Err(error) = fs::remove_file(&path) {
            eprintln!("{}: {error}", path.display());
        }
    });
    Ok(run)
}

/// How many words there are, and how often each one is.
fn merge(runs: Vec<Handle<u32, Run>>) -> io::Result<(usize, Vec<(String, usize)>)> {
    let mut readers: Vec<Lines<BufReader<File>>> = Vec::new();
    for run in &runs {
        readers.push(BufReader::new(File::open(&run.path)?).lines());
    }
    let mut next = BinaryHeap::new();
    for (at, reader) in readers.iter_mut().enumerate() {
        if let Some(word) = reader.next() {
            next.push(Reverse((word?, at)));
        }
    }
    let (mut total, mut counts) = (0, Vec::<(String, usize)>::new());
    while let Some(Reverse((word, at))) = next.pop() {
        total += 1;
        match counts.last_mut() {
            Some((last, count)) if *last == word => *count += 1,
            _ => counts.push((word, 1)),
        }
        if let Some(word) = readers[at].next() {
            next.push(Reverse((word?, at)));
        }
    }
    Ok((total, counts))
}
