//! Canonicalises every identifier of a real corpus on all cores, then lets go of it again.
//!
//! ```text
//! cargo run --release --example dedup -- --help
//! ```
//!
//! One `static` interner serves all threads. The first pass keeps the handle of every token of the
//! corpus, so that nothing goes. The second keeps only a sliding window of files, so that names
//! come and go. At the end all handles are dropped, and the interner is empty: it keeps nothing
//! alive. The exit code is 1 if it does, or if equal names were ever two.
//!
//! The texts stay in memory, and for a moment each token has a string of its own, for comparison:
//! allow for about eight times the size of the corpus.

mod check;
mod corpus;
mod crew;
mod measure;
mod names;
mod options;
mod report;
mod window;

use std::io::{self, Write};
use std::process::ExitCode;

use highlander::{Interned, Interner};

use crate::check::Check;
use crate::corpus::Corpus;
use crate::crew::Crew;
use crate::measure::measure;
use crate::names::names;
use crate::options::{Command, Options, USAGE};
use crate::window::Window;

/// The one interner that all threads and both passes share.
static NAMES: Interner<str> = Interner::new();

/// A canonical identifier: one word; equal names are the same pointer.
type Name = Interned<str>;

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    let outcome = match Command::from_env() {
        Ok(Command::Help) => out.write_all(USAGE.as_bytes()).map_err(Failure::Output),
        Ok(Command::Run(options)) => run(&options, &mut out),
        Err(fault) => Err(Failure::Usage(fault)),
    };
    let (message, code) = match outcome.and_then(|()| out.flush().map_err(Failure::Output)) {
        Ok(()) => return ExitCode::SUCCESS,
        // The reader has seen enough (`| head`).
        Err(Failure::Output(e)) if e.kind() == io::ErrorKind::BrokenPipe => {
            return ExitCode::SUCCESS
        }
        Err(Failure::Output(e)) => (format!("cannot write the report: {e}"), 1),
        Err(Failure::Check(fault)) => (format!("self-check failed: {fault}"), 1),
        Err(Failure::Usage(fault)) => (fault, 2),
    };
    // Not `eprintln!`, which panics when stderr is closed.
    let _ = writeln!(io::stderr(), "dedup: {message}");
    ExitCode::from(code)
}

/// Why the program ends with an exit code that is not zero.
enum Failure {
    Usage(String),
    Check(String),
    Output(io::Error),
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        Failure::Output(e)
    }
}

fn run(options: &Options, out: &mut impl Write) -> Result<(), Failure> {
    let crew = Crew::new(options.threads);
    let corpus = Corpus::load(&options.paths, options.limit, &crew).map_err(Failure::Usage)?;
    report::corpus(out, &corpus)?;
    if corpus.texts.is_empty() {
        writeln!(out, "No source text to work on: nothing to do.")?;
        return Ok(());
    }

    // Lexed beforehand, so that what is measured next is the interner alone.
    let lexed = measure(|| crew.map("lexing", &corpus.texts, |text| names(text)));
    let interned = measure(|| crew.map("interning", &lexed.value, |names| intern(names)));
    let check = Check::of(&lexed.value, &interned.value).map_err(Failure::Check)?;
    // For comparison: what a program does that does not canonicalise.
    let boxed = measure(|| crew.map("boxing", &lexed.value, |names| copy(names))).cost;
    report::first_pass(
        out,
        &crew,
        &corpus,
        &check,
        [&lexed.cost, &interned.cost, &boxed],
    )?;

    let dropped = measure(|| drop(interned.value));
    report::first_pass_dropped(out, check.tokens, dropped.cost.elapsed, NAMES.len())?;
    expect_empty("the first pass")?;

    let window = measure(|| Window::slide(&crew, &lexed.value, options.window));
    report::second_pass(out, &check, &window, NAMES.len())?;
    expect_empty("the second pass")
}

fn intern(names: &[&str]) -> Box<[Name]> {
    names.iter().map(|name| NAMES.intern(name)).collect()
}

fn copy(names: &[&str]) -> Box<[Box<str>]> {
    names.iter().map(|&name| name.into()).collect()
}

/// Every handle has been dropped: an entry that is still there would be a leak.
fn expect_empty(when: &str) -> Result<(), Failure> {
    let left = NAMES.len().max(NAMES.iter().count());
    match left {
        0 => Ok(()),
        _ => Err(Failure::Check(format!(
            "{left} entries outlived their owners in {when}"
        ))),
    }
}
