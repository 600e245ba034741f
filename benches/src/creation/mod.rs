//! Creation that many want at once: one key, one factory that takes its time, and what those do who wait; and what a creation costs that nobody
//! else wants.
//!
//! A [`CreationSubject`](subject::CreationSubject) is a map whose factory does work; there is a file for each kind.

mod by_hand;
pub mod creating;
mod floor;
mod keepers;
pub mod meeting;
mod ours;
pub mod report;
pub mod rounds;
pub mod subject;
mod weak_cache;

pub use creating::Creating;

/// Every subject, in the order of the tables.
pub const ALL: &[Creating] = &[
    Creating::of::<ours::ByHandle>(),
    Creating::of::<ours::ByArc>(),
    Creating::of::<by_hand::Locked>(),
    Creating::of::<by_hand::Unlocked>(),
    Creating::of::<by_hand::DashmapWeak>(),
    Creating::of::<crate::maps::OnceCells>(),
    Creating::of::<weak_cache::Weak>(),
    Creating::of::<keepers::DashmapOnceCells>(),
    Creating::of::<keepers::Moka>(),
    Creating::of::<keepers::QuickCache>(),
    Creating::of::<floor::OneCell>(),
];
