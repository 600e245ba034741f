//! What happens to processes: how they end, and how they fork. Each scene is played by a process of its own, which is this program again, on one thread.
//!
//! Of `BEHAVIOURS.md`: 3.3 to 3.5 (`after_fork`), 2.10 (`logging`), and 1.21, 3.5, 3.7 and 3.9 (`finalizers`), as far as they are about
//! processes. The numbers are beside the scenes.

use highlander::pointer::Watched;
use highlander::registries::finalizers::PROCESS;
use highlander::Registry;
use std::process::{Command, ExitCode};

const SCENE: &str = "HIGHLANDER_SCENE";

/// A name, what is played, and how that must end: the exit code, and what is said.
type Scene = (&'static str, fn(), i32, &'static str);

/// For the exit code: ended by `abort`.
const ABORTED: i32 = -1;

/// Played only by name: with optimisation they take half a minute, and without some.
const LONG: &[&str] = &["owners_of_a_handle", "owners_of_an_interned"];

const SCENES: &[Scene] = &[
    ("guard", guard, 0, "body\ndeath\nhigh\nlow\n"),
    ("guard_panic", guard_panic, 101, "high\nlow\n"),
    #[cfg(all(feature = "atexit", target_os = "linux"))]
    ("atexit", atexit::exit, 3, "death\nhigh\nmade late\nlow\n"),
    #[cfg(all(feature = "atexit", target_os = "linux"))]
    ("atexit_panic", atexit::panic, 101, "high\nlow\n"),
    #[cfg(all(feature = "atexit", target_os = "linux"))]
    ("atexit_order", atexit::order, 0, "body\nsecond\nfirst\n"),
    #[cfg(all(feature = "atexit", target_os = "linux"))]
    (
        "atexit_late",
        atexit::late,
        0,
        "second\nfirst\nlate, in the second\nlate, in the first\n",
    ),
    (
        "owners_of_a_handle",
        owners::of_a_handle,
        ABORTED,
        "all are counted\n",
    ),
    (
        "owners_of_an_interned",
        owners::of_an_interned,
        ABORTED,
        "all are counted\n",
    ),
    #[cfg(target_os = "linux")]
    ("locked_in", sandbox::locked_in, 0, "all goes on\n"),
    #[cfg(target_os = "linux")]
    (
        "locked_in_later",
        sandbox::locked_in_later,
        0,
        "all goes on\n",
    ),
    #[cfg(target_os = "linux")]
    (
        "locked_in_crowd",
        sandbox::locked_in_crowd,
        0,
        "all goes on\n",
    ),
    #[cfg(unix)]
    ("fork", fork::in_order, 0, "child 1\nchild 3\nparent\n"),
    #[cfg(unix)]
    (
        "fork_finalizers",
        fork::finalizers,
        0,
        "child's own\nat exit\nat death\n",
    ),
    #[cfg(unix)]
    ("fork_generations", fork::generations, 0, "3\n2\n1\n0\n"),
    #[cfg(unix)]
    ("fork_bootstrap", fork::bootstrap, 0, "child's\nparent's\n"),
    #[cfg(unix)]
    ("fork_logging", fork::logging, 0, "all have logged\n"),
    #[cfg(unix)]
    (
        "fork_threads",
        fork::beside_threads,
        0,
        "all children have ended well\n",
    ),
    #[cfg(target_os = "linux")]
    (
        "fork_sleepers",
        fork::beside_sleepers,
        0,
        "all children have ended well\n",
    ),
];

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(SCENE) {
        let (_, play, _, _) = SCENES.iter().find(|scene| scene.0 == name).unwrap();
        // One that hangs is ended by a signal, and has failed.
        #[cfg(unix)]
        // SAFETY: no signal handler is involved.
        unsafe {
            libc::alarm(120)
        };
        play();
        return ExitCode::SUCCESS;
    }
    // What `cargo test` may hand on to a harness: a filter, or the wish for a list.
    let filter: Vec<_> = std::env::args().skip(1).collect();
    if filter.iter().any(|arg| arg == "--list") || cfg!(miri) {
        return ExitCode::SUCCESS;
    }
    let filter = filter.first().filter(|arg| !arg.starts_with('-'));
    let mut failed = 0;
    for (name, _, code, said) in SCENES {
        if match filter {
            Some(filter) => !name.contains(filter.as_str()),
            None => LONG.contains(name),
        } {
            continue;
        }
        let output = Command::new(std::env::current_exe().unwrap())
            .env(SCENE, name)
            .output()
            .unwrap();
        let heard = String::from_utf8_lossy(&output.stdout);
        let ok = output.status.code().unwrap_or(ABORTED) == *code && heard == *said;
        println!("scene {name} ... {}", if ok { "ok" } else { "FAILED" });
        if !ok {
            failed += 1;
            println!("{}; said {heard:?}, not {said:?}", output.status);
            println!("{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    ExitCode::from(u8::from(failed > 0))
}

static CLASSES: Registry<&str, String> = Registry::new();

/// BEHAVIOURS.md 1.21, 3.9: what is left at the end of `main` is run there.
fn guard() {
    let _guard = PROCESS.exit_guard();
    PROCESS.at_exit(-1, || println!("low"));
    PROCESS.at_exit(1, || {
        // The crate still works.
        assert_eq!(
            *CLASSES.get_or_insert_with("late", |name| name.to_string()),
            "late"
        );
        println!("high");
    });
    let object = Watched::new(());
    PROCESS.finalize(&object, || println!("death"));
    println!("body");
}

/// The code of a `main` that has panicked is 101.
fn guard_panic() {
    let _guard = PROCESS.exit_guard();
    PROCESS.at_exit(-1, || println!("low"));
    PROCESS.at_exit(0, || panic!("a finalizer"));
    PROCESS.at_exit(1, || println!("high"));
    panic!("main");
}

#[cfg(all(feature = "atexit", target_os = "linux"))]
mod atexit {
    use super::CLASSES;
    use highlander::registries::finalizers::{Finalizers, PROCESS};
    use highlander::Handle;
    use std::sync::Mutex;

    static KEPT: Mutex<Vec<Handle<&str, String>>> = Mutex::new(Vec::new());

    /// Statics are not dropped by `exit`, so their values die by a finalizer, or not at all. One that is made while others run is run; thread-locals have gone by then.
    pub(super) fn exit() {
        assert!(PROCESS.at_process_exit() && PROCESS.at_process_exit());
        let class = CLASSES.get_or_insert_with("class", |name| name.to_string());
        PROCESS.finalize_at(&class, None, || println!("death"));
        KEPT.lock().unwrap().push(class);
        PROCESS.at_exit(-1, || println!("low"));
        PROCESS.at_exit(1, || {
            let _handle = CLASSES.get_or_insert_with("late", |name| name.to_string());
            println!("high");
            PROCESS.at_exit(0, || println!("made late"));
        });
        PROCESS.at_exit(2, || KEPT.lock().unwrap().clear());
        std::process::exit(3);
    }

    pub(super) fn panic() {
        PROCESS.at_process_exit();
        PROCESS.at_exit(-1, || println!("low"));
        PROCESS.at_exit(0, || panic!("a finalizer"));
        PROCESS.at_exit(1, || println!("high"));
        panic!("main");
    }

    /// The last registered first, as the C library does.
    pub(super) fn order() {
        static SECOND: Finalizers = Finalizers::new();
        static FIRST: Finalizers = Finalizers::new();
        FIRST.at_process_exit();
        SECOND.at_process_exit();
        FIRST.at_exit(5, || println!("first"));
        SECOND.at_exit(-5, || println!("second"));
        println!("body");
    }

    /// What is registered where all have been run is run too.
    pub(super) fn late() {
        static SECOND: Finalizers = Finalizers::new();
        static FIRST: Finalizers = Finalizers::new();
        FIRST.at_process_exit();
        SECOND.at_process_exit();
        SECOND.at_exit(0, || println!("second"));
        FIRST.at_exit(0, || {
            println!("first");
            SECOND.at_exit(0, || {
                println!("late, in the second");
                FIRST.at_exit(0, || println!("late, in the first"));
            });
        });
    }
}

/// As many owners as are promised, and one more, which ends the process.
mod owners {
    use highlander::{Handle, Interned, Interner, Registry};

    const MOST: usize = i32::MAX as usize;

    pub fn of_a_handle() {
        let registry: Registry<u32, String> = Registry::new();
        let held = registry.get_or_insert_with(1, u32::to_string);
        let weak = Handle::downgrade(&held);
        for _ in 2..MOST {
            std::mem::forget(held.clone());
        }
        let last = weak.upgrade().unwrap();
        assert_eq!(Handle::strong_count(&last), MOST);
        drop(last);
        let last = registry.get(&1).unwrap();
        assert_eq!((Handle::strong_count(&held), last.as_str()), (MOST, "1"));
        println!("all are counted");
        std::mem::forget(weak.upgrade());
        println!("one more");
    }

    pub fn of_an_interned() {
        let names: Interner<str> = Interner::new();
        let held = names.intern("a name");
        for _ in 1..MOST {
            std::mem::forget(held.clone());
        }
        assert_eq!((Interned::strong_count(&held), &*held), (MOST, "a name"));
        println!("all are counted");
        std::mem::forget(held.clone());
        println!("one more");
    }
}

/// Processes that lock themselves in, so that the system refuses `membarrier`.
#[cfg(target_os = "linux")]
mod sandbox {
    use highlander::{Registry, WeakValueMap};
    use std::borrow::Borrow;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
    use std::sync::Arc;
    use std::thread;
    use std::time::Instant;

    static ALIVE: AtomicUsize = AtomicUsize::new(0);

    #[derive(PartialEq, Eq, Hash)]
    struct Key(u32);

    impl Key {
        fn new(n: u32) -> Self {
            ALIVE.fetch_add(1, SeqCst);
            Self(n)
        }
    }

    impl Drop for Key {
        fn drop(&mut self) {
            ALIVE.fetch_sub(1, SeqCst);
        }
    }

    impl Borrow<u32> for Key {
        fn borrow(&self) -> &u32 {
            &self.0
        }
    }

    /// Of all threads, and for good.
    fn forbid_membarrier() {
        let step = |code: u32, jt, jf, k: u32| libc::sock_filter {
            code: code as u16,
            jt,
            jf,
            k,
        };
        let mut filter = [
            // The number of the call.
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
            step(
                libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
                0,
                1,
                libc::SYS_membarrier as u32,
            ),
            step(
                libc::BPF_RET | libc::BPF_K,
                0,
                0,
                libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
            ),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let program = libc::sock_fprog {
            len: filter.len() as u16,
            filter: filter.as_mut_ptr(),
        };
        // SAFETY: the program and its steps live while the call looks at them.
        unsafe {
            assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
            let (set, flags) = (
                libc::SECCOMP_SET_MODE_FILTER,
                libc::SECCOMP_FILTER_FLAG_TSYNC,
            );
            assert_eq!(libc::syscall(libc::SYS_seccomp, set, flags, &program), 0);
            assert_eq!(libc::syscall(libc::SYS_membarrier, 0, 0, 0), -1);
        }
    }

    /// Lets the readers end, whatever happens.
    struct StopAtEnd<'a>(&'a AtomicBool);

    impl Drop for StopAtEnd<'_> {
        fn drop(&mut self) {
            self.0.store(true, SeqCst);
        }
    }

    /// Readers read, and the keys of entries that have gone go, before and after `lock_in`.
    fn play(lock_in: impl FnOnce()) {
        let map: WeakValueMap<Key, Arc<u32>> = WeakValueMap::new();
        let registry: Registry<u32, String> = Registry::new();
        let (stop, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
        let churn = || {
            let begun = Instant::now();
            let mut rounds = 0;
            while rounds < 100 || ALIVE.load(SeqCst) > 1000 {
                let left = ALIVE.load(SeqCst);
                assert!(begun.elapsed().as_secs() < 30, "{left} keys are left");
                for n in 0..100 {
                    let value = map.get_or_insert_with(Key::new(n), |key| Arc::new(key.0));
                    assert_eq!(*value, n);
                    map.remove(&n);
                    let text = registry.get_or_insert_with(n, u32::to_string);
                    assert_eq!(*text, n.to_string());
                }
                registry.shrink_to_fit();
                rounds += 1;
            }
        };
        thread::scope(|scope| {
            let _stop = StopAtEnd(&stop);
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(SeqCst) {
                        for n in 0..100 {
                            assert!(map.get(&n).is_none_or(|value| *value == n));
                            let text = registry.get(&n);
                            assert!(text.is_none_or(|text| *text == n.to_string()));
                        }
                        reads.fetch_add(100, SeqCst);
                    }
                });
            }
            churn();
            lock_in();
            let seen = reads.load(SeqCst);
            // More than is ever put aside.
            churn();
            while reads.load(SeqCst) == seen {
                thread::yield_now();
            }
        });
        assert!(map.is_empty() && registry.is_empty());
        println!("all goes on");
    }

    pub fn locked_in() {
        forbid_membarrier();
        play(|| {});
    }

    pub fn locked_in_later() {
        play(forbid_membarrier);
    }

    /// More threads than processors contend for one bucket when the barrier is refused: who has spun in vain cannot sleep for a second, and may be reading all that time.
    pub fn locked_in_crowd() {
        let registry: Registry<u32, u32> = Registry::new();
        drop(registry.get_or_insert_with(1, |n| *n));
        forbid_membarrier();
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        drop(registry.try_insert(1, 1));
                    }
                });
            }
        });
        assert!(registry.is_empty());
        println!("all goes on");
    }
}

#[cfg(unix)]
mod fork {
    use highlander::pointer::Watched;
    use highlander::registries::after_fork::AfterFork;
    use highlander::registries::finalizers::Finalizers;
    use highlander::registries::logging::{FileSink, Logging};
    use highlander::{Handle, Interner, Registry, StrongMap, WeakSet, WeakValueMap};
    use std::panic::{catch_unwind, AssertUnwindSafe};
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::sync::{Arc, Mutex};
    use std::thread;

    static AFTER_FORK: AfterFork = AfterFork::new();

    struct SetOnDrop(&'static AtomicBool);

    impl Drop for SetOnDrop {
        fn drop(&mut self) {
            self.0.store(true, SeqCst);
        }
    }

    fn fork() -> libc::pid_t {
        // SAFETY: the child runs what the scene says and ends by `_exit`; what that may meet is what the scenes are about.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        pid
    }

    /// Plays the child's part and ends the process: well, or by a panic, or by an alarm if it hangs.
    fn child(part: impl FnOnce()) -> ! {
        // SAFETY: no signal handler is involved.
        unsafe { libc::alarm(60) };
        let code = if catch_unwind(AssertUnwindSafe(part)).is_ok() {
            0
        } else {
            101
        };
        // SAFETY: ends the process.
        unsafe { libc::_exit(code) }
    }

    /// Waits for a child, which must end well.
    fn join(pid: libc::pid_t) {
        let mut status = 0;
        // SAFETY: the status is ours to be written to.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        assert!(
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
            "{status:#x}"
        );
    }

    /// BEHAVIOURS.md 3.3, 3.4.
    pub(super) fn in_order() {
        let mut objects: Vec<_> = (0..4).map(|i| Arc::new(Mutex::new(i))).collect();
        for object in &objects {
            AFTER_FORK.register(object, |object: &Arc<Mutex<u32>>| {
                let mut number = object.lock().unwrap();
                if *number == 2 {
                    drop(number);
                    panic!("two");
                }
                println!("child {number}");
                *number += 10;
            });
        }
        // The first one dies before the fork.
        drop(objects.remove(0));
        let numbers = |objects: &[Arc<Mutex<u32>>]| -> Vec<u32> {
            objects
                .iter()
                .map(|object| *object.lock().unwrap())
                .collect()
        };
        let pid = AFTER_FORK.around(fork);
        if pid == 0 {
            child(move || assert_eq!(numbers(&objects), [11, 2, 13]));
        }
        join(pid);
        assert_eq!(numbers(&objects), [1, 2, 3]);
        assert!(objects.iter().all(|object| Arc::strong_count(object) == 1));
        println!("parent");
    }

    /// BEHAVIOURS.md 3.5, 3.7: a child runs none of its parent's: not at death, by hand, or at exit.
    pub(super) fn finalizers() {
        static FINALIZERS: Finalizers = Finalizers::new();
        let dies = Watched::new(());
        let by_hand = FINALIZERS.finalize(&dies, || println!("at death"));
        FINALIZERS.at_exit(0, || println!("at exit"));
        let pid = fork();
        if pid == 0 {
            child(move || {
                assert_eq!(FINALIZERS.run_all().run, 0);
                assert_eq!(FINALIZERS.len(), 2, "they are left alone");
                assert!(by_hand.call().is_none());
                FINALIZERS.finalize(&dies, || println!("child's own"));
                drop(dies);
                assert_eq!(FINALIZERS.cancel_all(), 1);
                assert_eq!(FINALIZERS.run_all().run, 0);
            });
        }
        join(pid);
        assert!(by_hand.is_alive());
        assert_eq!(FINALIZERS.run_from(i32::MIN).run, 2);
    }

    /// BEHAVIOURS.md 3.5, bpo-17555: what each generation registers is for it and those below it; and goes with its objects.
    pub(super) fn generations() {
        fn generation(left: u32) {
            let mine = Watched::new(left);
            AFTER_FORK.register(&mine, |_: &Watched<u32>| ());
            AFTER_FORK.register(&Watched::new(left), |_: &Watched<u32>| unreachable!());
            assert_eq!(AFTER_FORK.len(), 1);
            println!("{left}");
            if left > 0 {
                let pid = fork();
                if pid == 0 {
                    drop(mine);
                    child(move || generation(left - 1));
                }
                join(pid);
            }
        }
        generation(3);
    }

    /// BEHAVIOURS.md 3.5: a child forgets what its parent has registered, and then runs what was prepared: so it does not forget what that registers.
    pub(super) fn bootstrap() {
        static FINALIZERS: Finalizers = Finalizers::new();
        let object = Arc::new(());
        FINALIZERS.at_exit(0, || println!("parent's"));
        AFTER_FORK.register(&object, |_: &Arc<()>| {
            FINALIZERS.at_exit(0, || println!("child's"));
        });
        let prepared = AFTER_FORK.prepare();
        let pid = fork();
        if pid == 0 {
            child(move || {
                assert_eq!(FINALIZERS.cancel_all(), 1);
                assert_eq!(prepared.run().run, 1);
                assert_eq!(FINALIZERS.run_all().run, 1);
            });
        }
        drop(prepared);
        join(pid);
        assert_eq!(FINALIZERS.run_all().run, 1);
    }

    /// BEHAVIOURS.md 2.10: children log while threads of the parent do. There is no lock that one of those could have left held: who logs excludes nobody.
    pub(super) fn logging() {
        static LOGGING: Logging = Logging::new();
        static DONE: AtomicBool = AtomicBool::new(false);
        static FAILED: AtomicBool = AtomicBool::new(false);
        // As much as they can; so into no file that somebody would have to remove.
        let handler = LOGGING.handler(FileSink::append("/dev/null").unwrap());
        LOGGING.root().add_handler(&handler);
        LOGGING.on_failure(|_| FAILED.store(true, SeqCst));
        let logger = LOGGING.logger("forks.child");
        thread::scope(|scope| {
            for thread in 0..2 {
                scope.spawn(move || {
                    let logger = LOGGING.logger(&format!("forks.thread{thread}"));
                    while !DONE.load(SeqCst) {
                        logger.warning(format_args!("in the parent"));
                    }
                });
            }
            let _end = SetOnDrop(&DONE);
            for n in 0..100 {
                let pid = fork();
                if pid == 0 {
                    child(|| {
                        logger.warning(format_args!("number {n}"));
                        assert!(!FAILED.load(SeqCst));
                    });
                }
                join(pid);
            }
        });
        assert!(LOGGING.shutdown(Default::default()).failures.is_empty());
        assert!(!FAILED.load(SeqCst));
        println!("all have logged");
    }

    /// Children of a process whose other threads are in the middle of everything: what was prepared runs, hits hit, and what the child makes for itself works.
    pub(super) fn beside_threads() {
        static SHARED: Registry<u32, u32> = Registry::new();
        static DONE: AtomicBool = AtomicBool::new(false);
        let held = SHARED.get_or_insert_with(u32::MAX, |n| *n);
        let object = Arc::new(AtomicBool::new(false));
        AFTER_FORK.register(&object, |object: &Arc<AtomicBool>| {
            object.store(true, SeqCst)
        });
        thread::scope(|scope| {
            for thread in 0..2 {
                scope.spawn(move || {
                    let mut kept = Vec::new();
                    for i in 0.. {
                        if DONE.load(SeqCst) {
                            return;
                        }
                        kept.push(SHARED.get_or_insert_with(i % 1000 + thread, |n| *n));
                        let watched = Watched::new(i);
                        AFTER_FORK.register(&watched, |_: &Watched<u32>| ());
                        if kept.len() > 500 {
                            kept.clear();
                        }
                    }
                });
            }
            // Also when this fails.
            let _end = SetOnDrop(&DONE);
            for _ in 0..100 {
                let prepared = AFTER_FORK.prepare();
                let (held, object) = (&held, &object);
                let pid = fork();
                if pid == 0 {
                    child(move || {
                        let ran = prepared.run();
                        assert!(ran.run > 0 && ran.panicked == 0 && object.load(SeqCst));
                        // It may be the last owner of what the threads have let go of meanwhile.
                        std::mem::forget(prepared);
                        assert!(Handle::ptr_eq(&SHARED.get(&u32::MAX).unwrap(), held));
                        a_life_of_its_own();
                    });
                }
                drop(prepared);
                join(pid);
            }
        });
        println!("all children have ended well");
    }

    /// Children of a process whose other threads sleep in this crate. Threads of the child get the memory of theirs, and sleep and are woken as if they had never been.
    #[cfg(target_os = "linux")]
    pub(super) fn beside_sleepers() {
        crowd(|| {
            for _ in 0..50 {
                let prepared = AFTER_FORK.prepare();
                let pid = fork();
                if pid == 0 {
                    child(move || {
                        prepared.run();
                        (0..10).for_each(|_| crowd(|| ()));
                        jostle();
                    });
                }
                drop(prepared);
                join(pid);
            }
        });
        println!("all children have ended well");
    }

    /// Calls `f` while one thread creates and others sleep until it has.
    #[cfg(target_os = "linux")]
    fn crowd(f: impl FnOnce() + Send) {
        const SLEEPERS: usize = 6;
        let registry: &Registry<u32, u32> = &Registry::new();
        let (begun, begin) = std::sync::mpsc::channel();
        let (asleep, sleepers) = std::sync::mpsc::channel();
        thread::scope(|scope| {
            let creator = scope.spawn(move || {
                registry.get_or_insert_with(1, |_| {
                    begun.send(()).unwrap();
                    let threads: Vec<libc::pid_t> = sleepers.iter().take(SLEEPERS).collect();
                    threads.iter().for_each(|thread| until_asleep(*thread));
                    f();
                    2
                })
            });
            begin.recv().unwrap();
            for _ in 0..SLEEPERS {
                let asleep = asleep.clone();
                scope.spawn(move || {
                    // SAFETY: it asks for a number.
                    asleep.send(unsafe { libc::gettid() }).unwrap();
                    assert_eq!(*registry.get_or_insert_with(1, |_| 2), 2);
                });
            }
            assert_eq!(*creator.join().unwrap(), 2);
        });
    }

    /// Waits until a thread of this process sleeps.
    #[cfg(target_os = "linux")]
    fn until_asleep(thread: libc::pid_t) {
        loop {
            let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
            // The state follows the name, which is in brackets and may have some itself.
            if stat[stat.rfind(')').unwrap()..].starts_with(") S") {
                return;
            }
            thread::yield_now();
        }
    }

    /// Threads that get in each other's way, in every structure that has locks.
    #[cfg(target_os = "linux")]
    fn jostle() {
        let registry: &Registry<u32, u32> = &Registry::new();
        let set: &WeakSet<Watched<u32>> = &WeakSet::new();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for i in 0..1000 {
                        drop(registry.get_or_insert_with(i % 3, |n| *n));
                        set.insert(&Watched::new(i));
                    }
                });
            }
        });
        assert!(registry.is_empty() && set.is_empty());
    }

    fn a_life_of_its_own() {
        let registry: Registry<u32, String> = Registry::new();
        let owned: Vec<Handle<_, _>> = (0..1000)
            .map(|i| registry.get_or_insert_with(i, u32::to_string))
            .collect();
        assert_eq!((registry.len(), registry.iter().count()), (1000, 1000));
        drop(owned);
        assert!(registry.is_empty());
        registry.shrink_to_fit();

        let (map, strong) = (WeakValueMap::new(), StrongMap::new());
        let set: WeakSet<Watched<u32>> = WeakSet::new();
        let interner: Interner<str> = Interner::new();
        for i in 0..200 {
            let value = Watched::new(i);
            map.insert(i, value.clone());
            set.insert(&value);
            strong.insert(i, i);
            assert_eq!(interner.intern("there"), interner.intern("there"));
        }
        assert_eq!(
            (map.entry_count(), set.entry_count(), strong.len()),
            (0, 0, 200)
        );
        // With threads of its own.
        let registry: &Registry<u32, u32> = &Registry::new();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..200).for_each(|i| drop(registry.get_or_insert_with(i, |n| *n))));
            }
        });
        assert!(registry.is_empty());
    }
}
