//! The mean of the derivatives at both ends of the way from the clean to the corrupted sequence
//! (EAP-IG's `clean-corrupted`): two points of a trapezoid where [`eap`](super::eap) has one.

use super::{Progress, Scores};
use crate::error::Result;
use crate::patching::behaviour::Behaviour;
use crate::patching::probe::difference;
use crate::simd::Element;

/// The scores of all edges, `[E]`.
///
/// # Errors
/// None of its own.
pub fn scores<T: Element>(b: &Behaviour<'_, T>, progress: &mut Progress<'_>) -> Result<Scores> {
    let mut scores = vec![0.0; b.graph.edges()];
    let mut done = 0;
    b.batches(None, |probe, pairs| {
        let baselines = probe.run_clean_beside_baselines(b, pairs);
        let beyond = difference(&probe.outputs(), &baselines);
        probe.backward();
        probe.recorded.contract(&probe.program, &beyond, &mut scores);
        probe.run_corrupted(pairs);
        probe.backward();
        probe.recorded.contract(&probe.program, &beyond, &mut scores);
        done += pairs.len();
        progress(done as f64 * b.weight());
        Ok(())
    })?;
    scores.iter_mut().for_each(|s| *s *= 0.5);
    Ok(Scores::of(scores))
}
