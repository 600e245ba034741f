//! What a piece of work costs: time, and memory that stays.

use std::fs;
use std::time::{Duration, Instant};

pub struct Measured<T> {
    pub value: T,
    pub cost: Cost,
}

pub struct Cost {
    /// Wall-clock time.
    pub elapsed: Duration,
    /// Growth of resident memory in bytes; `None` where the system does not tell.
    pub growth: Option<u64>,
}

pub fn measure<T>(work: impl FnOnce() -> T) -> Measured<T> {
    let before = resident();
    let start = Instant::now();
    let value = work();
    let elapsed = start.elapsed();
    let growth = before
        .zip(resident())
        .map(|(before, after)| after.saturating_sub(before));
    Measured {
        value,
        cost: Cost { elapsed, growth },
    }
}

/// Bytes of resident memory, as Linux reports them.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    kibibytes
        .trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()
        .map(|k| k * 1024)
}
