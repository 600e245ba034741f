//! The iterator over the entries of a map.

use crate::map::store::iter::Walk;
use crate::map::store::reverse::ValueSlot;
use crate::map::store::slot::KeySlot;
use std::fmt;
use std::iter::FusedIterator;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// The live entries of a map, from [`Map::iter`](crate::map::Map::iter).
#[allow(private_bounds)] // How the sides work concerns nobody else.
pub struct Iter<'a, A: KeySlot, B: ValueSlot> {
    entries: Walk<'a, A, B>,
}

impl<'a, A: KeySlot, B: ValueSlot> Iter<'a, A, B> {
    pub(super) fn new(entries: Walk<'a, A, B>) -> Self {
        Self { entries }
    }
}

impl<A: KeySlot, B: ValueSlot> Iterator for Iter<'_, A, B>
where
    A::Key: Clone,
    B::Value: Clone,
{
    type Item = (A::Key, B::Value);

    fn next(&mut self) -> Option<Self::Item> {
        self.entries
            .next_that(|key, value| Some((key.live_owner()?, value.live_owner()?)))
    }
}

impl<A: KeySlot, B: ValueSlot> FusedIterator for Iter<'_, A, B>
where
    A::Key: Clone,
    B::Value: Clone,
{
}

impl<A: KeySlot, B: ValueSlot> fmt::Debug for Iter<'_, A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}

// Why: see ARCHITECTURE.md, "Unwind safety".
impl<A: KeySlot, B: ValueSlot> UnwindSafe for Iter<'_, A, B>
where
    A::Key: UnwindSafe + RefUnwindSafe,
    B::Value: UnwindSafe + RefUnwindSafe,
{
}
impl<A: KeySlot, B: ValueSlot> RefUnwindSafe for Iter<'_, A, B>
where
    A::Key: UnwindSafe + RefUnwindSafe,
    B::Value: UnwindSafe + RefUnwindSafe,
{
}
impl<A: KeySlot, B: ValueSlot> Unpin for Iter<'_, A, B> {}
