//! The mean of the derivatives at both ends of the path from the clean to the corrupted sequence
//! (EAP-IG's `clean-corrupted`): two points of a trapezoid where [`eap`](super::eap) has one.

use super::again::Again;
use super::options::Options;
use super::scorer::Scorer;
use crate::attribution::scores::Scores;
use crate::error::Result;
use crate::patching::Progress;
use crate::patching::batches::{Pass, plus};
use crate::patching::behaviour::Behaviour;
use crate::patching::cost::BACKWARD;
use crate::patching::metric::Metric;
use crate::simd::Element;

/// [`scores`] as a value of [`Method`](super::Method).
pub(super) struct CleanCorrupted;

impl Scorer for CleanCorrupted {
    // A squared distance from the clean run has no slope there.
    const USUAL_METRIC: Option<Metric> = Some(Metric::LogitDiff);
    const DERIVES: bool = true;
    const RUNS_BOTH: bool = true;
    const DIVIDED: bool = true;
    const OTHER_WAY: Option<&'static str> = Some("by differences");

    fn scores<T: Element>(
        b: &Behaviour<'_, T>,
        _: &Options,
        progress: &mut Progress<'_>,
    ) -> Result<Scores> {
        scores(b, progress)
    }

    fn passes<T: Element>(_: &Behaviour<'_, T>, _: &Options) -> f64 {
        3.0 + 2.0 * BACKWARD
    }

    fn again<T: Element>(again: &mut Again<'_, T>) {
        again.direct();
        again.slopes(0.5, 1.0, &[]);
        again.probe.run_corrupted(again.pairs);
        again.direct();
        again.slopes(0.5, 1.0, &[]);
    }
}

/// The scores of all edges, `[E]`.
///
/// # Errors
/// Those of the behaviour's runs.
pub fn scores<T: Element>(b: &Behaviour<'_, T>, progress: &mut Progress<'_>) -> Result<Scores> {
    let edges = b.graph.edges();
    let mut work = b.journal.units("clean-corrupted", || vec![0.0; edges]);
    let both = (&mut work, 2);
    b.add_up(
        Pass::Whole,
        both,
        progress,
        |probe, pairs, before, put| {
            let baselines = probe.run_clean_beside_baselines(b, pairs);
            let beyond = probe.beyond(baselines);
            for run in before..2 {
                if run == 1 {
                    probe.run_corrupted(pairs);
                }
                probe.backward();
                let mut part = vec![0.0; edges];
                probe.recorded.contract(&probe.program, &beyond, &mut part);
                put(part)?;
            }
            Ok(())
        },
        plus,
    )?;
    let mut scores = work.state;
    scores.iter_mut().for_each(|s| *s *= 0.5);
    Ok(Scores::of(scores))
}
