//! What a benchmark needs of a map with weak values.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use super::MapCell;
use crate::cell::Cell;
use crate::subject::{Repeat, Role};
use crate::workload::{Keys, Workload};

/// What a value holds: as much as those by hand hold in order to find their entry.
pub type Payload = [u64; 3];

/// Values that the second thread keeps while the first one iterates.
const RECENT: usize = 1024;

/// One map, used as its users use it at its best.
pub trait MapSubject: Sync + Sized + 'static {
    const NAME: &'static str;
    const ROLE: Role;

    /// An owner of a value.
    type Value: Send + Sync;

    fn build() -> Self;

    fn get(&self, key: &str) -> Option<Self::Value>;

    /// The live value, or a new one, whose creation costs next to nothing.
    fn get_or_create(&self, key: &str) -> Self::Value;

    /// Calls `f` with all live values, and with no lock held.
    fn for_each(&self, f: &mut dyn FnMut(&Self::Value));

    /// Takes out the dead entries of values that have told nobody of their death, and counts them; none if they do tell.
    fn prune(&self) -> Option<usize> {
        None
    }

    /// Entries, dead ones too.
    fn entry_count(&self) -> usize;

    /// Whether the subject can do this at all.
    fn takes(cell: MapCell) -> bool {
        let _ = cell;
        true
    }
}

/// A map whose type has been forgotten.
#[derive(Clone, Copy)]
pub struct MapContestant {
    pub name: &'static str,
    pub role: Role,
    pub takes: fn(MapCell) -> bool,
    /// Builds the map with all the live keys.
    pub enter: fn(&Workload) -> Box<dyn MapEntrant>,
    /// For counting instructions: so many hits, misses or creations on one thread.
    pub repeat: fn(Repeat, usize, usize) -> anyhow::Result<()>,
}

impl MapContestant {
    pub const fn of<S: MapSubject>() -> Self {
        MapContestant {
            name: S::NAME,
            role: S::ROLE,
            takes: S::takes,
            enter: |workload| Box::new(Populated::<S>::new(&workload.live)),
            repeat: repeat::<S>,
        }
    }
}

/// A map with all its live keys, ready for one slice of work after the other.
pub trait MapEntrant {
    /// Does `ops` operations on each of `threads` threads; returns the time from the first one's start to the last one's end.
    fn slice(
        &self,
        workload: &Workload,
        cell: MapCell,
        threads: usize,
        start: usize,
        ops: usize,
    ) -> Duration;
}

struct Populated<S: MapSubject> {
    _values: Vec<S::Value>,
    subject: S,
}

/// Out of line, so that each subject's loop is compiled alone.
#[inline(never)]
fn look_up<S: MapSubject>(subject: &S, stream: &Keys, start: usize, ops: usize) {
    stream.for_each(start, ops, |key| {
        black_box(&subject.get(key));
    });
}

#[inline(never)]
fn create<S: MapSubject>(subject: &S, stream: &Keys, start: usize, ops: usize) {
    stream.for_each(start, ops, |key| {
        black_box(&subject.get_or_create(key));
    });
}

impl<S: MapSubject> Populated<S> {
    fn new(live: &Keys) -> Self {
        let subject = S::build();
        let values = live.iter().map(|key| subject.get_or_create(key)).collect();
        Populated {
            _values: values,
            subject,
        }
    }

    /// The time that `threads` threads take for `work`, which is given the thread's number, after `warm_up`, which is too.
    fn time(
        threads: usize,
        warm_up: impl Fn(usize) + Sync,
        work: impl Fn(usize) + Sync,
    ) -> Duration {
        let run = |thread: usize, barrier: &Barrier| {
            warm_up(thread);
            barrier.wait();
            let began = Instant::now();
            work(thread);
            (began, Instant::now())
        };
        let barrier = Barrier::new(threads);
        if threads == 1 {
            let (began, ended) = run(0, &barrier);
            return ended - began;
        }
        let times: Vec<(Instant, Instant)> = std::thread::scope(|scope| {
            let (run, barrier) = (&run, &barrier);
            let running: Vec<_> = (0..threads)
                .map(|thread| scope.spawn(move || run(thread, barrier)))
                .collect();
            let joined = running.into_iter().map(|thread| thread.join());
            joined.map(|times| times.expect("a worker")).collect()
        });
        let began = times.iter().map(|times| times.0).min();
        let ended = times.iter().map(|times| times.1).max();
        ended.zip(began).map_or(Duration::ZERO, |(e, b)| e - b)
    }

    /// One pass after the other over all values, until `ops` are through.
    fn iterate(&self, ops: usize) -> Duration {
        let began = Instant::now();
        let mut seen = 0;
        while seen < ops {
            self.subject.for_each(&mut |value| {
                black_box(value);
                seen += 1;
            });
        }
        // The last pass is not cut off, so this is what `ops` would have taken.
        began.elapsed().mul_f64(ops as f64 / seen as f64)
    }

    fn iterate_while_others_insert(&self, fresh: &Keys, start: usize, ops: usize) -> Duration {
        let over = AtomicBool::new(false);
        let both_there = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut recent = VecDeque::with_capacity(RECENT);
                both_there.wait();
                let mut at = start;
                while !over.load(Ordering::Relaxed) {
                    if recent.len() == RECENT {
                        recent.pop_front();
                    }
                    let key = fresh.get(at % fresh.count());
                    recent.push_back(self.subject.get_or_create(key));
                    at += 1;
                }
            });
            both_there.wait();
            let time = self.iterate(ops);
            over.store(true, Ordering::Relaxed);
            time
        })
    }

    /// `ops` values die; the time from before or after that to when their entries have gone.
    fn die(&self, fresh: &Keys, start: usize, ops: usize, with_drops: bool) -> Duration {
        let mut doomed = Vec::with_capacity(ops);
        fresh.for_each(start, ops, |key| {
            doomed.push(self.subject.get_or_create(key))
        });
        let began = Instant::now();
        drop(doomed);
        let dropped = Instant::now();
        self.subject.prune();
        let ended = Instant::now();
        ended - if with_drops { began } else { dropped }
    }

    /// All ask for the same key; they meet before each.
    fn contend(&self, fresh: &Keys, threads: usize, start: usize, ops: usize) -> Duration {
        let arrived = AtomicUsize::new(0);
        let meet = |round: usize| {
            arrived.fetch_add(1, Ordering::AcqRel);
            let mut polls = 0;
            while arrived.load(Ordering::Acquire) < round * threads {
                polls += 1;
                // Whoever is waited for may have lost its processor.
                match polls % 256 {
                    0 => std::thread::yield_now(),
                    _ => std::hint::spin_loop(),
                }
            }
        };
        Self::time(
            threads,
            |_| {},
            |_| {
                for op in 0..ops {
                    meet(op + 1);
                    let key = fresh.get((start + op) % fresh.count());
                    black_box(&self.subject.get_or_create(key));
                }
            },
        )
    }
}

impl<S: MapSubject> MapEntrant for Populated<S> {
    fn slice(
        &self,
        workload: &Workload,
        cell: MapCell,
        threads: usize,
        start: usize,
        ops: usize,
    ) -> Duration {
        let subject = &self.subject;
        let fresh = workload.stream(Cell::Fresh, 0);
        let (kind, work): (_, fn(&S, &Keys, usize, usize)) = match cell {
            MapCell::Hit(kind) => (kind, look_up::<S>),
            MapCell::Miss => (Cell::Fresh, look_up::<S>),
            MapCell::Create => (Cell::Fresh, create::<S>),
            MapCell::Mix => (Cell::Mix, create::<S>),
            MapCell::Iterate if threads == 1 => return self.iterate(ops),
            MapCell::Iterate => return self.iterate_while_others_insert(fresh, start, ops),
            MapCell::Die => return self.die(fresh, start, ops, true),
            MapCell::Prune => return self.die(fresh, start, ops, false),
            MapCell::Contended => return self.contend(fresh, threads, start, ops),
        };
        let stream = |thread| workload.stream(kind, thread);
        Self::time(
            threads,
            // The others' slices have emptied the caches: filling them is not what is to be measured.
            |thread| work(subject, stream(thread), start + ops, ops / 2),
            |thread| work(subject, stream(thread), start, ops),
        )
    }
}

/// See [`MapContestant::repeat`].
fn repeat<S: MapSubject>(what: Repeat, live: usize, count: usize) -> anyhow::Result<()> {
    let workload = Workload::new(0, live, 1);
    let populated = Populated::<S>::new(&workload.live);
    let hits = workload.stream(Cell::Uniform, 0);
    let absent = workload.stream(Cell::Fresh, 0);
    match what {
        Repeat::Nothing => hits.for_each(0, count, |key| {
            black_box(key);
        }),
        Repeat::Hit => look_up(&populated.subject, hits, 0, count),
        Repeat::Miss => look_up(&populated.subject, absent, 0, count),
        Repeat::Fresh => create(&populated.subject, absent, 0, count),
    }
    Ok(())
}
