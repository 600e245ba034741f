//! Threads that meet and then all ask for the same key, which is not there.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{clock_gettime, ClockId};

use super::subject::CreationSubject;

/// What the factory does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// It computes: so many rounds. Whoever waits and does not sleep takes a processor from others, or slows its twin down.
    Compute(u32),
    /// It sleeps, as one does who waits for a disk or a peer: what is used meanwhile, the waiters use.
    Sleep(Duration),
}

impl Work {
    /// A computation that takes about so long on one processor that has nothing else to do.
    pub fn compute_for(wanted: Duration) -> Self {
        let probe = 1 << 20;
        // The best of some: others may have the processor, too.
        let times = (0..9).map(|_| {
            let began = Instant::now();
            Work::Compute(probe).run();
            began.elapsed()
        });
        let best = times.min().unwrap_or(wanted);
        Work::Compute((f64::from(probe) * wanted.as_secs_f64() / best.as_secs_f64()) as u32)
    }

    pub fn run(self) {
        match self {
            Work::Compute(rounds) => {
                let mut x = black_box(1u64);
                for _ in 0..rounds {
                    // One after the other: it's the latency of a multiplication that counts.
                    x = x
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                }
                black_box(x);
            }
            Work::Sleep(time) => thread::sleep(time),
        }
    }
}

/// What one meeting took.
#[derive(Clone, Copy, Debug)]
pub struct Meeting {
    /// From the first call to the last return.
    pub wall: Duration,
    /// Processor time of all threads, inside of their calls.
    pub cpu: Duration,
    /// How often the factory ran.
    pub runs: u32,
}

/// One meeting for each key. All threads are there, and the key is in nobody's hands, before each.
pub fn meet<S: CreationSubject>(
    subject: &S,
    keys: &[String],
    threads: usize,
    work: Work,
) -> Vec<Meeting> {
    let barrier = Barrier::new(threads);
    let runs: Vec<AtomicU32> = keys.iter().map(|_| AtomicU32::new(0)).collect();
    let attend = || -> Vec<Call> {
        let calls = keys.iter().zip(&runs).map(|(key, runs)| {
            barrier.wait();
            let (began, cpu) = (Instant::now(), cpu_time());
            let value = subject.get_or_create(key, || {
                runs.fetch_add(1, Ordering::Relaxed);
                work.run();
            });
            let cpu = cpu_time() - cpu;
            let ended = Instant::now();
            // All have it before anybody lets go.
            let leads = barrier.wait().is_leader();
            drop(black_box(value));
            if leads {
                subject.take_out(key);
            }
            Call { began, ended, cpu }
        });
        calls.collect()
    };
    let calls: Vec<Vec<Call>> = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(attend)).collect();
        let joined = running.into_iter().map(|thread| thread.join());
        joined.map(|calls| calls.expect("a thread")).collect()
    });
    let meeting = |(at, runs): (usize, &AtomicU32)| {
        let all = || calls.iter().map(|calls| &calls[at]);
        let began = all().map(|call| call.began).min();
        let ended = all().map(|call| call.ended).max();
        Meeting {
            wall: ended.zip(began).map_or(Duration::ZERO, |(e, b)| e - b),
            cpu: all().map(|call| call.cpu).sum(),
            runs: runs.load(Ordering::Relaxed),
        }
    };
    runs.iter().enumerate().map(meeting).collect()
}

struct Call {
    began: Instant,
    ended: Instant,
    cpu: Duration,
}

/// Processor time that this thread has used.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
