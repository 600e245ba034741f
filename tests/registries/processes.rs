//! See `highlander::registries::processes`: children of the system, and children of a system in which ids are used again at once.

#[path = "../it/common.rs"]
mod common;
mod invented;
mod real;
