//! What the types promise, one file for each.

mod smoke;
