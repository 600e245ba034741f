//! An interner that is measured, whichever it is.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::cell::Cell;
use crate::memory;
use crate::subject::{Repeat, Role, Subject};
use crate::tail::{self, Tail};
use crate::workload::{Keys, Workload};

/// A subject whose type has been forgotten.
#[derive(Clone, Copy)]
pub struct Contestant {
    pub name: &'static str,
    pub role: Role,
    pub takes: fn(Cell, usize) -> bool,
    /// Builds the subject, interns the live keys and keeps the handles.
    pub enter: fn(&Workload) -> Box<dyn Entrant>,
    /// Growth of resident memory by so many live keys, in bytes.
    pub memory: fn(usize) -> anyhow::Result<u64>,
    /// Times each insertion of so many keys; if asked, while another thread reads.
    pub tail: fn(usize, bool) -> anyhow::Result<Tail>,
    /// For counting instructions: so many hits, misses or fresh keys on one thread.
    pub repeat: fn(Repeat, usize, usize) -> anyhow::Result<()>,
}

impl Contestant {
    pub const fn of<S: Subject>() -> Self {
        Contestant {
            name: S::NAME,
            role: S::ROLE,
            takes: S::takes,
            enter: |workload| Box::new(Populated::<S>::new(&workload.live)),
            memory: memory::growth::<S>,
            tail: tail::measure::<S>,
            repeat: repeat::<S>,
        }
    }
}

/// A subject with all its live keys, ready for one slice of work after the other.
pub trait Entrant {
    /// Does `ops` operations of `cell` on each of `threads` threads, from the `start`th key of their streams on, and
    /// returns the time from the first thread's start to the last one's end.
    fn slice(
        &self,
        workload: &Workload,
        cell: Cell,
        threads: usize,
        start: usize,
        ops: usize,
    ) -> Duration;
}

/// The subject and the handles that keep its keys alive. (They go first: some adapters' handles need the subject.)
struct Populated<S: Subject> {
    _handles: Vec<S::Handle>,
    subject: S,
}

impl<S: Subject> Populated<S> {
    fn new(live: &Keys) -> Self {
        let subject = S::build(live.count());
        let handles = live.iter().map(|key| subject.intern(key)).collect();
        Populated {
            _handles: handles,
            subject,
        }
    }
}

/// The loop that is measured. Out of line, so that each subject's is compiled alone.
#[inline(never)]
fn work<S: Subject>(subject: &S, stream: &Keys, start: usize, ops: usize) {
    stream.for_each(start, ops, |key| {
        black_box(&subject.intern(key));
    });
}

impl<S: Subject> Entrant for Populated<S> {
    fn slice(
        &self,
        workload: &Workload,
        cell: Cell,
        threads: usize,
        start: usize,
        ops: usize,
    ) -> Duration {
        // The others' slices have emptied the caches: filling them is not what is to be measured.
        let warm_up = ops / 2;
        let subject = &self.subject;
        let run = |thread: usize, barrier: &Barrier| {
            let stream = workload.stream(cell, thread);
            work(subject, stream, start + ops, warm_up);
            barrier.wait();
            let began = Instant::now();
            work(subject, stream, start, ops);
            (began, Instant::now())
        };
        if threads == 1 {
            // On this thread, where per-thread interners have their keys.
            let (began, ended) = run(0, &Barrier::new(1));
            return ended - began;
        }
        let barrier = Barrier::new(threads);
        let times: Vec<(Instant, Instant)> = std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads)
                .map(|thread| {
                    let (run, barrier) = (&run, &barrier);
                    scope.spawn(move || run(thread, barrier))
                })
                .collect();
            let joined = running.into_iter().map(|thread| thread.join());
            joined.map(|times| times.expect("a worker")).collect()
        });
        let began = times.iter().map(|times| times.0).min();
        let ended = times.iter().map(|times| times.1).max();
        ended.zip(began).map_or(Duration::ZERO, |(e, b)| e - b)
    }
}

/// See [`Contestant::repeat`].
fn repeat<S: Subject>(what: Repeat, live: usize, count: usize) -> anyhow::Result<()> {
    let workload = Workload::new(0, live, 1);
    let populated = Populated::<S>::new(&workload.live);
    let hits = workload.stream(Cell::Uniform, 0);
    let absent = workload.stream(Cell::Fresh, 0);
    match what {
        Repeat::Nothing => hits.for_each(0, count, |key| {
            black_box(key);
        }),
        Repeat::Hit => work(&populated.subject, hits, 0, count),
        Repeat::Miss => {
            let can_tell = populated.subject.contains(absent.get(0)).is_some();
            anyhow::ensure!(can_tell, "{} has no look-up without insertion", S::NAME);
            absent.for_each(0, count, |key| {
                black_box(&populated.subject.contains(key));
            });
        }
        Repeat::Fresh => work(&populated.subject, absent, 0, count),
    }
    Ok(())
}
