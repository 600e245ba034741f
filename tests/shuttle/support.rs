//! How a meeting is run.

use highlander::model::{live_tables, set_own_shards, set_park, set_reclaim};
use shuttle::rand::Rng;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{thread, Config, Runner};
use std::sync::Arc;

pub use crate::keys::*;

/// Where the draws begin, for the same ones in every run; `SHUTTLE_RANDOM_SEED` replaces it.
const SEED: u64 = 1985;

/// Switches of one interleaving that `PctScheduler` chooses with care.
const DEPTH: usize = 3;

/// Runs `f` under so many interleavings of each of two kinds, by chance alone and with few switches, and that twice: as most loom models run,
/// and with all that they can turn on. Nothing of a registry is left after each.
pub fn meeting(iterations: usize, f: impl Fn() + Send + Sync + 'static) {
    let times: usize = match std::env::var("MEETINGS") {
        Ok(times) => times.parse().expect("a number in MEETINGS"),
        Err(_) => 1,
    };
    let iterations = iterations * times;
    let f = Arc::new(f);
    for on in [false, true] {
        // Of this OS thread, on which all of the meeting runs.
        set_reclaim(on);
        set_park(on);
        set_own_shards(on);
        let run = {
            let f = Arc::clone(&f);
            move || {
                let before = live_tables();
                f();
                assert_eq!(live_tables(), before, "a registry is left");
            }
        };
        let by_chance = RandomScheduler::new_from_seed(SEED, iterations);
        Runner::new(by_chance, config()).run(run.clone());
        let with_care = PctScheduler::new_from_seed(SEED, DEPTH, iterations);
        Runner::new(with_care, config()).run(run);
    }
    set_reclaim(false);
    set_park(false);
    set_own_shards(false);
}

fn config() -> Config {
    let mut config = Config::new();
    // That only sequentially consistent interleavings are seen is known, and said in the README.
    config.silence_warnings = true;
    config.stack_size = 1 << 17;
    config
}

/// Starts so many threads, and waits for all.
pub fn threads(count: usize, f: impl Fn(usize) + Send + Sync + 'static) {
    let f = Arc::new(f);
    let running: Vec<_> = (0..count)
        .map(|number| {
            let f = Arc::clone(&f);
            thread::spawn(move || f(number))
        })
        .collect();
    for thread in running {
        thread.join().expect("a thread without a panic");
    }
}

/// A number below `end`, drawn by the scheduler: the same one when the interleaving is replayed.
pub fn draw(end: usize) -> usize {
    shuttle::rand::thread_rng().gen_range(0..end)
}

/// Others go on, or not.
pub fn pause() {
    if draw(2) == 0 {
        thread::yield_now();
    }
}

/// Two with one hash, and a third in their bucket, which has room for two.
pub const KEYS: [Key; 3] = [A, A2, B];
