//! What it costs to tell those who listen: our signals against lists of weak listeners.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::{Arc, Barrier, Mutex, RwLock, Weak};
use std::time::{Duration, Instant};

use comfy_table::{presets, Table};
use highlander::pointer::Watched;
use highlander::registries::signals::{Receiver, Signal};
use highlander_bench::cli;
use lexopt::prelude::*;
use signals2::{Connect1, Emit1};

const HELP: &str = "\
Times sends to receivers that are held weakly, none of which does anything.

  --rounds N          rounds, in each of which every subject has its turn; 25 by default
  --ops N             sends of each thread in a round; 50000 by default
  --receivers N       how many receivers there are; by default 1, 10 and 100 in turn
";

/// What listens: each captures a number of its own, and looks at it.
type Listener = dyn Fn(&u64) + Send + Sync;

fn listen(number: u64) -> impl Fn(&u64) + Send + Sync + Clone {
    move |word| {
        black_box(number ^ word);
    }
}

struct Object(u64);

impl Object {
    fn listen(&self, word: &u64) {
        black_box(self.0 ^ word);
    }
}

trait Sends: Sync {
    fn send(&self, word: &u64);
}

/// Calls and keeps alive by itself: what the calls cost.
struct Floor(Vec<Arc<Listener>>);

impl Sends for Floor {
    fn send(&self, word: &u64) {
        self.0.iter().for_each(|listener| listener(word));
    }
}

/// With whatever owns the receivers.
struct Owned<S, O> {
    subject: S,
    _owner: O,
}

impl<S: Sends, O: Sync> Sends for Owned<S, O> {
    fn send(&self, word: &u64) {
        self.subject.send(word);
    }
}

fn owned<O: Sync + 'static>(subject: impl Sends + 'static, owner: O) -> Box<dyn Sends> {
    Box::new(Owned {
        subject,
        _owner: owner,
    })
}

struct Ours(Signal<u64>);

impl Sends for Ours {
    fn send(&self, word: &u64) {
        self.0.send(word).expect("no receiver fails");
    }
}

/// Half of the receivers listen to one sender.
struct OfOne(Signal<u64, (), Arc<u64>>, Arc<u64>);

impl Sends for OfOne {
    fn send(&self, word: &u64) {
        let route = self.0.of(&self.1);
        route.send(word).expect("no receiver fails");
    }
}

/// By hand, calling under the lock: who calls back hangs.
struct Locked(Mutex<Vec<Weak<Listener>>>);

impl Sends for Locked {
    fn send(&self, word: &u64) {
        let mut listeners = self.0.lock().expect("nobody panics");
        listeners.retain(|listener| match listener.upgrade() {
            None => false,
            Some(listener) => {
                listener(word);
                true
            }
        });
    }
}

/// By hand, owning the listeners first, and calling without the lock.
struct Collected(Mutex<Vec<Weak<Listener>>>);

impl Sends for Collected {
    fn send(&self, word: &u64) {
        let mut alive = Vec::new();
        {
            let mut listeners = self.0.lock().expect("nobody panics");
            alive.reserve(listeners.len());
            listeners.retain(|listener| {
                let listener = listener.upgrade();
                let lives = listener.is_some();
                alive.extend(listener);
                lives
            });
        }
        alive.iter().for_each(|listener| listener(word));
    }
}

/// By hand, calling under a lock that senders share; nobody prunes.
struct Shared(RwLock<Vec<Weak<Listener>>>);

impl Sends for Shared {
    fn send(&self, word: &u64) {
        let listeners = self.0.read().expect("nobody panics");
        let alive = listeners.iter().filter_map(Weak::upgrade);
        alive.for_each(|listener| listener(word));
    }
}

/// Slots belong to connections, and a group of slots is called by its signal.
struct Signals2(signals2::Signal<(u64,)>);

impl Sends for Signals2 {
    fn send(&self, word: &u64) {
        self.0.emit(*word);
    }
}

const NAMES: [&str; 9] = [
    "signal",
    "of a sender",
    "methods of Arcs",
    "methods of Watched",
    "Mutex, called inside",
    "Mutex, called outside",
    "RwLock, called inside",
    "signals2",
    "calls alone",
];

/// Those that a `Mutex<Vec<Weak<dyn Fn>>>` is, which ours are compared with.
const BY_HAND: [usize; 2] = [4, 5];

fn subject(n: usize, receivers: u64) -> Box<dyn Sends> {
    let listeners =
        || -> Vec<Arc<Listener>> { (0..receivers).map(|n| Arc::new(listen(n)) as _).collect() };
    let weak = |owned: &[Arc<Listener>]| owned.iter().map(Arc::downgrade).collect::<Vec<_>>();
    match n {
        0 => {
            let signal = Signal::new();
            let owner: Vec<_> = (0..receivers).map(|n| Receiver::new(listen(n))).collect();
            owner
                .iter()
                .for_each(|receiver| assert!(signal.connect(receiver)));
            owned(Ours(signal), owner)
        }
        1 => {
            let (signal, sender) = (Signal::new(), Arc::new(0));
            let owner: Vec<_> = (0..receivers).map(|n| Receiver::new(listen(n))).collect();
            for (n, receiver) in owner.iter().enumerate() {
                assert!(match n % 2 {
                    0 => signal.connect(receiver),
                    _ => signal.of(&sender).connect(receiver),
                });
            }
            owned(OfOne(signal, sender), owner)
        }
        2 => {
            let signal = Signal::new();
            let owner: Vec<_> = (0..receivers).map(|n| Arc::new(Object(n))).collect();
            for object in &owner {
                assert!(signal.connect_method(object, Object::listen));
            }
            owned(Ours(signal), owner)
        }
        3 => {
            let signal = Signal::new();
            let owner: Vec<_> = (0..receivers).map(|n| Watched::new(Object(n))).collect();
            for object in &owner {
                assert!(signal.connect_method(object, Object::listen));
            }
            owned(Ours(signal), owner)
        }
        4 => {
            let owner = listeners();
            owned(Locked(Mutex::new(weak(&owner))), owner)
        }
        5 => {
            let owner = listeners();
            owned(Collected(Mutex::new(weak(&owner))), owner)
        }
        6 => {
            let owner = listeners();
            owned(Shared(RwLock::new(weak(&owner))), owner)
        }
        7 => {
            let signal = signals2::Signal::new();
            for n in 0..receivers {
                let listen = listen(n);
                signal.connect(move |word| listen(&word));
            }
            Box::new(Signals2(signal))
        }
        _ => Box::new(Floor(listeners())),
    }
}

fn main() -> ExitCode {
    cli::exit_code(run())
}

fn run() -> anyhow::Result<()> {
    let (mut rounds, mut ops, mut counts) = (25, 50_000, vec![1, 10, 100]);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("rounds") => rounds = parser.value()?.parse()?,
            Long("ops") => ops = parser.value()?.parse()?,
            Long("receivers") => counts = vec![parser.value()?.parse()?],
            Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    let header = ["receivers", "threads"].into_iter().chain(NAMES);
    table.set_header(header.chain(["ratio inside", "ratio outside"]));
    for receivers in counts {
        for threads in [1, 2] {
            let medians = measure(receivers, threads, rounds, ops);
            let ratios = BY_HAND.map(|n| format!("{:.1}", medians[n] / medians[0]));
            let cells = medians.iter().map(|median| format!("{median:.0} ns"));
            let names = [receivers.to_string(), threads.to_string()];
            table.add_row(names.into_iter().chain(cells).chain(ratios));
        }
    }
    println!("{table}");
    Ok(())
}

/// The median of each subject, in ns from one send of a thread to its next.
fn measure(receivers: u64, threads: usize, rounds: usize, ops: usize) -> Vec<f64> {
    let subjects: Vec<_> = (0..NAMES.len()).map(|n| subject(n, receivers)).collect();
    let mut times = vec![Vec::new(); subjects.len()];
    // The first one does not count.
    for round in 0..=rounds {
        for n in (0..subjects.len()).map(|n| (n + round) % subjects.len()) {
            let time = run_round(&*subjects[n], threads, ops);
            if round > 0 {
                times[n].push(time.as_nanos() as f64 / ops as f64);
            }
        }
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[rounds / 2]
    };
    times.iter_mut().map(median).collect()
}

fn run_round(subject: &dyn Sends, threads: usize, ops: usize) -> Duration {
    let barrier = Barrier::new(threads + 1);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                barrier.wait();
                for word in 0..ops as u64 {
                    subject.send(&word);
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
