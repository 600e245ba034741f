//! §1.19-22 and §3.6-9: what runs once, at death, by hand or at exit.

use crate::common::panic_of;
use highlander::registries::finalizers::Finalizers;
use highlander::{Registry, Watched};
use std::sync::{Arc, Mutex};
use std::thread;

type Log = Arc<Mutex<Vec<&'static str>>>;

fn note(log: &Log, text: &'static str) -> impl FnOnce() + Send + 'static {
    let log = log.clone();
    move || log.lock().unwrap().push(text)
}

fn noted(log: &Log) -> Vec<&'static str> {
    std::mem::take(&mut log.lock().unwrap())
}

/// §1.19: a call runs it once; it is dead before the function runs; an error of an explicit call goes to the caller.
#[test]
fn a_call_runs_it_once() {
    let (finalizers, log) = (Finalizers::new(), Log::default());
    let object = Watched::new(1);
    let finalizer = finalizers.finalize(&object, note(&log, "ran"));
    assert!(finalizer.is_alive() && finalizers.len() == 1);
    assert!(finalizer.call() && !finalizer.call() && !finalizer.is_alive());
    drop(object);
    assert_eq!((noted(&log), finalizers.len()), (vec!["ran"], 0));
    let object = Watched::new(2);
    let finalizer = Arc::new(Mutex::new(None));
    let inside = finalizer.clone();
    let made = finalizers.finalize(&object, move || {
        let finalizer: highlander::registries::finalizers::Finalizer =
            inside.lock().unwrap().clone().unwrap();
        assert!(
            !finalizer.is_alive() && !finalizer.call(),
            "dead before it runs"
        );
        panic!("boom");
    });
    *finalizer.lock().unwrap() = Some(made.clone());
    assert_eq!(panic_of(|| assert!(made.call())), "boom");
    assert!(!made.is_alive());
}

/// §1.20: of several of one object the newest runs first; they keep themselves; what is detached comes back once; a priority for what is dead is ignored.
#[test]
fn the_newest_of_one_object_runs_first() {
    let (finalizers, log) = (Finalizers::new(), Log::default());
    let registry: Registry<u32, ()> = Registry::new();
    let object = registry.get_or_insert_with(1, |_| ());
    for text in ["first", "second", "third"] {
        finalizers.finalize(&object, note(&log, text));
    }
    let detached = finalizers.finalize(&object, note(&log, "detached"));
    let cancelled = finalizers.finalize(&object, note(&log, "cancelled"));
    let job = detached.detach().unwrap();
    assert!(detached.detach().is_none() && cancelled.cancel() && !cancelled.cancel());
    drop(object);
    assert_eq!(noted(&log), ["third", "second", "first"]);
    job();
    assert_eq!(noted(&log), ["detached"]);
    detached.set_exit_priority(Some(1));
    assert_eq!(detached.exit_priority(), None);
}

/// §1.21, §3.8: at exit the highest priority first, and the newest of one; each runs whatever became of the others; one that is made while they run is run; then nothing runs any more.
#[test]
fn at_exit_each_runs_in_its_turn() {
    static FINALIZERS: Finalizers = Finalizers::new();
    let log = Log::default();
    let kept = Watched::new(1);
    FINALIZERS.finalize(&kept, note(&log, "never at exit"));
    FINALIZERS.at_exit(0, note(&log, "old"));
    FINALIZERS.at_exit(0, || panic!("boom"));
    FINALIZERS.at_exit(-1, note(&log, "last"));
    let inner = log.clone();
    FINALIZERS.at_exit(0, move || {
        inner.lock().unwrap().push("new");
        FINALIZERS.at_exit(0, note(&inner, "made meanwhile"));
    });
    FINALIZERS.at_exit(5, note(&log, "high"));
    let cancelled = FINALIZERS.at_exit(9, note(&log, "cancelled"));
    assert!(cancelled.cancel());
    assert!(FINALIZERS.run(6).is_empty() && noted(&log).is_empty());
    let panics = FINALIZERS.exit();
    assert_eq!(
        noted(&log),
        ["high", "new", "made meanwhile", "old", "last"]
    );
    assert_eq!(panics.len(), 1);
    assert_eq!(panics[0].downcast_ref(), Some(&"boom"));
    drop(kept);
    assert!(!FINALIZERS.at_exit(0, note(&log, "too late")).call());
    assert!(FINALIZERS.run(i32::MIN).is_empty() && noted(&log).is_empty());
}

/// §1.22: one that owns its object keeps it alive, until it is detached.
#[test]
fn a_job_that_owns_its_object_keeps_it() {
    let finalizers = Finalizers::new();
    let object = Watched::new(1);
    let weak = Watched::downgrade(&object);
    let owner = object.clone();
    let finalizer = finalizers.finalize(&object, move || drop(owner));
    drop(object);
    assert!(weak.is_alive() && finalizer.is_alive());
    drop(finalizer.detach());
    assert!(!weak.is_alive());
}

/// §3.6, §3.7: it runs at death, on call or at exit, once however many ask at the same time; a panic leaves it inactive.
#[test]
fn of_many_who_call_one_runs_it() {
    for _ in 0..100 {
        let (finalizers, log) = (Finalizers::new(), Log::default());
        let object = Watched::new(1);
        let finalizer = finalizers.finalize(&object, note(&log, "ran")).at_exit(0);
        let ran: usize = thread::scope(|scope| {
            let call = || usize::from(finalizer.call());
            let threads = [scope.spawn(call), scope.spawn(call)];
            let dying = scope.spawn(|| drop(object));
            finalizers.run(0);
            dying.join().unwrap();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert!(ran <= 1);
        assert_eq!(noted(&log), ["ran"]);
    }
}

/// §3.9: the order of the sample in CPython's own test: a, b, d10, d03, d02, d01, e.
#[test]
fn the_sample_order() {
    let (finalizers, log) = (Finalizers::new(), Log::default());
    let guard = finalizers.guard();
    let [a, b, c, d] = [1, 2, 3, 4].map(Watched::new);
    finalizers.finalize(&a, note(&log, "a"));
    drop(a);
    let close_b = finalizers.finalize(&b, note(&log, "b"));
    close_b.call();
    close_b.call();
    drop(b);
    finalizers.finalize(&c, note(&log, "c"));
    finalizers.finalize(&d, note(&log, "d10")).at_exit(10);
    for text in ["d01", "d02", "d03"] {
        finalizers.finalize(&d, note(&log, text)).at_exit(1);
    }
    finalizers.at_exit(-10, note(&log, "e"));
    // What has a priority of 0 and more; then daemons would be stopped and children waited for; then the rest.
    assert!(finalizers.run(0).is_empty());
    drop(guard);
    assert_eq!(noted(&log), ["a", "b", "d10", "d03", "d02", "d01", "e"]);
    drop((c, d));
    assert!(noted(&log).is_empty());
}

#[test]
fn the_guard_lets_a_panic_go_on() {
    let finalizers = Finalizers::new();
    finalizers.at_exit(0, || panic!("boom"));
    assert_eq!(panic_of(|| drop(finalizers.guard())), "boom");
    finalizers.at_exit(0, || panic!("too late"));
    drop(finalizers.guard());
}
