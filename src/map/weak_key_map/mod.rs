//! The map with weak keys: from objects that it does not keep alive to what is to be known about them.
//!
//! Here: the type, and what concerns all of its entries. `keyed` has what concerns one, `creating` the calls that run a factory.

mod creating;
mod keyed;

#[allow(unused_imports)] // for the documentation
use crate::create::error::ClosedError;
use crate::deadlock::naming::Naming;
use crate::map::store::death_listener::CanNotify;
use crate::map::store::entry_ref::EntryRef;
use crate::map::store::hook::RemovalCause;
use crate::map::store::iter::Walk;
use crate::map::store::slot::{OwnedSlot, Slot, WeakSlot};
use crate::map::store::weak_keyed::WeakKeyed;
use crate::map::store::Setup;
use crate::memory::hash::DefaultHashBuilder;
use crate::pointer::keying::{ByEquality, Keying};
use crate::pointer::traits::{Pointer, SyncPointer};
use crate::sync::const_fn;
use crate::table::stats::Stats;
use std::fmt;
use std::hash::BuildHasher;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// A map whose keys are pointers that it holds weakly: an entry, with its value, goes when its key dies.
///
/// Keys are compared by equality of what they lead to, or with `M` = [`ByAddress`](crate::map::ByAddress) by identity. The hash is taken
/// once, when a key is entered; a dead key equals nothing and is never hashed again.
///
/// ```
/// use highlander::WeakKeyMap;
/// use std::sync::Arc;
///
/// let sizes: WeakKeyMap<Arc<str>, usize> = WeakKeyMap::new();
/// let text: Arc<str> = "MacLeod".into();
/// assert_eq!(sizes.get_or_insert_with(&text, |text| text.len()), 7);
/// assert_eq!(sizes.get("MacLeod"), Some(7));           // by anything equivalent to the target
/// drop(text);
/// assert_eq!(sizes.get("MacLeod"), None);
/// assert!(sizes.is_empty());
/// ```
///
/// By identity, to attach something to an object of somebody else's, the object itself is what is asked for:
/// ```
/// use highlander::map::ByAddress;
/// use highlander::WeakKeyMap;
/// use std::sync::Arc;
///
/// static NOTES: WeakKeyMap<Arc<Vec<u8>>, &str, ByAddress> = WeakKeyMap::new();
/// let (one, equal) = (Arc::new(vec![1]), Arc::new(vec![1]));
/// NOTES.insert(&one, "the one");
/// assert_eq!(NOTES.get(&one), Some("the one"));
/// assert_eq!(NOTES.get(&equal), None);
/// ```
///
/// It does what CPython's `WeakKeyDictionary` does, or with `ByAddress` Guava's `MapMaker().weakKeys()` and .NET's `ConditionalWeakTable`.
/// Of several equal keys the *first* stays in the map: when that one dies the entry goes, though an equal key lives.
///
/// A value that owns its own key, directly or through others, keeps the entry for ever, as in CPython and with Guava: give
/// it a weak pointer to the key, or put it into the key's object.
///
/// # Consistency
/// As for [`WeakValueMap`](crate::WeakValueMap): any operation from anywhere, no lock around user code, no guard that escapes. Values are handed
/// out as clones, taken from an entry that the call owns for that moment; [`with`](Self::with) shows them without cloning.
/// When a value dies depends on who looks at it: it is dropped by the call that takes the entry out, or by the last that is looking at it.
///
/// # Prompt entries
/// The entry of a key that reports its death, or that was entered [with its token](Self::insert_with_token), goes before the last owner's drop
/// returns; see [`WeakValueMap`](crate::WeakValueMap#prompt-entries). The value is dropped there too, unless somebody is looking at it. A key stays
/// watched when its entry gets another value.
///
/// # Dead entries
/// A plain `Arc` does not tell anybody when it dies. Its entry, *with the value*, stays for a while, invisible but to
/// [`entry_count`](Self::entry_count) and [`weak_keys`](Self::weak_keys), until an operation comes across it or a sweep takes it out; see
/// [`WeakValueMap`](crate::WeakValueMap#dead-entries) for how many there can be. [`prune`](Self::prune) takes out all.
/// The call that takes an entry out drops its value, or the last look-up that is using it does.
///
/// The alignment of values is 1024 at most, as in a [`Registry`](crate::Registry).
pub struct WeakKeyMap<P: Pointer, V: 'static, M = ByEquality, S = DefaultHashBuilder> {
    inner: WeakKeyed<P, OwnedSlot<V>, M, S>,
}

impl<P: SyncPointer, V: Send + Sync + 'static, M> WeakKeyMap<P, V, M> {
    const_fn! {
        /// An empty map, which allocates nothing before its first entry. Can be a `static`. For one thread there is [`local`](Self::local).
        pub const fn new() -> Self {
            Self::with_hasher(DefaultHashBuilder)
        }
    }
}

impl<P: Pointer, V: 'static, M> WeakKeyMap<P, V, M> {
    const_fn! {
        /// An empty map of what need not be `Send` and `Sync`, such as [`Rc`](std::rc::Rc). Nobody can tell it of a death, so it prunes, whatever the pointer.
        pub const fn local() -> Self {
            Self::local_with_hasher(DefaultHashBuilder)
        }
    }
}

impl<P: SyncPointer, V: Send + Sync + 'static, M, S> WeakKeyMap<P, V, M, S> {
    const_fn! {
        /// An empty map that hashes with `hasher`. For what else can be chosen there is [`MapMaker`](crate::map::MapMaker).
        pub const fn with_hasher(hasher: S) -> Self {
            Self::made(hasher, CanNotify::all())
        }
    }

    pub(crate) fn with_setup(setup: Setup<P::Weak>, hasher: S) -> Self {
        Self::made_with(setup, hasher, CanNotify::all())
    }
}

impl<P: Pointer, V: 'static, M, S> WeakKeyMap<P, V, M, S> {
    const_fn! {
        /// As [`local`](Self::local), with `hasher`.
        pub const fn local_with_hasher(hasher: S) -> Self {
            Self::made(hasher, CanNotify::NONE)
        }
    }

    pub(crate) fn local_with_setup(setup: Setup<P::Weak>, hasher: S) -> Self {
        Self::made_with(setup, hasher, CanNotify::NONE)
    }

    const_fn! {
        const fn made(hasher: S, reach: CanNotify<WeakSlot<P>, OwnedSlot<V>, ()>) -> Self {
            Self {
                inner: WeakKeyed::new(hasher, (), reach),
            }
        }
    }

    fn made_with(
        setup: Setup<P::Weak>,
        hasher: S,
        reach: CanNotify<WeakSlot<P>, OwnedSlot<V>, ()>,
    ) -> Self {
        Self {
            inner: WeakKeyed::with(setup, hasher, (), reach),
        }
    }

    #[cfg(feature = "serde")]
    pub(crate) fn keyed(&self) -> &WeakKeyed<P, OwnedSlot<V>, M, S> {
        &self.inner
    }

    /// The same map, whose keys are named as they show themselves (by `Debug`) where the text of a [`CycleError`](crate::error::CycleError) would otherwise name their
    /// type; see [`Registry::debug_keys`](crate::Registry::debug_keys). A [`clone`](Clone::clone) of it names them by their type again.
    ///
    /// ```
    /// use highlander::WeakKeyMap;
    /// use std::sync::Arc;
    ///
    /// static MAP: WeakKeyMap<Arc<str>, u32> = WeakKeyMap::new().debug_keys();
    ///
    /// let text = MAP.get_or_try_insert_with(&"ego".into(), |key| MAP.get_or_try_insert_with(key, |_| Ok::<_, String>(1))).unwrap_err().to_string();
    /// assert!(text.ends_with(r#""ego", which asked for the first again"#));
    /// ```
    #[must_use]
    pub const fn debug_keys(mut self) -> Self
    where
        P: fmt::Debug,
    {
        self.inner.store.naming = Naming::shown();
        self
    }

    /// The hasher.
    pub fn hasher(&self) -> &S {
        &self.inner.hasher
    }

    /// The number of entries whose key is alive: exact when nothing is under way.
    ///
    /// *Complexity:* linear in `capacity`, since each key has to be looked at; [`entry_count`](Self::entry_count) is quick. *Waiting:* for
    /// writers of a bucket, a few instructions long.
    pub fn len(&self) -> usize {
        self.inner.store.count_live()
    }

    /// Whether there is no live entry. *Complexity:* as for `len` at worst.
    pub fn is_empty(&self) -> bool {
        self.inner.store.is_empty()
    }

    /// The number of entries, with those that are dead and have not been taken out yet. *Complexity:* a few loads.
    pub fn entry_count(&self) -> usize {
        self.inner.store.table.len()
    }

    /// How many entries fit before the table grows.
    pub fn capacity(&self) -> usize {
        self.inner.store.table.capacity()
    }

    /// Makes room for `additional` entries more than there are, dead ones among them: `capacity` is at least `entry_count + additional` then; see
    /// [`WeakValueMap::reserve`](crate::WeakValueMap::reserve).
    ///
    /// # Panics
    /// With "capacity overflow", when no table can have that size.
    pub fn reserve(&self, additional: usize) {
        self.inner.store.table.reserve(additional);
    }

    /// What the map has done so far.
    pub fn stats(&self) -> Stats {
        self.inner.store.stats()
    }

    /// Takes out all entries that are dead now. Returns how many this call has taken out. What dies with their values is taken out by the next call.
    ///
    /// *Runs* `is_dead` of the keys, destructors of values, and the hook. *Complexity:* linear in `capacity`.
    pub fn prune(&self) -> usize {
        self.inner.store.prune()
    }

    /// Prunes, and gives back memory that is not needed; see [`Registry::shrink_to_fit`](crate::Registry::shrink_to_fit).
    pub fn shrink_to_fit(&self) {
        self.inner.store.shrink_to_fit();
    }

    /// Refuses new entries from now on, and returns the live keys. The entries stay, and are found until they die or are removed.
    ///
    /// An insertion or creation that comes later, or is under way and not among the keys returned, is refused with a [`ClosedError`].
    /// Of values that are [published together](crate::map::Entry::or_create_cyclic) each is refused for itself: see [the guide](crate::guide::creating#what-becomes-of-whom).
    pub fn close(&self) -> Vec<P> {
        self.inner.store.close();
        self.keys().collect()
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.inner.store.is_closed()
    }

    /// The live keys, each at the moment when it is yielded.
    ///
    /// The iterator goes through the table: what is entered and alive throughout is yielded once, what comes or goes meanwhile may be. It holds no
    /// lock and keeps no key alive but the one in hand; the map may be changed meanwhile. Values of the few entries of one bucket live until the iterator is past
    /// them.
    pub fn keys(&self) -> impl Iterator<Item = P> + use<'_, P, V, M, S> {
        self.inner.store.walk().lives().map(|(key, ())| key)
    }

    /// The weak keys of all entries, also of dead ones that have not been taken out yet: CPython's `keyrefs`.
    pub fn weak_keys(&self) -> impl Iterator<Item = P::Weak> + use<'_, P, V, M, S> {
        self.inner.store.walk().views(|key, _| Some(key.0.clone()))
    }

    /// Clones of the values whose keys are alive; see [`keys`](Self::keys).
    pub fn values(&self) -> impl Iterator<Item = V> + use<'_, P, V, M, S>
    where
        V: Clone,
    {
        let entries = self.inner.store.walk();
        entries.views(|key, value| (!key.is_dead()).then(|| value.0.clone()))
    }

    /// The live entries, values cloned; see [`keys`](Self::keys). [`for_each`](Self::for_each) does without cloning.
    pub fn iter(&self) -> WeakKeyIter<'_, P, V>
    where
        V: Clone,
    {
        WeakKeyIter {
            entries: self.inner.store.walk(),
        }
    }

    /// Calls `f` with each live entry; see [`keys`](Self::keys). *Runs* `f` with no lock held; it may change the map.
    pub fn for_each(&self, mut f: impl FnMut(&P, &V)) {
        for (landed, key) in self.inner.store.walk().landed() {
            f(&key, &landed.held.value().0);
        }
    }

    /// Takes out the entries for which `keep` says no, and the dead ones. Returns how many live ones this call has taken out.
    ///
    /// *Runs* `keep` with no lock held; it may change the map. An entry that is replaced meanwhile is left as it is.
    pub fn retain(&self, mut keep: impl FnMut(&P, &V) -> bool) -> usize {
        self.inner
            .store
            .retain(RemovalCause::Removed, |landed, key| {
                keep(&key, landed.value())
            })
    }

    /// Takes out all entries. Returns how many live ones this call has taken out. Entries that come while this runs may stay.
    pub fn clear(&self) -> usize {
        self.inner.store.clear()
    }

    /// Takes out all entries, and returns the live ones that this call has taken out, values cloned.
    pub fn drain(&self) -> std::vec::IntoIter<(P, V)>
    where
        V: Clone,
    {
        let item = |held: &EntryRef<_, OwnedSlot<V>>, key: P, ()| (key, held.value().0.clone());
        self.inner.store.drain(item).into_iter()
    }

    /// Takes out some live entry, whichever comes first; none if there is none. Where one was found the next call goes on, so emptying a map so takes a time linear in its size.
    /// Where entries come between the calls, each looks through the table until it meets one: a few entries in what has room for many are not a queue.
    pub fn pop(&self) -> Option<(P, V)>
    where
        V: Clone,
    {
        let (landed, key) = self.inner.store.pop()?;
        Some((key, landed.into_clone()))
    }
}

impl<P: Pointer, V: Clone + 'static, M: Keying<P>, S: BuildHasher + Clone> Clone
    for WeakKeyMap<P, V, M, S>
{
    /// A new map with the entries that are alive. Hook, counters and other settings are not copied.
    fn clone(&self) -> Self {
        let copy = Self::made(self.hasher().clone(), self.inner.store.reach);
        copy.extend_with(self);
        copy
    }
}

impl<P: Pointer, V: PartialEq + 'static, M: Keying<P>, S: BuildHasher> PartialEq
    for WeakKeyMap<P, V, M, S>
{
    /// Whether both have the same live keys, compared as the map compares them, with equal values. Taken at no single moment.
    ///
    /// *Runs* `Hash` and `Eq` of keys and `PartialEq` of values, with no lock held. It is no look-up: the statistics do not count it as one.
    fn eq(&self, other: &Self) -> bool {
        self.inner.equals(&other.inner, |mine, theirs| {
            mine.held.value().0 == theirs.held.value().0
        })
    }
}

impl<P: Pointer, V: Eq + 'static, M: Keying<P>, S: BuildHasher> Eq for WeakKeyMap<P, V, M, S> {}

impl<P: SyncPointer, V: Send + Sync + 'static, M, S: Default> Default for WeakKeyMap<P, V, M, S> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<P, V, M, S> FromIterator<(P, V)> for WeakKeyMap<P, V, M, S>
where
    P: SyncPointer,
    V: Clone + Send + Sync + 'static,
    M: Keying<P>,
    S: BuildHasher + Default,
{
    /// The later of two with the same key wins. Keys that nobody else owns are dead at the end.
    fn from_iter<I: IntoIterator<Item = (P, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

impl<P: Pointer, V: Clone + 'static, M: Keying<P>, S: BuildHasher> Extend<(P, V)>
    for WeakKeyMap<P, V, M, S>
{
    fn extend<I: IntoIterator<Item = (P, V)>>(&mut self, entries: I) {
        (&*self).extend(entries);
    }
}

impl<P: Pointer, V: Clone + 'static, M: Keying<P>, S: BuildHasher> Extend<(P, V)>
    for &WeakKeyMap<P, V, M, S>
{
    /// Enters all, each in the place of one with the same key. If the iterator panics, what came before stays.
    fn extend<I: IntoIterator<Item = (P, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(&key, value);
        }
    }
}

impl<P: Pointer + fmt::Debug, V: fmt::Debug + 'static, M, S> fmt::Debug for WeakKeyMap<P, V, M, S> {
    /// The live entries only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        self.for_each(|key, value| {
            map.entry(key, value);
        });
        map.finish()
    }
}

impl<'a, P: Pointer, V: Clone + 'static, M, S> IntoIterator for &'a WeakKeyMap<P, V, M, S> {
    type Item = (P, V);
    type IntoIter = WeakKeyIter<'a, P, V>;

    fn into_iter(self) -> WeakKeyIter<'a, P, V> {
        self.iter()
    }
}

/// The live entries of a [`WeakKeyMap`], from [`WeakKeyMap::iter`].
pub struct WeakKeyIter<'a, P: Pointer, V: 'static> {
    entries: Walk<'a, WeakSlot<P>, OwnedSlot<V>>,
}

impl<P: Pointer, V: Clone + 'static> Iterator for WeakKeyIter<'_, P, V> {
    type Item = (P, V);

    fn next(&mut self) -> Option<(P, V)> {
        self.entries
            .next_that(|key, value| Some((key.live()?, value.0.clone())))
    }
}

impl<P: Pointer, V: Clone + 'static> std::iter::FusedIterator for WeakKeyIter<'_, P, V> {}

impl<P: Pointer, V: 'static> fmt::Debug for WeakKeyIter<'_, P, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakKeyIter").finish_non_exhaustive()
    }
}

// Why: see the head of `memory::panics`.
impl<
        P: Pointer + UnwindSafe + RefUnwindSafe,
        V: 'static + UnwindSafe + RefUnwindSafe,
        M,
        S: UnwindSafe,
    > UnwindSafe for WeakKeyMap<P, V, M, S>
{
}
impl<
        P: Pointer + UnwindSafe + RefUnwindSafe,
        V: 'static + UnwindSafe + RefUnwindSafe,
        M,
        S: RefUnwindSafe,
    > RefUnwindSafe for WeakKeyMap<P, V, M, S>
{
}
impl<P: Pointer, V: 'static, M, S: Unpin> Unpin for WeakKeyMap<P, V, M, S> {}

// Why: see the head of `memory::panics`.
impl<P: Pointer + UnwindSafe + RefUnwindSafe, V: 'static + UnwindSafe + RefUnwindSafe> UnwindSafe
    for WeakKeyIter<'_, P, V>
{
}
impl<P: Pointer + UnwindSafe + RefUnwindSafe, V: 'static + UnwindSafe + RefUnwindSafe> RefUnwindSafe
    for WeakKeyIter<'_, P, V>
{
}
impl<P: Pointer, V: 'static> Unpin for WeakKeyIter<'_, P, V> {}
