//! Creation of one value for a key: who leads, who waits, and the steps.

pub(crate) mod claim;
pub(crate) mod creator;
pub(crate) mod entry;
pub(crate) mod error;
pub(crate) mod flight;
pub(crate) mod reserved_node;
pub(crate) mod steps;
