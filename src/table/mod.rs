//! From a hash to nodes that are owned.

pub(crate) mod body;
pub(crate) mod core;
pub(crate) mod dying;
pub(crate) mod engine;
pub(crate) mod index;
pub(crate) mod stats;
pub(crate) mod strong;
