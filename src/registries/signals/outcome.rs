//! What comes back from a receiver that fails.

use super::receiver_id::ReceiverId;
use crate::registries::lock::lock;
use crate::registries::panic_text::panic_text;
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};

/// Any error, as receivers return it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A receiver has failed: which one, and how.
pub struct Failure {
    receiver: ReceiverId,
    cause: FailureCause,
}

enum FailureCause {
    Error(BoxError),
    // In a lock, so that a failure is `Sync` as errors are expected to be.
    Panic(Mutex<Box<dyn Any + Send>>),
}

impl Failure {
    pub(super) fn error(receiver: ReceiverId, error: BoxError) -> Self {
        Self {
            receiver,
            cause: FailureCause::Error(error),
        }
    }

    pub(super) fn panic(receiver: ReceiverId, payload: Box<dyn Any + Send>) -> Self {
        Self {
            receiver,
            cause: FailureCause::Panic(Mutex::new(payload)),
        }
    }

    /// Which receiver has failed.
    pub fn receiver(&self) -> ReceiverId {
        self.receiver
    }

    /// Whether it has panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.cause, FailureCause::Panic(_))
    }

    /// The error that it has returned.
    ///
    /// *Panics* if it has panicked: its panic goes on here.
    pub fn into_error(self) -> BoxError {
        match self.cause {
            FailureCause::Error(error) => error,
            FailureCause::Panic(payload) => {
                resume_unwind(payload.into_inner().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            FailureCause::Error(error) => error.fmt(f),
            FailureCause::Panic(payload) => {
                let payload = lock(payload);
                write!(f, "a receiver has panicked: {}", panic_text(&**payload))
            }
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("receiver", &self.receiver)
            .field("cause", &format_args!("{self}"))
            .finish()
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            FailureCause::Error(error) => Some(&**error),
            FailureCause::Panic(_) => None,
        }
    }
}
