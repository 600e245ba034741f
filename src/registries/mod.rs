//! Registries for well-known needs, each modelled after a system that is in use, made of this crate's public
//! types and safe code.
//!
//! # Which one do I need?
//! | you have | and want | take |
//! |---|---|---|
//! | types of a foreign system | one wrapper for each, made on demand, also in circles, and gone when either side is | [`class_map`] |
//! | parts of a program that log | handlers and loggers by name, an orderly end, and no file left open | [`logging`] |
//! | child processes | to find them by id, wait for all, stop all, and never signal a stranger | [`processes`] |
//! | files, sockets | one open one for each path or file, shared, closed by the last who has it | [`resources`] |
//! | a function with objects for results | the same input to give the same object, while somebody has it | [`memo`] |
//! | parents that own children | children that find their parents, and nothing that keeps itself | [`tree`] |
//! | something to do when a value has died, or at exit | it done once, whichever comes first, in order | [`finalizers`] |
//! | objects that a fork breaks | them mended in the child, without being kept for that | [`after_fork`] |
//! | something to announce | whoever wants to know called, and nobody kept alive for it | [`signals`] |
//! | anything else with an id | the one live object of each | [`Registry`](crate::Registry) |
//! | anything else that is equal to others | one of each content | [`Interner`](crate::Interner) |
//! | `Arc`s that you hold already | them found by a key, by their content or by each other | [`WeakValueMap`](crate::WeakValueMap), [`WeakSet`](crate::WeakSet), [`WeakKeyMap`](crate::WeakKeyMap), [`WeakKeyValueMap`](crate::WeakKeyValueMap) |

// Those that no model has are of the operating system.
#[cfg(all(feature = "after-fork", not(all(highlander_loom, feature = "loom"))))]
pub mod after_fork;
#[cfg(feature = "class-map")]
pub mod class_map;
#[cfg(feature = "finalizers")]
pub mod finalizers;
#[cfg(any(feature = "atexit", feature = "processes", feature = "signals"))]
mod lock;
#[cfg(feature = "logging")]
pub mod logging;
#[cfg(feature = "memo")]
pub mod memo;
#[cfg(any(feature = "logging", feature = "signals"))]
mod panic_text;
#[cfg(feature = "finalizers")]
mod process_id;
#[cfg(all(feature = "processes", not(all(highlander_loom, feature = "loom"))))]
pub mod processes;
#[cfg(all(feature = "resources", not(all(highlander_loom, feature = "loom"))))]
pub mod resources;
#[cfg(feature = "signals")]
pub mod signals;
#[cfg(feature = "tree")]
pub mod tree;
