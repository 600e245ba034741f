//! Repeats one operation on one subject, for a profiler to count its instructions.

use std::process::ExitCode;

use anyhow::Context;
use highlander_bench::cli;
use highlander_bench::subject::Repeat;
use lexopt::prelude::*;

const HELP: &str = "\
Repeats one operation on one subject, for callgrind to count its instructions.

  --subject NAME      as in the tables of the benchmark; highlander by default
  --map NAME          a map with weak values instead
  --op OP             hit, miss (a look-up without insertion), fresh (insertion and last drop)
                      or nothing (the loop alone); hit by default
  --count N           how often; 100000 by default
  --keys N            live keys; 1000 by default

Instructions per operation are the difference between two counts: what builds the
interner is in both. For hits:

  cargo build --release -p highlander-bench --bin instructions
  for count in 100000 200000; do
    valgrind --tool=callgrind --callgrind-out-file=/dev/null \\
      target/release/instructions --op hit --count $count 2>&1 | grep Collected
  done

The difference divided by 100000 is instructions per hit, with those of the loop, which
--op nothing shows in the same way. To see where they are spent, leave out
--callgrind-out-file and run callgrind_annotate on the file that callgrind names.
";

fn main() -> ExitCode {
    cli::exit_code(run())
}

fn run() -> anyhow::Result<()> {
    let (mut subject, mut op) = (String::from("highlander"), Repeat::Hit);
    let mut map = None;
    let (mut count, mut live): (usize, usize) = (100_000, 1_000);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("subject") => subject = parser.value()?.string()?,
            Long("map") => map = Some(parser.value()?.string()?),
            Long("op") => op = operation(&parser.value()?.string()?)?,
            Long("count") => count = parser.value()?.parse()?,
            Long("keys") => live = parser.value()?.parse()?,
            Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    match map {
        Some(map) => (cli::map(&map)?.repeat)(op, live, count),
        None => (cli::contestant(&subject)?.repeat)(op, live, count),
    }
}

fn operation(word: &str) -> anyhow::Result<Repeat> {
    let operation = match word {
        "nothing" => Some(Repeat::Nothing),
        "hit" => Some(Repeat::Hit),
        "miss" => Some(Repeat::Miss),
        "fresh" => Some(Repeat::Fresh),
        _ => None,
    };
    operation.with_context(|| format!("no operation `{word}`"))
}
