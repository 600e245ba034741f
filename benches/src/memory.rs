//! Bytes per live key, by growth of resident memory.

use std::fs;

use anyhow::Context;

use crate::subject::Subject;
use crate::workload::key;

/// The child's work: interns `live` keys and returns by how much resident memory has grown, from before the interner was
/// built. The handles' own array does not count; what the allocator keeps does.
pub fn growth<S: Subject>(live: usize) -> anyhow::Result<u64> {
    let mut handles: Vec<Option<S::Handle>> = Vec::new();
    // Written to, not only reserved: untouched pages are not resident.
    handles.resize_with(live, || None);
    let before = resident()?;
    let subject = S::build(live);
    for (handle, number) in handles.iter_mut().zip(0..) {
        let text = key(0, number);
        *handle = Some(subject.intern(std::str::from_utf8(&text)?));
    }
    let after = resident()?;
    // The process ends here, and some interners take long to let so many go.
    std::mem::forget((handles, subject));
    Ok(after.saturating_sub(before))
}

/// Resident anonymous memory, in bytes. (All resident memory would count the pages of the program's own code, as they
/// come in; and `VmRSS` is only kept roughly, thread by thread.)
fn resident() -> anyhow::Result<u64> {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Anonymous:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes: u64 = kilobytes
        .context("no `Anonymous` in smaps_rollup")?
        .parse()?;
    Ok(kilobytes * 1024)
}
