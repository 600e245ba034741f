//! Meetings of four to eight threads, too large for loom, under many random interleavings, by shuttle.
//!
//! One test is one meeting. `README.md` beside this file says how to run them, what they can find and what they cannot.
#![cfg(all(highlander_shuttle, feature = "shuttle"))]

mod closing;
mod creating;
mod cycles;
mod dying;
mod families;
mod growth;
#[path = "../loom/keys.rs"]
#[allow(dead_code)] // `D`
mod keys;
mod ledger;
mod maps;
mod members;
mod support;
