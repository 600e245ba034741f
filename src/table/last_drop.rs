//! The end of a node without owners: it is unlinked, watchers are notified, the payload is dropped, it is
//! freed.

use crate::deadlock::frames::{self, Part};
use crate::deadlock::work::Describe;
use crate::memory::grace::reading;
use crate::memory::node::NodePtr;
use crate::memory::panics::Panics;
use crate::memory::teardown::{self, Dead};
use crate::pointer::watchers::WatchList;
use crate::table::payload::Payload;
use crate::table::shared::Shared;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// Ends a node that has just lost its last owner: unlinks it, drops the payload, frees the node.
///
/// # Safety
/// The node is of kind `B` and complete, and the caller has it alone and does not use it afterwards.
#[inline]
pub(in crate::table) unsafe fn end_node<B: Payload>(node: NodePtr) {
    // SAFETY: the caller's promise.
    let watchers = unsafe { B::mark_dead(node) };
    // SAFETY: the node is out until it is freed, and keeps what it shares.
    let shared = unsafe { Shared::<B>::of(node) };
    if let Some(exclusive) = shared.exclusive.as_ref().filter(|_| B::NEEDS_DROP) {
        // SAFETY: dead, and the caller's alone.
        exclusive.begin(unsafe { node.as_ref() }.key_hash(), node.addr().get());
    }
    // The index is an owner of what it keeps, so that is unlinked already.
    let unlinked = !B::KEPT && reading(|guard| shared.index.unlink(node, guard));
    if B::NEEDS_DROP || watchers.is_some() {
        if unlinked {
            shared.pool.add_live(-1);
        }
        // SAFETY: the caller's promise, and it is unlinked.
        unsafe { finish::<B>(node, watchers) };
    } else {
        // SAFETY: as above; there is nothing to drop.
        unsafe { Shared::<B>::free(node, -isize::from(unlinked)) };
    }
}

/// Finishes a dead, unlinked node now, or puts it aside.
///
/// # Safety
/// The node is of kind `B` and complete, and the caller has it alone and does not use it afterwards.
#[inline]
unsafe fn finish<B: Payload>(node: NodePtr, watchers: Option<Arc<WatchList>>) {
    let Some(watchers) = watchers else {
        let what = [node.as_ptr().cast_const().cast(), ptr::null()];
        // SAFETY: the caller's promise. Payloads borrow nothing: see `teardown`.
        return teardown::end(unsafe { Dead::new(what, finish_now::<B>) });
    };
    // SAFETY: the caller's promise.
    unsafe { finish_watched::<B>(node, watchers) }
}

/// # Safety
/// As for [`finish`].
// Containers are notified after the unlinking: they may ask for the same key, and count what is left.
#[cold]
#[inline(never)]
unsafe fn finish_watched<B: Payload>(node: NodePtr, watchers: Arc<WatchList>) {
    let mut panics = Panics::new();
    panics.catch(|| watchers.notify_containers());
    let what = [
        node.as_ptr().cast_const().cast(),
        Arc::into_raw(watchers).cast(),
    ];
    // SAFETY: as in `finish`.
    panics.catch(|| teardown::end(unsafe { Dead::new(what, finish_now::<B>) }));
}

/// Calls the callbacks, then drops the payload and frees the node, whatever panics. In an exclusive table the
/// destructor comes before the callbacks.
///
/// # Safety
/// As for [`finish`], and the second word is null or an `Arc` of the watch list.
unsafe fn finish_now<B: Payload>([node, watchers]: [*const (); 2]) {
    // SAFETY: a node's pointer is never null.
    let node: NodePtr = unsafe { NonNull::new_unchecked(node.cast_mut().cast()) };
    if watchers.is_null() {
        // SAFETY: the caller's promise.
        return unsafe { drop_and_free::<B>(node) };
    }
    // SAFETY: the caller's promise; it is taken back once.
    let watchers = unsafe { Arc::from_raw(watchers.cast::<WatchList>()) };
    // SAFETY: the node is out until it is freed, and keeps what it shares.
    let is_exclusive = unsafe { Shared::<B>::of(node) }.exclusive.is_some();
    // SAFETY: the caller's promise.
    let end = || unsafe { drop_and_free::<B>(node) };
    if !is_exclusive {
        return watchers.finish(end);
    }
    // Callbacks may ask for the same key, and get what is made when this one has ended.
    watchers.finish_before_callbacks(end);
}

/// Drops the payload of a dead, unlinked node, and frees the node also when the destructor panics.
///
/// # Safety
/// The node is of kind `B` and complete, and the caller has it alone and does not use it afterwards.
unsafe fn drop_and_free<B: Payload>(node: NodePtr) {
    struct Free<B: Payload>(NodePtr, PhantomData<B>);
    impl<B: Payload> Drop for Free<B> {
        fn drop(&mut self) {
            // SAFETY: the node is out until it is freed, and keeps what it shares.
            if let Some(exclusive) = &unsafe { Shared::<B>::of(self.0) }.exclusive {
                exclusive.end(self.0.addr().get());
            }
            // SAFETY: the caller's promise; the payload is gone by now.
            unsafe { Shared::<B>::free(self.0, 0) }
        }
    }
    let _free = Free::<B>(node, PhantomData);
    // SAFETY: the caller's promise.
    let end = || unsafe { B::drop_in_place(node) };
    // SAFETY: as in `Free`.
    let exclusive = unsafe { Shared::<B>::of(node) }.exclusive.as_ref();
    let Some(work) = exclusive.and_then(|exclusive| exclusive.work(node.addr().get())) else {
        return end();
    };
    let key = std::any::type_name::<B::Key>();
    let describe: Describe<'_> = &|f| write!(f, "the end of the value of a key of type `{key}`");
    frames::during(&work, describe, Part::Closed, end);
}
