//! Values of a registry that a factory makes.

use super::Registry;
use crate::create::claim::{Claim, Claims, Creator};
use crate::create::error::{ClosedError, CycleError, InFlight, Refusal};
use crate::create::flight::FlightTable;
use crate::create::reserved_node::{Planted, ReservedNode};
#[cfg(feature = "async")]
use crate::create::steps::get_or_create_async;
use crate::create::steps::{self, get_or_create, Accept, Creates, Creation};
use crate::create::steps::{EnteredDraft, EnteredValue, Landing};
use crate::deadlock::work::GivenUp;
use crate::memory::hash::{hash_key, owned_key};
use crate::memory::panics::after;
#[cfg(feature = "async")]
use crate::memory::panics::ended;
use crate::registry::handle::Handle;
use crate::registry::node::{RegistryNode, Unborn, Watch};
use crate::table::exclusive::InTheWay;
use crate::table::node_ref::NodeRef;
use crate::table::Entered;
use equivalent::Equivalent;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

impl<K: Hash + Eq + 'static, V: 'static, S: BuildHasher> Registry<K, V, S> {
    /// The live value of this key, created if there is none.
    ///
    /// *Runs* `make` with no lock held, once per key at a time. *Waiting:* none on a hit; otherwise for a creation of the same
    /// key that is under way, asleep. All who wait get the value that was made, even if its creator drops its own handle at once.
    ///
    /// # Panics
    /// When `make` panics, that goes to this caller, nothing is entered, and one of the waiters creates. When `make` asks for its own key, directly or
    /// through others, with the text of [`CycleError`].
    ///
    /// ```
    /// use highlander::Registry;
    ///
    /// let squares: Registry<u32, u32> = Registry::new();
    /// let nine = squares.get_or_insert_with(3, |n| n * n);
    /// assert_eq!(*nine, 9);
    /// ```
    #[inline]
    pub fn get_or_insert_with(&self, key: K, make: impl FnOnce(&K) -> V) -> Handle<K, V> {
        or_panic(self.get_or_try_insert_with(key, |key| Ok(make(key))))
    }

    /// The live value of this key, created if there is none, by a factory that may fail: its error comes back as it is.
    ///
    /// A failed creation enters nothing; one of those who wait runs its own factory. The error type must be able to say that the
    /// factory asked for its own key; one that cannot can be wrapped in a [`CreateError`](crate::CreateError).
    ///
    /// ```
    /// use highlander::{Handle, Registry};
    /// use std::{fs::File, io, path::{Path, PathBuf}};
    ///
    /// static FILES: Registry<PathBuf, File> = Registry::new();
    ///
    /// fn open(path: &Path) -> io::Result<Handle<PathBuf, File>> {
    ///     FILES.get_or_try_insert_with(path.to_owned(), |path| File::open(path))
    /// }
    /// assert_eq!(open(Path::new("no such file")).unwrap_err().kind(), io::ErrorKind::NotFound);
    /// assert!(FILES.is_empty());
    /// ```
    ///
    /// # Errors
    /// Whatever `make` returns, and [`CycleError`] when it asks for its own key, directly or through others.
    #[inline]
    pub fn get_or_try_insert_with<E: From<CycleError>>(
        &self,
        key: K,
        make: impl FnOnce(&K) -> Result<V, E>,
    ) -> Result<Handle<K, V>, E> {
        let hash = hash_key(&self.hasher, &key);
        match self.table.get(hash, |other| key == *other) {
            Some(strong) => Ok(after((key, make), Handle::new(strong))),
            None => self.create(hash, key, make),
        }
    }

    /// As [`get_or_insert_with`](Registry::get_or_insert_with), by a borrowed key: `to_owned` builds the key on a miss only.
    ///
    /// ```
    /// use highlander::{Equivalent, Registry};
    ///
    /// #[derive(PartialEq, Eq, Hash)]
    /// struct Name { space: String, local: String }
    ///
    /// #[derive(Hash)]
    /// struct NameRef<'a> { space: &'a str, local: &'a str }
    ///
    /// impl Equivalent<Name> for NameRef<'_> {
    ///     fn equivalent(&self, name: &Name) -> bool {
    ///         self.space == name.space && self.local == name.local
    ///     }
    /// }
    ///
    /// let registry: Registry<Name, usize> = Registry::new();
    /// let query = NameRef { space: "clan", local: "MacLeod" };
    /// let owned = |name: &NameRef| Name { space: name.space.into(), local: name.local.into() };
    /// let held = registry.get_or_insert_with_ref(&query, owned, |name| name.local.len());
    /// assert_eq!(*held, 7);
    /// assert!(registry.get(&query).is_some());
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
    ) -> Handle<K, V>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        or_panic(self.get_or_try_insert_with_ref(key, to_owned, |key| Ok(make(key))))
    }

    /// As [`get_or_try_insert_with`](Registry::get_or_try_insert_with), by a borrowed key: `to_owned` builds the key on a miss only.
    ///
    /// # Errors
    /// Whatever `make` returns, and [`CycleError`] when it asks for its own key, directly or through others.
    ///
    /// # Panics
    /// When the key that `to_owned` builds is not equivalent to the borrowed one or hashes differently, since it would never be found.
    #[inline]
    pub fn get_or_try_insert_with_ref<Q, E: From<CycleError>>(
        &self,
        key: &Q,
        to_owned: impl FnOnce(&Q) -> K,
        make: impl FnOnce(&K) -> Result<V, E>,
    ) -> Result<Handle<K, V>, E>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let hash = hash_key(&self.hasher, key);
        if let Some(strong) = self.table.get(hash, |other| key.equivalent(other)) {
            return Ok(after((to_owned, make), Handle::new(strong)));
        }
        let owned = owned_key(&self.hasher, hash, key, to_owned);
        self.create(hash, owned, make)
    }

    /// As [`get_or_insert_with`](Registry::get_or_insert_with), with a factory that awaits. Waits without holding up a thread, under any executor;
    /// callers of this and of the other calls share one flight.
    ///
    /// A future that is dropped enters nothing, and leaves the creation to one of those who wait; one that was never polled has not begun. One that
    /// has begun to create, and is neither polled on nor dropped, keeps the others waiting.
    ///
    /// # Panics
    /// When `make` asks for its own key, directly or through others, because that would wait for ever.
    ///
    /// ```
    /// use highlander::Registry;
    /// # async fn connect(host: &str) -> String { format!("connection to {host}") }
    ///
    /// static CONNECTIONS: Registry<String, String> = Registry::new();
    ///
    /// pollster::block_on(async {
    ///     let one = CONNECTIONS.get_or_insert_async("glen".into(), async |host| connect(host).await).await;
    ///     let same = CONNECTIONS.get_or_insert_async("glen".into(), async |_| unreachable!()).await;
    ///     assert!(one.ptr_eq(&same));
    /// });
    /// ```
    #[cfg(feature = "async")]
    pub async fn get_or_insert_async(
        &self,
        key: K,
        make: impl AsyncFnOnce(&K) -> V,
    ) -> Handle<K, V> {
        or_panic(
            self.get_or_try_insert_async(key, async |key| Ok(ended!(make(key))))
                .await,
        )
    }

    /// As [`get_or_insert_async`](Registry::get_or_insert_async), with a factory that may fail; see
    /// [`get_or_try_insert_with`](Registry::get_or_try_insert_with).
    ///
    /// # Errors
    /// Whatever `make` returns, and [`CycleError`] when it asks for its own key, directly or through others.
    #[cfg(feature = "async")]
    pub async fn get_or_try_insert_async<E: From<CycleError>>(
        &self,
        key: K,
        make: impl AsyncFnOnce(&K) -> Result<V, E>,
    ) -> Result<Handle<K, V>, E> {
        let hash = hash_key(&self.hasher, &key);
        if let Some(strong) = self.table.get(hash, |other| key == *other) {
            return Ok(after((key, make), Handle::new(strong)));
        }
        let make = async |seed: &ReservedNode<_>| ended!(make(seed.key()));
        let made = <Self as Claims<_, _, _>>::made;
        let seed = self.seed(hash, key);
        get_or_create_async(self, hash, seed, make, made, Refusal::into_cycle).await
    }

    /// The live value of this key, or the right to create it, for code that cannot pass a closure.
    ///
    /// *Waiting:* for a creation of the key under way; if that fails, one of those who wait gets the vacancy.
    ///
    /// # Errors
    /// [`CycleError`] when it is called inside a creation that the one under way waits for.
    pub fn claim(&self, key: K) -> Result<Claim<'_, Self>, CycleError> {
        let hash = hash_key(&self.hasher, &key);
        if let Some(strong) = self.table.get(hash, |other| key == *other) {
            return Ok(after(key, Claim::Live(Handle::new(strong))));
        }
        let begun = steps::begin(self, hash, self.seed(hash, key), Accept::All);
        begun.map(Claim::after).map_err(Refusal::into_cycle)
    }

    /// As [`claim`](Registry::claim), without waiting: none while somebody else is creating the value, and then the key is dropped.
    pub fn try_claim(&self, key: K) -> Option<Claim<'_, Self>> {
        let hash = hash_key(&self.hasher, &key);
        if let Some(strong) = self.table.get(hash, |other| key == *other) {
            return Some(after(key, Claim::Live(Handle::new(strong))));
        }
        let begun = steps::try_begin(self, hash, self.seed(hash, key));
        let begun = begun.unwrap_or_else(|closed| Refusal::Closed(closed).panic());
        begun.map(Claim::after)
    }

    /// As [`claim`](Registry::claim), without holding up a thread.
    ///
    /// # Errors
    /// As `claim`.
    #[cfg(feature = "async")]
    pub async fn claim_async(&self, key: K) -> Result<Claim<'_, Self>, CycleError> {
        let hash = hash_key(&self.hasher, &key);
        if let Some(strong) = self.table.get(hash, |other| key == *other) {
            return Ok(after(key, Claim::Live(Handle::new(strong))));
        }
        let begun = steps::begin_async(self, hash, self.seed(hash, key)).await;
        begun.map(Claim::after).map_err(Refusal::into_cycle)
    }

    /// The live value of this key, as [`get`](Registry::get), but tells whether there is none because it is being created.
    ///
    /// # Errors
    /// [`InFlight`] when there is none yet, and somebody is creating it.
    pub fn try_get<Q>(&self, key: &Q) -> Result<Option<Handle<K, V>>, InFlight>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let hash = hash_key(&self.hasher, key);
        let look = || self.table.get(hash, |other| key.equivalent(other));
        if let Some(strong) = look() {
            return Ok(Some(Handle::new(strong)));
        }
        if let Some(draft) = self.draft_of(hash, key) {
            return Ok(Some(draft));
        }
        if self.flights.any(hash, |seed| key.equivalent(seed.key())) {
            return Err(InFlight);
        }
        // It may have landed between the two looks.
        Ok(look().map(Handle::new))
    }

    /// A key that waits for its value.
    pub(super) fn seed(&self, hash: u64, key: K) -> ReservedNode<RegistryNode<K, V>> {
        ReservedNode::new(self.table.blank(0, hash, 0), key)
    }

    fn create<E: From<CycleError>>(
        &self,
        hash: u64,
        key: K,
        make: impl FnOnce(&K) -> Result<V, E>,
    ) -> Result<Handle<K, V>, E> {
        get_or_create(
            self,
            hash,
            self.seed(hash, key),
            Accept::All,
            |seed| Self::grow(seed, None, make),
            Refusal::into_cycle,
        )
    }
}

/// A value that was made, with what its weak handles share, if its factory has them.
pub(super) type Grown<'t, K, V> = (Planted<'t, RegistryNode<K, V>>, Option<Arc<Watch>>);

impl<K: 'static, V: 'static, S> Registry<K, V, S> {
    /// Has the value made, and written where it stays.
    #[inline]
    pub(super) fn grow<'t, E>(
        seed: &'t ReservedNode<RegistryNode<K, V>>,
        watch: Option<Arc<Watch>>,
        make: impl FnOnce(&'t K) -> Result<V, E>,
    ) -> Result<Grown<'t, K, V>, E> {
        match make(seed.key()) {
            Ok(value) => {
                // SAFETY: called by factories only. A flight creates once at a time, drops what was made before its next leader begins, as that borrows the seed from this
                // one, and creates no more after the first success, which owns what was sown.
                let planted = unsafe {
                    seed.place().write(value);
                    seed.planted()
                };
                Ok((planted, watch))
            }
            Err(error) => Err(error),
        }
    }
}

impl<K: Eq + 'static, V: 'static, S> Creates for Registry<K, V, S> {
    type Ticket = ReservedNode<RegistryNode<K, V>>;
    type Landed = Handle<K, V>;
    type Made<'t> = Grown<'t, K, V>;
    /// A value that was made in vain, and values of other keys with the same hash.
    type Rest = (Option<Box<V>>, Vec<NodeRef<RegistryNode<K, V>>>);
    type Grip = Registry<K, V, ()>;

    fn flights(&self) -> &FlightTable<Self::Ticket, Self::Landed> {
        &self.flights
    }

    fn same(&self, one: &Self::Ticket, other: &Self::Ticket) -> bool {
        one.key() == other.key()
    }

    fn name(&self, seed: &Self::Ticket, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.naming.name(seed.key(), f)
    }

    fn look(&self, hash: u64, seed: &Self::Ticket) -> Option<Self::Landed> {
        let found = self.table.get(hash, |other| seed.key() == other);
        found.map(Handle::new)
    }

    fn in_the_way(&self, hash: u64) -> Option<InTheWay> {
        self.table.in_the_way(hash)
    }

    fn refused(&self) -> Option<ClosedError> {
        None
    }

    fn enter(
        &self,
        hash: u64,
        seed: &Self::Ticket,
        (planted, watch): Self::Made<'_>,
        _: &dyn Fn(&Self::Landed) -> bool,
    ) -> EnteredValue<Self> {
        let mut others = Vec::new();
        let enter = |node| {
            // SAFETY: key and value are written, and others have the key only.
            let unborn = watch.map(|watch| unsafe { Unborn::<K, V>::new(node, watch) });
            let Entered {
                entering,
                strangers,
            } = self.table.enter(node, hash, |other| seed.key() == other);
            others = strangers;
            match entering.existing() {
                Some(existing) => (false, existing),
                None => {
                    if let Some(unborn) = unborn {
                        unborn.born();
                    }
                    self.table.add_live(1);
                    // SAFETY: linked, and its count is ours.
                    (true, unsafe { NodeRef::adopt(node) })
                }
            }
        };
        // SAFETY: it says what the table has said, after which no user code runs.
        let (landed, vain) = unsafe { planted.enter(enter) };
        Landing {
            landed: Ok(Handle::new(landed)),
            rest: (vain, others),
        }
    }

    fn draft(&self, _: u64, _: &Self::Ticket, (planted, watch): Self::Made<'_>) -> Self::Landed {
        let strong = planted.draft();
        if let Some(watch) = watch {
            // SAFETY: complete, and nobody else has it yet.
            unsafe { Unborn::<K, V>::new(strong.node(), watch) }.born();
        }
        Handle::new(strong)
    }

    fn enter_draft(&self, hash: u64, _: &Self::Ticket, draft: &Self::Landed) -> EnteredDraft<Self> {
        let is_it = |other: &K| Handle::key(draft) == other;
        let Entered {
            entering,
            strangers,
        } = self.table.enter(draft.strong().node(), hash, is_it);
        let existing = entering.existing();
        if existing.is_none() {
            self.table.add_live(1);
        }
        Landing {
            landed: Ok(existing.map(Handle::new)),
            rest: (None, strangers),
        }
    }

    fn abandon(&self, draft: &Self::Landed, given_up: GivenUp<'_>) {
        self.table.abandon(draft.strong(), given_up);
    }

    fn grip(&self) -> Self::Grip {
        Registry {
            table: self.table.share(),
            flights: self.flights.share(),
            naming: self.naming,
            hasher: (),
        }
    }

    fn settle(&self, _: &Self::Landed, rest: Option<Self::Rest>) {
        drop(rest);
    }
}

impl<K: Eq + 'static, V: 'static, S> Creator for Registry<K, V, S> {
    type Key = K;
    type Value = V;
    type Owner = Handle<K, V>;
}

impl<K: Eq + 'static, V: 'static, S> Claims<K, V, Handle<K, V>> for Registry<K, V, S> {
    type Core = Self;

    fn key_of(seed: &ReservedNode<RegistryNode<K, V>>) -> &K {
        seed.key()
    }

    fn make<E>(
        seed: &ReservedNode<RegistryNode<K, V>>,
        make: impl FnOnce(&K) -> Result<V, E>,
    ) -> Result<Grown<'_, K, V>, E> {
        Self::grow(seed, None, make)
    }

    fn made(seed: &ReservedNode<RegistryNode<K, V>>, value: V) -> Grown<'_, K, V> {
        // SAFETY: as in `grow`.
        let planted = unsafe {
            seed.place().write(value);
            seed.planted()
        };
        (planted, None)
    }

    /// Not by way of a closure, which would have a large value for a moment. It runs no user code.
    fn made_for<'t>(creation: &'t Creation<'_, Self>, value: V) -> Grown<'t, K, V> {
        Self::made(creation.ticket(), value)
    }

    fn owner(landed: Handle<K, V>) -> Handle<K, V> {
        landed
    }
}

/// For calls whose factory cannot fail but by asking for itself.
#[inline]
pub(super) fn or_panic<T>(result: Result<T, CycleError>) -> T {
    match result {
        Ok(value) => value,
        Err(cycle) => panic!("{cycle}"),
    }
}
