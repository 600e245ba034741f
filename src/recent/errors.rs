//! Errors of creations, kept for a time: a negative cache.

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

/// Errors of factories by key, each kept for a time. Calls within that time get a clone, and run no factory.
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
/// A live value is found as always: errors are looked up only where the factory would run. So if a creation
/// fails, the callers that wait for it get its error too, one after the other, and do not each try for
/// themselves.
///
/// Only the errors of the factory are kept, and not that the map [refuses](crate::error::Refused) to create:
/// that may be different next time. A success ends an error. A value that comes into the map in another way,
/// such as `insert`, is found. But if it dies within the time, the error comes back: [`remove`](Self::remove)
/// it then.
///
/// At most `max_capacity` errors are kept; with one more, the oldest goes. None is returned after
/// `time_to_live`. Its memory comes back with the next failure or creation, or with [`expire`](Self::expire).
/// Some 40 bytes for each of `max_capacity` are there from the first failure on.
///
/// No user code runs under a lock. *Complexity:* each call costs as much as one of a [`Registry`], in a
/// creation that is under way anyhow. To take an error out before its time is linear in the number of errors.
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

    /// Takes the time from `clock`, for tests, or from one that is quicker to read. It runs with no lock
    /// held.
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

    /// Returns the number of errors, including those whose time is over and whose memory has not come back
    /// yet.
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
    /// Forgets the error of this key. Returns whether there was one.
    pub fn remove<Q>(&self, key: &Q) -> bool
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        // Its entry in the registry goes with its last owner.
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
        // A forgotten error lives on while another call clones it.
        let is_kept = self.keeper.contains(Handle::identity(&failure));
        let is_there = is_kept && self.is_fresh(&failure);
        let error = is_there.then(|| failure.error.clone());
        after(failure, error)
    }

    fn is_fresh(&self, failure: &KeptError<E>) -> bool {
        let age = self.keeper.now().saturating_duration_since(failure.at);
        age < self.time_to_live
    }

    /// Drops the kept owner. Returns true if there was one.
    fn release(&self, failure: &Handle<K, KeptError<E>>) -> bool {
        self.keeper.release(Handle::identity(failure))
    }
}

impl<K: Clone + Hash + Eq + 'static, E: Clone + 'static> RecentErrors<K, E> {
    /// Returns the error of this key, if there is one; otherwise the result of `make`. If that is an error,
    /// keeps clones of it and of the key. Called in a factory, which no other thread runs for the same key
    /// meanwhile.
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

    /// Returns the error of this key, or the output of `make`: [`or_try`](Self::or_try) that awaits.
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
    /// As [`or_try`](Self::or_try).
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
                // First, as otherwise another error might have to go.
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
