//! The interners, each behind [`Subject`](crate::subject::Subject); a file for each crate.

pub mod by_hand;
mod floor;
mod highlander;
mod intern_arc;
mod intern_mint;
mod internment;
mod show;
mod string_cache;
mod weak_table;

use crate::contestant::Contestant;

/// The subjects whose ratio is what a registry costs above an interner.
pub const INTERNER_GET: &str = "interner get";
pub const REGISTRY_GET: &str = "registry get";

/// Every subject, in the order of the tables.
pub const ALL: &[Contestant] = &[
    Contestant::of::<floor::Floor>(),
    Contestant::of::<highlander::Highlander>(),
    Contestant::of::<highlander::InternerGet>(),
    Contestant::of::<highlander::RegistryGet>(),
    Contestant::of::<internment::Internment>(),
    Contestant::of::<intern_mint::InternMint>(),
    Contestant::of::<intern_arc::InternArc>(),
    Contestant::of::<string_cache::StringCache>(),
    Contestant::of::<weak_table::WeakTable>(),
    Contestant::of::<by_hand::DashmapWeak>(),
    Contestant::of::<by_hand::SccMapWeak>(),
    Contestant::of::<by_hand::SccIndexWeak>(),
    Contestant::of::<show::Hstr>(),
    Contestant::of::<show::Lasso>(),
];
