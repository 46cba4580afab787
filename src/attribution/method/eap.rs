//! Edge attribution patching (Syed, Rager and Conmy 2023): the derivative of the metric by each
//! edge's mask at the clean run, where all masks are 1.
//!
//! ```text
//! score[r, u] = <d metric / d x_r, o_u - b_u>
//! ```
//!
//! It is exact where the model is linear, and blind where the metric is flat at the clean run:
//! behind a saturated softmax, or where either of two edges suffices.

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
pub(super) struct Eap;

impl Scorer for Eap {
    // A squared distance from the clean run has no slope there.
    const USUAL_METRIC: Option<Metric> = Some(Metric::LogitDiff);
    const AT_CLEAN: bool = true;
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
        2.0 + BACKWARD
    }

    fn again<T: Element>(again: &mut Again<'_, T>) {
        again.slopes(1.0, 1.0, &[]);
    }
}

/// The scores of all edges, `[E]`.
///
/// # Errors
/// Those of the behaviour's runs.
pub fn scores<T: Element>(b: &Behaviour<'_, T>, progress: &mut Progress<'_>) -> Result<Scores> {
    let edges = b.graph.edges();
    let mut work = b.journal.units("eap", || vec![0.0; edges]);
    let one = (&mut work, 1);
    b.add_up(
        Pass::Whole,
        one,
        progress,
        |probe, pairs, _, put| {
            let baselines = probe.run_clean_beside_baselines(b, pairs);
            let beyond = probe.beyond(baselines);
            probe.backward();
            let mut part = vec![0.0; edges];
            probe.recorded.contract(&probe.program, &beyond, &mut part);
            put(part)
        },
        plus,
    )?;
    Ok(Scores::of(work.state))
}
