//! Sinks, hooks and errors that panic where that is least expected.

use super::{noted, words, Log};
use highlander::registries::logging::{
    BoxError, Failure, Handler, Logging, Policy, Record, Sink, Step,
};
use std::fmt;
use std::panic::{panic_any, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};

/// Panics when it is dropped.
#[derive(Debug)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        // Without the panic hook, which would print.
        resume_unwind(Box::new("a bomb"));
    }
}

impl fmt::Display for Bomb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bomb")
    }
}

impl std::error::Error for Bomb {}

/// Says so when it is closed, and then lets go of what it has; its own drop panics.
struct Mined {
    name: &'static str,
    log: Log,
    has: Mutex<Vec<Handler>>,
    _bomb: Bomb,
}

impl Sink for Mined {
    fn write(&self, _: &Record<'_>) -> Result<(), BoxError> {
        Ok(())
    }

    fn close(&self) -> Result<(), BoxError> {
        self.log.lock().unwrap().push(self.name.into());
        let has = std::mem::take(&mut *self.has.lock().unwrap());
        drop(has);
        Ok(())
    }
}

fn mined(logging: &Logging, log: &Log, name: &'static str, has: Vec<Handler>) -> Handler {
    logging.handler(Mined {
        name,
        log: Arc::clone(log),
        has: Mutex::new(has),
        _bomb: Bomb,
    })
}

fn told(logging: &Logging) -> Log {
    let log = Log::default();
    let told = Arc::clone(&log);
    logging.on_failure(move |failure| told.lock().unwrap().push(failure.to_string()));
    log
}

#[test]
fn a_sink_whose_drop_panics_holds_up_no_shutdown() {
    let (logging, log) = (Logging::new(), Log::default());
    let told = told(&logging);
    let oldest = mined(&logging, &log, "oldest", vec![]);
    let middle = mined(&logging, &log, "middle", vec![]);
    let newest = mined(&logging, &log, "newest", vec![middle]);
    // When the newest is closed, the shutdown is the last owner of the one before.
    let shutdown = logging.shutdown(Policy::GoOn);
    assert_eq!(words(&log), ["newest", "middle", "oldest"]);
    assert_eq!((shutdown.closed, shutdown.failures.len()), (3, 0));
    assert_eq!(
        words(&told),
        ["a handler without a name: close: panicked: a bomb"]
    );
    drop((oldest, newest));
    assert_eq!(words(&told).len(), 2);
}

#[test]
fn a_sink_whose_drop_panics_does_not_reach_who_logs() {
    let (logging, log) = (Logging::new(), Log::default());
    let told = told(&logging);
    let handler = mined(&logging, &log, "mined", vec![]);
    handler.set_name("mined");
    let root = logging.root();
    root.add_handler(&handler);
    drop(handler);
    let last = logging.handlers().remove(0);
    assert!(root.remove_handler(&last));
    drop(last);
    assert_eq!(words(&log), ["mined"]);
    assert_eq!(words(&told), ["handler \"mined\": close: panicked: a bomb"]);
    assert!(logging.handlers().is_empty() && logging.handler_names().is_empty());
}

/// Errors of a kind, in each step.
struct Failing(fn() -> Result<(), BoxError>);

impl Sink for Failing {
    fn write(&self, _: &Record<'_>) -> Result<(), BoxError> {
        (self.0)()
    }
}

#[test]
fn neither_hooks_nor_errors_that_panic_reach_who_logs() {
    let hooks: [fn(&Failure); 3] = [
        |_| {},
        |_| resume_unwind(Box::new("the hook")),
        // What a panic carries may panic too.
        |_| panic_any(Bomb),
    ];
    let errors: [fn() -> Result<(), BoxError>; 3] = [
        || Err("no".into()),
        || Err(Box::new(Bomb)),
        || resume_unwind(Box::new(Bomb)),
    ];
    for hook in hooks {
        for error in errors {
            let logging = Logging::new();
            let calls = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&calls);
            logging.on_failure(move |failure| {
                counted.fetch_add(1, SeqCst);
                assert_eq!(failure.step(), Step::Write);
                hook(failure);
            });
            let handler = logging.handler(Failing(error));
            logging.root().add_handler(&handler);
            logging.root().error(format_args!("!"));
            logging.root().error(format_args!("!"));
            assert_eq!(calls.load(SeqCst), 2);
        }
    }
}

/// A hook that is replaced while it is told of something is dropped there.
#[test]
fn a_hook_that_panics_when_it_is_dropped_does_not_reach_who_logs() {
    static LOGGING: Logging = Logging::new();
    let bomb = Bomb;
    LOGGING.on_failure(move |_| {
        let _ = &bomb;
        LOGGING.on_failure(|_| {});
    });
    let handler = LOGGING.handler(Failing(|| Err("no".into())));
    LOGGING.root().add_handler(&handler);
    LOGGING.root().error(format_args!("!"));
    LOGGING.root().remove_handler(&handler);
}

/// What is seen of a handler by its own sink while it is closed.
#[test]
fn a_handler_that_is_being_closed_is_in_no_list() {
    static LOGGING: Logging = Logging::new();
    static SEEN: OnceLock<Vec<Handler>> = OnceLock::new();
    struct Curious(Log);
    impl Sink for Curious {
        fn write(&self, _: &Record<'_>) -> Result<(), BoxError> {
            Ok(())
        }
        fn close(&self) -> Result<(), BoxError> {
            let _ = SEEN.set(LOGGING.handlers());
            self.0.lock().unwrap().push("closed".into());
            Ok(())
        }
    }
    let log = Log::default();
    let other = LOGGING.handler(noted("other", &log));
    let curious = LOGGING.handler(Curious(Arc::clone(&log)));
    assert_eq!(LOGGING.handlers().len(), 2);
    assert!(curious.close().is_empty());
    assert_eq!(SEEN.get().unwrap()[..], [other]);
}
