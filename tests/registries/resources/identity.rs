//! Who a file is: by its path, or whatever the path.
#![cfg(unix)]

use super::{descriptors, Directory};
use crate::common::{forever, promptly};
use highlander::registries::resources::Files;
use highlander::Handle;
use std::fs::{hard_link, rename, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::Barrier;
use std::thread;

/// A file, and other paths to it: a hard link, a symbolic one, one through a linked directory, and with `..`.
fn paths(directory: &Directory) -> Vec<PathBuf> {
    let path = directory.file("file", "contents");
    let (hard, soft, linked) = (
        directory.path("hard"),
        directory.path("soft"),
        directory.path("directory"),
    );
    hard_link(&path, &hard).unwrap();
    symlink("file", &soft).unwrap();
    symlink(".", &linked).unwrap();
    let around = linked.join("..").join(directory.0.file_name().unwrap());
    vec![path, hard, soft, linked.join("hard"), around.join("file")]
}

#[test]
fn by_identity_all_paths_lead_to_one() {
    let directory = Directory::new();
    let paths = paths(&directory);
    for first in &paths {
        let files: Files = Files::by_identity();
        let file = files.open(first).unwrap();
        assert_eq!(Handle::key(&file).path(), first);
        for path in &paths {
            assert!(Handle::ptr_eq(&files.get(path).unwrap().unwrap(), &file));
            assert!(Handle::ptr_eq(&files.open(path).unwrap(), &file));
            assert_eq!(files.len(), 1);
        }
        drop(file);
        assert!(paths.iter().all(|path| files.get(path).unwrap().is_none()));
        assert!(files.is_empty());
    }
}

#[test]
fn by_path_each_path_is_one() {
    let directory = Directory::new();
    let paths = paths(&directory);
    let files: Files = Files::by_path();
    let held: Vec<_> = paths.iter().map(|path| files.open(path).unwrap()).collect();
    assert_eq!(files.iter().len(), paths.len());
    for (path, file) in paths.iter().zip(&held) {
        assert!(Handle::ptr_eq(&files.open(path).unwrap(), file));
        assert!(Handle::ptr_eq(&files.get(path).unwrap().unwrap(), file));
    }
    drop(held);
    assert!(paths.iter().all(|path| files.get(path).unwrap().is_none()));
}

#[test]
fn a_relative_path_and_its_absolute_one_are_the_same() {
    let directory = std::env::current_dir().unwrap();
    for files in [Files::by_path(), Files::by_identity()] {
        let files: Files = files;
        let file = files.open("Cargo.toml").unwrap();
        let same = files.open(directory.join("Cargo.toml")).unwrap();
        assert!(Handle::ptr_eq(&same, &file));
    }
}

/// A log that is rotated: the path leads to another file, and both are open.
#[test]
fn a_path_that_is_renamed_over_leads_to_its_new_file() {
    let directory = Directory::new();
    let path = directory.file("log", "old");
    let files: Files = Files::by_identity();
    let old = files.open(&path).unwrap();
    rename(&path, directory.path("log.1")).unwrap();
    assert!(files.get(&path).unwrap().is_none());
    assert!(files.open(&path).is_err());
    directory.file("log", "new");
    let new = files.open(&path).unwrap();
    assert!(!Handle::ptr_eq(&new, &old));
    assert!(Handle::ptr_eq(
        &files.open(directory.path("log.1")).unwrap(),
        &old
    ));
    let mut text = String::new();
    (&*new).read_to_string(&mut text).unwrap();
    assert_eq!(text, "new");
    // Gone by all paths, and still itself to those who have it.
    std::fs::remove_file(directory.path("log.1")).unwrap();
    (&*old).read_to_string(&mut text).unwrap();
    assert_eq!(text, "newold");
}

#[test]
fn a_file_that_is_not_there_yet_is_made_by_one() {
    promptly(|| {
        let options = OpenOptions::new().append(true).create(true).clone();
        let asked = Barrier::new(4);
        for _ in 0..100 {
            let directory = Directory::new();
            symlink(".", directory.path("directory")).unwrap();
            let path = directory.path("log");
            let spellings = [path.clone(), directory.path("directory").join("log")];
            let files: Files = Files::by_identity().with_options(&options);
            let (files, asked, opened) = (&files, &asked, &AtomicUsize::new(0));
            thread::scope(|scope| {
                for number in 0..4 {
                    let spelling = &spellings[number % 2];
                    let path = &path;
                    scope.spawn(move || {
                        asked.wait();
                        let log = files.open_with(spelling, |file| {
                            opened.fetch_add(1, SeqCst);
                            Ok(file)
                        });
                        let log = log.unwrap();
                        assert_eq!(descriptors(path, 1), 1);
                        writeln!(&*log, "{number}").unwrap();
                        asked.wait();
                    });
                }
            });
            assert_eq!(opened.load(SeqCst), 1);
            assert_eq!(descriptors(&path, 0), 0);
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text.len(), 8, "{text:?}");
        }
    });
}

/// Says that one of those who work is done, or has failed.
struct AtWork<'a>(&'a AtomicUsize);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// An open file, by its contents. Counts those of the same file.
struct Counted<'a>(usize, &'a [AtomicUsize; 2]);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.1[self.0].fetch_sub(1, SeqCst);
    }
}

/// What is opened is what the path led to, and never open twice, however the path changes meanwhile.
#[test]
fn a_path_that_changes_all_the_time_leads_to_one_of_its_files() {
    promptly(|| {
        let directory = Directory::new();
        let originals = [directory.file("a", "a"), directory.file("b", "b")];
        let path = directory.path("path");
        let open_now: &'static [AtomicUsize; 2] = forever(Default::default());
        let files: Files<Counted<'static>> = Files::by_identity();
        let open = |path: &PathBuf| {
            let wrap = |mut file: File| {
                let mut text = String::new();
                file.read_to_string(&mut text)?;
                let which = usize::from(text == "b");
                assert_eq!(open_now[which].fetch_add(1, SeqCst), 0, "open twice");
                Ok(Counted(which, open_now))
            };
            files.open_with(path, wrap).unwrap()
        };
        for hold in [true, false] {
            let opening = AtomicUsize::new(2);
            symlink("a", &path).unwrap();
            let held = hold.then(|| originals.each_ref().map(open));
            thread::scope(|scope| {
                scope.spawn(|| {
                    for target in ["b", "a"].iter().cycle() {
                        let next = directory.path("next");
                        symlink(target, &next).unwrap();
                        rename(&next, &path).unwrap();
                        if opening.load(SeqCst) == 0 {
                            break;
                        }
                    }
                });
                for _ in 0..2 {
                    scope.spawn(|| {
                        let _at_work = AtWork(&opening);
                        let mut met = [0; 2];
                        while met.iter().any(|met| *met < 1000) {
                            let one = open(&path);
                            met[one.0] += 1;
                            let by_name = files.get(&originals[one.0]).unwrap().unwrap();
                            assert!(Handle::ptr_eq(&by_name, &one));
                            if let Some(found) = files.get(&path).unwrap() {
                                assert_eq!(found.0 == one.0, Handle::ptr_eq(&found, &one));
                            }
                            if let Some(held) = &held {
                                assert!(Handle::ptr_eq(&one, &held[one.0]));
                            }
                        }
                    });
                }
            });
            std::fs::remove_file(&path).unwrap();
        }
        assert!(files.is_empty());
        assert!(open_now.iter().all(|open| open.load(SeqCst) == 0));
    });
}

/// A number of the file system is given to another file as soon as the first one is gone: at once, where there are tables of inodes.
#[test]
fn an_identity_that_is_used_again_is_another_file() {
    promptly(|| {
        let directory = Directory::new();
        let [path, other] = ["path", "other"].map(|name| directory.path(name));
        let files: Files<(String, File)> = Files::by_identity();
        let open = |path: &PathBuf| {
            files.open_with(path, |mut file| {
                let mut text = String::new();
                file.read_to_string(&mut text)?;
                Ok((text, file))
            })
        };
        let making = AtomicUsize::new(1);
        thread::scope(|scope| {
            scope.spawn(|| {
                let _at_work = AtWork(&making);
                for _ in 0..10_000 {
                    // Complete as soon as it is there, which takes a name of its own.
                    rename(directory.file("made", "path"), &path).unwrap();
                    std::fs::remove_file(&path).unwrap();
                    rename(directory.file("made", "other"), &other).unwrap();
                    let opened = open(&other).unwrap();
                    (0..20).for_each(|_| drop(files.get(&other)));
                    assert_eq!(opened.0, "other");
                    drop(opened);
                    std::fs::remove_file(&other).unwrap();
                }
            });
            scope.spawn(|| {
                while making.load(SeqCst) > 0 {
                    if let Ok(file) = open(&path) {
                        assert_eq!(file.0, "path", "no file of that path");
                    }
                }
            });
        });
        assert!(files.is_empty());
    });
}
