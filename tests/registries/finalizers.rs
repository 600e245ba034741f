//! `finalizers`: behaviours 1.19 to 1.22 and 3.6 to 3.9 of `BEHAVIOURS.md`. What needs a process of its own is in `tests/process.rs`.

use crate::common::{panic_of, promptly, Census};
use highlander::pointer::{Registration, Token, Watched, WeakWatched};
use highlander::registries::finalizers::{Finalizer, Finalizers, Mortal, Nobody, Ran};
use highlander::{Handle, Registry, WeakSet};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, word: &str) -> impl FnOnce() + Send + 'static {
        let (log, word) = (self.clone(), word.to_string());
        move || log.0.lock().unwrap().push(word)
    }

    fn words(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn assert_ran(ran: Ran, run: usize, panicked: usize) {
    assert_eq!((ran.run, ran.panicked), (run, panicked));
}

#[test]
fn a_call_runs_once_returns_the_result_and_is_dead_before_the_function_runs() {
    let finalizers = Arc::new(Finalizers::new());
    let object = Watched::new(());
    let (list, me) = (
        Arc::clone(&finalizers),
        Arc::new(OnceLock::<Finalizer<Watched<()>, _>>::new()),
    );
    let seen = Arc::clone(&me);
    let finalizer = finalizers.finalize(&object, move || {
        let me = seen.get().unwrap();
        (me.is_alive(), list.len(), me.call().is_none())
    });
    let finalizer = me.get_or_init(|| finalizer);
    assert!(finalizer.is_alive());
    assert_eq!(finalizer.call(), Some((false, 0, true)));
    assert_eq!(finalizer.call(), None);
    assert_eq!(
        Watched::callbacks(&object),
        0,
        "nothing is left at the object"
    );
}

#[test]
fn a_panic_of_a_call_goes_to_the_caller_and_the_finalizer_is_dead() {
    let finalizers = Finalizers::new();
    let object = Watched::new(());
    let finalizer = finalizers.finalize(&object, || panic!("out"));
    assert_eq!(panic_of(|| finalizer.call()), "out");
    assert!(!finalizer.is_alive() && finalizers.is_empty());
    drop(object);
}

#[test]
fn a_panic_at_death_stops_nothing_and_goes_on_from_the_drop() {
    let (finalizers, log) = (Finalizers::new(), Log::default());
    let object = Watched::new(());
    finalizers.finalize(&object, log.note("old"));
    finalizers.finalize(&object, || panic!("middle"));
    finalizers.finalize(&object, log.note("new"));
    assert_eq!(panic_of(|| drop(object)), "middle");
    assert_eq!(log.words(), ["new", "old"]);
    assert!(finalizers.is_empty());
}

#[test]
fn finalizers_run_newest_first_at_death_though_nobody_has_kept_them() {
    let log = Log::default();
    let finalizers = Finalizers::new();
    let object = Watched::new(());
    for i in 0..4 {
        // Priorities are for the exit.
        finalizers.finalize_at(&object, i % 2, log.note(&i.to_string()));
    }
    drop(object);
    assert_eq!(log.words(), ["3", "2", "1", "0"]);
    assert!(finalizers.is_empty());
}

#[test]
fn finalizers_run_at_death_when_their_list_has_gone() {
    let log = Log::default();
    let finalizers = Finalizers::new();
    let object = Watched::new(());
    let first = finalizers.finalize(&object, log.note("first"));
    let second = finalizers.finalize(&object, log.note("second"));
    drop(finalizers);
    first.set_priority(3);
    assert!(second.cancel());
    drop(object);
    assert_eq!(log.words(), ["first"]);
}

#[test]
fn detach_gives_object_and_function_back_once() {
    let (finalizers, log) = (Finalizers::new(), Log::default());
    let object = Watched::new(7);
    let finalizer = finalizers.finalize(&object, log.note("run"));
    let same = finalizer.peek().unwrap();
    assert!(Watched::ptr_eq(&same, &object) && finalizer.is_alive());
    drop(same);
    let (same, f) = finalizer.detach().unwrap();
    assert!(Watched::ptr_eq(&same, &object));
    assert!(finalizer.detach().is_none() && finalizer.peek().is_none() && !finalizer.cancel());
    drop((same, object));
    assert!(log.words().is_empty());
    f();
    assert_eq!(log.words(), ["run"]);
}

#[test]
fn nothing_is_detached_from_a_dead_object() {
    let finalizers = Finalizers::new();
    let object = Watched::new(7);
    let finalizer = finalizers.finalize(&object, || ());
    drop(object);
    assert!(finalizer.detach().is_none() && finalizer.peek().is_none());
}

#[test]
fn a_priority_can_be_changed_until_the_finalizer_is_dead() {
    let (finalizers, log) = (Finalizers::new(), Log::default());
    let object = Watched::new(());
    let one = finalizers.finalize(&object, log.note("one"));
    let two = finalizers.finalize(&object, log.note("two"));
    let not = finalizers.finalize(&object, log.note("not"));
    assert_eq!(one.priority(), Some(0));
    one.set_priority(i32::MAX);
    two.set_priority(i32::MIN);
    not.set_priority(None);
    assert_eq!(
        (one.priority(), two.priority(), not.priority()),
        (Some(i32::MAX), Some(i32::MIN), None)
    );
    assert_ran(finalizers.run_all(), 2, 0);
    assert_eq!(log.words(), ["one", "two"]);
    one.set_priority(5);
    assert_ran(finalizers.run_all(), 0, 0);
    assert!(not.is_alive());
}

#[test]
fn a_priority_that_is_changed_while_others_run_counts() {
    let (finalizers, log) = (Finalizers::new(), Log::default());
    let late = Arc::new(finalizers.at_exit(0, log.note("late")));
    finalizers.at_exit(1, log.note("middle"));
    finalizers.at_exit(2, {
        let (note, late) = (log.note("early"), Arc::clone(&late));
        move || {
            late.set_priority(9);
            note();
        }
    });
    finalizers.run_all();
    assert_eq!(log.words(), ["early", "late", "middle"]);
}

/// Exit: newest first, a panic does not stop the rest, those that are made meanwhile run next; what comes later is honoured.
#[test]
fn at_exit_a_panic_stops_nothing_and_what_is_made_meanwhile_runs_too() {
    let (finalizers, log) = (Arc::new(Finalizers::new()), Log::default());
    let object = Watched::new(());
    finalizers.finalize(&object, log.note("0"));
    finalizers.finalize(&object, {
        let (finalizers, object, log) = (
            Arc::downgrade(&finalizers),
            Watched::downgrade(&object),
            log.clone(),
        );
        move || {
            log.note("1")();
            let finalizers = finalizers.upgrade().unwrap();
            finalizers.finalize(&object.upgrade().unwrap(), log.note("inner"));
        }
    });
    finalizers.finalize(&object, || panic!("2"));
    finalizers.finalize(&object, log.note("3"));
    assert_ran(finalizers.run_all(), 5, 1);
    assert_eq!(log.words(), ["3", "1", "inner", "0"]);

    finalizers.finalize(&object, log.note("late"));
    assert_ran(finalizers.run_all(), 1, 0);
    assert_eq!(log.words(), ["late"]);
    assert_ran(finalizers.run_all(), 0, 0);
}

#[test]
fn a_panic_that_panics_when_dropped_stops_nothing_either() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("again");
        }
    }
    let (finalizers, log) = (Finalizers::new(), Log::default());
    finalizers.at_exit(0, log.note("last"));
    finalizers.at_exit(1, || std::panic::panic_any(Bomb));
    assert_ran(finalizers.run_all(), 2, 1);
    assert_eq!(log.words(), ["last"]);
}

#[test]
fn a_function_that_owns_the_object_keeps_it_until_cancelled() {
    let (finalizers, census) = (Finalizers::new(), Census::new());
    let object = Watched::new(census.citizen());
    let owner = object.clone();
    let finalizer = finalizers.finalize(&object, move || drop(owner));
    drop(object);
    assert_eq!(census.alive(), 1);
    assert!(finalizer.cancel());
    assert_eq!(census.alive(), 0);
}

/// BEHAVIOURS.md 3.6: "None object needs a priority" is the signature of `at_exit`; a priority that is no number has no meaning here.
#[test]
fn a_finalizer_runs_at_death_by_a_call_or_at_exit_unless_cancelled() {
    let (finalizers, log) = (Finalizers::new(), Log::default());
    let (dies, is_called, stays, is_cancelled) = (
        Watched::new(1),
        Watched::new(2),
        Watched::new(3),
        Watched::new(4),
    );
    finalizers.finalize(&dies, log.note("death"));
    let call = finalizers.finalize(&is_called, log.note("call"));
    finalizers.finalize(&stays, log.note("exit"));
    let cancel = finalizers.finalize(&is_cancelled, log.note("cancel"));
    let nobody: Finalizer<Nobody, ()> = finalizers.at_exit(1, log.note("nobody"));
    assert_eq!(finalizers.len(), 5);
    drop(dies);
    assert!(call.call().is_some() && call.call().is_none());
    assert!(cancel.cancel() && !cancel.cancel() && cancel.call().is_none());
    drop((is_called, is_cancelled));
    assert_eq!(log.words(), ["death", "call"]);
    assert!(nobody.is_alive());
    finalizers.run_all();
    assert_eq!(log.words(), ["nobody", "exit"]);
    drop(stays);
    assert!(log.words().is_empty() && finalizers.is_empty());
}

/// BEHAVIOURS.md 3.7: a call races with the death, with the exit and with a cancellation. One of them has it.
#[test]
fn a_finalizer_runs_once_whoever_comes() {
    for _ in 0..300 {
        let finalizers = Arc::new(Finalizers::new());
        let census = Census::new();
        let runs = Arc::new(AtomicUsize::new(0));
        let object = Watched::new(census.citizen());
        let (count, held) = (Arc::clone(&runs), census.citizen());
        let finalizer = Arc::new(finalizers.finalize(&object, move || {
            count.fetch_add(1, SeqCst);
            drop(held);
        }));
        let start = &Barrier::new(4);
        let cancelled = thread::scope(|scope| {
            scope.spawn(move || {
                start.wait();
                drop(object);
            });
            scope.spawn(|| {
                start.wait();
                finalizers.run_all();
            });
            scope.spawn(|| {
                start.wait();
                finalizer.call();
            });
            scope
                .spawn(|| {
                    start.wait();
                    finalizer.cancel()
                })
                .join()
                .unwrap()
        });
        assert_eq!(runs.load(SeqCst) + usize::from(cancelled), 1);
        assert!(finalizers.is_empty());
        assert_eq!(census.alive(), 0);
    }
}

/// The list while functions are run by priority, and only from one on.
#[test]
fn an_exit_goes_by_priority_and_newest_first_within_one() {
    let (finalizers, log) = (Finalizers::new(), Log::default());
    let object = Watched::new(());
    let never = finalizers.finalize_at(&object, None, log.note("never"));
    for (priority, word) in [(0, "a"), (5, "b"), (-1, "c"), (5, "d"), (0, "e"), (-1, "f")] {
        finalizers.finalize_at(&object, priority, log.note(word));
    }
    assert_ran(finalizers.run_from(0), 4, 0);
    assert_eq!(log.words(), ["d", "b", "e", "a"]);
    assert_ran(finalizers.run_from(0), 0, 0);
    assert_ran(finalizers.run_all(), 2, 0);
    assert_eq!(log.words(), ["f", "c"]);
    assert!(never.is_alive());
    drop(object);
    assert_eq!(log.words(), ["never"]);
}

#[test]
fn a_finalizer_that_has_gone_meanwhile_is_passed_over() {
    let (finalizers, log) = (Finalizers::new(), Log::default());
    let object = Watched::new(());
    finalizers.finalize(&object, log.note("the object's"));
    let other = Arc::new(finalizers.at_exit(0, log.note("other")));
    finalizers.at_exit(1, {
        let (note, other) = (log.note("first"), Arc::clone(&other));
        move || {
            drop(object);
            assert!(other.cancel());
            note();
        }
    });
    assert_ran(finalizers.run_all(), 1, 0);
    assert_eq!(log.words(), ["the object's", "first"]);
}

#[test]
fn who_runs_inside_of_who_runs_goes_on_where_that_one_was() {
    let (finalizers, log) = (Arc::new(Finalizers::new()), Log::default());
    for (priority, word) in [(-1, "last"), (0, "a"), (1, "b"), (3, "first")] {
        finalizers.at_exit(priority, log.note(word));
    }
    let late = finalizers.at_exit(-5, log.note("late"));
    finalizers.at_exit(2, {
        let (inner, note) = (Arc::clone(&finalizers), log.clone());
        move || {
            inner.at_exit(7, note.note("new"));
            assert_ran(inner.run_from(1), 2, 0);
            late.set_priority(0);
            inner.at_exit(0, note.note("newest"));
        }
    });
    assert_ran(finalizers.run_from(0), 5, 0);
    assert_eq!(log.words(), ["first", "new", "b", "newest", "late", "a"]);
    assert_ran(finalizers.run_all(), 1, 0);
    assert_eq!(log.words(), ["last"]);
}

/// As many functions as there are, each of which makes another one: none of them has the order of the others made anew.
#[test]
fn each_of_many_makes_another_one() {
    promptly(|| {
        const MANY: usize = 20_000;
        let (finalizers, runs) = (Arc::new(Finalizers::new()), Arc::new(AtomicUsize::new(0)));
        for _ in 0..MANY {
            let (more, runs) = (Arc::downgrade(&finalizers), Arc::clone(&runs));
            finalizers.at_exit(0, move || {
                let again = Arc::clone(&runs);
                let count = move || again.fetch_add(1, SeqCst);
                more.upgrade().unwrap().at_exit(-1, count);
                runs.fetch_add(1, SeqCst);
            });
        }
        assert_ran(finalizers.run_all(), 2 * MANY, 0);
        assert_eq!(runs.load(SeqCst), 2 * MANY);
        assert!(finalizers.is_empty());
    });
}

/// BEHAVIOURS.md 3.5: the child of a fork forgets its parent's.
#[test]
fn cancel_all_forgets_those_without_a_priority_too() {
    struct Fragile(Log);
    impl Drop for Fragile {
        fn drop(&mut self) {
            self.0.note("dropped")();
            panic!("fragile");
        }
    }
    let (finalizers, log) = (Finalizers::new(), Log::default());
    let object = Watched::new(());
    let fragile = Fragile(log.clone());
    finalizers.finalize_at(&object, None, log.note("1"));
    finalizers.finalize(&object, move || drop(fragile));
    finalizers.at_exit(3, log.note("3"));
    assert_eq!(finalizers.cancel_all(), 3);
    assert!(finalizers.is_empty());
    drop(object);
    assert_ran(finalizers.run_all(), 0, 0);
    assert_eq!(log.words(), ["dropped"]);
}

/// The sample of CPython's `test_multiprocessing`: `a, b, d10, d03, d02, d01, e`, and never `c`.
#[test]
fn an_exit_has_the_order_of_the_sample_of_cpython() {
    let (finalizers, log) = (Finalizers::new(), Log::default());
    let a = Watched::new('a');
    finalizers.finalize_at(&a, None, log.note("a"));
    drop(a);
    let b = Watched::new('b');
    let close_b = finalizers.finalize_at(&b, None, log.note("b"));
    close_b.call();
    close_b.call();
    drop(b);
    let (c, d) = (Watched::new('c'), Watched::new('d'));
    finalizers.finalize_at(&c, None, log.note("c"));
    finalizers.finalize_at(&d, 1, log.note("d10"));
    finalizers.finalize_at(&d, 0, log.note("d01"));
    finalizers.finalize_at(&d, 0, log.note("d02"));
    finalizers.finalize_at(&d, 0, log.note("d03"));
    finalizers.at_exit(-10, log.note("e"));
    // `_exit_function`: those from 0 on, then (after the children) the others.
    finalizers.run_from(0);
    finalizers.run_all();
    assert_eq!(log.words(), ["a", "b", "d10", "d03", "d02", "d01", "e"]);
}

/// The whole of `_exit_function`: those from 0 on find the children alive, the others do not. Once: a second one runs nothing.
#[test]
#[cfg(unix)]
fn children_end_between_the_two_runs_of_an_exit() {
    use highlander::registries::processes::Processes;
    use std::process::{Command, Stdio};
    static CHILDREN: Processes = Processes::new();
    promptly(|| {
        let (finalizers, log) = (Finalizers::new(), Log::default());
        let look = |word: &str| {
            let (log, word) = (log.clone(), word.to_string());
            move || log.note(&format!("{word}: {} children", CHILDREN.active().len()))()
        };
        let mut command = Command::new("cat");
        let child = CHILDREN.spawn(command.stdin(Stdio::piped()).stdout(Stdio::null()));
        let input = child.as_ref().unwrap().take_stdin();
        finalizers.at_exit(-1, look("late"));
        finalizers.at_exit(0, look("early"));
        let exit = || {
            let early = finalizers.run_from(0).run;
            CHILDREN.terminate_all().unwrap();
            CHILDREN.join_all();
            (early, finalizers.run_all().run)
        };
        assert_eq!((exit(), exit()), ((1, 1), (0, 0)));
        assert_eq!(log.words(), ["early: 1 children", "late: 0 children"]);
        assert!(!child.unwrap().is_alive());
        drop(input);
    });
}

#[test]
fn the_guard_runs_all_at_the_end_also_when_it_unwinds() {
    static FINALIZERS: Finalizers = Finalizers::new();
    let log = Log::default();
    let inner = log.clone();
    let text = panic_of(move || {
        let _guard = FINALIZERS.exit_guard();
        let object = Watched::new(());
        FINALIZERS.finalize(&object, inner.note("death"));
        FINALIZERS.at_exit(0, inner.note("exit"));
        FINALIZERS.at_exit(1, || panic!("inner"));
        panic!("outer");
    });
    assert_eq!(text, "outer");
    assert_eq!(log.words(), ["death", "exit"]);
}

#[test]
fn handles_tokens_and_pointers_made_of_ours_have_finalizers() {
    struct Socket(Token);
    struct Own(Watched<u32>);
    impl Mortal for Own {
        type Weak = WeakWatched<u32>;
        fn weak(this: &Self) -> WeakWatched<u32> {
            Watched::downgrade(&this.0)
        }
        fn on_death(this: &Self, callback: impl FnOnce() + Send + 'static) -> Registration {
            Watched::on_death(&this.0, callback)
        }
    }
    static FILES: Registry<&str, u32> = Registry::new();
    let (finalizers, log) = (Finalizers::new(), Log::default());
    let handle = FILES.get_or_insert_with("file", |_| 1);
    let note = log.note("handle");
    let finalizer = finalizers.finalize(&handle, move || {
        assert!(FILES.get("file").is_none());
        note();
    });
    assert!(Handle::ptr_eq(&finalizer.peek().unwrap(), &handle));
    let socket = Arc::new(Socket(Token::new()));
    let of_token = finalizers.finalize(&socket.0, log.note("token"));
    let own = Own(Watched::new(2));
    finalizers.finalize(&own, log.note("own"));
    drop(handle);
    assert!(of_token.is_alive());
    drop(socket);
    drop(own);
    assert_eq!(log.words(), ["handle", "token", "own"]);
}

#[test]
fn the_object_is_out_of_its_containers_when_it_runs() {
    static SET: WeakSet<Watched<u32>> = WeakSet::new();
    let finalizers = Finalizers::new();
    let object = Watched::new(7);
    SET.insert(&object);
    let (seen, weak) = (Log::default(), Watched::downgrade(&object));
    let note = seen.note("ran");
    finalizers.finalize(&object, move || {
        assert!(SET.is_empty() && weak.upgrade().is_none());
        note();
    });
    drop(object);
    assert_eq!(seen.words(), ["ran"]);
}

/// An object that says it has died while it is being given a finalizer: nothing may be left behind.
#[test]
fn a_death_that_is_told_too_early_leaves_nothing() {
    struct Liar;
    impl Mortal for Liar {
        type Weak = ();
        fn weak(_: &Self) {}
        fn on_death(_: &Self, callback: impl FnOnce() + Send + 'static) -> Registration {
            callback();
            Registration::new(|| false)
        }
    }
    let (finalizers, log) = (Finalizers::new(), Log::default());
    let finalizer = finalizers.finalize(&Liar, log.note("at once"));
    assert!(!finalizer.is_alive() && finalizers.is_empty());
    assert_eq!(log.words(), ["at once"]);
}

/// BEHAVIOURS.md 3.10: exit tolerates registration and death beside it (bpo-24484).
#[test]
fn many_threads_register_drop_and_run() {
    promptly(|| {
        let finalizers = Finalizers::new();
        let runs = Arc::new(AtomicUsize::new(0));
        thread::scope(|scope| {
            for seed in 0..2 {
                let (finalizers, runs) = (&finalizers, &runs);
                scope.spawn(move || {
                    let mut kept = Vec::new();
                    for i in 0..2000 {
                        let object = Watched::new(i);
                        let runs = Arc::clone(runs);
                        finalizers.finalize_at(&object, i % 7, move || {
                            runs.fetch_add(1, SeqCst);
                        });
                        if (i + seed) % 3 == 0 {
                            kept.push(object);
                        }
                    }
                });
            }
            scope.spawn(|| {
                for _ in 0..50 {
                    finalizers.run_all();
                    thread::yield_now();
                }
            });
        });
        finalizers.run_all();
        assert_eq!(runs.load(SeqCst), 4000);
        assert!(finalizers.is_empty());
    });
}

#[test]
fn an_object_that_is_finalized_often_and_early_keeps_no_list_of_it() {
    let (finalizers, census) = (Finalizers::new(), Census::new());
    let object = Watched::new(());
    for _ in 0..1000 {
        let citizen = census.citizen();
        finalizers.finalize(&object, move || drop(citizen)).call();
    }
    assert_eq!((census.alive(), Watched::callbacks(&object)), (0, 0));
}

#[test]
fn an_object_that_cannot_be_known_weakly_leaves_nothing() {
    /// Panics where it is asked for a weak pointer, or for its death.
    struct Odd(Watched<()>, bool);
    impl Mortal for Odd {
        type Weak = ();
        fn weak(this: &Self) {
            assert!(this.1, "no weak pointer");
        }
        fn on_death(this: &Self, callback: impl FnOnce() + Send + 'static) -> Registration {
            assert!(!this.1, "no death");
            Watched::on_death(&this.0, callback)
        }
    }
    let (finalizers, census) = (Finalizers::new(), Census::new());
    for (dies, text) in [(false, "no weak pointer"), (true, "no death")] {
        let object = Odd(Watched::new(()), dies);
        let citizen = census.citizen();
        let f = move || drop(citizen);
        assert_eq!(panic_of(|| finalizers.finalize(&object, f)), text);
        assert_eq!((finalizers.len(), census.alive()), (0, 0));
        assert_eq!(Watched::callbacks(&object.0), 0);
    }
}

/// What ends a registration may be somebody else's code, which asks about the finalizer.
#[test]
fn a_registration_ends_without_a_lock() {
    struct Foreign(Arc<OnceLock<Finalizer<Foreign>>>, Arc<AtomicUsize>);
    impl Mortal for Foreign {
        type Weak = ();
        fn weak(_: &Self) {}
        fn on_death(this: &Self, _: impl FnOnce() + Send + 'static) -> Registration {
            let (me, ended) = (Arc::clone(&this.0), Arc::clone(&this.1));
            Registration::new(move || {
                let me = me.get().unwrap();
                assert!(!me.is_alive() && !me.cancel());
                ended.fetch_add(1, SeqCst);
                true
            })
        }
    }
    promptly(|| {
        let (finalizers, ended) = (Finalizers::new(), Arc::default());
        let object = Foreign(Arc::default(), Arc::clone(&ended));
        let finalizer = object.0.get_or_init(|| finalizers.finalize(&object, || ()));
        assert_eq!((finalizer.call(), ended.load(SeqCst)), (Some(()), 1));
    });
}

/// A detach that comes too late takes nothing away.
#[test]
fn a_detach_from_a_dying_object_leaves_the_function() {
    let (finalizers, log) = (Finalizers::new(), Log::default());
    let object = Watched::new(());
    let old = finalizers.finalize(&object, log.note("old"));
    let (old, note) = (Arc::new(old), log.note("new"));
    let inner = Arc::clone(&old);
    finalizers.finalize(&object, move || {
        // It is its turn next.
        assert!(inner.is_alive() && inner.peek().is_none());
        assert!(inner.detach().is_none() && inner.is_alive());
        note();
    });
    drop(object);
    assert_eq!(log.words(), ["new", "old"]);
    assert!(!old.is_alive());
}
