//! What is measured of maps, with the goals.

use std::fmt;
use std::str::FromStr;

use crate::cell::Cell;

/// One kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapCell {
    /// Look-ups of live keys, the value dropped at once.
    Hit(Cell),
    /// Look-ups of keys that are not there.
    Miss,
    /// A value is created for a fresh key and dropped; dead entries are pruned as the subject does it of itself.
    Create,
    /// Nine uniform hits, one creation and drop.
    Mix,
    /// All live values, one after the other, per value. With a second thread, which inserts fresh keys and keeps the last 1024.
    Iterate,
    /// Values die, and their entries are taken out: what `Prune` times, together with the drops.
    Die,
    /// The entries of values that have died before are taken out by one call.
    Prune,
    /// All threads ask for the same new key at the same moment, and meet again after each.
    Contended,
}

impl MapCell {
    pub const ALL: [MapCell; 10] = [
        MapCell::Hit(Cell::Uniform),
        MapCell::Hit(Cell::Zipf),
        MapCell::Hit(Cell::Hot),
        MapCell::Miss,
        MapCell::Create,
        MapCell::Mix,
        MapCell::Iterate,
        MapCell::Die,
        MapCell::Prune,
        MapCell::Contended,
    ];

    /// Whether this work can be done by so many threads.
    pub fn suits(self, threads: usize) -> bool {
        match self {
            MapCell::Die | MapCell::Prune => threads == 1,
            MapCell::Iterate => threads <= 2,
            MapCell::Contended => threads > 1,
            _ => true,
        }
    }

    /// How many times as fast as the best weak peer of the cell ours has to be.
    pub fn goal(self, threads: usize) -> Option<f64> {
        match self {
            MapCell::Hit(_) if threads > 1 => Some(1.5),
            MapCell::Create => Some(1.0),
            _ => None,
        }
    }

    /// The word for it on the command line.
    pub fn word(self) -> &'static str {
        match self {
            MapCell::Hit(cell) => cell.word(),
            MapCell::Miss => "miss",
            MapCell::Create => "create",
            MapCell::Mix => "mix",
            MapCell::Iterate => "iterate",
            MapCell::Die => "die",
            MapCell::Prune => "prune",
            MapCell::Contended => "contended",
        }
    }
}

impl fmt::Display for MapCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MapCell::Hit(cell) => cell.fmt(f),
            MapCell::Miss => f.pad("miss"),
            MapCell::Create => f.pad("create, drop"),
            MapCell::Mix => f.pad("nine hits, one create"),
            MapCell::Iterate => f.pad("iterate, per value"),
            MapCell::Die => f.pad("die and be pruned"),
            MapCell::Prune => f.pad("prune, per dead entry"),
            MapCell::Contended => f.pad("one contended key"),
        }
    }
}

impl FromStr for MapCell {
    type Err = anyhow::Error;

    fn from_str(word: &str) -> anyhow::Result<Self> {
        let known = MapCell::ALL.into_iter().find(|cell| cell.word() == word);
        known.ok_or_else(|| {
            let words = MapCell::ALL.map(MapCell::word).join(", ");
            anyhow::anyhow!("no cell of maps `{word}`; there are: {words}")
        })
    }
}
