//! The source files: where they are, their texts, and what could not be had.

use std::collections::HashSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs;
use std::io;
use std::iter;
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
    /// How many files came after the limit.
    pub beyond: usize,
    /// How many bytes these have.
    pub bytes_beyond: u64,
}

impl Corpus {
    /// Finds and reads the files of `paths`, or of the default corpus if there are none, up to a limit of bytes.
    ///
    /// # Errors
    ///
    /// When a path that was asked for does not exist. What cannot be read below it is no error, but
    /// counted.
    pub fn load(paths: &[PathBuf], limit: Option<u64>, crew: &Crew) -> Result<Self, String> {
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
            beyond: 0,
            bytes_beyond: 0,
        };
        let files = corpus.find(limit.unwrap_or(u64::MAX));
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

    fn find(&mut self, limit: u64) -> Vec<PathBuf> {
        let spinner = ProgressBar::new_spinner().with_message("searching");
        let (mut files, mut found) = (Vec::new(), HashSet::new());
        let mut bytes: u64 = 0;
        for entry in self.roots.iter().flat_map(walk) {
            spinner.tick();
            match entry {
                // Roots may overlap; no file counts twice.
                Ok(entry) if is_wanted(&entry) && found.insert(entry.path().to_owned()) => {
                    let length = entry.metadata().map_or(0, |data| data.len());
                    if bytes.saturating_add(length) > limit {
                        self.beyond += 1;
                        self.bytes_beyond += length;
                    } else {
                        bytes += length;
                        files.push(entry.into_path());
                    }
                }
                Ok(_) => {}
                Err(e) => {
                    let path = e.path().unwrap_or(Path::new(""));
                    let why = e.io_error().map(io::Error::to_string);
                    self.unsearchable.push(told(path, why.unwrap_or_default()));
                }
            }
        }
        spinner.finish_and_clear();
        files
    }
}

/// Quoted and escaped, so that a path cannot play tricks on the terminal.
fn told(path: &Path, what: impl Display) -> String {
    format!("{path:?}: {what}")
}

/// This project, and what Cargo has unpacked; whichever of them exist.
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
    iter::once(PathBuf::from(project))
        .chain(unpacked)
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
    let entries = WalkDir::new(root).sort_by_file_name().into_iter();
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
