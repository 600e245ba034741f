//! Runs commands side by side, and when one fails, ends the others: `make -j` for a list of commands.
//!
//! ```text
//! cargo run --features processes --example processes_together -- --help
//! ```
//!
//! The children are in one registry, which the whole program shares. One thread for each command waits for it
//! and shows what it prints. Whoever sees a failure first ends all that run, without knowing who started
//! them. No child outlives the program, and none is left a zombie.

use highlander::registries::processes::{ProcessHandle, Processes};
use lexopt::prelude::*;
use std::io::{self, BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const HELP: &str = "\
Runs commands side by side, and when one fails, ends the others.

Usage: processes_together [OPTIONS] ['COMMAND WORDS...']...

Commands are started without a shell, since ending a shell does not end what it has started. Without commands it
shows two lists: one of commands that succeed, and one in which a command fails and another one is ended for that.

Options:
  -k, --keep-going   let the others run on when one fails
  -h, --help         print this

Exit code: 0 when all went well, 1 when a command failed or could not be started, 2 for a fault of the command line.
";

static CHILDREN: Processes = Processes::new();
static FAILED: AtomicBool = AtomicBool::new(false);

/// For what does not end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let (mut keep_going, mut commands) = (false, Vec::new());
    let mut arguments = lexopt::Parser::from_env();
    let mut parse = || {
        while let Some(argument) = arguments.next()? {
            match argument {
                Short('h') | Long("help") => return Ok(false),
                Short('k') | Long("keep-going") => keep_going = true,
                Value(command) => commands.push(command.string()?),
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(true)
    };
    match parse() {
        Ok(true) => {}
        Ok(false) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("processes_together: {error}; try --help");
            return ExitCode::from(2);
        }
    }
    let well = if commands.is_empty() {
        demonstrate()
    } else {
        run_all(&commands, keep_going)
    };
    ExitCode::from(u8::from(!well))
}

/// Returns whether all went as it should.
fn demonstrate() -> bool {
    let commands = |list: &[&str]| list.iter().map(|command| command.to_string()).collect();
    let good: Vec<String> = commands(&["wc -l src/lib.rs", "grep -c unsafe src/table/mod.rs"]);
    println!("Commands that succeed:");
    let all_well = run_all(&good, false);

    let bad: Vec<String> = commands(&["sleep 3600", "grep two-of-them src/lib.rs"]);
    println!("\nOne that would take an hour, and one that fails:");
    let begin = Instant::now();
    let was_ended = !run_all(&bad, false) && begin.elapsed() < Duration::from_secs(60);
    match (all_well, was_ended) {
        (true, true) => println!("\nAs it should be: the other one was ended at once."),
        (false, _) => println!("\nNot as it should be: the first ones should have succeeded."),
        (_, false) => println!("\nNot as it should be: the other one was not ended."),
    }
    all_well && was_ended
}

/// Runs commands side by side. Returns whether all have succeeded.
fn run_all(commands: &[String], keep_going: bool) -> bool {
    FAILED.store(false, Ordering::SeqCst);
    let begin = Instant::now();
    thread::scope(|scope| {
        for command in commands {
            scope.spawn(move || {
                let well = run(command).unwrap_or_else(|error| {
                    eprintln!("{command}: {error}");
                    false
                });
                match well {
                    true => {}
                    false if keep_going => FAILED.store(true, Ordering::SeqCst),
                    false => end_the_others(),
                }
            });
        }
    });
    let failed = FAILED.load(Ordering::SeqCst);
    let left = CHILDREN.active().len() + CHILDREN.dangling().len();
    println!(
        "{} commands in {:.1?}; {}; children left: {left}",
        commands.len(),
        begin.elapsed(),
        if failed { "one has failed" } else { "all well" },
    );
    assert_eq!(left, 0, "a child is left");
    !failed
}

/// Runs one command to its end, and shows what it prints. Returns whether it has succeeded.
fn run(command: &str) -> io::Result<bool> {
    let mut words = command.split_whitespace();
    let program = words.next().unwrap_or_default();
    let child = CHILDREN.spawn(
        Command::new(program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped()),
    )?;
    if FAILED.load(Ordering::SeqCst) {
        child.terminate()?; // too late to be met by those who have ended all
    }
    let mut output = BufReader::new(child.take_stdout().expect("asked for"));
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        println!("{:>7} {command}: {}", child.id(), text.trim_end());
        line.clear();
    }
    let status = child.join()?;
    if !status.success() {
        println!("{:>7} {command}: {status}", child.id());
    }
    Ok(status.success())
}

/// Ends all that run, whoever has started them: first politely.
fn end_the_others() {
    if FAILED.swap(true, Ordering::SeqCst) {
        return;
    }
    let others = CHILDREN.active();
    report(CHILDREN.terminate_all(), "asked to end");
    let until = Instant::now() + PATIENCE;
    let stubborn = |child: &ProcessHandle| {
        let left = until.saturating_duration_since(Instant::now());
        matches!(child.join_timeout(left), Ok(None))
    };
    if others.iter().any(stubborn) {
        report(CHILDREN.kill_all(), "killed");
    }
}

fn report(ended: io::Result<usize>, how: &str) {
    match ended {
        Ok(0) => {}
        Ok(count) => println!("{count} {how}"),
        Err(error) => eprintln!("cannot be ended: {error}"),
    }
}
