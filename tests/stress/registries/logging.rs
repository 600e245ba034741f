//! Records on their way while handlers are rotated, renamed, closed and dropped. Each record counts how often it is shown: once by a sink, or once where it is refused.

use super::rounds;
use crate::common::{forever, Dice};
use crate::support::{for_a_while, Counts, Sealed};
use highlander::registries::logging::{
    BoxError, Handler, Level, Logger, Logging, Policy, Record, Sink, Step,
};
use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::Mutex;
use std::time::Duration;

/// Says that it is shown.
struct Ticket(Cell<usize>);

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.set(self.0.get() + 1);
        f.write_str("ticket")
    }
}

#[derive(Default)]
struct Scene {
    logging: Logging,
    counts: Counts,
    /// What has gone wrong where nobody may panic.
    wrong: Mutex<Vec<String>>,
    opened: AtomicUsize,
    closed: AtomicUsize,
    refused: AtomicUsize,
    /// Where all records go.
    current: Mutex<Option<Handler>>,
    /// Handlers that several threads have.
    shared: Mutex<Vec<Handler>>,
}

struct Counted {
    sealed: Sealed<'static>,
    scene: &'static Scene,
    flushed: AtomicBool,
    closed: AtomicBool,
    /// Whether somebody may close it while records are on their way.
    is_closed_early: bool,
}

impl Counted {
    fn wrong(&self, what: &str) {
        self.scene.wrong.lock().unwrap().push(what.into());
    }
}

impl Sink for Counted {
    fn write(&self, record: &Record<'_>) -> Result<(), BoxError> {
        self.sealed.assert_alive(9);
        if self.closed.load(SeqCst) && !self.is_closed_early {
            self.wrong("written after the close");
        }
        let _ = record.to_string();
        Ok(())
    }

    fn flush(&self) -> Result<(), BoxError> {
        self.sealed.assert_alive(9);
        self.flushed.store(true, SeqCst);
        Ok(())
    }

    fn close(&self) -> Result<(), BoxError> {
        self.sealed.assert_alive(9);
        if !self.flushed.load(SeqCst) {
            self.wrong("closed before it was flushed");
        }
        if self.closed.swap(true, SeqCst) {
            self.wrong("closed twice");
        }
        self.scene.closed.fetch_add(1, SeqCst);
        Ok(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if !self.closed.load(SeqCst) {
            self.wrong("dropped before it was closed");
        }
    }
}

impl Scene {
    fn handler(&'static self, is_closed_early: bool) -> Handler {
        self.opened.fetch_add(1, SeqCst);
        self.logging.handler(Counted {
            sealed: Sealed::new(9, &self.counts),
            scene: self,
            flushed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            is_closed_early,
        })
    }

    fn log(&self, logger: &Logger) {
        let ticket = Ticket(Cell::new(0));
        logger.error(format_args!("{ticket}"));
        assert_eq!(ticket.0.get(), 1, "a record is lost, or there twice");
    }

    fn rotate(&'static self, closes: bool) {
        let mut current = self.current.lock().unwrap();
        let (root, next) = (self.logging.root(), self.handler(closes));
        let replaced = match &*current {
            Some(old) => root.replace_handler(old, &next),
            None => root.add_handler(&next),
        };
        assert!(replaced && !root.add_handler(&next));
        let old = current.replace(next);
        drop(current);
        drop(old);
    }
}

struct Mine {
    thread: usize,
    handler: Handler,
    loggers: Vec<Logger>,
}

const NAMES: [&str; 6] = ["a", "a.b", "a.b.c", "a.b.d", "e", "e.f.g.h"];

fn work(scene: &'static Scene, closes: bool, mine: &mut Mine, dice: &mut Dice) {
    let logging = &scene.logging;
    match dice.below(12) {
        0 => scene.rotate(closes),
        1 => {
            let handler = scene.handler(closes);
            assert!(closes || logging.handlers().contains(&handler));
            scene.shared.lock().unwrap().push(handler);
        }
        2 => {
            let mut shared = scene.shared.lock().unwrap();
            let len = shared.len();
            let gone = (len > 0).then(|| shared.swap_remove(dice.below(len)));
            drop(shared);
            drop(gone);
        }
        3 => {
            // A name that others take away, and one that nobody else uses.
            let shared = scene.shared.lock().unwrap().first().cloned();
            if let Some(handler) = shared {
                handler.set_name(["x", "y", ""][dice.below(3)]);
            }
            let own = format!("own {} {}", mine.thread, dice.below(2));
            let named = mine.handler.set_name(&own);
            match logging.handler_named(&own) {
                // Or its predecessor, which somebody is still closing.
                Some(found) => assert!(found == mine.handler || closes && !named, "{named}"),
                // Somebody is clearing all names, and has not closed this one yet.
                None => assert!(closes || !named),
            }
        }
        4 if closes => {
            let shared = scene.shared.lock().unwrap().last().cloned();
            if let Some(handler) = shared {
                assert!(handler.close().is_empty());
                assert!(handler.is_closed() && !logging.handlers().contains(&handler));
            }
        }
        5 if closes && dice.below(8) == 0 => {
            let policy = [Policy::GoOn, Policy::StopAtFailure][dice.below(2)];
            let shutdown = match dice.below(2) {
                0 => logging.shutdown(policy),
                _ => logging.clear_handlers(),
            };
            assert!(shutdown.failures.is_empty() && shutdown.left.is_empty());
        }
        6 => assert!(logging.flush().is_empty()),
        7 => mine.loggers.clear(),
        8 => {
            // Its own handler, on top of the one for all.
            let logger = logging.logger(&format!("t{}.x", mine.thread));
            if mine.handler.is_closed() {
                mine.handler = scene.handler(closes);
            }
            assert!(logger.add_handler(&mine.handler));
            let ticket = Ticket(Cell::new(0));
            logger.error(format_args!("{ticket}"));
            assert_eq!(ticket.0.get(), 2);
            assert!(logger.remove_handler(&mine.handler) && !logger.remove_handler(&mine.handler));
        }
        _ => {
            let name = NAMES[dice.below(NAMES.len())];
            let logger = logging.logger(name);
            assert_eq!(
                (logger.name(), logging.logger(name) == logger),
                (name, true)
            );
            if dice.below(64) == 0 {
                logger.set_level(Level::WARNING);
            }
            mine.loggers.push(logger);
        }
    }
    let logger = mine
        .loggers
        .last()
        .cloned()
        .unwrap_or_else(|| logging.root());
    scene.log(&logger);
    mine.loggers.truncate(4);
}

pub(crate) fn logging(limit: Duration) {
    rounds(limit, |limit| {
        for closes in [false, true] {
            let scene: &'static Scene = forever(Scene::default());
            scene.logging.on_failure(move |failure| {
                // It shows the record.
                let text = failure.to_string();
                scene.refused.fetch_add(1, SeqCst);
                if failure.step() != Step::Write
                    || !text.contains("closed; it did not take")
                    || !closes
                {
                    scene.wrong.lock().unwrap().push(text);
                }
            });
            scene.rotate(closes);
            let start = |thread| Mine {
                thread,
                handler: scene.handler(closes),
                loggers: Vec::new(),
            };
            for_a_while(limit / 2, 4, start, |mine, dice| {
                work(scene, closes, mine, dice)
            });
            let last = scene.current.lock().unwrap().take().unwrap();
            assert!(scene.logging.root().remove_handler(&last));
            drop(last);
            scene.shared.lock().unwrap().clear();
            assert_eq!(*scene.wrong.lock().unwrap(), [""; 0]);
            assert!(scene.logging.handlers().is_empty());
            assert_eq!(scene.logging.handler_names(), [""; 0]);
            let kept = scene.logging.logger_names();
            assert!(
                kept.iter()
                    .all(|name| NAMES.contains(&&**name) || name.starts_with('t')),
                "{kept:?}"
            );
            let counted = (scene.opened.load(SeqCst), scene.closed.load(SeqCst));
            assert_eq!(counted.0, counted.1, "each sink is closed once");
            scene.counts.assert_balanced();
        }
    });
}
