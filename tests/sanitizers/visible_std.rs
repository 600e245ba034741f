//! Shows the thread sanitizer what `std` does out of its sight.
//!
//! The sanitizer knows an order between two threads only if it sees the accesses that make it. `std` is compiled without it, and it does not
//! know fences. Three things follow, and each would make it report races that are none:
//! * The slow paths of `std`'s locks are invisible: the fast paths are inlined into what is instrumented, the slow ones are not.
//! * What `Once` and a scope of threads publish is stored inside of `std`.
//! * `Arc` lowers its count with Release and has a fence for the last owner alone.
//!
//! This file is linked into the tests by `.ci/sanitize`, in front of the functions that it wraps (the linker's `--wrap`): calls of a function
//! of `std` come to `wrap_…`, which calls the true one and says to the sanitizer which order that has made, at which address. So `std`'s locks are
//! as visible as any others, in the tests, in the crate and in what it depends on, and nothing has to be suppressed for them.
//!
//! A fence that acquires takes over what was released at the address that its thread has read last without acquiring: `Arc` reads its count, the fence
//! follows. The rule of the language is that all such readings count. A program that relies on another one is reported though there is no race; to remember more addresses hid
//! races, since the sanitizer can only be told to take over all that was released at an address up to now, not up to the reading.
//! What a fence releases is not modelled at all: a program that relies on it would be reported.
//!
//! It is compiled without the sanitizer, by itself, so nothing in here is taken for an access of the program.

#![feature(thread_local)]
#![allow(internal_features, clippy::missing_safety_doc)]

use std::cell::Cell;
use std::sync::OnceState;
use std::time::Duration;

unsafe extern "C" {
    fn __tsan_acquire(address: *const ());
    fn __tsan_release(address: *const ());
}

/// What others have released at `address` comes before what this thread does from now on.
fn acquire(address: *const ()) {
    // SAFETY: the sanitizer looks the address up in a table of its own, and does not read what is there.
    unsafe { __tsan_acquire(address) }
}

/// What this thread has done comes before what others do once they acquire at `address`.
fn release(address: *const ()) {
    // SAFETY: as above.
    unsafe { __tsan_release(address) }
}

// Each function of `std` that is wrapped: its own symbol is in the variable of the environment, which `.ci/sanitize` sets.
unsafe extern "Rust" {
    #[link_name = env!("REAL_MUTEX_LOCK")]
    fn real_mutex_lock(mutex: *const ());
    #[link_name = env!("REAL_RWLOCK_READ")]
    fn real_rwlock_read(lock: *const ());
    #[link_name = env!("REAL_RWLOCK_WRITE")]
    fn real_rwlock_write(lock: *const ());
    #[link_name = env!("REAL_CONDVAR_WAIT")]
    fn real_condvar_wait(condvar: *const (), mutex: *const ());
    #[link_name = env!("REAL_CONDVAR_WAIT_TIMEOUT")]
    fn real_condvar_wait_timeout(condvar: *const (), mutex: *const (), limit: Duration) -> bool;
    #[link_name = env!("REAL_ONCE_CALL")]
    fn real_once_call(once: *const (), ignore_poison: bool, f: &mut dyn FnMut(&OnceState));
    #[link_name = env!("REAL_SCOPE_END")]
    fn real_scope_end(scope: *const (), panicked: bool);
}

/// `std::sys::sync::mutex::futex::Mutex::lock_contended`: the slow half of `lock`.
#[export_name = env!("WRAP_MUTEX_LOCK")]
fn wrap_mutex_lock(mutex: *const ()) {
    // SAFETY: the same arguments go to the function for which they were meant; so in each of the following.
    unsafe { real_mutex_lock(mutex) };
    acquire(mutex);
}

/// `std::sys::sync::rwlock::futex::RwLock::read_contended`.
#[export_name = env!("WRAP_RWLOCK_READ")]
fn wrap_rwlock_read(lock: *const ()) {
    // SAFETY: as above.
    unsafe { real_rwlock_read(lock) };
    acquire(lock);
}

/// `std::sys::sync::rwlock::futex::RwLock::write_contended`.
#[export_name = env!("WRAP_RWLOCK_WRITE")]
fn wrap_rwlock_write(lock: *const ()) {
    // SAFETY: as above.
    unsafe { real_rwlock_write(lock) };
    acquire(lock);
}

/// `std::sys::sync::condvar::futex::Condvar::wait`: unlocks the mutex, sleeps, and locks it again.
#[export_name = env!("WRAP_CONDVAR_WAIT")]
fn wrap_condvar_wait(condvar: *const (), mutex: *const ()) {
    release(mutex);
    // SAFETY: as above.
    unsafe { real_condvar_wait(condvar, mutex) };
    acquire(mutex);
}

/// `std::sys::sync::condvar::futex::Condvar::wait_timeout`.
#[export_name = env!("WRAP_CONDVAR_WAIT_TIMEOUT")]
fn wrap_condvar_wait_timeout(condvar: *const (), mutex: *const (), limit: Duration) -> bool {
    release(mutex);
    // SAFETY: as above.
    let result = unsafe { real_condvar_wait_timeout(condvar, mutex, limit) };
    acquire(mutex);
    result
}

/// `std::sys::sync::once::futex::Once::call`, for `Once`, `OnceLock` and `LazyLock`.
#[export_name = env!("WRAP_ONCE_CALL")]
fn wrap_once_call(once: *const (), ignore_poison: bool, f: &mut dyn FnMut(&OnceState)) {
    /// Also when the initialisation panics, which is published too.
    struct Release(*const ());
    impl Drop for Release {
        fn drop(&mut self) {
            release(self.0);
        }
    }
    // SAFETY: as above. The result is released by whoever has run `f`, before the true function stores that it is there.
    unsafe {
        real_once_call(once, ignore_poison, &mut |state| {
            let _release = Release(once);
            f(state);
        })
    };
    acquire(once);
}

/// `std::thread::scoped::ScopeData::decrement_num_running_threads`: a thread of a scope is over, for which the scope waits.
#[export_name = env!("WRAP_SCOPE_END")]
fn wrap_scope_end(scope: *const (), panicked: bool) {
    // The scope reads one of its fields, of which only `std` knows where it lies: there are three words.
    for word in 0..3 {
        release(scope.cast::<usize>().wrapping_add(word).cast());
    }
    // SAFETY: as above.
    unsafe { real_scope_end(scope, panicked) }
}

/// The address that the thread has read last without acquiring.
#[thread_local]
static LAST_READ: Cell<*const ()> = Cell::new(std::ptr::null());

/// The numbers by which the sanitizer knows the orderings that acquire: `memory_order` of C.
fn acquires(order: i32) -> bool {
    !matches!(order, 0 | 3)
}

#[inline]
fn has_read(address: *const (), order: i32) {
    if !acquires(order) {
        LAST_READ.set(address);
    }
}

unsafe extern "C" {
    fn __real___tsan_atomic_thread_fence(order: i32);
}

#[unsafe(no_mangle)]
extern "C" fn __wrap___tsan_atomic_thread_fence(order: i32) {
    // SAFETY: the same arguments go to the function for which they were meant; so in all that follow.
    unsafe { __real___tsan_atomic_thread_fence(order) };
    if acquires(order) {
        let address = LAST_READ.replace(std::ptr::null());
        if !address.is_null() {
            acquire(address);
        }
    }
}

/// The functions of the sanitizer by which a program reads atomically, or reads and writes.
macro_rules! reads {
    ($($wrap:ident $real:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => { $(
        unsafe extern "C" {
            fn $real(address: *mut (), $($arg: $type,)* order: i32) -> $result;
        }

        #[unsafe(no_mangle)]
        extern "C" fn $wrap(address: *mut (), $($arg: $type,)* order: i32) -> $result {
            // SAFETY: as above.
            let result = unsafe { $real(address, $($arg,)* order) };
            has_read(address, order);
            result
        }
    )* };
}

macro_rules! exchanges {
    ($($wrap:ident $real:ident $type:ty;)*) => { $(
        unsafe extern "C" {
            fn $real(address: *mut (), old: $type, new: $type, order: i32, failure: i32) -> $type;
        }

        #[unsafe(no_mangle)]
        extern "C" fn $wrap(address: *mut (), old: $type, new: $type, order: i32, failure: i32) -> $type {
            // SAFETY: as above.
            let result = unsafe { $real(address, old, new, order, failure) };
            has_read(address, if result == old { order } else { failure });
            result
        }
    )* };
}

reads! {
    __wrap___tsan_atomic8_load __real___tsan_atomic8_load() -> u8;
    __wrap___tsan_atomic16_load __real___tsan_atomic16_load() -> u16;
    __wrap___tsan_atomic32_load __real___tsan_atomic32_load() -> u32;
    __wrap___tsan_atomic64_load __real___tsan_atomic64_load() -> u64;
    __wrap___tsan_atomic8_exchange __real___tsan_atomic8_exchange(value: u8) -> u8;
    __wrap___tsan_atomic16_exchange __real___tsan_atomic16_exchange(value: u16) -> u16;
    __wrap___tsan_atomic32_exchange __real___tsan_atomic32_exchange(value: u32) -> u32;
    __wrap___tsan_atomic64_exchange __real___tsan_atomic64_exchange(value: u64) -> u64;
    __wrap___tsan_atomic8_fetch_add __real___tsan_atomic8_fetch_add(value: u8) -> u8;
    __wrap___tsan_atomic16_fetch_add __real___tsan_atomic16_fetch_add(value: u16) -> u16;
    __wrap___tsan_atomic32_fetch_add __real___tsan_atomic32_fetch_add(value: u32) -> u32;
    __wrap___tsan_atomic64_fetch_add __real___tsan_atomic64_fetch_add(value: u64) -> u64;
    __wrap___tsan_atomic8_fetch_sub __real___tsan_atomic8_fetch_sub(value: u8) -> u8;
    __wrap___tsan_atomic16_fetch_sub __real___tsan_atomic16_fetch_sub(value: u16) -> u16;
    __wrap___tsan_atomic32_fetch_sub __real___tsan_atomic32_fetch_sub(value: u32) -> u32;
    __wrap___tsan_atomic64_fetch_sub __real___tsan_atomic64_fetch_sub(value: u64) -> u64;
    __wrap___tsan_atomic8_fetch_and __real___tsan_atomic8_fetch_and(value: u8) -> u8;
    __wrap___tsan_atomic16_fetch_and __real___tsan_atomic16_fetch_and(value: u16) -> u16;
    __wrap___tsan_atomic32_fetch_and __real___tsan_atomic32_fetch_and(value: u32) -> u32;
    __wrap___tsan_atomic64_fetch_and __real___tsan_atomic64_fetch_and(value: u64) -> u64;
    __wrap___tsan_atomic8_fetch_or __real___tsan_atomic8_fetch_or(value: u8) -> u8;
    __wrap___tsan_atomic16_fetch_or __real___tsan_atomic16_fetch_or(value: u16) -> u16;
    __wrap___tsan_atomic32_fetch_or __real___tsan_atomic32_fetch_or(value: u32) -> u32;
    __wrap___tsan_atomic64_fetch_or __real___tsan_atomic64_fetch_or(value: u64) -> u64;
    __wrap___tsan_atomic8_fetch_xor __real___tsan_atomic8_fetch_xor(value: u8) -> u8;
    __wrap___tsan_atomic16_fetch_xor __real___tsan_atomic16_fetch_xor(value: u16) -> u16;
    __wrap___tsan_atomic32_fetch_xor __real___tsan_atomic32_fetch_xor(value: u32) -> u32;
    __wrap___tsan_atomic64_fetch_xor __real___tsan_atomic64_fetch_xor(value: u64) -> u64;
}

exchanges! {
    __wrap___tsan_atomic8_compare_exchange_val __real___tsan_atomic8_compare_exchange_val u8;
    __wrap___tsan_atomic16_compare_exchange_val __real___tsan_atomic16_compare_exchange_val u16;
    __wrap___tsan_atomic32_compare_exchange_val __real___tsan_atomic32_compare_exchange_val u32;
    __wrap___tsan_atomic64_compare_exchange_val __real___tsan_atomic64_compare_exchange_val u64;
}
