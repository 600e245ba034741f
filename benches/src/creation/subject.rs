//! What a benchmark of creation needs of a map.

use std::time::Duration;

use super::meeting::{self, Meeting, Work};
use super::rounds;
use crate::subject::Role;
use crate::workload::Workload;

/// One map, used as its users use it.
pub trait CreationSubject: Sync + Sized + 'static {
    const NAME: &'static str;
    const ROLE: Role;

    /// Of those who ask for one key at the same time, one creates and the others wait.
    const SINGLE: bool;

    type Value: Send + Sync;

    fn build() -> Self;

    /// The live value, or a new one; `work` is what its creation takes.
    fn get_or_create(&self, key: &str, work: impl FnOnce()) -> Self::Value;

    /// Takes the key out of a map that would keep it.
    fn take_out(&self, key: &str) {
        let _ = key;
    }

    /// Whether the subject has more than one key.
    const IS_A_MAP: bool = true;
}

/// A subject whose type has been forgotten.
#[derive(Clone, Copy)]
pub struct Creating {
    pub name: &'static str,
    pub role: Role,
    pub single: bool,
    pub is_a_map: bool,
    pub build: fn() -> Box<dyn Creates>,
}

impl Creating {
    pub const fn of<S: CreationSubject>() -> Self {
        Creating {
            name: S::NAME,
            role: S::ROLE,
            single: S::SINGLE,
            is_a_map: S::IS_A_MAP,
            build: || Box::new(Subject(S::build())),
        }
    }
}

/// A map, ready for one slice of work after the other.
pub trait Creates {
    /// Threads meet, and all ask for a key that is not there; as often as there are keys.
    fn meet(&self, keys: &[String], threads: usize, work: Work) -> Vec<Meeting>;

    /// Creates and lets go of `ops` fresh keys on each of `threads` threads, and returns the time from the first one's start to the last one's end.
    fn miss(&self, workload: &Workload, threads: usize, start: usize, ops: usize) -> Duration;
}

struct Subject<S>(S);

impl<S: CreationSubject> Creates for Subject<S> {
    fn meet(&self, keys: &[String], threads: usize, work: Work) -> Vec<Meeting> {
        meeting::meet(&self.0, keys, threads, work)
    }

    fn miss(&self, workload: &Workload, threads: usize, start: usize, ops: usize) -> Duration {
        rounds::miss(&self.0, workload, threads, start, ops)
    }
}
