//! See `highlander::registries::processes`: children of the system, and children of a system in which ids are used again at once.

mod invented;
mod real;
