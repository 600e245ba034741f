//! `logging`: behaviours 2.1 to 2.9 of `BEHAVIOURS.md`, and what threads may do to each other.

mod edges;
mod panics;

use crate::common::{promptly, Census, Citizen};
use highlander::registries::logging::{
    BoxError, FileSink, Handler, Level, Logging, Policy, Record, Sink, Step,
};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

type Log = Arc<Mutex<Vec<String>>>;

fn words(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap())
}

/// Notes what is done to it, and fails when told to.
#[derive(Default)]
struct Noted {
    name: &'static str,
    log: Log,
    fails: Vec<Step>,
    panics: Vec<Step>,
    unflushed: bool,
}

impl Noted {
    fn note(&self, step: Step, what: String) -> Result<(), BoxError> {
        self.log
            .lock()
            .unwrap()
            .push(format!("{}: {what}", self.name));
        assert!(!self.panics.contains(&step), "{} panics", self.name);
        match self.fails.contains(&step) {
            true => Err(format!("{} fails", self.name).into()),
            false => Ok(()),
        }
    }
}

impl Sink for Noted {
    fn write(&self, record: &Record<'_>) -> Result<(), BoxError> {
        self.note(Step::Write, record.to_string())
    }

    fn flush(&self) -> Result<(), BoxError> {
        self.note(Step::Flush, "flush".into())
    }

    fn close(&self) -> Result<(), BoxError> {
        self.note(Step::Close, "close".into())
    }

    fn flush_on_close(&self) -> bool {
        !self.unflushed
    }
}

fn noted(name: &'static str, log: &Log) -> Noted {
    Noted {
        name,
        log: Arc::clone(log),
        ..Noted::default()
    }
}

fn handlers<const N: usize>(
    logging: &Logging,
    log: &Log,
    names: [&'static str; N],
) -> [Handler; N] {
    names.map(|name| logging.handler(noted(name, log)))
}

/// BEHAVIOURS.md 2.1
#[test]
fn handlers_are_listed_in_order_while_they_live() {
    let (logging, log) = (Logging::new(), Log::default());
    assert!(logging.handlers().is_empty());
    let [a, b, c] = handlers(&logging, &log, ["a", "b", "c"]);
    let twin = b.clone();
    assert_eq!(logging.handlers(), [a.clone(), b.clone(), c.clone()]);
    drop(b);
    assert_eq!(logging.handlers().len(), 3);
    drop(twin);
    assert_eq!(logging.handlers(), [a, c]);
    // Nothing is lost with the last owner.
    assert_eq!(words(&log)[..2], ["b: flush", "b: close"]);
}

/// BEHAVIOURS.md 2.2
#[test]
fn a_name_leads_to_who_took_it_last() {
    let (logging, log) = (Logging::new(), Log::default());
    let [a, b] = handlers(&logging, &log, ["a", "b"]);
    assert_eq!((a.name(), logging.handler_named("x")), (None, None));
    assert!(a.set_name("x"));
    assert_eq!(logging.handler_named("x"), Some(a.clone()));
    assert!(a.set_name("y"));
    assert_eq!(logging.handler_named("x"), None);
    assert!(b.set_name("y"));
    assert_eq!(logging.handler_named("y"), Some(b.clone()));
    assert_eq!((a.name().as_deref(), a.owns_name()), (Some("y"), false));
    assert!(b.owns_name());
    assert!(b.set_name("y"));
    assert_eq!(logging.handler_names(), ["y"]);
    assert!(b.set_name(""));
    assert_eq!((b.name(), logging.handler_names().len()), (None, 0));
    a.set_name("z");
    drop(a);
    assert_eq!(logging.handler_named("z"), None);
    assert!(logging.handler_names().is_empty());
}

/// BEHAVIOURS.md 2.3: the bug that is to be avoided.
#[test]
fn an_old_owner_does_not_take_the_name_from_the_new_one() {
    let (logging, log) = (Logging::new(), Log::default());
    for how in 0..4 {
        let [old, new] = handlers(&logging, &log, ["old", "new"]);
        old.set_name("x");
        new.set_name("x");
        match how {
            0 => drop(old.close()),
            1 => assert!(old.set_name("other")),
            2 => assert!(old.set_name("")),
            _ => drop(old),
        }
        assert_eq!(logging.handler_named("x"), Some(new.clone()), "{how}");
        assert!(new.owns_name());
    }
}

/// BEHAVIOURS.md 2.4: a handler that is closed takes no name any more, least of all another one's.
#[test]
fn a_closed_handler_takes_no_name() {
    let (logging, log) = (Logging::new(), Log::default());
    let [closed, other] = handlers(&logging, &log, ["closed", "other"]);
    other.set_name("x");
    drop(closed.close());
    assert!(!closed.set_name("x"));
    assert_eq!(logging.handler_named("x"), Some(other));
    assert_eq!(closed.name(), None);
}

/// BEHAVIOURS.md 2.3, when both are renamed at the same time: each handler has one name, which is free when it goes.
#[test]
fn names_go_with_their_handlers_whatever_threads_do() {
    promptly(|| {
        let logging = Logging::new();
        let log = Log::default();
        let shared: Vec<_> = handlers(&logging, &log, ["s", "t"]).into();
        let barrier = Barrier::new(4);
        thread::scope(|scope| {
            for mine in 0..4 {
                let (logging, shared, log, barrier) = (&logging, &shared, &log, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    for n in 0..500 {
                        shared[n % 2].set_name(["a", "b", "c"][(n + mine) % 3]);
                        let own = logging.handler(noted("own", log));
                        own.set_name(["a", "b", "c"][n % 3]);
                        let mine = format!("thread {mine}");
                        own.set_name(&mine);
                        assert_eq!(logging.handler_named(&mine), Some(own));
                        assert_eq!(logging.handler_named(&mine), None);
                    }
                });
            }
        });
        for handler in &shared {
            handler.set_name(handler.name().unwrap().as_str());
            assert!(handler.owns_name());
        }
        let names = logging.handler_names();
        assert!((1..=2).contains(&names.len()), "{names:?}");
        drop(shared);
        assert!(logging.handler_names().is_empty());
        assert!(logging.handlers().is_empty());
    });
}

/// BEHAVIOURS.md 2.4: closed once, whoever asks.
#[test]
fn a_handler_is_closed_once() {
    let (logging, log) = (Logging::new(), Log::default());
    let [a, b] = handlers(&logging, &log, ["a", "b"]);
    a.set_name("x");
    assert!(a.close().is_empty() && a.is_closed());
    assert_eq!((a.name(), logging.handler_named("x")), (None, None));
    assert!(!a.set_name("x"));
    assert!(logging.handler_names().is_empty());
    assert_eq!(logging.handlers(), [b]);
    assert_eq!(
        words(&log),
        ["a: flush", "a: close", "b: flush", "b: close"]
    );
    assert!(a.close().is_empty() && a.flush().is_ok());
    assert_eq!(logging.shutdown(Policy::GoOn).closed, 0);
    drop(a);
    assert!(words(&log).is_empty());
}

/// BEHAVIOURS.md 2.5
#[test]
fn shutdown_goes_from_the_newest_to_the_oldest() {
    let (logging, log) = (Logging::new(), Log::default());
    let [a, b, c, d] = handlers(&logging, &log, ["a", "b", "c", "d"]);
    logging.root().add_handler(&a);
    drop(c);
    words(&log);
    let unflushed = logging.handler(Noted {
        unflushed: true,
        ..noted("u", &log)
    });
    let shutdown = logging.shutdown(Policy::GoOn);
    assert_eq!((shutdown.closed, shutdown.failures.len()), (4, 0));
    let steps = "u: close, d: flush, d: close, b: flush, b: close, a: flush, a: close";
    assert_eq!(words(&log).join(", "), steps);
    assert!(logging.handlers().is_empty());
    // Late ones work, and the next shutdown is theirs.
    let late = logging.handler(noted("late", &log));
    assert_eq!(logging.shutdown(Policy::GoOn).closed, 1);
    assert_eq!(words(&log), ["late: flush", "late: close"]);
    drop((a, b, d, unflushed, late));
}

/// BEHAVIOURS.md 2.5: a snapshot. Who comes meanwhile is for the next one; who is let go of meanwhile has its turn, once.
#[test]
fn shutdown_is_for_those_that_were_there_when_it_began() {
    struct Changes(Noted, Mutex<Option<Handler>>);
    impl Sink for Changes {
        fn write(&self, _: &Record<'_>) -> Result<(), BoxError> {
            Ok(())
        }

        fn close(&self) -> Result<(), BoxError> {
            let log = Arc::clone(&self.0.log);
            let late = LOGGING.handler(noted("late", &log));
            let gone = self.1.lock().unwrap().replace(late);
            drop(gone);
            self.0.close()
        }
    }
    static LOGGING: Logging = Logging::new();
    let log = Log::default();
    let [old, let_go] = handlers(&LOGGING, &log, ["old", "let go"]);
    let changes = LOGGING.handler(Changes(noted("changes", &log), Mutex::new(Some(let_go))));
    assert_eq!(LOGGING.shutdown(Policy::GoOn).closed, 3);
    let steps = "changes: close, let go: flush, let go: close, old: flush, old: close";
    assert_eq!(words(&log).join(", "), steps);
    let left = LOGGING.handlers();
    assert_eq!((left.len(), left[0].is_closed()), (1, false));
    assert_eq!(LOGGING.shutdown(Policy::GoOn).closed, 1);
    assert_eq!(words(&log), ["late: flush", "late: close"]);
    drop((old, changes));
}

/// BEHAVIOURS.md 2.6: stronger here: what is open is closed, though its flush has failed.
#[test]
fn a_failure_stops_neither_the_next_step_nor_the_next_handler() {
    let (logging, log) = (Logging::new(), Log::default());
    let sink = |name, fails: &[Step], panics: &[Step]| Noted {
        fails: fails.into(),
        panics: panics.into(),
        ..noted(name, &log)
    };
    let all = |logging: &Logging| {
        let sinks = [
            sink("a", &[], &[]),
            sink("b", &[Step::Flush, Step::Close], &[]),
            sink("c", &[], &[Step::Flush]),
            sink("d", &[], &[]),
        ];
        sinks.map(|sink| logging.handler(sink))
    };
    let kept = all(&logging);
    kept[1].set_name("the b");
    let shutdown = logging.shutdown(Policy::GoOn);
    assert_eq!((shutdown.closed, shutdown.left.len()), (4, 0));
    let texts: Vec<_> = shutdown.failures.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "a handler without a name: flush: panicked: c panics",
            "handler \"the b\": flush: b fails",
            "handler \"the b\": close: b fails"
        ]
    );
    assert_eq!(shutdown.failures[1].step(), Step::Flush);
    assert_eq!(shutdown.failures[1].handler(), Some("the b"));
    let steps = "d: flush, d: close, c: flush, c: close, b: flush, b: close, a: flush, a: close";
    assert_eq!(words(&log).join(", "), steps);

    let kept = all(&logging);
    let shutdown = logging.shutdown(Policy::StopAtFailure);
    assert_eq!((shutdown.closed, shutdown.failures.len()), (2, 1));
    assert_eq!(shutdown.left, kept[..2]);
    assert_eq!(
        words(&log).join(", "),
        "d: flush, d: close, c: flush, c: close"
    );
    assert_eq!(logging.handlers(), kept[..2]);
}

/// BEHAVIOURS.md 2.7
#[test]
fn clearing_handlers_frees_names_and_closes_all() {
    let (logging, log) = (Logging::new(), Log::default());
    let [a, b] = handlers(&logging, &log, ["a", "b"]);
    a.set_name("x");
    b.set_name("y");
    logging.set_handler_level("x", Level::ERROR).unwrap();
    assert_eq!(a.level(), Level::ERROR);
    assert_eq!(
        logging
            .set_handler_level("z", Level::ERROR)
            .unwrap_err()
            .to_string(),
        "no handler is named \"z\""
    );
    assert_eq!(logging.clear_handlers().closed, 2);
    assert!(logging.handlers().is_empty() && logging.handler_names().is_empty());
    assert!(logging.set_handler_level("x", Level::ERROR).is_err());
    assert_eq!(
        words(&log).join(", "),
        "b: flush, b: close, a: flush, a: close"
    );
    // Whatever fails; and with the new configuration the names lead to the new handlers.
    let [old] = handlers(&logging, &log, ["old"]);
    let bad = logging.handler(Noted {
        fails: vec![Step::Flush],
        panics: vec![Step::Close],
        ..noted("bad", &log)
    });
    bad.set_name("x");
    let cleared = logging.clear_handlers();
    assert_eq!((cleared.closed, cleared.failures.len()), (2, 2));
    assert_eq!(cleared.failures[0].handler(), Some("x"));
    assert!(cleared.left.is_empty() && old.is_closed());
    let [new] = handlers(&logging, &log, ["new"]);
    new.set_name("x");
    drop((a, b, bad, old));
    assert_eq!(logging.handler_named("x"), Some(new));
}

/// BEHAVIOURS.md 2.8
#[test]
fn there_is_one_logger_of_each_name() {
    let logging = Logging::new();
    let leaf = logging.logger("a.b.c");
    assert_eq!(logging.logger("a.b.c"), leaf);
    assert_ne!(logging.logger("a.b.d"), leaf);
    assert_eq!(leaf.parent(), Some(logging.root()));
    assert_eq!(logging.existing_logger("a.b"), None);
    assert_eq!(logging.logger_names(), ["a.b.c"]);
    assert_eq!(logging.logger(""), logging.root());
    assert_eq!(logging.logger("root"), logging.root());
    assert_eq!(
        (logging.root().name(), logging.root().parent()),
        ("root", None)
    );
    assert_eq!(leaf.name(), "a.b.c");
    // Of many threads, all get the same.
    promptly(|| {
        let logging = Logging::new();
        for n in 0..200 {
            let (name, barrier) = (format!("x.{n}.y"), Barrier::new(4));
            let all: Vec<_> = thread::scope(|scope| {
                let ask = || {
                    barrier.wait();
                    logging.logger(&name)
                };
                let threads = [(); 4].map(|()| scope.spawn(ask));
                threads.map(|thread| thread.join().unwrap()).into()
            });
            assert!(all.iter().all(|logger| *logger == all[0]));
        }
    });
}

/// BEHAVIOURS.md 2.9
#[test]
fn late_parents_adopt_their_children() {
    let logging = Logging::new();
    let leaf = logging.logger("a.b.c");
    let aside = logging.logger("a.x");
    let b = logging.logger("a.b");
    assert_eq!(leaf.parent(), Some(b.clone()));
    assert_eq!(b.parent(), Some(logging.root()));
    let a = logging.logger("a");
    assert_eq!(b.parent(), Some(a.clone()));
    assert_eq!(leaf.parent(), Some(b));
    assert_eq!(aside.parent(), Some(a.clone()));
    // With what is done to them.
    a.set_level(Level::ERROR);
    assert_eq!(leaf.effective_level(), Level::ERROR);
}

#[test]
fn levels_come_from_above_and_records_go_up() {
    let (logging, log) = (Logging::new(), Log::default());
    let [root, middle] = handlers(&logging, &log, ["root", "middle"]);
    let leaf = logging.logger("a.b.c");
    assert!(!leaf.has_handlers());
    assert!(logging.root().add_handler(&root));
    assert!(!logging.root().add_handler(&root));
    logging.logger("a.b").add_handler(&middle);
    assert!(leaf.has_handlers());
    leaf.info(format_args!("not enabled"));
    leaf.warning(format_args!("{}", 1));
    assert_eq!(
        words(&log),
        ["middle: WARNING a.b.c: 1", "root: WARNING a.b.c: 1"]
    );
    logging.logger("a").set_level(Level::DEBUG);
    assert_eq!(leaf.level(), Level::NOTSET);
    root.set_level(Level::INFO);
    leaf.debug(format_args!("2"));
    assert_eq!(words(&log), ["middle: DEBUG a.b.c: 2"]);
    logging.logger("a.b").set_propagates(false);
    leaf.error(format_args!("3"));
    logging.logger("a").error(format_args!("4"));
    assert_eq!(words(&log), ["middle: ERROR a.b.c: 3", "root: ERROR a: 4"]);
    logging.disable(Level::ERROR);
    leaf.error(format_args!("5"));
    leaf.critical(format_args!("6"));
    logging.disable(Level::NOTSET);
    leaf.log(Level::new(41), format_args!("7"));
    assert_eq!(
        words(&log),
        ["middle: CRITICAL a.b.c: 6", "middle: Level 41 a.b.c: 7"]
    );
    assert!(logging.logger("a.b").remove_handler(&middle));
    assert!(!logging.logger("a.b").remove_handler(&middle));
    assert!(!leaf.has_handlers());
}

#[test]
fn what_was_done_to_a_logger_stays_and_names_without_it_do_not() {
    let logging = Logging::new();
    logging.logger("kept.one").set_level(Level::ERROR);
    for n in 0..1000 {
        let logger = logging.logger(&format!("request.{n}"));
        assert!(logger.is_enabled_for(Level::WARNING));
    }
    assert_eq!(logging.logger_names(), ["kept.one"]);
    assert_eq!(logging.logger("kept.one").level(), Level::ERROR);
    // Any depth.
    let deep = logging.logger(&"a.".repeat(2_000));
    assert_eq!(deep.parent(), Some(logging.root()));
    drop(deep);
    assert_eq!(logging.existing_logger("a"), None);
}

/// A sink that logs, with whatever thread, and may not stop anybody.
#[test]
fn sinks_run_without_a_lock_and_their_failures_stay_with_them() {
    promptly(|| {
        struct Talks(&'static Logging, AtomicBool);
        impl Sink for Talks {
            fn write(&self, record: &Record<'_>) -> Result<(), BoxError> {
                if !self.1.swap(true, SeqCst) {
                    let logger = self.0.logger("inner");
                    logger.warning(format_args!("about {record}"));
                    let handler = self.0.handler(Talks(self.0, AtomicBool::new(true)));
                    logger.add_handler(&handler);
                    handler.set_name("talks");
                    thread::spawn(move || logger.remove_handler(&handler))
                        .join()
                        .unwrap();
                    drop(self.0.shutdown(Policy::GoOn));
                }
                Ok(())
            }
        }
        static LOGGING: Logging = Logging::new();
        let told = Log::default();
        let hook = Arc::clone(&told);
        LOGGING.on_failure(move |failure| {
            hook.lock().unwrap().push(failure.to_string());
            panic!("which nobody hears of");
        });
        let log = Log::default();
        let talks = LOGGING.handler(Talks(&LOGGING, AtomicBool::new(false)));
        LOGGING.root().add_handler(&talks);
        let fails = LOGGING.handler(Noted {
            fails: vec![Step::Write, Step::Close],
            ..noted("fails", &log)
        });
        LOGGING.logger("x").add_handler(&fails);
        fails.set_name("x's");
        LOGGING.logger("x").warning(format_args!("1"));
        assert_eq!(words(&told), ["handler \"x's\": write: fails fails"]);
        assert_eq!(
            words(&log),
            ["fails: WARNING x: 1", "fails: flush", "fails: close"]
        );
        // It was closed by the shutdown: refused, and said so.
        LOGGING.logger("x").warning(format_args!("2"));
        let told_now = words(&told);
        assert_eq!(told_now.len(), 2);
        let refused = "handler \"x's\": write: closed; it did not take WARNING x: 2";
        assert_eq!(told_now[0], refused);
        // A last owner that lets go tells the hook.
        let fails = LOGGING.handler(Noted {
            panics: vec![Step::Close],
            ..noted("fails", &log)
        });
        drop(fails);
        assert_eq!(
            words(&told),
            ["a handler without a name: close: panicked: fails panics"]
        );
    });
}

/// Counts what is open and what is written.
struct Counted {
    written: Arc<AtomicUsize>,
    closed: AtomicBool,
    _open: Citizen,
}

impl Sink for Counted {
    fn write(&self, _: &Record<'_>) -> Result<(), BoxError> {
        assert!(!self.closed.load(SeqCst), "written after it was closed");
        self.written.fetch_add(1, SeqCst);
        Ok(())
    }

    fn close(&self) -> Result<(), BoxError> {
        self.closed.store(true, SeqCst);
        Ok(())
    }
}

/// Handlers are rotated while threads log: nothing is lost, nothing stays open.
#[test]
fn rotation_loses_no_record_and_leaves_nothing_open() {
    promptly(|| {
        let (logging, census) = (Logging::new(), Census::new());
        let (written, failures) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let failed = Arc::clone(&failures);
        logging.on_failure(move |_| {
            failed.fetch_add(1, SeqCst);
        });
        let open = || {
            logging.handler(Counted {
                written: Arc::clone(&written),
                closed: AtomicBool::new(false),
                _open: census.citizen(),
            })
        };
        let mut current = open();
        current.set_name("current");
        logging.root().add_handler(&current);
        let running = AtomicUsize::new(3);
        thread::scope(|scope| {
            for n in 0..3 {
                let (logging, running) = (&logging, &running);
                scope.spawn(move || {
                    let logger = logging.logger(&format!("thread.{n}"));
                    (0..2000).for_each(|n| logger.warning(format_args!("{n}")));
                    running.fetch_sub(1, SeqCst);
                });
            }
            while running.load(SeqCst) > 0 {
                let next = open();
                next.set_name("current");
                assert!(logging.root().replace_handler(&current, &next));
                current = next;
                assert_eq!(logging.handler_named("current").as_ref(), Some(&current));
            }
        });
        assert_eq!((written.load(SeqCst), failures.load(SeqCst)), (6000, 0));
        assert_eq!(
            (census.alive(), logging.handlers()),
            (1, vec![current.clone()])
        );
        assert!(logging.root().remove_handler(&current));
        drop(current);
        assert_eq!(census.alive(), 0);
    });
}

#[test]
fn a_file_sink_appends_lines_and_refuses_when_it_is_closed() {
    let path = std::env::temp_dir().join(format!("highlander-log-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let logging = Logging::new();
    let told = Log::default();
    let hook = Arc::clone(&told);
    logging.on_failure(move |failure| hook.lock().unwrap().push(failure.to_string()));
    for round in 0..2 {
        let handler = logging.handler(FileSink::append(&path).unwrap());
        let logger = logging.logger("file");
        logger.add_handler(&handler);
        logger.error(format_args!("round {round}"));
        logger.remove_handler(&handler);
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text
        .lines()
        .map(|line| line.split_once(' ').unwrap().1)
        .collect();
    assert_eq!(lines, ["ERROR file: round 0", "ERROR file: round 1"]);
    let sink = FileSink::append(&path).unwrap();
    sink.close().unwrap();
    let record = Record::new(Level::INFO, format_args!("late"));
    assert_eq!(
        sink.write(&record).unwrap_err().to_string(),
        "the file is closed"
    );
    assert!(words(&told).is_empty());
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn loggers_and_handlers_outlive_their_logging() {
    let log = Log::default();
    let logging = Logging::new();
    let [handler] = handlers(&logging, &log, ["a"]);
    let logger = logging.logger("x.y");
    logger.add_handler(&handler);
    handler.set_name("n");
    drop(logging);
    logger.warning(format_args!("still"));
    assert!(!handler.set_name("m") && !handler.owns_name());
    assert_eq!(words(&log), ["a: WARNING x.y: still"]);
    drop((logger, handler));
    assert_eq!(words(&log), ["a: flush", "a: close"]);
}

/// The one test that may install anything: the process has one logger.
#[cfg(feature = "log")]
#[test]
fn the_log_crate_writes_here() {
    static LOGGING: Logging = Logging::new();
    let log = Log::default();
    LOGGING.install(log::LevelFilter::Trace).unwrap();
    let [handler] = handlers(&LOGGING, &log, ["h"]);
    let mine = |text: &str| words(&log).iter().any(|word| word.contains(text));
    LOGGING.logger("app").add_handler(&handler);
    LOGGING.logger("app.db").set_level(Level::DEBUG);
    log::debug!(target: "app::db::pool", "deep");
    assert!(mine("DEBUG app::db::pool: deep"));
    log::trace!(target: "app::db::pool", "too deep");
    log::debug!(target: "app::web", "aside");
    log::error!(target: "elsewhere", "not below it");
    assert!(words(&log).is_empty());
    assert!(log::log_enabled!(target: "app::db", log::Level::Debug));
    assert!(!log::log_enabled!(target: "app::web", log::Level::Info));
    // Targets make no loggers.
    assert_eq!(LOGGING.existing_logger("app.web"), None);
    log::logger().flush();
    assert_eq!(words(&log), ["h: flush"]);
    static OTHER: Logging = Logging::new();
    assert!(OTHER.install(log::LevelFilter::Trace).is_err());
    let _ = LOGGING.shutdown(Policy::GoOn);
}
