//! The clock: all subjects in turns, round after round, so that what disturbs the machine disturbs them all.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::cell::Cell;
use crate::contestant::{Contestant, Entrant};
use crate::subject::Role;
use crate::workload::Workload;

/// What to measure.
pub struct Plan {
    pub contestants: Vec<Contestant>,
    pub cells: Vec<Cell>,
    /// Numbers of live keys.
    pub live: Vec<usize>,
    pub threads: Vec<usize>,
    pub rounds: usize,
    /// How long each subject works in each round, about.
    pub slice: Duration,
}

/// What came out for one cell, one number of live keys, one number of threads.
pub struct Outcome {
    /// The cell's title.
    pub cell: String,
    pub live: usize,
    pub threads: usize,
    pub scores: Vec<Score>,
    /// How many times as fast as the best peer ours has to be.
    pub goal: Option<f64>,
}

/// One subject's nanoseconds per operation, a figure from each round, in order of size.
pub struct Score {
    pub name: &'static str,
    pub role: Role,
    nanos: Vec<f64>,
}

impl Score {
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// How far apart the middle half of the rounds lies, relative to the median.
    pub fn spread(&self) -> f64 {
        (self.quantile(0.75) - self.quantile(0.25)) / self.median()
    }

    fn quantile(&self, q: f64) -> f64 {
        let at = q * (self.nanos.len() - 1) as f64;
        let (low, high) = (at.floor() as usize, at.ceil() as usize);
        self.nanos[low] + (self.nanos[high] - self.nanos[low]) * at.fract()
    }
}

impl Outcome {
    pub fn score(&self, name: &str) -> Option<&Score> {
        self.scores.iter().find(|score| score.name == name)
    }

    pub fn ours(&self) -> Option<&Score> {
        self.scores.iter().find(|score| score.role == Role::Ours)
    }

    pub fn best_peer(&self) -> Option<&Score> {
        let peers = self.scores.iter().filter(|score| score.role == Role::Peer);
        peers.min_by(|a, b| a.median().total_cmp(&b.median()))
    }

    /// How many times as fast as the best peer ours is.
    pub fn ratio(&self) -> Option<f64> {
        Some(self.best_peer()?.median() / self.ours()?.median())
    }
}

/// A subject that is about to do one cell's work.
pub struct Runner<'a> {
    pub name: &'static str,
    pub role: Role,
    /// How many operations a slice has, if that is not to be found out.
    pub ops: Option<usize>,
    /// Does so many operations (the second number), from the `start`th key of its streams on.
    pub slice: Box<dyn Fn(usize, usize) -> Duration + 'a>,
}

/// Runs the plan, and hands each outcome to `done` as soon as it is there.
///
/// All subjects are alive at once, with all their keys. Sizes go up, so that the process-global interners, which are
/// emptied but not made anew in between, never start with a table that a larger size has left behind.
pub fn run(plan: &Plan, mut done: impl FnMut(&Outcome)) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut sizes = plan.live.clone();
    sizes.sort_unstable();
    let most_threads = plan.threads.iter().copied().max().unwrap_or(1);
    for (space, live) in (0..).zip(sizes) {
        let workload = Workload::new(space, live, most_threads);
        let entrants: Vec<(Contestant, Box<dyn Entrant>)> = plan
            .contestants
            .iter()
            .map(|contestant| {
                eprintln!("{live} keys into {} ...", contestant.name);
                (*contestant, (contestant.enter)(&workload))
            })
            .collect();
        for &threads in &plan.threads {
            for &cell in &plan.cells {
                let able = entrants.iter().filter(|(c, _)| (c.takes)(cell, threads));
                let runners = able.map(|(contestant, entrant)| Runner {
                    name: contestant.name,
                    role: contestant.role,
                    ops: None,
                    slice: Box::new(|start, ops| {
                        entrant.slice(&workload, cell, threads, start, ops)
                    }),
                });
                let outcome = Outcome {
                    cell: cell.to_string(),
                    live,
                    threads,
                    scores: contest(plan, runners.collect()),
                    goal: Some(cell.goal(live, threads)),
                };
                done(&outcome);
                outcomes.push(outcome);
            }
        }
    }
    outcomes
}

/// Lets all have their turns, round after round.
pub fn contest(plan: &Plan, runners: Vec<Runner<'_>>) -> Vec<Score> {
    struct Turn<'a> {
        runner: Runner<'a>,
        ops: usize,
        nanos: Vec<f64>,
    }
    let mut turns: Vec<Turn<'_>> = runners
        .into_iter()
        .map(|runner| Turn {
            ops: runner.ops.unwrap_or_else(|| calibrate(&runner, plan.slice)),
            runner,
            nanos: Vec::with_capacity(plan.rounds),
        })
        .collect();
    let mut rng = StdRng::seed_from_u64(1);
    let mut order: Vec<usize> = (0..turns.len()).collect();
    for _ in 0..plan.rounds {
        order.shuffle(&mut rng);
        let start = rng.random_range(0..1 << 20);
        for &index in &order {
            let turn = &mut turns[index];
            let time = (turn.runner.slice)(start, turn.ops);
            turn.nanos.push(time.as_nanos() as f64 / turn.ops as f64);
        }
    }
    let score = |mut turn: Turn<'_>| {
        turn.nanos.sort_by(f64::total_cmp);
        Score {
            name: turn.runner.name,
            role: turn.runner.role,
            nanos: turn.nanos,
        }
    };
    turns.into_iter().map(score).collect()
}

/// How many operations fill a slice.
fn calibrate(runner: &Runner<'_>, slice: Duration) -> usize {
    let mut ops = 256;
    loop {
        let time = (runner.slice)(0, ops);
        if time * 8 >= slice {
            let fill = slice.as_secs_f64() / time.as_secs_f64();
            return (ops as f64 * fill) as usize + 1;
        }
        ops *= 4;
    }
}
