//! Where a result goes: the file `--out`, or standard output for `-`.

use crate::cli::print;
use clap::Args;
use edgegrad::error::{Error, Result};
use edgegrad::files::{atomic, mark};
use edgegrad::ranks;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// How the names of files end that make up the folder of a model or of a run.
const OF_FOLDERS: [&str; 10] = [
    ".safetensors",
    ".safetensors.index.json",
    "config.json",
    "vocab.json",
    "tokenizer.json",
    ".toml",
    "metrics.jsonl",
    "report.json",
    "results.jsonl",
    "results.parquet",
];

/// Whether a file that is there may be replaced.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Force {
    /// Replace the file of --out even if edgegrad has not written it
    #[arg(long)]
    pub(super) force: bool,
}

/// Whether `out` can be written and is none of `inputs`, nor a file that makes up one of the
/// folders among them, nor holds what edgegrad has not written unless `force` says that it may be
/// replaced; asked before the work whose result it is to hold. If it is `-`, nothing else is
/// printed from now on.
///
/// # Errors
/// If it cannot be written, or would overwrite what is read.
pub(super) fn check_out<P: AsRef<Path>>(
    out: &Path,
    force: Force,
    inputs: impl IntoIterator<Item = P>,
) -> Result<()> {
    if out == Path::new("-") {
        return print::leave_to_result();
    }
    if !ranks::writes() {
        return Ok(());
    }
    // Through links and whatever names there are for one file; one that is not there is no input.
    if let Ok(found) = out.canonicalize() {
        let part = OF_FOLDERS.iter().any(|ending| found.to_string_lossy().ends_with(ending));
        let reads = |input: P| match input.as_ref().canonicalize() {
            Ok(input) => input == found || part && found.starts_with(input),
            Err(_) => false,
        };
        if inputs.into_iter().any(reads) {
            let message = "is read by this command, so it is not overwritten";
            return Err(Error::input(out.display(), message, "choose another --out"));
        }
        if !force.force {
            foreign(out)?;
        }
    }
    atomic::check_file(out)
}

/// Whether a folder that is there may be replaced.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct ForceFolder {
    /// Replace the folder of --out if edgegrad has written all that is in it
    #[arg(long)]
    pub(super) force: bool,
}

/// Refuses a list of files or folders that names one twice, through links and whatever names there
/// are: it would count twice.
pub(super) fn each_once(paths: &[PathBuf]) -> Result<()> {
    let mut seen = HashSet::new();
    let real = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
    match paths.iter().find(|path| !seen.insert(real(path))) {
        Some(path) => Err(Error::input(path.display(), "is given twice", "name it once")),
        None => Ok(()),
    }
}

/// Refuses a file with content that does not bear edgegrad's mark.
fn foreign(out: &Path) -> Result<()> {
    let fail = |e: std::io::Error| Error::io(out, &e, "read");
    let there = out.metadata().map_err(fail)?;
    // Into devices and pipes is written; an empty file is a name that somebody has made.
    if !there.is_file() || there.len() == 0 || mark::is_ours(out).map_err(fail)? {
        return Ok(());
    }
    let message = "is there, and edgegrad has not written it";
    Err(Error::input(out.display(), message, "choose another --out, or replace it by --force"))
}
