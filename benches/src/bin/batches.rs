//! What a look-up of many keys at once gains over single ones.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use comfy_table::{presets, Table};
use highlander::{Interner, Registry, WeakValueMap};
use highlander_bench::cli;
use lexopt::prelude::*;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

const HELP: &str = "\
Times look-ups of uniform keys by single calls and by those for many, in turns.

  --rounds N          rounds; 15 by default
  --ops N             look-ups in a round; 500000 by default
  --keys LIST         numbers of live keys; 100000,1000000 by default
";

/// Looks these up, and returns how many it has found.
type LookUp<'a> = Box<dyn Fn(&[u32]) -> usize + 'a>;

/// One after the other, and many at once.
struct Subject<'a> {
    name: &'static str,
    single: LookUp<'a>,
    many: LookUp<'a>,
}

fn text(key: u32) -> String {
    format!("key{key:09}")
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() -> ExitCode {
    cli::exit_code(run())
}

fn run() -> anyhow::Result<()> {
    let (mut rounds, mut ops, mut sizes) = (15, 500_000, vec![100_000, 1_000_000]);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("rounds") => rounds = parser.value()?.parse()?,
            Long("ops") => ops = parser.value()?.parse()?,
            Long("keys") => {
                let list = parser.value()?.string()?;
                sizes = list.split(',').map(str::parse).collect::<Result<_, _>>()?;
            }
            Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["keys", "call", "one, ns", "of many, ns", "gain"]);
    for keys in sizes {
        measure(keys, rounds, ops, &mut table);
    }
    println!("{table}");
    Ok(())
}

fn measure(keys: u32, rounds: usize, ops: usize, table: &mut Table) {
    let words: Vec<String> = (0..keys).map(text).collect();
    let word = |key: &u32| words[*key as usize].as_str();
    let names: Interner<str> = Interner::new();
    let _names: Vec<_> = words.iter().map(|word| names.intern(word)).collect();
    let objects: Registry<Box<str>, u64> = Registry::new();
    let insert = |(key, word): (u64, &String)| objects.insert(word.as_str().into(), key).0;
    let _objects: Vec<_> = (0..).zip(&words).map(insert).collect();
    let rows: WeakValueMap<u32, Arc<u64>> = WeakValueMap::new();
    let values: Vec<_> = (0..keys).map(|key| Arc::new(u64::from(key))).collect();
    (0..).zip(&values).for_each(|(key, value)| {
        rows.insert(key, value.clone());
    });

    let subjects = [
        Subject {
            name: "Interner<str>::get",
            single: Box::new(|asked| asked.iter().filter_map(|k| names.get(word(k))).count()),
            many: Box::new(|asked| names.get_many(asked.iter().map(word)).flatten().count()),
        },
        Subject {
            name: "Interner<str>::intern",
            single: Box::new(|asked| {
                asked
                    .iter()
                    .filter(|k| !names.intern(word(k)).is_empty())
                    .count()
            }),
            many: Box::new(|asked| {
                let all = names.intern_many(asked.iter().map(word));
                all.filter(|name| !name.is_empty()).count()
            }),
        },
        Subject {
            name: "Registry<Box<str>, u64>::get",
            single: Box::new(|asked| asked.iter().filter_map(|k| objects.get(word(k))).count()),
            many: Box::new(|asked| objects.get_many(asked.iter().map(word)).flatten().count()),
        },
        Subject {
            name: "WeakValueMap<u32, Arc<u64>>::get",
            single: Box::new(|asked| asked.iter().filter_map(|k| rows.get(k)).count()),
            many: Box::new(|asked| rows.get_many(asked).flatten().count()),
        },
    ];
    let mut rng = SmallRng::seed_from_u64(1);
    let mut times = vec![(Vec::new(), Vec::new()); subjects.len()];
    for _ in 0..rounds {
        let asked: Vec<u32> = (0..ops).map(|_| rng.random_range(0..keys)).collect();
        for (subject, times) in subjects.iter().zip(&mut times) {
            let time = |look_up: &LookUp<'_>| {
                let start = Instant::now();
                assert_eq!(black_box(look_up(black_box(&asked))), ops);
                start.elapsed().as_nanos() as f64 / ops as f64
            };
            times.0.push(time(&subject.single));
            times.1.push(time(&subject.many));
        }
    }
    for (subject, (single, many)) in subjects.iter().zip(times) {
        let (single, many) = (median(single), median(many));
        table.add_row([
            keys.to_string(),
            subject.name.into(),
            format!("{single:.0}"),
            format!("{many:.0}"),
            format!("{:.2}", single / many),
        ]);
    }
}
