//! One ownership of a node: what every public handle is inside.

use crate::body::{payload, Body};
use crate::core::{bury, Core};
use crate::node::{Header, Node};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;

/// An owner of a node. Invariant: one of the counts in the header is this one's, and the payload is complete.
pub(crate) struct Strong<B: Body> {
    node: Node,
    /// Dropping it may drop the payload.
    body: PhantomData<B>,
}

impl<B: Body> Strong<B> {
    /// Takes over one count.
    ///
    /// # Safety
    /// The node is of kind `B` and complete, and the caller has a count to give.
    #[inline(always)]
    pub(crate) unsafe fn adopt(node: Node) -> Self {
        Self { node, body: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn node(&self) -> Node {
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

impl<B: Body> Clone for Strong<B> {
    #[inline(always)]
    fn clone(&self) -> Self {
        self.header().acquire_again();
        Self { node: self.node, body: PhantomData }
    }
}

impl<B: Body> Drop for Strong<B> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.header().release() {
            last_drop::<B>(self.node);
        }
    }
}

// Outlined: most drops are not the last.
#[inline(never)]
fn last_drop<B: Body>(node: Node) {
    // SAFETY: only called by the owner that `release` told it was the last.
    unsafe { bury::<B>(node) }
}

/// A node whose payload is still to be written. Dropping it gives the node back.
pub(crate) struct Blank<B: Body> {
    node: Node,
    live: isize,
    body: PhantomData<B>,
}

impl<B: Body> Blank<B> {
    /// A node for a payload that `meta` describes. `live` counts it as an entry already (1), or not yet (0).
    #[inline]
    pub(crate) fn new(core: &Core<B>, meta: u32, hash: u64, live: isize) -> Self {
        Self { node: core.allocate(meta, hash, live), live, body: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn node(&self) -> Node {
        self.node
    }

    #[inline(always)]
    pub(crate) fn payload(&self) -> *mut u8 {
        payload::<B>(self.node)
    }

    /// # Safety
    /// The payload has been written.
    #[inline(always)]
    pub(crate) unsafe fn complete(self) -> Strong<B> {
        let this = ManuallyDrop::new(self);
        // SAFETY: this blank has the node alone.
        unsafe { this.node.as_ref() }.publish();
        Strong { node: this.node, body: PhantomData }
    }
}

impl<B: Body> Drop for Blank<B> {
    fn drop(&mut self) {
        // SAFETY: never linked, no payload, and this blank has it alone.
        unsafe { Core::<B>::free(self.node, -self.live) }
    }
}
