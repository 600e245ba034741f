//! The builder of the maps: weak on one side, on both, or on neither.

use crate::create::error::{BuildError, Nonsense};
use crate::map::store::hook::{Hook, RemovalCause};
use crate::map::store::{Setup, PRUNE_BOUND};
use crate::map::strong_map::StrongMap;
use crate::map::weak_key_map::WeakKeyMap;
use crate::map::weak_key_value_map::WeakKeyValueMap;
use crate::map::weak_value_map::WeakValueMap;
use crate::memory::hash::DefaultHashBuilder;
use crate::pointer::keying::{ByAddress, ByEquality, Keying};
use crate::pointer::traits::{Pointer, SyncPointer};
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// Keys are kept as they are.
#[derive(Clone, Copy, Debug)]
pub struct StrongKeys(());

/// Keys are held weakly, and compared as `M` says: [`ByEquality`] or [`ByAddress`].
#[derive(Clone, Copy, Debug)]
pub struct WeakKeys<M = ByEquality>(PhantomData<fn() -> M>);

/// Values are kept as they are.
#[derive(Clone, Copy, Debug)]
pub struct StrongValues(());

/// Values are held weakly.
#[derive(Clone, Copy, Debug)]
pub struct WeakValues(());

/// Nobody is told when an entry goes.
#[derive(Clone, Copy, Debug)]
pub struct NoHook(());

/// A hook is told, of maps whose stored keys are `T`.
pub struct OnRemove<T>(Hook<T>);

impl<T> Clone for OnRemove<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for OnRemove<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnRemove")
    }
}

mod sealed {
    use super::{Hook, NoHook, OnRemove, StrongKeys, WeakKeys, WeakValues};

    pub trait WeakSide {}

    impl<M, V> WeakSide for (WeakKeys<M>, V) {}
    impl WeakSide for (StrongKeys, WeakValues) {}

    pub trait Hooked<T> {
        fn hook(&self) -> Option<Hook<T>>;
    }

    impl<T> Hooked<T> for NoHook {
        fn hook(&self) -> Option<Hook<T>> {
            None
        }
    }

    impl<T> Hooked<T> for OnRemove<T> {
        fn hook(&self) -> Option<Hook<T>> {
            Some(self.0.clone())
        }
    }
}

/// What a builder knows of a hook that fits maps whose stored keys are `T`: [`NoHook`] for all, [`OnRemove<T>`] for these.
pub trait HookFor<T>: sealed::Hooked<T> {}

impl<T, H: sealed::Hooked<T>> HookFor<T> for H {}

/// That keys, values or both were asked to be weak, so that entries can die.
#[diagnostic::on_unimplemented(
    message = "nothing in this map can die",
    label = "ask for `weak_keys()` or `weak_values()` first"
)]
pub trait WeakSide: sealed::WeakSide {}

impl<T: sealed::WeakSide> WeakSide for T {}

/// A builder of maps, after Guava's `MapMaker`. What is weak is part of its type, so that one gets the map that was asked for; it can be
/// used again.
///
/// | asked for | makes |
/// |---|---|
/// | nothing | [`StrongMap<K, V>`] |
/// | `weak_values()` | [`WeakValueMap<K, P>`] |
/// | `weak_keys()` | [`WeakKeyMap<P, V>`] |
/// | `weak_keys().identity_keys()` | [`WeakKeyMap<P, V, ByAddress>`](ByAddress) |
/// | `weak_keys().weak_values()`, also with `identity_keys()` | [`WeakKeyValueMap<P, Q>`] |
///
/// In Guava weak keys are always compared by identity. Here that is said, since in CPython they are compared by equality.
///
/// ```
/// use highlander::map::{RemovalCause, MapMaker};
/// use highlander::WeakValueMap;
/// use std::sync::{Arc, Mutex};
///
/// let log = Arc::new(Mutex::new(Vec::new()));
/// let told = Arc::clone(&log);
/// let map: WeakValueMap<String, Arc<u32>> = MapMaker::new()
///     .weak_values()
///     .initial_capacity(100)
///     .on_remove(move |key: &String, cause| told.lock().unwrap().push((key.clone(), cause)))
///     .build()?;
///
/// let value = Arc::new(1);
/// map.insert("a".into(), value.clone());
/// map.remove("a");
/// map.insert("b".into(), value);               // dead from the start: the map does not own it
/// map.prune();
/// assert_eq!(*log.lock().unwrap(), [("a".to_string(), RemovalCause::Removed), ("b".to_string(), RemovalCause::Dead)]);
/// # Ok::<(), highlander::error::BuildError>(())
/// ```
///
/// Asking for the same weakness twice, or for a map that does not fit, does not compile:
/// ```compile_fail
/// highlander::map::MapMaker::new().weak_values().weak_values();
/// ```
/// ```
/// highlander::map::MapMaker::new().weak_values().weak_keys();
/// ```
/// Nor does asking for strong keys by identity,
/// ```compile_fail
/// highlander::map::MapMaker::new().identity_keys();
/// ```
/// ```
/// highlander::map::MapMaker::new().weak_keys().identity_keys();
/// ```
/// or for how much is pruned where nothing can die:
/// ```compile_fail
/// highlander::map::MapMaker::new().prune_bound(4);
/// ```
/// ```
/// highlander::map::MapMaker::new().weak_values().prune_bound(4);
/// ```
/// The map has to be of the kind that was asked for:
/// ```compile_fail
/// let map: highlander::StrongMap<u32, u32> = highlander::map::MapMaker::new().weak_keys().build().unwrap();
/// ```
/// ```
/// let map: highlander::StrongMap<u32, u32> = highlander::map::MapMaker::new().build().unwrap();
/// ```
#[derive(Clone)]
pub struct MapMaker<K = StrongKeys, V = StrongValues, S = DefaultHashBuilder, H = NoHook> {
    initial_capacity: Option<usize>,
    concurrency_level: Option<usize>,
    prune_bound: Option<usize>,
    exclusive: bool,
    /// What was set twice.
    twice: Option<&'static str>,
    hasher: S,
    hook: H,
    weakness: PhantomData<fn() -> (K, V)>,
}

impl MapMaker {
    /// A builder with nothing set: strong on both sides, the default hasher.
    pub const fn new() -> Self {
        Self {
            initial_capacity: None,
            concurrency_level: None,
            prune_bound: None,
            exclusive: false,
            twice: None,
            hasher: DefaultHashBuilder,
            hook: NoHook(()),
            weakness: PhantomData,
        }
    }
}

impl Default for MapMaker {
    fn default() -> Self {
        Self::new()
    }
}

impl<V, S, H> MapMaker<StrongKeys, V, S, H> {
    /// Keys are to be held weakly, and compared by equality.
    pub fn weak_keys(self) -> MapMaker<WeakKeys, V, S, H> {
        self.with(|hasher, hook| (hasher, hook))
    }
}

impl<V, S, H> MapMaker<WeakKeys, V, S, H> {
    /// Keys are to be compared by identity: an equal copy is another key.
    pub fn identity_keys(self) -> MapMaker<WeakKeys<ByAddress>, V, S, H> {
        self.with(|hasher, hook| (hasher, hook))
    }
}

impl<K, S, H> MapMaker<K, StrongValues, S, H> {
    /// Values are to be held weakly.
    pub fn weak_values(self) -> MapMaker<K, WeakValues, S, H> {
        self.with(|hasher, hook| (hasher, hook))
    }
}

impl<K, V, H> MapMaker<K, V, DefaultHashBuilder, H> {
    /// The hasher, instead of [`DefaultHashBuilder`]. Each map gets a clone.
    pub fn hasher<S>(self, hasher: S) -> MapMaker<K, V, S, H> {
        self.with(|_, hook| (hasher, hook))
    }
}

impl<K, V, S> MapMaker<K, V, S, NoHook> {
    /// What is to be called when an entry has gone, with what is stored as its key (the key, or the weak pointer to it) and why.
    ///
    /// It is called once for each entry, after it is out and with no lock held, by the thread whose call took it out: the one that drops the last owner, if the
    /// pointer reports its death; for a plain `Arc` that dies not at that moment but when a look-up or a sweep finds it. It may use the map. A panic goes to the
    /// caller of that operation, once the operation is complete. Entries that are there when the map itself is dropped are not told of.
    ///
    /// The hook may drop another value that is reported to a hook, and so on, any number of times. From the 64th one inside of another on, the hook is called a little later,
    /// before the outermost drop returns.
    pub fn on_remove<T>(
        self,
        hook: impl Fn(&T, RemovalCause) + Send + Sync + 'static,
    ) -> MapMaker<K, V, S, OnRemove<T>> {
        self.with(|hasher, _| (hasher, OnRemove(Hook::new(hook))))
    }
}

impl<K, S, H> MapMaker<K, WeakValues, S, H> {
    /// A value is not to be made before the destructor of the one that had the key has *ended*: for files, sockets, locks on disk, child processes.
    ///
    /// Creators, claims and futures wait for that, asleep; `try_claim` says that it is in flight. A destructor that asks for its own key, directly or through others, gets a
    /// [`CycleError`](crate::error::CycleError). Look-ups do not wait, nor do `insert` and `try_insert`, whose value exists already; and a value that was removed or replaced, or whose weak key
    /// has died before it, and that lives on, is no business of the map's, and neither is one that was given up together with a draft that it was made with. But one whose own initialisation has failed is
    /// waited for until its last owner has let go, whoever that is: so let go of it before you ask for its key again. Two keys with the same 64-bit hash wait for each other.
    ///
    /// The values must be pointers that report the end of their object: a [`Watched`](crate::pointer::Watched), or a [`Handle`](crate::Handle); of others, such as an `Arc`, `build` makes no
    /// exclusive map. A value that is taken out of its `Watched` alive ends there.
    ///
    /// ```
    /// use highlander::map::MapMaker;
    /// use highlander::pointer::Watched;
    /// use highlander::WeakValueMap;
    /// use std::sync::{atomic::{AtomicBool, Ordering::SeqCst}, LazyLock};
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
    /// static PORTS: LazyLock<WeakValueMap<u16, Watched<Port>>> = LazyLock::new(|| MapMaker::new().weak_values().exclusive().build().unwrap());
    /// std::thread::scope(|scope| {
    ///     for _ in 0..4 {
    ///         scope.spawn(|| (0..100).for_each(|_| drop(PORTS.get_or_insert_with(80, |_| Watched::new(Port::open())))));
    ///     }
    /// });
    /// ```
    pub fn exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }
}

impl<K, V, S, H> MapMaker<K, V, S, H> {
    fn with<L, W, T, I>(self, change: impl FnOnce(S, H) -> (T, I)) -> MapMaker<L, W, T, I> {
        let (hasher, hook) = change(self.hasher, self.hook);
        MapMaker {
            initial_capacity: self.initial_capacity,
            concurrency_level: self.concurrency_level,
            prune_bound: self.prune_bound,
            exclusive: self.exclusive,
            twice: self.twice,
            hasher,
            hook,
            weakness: PhantomData,
        }
    }

    /// For how many entries there is to be room before the table grows. At most 2³².
    pub fn initial_capacity(mut self, capacity: usize) -> Self {
        if self.initial_capacity.replace(capacity).is_some() {
            self.twice = Some("the initial capacity");
        }
        self
    }

    /// How many threads are expected to use a map at the same time: 1 to 65536.
    ///
    /// Threads do not hinder each other in the table, whatever this is, but each of so many threads gets counters of its own for
    /// the [`Stats`](crate::map::Stats).
    pub fn concurrency_level(mut self, threads: usize) -> Self {
        if self.concurrency_level.replace(threads).is_some() {
            self.twice = Some("the concurrency level");
        }
        self
    }

    /// As `setup`, of a map whose values are such pointers.
    fn setup_of<P: Pointer, T>(&self) -> Result<Setup<T>, BuildError>
    where
        H: HookFor<T>,
    {
        if self.exclusive && !P::REPORTS_END {
            return Err(BuildError(Nonsense::Exclusive));
        }
        self.setup()
    }

    fn setup<T>(&self) -> Result<Setup<T>, BuildError>
    where
        H: HookFor<T>,
    {
        const MOST: u64 = 1 << 32;
        let nonsense = |what| Err(BuildError(what));
        if let Some(what) = self.twice {
            return nonsense(Nonsense::Twice(what));
        }
        let capacity = self.initial_capacity.unwrap_or(0);
        if u64::try_from(capacity).is_ok_and(|capacity| capacity > MOST) {
            return nonsense(Nonsense::Capacity);
        }
        let stripes = self.concurrency_level.unwrap_or(1);
        if stripes == 0 || stripes > 1 << 16 {
            return nonsense(Nonsense::Concurrency);
        }
        let prune_bound = match self.prune_bound.map(u64::try_from) {
            None => PRUNE_BOUND,
            Some(Ok(bound @ 1..=MOST)) => u32::try_from(bound).unwrap_or(u32::MAX),
            Some(_) => return nonsense(Nonsense::PruneBound),
        };
        Ok(Setup {
            capacity,
            prune_bound,
            stripes: self.concurrency_level.map_or(0, |_| stripes),
            hook: self.hook.hook(),
            exclusive: self.exclusive,
        })
    }
}

impl<K, V, S, H> MapMaker<K, V, S, H>
where
    (K, V): WeakSide,
{
    /// How many entries, on average and rounded up to whole buckets, each insertion looks at to take out dead ones; 2 if nothing is said.
    /// With `n`, there are in the long run at most `1 / (n - 1)` as many dead entries as live ones; with 1 it is as with 2.
    ///
    /// To be asked for after what is to be weak.
    pub fn prune_bound(mut self, entries: usize) -> Self {
        if self.prune_bound.replace(entries).is_some() {
            self.twice = Some("the prune bound");
        }
        self
    }
}

impl<S: Clone, H> MapMaker<StrongKeys, StrongValues, S, H> {
    /// A new map that is strong on both sides: Guava's `makeMap` of a `MapMaker` of which nothing was asked.
    ///
    /// It needs no `build_local`: whether it can be shared between threads depends on the types of keys and values alone.
    ///
    /// # Errors
    /// [`BuildError`] when something was set to nonsense, or set twice.
    ///
    /// ```
    /// use highlander::map::{RemovalCause, MapMaker};
    /// use highlander::StrongMap;
    ///
    /// let map: StrongMap<&str, u32> = MapMaker::new()
    ///     .initial_capacity(100)
    ///     .on_remove(|key: &&str, cause| println!("{key} has gone: {cause:?}"))
    ///     .build()?;
    /// map.insert("a", 1);
    /// # Ok::<(), highlander::error::BuildError>(())
    /// ```
    pub fn build<K: Hash + Eq + 'static, V: 'static>(
        &self,
    ) -> Result<StrongMap<K, V, S>, BuildError>
    where
        H: HookFor<K>,
    {
        let setup = self.setup()?;
        Ok(StrongMap::with_setup(setup, self.hasher.clone()))
    }
}

impl<S: Clone, H> MapMaker<StrongKeys, WeakValues, S, H> {
    /// A new map with weak values.
    ///
    /// # Errors
    /// [`BuildError`] when something was set to nonsense, or set twice.
    pub fn build<K: Hash + Eq + Send + Sync + 'static, P: SyncPointer>(
        &self,
    ) -> Result<WeakValueMap<K, P, S>, BuildError>
    where
        H: HookFor<K>,
    {
        let setup = self.setup_of::<P, _>()?;
        Ok(WeakValueMap::with_setup(setup, self.hasher.clone()))
    }

    /// As `build`, of what need not be `Send` and `Sync`; see [`WeakValueMap::local`].
    ///
    /// # Errors
    /// [`BuildError`], as `build`.
    pub fn build_local<K: Hash + Eq + 'static, P: Pointer>(
        &self,
    ) -> Result<WeakValueMap<K, P, S>, BuildError>
    where
        H: HookFor<K>,
    {
        let setup = self.setup_of::<P, _>()?;
        Ok(WeakValueMap::local_with_setup(setup, self.hasher.clone()))
    }
}

impl<S: Clone, H, M> MapMaker<WeakKeys<M>, StrongValues, S, H> {
    /// A new map with weak keys.
    ///
    /// # Errors
    /// [`BuildError`] when something was set to nonsense, or set twice.
    pub fn build<P: SyncPointer, V: Send + Sync + 'static>(
        &self,
    ) -> Result<WeakKeyMap<P, V, M, S>, BuildError>
    where
        M: Keying<P>,
        H: HookFor<P::Weak>,
    {
        let setup = self.setup()?;
        Ok(WeakKeyMap::with_setup(setup, self.hasher.clone()))
    }

    /// As `build`, of what need not be `Send` and `Sync`; see [`WeakKeyMap::local`].
    ///
    /// # Errors
    /// [`BuildError`], as `build`.
    pub fn build_local<P: Pointer, V: 'static>(&self) -> Result<WeakKeyMap<P, V, M, S>, BuildError>
    where
        M: Keying<P>,
        H: HookFor<P::Weak>,
    {
        let setup = self.setup()?;
        Ok(WeakKeyMap::local_with_setup(setup, self.hasher.clone()))
    }
}

impl<S: Clone, H, M> MapMaker<WeakKeys<M>, WeakValues, S, H> {
    /// A new map with weak keys and weak values.
    ///
    /// # Errors
    /// [`BuildError`] when something was set to nonsense, or set twice.
    pub fn build<P: SyncPointer, Q: SyncPointer>(
        &self,
    ) -> Result<WeakKeyValueMap<P, Q, M, S>, BuildError>
    where
        M: Keying<P>,
        H: HookFor<P::Weak>,
    {
        let setup = self.setup_of::<Q, _>()?;
        Ok(WeakKeyValueMap::with_setup(setup, self.hasher.clone()))
    }

    /// As `build`, of what need not be `Send` and `Sync`; see [`WeakKeyValueMap::local`].
    ///
    /// # Errors
    /// [`BuildError`], as `build`.
    pub fn build_local<P: Pointer, Q: Pointer>(
        &self,
    ) -> Result<WeakKeyValueMap<P, Q, M, S>, BuildError>
    where
        M: Keying<P>,
        H: HookFor<P::Weak>,
    {
        let setup = self.setup_of::<Q, _>()?;
        Ok(WeakKeyValueMap::local_with_setup(
            setup,
            self.hasher.clone(),
        ))
    }
}

impl<K, V, S, H> fmt::Debug for MapMaker<K, V, S, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapMaker")
            .field("initial_capacity", &self.initial_capacity)
            .field("concurrency_level", &self.concurrency_level)
            .field("prune_bound", &self.prune_bound)
            .finish_non_exhaustive()
    }
}

// Why: see the head of `memory::panics`.
impl<T> UnwindSafe for OnRemove<T> {}
impl<T> RefUnwindSafe for OnRemove<T> {}
