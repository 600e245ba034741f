//! The maps of `Weak`s by hand that are measured as interners, too: here the value is what is looked up, and knows its key for its own removal.

use crate::adapters::by_hand::{ByHand, Index, Interned};
use crate::subject::{Role, Subject};

use super::subject::MapSubject;
use super::MapCell;

pub type Dashmap = ByHand<crate::adapters::by_hand::Dashmap>;
pub type SccMap = ByHand<crate::adapters::by_hand::SccMap>;
pub type SccIndex = ByHand<crate::adapters::by_hand::SccIndex>;

impl<I: Index> MapSubject for ByHand<I> {
    const NAME: &'static str = I::NAME;
    const ROLE: Role = Role::Peer;
    type Value = Interned<I>;

    fn build() -> Self {
        <Self as Subject>::build(0)
    }

    #[inline]
    fn get(&self, key: &str) -> Option<Self::Value> {
        self.find(key)
    }

    #[inline]
    fn get_or_create(&self, key: &str) -> Self::Value {
        self.intern(key)
    }

    fn for_each(&self, f: &mut dyn FnMut(&Self::Value)) {
        ByHand::for_each(self, f);
    }

    fn entry_count(&self) -> usize {
        ByHand::entry_count(self)
    }

    fn takes(cell: MapCell) -> bool {
        cell != MapCell::Prune
    }
}
