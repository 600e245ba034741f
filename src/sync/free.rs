//! Giving memory back: at once, or in models on loom some time later, and spoilt.

use std::alloc::{dealloc, Layout};
use std::ptr::NonNull;

/// Gives memory back.
///
/// # Safety
/// The memory came from the global allocator with this layout, has nothing to drop, and nobody uses it.
pub(crate) unsafe fn free(memory: NonNull<u8>, layout: Layout) {
    #[cfg(all(highlander_loom, feature = "loom"))]
    // SAFETY: the caller's promise.
    let (memory, layout) = match unsafe { quarantine::exchange(memory, layout) } {
        Some(freed) => freed,
        None => return,
    };
    // SAFETY: the caller's promise, or of a caller a while ago.
    unsafe { dealloc(memory.as_ptr(), layout) }
}

/// Freed memory of the models: overwritten, and kept until much has been freed after it, so that a late
/// reader finds nonsense, and not what was put there next.
#[cfg(all(highlander_loom, feature = "loom"))]
mod quarantine {
    use std::alloc::{dealloc, Layout};
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::ptr::NonNull;

    /// Much more than one execution frees.
    const BYTES: usize = 16 << 20;

    #[derive(Default)]
    struct Quarantine {
        blocks: VecDeque<(NonNull<u8>, Layout)>,
        bytes: usize,
    }

    impl Drop for Quarantine {
        fn drop(&mut self) {
            for (memory, layout) in self.blocks.drain(..) {
                // SAFETY: as `exchange` was promised; the models of this thread are over.
                unsafe { dealloc(memory.as_ptr(), layout) }
            }
        }
    }

    std::thread_local! {
        // Of the OS thread: a model runs on one.
        static QUARANTINE: RefCell<Quarantine> = RefCell::default();
    }

    /// Takes in a block; returns the oldest if there is enough without it.
    ///
    /// # Safety
    /// As for `free`, and for what comes back.
    pub(super) unsafe fn exchange(
        memory: NonNull<u8>,
        layout: Layout,
    ) -> Option<(NonNull<u8>, Layout)> {
        // SAFETY: the caller's promise.
        unsafe { memory.write_bytes(0xDD, layout.size()) };
        QUARANTINE.with_borrow_mut(|quarantine| {
            quarantine.blocks.push_back((memory, layout));
            quarantine.bytes += layout.size();
            let oldest = quarantine.blocks.front()?.1.size();
            if quarantine.bytes - oldest < BYTES {
                return None;
            }
            quarantine.bytes -= oldest;
            quarantine.blocks.pop_front()
        })
    }
}
