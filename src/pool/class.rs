//! The sizes that nodes come in.

/// The largest node that shares a slab; two of them fit.
const MAX_SMALL: usize = 2016;
/// Sizes of nodes in a pool with varied sizes: multiples of 16 up to 128, then four to each doubling.
const LANES: usize = 24;
/// The lane of nodes that have a block of their own.
pub(super) const LARGE: usize = usize::MAX;

/// The sizes of the nodes in a pool.
#[derive(Clone, Copy)]
pub(crate) enum Sizes {
    /// All nodes have this size.
    Fixed(usize),
    /// Sizes differ, and are rounded up to one of [`LANES`] sizes.
    Varied,
}

/// Which list a node belongs to, and how many bytes it takes.
#[derive(Clone, Copy)]
pub(super) struct Class {
    pub(super) lane: usize,
    pub(super) size: usize,
}

impl Sizes {
    pub(super) fn class(self, size: usize) -> Class {
        if size > MAX_SMALL {
            return Class { lane: LARGE, size };
        }
        match self {
            Sizes::Fixed(size) => Class { lane: 0, size },
            Sizes::Varied if size <= 128 => {
                let steps = size.div_ceil(16);
                Class { lane: steps - 1, size: steps * 16 }
            }
            Sizes::Varied => {
                let doubling = (size - 1).ilog2() as usize;
                let step = 1 << (doubling - 2);
                let steps = (size - (1 << doubling)).div_ceil(step);
                let rounded = (1 << doubling) + steps * step;
                Class { lane: 7 + (doubling - 7) * 4 + steps, size: rounded.min(MAX_SMALL) }
            }
        }
    }

    pub(super) fn lanes(self) -> usize {
        match self {
            Sizes::Fixed(_) => 1,
            Sizes::Varied => LANES,
        }
    }
}

