//! A piece of work that others may wait for.

use crate::sync::plain::{AtomicU64, Relaxed};
use crate::sync::{AtomicBool, Event, Listener, Mutex, Ordering, Sleeper};
use std::fmt;
use std::sync::Arc;

/// A creation or a destructor, for which others may wait while it goes on.
///
/// Its own thread knows it by its address, others by a number, given when somebody first asks for it.
pub(crate) struct Work {
    /// 0 before it has one.
    number: AtomicU64,
    /// Notifies when its current run has ended; made when somebody waits.
    end: Mutex<Option<Arc<WorkEnd>>>,
}

/// The last number that was given.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// Returns a number that no work has, or ever had.
pub(in crate::deadlock) fn new_number() -> u64 {
    NUMBERS.fetch_add(1, Relaxed) + 1
}

impl Work {
    pub(crate) fn new() -> Self {
        Self {
            number: AtomicU64::new(0),
            end: Mutex::new(None),
        }
    }

    /// Returns a number that no other work has, or ever had.
    pub(crate) fn number(&self) -> u64 {
        let number = self.number.load(Relaxed);
        if number != 0 {
            return number;
        }
        let number = new_number();
        match self.number.compare_exchange(0, number, Relaxed, Relaxed) {
            Ok(_) => number,
            Err(theirs) => theirs,
        }
    }

    /// Returns its number, if anybody has ever asked for that.
    #[inline]
    pub(crate) fn numbered(&self) -> Option<u64> {
        let number = self.number.load(Relaxed);
        (number != 0).then_some(number)
    }

    /// Returns the end of its current run. The caller sees to it that this has not ended yet.
    pub(crate) fn end(&self) -> Arc<WorkEnd> {
        let work = self.number();
        Arc::clone(
            self.end
                .lock()
                .get_or_insert_with(|| Arc::new(WorkEnd::new(work))),
        )
    }

    /// Takes the end of its current run, to be finished.
    #[inline]
    pub(crate) fn take_end(&self) -> Option<Arc<WorkEnd>> {
        self.numbered()?;
        self.end.lock().take()
    }
}

/// All that is given up in the outermost creation of a thread, as one work: it has ended when all of that
/// has. One may own another, so a thread that ends or is about to release one may keep the others.
pub(crate) struct GivenUpGroup {
    work: Work,
    forget: fn(&Work),
}

impl GivenUpGroup {
    pub(in crate::deadlock) fn new(forget: fn(&Work)) -> Self {
        Self {
            work: Work::new(),
            forget,
        }
    }

    pub(crate) fn work(&self) -> &Work {
        &self.work
    }
}

impl Drop for GivenUpGroup {
    fn drop(&mut self) {
        (self.forget)(&self.work);
    }
}

/// The circumstances in which a draft is given up.
#[derive(Clone, Copy)]
pub(crate) struct GivenUp<'a> {
    /// The work of dropping the draft's last reference in the flight.
    pub(crate) release_work: &'a Work,
    /// The others that are given up with it.
    pub(crate) group: Option<&'a Arc<GivenUpGroup>>,
    /// Its own initialisation has failed, and not that of what it needs.
    pub(crate) has_failed: bool,
}

/// The end of one run of a work.
pub(crate) struct WorkEnd {
    /// The work's number.
    pub(in crate::deadlock) work: u64,
    is_over: AtomicBool,
    event: Event,
}

impl WorkEnd {
    fn new(work: u64) -> Self {
        Self {
            work,
            is_over: AtomicBool::new(false),
            event: Event::new(),
        }
    }

    /// Creates the end of what has ended already.
    pub(crate) fn over(work: u64) -> Self {
        let end = Self::new(work);
        end.is_over.store(true, Ordering::Release);
        end
    }

    /// Marks it as over. Returns those who wait, to be notified outside of all locks.
    pub(crate) fn finish(&self) -> Vec<Arc<Sleeper>> {
        // Release: pairs with `listen`.
        self.is_over.store(true, Ordering::Release);
        self.event.take_waiting()
    }

    pub(crate) fn listen(&self) -> Option<Listener<'_>> {
        let listener = self.event.listen();
        // Acquire: pairs with `finish`.
        (!self.is_over.load(Ordering::Acquire)).then_some(listener)
    }
}

/// Writes the name of a work, for the text of an error.
pub(crate) type Describe<'a> = &'a dyn Fn(&mut fmt::Formatter<'_>) -> fmt::Result;

/// Returns the text that `describe` writes.
pub(crate) fn text(describe: Describe<'_>) -> String {
    struct Text<'a>(Describe<'a>);
    impl fmt::Display for Text<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            (self.0)(f)
        }
    }
    Text(describe).to_string()
}
