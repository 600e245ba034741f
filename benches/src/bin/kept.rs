//! What it costs to keep the values that were used last, and how many are found again: our layer against caches of owners beside the map.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use comfy_table::{presets, Table};
use highlander::{Handle, Recent, Registry};
use highlander_bench::cli;
use lexopt::prelude::*;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Zipf};

const HELP: &str = "\
Times look-ups and creations through a layer that keeps the values that were used last.

  --rounds N          rounds, in each of which every subject has its turn; 15 by default
  --ops N             operations of each thread in a round; 200000 by default
  --capacity N        how many values are kept; 1024 by default
";

type Map = Registry<u64, u64>;
type Owner = Handle<u64, u64>;

/// Values that nobody else owns are created anew unless they are kept.
static CREATED: AtomicU64 = AtomicU64::new(0);

fn create(key: &u64) -> u64 {
    CREATED.fetch_add(1, Relaxed);
    *key
}

trait Keeps: Sync {
    fn ask(&self, key: u64) -> Owner;
    fn clear(&self);
}

/// Keeps nothing: what the map costs by itself.
struct Nothing(&'static Map);

impl Keeps for Nothing {
    fn ask(&self, key: u64) -> Owner {
        self.0.get_or_insert_with(key, create)
    }

    fn clear(&self) {}
}

struct Ours(Recent<&'static Map>);

impl Keeps for Ours {
    fn ask(&self, key: u64) -> Owner {
        self.0.get_or_insert_with(key, create)
    }

    fn clear(&self) {
        self.0.clear();
    }
}

/// A cache beside the map: told of each use, asked for nothing, since a value may have been removed from the map.
macro_rules! beside {
    ($name:ident: $cache:ty, $this:ident, $key:ident, used $used:expr, enter $owner:ident $enter:expr, clear $clear:expr) => {
        struct $name(&'static Map, $cache);

        impl Keeps for $name {
            fn ask(&self, $key: u64) -> Owner {
                let $this = &self.1;
                let owner = self.0.get_or_insert_with($key, create);
                if !$used {
                    let $owner = owner.clone();
                    $enter;
                }
                owner
            }

            fn clear(&self) {
                let $this = &self.1;
                $clear;
            }
        }
    };
}

beside!(Quick: quick_cache::sync::Cache<u64, Owner>, cache, key,
    used cache.get(&key).is_some(), enter owner cache.insert(key, owner), clear cache.clear());
beside!(Moka: moka::sync::Cache<u64, Owner>, cache, key,
    used cache.get(&key).is_some(), enter owner cache.insert(key, owner),
    clear { cache.invalidate_all(); cache.run_pending_tasks() });
beside!(Lru: parking_lot::Mutex<lru::LruCache<u64, Owner>>, cache, key,
    used cache.lock().get(&key).is_some(), enter owner drop({ let gone = cache.lock().push(key, owner); gone }),
    clear cache.lock().clear());

const NAMES: [&str; 6] = [
    "recent",
    "recent, idle",
    "quick_cache",
    "moka",
    "lru+mutex",
    "nothing",
];

fn subject(n: usize, map: &'static Map, capacity: usize) -> Box<dyn Keeps> {
    match n {
        0 => Box::new(Ours(Recent::new(map, capacity))),
        1 => Box::new(Ours(
            Recent::new(map, capacity).time_to_idle(Duration::from_secs(60)),
        )),
        2 => Box::new(Quick(map, quick_cache::sync::Cache::new(capacity))),
        3 => Box::new(Moka(map, moka::sync::Cache::new(capacity as u64))),
        4 => {
            let capacity = capacity.try_into().expect("not zero");
            Box::new(Lru(
                map,
                parking_lot::Mutex::new(lru::LruCache::new(capacity)),
            ))
        }
        _ => Box::new(Nothing(map)),
    }
}

#[derive(Clone, Copy)]
enum Cell {
    /// Values that are kept.
    Hit,
    /// Values that others own, most of which are not kept.
    Owned,
    /// A value for a fresh key each time, for which another one goes.
    Fresh,
    /// Values that nobody else owns, by the law of Zipf: those that have gone are created anew.
    Zipf(u64),
}

impl Cell {
    const ALL: [Cell; 5] = [
        Cell::Hit,
        Cell::Owned,
        Cell::Fresh,
        Cell::Zipf(10_000),
        Cell::Zipf(100_000),
    ];

    fn name(self) -> String {
        match self {
            Cell::Hit => "kept".into(),
            Cell::Owned => "owned by others".into(),
            Cell::Fresh => "created, one goes".into(),
            Cell::Zipf(keys) => format!("Zipf, {keys} keys"),
        }
    }

    fn keys(self, round: usize, thread: usize, ops: usize, capacity: usize) -> Vec<u64> {
        let mut rng = SmallRng::seed_from_u64((round * 2 + thread) as u64);
        match self {
            // Not all of those that there is room for: quick_cache and moka do not keep the last ones.
            Cell::Hit => {
                let keys = capacity as u64 / 2;
                (0..ops).map(|_| rng.random_range(0..keys)).collect()
            }
            Cell::Owned => (0..ops).map(|_| rng.random_range(0..OWNED)).collect(),
            Cell::Fresh => {
                let first = ((round * 2 + thread + 1) as u64) << 32;
                (first..first + ops as u64).collect()
            }
            Cell::Zipf(keys) => {
                let zipf = Zipf::new(keys as f64, 0.99).expect("a positive count and exponent");
                (0..ops).map(|_| zipf.sample(&mut rng) as u64).collect()
            }
        }
    }
}

const OWNED: u64 = 20_000;

fn main() -> ExitCode {
    cli::exit_code(run())
}

fn run() -> anyhow::Result<()> {
    let (mut rounds, mut ops, mut capacity) = (15, 200_000, 1024);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("rounds") => rounds = parser.value()?.parse()?,
            Long("ops") => ops = parser.value()?.parse()?,
            Long("capacity") => capacity = parser.value()?.parse()?,
            Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["cell", "threads"].into_iter().chain(NAMES));
    for cell in Cell::ALL {
        for threads in [1, 2] {
            let row = measure(cell, threads, rounds, ops, capacity);
            table.add_row([cell.name(), threads.to_string()].into_iter().chain(row));
        }
    }
    println!("{table}");
    Ok(())
}

/// The median of each subject, in ns for each operation, and the share of those that created nothing.
fn measure(cell: Cell, threads: usize, rounds: usize, ops: usize, capacity: usize) -> Vec<String> {
    let subjects: Vec<_> = (0..NAMES.len())
        .map(|n| {
            let map: &'static Map = Box::leak(Box::default());
            let owned: Vec<_> = match cell {
                // The bare map is to find them too.
                Cell::Hit if NAMES[n] == "nothing" => (0..capacity as u64 / 2)
                    .map(|key| map.insert(key, key).0)
                    .collect(),
                Cell::Owned => (0..OWNED).map(|key| map.insert(key, key).0).collect(),
                _ => Vec::new(),
            };
            (subject(n, map, capacity), owned)
        })
        .collect();
    let mut times = vec![Vec::new(); subjects.len()];
    let mut created = vec![0; subjects.len()];
    // The first one does not count.
    for round in 0..=rounds {
        let keys: Vec<_> = (0..threads)
            .map(|thread| cell.keys(round, thread, ops, capacity))
            .collect();
        for n in (0..subjects.len()).map(|n| (n + round) % subjects.len()) {
            CREATED.store(0, Relaxed);
            let time = run_round(&*subjects[n].0, &keys);
            if round > 0 {
                times[n].push(time.as_nanos() as f64 * threads as f64 / (ops * threads) as f64);
                created[n] += CREATED.load(Relaxed);
            }
        }
    }
    let results = times.iter_mut().zip(created).map(|(times, created)| {
        times.sort_by(f64::total_cmp);
        let found = 1.0 - created as f64 / (rounds * ops * threads) as f64;
        format!("{:.0} ns, {:.1} %", times[rounds / 2], found * 100.0)
    });
    let results = results.collect();
    subjects.iter().for_each(|(subject, _)| subject.clear());
    results
}

fn run_round(subject: &dyn Keeps, keys: &[Vec<u64>]) -> Duration {
    let barrier = Barrier::new(keys.len() + 1);
    std::thread::scope(|scope| {
        for keys in keys {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                for key in keys {
                    black_box(subject.ask(*key));
                }
                barrier.wait();
            });
        }
        barrier.wait();
        let began = Instant::now();
        barrier.wait();
        began.elapsed()
    })
}
