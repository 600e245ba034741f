//! Dropping values that own handles that own values …, without a stack that grows with the chain.
//!
//! A value is dropped where its last owner lets go, inside the drop of the value that owned it if need be. From a certain depth on,
//! a dead value is put aside and dropped when the one at that depth has been: later than where it was let go of, but before the
//! outermost drop returns.

use crate::node::{Header, Node};
use crate::pool;
use crate::sync::local;
use std::cell::Cell;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::ptr::{self, NonNull};

/// How deep drops nest before they are put aside.
pub(crate) const MAX_DEPTH: u32 = 64;

// Without destructors, so that both work while the thread's other thread-locals are being destroyed.
local! {
    static DEPTH: Cell<u32> = Cell::new(0);
    /// Dead nodes put aside, linked through their headers' `hash`.
    static ASIDE: Cell<*mut Header> = Cell::new(ptr::null_mut());
}

/// Undoes one level, also when a destructor panics.
struct Level(u32);

impl Drop for Level {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(self.0));
    }
}

/// Finishes a dead node (see [`pool::Origin`]) now, or, deep down, soon.
///
/// # Safety
/// The node is dead and unlinked, its payload complete, and the caller has it alone and does not use it afterwards.
pub(crate) unsafe fn finish(node: Node) {
    let depth = DEPTH.with(Cell::get);
    if depth == MAX_DEPTH {
        let next = ASIDE.with(|aside| aside.replace(node.as_ptr()));
        // SAFETY: the caller's; and nobody reads the hash of an unlinked node but to compare it.
        unsafe { node.as_ref() }.set_hash(next as u64);
        return;
    }
    let level = Level(depth);
    DEPTH.with(|cell| cell.set(depth + 1));
    if depth + 1 < MAX_DEPTH {
        // SAFETY: the caller's promise.
        return unsafe { finish_now(node) };
    }
    // The deepest level does not let a panic out before what was put aside is finished too.
    let mut panic = None;
    let mut next = Some(node);
    while let Some(node) = next {
        // SAFETY: the caller's promise, or that of whoever put the node aside.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| unsafe { finish_now(node) })) {
            match panic {
                None => panic = Some(payload),
                // Not dropped: that may panic too, and strand the others.
                Some(_) => std::mem::forget(payload),
            }
        }
        next = take_aside();
    }
    drop(level);
    if let Some(payload) = panic {
        resume_unwind(payload);
    }
}

fn take_aside() -> Option<Node> {
    let node = NonNull::new(ASIDE.with(Cell::get))?;
    // SAFETY: nodes put aside are this thread's alone.
    let next = unsafe { node.as_ref() }.hash() as *mut Header;
    ASIDE.with(|aside| aside.set(next));
    Some(node)
}

/// # Safety
/// As for [`finish`].
unsafe fn finish_now(node: Node) {
    // SAFETY: dead, and the caller's alone.
    let origin = unsafe { pool::origin(node) };
    // SAFETY: the caller's promise.
    unsafe { (origin.finish)(node) }
}
