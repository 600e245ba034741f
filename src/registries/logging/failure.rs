//! What goes wrong in sinks, and who is told.

use crate::memory::panics::discard;
use crate::registries::panic_text::panic_text;
use crate::sync::Mutex;
use std::error::Error;
use std::fmt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

/// Any error, as sinks return it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What was to be done by a sink.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// To write a record.
    Write,
    /// To bring out what it has not written yet.
    Flush,
    /// To give back what it holds.
    Close,
}

/// A sink has not done what it was to do. A panic of it is an error too.
#[derive(Debug)]
pub struct Failure {
    handler: Option<String>,
    step: Step,
    error: BoxError,
}

impl Failure {
    pub(super) fn new(handler: Option<String>, step: Step, error: BoxError) -> Self {
        Self {
            handler,
            step,
            error,
        }
    }

    /// The name that the handler had, if it had one.
    pub fn handler(&self) -> Option<&str> {
        self.handler.as_deref()
    }

    /// What it was to do.
    pub fn step(&self) -> Step {
        self.step
    }

    /// What it has said.
    pub fn error(&self) -> &BoxError {
        &self.error
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.handler {
            Some(name) => write!(f, "handler {name:?}: ")?,
            None => f.write_str("a handler without a name: ")?,
        }
        f.write_str(match self.step {
            Step::Write => "write: ",
            Step::Flush => "flush: ",
            Step::Close => "close: ",
        })?;
        self.error.fmt(f)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.error)
    }
}

/// Calls a sink; its panic is an error.
pub(super) fn attempt(f: impl FnOnce() -> Result<(), BoxError>) -> Result<(), BoxError> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let error = format!("panicked: {}", panic_text(&*panic)).into();
        discard(panic);
        Err(error)
    })
}

/// Whether a shutdown goes on after a failure.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Policy {
    /// All have their turn.
    #[default]
    GoOn,
    /// The handler that has failed is closed all the same; those behind it are left open.
    StopAtFailure,
}

type FailureCallback = Arc<dyn Fn(&Failure) + Send + Sync>;

/// Who is told of failures that have nobody to return to.
#[derive(Default)]
pub(super) struct FailureHook(Mutex<Option<FailureCallback>>);

impl FailureHook {
    pub(super) fn set(&self, hook: FailureCallback) {
        let mut place = self.0.lock();
        let old = place.replace(hook);
        drop(place);
        drop(old);
    }

    pub(super) fn tell(&self, failure: Failure) {
        let place = self.0.lock();
        let hook = place.clone();
        drop(place);
        // It may be called by a destructor, in an unwinding even. So nothing that is dropped here may panic
        // either.
        let told = catch_unwind(AssertUnwindSafe(|| match &hook {
            Some(hook) => hook(&failure),
            None => eprintln!("logging: {failure}"),
        }));
        discard(told);
        discard(failure);
        discard(hook);
    }
}
