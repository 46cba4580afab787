//! `edgegrad report`.

use crate::cli::out::{Force, check_out};
use clap::Args;
use edgegrad::error::Result;
use edgegrad::page;
use std::path::PathBuf;

/// Write one self-contained page of runs, circuits, comparisons and pairs
///
/// The page needs no network and no other file. What is damaged or missing in a run folder is named
/// on the page.
#[derive(Debug, Args)]
pub(super) struct Report {
    /// Folders that `train`, `pretrain`, `tune` or `tune-compare` wrote (or folders of these), and
    /// files of `attribute`, `discover`, `evaluate --curve`, `interactions` or `look`
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The seed whose weights through time are in the page; the first one with which the arms do
    /// not all come to the same end unless given
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The page
    #[arg(long, value_name = "FILE.html", default_value = "report.html")]
    out: PathBuf,
    #[command(flatten)]
    force: Force,
}

impl Report {
    pub(super) fn run(&self) -> Result<()> {
        check_out(&self.out, self.force, &self.runs)?;
        page::write_page(&self.runs, self.seed, &self.out)?;
        let size = std::fs::metadata(&self.out).map_or(0, |file| file.len());
        println!("{}: {:.1} MB", self.out.display(), size as f64 / 1e6);
        Ok(())
    }
}
