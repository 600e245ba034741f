//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;

use lexopt::prelude::*;

pub const USAGE: &str = "\
Canonicalises every identifier of Rust source files on all cores, with one weak interner.

Usage: dedup [OPTIONS] [PATH]...

A PATH is a file, or a directory to search for .rs files. Without one: this project, and
the crates that Cargo has unpacked on this machine ($CARGO_HOME/registry/src,
$CARGO_HOME/git/checkouts). The report says what is left out because of --limit.

Options:
      --limit MIB   source text to read at most [default: 64; with a PATH, all]
  -j, --threads N   worker threads [default: one for each core]
  -w, --window N    files that each worker keeps alive in the second pass [default: 64]
  -h, --help        print this

Exit code: 0 when done, 1 when a self-check or writing the report failed, 2 for a fault of
the command line, such as a PATH that does not exist. Files that cannot be read or are not
UTF-8 are counted, reported and left out.
";

const FILES_IN_WINDOW: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// So that the default corpus takes less than a minute, however much Cargo has unpacked.
const BYTES_BY_DEFAULT: u64 = 64 << 20;

pub enum Command {
    Help,
    Run(Options),
}

pub struct Options {
    /// What to search; empty for the default corpus.
    pub paths: Vec<PathBuf>,
    /// How many bytes to read at most.
    pub limit: Option<u64>,
    pub threads: NonZeroUsize,
    /// How many files each worker keeps alive in the second pass.
    pub window: NonZeroUsize,
}

impl Command {
    pub fn from_env() -> Result<Self, String> {
        Self::parse(lexopt::Parser::from_env()).map_err(|e| format!("{e}\nTry --help."))
    }

    fn parse(mut arguments: lexopt::Parser) -> Result<Self, lexopt::Error> {
        let mut options = Options {
            paths: Vec::new(),
            limit: None,
            threads: available_parallelism().unwrap_or(NonZeroUsize::MIN),
            window: FILES_IN_WINDOW,
        };
        while let Some(argument) = arguments.next()? {
            match argument {
                Short('h') | Long("help") => return Ok(Command::Help),
                Long("limit") => {
                    let limit: u32 = arguments.value()?.parse()?;
                    options.limit = Some(u64::from(limit) << 20);
                }
                Short('j') | Long("threads") => options.threads = arguments.value()?.parse()?,
                Short('w') | Long("window") => options.window = arguments.value()?.parse()?,
                Value(path) => options.paths.push(path.into()),
                _ => return Err(argument.unexpected()),
            }
        }
        if options.paths.is_empty() {
            options.limit.get_or_insert(BYTES_BY_DEFAULT);
        }
        Ok(Command::Run(options))
    }
}
