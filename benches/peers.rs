//! `cargo bench -p highlander-bench -- --help`

fn main() -> std::process::ExitCode {
    highlander_bench::cli::main()
}
