//! What the maps have in common: entries and claims, what can be chosen and counted, how weak keys are compared, iterators.
//!
//! The maps themselves, which stand at the root of the crate, are over pointers of others, on one store.

pub mod map_maker;
#[cfg(feature = "serde")]
pub(crate) mod serial;
pub(crate) mod store;
pub(crate) mod strong_map;
pub(crate) mod weak_key_map;
pub(crate) mod weak_key_value_map;
pub(crate) mod weak_value_map;

pub mod entry {
    //! The parts of the type of an [`Entry`](super::Entry), for those who keep one: how its key is named, which values count, and what comes back.

    pub use crate::create::entry::{AnyLive, ShareErrors, ValidIf};
    pub use crate::create::entry::{BorrowedKey, FromRef, KeyWith, OwnedKey, PointerKey};
    pub use crate::create::entry::{KeyAndOwner, Output, Owned, View};
}

pub use crate::create::claim::{Claim, Vacancy};
pub use crate::create::creator::Creator;
pub use crate::create::entry::Entry;
pub use crate::pointer::keying::{Asked, ByAddress, ByEquality, Keying};
pub use crate::registry::intern::internable::{Internable, InternableRef};
pub use crate::registry::intern::interner::InternerIter;
#[cfg(feature = "serde")]
pub use crate::registry::intern::interner::InternerSeed;
pub use crate::registry::RegistryIter;
pub use crate::table::stats::Stats;
pub use map_maker::MapMaker;
#[cfg(feature = "serde")]
pub use serial::MapSeed;
pub use store::hook::RemovalCause;
pub use strong_map::StrongIter;
pub use weak_key_map::WeakKeyIter;
pub use weak_key_value_map::WeakKeyValueIter;
pub use weak_value_map::WeakValueIter;
