//! What is seen at the very moment of a change, and what is equal to a limit.

use super::{handlers, noted, words, Log};
use crate::common::promptly;
use highlander::registries::logging::{BoxError, Handler, Level, Logging, Policy, Record, Sink};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

/// Does something when it is closed.
struct AtClose<F: Fn() + Send + Sync + 'static>(F);

impl<F: Fn() + Send + Sync + 'static> Sink for AtClose<F> {
    fn write(&self, _: &Record<'_>) -> Result<(), BoxError> {
        Ok(())
    }

    fn close(&self) -> Result<(), BoxError> {
        (self.0)();
        Ok(())
    }
}

#[test]
fn a_handler_takes_records_of_its_very_level() {
    let (logging, log) = (Logging::new(), Log::default());
    let handler = logging.handler(noted("a", &log));
    logging.root().add_handler(&handler);
    handler.set_level(Level::ERROR);
    logging.root().error(format_args!("taken"));
    logging.root().warning(format_args!("not taken"));
    assert_eq!(words(&log), ["a: ERROR root: taken"]);
}

#[test]
fn a_handler_is_replaced_in_its_place_and_by_no_twin() {
    let (logging, log) = (Logging::new(), Log::default());
    let [a, b, c, new] = handlers(&logging, &log, ["a", "b", "c", "new"]);
    let root = logging.root();
    for handler in [&a, &b, &c] {
        assert!(root.add_handler(handler));
    }
    assert!(!root.replace_handler(&a, &c) && !root.replace_handler(&a, &a));
    assert!(!root.replace_handler(&new, &new) && !root.add_handler(&b));
    assert_eq!(root.handlers(), [a.clone(), b.clone(), c.clone()]);
    assert!(root.replace_handler(&b, &new) && !root.replace_handler(&b, &new));
    assert_eq!(root.handlers(), [a, new, c]);
}

#[test]
fn a_shutdown_counts_what_it_has_closed_itself() {
    let logging = Arc::new(Logging::new());
    let log = Log::default();
    let old = logging.handler(noted("old", &log));
    let _new = logging.handler(AtClose({
        let old = old.clone();
        move || drop(old.close())
    }));
    let shutdown = logging.shutdown(Policy::GoOn);
    assert_eq!((shutdown.closed, shutdown.failures.len()), (1, 0));
    assert_eq!(words(&log), ["old: flush", "old: close"]);
}

/// The name of a handler whose last owner is letting go of it.
#[test]
fn a_dying_handler_has_no_name_for_others() {
    static LOGGING: Logging = Logging::new();
    static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let handler = LOGGING.handler(AtClose(|| {
        let mut seen = LOGGING.handler_names();
        seen.extend(LOGGING.handler_named("x").map(|_| "found".into()));
        seen.push("looked".into());
        *SEEN.lock().unwrap() = seen;
    }));
    handler.set_name("x");
    assert_eq!(LOGGING.handler_names(), ["x"]);
    drop(handler);
    assert_eq!(*SEEN.lock().unwrap(), ["looked"]);
}

/// The names are free when that returns, also those of handlers that others are in the middle of closing.
#[test]
fn clearing_frees_the_names_of_those_that_are_being_closed() {
    let logging = Logging::new();
    let (reached, go_on) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let handler = logging.handler(AtClose({
        let (reached, go_on) = (Arc::clone(&reached), Arc::clone(&go_on));
        move || {
            reached.wait();
            go_on.wait();
        }
    }));
    handler.set_name("x");
    thread::scope(|scope| {
        scope.spawn(|| handler.close());
        reached.wait();
        let shutdown = logging.clear_handlers();
        let found = logging.handler_named("x").is_some();
        go_on.wait();
        assert_eq!((shutdown.closed, found), (0, false));
    });
}

/// So long that entering it takes a while.
fn long_name(n: usize) -> String {
    format!("{n} {}", "x".repeat(if cfg!(miri) { 10 } else { 20_000 }))
}

/// A reader that goes from name to name as the handler does finds it under one of them: the next name is there before the last one goes.
#[test]
fn a_renamed_handler_is_found_at_all_times() {
    const NAMES: usize = if cfg!(miri) { 10 } else { 600 };
    promptly(|| {
        let (logging, log) = (Logging::new(), Log::default());
        let handler = logging.handler(noted("a", &log));
        let names: Vec<_> = (0..NAMES).map(long_name).collect();
        handler.set_name(&names[0]);
        let start = Barrier::new(3);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    start.wait();
                    let mut at = 0;
                    while at < NAMES - 1 {
                        match logging.handler_named(&names[at]) {
                            Some(found) => assert_eq!(found, handler),
                            // It is there under a later name.
                            None => at += 1,
                        }
                    }
                    assert_eq!(logging.handler_named(&names[at]).as_ref(), Some(&handler));
                });
            }
            start.wait();
            for name in &names {
                assert!(handler.set_name(name));
            }
        });
    });
}

/// Of handlers that take a name over one from the other, and die then, one has it at all times.
#[test]
fn a_name_that_is_taken_over_is_found_at_all_times() {
    promptly(|| {
        let (logging, log) = (Logging::new(), Log::default());
        let mut handler = logging.handler(noted("a", &log));
        handler.set_name("c");
        let ends = AtomicBool::new(false);
        thread::scope(|scope| {
            let looking = scope.spawn(|| {
                while !ends.load(SeqCst) {
                    assert!(logging.handler_named("c").is_some());
                }
            });
            for _ in 0..20_000 {
                let next = logging.handler(noted("a", &log));
                next.set_name("c");
                handler = next;
            }
            ends.store(true, SeqCst);
            looking.join().unwrap();
        });
        drop(handler);
        assert!(logging.handler_named("c").is_none());
    });
}

/// A logger is made below the nearest one that exists: one look-up for each that does not.
#[test]
fn names_of_many_levels_are_looked_up_from_the_leaf() {
    promptly(|| {
        let logging = Logging::new();
        let name = vec!["x"; 3_000].join(".");
        let leaf = logging.logger(&name);
        // Each from the root would take minutes.
        let below: Vec<_> = (0..1_000)
            .map(|n| logging.logger(&format!("{name}.{n}")))
            .collect();
        assert!(below
            .iter()
            .all(|logger| logger.parent().as_ref() == Some(&leaf)));
    });
}

/// Who names a handler while another one closes it leaves no name behind.
#[test]
fn a_name_given_while_it_is_closed_does_not_stay() {
    const ROUNDS: usize = if cfg!(miri) { 10 } else { 600 };
    promptly(|| {
        let (logging, name) = (Logging::new(), long_name(0));
        let handlers: Vec<Handler> = (0..ROUNDS)
            .map(|_| logging.handler(AtClose(|| {})))
            .collect();
        let turn = AtomicUsize::new(0);
        // Both spin until both have come.
        let meet = |round: usize| {
            turn.fetch_add(1, SeqCst);
            while turn.load(SeqCst) < 2 * (round + 1) {
                thread::yield_now();
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                for (round, handler) in handlers.iter().enumerate() {
                    meet(round);
                    handler.set_name(&name);
                }
            });
            for (round, handler) in handlers.iter().enumerate() {
                meet(round);
                (0..round * 3).for_each(|_| std::hint::spin_loop());
                drop(handler.close());
            }
        });
        assert!(handlers.iter().all(|handler| handler.name().is_none()));
        assert!(logging.handler_names().is_empty());
    });
}

/// A hook may own what uses the logging when it is dropped.
#[test]
fn a_hook_is_dropped_without_a_lock() {
    static LOGGING: Logging = Logging::new();
    struct Uses;
    impl Drop for Uses {
        fn drop(&mut self) {
            let handler = LOGGING.handler(AtClose(|| panic!("told to nobody")));
            drop(handler);
        }
    }
    promptly(|| {
        let (uses, told) = (Uses, Arc::new(AtomicUsize::new(0)));
        LOGGING.on_failure(move |_| {
            let _ = &uses;
        });
        let counted = Arc::clone(&told);
        LOGGING.on_failure(move |_| {
            counted.fetch_add(1, SeqCst);
        });
        assert_eq!(told.load(SeqCst), 1);
    });
}
