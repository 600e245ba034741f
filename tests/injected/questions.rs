//! Questions in the middle of a call: any step that is user code may use the same map, for the same key and for others, while somebody else waits.
//!
//! For each step of each call: what the step does, what a step in the middle of that does, whether the call is a part of the creation of another key, which succeeds or fails, and who asks for which key meanwhile, on another thread.
//! There are hundreds of millions of these in all; a run takes some of them, by lot. `HIGHLANDER_QUESTIONS` says how many for ten steps (3 if not set), `HIGHLANDER_SEED` which. What has failed is asked
//! again alone, with the same numbers, if `HIGHLANDER_ONLY` is how its text begins.

use super::*;
use crate::common::{text_of, Dice};
use std::fmt::Write;
use std::sync::LazyLock;
#[cfg(feature = "async")]
use std::{
    future::Future,
    pin::Pin,
    sync::mpsc,
    task::{Context, Poll, Waker},
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

/// What all maps are asked, and what these maps are asked besides. A key is given as `key` says, by reference where there is an `&`.
macro_rules! place {
    ([$($generics:tt)*] $place:ty, |$env:ident, $key:ident| key: ($($by:tt)?) $given:expr, value: $value:ident, $($more:tt)*) => {
        impl<$($generics)*> Place for $place {
            const ACTS: &'static [Act<Self>] = acts! { |$env, $key|
                "get": hold($env.map.get(&Query($key)));
                "get, let go": $env.map.get(&Query($key));
                "try_get": hold($env.map.try_get(&Query($key)));
                "contains_key": $env.map.contains_key(&Query($key));
                "get_or_insert_with": hold($env.map.get_or_insert_with($($by)? $given, |_| $value::new(20)));
                "get_or_insert_with, let go": $env.map.get_or_insert_with($($by)? $given, |_| $value::new(20));
                "get_or_try_insert_with": $env.map.get_or_try_insert_with($($by)? $given, |_| Err(Dropped::new()));
                "entry_ref": {
                    let query = Query($key);
                    let entry = $env.map.entry_ref(&query).key_with(|_| $given);
                    hold(entry.or_insert_with(|_| $value::new(20)))
                };
                "family": family($env, $key, false);
                "family that fails": family($env, $key, true);
                "claim": $env.map.entry($($by)? $given).claim_or_refused();
                "try_claim": $env.map.entry($($by)? $given).try_claim();
                "claim and fill": {
                    let given = $given;
                    let claim = $env.map.entry($($by)? given).claim_or_refused().ok();
                    claim.and_then(Claim::vacant).map(|it| hold(it.fill($value::bare(20))))
                };
                "try_insert": $env.map.try_insert($($by)? $given, $value::new(20));
                "insert": hold($env.map.insert($($by)? $given, $value::new(20)));
                "remove": hold($env.map.remove(&Query($key)));
                "remove, let go": $env.map.remove(&Query($key));
                "remove_if": $env.map.remove_if(&Query($key), |_, _| true);
                "retain": $env.map.retain(|_, _| false);
                "clear": $env.map.clear();
                "iter": $env.map.iter().for_each(end);
                "len": $env.map.len();
                "reserve": $env.map.reserve(1000);
                "shrink_to_fit": $env.map.shrink_to_fit();
                "debug": hold(format!("{:?}", $env.map));
                "panic": give_up();
                $($more)*
            };

            fn get(&self, key: u32) {
                end(self.map.get(&Query(key)));
            }

            fn create(&self, key: u32, fails: bool, inside: &mut dyn FnMut()) {
                let ($env, $key) = (self, key);
                let _ = $env;
                let allocate = |_: &_| Ok($value::new(40));
                let made = self.map.entry($($by)? $given).or_try_create_cyclic(allocate, |_| {
                    ending(fails, inside)
                });
                hold(made)
            }

            #[cfg(feature = "async")]
            async fn create_later(&self, key: u32) {
                let ($env, $key) = (self, key);
                let _ = $env;
                let captured = Dropped::new();
                let make = move |_: &_| {
                    step("make a future");
                    later(captured, || $value::new(20))
                };
                end(self.map.get_or_insert_async($($by)? $given, make).await);
            }

            #[cfg(feature = "async")]
            fn other(this: &Arc<Self>, key: u32) -> Option<Other> {
                let this = Arc::clone(this);
                Some(Box::pin(async move {
                    let ($env, $key) = (&this, key);
                    let _ = $env;
                    let make = |_: &_| async { $value::new(50) };
                    end(this.map.get_or_insert_async($($by)? $given, make).await);
                }))
            }
        }
    };
}

/// As `place`, of what is a map in all.
macro_rules! place_of_map {
    ([$($generics:tt)*] $place:ty, |$env:ident, $key:ident| key: ($($by:tt)?) $given:expr, value: $value:ident, $($more:tt)*) => {
        place! { [$($generics)*] $place, |$env, $key| key: ($($by)?) $given, value: $value,
            "get_key_value": hold($env.map.get_key_value(&Query($key)));
            "valid_if": {
                let given = $given;
                let entry = $env.map.entry($($by)? given).valid_if(|_| false);
                hold(entry.or_insert_with(|_| $value::new(20)))
            };
            "with": $env.map.with(&Query($key), |_| ());
            "update if present": hold($env.map.update($($by)? $given, |old| old.map(|_| $value::new(20))));
            "update": hold($env.map.update($($by)? $given, |_| Some($value::new(20))));
            "update to nothing": hold($env.map.update($($by)? $given, |_| None));
            "remove_with": $env.map.remove_with(&Query($key), |_| ());
            "for_each": $env.map.for_each(|_, _| {});
            "drain": $env.map.drain();
            "pop": hold($env.map.pop());
            "close": hold($env.map.close());
            $($more)*
        }
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

    /// As `create`, by a future that is not ready at once.
    #[cfg(feature = "async")]
    async fn create_later(&self, _key: u32) {}

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

/// Who else asks for a key, from before what the step does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Beside {
    Nobody,
    #[cfg(feature = "async")]
    Waits,
    /// A future that is polled again only when the call is over.
    #[cfg(feature = "async")]
    Idle,
    /// A future that is dropped when the call is over.
    #[cfg(feature = "async")]
    Dropped,
}

const AROUND: [Around; 5] = [
    Around::Nothing,
    Around::Succeeds,
    Around::Fails,
    Around::SucceedsElsewhere,
    Around::FailsElsewhere,
];

const BESIDE: &[Beside] = &[
    Beside::Nobody,
    #[cfg(feature = "async")]
    Beside::Waits,
    #[cfg(feature = "async")]
    Beside::Idle,
    #[cfg(feature = "async")]
    Beside::Dropped,
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

/// The second step of a creation.
pub(super) fn ending(fails: bool, inside: &mut dyn FnMut()) -> Result<(), ()> {
    inside();
    match fails {
        true => Err(()),
        false => Ok(()),
    }
}

/// Makes it when it is polled again, and asks for that.
#[cfg(feature = "async")]
pub(super) async fn later<T>(captured: Dropped, make: impl FnOnce() -> T) -> T {
    step("make");
    let mut is_ready = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut is_ready, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    let made = make();
    end(captured);
    made
}

#[cfg(feature = "async")]
fn poll_once<R>(future: Pin<&mut (impl Future<Output = R> + ?Sized)>) -> Poll<R> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Checks creations that every place has.
pub(super) fn creations<E: Place>(key: u32, check: impl Fn(&str, &dyn Fn(&E))) {
    check("family", &|env| family(env, key, false));
    check("family that fails", &|env| family(env, key, true));
    #[cfg(feature = "async")]
    check("get_or_insert_async, later", &|env| {
        pollster::block_on(env.create_later(key))
    });
    #[cfg(feature = "async")]
    check("get_or_insert_async, given up", &|env| {
        end(poll_once(std::pin::pin!(env.create_later(key))))
    });
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

/// What a step does: how many steps from the deed before, or from the beginning (it may be a step of the deed itself); what; and with which key.
type Deed<E> = (u32, Act<E>, u32);

struct Question<E> {
    deeds: Vec<Deed<E>>,
    around: Around,
    beside: (Beside, u32),
}

impl<E: Place> Question<E> {
    fn by_lot(nth: u32, dice: &mut Dice) -> Self {
        fn one_of<T: Copy>(all: &[T], dice: &mut Dice) -> T {
            all[dice.below(all.len())]
        }
        let mut deeds = Vec::new();
        let mut next = Some(nth);
        while let Some(nth) = next {
            deeds.push((nth, one_of(E::ACTS, dice), one_of(&KEYS, dice)));
            let far = one_of(&[8, 30], dice);
            next = (dice.below(2) == 0).then(|| 1 + dice.below(far) as u32);
        }
        Self {
            deeds,
            around: one_of(&AROUND, dice),
            beside: (one_of(BESIDE, dice), one_of(&KEYS, dice)),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.deeds.iter().any(|(_, (act, _), _)| *act == name)
    }

    fn ask(&self, name: &str, make: &impl Fn() -> E, call: &dyn Fn(&E), well: &impl Fn(&E)) {
        let (around, beside) = (self.around, self.beside);
        let mut this = format!("{name}, around {around:?}, beside {beside:?}");
        for (nth, (act, _), key) in &self.deeds {
            write!(this, ", step {nth}: {act}({key})").expect("a text takes all");
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
        WHAT.set("none");
        HOLDS.set(Holds::of(name, self.has("panic") || self.has("close")));
        let inside = |needs: Box<dyn Fn()>| {
            NEEDS.set(Some(needs));
            let first = {
                let (env, others) = (Arc::clone(&env), Arc::clone(&others));
                move || others.lock().unwrap().extend(Aside::begin(&env, beside))
            };
            let deeds = self.deeds.clone().into_iter();
            arm(Arc::clone(&env), deeds, Box::new(first));
            call(&env);
            NEEDS.take();
        };
        let another: Arc<StrongMap<u32, u32>> = Arc::default();
        let outcome = catch_unwind(AssertUnwindSafe(|| match around {
            Around::Nothing => inside(Box::new(|| {})),
            Around::Succeeds | Around::Fails => env.create(OUTER, around.fails(), &mut || {
                let env = Arc::clone(&env);
                inside(Box::new(move || env.get(OUTER)));
            }),
            Around::SucceedsElsewhere | Around::FailsElsewhere => {
                let initialise = |_: &u32| {
                    ending(around.fails(), &mut || {
                        let another = Arc::clone(&another);
                        inside(Box::new(move || end(another.get(&OUTER))));
                    })
                };
                let made = another
                    .entry(OUTER)
                    .or_try_create_cyclic(|_| Ok(1), initialise);
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
fn arm<E: Place>(env: Arc<E>, mut deeds: std::vec::IntoIter<Deed<E>>, before: Box<dyn FnOnce()>) {
    let Some((nth, (_, run), key)) = deeds.next() else {
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

#[cfg(not(feature = "async"))]
struct Aside;

#[cfg(not(feature = "async"))]
impl Aside {
    fn begin<E: Place>(_: &Arc<E>, _: (Beside, u32)) -> Option<Self> {
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
    fn begin<E: Place>(env: &Arc<E>, (beside, key): (Beside, u32)) -> Option<Self> {
        if beside == Beside::Nobody {
            return None;
        }
        let mut other = E::other(env, key)?;
        if beside == Beside::Waits {
            let (begun, has_begun) = mpsc::channel();
            let ended = elsewhere(move || {
                if poll_once(other.as_mut()).is_pending() {
                    let _ = begun.send(());
                    pollster::block_on(other);
                }
            });
            // It has ended without having to wait, if not.
            let _ = has_begun.recv();
            return Some(Self::Waits(ended));
        }
        let polled = elsewhere(move || poll_once(other.as_mut()).is_pending().then_some(other));
        let polled = polled.recv().expect("it sends what comes of it");
        Some(match (polled, beside) {
            (Ok(other), Beside::Idle) => Self::Idle(other?),
            (Ok(other), _) => Self::Dropped(other?),
            (Err(panic), _) => Self::Panicked(panic),
        })
    }

    fn finish(self) {
        match self {
            Self::Waits(ended) => result_of(&ended),
            Self::Idle(other) => pollster::block_on(other),
            Self::Dropped(other) => drop(other),
            Self::Panicked(panic) => resume_unwind(panic),
        }
    }
}

/// Runs it on the other thread.
#[cfg(feature = "async")]
pub(super) fn on_the_other(f: fn()) {
    result_of(&elsewhere(f));
}

/// There is none.
#[cfg(not(feature = "async"))]
pub(super) fn on_the_other(_: fn()) {}

#[cfg(feature = "async")]
fn result_of(ended: &mpsc::Receiver<thread::Result<()>>) {
    let ended = ended.recv().expect("it sends what comes of it");
    ended.unwrap_or_else(|panic| resume_unwind(panic))
}

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
