//! highlander measured against its peers.
//!
//! Each interner, ours and the others', is a [`Subject`](subject::Subject): build it, intern a string, drop the handle.
//! Its adapter is a file in `adapters`. A [`Workload`](workload::Workload) holds the keys to look up, in look-up
//! order and ready made. [`rounds`] measures all subjects in turns, [`child`] each one in a process of
//! its own, and [`report`] prints. [`maps`] has the maps with weak values, measured in the same way, and [`creation`] what it costs that many want
//! to create one key.

pub mod adapters;
pub mod cell;
pub mod child;
pub mod cli;
pub mod contestant;
pub mod creation;
pub mod maps;
pub mod memory;
pub mod report;
pub mod rounds;
pub mod subject;
pub mod tail;
pub mod workload;
