//! Files of scores and circuits as arguments.

use edgegrad::attribution::Convention;
use edgegrad::checkpoints;
use edgegrad::discovery::connect::Flow;
use edgegrad::error::{Error, Result};
use edgegrad::formats::EdgeFile;
use edgegrad::graph::Graph;
use std::path::Path;

/// Scores as they were found, and as they are ranked.
pub(super) struct Scored {
    /// `[E]`, in the convention of their origin.
    pub(super) given: Vec<f64>,
    /// `[E]`, positive where the metric falls without the edge.
    pub(super) ours: Vec<f64>,
    /// The convention of their origin.
    pub(super) convention: Convention,
    /// Where they come from.
    pub(super) origin: String,
}

impl Scored {
    /// Reads scores, and says how many are missing; `told` is the convention of a file that does not
    /// name its own.
    pub(super) fn read(
        path: &Path,
        graph: &Graph,
        told: Option<Convention>,
        model: &Path,
    ) -> Result<Scored> {
        let file = EdgeFile::read(path)?;
        let given = graph.scores_in(&file)?;
        warn_other_model(&file, path, model)?;
        let convention = file.convention(told)?;
        file.warn_neurons();
        let unscored = given.iter().filter(|s| s.is_nan()).count();
        if unscored == given.len() {
            let help = "give a file that `attribute` wrote, or a circuit with scores";
            return Err(Error::input(path.display(), "has no scores", help));
        }
        if unscored > 0 {
            println!("{unscored} of {} edges have no score: they come last", given.len());
        }
        let ours = given.iter().map(|&s| convention.and_ours(s)).collect();
        Ok(Scored { given, ours, convention, origin: path.display().to_string() })
    }
}

/// Warns if a file says that it was made with another model.
pub(super) fn warn_other_model(file: &EdgeFile, path: &Path, model: &Path) -> Result<()> {
    if let Some(hash) = file.meta_text("model")
        && hash != checkpoints::hash(model)?
    {
        eprintln!("warning: {}: is of another model than {}", path.display(), model.display());
    }
    Ok(())
}

/// Warns of edges that are on no path from the input to the logits.
pub(super) fn warn_disconnected(flow: &Flow<'_>, kept: &[bool]) {
    let count = |list: &[bool]| list.iter().filter(|&&kept| kept).count();
    let (all, connected) = (count(kept), count(&flow.connected(kept)));
    if connected < all {
        eprintln!(
            "warning: {} of {all} edges are on no path from the input to the logits; `discover \
             --connected` drops them",
            all - connected
        );
    }
}
