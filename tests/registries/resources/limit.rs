//! More files than a process may have open at once.
#![cfg(unix)]

use super::Directory;
use highlander::registries::resources::Files;
use highlander::Handle;
use std::io::Read;
use std::process::Command;
use std::thread;

/// Tells this test that it is the child, in which the limit is low.
const LIMITED: &str = "HIGHLANDER_TEST_LIMITED";
const LIMIT: usize = 64;
const FILES: usize = 3 * LIMIT;

/// BEHAVIOURS.md 6.5, 6.6: failing to close is the leak that ends in "too many open files".
#[test]
fn more_files_than_descriptors() {
    if std::env::var_os(LIMITED).is_some() {
        return limited();
    }
    let name = "resources::limit::more_files_than_descriptors";
    let script = format!("ulimit -n {LIMIT} && exec \"$0\" --exact {name} --nocapture");
    let child = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(LIMITED, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{child:?}");
    assert!(text.contains("limited to 64, opened 2304"), "{child:?}");
}

fn limited() {
    let directory = Directory::new();
    let paths: Vec<_> = (0..FILES)
        .map(|number| directory.file(&format!("{number}"), &format!("file {number}")))
        .collect();
    let mut opened = 0;
    for files in [Files::by_path(), Files::by_identity()] {
        let files: Files = files;
        // Eight threads, each of which opens and drops three times as many as may be open.
        let read = |shift: usize| {
            for number in 0..FILES {
                let number = (number + shift) % FILES;
                let file = files.open(&paths[number]).unwrap();
                assert!(file.metadata().unwrap().len() as usize == format!("file {number}").len());
            }
            FILES
        };
        opened += thread::scope(|scope| {
            let threads: Vec<_> = (0..6)
                .map(|thread| scope.spawn(move || read(thread * LIMIT / 2)))
                .collect();
            threads
                .into_iter()
                .map(|t| t.join().unwrap())
                .sum::<usize>()
        });
        assert!(files.is_empty());

        // The limit is real; what does not open enters nothing, and what is open needs no descriptor.
        let mut held = Vec::new();
        let error = loop {
            match files.open(&paths[held.len()]) {
                Ok(file) => held.push(file),
                Err(error) => break error,
            }
        };
        assert_eq!(error.raw_os_error(), Some(24), "{error}"); // EMFILE
        assert!(held.len() < LIMIT && held.len() > LIMIT / 2);
        assert_eq!(files.len(), held.len());
        assert!(Handle::ptr_eq(&files.open(&paths[0]).unwrap(), &held[0]));
        held.pop();
        let mut text = String::new();
        let file = files.open(&paths[FILES - 1]).unwrap();
        (&*file).read_to_string(&mut text).unwrap();
        assert_eq!(text, format!("file {}", FILES - 1));
    }
    println!("limited to {LIMIT}, opened {opened}");
}
