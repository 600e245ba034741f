//! The asymmetric barrier: readers pay nothing, whoever gives memory back pays a system call.
//!
//! It serves wherever a frequent side publishes something and then looks, and a rare side does the same the
//! other way round. A reader must publish "I am reading" before its first load, which takes a full fence
//! between the two, on every read. Linux can execute that fence on the readers' behalf: `membarrier` returns
//! after every running thread of the process has passed a full barrier. With it the reader's side shrinks to
//! a compiler fence. Where the call is missing (other systems, old kernels, a sandbox that forbids it),
//! [`readers_fence`] says so and both sides use a real fence.
//!
//! A process may also forbid itself the call later: then [`Refusal`] passes from the one way to the other.

use super::{records, ThreadRecord, READING};
use std::sync::atomic::{compiler_fence, fence, AtomicBool, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Runs the reader's half, between publishing that it reads and its first load. Pairs with [`heavy_barrier`].
#[inline(always)]
pub(crate) fn light_barrier() {
    compiler_fence(Ordering::SeqCst);
}

/// Runs the reader's half where [`readers_fence`] says so.
pub(crate) fn full_barrier() {
    fence(Ordering::SeqCst);
}

/// Runs the reader's half where it is not known which one is needed.
#[inline(always)]
pub(crate) fn any_barrier() {
    light_barrier();
    if readers_fence() {
        full_barrier();
    }
}

/// Returns whether readers have to fence. Asked after publishing that they read, and the light half.
#[inline(always)]
pub(crate) fn readers_fence() -> bool {
    FENCED.load(Ordering::Relaxed)
}

/// Runs the rare side's half, between unlinking and looking for readers. Pairs with [`light_barrier`]. False
/// if it failed: then nothing may be concluded from what is seen afterwards.
#[must_use]
pub(crate) fn heavy_barrier() -> bool {
    fence(Ordering::SeqCst);
    begin_reading();
    ALL_FENCED.load(Ordering::Acquire) || system::barrier() || Refusal::is_over()
}

/// Set until the system's barrier is known to be there: a fence too many does no harm.
static FENCED: AtomicBool = AtomicBool::new(true);

/// Set when no reader relies on the system's barrier.
static ALL_FENCED: AtomicBool = AtomicBool::new(false);

/// Asks the system for its barrier, once in a process, before anybody relies on it.
pub(crate) fn begin_reading() {
    static ASKED: once_cell::sync::OnceCell<()> = once_cell::sync::OnceCell::new();
    ASKED.get_or_init(|| {
        let is_there = system::register();
        ALL_FENCED.store(!is_there, Ordering::Relaxed);
        FENCED.store(!is_there, Ordering::Relaxed);
    });
}

/// The system refuses the barrier that it had allowed. From then on readers fence themselves; but some may
/// have asked just before, and what they have published may not be seen yet. No fence of ours makes it seen,
/// only time does. Until then nothing is given back.
enum Refusal {
    /// Since then.
    Begun(Instant),
    /// That is seen. These were reading then, with these states, and may publish hazards without a fence.
    Waits(Vec<(&'static ThreadRecord, usize)>),
}

impl Refusal {
    /// The longest time that a store may take until other processors see it. It takes less than a µs.
    const PATIENCE: Duration = Duration::from_secs(1);

    /// Returns whether all readers fence themselves by now.
    #[cold]
    fn is_over() -> bool {
        static REFUSAL: Mutex<Option<Refusal>> = Mutex::new(None);
        let Ok(mut refusal) = REFUSAL.try_lock() else {
            return false;
        };
        match &mut *refusal {
            None => {
                FENCED.store(true, Ordering::SeqCst);
                *refusal = Some(Self::Begun(Instant::now()));
            }
            Some(Self::Begun(since)) if since.elapsed() > Self::PATIENCE => {
                let readers = records()
                    .map(|record| (record, record.state.load(Ordering::Acquire)))
                    .filter(|(_, state)| state & READING != 0);
                *refusal = Some(Self::Waits(readers.collect()));
            }
            Some(Self::Begun(_)) => {}
            Some(Self::Waits(readers)) => {
                readers.retain(|(record, seen)| record.state.load(Ordering::Acquire) == *seen);
                ALL_FENCED.store(readers.is_empty(), Ordering::Release);
            }
        }
        ALL_FENCED.load(Ordering::Acquire)
    }
}

#[cfg(target_os = "linux")]
mod system {
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;
    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: the call takes three integers and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    pub(super) fn register() -> bool {
        !cfg!(miri) && membarrier(REGISTER_PRIVATE_EXPEDITED)
    }

    pub(super) fn barrier() -> bool {
        // A forked child may have to register anew.
        membarrier(PRIVATE_EXPEDITED) || (register() && membarrier(PRIVATE_EXPEDITED))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn barrier() -> bool {
        true
    }
}
