//! The payload behind a node's header, and its size.

use crate::memory::node::{Header, NodePtr};
use crate::pointer::watchers::WatchList;
use std::mem::size_of;
use std::sync::Arc;

/// The size of a header; payloads with a small alignment start right behind it.
const HEADER: usize = size_of::<Header>();

/// Payloads with a larger alignment do not fit the way slabs are found.
pub(in crate::table) const MAX_ALIGN: usize = 1024;

/// The kind of a node's payload. A table has nodes of one kind only.
///
/// # Safety
/// `key` and `drop_in_place` must work on what the kind's constructor wrote. `size` and `ALIGN` must fit it.
pub(crate) unsafe trait Payload {
    /// The compared part.
    type Key: ?Sized;

    const ALIGN: usize;

    /// True if dropping a payload runs any code.
    const NEEDS_DROP: bool;

    /// The size of every payload of this kind, if they are all of one size.
    const FIXED_SIZE: Option<usize>;

    /// True if the index owns what is linked: an entry stays until it is taken out, with that ownership.
    const KEPT: bool = false;

    /// True if there are nodes that have owners before they are linked; see `node`.
    const HAS_DRAFTS: bool = false;

    /// Returns the size of the payload that `meta` describes.
    fn size(meta: u32) -> usize;

    /// # Safety
    /// `node` is of this kind, its key is written, and the caller owns it, or has it alone, for `'a`.
    unsafe fn key<'a>(node: NodePtr) -> &'a Self::Key;

    /// Marks the value as dead for its weak handles, without user code. Returns watchers to notify after the
    /// unlinking.
    ///
    /// # Safety
    /// `node` is of this kind, complete, and the caller has it alone.
    #[inline(always)]
    unsafe fn mark_dead(node: NodePtr) -> Option<Arc<WatchList>> {
        let _ = node;
        None
    }

    /// # Safety
    /// `node` is of this kind, complete, and the caller has it alone; the payload is not used afterwards.
    unsafe fn drop_in_place(node: NodePtr);
}

/// A payload of a key and a value, which are written one after the other.
///
/// # Safety
/// The functions must work on what the others wrote, and `drop_in_place` on a key and a value that were
/// written by way of them.
pub(crate) unsafe trait Halves: Payload<Key = <Self as Halves>::First> {
    type First: Sized;
    type Value;

    /// Writes all but the value.
    ///
    /// # Safety
    /// The node is of this kind, and the caller has it alone; it has no key yet.
    unsafe fn write_key(node: NodePtr, key: Self::First);

    /// Returns where the value belongs. A place, not a function that writes it: without optimisation, each
    /// function that a large value passes through takes the value's size of the stack.
    ///
    /// It may be written if the key is written, and the caller has the node alone, but for readers of the
    /// key; and read, to take the value out of an entry that nobody watches, if it was written.
    fn value_place(node: NodePtr) -> *mut Self::Value;

    /// Takes the key out of an entry that has no value.
    ///
    /// # Safety
    /// The key was written, the value was not or is taken out, and the caller has the node alone; the key is
    /// not used again.
    unsafe fn take_key(node: NodePtr) -> Self::First;
}

pub(in crate::table) const fn node_align<B: Payload>() -> usize {
    const {
        assert!(
            B::ALIGN <= MAX_ALIGN,
            "highlander: types with an alignment above 1024 are not supported"
        );
    }
    if B::ALIGN > HEADER {
        B::ALIGN
    } else {
        HEADER
    }
}

#[inline(always)]
pub(crate) fn payload<B: Payload>(node: NodePtr) -> *mut u8 {
    // The header's size rounded up to the payload's alignment is that alignment itself or the header's size.
    node.as_ptr().cast::<u8>().wrapping_add(node_align::<B>())
}

/// Returns the bytes of a node of kind `B` whose payload `meta` describes; a multiple of 16.
pub(in crate::table) fn node_size<B: Payload>(meta: u32) -> usize {
    let bytes = node_align::<B>() + B::size(meta);
    let bytes = bytes.next_multiple_of(node_align::<B>());
    match B::FIXED_SIZE {
        // A look-up reads the header and the key behind it. Rounded up like this, the two do not lie across
        // two cache lines, which would cost as much as another miss.
        Some(_) if bytes <= 64 => bytes.next_power_of_two(),
        Some(_) => bytes.next_multiple_of(32),
        None => bytes,
    }
}
