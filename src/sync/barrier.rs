//! The asymmetric barrier: readers pay nothing, whoever gives memory back pays a system call.
//!
//! A reader must publish "I am reading" before its first load, which takes a full fence between the two, on every read. Linux
//! can execute that fence on the readers' behalf: `membarrier` returns after every running thread of the process has passed
//! a full barrier. With it the reader's side shrinks to a compiler fence. Where the call is missing (other systems, old kernels,
//! a sandbox that forbids it), [`readers_need_a_fence`] says so and both sides use a real fence.

use std::sync::atomic::{compiler_fence, fence, Ordering};

/// The reader's half, between publishing that it reads and its first load. Pairs with [`heavy_barrier`].
#[inline(always)]
pub(crate) fn light_barrier() {
    compiler_fence(Ordering::SeqCst);
}

/// The reader's half where [`readers_need_a_fence`].
pub(crate) fn full_barrier() {
    fence(Ordering::SeqCst);
}

/// The reclaimer's half, between unlinking and looking for readers. Pairs with [`light_barrier`].
pub(crate) fn heavy_barrier() {
    fence(Ordering::SeqCst);
    if !readers_need_a_fence() {
        system::barrier();
    }
}

/// Whether the system's barrier is missing, so that readers must pay for a fence. The same answer for the whole process.
pub(crate) fn readers_need_a_fence() -> bool {
    static ANSWER: once_cell::sync::OnceCell<bool> = once_cell::sync::OnceCell::new();
    *ANSWER.get_or_init(|| !system::register())
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

    pub(super) fn barrier() {
        // A registered call cannot fail; a forked child may have to register anew. To go on without the barrier would
        // free what others still read.
        assert!(
            membarrier(PRIVATE_EXPEDITED) || (register() && membarrier(PRIVATE_EXPEDITED)),
            "membarrier failed after it was registered"
        );
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn barrier() {}
}
