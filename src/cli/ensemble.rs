//! `edgegrad ensemble`.

use crate::cli::out::{Force, check_out, each_once};
use crate::cli::question::choice;
use clap::Args;
use edgegrad::attribution::ensemble;
use edgegrad::error::Result;
use edgegrad::formats::{Convention, EdgeFile};
use edgegrad::named::counted;
use std::path::PathBuf;

/// Average several files of scores, each divided by the sum of its |score|
#[derive(Debug, Args)]
pub(super) struct Ensemble {
    /// Scores of one model, as `attribute` writes them or EAP-IG does
    #[arg(value_name = "FILE.json", num_args = 2.., required = true)]
    files: Vec<PathBuf>,
    /// The sign of scores in a file that names none; EAP-IG's unless given
    #[arg(
        long,
        value_parser = choice::<Convention>(),
    )]
    convention: Option<Convention>,
    /// Where to write the means
    #[arg(long, value_name = "FILE.json")]
    out: PathBuf,
    #[command(flatten)]
    force: Force,
}

impl Ensemble {
    pub(super) fn run(&self) -> Result<()> {
        check_out(&self.out, self.force, self.files.iter())?;
        each_once(&self.files)?;
        let read = |path| EdgeFile::read(path)?.ours(self.convention);
        let files: Vec<EdgeFile> = self.files.iter().map(read).collect::<Result<_>>()?;
        let found = ensemble::mean(&files)?;
        found.write(&self.out)?;
        println!("{} of {} files", counted(found.edges.len(), "edge"), files.len());
        println!("scores: {}", self.out.display());
        Ok(())
    }
}
