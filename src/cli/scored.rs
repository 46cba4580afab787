//! Files of scores and circuits as arguments.

use edgegrad::attribution::Convention;
use edgegrad::checkpoints;
use edgegrad::discovery::request::{Scored, check_order};
use edgegrad::error::{Error, Result};
use edgegrad::formats::EdgeFile;
use edgegrad::graph::Graph;
use serde_json::Value;
use std::path::Path;

/// Reads scores, and says how many are missing; `told` is the convention of a file that does not
/// name its own.
pub(super) fn read(
    path: &Path,
    graph: &Graph,
    told: Option<Convention>,
    model: &Path,
) -> Result<Scored> {
    of(&EdgeFile::read(path)?, path, graph, told, model)
}

/// As [`read`], of a file that is read.
pub(super) fn of(
    file: &EdgeFile,
    path: &Path,
    graph: &Graph,
    told: Option<Convention>,
    model: &Path,
) -> Result<Scored> {
    let given = graph.scores_in(file)?;
    file.warn_other_model(model, || checkpoints::hash(model))?;
    let convention = file.convention(told)?;
    file.warn_neurons();
    let unscored = given.iter().filter(|s| s.is_nan()).count();
    if unscored == given.len() {
        let help = "give a file that `attribute` wrote, or a circuit with scores";
        return Err(Error::input(path.display(), "has no scores", help));
    }
    check_order(&given).map_err(|e| e.within(path.display()))?;
    if unscored > 0 {
        println!("{unscored} of {} edges have no score: they come last", given.len());
    }
    let ours = given.iter().map(|&s| convention.and_ours(s)).collect();
    Ok(Scored { given, ours, convention, origin: path.display().to_string() })
}

/// Takes the rank of edges whose score has its sign in less than the share `least` of resamples,
/// as `file`, of which they are, says; tells how many these are: they come last.
pub(super) fn doubt(
    scored: &mut Scored,
    mut file: EdgeFile,
    graph: &Graph,
    least: f64,
) -> Result<()> {
    if !(0.0..=1.0).contains(&least) {
        let message = format!("must lie between 0 and 1, got {least}");
        return Err(Error::input("--same-sign", message, "give a share such as 0.95"));
    }
    for (_, entry) in &mut file.edges {
        entry.score = entry.rest.get("same_sign").and_then(Value::as_f64);
    }
    let shares = graph.scores_in(&file)?;
    if shares.iter().all(|share| share.is_nan()) {
        let message = "does not say how sure the signs of its scores are";
        let help = "give a file of `attribute --bootstrap R`";
        return Err(Error::input(&scored.origin, message, help));
    }
    let unsure: Vec<usize> = (0..shares.len()).filter(|&e| shares[e] < least).collect();
    unsure.iter().for_each(|&e| scored.ours[e] = f64::NAN);
    println!("{} of {} edges have no sure sign: they come last", unsure.len(), shares.len());
    Ok(())
}
