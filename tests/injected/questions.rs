//! Questions in the middle of a call: any step that is user code may use the same map, for the same key and for others, while somebody else waits.
//!
//! For each step of each call: what the step does, what a step in the middle of that does, whether the call is a part of the creation of another key, which succeeds or fails, and who asks for which key meanwhile, on another thread.
//! There are hundreds of millions of these in all; a run takes some of them, by lot. `HIGHLANDER_QUESTIONS` says how many for ten steps (3 if not set), `HIGHLANDER_SEED` which. What has failed is asked
//! again alone, with the same numbers, if `HIGHLANDER_ONLY` is how its text begins.

use super::*;
use crate::common::Dice;
use std::fmt::Write;
use std::sync::LazyLock;
#[cfg(feature = "async")]
use std::{
    future::Future,
    pin::Pin,
    sync::mpsc,
    task::{Context, Poll, Wake, Waker},
    thread,
};

/// What is done in the middle of a call, with a key.
pub(super) type Act<E> = (&'static str, fn(&E, u32));

/// A list of acts, each of which is given what it acts upon and a key.
macro_rules! acts {
    (|$env:ident, $key:ident| $($name:literal: $act:expr;)*) => {
        &[$(($name, |$env: &Self, $key: u32| {
            let _ = ($env, $key);
            end($act)
        })),*]
    };
}

/// Somebody else's call, on a thread of its own.
#[cfg(feature = "async")]
pub(super) type Other = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What calls are made of.
pub(super) trait Place: Sized + 'static {
    const ACTS: &'static [Act<Self>] = &[];

    /// Looks a key up.
    fn get(&self, _key: u32) {}

    /// Creates a key in two steps, of which the second one calls `inside`, and then fails if that is asked for.
    fn create(&self, _key: u32, _fails: bool, inside: &mut dyn FnMut()) {
        inside();
    }

    /// What another thread does that asks for the key.
    #[cfg(feature = "async")]
    fn other(_this: &Arc<Self>, _key: u32) -> Option<Other> {
        None
    }
}

/// A map that is dropped, which nobody can ask then, and what belongs to it.
impl<M: 'static, T: 'static> Place for (RefCell<Option<M>>, T) {}

/// Whether the call is a part of the creation of another key.
#[derive(Clone, Copy, Debug)]
enum Around {
    Nothing,
    /// One that succeeds. What is created meanwhile asks for it, and so is published with it.
    Succeeds,
    /// One that fails.
    Fails,
    /// The same in another map, of another kind.
    SucceedsElsewhere,
    FailsElsewhere,
}

impl Around {
    fn fails(self) -> bool {
        matches!(self, Self::Fails | Self::FailsElsewhere)
    }
}

/// Who else asks for the key, from before what the step does.
#[derive(Clone, Copy, Debug)]
enum Beside {
    Nobody,
    #[cfg(feature = "async")]
    Waits(u32),
    /// A future that is polled again only when the call is over.
    #[cfg(feature = "async")]
    Idle(u32),
    /// A future that is dropped when the call is over.
    #[cfg(feature = "async")]
    Dropped(u32),
}

const AROUND: [Around; 5] = [
    Around::Nothing,
    Around::Succeeds,
    Around::Fails,
    Around::SucceedsElsewhere,
    Around::FailsElsewhere,
];

#[cfg(not(feature = "async"))]
const BESIDE: [Beside; 1] = [Beside::Nobody];
#[cfg(feature = "async")]
const BESIDE: [Beside; 13] = [
    Beside::Nobody,
    Beside::Waits(HIT),
    Beside::Waits(MISS),
    Beside::Waits(DEAD),
    Beside::Waits(OUTER),
    Beside::Idle(HIT),
    Beside::Idle(MISS),
    Beside::Idle(DEAD),
    Beside::Idle(OUTER),
    Beside::Dropped(HIT),
    Beside::Dropped(MISS),
    Beside::Dropped(DEAD),
    Beside::Dropped(OUTER),
];

const KEYS: [u32; 5] = [HIT, MISS, DEAD, OUTER, FAMILY];

/// The key whose creation the call is a part of.
pub(super) const OUTER: u32 = 5;

/// Another one, created by those that are created in two steps.
pub(super) const FAMILY: u32 = 6;

thread_local! {
    /// What the steps of a creation ask for.
    static NEEDS: RefCell<Option<Box<dyn Fn()>>> = const { RefCell::new(None) };
    static HOLDS: Cell<Holds> = const { Cell::new(Holds::All) };
    /// What was got in the middle, for the rest of the call.
    pub(super) static HELD: RefCell<Vec<Box<dyn std::any::Any>>> = const { RefCell::new(Vec::new()) };
}

/// To be called by what creates.
pub(super) fn needs() {
    if let Some(needs) = NEEDS.take() {
        needs();
        NEEDS.set(Some(needs));
    }
}

/// Keeps it until the call is over.
pub(super) fn hold<T: 'static>(it: T) {
    if HOLDS.get() != Holds::Nothing {
        HELD.with_borrow_mut(|held| held.push(Box::new(it)));
    }
}

/// What may be kept. Of what an exclusive map or registry has given up, some is waited for until it has gone, by whoever asks for its key.
#[derive(Clone, Copy, PartialEq)]
enum Holds {
    Nothing,
    NothingFailed,
    All,
}

impl Holds {
    /// Of a call with this name, in the middle of which any creation may fail, or only those that are made to.
    fn of(name: &str, any_may_fail: bool) -> Self {
        if !name.contains("exclusive true") {
            Self::All
        } else if any_may_fail || name.contains("Registry") || name.contains("collide true") {
            // (Keys with one hash wait for each other's values.)
            Self::Nothing
        } else {
            Self::NothingFailed
        }
    }
}

const PLANNED: &str = "a panic that is planned";

/// The act that panics.
pub(super) fn give_up() {
    resume_unwind(Box::new(PLANNED));
}

/// Is ready when it is polled again, and asks for that.
#[cfg(feature = "async")]
pub(super) fn yield_once() -> impl Future<Output = ()> {
    let mut is_ready = false;
    std::future::poll_fn(move |context| {
        if std::mem::replace(&mut is_ready, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

/// Polls it once, and drops it.
#[cfg(feature = "async")]
pub(super) fn poll_once<R>(future: impl Future<Output = R>) {
    let mut context = Context::from_waker(Waker::noop());
    end(std::pin::pin!(future).poll(&mut context));
}

/// Two keys that need each other.
pub(super) fn family<E: Place>(env: &E, key: u32, fails: bool) {
    let holds = HOLDS.get();
    if fails && holds == Holds::NothingFailed {
        HOLDS.set(Holds::Nothing);
    }
    env.create(key, fails, &mut || {
        env.create(FAMILY, false, &mut || env.get(key));
    });
    HOLDS.set(holds);
}

static ONLY: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("HIGHLANDER_ONLY").ok());

/// Whether it is wanted.
pub(super) fn concerns(name: &str) -> bool {
    ONLY.as_ref().is_none_or(|only| only.starts_with(name))
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Asks at some of the steps of this call, of which there are so many.
pub(super) fn check<E: Place>(
    name: &str,
    steps: u32,
    make: &impl Fn() -> E,
    call: &dyn Fn(&E),
    well: &impl Fn(&E),
) {
    static FOR_TEN: LazyLock<u64> = LazyLock::new(|| number("HIGHLANDER_QUESTIONS", 3));
    static SEED: LazyLock<u64> = LazyLock::new(|| number("HIGHLANDER_SEED", 1));
    if E::ACTS.is_empty() {
        return;
    }
    let mut dice = Dice::new(name.bytes().fold(*SEED, |seed, byte| {
        seed.wrapping_mul(257).wrapping_add(u64::from(byte))
    }));
    for nth in 1..=steps {
        let lot = dice.below(10) as u64;
        for _ in 0..(*FOR_TEN + lot) / 10 {
            Question::by_lot(nth, &mut dice).ask(name, make, call, well);
        }
    }
}

/// What a step does.
struct Deed<E> {
    /// How many steps from the deed before, or from the beginning: one of the deed itself perhaps.
    nth: u32,
    act: Act<E>,
    key: u32,
}

struct Question<E> {
    deeds: Vec<Deed<E>>,
    around: Around,
    beside: Beside,
}

impl<E: Place> Question<E> {
    fn by_lot(nth: u32, dice: &mut Dice) -> Self {
        let mut deeds = Vec::new();
        let mut next = Some(nth);
        while let Some(nth) = next {
            deeds.push(Deed {
                nth,
                act: E::ACTS[dice.below(E::ACTS.len())],
                key: KEYS[dice.below(KEYS.len())],
            });
            let far = [8, 30][dice.below(2)];
            next = (dice.below(2) == 0).then(|| 1 + dice.below(far) as u32);
        }
        Self {
            deeds,
            around: AROUND[dice.below(AROUND.len())],
            beside: BESIDE[dice.below(BESIDE.len())],
        }
    }

    fn has(&self, name: &str) -> bool {
        self.deeds.iter().any(|deed| deed.act.0 == name)
    }

    fn ask(&self, name: &str, make: &impl Fn() -> E, call: &dyn Fn(&E), well: &impl Fn(&E)) {
        let (around, beside) = (self.around, self.beside);
        let mut this = format!("{name}, around {around:?}, beside {beside:?}");
        for Deed { nth, act, key } in &self.deeds {
            write!(this, ", step {nth}: {}({key})", act.0).expect("a text takes all");
        }
        if ONLY.as_ref().is_some_and(|only| !this.starts_with(only)) {
            return;
        }
        now(&this);
        let fault = |text: String| {
            let fault = format!("{this} ({}): {text}", WHAT.get());
            FAULTS.with_borrow_mut(|faults| faults.push(fault));
        };
        let before = alive();
        #[allow(clippy::arc_with_non_send_sync)] // it is sent only where it can be
        let env = Arc::new(make());
        let others: Arc<Mutex<Vec<Aside>>> = Arc::default();
        let begin = {
            let (env, others) = (Arc::clone(&env), Arc::clone(&others));
            let deeds: Vec<_> = self
                .deeds
                .iter()
                .map(|it| (it.nth, it.act.1, it.key))
                .collect();
            move || {
                let first = {
                    let env = Arc::clone(&env);
                    move || {
                        let aside = Aside::begin(&env, beside);
                        others.lock().unwrap().extend(aside);
                    }
                };
                arm(env, deeds.into_iter(), Box::new(first));
            }
        };
        WHAT.set("none");
        HOLDS.set(Holds::of(name, self.has("panic") || self.has("close")));
        let mut begin = Some(begin);
        let mut inside = |needs: Box<dyn Fn()>| {
            NEEDS.set(Some(needs));
            begin.take().expect("once")();
            call(&env);
            NEEDS.take();
        };
        let elsewhere: Arc<StrongMap<u32, u32>> = Arc::default();
        let outcome = catch_unwind(AssertUnwindSafe(|| match around {
            Around::Nothing => inside(Box::new(|| {})),
            Around::Succeeds | Around::Fails => env.create(OUTER, around.fails(), &mut || {
                let env = Arc::clone(&env);
                inside(Box::new(move || env.get(OUTER)));
            }),
            Around::SucceedsElsewhere | Around::FailsElsewhere => {
                let initialise = |_: &u32| {
                    let elsewhere = Arc::clone(&elsewhere);
                    inside(Box::new(move || end(elsewhere.get(&OUTER))));
                    let failed = around.fails().then_some(CreateError::Failed(()));
                    failed.map_or(Ok(()), Err)
                };
                let made = elsewhere.get_or_try_create_cyclic(OUTER, |_| Ok(1), initialise);
                assert_eq!(made.is_ok(), !around.fails());
            }
        }));
        disarm();
        NEEDS.take();
        if let Err(text) = outcome.map_err(text_of) {
            // A task is given no drafts of the thread that polls it.
            let is_task = name.contains("async") && !matches!(around, Around::Nothing);
            let is_due = text == PLANNED && self.has("panic")
                || is_closed(&text) && self.has("close")
                || is_cycle(&text) && is_task;
            if !is_due {
                fault(format!("the call panics: {text}"));
            }
        }
        drop(HELD.take());
        let others = std::mem::take(&mut *others.lock().unwrap());
        for other in others {
            let answer = catch_unwind(AssertUnwindSafe(|| other.finish()));
            let unanswered = answer.err().map(text_of);
            if let Some(text) = unanswered.filter(|text| !(self.has("close") && is_closed(text))) {
                fault(format!("the other one panics: {text}"));
            }
        }
        let well = |env: &E| {
            if !self.has("close") {
                well(env)
            }
        };
        if let Err(text) = catch_unwind(AssertUnwindSafe(|| well(&env))).map_err(text_of) {
            fault(format!("unwell: {text}"));
        }
        match Arc::into_inner(env) {
            Some(env) => drop(env),
            None => fault("it is still used".into()),
        }
        if name.contains("WeakSet") {
            flush(before);
        }
        if alive() != before {
            fault(format!("{} parts are left", alive() - before));
            ALIVE.with_borrow(|alive| alive.store(before, SeqCst));
        }
    }
}

/// Has the n-th step from here on do what is first of these, and then, in its middle or later, what comes next.
fn arm<E: Place>(
    env: Arc<E>,
    mut deeds: std::vec::IntoIter<(u32, fn(&E, u32), u32)>,
    before: Box<dyn FnOnce()>,
) {
    let Some((nth, run, key)) = deeds.next() else {
        return;
    };
    let act = move || {
        before();
        arm(Arc::clone(&env), deeds, Box::new(|| {}));
        run(&env, key);
    };
    ACT.set(Some(Box::new(move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(act)) {
            let text = text_of(panic);
            if text == PLANNED {
                give_up();
            }
            // The plain calls say so by a panic.
            if !is_cycle(&text) && !is_closed(&text) {
                FAULTS.with_borrow_mut(|faults| faults.push(format!("in the middle: {text}")));
            }
        }
    })));
    LEFT.set(nth);
}

fn disarm() {
    LEFT.set(0);
    drop(ACT.take());
}

fn is_cycle(text: &str) -> bool {
    text.ends_with("which asked for the first again")
}

fn is_closed(text: &str) -> bool {
    text.starts_with("the map is closed")
}

fn text_of(panic: Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
    text.unwrap_or_else(|| "?".into())
}

#[cfg(not(feature = "async"))]
struct Aside;

#[cfg(not(feature = "async"))]
impl Aside {
    fn begin<E: Place>(_: &Arc<E>, _: Beside) -> Option<Self> {
        None
    }

    fn finish(self) {}
}

/// Somebody else, who asks.
#[cfg(feature = "async")]
enum Aside {
    /// Says so when it has its answer.
    Waits(mpsc::Receiver<thread::Result<()>>),
    Idle(Other),
    Dropped(Other),
    Panicked(Box<dyn std::any::Any + Send>),
}

#[cfg(feature = "async")]
impl Aside {
    /// Waits until the other one has its answer, or has to wait.
    fn begin<E: Place>(env: &Arc<E>, beside: Beside) -> Option<Self> {
        let (Beside::Waits(key) | Beside::Idle(key) | Beside::Dropped(key)) = beside else {
            return None;
        };
        let mut other = E::other(env, key)?;
        if matches!(beside, Beside::Waits(_)) {
            let (begun, has_begun) = mpsc::channel();
            let ended = elsewhere(move || {
                let unparks = Waker::from(Arc::new(Unparks(thread::current())));
                let mut context = Context::from_waker(&unparks);
                while other.as_mut().poll(&mut context).is_pending() {
                    let _ = begun.send(());
                    thread::park();
                }
            });
            // It has ended without having to wait, if not.
            let _ = has_begun.recv();
            return Some(Self::Waits(ended));
        }
        let polled = elsewhere(move || {
            let mut context = Context::from_waker(Waker::noop());
            let pending = other.as_mut().poll(&mut context) == Poll::Pending;
            pending.then_some(other)
        });
        let polled = polled.recv().expect("it sends what comes of it");
        Some(match (polled, beside) {
            (Ok(other), Beside::Idle(_)) => Self::Idle(other?),
            (Ok(other), _) => Self::Dropped(other?),
            (Err(panic), _) => Self::Panicked(panic),
        })
    }

    fn finish(self) {
        match self {
            Self::Waits(ended) => {
                let ended = ended.recv().expect("it sends what comes of it");
                ended.unwrap_or_else(|panic| resume_unwind(panic))
            }
            Self::Idle(other) => pollster::block_on(other),
            Self::Dropped(other) => drop(other),
            Self::Panicked(panic) => resume_unwind(panic),
        }
    }
}

/// Runs it on the other thread.
#[cfg(feature = "async")]
pub(super) fn on_the_other(f: fn()) {
    let ended = elsewhere(f).recv().expect("it sends what comes of it");
    ended.unwrap_or_else(|panic| resume_unwind(panic));
}

/// There is none.
#[cfg(not(feature = "async"))]
pub(super) fn on_the_other(_: fn()) {}

/// Runs it on this thread's other thread.
#[cfg(feature = "async")]
fn elsewhere<R: Send + 'static>(
    f: impl FnOnce() -> R + Send + 'static,
) -> mpsc::Receiver<thread::Result<R>> {
    type Job = Box<dyn FnOnce() + Send>;
    thread_local! {
        static JOBS: mpsc::Sender<Job> = {
            let (jobs, are_to_do) = mpsc::channel::<Job>();
            let (alive, now) = (ALIVE.with_borrow(Arc::clone), NOW.with_borrow(Arc::clone));
            thread::spawn(move || {
                ALIVE.set(alive);
                NOW.set(now);
                QUIET.set(true);
                for job in are_to_do {
                    job();
                }
            });
            jobs
        };
    }
    let (result, is_there) = mpsc::channel();
    let job = move || drop(result.send(catch_unwind(AssertUnwindSafe(f))));
    JOBS.with(|jobs| jobs.send(Box::new(job)).expect("it takes all"));
    is_there
}

#[cfg(feature = "async")]
struct Unparks(thread::Thread);

#[cfg(feature = "async")]
impl Wake for Unparks {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
