//! A layer on a map with weak values that keeps alive what was used lately.
//!
//! The maps know nothing of it: it owns values as any caller may. `keeper` bounds what it owns, in number and
//! in time; `queue` is the list of that; `maps` has the traits that it needs of a map; `errors` keeps errors
//! of creations.

mod errors;
mod keeper;
mod maps;
mod queue;

pub use errors::RecentErrors;
pub use maps::WeakValued;

use crate::create::creator::{Creating, LiveEntryOf, StoredOf};
#[cfg(feature = "async")]
use crate::create::entry::EntryFuture;
use crate::create::entry::{
    self, AnyLive, BorrowedKey, Condition, Entry, FromRef, Gives, Output, Owned, OwnedKey,
};
use crate::create::error::CreateError;
use crate::deadlock::frames;
use crate::sync::const_fn;
use keeper::{Keeper, Limit};
use maps::{Identifies, LooksUp};
use std::fmt;
#[cfg(feature = "async")]
use std::future::Future;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

/// An entry of a [`Recent`].
type EntryOf<'a, M> =
    Entry<'a, <M as WeakValued>::Map, OwnedKey<<M as WeakValued>::Key>, AnyLive, Kept<'a, M>>;

/// Keeps the values of a map that were used last, so that these do not die between two uses.
///
/// ```
/// use highlander::{Recent, Registry};
///
/// static CLASSES: Recent<Registry<u32, String>> = Recent::new(Registry::new(), 64);
///
/// CLASSES.get_or_insert_with(7, |id| format!("class {id}"));               // nobody holds it ...
/// let again = CLASSES.get_or_insert_with(7, |_| unreachable!("kept"));     // ... but the layer does
/// assert_eq!(*again, "class 7");
///
/// drop(again);
/// CLASSES.clear();
/// assert!(CLASSES.get(&7).is_none());
/// ```
/// It can own the map, or lead to it by a reference or an `Arc`: `Recent<&'static Registry<K, V>>` is a layer
/// on top of a `static` that others use without the layer.
///
/// # What is kept
/// The layer keeps an owner of each value that one of its calls has returned, up to `max_capacity` of them.
/// When one more comes, another one goes. Of values that are each used once, exactly the last `max_capacity`
/// are kept. Values that are used again while they are kept may take half of the room from the others, in the
/// long run those that are used most. So a walk over very many values does not drive them out. The last
/// `max_capacity / 2` that came, and at least one, are kept in any case. A value that has not been used while
/// everything was replaced many times over goes in the end.
///
/// With [`time_to_idle`](Self::time_to_idle), values that are not used go earlier.
///
/// In the middle of a creation in two steps (`or_create_cyclic`), or of one that has got a value which is not
/// complete, nothing more is kept on that thread: the value may be given up together with what it needs.
///
/// It is no cache of look-ups. Every look-up asks the map, and returns its answer: a value that was removed
/// or replaced there is not found through the layer. (It may still be kept for a while;
/// [`release`](Self::release) ends that.) A value that is alive because others own it is found, whether it is
/// kept or not.
///
/// # Your code, and waiting
/// Creations are those of the map: one flight for each key, whether it is asked through the layer or not. A
/// value that goes is dropped with no lock held, in the call that made it go; its destructor may use the
/// layer. If the destructor panics, the panic goes to the caller of that call, and the layer keeps the value
/// no longer. In [`clear`](Self::clear) and the like it keeps none of the others either.
///
/// A use of a kept value takes no lock and mostly writes nothing. All calls that take in another value, or
/// let values go, lock the list for a few steps, or for as many as values are kept; no user code is among
/// them. One thread may use a value in the very moment in which another one makes it go; then it is not kept
/// any more.
///
/// A value that owns the layer that keeps it does not die until the layer is cleared. Dropped, the layer
/// drops its owners.
///
/// # Memory
/// About 40 bytes for each of `max_capacity`, from the first use on, and an owner for each value.
/// [`shrink_to_fit`](Self::shrink_to_fit) gives back what is kept, not these.
pub struct Recent<M: WeakValued> {
    // Before the map: the values are dropped while it is there.
    keeper: Keeper<M::Owner>,
    map: M,
}

impl<M: WeakValued> Recent<M> {
    const_fn! {
        /// Creates a layer on top of `map` that keeps up to `max_capacity` values; with 0, none. Can be a
        /// `static`.
        ///
        /// # Panics
        /// When `max_capacity` is above 2³⁰.
        pub const fn new(map: M, max_capacity: usize) -> Self {
            Self {
                keeper: Keeper::new(max_capacity, None),
                map,
            }
        }
    }

    /// Drops also values that have not been used for `time`: not before that, and a quarter later at most.
    ///
    /// There is no thread that does it. They go in the first call of the layer after that time, whatever its
    /// key, but not in a call that uses them. If there might be no calls, call [`expire`](Self::expire) from
    /// time to time. A layer with a time reads the clock in each call, which costs more than the rest of the
    /// call. It looks at all kept values at most eight times in that time.
    ///
    /// ```
    /// use highlander::{Recent, Registry};
    /// use std::sync::{Arc, Mutex};
    /// use std::time::{Duration, Instant};
    ///
    /// let now = Arc::new(Mutex::new(Instant::now()));
    /// let clock = Arc::clone(&now);
    /// let recent: Recent<Registry<u32, String>> = Recent::new(Registry::new(), 64)
    ///     .time_to_idle(Duration::from_secs(60))
    ///     .with_clock(move || *clock.lock().unwrap());             // for tests
    ///
    /// recent.get_or_insert_with(1, |_| "one".into());
    /// *now.lock().unwrap() += Duration::from_secs(60);
    /// assert!(recent.get(&1).is_some());
    /// *now.lock().unwrap() += Duration::from_secs(75);
    /// assert_eq!(recent.expire(), 1);
    /// assert!(recent.get(&1).is_none());
    /// ```
    pub const fn time_to_idle(mut self, time: Duration) -> Self {
        self.keeper.set_limit(Limit::Idle(time));
        self
    }

    /// Takes the time from `clock`, for tests, or from one that is quicker to read. It runs with no lock
    /// held.
    pub fn with_clock(mut self, clock: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        self.keeper.set_clock(clock);
        self
    }

    /// Returns the map: for values that are not to be kept, and for calls that the layer does not have.
    #[inline]
    pub fn map(&self) -> &M::Map {
        self.map.map()
    }

    /// Returns the live value of this key, which counts as used and is kept; none if there is none in the
    /// map.
    ///
    /// *Runs* and *waits* as the map's `get`; for the rest see [above](Self#your-code-and-waiting).
    ///
    /// ```
    /// use highlander::{Recent, Registry};
    ///
    /// static CLASSES: Recent<Registry<u32, String>> = Recent::new(Registry::new(), 64);
    ///
    /// assert!(CLASSES.get(&7).is_none());
    /// CLASSES.map().insert(7, "class 7".into());      // dies at once: nobody holds it
    /// assert!(CLASSES.get(&7).is_none());
    /// CLASSES.get_or_insert_with(7, |_| "class 7".into());
    /// assert!(CLASSES.get(&7).is_some());
    /// ```
    #[inline]
    #[allow(private_bounds)] // What the map's `get` takes.
    pub fn get<Q: ?Sized>(&self, key: &Q) -> Option<M::Owner>
    where
        M::Map: LooksUp<Q>,
    {
        match self.map().look_up(key) {
            Some(owner) => Some(self.kept(owner)),
            None => {
                self.keeper.tick();
                None
            }
        }
    }

    /// Selects one key of the map, as the map's own `entry` does. The value that comes back counts as used
    /// and is kept. Of a failure nothing is kept, unless the factory uses a [`RecentErrors`]. The value with
    /// which the vacancy of a [claim](Entry::claim) is filled is kept when it is [handed over](Self::keep).
    ///
    /// ```
    /// use highlander::{Recent, WeakValueMap};
    /// use std::{fs::File, io, path::{Path, PathBuf}, sync::Arc};
    ///
    /// static FILES: Recent<WeakValueMap<PathBuf, Arc<File>>> = Recent::new(WeakValueMap::new(), 16);
    ///
    /// fn open(path: &Path) -> io::Result<Arc<File>> {
    ///     Ok(FILES.entry_ref(path).or_try_insert_with(|path| File::open(path).map(Arc::new))?)
    /// }
    /// assert_eq!(open(Path::new("no such file")).unwrap_err().kind(), io::ErrorKind::NotFound);
    /// assert_eq!(FILES.len(), 0);
    /// ```
    #[inline]
    pub fn entry(&self, key: M::Key) -> EntryOf<'_, M> {
        Entry::with_output(self.map(), OwnedKey(key), Kept(self))
    }

    /// Selects one key by a borrowed form of it, as [`entry`](Self::entry) does. The key is made on a miss
    /// only.
    #[inline]
    #[allow(private_bounds)] // What the map's `entry_ref` takes.
    pub fn entry_ref<'q, Q: ?Sized>(
        &self,
        key: &'q Q,
    ) -> Entry<'_, M::Map, BorrowedKey<'q, Q>, AnyLive, Kept<'_, M>>
    where
        M::Map: entry::Asks<Q>,
    {
        let to_key = FromRef;
        let key = BorrowedKey { asked: key, to_key };
        Entry::with_output(self.map(), key, Kept(self))
    }

    /// Returns the live value of this key, created if there is none; it counts as used and is kept. The short
    /// form of [`entry`](Self::entry) with [`or_insert_with`](Entry::or_insert_with).
    ///
    /// # Panics
    /// As the map's call of that name.
    #[inline]
    pub fn get_or_insert_with(
        &self,
        key: M::Key,
        make: impl FnOnce(&M::Key) -> M::Value,
    ) -> M::Owner {
        self.entry(key).or_insert_with(make)
    }

    /// Returns the live value, created by a factory that may fail: see
    /// [`get_or_insert_with`](Self::get_or_insert_with).
    ///
    /// # Errors
    /// As the map's call of that name.
    #[inline]
    pub fn get_or_try_insert_with<E>(
        &self,
        key: M::Key,
        make: impl FnOnce(&M::Key) -> Result<M::Value, E>,
    ) -> Result<M::Owner, CreateError<E>> {
        self.entry(key).or_try_insert_with(make)
    }

    /// Returns the live value, created by a factory that awaits: see
    /// [`get_or_insert_with`](Self::get_or_insert_with).
    ///
    /// # Panics
    /// As the map's call of that name.
    #[cfg(feature = "async")]
    pub fn get_or_insert_async<'a, F, T>(
        &'a self,
        key: M::Key,
        make: F,
    ) -> EntryFuture<'a, EntryOf<'a, M>, F, M::Owner, T>
    where
        F: FnOnce(&M::Key) -> T + 'a,
        T: Future<Output = M::Value> + 'a,
    {
        self.entry(key).or_insert_with_async(make)
    }

    /// Returns the live value, created by a factory that awaits and may fail: see
    /// [`get_or_insert_with`](Self::get_or_insert_with).
    ///
    /// # Errors
    /// As the map's call of that name.
    #[cfg(feature = "async")]
    pub fn get_or_try_insert_async<'a, F, T, E>(
        &'a self,
        key: M::Key,
        make: F,
    ) -> EntryFuture<'a, EntryOf<'a, M>, F, Result<M::Owner, CreateError<E>>, (T, E)>
    where
        F: FnOnce(&M::Key) -> T + 'a,
        T: Future<Output = Result<M::Value, E>> + 'a,
        E: 'a,
    {
        self.entry(key).or_try_insert_with_async(make)
    }

    /// Records a use of this value. It is kept from now on, if it is not yet: for owners that come from calls
    /// of the map. (It is not checked that the value is entered there.)
    ///
    /// ```
    /// use highlander::{Recent, Registry};
    ///
    /// static CLASSES: Registry<u32, String> = Registry::new();
    /// static RECENT: Recent<&Registry<u32, String>> = Recent::new(&CLASSES, 64);
    ///
    /// let (class, _) = CLASSES.insert(7, "class 7".into());
    /// RECENT.keep(&class);
    /// drop(class);
    /// assert!(CLASSES.get(&7).is_some());
    /// ```
    #[inline]
    pub fn keep(&self, owner: &M::Owner) {
        let may_be_kept = || !frames::has_drafts();
        self.keeper
            .keep(owner, M::Map::identity(owner), may_be_kept);
    }

    /// Removes the live value of this key from the map, and stops keeping it. Returns it, if there was one.
    ///
    /// *Runs* and *waits* as the map's `remove`. A call on another thread that has found the value before may
    /// still keep it, until it is [released](Self::release) or goes as others do; no look-up finds it.
    ///
    /// ```
    /// use highlander::{Recent, Registry};
    ///
    /// static USERS: Recent<Registry<u32, String>> = Recent::new(Registry::new(), 64);
    ///
    /// USERS.get_or_insert_with(7, |_| "Duncan".into());
    /// let removed = USERS.remove(&7).unwrap();
    /// assert!(*removed == "Duncan" && !USERS.is_kept(&removed));
    /// assert!(USERS.remove(&7).is_none() && USERS.get(&7).is_none());
    /// ```
    #[allow(private_bounds)] // What the map's `remove` takes.
    pub fn remove<Q: ?Sized>(&self, key: &Q) -> Option<M::Owner>
    where
        M::Map: LooksUp<Q>,
    {
        let removed = self.map().take_out(key)?;
        self.release(&removed);
        Some(removed)
    }

    /// Stops keeping this value. Returns whether it was kept.
    ///
    /// ```
    /// use highlander::{Recent, Registry};
    ///
    /// let recent = Recent::new(Registry::new(), 64);
    /// let value = recent.get_or_insert_with(1, |_| "one");
    /// assert!(recent.release(&value) && !recent.release(&value));
    /// drop(value);
    /// assert!(recent.get(&1).is_none());
    /// ```
    pub fn release(&self, owner: &M::Owner) -> bool {
        self.keeper.release(M::Map::identity(owner))
    }

    /// Returns whether this value is kept just now. That is no use of it.
    pub fn is_kept(&self, owner: &M::Owner) -> bool {
        self.keeper.contains(M::Map::identity(owner))
    }

    /// Drops all kept owners, and returns how many there were. Values that others own stay in the map.
    pub fn clear(&self) -> usize {
        self.keeper.clear()
    }

    /// Drops all kept owners; then gives back memory that the map does not need, whether this layer owns the
    /// map or not. To be called when memory is short.
    pub fn shrink_to_fit(&self) {
        self.keeper.clear();
        self.map().give_back();
    }

    /// Drops the owners that have been idle for [too long](Self::time_to_idle). Returns how many there were.
    pub fn expire(&self) -> usize {
        self.keeper.expire()
    }

    /// Returns the number of values that are kept.
    pub fn len(&self) -> usize {
        self.keeper.len()
    }

    /// Returns whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of values that are kept at most.
    pub const fn capacity(&self) -> usize {
        self.keeper.capacity()
    }

    #[inline]
    fn kept(&self, owner: M::Owner) -> M::Owner {
        self.keep(&owner);
        owner
    }
}

/// The output of an [`entry`](Recent::entry) of a `Recent`: the owner, which is kept from then on.
pub struct Kept<'a, M: WeakValued>(&'a Recent<M>);

impl<M: WeakValued> Output<M::Map> for Kept<'_, M> {
    type Of = M::Owner;
}

impl<M: WeakValued> Gives<M::Map, M::Owner> for Kept<'_, M> {
    fn of(self, live: LiveEntryOf<M::Map>) -> M::Owner {
        self.0.kept(M::Map::into_owner(live))
    }

    #[inline(always)]
    fn look_up<C: Condition<M::Map>>(
        self,
        map: &M::Map,
        hash: u64,
        is_it: impl Fn(&StoredOf<M::Map>) -> bool,
        condition: &C,
    ) -> Result<M::Owner, Self> {
        match Owned.look_up(map, hash, is_it, condition) {
            Ok(owner) => Ok(self.0.kept(owner)),
            Err(Owned) => Err(self),
        }
    }
}

impl<M: WeakValued> fmt::Debug for Kept<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kept").field(self.0).finish()
    }
}

impl<M: WeakValued> fmt::Debug for Recent<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("time_to_idle", &self.keeper.limit().map(Limit::duration))
            .finish_non_exhaustive()
    }
}

// Why: see "Unwind safety" in ARCHITECTURE.md.
impl<M: WeakValued<Owner: UnwindSafe + RefUnwindSafe> + UnwindSafe> UnwindSafe for Recent<M> {}
impl<M: WeakValued<Owner: UnwindSafe + RefUnwindSafe> + RefUnwindSafe> RefUnwindSafe for Recent<M> {}
impl<M: WeakValued + Unpin> Unpin for Recent<M> {}
