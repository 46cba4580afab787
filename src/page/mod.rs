//! One self-contained page of anything the other commands wrote, and the same page live.
//!
//! | file | concept |
//! | --- | --- |
//! | `data`, `edges`, `look`, `pretraining`, `spikes`, `tuning`, `weights`, `thin`, `pack` | what the page carries, as JSON and as packed numbers |
//! | `page`, `script`, `digest` | the page around them, its script linked from modules, its content policy |
//! | `watch`, `request`, `fingerprint` | the page of a running training: served, asked for, out of date |
#![forbid(unsafe_code)]

mod data;
mod digest;
mod edges;
mod fingerprint;
mod html;
mod look;
mod pack;
mod pretraining;
mod request;
mod script;
mod spikes;
mod thin;
mod tuning;
mod watch;
mod weights;

use crate::error::{Error, Result};
use crate::results::Sources;
use std::path::{Path, PathBuf};

pub use watch::Watch;

/// Reads [sources](Sources::read) and writes their page to `out` as one self-contained HTML file,
/// with the weights of this seed, or of the first one that tells the arms apart.
///
/// The file appears under its name only when it is whole: it is written beside it and renamed.
///
/// # Errors
/// When a path is not there or holds nothing that is known, when no run has the seed, or when `out`
/// cannot be written. Damaged parts of a run are no errors: the page lists them.
pub fn write_page(paths: &[PathBuf], seed: Option<u64>, out: &Path) -> Result<()> {
    let sources = Sources::read(paths)?;
    let mut seeds: Vec<u64> =
        sources.arms.iter().flat_map(|arm| &arm.runs).filter_map(|run| run.seed).collect();
    if let Some(seed) = seed.filter(|seed| !seeds.contains(seed)) {
        seeds.sort_unstable();
        seeds.dedup();
        let help = match seeds[..] {
            [] => "leave it out: there are no runs of training here".into(),
            [one] => format!("the only seed here is {one}"),
            [first, .., last] => format!("there are {} seeds, from {first} to {last}", seeds.len()),
        };
        return Err(Error::input("--seed", format!("no run has seed {seed}"), help));
    }
    html::write(&sources, seed, out)
}
