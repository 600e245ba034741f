//! The traits of a strong pointer and its weak twin, and how a value reports its death.

pub(crate) mod keying;
pub(crate) mod notify;
pub(crate) mod token;
pub(crate) mod traits;
pub(crate) mod watched;
pub(crate) mod watched_inner;
pub(crate) mod watchers;

pub use notify::Notify;
pub use token::Token;
pub use traits::{DeathReport, Reported, ReportedLate, ReportedWithEnd, Unreported};
pub use traits::{Pointer, Quiet, SyncPointer, WeakPointer};
pub use watched::{Watched, WeakWatched};
pub use watched_inner::WatchedInner;
pub use watchers::Registration;
