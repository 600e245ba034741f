//! Errors of creations, kept for a time: negative results.

use super::keeper::{Keeper, Limit};
use crate::memory::panics::after;
#[cfg(feature = "async")]
use crate::memory::panics::ended;
use crate::registry::handle::Handle;
use crate::registry::Registry;
use crate::sync::const_fn;
use equivalent::Equivalent;
use std::fmt;
use std::hash::Hash;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

/// Errors of factories by key, each kept for a time: calls within it get a clone, and run no factory.
///
/// A factory asks for them itself, by [`or_try`](Self::or_try). So this works with every call that takes a
/// factory, of every map, with a [`Recent`](super::Recent) on top or without:
/// ```
/// use highlander::error::CreateError;
/// use highlander::{RecentErrors, Registry};
/// use std::time::Duration;
///
/// static PEERS: Registry<String, u16> = Registry::new();
/// static FAILED: RecentErrors<String, &str> = RecentErrors::new(1024, Duration::from_secs(5));
///
/// let peer = |name: &str, result: Result<u16, &'static str>| {
///     PEERS.get_or_try_insert_with(name.into(), |name| FAILED.or_try(name, |_| result))
/// };
/// assert_eq!(peer("glen", Err("no answer")), Err(CreateError::Failed("no answer")));
/// assert_eq!(peer("glen", Ok(80)), Err(CreateError::Failed("no answer")));       // not asked again
///
/// FAILED.clear();
/// assert_eq!(*peer("glen", Ok(80)).unwrap(), 80);
/// ```
/// A live value is found as ever: errors are looked at where the factory would run. So those who wait for a
/// creation that fails get its error too, one after the other, and do not try each for themselves.
///
/// What is kept is what the factory returns, not that the map [refuses](crate::error::Refused) to create:
/// that may be different next time. A success ends an error. A value that comes into the map by other ways,
/// `insert` say, is found, but its death within the time would bring the error back: [`remove`](Self::remove)
/// it then.
///
/// At most `max_capacity` errors are kept; one more, and the oldest goes. None is kept longer than
/// `time_to_live`: then it is not returned any more. Its memory comes back with the next failure or creation,
/// or with [`expire`](Self::expire). Some 40 bytes for each of `max_capacity` are there from the first
/// failure on.
///
/// No user code runs under a lock. *Complexity:* of each call, that of one of a [`Registry`], in a creation
/// that is under way anyhow; of taking an error out before its time, linear in the number that is kept.
pub struct RecentErrors<K: 'static, E: 'static> {
    keeper: Keeper<Handle<K, KeptError<E>>>,
    errors: Registry<K, KeptError<E>>,
    time_to_live: Duration,
}

struct KeptError<E> {
    error: E,
    at: Instant,
}

impl<K: 'static, E: 'static> RecentErrors<K, E> {
    const_fn! {
        /// Creates an empty one. Can be a `static`.
        ///
        /// # Panics
        /// When `max_capacity` is above 2³⁰.
        pub const fn new(max_capacity: usize, time_to_live: Duration) -> Self {
            Self {
                keeper: Keeper::new(max_capacity, Some(Limit::Live(time_to_live))),
                errors: Registry::new(),
                time_to_live,
            }
        }
    }

    /// Takes the time from `clock`, for tests, or one that is quicker to read. It runs with no lock held.
    pub fn with_clock(mut self, clock: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        self.keeper.set_clock(clock);
        self
    }

    /// Forgets all errors, and returns how many there were.
    pub fn clear(&self) -> usize {
        self.keeper.clear()
    }

    /// Forgets all errors, and gives back memory.
    pub fn shrink_to_fit(&self) {
        self.keeper.clear();
        self.errors.shrink_to_fit();
    }

    /// Forgets the errors whose time is over, and returns how many there were.
    pub fn expire(&self) -> usize {
        self.keeper.expire()
    }

    /// Returns the number of errors, with those whose time is over and whose memory has not come back yet.
    pub fn len(&self) -> usize {
        self.keeper.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of errors that are kept at most.
    pub const fn capacity(&self) -> usize {
        self.keeper.capacity()
    }

    /// Returns how long an error is kept.
    pub const fn time_to_live(&self) -> Duration {
        self.time_to_live
    }
}

impl<K: Hash + Eq + 'static, E: 'static> RecentErrors<K, E> {
    /// Forgets the error of this key, and says whether there was one.
    pub fn remove<Q>(&self, key: &Q) -> bool
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        // Its entry goes with its last owner.
        let failure = self.errors.get(key);
        failure.is_some_and(|failure| self.release(&failure) && self.is_fresh(&failure))
    }

    /// Returns the error of this key, if the time has not passed.
    pub fn get<Q>(&self, key: &Q) -> Option<E>
    where
        Q: ?Sized + Hash + Equivalent<K>,
        E: Clone,
    {
        let failure = self.errors.get(key)?;
        // A forgotten one lives on while somebody clones it.
        let is_kept = self.keeper.contains(Handle::identity(&failure));
        let is_there = is_kept && self.is_fresh(&failure);
        let error = is_there.then(|| failure.error.clone());
        after(failure, error)
    }

    fn is_fresh(&self, failure: &KeptError<E>) -> bool {
        let age = self.keeper.now().saturating_duration_since(failure.at);
        age < self.time_to_live
    }

    /// Drops the kept owner. True if there was one.
    fn release(&self, failure: &Handle<K, KeptError<E>>) -> bool {
        self.keeper.release(Handle::identity(failure))
    }
}

impl<K: Clone + Hash + Eq + 'static, E: Clone + 'static> RecentErrors<K, E> {
    /// Returns the error of this key, if there is one; otherwise what `make` returns, and if that is an
    /// error, keeps a clone of it, with one of the key. Called in a factory, which nobody else runs for the
    /// same key meanwhile.
    ///
    /// # Errors
    /// The error that is kept, or whatever `make` returns.
    pub fn or_try<V>(&self, key: &K, make: impl FnOnce(&K) -> Result<V, E>) -> Result<V, E> {
        if let Some(error) = self.get(key) {
            return Err(after(make, error));
        }
        let result = make(key);
        self.record(key, &result);
        result
    }

    /// Returns the error of this key, or what `make` returns: [`or_try`](Self::or_try) that awaits.
    ///
    /// ```
    /// use highlander::{RecentErrors, Registry};
    /// use std::time::Duration;
    ///
    /// static FAILED: RecentErrors<u32, &str> = RecentErrors::new(1024, Duration::from_secs(5));
    /// let peers: Registry<u32, String> = Registry::new();
    ///
    /// pollster::block_on(async {
    ///     let connect = |_: &u32| async { Err("no answer") };
    ///     let peer = peers.get_or_try_insert_async(1, |id| FAILED.or_try_async(*id, connect));
    ///     assert!(peer.await.is_err());
    ///
    ///     let unasked = |_: &u32| async { unreachable!() };
    ///     let peer = peers.get_or_try_insert_async(1, |id| FAILED.or_try_async(*id, unasked));
    ///     assert!(peer.await.is_err());
    /// });
    /// ```
    ///
    /// # Errors
    /// As there.
    #[cfg(feature = "async")]
    pub async fn or_try_async<V, F, T>(&self, key: K, make: F) -> Result<V, E>
    where
        F: FnOnce(&K) -> T,
        T: std::future::Future<Output = Result<V, E>>,
    {
        if let Some(error) = self.get(&key) {
            return Err(after((key, make), error));
        }
        let result = ended!(make(&key));
        self.record(&key, &result);
        after(key, result)
    }

    fn record<V>(&self, key: &K, result: &Result<V, E>) {
        match result {
            Ok(_) => {
                self.remove(key);
            }
            Err(error) => {
                let (key, error) = (key.clone(), error.clone());
                let at = self.keeper.now();
                let (failure, before) = self.errors.insert(key, KeptError { error, at });
                // First, or another one would have to make way.
                if let Some(before) = before {
                    self.release(&before);
                }
                self.keeper
                    .keep(&failure, Handle::identity(&failure), || true);
            }
        }
        self.keeper.tick();
    }
}

impl<K: 'static, E: 'static> fmt::Debug for RecentErrors<K, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecentErrors")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("time_to_live", &self.time_to_live)
            .finish_non_exhaustive()
    }
}

// Why: see "Unwind safety" in ARCHITECTURE.md.
impl<K: 'static + UnwindSafe + RefUnwindSafe, E: 'static + UnwindSafe + RefUnwindSafe> UnwindSafe
    for RecentErrors<K, E>
{
}
impl<K: 'static + UnwindSafe + RefUnwindSafe, E: 'static + UnwindSafe + RefUnwindSafe> RefUnwindSafe
    for RecentErrors<K, E>
{
}
impl<K: 'static, E: 'static> Unpin for RecentErrors<K, E> {}
