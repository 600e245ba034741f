//! Memory of nodes: headers, the pool, when memory may be given back, and how values end.

pub(crate) mod grace;
pub(crate) mod hash;
pub(crate) mod node;
pub(crate) mod panics;
pub(crate) mod pool;
pub(crate) mod teardown;
