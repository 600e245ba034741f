//! `cargo run --release -p highlander-bench --bin speed -- --help`

fn main() -> std::process::ExitCode {
    highlander_bench::cli::main()
}
