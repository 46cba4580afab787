//! The command line of edgegrad; see `edgegrad --help`.
#![forbid(unsafe_code)]

mod cli;

use edgegrad::ranks;
use std::process::ExitCode;
use tracing::level_filters::LevelFilter;

fn main() -> ExitCode {
    // RUST_LOG takes one level for all: error, warn, info, debug or trace.
    let level = std::env::var("RUST_LOG").ok().and_then(|level| level.parse().ok());
    let level = if ranks::speaks() { level.unwrap_or(LevelFilter::WARN) } else { LevelFilter::OFF };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .event_format(cli::Plain)
        .init();
    let command = cli::Cli::read();
    let code = match ranks::end(command.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            cli::tell(&e);
            ExitCode::from(e.exit_code())
        }
    };
    ranks::leave();
    code
}
