//! `edgegrad merge`.

use crate::cli::out::each_once;
use crate::cli::print::note;
use clap::Args;
use edgegrad::error::{Error, Result};
use edgegrad::experiments::sweep::merge;
use edgegrad::experiments::train::Existing;
use edgegrad::named::counted;
use std::path::PathBuf;

/// Make one file of results out of those of shards
///
/// Shards of one folder leave a file of results each; those of several folders also their runs,
/// which are copied.
#[derive(Debug, Args)]
pub(super) struct Merge {
    /// The folders of a sweep
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,
    /// The folder of the merged sweep; the folder itself if there is one
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace the sweep in the folder of --out, if it is none of DIR
    #[arg(long, requires = "out")]
    force: bool,
}

impl Merge {
    pub(super) fn run(&self) -> Result<()> {
        let out = match (&self.out, &self.folders[..]) {
            (Some(out), _) => out,
            (None, [folder]) => folder,
            _ => {
                let help = "name the folder of the merged sweep";
                return Err(Error::input("--out", "is missing for several folders", help));
            }
        };
        if let Some(folder) = self.folders.iter().find(|folder| !folder.is_dir()) {
            let help = "give the folders that `edgegrad sweep` has written into";
            return Err(Error::input(folder.display(), "is no folder", help));
        }
        each_once(&self.folders)?;
        let existing = if self.force { Existing::Replace } else { Existing::Refuse };
        let all = merge(&self.folders, out, existing)?;
        note("runs", all.rows.len());
        println!("{} in {}", counted(all.rows.len(), "run"), out.display());
        Ok(())
    }
}
