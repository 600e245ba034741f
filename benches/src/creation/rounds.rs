//! The rounds: all subjects in turns.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::SeedableRng;

use super::creating::{Creates, Creating};
use super::meeting::{Meeting, Work};
use crate::rounds::{contest, Outcome, Plan, Runner};
use crate::workload::Workload;

/// Meetings of one turn.
const MEETINGS: usize = 3;

/// What came out for one kind of work and one number of threads.
pub struct Contended {
    pub work: Work,
    pub threads: usize,
    pub scores: Vec<Score>,
}

/// One subject's meetings.
pub struct Score {
    pub subject: Creating,
    meetings: Vec<Meeting>,
}

impl Score {
    pub fn wall(&self) -> Duration {
        self.median(|meeting| meeting.wall)
    }

    pub fn cpu(&self) -> Duration {
        self.median(|meeting| meeting.cpu)
    }

    /// Runs of the factory, on average.
    pub fn runs(&self) -> f64 {
        let all: u32 = self.meetings.iter().map(|meeting| meeting.runs).sum();
        f64::from(all) / self.meetings.len() as f64
    }

    fn median(&self, of: impl Fn(&Meeting) -> Duration) -> Duration {
        let mut all: Vec<Duration> = self.meetings.iter().map(of).collect();
        all.sort_unstable();
        all[all.len() / 2]
    }
}

/// One key and all threads, for each kind of work and each number of threads; 1 is the creator alone.
pub fn contended(
    subjects: &[Creating],
    works: &[Work],
    threads: &[usize],
    rounds: usize,
) -> Vec<Contended> {
    let mut outcomes = Vec::new();
    let mut rng = StdRng::seed_from_u64(1);
    for &work in works {
        for &threads in threads {
            eprintln!("{threads} at one key, {work:?} ...");
            let built: Vec<Box<dyn Creates>> = subjects.iter().map(|s| (s.build)()).collect();
            let mut meetings: Vec<Vec<Meeting>> = subjects.iter().map(|_| Vec::new()).collect();
            let mut order: Vec<usize> = (0..subjects.len()).collect();
            for round in 0..rounds {
                order.shuffle(&mut rng);
                let key = |at: usize| format!("key {:8}", round * MEETINGS + at);
                let keys: Vec<String> = (0..MEETINGS).map(key).collect();
                for &index in &order {
                    meetings[index].extend(built[index].meet(&keys, threads, work));
                }
            }
            let scores = subjects
                .iter()
                .zip(meetings)
                .map(|(&subject, meetings)| Score { subject, meetings });
            outcomes.push(Contended {
                work,
                threads,
                scores: scores.collect(),
            });
        }
    }
    outcomes
}

/// Fresh keys that nobody else wants, with a factory that takes no time: a value is created and dropped.
pub fn misses(subjects: &[Creating], plan: &Plan) -> Vec<Outcome> {
    let most_threads = plan.threads.iter().copied().max().unwrap_or(1);
    let workload = Workload::new(0, 1, most_threads);
    let maps = || subjects.iter().filter(|subject| subject.is_a_map);
    let built: Vec<Box<dyn Creates>> = maps().map(|map| (map.build)()).collect();
    let outcomes = plan.threads.iter().map(|&threads| {
        eprintln!("misses, {threads} threads ...");
        let runners = maps().zip(&built).map(|(map, built)| Runner {
            name: map.name,
            role: map.role,
            ops: None,
            slice: Box::new(|start, ops| built.miss(&workload, threads, start, ops)),
        });
        Outcome {
            cell: "create, drop".to_string(),
            live: 0,
            threads,
            scores: contest(plan, runners.collect()),
            goal: None,
        }
    });
    outcomes.collect()
}
