//! The registries of well-known systems: what each of those promises, by the numbers of its behaviours.

mod after_fork;
mod class_map;
#[path = "../it/common.rs"]
mod common;
mod finalizers;
mod logging;
mod memo;
mod processes;
mod resources;
mod signals;
mod tree;
