//! Memory of nodes: their headers, the pool they lie in, when it may be given back, and how what lies in them
//! ends.

pub(crate) mod grace;
pub(crate) mod hash;
pub(crate) mod node;
pub(crate) mod panics;
pub(crate) mod pool;
pub(crate) mod teardown;
