//! The tables of contended creation.

use std::time::Duration;

use super::meeting::Work;
use super::rounds::{Contended, Score};
use crate::report::Style;
use crate::subject::Role;

/// A table for each kind of work: a line for each subject, and for each number of threads the time on the clock and on the processors.
pub fn print_contended(style: Style, outcomes: &[Contended]) {
    each_work(outcomes, |title, rows| {
        style.heading(&format!("One key, {title}: microseconds"));
        let mut header = vec![String::new()];
        for what in ["clock", "CPU"] {
            header.extend(rows.iter().map(|row| format!("{what}, {}", row.threads)));
        }
        let most = rows.iter().max_by_key(|row| row.threads);
        header.extend(most.map(|most| format!("factory runs, {}", most.threads)));
        let mut table = style.table(&header);
        for (at, first) in rows[0].scores.iter().enumerate() {
            let scores = || rows.iter().map(|row| &row.scores[at]);
            let mut line = vec![first.subject.name.to_string()];
            line.extend(scores().map(|score| micros(score.wall())));
            line.extend(scores().map(|score| micros(score.cpu())));
            line.extend(most.map(|most| format!("{:.1}", most.scores[at].runs())));
            table.add_row(line);
        }
        println!("{table}");
    });
}

/// Processor time against that of one creator alone, and both times against the best peer that creates once.
pub fn print_ratios(style: Style, outcomes: &[Contended]) {
    style.heading(
        "The registry against one creator alone, and against the best weak peer with one creator",
    );
    let header = [
        "factory",
        "threads",
        "CPU to alone",
        "CPU of a waiter, µs",
        "of a once-cell's",
        "best of CPU",
        "its CPU to ours",
        "best on the clock",
        "its clock to ours",
    ];
    let mut table = style.table(&header.map(String::from));
    each_work(outcomes, |title, rows| {
        let Some(alone) = rows.iter().find(|row| row.threads == 1) else {
            return;
        };
        let of_role = |row: &Contended, role| {
            let mut scores = row.scores.iter();
            scores.position(|score| score.subject.role == role)
        };
        let a_waiter = |row: &Contended, role| {
            let Some(at) = of_role(row, role) else {
                return String::new();
            };
            let waited = row.scores[at].cpu().saturating_sub(alone.scores[at].cpu());
            micros(waited / (row.threads as u32 - 1))
        };
        for row in rows.iter().filter(|row| row.threads > 1) {
            let Some(ours) = of_role(row, Role::Ours) else {
                continue;
            };
            let own = &row.scores[ours];
            let best = |of: &dyn Fn(&Score) -> Duration| {
                let single = |s: &&Score| s.subject.role == Role::Peer && s.subject.single;
                let best = row.scores.iter().filter(single).min_by_key(|s| of(s));
                best.map_or_else(
                    || [String::new(), String::new()],
                    |best| {
                        let name = best.subject.name.to_string();
                        [name, ratio(of(best), of(own))]
                    },
                )
            };
            let first = [
                title.to_string(),
                row.threads.to_string(),
                ratio(own.cpu(), alone.scores[ours].cpu()),
                a_waiter(row, Role::Ours),
                a_waiter(row, Role::Floor),
            ];
            let (cpu, wall) = (best(&Score::cpu), best(&Score::wall));
            table.add_row(first.into_iter().chain(cpu).chain(wall));
        }
    });
    println!("{table}");
}

fn each_work(outcomes: &[Contended], mut f: impl FnMut(&str, &[&Contended])) {
    let computes = |outcome: &&Contended| matches!(outcome.work, Work::Compute(_));
    let (computing, sleeping): (Vec<_>, Vec<_>) = outcomes.iter().partition(computes);
    for (title, rows) in [
        ("the factory computes", computing),
        ("the factory sleeps", sleeping),
    ] {
        if !rows.is_empty() {
            f(title, &rows);
        }
    }
}

fn ratio(a: Duration, b: Duration) -> String {
    format!("{:.2}", a.as_secs_f64() / b.as_secs_f64())
}

fn micros(time: Duration) -> String {
    match time.as_secs_f64() * 1e6 {
        n if n < 100.0 => format!("{n:.1}"),
        n => format!("{n:.0}"),
    }
}
