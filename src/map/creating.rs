//! The calls of a map that create.

use crate::create::creator::{Creating, Creator, PendingKeyOf, Tokens, WeakKeys};
use crate::create::entry::{AnyLive, Asks, BorrowedKey, Entry, FromRef, KeyAndOwner, Selects};
#[cfg(feature = "async")]
use crate::create::entry::{EntryFuture, Missed, Owned};
use crate::create::error::CreateError;
use crate::map::map::Map;
use crate::map::store::create::Made;
use crate::map::store::entry_ref::{LiveEntry, PendingKey};
use crate::map::store::reverse::ValueSlot;
use crate::map::store::slot::{HashedKey, Lookup, OwnedSlot, Slot};
use crate::map::store::slot::{WeakSide, WeakSlot};
use crate::map::store::watching::Watching;
use crate::map::store::Store;
use crate::pointer::keying::{Asked, Keying};
use crate::pointer::token::Binder;
use crate::pointer::traits::Pointer;
use equivalent::Equivalent;
#[cfg(feature = "async")]
use std::future::Future;
use std::hash::{BuildHasher, Hash};
#[cfg(feature = "async")]
use std::sync::Arc;

/// The key of an entry, as it was given to [`Map::entry`].
#[derive(Clone, Copy, Debug)]
pub struct GivenKey<G>(G);

impl<'q, A, B, S> Selects<Map<A, B, S>> for GivenKey<A::Given<'q>>
where
    A: HashedKey + 'static,
    B: ValueSlot + 'static,
    S: BuildHasher,
{
    #[inline(always)]
    fn hash(&self, map: &Map<A, B, S>) -> u64 {
        A::hash(&map.hasher, A::key(&self.0))
    }

    #[inline(always)]
    fn is_it(&self, stored: &A) -> bool {
        stored.is(A::key(&self.0))
    }

    #[inline(always)]
    fn into_key(self, _: &Map<A, B, S>, _: u64) -> A::Key {
        A::into_key(self.0)
    }
}

/// The calls that create. The first four are the everyday ones; for everything else about one key there is
/// its entry.
impl<A: HashedKey + 'static, B: ValueSlot + 'static, S: BuildHasher> Map<A, B, S> {
    /// Returns the live value of this key, created if there is none: [`entry`](Self::entry) with
    /// [`or_insert_with`](Entry::or_insert_with).
    ///
    /// *Runs* `make` with no lock held, once per key at a time. *Waits* for a creation of the same key under
    /// way, asleep; a hit waits for nobody.
    ///
    /// For values that are not `Clone` there is [`and_view`](Entry::and_view) of an [`entry`](Self::entry).
    ///
    /// # Panics
    /// When `make` panics; and with the text of [`Refused`](crate::error::Refused) when it asks for its own
    /// key, directly or through others, or when the map is closed.
    ///
    /// ```
    /// use highlander::WeakKeyMap;
    /// use std::sync::Arc;
    ///
    /// let sizes: WeakKeyMap<Arc<str>, usize> = WeakKeyMap::new();
    /// let word: Arc<str> = "quickening".into();
    /// assert_eq!(sizes.get_or_insert_with(&word, |word| word.len()), 10);
    /// ```
    #[inline]
    #[track_caller]
    pub fn get_or_insert_with(
        &self,
        key: A::Given<'_>,
        make: impl FnOnce(&A::Key) -> B::Value,
    ) -> B::Value
    where
        B::Value: Clone,
    {
        self.entry(key).or_insert_with(make)
    }

    /// Returns the live value of this key. If there is none, creates it by a factory that may fail:
    /// [`entry`](Self::entry) with [`or_try_insert_with`](Entry::or_try_insert_with).
    ///
    /// # Errors
    /// [`CreateError::Failed`] with the error of `make`; [`CreateError::Refused`] when the creation is
    /// refused. Nothing is entered, and one of those that wait creates.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::{fs::File, io, sync::Arc};
    ///
    /// static FILES: WeakValueMap<String, Arc<File>> = WeakValueMap::new();
    ///
    /// fn open(path: &str) -> io::Result<Arc<File>> {
    ///     Ok(FILES.get_or_try_insert_with(path.to_owned(), |path| File::open(path).map(Arc::new))?)
    /// }
    /// assert_eq!(open("no such file").unwrap_err().kind(), io::ErrorKind::NotFound);
    /// ```
    #[inline]
    pub fn get_or_try_insert_with<E>(
        &self,
        key: A::Given<'_>,
        make: impl FnOnce(&A::Key) -> Result<B::Value, E>,
    ) -> Result<B::Value, CreateError<E>>
    where
        B::Value: Clone,
    {
        self.entry(key).or_try_insert_with(make)
    }

    /// Returns the live value of this key. If there is none, creates it by a factory that awaits:
    /// [`entry`](Self::entry) with [`or_insert_with_async`](Entry::or_insert_with_async).
    ///
    /// The future that `make` returns cannot borrow the key, so a factory that uses the key clones it first.
    /// (An `async |key|` closure borrows it.) Where the value is an `Arc<dyn Trait>`, the block says so at
    /// its end.
    ///
    /// # Panics
    /// As `get_or_insert_with`, when the future is polled.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// trait Connection: Send + Sync {}
    /// struct Tcp(String);
    /// impl Connection for Tcp {}
    ///
    /// static HOSTS: WeakValueMap<&str, Arc<dyn Connection>> = WeakValueMap::new();
    ///
    /// # pollster::block_on(async {
    /// let connection = HOSTS.get_or_insert_async("glen", |host| {
    ///     let host = host.to_string();
    ///     async move { Arc::new(Tcp(host)) as Arc<dyn Connection> }
    /// }).await;
    /// assert!(Arc::ptr_eq(&connection, &HOSTS.get("glen").unwrap()));
    /// # });
    /// ```
    #[cfg(feature = "async")]
    pub fn get_or_insert_async<'a, F, T>(
        &'a self,
        key: A::Given<'a>,
        make: F,
    ) -> EntryFuture<'a, Entry<'a, Self, GivenKey<A::Given<'a>>>, F, B::Value, T>
    where
        F: FnOnce(&A::Key) -> T + 'a,
        T: Future<Output = B::Value> + 'a,
        B::Value: Clone,
    {
        self.entry(key).or_insert_with_async(make)
    }

    /// Returns the live value of this key. If there is none, creates it by a factory that awaits and may
    /// fail.
    ///
    /// # Errors
    /// As [`get_or_try_insert_with`](Self::get_or_try_insert_with).
    #[cfg(feature = "async")]
    pub fn get_or_try_insert_async<'a, F, T, E>(
        &'a self,
        key: A::Given<'a>,
        make: F,
    ) -> EntryFuture<
        'a,
        Entry<'a, Self, GivenKey<A::Given<'a>>>,
        F,
        Result<B::Value, CreateError<E>>,
        (T, E),
    >
    where
        F: FnOnce(&A::Key) -> T + 'a,
        T: Future<Output = Result<B::Value, E>> + 'a,
        E: 'a,
        B::Value: Clone,
    {
        self.entry(key).or_try_insert_with_async(make)
    }

    /// Selects one key. The calls of the [`Entry`] say what is to be done with it.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// static FONTS: WeakValueMap<String, Arc<Vec<u8>>> = WeakValueMap::new();
    ///
    /// let font = FONTS.entry("Gill".into()).or_insert_with(|name| Arc::new(name.as_bytes().to_vec()));
    /// let same = FONTS.entry("Gill".into()).valid_if(|font| !font.is_empty()).or_default();
    /// assert!(Arc::ptr_eq(&font, &same));
    /// ```
    #[inline(always)]
    pub fn entry<'q>(&self, key: A::Given<'q>) -> Entry<'_, Self, GivenKey<A::Given<'q>>> {
        Entry::new(self, GivenKey(key))
    }
}

impl<K: Hash + Eq + 'static, B: ValueSlot, S: BuildHasher> Map<OwnedSlot<K>, B, S> {
    /// Selects one key by a borrowed form of it. The key is made on a miss only, by [`From`] or by
    /// [`key_with`](Entry::key_with).
    ///
    /// ```
    /// use highlander::StrongMap;
    ///
    /// static LENGTHS: StrongMap<String, usize> = StrongMap::new();
    ///
    /// assert_eq!(LENGTHS.entry_ref("Gill").or_insert_with(|name| name.len()), 4);     // makes a `String`
    /// assert_eq!(LENGTHS.entry_ref("Gill").or_insert_with(|_| unreachable!()), 4);    // makes nothing
    /// ```
    #[inline(always)]
    pub fn entry_ref<'q, Q>(&self, key: &'q Q) -> Entry<'_, Self, BorrowedKey<'q, Q>>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        let to_key = FromRef;
        Entry::new(self, BorrowedKey { asked: key, to_key })
    }
}

impl<P: Pointer, M: Keying<P>, B: ValueSlot, S: BuildHasher> Map<WeakSlot<P, M>, B, S> {
    /// Selects one key by what it is looked up with. The key is made on a miss only, by [`From`] or by
    /// [`key_with`](Entry::key_with), and comes back with the value: nobody else owns it.
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
    pub fn entry_ref<'q, Q>(
        &self,
        key: &'q Q,
    ) -> Entry<'_, Self, BorrowedKey<'q, Q>, AnyLive, KeyAndOwner>
    where
        Q: ?Sized,
        M: Asked<P, Q>,
    {
        let to_key = FromRef;
        Entry::with_output(self, BorrowedKey { asked: key, to_key }, KeyAndOwner)
    }
}

impl<A: HashedKey + 'static, B: ValueSlot + 'static, S: BuildHasher> Creator for Map<A, B, S> {
    type Key = A::Key;
    type Value = B::Value;
    type Owner = B::Value;
}

impl<A, B, S> Creating<A::Key, B::Value, B::Value> for Map<A, B, S>
where
    A: HashedKey + 'static,
    B: ValueSlot + 'static,
    S: BuildHasher,
{
    type Core = Store<A, B>;
    type Stored = A;

    #[inline(always)]
    fn core(&self) -> &Store<A, B> {
        &self.store
    }

    #[inline(always)]
    fn hash(&self, key: &A::Key) -> u64 {
        A::hash(&self.hasher, key)
    }

    #[inline(always)]
    fn is_it(stored: &A, key: &A::Key) -> bool {
        stored.is(key)
    }

    #[inline(always)]
    fn find_owner(&self, hash: u64, is_it: impl Fn(&A) -> bool) -> Option<B::Value>
    where
        B::Value: Clone,
    {
        self.store.get_with(hash, is_it, Slot::live_owner)
    }

    fn find(&self, hash: u64, is_it: impl Fn(&A) -> bool) -> Option<LiveEntry<A, B>> {
        self.store.get(hash, is_it)
    }

    fn pending_key(&self, hash: u64, key: A::Key) -> PendingKey<A, B> {
        let (key, live) = A::new(key);
        self.store.pending_key(hash, key, live)
    }

    fn key_of(pending_key: &PendingKey<A, B>) -> &A::Key {
        pending_key.key()
    }

    fn made(_: &PendingKeyOf<Self>, value: B::Value) -> Made<B> {
        B::new(value)
    }

    fn value(live_entry: &LiveEntry<A, B>) -> &B::Value {
        live_entry.value()
    }

    fn owner(live_entry: &LiveEntry<A, B>) -> &B::Value {
        live_entry.value()
    }

    fn into_owner(live_entry: LiveEntry<A, B>) -> B::Value
    where
        B::Value: Clone,
    {
        live_entry.into_owner()
    }
}

impl<P: Pointer + 'static, M: Keying<P>, B: ValueSlot + 'static, S: BuildHasher> WeakKeys
    for Map<WeakSlot<P, M>, B, S>
{
    fn live_key(live_entry: &LiveEntry<WeakSlot<P, M>, B>) -> Option<P> {
        live_entry.entry.key().live()
    }
}

impl<A, B, S, Q> Asks<Q> for Map<A, B, S>
where
    A: Lookup<Q> + 'static,
    B: ValueSlot + 'static,
    S: BuildHasher,
    Q: ?Sized,
{
    #[inline(always)]
    fn hash_asked(&self, asked: &Q) -> u64 {
        A::hash_asked(&self.hasher, asked)
    }

    #[inline(always)]
    fn is_asked(stored: &A, asked: &Q) -> bool {
        stored.is_asked(asked)
    }

    fn is_asked_key(key: &A::Key, asked: &Q) -> bool {
        A::is_asked_key(key, asked)
    }
}

impl<A, B, S> Tokens for Map<A, B, S>
where
    A: HashedKey + Send + Sync + 'static,
    B: ValueSlot + WeakSide + Send + Sync + 'static,
    B::Index<A>: Send + Sync,
    S: BuildHasher,
{
    fn made_with_token(
        &self,
        hash: u64,
        _: &PendingKeyOf<Self>,
        value: B::Value,
        binder: &Binder,
    ) -> Made<B> {
        let watching = Watching::by(binder.bind(self.store.notify_prompt(hash)));
        B::new_watched(value, watching)
    }
}

/// Checks that our part of an [`EntryFuture`] may go to other threads.
#[cfg(feature = "async")]
#[allow(dead_code)] // It compiles, which is all.
fn futures_are_send<'a>(
    weak: fn() -> Missed<'a, crate::WeakKeyValueMap<Arc<u32>, Arc<u32>>, AnyLive, KeyAndOwner>,
    kept: fn() -> Missed<'a, crate::StrongMap<u32, u32>, AnyLive, Owned>,
    token: fn() -> Missed<'a, crate::WeakValueMap<u32, Arc<u32>>, AnyLive, Owned>,
) {
    fn need_send(_: impl Send) {}
    let make = || std::future::ready(Ok::<_, u32>(Arc::new(1)));
    need_send(weak().create_async(move |_: &Arc<u32>| make()));
    need_send(kept().create_async(|_: &u32| std::future::ready(Ok::<_, u32>(1))));
    need_send(kept().claim_async());
    need_send(token().create_with_token_async(move |_: &u32, _| make()));
}
