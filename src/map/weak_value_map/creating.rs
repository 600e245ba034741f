//! Values of a map with weak values that a factory makes.

use super::{Key, Value, WeakValueMap};
use crate::create::claim::{Claim, Claims, Creator, TicketOf};
use crate::create::error::{ClosedError, CreateError, CycleError, InFlight, Refusal};
use crate::create::steps::Accept;
use crate::map::store::create::Made;
use crate::map::store::entry_ref::{Landed, Ticket};
use crate::map::store::slot::{Slot, WeakSlot};
use crate::map::store::Store;
use crate::memory::hash::{hash_key, owned_key};
use crate::memory::panics::after;
#[cfg(feature = "async")]
use crate::memory::panics::ended;
use crate::pointer::traits::Pointer;
use equivalent::Equivalent;
use std::convert::Infallible;
use std::hash::{BuildHasher, Hash};

impl<K: Hash + Eq + 'static, P: Pointer, S: BuildHasher> WeakValueMap<K, P, S> {
    /// The live value of this key, created if there is none.
    ///
    /// *Runs* `make` with no lock held, once per key at a time. *Waiting:* none on a hit; otherwise for a creation of the same
    /// key that is under way, asleep. All who wait get the value that was made, even if its creator lets go of its own at once.
    ///
    /// # Panics
    /// When `make` panics, that goes to this caller, nothing is entered, and one of the waiters creates. When `make` asks for its own key, directly or
    /// through others, with the text of [`CycleError`]; when the map is closed, with that of [`ClosedError`].
    #[inline]
    pub fn get_or_insert_with(&self, key: K, make: impl FnOnce(&K) -> P) -> P {
        self.get_or_try_insert_with(key, |key| Ok(make(key)))
            .unwrap_or_else(|refusal: Refusal| refusal.panic())
    }

    /// The live value of this key, created if there is none, by a factory that may fail: its error comes back as it is.
    ///
    /// A failed creation enters nothing; one of those who wait runs its own factory. An error type that cannot say why a creation
    /// was refused can be wrapped in a [`CreateError`](crate::CreateError).
    ///
    /// # Errors
    /// Whatever `make` returns; [`CycleError`] when it asks for its own key, directly or through others; [`ClosedError`] when the map is closed.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::{fs::File, io, path::{Path, PathBuf}, sync::Arc};
    ///
    /// static FILES: WeakValueMap<PathBuf, Arc<File>> = WeakValueMap::new();
    ///
    /// fn open(path: &Path) -> io::Result<Arc<File>> {
    ///     FILES.get_or_try_insert_with(path.to_owned(), |path| File::open(path).map(Arc::new))
    /// }
    /// assert_eq!(open(Path::new("no such file")).unwrap_err().kind(), io::ErrorKind::NotFound);
    /// assert_eq!(FILES.entries(), 0);
    /// ```
    #[inline]
    pub fn get_or_try_insert_with<E: From<CycleError> + From<ClosedError>>(
        &self,
        key: K,
        make: impl FnOnce(&K) -> Result<P, E>,
    ) -> Result<P, E> {
        let hash = hash_key(&self.hasher, &key);
        match self.store.view_keyed(hash, &key, Slot::live) {
            Some(live) => Ok(after((key, make), live)),
            None => self.create(hash, key, make),
        }
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), by a borrowed key: `to_owned` builds the key on a miss only.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// let map: WeakValueMap<String, Arc<usize>> = WeakValueMap::new();
    /// let held = map.get_or_insert_with_ref("MacLeod", |name| name.to_owned(), |name| Arc::new(name.len()));
    /// assert_eq!(*held, 7);
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
        make: impl FnOnce(&K) -> P,
    ) -> P
    where
        Q: ?Sized + Hash + Equivalent<K>,
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
        make: impl FnOnce(&K) -> Result<P, E>,
    ) -> Result<P, E>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let hash = hash_key(&self.hasher, key);
        if let Some(live) = self.store.view_keyed(hash, key, Slot::live) {
            return Ok(after((to_owned, make), live));
        }
        let owned = owned_key(&self.hasher, hash, key, to_owned);
        self.create(hash, owned, make)
    }

    /// The live value of this key, unless it is `stale`: then, or if there is none, a new one, which takes its place. Owners of the stale one keep it.
    ///
    /// *Runs* `stale` and `make` with no lock held. Of several callers who find the same value stale one creates, and the others wait and get what
    /// it makes. `stale` may be asked more than once.
    ///
    /// # Panics
    /// As [`get_or_insert_with`](Self::get_or_insert_with).
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::{Arc, atomic::{AtomicBool, Ordering::SeqCst}};
    ///
    /// let map = WeakValueMap::new();
    /// let connect = |_: &&str| Arc::new(AtomicBool::new(true));
    /// let first = map.get_or_insert_with("db", connect);
    /// first.store(false, SeqCst);                                     // the connection breaks
    /// let second = map.get_or_replace_if("db", |c| !c.load(SeqCst), connect);
    /// assert!(!Arc::ptr_eq(&first, &second));
    /// assert!(Arc::ptr_eq(&second, &map.get("db").unwrap()));
    /// ```
    pub fn get_or_replace_if(
        &self,
        key: K,
        stale: impl Fn(&P) -> bool,
        make: impl FnOnce(&K) -> P,
    ) -> P {
        self.get_or_try_replace_if(key, stale, |key| Ok(make(key)))
            .unwrap_or_else(|refusal: Refusal| refusal.panic())
    }

    /// As [`get_or_replace_if`](Self::get_or_replace_if), by a factory that may fail: its error comes back as it is, and the stale value stays.
    ///
    /// # Errors
    /// As [`get_or_try_insert_with`](Self::get_or_try_insert_with).
    ///
    /// ```
    /// use highlander::{CreateError, WeakValueMap};
    /// use std::sync::Arc;
    ///
    /// let map = WeakValueMap::new();
    /// let first = map.get_or_insert_with("db", |_| Arc::new(1));
    /// let failed = map.get_or_try_replace_if("db", |_| true, |_| Err(CreateError::Failed("no network")));
    /// assert_eq!(failed, Err(CreateError::Failed("no network")));
    /// assert_eq!(map.get("db"), Some(first));
    /// ```
    pub fn get_or_try_replace_if<E: From<CycleError> + From<ClosedError>>(
        &self,
        key: K,
        stale: impl Fn(&P) -> bool,
        make: impl FnOnce(&K) -> Result<P, E>,
    ) -> Result<P, E> {
        let hash = hash_key(&self.hasher, &key);
        let accept = |landed: &Landed<_, Value<P>>| landed.fresh || !stale(&landed.live);
        let make = |key: &K| make(key).map(weakly);
        let landed = self
            .store
            .get_or_create_keyed(hash, key, Accept::If(&accept), make);
        after(stale, landed.map(Landed::into_live))
    }

    #[cold]
    fn create<E: From<CycleError> + From<ClosedError>>(
        &self,
        hash: u64,
        key: K,
        make: impl FnOnce(&K) -> Result<P, E>,
    ) -> Result<P, E> {
        let make = |key: &K| make(key).map(weakly);
        let landed = self.store.create_keyed(hash, key, Accept::All, make);
        landed.map(Landed::into_live)
    }

    /// The live value of this key, created in two steps if there is none: `allocate` makes it, and `initialise` completes it. What `initialise` creates, on its
    /// thread, can ask for this key again, and gets the same value, a draft: so values may know each other in a circle. Who gets a draft, and what becomes of it, is as for
    /// [`Registry::get_or_create_cyclic`](crate::Registry::get_or_create_cyclic).
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::{Arc, OnceLock, Weak};
    ///
    /// #[derive(Default)]
    /// struct Module { imports: OnceLock<Weak<Module>> }
    /// let modules: WeakValueMap<&str, Arc<Module>> = WeakValueMap::new();
    ///
    /// let hen = modules.get_or_create_cyclic("hen", |_| Arc::default(), |hen| {
    ///     let egg = modules.get_or_create_cyclic("egg", |_| Arc::default(), |egg| {
    ///         let same = modules.get("hen").unwrap();
    ///         egg.imports.set(Arc::downgrade(&same)).unwrap();
    ///     });
    ///     assert!(Arc::ptr_eq(&egg.imports.get().unwrap().upgrade().unwrap(), hen));
    /// });
    /// assert!(Arc::ptr_eq(&modules.get("hen").unwrap(), &hen));
    /// ```
    ///
    /// # Panics
    /// As [`get_or_insert_with`](Self::get_or_insert_with), with what `allocate` or `initialise` panics with; and with the text of
    /// [`CycleError`] when `allocate` asks for its own key.
    pub fn get_or_create_cyclic(
        &self,
        key: K,
        allocate: impl FnOnce(&K) -> P,
        initialise: impl FnOnce(&P),
    ) -> P {
        let allocate = |key: &K| Ok(allocate(key));
        let initialise = |value: &P| {
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
        allocate: impl FnOnce(&K) -> Result<P, E>,
        initialise: impl FnOnce(&P) -> Result<(), E>,
    ) -> Result<P, E> {
        let hash = hash_key(&self.hasher, &key);
        let allocate = |key: &K| allocate(key).map(weakly);
        let initialise = |landed: &Landed<_, Value<P>>| initialise(&landed.live);
        let landed = self
            .store
            .get_or_create_in_two_keyed(hash, key, allocate, initialise);
        landed.map(Landed::into_live)
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
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    /// # async fn connect(host: &str) -> String { format!("connection to {host}") }
    ///
    /// static CONNECTIONS: WeakValueMap<String, Arc<String>> = WeakValueMap::new();
    ///
    /// pollster::block_on(async {
    ///     let one = CONNECTIONS.get_or_insert_async("glen".into(), async |host| Arc::new(connect(host).await)).await;
    ///     let same = CONNECTIONS.get_or_insert_async("glen".into(), async |_| unreachable!()).await;
    ///     assert!(Arc::ptr_eq(&one, &same));
    /// });
    /// ```
    #[cfg(feature = "async")]
    pub async fn get_or_insert_async(&self, key: K, make: impl AsyncFnOnce(&K) -> P) -> P {
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
        make: impl AsyncFnOnce(&K) -> Result<P, E>,
    ) -> Result<P, E> {
        let hash = hash_key(&self.hasher, &key);
        let make = async |key: &K| ended!(make(key)).map(weakly);
        let landed = self.store.get_or_create_keyed_async(hash, key, make).await;
        landed.map(Landed::into_live)
    }

    /// The live value of this key, or the right to create it, for code that cannot pass a closure.
    ///
    /// *Waiting:* none if there is a live value; otherwise for a creation of the key under way, and if that fails, one of those who wait gets the vacancy.
    ///
    /// # Errors
    /// [`CreateError::Cycle`] when it is called inside a creation that the one under way waits for; [`CreateError::Closed`] when the map is closed.
    ///
    /// ```
    /// use highlander::{Claim, WeakValueMap};
    /// use std::sync::Arc;
    ///
    /// let sessions: WeakValueMap<u32, Arc<String>> = WeakValueMap::new();
    /// let session = match sessions.claim(7).unwrap() {
    ///     Claim::Live(session) => session,
    ///     Claim::Vacant(vacancy) => vacancy.fill(Arc::new("shaken hands".into())),   // now, or whenever the peer has answered
    /// };
    /// assert!(matches!(sessions.claim(7), Ok(Claim::Live(same)) if Arc::ptr_eq(&same, &session)));
    /// ```
    pub fn claim(&self, key: K) -> Result<Claim<'_, Self>, CreateError<Infallible>> {
        let hash = hash_key(&self.hasher, &key);
        let begun = self.store.begin_keyed(hash, key);
        begun.map(Claim::after).map_err(Refusal::into_error)
    }

    /// As [`claim`](Self::claim), without waiting: none while somebody else is creating the value, and then the key is dropped.
    ///
    /// # Errors
    /// [`ClosedError`] when the map is closed, and there is no live value.
    pub fn try_claim(&self, key: K) -> Result<Option<Claim<'_, Self>>, ClosedError> {
        let hash = hash_key(&self.hasher, &key);
        let begun = self.store.try_begin_keyed(hash, key)?;
        Ok(begun.map(Claim::after))
    }

    /// As [`claim`](Self::claim), without holding up a thread.
    ///
    /// # Errors
    /// As `claim`.
    #[cfg(feature = "async")]
    pub async fn claim_async(&self, key: K) -> Result<Claim<'_, Self>, CreateError<Infallible>> {
        let hash = hash_key(&self.hasher, &key);
        let begun = self.store.begin_keyed_async(hash, key).await;
        begun.map(Claim::after).map_err(Refusal::into_error)
    }

    /// The live value of this key, as [`get`](Self::get), but tells whether there is none because it is being created.
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

/// What is entered, and what keeps it alive until all who wait for it have looked.
fn weakly<P: Pointer>(value: P) -> Made<Value<P>> {
    (WeakSlot::new(&value), value)
}

impl<K: Eq + 'static, P: Pointer, S> Creator for WeakValueMap<K, P, S> {
    type Key = K;
    type Value = P;
    type Owner = P;
}

impl<K: Eq + 'static, P: Pointer, S> Claims<K, P, P> for WeakValueMap<K, P, S> {
    type Core = Store<Key<K>, Value<P>>;

    fn key_of(ticket: &Ticket<Key<K>, Value<P>>) -> &K {
        &ticket.seed.key().0
    }

    fn made(_: &TicketOf<Self>, value: P) -> Made<Value<P>> {
        weakly(value)
    }

    fn owner(landed: Landed<Key<K>, Value<P>>) -> P {
        landed.into_live()
    }
}
