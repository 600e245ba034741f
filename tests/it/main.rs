//! What the types promise, one file for each noun.

mod around_sleep;
mod asked_again;
#[cfg(feature = "registries")]
mod auto_traits;
mod capacity;
mod chains;
mod claims;
mod common;
mod concurrency;
mod creation;
mod creators;
mod cycles;
mod drop_order;
mod entry;
mod exclusive;
mod exclusive_maps;
#[cfg(feature = "async")]
mod executors;
mod families;
mod foreign;
mod foreign_vm;
mod given_up;
mod handle;
mod hashers;
mod hostile_pointers;
#[cfg(feature = "async")]
mod idle;
mod interned;
mod interner;
mod keys;
mod large_values;
mod look_ups;
#[cfg(feature = "registries")]
mod lost;
mod many;
mod pointer;
mod prompt;
mod recent;
mod recent_errors;
mod reentrancy;
mod registry;
mod registry_verbs;
mod serial;
mod set_members;
mod set_version;
mod settings;
#[cfg(all(feature = "async", feature = "registries"))]
mod spawn;
mod strong_map;
#[cfg(feature = "async")]
mod tasks;
mod token;
mod traits;
mod two_phase;
#[cfg(feature = "async")]
mod wakers;
mod watched;
mod weak_handle;
mod weak_key_map;
mod weak_key_value_map;
mod weak_set;
mod weak_value_map;
