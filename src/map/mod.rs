//! The maps over pointers of others, and what they have in common with the registry: entries and claims, what
//! can be counted, how weak keys are compared, iterators.
//!
//! There is one type, [`Map`], over the ways in which its keys and its values are kept. Those that are used
//! have a name each, at the root of the crate:
//!
//! | keys \ values | kept | weak |
//! |---|---|---|
//! | kept | [`StrongMap`](crate::StrongMap) | [`WeakValueMap`](crate::WeakValueMap) |
//! | weak | [`WeakKeyMap`](crate::WeakKeyMap) | [`WeakKeyValueMap`](crate::WeakKeyValueMap), which can be asked from both sides |

// In the order in which their calls stand in the documentation: constructors first.
pub(crate) mod store;
pub(crate) mod strong;
pub(crate) mod weak_key;
pub(crate) mod weak_key_value;
pub(crate) mod weak_value;

mod keyed;

mod creating;

#[allow(clippy::module_inception)]
mod map;

mod iter;
mod traits;

#[cfg(feature = "serde")]
pub(crate) mod serial;

pub mod entry {
    //! The parts of the type of an [`Entry`](super::Entry), for those who keep one: how its key is named,
    //! which values count, and what comes back.

    #[cfg(feature = "async")]
    pub use crate::create::entry::EntryFuture;
    pub use crate::create::entry::{AnyLive, ShareErrors, ValidIf};
    pub use crate::create::entry::{BorrowedKey, FromRef, KeyWith, OwnedKey};
    pub use crate::create::entry::{KeyAndOwner, Output, Owned, View};
    pub use crate::map::creating::GivenKey;
}

pub mod slot {
    //! How keys and values are kept: the type parameters of a [`Map`](super::Map), for those who write code
    //! that is generic over maps.

    pub use crate::map::store::death_listener::ReportsTo;
    pub use crate::map::store::reverse::{Traced, ValueSlot};
    pub use crate::map::store::slot::{HashedKey, KeySlot, Lookup, OwnedSlot, WeakSide, WeakSlot};
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
pub use iter::Iter;
pub use map::Map;
#[cfg(feature = "serde")]
pub use serial::MapSeed;
pub use store::hook::RemovalCause;
