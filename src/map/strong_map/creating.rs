//! Values of a strong map that a factory makes.

use super::{Key, StrongMap, Value};
use crate::create::claim::{Claim, Claims, Creator, TicketOf};
use crate::create::error::{ClosedError, CreateError, CycleError, InFlight, Refusal};
use crate::create::steps::Accept;
use crate::map::store::create::Made;
use crate::map::store::entry_ref::{Landed, Ticket};
use crate::map::store::strong_valued::kept;
use crate::map::store::Store;
use crate::memory::hash::{hash_key, owned_key};
use crate::memory::panics::after;
#[cfg(feature = "async")]
use crate::memory::panics::ended;
use equivalent::Equivalent;
use std::convert::Infallible;
use std::hash::{BuildHasher, Hash};

impl<K: Hash + Eq + 'static, V: 'static, S: BuildHasher> StrongMap<K, V, S> {
    /// A clone of the value of this key, created if there is none. Java calls it `computeIfAbsent`.
    ///
    /// *Runs* `make` with no lock held, once per key at a time. *Waiting:* none on a hit; otherwise for a creation of the same
    /// key that is under way, asleep. All who wait get the value that was made.
    ///
    /// # Panics
    /// When `make` panics, that goes to this caller, nothing is entered, and one of the waiters creates. When `make` asks for its own key, directly or
    /// through others, with the text of [`CycleError`]; when the map is closed, with that of [`ClosedError`].
    ///
    /// ```
    /// use highlander::StrongMap;
    ///
    /// static FIBONACCI: StrongMap<u32, u64> = StrongMap::new();
    ///
    /// fn fibonacci(n: u32) -> u64 {
    ///     FIBONACCI.get_or_insert_with(n, |&n| match n {
    ///         0 | 1 => u64::from(n),
    ///         _ => fibonacci(n - 1) + fibonacci(n - 2),    // other keys of the same map
    ///     })
    /// }
    /// assert_eq!(fibonacci(80), 23_416_728_348_467_685);
    /// ```
    #[inline]
    pub fn get_or_insert_with(&self, key: K, make: impl FnOnce(&K) -> V) -> V
    where
        V: Clone,
    {
        self.get_or_try_insert_with(key, |key| Ok(make(key)))
            .unwrap_or_else(|refusal: Refusal| refusal.panic())
    }

    /// A clone of the value of this key, created if there is none, by a factory that may fail: its error comes back as it is.
    ///
    /// A failed creation enters nothing; one of those who wait runs its own factory. An error type that cannot say why a creation
    /// was refused can be wrapped in a [`CreateError`](crate::CreateError).
    ///
    /// # Errors
    /// Whatever `make` returns; [`CycleError`] when it asks for its own key, directly or through others; [`ClosedError`] when the map is closed.
    #[inline]
    pub fn get_or_try_insert_with<E: From<CycleError> + From<ClosedError>>(
        &self,
        key: K,
        make: impl FnOnce(&K) -> Result<V, E>,
    ) -> Result<V, E>
    where
        V: Clone,
    {
        let hash = hash_key(&self.hasher, &key);
        let make = |key: &K| make(key).map(kept);
        let landed = self.store.get_or_create_keyed(hash, key, Accept::All, make);
        landed.map(Landed::into_clone)
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), by a borrowed key: `to_owned` builds the key on a miss only.
    ///
    /// ```
    /// use highlander::StrongMap;
    ///
    /// let map: StrongMap<String, usize> = StrongMap::new();
    /// assert_eq!(map.get_or_insert_with_ref("MacLeod", |name| name.to_owned(), |name| name.len()), 7);
    /// ```
    ///
    /// # Panics
    /// As `get_or_insert_with`; and when the key that `to_owned` builds is not equivalent to the borrowed one or hashes differently,
    /// since it would never be found.
    #[inline]
    pub fn get_or_insert_with_ref<Q>(
        &self,
        key: &Q,
        to_owned: impl FnOnce(&Q) -> K,
        make: impl FnOnce(&K) -> V,
    ) -> V
    where
        Q: ?Sized + Hash + Equivalent<K>,
        V: Clone,
    {
        self.get_or_try_insert_with_ref(key, to_owned, |key| Ok(make(key)))
            .unwrap_or_else(|refusal: Refusal| refusal.panic())
    }

    /// As [`get_or_try_insert_with`](Self::get_or_try_insert_with), by a borrowed key: `to_owned` builds the key on a miss only.
    ///
    /// # Errors
    /// As `get_or_try_insert_with`.
    ///
    /// # Panics
    /// When the key that `to_owned` builds is not equivalent to the borrowed one or hashes differently, since it would never be found.
    #[inline]
    pub fn get_or_try_insert_with_ref<Q, E: From<CycleError> + From<ClosedError>>(
        &self,
        key: &Q,
        to_owned: impl FnOnce(&Q) -> K,
        make: impl FnOnce(&K) -> Result<V, E>,
    ) -> Result<V, E>
    where
        Q: ?Sized + Hash + Equivalent<K>,
        V: Clone,
    {
        let hash = hash_key(&self.hasher, key);
        if let Some(landed) = self.store.find_keyed(hash, key) {
            return Ok(after((to_owned, make), landed.into_clone()));
        }
        let owned = owned_key(&self.hasher, hash, key, to_owned);
        let make = |key: &K| make(key).map(kept);
        let landed = self.store.create_keyed(hash, owned, Accept::All, make);
        landed.map(Landed::into_clone)
    }

    /// A clone of the value of this key, unless it is `stale`: then, or if there is none, a new one is created, which takes its place.
    ///
    /// *Runs* `stale` and `make` with no lock held. Of several callers who find the same value stale one creates, and the others wait and get what
    /// it makes. `stale` may be asked more than once.
    ///
    /// # Panics
    /// As [`get_or_insert_with`](Self::get_or_insert_with).
    ///
    /// ```
    /// use highlander::StrongMap;
    ///
    /// let map = StrongMap::new();
    /// map.insert("config", (1, "old"));
    /// assert_eq!(map.get_or_replace_if("config", |(version, _)| *version < 2, |_| (2, "new")), (2, "new"));
    /// ```
    pub fn get_or_replace_if(
        &self,
        key: K,
        stale: impl Fn(&V) -> bool,
        make: impl FnOnce(&K) -> V,
    ) -> V
    where
        V: Clone,
    {
        let hash = hash_key(&self.hasher, &key);
        let accept = |landed: &Landed<_, Value<V>>| landed.fresh || !stale(landed.value());
        let make = |key: &K| Ok(kept(make(key)));
        let value = self
            .store
            .get_or_create_keyed(hash, key, Accept::If(&accept), make)
            .map(Landed::into_clone)
            .unwrap_or_else(|refusal: Refusal| refusal.panic());
        after(stale, value)
    }

    /// The live value of this key, created in two steps if there is none: `allocate` makes it, and `initialise` completes it. What `initialise` creates, on its
    /// thread, can ask for this key again, and gets the same value, a draft: so values may know each other in a circle. Who gets a draft, and what becomes of it, is as for
    /// [`Registry::get_or_create_cyclic`](crate::Registry::get_or_create_cyclic).
    ///
    /// ```
    /// use highlander::StrongMap;
    /// use std::sync::{Arc, OnceLock, Weak};
    ///
    /// #[derive(Default)]
    /// struct Node { back: OnceLock<Weak<Node>> }
    /// let nodes: StrongMap<u32, Arc<Node>> = StrongMap::new();
    ///
    /// let first = nodes.get_or_create_cyclic(1, |_| Arc::default(), |first| {
    ///     nodes.get_or_create_cyclic(2, |_| Arc::default(), |second| {
    ///         second.back.set(Arc::downgrade(&nodes.get(&1).unwrap())).unwrap();
    ///     });
    ///     first.back.set(Weak::new()).unwrap();
    /// });
    /// let back = nodes.get(&2).unwrap().back.get().unwrap().upgrade().unwrap();
    /// assert!(Arc::ptr_eq(&back, &first));
    /// ```
    ///
    /// # Panics
    /// As [`get_or_insert_with`](Self::get_or_insert_with), with what `allocate` or `initialise` panics with; and with the text of
    /// [`CycleError`] when `allocate` asks for its own key.
    pub fn get_or_create_cyclic(
        &self,
        key: K,
        allocate: impl FnOnce(&K) -> V,
        initialise: impl FnOnce(&V),
    ) -> V
    where
        V: Clone,
    {
        let allocate = |key: &K| Ok(allocate(key));
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
        key: K,
        allocate: impl FnOnce(&K) -> Result<V, E>,
        initialise: impl FnOnce(&V) -> Result<(), E>,
    ) -> Result<V, E>
    where
        V: Clone,
    {
        let hash = hash_key(&self.hasher, &key);
        let allocate = |key: &K| allocate(key).map(kept);
        let initialise = |landed: &Landed<_, Value<V>>| initialise(landed.value());
        let landed = self
            .store
            .get_or_create_in_two_keyed(hash, key, allocate, initialise);
        landed.map(Landed::into_clone)
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), with a factory that awaits. Waits without holding up a thread, under any executor;
    /// callers of this and of the other calls share one flight.
    ///
    /// A future that is dropped enters nothing, and leaves the creation to one of those who wait; one that was never polled has not begun. One that
    /// has begun to create, and is neither polled on nor dropped, keeps the others waiting.
    ///
    /// # Panics
    /// When `make` asks for its own key, directly or through others, because that would wait for ever; when the map is closed.
    ///
    /// ```
    /// use highlander::StrongMap;
    /// # async fn connect(host: &str) -> String { format!("connection to {host}") }
    ///
    /// static GREETINGS: StrongMap<String, String> = StrongMap::new();
    ///
    /// pollster::block_on(async {
    ///     let one = GREETINGS.get_or_insert_async("glen".into(), async |host| connect(host).await).await;
    ///     let same = GREETINGS.get_or_insert_async("glen".into(), async |_| unreachable!()).await;
    ///     assert_eq!(one, same);
    /// });
    /// ```
    #[cfg(feature = "async")]
    pub async fn get_or_insert_async(&self, key: K, make: impl AsyncFnOnce(&K) -> V) -> V
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
        key: K,
        make: impl AsyncFnOnce(&K) -> Result<V, E>,
    ) -> Result<V, E>
    where
        V: Clone,
    {
        let hash = hash_key(&self.hasher, &key);
        let make = async |key: &K| ended!(make(key)).map(kept);
        let landed = self.store.get_or_create_keyed_async(hash, key, make).await;
        landed.map(Landed::into_clone)
    }

    /// A clone of the value of this key, or the right to create it, for code that cannot pass a closure.
    ///
    /// *Waiting:* none if there is a live value; otherwise for a creation of the key under way, and if that fails, one of those who wait gets the vacancy.
    ///
    /// # Errors
    /// [`CreateError::Cycle`] when it is called inside a creation that the one under way waits for; [`CreateError::Closed`] when the map is closed.
    ///
    /// ```
    /// use highlander::{Claim, StrongMap};
    ///
    /// let sizes: StrongMap<String, usize> = StrongMap::new();
    /// let size = match sizes.claim("Kurgan".into()).unwrap() {
    ///     Claim::Live(size) => size,
    ///     Claim::Vacant(vacancy) => vacancy.fill(6),      // now, or later
    /// };
    /// assert!(matches!(sizes.claim("Kurgan".into()), Ok(Claim::Live(same)) if same == size));
    /// ```
    pub fn claim(&self, key: K) -> Result<Claim<'_, Self>, CreateError<Infallible>>
    where
        V: Clone,
    {
        let hash = hash_key(&self.hasher, &key);
        let begun = self.store.begin_keyed(hash, key);
        begun.map(Claim::after).map_err(Refusal::into_error)
    }

    /// As [`claim`](Self::claim), without waiting: none while somebody else is creating the value, and then the key is dropped.
    ///
    /// # Errors
    /// [`ClosedError`] when the map is closed, and there is no live value.
    pub fn try_claim(&self, key: K) -> Result<Option<Claim<'_, Self>>, ClosedError>
    where
        V: Clone,
    {
        let hash = hash_key(&self.hasher, &key);
        let begun = self.store.try_begin_keyed(hash, key)?;
        Ok(begun.map(Claim::after))
    }

    /// As [`claim`](Self::claim), without holding up a thread.
    ///
    /// # Errors
    /// As `claim`.
    #[cfg(feature = "async")]
    pub async fn claim_async(&self, key: K) -> Result<Claim<'_, Self>, CreateError<Infallible>>
    where
        V: Clone,
    {
        let hash = hash_key(&self.hasher, &key);
        let begun = self.store.begin_keyed_async(hash, key).await;
        begun.map(Claim::after).map_err(Refusal::into_error)
    }

    /// A clone of the value of this key, as [`get`](Self::get), but tells whether there is none because it is being created.
    ///
    /// # Errors
    /// [`InFlight`] when there is none yet, and somebody is creating it.
    pub fn try_get<Q>(&self, key: &Q) -> Result<Option<V>, InFlight>
    where
        Q: ?Sized + Hash + Equivalent<K>,
        V: Clone,
    {
        let hash = hash_key(&self.hasher, key);
        self.store.try_view(
            hash,
            |stored| key.equivalent(&stored.0),
            |value| Some(value.0.clone()),
        )
    }
}

impl<K: Eq + 'static, V: Clone + 'static, S> Creator for StrongMap<K, V, S> {
    type Key = K;
    type Value = V;
    type Owner = V;
}

impl<K: Eq + 'static, V: Clone + 'static, S> Claims<K, V, V> for StrongMap<K, V, S> {
    type Core = Store<Key<K>, Value<V>>;

    fn key_of(ticket: &Ticket<Key<K>, Value<V>>) -> &K {
        &ticket.seed.key().0
    }

    fn made(_: &TicketOf<Self>, value: V) -> Made<Value<V>> {
        kept(value)
    }

    fn owner(landed: Landed<Key<K>, Value<V>>) -> V {
        landed.into_clone()
    }
}
