//! The registries of well-known systems: what each of those promises. `BEHAVIOURS.md` leads from each behaviour to its tests.

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
