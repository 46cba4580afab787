//! The guard of a day: `--yes`.

use clap::Args;
use edgegrad::error::{Error, Result};
use edgegrad::ranks;

/// Whether what takes more than a day is done.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Day {
    /// Go on even if it takes more than a day
    #[arg(long)]
    yes: bool,
}

/// A day in seconds.
const DAY: f64 = 86_400.0;

impl Day {
    /// Refuses what takes more than a day, unless told to go on; `instead` is how it takes less.
    pub(super) fn check(self, what: &str, seconds: f64, instead: &str) -> Result<()> {
        // The first of several processes decides, as times differ.
        if self.yes || seconds < DAY || !ranks::writes() {
            return Ok(());
        }
        let message = format!("would take about {:.1} days", seconds / DAY);
        Err(Error::input(what, message, format!("add --yes to go on, {instead}")))
    }
}
