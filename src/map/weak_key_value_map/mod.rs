//! The map with weak keys and weak values, which can be asked from both sides.
//!
//! Here: the type, and what concerns all of its entries or is asked by value. `keyed` has what concerns one entry, by its key, `creating` the calls that run a factory.

mod creating;
mod keyed;

#[allow(unused_imports)] // for the documentation
use crate::create::error::ClosedError;
use crate::deadlock::naming::Naming;
use crate::map::store::death_listener::CanNotify;
use crate::map::store::entry_ref::{EntryRef, Landed};
use crate::map::store::hook::RemovalCause;
use crate::map::store::iter::Walk;
use crate::map::store::reverse::{ByValue, Traced};
use crate::map::store::slot::{Slot, WeakSlot};
use crate::map::store::weak_keyed::WeakKeyed;
use crate::map::store::Setup;
use crate::memory::hash::DefaultHashBuilder;
use crate::memory::panics::after;
use crate::pointer::keying::{ByEquality, Keying};
use crate::pointer::traits::{Pointer, SyncPointer, WeakPointer};
use crate::sync::const_fn;
use crate::table::stats::Stats;
use std::fmt;
use std::hash::BuildHasher;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// A map from pointers to pointers that keeps neither side alive: an entry goes when its key or its value dies, whichever is first.
///
/// It can be asked from either side: [`get`](Self::get) by the key, [`get_by_value`](Self::get_by_value) by the value, which is
/// always compared by identity. Keys are compared by equality, or with `M` = [`ByAddress`](crate::map::ByAddress) by identity too.
///
/// ```
/// use highlander::map::ByAddress;
/// use highlander::WeakKeyValueMap;
/// use std::sync::Arc;
///
/// struct Class(&'static str);
/// struct Wrapper { of: &'static str }
///
/// static WRAPPERS: WeakKeyValueMap<Arc<Class>, Arc<Wrapper>, ByAddress> = WeakKeyValueMap::new();
///
/// let class = Arc::new(Class("Object"));
/// let wrapper = WRAPPERS.get_or_insert_with(&class, |class| Arc::new(Wrapper { of: class.0 }));
/// assert_eq!(wrapper.of, "Object");
/// assert!(Arc::ptr_eq(&WRAPPERS.get(&class).unwrap(), &wrapper));
/// assert!(Arc::ptr_eq(&WRAPPERS.get_by_value(&wrapper).unwrap(), &class));
/// drop(wrapper);
/// assert!(WRAPPERS.get(&class).is_none());             // either side may go
/// ```
///
/// It does what the talk's `WeakKeyValueDictionary` was to do, and Guava's `MapMaker().weakKeys().weakValues()`, Jython's map from classes to
/// their wrappers. Value and key may each own the other, which no map with one weak side survives without a leak.
///
/// # Consistency
/// As for [`WeakValueMap`](crate::WeakValueMap): any operation from anywhere, no lock around user code, no guard that escapes. The side of the
/// values follows that of the keys: an entry is found by its value a moment after it is found by its key, before the call that enters it returns.
/// One value may be entered under several keys.
///
/// # Prompt entries
/// The entry of a key or value that reports its death, or that was entered [with a token](Self::insert_with_tokens), goes before the last owner's drop
/// returns; see [`WeakValueMap`](crate::WeakValueMap#prompt-entries). If both sides die at once, one of the two takes it out and tells the hook.
///
/// # Dead entries
/// As for [`WeakValueMap`](crate::WeakValueMap#dead-entries): invisible but to [`entry_count`](Self::entry_count), [`weak_keys`](Self::weak_keys) and
/// [`weak_values`](Self::weak_values), until an operation comes across them or a sweep takes them out; [`prune`](Self::prune) takes out all.
pub struct WeakKeyValueMap<P: Pointer, Q: Pointer, M = ByEquality, S = DefaultHashBuilder> {
    inner: WeakKeyed<P, Traced<Q>, M, S, ByValue<P, Q>>,
}

impl<P: SyncPointer, Q: SyncPointer, M> WeakKeyValueMap<P, Q, M> {
    const_fn! {
        /// An empty map, which allocates nothing before its first entry. Can be a `static`. For one thread there is [`local`](Self::local).
        pub const fn new() -> Self {
            Self::with_hasher(DefaultHashBuilder)
        }
    }
}

impl<P: Pointer, Q: Pointer, M> WeakKeyValueMap<P, Q, M> {
    const_fn! {
        /// An empty map of what need not be `Send` and `Sync`, such as [`Rc`](std::rc::Rc). Nobody can tell it of a death, so it prunes, whatever the pointer.
        pub const fn local() -> Self {
            Self::local_with_hasher(DefaultHashBuilder)
        }
    }
}

impl<P: SyncPointer, Q: SyncPointer, M, S> WeakKeyValueMap<P, Q, M, S> {
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

impl<P: Pointer, Q: Pointer, M, S> WeakKeyValueMap<P, Q, M, S> {
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
        const fn made(hasher: S, reach: CanNotify<WeakSlot<P>, Traced<Q>, ByValue<P, Q>>) -> Self {
            Self {
                inner: WeakKeyed::new(hasher, ByValue::new(), reach),
            }
        }
    }

    fn made_with(
        setup: Setup<P::Weak>,
        hasher: S,
        reach: CanNotify<WeakSlot<P>, Traced<Q>, ByValue<P, Q>>,
    ) -> Self {
        Self {
            inner: WeakKeyed::with(setup, hasher, ByValue::new(), reach),
        }
    }

    /// The same map, whose keys are named as they show themselves (by `Debug`) where the text of a [`CycleError`](crate::error::CycleError) would otherwise name their
    /// type; see [`Registry::debug_keys`](crate::Registry::debug_keys). A [`clone`](Clone::clone) of it names them by their type again.
    ///
    /// ```
    /// use highlander::WeakKeyValueMap;
    /// use std::sync::Arc;
    ///
    /// static MAP: WeakKeyValueMap<Arc<str>, Arc<u32>> = WeakKeyValueMap::new().debug_keys();
    ///
    /// let text = MAP.get_or_try_insert_with(&"ego".into(), |key| MAP.get_or_try_insert_with(key, |_| Ok::<_, String>(Arc::new(1)))).unwrap_err().to_string();
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

    /// The number of entries with both sides alive: exact when nothing is under way.
    ///
    /// *Complexity:* linear in `capacity`, since each entry has to be looked at; [`entry_count`](Self::entry_count) is quick. *Waiting:* for
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

    /// Takes out all dead entries now. Returns how many this call has taken out.
    ///
    /// *Runs* `is_dead` of keys and values, and the hook. *Complexity:* linear in `capacity`.
    pub fn prune(&self) -> usize {
        self.inner.store.prune()
    }

    /// Prunes, and gives back memory that is not needed; see [`Registry::shrink_to_fit`](crate::Registry::shrink_to_fit).
    pub fn shrink_to_fit(&self) {
        self.inner.store.shrink_to_fit();
        self.inner.store.reverse.shrink_to_fit();
    }

    /// Refuses new entries from now on, and returns the live ones. They stay, and are found until they die or are removed.
    ///
    /// An insertion or creation that comes later, or is under way and not among the entries returned, is refused with a [`ClosedError`].
    /// Of values that are [published together](crate::map::Entry::or_create_cyclic) each is refused for itself: see [the guide](crate::guide::creating#what-becomes-of-whom).
    pub fn close(&self) -> Vec<(P, Q)> {
        self.inner.store.close();
        self.iter().collect()
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.inner.store.is_closed()
    }

    /// The live entries, each at the moment when it is yielded.
    ///
    /// The iterator goes through the table: what is entered and alive throughout is yielded once, what comes or goes meanwhile may be. It holds no
    /// lock and keeps nothing alive but the pair in hand; the map may be changed meanwhile.
    pub fn iter(&self) -> WeakKeyValueIter<'_, P, Q> {
        WeakKeyValueIter {
            entries: self.inner.store.walk(),
        }
    }

    /// The keys of the live entries; see [`iter`](Self::iter).
    pub fn keys(&self) -> impl Iterator<Item = P> + use<'_, P, Q, M, S> {
        self.iter().map(|(key, value)| after(value, key))
    }

    /// The values of the live entries; see [`iter`](Self::iter).
    pub fn values(&self) -> impl Iterator<Item = Q> + use<'_, P, Q, M, S> {
        self.iter().map(|(key, value)| after(key, value))
    }

    /// The weak keys of all entries, also of dead ones that have not been taken out yet.
    pub fn weak_keys(&self) -> impl Iterator<Item = P::Weak> + use<'_, P, Q, M, S> {
        self.inner.store.walk().views(|key, _| Some(key.0.clone()))
    }

    /// The weak values of all entries, also of dead ones that have not been taken out yet.
    pub fn weak_values(&self) -> impl Iterator<Item = Q::Weak> + use<'_, P, Q, M, S> {
        self.inner
            .store
            .walk()
            .views(|_, value| Some(value.weak.clone()))
    }

    /// Calls `f` with each live entry; see [`iter`](Self::iter). *Runs* `f` with no lock held; it may change the map.
    pub fn for_each(&self, mut f: impl FnMut(&P, &Q)) {
        self.iter().for_each(|(key, value)| f(&key, &value));
    }

    /// Takes out the entries for which `keep` says no, and the dead ones. Returns how many live ones this call has taken out.
    ///
    /// *Runs* `keep` with no lock held; it may change the map. An entry that is replaced meanwhile is left as it is.
    pub fn retain(&self, mut keep: impl FnMut(&P, &Q) -> bool) -> usize {
        let keep = |landed: &Landed<_, Traced<Q>>, key: P| keep(&key, &landed.live);
        self.inner.store.retain(RemovalCause::Removed, keep)
    }

    /// Takes out all entries. Returns how many live ones this call has taken out. Entries that come while this runs may stay.
    pub fn clear(&self) -> usize {
        self.inner.store.clear()
    }

    /// Takes out all entries, and returns the live ones that this call has taken out.
    pub fn drain(&self) -> std::vec::IntoIter<(P, Q)> {
        let item = |_: &EntryRef<_, Traced<Q>>, key: P, value: Q| (key, value);
        self.inner.store.drain(item).into_iter()
    }

    /// Takes out some live entry, whichever comes first; none if there is none. Where one was found the next call goes on, so emptying a map so takes a time linear in its size.
    /// Where entries come between the calls, each looks through the table until it meets one: a few entries in what has room for many are not a queue.
    pub fn pop(&self) -> Option<(P, Q)> {
        let (landed, key) = self.inner.store.pop()?;
        Some((key, landed.into_live()))
    }

    /// The key under which this very value is entered; of several that are alive, the one that was entered last.
    /// An entry that another thread is entering is found by its key a moment earlier than by its value; one that another thread is taking out is found by its value a moment longer.
    ///
    /// *Runs* `address` of the value and `upgrade` of its keys, no `Hash` and no `Eq`. *Waiting:* for those who enter or take out a value
    /// in the same part of the reverse index, a few instructions long.
    pub fn get_by_value(&self, value: &Q) -> Option<P> {
        let mut before = usize::MAX;
        while let Some((held, place)) = self.inner.store.reverse.entry_of(value, before) {
            if let Some(key) = held.key().0.upgrade() {
                return after(held, Some(key));
            }
            self.inner.store.take_out(&held, RemovalCause::Dead);
            before = place;
        }
        None
    }

    /// All live keys under which this very value is entered, the last that was entered first. What others enter or take out meanwhile: see [`get_by_value`](Self::get_by_value).
    pub fn keys_of(&self, value: &Q) -> Vec<P> {
        let mut keys = Vec::new();
        for held in self.inner.store.reverse.entries_of(value) {
            match held.key().0.upgrade() {
                Some(key) => keys.push(key),
                None => {
                    self.inner.store.take_out(&held, RemovalCause::Dead);
                }
            }
        }
        keys
    }

    /// Takes out the entries that hold this very value. Returns their keys, as far as they are alive. What others enter or take out meanwhile: see [`get_by_value`](Self::get_by_value).
    pub fn remove_by_value(&self, value: &Q) -> Vec<P> {
        let mut keys = Vec::new();
        for held in self.inner.store.reverse.entries_of(value) {
            let key = held.key().0.upgrade();
            let cause = key
                .as_ref()
                .map_or(RemovalCause::Dead, |_| RemovalCause::Removed);
            if self.inner.store.take_out(&held, cause) {
                keys.extend(key);
            }
        }
        keys
    }
}

impl<P: Pointer, Q: Pointer, M: Keying<P>, S: BuildHasher + Clone> Clone
    for WeakKeyValueMap<P, Q, M, S>
{
    /// A new map with the entries that are alive. Hook, counters and other settings are not copied.
    fn clone(&self) -> Self {
        let copy = Self::made(self.hasher().clone(), self.inner.store.reach);
        copy.extend_with(self);
        copy
    }
}

impl<P: Pointer, Q: Pointer + PartialEq, M: Keying<P>, S: BuildHasher> PartialEq
    for WeakKeyValueMap<P, Q, M, S>
{
    /// Whether both have the same live keys, compared as the map compares them, with equal values. Taken at no single moment.
    ///
    /// Values are compared as `Q` says: two `Arc`s are equal if what they lead to is. (It is keys alone that are compared by identity with
    /// [`ByAddress`](crate::map::ByAddress).)
    ///
    /// *Runs* `Hash` and `Eq` of keys and `PartialEq` of values, with no lock held. It is no look-up: the statistics do not count it as one.
    fn eq(&self, other: &Self) -> bool {
        self.inner
            .equals(&other.inner, |mine, theirs| mine.live == theirs.live)
    }
}

impl<P: Pointer, Q: Pointer + Eq, M: Keying<P>, S: BuildHasher> Eq for WeakKeyValueMap<P, Q, M, S> {}

impl<P: SyncPointer, Q: SyncPointer, M, S: Default> Default for WeakKeyValueMap<P, Q, M, S> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<P: SyncPointer, Q: SyncPointer, M: Keying<P>, S: BuildHasher + Default> FromIterator<(P, Q)>
    for WeakKeyValueMap<P, Q, M, S>
{
    /// The later of two with the same key wins. Pairs of which nobody else owns one side are dead at the end.
    fn from_iter<I: IntoIterator<Item = (P, Q)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

impl<P: Pointer, Q: Pointer, M: Keying<P>, S: BuildHasher> Extend<(P, Q)>
    for WeakKeyValueMap<P, Q, M, S>
{
    fn extend<I: IntoIterator<Item = (P, Q)>>(&mut self, entries: I) {
        (&*self).extend(entries);
    }
}

impl<P: Pointer, Q: Pointer, M: Keying<P>, S: BuildHasher> Extend<(P, Q)>
    for &WeakKeyValueMap<P, Q, M, S>
{
    /// Enters all, each in the place of a live one with the same key. If the iterator panics, what came before stays.
    fn extend<I: IntoIterator<Item = (P, Q)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(&key, value);
        }
    }
}

impl<P: Pointer + fmt::Debug, Q: Pointer + fmt::Debug, M, S> fmt::Debug
    for WeakKeyValueMap<P, Q, M, S>
{
    /// The live entries only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'a, P: Pointer, Q: Pointer, M, S> IntoIterator for &'a WeakKeyValueMap<P, Q, M, S> {
    type Item = (P, Q);
    type IntoIter = WeakKeyValueIter<'a, P, Q>;

    fn into_iter(self) -> WeakKeyValueIter<'a, P, Q> {
        self.iter()
    }
}

/// The live entries of a [`WeakKeyValueMap`], from [`WeakKeyValueMap::iter`].
pub struct WeakKeyValueIter<'a, P: Pointer, Q: Pointer> {
    entries: Walk<'a, WeakSlot<P>, Traced<Q>>,
}

impl<P: Pointer, Q: Pointer> Iterator for WeakKeyValueIter<'_, P, Q> {
    type Item = (P, Q);

    fn next(&mut self) -> Option<(P, Q)> {
        self.entries
            .next_that(|key, value| Some((key.live()?, value.live()?)))
    }
}

impl<P: Pointer, Q: Pointer> std::iter::FusedIterator for WeakKeyValueIter<'_, P, Q> {}

impl<P: Pointer, Q: Pointer> fmt::Debug for WeakKeyValueIter<'_, P, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakKeyValueIter").finish_non_exhaustive()
    }
}

// Why: see the head of `memory::panics`.
impl<
        P: Pointer + UnwindSafe + RefUnwindSafe,
        Q: Pointer + UnwindSafe + RefUnwindSafe,
        M,
        S: UnwindSafe,
    > UnwindSafe for WeakKeyValueMap<P, Q, M, S>
{
}
impl<
        P: Pointer + UnwindSafe + RefUnwindSafe,
        Q: Pointer + UnwindSafe + RefUnwindSafe,
        M,
        S: RefUnwindSafe,
    > RefUnwindSafe for WeakKeyValueMap<P, Q, M, S>
{
}
impl<P: Pointer, Q: Pointer, M, S: Unpin> Unpin for WeakKeyValueMap<P, Q, M, S> {}

// Why: see the head of `memory::panics`.
impl<P: Pointer + UnwindSafe + RefUnwindSafe, Q: Pointer + UnwindSafe + RefUnwindSafe> UnwindSafe
    for WeakKeyValueIter<'_, P, Q>
{
}
impl<P: Pointer + UnwindSafe + RefUnwindSafe, Q: Pointer + UnwindSafe + RefUnwindSafe> RefUnwindSafe
    for WeakKeyValueIter<'_, P, Q>
{
}
impl<P: Pointer, Q: Pointer> Unpin for WeakKeyValueIter<'_, P, Q> {}
