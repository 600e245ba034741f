//! How long an insertion takes at the worst, while the table grows from nothing; and a hit on another thread meanwhile.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::subject::Subject;
use crate::workload::Keys;

/// Nanoseconds at the quantiles, and the longest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    pub p50: u64,
    pub p99: u64,
    pub p99_9: u64,
    pub p99_99: u64,
    pub max: u64,
}

/// The insertions' quantiles; with a reader, those of its hits too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    pub insert: Quantiles,
    pub hit: Option<Quantiles>,
}

impl Tail {
    pub fn to_numbers(self) -> Vec<u64> {
        let all = [Some(self.insert), self.hit].into_iter().flatten();
        all.flat_map(|q| [q.p50, q.p99, q.p99_9, q.p99_99, q.max])
            .collect()
    }

    pub fn from_numbers(numbers: &[u64]) -> anyhow::Result<Self> {
        let mut all = numbers.chunks_exact(5).map(|numbers| Quantiles {
            p50: numbers[0],
            p99: numbers[1],
            p99_9: numbers[2],
            p99_99: numbers[3],
            max: numbers[4],
        });
        let insert = all.next();
        Ok(Tail {
            insert: insert.ok_or_else(|| anyhow::anyhow!("a child without an answer"))?,
            hit: all.next(),
        })
    }
}

/// Times one operation after the other.
struct Stopwatch {
    /// What it takes to read the clock: no operation's fault.
    reading: Duration,
    times: Histogram<u64>,
}

impl Stopwatch {
    fn new() -> Self {
        let readings = (0..10_000).map(|_| {
            let began = Instant::now();
            began.elapsed()
        });
        Stopwatch {
            reading: readings.min().unwrap_or_default(),
            times: Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("valid bounds"),
        }
    }

    fn time<R>(&mut self, operation: impl FnOnce() -> R) -> R {
        let began = Instant::now();
        let result = operation();
        let time = began.elapsed().saturating_sub(self.reading);
        self.times.saturating_record(time.as_nanos() as u64);
        result
    }

    fn quantiles(&self) -> Quantiles {
        Quantiles {
            p50: self.times.value_at_quantile(0.5),
            p99: self.times.value_at_quantile(0.99),
            p99_9: self.times.value_at_quantile(0.999),
            p99_99: self.times.value_at_quantile(0.9999),
            max: self.times.max(),
        }
    }
}

/// The child's work: `count` keys into an empty subject, each insertion timed.
pub fn measure<S: Subject>(count: usize, with_reader: bool) -> anyhow::Result<Tail> {
    let keys = Keys::numbered(0, 0, count);
    let subject = S::build(count);
    if !with_reader {
        let (insert, handles) = insert_all(&subject, &keys, &AtomicUsize::new(0));
        // The process ends here, and some interners take long to let so many go.
        std::mem::forget((handles, subject));
        return Ok(Tail { insert, hit: None });
    }
    let inserted = AtomicUsize::new(0);
    let over = AtomicBool::new(false);
    let both_there = Barrier::new(2);
    let tail = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            both_there.wait();
            read_until(&subject, &keys, &inserted, &over)
        });
        both_there.wait();
        let (insert, handles) = insert_all(&subject, &keys, &inserted);
        over.store(true, Ordering::Relaxed);
        let hit = reader.join().expect("a reader");
        std::mem::forget(handles);
        Tail {
            insert,
            hit: Some(hit),
        }
    });
    Ok(tail)
}

/// Inserts the keys, counts them in `inserted`, and returns the handles that keep them there.
fn insert_all<S: Subject>(
    subject: &S,
    keys: &Keys,
    inserted: &AtomicUsize,
) -> (Quantiles, Vec<Option<S::Handle>>) {
    let mut stopwatch = Stopwatch::new();
    let mut handles: Vec<Option<S::Handle>> = Vec::new();
    // Touched beforehand: a page fault in this array is not the interner's.
    handles.resize_with(keys.count(), || None);
    for (index, slot) in handles.iter_mut().enumerate() {
        *slot = Some(stopwatch.time(|| subject.intern(keys.get(index))));
        // Release: whoever reads the number finds the key of that index live.
        inserted.store(index + 1, Ordering::Release);
    }
    (stopwatch.quantiles(), handles)
}

fn read_until<S: Subject>(
    subject: &S,
    keys: &Keys,
    inserted: &AtomicUsize,
    over: &AtomicBool,
) -> Quantiles {
    let mut stopwatch = Stopwatch::new();
    let mut rng = SmallRng::seed_from_u64(1);
    while !over.load(Ordering::Relaxed) {
        let live = inserted.load(Ordering::Acquire);
        if live > 0 {
            let key = keys.get(rng.random_range(0..live));
            stopwatch.time(|| {
                black_box(&subject.intern(key));
            });
        }
    }
    stopwatch.quantiles()
}
