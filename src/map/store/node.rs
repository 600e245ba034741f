//! The payload of an entry that its map keeps: a key and a value, either of which may be a weak pointer.

use crate::map::store::slot::Slot;
use crate::memory::node::NodePtr;
use crate::table::payload::{payload, Halves, Payload};
use std::mem::{align_of, needs_drop, offset_of, size_of};
use std::ptr;

/// The payload. The key comes first, beside the header, where look-ups read it.
#[repr(C)]
pub(in crate::map) struct StoreNode<A, B> {
    key: A,
    value: B,
}

// SAFETY: `drop_in_place` drops what was written by `write_key` and to `value_place`; the size is the
// struct's.
unsafe impl<A, B> Payload for StoreNode<A, B> {
    type Key = A;
    const ALIGN: usize = align_of::<Self>();
    const NEEDS_DROP: bool = needs_drop::<A>() || needs_drop::<B>();
    const FIXED_SIZE: Option<usize> = Some(size_of::<Self>());
    const KEPT: bool = true;
    const HAS_DRAFTS: bool = true;

    fn size(_: u32) -> usize {
        size_of::<Self>()
    }

    #[inline(always)]
    unsafe fn key<'a>(node: NodePtr) -> &'a A {
        // SAFETY: the key is written, and the caller keeps it; the reference covers the key alone.
        unsafe {
            &*payload::<Self>(node)
                .wrapping_add(offset_of!(Self, key))
                .cast::<A>()
        }
    }

    unsafe fn drop_in_place(node: NodePtr) {
        // SAFETY: complete, and the caller's alone. (The value is dropped also when the key's destructor
        // panics.)
        unsafe { payload::<Self>(node).cast::<Self>().drop_in_place() }
    }
}

// SAFETY: all functions work on the fields of the struct that `drop_in_place` drops.
unsafe impl<A, B> Halves for StoreNode<A, B> {
    type First = A;
    type Value = B;

    unsafe fn write_key(node: NodePtr, key: A) {
        // SAFETY: room for a pair, and the caller's alone.
        unsafe { ptr::addr_of_mut!((*payload::<Self>(node).cast::<Self>()).key).write(key) }
    }

    #[inline(always)]
    fn value_place(node: NodePtr) -> *mut B {
        payload::<Self>(node)
            .wrapping_add(offset_of!(Self, value))
            .cast()
    }

    unsafe fn take_key(node: NodePtr) -> A {
        // SAFETY: the caller's promise.
        unsafe { ptr::addr_of!((*payload::<Self>(node).cast::<Self>()).key).read() }
    }
}

impl<A, B> StoreNode<A, B> {
    pub(in crate::map) fn value(&self) -> &B {
        &self.value
    }
}

impl<A: Slot, B: Slot> StoreNode<A, B> {
    /// Returns both sides.
    ///
    /// # Safety
    /// The node is of this kind and complete, and has an owner for `'a`.
    #[inline(always)]
    pub(in crate::map) unsafe fn sides<'a>(node: NodePtr) -> (&'a A, &'a B) {
        // SAFETY: the caller's promise.
        let pair = unsafe { &*payload::<Self>(node).cast::<Self>() };
        (&pair.key, &pair.value)
    }

    /// Returns whether one of its sides has died.
    ///
    /// # Safety
    /// The node is of this kind and complete, and has an owner throughout.
    pub(in crate::map) unsafe fn is_dead(node: NodePtr) -> bool {
        // SAFETY: the caller's promise.
        let (key, value) = unsafe { Self::sides(node) };
        key.is_dead() || value.is_dead()
    }
}
