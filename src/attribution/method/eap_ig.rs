//! EAP with integrated gradients (Hanna, Pezzelle and Belinkov 2024): the derivative averaged along
//! the straight path of the input's embedding from the baseline to the clean sequence.
//!
//! ```text
//! input(k)    = b + alpha_k (clean - b)
//! score[r, u] = mean over k of <d metric / d x_r at input(k), o_u - b_u>
//! ```
//!
//! The direction is the full difference at every point while the path leads through the embedding.
//! So the scores of edges into the logits are not an integral along their own path, and nothing
//! makes all scores sum to the total effect. [`mask_ig`](super::mask_ig) has a path where they do.

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
use crate::patching::probe::Probe;
use crate::simd::Element;
use crate::tape::Var;

/// [`scores`] as a value of [`Method`](super::Method).
pub(super) struct EapIg;

impl Scorer for EapIg {
    // A squared distance from the clean run has no slope there.
    const USUAL_METRIC: Option<Metric> = Some(Metric::LogitDiff);
    const STEPS: Option<Steps> = Some(Steps { usual: 5, what: "steps", grows: false });
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

    fn passes<T: Element>(_: &Behaviour<'_, T>, options: &Options) -> f64 {
        options.steps as f64 * (1.0 + BACKWARD)
    }

    fn again<T: Element>(again: &mut Again<'_, T>) {
        let all: Vec<usize> = (0..again.probe.recorded.graph.inputs()).collect();
        again.lead(&all, |again, weight, _| again.slopes(weight, 1.0, &[]));
    }
}

/// The scores of all edges, `[E]`, from `steps` steps.
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
    let (edges, inputs) = (b.graph.edges(), b.graph.inputs());
    let mut work = b.journal.units("eap-ig", || vec![0.0; edges]);
    let points = rule.points(steps);
    let each = |probe: &mut Probe<T>, pairs: &[&Pair], before: usize, put: &mut Put<'_, _>| {
        // What does not depend on the input's embedding, such as positions, stays clean below.
        let baselines = probe.run_clean_beside_baselines(b, pairs);
        let starts = baselines[..inputs].to_vec();
        let beyond = probe.beyond(baselines);
        let vars: Vec<Var> = probe.recorded.outputs[..inputs].iter().map(|o| o.var()).collect();
        let plan = probe.program.plan_forward(&vars);
        for &(alpha, weight) in &points[before..] {
            (0..inputs).for_each(|w| probe.lead(w, alpha, &starts, &beyond));
            probe.program.forward_from(&plan);
            probe.backward();
            let mut part = vec![0.0; edges];
            probe.recorded.contract(&probe.program, &beyond, &mut part);
            part.iter_mut().for_each(|p| *p *= weight);
            put(part)?;
        }
        Ok(())
    };
    b.add_up(Pass::Whole, (&mut work, points.len()), progress, each, plus)?;
    Ok(Scores::of(work.state))
}
