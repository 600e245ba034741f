//! Measurements that need a process of their own: this program, started again.

use std::process::Command;

use anyhow::Context;

use crate::subject::Contestant;

/// What the child is to do; its answer is numbers on standard output.
#[derive(Clone, Copy)]
pub enum Task {
    Memory { live: usize },
    Tail { count: usize, with_reader: bool },
}

/// First argument of a child. Not in the help.
pub const FLAG: &str = "--child";

/// Starts the child and waits for its numbers.
pub fn ask(contestant: &Contestant, task: Task) -> anyhow::Result<Vec<u64>> {
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
