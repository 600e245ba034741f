//! One ownership of a node: every public handle is one inside.

use crate::memory::node::{Header, NodePtr};
use crate::table::last_drop::end_node;
use crate::table::payload::{payload, Payload};
use crate::table::shared::Shared;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;

/// An owner of a node. Invariant: one of the counts in the header is this one's, and the payload is complete.
pub(crate) struct NodeRef<B: Payload> {
    node: NodePtr,
    /// Dropping it may drop the payload.
    body: PhantomData<B>,
}

impl<B: Payload> NodeRef<B> {
    /// Takes over one count.
    ///
    /// # Safety
    /// The node is of kind `B` and complete, and the caller has a count to give.
    #[inline(always)]
    pub(crate) unsafe fn adopt(node: NodePtr) -> Self {
        Self {
            node,
            body: PhantomData,
        }
    }

    #[inline(always)]
    pub(crate) fn node(&self) -> NodePtr {
        self.node
    }

    #[inline(always)]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: owned, so it is a node and stays one.
        unsafe { self.node.as_ref() }
    }

    #[inline(always)]
    pub(crate) fn payload(&self) -> *mut u8 {
        payload::<B>(self.node)
    }

    #[inline(always)]
    pub(crate) fn key(&self) -> &B::Key {
        // SAFETY: owned and complete.
        unsafe { B::key(self.node) }
    }
}

impl<B: Payload> Clone for NodeRef<B> {
    #[inline(always)]
    fn clone(&self) -> Self {
        self.header().acquire_again();
        Self {
            node: self.node,
            body: PhantomData,
        }
    }
}

impl<B: Payload> Drop for NodeRef<B> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.header().release() {
            last_drop::<B>(self.node);
        }
    }
}

// Outlined: most drops are not the last.
#[inline(never)]
fn last_drop<B: Payload>(node: NodePtr) {
    // SAFETY: called by a `NodeRef`, so the node is of kind `B` and complete; `release` said: the last owner.
    unsafe { end_node::<B>(node) }
}

/// A node whose payload is still to be written. Dropping it frees the node.
pub(crate) struct UninitNode<B: Payload> {
    node: NodePtr,
    /// 1 if the node is counted among the live entries, or 0.
    live: isize,
    body: PhantomData<B>,
}

impl<B: Payload> UninitNode<B> {
    /// Allocates a node for a payload that `meta` describes. `live` is 1 if it counts as an entry, or 0.
    #[inline]
    pub(super) fn new(shared: &Shared<B>, meta: u32, hash: u64, live: isize) -> Self {
        Self {
            node: shared.allocate(meta, hash, live),
            live,
            body: PhantomData,
        }
    }

    #[inline(always)]
    pub(crate) fn node(&self) -> NodePtr {
        self.node
    }

    #[inline(always)]
    pub(crate) fn payload(&self) -> *mut u8 {
        payload::<B>(self.node)
    }

    /// # Safety
    /// The payload has been written.
    #[inline(always)]
    pub(crate) unsafe fn complete(self) -> UnlinkedNode<B> {
        UnlinkedNode {
            uninit: ManuallyDrop::new(self),
        }
    }
}

impl<B: Payload> Drop for UninitNode<B> {
    fn drop(&mut self) {
        // SAFETY: never linked, no payload, and this call has it alone.
        unsafe { Shared::<B>::free(self.node, -self.live) }
    }
}

/// A complete value that is not entered, so nobody else can be an owner of it.
pub(crate) struct UnlinkedNode<B: Payload> {
    uninit: ManuallyDrop<UninitNode<B>>,
}

impl<B: Payload> UnlinkedNode<B> {
    #[inline(always)]
    pub(crate) fn node(&self) -> NodePtr {
        self.uninit.node
    }

    pub(crate) fn key(&self) -> &B::Key {
        // SAFETY: complete, and this one's alone.
        unsafe { B::key(self.uninit.node) }
    }

    /// Turns it into the first owner of an entry.
    ///
    /// # Safety
    /// The node has been linked, and one of its counts is the caller's.
    #[inline(always)]
    pub(crate) unsafe fn entered(self) -> NodeRef<B> {
        NodeRef {
            node: ManuallyDrop::new(self).uninit.node,
            body: PhantomData,
        }
    }

    /// Moves the payload out with `take` and frees the node.
    ///
    /// # Safety
    /// `take` moves out, or drops, all that the payload holds.
    pub(crate) unsafe fn take<R>(self, take: impl FnOnce(NodePtr) -> R) -> R {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: taken once; `uninit` frees the node also when `take` panics.
        let uninit = unsafe { ManuallyDrop::take(&mut this.uninit) };
        take(uninit.node)
    }
}

impl<B: Payload> Drop for UnlinkedNode<B> {
    fn drop(&mut self) {
        // SAFETY: taken once; `uninit` frees the node also when the destructor panics.
        let uninit = unsafe { ManuallyDrop::take(&mut self.uninit) };
        // SAFETY: complete, and this one's alone.
        unsafe { B::drop_in_place(uninit.node) }
    }
}
