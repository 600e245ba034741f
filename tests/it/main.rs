//! What the types promise, one file for each noun.

mod capacity;
mod common;
mod concurrency;
mod creation;
mod drop_order;
mod handle;
mod hashers;
mod interned;
mod interner;
mod keys;
mod reentrancy;
mod registry;
mod traits;
mod weak_handle;
mod weak_value_map;
