//! Pages that lead from a need to the call for it. No code is in here.
//!
//! | you | read |
//! |---|---|
//! | create values, by closures, tokens or futures | [`creating`] |
//! | have such a map already, written by hand or of another crate | [`migrating`] |
//! | have objects of a JVM, of CPython, or of another runtime | [`foreign`] |
//! | have a question | [`faq`] |
//! | did more under your lock than keep a map whole | [`two_jobs`] |
//! | want loom to check what you have built on top | [`testing`] |

pub mod creating;
pub mod faq;
pub mod foreign;
pub mod migrating;
pub mod testing;
pub mod two_jobs;
