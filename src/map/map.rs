//! The map, whatever its sides are: the type, and what concerns all of its entries. `keyed` has the calls for
//! one entry, `creating` the calls that run a factory.

use crate::map::iter::Iter;
use crate::map::store::hook::{Hook, RemovalCause};
use crate::map::store::reverse::ValueSlot;
use crate::map::store::slot::{KeySlot, WeakSide};
use crate::map::store::Store;
use crate::memory::hash::DefaultHashBuilder;
use crate::memory::panics::after;
use crate::table::stats::Stats;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

use crate::deadlock::naming::Naming;

/// A concurrent map whose keys and values are each kept as they are, or held weakly:
/// [`StrongMap`](crate::StrongMap), [`WeakValueMap`](crate::WeakValueMap), [`WeakKeyMap`](crate::WeakKeyMap)
/// and [`WeakKeyValueMap`](crate::WeakKeyValueMap) are its names, and have the calls that make one.
///
/// In the signatures below, `A::Key` is the key: `K`, or the pointer `P` that a weak key is made of.
/// `A::Given` is what a call takes that may enter the key: `K` itself, or `&P`, since the map does not keep
/// it. `B::Value` is what calls return, and what they take: `V`, or the pointer that owns a weak value. A
/// kept value comes back as a clone.
///
/// # Consistency
/// All operations take `&self` and may be called from any thread, and from inside a factory, a `Drop`, a
/// `Hash`, an `Eq`, a `Clone`, a hook or a [`Pointer`](crate::pointer::Pointer) function: none of these runs
/// under a lock. A look-up finds a value if it is entered and alive throughout the call. It does not find a
/// value that is so at no moment of the call. What a call returns is an owner or a clone. No guard of the map
/// is ever handed out, so nothing that a caller keeps (across an `.await`, say) blocks anybody.
///
/// # Prompt entries
/// The entry of a key or a value that reports its death ([`Watched`](crate::pointer::Watched),
/// [`Handle`](crate::Handle), or an `Arc` that was entered with a [`Token`](crate::pointer::Token)) goes
/// before the last owner's drop returns, in each map that it is in. The other side of the entry goes with it,
/// unless somebody is looking at it. The hook is called by that thread, once, when all weak pointers are
/// dead. If both sides die at once, one of the two takes the entry out. If the hook or a destructor panics,
/// other maps and callbacks are notified all the same, and the panic goes on from the drop of the value. The
/// report says only where to look: it takes out what is dead, and never a successor.
///
/// A value may die on any thread. So a map of pointers that report their death can be made only if keys and
/// values are `Send`, `Sync` and `'static`.
///
/// # Dead entries
/// A plain `Arc` does not report its death. Its entry, with the key, stays for a while as a *dead entry*,
/// which no operation shows but [`entry_count`](Self::entry_count), [`weak_keys`](Self::weak_keys) and
/// [`weak_values`](Self::weak_values). A dead entry keeps its kept side. It keeps the memory of a weak side,
/// since a `Weak` does, but not the value itself: that was dropped when its last owner went. Dead entries are
/// taken out
/// * when a look-up or an insertion comes across them, and
/// * when the thread that entered them has entered eight more, or
/// * by *sweeps*: an insertion whose predecessor of eight insertions ago is alive owes one, and pays it
///   together with seven others: six buckets of the table are looked at, with 2.8 to 4.2 entries each on
///   average. Each 64th miss of a thread looks at a bucket too. So as long as no more die than are inserted,
///   there are in the long run no more dead entries than live ones, and 16 for each thread, whichever keys
///   are asked for. An insertion or a miss looks at no more than these. [`prune_bound`](Self::prune_bound)
///   makes a sweep look at more.
///
/// (A [`WeakSet`](crate::WeakSet) is swept by insertions and removals instead, 4 to 64 entries at a time.)
///
/// When many die at once, they stay until as many insertions have come, or until [`prune`](Self::prune),
/// which takes out all.
///
/// # Keys and values of entries that are gone
/// An entry that is taken out is dropped with its key by the call that takes it out, or by the last one that
/// is looking at it. Where values are weak, look-ups own nothing, so an entry that was taken out may have to
/// wait. The call drops it if no other call has done so in the last millisecond. Otherwise it is dropped a
/// little later, as each time interrupts all processors on which the process runs. So in a map that changes
/// seldom nothing waits. In one that changes often:
/// * what waits goes with the first call that enters or takes out something after that millisecond, on
///   whatever thread, or with the next sweep;
/// * and at most 64 entries that one thread has taken out wait, or a quarter as many as there are, up to 256.
///
/// After [`prune`](Self::prune), [`clear`](Self::clear), [`retain`](Self::retain), [`drain`](Self::drain),
/// [`shrink_to_fit`](Self::shrink_to_fit), [`prune_key`](Self::prune_key) and the drop of the map nothing
/// waits. Nothing ever waits in a map with [`eager_keys`](Self::eager_keys). (A look-up that stands still in
/// a comparison holds back the one entry that it looks at.)
///
/// # User code that panics
/// The map stays consistent. A panic of a destructor, a `Clone` or a hook goes to the caller whose operation
/// ran it, once the change is complete. So a call that sweeps may get the panic of another entry's key.
#[allow(private_bounds)] // How the sides work concerns nobody else.
pub struct Map<A: KeySlot, B: ValueSlot, S = DefaultHashBuilder> {
    pub(in crate::map) store: Store<A, B>,
    pub(in crate::map) hasher: S,
}

/// Settings, for a map that nobody else has yet: `WeakValueMap::new().prune_bound(8)`. Those that are `const`
/// can be used for a `static`.
impl<A: KeySlot, B: ValueSlot, S> Map<A, B, S> {
    /// Sets a removal hook: the function that is called when an entry has gone, with what is stored as its
    /// key (the key, or the weak pointer to it) and the cause. A hook that was set before is forgotten.
    ///
    /// It is called once for each entry, after the entry is out and with no lock held, by the thread whose
    /// call took it out. If the pointer reports its death, that is the thread that drops the last owner. For
    /// a plain `Arc`, the hook is called not when it dies but when a look-up or a sweep finds it dead. The
    /// hook may use the map. A panic goes to the caller of that operation, once the operation is complete.
    /// For entries that are there when the map itself is dropped, the hook is not called.
    ///
    /// The hook may drop another value for which a hook is called, and so on, any number of times. From the
    /// 64th one inside of another on, the hook is called a little later, before the outermost drop returns.
    ///
    /// ```
    /// use highlander::map::RemovalCause;
    /// use highlander::WeakValueMap;
    /// use std::sync::{Arc, Mutex};
    ///
    /// let log = Arc::new(Mutex::new(Vec::new()));
    /// let told = Arc::clone(&log);
    /// let hook = move |key: &String, cause| told.lock().unwrap().push((key.clone(), cause));
    /// let map: WeakValueMap<String, Arc<u32>> = WeakValueMap::new().on_remove(hook);
    ///
    /// let value = Arc::new(1);
    /// map.insert("a".into(), value.clone());
    /// map.remove("a");
    /// map.insert("b".into(), value);               // dead from the start: the map does not own it
    /// map.prune();
    /// let expected = [("a".into(), RemovalCause::Removed), ("b".into(), RemovalCause::Dead)];
    /// assert_eq!(*log.lock().unwrap(), expected);
    /// ```
    #[must_use]
    pub fn on_remove(
        mut self,
        hook: impl Fn(&A::Stored, RemovalCause) + Send + Sync + 'static,
    ) -> Self {
        self.store.hook = Some(Hook::new(hook));
        self
    }

    /// Sets how many entries, on average and rounded up to whole buckets, each insertion looks at to take out
    /// dead ones. The default is 2. With `n` there are in the long run at most `1 / (n - 1)` as many dead
    /// entries as live ones; 1 counts as 2. Where nothing is weak it changes nothing.
    ///
    /// # Panics
    /// When `entries` is 0.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// // At most one dead entry for each seven that are alive.
    /// static MAP: WeakValueMap<u64, Arc<str>> = WeakValueMap::new().prune_bound(8);
    /// # MAP.insert(1, "one".into());
    /// ```
    #[must_use]
    pub const fn prune_bound(mut self, entries: u32) -> Self {
        assert!(entries > 0, "the prune bound is 0");
        // With 1 there would be no bound.
        self.store.prune_bound = if entries == 1 { 2 } else { entries };
        self
    }

    /// Makes the call that takes out an entry drop its key before it returns, for keys that must not stay in
    /// memory, such as credentials. Without it, the key may wait for a short time:
    /// [see above](Self#keys-and-values-of-entries-that-are-gone). Each such call interrupts all processors
    /// on which the process runs, which takes some microseconds.
    ///
    /// A plain `Arc` does not report its death, so its entry has to be found dead first. Let the values
    /// report their death, as a [`Watched`](crate::pointer::Watched) does, or call
    /// [`prune_key`](Self::prune_key).
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// static SESSIONS: WeakValueMap<Arc<str>, Arc<u32>> = WeakValueMap::new().eager_keys();
    ///
    /// let credential: Arc<str> = "secret".into();
    /// let session = SESSIONS.get_or_insert_with(credential.clone(), |_| Arc::new(1));
    /// SESSIONS.remove("secret");
    /// assert_eq!(Arc::strong_count(&credential), 1);
    /// # drop(session);
    /// ```
    #[must_use]
    pub const fn eager_keys(mut self) -> Self {
        self.store.hazards.is_eager = true;
        self
    }

    /// Makes the map count hits, for its [`stats`](Self::stats). All else is counted anyway.
    ///
    /// ```
    /// use highlander::StrongMap;
    ///
    /// static SIZES: StrongMap<&str, u32> = StrongMap::new().record_stats();
    ///
    /// SIZES.insert("a", 1);
    /// assert_eq!(SIZES.get("a"), Some(1));
    /// assert_eq!(SIZES.stats().hits, 1);
    /// ```
    #[must_use]
    pub const fn record_stats(mut self) -> Self {
        self.store.counts_hits = true;
        self
    }

    /// Makes the map name keys as they show themselves (by `Debug`) where the text of a
    /// [`CycleError`](crate::error::CycleError) would otherwise name their type; see
    /// [`Registry::debug_keys`](crate::Registry::debug_keys).
    ///
    /// ```
    /// use highlander::error::Refused;
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// static MAP: WeakValueMap<&str, Arc<u32>> = WeakValueMap::new().debug_keys();
    ///
    /// fn ask(key: &'static str) -> Result<Arc<u32>, Refused> {
    ///     Ok(MAP.get_or_try_insert_with(key, |key| ask(key))?)
    /// }
    /// let text = ask("ego").unwrap_err().to_string();
    /// assert!(text.ends_with(r#""ego", which asked for the first again"#));
    /// ```
    #[must_use]
    pub const fn debug_keys(mut self) -> Self
    where
        A::Key: fmt::Debug,
    {
        self.store.naming = Naming::shown();
        self
    }

    /// Sets a hook around sleeping: a thread that is about to sleep calls it, and sleeps when the hook calls
    /// the function that it is given. It is for a thread that holds an interpreter's lock, and releases it
    /// while it sleeps. Otherwise the thread that creates the value may wait for the lock, and both wait for
    /// ever.
    ///
    /// It is called wherever a thread may sleep until another creation in this map has ended, or a destructor
    /// in an [exclusive](Self::exclusive) one, and by [`CycleError::wait`](crate::error::CycleError::wait)
    /// after a refusal of this map. It is not called for a hit, nor by the thread that creates, nor by tasks,
    /// which do not hold up their thread. It is not called for the locks of the map itself either, which are
    /// held for a few instructions, and never while user code runs.
    ///
    /// The hook runs with no lock held, and may use the map. It calls the function that it is given once; if
    /// not at all, the thread sleeps after it. One call for a key may sleep several times. If the hook asks
    /// for the very key for which its thread waits, that key may be this thread's to create by then: the hook
    /// gets a [`CycleError`](crate::error::CycleError). A panic of the hook, before the sleep or after it,
    /// goes to the caller. The map is then as if the caller had not asked. If it was its turn to create, the
    /// next one creates. A hook that was set before is forgotten.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::cell::Cell;
    /// use std::sync::{Arc, Mutex, MutexGuard};
    ///
    /// static INTERPRETER: Mutex<()> = Mutex::new(());
    /// thread_local! {
    ///     static HELD: Cell<Option<MutexGuard<'static, ()>>> = const { Cell::new(None) };
    /// }
    /// fn acquire() { HELD.set(Some(INTERPRETER.lock().unwrap())) }
    ///
    /// fn without_the_lock(sleep: &mut dyn FnMut()) {
    ///     let was_held = HELD.take().is_some();       // and is not any more
    ///     sleep();
    ///     if was_held { acquire() }
    /// }
    /// static CLASSES: WeakValueMap<&str, Arc<usize>> = WeakValueMap::new().around_sleep(without_the_lock);
    ///
    /// std::thread::scope(|scope| {
    ///     for _ in 0..4 {
    ///         scope.spawn(|| {
    ///             acquire();
    ///             CLASSES.get_or_insert_with("list", |name| {
    ///                 HELD.set(None);                 // as an interpreter does now and then
    ///                 acquire();
    ///                 Arc::new(name.len())
    ///             });
    ///             HELD.set(None);
    ///         });
    ///     }
    /// });
    /// ```
    #[must_use]
    pub const fn around_sleep(mut self, hook: fn(sleep: &mut dyn FnMut())) -> Self {
        self.set_around_sleep(hook);
        self
    }

    /// Sets what `around_sleep` sets, for a constant that owns the map.
    pub(crate) const fn set_around_sleep(&mut self, hook: fn(sleep: &mut dyn FnMut())) {
        self.store.flights.set_around_sleep(hook);
    }

    /// Makes the map exclusive: a value is not made before the destructor of the one that had the key has
    /// *ended*. For files, sockets, locks on disk, child processes.
    ///
    /// Creators, claims and futures wait for that, asleep; `try_claim` returns that it is in flight. A
    /// destructor that asks for its own key, directly or through others, gets a
    /// [`CycleError`](crate::error::CycleError). Look-ups do not wait, nor do `insert` and `try_insert`,
    /// whose value exists already.
    /// * The map does not wait for a value that lives on after it was removed or replaced, or after its weak
    ///   key has died.
    /// * Nor does it wait for a value that lives on after it was given up together with a draft that it was
    ///   made with.
    /// * It does wait for a value whose own initialisation has failed, until its last owner has dropped it,
    ///   whoever that is. So drop it before you ask for its key again.
    /// * Two keys with the same 64-bit hash wait for each other.
    ///
    /// The values must be pointers that report the end of their object: a
    /// [`Watched`](crate::pointer::Watched), or a [`Handle`](crate::Handle). A map of other pointers, such as
    /// an `Arc`, does not compile. A value that is taken out of its `Watched` alive counts as ended. The map
    /// does not wait for values that were entered before this call.
    ///
    /// ```
    /// use highlander::pointer::Watched;
    /// use highlander::WeakValueMap;
    /// use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    ///
    /// static IN_USE: AtomicBool = AtomicBool::new(false);
    /// struct Port;
    /// impl Port {
    ///     fn open() -> Self {
    ///         assert!(!IN_USE.swap(true, SeqCst), "the port is in use");
    ///         Port
    ///     }
    /// }
    /// impl Drop for Port {
    ///     fn drop(&mut self) { IN_USE.store(false, SeqCst) }
    /// }
    ///
    /// static PORTS: WeakValueMap<u16, Watched<Port>> = WeakValueMap::new().exclusive();
    /// std::thread::scope(|scope| {
    ///     for _ in 0..4 {
    ///         let open = |_| drop(PORTS.get_or_insert_with(80, |_| Watched::new(Port::open())));
    ///         scope.spawn(move || (0..100).for_each(open));
    ///     }
    /// });
    /// ```
    /// ```compile_fail
    /// use std::sync::Arc;
    /// static MAP: highlander::WeakValueMap<u16, Arc<u32>> = highlander::WeakValueMap::new().exclusive();
    /// ```
    /// ```
    /// use std::sync::Arc;
    /// static MAP: highlander::WeakValueMap<u16, Arc<u32>> = highlander::WeakValueMap::new();
    /// ```
    #[must_use]
    pub const fn exclusive(mut self) -> Self {
        const {
            assert!(
                B::REPORTS_END,
                "an exclusive map needs pointers that report the end of their object: `Watched`"
            );
        }
        self.store.is_exclusive = true;
        self
    }
}

impl<A: KeySlot, B: ValueSlot, S> Map<A, B, S> {
    /// Returns the hasher.
    pub fn hasher(&self) -> &S {
        &self.hasher
    }

    /// Returns the number of live entries: exact when nothing is under way.
    ///
    /// *Complexity:* linear in `capacity` if one side is weak, since each entry has to be looked at;
    /// [`entry_count`](Self::entry_count) is quick, and so is this where nothing can die. *Waiting:* for
    /// writers of a bucket, a few instructions long.
    pub fn len(&self) -> usize {
        self.store.count_live()
    }

    /// Returns whether there is no live entry. *Complexity:* as for `len` at worst.
    pub fn is_empty(&self) -> bool {
        self.store.is_empty()
    }

    /// Returns the number of entries, including those that are dead and have not been taken out yet.
    /// *Complexity:* a few loads.
    pub fn entry_count(&self) -> usize {
        self.store.table.len()
    }

    /// Returns how many entries fit before the table grows.
    pub fn capacity(&self) -> usize {
        self.store.table.capacity()
    }

    /// Makes room for `additional` entries more than there are, dead ones included. After that `capacity` is
    /// at least `entry_count + additional`, and the table need not grow before there are more than `capacity`
    /// entries, unless it is shrunk meanwhile.
    ///
    /// Only the table is promised: the memory of an entry comes with the entry. Entries of other threads use
    /// the same room.
    ///
    /// Sweeps go round the whole table. So while it is emptier than it would be otherwise, up to a quarter of
    /// `capacity` more dead entries may stay.
    ///
    /// Other calls go on meanwhile. *Waiting:* for writers of a bucket, a few instructions long; if another
    /// thread is just replacing the table, a part of the move is left to it and to later insertions.
    /// *Complexity:* linear in the old `capacity`, and in the new one for allocating the memory; constant if
    /// there is room already.
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

    /// Returns counters of what the map has done so far. Hits are counted only if [that was asked
    /// for](Self::record_stats).
    ///
    /// ```
    /// use highlander::StrongMap;
    ///
    /// let map = StrongMap::new();
    /// map.get_or_insert_with(1, |_| 'a');
    /// map.insert(1, 'b');
    /// map.get(&2);
    /// let stats = map.stats();
    /// assert_eq!((stats.created, stats.inserted, stats.replaced, stats.misses), (1, 1, 1, 2));
    /// ```
    pub fn stats(&self) -> Stats {
        self.store.stats()
    }

    /// Takes out all entries that are dead now. Returns how many this call has taken out. Entries that die
    /// because of that are taken out by the next call.
    ///
    /// *Runs* `is_dead` of weak keys and values, destructors of the other side, and the hook. *Complexity:*
    /// linear in `capacity`.
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

    /// Prunes, and gives back memory that is not needed; see
    /// [`Registry::shrink_to_fit`](crate::Registry::shrink_to_fit).
    ///
    /// ```
    /// use highlander::StrongMap;
    ///
    /// let map = StrongMap::with_capacity(10_000);
    /// map.insert(1, 'a');
    /// map.shrink_to_fit();
    /// assert!(map.capacity() < 10_000);
    /// ```
    pub fn shrink_to_fit(&self) {
        self.store.shrink_to_fit();
    }

    /// Refuses new entries from now on, and returns the live values, so that each can be shut down. The
    /// entries stay, and are found until they die or are removed.
    ///
    /// An insertion or creation that comes later is refused with a
    /// [`ClosedError`](crate::error::ClosedError); so is one that is under way and not among the values
    /// returned. Of values that are [published together](crate::map::Entry::or_create_cyclic) each is refused
    /// for itself: see [the guide](crate::guide::creating#what-becomes-of-whom).
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
    pub fn close(&self) -> Vec<B::Value>
    where
        B::Value: Clone,
    {
        self.store.close();
        self.values().collect()
    }

    /// Returns whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.store.is_closed()
    }

    /// Iterates over the live entries, each as it is at the moment when it is yielded. Kept keys and values
    /// are cloned; [`for_each`](Self::for_each) does not clone them.
    ///
    /// The iterator goes through the table. What is entered and alive throughout is yielded once; what comes
    /// or goes meanwhile may be yielded. The iterator holds no lock. It keeps nothing alive but the entry in
    /// hand, and kept values of the few entries of one bucket. The map may be changed meanwhile. A loop that
    /// enters something for each value may also be shown what it has entered, but it ends.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// let map = WeakValueMap::new();
    /// let (one, two) = (Arc::new(1), Arc::new(2));
    /// map.insert("one", one.clone());
    /// map.insert("two", two.clone());
    /// drop(two);
    /// assert_eq!(map.iter().collect::<Vec<_>>(), [("one", one)]);
    /// ```
    pub fn iter(&self) -> Iter<'_, A, B>
    where
        A::Key: Clone,
        B::Value: Clone,
    {
        Iter::new(self.store.walk())
    }

    /// Iterates over the keys of the live entries; see [`iter`](Self::iter).
    ///
    /// ```
    /// let map: highlander::StrongMap<_, _> = [(1, 'a'), (2, 'b')].into_iter().collect();
    /// let mut keys: Vec<_> = map.keys().collect();
    /// keys.sort();
    /// assert_eq!(keys, [1, 2]);
    /// ```
    pub fn keys(&self) -> impl Iterator<Item = A::Key> + use<'_, A, B, S>
    where
        A::Key: Clone,
    {
        self.store.walk().views(|key, value| {
            let owner = key.live_owner()?;
            let live = value.live()?;
            after(live, Some(owner))
        })
    }

    /// Iterates over the live values; see [`iter`](Self::iter).
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
    pub fn values(&self) -> impl Iterator<Item = B::Value> + use<'_, A, B, S>
    where
        B::Value: Clone,
    {
        self.store.walk().views(|key, value| {
            if key.is_dead() {
                return None;
            }
            value.live_owner()
        })
    }

    /// Iterates over the weak keys of all entries, including dead ones that have not been taken out yet:
    /// CPython's `keyrefs`.
    ///
    /// ```
    /// use highlander::WeakKeyMap;
    /// use std::sync::Arc;
    ///
    /// let map: WeakKeyMap<Arc<u32>, char> = WeakKeyMap::new();
    /// let key = Arc::new(1);
    /// map.insert(&key, 'a');
    /// assert!(map.weak_keys().next().unwrap().upgrade().is_some());
    /// ```
    pub fn weak_keys(&self) -> impl Iterator<Item = A::Weak> + use<'_, A, B, S>
    where
        A: WeakSide,
    {
        self.store.walk().views(|key, _| Some(key.weak().clone()))
    }

    /// Iterates over the weak values of all entries, including dead ones that have not been taken out yet:
    /// ask each with [`upgrade`](crate::pointer::WeakPointer::upgrade).
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// let map = WeakValueMap::new();
    /// map.insert(1, Arc::new('a'));                           // dead from the start
    /// assert!(map.weak_values().all(|weak| weak.upgrade().is_none()));
    /// assert_eq!((map.weak_values().count(), map.values().count()), (1, 0));
    /// ```
    pub fn weak_values(&self) -> impl Iterator<Item = B::Weak> + use<'_, A, B, S>
    where
        B: WeakSide,
    {
        self.store
            .walk()
            .views(|_, value| Some(value.weak().clone()))
    }

    /// Calls `f` with each live entry; see [`iter`](Self::iter). *Runs* `f` with no lock held; it may change
    /// the map.
    ///
    /// ```
    /// use highlander::StrongMap;
    /// use std::sync::Mutex;
    ///
    /// let map: StrongMap<_, _> = [(1, Mutex::new(10)), (2, Mutex::new(20))].into_iter().collect();
    /// map.for_each(|key, value| *value.lock().unwrap() += key);
    /// assert_eq!(map.with(&2, |value| *value.lock().unwrap()), Some(22));
    /// ```
    pub fn for_each(&self, mut f: impl FnMut(&A::Key, &B::Value)) {
        for live_entry in self.store.living() {
            f(live_entry.key(), live_entry.value());
        }
    }

    /// Takes out the entries for which `keep` returns false, and the dead ones. Returns how many live ones
    /// this call has taken out.
    ///
    /// *Runs* `keep` with no lock held; it may change the map. An entry that is replaced meanwhile is left as
    /// it is.
    ///
    /// ```
    /// let map: highlander::StrongMap<u32, char> = (1..5).zip("abcd".chars()).collect();
    /// assert_eq!(map.retain(|key, _| key % 2 == 0), 2);
    /// assert_eq!(map, [(2, 'b'), (4, 'd')].into_iter().collect());
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(&A::Key, &B::Value) -> bool) -> usize {
        self.store.retain(RemovalCause::Removed, |live_entry| {
            keep(live_entry.key(), live_entry.value())
        })
    }

    /// Takes out all entries. Values that have other owners live on. Returns how many live ones this call has
    /// taken out. Entries that come while this runs may stay.
    ///
    /// ```
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// let map = WeakValueMap::new();
    /// let value = Arc::new('a');
    /// map.insert(1, value.clone());
    /// assert_eq!((map.clear(), map.entry_count(), *value), (1, 0, 'a'));
    /// ```
    pub fn clear(&self) -> usize {
        self.store.clear()
    }

    /// Takes out all entries, and returns the live ones that this call has taken out.
    ///
    /// ```
    /// let map: highlander::StrongMap<u32, char> = [(1, 'a'), (2, 'b')].into_iter().collect();
    /// let mut all: Vec<_> = map.drain().collect();
    /// all.sort();
    /// assert_eq!(all, [(1, 'a'), (2, 'b')]);
    /// assert!(map.is_empty());
    /// ```
    pub fn drain(&self) -> std::vec::IntoIter<(A::Key, B::Value)>
    where
        A::Key: Clone,
        B::Value: Clone,
    {
        self.store.drain().into_iter()
    }

    /// Takes out some live entry, whichever comes first, and returns it; none if there is none. CPython calls
    /// it `popitem`.
    ///
    /// The next call goes on where the last one has found an entry, so emptying a map takes time linear in
    /// its size. If entries come between the calls, each call looks through the table until it finds one. So
    /// a map with room for many entries and few of them in it is no good queue.
    ///
    /// ```
    /// let map: highlander::StrongMap<u32, char> = [(1, 'a')].into_iter().collect();
    /// assert_eq!(map.pop(), Some((1, 'a')));
    /// assert_eq!(map.pop(), None);
    /// ```
    pub fn pop(&self) -> Option<(A::Key, B::Value)>
    where
        A::Key: Clone,
        B::Value: Clone,
    {
        self.store.pop()?.into_owners()
    }
}

// Why: see ARCHITECTURE.md, "Unwind safety".
impl<A: KeySlot, B: ValueSlot, S: UnwindSafe> UnwindSafe for Map<A, B, S>
where
    A::Key: UnwindSafe + RefUnwindSafe,
    B::Value: UnwindSafe + RefUnwindSafe,
{
}
impl<A: KeySlot, B: ValueSlot, S: RefUnwindSafe> RefUnwindSafe for Map<A, B, S>
where
    A::Key: UnwindSafe + RefUnwindSafe,
    B::Value: UnwindSafe + RefUnwindSafe,
{
}
impl<A: KeySlot, B: ValueSlot, S: Unpin> Unpin for Map<A, B, S> {}
