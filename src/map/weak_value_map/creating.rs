//! The calls of a map with weak values that create.

use super::{Key, Value, WeakValueMap};
use crate::create::creator::{Creating, Creator, TicketOf, Tokens};
use crate::create::entry::{Asks, BorrowedKey, Entry, FromRef, OwnedKey};
use crate::create::error::{CreateError, InFlight};
use crate::map::store::create::Made;
use crate::map::store::entry_ref::{Landed, Ticket};
use crate::map::store::slot::{OwnedSlot, Slot, Watching, WeakSlot};
use crate::map::store::Store;
use crate::memory::hash::hash_key;
use crate::pointer::token::Binder;
use crate::pointer::traits::{Pointer, SyncPointer};
use equivalent::Equivalent;
#[cfg(feature = "async")]
use std::future::Future;
use std::hash::{BuildHasher, Hash};

impl<K: Hash + Eq + 'static, P: Pointer, S: BuildHasher> WeakValueMap<K, P, S> {
    /// Selects one key: what is to become of it is said by the calls of the [`Entry`].
    #[inline(always)]
    pub fn entry(&self, key: K) -> Entry<'_, Self, OwnedKey<K>> {
        Entry::new(self, OwnedKey(key))
    }

    /// Selects one key by a borrowed form of it. The key is made on a miss only, by [`From`] or by [`key_with`](Entry::key_with).
    #[inline(always)]
    pub fn entry_ref<'q, Q>(&self, key: &'q Q) -> Entry<'_, Self, BorrowedKey<'q, Q>>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let to_key = FromRef;
        Entry::new(self, BorrowedKey { asked: key, to_key })
    }

    /// Returns the live value of this key, created if there is none: [`entry`](Self::entry) with [`or_insert_with`](Entry::or_insert_with).
    ///
    /// *Runs* `make` with no lock held, once per key at a time. *Waits* for a creation of the same key under way, asleep; a hit waits for nobody.
    ///
    /// # Panics
    /// When `make` panics; and with the text of [`Refused`](crate::error::Refused) when it asks for its own key, directly or through others, or when the map is closed.
    #[inline]
    pub fn get_or_insert_with(&self, key: K, make: impl FnOnce(&K) -> P) -> P {
        self.entry(key).or_insert_with(make)
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), by a factory that may fail: [`entry`](Self::entry) with
    /// [`or_try_insert_with`](Entry::or_try_insert_with).
    ///
    /// # Errors
    /// [`CreateError::Failed`] with the error of `make`; [`CreateError::Refused`] when the creation is refused. Nothing is entered, and one of those who wait creates.
    #[inline]
    pub fn get_or_try_insert_with<E>(
        &self,
        key: K,
        make: impl FnOnce(&K) -> Result<P, E>,
    ) -> Result<P, CreateError<E>> {
        self.entry(key).or_try_insert_with(make)
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), with a factory that awaits: [`entry`](Self::entry) with
    /// [`or_insert_with_async`](Entry::or_insert_with_async).
    ///
    /// # Panics
    /// As `get_or_insert_with`, when the future is polled.
    #[cfg(feature = "async")]
    pub fn get_or_insert_async<F, T>(
        &self,
        key: K,
        make: F,
    ) -> impl Future<Output = P> + use<'_, K, P, S, F, T>
    where
        F: FnOnce(&K) -> T,
        T: Future<Output = P>,
    {
        self.entry(key).or_insert_with_async(make)
    }

    /// As [`get_or_try_insert_with`](Self::get_or_try_insert_with), with a factory that awaits.
    ///
    /// # Errors
    /// As there.
    #[cfg(feature = "async")]
    pub fn get_or_try_insert_async<F, T, E>(
        &self,
        key: K,
        make: F,
    ) -> impl Future<Output = Result<P, CreateError<E>>> + use<'_, K, P, S, F, T, E>
    where
        F: FnOnce(&K) -> T,
        T: Future<Output = Result<P, E>>,
    {
        self.entry(key).or_try_insert_with_async(make)
    }

    /// Returns the live value of this key, as [`get`](Self::get), but tells whether there is none because it is being created.
    ///
    /// # Errors
    /// [`InFlight`] when there is none yet, and somebody is creating it.
    pub fn try_get<Q>(&self, key: &Q) -> Result<Option<P>, InFlight>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let hash = hash_key(&self.hasher, key);
        self.store
            .try_view(hash, |stored| key.equivalent(&stored.0), Slot::live)
    }
}

impl<K: Hash + Eq + 'static, P: Pointer, S: BuildHasher> Creator for WeakValueMap<K, P, S> {
    type Key = K;
    type Value = P;
    type Owner = P;
}

impl<K: Hash + Eq + 'static, P: Pointer, S: BuildHasher> Creating<K, P, P>
    for WeakValueMap<K, P, S>
{
    type Core = Store<Key<K>, Value<P>>;
    type Stored = Key<K>;

    #[inline(always)]
    fn core(&self) -> &Self::Core {
        &self.store
    }

    #[inline(always)]
    fn hash(&self, key: &K) -> u64 {
        hash_key(&self.hasher, key)
    }

    #[inline(always)]
    fn is_it(stored: &Key<K>, key: &K) -> bool {
        *key == stored.0
    }

    #[inline(always)]
    fn find_owner(&self, hash: u64, is_it: impl Fn(&Key<K>) -> bool) -> Option<P> {
        self.store.view(hash, is_it, Slot::live)
    }

    fn find(&self, hash: u64, is_it: impl Fn(&Key<K>) -> bool) -> Option<Landed<Key<K>, Value<P>>> {
        self.store.find(hash, is_it)
    }

    fn ticket(&self, hash: u64, key: K) -> Ticket<Key<K>, Value<P>> {
        self.store.ticket(hash, OwnedSlot(key), ())
    }

    fn key_of(ticket: &Ticket<Key<K>, Value<P>>) -> &K {
        &ticket.seed.key().0
    }

    fn made(_: &TicketOf<Self>, value: P) -> Made<Value<P>> {
        (WeakSlot::new(&value), value)
    }

    fn value(landed: &Landed<Key<K>, Value<P>>) -> &P {
        &landed.live
    }

    fn owner(landed: &Landed<Key<K>, Value<P>>) -> &P {
        &landed.live
    }

    fn into_owner(landed: Landed<Key<K>, Value<P>>) -> P {
        landed.into_live()
    }
}

impl<K, P, S, Q> Asks<Q> for WeakValueMap<K, P, S>
where
    K: Hash + Eq + 'static,
    P: Pointer,
    S: BuildHasher,
    Q: ?Sized + Hash + Equivalent<K>,
{
    #[inline(always)]
    fn hash_asked(&self, asked: &Q) -> u64 {
        hash_key(&self.hasher, asked)
    }

    #[inline(always)]
    fn is_asked(stored: &Key<K>, asked: &Q) -> bool {
        asked.equivalent(&stored.0)
    }

    fn is_asked_key(key: &K, asked: &Q) -> bool {
        asked.equivalent(key)
    }
}

impl<K, P, S> Tokens for WeakValueMap<K, P, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    P: SyncPointer,
    S: BuildHasher,
{
    fn made_with_token(
        &self,
        hash: u64,
        _: &TicketOf<Self>,
        value: P,
        binder: &Binder,
    ) -> Made<Value<P>> {
        let watching = Watching::by(binder.bind(self.store.notify_prompt(hash)));
        (WeakSlot::watched(&value, watching), value)
    }
}
