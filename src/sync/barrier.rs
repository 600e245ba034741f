//! The asymmetric barrier: readers pay nothing, whoever gives memory back pays a system call.
//!
//! It serves wherever a frequent side announces something and then looks, and a rare side does the same the other way round.
//! A reader must publish "I am reading" before its first load, which takes a full fence between the two, on every read. Linux
//! can execute that fence on the readers' behalf: `membarrier` returns after every running thread of the process has passed
//! a full barrier. With it the reader's side shrinks to a compiler fence. Where the call is missing (other systems, old kernels,
//! a sandbox that forbids it), [`readers_need_a_fence`] says so and both sides use a real fence.

use std::sync::atomic::{compiler_fence, fence, AtomicBool, Ordering};

/// The reader's half, between publishing that it reads and its first load. Pairs with [`heavy_barrier`].
#[inline(always)]
pub(crate) fn light_barrier() {
    compiler_fence(Ordering::SeqCst);
}

/// The reader's half where [`readers_need_a_fence`].
pub(crate) fn full_barrier() {
    fence(Ordering::SeqCst);
}

/// The light half for those who do not know which one they need.
#[inline(always)]
pub(crate) fn any_barrier() {
    light_barrier();
    if FENCED.load(Ordering::Relaxed) {
        full_barrier();
    }
}

/// The rare side's half, between unlinking and looking for readers. Pairs with [`light_barrier`]. False if it could not be done:
/// then nothing may be concluded from what is seen afterwards.
#[must_use]
pub(crate) fn heavy_barrier() -> bool {
    fence(Ordering::SeqCst);
    readers_need_a_fence() || system::barrier()
}

/// Set until the system's barrier is known to be there: a fence too many does no harm.
static FENCED: AtomicBool = AtomicBool::new(true);

/// Whether the system's barrier is missing, so that readers must pay for a fence. The same answer for the whole process.
pub(crate) fn readers_need_a_fence() -> bool {
    static ANSWER: once_cell::sync::OnceCell<bool> = once_cell::sync::OnceCell::new();
    *ANSWER.get_or_init(|| {
        let missing = !system::register();
        FENCED.store(missing, Ordering::Relaxed);
        missing
    })
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
