//! Values that know whether they live, rolls that know who holds what, and threads that work until the time is up.

use crate::common::Dice;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

const SEALED: u32 = 0x5EA1_ED11;

/// What one scenario counts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    born: AtomicU64,
    dead: AtomicU64,
    died_twice: AtomicU64,
}

impl Counts {
    pub(crate) fn assert_balanced(&self) {
        assert_eq!(
            self.died_twice.load(Relaxed),
            0,
            "a destructor has run twice"
        );
        assert_eq!(
            self.born.load(Relaxed),
            self.dead.load(Relaxed),
            "born and dead"
        );
    }

    /// How many there are, which are no more than those that somebody has, with nobody dead twice.
    pub(crate) fn alive(&self) -> u64 {
        assert_eq!(
            self.died_twice.load(Relaxed),
            0,
            "a destructor has run twice"
        );
        self.born.load(Relaxed) - self.dead.load(Relaxed)
    }

    pub(crate) fn born(&self) -> u64 {
        self.born.load(Relaxed)
    }
}

/// A value with an identity, and a seal that is broken when it dies.
#[derive(Debug)]
pub(crate) struct Sealed<'a> {
    pub(crate) key: u32,
    pub(crate) id: u64,
    seal: AtomicU32,
    /// The same as `key` again, in memory of its own.
    copy: Box<u32>,
    counts: &'a Counts,
}

impl<'a> Sealed<'a> {
    pub(crate) fn new(key: u32, counts: &'a Counts) -> Self {
        let id = counts.born.fetch_add(1, Relaxed) + 1;
        Self {
            key,
            id,
            seal: AtomicU32::new(SEALED),
            copy: Box::new(key),
            counts,
        }
    }

    /// What every holder may rely on.
    pub(crate) fn assert_alive(&self, key: u32) {
        assert_eq!(
            self.seal.load(Relaxed),
            SEALED,
            "a dead value was handed out"
        );
        assert_eq!(
            (self.key, *self.copy),
            (key, key),
            "a value of another key was handed out"
        );
    }
}

impl Drop for Sealed<'_> {
    fn drop(&mut self) {
        if self.seal.swap(0, Relaxed) != SEALED {
            self.counts.died_twice.fetch_add(1, Relaxed);
        }
        self.counts.dead.fetch_add(1, Relaxed);
    }
}

/// Who holds a value of one key: identity and number of holders in one word.
///
/// All accesses are relaxed read-modify-writes: they add no order between threads that the registry ought to have made.
#[derive(Default)]
pub(crate) struct Roll(AtomicU64);

impl Roll {
    /// One more holder of `id`, which all others must hold too.
    pub(crate) fn sign_in(&self, id: u64) {
        let joined =
            self.0
                .fetch_update(Relaxed, Relaxed, |word| match (word >> 16, word & 0xFFFF) {
                    (_, 0) => Some(id << 16 | 1),
                    (held, _) if held == id & (u64::MAX >> 16) => Some(word + 1),
                    _ => None,
                });
        if let Err(word) = joined {
            panic!("two live values of one key: {} and {id}", word >> 16);
        }
    }

    pub(crate) fn sign_out(&self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Another one for each run; printed by the harness when something fails.
pub(crate) fn seed() -> u64 {
    let seed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(1, |now| now.as_nanos() as u64);
    println!("seed {seed}");
    seed
}

/// Joins threads, and goes on with the first panic as it was: a scope that waits for them by itself says only that there was one.
pub(crate) fn join_all(threads: Vec<thread::ScopedJoinHandle<'_, ()>>) {
    for thread in threads {
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Runs `work` on each of `threads` threads again and again until the time is up, each with dice and a state of its own.
/// Returns how often it was run. The first panic ends all.
pub(crate) fn for_a_while<State>(
    limit: Duration,
    threads: usize,
    start: impl Fn(usize) -> State + Sync,
    work: impl Fn(&mut State, &mut Dice) + Sync,
) -> usize {
    let (end, stop, rounds) = (
        Instant::now() + limit,
        AtomicBool::new(false),
        AtomicUsize::new(0),
    );
    let seed = seed();
    struct StopOnPanic<'a>(&'a AtomicBool);
    impl Drop for StopOnPanic<'_> {
        fn drop(&mut self) {
            if thread::panicking() {
                self.0.store(true, Relaxed);
            }
        }
    }
    thread::scope(|scope| {
        let spawn = |number| {
            let (start, work, stop, rounds) = (&start, &work, &stop, &rounds);
            scope.spawn(move || {
                let _stop = StopOnPanic(stop);
                let mut dice = Dice::new(seed ^ (number as u64 + 1) << 50);
                let mut state = start(number);
                let mut done = 0;
                // A batch at least, however late the thread has come.
                while !stop.load(Relaxed) && (done == 0 || done % 64 != 0 || Instant::now() < end) {
                    work(&mut state, &mut dice);
                    done += 1;
                }
                rounds.fetch_add(done, Relaxed);
            })
        };
        join_all((0..threads).map(spawn).collect());
    });
    rounds.load(Relaxed)
}
