//! One canonical value for each content.

pub(crate) mod internable;
pub(crate) mod interned;
pub(crate) mod interner;
