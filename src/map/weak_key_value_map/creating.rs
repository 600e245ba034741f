//! The calls of a map with weak keys and values that create.

use super::WeakKeyValueMap;
use crate::create::creator::{Creating, Creator, TicketOf, Tokens, WeakKeys};
use crate::create::entry::{AnyLive, Asks, BorrowedKey, Entry, FromRef, KeyAndOwner, PointerKey};
use crate::create::error::{CreateError, InFlight};
use crate::map::store::create::Made;
use crate::map::store::entry_ref::{Landed, Ticket};
use crate::map::store::reverse::{ByValue, Traced};
use crate::map::store::slot::{Slot, Watching, WeakSlot};
use crate::map::store::weak_keyed::WeakKeyed;
use crate::pointer::keying::{Asked, Keying};
use crate::pointer::token::Binder;
use crate::pointer::traits::{Pointer, SyncPointer, WeakPointer};
#[cfg(feature = "async")]
use std::future::Future;
use std::hash::BuildHasher;

impl<P: Pointer, Q: Pointer, M: Keying<P>, S: BuildHasher> WeakKeyValueMap<P, Q, M, S> {
    /// Selects one key: what is to become of it is said by the calls of the [`Entry`]. The map does not keep the key, so a reference will do.
    #[inline(always)]
    pub fn entry<'q>(&self, key: &'q P) -> Entry<'_, Self, PointerKey<'q, P>> {
        Entry::new(self, PointerKey(key))
    }

    /// Selects one key by what it is looked up with. The key is made on a miss only, by [`From`] or by [`key_with`](Entry::key_with), and comes back with the value: nobody else owns it.
    ///
    /// ```
    /// use highlander::WeakKeyValueMap;
    /// use std::sync::Arc;
    ///
    /// let sizes: WeakKeyValueMap<Arc<str>, Arc<usize>> = WeakKeyValueMap::new();
    /// let (key, size) = sizes.entry_ref("Kurgan").or_insert_with(|key| Arc::new(key.len()));
    /// assert_eq!((&*key, *size), ("Kurgan", 6));
    /// ```
    #[inline(always)]
    pub fn entry_ref<'q, A>(
        &self,
        key: &'q A,
    ) -> Entry<'_, Self, BorrowedKey<'q, A>, AnyLive, KeyAndOwner>
    where
        A: ?Sized,
        M: Asked<P, A>,
    {
        let to_key = FromRef;
        Entry::with_output(self, BorrowedKey { asked: key, to_key }, KeyAndOwner)
    }

    /// Returns the live value of this key, created if there is none: [`entry`](Self::entry) with [`or_insert_with`](Entry::or_insert_with).
    ///
    /// *Runs* `make` with no lock held, once per key at a time. *Waits* for a creation of the same key under way, asleep; a hit waits for nobody.
    ///
    /// # Panics
    /// When `make` panics; and with the text of [`Refused`](crate::error::Refused) when it asks for its own key, directly or through others, or when the map is closed.
    #[inline]
    pub fn get_or_insert_with(&self, key: &P, make: impl FnOnce(&P) -> Q) -> Q {
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
        key: &P,
        make: impl FnOnce(&P) -> Result<Q, E>,
    ) -> Result<Q, CreateError<E>> {
        self.entry(key).or_try_insert_with(make)
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), with a factory that awaits: [`entry`](Self::entry) with
    /// [`or_insert_with_async`](Entry::or_insert_with_async).
    ///
    /// # Panics
    /// As `get_or_insert_with`, when the future is polled.
    #[cfg(feature = "async")]
    pub fn get_or_insert_async<'a, F, T>(
        &'a self,
        key: &'a P,
        make: F,
    ) -> impl Future<Output = Q> + use<'a, P, Q, M, S, F, T>
    where
        F: FnOnce(&P) -> T,
        T: Future<Output = Q>,
    {
        self.entry(key).or_insert_with_async(make)
    }

    /// As [`get_or_try_insert_with`](Self::get_or_try_insert_with), with a factory that awaits.
    ///
    /// # Errors
    /// As there.
    #[cfg(feature = "async")]
    pub fn get_or_try_insert_async<'a, F, T, E>(
        &'a self,
        key: &'a P,
        make: F,
    ) -> impl Future<Output = Result<Q, CreateError<E>>> + use<'a, P, Q, M, S, F, T, E>
    where
        F: FnOnce(&P) -> T,
        T: Future<Output = Result<Q, E>>,
    {
        self.entry(key).or_try_insert_with_async(make)
    }

    /// Returns the live value of this key, as [`get`](Self::get), but tells whether there is none because it is being created.
    ///
    /// # Errors
    /// [`InFlight`] when there is none yet, and somebody is creating it.
    pub fn try_get<A>(&self, key: &A) -> Result<Option<Q>, InFlight>
    where
        A: ?Sized,
        M: Asked<P, A>,
    {
        self.inner.try_view(key, Slot::live)
    }
}

impl<P: Pointer, Q: Pointer, M: Keying<P>, S: BuildHasher> Creator for WeakKeyValueMap<P, Q, M, S> {
    type Key = P;
    type Value = Q;
    type Owner = Q;
}

impl<P: Pointer, Q: Pointer, M: Keying<P>, S: BuildHasher> Creating<P, Q, Q>
    for WeakKeyValueMap<P, Q, M, S>
{
    type Core = WeakKeyed<P, Traced<Q>, M, S, ByValue<P, Q>>;
    type Stored = WeakSlot<P>;

    #[inline(always)]
    fn core(&self) -> &Self::Core {
        &self.inner
    }

    #[inline(always)]
    fn hash(&self, key: &P) -> u64 {
        M::hash(&self.inner.hasher, key)
    }

    #[inline(always)]
    fn is_it(stored: &WeakSlot<P>, key: &P) -> bool {
        M::same(&stored.0, key)
    }

    #[inline(always)]
    fn find_owner(&self, hash: u64, is_it: impl Fn(&WeakSlot<P>) -> bool) -> Option<Q> {
        self.inner.store.view(hash, is_it, Slot::live)
    }

    fn find(
        &self,
        hash: u64,
        is_it: impl Fn(&WeakSlot<P>) -> bool,
    ) -> Option<Landed<WeakSlot<P>, Traced<Q>>> {
        self.inner.store.find(hash, is_it)
    }

    fn ticket(&self, hash: u64, key: P) -> Ticket<WeakSlot<P>, Traced<Q>> {
        self.inner.ticket(hash, key)
    }

    fn key_of(ticket: &Ticket<WeakSlot<P>, Traced<Q>>) -> &P {
        &ticket.key
    }

    fn made(_: &TicketOf<Self>, value: Q) -> Made<Traced<Q>> {
        (Traced::new(&value), value)
    }

    fn value(landed: &Landed<WeakSlot<P>, Traced<Q>>) -> &Q {
        &landed.live
    }

    fn owner(landed: &Landed<WeakSlot<P>, Traced<Q>>) -> &Q {
        &landed.live
    }

    fn into_owner(landed: Landed<WeakSlot<P>, Traced<Q>>) -> Q {
        landed.into_live()
    }
}

impl<P: Pointer, Q: Pointer, M: Keying<P>, S: BuildHasher> WeakKeys
    for WeakKeyValueMap<P, Q, M, S>
{
    fn live_key(landed: &Landed<WeakSlot<P>, Traced<Q>>) -> Option<P> {
        landed.held.key().0.upgrade()
    }
}

impl<P, Q, M, S, A> Asks<A> for WeakKeyValueMap<P, Q, M, S>
where
    P: Pointer,
    Q: Pointer,
    M: Asked<P, A>,
    S: BuildHasher,
    A: ?Sized,
{
    #[inline(always)]
    fn hash_asked(&self, asked: &A) -> u64 {
        M::hash_asked(&self.inner.hasher, asked)
    }

    #[inline(always)]
    fn is_asked(stored: &WeakSlot<P>, asked: &A) -> bool {
        M::matches(&stored.0, asked)
    }

    fn is_asked_key(key: &P, asked: &A) -> bool {
        M::matches(&P::downgrade(key), asked)
    }
}

impl<P, Q, M, S> Tokens for WeakKeyValueMap<P, Q, M, S>
where
    P: SyncPointer,
    Q: SyncPointer,
    M: Keying<P>,
    S: BuildHasher,
{
    fn made_with_token(
        &self,
        hash: u64,
        _: &TicketOf<Self>,
        value: Q,
        binder: &Binder,
    ) -> Made<Traced<Q>> {
        let watching = Watching::by(binder.bind(self.inner.store.notify_prompt(hash)));
        (Traced::watched(&value, watching), value)
    }
}
