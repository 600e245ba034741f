//! One connection for each host, shared by all tasks that talk to it, and closed when the last of them lets
//! go.
//!
//! ```text
//! cargo run --features async --example connection_pool -- --help
//! ```

use highlander::error::CreateError;
use highlander::Registry;
use lexopt::prelude::*;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::{future::Future, io, time::Duration};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::{sync::Mutex, time::timeout};

const HELP: &str = "\
Sends lines to servers that answer each line with a line, from many tasks, over one connection for each server.

Usage: connection_pool [OPTIONS] [HOST:PORT]...

Without hosts it starts two servers of its own. One closes each connection after 50 answers; the other never answers.
With a Redis, for example: connection_pool --line PING localhost:6379

Options:
      --line TEXT    what to send [default: hello]
      --tasks N      tasks that send at the same time [default: 16]
      --requests N   lines that each task sends to each host [default: 20]
  -h, --help         print this

Exit code: 0 when all were answered, 1 when not, 2 for a fault of the command line.
";

/// `share_errors` gives a clone of the error to all who wait, and an `io::Error` cannot be cloned.
type Shared = Arc<io::Error>;

/// Exclusive: the next connection to a host is not opened before the last one is closed.
static POOL: Registry<String, Connection> = Registry::new().exclusive().record_stats();
static ATTEMPTS: AtomicUsize = AtomicUsize::new(0);

struct Connection {
    stream: Mutex<BufStream<TcpStream>>,
    is_broken: AtomicBool,
}

impl Connection {
    /// Connects, and asks once: a host that takes connections and does not answer is found out here.
    async fn open(host: String, line: &str) -> Result<Self, Shared> {
        ATTEMPTS.fetch_add(1, Relaxed);
        let connection = Self {
            stream: Mutex::new(BufStream::new(in_time(TcpStream::connect(host)).await?)),
            is_broken: AtomicBool::new(false),
        };
        connection.ask(line).await?;
        Ok(connection)
    }

    /// Returns the answer; none if it was found broken by another task meanwhile.
    ///
    /// It is broken after any error: what it would answer next may belong to an earlier question. (The same
    /// holds for a task that is dropped in the middle. Here none is.)
    async fn ask(&self, line: &str) -> io::Result<Option<String>> {
        let mut stream = self.stream.lock().await;
        if self.is_broken.load(Relaxed) {
            return Ok(None);
        }
        let answer = in_time(exchange(&mut stream, line)).await;
        self.is_broken.store(answer.is_err(), Relaxed);
        answer.map(Some)
    }
}

async fn in_time<T>(what: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(Duration::from_secs(5), what).await?
}

async fn exchange(stream: &mut BufStream<TcpStream>, line: &str) -> io::Result<String> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await?;
    stream.flush().await?;
    let mut answer = String::new();
    match stream.read_line(&mut answer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(answer),
    }
}

/// Asks over the one connection of this host. A broken one is replaced, by whichever task sees it first.
async fn ask(host: &str, line: &str) -> Result<String, Shared> {
    let mut left = 3;
    loop {
        let connection = POOL
            .entry_ref(host)
            .valid_if(|connection| !connection.is_broken.load(Relaxed))
            .share_errors()
            .or_try_insert_with_async(|host| Connection::open(host.clone(), line))
            .await
            .map_err(CreateError::into_failed)?;
        match connection.ask(line).await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => {}
            // The host may have closed an old connection. (What must not happen twice is not to be sent again.)
            Err(_) if left > 1 => left -= 1,
            Err(error) => return Err(error.into()),
        }
    }
}

/// A server for the demonstration. It closes each connection after `answers` answers; with 0, after a while,
/// without any.
async fn serve(answers: usize) -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut stream, mut line) = (BufStream::new(stream), String::new());
                for _ in 0..answers {
                    line.clear();
                    match stream.read_line(&mut line).await {
                        Ok(1..) => stream.write_all(line.to_uppercase().as_bytes()).await?,
                        end => return end.map(drop),
                    }
                    stream.flush().await?;
                }
                tokio::time::sleep(Duration::from_millis(if answers == 0 { 20 } else { 0 })).await;
                Ok(())
            });
        }
    });
    Ok(address.to_string())
}

struct Options {
    line: String,
    tasks: usize,
    requests: usize,
    hosts: Vec<String>,
}

fn options() -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options {
        line: "hello".into(),
        tasks: 16,
        requests: 20,
        hosts: Vec::new(),
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("line") => options.line = arguments.value()?.string()?,
            Long("tasks") => options.tasks = arguments.value()?.parse()?,
            Long("requests") => options.requests = arguments.value()?.parse()?,
            Value(host) => options.hosts.push(host.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(options))
}

/// Returns whether all went as it should.
async fn run(mut options: Options) -> io::Result<bool> {
    let is_demonstration = options.hosts.is_empty();
    if is_demonstration {
        options.hosts = vec![serve(50).await?, serve(0).await?];
    }
    let options = Arc::new(options);
    let mut all_answered = Vec::new();
    for host in &options.hosts {
        let (opened, attempts) = (POOL.stats().created, ATTEMPTS.load(Relaxed));
        let task = |_| {
            let (options, host) = (Arc::clone(&options), host.clone());
            tokio::spawn(async move {
                let (mut answered, mut error) = (0, None);
                for _ in 0..options.requests {
                    match ask(&host, &options.line).await {
                        Ok(_) => answered += 1,
                        Err(failed) => error = Some(failed),
                    }
                }
                (answered, error)
            })
        };
        let tasks: Vec<_> = (0..options.tasks).map(task).collect();
        let (mut answered, mut error) = (0, None);
        for task in tasks {
            let (count, failed) = task.await?;
            answered += count;
            error = error.or(failed);
        }
        let requests = options.tasks * options.requests;
        println!(
            "{host}: {answered} of {requests} requests answered; {} connections in {} attempts",
            POOL.stats().created - opened,
            ATTEMPTS.load(Relaxed) - attempts,
        );
        if let Some(error) = error {
            println!("  the others: {error}");
        }
        all_answered.push(answered == requests);
    }
    // No task holds a connection now, so all are closed.
    assert!(POOL.is_empty());
    // Of our own servers one never answers.
    Ok(if is_demonstration {
        all_answered == [true, false]
    } else {
        all_answered.iter().all(|all| *all)
    })
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = match options() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("connection_pool: {error}; try --help");
            return ExitCode::from(2);
        }
    };
    match run(options).await {
        Ok(well) => ExitCode::from(u8::from(!well)),
        Err(error) => {
            eprintln!("connection_pool: {error}");
            ExitCode::FAILURE
        }
    }
}
