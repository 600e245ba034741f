//! Measurements that need a process of their own: this program, started again.

use std::process::Command;

use anyhow::Context;

use crate::cell::Cell;
use crate::contestant::Contestant;
use crate::subject::Role;
use crate::tail::Tail;

/// What the child is to do; its answer is numbers on standard output.
#[derive(Clone, Copy)]
enum Task {
    Memory { live: usize },
    Tail { count: usize, with_reader: bool },
}

/// First argument of a child. Not in the help.
pub const FLAG: &str = "--child";

/// Starts the child and waits for its numbers.
fn ask(contestant: &Contestant, task: Task) -> anyhow::Result<Vec<u64>> {
    let (word, count, with_reader) = match task {
        Task::Memory { live } => ("memory", live, false),
        Task::Tail { count, with_reader } => ("tail", count, with_reader),
    };
    let output = Command::new(std::env::current_exe()?)
        .args([FLAG, word, contestant.name])
        .args([count.to_string(), with_reader.to_string()])
        .output()?;
    let fault = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{}: {fault}", contestant.name);
    let answer = String::from_utf8(output.stdout)?;
    let numbers: Result<_, _> = answer.split_whitespace().map(str::parse).collect();
    numbers.with_context(|| format!("unexpected answer of a child: {answer}"))
}

/// The child's side: `arguments` are those after [`FLAG`].
pub fn answer(arguments: &[String], all: &[Contestant]) -> anyhow::Result<()> {
    let [word, name, count, with_reader] = arguments else {
        anyhow::bail!("a child takes four arguments");
    };
    let contestant = all.iter().find(|contestant| contestant.name == name);
    let contestant = contestant.with_context(|| format!("no subject `{name}`"))?;
    let count = count.parse()?;
    let numbers = match word.as_str() {
        "memory" => vec![(contestant.memory)(count)?],
        "tail" => (contestant.tail)(count, with_reader.parse()?)?.to_numbers(),
        _ => anyhow::bail!("no task `{word}`"),
    };
    let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
    println!("{}", numbers.join(" "));
    Ok(())
}

/// One subject's bytes per live key, one figure for each number of live keys.
pub struct Memory {
    pub name: &'static str,
    pub role: Role,
    pub bytes: Vec<f64>,
}

/// Measures each subject at each size in a fresh process, several times, and takes the median.
pub fn memory(
    contestants: &[Contestant],
    sizes: &[usize],
    repeats: usize,
) -> anyhow::Result<Vec<Memory>> {
    let measure = |contestant: &Contestant, live: usize| {
        let mut grown = (0..repeats)
            .map(|_| Ok(ask(contestant, Task::Memory { live })?[0]))
            .collect::<anyhow::Result<Vec<u64>>>()?;
        grown.sort_unstable();
        Ok(grown[repeats / 2] as f64 / live as f64)
    };
    // The floor is one of time only.
    let interners = contestants.iter().filter(|c| c.role != Role::Floor);
    let rows = interners.map(|contestant| {
        eprintln!("memory of {} ...", contestant.name);
        let bytes = sizes.iter().map(|&live| measure(contestant, live));
        Ok(Memory {
            name: contestant.name,
            role: contestant.role,
            bytes: bytes.collect::<anyhow::Result<_>>()?,
        })
    });
    rows.collect()
}

/// One subject's tails: with nobody else there, and with a second thread that reads.
pub struct Tails {
    pub name: &'static str,
    pub alone: Tail,
    pub with_reader: Option<Tail>,
}

/// Measures each subject several times, each time in a fresh process, and takes the median of each figure: the maximum of
/// a single run is as often the machine's as the interner's.
pub fn tails(
    contestants: &[Contestant],
    count: usize,
    repeats: usize,
) -> anyhow::Result<Vec<Tails>> {
    let measure = |contestant: &Contestant, with_reader: bool| {
        let task = Task::Tail { count, with_reader };
        let runs = (0..repeats)
            .map(|_| ask(contestant, task))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let medians = (0..runs[0].len()).map(|figure| {
            let mut figures: Vec<u64> = runs.iter().map(|run| run[figure]).collect();
            figures.sort_unstable();
            figures[repeats / 2]
        });
        Tail::from_numbers(&medians.collect::<Vec<_>>())
    };
    // Not the floor, which does not grow, nor the same interner twice.
    let growing = contestants
        .iter()
        .filter(|contestant| !matches!(contestant.role, Role::Floor | Role::OursToo));
    let rows = growing.map(|contestant| {
        eprintln!("latency tail of {} ...", contestant.name);
        let shared = (contestant.takes)(Cell::Uniform, 2);
        Ok(Tails {
            name: contestant.name,
            alone: measure(contestant, false)?,
            with_reader: shared.then(|| measure(contestant, true)).transpose()?,
        })
    });
    rows.collect()
}
