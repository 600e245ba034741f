//! The calls of a map with weak keys that create.

use super::WeakKeyMap;
use crate::create::creator::{Creating, Creator, TicketOf, WeakKeys};
use crate::create::entry::{AnyLive, Asks, BorrowedKey, Entry, FromRef, KeyAndOwner, PointerKey};
use crate::create::error::{CreateError, InFlight};
use crate::map::store::create::Made;
use crate::map::store::entry_ref::{Landed, Ticket};
use crate::map::store::slot::{OwnedSlot, WeakSlot};
use crate::map::store::strong_valued::kept;
use crate::map::store::weak_keyed::WeakKeyed;
use crate::pointer::keying::{Asked, Keying};
use crate::pointer::traits::{Pointer, WeakPointer};
#[cfg(feature = "async")]
use std::future::Future;
use std::hash::BuildHasher;

impl<P: Pointer, V: 'static, M: Keying<P>, S: BuildHasher> WeakKeyMap<P, V, M, S> {
    /// Selects one key: what is to become of it is said by the calls of the [`Entry`]. The map does not keep the key, so a reference will do.
    #[inline(always)]
    pub fn entry<'q>(&self, key: &'q P) -> Entry<'_, Self, PointerKey<'q, P>> {
        Entry::new(self, PointerKey(key))
    }

    /// Selects one key by what it is looked up with. The key is made on a miss only, by [`From`] or by [`key_with`](Entry::key_with), and comes back with the value: nobody else owns it.
    ///
    /// ```
    /// use highlander::WeakKeyMap;
    /// use std::sync::Arc;
    ///
    /// let sizes: WeakKeyMap<Arc<str>, usize> = WeakKeyMap::new();
    /// let (key, size) = sizes.entry_ref("Kurgan").or_insert_with(|key| key.len());
    /// assert_eq!((&*key, size), ("Kurgan", 6));
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
    pub fn get_or_insert_with(&self, key: &P, make: impl FnOnce(&P) -> V) -> V
    where
        V: Clone,
    {
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
        make: impl FnOnce(&P) -> Result<V, E>,
    ) -> Result<V, CreateError<E>>
    where
        V: Clone,
    {
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
    ) -> impl Future<Output = V> + use<'a, P, V, M, S, F, T>
    where
        F: FnOnce(&P) -> T,
        T: Future<Output = V>,
        V: Clone,
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
    ) -> impl Future<Output = Result<V, CreateError<E>>> + use<'a, P, V, M, S, F, T, E>
    where
        F: FnOnce(&P) -> T,
        T: Future<Output = Result<V, E>>,
        V: Clone,
    {
        self.entry(key).or_try_insert_with_async(make)
    }

    /// Returns the live value of this key, as [`get`](Self::get), but tells whether there is none because it is being created.
    ///
    /// # Errors
    /// [`InFlight`] when there is none yet, and somebody is creating it.
    pub fn try_get<A>(&self, key: &A) -> Result<Option<V>, InFlight>
    where
        A: ?Sized,
        M: Asked<P, A>,
        V: Clone,
    {
        self.inner.try_view(key, |value| Some(value.0.clone()))
    }
}

impl<P: Pointer, V: 'static, M: Keying<P>, S: BuildHasher> Creator for WeakKeyMap<P, V, M, S> {
    type Key = P;
    type Value = V;
    type Owner = V;
}

impl<P: Pointer, V: 'static, M: Keying<P>, S: BuildHasher> Creating<P, V, V>
    for WeakKeyMap<P, V, M, S>
{
    type Core = WeakKeyed<P, OwnedSlot<V>, M, S>;
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
    fn find_owner(&self, hash: u64, is_it: impl Fn(&WeakSlot<P>) -> bool) -> Option<V>
    where
        V: Clone,
    {
        self.inner
            .store
            .view(hash, is_it, |value| Some(value.0.clone()))
    }

    fn find(
        &self,
        hash: u64,
        is_it: impl Fn(&WeakSlot<P>) -> bool,
    ) -> Option<Landed<WeakSlot<P>, OwnedSlot<V>>> {
        self.inner.store.find(hash, is_it)
    }

    fn ticket(&self, hash: u64, key: P) -> Ticket<WeakSlot<P>, OwnedSlot<V>> {
        self.inner.ticket(hash, key)
    }

    fn key_of(ticket: &Ticket<WeakSlot<P>, OwnedSlot<V>>) -> &P {
        &ticket.key
    }

    fn made(_: &TicketOf<Self>, value: V) -> Made<OwnedSlot<V>> {
        kept(value)
    }

    fn value(landed: &Landed<WeakSlot<P>, OwnedSlot<V>>) -> &V {
        landed.value()
    }

    fn owner(landed: &Landed<WeakSlot<P>, OwnedSlot<V>>) -> &V {
        landed.value()
    }

    fn into_owner(landed: Landed<WeakSlot<P>, OwnedSlot<V>>) -> V
    where
        V: Clone,
    {
        landed.into_clone()
    }
}

impl<P: Pointer, V: 'static, M: Keying<P>, S: BuildHasher> WeakKeys for WeakKeyMap<P, V, M, S> {
    fn live_key(landed: &Landed<WeakSlot<P>, OwnedSlot<V>>) -> Option<P> {
        landed.held.key().0.upgrade()
    }
}

impl<P, V, M, S, A> Asks<A> for WeakKeyMap<P, V, M, S>
where
    P: Pointer,
    V: 'static,
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
