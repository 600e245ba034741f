//! Notes on objects that belong to somebody else: they are found by the object itself, and go when it goes.
//!
//! ```text
//! cargo run --example notes_on_objects -- --help
//! ```

use highlander::map::ByAddress;
use highlander::WeakKeyMap;
use lexopt::prelude::*;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::{error::Error, fs, thread};
use walkdir::WalkDir;

const HELP: &str = "\
Notes what is odd about texts: long lines, words said twice, blanks at the end of a line, things to be done.

Usage: notes_on_objects [OPTIONS] [PATH]...

A PATH is a file, or a directory with files. Without one: the Rust sources in `src`. What is not UTF-8 is left out.

Options:
      --width N   a line is long beyond this many characters [default: 160]
      --show N    notes to print [default: 20]
  -h, --help      print this

Exit code: 0 when done, 1 when a file cannot be read, 2 for a fault of the command line.
";

struct Note {
    line: usize,
    text: String,
}

/// What is noted about each text. The texts are `Arc<str>`s: they have no room for notes, and they are not
/// ours. By address: two texts that are equal are two objects all the same, with notes of their own.
static NOTES: WeakKeyMap<Arc<str>, Mutex<Vec<Note>>, ByAddress> = WeakKeyMap::new();

/// Whoever has the object can add to its notes, and need not know who else does.
fn note(object: &Arc<str>, line: usize, text: String) {
    let add = |notes: &Mutex<Vec<Note>>| notes.lock().unwrap().push(Note { line, text });
    NOTES.entry(object).and_view(add).or_default();
}

type Check = fn(&str, &Options) -> Option<String>;

/// Each of them goes over all texts on a thread of its own.
const CHECKS: [Check; 4] = [
    |line, options| {
        let width = line.chars().count();
        (width > options.width).then(|| format!("{width} characters"))
    },
    |line, _| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_word = |word: &str| word.len() > 1 && word.chars().all(char::is_alphabetic);
        let twice = words
            .windows(2)
            .find(|two| two[0] == two[1] && is_word(two[0]));
        twice.map(|two| format!("“{}” twice", two[0]))
    },
    |line, _| {
        line.ends_with([' ', '\t'])
            .then(|| "blanks at the end".into())
    },
    |line, _| {
        let marks = ["TODO", "FIXME", "XXX"];
        let mark = marks.iter().find(|mark| line.contains(**mark))?;
        Some(format!("{mark}: to be done"))
    },
];

struct Options {
    width: usize,
    show: usize,
    files: Vec<PathBuf>,
}

fn options() -> Result<Option<Options>, Box<dyn Error>> {
    let mut options = Options {
        width: 160,
        show: 20,
        files: Vec::new(),
    };
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("width") => options.width = arguments.value()?.parse()?,
            Long("show") => options.show = arguments.value()?.parse()?,
            Value(path) => paths.push(path.into()),
            _ => return Err(argument.unexpected().into()),
        }
    }
    if paths.is_empty() {
        paths.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    }
    for entry in paths
        .iter()
        .flat_map(|path| WalkDir::new(path).sort_by_file_name())
    {
        let entry = entry?;
        if entry.file_type().is_file() {
            options.files.push(entry.into_path());
        }
    }
    Ok(Some(options))
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("notes_on_objects: {error}; try --help");
            return ExitCode::from(2);
        }
    };
    let mut texts: Vec<(&PathBuf, Arc<str>)> = Vec::new();
    let mut failed = false;
    for path in &options.files {
        match fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => texts.push((path, text.into())),
            Ok(Err(_)) => eprintln!("{}: not UTF-8, left out", path.display()),
            Err(error) => {
                eprintln!("{}: {error}", path.display());
                failed = true;
            }
        }
    }

    thread::scope(|scope| {
        for check in CHECKS {
            let (texts, options) = (&texts, &options);
            scope.spawn(move || {
                for (_, text) in texts {
                    for (n, line) in text.lines().enumerate() {
                        check(line, options)
                            .into_iter()
                            .for_each(|found| note(text, n + 1, found));
                    }
                }
            });
        }
    });

    let mut left = options.show;
    for (path, text) in &texts {
        // Without a clone of what is noted, and whoever else has it.
        NOTES.with(text, |notes| {
            let mut notes = notes.lock().unwrap();
            notes.sort_by_key(|note| note.line);
            for note in notes.iter().take(left) {
                println!("{}:{}: {}", path.display(), note.line, note.text);
            }
            left -= notes.len().min(left);
        });
    }

    let mut notes = 0;
    NOTES.for_each(|_, of_text| notes += of_text.lock().unwrap().len());
    println!("{notes} notes on {} of {} texts", NOTES.len(), texts.len());
    // The notes keep no text alive, and go with theirs.
    texts.truncate(texts.len() / 2);
    println!("with half of the texts gone: notes on {}", NOTES.len());
    drop(texts);
    // An `Arc` tells nobody when it dies, so what was noted is dropped a little later, or now.
    println!(
        "with all of them gone: notes on {}; {} dropped at last",
        NOTES.len(),
        NOTES.prune()
    );
    assert_eq!(NOTES.entry_count(), 0);
    ExitCode::from(u8::from(failed))
}
