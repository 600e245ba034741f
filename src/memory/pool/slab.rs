//! Slabs, which know the table of their nodes, and the chunks in which they come from the allocator.

use super::class::LARGE;
use crate::memory::grace::Block;
use crate::memory::node::{Header, NodePtr};
use std::alloc::{alloc, handle_alloc_error, Layout};
use std::ptr::NonNull;

/// The size and alignment of a slab.
pub(super) const SLAB: usize = 4096;
/// The most slabs in one chunk.
const MAX_CHUNK_SLABS: usize = 64;

#[derive(Clone, Copy)]
pub(crate) struct Origin {
    /// The `Shared` of its table, which lives at least as long as the node.
    pub(crate) table: NonNull<()>,
}

/// At the start of each slab, and in front of each large node.
#[repr(C)]
pub(super) struct SlabHeader {
    pub(super) origin: Origin,
    pub(super) class: usize,
    /// The bytes of a node; of a large one, those of the whole block.
    pub(super) size: usize,
}

pub(super) fn slab_of(address: *const u8) -> usize {
    address.addr() & !(SLAB - 1)
}

/// Returns the header of the slab that `node` lies in, with the right to the whole slab.
#[inline(always)]
fn slab_pointer(node: NodePtr) -> *mut SlabHeader {
    node.as_ptr()
        .cast::<u8>()
        .map_addr(|address| address & !(SLAB - 1))
        .cast()
}

/// Returns the header of the slab that `node` lies in.
///
/// # Safety
/// The caller owns the node, or has it alone.
#[inline(always)]
pub(super) unsafe fn slab_header<'a>(node: NodePtr) -> &'a SlabHeader {
    // SAFETY: every node lies in a slab that is aligned to its size (a large node less than that size behind
    // its header). The header is written before the first node is handed out, and stays while one is in use.
    unsafe { &*slab_pointer(node) }
}

/// Returns the block of a large node.
///
/// # Safety
/// The node is a large one, and the caller has it alone.
pub(super) unsafe fn large_block(node: NodePtr) -> Block {
    // SAFETY: the caller's promise.
    let header = unsafe { slab_header(node) };
    debug_assert_eq!(header.class, LARGE);
    let layout = large_layout(header.size);
    Block {
        // SAFETY: the block begins with the header, and is not at address 0.
        memory: unsafe { NonNull::new_unchecked(slab_pointer(node).cast()) },
        layout,
    }
}

/// Returns the origin of `node`.
///
/// # Safety
/// The caller owns the node, or has it alone.
#[inline(always)]
pub(crate) unsafe fn origin(node: NodePtr) -> Origin {
    // SAFETY: passed on.
    unsafe { slab_header(node) }.origin
}

/// A run of slabs, allocated at once.
pub(super) struct PoolChunk {
    memory: NonNull<u8>,
    slabs: usize,
    /// Slabs handed out, from the front.
    used: usize,
}

impl PoolChunk {
    /// Creates a chunk, twice as large as the last one, up to [`MAX_CHUNK_SLABS`].
    pub(super) fn after(last: Option<&PoolChunk>) -> Self {
        let slabs = last.map_or(1, |chunk| chunk.slabs * 2).min(MAX_CHUNK_SLABS);
        Self {
            memory: allocate(chunk_layout(slabs)),
            slabs,
            used: 0,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.used == self.slabs
    }

    /// Hands out the next slab. Panics when the chunk is full.
    pub(super) fn take_slab(&mut self, header: SlabHeader) -> NonNull<SlabHeader> {
        assert!(!self.is_full());
        // SAFETY: within the chunk, as `used < slabs`.
        let slab = unsafe { self.memory.add(self.used * SLAB) }.cast();
        self.used += 1;
        // SAFETY: the slab is this call's alone, and begins with room for a header.
        unsafe { slab.write(header) };
        slab
    }

    pub(super) fn slabs(&self) -> impl Iterator<Item = NonNull<SlabHeader>> {
        let memory = self.memory;
        // SAFETY: within the chunk.
        (0..self.used).map(move |i| unsafe { memory.add(i * SLAB) }.cast())
    }

    pub(super) fn block(&self) -> Block {
        Block {
            memory: self.memory,
            layout: chunk_layout(self.slabs),
        }
    }
}

/// Allocates a large node, with a header of its own in front.
pub(super) fn allocate_large(origin: Origin, first: usize, size: usize) -> NodePtr {
    let bytes = first
        .checked_add(size)
        .expect("a value of half the address space");
    let memory = allocate(large_layout(bytes));
    // SAFETY: the block is this call's alone; header and node fit, one behind the other.
    unsafe {
        memory.cast().write(SlabHeader {
            origin,
            class: LARGE,
            size: bytes,
        });
        let node: NodePtr = memory.add(first).cast();
        node.write(Header::new());
        node
    }
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: no layout of this file is of size 0.
    NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

fn chunk_layout(slabs: usize) -> Layout {
    Layout::from_size_align(slabs * SLAB, SLAB).expect("a chunk is at most 256 KiB")
}

fn large_layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, SLAB).expect("a value of half the address space")
}
