//! The sizes that nodes come in.

/// The largest node that shares a slab; two of them fit.
const MAX_SMALL: usize = 2016;
/// The number of sizes in a pool with varied sizes: multiples of 16 up to 128, then four to each doubling.
const SIZE_CLASSES: usize = 24;
/// The class of nodes that have a block of their own.
pub(super) const LARGE: usize = usize::MAX;

/// The sizes of the nodes in a pool.
#[derive(Clone, Copy)]
pub(crate) enum Sizes {
    /// All nodes have this size.
    Fixed(usize),
    /// Sizes differ, are multiples of this alignment, and are rounded up to one of [`SIZE_CLASSES`] sizes.
    Varied(usize),
}

/// The size class of a node: the number of its free list, and how many bytes it takes.
#[derive(Clone, Copy)]
pub(super) struct Class {
    pub(super) index: usize,
    pub(super) size: usize,
}

impl Sizes {
    #[inline]
    pub(super) fn class(self, size: usize) -> Class {
        if size > MAX_SMALL {
            return Class { index: LARGE, size };
        }
        match self {
            Sizes::Fixed(size) => Class { index: 0, size },
            Sizes::Varied(_) if size <= 128 => {
                let steps = size.div_ceil(16);
                Class {
                    index: steps - 1,
                    size: steps * 16,
                }
            }
            Sizes::Varied(align) => {
                let doubling = (size - 1).ilog2() as usize;
                let step = 1 << (doubling - 2);
                let steps = (size - (1 << doubling)).div_ceil(step);
                let rounded = (1 << doubling) + steps * step;
                // The last size is no power of two, so it does not fit every alignment.
                if rounded > MAX_SMALL && MAX_SMALL % align != 0 {
                    return Class { index: LARGE, size };
                }
                Class {
                    index: 7 + (doubling - 7) * 4 + steps,
                    size: rounded.min(MAX_SMALL),
                }
            }
        }
    }

    /// Returns the size of the nodes in each class.
    pub(super) fn all(self) -> impl Iterator<Item = usize> {
        let classes = match self {
            Sizes::Fixed(_) => 1,
            Sizes::Varied(_) => SIZE_CLASSES,
        };
        (0..classes).map(move |index| match (self, index) {
            (Sizes::Fixed(size), _) => size,
            (Sizes::Varied(_), 0..8) => (index + 1) * 16,
            (Sizes::Varied(_), _) => {
                let (doubling, steps) = (7 + (index - 8) / 4, (index - 8) % 4 + 1);
                ((1 << doubling) + steps * (1 << (doubling - 2))).min(MAX_SMALL)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_size_fits_its_class_and_no_smaller_one() {
        for align in [16, 32, 64, 128, 256, 512, 1024] {
            let sizes = Sizes::Varied(align);
            let classes: Vec<usize> = sizes.all().collect();
            for size in (align..=MAX_SMALL).step_by(align) {
                let class = sizes.class(size);
                if class.index == LARGE {
                    assert!(size > 1792, "{size} bytes fit a slab");
                    continue;
                }
                assert_eq!(class.size, classes[class.index], "size {size}");
                assert!(size <= class.size);
                assert!(
                    class.index == 0 || size > classes[class.index - 1],
                    "size {size}"
                );
                assert_eq!(class.size % align, 0, "every node is aligned if one is");
            }
        }
        assert_eq!(Sizes::Varied(16).class(MAX_SMALL + 1).index, LARGE);
        assert_eq!(Sizes::Fixed(48).class(48).size, 48);
    }
}
