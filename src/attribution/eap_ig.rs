//! EAP with integrated gradients (Hanna, Pezzelle and Belinkov 2024): the derivative averaged along
//! the straight way of the input's embedding from the baseline to the clean sequence.
//!
//! ```text
//! input(k)    = b + alpha_k (clean - b)
//! score[r, u] = mean over k of <d metric / d x_r at input(k), o_u - b_u>
//! ```
//!
//! The direction is the full difference at every point while the way leads through the embedding, so
//! the scores of edges into the logits are not an integral along their own way and nothing makes
//! all scores add up. [`mask_ig`](super::mask_ig) has a way where they do.

use super::{Progress, Scores};
use crate::error::Result;
use crate::named::named;
use crate::patching::behaviour::Behaviour;
use crate::patching::probe::difference;
use crate::simd::Element;
use crate::tape::Var;

named! {
    /// At which points of [0, 1] the derivative is taken, and with which weights.
    Rule {
        /// `0, 1/m, .., (m-1)/m`: with the baseline and without the clean end, as EAP-IG does.
        #[default]
        Left = "left",
        /// `1/m, .., 1`: with the clean end.
        Right = "right",
        /// `1/2m, 3/2m, ..`.
        Midpoint = "midpoint",
        /// `0, 1/m, .., 1`, both ends by half.
        Trapezoid = "trapezoid",
    }
}

impl Rule {
    /// The points of `steps` steps with their weights, which add up to 1.
    pub fn points(self, steps: usize) -> Vec<(f64, f64)> {
        let (m, weight) = (steps as f64, 1.0 / steps as f64);
        let even = |shift: f64| (0..steps).map(|k| ((k as f64 + shift) / m, weight)).collect();
        match self {
            Rule::Left => even(0.0),
            Rule::Right => even(1.0),
            Rule::Midpoint => even(0.5),
            Rule::Trapezoid => {
                let end = |k: usize| if k == 0 || k == steps { 0.5 } else { 1.0 };
                (0..=steps).map(|k| (k as f64 / m, weight * end(k))).collect()
            }
        }
    }
}

/// The scores of all edges, `[E]`, from `steps` steps.
///
/// # Errors
/// None of its own.
///
/// # Panics
/// If there are no steps.
pub fn scores<T: Element>(
    b: &Behaviour<'_, T>,
    steps: usize,
    rule: Rule,
    progress: &mut Progress<'_>,
) -> Result<Scores> {
    assert!(steps > 0, "no steps");
    let mut scores = vec![0.0; b.graph.edges()];
    let inputs = b.graph.inputs();
    let mut done = 0;
    b.batches(None, |probe, pairs| {
        // What does not depend on the input's embedding, such as positions, stays clean below.
        let baselines = probe.run_clean_beside_baselines(b, pairs);
        let beyond = difference(&probe.outputs(), &baselines);
        let vars: Vec<Var> = probe.recorded.outputs[..inputs].iter().map(|o| o.var()).collect();
        let plan = probe.program.plan_forward(&vars);
        for (alpha, weight) in rule.points(steps) {
            (0..inputs).for_each(|w| probe.lead(w, alpha, &baselines, &beyond));
            probe.program.forward_from(&plan);
            probe.backward();
            let mut part = vec![0.0; scores.len()];
            probe.recorded.contract(&probe.program, &beyond, &mut part);
            scores.iter_mut().zip(part).for_each(|(s, p)| *s += weight * p);
        }
        done += pairs.len();
        progress(done as f64 * b.weight());
        Ok(())
    })?;
    Ok(Scores::of(scores))
}
