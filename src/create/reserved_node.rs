//! A node that has a key, but no value yet: it waits while a value is created.

use crate::memory::node::NodePtr;
use crate::sync::{self, AtomicBool, Ordering};
use crate::table::node_ref::{NodeRef, UninitNode};
use crate::table::payload::Halves;
use std::mem::ManuallyDrop;

/// The key of an entry to come, in the node that it will live in, where others may read it.
///
/// Invariant: the key is written and stays until this is dropped. Once the node is published, it stays until
/// the entry goes: every reader of the key must then own the entry, or be sure of an owner.
pub(crate) struct ReservedNode<B: Halves> {
    node: NodePtr,
    /// The node is an entry's.
    is_published: AtomicBool,
    /// Gives the node back if it is not published.
    uninit: ManuallyDrop<UninitNode<B>>,
}

// SAFETY: it has a key, and for some time a value that its creator alone touches: the bounds are the entry's.
unsafe impl<B: Halves> Send for ReservedNode<B>
where
    B::First: Send + Sync,
    B::Value: Send + Sync,
{
}
// SAFETY: as above; what several threads reach is the key, which they only read.
unsafe impl<B: Halves> Sync for ReservedNode<B>
where
    B::First: Send + Sync,
    B::Value: Send + Sync,
{
}

impl<B: Halves> ReservedNode<B> {
    pub(crate) fn new(uninit: UninitNode<B>, key: B::First) -> Self {
        let node = uninit.node();
        // SAFETY: `uninit` has the node alone.
        unsafe { B::write_key(node, key) };
        Self {
            node,
            is_published: AtomicBool::new(false),
            uninit: ManuallyDrop::new(uninit),
        }
    }

    pub(crate) fn key(&self) -> &B::First {
        // SAFETY: the invariant.
        unsafe { B::key(self.node) }
    }

    pub(crate) fn node(&self) -> NodePtr {
        self.node
    }

    /// Returns where the value is to be written, by one thread at a time, not while it is
    /// [`filled`](Self::filled), and never again once it is published. It is not moved after that.
    #[inline(always)]
    pub(crate) fn place(&self) -> *mut B::Value {
        B::value_place(self.node)
    }

    /// Returns the node with the value that was written.
    ///
    /// # Safety
    /// A value was written to [`place`](Self::place), and this is called once for it.
    #[inline(always)]
    pub(crate) unsafe fn filled(&self) -> FilledNode<'_, B> {
        FilledNode { reserved: self }
    }
}

/// A reserved node with its value, not entered. Dropped, it drops the value, and the node keeps its key.
pub(crate) struct FilledNode<'a, B: Halves> {
    reserved: &'a ReservedNode<B>,
}

impl<B: Halves> FilledNode<'_, B> {
    /// Has it entered. `enter` returns whether it is linked now; if not, the value comes back.
    ///
    /// # Safety
    /// `enter` tells the truth, and does not panic after it has linked the node.
    pub(crate) unsafe fn enter<R>(
        self,
        enter: impl FnOnce(NodePtr) -> (bool, R),
    ) -> (R, Option<Box<B::Value>>) {
        let (linked, result) = enter(self.reserved.node);
        let value = if linked {
            self.publish();
            None
        } else {
            Some(self.into_value())
        };
        (result, value)
    }

    pub(crate) fn draft(self) -> NodeRef<B> {
        let node = self.publish();
        // SAFETY: a node, which has no owner: others only read its key.
        unsafe { node.as_ref() }.begin_draft();
        // SAFETY: complete, and its one count is ours.
        unsafe { NodeRef::adopt(node) }
    }

    /// Takes the value out. In a box: on its way to its drop it would be moved often.
    pub(in crate::create) fn into_value(self) -> Box<B::Value> {
        let filled = ManuallyDrop::new(self);
        // SAFETY: written, and not entered; nobody else takes it.
        Box::new(unsafe { filled.reserved.place().read() })
    }

    fn publish(self) -> NodePtr {
        let filled = ManuallyDrop::new(self);
        filled.reserved.is_published.store(true, Ordering::Relaxed);
        filled.reserved.node
    }
}

impl<B: Halves> Drop for FilledNode<'_, B> {
    fn drop(&mut self) {
        // SAFETY: written, and not entered; dropped here only.
        unsafe { self.reserved.place().drop_in_place() };
    }
}

impl<B: Halves> Drop for ReservedNode<B> {
    fn drop(&mut self) {
        if !sync::settled(&mut self.is_published) {
            // SAFETY: taken once, here. It is dropped after the key, also when the key's destructor panics.
            let uninit = unsafe { ManuallyDrop::take(&mut self.uninit) };
            // SAFETY: the key was written, no value is there, and the last reader of the key has gone.
            drop(unsafe { B::take_key(uninit.node()) });
        }
    }
}
