//! Maps over pointers of others, on one store.

pub mod map_maker;
#[cfg(feature = "serde")]
pub(crate) mod serial;
pub(crate) mod store;
pub(crate) mod strong_map;
pub(crate) mod weak_key_map;
pub(crate) mod weak_key_value_map;
pub(crate) mod weak_value_map;
