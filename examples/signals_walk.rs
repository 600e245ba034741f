//! A walk through directories that announces what it finds, and knows nothing of those who listen.
//!
//! ```text
//! cargo run --features signals --example signals_walk -- --help
//! ```
//!
//! Each directory is walked by a thread of its own, which is the sender of what is found in it. To one signal
//! are connected: a census of file types, which is a method of an object; a list of the largest files;
//! somebody who only listens to the first directory; and somebody who wants one thing, and is gone when it
//! has it.

use highlander::pointer::Watched;
use highlander::registries::signals::{Receiver, Signal};
use lexopt::prelude::*;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use walkdir::WalkDir;

const HELP: &str = "\
Counts the files of directories by type, and shows the largest ones.

Usage: signals_walk [DIRECTORY]...

Of each DIRECTORY it looks at 50000 files at most, and says if there are more [default: src tests examples benches]
";

/// What walks.
struct Walk {
    root: PathBuf,
}

/// What is found.
struct Found {
    path: PathBuf,
    bytes: u64,
}

static FOUND: Signal<Found, (), Arc<Walk>> = Signal::new();

const AT_MOST: usize = 50_000;

fn walk(walk: &Arc<Walk>) -> usize {
    let entries = WalkDir::new(&walk.root).into_iter().filter_map(Result::ok);
    let files = entries.filter(|entry| entry.file_type().is_file());
    let mut number = 0;
    for entry in files {
        if number == AT_MOST {
            println!(
                "{}: left out what comes after {AT_MOST} files",
                walk.root.display()
            );
            break;
        }
        let bytes = entry.metadata().map_or(0, |data| data.len());
        let found = Found {
            path: entry.into_path(),
            bytes,
        };
        for failure in FOUND.of(walk).send_robust(&found) {
            if let Err(failure) = failure {
                eprintln!("{failure}");
            }
        }
        number += 1;
    }
    number
}

#[derive(Default)]
struct Census(Mutex<BTreeMap<String, (usize, u64)>>);

impl Census {
    fn count(&self, found: &Found) {
        let kind = found.path.extension().unwrap_or_default();
        let mut kinds = self.0.lock().unwrap();
        let (files, bytes) = kinds.entry(kind.to_string_lossy().into()).or_default();
        *files += 1;
        *bytes += found.bytes;
    }
}

fn main() -> ExitCode {
    let mut roots: Vec<PathBuf> = Vec::new();
    let mut arguments = lexopt::Parser::from_env();
    loop {
        match arguments.next() {
            Ok(None) => break,
            Ok(Some(Short('h') | Long("help"))) => {
                print!("{HELP}");
                return ExitCode::SUCCESS;
            }
            Ok(Some(Value(path))) => roots.push(path.into()),
            Ok(Some(argument)) => {
                eprintln!("signals_walk: {}; try --help", argument.unexpected());
                return ExitCode::from(2);
            }
            Err(error) => {
                eprintln!("signals_walk: {error}; try --help");
                return ExitCode::from(2);
            }
        }
    }
    if roots.is_empty() {
        roots = ["src", "tests", "examples", "benches"]
            .map(PathBuf::from)
            .into();
    }
    for root in &roots {
        if let Err(error) = root.metadata() {
            eprintln!("{}: {error}", root.display());
            return ExitCode::FAILURE;
        }
    }
    let walks: Vec<_> = roots
        .into_iter()
        .map(|root| Arc::new(Walk { root }))
        .collect();

    // A method, for as long as there is the object.
    let census = Watched::new(Census::default());
    FOUND.connect_method(&census, Census::count);

    // Held strongly: what it fills is what is of interest.
    let largest: Arc<Mutex<BinaryHeap<_>>> = Arc::default();
    FOUND.uid("largest").connect_strong(Receiver::new({
        let largest = Arc::clone(&largest);
        move |found: &Found| {
            let mut largest = largest.lock().unwrap();
            largest.push((Reverse(found.bytes), found.path.clone()));
            if largest.len() > 5 {
                largest.pop();
            }
        }
    }));

    // Of one sender alone.
    let in_the_first = Arc::new(AtomicUsize::new(0));
    let counter = Receiver::new({
        let number = Arc::clone(&in_the_first);
        move |_: &Found| {
            number.fetch_add(1, Relaxed);
        }
    });
    FOUND.of(&walks[0]).connect(&counter);

    // Goes when it has what it wants, in the midst of a send.
    let owner = Arc::new(Mutex::new(None));
    let seeker = Receiver::new({
        let owner = Arc::downgrade(&owner);
        move |found: &Found| {
            if found.path.extension().is_some_and(|kind| kind == "rs") {
                let owner = owner
                    .upgrade()
                    .and_then(|owner| owner.lock().unwrap().take());
                // Of several walks that find one at the same time, the first.
                if owner.is_some() {
                    println!("the first Rust source: {}", found.path.display());
                }
            }
        }
    });
    FOUND.connect(&seeker);
    *owner.lock().unwrap() = Some(seeker);

    let found: Vec<usize> = thread::scope(|scope| {
        let threads: Vec<_> = walks
            .iter()
            .map(|one| scope.spawn(move || walk(one)))
            .collect();
        let walks = threads.into_iter().map(|thread| thread.join().unwrap());
        walks.collect()
    });

    for (kind, (files, bytes)) in &*census.0.lock().unwrap() {
        println!("{files:6} files of type {kind:?}, {bytes} bytes");
    }
    for (Reverse(bytes), path) in largest.lock().unwrap().clone().into_sorted_vec() {
        println!("{bytes:12} bytes: {}", path.display());
    }
    let counted: usize = census.0.lock().unwrap().values().map(|kind| kind.0).sum();
    assert_eq!(counted, found.iter().sum());
    assert_eq!(in_the_first.load(Relaxed), found[0]);

    // Nobody disconnects, but for who was held strongly.
    drop((census, counter, owner));
    assert_eq!(FOUND.len(), 1);
    assert!(FOUND.uid("largest").disconnect_uid());
    assert!(FOUND.is_empty());
    ExitCode::SUCCESS
}
