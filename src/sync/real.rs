//! The facade's real body: `std`, `once_cell` and `dashmap`.

use std::alloc::{alloc_zeroed, handle_alloc_error, Layout};
use std::cell::Cell;
use std::ptr::{self, NonNull};
#[cfg(feature = "logging")]
use std::sync::{RwLockReadGuard, RwLockWriteGuard};

pub(crate) use once_cell::race::OnceBox;
pub(crate) use once_cell::sync::OnceCell;
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicIsize, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
pub(crate) use std::sync::{Arc as ModelArc, Condvar, MutexGuard, Weak as ModelWeak};

/// Returns the address at which a dead value was, which the weak pointer keeps.
#[inline]
pub(crate) fn remains<T: ?Sized>(weak: &ModelWeak<T>) -> *mut T {
    weak.as_ptr().cast_mut()
}

pub(crate) use super::barrier::{
    any_barrier, begin_reading, full_barrier, heavy_barrier, light_barrier, readers_fence,
};
#[cfg(feature = "after-fork")]
pub(crate) use super::parking::nobody_is_parked;
pub(crate) use super::parking::{park_while, wake_parked};

/// A mutex that a panic does not poison: what it guards is consistent wherever user code could unwind.
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(std::sync::TryLockError::Poisoned(e)) => Some(e.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}

/// A lock for many readers that a panic does not poison.
#[cfg(feature = "logging")]
#[derive(Debug)]
pub(crate) struct RwLock<T>(std::sync::RwLock<T>);

#[cfg(feature = "logging")]
impl<T> RwLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(|e| e.into_inner())
    }
}

/// Waits one round on a spinning word: busy at first, then by giving up the time slice.
pub(crate) fn relax(round: u32) {
    if round < 6 {
        for _ in 0..1 << round {
            std::hint::spin_loop();
        }
    } else {
        std::thread::yield_now();
    }
}

/// Returns how often a lock is polled before its waiter parks.
pub(crate) fn spin_rounds() -> u32 {
    8
}

/// Returns how often a creation under way is polled before its waiter sleeps: for less than a microsecond.
pub(crate) fn spins_for_a_creation() -> u32 {
    6
}

/// Prefetches a cache line. The address is only a hint: it may lead nowhere.
#[inline(always)]
pub(crate) fn prefetch<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: every such processor has it. It is a hint, which reads nothing observable and never faults.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}

/// Allocates `len` values whose all-zero bytes are a valid value, without touching the memory: a large array
/// comes from the system as untouched zero pages, so that growing costs no pause.
///
/// # Safety
/// `layout` must be that of `len` values, `len` must not be 0, and all-zero bytes must be a valid `T`.
pub(crate) unsafe fn zeroed_array<T>(layout: Layout, _len: usize, _new: fn() -> T) -> NonNull<T> {
    // SAFETY: the caller's layout has a size, as `len` is not 0.
    let memory = unsafe { alloc_zeroed(layout) };
    NonNull::new(memory.cast()).unwrap_or_else(|| handle_alloc_error(layout))
}

/// A cell with loom's API: in a model, it finds accesses that meet.
#[repr(transparent)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

/// Returns on how many processors this process may run. The system reads files for it, so it is asked once.
fn processors() -> usize {
    static PROCESSORS: OnceCell<usize> = OnceCell::new();
    *PROCESSORS.get_or_init(|| std::thread::available_parallelism().map_or(1, |n| n.get()))
}

/// Returns a number that changes about every millisecond (without a clock, at each call), and is not 0.
#[inline(always)]
pub(crate) fn millisecond() -> u64 {
    // A processor's counter costs a tenth of the system's clock, and adds some billions each second.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: reads a counter that every such processor has.
    return unsafe { std::arch::x86_64::_rdtsc() } >> 21 | 1 << 63;
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    system_millisecond()
}

#[cfg(not(any(
    all(target_arch = "x86_64", not(miri)),
    all(target_family = "wasm", target_os = "unknown")
)))]
fn system_millisecond() -> u64 {
    static BEGIN: OnceCell<std::time::Instant> = OnceCell::new();
    1 + BEGIN
        .get_or_init(std::time::Instant::now)
        .elapsed()
        .as_millis() as u64
}

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
fn system_millisecond() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Returns the numbers of shards for what many threads change: with one thread each, and for all others.
pub(crate) fn shards() -> (usize, usize) {
    let parallel = processors();
    ((parallel * 2).min(64), parallel.min(16))
}

/// Returns into how many lists to split the creations under way; a power of two.
pub(crate) fn flight_shards() -> usize {
    (shards().0 * 2).next_power_of_two()
}

/// Returns a flag that nobody else can change any more.
pub(crate) fn settled(flag: &mut AtomicBool) -> bool {
    *flag.get_mut()
}

/// Returns whether memory can be given back while others read: always, here.
#[inline(always)]
pub(crate) fn reclaims() -> bool {
    true
}

/// The record of one thread: its state as a reader, its hazard, and a number.
#[repr(align(128))]
pub(crate) struct ThreadRecord {
    /// See `grace`.
    pub(crate) state: AtomicUsize,
    /// See `map::store::hazard`.
    pub(crate) hazard: AtomicPtr<()>,
    /// A small number, stable while the thread lives.
    pub(crate) index: usize,
    taken: AtomicBool,
    next: *const ThreadRecord,
}

// SAFETY: `index` and `next` are written before the record is published, never after; the other fields are
// atomic. `next` is null or points to another record, which is never freed.
unsafe impl Sync for ThreadRecord {}

/// All records ever made, newest first; they are never freed, but handed from dead threads to new ones.
static RECORDS: AtomicPtr<ThreadRecord> = AtomicPtr::new(ptr::null_mut());

struct RecordOwner(Cell<*const ThreadRecord>);

impl Drop for RecordOwner {
    fn drop(&mut self) {
        RECORD.with(|record| record.set(ptr::null()));
        // SAFETY: records are never freed, and this one was taken by this thread.
        if let Some(record) = unsafe { self.0.get().as_ref() } {
            return_record(record);
        }
    }
}

thread_local! {
    // Two cells: the first has no destructor, so reading it costs one instruction and works also while the
    // thread's other thread-locals are being destroyed; the second gives the record back when the thread
    // ends.
    static RECORD: Cell<*const ThreadRecord> = const { Cell::new(ptr::null()) };
    static OWNER: RecordOwner = const { RecordOwner(Cell::new(ptr::null())) };
}

#[inline(always)]
pub(crate) fn own_record() -> Option<&'static ThreadRecord> {
    // SAFETY: the cell holds null or a record, and records are never freed.
    unsafe { RECORD.with(Cell::get).as_ref() }
}

/// Returns this thread's record, made if need be. None while the thread is ending: nothing would return it.
#[cold]
#[inline(never)]
pub(crate) fn adopt_record() -> Option<&'static ThreadRecord> {
    own_record().or_else(|| {
        OWNER
            .try_with(|owner| {
                let record = lend_record();
                owner.0.set(record);
                RECORD.with(|cell| cell.set(record));
                record
            })
            .ok()
    })
}

/// Returns a record for one use, to be handed back with [`return_record`].
#[cold]
pub(crate) fn lend_record() -> &'static ThreadRecord {
    free_record().unwrap_or_else(new_record)
}

#[cold]
pub(crate) fn return_record(record: &'static ThreadRecord) {
    // Release: pairs with the Acquire in `free_record`; the next thread goes on with this state.
    record.taken.store(false, Ordering::Release);
}

/// Returns the calling thread's number, a small one that no other living thread has. None at the thread's
/// first use, and when it is ending.
#[inline(always)]
pub(crate) fn own_index() -> Option<usize> {
    own_record().map(|record| record.index)
}

fn free_record() -> Option<&'static ThreadRecord> {
    records().find(|record| {
        !record.taken.load(Ordering::Relaxed) && !record.taken.swap(true, Ordering::Acquire)
    })
}

fn new_record() -> &'static ThreadRecord {
    let mut head = RECORDS.load(Ordering::Acquire);
    let record = Box::leak(Box::new(ThreadRecord {
        state: AtomicUsize::new(0),
        hazard: AtomicPtr::new(ptr::null_mut()),
        index: 0,
        taken: AtomicBool::new(true),
        next: head,
    }));
    loop {
        // SAFETY: `head` is null or a record, and records are never freed.
        record.index = unsafe { head.as_ref() }.map_or(0, |next| next.index + 1);
        match RECORDS.compare_exchange(head, record, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return record,
            Err(now) => {
                head = now;
                record.next = now;
            }
        }
    }
}

/// Returns every record, also of threads that are gone.
pub(crate) fn records() -> impl Iterator<Item = &'static ThreadRecord> {
    let mut next = RECORDS.load(Ordering::Acquire) as *const ThreadRecord;
    std::iter::from_fn(move || {
        // SAFETY: null or a record, and records are never freed.
        let record: &'static ThreadRecord = unsafe { next.as_ref() }?;
        next = record.next;
        Some(record)
    })
}

/// Thread-local cells whose types have no destructor, so that they can be used at any time, and at no cost.
macro_rules! local {
    ($($(#[$doc:meta])* static $name:ident: $type:ty = $init:expr;)*) => {
        thread_local! { $($(#[$doc])* static $name: $type = const { $init };)* }
    };
}
pub(crate) use local;

macro_rules! global {
    (static $name:ident: $type:ty = $init:expr;) => {
        static $name: $type = $init;
    };
}
pub(crate) use global;

/// Reads a pointer that nobody else can reach.
pub(crate) const fn pointer_in<T>(atomic: &mut AtomicPtr<T>) -> *mut T {
    // SAFETY: borrowed alone.
    unsafe { *atomic.as_ptr() }
}

/// A function that is `const` except in models, where locks and atomics are registered when they are made.
macro_rules! const_fn {
    ($(#[$attr:meta])* $vis:vis const fn $name:ident $($rest:tt)*) => {
        $(#[$attr])* $vis const fn $name $($rest)*
    };
}
pub(crate) use const_fn;
