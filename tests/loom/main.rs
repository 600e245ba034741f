//! Models of every meeting of two or three threads that could break a guarantee, run under every interleaving by loom.
//!
//! One model is one race, named after it. `README.md` beside this file says how to run them and which planted bug each has been
//! seen to catch.
#![cfg(all(highlander_loom, feature = "loom", not(highlander_shuttle)))]

mod creation;
mod exclusive;
mod families;
mod foreign;
mod growth;
mod interning;
mod keys;
mod last_drop;
mod maps;
mod members;
mod memory;
mod namesakes;
mod prompt;
mod recent;
mod registries;
mod strong_map;
mod support;
mod watching;
mod weak;
