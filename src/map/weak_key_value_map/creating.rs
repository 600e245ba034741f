//! Values of a map with weak keys and weak values that a factory makes.

use super::WeakKeyValueMap;
use crate::create::claim::{Claim, Claims, Creator, TicketOf};
use crate::create::error::{ClosedError, CreateError, CycleError, InFlight, Refusal};
use crate::create::steps::Accept;
use crate::map::store::create::Made;
use crate::map::store::entry_ref::{Landed, Ticket};
use crate::map::store::reverse::{ByValue, Traced};
use crate::map::store::slot::{Slot, WeakSlot};
use crate::map::store::weak_keyed::WeakKeyed;
use crate::memory::panics::after;
#[cfg(feature = "async")]
use crate::memory::panics::ended;
use crate::pointer::keying::{Asked, Keying};
use crate::pointer::traits::Pointer;
use std::convert::Infallible;
use std::hash::BuildHasher;

impl<P: Pointer, Q: Pointer, M: Keying<P>, S: BuildHasher> WeakKeyValueMap<P, Q, M, S> {
    /// The live value of this key, created if there is none.
    ///
    /// *Runs* `make` with no lock held, once per key at a time. *Waiting:* none on a hit; otherwise for a creation of the same
    /// key that is under way, asleep. All who wait get the value that was made, even if its creator lets go of its own at once.
    ///
    /// # Panics
    /// When `make` panics, that goes to this caller, nothing is entered, and one of the waiters creates. When `make` asks for its own key, directly or
    /// through others, with the text of [`CycleError`]; when the map is closed, with that of [`ClosedError`].
    pub fn get_or_insert_with(&self, key: &P, make: impl FnOnce(&P) -> Q) -> Q {
        self.get_or_try_insert_with(key, |key| Ok(make(key)))
            .unwrap_or_else(|refusal: Refusal| refusal.panic())
    }

    /// The live value of this key, created if there is none, by a factory that may fail: its error comes back as it is.
    ///
    /// # Errors
    /// Whatever `make` returns; [`CycleError`] when it asks for its own key, directly or through others; [`ClosedError`] when the map is closed.
    pub fn get_or_try_insert_with<E: From<CycleError> + From<ClosedError>>(
        &self,
        key: &P,
        make: impl FnOnce(&P) -> Result<Q, E>,
    ) -> Result<Q, E> {
        self.create(key, Accept::All, make)
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), by what the key is looked up with: `to_pointer` makes the key on a miss
    /// only. The key comes back too, as it would be dead otherwise.
    ///
    /// ```
    /// use highlander::WeakKeyValueMap;
    /// use std::sync::Arc;
    ///
    /// let sizes: WeakKeyValueMap<Arc<str>, Arc<usize>> = WeakKeyValueMap::new();
    /// let (key, size) = sizes.get_or_insert_with_ref("Kurgan", |name| name.into(), |key| Arc::new(key.len()));
    /// assert_eq!((&*key, *size), ("Kurgan", 6));
    /// ```
    ///
    /// # Panics
    /// As `get_or_insert_with`; and when the key that `to_pointer` makes is not the one that was asked for or hashes differently,
    /// since it would never be found.
    pub fn get_or_insert_with_ref<A: ?Sized>(
        &self,
        key: &A,
        to_pointer: impl FnOnce(&A) -> P,
        make: impl FnOnce(&P) -> Q,
    ) -> (P, Q)
    where
        M: Asked<P, A>,
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
    pub fn get_or_try_insert_with_ref<A: ?Sized, E: From<CycleError> + From<ClosedError>>(
        &self,
        key: &A,
        to_pointer: impl FnOnce(&A) -> P,
        make: impl FnOnce(&P) -> Result<Q, E>,
    ) -> Result<(P, Q), E>
    where
        M: Asked<P, A>,
    {
        let made = |key: &P| make(key).map(traced);
        let found: Result<_, E> = self.inner.get_or_create_asked(key, to_pointer, made);
        found.map(|(key, landed)| (key, landed.into_live()))
    }

    /// The live value of this key, unless it is `stale`: then, or if there is none, a new one, which takes its place, and this key that of
    /// the stored one. Owners of the stale one keep it.
    ///
    /// *Runs* `stale` and `make` with no lock held. Of several callers who find the same value stale one creates, and the others wait and get what
    /// it makes. `stale` may be asked more than once.
    ///
    /// # Panics
    /// As [`get_or_insert_with`](Self::get_or_insert_with).
    pub fn get_or_replace_if(
        &self,
        key: &P,
        stale: impl Fn(&Q) -> bool,
        make: impl FnOnce(&P) -> Q,
    ) -> Q {
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
        stale: impl Fn(&Q) -> bool,
        make: impl FnOnce(&P) -> Result<Q, E>,
    ) -> Result<Q, E> {
        let accept = |landed: &Landed<_, Traced<Q>>| landed.fresh || !stale(&landed.live);
        let value = self.create(key, Accept::If(&accept), make);
        after(stale, value)
    }

    fn create<E: From<CycleError> + From<ClosedError>>(
        &self,
        key: &P,
        accept: Accept<'_, Landed<WeakSlot<P>, Traced<Q>>>,
        make: impl FnOnce(&P) -> Result<Q, E>,
    ) -> Result<Q, E> {
        let made = |key: &P| make(key).map(traced);
        let landed: Result<_, E> = self.inner.get_or_create(key, accept, made);
        landed.map(Landed::into_live)
    }

    /// The live value of this key, created in two steps if there is none: `allocate` makes it, and `initialise` completes it. What `initialise` creates, on its
    /// thread, can ask for this key again, and gets the same value, a draft: so values may know each other in a circle. Who gets a draft, and what becomes of it, is as for
    /// [`Registry::get_or_create_cyclic`](crate::Registry::get_or_create_cyclic).
    ///
    /// ```
    /// use highlander::WeakKeyValueMap;
    /// use std::sync::{Arc, OnceLock, Weak};
    ///
    /// struct Class { name: &'static str, element: Option<Arc<Class>> }
    /// #[derive(Default)]
    /// struct Wrapper { array: OnceLock<Arc<Wrapper>>, element: OnceLock<Weak<Wrapper>> }
    /// let wrappers: WeakKeyValueMap<Arc<Class>, Arc<Wrapper>, highlander::ByAddress> = WeakKeyValueMap::default();
    ///
    /// let class = Arc::new(Class { name: "Duncan", element: None });
    /// let array = Arc::new(Class { name: "Duncan[]", element: Some(class.clone()) });
    /// let wrapper = wrappers.get_or_create_cyclic(&class, |_| Arc::default(), |wrapper| {
    ///     let array = wrappers.get_or_create_cyclic(&array, |_| Arc::default(), |of_array| {
    ///         let element = wrappers.get(array.element.as_ref().unwrap()).unwrap();
    ///         of_array.element.set(Arc::downgrade(&element)).unwrap();
    ///     });
    ///     wrapper.array.set(array).ok().unwrap();
    /// });
    /// let element = wrapper.array.get().unwrap().element.get().unwrap().upgrade().unwrap();
    /// assert!(Arc::ptr_eq(&element, &wrapper) && array.name.starts_with(class.name));
    /// ```
    ///
    /// # Panics
    /// As [`get_or_insert_with`](Self::get_or_insert_with), with what `allocate` or `initialise` panics with; and with the text of
    /// [`CycleError`] when `allocate` asks for its own key.
    pub fn get_or_create_cyclic(
        &self,
        key: &P,
        allocate: impl FnOnce(&P) -> Q,
        initialise: impl FnOnce(&Q),
    ) -> Q {
        let allocate = |key: &P| Ok(allocate(key));
        let initialise = |value: &Q| {
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
        allocate: impl FnOnce(&P) -> Result<Q, E>,
        initialise: impl FnOnce(&Q) -> Result<(), E>,
    ) -> Result<Q, E> {
        let allocate = |key: &P| allocate(key).map(traced);
        let initialise = |landed: &Landed<_, Traced<Q>>| initialise(&landed.live);
        let landed = self.inner.get_or_create_in_two(key, allocate, initialise);
        landed.map(Landed::into_live)
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
    /// use highlander::WeakKeyValueMap;
    /// use std::sync::Arc;
    /// # async fn connect(host: &str) -> String { format!("connection to {host}") }
    ///
    /// static CONNECTIONS: WeakKeyValueMap<Arc<str>, Arc<String>> = WeakKeyValueMap::new();
    ///
    /// pollster::block_on(async {
    ///     let host = Arc::from("glen");
    ///     let one = CONNECTIONS.get_or_insert_async(&host, async |host| Arc::new(connect(host).await)).await;
    ///     let same = CONNECTIONS.get_or_insert_async(&host, async |_| unreachable!()).await;
    ///     assert!(Arc::ptr_eq(&one, &same));
    /// });
    /// ```
    #[cfg(feature = "async")]
    pub async fn get_or_insert_async(&self, key: &P, make: impl AsyncFnOnce(&P) -> Q) -> Q {
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
        make: impl AsyncFnOnce(&P) -> Result<Q, E>,
    ) -> Result<Q, E> {
        let make = async |key: &P| ended!(make(key)).map(traced);
        let landed = self.inner.get_or_create_async(key, make).await;
        landed.map(Landed::into_live)
    }

    /// The live value of this key, or the right to create it, for code that cannot pass a closure.
    ///
    /// *Waiting:* none if there is a live value; otherwise for a creation of the key under way, and if that fails, one of those who wait gets the vacancy.
    ///
    /// A vacancy is an owner of the key: it lives until that is filled or dropped.
    ///
    /// # Errors
    /// [`CreateError::Cycle`] when it is called inside a creation that the one under way waits for; [`CreateError::Closed`] when the map is closed.
    ///
    /// ```
    /// use highlander::{Claim, WeakKeyValueMap};
    /// use std::sync::Arc;
    ///
    /// let wrappers: WeakKeyValueMap<Arc<str>, Arc<String>> = WeakKeyValueMap::new();
    /// let class: Arc<str> = "Object".into();
    /// let wrapper = match wrappers.claim(&class).unwrap() {
    ///     Claim::Live(wrapper) => wrapper,
    ///     Claim::Vacant(vacancy) => vacancy.fill(Arc::new("wrapper".into())),     // now, or later
    /// };
    /// assert!(matches!(wrappers.claim(&class), Ok(Claim::Live(same)) if Arc::ptr_eq(&same, &wrapper)));
    /// ```
    pub fn claim(&self, key: &P) -> Result<Claim<'_, Self>, CreateError<Infallible>> {
        let begun = self.inner.begin(key);
        begun.map(Claim::after).map_err(Refusal::into_error)
    }

    /// As [`claim`](Self::claim), without waiting: none while somebody else is creating the value.
    ///
    /// # Errors
    /// [`ClosedError`] when the map is closed, and there is no live value.
    pub fn try_claim(&self, key: &P) -> Result<Option<Claim<'_, Self>>, ClosedError> {
        let begun = self.inner.try_begin(key)?;
        Ok(begun.map(Claim::after))
    }

    /// As [`claim`](Self::claim), without holding up a thread.
    ///
    /// # Errors
    /// As `claim`.
    #[cfg(feature = "async")]
    pub async fn claim_async(&self, key: &P) -> Result<Claim<'_, Self>, CreateError<Infallible>> {
        let begun = self.inner.begin_async(key).await;
        begun.map(Claim::after).map_err(Refusal::into_error)
    }

    /// The live value of this key, as [`get`](Self::get), but tells whether there is none because it is being created.
    ///
    /// # Errors
    /// [`InFlight`] when there is none yet, and somebody is creating it.
    pub fn try_get<A: ?Sized>(&self, key: &A) -> Result<Option<Q>, InFlight>
    where
        M: Asked<P, A>,
    {
        self.inner.try_view(key, Slot::live)
    }
}

/// What is entered, and the owner that keeps it alive meanwhile.
fn traced<Q: Pointer>(value: Q) -> Made<Traced<Q>> {
    (Traced::new(&value), value)
}

impl<P: Pointer, Q: Pointer, M: Keying<P>, S> Creator for WeakKeyValueMap<P, Q, M, S> {
    type Key = P;
    type Value = Q;
    type Owner = Q;
}

impl<P: Pointer, Q: Pointer, M: Keying<P>, S> Claims<P, Q, Q> for WeakKeyValueMap<P, Q, M, S> {
    type Core = WeakKeyed<P, Traced<Q>, M, S, ByValue<P, Q>>;

    fn key_of(ticket: &Ticket<WeakSlot<P>, Traced<Q>>) -> &P {
        &ticket.key
    }

    fn made(_: &TicketOf<Self>, value: Q) -> Made<Traced<Q>> {
        traced(value)
    }

    fn owner(landed: Landed<WeakSlot<P>, Traced<Q>>) -> Q {
        landed.into_live()
    }
}
