//! A map that is measured, whichever it is.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use super::meeting::{self, Meeting, Work};
use super::subject::CreationSubject;
use crate::cell::Cell;
use crate::subject::Role;
use crate::workload::{Keys, Workload};

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
        miss(&self.0, workload, threads, start, ops)
    }
}

/// Out of line, so that each subject's loop is compiled alone.
#[inline(never)]
fn create<S: CreationSubject>(subject: &S, stream: &Keys, start: usize, ops: usize) {
    stream.for_each(start, ops, |key| {
        black_box(&subject.get_or_create(key, || {}));
        subject.take_out(key);
    });
}

/// See [`Creates::miss`].
fn miss<S: CreationSubject>(
    subject: &S,
    workload: &Workload,
    threads: usize,
    start: usize,
    ops: usize,
) -> Duration {
    let barrier = Barrier::new(threads);
    let run = |thread: usize| {
        let stream = workload.stream(Cell::Fresh, thread);
        // The others' slices have emptied the caches: filling them is not what is to be measured.
        create(subject, stream, start + ops, ops / 2);
        barrier.wait();
        let began = Instant::now();
        create(subject, stream, start, ops);
        (began, Instant::now())
    };
    let times: Vec<(Instant, Instant)> = std::thread::scope(|scope| {
        let run = &run;
        let running: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || run(thread)))
            .collect();
        let joined = running.into_iter().map(|thread| thread.join());
        joined.map(|times| times.expect("a worker")).collect()
    });
    let began = times.iter().map(|times| times.0).min();
    let ended = times.iter().map(|times| times.1).max();
    ended.zip(began).map_or(Duration::ZERO, |(e, b)| e - b)
}
