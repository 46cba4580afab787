//! The command line of edgegrad; see `edgegrad --help`.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    // RUST_LOG takes one level for all: error, warn, info, debug or trace.
    let level = std::env::var("RUST_LOG").ok().and_then(|level| level.parse().ok());
    tracing_subscriber::fmt()
        .with_max_level(level.unwrap_or(tracing::level_filters::LevelFilter::WARN))
        .with_writer(std::io::stderr)
        .event_format(cli::Plain)
        .init();
    let command = cli::Cli::read();
    match command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            cli::tell(&e);
            ExitCode::from(e.exit_code())
        }
    }
}
