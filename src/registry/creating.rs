//! The calls of a registry that create.

use super::Registry;
use crate::create::creator::{Creating, Creator};
#[cfg(feature = "async")]
use crate::create::entry::{AnyLive, EntryFuture, Missed, Owned};
use crate::create::entry::{Asks, BorrowedKey, Entry, FromRef, OwnedKey};
use crate::create::error::{ClosedError, CreateError, InFlight};
use crate::create::flight::FlightTable;
use crate::create::reserved_node::{FilledNode, ReservedNode};
use crate::create::steps::{Creates, Creation, EnteredDraft, EnteredValue, Published};
use crate::deadlock::work::GivenUp;
use crate::memory::hash::hash_key;
use crate::registry::handle::Handle;
use crate::registry::node::{PendingWatch, RegistryNode, Watch};
use crate::table::exclusive::InTheWay;
use crate::table::node_ref::NodeRef;
use crate::table::stats::Count;
use crate::table::{Entered, Entering};
use equivalent::Equivalent;
use std::fmt;
#[cfg(feature = "async")]
use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

impl<K: Hash + Eq + 'static, V: 'static, S: BuildHasher> Registry<K, V, S> {
    /// Selects one key; the calls of the [`Entry`] say what is done with it.
    ///
    /// ```
    /// use highlander::Registry;
    ///
    /// let squares: Registry<u32, u32> = Registry::new();
    /// let nine = squares.entry(3).or_insert_with(|n| n * n);
    /// assert_eq!(*nine, 9);
    /// ```
    #[inline(always)]
    pub fn entry(&self, key: K) -> Entry<'_, Self, OwnedKey<K>> {
        Entry::new(self, OwnedKey(key))
    }

    /// Selects one key by a borrowed form of it. The key is made on a miss only, by [`From`] or by
    /// [`key_with`](Entry::key_with).
    ///
    /// ```
    /// use highlander::Registry;
    ///
    /// let lengths: Registry<String, usize> = Registry::new();
    /// let held = lengths.entry_ref("MacLeod").or_insert_with(|name| name.len());
    /// assert_eq!(*held, 7);
    /// ```
    #[inline(always)]
    pub fn entry_ref<'q, Q>(&self, key: &'q Q) -> Entry<'_, Self, BorrowedKey<'q, Q>>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let to_key = FromRef;
        Entry::new(self, BorrowedKey { asked: key, to_key })
    }

    /// Returns the live value of this key, created if there is none: [`entry`](Self::entry) with
    /// [`or_insert_with`](Entry::or_insert_with).
    ///
    /// *Runs* `make` with no lock held, once per key at a time. *Waits* for a creation of the same key under
    /// way, asleep; a hit waits for nobody.
    ///
    /// # Panics
    /// When `make` panics; and with the text of [`Refused`](crate::error::Refused) when it asks for its own
    /// key, directly or through others, or when the registry is closed.
    #[inline]
    #[track_caller]
    pub fn get_or_insert_with(&self, key: K, make: impl FnOnce(&K) -> V) -> Handle<K, V> {
        self.entry(key).or_insert_with(make)
    }

    /// Returns the live value of this key, or enters the one that `make` makes, which may fail:
    /// [`entry`](Self::entry) with [`or_try_insert_with`](Entry::or_try_insert_with).
    ///
    /// ```
    /// use highlander::{Handle, Registry};
    /// use std::{fs::File, io, path::{Path, PathBuf}};
    ///
    /// static FILES: Registry<PathBuf, File> = Registry::new();
    ///
    /// fn open(path: &Path) -> io::Result<Handle<PathBuf, File>> {
    ///     Ok(FILES.get_or_try_insert_with(path.to_owned(), |path| File::open(path))?)
    /// }
    /// assert_eq!(open(Path::new("no such file")).unwrap_err().kind(), io::ErrorKind::NotFound);
    /// assert!(FILES.is_empty());
    /// ```
    ///
    /// # Errors
    /// [`CreateError::Failed`] with the error of `make`; [`CreateError::Refused`] when the creation is
    /// refused. Nothing is entered, and one of those who wait creates.
    #[inline]
    pub fn get_or_try_insert_with<E>(
        &self,
        key: K,
        make: impl FnOnce(&K) -> Result<V, E>,
    ) -> Result<Handle<K, V>, CreateError<E>> {
        self.entry(key).or_try_insert_with(make)
    }

    /// Returns the live value of this key, or enters the one that `make` makes, which awaits:
    /// [`entry`](Self::entry) with [`or_insert_with_async`](Entry::or_insert_with_async).
    ///
    /// # Panics
    /// When the future is polled: see `get_or_insert_with`.
    #[cfg(feature = "async")]
    pub fn get_or_insert_async<'a, F, T>(
        &'a self,
        key: K,
        make: F,
    ) -> EntryFuture<'a, Entry<'a, Self, OwnedKey<K>>, F, Handle<K, V>, T>
    where
        F: FnOnce(&K) -> T + 'a,
        T: Future<Output = V> + 'a,
    {
        self.entry(key).or_insert_with_async(make)
    }

    /// Returns the live value of this key, or enters the one that `make` makes, which awaits and may fail:
    /// [`entry`](Self::entry) with [`or_try_insert_with_async`](Entry::or_try_insert_with_async).
    ///
    /// # Errors
    /// See [`get_or_try_insert_with`](Self::get_or_try_insert_with).
    #[cfg(feature = "async")]
    pub fn get_or_try_insert_async<'a, F, T, E>(
        &'a self,
        key: K,
        make: F,
    ) -> EntryFuture<
        'a,
        Entry<'a, Self, OwnedKey<K>>,
        F,
        Result<Handle<K, V>, CreateError<E>>,
        (T, E),
    >
    where
        F: FnOnce(&K) -> T + 'a,
        T: Future<Output = Result<V, E>> + 'a,
        E: 'a,
    {
        self.entry(key).or_try_insert_with_async(make)
    }

    /// Returns the live value of this key like [`get`](Registry::get), or an error if it is being created.
    ///
    /// # Errors
    /// [`InFlight`] when there is none yet, and somebody is creating it.
    pub fn try_get<Q>(&self, key: &Q) -> Result<Option<Handle<K, V>>, InFlight>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let hash = hash_key(&self.hasher, key);
        let is_it = |other: &K| key.equivalent(other);
        if let Some(node) = self.look_up(hash, is_it) {
            return Ok(Some(Handle::new(node)));
        }
        if let Some(draft) = self.draft_of(hash, key) {
            return Ok(Some(draft));
        }
        if self.flights.any(hash, |reserved| is_it(reserved.key())) {
            return Err(InFlight);
        }
        // It may have been entered between the two look-ups, which count as one.
        Ok(self.table.get(hash, is_it).map(Handle::new))
    }
}

pub(crate) struct LiveHandle<K, V> {
    pub(super) handle: Handle<K, V>,
    /// A creation has just made it.
    fresh: bool,
}

impl<K, V> Clone for LiveHandle<K, V> {
    fn clone(&self) -> Self {
        Self {
            handle: self.handle.clone(),
            fresh: self.fresh,
        }
    }
}

impl<K, V> LiveHandle<K, V> {
    fn new(node: NodeRef<RegistryNode<K, V>>, fresh: bool) -> Self {
        Self {
            handle: Handle::new(node),
            fresh,
        }
    }
}

/// A value that was made, and its watch, if its factory has weak handles of it.
pub(super) type MadeValue<'t, K, V> = (FilledNode<'t, RegistryNode<K, V>>, Option<Arc<Watch>>);

impl<K: 'static, V: 'static, S> Registry<K, V, S> {
    /// Makes a value, and writes it where it stays.
    #[inline]
    pub(super) fn make_value<'t, E>(
        reserved: &'t ReservedNode<RegistryNode<K, V>>,
        watch: Option<Arc<Watch>>,
        make: impl FnOnce(&'t K) -> Result<V, E>,
    ) -> Result<MadeValue<'t, K, V>, E> {
        match make(reserved.key()) {
            Ok(value) => {
                // SAFETY: called by factories only. A flight has one leader at a time, which makes one
                // value. That borrows the node, so it has gone before the next leader begins. After the
                // first success, which publishes the node, the flight creates no more.
                let filled = unsafe {
                    reserved.place().write(value);
                    reserved.filled()
                };
                Ok((filled, watch))
            }
            Err(error) => Err(error),
        }
    }
}

impl<K: Eq + 'static, V: 'static, S> Creates for Registry<K, V, S> {
    type PendingKey = ReservedNode<RegistryNode<K, V>>;
    type LiveEntry = LiveHandle<K, V>;
    type Made<'t> = MadeValue<'t, K, V>;
    /// An unused value, and values of other keys with the same hash.
    type Deferred = (Option<Box<V>>, Vec<NodeRef<RegistryNode<K, V>>>);
    type SharedMap = Registry<K, V, ()>;

    fn flights(&self) -> &FlightTable<Self::PendingKey, Self::LiveEntry> {
        &self.flights
    }

    fn same(&self, one: &Self::PendingKey, other: &Self::PendingKey) -> bool {
        one.key() == other.key()
    }

    fn name(&self, reserved: &Self::PendingKey, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.naming.name(reserved.key(), f)
    }

    fn look(&self, hash: u64, reserved: &Self::PendingKey) -> Option<Self::LiveEntry> {
        let found = self.table.get(hash, |other| reserved.key() == other);
        found.map(|node| LiveHandle::new(node, false))
    }

    fn is_exclusive(&self) -> bool {
        self.table.is_exclusive()
    }

    fn in_the_way(&self, hash: u64) -> Option<InTheWay> {
        self.table.in_the_way(hash)
    }

    fn refused(&self) -> Option<ClosedError> {
        self.is_closed().then(ClosedError::new)
    }

    fn enter(
        &self,
        hash: u64,
        reserved: &Self::PendingKey,
        (filled, watch): Self::Made<'_>,
    ) -> EnteredValue<Self> {
        let mut others = Vec::new();
        let enter = |node| {
            // SAFETY: key and value are written, and others have the key only.
            let pending = watch.map(|watch| unsafe { PendingWatch::<K, V>::new(node, watch) });
            let Entered {
                entering,
                strangers,
            } = self
                .table
                .enter(node, hash, |other| reserved.key() == other);
            others = strangers;
            match entering {
                Entering::Occupied(existing) => (false, Ok(LiveHandle::new(existing, false))),
                Entering::Sealed => (false, Err(ClosedError::new())),
                Entering::Linked => {
                    if let Some(pending) = pending {
                        pending.publish();
                    }
                    self.table.add_live(1);
                    self.count(Count::Created);
                    // SAFETY: linked, and its count is ours.
                    let node = unsafe { NodeRef::adopt(node) };
                    (true, Ok(LiveHandle::new(node, true)))
                }
            }
        };
        // SAFETY: it returns what the table has returned, after which no user code runs.
        let (live, unused) = unsafe { filled.enter(enter) };
        Published {
            result: live,
            deferred: (unused, others),
        }
    }

    fn draft(
        &self,
        _: u64,
        _: &Self::PendingKey,
        (filled, watch): Self::Made<'_>,
    ) -> Self::LiveEntry {
        let node = filled.draft();
        if let Some(watch) = watch {
            // SAFETY: complete. Readers with stale pointers may own it for a moment, but use the key only.
            unsafe { PendingWatch::<K, V>::new(node.node(), watch) }.publish();
        }
        LiveHandle::new(node, true)
    }

    fn enter_draft(
        &self,
        hash: u64,
        _: &Self::PendingKey,
        draft: &Self::LiveEntry,
    ) -> EnteredDraft<Self> {
        let draft = &draft.handle;
        let is_it = |other: &K| Handle::key(draft) == other;
        let Entered {
            entering,
            strangers,
        } = self.table.enter(draft.node_ref().node(), hash, is_it);
        let live = match entering {
            Entering::Occupied(existing) => Ok(Some(LiveHandle::new(existing, false))),
            Entering::Sealed => Err(ClosedError::new()),
            Entering::Linked => {
                self.table.add_live(1);
                self.count(Count::Created);
                Ok(None)
            }
        };
        Published {
            result: live,
            deferred: (None, strangers),
        }
    }

    fn abandon(&self, draft: &Self::LiveEntry, given_up: GivenUp<'_>) {
        self.table.abandon(draft.handle.node_ref(), given_up);
    }

    fn is_fresh(live: &Self::LiveEntry) -> bool {
        live.fresh
    }

    fn take_out(&self, live: &Self::LiveEntry) {
        self.remove_same(&live.handle);
    }

    fn share_map(&self) -> Self::SharedMap {
        Registry {
            table: self.table.share(),
            flights: self.flights.share(),
            naming: self.naming,
            hasher: (),
            counters: self.counters.share(),
            is_counted: self.is_counted,
        }
    }

    fn settle(&self, live: &Self::LiveEntry, deferred: Option<Self::Deferred>) {
        if live.fresh && deferred.is_none() {
            self.count(Count::Joined);
        }
        drop(deferred);
    }
}

impl<K: Hash + Eq + 'static, V: 'static, S: BuildHasher> Creator for Registry<K, V, S> {
    type Key = K;
    type Value = V;
    type Owner = Handle<K, V>;
}

impl<K: Hash + Eq + 'static, V: 'static, S: BuildHasher> Creating<K, V, Handle<K, V>>
    for Registry<K, V, S>
{
    type Core = Self;
    type Stored = K;

    #[inline(always)]
    fn core(&self) -> &Self {
        self
    }

    #[inline(always)]
    fn hash(&self, key: &K) -> u64 {
        hash_key(&self.hasher, key)
    }

    #[inline(always)]
    fn is_it(stored: &K, key: &K) -> bool {
        key == stored
    }

    #[inline(always)]
    fn find_owner(&self, hash: u64, is_it: impl Fn(&K) -> bool) -> Option<Handle<K, V>> {
        self.look_up(hash, is_it).map(Handle::new)
    }

    fn find(&self, hash: u64, is_it: impl Fn(&K) -> bool) -> Option<LiveHandle<K, V>> {
        let found = self.look_up(hash, is_it)?;
        Some(LiveHandle::new(found, false))
    }

    fn pending_key(&self, hash: u64, key: K) -> ReservedNode<RegistryNode<K, V>> {
        ReservedNode::new(self.table.uninit_node(0, hash, 0), key)
    }

    fn key_of(reserved: &ReservedNode<RegistryNode<K, V>>) -> &K {
        reserved.key()
    }

    fn make<E>(
        reserved: &ReservedNode<RegistryNode<K, V>>,
        make: impl FnOnce(&K) -> Result<V, E>,
    ) -> Result<MadeValue<'_, K, V>, E> {
        Self::make_value(reserved, None, make)
    }

    fn made(reserved: &ReservedNode<RegistryNode<K, V>>, value: V) -> MadeValue<'_, K, V> {
        // SAFETY: as in `make_value`.
        let filled = unsafe {
            reserved.place().write(value);
            reserved.filled()
        };
        (filled, None)
    }

    /// Makes a value ready without a closure, which would move a large value once more. It runs no user code.
    fn made_for<'t>(creation: &'t Creation<'_, Self>, value: V) -> MadeValue<'t, K, V> {
        Self::made(creation.pending_key(), value)
    }

    fn value(live: &LiveHandle<K, V>) -> &V {
        &live.handle
    }

    fn owner(live: &LiveHandle<K, V>) -> &Handle<K, V> {
        &live.handle
    }

    fn into_owner(live: LiveHandle<K, V>) -> Handle<K, V> {
        live.handle
    }
}

impl<K, V, S, Q> Asks<Q> for Registry<K, V, S>
where
    K: Hash + Eq + 'static,
    V: 'static,
    S: BuildHasher,
    Q: ?Sized + Hash + Equivalent<K>,
{
    #[inline(always)]
    fn hash_asked(&self, asked: &Q) -> u64 {
        hash_key(&self.hasher, asked)
    }

    #[inline(always)]
    fn is_asked(stored: &K, asked: &Q) -> bool {
        asked.equivalent(stored)
    }

    fn is_asked_key(key: &K, asked: &Q) -> bool {
        asked.equivalent(key)
    }
}

/// Proves that our parts of an [`EntryFuture`] may go to other threads.
#[cfg(feature = "async")]
#[allow(dead_code)] // It compiles, which is all.
fn futures_are_send(make: fn() -> Missed<'static, Registry<u32, u32>, AnyLive, Owned>) {
    fn need_send(_: impl Send) {}
    need_send(make().create_async(|_: &u32| std::future::ready(Ok::<_, u32>(1))));
    need_send(make().claim_async());
}
