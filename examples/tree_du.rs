//! How large are directories? A tree of the file system, in which each entry knows its directory, so that a size is added to all above it, and a hit shows its path; and which is freed by
//! dropping its root.
//!
//! ```text
//! cargo run --release --features tree --example tree_du [DIRECTORY] [DEPTH]        # by default, here, and two levels
//! ```

use highlander::registries::tree::{NoParent, Node};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

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

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let root = args.next().unwrap_or_else(|| ".".into());
    let depth: usize = args
        .next()
        .map_or(2, |depth| depth.parse().expect("a number"));

    // What is below it and may not be read counts as empty.
    if let Err(error) = fs::read_dir(&root) {
        eprintln!("{root}: {error}");
        return ExitCode::FAILURE;
    }
    let tree = read(root.into());
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
