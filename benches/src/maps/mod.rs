//! Maps from strings to values that they hold weakly, measured beside the interners: the same keys, the same streams, the same rounds.
//!
//! A [`MapSubject`](subject::MapSubject) is a map as its users have it, with a file here for each kind.

mod cell;
mod moka;
mod once_cells;
mod ours;
mod run;
pub mod subject;
mod weak_by_hand;
mod weak_table;

pub use cell::MapCell;
pub use once_cells::OnceCells;
pub use run::run;
use subject::MapContestant;

/// Every map, in the order of the tables.
pub const ALL: &[MapContestant] = &[
    MapContestant::of::<ours::Ours>(),
    MapContestant::of::<ours::Kept>(),
    MapContestant::of::<weak_by_hand::Dashmap>(),
    MapContestant::of::<weak_by_hand::SccMap>(),
    MapContestant::of::<weak_by_hand::SccIndex>(),
    MapContestant::of::<OnceCells>(),
    MapContestant::of::<weak_table::WeakTable>(),
    MapContestant::of::<moka::Moka>(),
];
