//! Nodes of one size that are free, or not cut from their slab yet.

use super::slab::{slab_of, SlabHeader, SLAB};
use crate::memory::node::{Header, NodePtr};
use std::collections::{HashMap, HashSet};
use std::ptr::{self, NonNull};

pub(super) struct FreeList {
    /// Linked in place of hashes. Invariant: each node of the list is dead and reachable from here only.
    free: Option<NodePtr>,
    /// The length of that list.
    listed: usize,
    /// From here to `end` lies the part of a slab that has never been used.
    uncut: *mut u8,
    end: *mut u8,
    /// The bytes of a node.
    size: usize,
}

impl FreeList {
    pub(super) fn new(size: usize) -> Self {
        Self {
            free: None,
            listed: 0,
            uncut: ptr::null_mut(),
            end: ptr::null_mut(),
            size,
        }
    }

    /// Creates a list of the nodes of an unused slab.
    pub(super) fn uncut(slab: NonNull<SlabHeader>, first: usize, size: usize) -> Self {
        let slab = slab.as_ptr().cast::<u8>();
        Self {
            free: None,
            listed: 0,
            uncut: slab.wrapping_add(first),
            end: slab.wrapping_add(SLAB),
            size,
        }
    }

    #[inline(always)]
    pub(super) fn take(&mut self) -> Option<NodePtr> {
        self.pop().or_else(|| self.cut())
    }

    #[inline(always)]
    fn pop(&mut self) -> Option<NodePtr> {
        let node = self.free?;
        // SAFETY: nodes in the list are this list's alone.
        self.free = unsafe { node.as_ref() }.link();
        self.listed -= 1;
        Some(node)
    }

    fn cut(&mut self) -> Option<NodePtr> {
        if self.uncut_bytes() < self.size {
            return None;
        }
        let node: *mut Header = self.uncut.cast();
        self.uncut = self.uncut.wrapping_add(self.size);
        // SAFETY: the range from `uncut` to `end` lies in a slab and has never been handed out.
        unsafe {
            node.write(Header::new());
            Some(NonNull::new_unchecked(node))
        }
    }

    fn uncut_bytes(&self) -> usize {
        self.end.addr() - self.uncut.addr()
    }

    #[inline(always)]
    pub(super) fn put(&mut self, node: NodePtr) {
        // SAFETY: the caller hands over a node that it has alone.
        unsafe { node.as_ref() }.set_link(self.free);
        self.free = Some(node);
        self.listed += 1;
    }

    #[inline(always)]
    pub(super) fn listed(&self) -> usize {
        self.listed
    }

    /// Takes all freed nodes, but not the uncut ones. None if there are no freed ones.
    pub(super) fn take_list(&mut self) -> Option<Self> {
        let free = self.free.take()?;
        Some(Self {
            free: Some(free),
            listed: std::mem::take(&mut self.listed),
            ..Self::new(self.size)
        })
    }

    pub(super) fn take_all(&mut self) -> Self {
        std::mem::replace(self, Self::new(self.size))
    }

    /// Adds what `supply` has. Cheap when this list is as good as empty.
    pub(super) fn absorb(&mut self, mut supply: Self) {
        std::mem::swap(self, &mut supply);
        while let Some(node) = supply.take() {
            self.put(node);
        }
    }

    /// Counts the nodes of this list under the address of their slab.
    pub(super) fn count_by_slab(&self, nodes: &mut HashMap<usize, usize>) {
        if self.uncut_bytes() >= self.size {
            *nodes.entry(slab_of(self.uncut)).or_default() += self.uncut_bytes() / self.size;
        }
        let mut next = self.free;
        while let Some(node) = next {
            *nodes.entry(slab_of(node.as_ptr().cast())).or_default() += 1;
            // SAFETY: nodes in the list are this list's alone.
            next = unsafe { node.as_ref() }.link();
        }
    }

    /// Returns this list without the nodes of the slabs at these addresses.
    pub(super) fn without(mut self, slabs: &HashSet<usize>) -> Self {
        let mut kept = Self::new(self.size);
        if self.uncut_bytes() >= self.size && !slabs.contains(&slab_of(self.uncut)) {
            (kept.uncut, kept.end) = (self.uncut, self.end);
        }
        while let Some(node) = self.pop() {
            if !slabs.contains(&slab_of(node.as_ptr().cast())) {
                kept.put(node);
            }
        }
        kept
    }
}
