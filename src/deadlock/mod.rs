//! The works that each thread is in the middle of, who waits for whom, and the error of a cycle.

pub(crate) mod cycle;
pub(crate) mod family;
pub(crate) mod frames;
pub(crate) mod naming;
pub(crate) mod waits;
pub(crate) mod work;
