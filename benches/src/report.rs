//! The tables: for a terminal, or as Markdown for BENCHMARKS.md.

use comfy_table::{presets, CellAlignment, Table};

use crate::adapters::{INTERNER_GET, REGISTRY_GET};
use crate::child::{Memory, Tails};
use crate::rounds::{Outcome, Score};
use crate::subject::Role;
use crate::tail::Quantiles;

/// How tables are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Terminal,
    Markdown,
}

impl Style {
    /// A table whose first column is text and whose others are numbers.
    pub(crate) fn table(self, header: &[String]) -> Table {
        let mut table = Table::new();
        table.load_preset(match self {
            Style::Terminal => presets::UTF8_FULL_CONDENSED,
            Style::Markdown => presets::ASCII_MARKDOWN,
        });
        table.set_header(header);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    pub(crate) fn heading(self, text: &str) {
        match self {
            Style::Terminal => println!("\n{text}"),
            Style::Markdown => println!("\n### {text}\n"),
        }
    }
}

/// One cell, a line for each subject, and the verdict.
pub fn print_outcome(style: Style, outcome: &Outcome) {
    style.heading(&title(outcome));
    let mut table = style.table(&["", "ns/op", "spread", "to ours"].map(String::from));
    let best = outcome.best_peer().map(|best| best.name);
    for score in &outcome.scores {
        let mark = match score.role {
            _ if best == Some(score.name) => " (best peer)",
            Role::Show => " (for show)",
            _ => "",
        };
        let ours = outcome.ours().map(Score::median);
        table.add_row([
            format!("{}{mark}", score.name),
            nanos(score.median()),
            format!("{:.0} %", score.spread() * 100.0),
            ours.map_or(String::new(), |ours| {
                format!("{:.2}", score.median() / ours)
            }),
        ]);
    }
    println!("{table}");
    if let Some(verdict) = verdict(outcome) {
        println!("{verdict}");
    }
}

/// All medians, a table for each number of threads: a line for each cell, a column for each subject.
pub fn print_medians(style: Style, outcomes: &[Outcome]) {
    let mut threads: Vec<usize> = outcomes.iter().map(|outcome| outcome.threads).collect();
    threads.sort_unstable();
    threads.dedup();
    for threads in threads {
        style.heading(&format!(
            "Nanoseconds per operation, {}",
            threads_word(threads)
        ));
        let rows: Vec<&Outcome> = outcomes.iter().filter(|o| o.threads == threads).collect();
        // Not every subject takes part in every cell.
        let mut names: Vec<&str> = Vec::new();
        for score in rows.iter().flat_map(|row| &row.scores) {
            if !names.contains(&score.name) {
                names.push(score.name);
            }
        }
        let header = ["cell", "keys"].iter().chain(&names);
        let mut table = style.table(&header.map(ToString::to_string).collect::<Vec<_>>());
        for row in rows {
            let medians = names.iter().map(|name| {
                let score = row.score(name);
                score.map_or_else(dash, |score| nanos(score.median()))
            });
            let first = [row.cell.to_string(), row.live.to_string()];
            table.add_row(first.into_iter().chain(medians));
        }
        println!("{table}");
    }
}

/// The ratios, the goals, and whether they are met.
pub fn print_goals(style: Style, outcomes: &[Outcome]) {
    style.heading("Against the best weak, cross-thread peer of each cell");
    let header = [
        "cell",
        "keys",
        "threads",
        "best peer",
        "its ns",
        "ours",
        "ratio",
        "goal",
        "",
    ];
    let mut table = style.table(&header.map(String::from));
    for outcome in outcomes {
        let Some((best, ours)) = outcome.best_peer().zip(outcome.ours()) else {
            continue;
        };
        let goal = outcome.goal;
        let ratio = best.median() / ours.median();
        table.add_row([
            outcome.cell.to_string(),
            outcome.live.to_string(),
            outcome.threads.to_string(),
            best.name.to_string(),
            nanos(best.median()),
            nanos(ours.median()),
            format!("{ratio:.2}"),
            goal.map_or_else(dash, |goal| format!("{goal:.1}")),
            goal.map_or_else(String::new, |goal| met(ratio >= goal)),
        ]);
    }
    println!("{table}");
}

/// What a registry's look-up costs above an interner's.
pub fn print_registry(style: Style, outcomes: &[Outcome]) {
    const GOAL: f64 = 1.15;
    let rows: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| {
            let interner = outcome.score(INTERNER_GET)?.median();
            let registry = outcome.score(REGISTRY_GET)?.median();
            Some((outcome, interner, registry))
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    style.heading("`Registry<Box<str>, V>::get` against `Interner<str>::get`");
    let header = [
        "cell", "keys", "threads", "interner", "registry", "ratio", "goal", "",
    ];
    let mut table = style.table(&header.map(String::from));
    for (outcome, interner, registry) in rows {
        let ratio = registry / interner;
        table.add_row([
            outcome.cell.to_string(),
            outcome.live.to_string(),
            outcome.threads.to_string(),
            nanos(interner),
            nanos(registry),
            format!("{ratio:.2}"),
            format!("{GOAL}"),
            met(ratio <= GOAL),
        ]);
    }
    println!("{table}");
}

/// Bytes per live key.
pub fn print_memory(style: Style, sizes: &[usize], rows: &[Memory]) {
    style.heading("Bytes per live key, by growth of resident memory");
    let columns = sizes.iter().map(|size| format!("{size} keys"));
    let header: Vec<String> = std::iter::once(String::new()).chain(columns).collect();
    let mut table = style.table(&header);
    for row in rows {
        let bytes = row.bytes.iter().map(|bytes| format!("{bytes:.1}"));
        table.add_row(std::iter::once(row.name.to_string()).chain(bytes));
    }
    let peers = || rows.iter().filter(|row| row.role == Role::Peer);
    let leanest = (0..sizes.len()).map(|size| {
        let best = peers().min_by(|a, b| a.bytes[size].total_cmp(&b.bytes[size]));
        best.map_or_else(dash, |best| best.name.to_string())
    });
    table.add_row(std::iter::once("leanest peer".to_string()).chain(leanest));
    println!("{table}");
}

/// The latency of insertions while the table grows.
pub fn print_tails(style: Style, count: usize, rows: &[Tails]) {
    let header = ["", "p50", "p99", "p99.9", "p99.99", "max"].map(String::from);
    let print = |heading: String, quantiles: &dyn Fn(&Tails) -> Option<Quantiles>| {
        style.heading(&heading);
        let mut table = style.table(&header);
        for row in rows {
            if let Some(q) = quantiles(row) {
                let figures = [q.p50, q.p99, q.p99_9, q.p99_99, q.max].map(time);
                table.add_row(std::iter::once(row.name.to_string()).chain(figures));
            }
        }
        println!("{table}");
    };
    print(
        format!("Latency of an insertion, {count} fresh keys into an empty interner"),
        &|row| Some(row.alone.insert),
    );
    print(
        "The same, while a second thread looks up keys that are there".to_string(),
        &|row| row.with_reader.map(|tail| tail.insert),
    );
    print("Latency of that thread's hits".to_string(), &|row| {
        row.with_reader.and_then(|tail| tail.hit)
    });
}

fn title(outcome: &Outcome) -> String {
    let threads = threads_word(outcome.threads);
    format!("{}: {} live keys, {threads}", outcome.cell, outcome.live)
}

fn verdict(outcome: &Outcome) -> Option<String> {
    let ratio = outcome.ratio()?;
    let best = outcome.best_peer()?.name;
    let verdict = outcome.goal.map_or_else(String::new, |goal| {
        format!("; goal {goal:.1}: {}", met(ratio >= goal))
    });
    Some(format!("{ratio:.2} times as fast as {best}{verdict}"))
}

fn met(met: bool) -> String {
    if met { "met" } else { "missed" }.to_string()
}

fn threads_word(threads: usize) -> String {
    match threads {
        1 => "1 thread".to_string(),
        _ => format!("{threads} threads"),
    }
}

fn dash() -> String {
    "–".to_string()
}

fn nanos(nanos: f64) -> String {
    match nanos {
        n if n < 100.0 => format!("{n:.1}"),
        n => format!("{n:.0}"),
    }
}

fn time(nanos: u64) -> String {
    match nanos {
        n if n < 10_000 => format!("{n} ns"),
        n if n < 10_000_000 => format!("{} µs", n / 1_000),
        n => format!("{} ms", n / 1_000_000),
    }
}
