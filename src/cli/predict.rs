//! `edgegrad predict`.

use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::error::{Error, Result};
use edgegrad::results::{Experiment, Prediction, predict};
use std::path::PathBuf;

/// Say what is known before the last stage that tells which runs will succeed
///
/// Half of the seeds choose, for each figure and measure, whether more or less of it is good; the
/// area under the ROC is that of the other half, with a 95 % interval. The first row is the choice.
#[derive(Debug, Args)]
pub(super) struct Predict {
    /// Folders of runs that differ in their seed, or folders of these
    #[arg(required = true, value_name = "RUNS")]
    runs: Vec<PathBuf>,
    /// Leave out runs that did not solve the stage before the last
    #[arg(long)]
    solved: bool,
    /// Rows to print
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
}

impl Predict {
    pub(super) fn run(&self) -> Result<()> {
        let mut told = false;
        for folder in &self.runs {
            for arm in Experiment::read(folder)?.arms {
                let found = predict(&arm.runs, self.solved);
                if !found.keys.is_empty() {
                    told = true;
                    self.print(&arm.name, &found);
                }
            }
        }
        let help = "give runs of two stages, some of which succeed in each half of the seeds";
        match told {
            true => Ok(()),
            false => Err(Error::input("predict", "no runs of which something is to tell", help)),
        }
    }

    fn print(&self, arm: &str, found: &Prediction) {
        let [[good, all], [held_good, held]] = [found.choosing, found.held_out];
        println!("{arm}: {good} of {all} seeds that choose succeed, {held_good} of {held} others");
        let mut table = Table::new(
            "predictors",
            [
                ("known before the last stage", "key"),
                ("good", "more_is_good"),
                ("area, choosing", "chosen"),
                ("area, others", "held_out"),
                ("95 %", "low"),
                ("interval", "high"),
            ],
        );
        for one in found.keys.iter().take(self.top) {
            let direction = if one.more_is_good { "more" } else { "less" };
            let [low, high] = one.interval;
            let areas = [one.chosen, one.held_out, low, high].map(|x| Cell::real(x, 2));
            table.row([Cell::text(&*one.key), Cell::text(direction)].into_iter().chain(areas));
        }
        table.print();
    }
}
