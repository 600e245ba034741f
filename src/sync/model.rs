//! The facade's model body, on loom or shuttle.
//!
//! All threads of a model run on one OS thread, so anything that would block that one must be modelled too:
//! the mutex, the once-cell, the parking lot, and (in `list_map`) the shard locks of dashmap.

use super::explorer;
#[cfg(feature = "logging")]
use super::explorer::{RwLockReadGuard, RwLockWriteGuard};
use std::alloc::{alloc, handle_alloc_error, Layout};
use std::convert::Infallible;
use std::ptr::NonNull;
use std::sync::TryLockError;

pub(crate) use super::explorer::atomic::{
    AtomicBool, AtomicIsize, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
pub(crate) use super::explorer::{Condvar, MutexGuard, UnsafeCell};

std::thread_local! {
    // Switches of a model. Of the OS thread: a model runs on one, and other models beside it.
    static RECLAIM: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    static PARK: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    static OWN_SHARDS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

std::thread_local!(static LIVE_TABLES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });

/// Returns the number of tables that have not been freed on this OS thread.
pub fn live_tables() -> usize {
    LIVE_TABLES.get()
}

/// A part of a table, counted by `live_tables`.
pub(crate) struct Counted(());

impl Counted {
    pub(crate) fn new() -> Self {
        LIVE_TABLES.set(LIVE_TABLES.get() + 1);
        Self(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        LIVE_TABLES.set(LIVE_TABLES.get() - 1);
    }
}

/// Sets whether the models that follow give memory back while others read. Each read is longer then.
pub fn set_reclaim(on: bool) {
    RECLAIM.set(on);
}

/// Sets whether waiters for a bucket park in the models that follow, instead of yielding.
pub fn set_park(on: bool) {
    PARK.set(on);
}

/// Sets whether each thread has its own shard of the pool in the models that follow, instead of one for all.
pub fn set_own_shards(on: bool) {
    OWN_SHARDS.set(on);
}

pub(crate) fn prefetch<T>(_: *const T) {}

pub(crate) fn reclaims() -> bool {
    RECLAIM.get()
}

pub(crate) struct Mutex<T>(explorer::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(explorer::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(e)) => Some(e.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

#[cfg(feature = "logging")]
#[derive(Debug)]
pub(crate) struct RwLock<T>(explorer::RwLock<T>);

#[cfg(feature = "logging")]
impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(explorer::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(|e| e.into_inner())
    }
}

/// `once_cell::sync::OnceCell`, as far as it is used here.
pub(crate) struct OnceCell<T> {
    done: AtomicBool,
    running: Mutex<bool>,
    ended: Condvar,
    value: std::cell::UnsafeCell<Option<T>>,
}

// SAFETY: as for `once_cell`: the value is written once, before `done`, and shared after it.
unsafe impl<T: Send> Send for OnceCell<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for OnceCell<T> {}

impl<T> OnceCell<T> {
    pub(crate) fn new() -> Self {
        Self {
            done: AtomicBool::new(false),
            running: Mutex::new(false),
            ended: Condvar::new(),
            value: std::cell::UnsafeCell::new(None),
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        if self.done.load(Ordering::Acquire) {
            // SAFETY: not written any more.
            unsafe { (*self.value.get()).as_ref() }
        } else {
            None
        }
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("called once"));
        value.map_or(Ok(()), Err)
    }

    pub(crate) fn get_or_init(&self, init: impl FnOnce() -> T) -> &T {
        match self.get_or_try_init(|| Ok::<_, Infallible>(init())) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    pub(crate) fn get_or_try_init<E>(&self, init: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        struct Run<'a, T>(&'a OnceCell<T>);
        impl<T> Drop for Run<'_, T> {
            fn drop(&mut self) {
                *self.0.running.lock() = false;
                self.0.ended.notify_all();
            }
        }
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let mut running = self.running.lock();
        while *running {
            running = self.ended.wait(running).unwrap_or_else(|e| e.into_inner());
        }
        if let Some(value) = self.get() {
            return Ok(value);
        }
        *running = true;
        drop(running);
        let run = Run(self);
        let value = init()?;
        // SAFETY: `running` keeps all others out, and `done` is not set.
        unsafe { *self.value.get() = Some(value) };
        self.done.store(true, Ordering::Release);
        drop(run);
        Ok(self.get().expect("just set"))
    }
}

/// Returns a flag that nobody else can change any more. Earlier owners were ordered by an `Arc` of `std`, of
/// which the model knows nothing: so this asks for the latest value.
pub(crate) fn settled(flag: &mut AtomicBool) -> bool {
    flag.fetch_or(false, Ordering::Relaxed)
}

/// `once_cell::race::OnceBox`, as far as it is used here: the first wins.
pub(crate) struct OnceBox<T> {
    inner: AtomicPtr<T>,
}

impl<T> OnceBox<T> {
    pub(crate) fn new() -> Self {
        Self {
            inner: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        // SAFETY: null, or from the box that won, which stays until this is dropped.
        unsafe { self.inner.load(Ordering::Acquire).as_ref() }
    }

    pub(crate) fn get_or_init(&self, init: impl FnOnce() -> Box<T>) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        let new = Box::into_raw(init());
        let null = std::ptr::null_mut();
        if self
            .inner
            .compare_exchange(null, new, Ordering::AcqRel, Ordering::Acquire)
            .is_err()
        {
            // SAFETY: from `into_raw` just now, and seen by nobody.
            drop(unsafe { Box::from_raw(new) });
        }
        self.get().expect("just set")
    }
}

impl<T> Drop for OnceBox<T> {
    fn drop(&mut self) {
        let pointer = self.inner.load(Ordering::Acquire);
        if !pointer.is_null() {
            // SAFETY: the box that won; nobody else frees it.
            drop(unsafe { Box::from_raw(pointer) });
        }
    }
}

pub(crate) fn relax(_: u32) {
    explorer::yield_now();
}

pub(crate) fn spin_rounds() -> u32 {
    if PARK.get() {
        0
    } else {
        u32::MAX
    }
}

pub(crate) fn spins_for_a_creation() -> u32 {
    0
}

/// One queue for all addresses.
struct ParkingLot {
    parked: AtomicUsize,
    wakes: Mutex<usize>,
    woken: Condvar,
}

/// The state of one execution of a model.
struct World {
    lot: ParkingLot,
    records: Vec<ThreadRecord>,
    // No step of a model: threads are numbered in the order in which they come here.
    next: std::sync::atomic::AtomicUsize,
}

explorer::lazy_static! {
    static ref WORLD: World = World {
        lot: ParkingLot { parked: AtomicUsize::new(0), wakes: Mutex::new(0), woken: Condvar::new() },
        records: (0..explorer::THREADS).map(ThreadRecord::new).collect(),
        next: std::sync::atomic::AtomicUsize::new(0),
    };
}

pub(crate) fn park_while(_: usize, mut blocked: impl FnMut() -> bool) {
    let lot = &WORLD.lot;
    lot.parked.fetch_add(1, Ordering::Relaxed);
    light_barrier();
    let mut wakes = lot.wakes.lock();
    if blocked() {
        let before = *wakes;
        while *wakes == before {
            wakes = lot.woken.wait(wakes).unwrap_or_else(|e| e.into_inner());
        }
    }
    drop(wakes);
    lot.parked.fetch_sub(1, Ordering::Relaxed);
}

pub(crate) fn wake_parked(_: usize) {
    // Nobody parks in the other models, and the fence makes them longer.
    if !PARK.get() {
        return;
    }
    light_barrier();
    if WORLD.lot.parked.load(Ordering::Relaxed) != 0 {
        *WORLD.lot.wakes.lock() += 1;
        WORLD.lot.woken.notify_all();
    }
}

/// # Safety
/// `layout` must be that of `len` values, and `len` must not be 0.
pub(crate) unsafe fn zeroed_array<T>(layout: Layout, len: usize, new: fn() -> T) -> NonNull<T> {
    // SAFETY: the caller's layout has a size, as `len` is not 0.
    let memory = unsafe { alloc(layout) };
    let array: NonNull<T> =
        NonNull::new(memory.cast()).unwrap_or_else(|| handle_alloc_error(layout));
    for i in 0..len {
        // SAFETY: within the block just allocated.
        unsafe { array.add(i).write(new()) };
    }
    array
}

/// Returns 0: no time passes, as no interleaving depends on it.
pub(crate) fn millisecond() -> u64 {
    0
}

pub(crate) fn flight_shards() -> usize {
    1
}

pub(crate) fn shards() -> (usize, usize) {
    (if OWN_SHARDS.get() { 3 } else { 0 }, 1)
}

pub(crate) struct ThreadRecord {
    pub(crate) state: AtomicUsize,
    pub(crate) hazard: AtomicPtr<()>,
}

impl ThreadRecord {
    fn new(_: usize) -> Self {
        Self {
            state: AtomicUsize::new(0),
            hazard: AtomicPtr::new(std::ptr::null_mut()),
        }
    }
}

explorer::thread_local! {
    static INDEX: usize = WORLD.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
}

/// Returns this thread's record. Every thread has one, except in models that give nothing back.
pub(crate) fn own_record() -> Option<&'static ThreadRecord> {
    reclaims().then(|| {
        let index = INDEX.with(|index| *index);
        // SAFETY: the world lasts as long as the execution; the explorer's reference is `'static` in the same
        // sense.
        unsafe { &*std::ptr::from_ref(&WORLD.records[index]) }
    })
}

pub(crate) fn adopt_record() -> Option<&'static ThreadRecord> {
    own_record()
}

pub(crate) fn lend_record() -> &'static ThreadRecord {
    unreachable!("every thread of a model has a record of its own")
}

pub(crate) fn return_record(_: &'static ThreadRecord) {}

pub(crate) fn records() -> impl Iterator<Item = &'static ThreadRecord> {
    // SAFETY: as in `own_record`.
    (0..explorer::THREADS).map(|index| unsafe { &*std::ptr::from_ref(&WORLD.records[index]) })
}

pub(crate) fn own_index() -> Option<usize> {
    OWN_SHARDS.get().then(|| INDEX.with(|index| *index))
}

/// Runs a full fence, like the heavy half: the system's call makes the light one as good as that.
pub(crate) fn light_barrier() {
    explorer::atomic::fence(Ordering::SeqCst);
}

pub(crate) fn any_barrier() {
    light_barrier();
}

pub(crate) fn full_barrier() {
    light_barrier();
}

/// Returns false: the short way is the one that is modelled.
pub(crate) fn readers_fence() -> bool {
    false
}

pub(crate) fn begin_reading() {}

pub(crate) fn heavy_barrier() -> bool {
    explorer::atomic::fence(Ordering::SeqCst);
    true
}

/// Thread-local cells, per modelled thread.
macro_rules! local {
    ($($(#[$doc:meta])* static $name:ident: $type:ty = $init:expr;)*) => {
        $crate::sync::explorer::thread_local! { $($(#[$doc])* static $name: $type = $init;)* }
    };
}
pub(crate) use local;

/// A value that is static in one execution.
macro_rules! global {
    (static $name:ident: $type:ty = $init:expr;) => {
        $crate::sync::explorer::lazy_static! { static ref $name: $type = $init; }
    };
}
pub(crate) use global;

/// Reads a pointer that nobody else can reach.
pub(crate) fn pointer_in<T>(atomic: &mut AtomicPtr<T>) -> *mut T {
    atomic.load(Ordering::Relaxed)
}

/// A function that is `const` outside of models.
macro_rules! const_fn {
    ($(#[$attr:meta])* $vis:vis const fn $name:ident $($rest:tt)*) => {
        $(#[$attr])* $vis fn $name $($rest)*
    };
}
pub(crate) use const_fn;
