//! What is measured: the cells of the table in the issue, with their goals.

use std::fmt;
use std::str::FromStr;

/// One kind of work. Each operation interns a key and drops the handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Live keys, all equally likely.
    Uniform,
    /// Live keys, Zipf-distributed with exponent 0.99.
    Zipf,
    /// One live key over and over.
    Hot,
    /// Keys that are not there: each operation creates the entry and, with its last drop, removes it.
    Fresh,
    /// Nine uniform hits, one fresh key.
    Mix,
}

impl Cell {
    pub const ALL: [Cell; 5] = [Cell::Uniform, Cell::Zipf, Cell::Hot, Cell::Fresh, Cell::Mix];

    /// Whether the cell creates and removes entries.
    pub fn removes(self) -> bool {
        matches!(self, Cell::Fresh | Cell::Mix)
    }

    /// How many times as fast as the best peer of the cell highlander has to be.
    pub fn goal(self, live: usize, threads: usize) -> f64 {
        match self {
            Cell::Uniform | Cell::Zipf if live < 100_000 => 1.5,
            Cell::Uniform | Cell::Zipf if threads == 1 => 1.8,
            Cell::Uniform | Cell::Zipf => 2.0,
            Cell::Hot if threads == 1 => 1.2,
            Cell::Hot => 1.0,
            Cell::Fresh => 1.2,
            Cell::Mix => 2.0,
        }
    }

    /// The word for it on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Cell::Uniform => "uniform",
            Cell::Zipf => "zipf",
            Cell::Hot => "hot",
            Cell::Fresh => "fresh",
            Cell::Mix => "mix",
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Cell::Uniform => "hit, uniform",
            Cell::Zipf => "hit, Zipf(0.99)",
            Cell::Hot => "hit, one hot key",
            Cell::Fresh => "fresh key, last drop",
            Cell::Mix => "nine hits, one fresh",
        })
    }
}

impl FromStr for Cell {
    type Err = anyhow::Error;

    fn from_str(word: &str) -> anyhow::Result<Self> {
        let known = Cell::ALL.into_iter().find(|cell| cell.word() == word);
        known.ok_or_else(|| {
            let words = Cell::ALL.map(Cell::word).join(", ");
            anyhow::anyhow!("no cell `{word}`; there are: {words}")
        })
    }
}
