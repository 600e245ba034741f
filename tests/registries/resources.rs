//! See `highlander::registries::resources`: sharing and closing, who a file is, and the limit of descriptors.

mod identity;
mod limit;
mod sharing;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// A directory of one test, removed with it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "highlander-resources-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, SeqCst)
        );
        let path = std::env::temp_dir().join(name);
        // Of a process that had the same id, and was killed.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn file(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, contents).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How many descriptors of this process lead to the file of this path, which nobody but its test knows. (Where one cannot see that: as many as expected.)
fn descriptors(path: &Path, expected: usize) -> usize {
    let Ok(all) = std::fs::read_dir("/proc/self/fd") else {
        return expected;
    };
    all.filter(|fd| {
        let target = fd.as_ref().ok().map(|fd| std::fs::read_link(fd.path()));
        target.is_some_and(|target| target.is_ok_and(|target| target == path))
    })
    .count()
}
