//! How large are directories?
//!
//! ```text
//! cargo run --features tree --example tree_du -- --help
//! ```
//!
//! A tree of the file system, in which each entry knows its directory: so a size is added to all above it,
//! and a hit shows its path. The tree is freed by dropping its root.

use highlander::registries::tree::{NoParent, Node};
use lexopt::prelude::*;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const HELP: &str = "\
Shows the twelve largest directories, and the largest file.

Usage: tree_du [DIRECTORY] [DEPTH]

DIRECTORY is read with all that is below it, but for what is called `target` or `.git` [default: .]
DEPTH is how many levels of directories are shown [default: 2]
";

#[derive(Debug)]
struct Entry {
    name: String,
    is_directory: bool,
    /// With all that is below.
    bytes: AtomicU64,
}

impl Entry {
    fn new(name: String, is_directory: bool) -> Self {
        Self {
            name,
            is_directory,
            bytes: AtomicU64::new(0),
        }
    }
}

/// Reads a directory, without recursion.
fn read(root: PathBuf) -> Node<Entry> {
    let tree = Node::new(Entry::new(root.display().to_string(), true));
    let mut left = vec![(root, tree.clone())];
    while let Some((path, node)) = left.pop() {
        // What may not be read counts as empty.
        let Ok(entries) = fs::read_dir(path) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == "target" || name == ".git" {
                continue;
            }
            let child = node.add(Entry::new(name, meta.is_dir()));
            if meta.is_dir() {
                left.push((entry.path(), child));
            } else {
                child.bytes.store(meta.len(), Relaxed);
                for above in child.ancestors() {
                    above.bytes.fetch_add(meta.len(), Relaxed);
                }
            }
        }
    }
    tree
}

fn path_of(node: &Node<Entry>) -> String {
    let mut names: Vec<_> = node.ancestors().map(|above| above.name.clone()).collect();
    names.reverse();
    names.push(node.name.clone());
    names.join("/")
}

/// Returns a directory and how many levels to show; none if it was help that was asked for.
fn arguments() -> Result<Option<(PathBuf, usize)>, lexopt::Error> {
    let mut arguments = lexopt::Parser::from_env();
    let (mut root, mut depth) = (None, None);
    while let Some(argument) = arguments.next()? {
        match argument {
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(None);
            }
            Value(path) if root.is_none() => root = Some(path.into()),
            Value(levels) if depth.is_none() => depth = Some(levels.parse()?),
            _ => return Err(argument.unexpected()),
        }
    }
    let root = root.unwrap_or_else(|| ".".into());
    Ok(Some((root, depth.unwrap_or(2))))
}

fn main() -> ExitCode {
    let (root, depth) = match arguments() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tree_du: {error}; try --help");
            return ExitCode::from(2);
        }
    };
    // What is below it and may not be read counts as empty.
    if let Err(error) = fs::read_dir(&root) {
        eprintln!("{}: {error}", root.display());
        return ExitCode::FAILURE;
    }
    let tree = read(root);
    let mut shown: Vec<_> = tree
        .descendants()
        .filter(|node| node.is_directory && node.ancestors().count() <= depth)
        .collect();
    shown.sort_by_key(|node| std::cmp::Reverse(node.bytes.load(Relaxed)));
    for node in shown.iter().take(12) {
        println!("{:10}  {}", node.bytes.load(Relaxed), path_of(node));
    }
    println!("{:10}  {}", tree.bytes.load(Relaxed), tree.name);

    let largest = tree
        .descendants()
        .filter(|node| !node.is_directory)
        .max_by_key(|node| node.bytes.load(Relaxed));
    let Some(largest) = largest else {
        return ExitCode::SUCCESS;
    };
    println!("the largest file: {}", path_of(&largest));

    // The tree goes; the one node that is still held says so.
    let weak = tree.downgrade();
    drop((tree, shown));
    assert!(!weak.is_alive());
    assert_eq!(largest.parent(), Err(NoParent::Gone));
    println!("and without the tree it is called {}", path_of(&largest));
    ExitCode::SUCCESS
}
