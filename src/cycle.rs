//! The error of a creation that would wait for itself.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// A creation asked, directly or through others, on its own thread or through several, for the very key that it is creating. Or it was given an unfinished value
/// (see [`Registry::get_or_create_cyclic`](crate::Registry::get_or_create_cyclic)) that another thread has given up since.
///
/// To wait for it would be to wait for ever. The calls named `…_try_…` return this error, the others panic with its text, which names what each
/// creation in the cycle asked for next: the keys, where the map has been told that they can be shown, and otherwise their types.
///
/// ```
/// use highlander::{CycleError, Registry};
///
/// static NODES: Registry<u32, u32> = Registry::new();
/// let result = NODES.get_or_try_insert_with(1, |_| {
///     NODES.get_or_try_insert_with(1, |_| Ok::<_, CycleError>(10)).map(|inner| *inner)
/// });
/// assert!(result.is_err());
/// assert!(NODES.is_empty());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CycleError {
    /// What is being created, each for the one before it.
    chain: Arc<[String]>,
}

impl CycleError {
    pub(crate) fn of(chain: &[String]) -> Self {
        Self {
            chain: chain.into(),
        }
    }

    /// Of a creation that depends on one that was given up.
    pub(crate) fn broken() -> Self {
        Self {
            chain: Arc::new([]),
        }
    }
}

impl fmt::Display for CycleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.chain.is_empty() {
            return f.write_str(
                "an unfinished value that the creation of another one was given has been given up",
            );
        }
        f.write_str("the creation of a value asked for the value that it is creating")?;
        for (at, part) in self.chain.iter().enumerate() {
            write!(
                f,
                "{}{part}",
                if at == 0 { ": " } else { ", which asked for " }
            )?;
        }
        f.write_str(", which asked for the first again")
    }
}

impl fmt::Debug for CycleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CycleError").field(&self.chain).finish()
    }
}

impl Error for CycleError {}

/// So that a factory which opens files needs no error type of its own.
impl From<CycleError> for std::io::Error {
    fn from(error: CycleError) -> Self {
        std::io::Error::other(error)
    }
}

impl From<CycleError> for String {
    fn from(error: CycleError) -> Self {
        error.to_string()
    }
}
