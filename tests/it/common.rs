//! What the suites share: hashers that collide, values that are counted, something to do when keys are compared, and a clock against hanging.
#![allow(dead_code)] // each binary uses a part of it

use highlander::error::{ClaimError, CreateError, Refused};
use highlander::map::{Claim, Creator};
use std::any::Any;
use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{mpsc, Arc, Mutex};
use std::thread;
use std::time::Duration;

thread_local! {
    static COMPARED: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// The next comparison on this thread of keys that call [`compared`] calls this first: it does what another thread might do just then.
pub fn at_next_comparison(f: impl FnOnce() + 'static) {
    COMPARED.set(Some(Box::new(f)));
}

/// To be called by the `eq` of such a key.
pub fn compared() {
    if let Some(f) = COMPARED.take() {
        f();
    }
}

/// Gives every key the same hash.
#[derive(Clone, Copy, Debug, Default)]
pub struct Colliding;

impl BuildHasher for Colliding {
    type Hasher = Deaf;

    fn build_hasher(&self) -> Deaf {
        Deaf
    }
}

pub struct Deaf;

impl Hasher for Deaf {
    fn write(&mut self, _: &[u8]) {}

    fn finish(&self) -> u64 {
        42
    }
}

/// Gives every number itself as its hash.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity;

impl BuildHasher for Identity {
    type Hasher = Parrot;

    fn build_hasher(&self) -> Parrot {
        Parrot(0)
    }
}

pub struct Parrot(u64);

impl Hasher for Parrot {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes
            .iter()
            .rev()
            .fold(0, |hash, byte| hash << 8 | u64::from(*byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A value for the rest of the process. It stays reachable, so that leak checkers have nothing to say about it.
pub fn forever<T>(value: T) -> &'static T {
    static KEPT: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let value = Box::leak(Box::new(value));
    KEPT.lock()
        .unwrap()
        .push(std::ptr::from_ref(value).expose_provenance());
    value
}

/// Counts its [`Citizen`]s as they come and go.
#[derive(Clone, Debug, Default)]
pub struct Census(Arc<(AtomicUsize, AtomicUsize)>);

impl Census {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn citizen(&self) -> Citizen {
        self.0 .0.fetch_add(1, SeqCst);
        Citizen(self.clone())
    }

    pub fn born(&self) -> usize {
        self.0 .0.load(SeqCst)
    }

    pub fn dead(&self) -> usize {
        self.0 .1.load(SeqCst)
    }

    pub fn alive(&self) -> isize {
        self.born() as isize - self.dead() as isize
    }
}

/// Is counted when it is made and when it is dropped.
#[derive(Debug)]
pub struct Citizen(Census);

impl Drop for Citizen {
    fn drop(&mut self) {
        self.0 .0 .1.fetch_add(1, SeqCst);
    }
}

/// Whose destructor tells that it has begun, and waits until it may end.
#[derive(Debug)]
pub struct Slow {
    begun: mpsc::Sender<()>,
    may_end: Mutex<mpsc::Receiver<()>>,
}

impl Slow {
    pub fn new() -> (Self, Ending) {
        let (begun, begins) = mpsc::channel();
        let (end, may_end) = mpsc::channel();
        let may_end = Mutex::new(may_end);
        (Self { begun, may_end }, Ending { begins, end })
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        let _ = self.begun.send(());
        let _ = self.may_end.lock().unwrap().recv();
    }
}

/// The end of a [`Slow`] value, for who waits for it.
#[derive(Debug)]
pub struct Ending {
    begins: mpsc::Receiver<()>,
    end: mpsc::Sender<()>,
}

impl Ending {
    /// Waits until the destructor has begun. To ask a map until the value is gone will not do: who asks owns it for a moment, and may be its last owner.
    pub fn await_begin(&self) {
        self.begins.recv().unwrap();
    }

    pub fn allow(&self) {
        self.end.send(()).unwrap();
    }
}

/// How long a test may take before it is said to hang: a minute, or so many seconds as the environment's `PATIENCE` says, for
/// what is slow because of a sanitizer.
fn patience() -> Duration {
    let seconds =
        std::env::var("PATIENCE").map(|seconds| seconds.parse().expect("PATIENCE in seconds"));
    Duration::from_secs(seconds.unwrap_or(60))
}

/// Runs `f` on a thread of its own, and fails when that hangs.
pub fn promptly<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    attended(f, || panic!("it hangs"))
}

/// Runs `f` on a thread of its own, and each time that patience is at an end, `late` here, which may go on being patient.
pub fn attended<R: Send + 'static>(
    f: impl FnOnce() -> R + Send + 'static,
    mut late: impl FnMut(),
) -> R {
    let (done, finished) = mpsc::channel();
    let runner = thread::spawn(move || {
        let result = f();
        let _ = done.send(());
        result
    });
    while finished.recv_timeout(patience()) == Err(mpsc::RecvTimeoutError::Timeout) {
        late();
    }
    runner.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// The error of a factory, which may be that another creation was refused; so this one may be too.
pub fn flat<E: From<Refused>>(error: CreateError<E>) -> E {
    error.map_refused(E::from)
}

/// Whether a key was not claimed because somebody else is creating its value.
pub fn is_in_flight<M: Creator>(claim: Result<Claim<'_, M>, ClaimError>) -> bool {
    matches!(claim, Err(ClaimError::InFlight(_)))
}

/// Demands that the counters account for every entry, when nothing is under way.
pub fn assert_accounted(stats: highlander::map::Stats, entries: usize) {
    let entered = stats.created + stats.inserted;
    let gone = stats.replaced + stats.removed + stats.dead_seen + stats.pruned + stats.reported;
    assert_eq!(entered, gone + entries as u64, "{stats:?}");
}

/// The text of the panic that `f` ends with.
pub fn panic_of<R>(f: impl FnOnce() -> R) -> String {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => panic!("no panic"),
        Err(panic) => text_of(panic),
    }
}

/// The text of this panic.
pub fn text_of(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic
            .downcast::<&str>()
            .map_or_else(|_| "?".to_string(), |text| text.to_string()),
    }
}

/// A little generator of random numbers (xorshift), so that a failure can be repeated from its seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}
