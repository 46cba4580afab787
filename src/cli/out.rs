//! Where a result goes: the file `--out`, or standard output for `-`.

use crate::cli::print;
use edgegrad::error::{Error, Result};
use edgegrad::files::atomic;
use std::path::Path;

/// How the names of files end that make up the folder of a model or of a run.
const OF_FOLDERS: [&str; 8] = [
    ".safetensors",
    ".safetensors.index.json",
    "config.json",
    "vocab.json",
    "tokenizer.json",
    ".toml",
    "metrics.jsonl",
    "report.json",
];

/// Whether `out` can be written and is none of `inputs`, nor a file that makes up one of the folders
/// among them; asked before the work whose result it is to hold. If it is `-`, nothing else is
/// printed from now on.
///
/// # Errors
/// If it cannot be written, or would overwrite what is read.
pub(super) fn check_out<P: AsRef<Path>>(
    out: &Path,
    inputs: impl IntoIterator<Item = P>,
) -> Result<()> {
    if out == Path::new("-") {
        return print::leave_to_result();
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
    }
    atomic::check_file(out)
}
