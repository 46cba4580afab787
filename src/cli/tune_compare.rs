//! `edgegrad tune-compare`.

use clap::Args;
use edgegrad::error::Result;
use edgegrad::experiments::tune::grid::{Grid, compare};
use edgegrad::experiments::tune::{files, table};
use edgegrad::experiments::{Progress, available_threads};
use std::path::PathBuf;

/// Compare methods of tuning, each at the best of its learning rates, over seeds
///
/// Learning rates are chosen on development examples by task gain plus retention; the table is of
/// test examples. A grid that was stopped goes on where it was.
#[derive(Debug, Args)]
pub(super) struct TuneCompare {
    /// The grid: model, seeds, [common] settings and [[methods]]
    #[arg(value_name = "CONFIG.toml")]
    config: PathBuf,
    /// Where the runs are kept; runs/NAME for the grid NAME.toml unless given
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Threads to use; all of them unless given. The results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
}

impl TuneCompare {
    pub(super) fn run(&self) -> Result<()> {
        let grid = Grid::read(&self.config)?;
        let (base, _) = files::read_base(&grid.model)?;
        let out = self.out.clone().unwrap_or_else(|| {
            PathBuf::from("runs").join(self.config.file_stem().unwrap_or("grid".as_ref()))
        });
        let threads = self.threads.map_or_else(available_threads, |n| n as usize);
        let progress = Progress::new(grid.updates());
        let result = compare(&grid, &base, &out, threads, &progress);
        progress.finish();
        let comparison = result?;
        print!("{}", table(&comparison));
        let file = out.join("comparison.json");
        comparison.write(&file)?;
        println!("figures: {}", file.display());
        Ok(())
    }
}
