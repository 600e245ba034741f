//! Which modules of a crate does each module need, directly or through others?
//!
//! ```text
//! cargo run --features memo --example memo_modules -- --help
//! ```
//!
//! A module's needs are a set that many others ask for: it is computed once, shared while somebody has it,
//! and forgotten with the last of them. All cores ask at once, and no file is read twice.

use highlander::registries::memo::Memo;
use highlander::{Handle, Registry};
use lexopt::prelude::*;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

const HELP: &str = "\
Finds out which modules of a crate each module needs, directly or through others, and how many lines these have.

Usage: memo_modules [DIRECTORY]

DIRECTORY has the sources of the crate [default: src]
";

/// What one file names.
struct Source {
    lines: usize,
    /// Modules in `use crate::…` and `crate::…::`.
    named: BTreeSet<String>,
}

/// All that a module leads to. It owns the sources on the way, so that they are remembered as long as it is.
struct Needs {
    sources: Vec<Handle<PathBuf, Source>>,
}

impl Needs {
    fn lines(&self) -> usize {
        self.sources.iter().map(|source| source.lines).sum()
    }
}

static READ: AtomicUsize = AtomicUsize::new(0);
static ASKED: AtomicUsize = AtomicUsize::new(0);

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

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(root) = directory()? else {
        return Ok(());
    };

    let sources = Memo::new(Registry::new(), |path: &PathBuf| {
        let text = std::fs::read_to_string(path)?;
        READ.fetch_add(1, Relaxed);
        let named = text.split("crate::").skip(1).map(|rest| {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            rest[..end.unwrap_or(rest.len())].to_string()
        });
        let named = named
            .filter(|name| name.starts_with(char::is_lowercase))
            .collect();
        Ok(Source {
            lines: text.lines().count(),
            named,
        })
    });
    let source = |name: &str| {
        ASKED.fetch_add(1, Relaxed);
        let file = |path| sources.try_get::<std::io::Error>(path);
        file(root.join(format!("{name}.rs"))).or_else(|_| file(root.join(name).join("mod.rs")))
    };
    let needs = Memo::new(Registry::new(), |name: &String| {
        let (mut left, mut seen, mut sources) = (vec![name.clone()], BTreeSet::new(), Vec::new());
        while let Some(name) = left.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            // What is no file is a macro, or inside of one.
            if let Ok(source) = source(&name) {
                left.extend(source.named.iter().cloned());
                sources.push(source);
            }
        }
        Ok::<_, Infallible>(Needs { sources })
    });

    let names: BTreeSet<String> = std::fs::read_dir(&root)
        .map_err(|error| format!("{}: {error}", root.display()))?
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_string()))
        .collect();
    // Each thread asks for all of them, and keeps what it got until all are done.
    let threads = thread::available_parallelism().map_or(2, usize::from);
    let mut table: Vec<(usize, String)> = thread::scope(|scope| {
        let ask = || -> Vec<_> {
            let get = |name: &String| {
                needs
                    .try_get(name.clone())
                    .expect("nothing asks for itself")
            };
            names.iter().map(get).collect()
        };
        let asking: Vec<_> = (0..threads).map(|_| scope.spawn(ask)).collect();
        let answers: Vec<_> = asking
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        for answer in &answers {
            assert!(answer
                .iter()
                .zip(&answers[0])
                .all(|(one, same)| Handle::ptr_eq(one, same)));
        }
        let sources = answers[0].iter().flat_map(|needs| &needs.sources);
        let different: BTreeSet<&PathBuf> = sources.map(Handle::key).collect();
        assert_eq!(
            different.len(),
            READ.load(Relaxed),
            "each file was read once"
        );
        let line = |needs: &Handle<String, Needs>| (needs.lines(), Handle::key(needs).clone());
        answers[0].iter().map(line).collect()
    });
    table.sort();
    for (lines, name) in table.iter().rev().take(8) {
        println!("{name:24} needs {lines:6} lines");
    }
    let (read, asked) = (READ.load(Relaxed), ASKED.load(Relaxed));
    println!(
        "{} modules, {threads} threads: {asked} sources asked for, {read} files read",
        names.len()
    );
    assert!(
        needs.map().is_empty() && sources.map().is_empty(),
        "nobody has them any more"
    );
    Ok(())
}
