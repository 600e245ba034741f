//! `cargo run --release -p highlander-bench --bin creation -- --help`

use std::process::ExitCode;
use std::time::Duration;

use highlander_bench::creation::meeting::Work;
use highlander_bench::creation::{self, report, rounds, Creating};
use highlander_bench::report::{print_goals, print_medians, Style};
use highlander_bench::rounds::Plan;
use highlander_bench::{cli, subject::Role};
use lexopt::prelude::*;

const HELP: &str = "\
Measures what it costs that many want to create one key, and what a creation costs that nobody else wants.

  --parts LIST        of compute,sleep,miss; all by default
  --threads LIST      how many ask for one key; 2,8,64 by default
  --subjects LIST     beginnings of names as in the tables; all by default
  --rounds N          how often each subject has its turn; 11 by default
  --factory MICROS    how long the factory computes, 1000 by default; it sleeps five times as long
  --slice MS          how long a turn of misses is; 30 by default
  --markdown          tables as in BENCHMARKS.md
  --help

Lists are separated by commas.
";

fn main() -> ExitCode {
    cli::exit_code(run())
}

fn run() -> anyhow::Result<()> {
    let mut parts = ["compute", "sleep", "miss"].map(String::from).to_vec();
    let mut threads: Vec<usize> = vec![2, 8, 64];
    let mut subjects = creation::ALL.to_vec();
    let (mut rounds, mut factory, mut slice) = (11, 1000, 30);
    let mut style = Style::Terminal;
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("parts") => parts = cli::list(&mut parser)?,
            Long("threads") => threads = cli::list(&mut parser)?,
            Long("subjects") => subjects = chosen(&cli::list(&mut parser)?)?,
            Long("rounds") => rounds = cli::number(&mut parser)?,
            Long("factory") => factory = cli::number(&mut parser)? as u64,
            Long("slice") => slice = cli::number(&mut parser)? as u64,
            Long("markdown") => style = Style::Markdown,
            Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let wants = |part: &str| parts.iter().any(|wanted| wanted == part);
    let time = Duration::from_micros(factory);
    let mut works = Vec::new();
    if wants("compute") {
        works.push(Work::compute_for(time));
    }
    if wants("sleep") {
        works.push(Work::Sleep(time * 5));
    }
    // The creator alone first: what the others are compared with.
    threads.insert(0, 1);
    let contended = rounds::contended(&subjects, &works, &threads, rounds);
    report::print_contended(style, &contended);
    report::print_ratios(style, &contended);
    if wants("miss") {
        let plan = Plan {
            contestants: Vec::new(),
            cells: Vec::new(),
            live: Vec::new(),
            threads: vec![1, 2],
            rounds,
            slice: Duration::from_millis(slice),
        };
        let misses = rounds::misses(&subjects, &plan);
        print_medians(style, &misses);
        print_goals(style, &misses);
    }
    Ok(())
}

/// The subjects whose names begin like one of these.
fn chosen(names: &[String]) -> anyhow::Result<Vec<Creating>> {
    let meant = |subject: &Creating| names.iter().any(|name| subject.name.starts_with(&**name));
    let all = creation::ALL.iter().copied();
    let chosen: Vec<Creating> = all.filter(meant).collect();
    let ours = chosen.iter().any(|subject| subject.role == Role::Ours);
    anyhow::ensure!(
        ours,
        "the registry must be among the subjects: the ratios are about it"
    );
    Ok(chosen)
}
