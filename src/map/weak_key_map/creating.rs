//! Values of a map with weak keys that a factory makes.

use super::WeakKeyMap;
use crate::create::claim::{Claim, Claims, Creator, TicketOf};
use crate::create::error::{ClosedError, CreateError, CycleError, InFlight, Refusal};
use crate::create::steps::Accept;
use crate::map::store::create::Made;
use crate::map::store::entry_ref::{Landed, Ticket};
use crate::map::store::slot::{OwnedSlot, WeakSlot};
use crate::map::store::strong_valued::kept;
use crate::map::store::weak_keyed::WeakKeyed;
use crate::memory::panics::after;
#[cfg(feature = "async")]
use crate::memory::panics::ended;
use crate::pointer::keying::{Asked, Keying};
use crate::pointer::traits::Pointer;
use std::convert::Infallible;
use std::hash::BuildHasher;

impl<P: Pointer, V: 'static, M: Keying<P>, S: BuildHasher> WeakKeyMap<P, V, M, S> {
    /// A clone of the value of this key, created if there is none.
    ///
    /// *Runs* `make` with no lock held, once per key at a time. *Waiting:* none on a hit; otherwise for a creation of the same
    /// key that is under way, asleep. All who wait get the value that was made.
    ///
    /// # Panics
    /// When `make` panics, that goes to this caller, nothing is entered, and one of the waiters creates. When `make` asks for its own key, directly or
    /// through others, with the text of [`CycleError`]; when the map is closed, with that of [`ClosedError`].
    pub fn get_or_insert_with(&self, key: &P, make: impl FnOnce(&P) -> V) -> V
    where
        V: Clone,
    {
        self.get_or_try_insert_with(key, |key| Ok(make(key)))
            .unwrap_or_else(|refusal: Refusal| refusal.panic())
    }

    /// A clone of the value of this key, created if there is none, by a factory that may fail: its error comes back as it is.
    ///
    /// # Errors
    /// Whatever `make` returns; [`CycleError`] when it asks for its own key, directly or through others; [`ClosedError`] when the map is closed.
    pub fn get_or_try_insert_with<E: From<CycleError> + From<ClosedError>>(
        &self,
        key: &P,
        make: impl FnOnce(&P) -> Result<V, E>,
    ) -> Result<V, E>
    where
        V: Clone,
    {
        let made = |key: &P| make(key).map(kept);
        let landed: Result<_, E> = self.inner.get_or_create(key, Accept::All, made);
        landed.map(Landed::into_clone)
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), by what the key is looked up with: `to_pointer` makes the key on a miss
    /// only. The key comes back too, as it would be dead otherwise.
    ///
    /// ```
    /// use highlander::WeakKeyMap;
    /// use std::sync::Arc;
    ///
    /// let sizes: WeakKeyMap<Arc<str>, usize> = WeakKeyMap::new();
    /// let (key, size) = sizes.get_or_insert_with_ref("Kurgan", |name| name.into(), |key| key.len());
    /// assert_eq!((&*key, size), ("Kurgan", 6));
    /// ```
    ///
    /// # Panics
    /// As `get_or_insert_with`; and when the key that `to_pointer` makes is not the one that was asked for or hashes differently,
    /// since it would never be found.
    pub fn get_or_insert_with_ref<Q: ?Sized>(
        &self,
        key: &Q,
        to_pointer: impl FnOnce(&Q) -> P,
        make: impl FnOnce(&P) -> V,
    ) -> (P, V)
    where
        M: Asked<P, Q>,
        V: Clone,
    {
        self.get_or_try_insert_with_ref(key, to_pointer, |key| Ok(make(key)))
            .unwrap_or_else(|refusal: Refusal| refusal.panic())
    }

    /// As [`get_or_insert_with_ref`](Self::get_or_insert_with_ref), by a factory that may fail: its error comes back as it is.
    ///
    /// # Errors
    /// As [`get_or_try_insert_with`](Self::get_or_try_insert_with).
    ///
    /// # Panics
    /// When the key that `to_pointer` makes is not the one that was asked for or hashes differently, since it would never be found.
    pub fn get_or_try_insert_with_ref<Q: ?Sized, E: From<CycleError> + From<ClosedError>>(
        &self,
        key: &Q,
        to_pointer: impl FnOnce(&Q) -> P,
        make: impl FnOnce(&P) -> Result<V, E>,
    ) -> Result<(P, V), E>
    where
        M: Asked<P, Q>,
        V: Clone,
    {
        let made = |key: &P| make(key).map(kept);
        let found: Result<_, E> = self.inner.get_or_create_asked(key, to_pointer, made);
        found.map(|(key, landed)| (key, landed.into_clone()))
    }

    /// A clone of the value of this key, unless it is `stale`: then, or if there is none, a new one is created, which takes its
    /// place, and this key that of the stored one.
    ///
    /// *Runs* `stale` and `make` with no lock held. Of several callers who find the same value stale one creates, and the others wait and get what
    /// it makes. `stale` may be asked more than once.
    ///
    /// # Panics
    /// As [`get_or_insert_with`](Self::get_or_insert_with).
    pub fn get_or_replace_if(
        &self,
        key: &P,
        stale: impl Fn(&V) -> bool,
        make: impl FnOnce(&P) -> V,
    ) -> V
    where
        V: Clone,
    {
        self.get_or_try_replace_if(key, stale, |key| Ok(make(key)))
            .unwrap_or_else(|refusal: Refusal| refusal.panic())
    }

    /// As [`get_or_replace_if`](Self::get_or_replace_if), by a factory that may fail: its error comes back as it is, and the stale value stays.
    ///
    /// # Errors
    /// As [`get_or_try_insert_with`](Self::get_or_try_insert_with).
    pub fn get_or_try_replace_if<E: From<CycleError> + From<ClosedError>>(
        &self,
        key: &P,
        stale: impl Fn(&V) -> bool,
        make: impl FnOnce(&P) -> Result<V, E>,
    ) -> Result<V, E>
    where
        V: Clone,
    {
        let accept = |landed: &Landed<_, OwnedSlot<V>>| landed.fresh || !stale(landed.value());
        let made = |key: &P| make(key).map(kept);
        let landed: Result<_, E> = self.inner.get_or_create(key, Accept::If(&accept), made);
        after(stale, landed.map(Landed::into_clone))
    }

    /// The live value of this key, created in two steps if there is none: `allocate` makes it, and `initialise` completes it. What `initialise` creates, on its
    /// thread, can ask for this key again, and gets the same value, a draft: so values may know each other in a circle. Who gets a draft, and what becomes of it, is as for
    /// [`Registry::get_or_create_cyclic`](crate::Registry::get_or_create_cyclic).
    ///
    /// ```
    /// use highlander::WeakKeyMap;
    /// use std::sync::{Arc, OnceLock};
    ///
    /// let notes: WeakKeyMap<Arc<str>, Arc<OnceLock<usize>>> = WeakKeyMap::new();
    /// let key: Arc<str> = "Ramirez".into();
    /// let note = notes.get_or_create_cyclic(&key, |_| Arc::default(), |note| {
    ///     note.set(key.len()).unwrap();
    ///     assert!(Arc::ptr_eq(&notes.get(&*key).unwrap(), note));
    /// });
    /// assert_eq!(note.get(), Some(&7));
    /// ```
    ///
    /// # Panics
    /// As [`get_or_insert_with`](Self::get_or_insert_with), with what `allocate` or `initialise` panics with; and with the text of
    /// [`CycleError`] when `allocate` asks for its own key.
    pub fn get_or_create_cyclic(
        &self,
        key: &P,
        allocate: impl FnOnce(&P) -> V,
        initialise: impl FnOnce(&V),
    ) -> V
    where
        V: Clone,
    {
        let allocate = |key: &P| Ok(allocate(key));
        let initialise = |value: &V| {
            initialise(value);
            Ok(())
        };
        self.get_or_try_create_cyclic(key, allocate, initialise)
            .unwrap_or_else(|refusal: Refusal| refusal.panic())
    }

    /// As [`get_or_create_cyclic`](Self::get_or_create_cyclic), with steps that may fail.
    ///
    /// # Errors
    /// Whatever `allocate` or `initialise` returns; [`CycleError`] when `allocate` asks for its own key, directly or through others, and when
    /// a creation on another thread waits for one that this call is a part of; [`ClosedError`] when the map is closed.
    pub fn get_or_try_create_cyclic<E: From<CycleError> + From<ClosedError>>(
        &self,
        key: &P,
        allocate: impl FnOnce(&P) -> Result<V, E>,
        initialise: impl FnOnce(&V) -> Result<(), E>,
    ) -> Result<V, E>
    where
        V: Clone,
    {
        let allocate = |key: &P| allocate(key).map(kept);
        let initialise = |landed: &Landed<_, OwnedSlot<V>>| initialise(landed.value());
        let landed = self.inner.get_or_create_in_two(key, allocate, initialise);
        landed.map(Landed::into_clone)
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), with a factory that awaits. Waits without holding up a thread, under any executor;
    /// callers of this and of the other calls share one flight. The future borrows the key; one that is to be
    /// spawned can be a block that owns it: `async move { map.get_or_insert_async(&key, …).await }`.
    ///
    /// A future that is dropped enters nothing, and leaves the creation to one of those who wait; one that was never polled has not begun. One that
    /// has begun to create, and is neither polled on nor dropped, keeps the others waiting.
    ///
    /// # Panics
    /// When `make` asks for its own key, directly or through others, because that would wait for ever; when the map is closed.
    ///
    /// ```
    /// use highlander::WeakKeyMap;
    /// use std::sync::Arc;
    /// # async fn connect(host: &str) -> String { format!("connection to {host}") }
    ///
    /// static GREETINGS: WeakKeyMap<Arc<str>, String> = WeakKeyMap::new();
    ///
    /// pollster::block_on(async {
    ///     let host = Arc::from("glen");
    ///     let one = GREETINGS.get_or_insert_async(&host, async |host| connect(host).await).await;
    ///     let same = GREETINGS.get_or_insert_async(&host, async |_| unreachable!()).await;
    ///     assert_eq!(one, same);
    /// });
    /// ```
    #[cfg(feature = "async")]
    pub async fn get_or_insert_async(&self, key: &P, make: impl AsyncFnOnce(&P) -> V) -> V
    where
        V: Clone,
    {
        self.get_or_try_insert_async(key, async |key| Ok(ended!(make(key))))
            .await
            .unwrap_or_else(|refusal: Refusal| refusal.panic())
    }

    /// As [`get_or_insert_async`](Self::get_or_insert_async), with a factory that may fail; see
    /// [`get_or_try_insert_with`](Self::get_or_try_insert_with).
    ///
    /// # Errors
    /// Whatever `make` returns; [`CycleError`] when it asks for its own key, directly or through others; [`ClosedError`] when the map is closed.
    #[cfg(feature = "async")]
    pub async fn get_or_try_insert_async<E: From<CycleError> + From<ClosedError>>(
        &self,
        key: &P,
        make: impl AsyncFnOnce(&P) -> Result<V, E>,
    ) -> Result<V, E>
    where
        V: Clone,
    {
        let make = async |key: &P| ended!(make(key)).map(kept);
        let landed = self.inner.get_or_create_async(key, make).await;
        landed.map(Landed::into_clone)
    }

    /// A clone of the value of this key, or the right to create it, for code that cannot pass a closure.
    ///
    /// *Waiting:* none if there is a live value; otherwise for a creation of the key under way, and if that fails, one of those who wait gets the vacancy.
    ///
    /// A vacancy is an owner of the key: it lives until that is filled or dropped.
    ///
    /// # Errors
    /// [`CreateError::Cycle`] when it is called inside a creation that the one under way waits for; [`CreateError::Closed`] when the map is closed.
    ///
    /// ```
    /// use highlander::{Claim, WeakKeyMap};
    /// use std::sync::Arc;
    ///
    /// let sizes: WeakKeyMap<Arc<str>, usize> = WeakKeyMap::new();
    /// let name: Arc<str> = "Kurgan".into();
    /// let size = match sizes.claim(&name).unwrap() {
    ///     Claim::Live(size) => size,
    ///     Claim::Vacant(vacancy) => vacancy.fill(6),      // now, or later
    /// };
    /// assert!(matches!(sizes.claim(&name), Ok(Claim::Live(same)) if same == size));
    /// ```
    pub fn claim(&self, key: &P) -> Result<Claim<'_, Self>, CreateError<Infallible>>
    where
        V: Clone,
    {
        let begun = self.inner.begin(key);
        begun.map(Claim::after).map_err(Refusal::into_error)
    }

    /// As [`claim`](Self::claim), without waiting: none while somebody else is creating the value.
    ///
    /// # Errors
    /// [`ClosedError`] when the map is closed, and there is no live value.
    pub fn try_claim(&self, key: &P) -> Result<Option<Claim<'_, Self>>, ClosedError>
    where
        V: Clone,
    {
        let begun = self.inner.try_begin(key)?;
        Ok(begun.map(Claim::after))
    }

    /// As [`claim`](Self::claim), without holding up a thread.
    ///
    /// # Errors
    /// As `claim`.
    #[cfg(feature = "async")]
    pub async fn claim_async(&self, key: &P) -> Result<Claim<'_, Self>, CreateError<Infallible>>
    where
        V: Clone,
    {
        let begun = self.inner.begin_async(key).await;
        begun.map(Claim::after).map_err(Refusal::into_error)
    }

    /// A clone of the value of this key, as [`get`](Self::get), but tells whether there is none because it is being created.
    ///
    /// # Errors
    /// [`InFlight`] when there is none yet, and somebody is creating it.
    pub fn try_get<Q: ?Sized>(&self, key: &Q) -> Result<Option<V>, InFlight>
    where
        M: Asked<P, Q>,
        V: Clone,
    {
        self.inner.try_view(key, |value| Some(value.0.clone()))
    }
}

impl<P: Pointer, V: Clone + 'static, M: Keying<P>, S> Creator for WeakKeyMap<P, V, M, S> {
    type Key = P;
    type Value = V;
    type Owner = V;
}

impl<P: Pointer, V: Clone + 'static, M: Keying<P>, S> Claims<P, V, V> for WeakKeyMap<P, V, M, S> {
    type Core = WeakKeyed<P, OwnedSlot<V>, M, S>;

    fn key_of(ticket: &Ticket<WeakSlot<P>, OwnedSlot<V>>) -> &P {
        &ticket.key
    }

    fn made(_: &TicketOf<Self>, value: V) -> Made<OwnedSlot<V>> {
        kept(value)
    }

    fn owner(landed: Landed<WeakSlot<P>, OwnedSlot<V>>) -> V {
        landed.into_clone()
    }
}
