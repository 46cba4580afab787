//! `edgegrad predict`.

use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::error::{Error, Result};
use edgegrad::results::{Experiment, Prediction, Predictor, predict};
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

/// The heads of predictors for people and the keys for programs.
const COLUMNS: [(&str, &str); 6] = [
    ("known before the last stage", "key"),
    ("good", "good"),
    ("area, choosing", "chosen"),
    ("area, others", "held_out"),
    ("95 %", "low"),
    ("interval", "high"),
];

impl Predict {
    pub(super) fn run(&self) -> Result<()> {
        let mut arms = vec![];
        for folder in &self.runs {
            for arm in Experiment::read(folder)?.arms {
                let found = predict(&arm.runs, self.solved);
                if !found.keys.is_empty() {
                    arms.push((arm.name, found));
                }
            }
        }
        if arms.is_empty() {
            let help = "give runs of two stages, some of which succeed in each half of the seeds";
            return Err(Error::input("predict", "no runs of which something is to tell", help));
        }
        self.print(&arms);
        Ok(())
    }

    /// A table for each arm; for programs two of all arms.
    fn print(&self, arms: &[(String, Prediction)]) {
        let seeds = ["arm", "choosing_good", "choosing", "held_out_good", "held_out"];
        let mut seeds = Table::new("arms", seeds.map(|key| (key, key)));
        let mut all = Table::new("predictors", [("arm", "arm")]);
        COLUMNS.iter().for_each(|(head, key)| all.column(head, key));
        for (arm, found) in arms {
            let [[good, of], [held_good, held]] = [found.choosing, found.held_out];
            println!(
                "{arm}: {good} of {of} seeds that choose succeed, {held_good} of {held} others"
            );
            let counts = [good, of, held_good, held].map(Cell::count);
            seeds.row([Cell::text(arm)].into_iter().chain(counts));
            let mut table = Table::new("predictors", COLUMNS);
            for one in found.keys.iter().take(self.top) {
                table.row(cells(one));
                all.row([Cell::text(arm)].into_iter().chain(cells(one)));
            }
            table.print_for_people();
        }
        seeds.print_for_programs();
        all.print_for_programs();
    }
}

/// The row of a predictor.
fn cells(one: &Predictor) -> impl Iterator<Item = Cell> {
    let direction = if one.more_is_good { "more" } else { "less" };
    let [low, high] = one.interval;
    let areas = [one.chosen, one.held_out, low, high].map(|x| Cell::real(x, 2));
    [Cell::text(&*one.key), Cell::text(direction)].into_iter().chain(areas)
}
