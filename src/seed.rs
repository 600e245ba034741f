//! A node that has a key, but no value yet: what waits while a value is created.

use crate::body::Halves;
use crate::node::Node;
use crate::strong::{Blank, Strong};
use crate::sync::{self, AtomicBool, Ordering};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;

/// The key of an entry to come, in the node that it will live in, where others may read it.
///
/// Invariant: the key is written and stays until the seed goes; and if the seed is sown, until the entry goes, of which whoever still
/// reads the key must be an owner then.
pub(crate) struct Seed<B: Halves> {
    node: Node,
    /// The node has become an entry.
    sown: AtomicBool,
    /// Gives the node back if not.
    blank: ManuallyDrop<Blank<B>>,
}

// SAFETY: a seed is its key, and later a value that is never reached through it: the bounds are those of what it becomes.
unsafe impl<B: Halves> Send for Seed<B>
where
    B::First: Send + Sync,
    B::Value: Send + Sync,
{
}
// SAFETY: as above; while shared, only the key is read.
unsafe impl<B: Halves> Sync for Seed<B>
where
    B::First: Send + Sync,
    B::Value: Send + Sync,
{
}

impl<B: Halves> Seed<B> {
    pub(crate) fn new(blank: Blank<B>, key: B::First) -> Self {
        let node = blank.node();
        // SAFETY: the blank has the node alone.
        unsafe { B::write_key(node, key) };
        Self {
            node,
            sown: AtomicBool::new(false),
            blank: ManuallyDrop::new(blank),
        }
    }

    pub(crate) fn key(&self) -> &B::First {
        // SAFETY: the invariant.
        unsafe { B::key(self.node) }
    }

    pub(crate) fn node(&self) -> Node {
        self.node
    }

    /// Makes the seed complete with this value and has it entered. `enter` says whether it is linked now; if not, the value comes
    /// back, and the seed keeps its key.
    ///
    /// # Safety
    /// Called by one thread at a time, and never again once it was linked. `enter` tells the truth, and does not panic after it has linked the node.
    pub(crate) unsafe fn sow<R>(
        &self,
        value: B::Value,
        enter: impl FnOnce(Node) -> (bool, R),
    ) -> (R, Option<B::Value>) {
        /// Drops the value again when user code panics.
        struct Unsow<B: Halves>(Node, PhantomData<B>);
        impl<B: Halves> Drop for Unsow<B> {
            fn drop(&mut self) {
                // SAFETY: written below, and not entered.
                drop(unsafe { B::take_value(self.0) });
            }
        }
        // SAFETY: no value is there now, and others read the key only.
        unsafe { B::write_value(self.node, value) };
        let unsow = Unsow::<B>(self.node, PhantomData);
        let (linked, result) = enter(self.node);
        std::mem::forget(unsow);
        if linked {
            self.sown.store(true, Ordering::Relaxed);
            return (result, None);
        }
        // SAFETY: written above, and not entered.
        (result, Some(unsafe { B::take_value(self.node) }))
    }

    /// Makes the seed complete with this value, before it is entered: a draft, of which the caller is the one owner.
    ///
    /// # Safety
    /// Called by one thread at a time, not after it was linked, and once.
    pub(crate) unsafe fn sow_draft(&self, value: B::Value) -> Strong<B> {
        // SAFETY: no value is there now, and others read the key only.
        unsafe { B::write_value(self.node, value) };
        self.sown.store(true, Ordering::Relaxed);
        // SAFETY: a node, and nobody's.
        unsafe { self.node.as_ref() }.begin_draft();
        // SAFETY: complete, and its one count is ours.
        unsafe { Strong::adopt(self.node) }
    }
}

impl<B: Halves> Drop for Seed<B> {
    fn drop(&mut self) {
        if !sync::settled(&mut self.sown) {
            // SAFETY: dropped once, here, and after the key also when that one's destructor panics.
            let blank = unsafe { ManuallyDrop::take(&mut self.blank) };
            // SAFETY: no value was written, and the last reader of the key has gone.
            drop(unsafe { B::take_key(blank.node()) });
        }
    }
}
