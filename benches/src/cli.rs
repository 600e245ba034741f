//! The command line of the benchmark program.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use lexopt::prelude::*;

use crate::cell::Cell;
use crate::contestant::Contestant;
use crate::maps::subject::MapContestant;
use crate::maps::{self, MapCell};
use crate::report::{self, Style};
use crate::rounds::{self, Outcome, Plan};
use crate::{adapters, child};

const HELP: &str = "\
Measures highlander against its peers.

  --quick             fewer and shorter rounds: a first impression
  --parts LIST        of speed,maps,memory,tail; all by default
  --keys LIST         numbers of live keys; 1000,100000,1000000 by default
  --threads LIST      numbers of threads; 1,2 by default
  --cells LIST        of uniform,zipf,hot,fresh,mix; all by default
  --map-cells LIST    of uniform,zipf,hot,miss,create,mix,iterate,die,prune,contended; all by default
  --maps LIST         names as in the tables; all by default
  --subjects LIST     names as in the tables; all by default
  --rounds N          how often each subject has its turn; 11 by default
  --slice MS          how long a turn is, in milliseconds; 30 by default
  --inserts N         insertions timed for the latency tail; 1000000 by default
  --markdown          tables as in BENCHMARKS.md
  --help

Lists are separated by commas.
";

struct Options {
    parts: Vec<String>,
    plan: Plan,
    maps: Vec<MapContestant>,
    map_cells: Vec<MapCell>,
    inserts: usize,
    /// Processes that measure the same memory or latency.
    repeats: usize,
    style: Style,
}

/// The whole program.
pub fn main() -> ExitCode {
    exit_code(run())
}

/// Says what went wrong, if anything did.
pub fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((child::FLAG, rest)) = arguments.split_first().map(|(f, r)| (f.as_str(), r)) {
        return child::answer(rest, adapters::ALL);
    }
    let Some(options) = Options::parse()? else {
        print!("{HELP}");
        return Ok(());
    };
    let Options { plan, style, .. } = &options;
    let show = |outcome: &Outcome| match style {
        Style::Terminal => report::print_outcome(*style, outcome),
        Style::Markdown => eprintln!("{}, {} keys", outcome.cell, outcome.live),
    };
    if options.wants("speed") {
        let outcomes = rounds::run(plan, show);
        report::print_medians(*style, &outcomes);
        report::print_goals(*style, &outcomes);
        report::print_registry(*style, &outcomes);
    }
    if options.wants("maps") {
        let outcomes = maps::run(plan, &options.maps, &options.map_cells, show);
        report::print_medians(*style, &outcomes);
        report::print_goals(*style, &outcomes);
    }
    if options.wants("memory") {
        let rows = child::memory(&plan.contestants, &plan.live, options.repeats)?;
        report::print_memory(*style, &plan.live, &rows);
    }
    if options.wants("tail") {
        let rows = child::tails(&plan.contestants, options.inserts, options.repeats)?;
        report::print_tails(*style, options.inserts, &rows);
    }
    Ok(())
}

impl Options {
    /// The options given, or `None` if it's help that is wanted.
    fn parse() -> anyhow::Result<Option<Self>> {
        let mut options = Options {
            parts: ["speed", "maps", "memory", "tail"]
                .map(String::from)
                .to_vec(),
            plan: Plan {
                contestants: adapters::ALL.to_vec(),
                cells: Cell::ALL.to_vec(),
                live: vec![1_000, 100_000, 1_000_000],
                threads: vec![1, 2],
                rounds: 11,
                slice: Duration::from_millis(30),
            },
            maps: maps::ALL.to_vec(),
            map_cells: MapCell::ALL.to_vec(),
            inserts: 1_000_000,
            repeats: 5,
            style: Style::Terminal,
        };
        let plan = &mut options.plan;
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("quick") => {
                    plan.rounds = 5;
                    plan.slice = Duration::from_millis(10);
                    options.repeats = 1;
                }
                Long("parts") => options.parts = list(&mut parser)?,
                Long("keys") => plan.live = list(&mut parser)?,
                Long("threads") => plan.threads = list(&mut parser)?,
                Long("cells") => plan.cells = list(&mut parser)?,
                Long("subjects") => {
                    let names: Vec<String> = list(&mut parser)?;
                    let chosen = names.iter().map(|name| contestant(name));
                    plan.contestants = chosen.collect::<anyhow::Result<_>>()?;
                }
                Long("map-cells") => options.map_cells = list(&mut parser)?,
                Long("maps") => {
                    let names: Vec<String> = list(&mut parser)?;
                    let chosen = names.iter().map(|name| map(name));
                    options.maps = chosen.collect::<anyhow::Result<_>>()?;
                }
                Long("rounds") => plan.rounds = number(&mut parser)?,
                Long("slice") => plan.slice = Duration::from_millis(number(&mut parser)? as u64),
                Long("inserts") => options.inserts = number(&mut parser)?,
                Long("markdown") => options.style = Style::Markdown,
                // Cargo's own, from `cargo bench`.
                Long("bench") => {}
                Long("help") => return Ok(None),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(Some(options))
    }

    fn wants(&self, part: &str) -> bool {
        self.parts.iter().any(|wanted| wanted == part)
    }
}

/// The contestant of that name.
pub fn contestant(name: &str) -> anyhow::Result<Contestant> {
    let mut all = adapters::ALL.iter();
    let found = all.find(|contestant| contestant.name == name).copied();
    found.with_context(|| {
        let names: Vec<&str> = adapters::ALL.iter().map(|c| c.name).collect();
        format!("no subject `{name}`; there are: {}", names.join(", "))
    })
}

/// The map of that name.
pub fn map(name: &str) -> anyhow::Result<MapContestant> {
    let found = maps::ALL.iter().find(|map| map.name == name).copied();
    found.with_context(|| {
        let names: Vec<&str> = maps::ALL.iter().map(|map| map.name).collect();
        format!("no map `{name}`; there are: {}", names.join(", "))
    })
}

/// A list whose items are separated by commas.
pub fn list<T>(parser: &mut lexopt::Parser) -> anyhow::Result<Vec<T>>
where
    T: std::str::FromStr<Err: Into<anyhow::Error>>,
{
    let value = parser.value()?.string()?;
    let items = value.split(',').map(|item| {
        let parsed = item.trim().parse().map_err(Into::into);
        parsed.with_context(|| format!("in the list `{value}`"))
    });
    items.collect()
}

/// A number that is not zero.
pub fn number(parser: &mut lexopt::Parser) -> anyhow::Result<usize> {
    let number: std::num::NonZeroUsize = parser.value()?.parse()?;
    Ok(number.get())
}
