//! Panics and questions injected into every step that is user code, one after the other, of every call: nothing may be left behind, and nothing may hang.
//!
//! The steps are `Hash`, `Eq`, `Clone` and `Drop` of keys, values and pointers, what pointers do, hooks, closures, and the drop of what closures have captured. The n-th
//! step of a call panics, for each n until the call comes to its end without. Then the map must work, and when it has gone, nothing may be alive.
//! The same of steps that use the map themselves: see `questions`.

#[path = "../it/common.rs"]
mod common;
#[macro_use]
mod questions;
mod layers;
mod registry;
mod sets;
mod strong;
mod weak_key;
mod weak_key_value;
mod weak_value;

use crate::common::{attended, text_of};
use crate::questions::{creations, ending, family, give_up, hold, needs, Act, Place, HELD};
#[cfg(feature = "async")]
use crate::questions::{later, Other};
use highlander::{error::*, map::*, pointer::*, *};
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, Hash, Hasher};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicIsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Once};
use std::thread::{panicking, yield_now};
use std::time::{Duration, Instant};

thread_local! {
    /// How many steps are left, the last of which panics or does the act; 0 when none is to.
    static LEFT: Cell<u32> = const { Cell::new(0) };
    static ACT: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
    static WHAT: Cell<&'static str> = const { Cell::new("") };
    /// How many parts are alive that this thread has made, and those that it has started. Sets may drop one on another thread.
    static ALIVE: RefCell<Arc<AtomicIsize>> = RefCell::default();
    /// What this thread is about, for whom it keeps waiting.
    static NOW: RefCell<Arc<Mutex<String>>> = RefCell::default();
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static FAULTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn step(what: &'static str) {
    if panicking() {
        return;
    }
    match LEFT.get() {
        0 => {}
        1 => {
            LEFT.set(0);
            WHAT.set(what);
            match ACT.take() {
                Some(act) => {
                    NOW.with_borrow(|now| now.lock().unwrap().push_str(&format!(", at: {what}")));
                    act()
                }
                // No hook: there are thousands.
                None => resume_unwind(Box::new(what)),
            }
        }
        left => LEFT.set(left - 1),
    }
}

/// Drops it, whatever it is.
fn end<T>(_: T) {}

fn alive() -> isize {
    ALIVE.with_borrow(|alive| alive.load(SeqCst))
}

/// Says what this thread does now.
fn now(what: &str) {
    NOW.with_borrow(|now| {
        let mut now = now.lock().unwrap();
        now.clear();
        now.push_str(what);
    });
}

/// A part of everything that is counted. It goes also when the destructor of the whole panics.
#[derive(Debug)]
struct Part(Arc<AtomicIsize>);

impl Part {
    fn new() -> Self {
        let alive = ALIVE.with_borrow(Arc::clone);
        alive.fetch_add(1, SeqCst);
        Self(alive)
    }

    fn is_of_this_thread(&self) -> bool {
        ALIVE.with_borrow(|alive| Arc::ptr_eq(alive, &self.0))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// Something that is dropped with a step: what a closure captures, an error.
#[derive(Debug)]
struct Dropped(Part);

impl Dropped {
    fn new() -> Self {
        Self(Part::new())
    }
    fn used(&self) {
        let _ = &self.0;
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        step("drop");
    }
}

/// A key, a value, or what a pointer leads to.
#[derive(Debug)]
struct Thing(u32, #[allow(dead_code)] Part);

impl Thing {
    fn new(number: u32) -> Self {
        needs();
        Self::bare(number)
    }
    /// One that needs nothing, where a key is claimed that nobody else may ask for.
    fn bare(number: u32) -> Self {
        Self(number, Part::new())
    }
}
impl Clone for Thing {
    fn clone(&self) -> Self {
        step("clone of a thing");
        Self(self.0, Part::new())
    }
}
impl Hash for Thing {
    fn hash<H: Hasher>(&self, state: &mut H) {
        step("hash");
        self.0.hash(state);
    }
}
impl PartialEq for Thing {
    fn eq(&self, other: &Self) -> bool {
        step("eq");
        self.0 == other.0
    }
}
impl Eq for Thing {}
impl Drop for Thing {
    fn drop(&mut self) {
        step("drop of a thing");
    }
}

/// A borrowed key.
struct Query(u32);
impl Hash for Query {
    fn hash<H: Hasher>(&self, state: &mut H) {
        step("hash of a query");
        self.0.hash(state);
    }
}
impl Equivalent<Thing> for Query {
    fn equivalent(&self, thing: &Thing) -> bool {
        step("equivalent");
        self.0 == thing.0
    }
}

/// A pointer of a user's. It reports deaths, or does not.
#[derive(Debug)]
struct Strong<const REPORTS: bool>(Watched<Thing>, #[allow(dead_code)] Part);
struct Weak<const REPORTS: bool>(WeakWatched<Thing>, Part);

impl<const R: bool> Strong<R> {
    fn new(number: u32) -> Self {
        needs();
        Self::bare(number)
    }
    fn bare(number: u32) -> Self {
        Self(Watched::new(Thing::bare(number)), Part::new())
    }
}
impl<const R: bool> PartialEq for Strong<R> {
    fn eq(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }
}
impl<const R: bool> Clone for Strong<R> {
    fn clone(&self) -> Self {
        step("clone of a pointer");
        Self(self.0.clone(), Part::new())
    }
}
impl<const R: bool> Drop for Strong<R> {
    fn drop(&mut self) {
        step("drop of a pointer");
    }
}
impl<const R: bool> Clone for Weak<R> {
    fn clone(&self) -> Self {
        step("clone of a weak pointer");
        Self(self.0.clone(), Part::new())
    }
}
impl<const R: bool> Drop for Weak<R> {
    fn drop(&mut self) {
        if self.1.is_of_this_thread() {
            step("drop of a weak pointer");
        }
    }
}
impl<const R: bool> Pointer for Strong<R> {
    type Target = Thing;
    type Weak = Weak<R>;
    type Death = highlander::pointer::ReportedWithEnd;
    fn downgrade(this: &Self) -> Weak<R> {
        step("downgrade");
        Weak(Watched::downgrade(&this.0), Part::new())
    }
    fn target(this: &Self) -> &Thing {
        step("target");
        &this.0
    }
    fn address(this: &Self) -> *const () {
        step("address");
        Pointer::address(&this.0)
    }
    fn watch(this: &Self, notify: Notify) -> Option<Registration> {
        step("watch");
        Pointer::watch(&this.0, notify).filter(|_| R)
    }
}
impl<const R: bool> WeakPointer for Weak<R> {
    type Strong = Strong<R>;
    fn upgrade(&self) -> Option<Strong<R>> {
        step("upgrade");
        Some(Strong(self.0.upgrade()?, Part::new()))
    }
    fn is_dead(&self) -> bool {
        step("is_dead");
        !self.0.is_alive()
    }
    fn address(&self) -> *const () {
        step("address of a weak pointer");
        WeakPointer::address(&self.0)
    }
}

/// What is owned while a call runs, unless an act lets go of it.
struct Held<T>(Mutex<Vec<Arc<T>>>);

impl<T: Clone> Held<T> {
    fn new(them: Vec<T>) -> Self {
        Self(Mutex::new(them.into_iter().map(Arc::new).collect()))
    }
    fn all(&self) -> Vec<Arc<T>> {
        self.0.lock().unwrap().clone()
    }
    fn nth(&self, nth: usize) -> Option<T> {
        // No step is done with the lock held.
        let it = self.0.lock().unwrap().get(nth).cloned()?;
        let clone = T::clone(&it);
        // It may be the last one. If its drop panics, the clone must not be what is returned already: that leaks (rust-lang/rust#47949).
        drop(it);
        Some(clone)
    }
    fn let_go(&self) {
        let them = std::mem::take(&mut *self.0.lock().unwrap());
        drop(them);
    }
}

impl<const R: bool> Held<Strong<R>> {
    /// The one with this number, or another one.
    fn numbered(&self, number: u32) -> Strong<R> {
        let all = self.all();
        let it = all.iter().find(|it| it.0 .0 == number);
        let one = it.map_or_else(|| Strong::new(number), |it| Strong::clone(it));
        // As above.
        drop(all);
        one
    }
}

/// Hashes numbers, or lets all collide.
#[derive(Clone, Debug)]
struct Hashes {
    collide: bool,
}
struct Sum(u64, bool);
impl BuildHasher for Hashes {
    type Hasher = Sum;
    fn build_hasher(&self) -> Sum {
        Sum(0, self.collide)
    }
}
impl Hasher for Sum {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(257).wrapping_add(u64::from(*byte));
        }
    }
    fn finish(&self) -> u64 {
        if self.1 {
            7
        } else {
            self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15)
        }
    }
}

/// Runs the call with a panic at each of its steps in turn, and with questions at each. Each time `well` must find what the call has left in order, and nothing of it must be left in the end.
fn check<E: Place>(name: &str, make: impl Fn() -> E, call: &dyn Fn(&E), well: impl Fn(&E)) {
    if !questions::concerns(name) {
        return;
    }
    let steps = panics(name, &make, call, &well);
    questions::check(name, steps, &make, call, &well);
}

/// Returns how many steps there are.
fn panics<E>(name: &str, make: &impl Fn() -> E, call: &dyn Fn(&E), well: &impl Fn(&E)) -> u32 {
    for nth in 1.. {
        assert!(nth < 2000, "{name} has no end");
        now(&format!("{name}, step {nth}: panic"));
        let before = alive();
        let env = make();
        LEFT.set(nth);
        WHAT.set("none");
        let result = catch_unwind(AssertUnwindSafe(|| call(&env)));
        let injected = LEFT.replace(0) == 0;
        let what = WHAT.get();
        drop(HELD.take());
        let fault = |text: String| {
            let fault = format!("{name}, step {nth} ({what}): {text}");
            FAULTS.with_borrow_mut(|faults| faults.push(fault));
        };
        // A robust send makes a result of it; and nobody is there to get that of a set's entry which is dropped when no reader can see it any more.
        let may_go =
            name.contains("robust") || name.contains("WeakSet") && what == "drop of a weak pointer";
        if injected != result.is_err() && !may_go {
            fault("the panic has gone".into());
        }
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| well(&env))) {
            fault(format!("unwell: {}", text_of(panic)));
        }
        drop(env);
        if name.contains("WeakSet") {
            flush(before);
        }
        if alive() != before {
            fault(format!("{} parts are left", alive() - before));
            ALIVE.with_borrow(|alive| alive.store(before, SeqCst));
        }
        if !injected {
            assert!(nth > 1, "{name} has no steps");
            return nth - 1;
        }
    }
    unreachable!("it has an end")
}

/// Waits for what a set has removed: that is dropped when no reader can see it any more, by those who come later, on the thread that has removed it or on others.
fn flush(before: isize) {
    fn come() {
        let set: WeakSet<Arc<u8>> = WeakSet::new();
        let member = Arc::new(1);
        set.insert(&member);
        set.clear();
    }
    let begun = Instant::now();
    while alive() != before && begun.elapsed() < Duration::from_secs(5) {
        come();
        questions::on_the_other(come);
        yield_now();
    }
}

/// Has threads that are quiet say nothing of their panics, of which there are thousands.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let otherwise = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                otherwise(info);
            }
        }));
    });
}

/// Runs it on a thread of its own, and fails when that is about the same thing for too long.
fn watched<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    silence();
    let now: Arc<Mutex<String>> = Arc::default();
    let mut last = String::new();
    let runner = {
        let now = Arc::clone(&now);
        move || {
            NOW.set(now);
            QUIET.set(true);
            f()
        }
    };
    attended(runner, || {
        let now = now.lock().unwrap().clone();
        assert!(now != last, "it hangs: {now}");
        last = now;
    })
}

/// Runs all checks, with keys that collide and with others, and fails with what they have found.
fn run(all: &[fn(bool)]) {
    let mut faults = Vec::new();
    for (checks, collide) in all
        .iter()
        .flat_map(|checks| [(*checks, false), (*checks, true)])
    {
        faults.extend(watched(move || {
            checks(collide);
            FAULTS.take()
        }));
    }
    assert!(
        faults.is_empty(),
        "{} faults: {:#?}",
        faults.len(),
        &faults[..faults.len().min(20)]
    );
}

const HIT: u32 = 1;
const MISS: u32 = 2;
const DEAD: u32 = 3;

#[test]
fn what_any_step_of_any_call_does_leaves_nothing_behind_in_a_registry() {
    run(&[registry::all]);
}

#[test]
fn what_any_step_of_any_call_does_leaves_nothing_behind_in_a_strong_map() {
    run(&[strong::all]);
}

#[test]
fn what_any_step_of_any_call_does_leaves_nothing_behind_in_a_map_with_weak_values() {
    run(&[
        weak_value::maps::<false>,
        weak_value::maps::<true>,
        weak_value::exclusive_maps,
    ]);
}

#[test]
fn what_any_step_of_any_call_does_leaves_nothing_behind_in_a_map_with_weak_keys() {
    run(&[weak_key::maps::<false>, weak_key::maps::<true>]);
}

#[test]
fn what_any_step_of_any_call_does_leaves_nothing_behind_in_a_map_with_weak_keys_and_values() {
    run(&[
        weak_key_value::maps::<false>,
        weak_key_value::maps::<true>,
        weak_key_value::exclusive_maps,
    ]);
}

#[test]
fn what_any_step_of_any_call_does_leaves_nothing_behind_in_sets_and_interners() {
    run(&[
        sets::interner,
        sets::sets::<false>,
        sets::sets::<true>,
        sets::placed::<false>,
        sets::placed::<true>,
    ]);
}

#[test]
fn what_any_step_of_any_call_does_leaves_nothing_behind_in_what_is_made_on_top() {
    run(&[|_| layers::all()]);
}
