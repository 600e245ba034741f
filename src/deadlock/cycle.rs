//! The error of a creation that would wait for itself.

use crate::deadlock::frames::Asker;
use crate::deadlock::waits::{Cycle, WillWait};
use crate::deadlock::work::WorkEnd;
use crate::sync::AroundSleep;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// A creation asked, directly or through others, on one thread or several, for the key that it is creating.
///
/// To wait for it would be to wait for ever. The calls named `…_try_…` return this error, the others panic
/// with its text, which names what each creation in the cycle asked for next: the keys, where the map has
/// been told that they can be shown, and otherwise their types.
///
/// A caller that can do its work again gives up what it is creating, [waits](Self::wait) for the creation on
/// the other thread, and tries again.
///
/// ```
/// use highlander::error::CycleError;
/// use highlander::Registry;
///
/// static NODES: Registry<u32, u32> = Registry::new();
/// let result = NODES.get_or_try_insert_with(1, |_| {
///     NODES.get_or_try_insert_with(1, |_| Ok::<_, CycleError>(10)).map(|inner| *inner)
/// });
/// assert!(result.is_err());
/// assert!(NODES.is_empty());
/// ```
#[derive(Clone)]
pub struct CycleError {
    /// The works, each of which asked for the next.
    chain: Arc<[String]>,
    /// The end of what was asked for, if that is on another thread.
    end: Option<Arc<WorkEnd>>,
    /// The hook around the sleep of a caller that waits for that end.
    around: AroundSleep,
}

impl CycleError {
    /// Creates the error of a thread that has asked for what it is in the middle of.
    pub(crate) fn on_one_thread(chain: Vec<String>) -> Self {
        Self {
            chain: chain.into(),
            end: None,
            around: AroundSleep::NOTHING,
        }
    }

    /// Creates the error of a caller that can wait for the end of what it asked for.
    pub(crate) fn of(cycle: Cycle, end: Arc<WorkEnd>) -> Self {
        Self {
            chain: cycle.chain.into(),
            end: (!cycle.is_own).then_some(end),
            around: AroundSleep::NOTHING,
        }
    }

    /// Sets the hook, that of the map that has refused.
    pub(crate) fn around(mut self, around: AroundSleep) -> Self {
        self.around = around;
        self
    }

    /// Returns whether the whole cycle is on the thread that asked: then there is nobody to wait for.
    pub fn is_on_one_thread(&self) -> bool {
        self.end.is_none()
    }

    /// Waits until the creation that was asked for has ended, well or not. It is on another thread, and may
    /// have waited for what the caller was creating: so the caller gives that up first. Returns at once if it
    /// has ended.
    ///
    /// *Waiting:* asleep, in the [hook](crate::map::Map::around_sleep) of the map that has refused, if it has
    /// one.
    ///
    /// # Errors
    /// This error again, if there is no other thread to wait for; another one, if the caller is in the middle
    /// of something that the other creation waits for.
    ///
    /// ```
    /// use highlander::error::Refused;
    /// use highlander::Registry;
    ///
    /// /// Creates one, which asks for the other, as often as it takes.
    /// fn one(registry: &Registry<&'static str, u32>) -> Result<u32, Refused> {
    ///     loop {
    ///         let made = registry.get_or_try_insert_with("one", |_| {
    ///             let other = registry.get_or_try_insert_with("other", |_| Ok::<_, Refused>(1))?;
    ///             Ok(*other + 1)
    ///         });
    ///         match made.map_err(Refused::from) {
    ///             Err(Refused::Cycle(cycle)) => cycle.wait()?,
    ///             made => return made.map(|one| *one),
    ///         }
    ///     }
    /// }
    /// assert_eq!(one(&Registry::new()), Ok(2));
    /// ```
    pub fn wait(&self) -> Result<(), CycleError> {
        let Some(end) = &self.end else {
            return Err(self.clone());
        };
        if let Some(listener) = end.listen() {
            let waiting = WillWait::find(Asker::Thread).begin(end.work);
            let refused = |cycle| Self::of(cycle, Arc::clone(end)).around(self.around);
            let _waiting = waiting.map_err(refused)?;
            self.around.run(&mut || listener.wait());
        }
        Ok(())
    }
}

impl PartialEq for CycleError {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain
    }
}

impl Eq for CycleError {}

impl fmt::Display for CycleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the creation of a value asked for the value that it is creating")?;
        for (at, part) in self.chain.iter().enumerate() {
            let before = if at == 0 { ": " } else { ", which asked for " };
            write!(f, "{before}{part}")?;
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
