//! Programs for the sanitizers, one for each call: what is wrong in them must be reported, and what is not must not.
//!
//! `.ci/sanitize` runs each before it believes that a suite is clean. They are no tests of `cargo test`, since those under `WRONG` have undefined
//! behaviour, which is their use.
//!
//! Usage: `sanitizers list SANITIZER wrong|right`, or `sanitizers NAME`.

use highlander::{Registry, WeakValueMap};
use std::cell::UnsafeCell;
use std::hint::{black_box, spin_loop};
use std::sync::atomic::{fence, AtomicBool, AtomicUsize, Ordering};
use std::sync::{mpsc, Arc, Barrier, Condvar, LazyLock, Mutex, Once, OnceLock, RwLock};
use std::thread;
use std::time::Duration;

type Program = (&'static str, fn());

/// A number that anybody may write to, whether or not others do.
struct Bare(UnsafeCell<u64>);

// SAFETY: none: that is for the programs to see to, and those that do not are to be caught.
unsafe impl Sync for Bare {}
// SAFETY: as above.
unsafe impl Send for Bare {}

impl Bare {
    const fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    fn add(&self) -> u64 {
        // SAFETY: as above.
        unsafe {
            let old = self.0.get().read();
            self.0.get().write(old + 1);
            old
        }
    }

    fn get(&self) -> u64 {
        // SAFETY: as above.
        unsafe { self.0.get().read() }
    }
}

/// The last drop writes, as destructors do.
impl Drop for Bare {
    fn drop(&mut self) {
        black_box(self.add());
    }
}

/// Runs `f` on so many threads that no lock is free at once, and joins them.
fn on_threads(f: impl Fn(usize) + Send + Sync + 'static) {
    let f = Arc::new(f);
    let threads: Vec<_> = (0..3)
        .map(|number| {
            let f = f.clone();
            thread::spawn(move || f(number))
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

/// Three threads that each hold what `hold` returns, all at once, and then all use `data` of it. So whatever orders them in holding it
/// orders no two of those uses.
fn together<T>(
    hold: impl Fn(usize) -> T + Send + Sync + 'static,
    data: impl Fn(&T) -> &Bare + Send + Sync + 'static,
) {
    let all_hold = Barrier::new(3);
    on_threads(move |number| {
        let held = hold(number);
        all_hold.wait();
        data(&held).add();
    });
}

const ROUNDS: u64 = 3_000;

/// Races that the thread sanitizer must report.
const RACES: &[Program] = &[
    ("race_of_spawned_threads", || {
        static DATA: Bare = Bare::new();
        together(|_| (), |()| &DATA);
    }),
    ("race_of_scoped_threads", || {
        let (data, both_run) = (Bare::new(), Barrier::new(2));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    both_run.wait();
                    data.add();
                });
            }
        });
    }),
    ("race_with_the_parent", || {
        let data = Arc::new(Bare::new());
        let thread = thread::spawn({
            let data = data.clone();
            move || data.add()
        });
        data.add();
        thread.join().unwrap();
    }),
    ("race_under_two_mutexes", || {
        static DATA: Bare = Bare::new();
        static LOCKS: [Mutex<()>; 3] = [const { Mutex::new(()) }; 3];
        together(|number| LOCKS[number].lock().unwrap(), |_| &DATA);
    }),
    ("race_under_a_lock_for_readers", || {
        static DATA: Bare = Bare::new();
        static LOCK: RwLock<()> = RwLock::new(());
        together(|_| LOCK.read().unwrap(), |_| &DATA);
    }),
    ("race_after_a_flag_without_order", || {
        static DATA: Bare = Bare::new();
        static FLAG: AtomicBool = AtomicBool::new(false);
        let thread = thread::spawn(|| {
            DATA.add();
            FLAG.store(true, Ordering::Relaxed);
        });
        while !FLAG.load(Ordering::Relaxed) {
            spin_loop();
        }
        fence(Ordering::Acquire);
        black_box(DATA.get());
        thread.join().unwrap();
    }),
    ("race_after_a_flag_that_is_not_acquired", || {
        static DATA: Bare = Bare::new();
        static FLAG: AtomicBool = AtomicBool::new(false);
        let thread = thread::spawn(|| {
            DATA.add();
            FLAG.store(true, Ordering::Release);
        });
        while !FLAG.load(Ordering::Relaxed) {
            spin_loop();
        }
        black_box(DATA.get());
        thread.join().unwrap();
    }),
    ("race_with_the_last_owner", || {
        // As `Arc` does it, without its fence.
        static DATA: Bare = Bare::new();
        static OWNERS: AtomicUsize = AtomicUsize::new(3);
        on_threads(|_| {
            black_box(DATA.get());
            if OWNERS.fetch_sub(1, Ordering::Release) == 1 {
                DATA.add();
            }
        });
    }),
    ("race_behind_a_handle", || {
        static REGISTRY: Registry<u32, Bare> = Registry::new();
        together(
            |_| REGISTRY.get_or_insert_with(1, |_| Bare::new()),
            |handle| handle,
        );
    }),
    ("race_behind_a_pointer_of_a_map", || {
        let map = WeakValueMap::<u32, Arc<Bare>>::new();
        let held = map.get_or_insert_with(1, |_| Arc::new(Bare::new()));
        together(move |_| map.get(&1).unwrap(), |pointer| pointer);
        drop(held);
    }),
];

/// Orders that the thread sanitizer must see, though they are made in `std`, or in the crate.
const ORDERS: &[Program] = &[
    ("order_by_spawning_and_joining", || {
        let data = Arc::new(Bare::new());
        data.add();
        let other = data.clone();
        thread::spawn(move || other.add()).join().unwrap();
        data.add();
    }),
    ("order_by_the_end_of_a_scope", || {
        for _ in 0..50 {
            let data = Bare::new();
            thread::scope(|scope| {
                scope.spawn(|| data.add());
            });
            data.add();
        }
    }),
    ("order_by_a_mutex", || {
        static DATA: Mutex<u64> = Mutex::new(0);
        on_threads(|_| {
            for _ in 0..ROUNDS {
                let mut data = DATA.lock().unwrap();
                *data += 1;
                if *data % 64 == 0 {
                    // So that others find it locked, and sleep.
                    thread::sleep(Duration::from_micros(50));
                }
            }
        });
        assert_eq!(*DATA.lock().unwrap(), 3 * ROUNDS);
    }),
    ("order_by_a_lock_for_readers", || {
        static DATA: RwLock<u64> = RwLock::new(0);
        on_threads(|number| {
            for _ in 0..ROUNDS {
                if number == 0 {
                    let mut data = DATA.write().unwrap();
                    *data += 1;
                    if *data % 64 == 0 {
                        thread::sleep(Duration::from_micros(50));
                    }
                } else {
                    black_box(*DATA.read().unwrap());
                }
            }
        });
        assert_eq!(*DATA.read().unwrap(), ROUNDS);
    }),
    ("order_by_a_condition", || {
        static TURN: (Mutex<u64>, Condvar) = (Mutex::new(0), Condvar::new());
        static DATA: Bare = Bare::new();
        on_threads(|number| {
            for _ in 0..200 {
                let mut turn = TURN.0.lock().unwrap();
                while *turn % 3 != number as u64 {
                    turn = if *turn % 2 == 0 {
                        TURN.1.wait(turn).unwrap()
                    } else {
                        TURN.1.wait_timeout(turn, Duration::from_secs(9)).unwrap().0
                    };
                }
                DATA.add();
                *turn += 1;
                TURN.1.notify_all();
            }
        });
    }),
    ("order_by_once", || {
        for _ in 0..200 {
            let cell = Arc::new((OnceLock::new(), Once::new(), Bare::new(), Barrier::new(3)));
            on_threads(move |_| {
                cell.3.wait();
                black_box(cell.0.get_or_init(|| vec![1, 2, 3]).iter().sum::<u32>());
                cell.1.call_once(|| {
                    cell.2.add();
                });
                black_box(cell.2.get());
            });
        }
    }),
    ("order_by_a_lazy_value", || {
        static LAZY: LazyLock<Vec<u32>> = LazyLock::new(|| vec![1, 2, 3]);
        on_threads(|_| {
            black_box(LAZY.iter().sum::<u32>());
        });
    }),
    ("order_by_the_last_owner", || {
        for _ in 0..200 {
            let data = Arc::new(Bare::new());
            let weak = Arc::downgrade(&data);
            on_threads(move |_| {
                black_box(data.get());
                black_box(weak.upgrade().map(|data| data.get()));
            });
        }
    }),
    ("order_by_a_channel", || {
        for bound in [None, Some(0), Some(1)] {
            let (data, others) = (Arc::new(Bare::new()), ());
            let (send, receive): (Box<dyn Fn(Arc<Bare>) + Send>, _) = match bound {
                None => {
                    let (send, receive) = mpsc::channel();
                    (Box::new(move |data| send.send(data).unwrap()), receive)
                }
                Some(bound) => {
                    let (send, receive) = mpsc::sync_channel(bound);
                    (Box::new(move |data| send.send(data).unwrap()), receive)
                }
            };
            let thread = thread::spawn(move || {
                for data in receive {
                    data.add();
                }
            });
            for _ in 0..200 {
                let one = Arc::new(Bare::new());
                one.add();
                send(one);
            }
            data.add();
            send(data);
            drop((send, others));
            thread.join().unwrap();
        }
    }),
    ("order_by_fences_that_acquire", || {
        static DATA: Bare = Bare::new();
        static FLAG: AtomicBool = AtomicBool::new(false);
        let thread = thread::spawn(|| {
            DATA.add();
            FLAG.store(true, Ordering::Release);
        });
        while !FLAG.load(Ordering::Relaxed) {
            spin_loop();
        }
        fence(Ordering::Acquire);
        black_box(DATA.get());
        thread.join().unwrap();
    }),
    ("order_by_the_last_handle", last_handles),
];

/// Three own a value at once and read it, in whatever order after that; whose drop is the last one destroys it. Also with a bug planted in the crate, which
/// makes a race of it.
fn last_handles() {
    static REGISTRY: Registry<u32, Bare> = Registry::new();
    let all_own = Barrier::new(3);
    on_threads(move |_| {
        for round in 0..300 {
            let handle = REGISTRY.get_or_insert_with(round, |_| Bare::new());
            all_own.wait();
            black_box(handle.get());
        }
    });
}

/// What the address sanitizer must report.
const ADDRESSES: &[Program] = &[
    ("used_after_it_was_freed", || {
        let value = Box::into_raw(Box::new(Bare::new()));
        // SAFETY: none: to be caught.
        unsafe {
            drop(Box::from_raw(value));
            black_box((*value).get());
        }
    }),
    ("freed_twice", || {
        let value = Box::into_raw(Box::new(1_u64));
        // SAFETY: none: to be caught.
        unsafe {
            drop(Box::from_raw(black_box(value)));
            drop(Box::from_raw(black_box(value)));
        }
    }),
    ("read_beyond_its_end", || {
        let values = black_box(vec![1_u64; 3]);
        // SAFETY: none: to be caught.
        black_box(unsafe { values.as_ptr().add(3).read() });
    }),
    ("leaked", || {
        #[inline(never)]
        fn leak() {
            black_box(Box::leak(Box::new([7_u64; 32])));
        }
        leak();
        // So that its address is nowhere on the stack.
        black_box([0_u64; 512]);
    }),
];

const NOTHING_WRONG: &[Program] = &[("nothing_wrong", last_handles)];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["list", sanitizer, kind] => {
            let list = match (sanitizer, kind) {
                ("thread", "wrong") => RACES,
                ("thread", "right") => ORDERS,
                ("address", "wrong") => ADDRESSES,
                ("address", "right") => NOTHING_WRONG,
                _ => panic!("no such list"),
            };
            list.iter().for_each(|(name, _)| println!("{name}"));
        }
        [name] => {
            let all = [RACES, ORDERS, ADDRESSES, NOTHING_WRONG].concat();
            let program = all.iter().find(|(its, _)| *its == name);
            program.expect("no such program").1();
        }
        _ => panic!("usage: list SANITIZER wrong|right, or NAME"),
    }
}
