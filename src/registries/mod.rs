//! Registries for well-known needs, each modelled after a system that is in use, made of this crate's public types and safe code.
//!
//! | you have | take |
//! |---|---|
//! | foreign type descriptors and their wrappers | [`class_map`] |
//! | loggers by dotted name, and handlers that are shut down in order | [`logging`] |
//! | child processes by id | [`processes`] |
//! | what is to run when a value has died, or at exit | [`finalizers`] |
//! | what is to be done in a forked child | [`after_fork`] |
//! | events, and receivers that are not kept alive | [`signals`] |
//! | the results of a function, while somebody has them | [`memo`] |
//! | open files and sockets, one for each identity | [`resources`] |
//! | parents and children that know each other without keeping each other | [`tree`] |

pub mod after_fork;
pub mod class_map;
pub mod finalizers;
pub mod logging;
pub mod memo;
pub mod processes;
pub mod resources;
pub mod signals;
pub mod tree;
