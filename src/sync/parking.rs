//! Threads that sleep until a lock of one word is released by somebody who does not know of them.
//!
//! They sleep at a few places that the process keeps for all its locks. There is no list of sleepers, so a
//! thread that is not there any more (in a forked child) is in nobody's way.

use super::barrier::{any_barrier, heavy_barrier};
use std::ptr;
use std::sync::atomic::{fence, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

/// The number of threads that sleep or are about to. Unlocking costs one look at it.
static PARKED: Padded = Padded(AtomicUsize::new(0));

/// On a line of its own: every writer reads it.
#[repr(align(128))]
struct Padded(AtomicUsize);

/// The places where they sleep. Null until somebody does.
static PLACES: AtomicPtr<ParkingPlaces> = AtomicPtr::new(ptr::null_mut());

type ParkingPlaces = [ParkingPlace; 64];

struct ParkingPlace {
    mutex: Mutex<()>,
    woken: Condvar,
}

/// Sleeps while `blocked`, which runs no user code and does not panic, until [`wake_parked`] is called for
/// this address. May return earlier, and without having asked.
#[cold]
pub(crate) fn park_while(address: usize, mut blocked: impl FnMut() -> bool) {
    // First: whoever sees `PARKED` raised finds these.
    let place = place(places(), address);
    // A barrier between raising this and looking again, as `wake_parked` has one between unlocking and
    // looking: one of the two sees the other. The waiter, who has time, runs the heavy half. Release: pairs
    // with the fence in `unpark_all`.
    PARKED.0.fetch_add(1, Ordering::Release);
    if heavy_barrier() {
        let mut guard = place.mutex.lock().unwrap_or_else(|e| e.into_inner());
        while blocked() {
            guard = place.woken.wait(guard).unwrap_or_else(|e| e.into_inner());
        }
    } else {
        std::thread::yield_now();
    }
    PARKED.0.fetch_sub(1, Ordering::Relaxed);
}

/// Wakes every thread that sleeps in [`park_while`] for this address, after what blocked it has changed. The
/// address is only a number, and may be dangling by now.
#[inline(always)]
pub(crate) fn wake_parked(address: usize) {
    any_barrier();
    if PARKED.0.load(Ordering::Relaxed) != 0 {
        unpark_all(address);
    }
}

#[cold]
#[inline(never)]
fn unpark_all(address: usize) {
    // Acquire, for the load that brought us here: pairs with the Release in `park_while`.
    fence(Ordering::Acquire);
    // SAFETY: null, or from `Box::leak`.
    if let Some(places) = unsafe { PLACES.load(Ordering::Acquire).as_ref() } {
        let place = place(places, address);
        // A thread that has looked sleeps by now, or looks again.
        drop(place.mutex.lock().unwrap_or_else(|e| e.into_inner()));
        place.woken.notify_all();
    }
}

/// Forgets all parked threads, in a forked child: they are gone, and mutexes that they locked stay so.
#[cfg(feature = "after-fork")]
pub(crate) fn nobody_is_parked() {
    PARKED.0.store(0, Ordering::Relaxed);
    PLACES.store(ptr::null_mut(), Ordering::Relaxed);
}

fn place(places: &ParkingPlaces, address: usize) -> &ParkingPlace {
    // Locks of one word are at addresses that differ in these bits.
    &places[(address >> 3 ^ address >> 9) % places.len()]
}

#[cold]
fn places() -> &'static ParkingPlaces {
    let mut places = PLACES.load(Ordering::Acquire);
    if places.is_null() {
        let new = Box::into_raw(Box::new(std::array::from_fn(|_| ParkingPlace {
            mutex: Mutex::new(()),
            woken: Condvar::new(),
        })));
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        places = match PLACES.compare_exchange(ptr::null_mut(), new, success, failure) {
            Ok(_) => new,
            Err(first) => {
                // SAFETY: from `into_raw` just now, and seen by nobody.
                drop(unsafe { Box::from_raw(new) });
                first
            }
        };
    }
    // SAFETY: not null, so it is what somebody put there, who never frees it.
    unsafe { &*places }
}
