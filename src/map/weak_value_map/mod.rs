//! The map with weak values: from keys to pointers that it does not keep alive.
//!
//! Here: the type, and what concerns all of its entries. `keyed` has what concerns one, `creating` the calls that run a factory, `tokens` those that report their death, `traits` the rest.

mod creating;
mod keyed;
mod tokens;
mod traits;

use crate::map::store::death_listener::CanNotify;
use crate::map::store::entry_ref::EntryRef;
use crate::map::store::hook::RemovalCause;
use crate::memory::hash::DefaultHashBuilder;
use crate::memory::panics::after;
use crate::pointer::traits::{Pointer, SyncPointer};

use crate::deadlock::naming::Naming;
use crate::map::store::slot::{OwnedSlot, WeakSlot};
use crate::map::store::{Setup, Store};
use crate::sync::const_fn;
use crate::table::stats::Stats;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

pub use traits::WeakValueIter;

type Key<K> = OwnedSlot<K>;
type Value<P> = WeakSlot<P>;

/// A map from keys to pointers that it holds weakly: `Arc<V>`, `Arc<dyn Trait>`, a [`Handle`](crate::Handle), or any other [`Pointer`].
/// At most one live value per key; a value whose last owner has gone is never seen again.
///
/// ```
/// use highlander::WeakValueMap;
/// use std::sync::Arc;
///
/// trait Codec: Send + Sync { fn name(&self) -> String; }
/// struct Flac;
/// impl Codec for Flac { fn name(&self) -> String { "flac".into() } }
///
/// static CODECS: WeakValueMap<String, Arc<dyn Codec>> = WeakValueMap::new();
///
/// let codec = CODECS.get_or_insert_with("audio/flac".into(), |_| Arc::new(Flac));
/// assert!(Arc::ptr_eq(&codec, &CODECS.get("audio/flac").unwrap()));
/// drop(codec);
/// assert!(CODECS.get("audio/flac").is_none());      // the map has not kept it alive
/// assert_eq!(CODECS.len(), 0);
/// ```
///
/// It does what CPython's `WeakValueDictionary` and Guava's `MapMaker().weakValues()` do, and makes "only one" atomic, which
/// `setdefault` is not.
///
/// # Consistency
/// All operations take `&self` and may be called from any thread, and from inside a factory, a `Drop`, a `Hash`, an `Eq`, a hook or a
/// [`Pointer`] function: none of these runs under a lock. A look-up finds a value if it is entered and alive throughout the call, and does
/// not if it is at no moment of it. What a call returns is an owner; no guard of the map is ever handed out, so nothing that a
/// caller holds (across an `.await`, say) blocks anybody.
///
/// # Prompt entries
/// The entry of a value that reports its death ([`Watched`](crate::pointer::Watched), [`Handle`](crate::Handle), or an `Arc` that was entered with a
/// [`Token`](crate::pointer::Token)) goes, with its key, before the last owner's drop returns, in each map that it is in. The hook is told by that thread,
/// once, when all weak pointers are dead. A panic of the hook, or of the key's destructor, does not keep other maps and callbacks from being told, and goes
/// on from the drop of the value. The report says only where to look: it takes out what is dead, and never a successor.
///
/// A map made with [`local`](Self::local) cannot be told, since a value may die on another thread. Its entries are all pruned.
///
/// # Dead entries
/// A plain `Arc` does not tell anybody when it dies. Its entry, with the key, stays for a while as a *dead entry*, which no operation
/// shows but [`entry_count`](Self::entry_count) and [`weak_values`](Self::weak_values), and which keeps the memory of the value (not the
/// value itself: that was dropped when its last owner went), since a `Weak` does. Dead entries are taken out
/// * when a look-up or an insertion comes across them, and
/// * when the thread that entered it has entered eight more, or
/// * by *sweeps*: an insertion whose predecessor of eight insertions ago is alive owes one, and pays it together with seven others: six buckets of the table are
///   looked at, with 2.8 to 4.2 entries each on average. Each 64th miss of a thread looks at a bucket too. So as long as no more die than are inserted,
///   there are in the long run no more dead entries than live ones, and 16 for each thread, whichever keys are asked for. An insertion or a miss looks at no
///   more than these. [`MapMaker::prune_bound`](crate::map::MapMaker::prune_bound) makes a sweep look at more.
///
/// (A [`WeakSet`](crate::WeakSet) is swept by insertions and removals instead, 4 to 64 entries at a time.)
///
/// When many die at once they stay until as many insertions have come by, or until [`prune`](Self::prune), which takes out all.
///
/// # Keys of entries that are gone
/// An entry that is taken out is dropped with its key and the memory of its value, by the call that takes it out if no other call has done so in the last
/// millisecond; else a little later, as that interrupts all processors on which the process runs. So in a map that changes seldom nothing waits. In one that changes often:
/// * what waits goes with the first call that enters or takes out something after that millisecond, on whatever thread, or with the next sweep;
/// * and at most 64 entries that one thread has taken out wait, or a quarter as many as there are, up to 256.
///
/// [`prune`](Self::prune), [`clear`](Self::clear), [`retain`](Self::retain), [`drain`](Self::drain), [`shrink_to_fit`](Self::shrink_to_fit) and the drop of the map leave nothing. (A look-up
/// does not become an owner of the entry. One that stands still in a comparison holds back the one entry that it looks at.) The same is true of
/// a [`WeakKeyValueMap`](crate::WeakKeyValueMap), where only memory waits. In a [`WeakKeyMap`](crate::WeakKeyMap) look-ups own the entry, and nothing waits.
///
/// # User code that panics
/// The map stays consistent. A panic of a destructor or hook goes to the caller whose operation took the entry out, once that is
/// complete; a call that sweeps may so get the panic of another entry's key.
pub struct WeakValueMap<K: 'static, P: Pointer, S = DefaultHashBuilder> {
    pub(crate) store: Store<Key<K>, Value<P>>,
    hasher: S,
}

impl<K: Send + Sync + 'static, P: SyncPointer> WeakValueMap<K, P> {
    const_fn! {
        /// An empty map, which allocates nothing before its first entry. Can be a `static`. For one thread there is [`local`](Self::local).
        pub const fn new() -> Self {
            Self::with_hasher(DefaultHashBuilder)
        }
    }
}

impl<K: 'static, P: Pointer> WeakValueMap<K, P> {
    const_fn! {
        /// An empty map of what need not be `Send` and `Sync`, such as [`Rc`](std::rc::Rc). Nobody can tell it of a death, so it prunes, whatever the pointer.
        ///
        /// ```
        /// use highlander::WeakValueMap;
        /// use std::rc::Rc;
        ///
        /// let map: WeakValueMap<&str, Rc<u32>> = WeakValueMap::local();
        /// let one = map.get_or_insert_with("one", |_| Rc::new(1));
        /// assert!(Rc::ptr_eq(&one, &map.get("one").unwrap()));
        /// ```
        pub const fn local() -> Self {
            Self::local_with_hasher(DefaultHashBuilder)
        }
    }
}

impl<K: Send + Sync + 'static, P: SyncPointer, S> WeakValueMap<K, P, S> {
    const_fn! {
        /// An empty map that hashes with `hasher`. For what else can be chosen there is [`MapMaker`](crate::map::MapMaker).
        pub const fn with_hasher(hasher: S) -> Self {
            Self::made(hasher, CanNotify::all())
        }
    }

    pub(crate) fn with_setup(setup: Setup<K>, hasher: S) -> Self {
        Self::made_with(setup, hasher, CanNotify::all())
    }
}

impl<K: 'static, P: Pointer, S> WeakValueMap<K, P, S> {
    const_fn! {
        /// As [`local`](Self::local), with `hasher`.
        pub const fn local_with_hasher(hasher: S) -> Self {
            Self::made(hasher, CanNotify::NONE)
        }
    }

    pub(crate) fn local_with_setup(setup: Setup<K>, hasher: S) -> Self {
        Self::made_with(setup, hasher, CanNotify::NONE)
    }

    const_fn! {
        const fn made(hasher: S, reach: CanNotify<Key<K>, Value<P>, ()>) -> Self {
            Self {
                store: Store::new((), reach),
                hasher,
            }
        }
    }

    fn made_with(setup: Setup<K>, hasher: S, reach: CanNotify<Key<K>, Value<P>, ()>) -> Self {
        Self {
            store: Store::with(setup, (), reach),
            hasher,
        }
    }

    /// The same map, whose keys are named as they show themselves (by `Debug`) where the text of a [`CycleError`](crate::error::CycleError) would otherwise name their
    /// type; see [`Registry::debug_keys`](crate::Registry::debug_keys). A [`clone`](Clone::clone) of it names them by their type again.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// static MAP: WeakValueMap<&str, Arc<u32>> = WeakValueMap::new().debug_keys();
    ///
    /// let text = MAP.get_or_try_insert_with("ego", |_| MAP.get_or_try_insert_with("ego", |_| Ok::<_, String>(Arc::new(1)))).unwrap_err().to_string();
    /// assert!(text.ends_with(r#""ego", which asked for the first again"#));
    /// ```
    #[must_use]
    pub const fn debug_keys(mut self) -> Self
    where
        K: fmt::Debug,
    {
        self.store.naming = Naming::shown();
        self
    }

    /// The hasher.
    pub fn hasher(&self) -> &S {
        &self.hasher
    }

    /// The number of live entries: exact when nothing is under way.
    ///
    /// *Complexity:* linear in `capacity`, since each entry has to be looked at; [`entry_count`](Self::entry_count) is quick. *Waiting:* for
    /// writers of a bucket, a few instructions long.
    pub fn len(&self) -> usize {
        self.store.count_live()
    }

    /// Whether there is no live entry. *Complexity:* as for `len` at worst.
    pub fn is_empty(&self) -> bool {
        self.store.is_empty()
    }

    /// The number of entries, with those that are dead and have not been taken out yet. *Complexity:* a few loads.
    pub fn entry_count(&self) -> usize {
        self.store.table.len()
    }

    /// How many entries fit before the table grows.
    pub fn capacity(&self) -> usize {
        self.store.table.capacity()
    }

    /// Makes room for `additional` entries more than there are, dead ones among them: `capacity` is at least `entry_count + additional` then, and the table need not grow
    /// before there are more than `capacity`, unless it is shrunk meanwhile.
    ///
    /// What is promised is the table: the memory of an entry comes with it. What other threads enter takes of the same room.
    ///
    /// Sweeps go round the whole table, so while it is emptier than it would be, a quarter as many dead entries as `capacity` may stay besides those that stay otherwise.
    ///
    /// Others go on meanwhile. *Waiting:* for writers of a bucket, a few instructions long; if another thread is just replacing the table, a part of
    /// the move is left to it and to the insertions to come. *Complexity:* linear in the old `capacity`, and in the new one for getting
    /// the memory; constant if there is room already.
    ///
    /// # Panics
    /// With "capacity overflow", when no table can have that size (beyond 2³² entries or so).
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// let map: WeakValueMap<u32, Arc<u32>> = WeakValueMap::new();
    /// map.reserve(1000);
    /// let capacity = map.capacity();
    /// assert!(capacity >= 1000);
    /// let _held: Vec<_> = (0..1000).map(|i| map.get_or_insert_with(i, |i| Arc::new(*i))).collect();
    /// assert_eq!(map.capacity(), capacity);
    /// ```
    pub fn reserve(&self, additional: usize) {
        self.store.table.reserve(additional);
    }

    /// What the map has done so far.
    pub fn stats(&self) -> Stats {
        self.store.stats()
    }

    /// Takes out all dead entries now. Returns how many this call has taken out.
    ///
    /// *Runs* `is_dead` of the weak values, destructors of keys, and the hook. *Complexity:* linear in `capacity`.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// let map = WeakValueMap::new();
    /// let held: Vec<_> = (0..10).map(|i| { let v = Arc::new(i); map.insert(i, v.clone()); v }).collect();
    /// drop(held);
    /// assert_eq!((map.len(), map.entry_count()), (0, 10));
    /// assert_eq!(map.prune(), 10);
    /// assert_eq!(map.entry_count(), 0);
    /// ```
    pub fn prune(&self) -> usize {
        self.store.prune()
    }

    /// Prunes, and gives back memory that is not needed; see [`Registry::shrink_to_fit`](crate::Registry::shrink_to_fit).
    pub fn shrink_to_fit(&self) {
        self.store.shrink_to_fit();
    }

    /// Refuses new entries from now on, and returns the live values, so that each can be shut down. The entries stay, and are
    /// found until they die or are removed.
    ///
    /// An insertion or creation that comes later, or is under way and not among the values returned, is refused with a [`ClosedError`](crate::error::ClosedError).
    /// Of values that are [published together](crate::map::Entry::or_create_cyclic) each is refused for itself: see [the guide](crate::guide::creating#what-becomes-of-whom).
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// let map = WeakValueMap::new();
    /// let one = Arc::new("one");
    /// map.insert(1, one.clone());
    /// assert_eq!(map.close(), [one]);
    /// assert!(map.try_insert(2, Arc::new("two")).unwrap_err().is_closed());
    /// assert!(map.get(&1).is_none());          // the last owner was the list above
    /// ```
    pub fn close(&self) -> Vec<P> {
        self.store.close();
        self.values().collect()
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.store.is_closed()
    }

    /// The live values, each at the moment when it is yielded.
    ///
    /// The iterator goes through the table: what is entered and alive throughout is yielded once, what comes or goes meanwhile may be. It holds no
    /// lock and keeps no value alive but the one in hand; the map may be changed meanwhile. A loop that enters something for each value that it sees may see
    /// that too, but ends.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// let map = WeakValueMap::new();
    /// let (one, two) = (Arc::new(1), Arc::new(2));
    /// map.insert("one", one.clone());
    /// map.insert("two", two.clone());
    /// let values = map.values();
    /// drop(two);
    /// assert_eq!(values.collect::<Vec<_>>(), [one]);
    /// ```
    pub fn values(&self) -> impl Iterator<Item = P> + use<'_, K, P, S> {
        self.store.walk().lives().map(|((), value)| value)
    }

    /// The weak values of all entries, also of dead ones that have not been taken out yet: ask each with
    /// [`upgrade`](crate::pointer::WeakPointer::upgrade).
    pub fn weak_values(&self) -> impl Iterator<Item = P::Weak> + use<'_, K, P, S> {
        self.store.walk().views(|_, value| Some(value.0.clone()))
    }

    /// The keys of the live values, cloned; see [`values`](Self::values).
    pub fn keys(&self) -> impl Iterator<Item = K> + use<'_, K, P, S>
    where
        K: Clone,
    {
        self.iter().map(|(key, value)| after(value, key))
    }

    /// The live entries, keys cloned; see [`values`](Self::values). [`for_each`](Self::for_each) does without cloning.
    pub fn iter(&self) -> WeakValueIter<'_, K, P>
    where
        K: Clone,
    {
        WeakValueIter::new(self.store.walk())
    }

    /// Calls `f` with each live entry; see [`values`](Self::values). *Runs* `f` with no lock held; it may change the map.
    pub fn for_each(&self, mut f: impl FnMut(&K, &P)) {
        for (landed, ()) in self.store.walk().landed() {
            f(&landed.held.key().0, &landed.live);
        }
    }

    /// Takes out the entries for which `keep` says no, and the dead ones. Returns how many live ones this call has taken out.
    ///
    /// *Runs* `keep` with no lock held; it may change the map. An entry that is replaced meanwhile is left as it is.
    pub fn retain(&self, mut keep: impl FnMut(&K, &P) -> bool) -> usize {
        self.store.retain(RemovalCause::Removed, |landed, ()| {
            keep(&landed.held.key().0, &landed.live)
        })
    }

    /// Takes out all entries. Owners keep the values. Returns how many live ones this call has taken out. Entries that come while this runs may stay.
    pub fn clear(&self) -> usize {
        self.store.clear()
    }

    /// Takes out all entries, and returns the live ones that this call has taken out.
    pub fn drain(&self) -> std::vec::IntoIter<(K, P)>
    where
        K: Clone,
    {
        let item = |held: &EntryRef<Key<K>, _>, (), value: P| (held.key().0.clone(), value);
        self.store.drain(item).into_iter()
    }

    /// Takes out some live entry, whichever comes first; none if there is none. CPython calls it `popitem`. Where one was found the next call goes on, so emptying a map so takes a
    /// time linear in its size.
    /// Where entries come between the calls, each looks through the table until it meets one: a few entries in what has room for many are not a queue.
    pub fn pop(&self) -> Option<(K, P)>
    where
        K: Clone,
    {
        let (landed, ()) = self.store.pop()?;
        Some((landed.held.key().0.clone(), landed.into_live()))
    }
}

// Why: see the head of `memory::panics`.
impl<
        K: 'static + UnwindSafe + RefUnwindSafe,
        P: Pointer + UnwindSafe + RefUnwindSafe,
        S: UnwindSafe,
    > UnwindSafe for WeakValueMap<K, P, S>
{
}
impl<
        K: 'static + UnwindSafe + RefUnwindSafe,
        P: Pointer + UnwindSafe + RefUnwindSafe,
        S: RefUnwindSafe,
    > RefUnwindSafe for WeakValueMap<K, P, S>
{
}
impl<K: 'static, P: Pointer, S: Unpin> Unpin for WeakValueMap<K, P, S> {}
