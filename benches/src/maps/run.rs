//! The maps' rounds.

use super::subject::{MapContestant, MapEntrant};
use super::MapCell;
use crate::rounds::{contest, Outcome, Plan, Runner};
use crate::workload::Workload;

/// Entries that die at once.
const DOOMED: usize = 100_000;

/// Values yielded in one slice, at least.
const YIELDED: usize = 200_000;

/// Runs the plan with these maps and cells, and hands each outcome to `done` as soon as it is there.
pub fn run(
    plan: &Plan,
    maps: &[MapContestant],
    cells: &[MapCell],
    mut done: impl FnMut(&Outcome),
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let most_threads = plan.threads.iter().copied().max().unwrap_or(1);
    for (space, &live) in (0..).zip(&plan.live) {
        let workload = Workload::new(space, live, most_threads);
        let entrants: Vec<(MapContestant, Box<dyn MapEntrant>)> = maps
            .iter()
            .map(|map| {
                eprintln!("{live} keys into {} ...", map.name);
                (*map, (map.enter)(&workload))
            })
            .collect();
        // Last those in which many entries die: not all maps shrink after that, and what is looked for in a sparse table is another thing.
        let deadly = |cell: &MapCell| matches!(cell, MapCell::Die | MapCell::Prune);
        let first = plan.threads.iter().map(|&threads| (threads, false));
        let last = plan.threads.iter().map(|&threads| (threads, true));
        for (threads, deadly_ones) in first.chain(last) {
            let wanted = |cell: &MapCell| cell.suits(threads) && deadly(cell) == deadly_ones;
            for cell in cells.iter().copied().filter(wanted) {
                let able = entrants.iter().filter(|(map, _)| (map.takes)(cell));
                let runners = able.map(|(map, entrant)| Runner {
                    name: map.name,
                    role: map.role,
                    ops: match cell {
                        MapCell::Die | MapCell::Prune => Some(DOOMED),
                        MapCell::Iterate => Some(live.max(YIELDED)),
                        _ => None,
                    },
                    slice: Box::new(|start, ops| {
                        entrant.slice(&workload, cell, threads, start, ops)
                    }),
                });
                let outcome = Outcome {
                    cell: cell.to_string(),
                    live,
                    threads,
                    scores: contest(plan, runners.collect()),
                    goal: cell.goal(threads),
                };
                done(&outcome);
                outcomes.push(outcome);
            }
        }
    }
    outcomes
}
