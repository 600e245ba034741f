//! What comes of a shutdown.

use super::failure::Failure;
use super::handler::Handler;

/// What a shutdown has done.
#[derive(Default, Debug)]
#[must_use = "it has the errors"]
pub struct Shutdown {
    /// How many handlers it has closed, those that failed to among them.
    pub closed: usize,
    /// What went wrong, in the order in which it did.
    pub failures: Vec<Failure>,
    /// Those that had no turn, in the order in which they were made.
    pub left: Vec<Handler>,
}
