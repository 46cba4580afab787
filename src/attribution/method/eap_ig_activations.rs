//! EAP-IG along activations: the outputs of the input, of the heads of a layer and of each MLP are
//! moved in turn from the baseline to their clean value, and the derivatives at all points are
//! averaged.
//!
//! ```text
//! o_w(k)      = b_w + k/m (o_w - b_w)                                   for one part w at a time
//! score[r, u] = mean over w, k = 1..m of <d metric / d x_r at o_w(k), o_u - b_u>
//! ```
//!
//! The part that is moved is a constant: readers before it only matter through other paths.

use super::again::Again;
use super::options::Options;
use super::quadrature::Quadrature;
use super::scorer::{Scorer, Steps};
use crate::attribution::scores::Scores;
use crate::error::Result;
use crate::formats::pairs::Pair;
use crate::patching::Progress;
use crate::patching::batches::{Pass, Put, plus};
use crate::patching::behaviour::Behaviour;
use crate::patching::cost::BACKWARD;
use crate::patching::metric::Metric;
use crate::patching::probe::{Probe, difference};
use crate::simd::Element;

/// [`scores`] as a value of [`Method`](super::Method).
pub(super) struct EapIgActivations;

impl Scorer for EapIgActivations {
    // A squared distance from the clean run has no slope there.
    const USUAL_METRIC: Option<Metric> = Some(Metric::LogitDiff);
    const STEPS: Option<Steps> = Some(Steps { usual: 5, what: "steps", grows: false });
    // As EAP-IG does: with the clean end, which it leaves out along the embedding.
    const RULE: Quadrature = Quadrature::Right;
    const DERIVES: bool = true;
    const RUNS_BOTH: bool = true;
    const DIVIDED: bool = true;
    const OTHER_WAY: Option<&'static str> = Some("by differences");

    fn scores<T: Element>(
        b: &Behaviour<'_, T>,
        options: &Options,
        progress: &mut Progress<'_>,
    ) -> Result<Scores> {
        scores(b, options.steps, options.rule, progress)
    }

    fn passes<T: Element>(b: &Behaviour<'_, T>, options: &Options) -> f64 {
        // What depends on a part is half of the model in the mean.
        let passes = options.steps * b.graph.sources.len();
        0.5 * passes as f64 * (1.0 + BACKWARD)
    }

    fn again<T: Element>(again: &mut Again<'_, T>) {
        let parts = again.probe.recorded.graph.sources.len();
        for w in 0..parts {
            again.probe.run_clean(again.pairs);
            again.lead(&[w], |again, weight, fixed| {
                again.slopes(weight / parts as f64, 1.0, fixed);
            });
        }
    }
}

/// The scores of all edges, `[E]`, from `steps` steps for each part.
///
/// # Errors
/// Those of the behaviour's runs.
///
/// # Panics
/// If there are no steps.
pub fn scores<T: Element>(
    b: &Behaviour<'_, T>,
    steps: usize,
    rule: Quadrature,
    progress: &mut Progress<'_>,
) -> Result<Scores> {
    assert!(steps > 0, "no steps");
    let (edges, parts) = (b.graph.edges(), b.graph.sources.len());
    let mut work = b.journal.units("eap-ig-activations", || vec![0.0; edges]);
    let points = rule.points(steps);
    let each = |probe: &mut Probe<T>, pairs: &[&Pair], before: usize, put: &mut Put<'_, _>| {
        let baselines = probe.run_clean_beside_baselines(b, pairs);
        let beyond = difference(&probe.outputs(), &baselines);
        let wanted = probe.recorded.wanted();
        for w in before / points.len()..parts {
            let before = before.saturating_sub(w * points.len());
            let x = probe.recorded.outputs[w].var();
            let forward = probe.program.plan_forward(&[x]);
            let total = probe.measured.total;
            let backward = probe.program.plan_backward_above(total, &wanted, &[x]).by(b.rules);
            for &(alpha, weight) in &points[before..] {
                probe.lead(w, alpha, &baselines, &beyond);
                probe.program.forward_from(&forward);
                probe.program.backward(&backward);
                let mut part = vec![0.0; edges];
                probe.recorded.contract(&probe.program, &beyond, &mut part);
                part.iter_mut().for_each(|p| *p = weight * *p / parts as f64);
                put(part)?;
            }
            // Restores the clean run.
            probe.run_clean(pairs);
        }
        Ok(())
    };
    let units = (&mut work, parts * points.len());
    b.add_up(Pass::Any(None), units, progress, each, plus)?;
    Ok(Scores::of(work.state))
}
