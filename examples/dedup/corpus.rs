//! The source files: where they are, their texts, and what could not be had.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use walkdir::{DirEntry, WalkDir};

use crate::crew::Crew;

pub struct Corpus {
    /// The files and directories that were searched.
    pub roots: Vec<PathBuf>,
    /// The texts of all files that could be read.
    pub texts: Vec<String>,
    pub unsearchable: Vec<String>,
    pub unreadable: Vec<String>,
    pub not_utf8: Vec<String>,
}

impl Corpus {
    /// Finds and reads all files of `paths`, or of the default corpus if there are none.
    ///
    /// # Errors
    ///
    /// When a path that was asked for does not exist. What cannot be read below it is no error, but
    /// counted.
    pub fn load(paths: &[PathBuf], crew: &Crew) -> Result<Self, String> {
        let roots = if paths.is_empty() {
            default_roots()
        } else {
            checked_roots(paths)?
        };
        let mut corpus = Corpus {
            roots,
            texts: Vec::new(),
            unsearchable: Vec::new(),
            unreadable: Vec::new(),
            not_utf8: Vec::new(),
        };
        let files = corpus.find();
        for (path, content) in files.iter().zip(crew.map("reading", &files, fs::read)) {
            match content.map(String::from_utf8) {
                Ok(Ok(text)) => corpus.texts.push(text),
                Ok(Err(e)) => corpus.not_utf8.push(told(path, e.utf8_error())),
                Err(e) => corpus.unreadable.push(told(path, e)),
            }
        }
        Ok(corpus)
    }

    pub fn bytes(&self) -> usize {
        self.texts.iter().map(String::len).sum()
    }

    fn find(&mut self) -> Vec<PathBuf> {
        let spinner = ProgressBar::new_spinner().with_message("searching");
        let mut files = Vec::new();
        for entry in self.roots.iter().flat_map(walk) {
            spinner.tick();
            match entry {
                Ok(entry) if is_wanted(&entry) => files.push(entry.into_path()),
                Ok(_) => {}
                Err(e) => {
                    let path = e.path().unwrap_or(Path::new(""));
                    let why = e.io_error().map(io::Error::to_string);
                    self.unsearchable.push(told(path, why.unwrap_or_default()));
                }
            }
        }
        spinner.finish_and_clear();
        // Roots may overlap; no file counts twice.
        files.sort_unstable();
        files.dedup();
        files
    }
}

/// Quoted and escaped, so that a path cannot play tricks on the terminal.
fn told(path: &Path, what: impl Display) -> String {
    format!("{path:?}: {what}")
}

/// What Cargo has unpacked, and this project; whichever of them exist.
fn default_roots() -> Vec<PathBuf> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let home = || {
        variable("HOME")
            .or_else(|| variable("USERPROFILE"))
            .map(|home| Path::new(&home).join(".cargo"))
    };
    let cargo_home = variable("CARGO_HOME").map(PathBuf::from).or_else(home);
    // Set by `cargo run`; the compile-time value serves when the program is started by hand.
    let project = variable("CARGO_MANIFEST_DIR")
        .unwrap_or_else(|| OsString::from(env!("CARGO_MANIFEST_DIR")));

    let unpacked = cargo_home
        .iter()
        .flat_map(|cargo| [cargo.join("registry/src"), cargo.join("git/checkouts")]);
    unpacked
        .chain([PathBuf::from(project)])
        .filter_map(|root| root.canonicalize().ok())
        .collect()
}

/// The paths that were asked for, made absolute so that overlaps can be seen.
fn checked_roots(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let check = |path: &PathBuf| {
        let root = path.canonicalize().map_err(|e| told(path, e))?;
        // Reading a pipe or a device might never end.
        if root.is_file() || root.is_dir() {
            Ok(root)
        } else {
            Err(told(path, "neither a file nor a directory"))
        }
    };
    let mut roots = paths.iter().map(check).collect::<Result<Vec<_>, _>>()?;
    roots.sort_unstable();
    roots.dedup();
    Ok(roots)
}

/// Does not follow symbolic links, so that there are no loops.
fn walk(root: &PathBuf) -> impl Iterator<Item = walkdir::Result<DirEntry>> {
    let entries = WalkDir::new(root).into_iter();
    entries.filter_entry(is_no_build_output)
}

/// A file that was asked for by name is taken whatever it is called.
fn is_wanted(entry: &DirEntry) -> bool {
    let is_rust = || entry.path().extension() == Some(OsStr::new("rs"));
    entry.file_type().is_file() && (entry.depth() == 0 || is_rust())
}

/// Some crates have a source directory called `target`; Cargo marks its own with a tag.
fn is_no_build_output(entry: &DirEntry) -> bool {
    entry.depth() == 0
        || entry.file_name() != "target"
        || !entry.path().join("CACHEDIR.TAG").exists()
}
