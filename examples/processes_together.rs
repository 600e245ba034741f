//! Runs commands side by side, and when one fails, ends the others: `make -j` for a list of commands.
//!
//! The children are in one registry, which the whole program shares. One thread for each command waits for it and shows what it prints; whoever sees a failure first ends all
//! that run, without knowing who started them. No child outlives the program, and none is left a zombie.
//!
//!     cargo run --example processes_together -- [--keep-going] 'COMMAND WORDS...' ...
//!
//! Commands are started without a shell, since ending a shell does not end what it has started. Without commands it runs some that read the sources here, one that would take an
//! hour, and one that fails.

use highlander::registries::processes::{ProcessHandle, Processes};
use std::io::{self, BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

static CHILDREN: Processes = Processes::new();
static FAILED: AtomicBool = AtomicBool::new(false);

/// For what does not end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let mut keep_going = false;
    let mut commands: Vec<String> = std::env::args().skip(1).collect();
    commands.retain(|argument| {
        let option = argument == "--keep-going";
        keep_going |= option;
        !option
    });
    let demonstration = commands.is_empty();
    if demonstration {
        commands = [
            "wc -l src/lib.rs",
            "grep -rc unsafe src/table",
            "sleep 3600",
            "grep -n two-of-them src/lib.rs",
        ]
        .map(String::from)
        .to_vec();
    }

    let begin = Instant::now();
    thread::scope(|scope| {
        for command in &commands {
            scope.spawn(move || match run(command) {
                Ok(true) => {}
                Ok(false) if keep_going => FAILED.store(true, Ordering::Relaxed),
                Ok(false) => end_the_others(),
                Err(error) => {
                    eprintln!("{command}: {error}");
                    end_the_others();
                }
            });
        }
    });

    let left = CHILDREN.active().len() + CHILDREN.dangling().len();
    let failed = FAILED.load(Ordering::Relaxed);
    println!(
        "{} commands in {:.1?}; {}; children left: {left}",
        commands.len(),
        begin.elapsed(),
        if failed { "not all well" } else { "all well" },
    );
    // Of the demonstration it is expected that one fails, and one is ended.
    let right = left == 0 && failed == demonstration && begin.elapsed() < Duration::from_secs(60);
    ExitCode::from(u8::from(!right))
}

/// Runs one command to its end, and shows what it prints. True when it succeeds.
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
    let output = child.take_stdout().expect("asked for");
    for line in BufReader::new(output).lines() {
        println!("{:>7} {command}: {}", child.id(), line?);
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
