//! placeholder
#![warn(
    missing_docs,
    missing_debug_implementations,
    unsafe_op_in_unsafe_fn,
    unreachable_pub
)]

mod body;
mod core;
mod engine;
mod entry;
mod error;
mod flight;
mod grace;
mod handle;
mod hash;
mod internable;
mod interned;
mod interner;
mod node;
mod pool;
mod registry;
mod strong;
mod sync;
mod table;
mod teardown;

pub use equivalent::Equivalent;
pub use error::{CreateError, CycleError, OccupiedError, ReplaceError};
pub use handle::{Handle, WeakHandle};
pub use hash::{DefaultHashBuilder, DefaultHasher};
pub use internable::{Internable, InternableRef};
pub use interned::Interned;
pub use interner::{Interner, InternerIter};
pub use registry::{Registry, RegistryIter};

#[cfg(feature = "serde")]
pub use interner::InternerSeed;

/// What models of code that uses this crate can choose; see `sync::model`.
#[cfg(all(highlander_loom, feature = "loom"))]
#[doc(hidden)]
pub mod model {
    pub use crate::sync::model::{set_park, set_reclaim};
}
