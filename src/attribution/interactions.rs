//! Second-order interactions: the joint effect of two edges beyond the sum of their own.
//!
//! ```text
//! H[i, j] = d2 metric / d m_i d m_j     at masks of 1
//! I[i, j] = M - M(without i) - M(without j) + M(without both)
//! ```
//!
//! `H` is the limit of `I` for small changes of both masks. It comes from dual numbers in the
//! reverse pass: with tangent 1 on mask `i`, the tangent of the gradient is row `i` of `H`,
//! exactly. `I` comes from activation patching.
//!
//! Let `L` be the effect of largest magnitude among `M - M(without i)`, `M - M(without j)` and
//! `M - M(without both)`. If both edges are needed, all three are equal and `I = L`. If either
//! suffices, the first two are 0 and `I = -L`. If their effects add up, `I = 0`. So a pair is
//! *joint* if `I / L` is above a threshold and *redundant* if it is below the negative threshold.
//! Unless one edge raises the metric and the other lowers it, both by more than the threshold's
//! share of `L`: then neither is needed for the other, and the pair is *opposed*.

pub mod request;

use super::Progress;
use crate::checkpoints::AnyModel;
use crate::error::Result;
use crate::graph::MaskShape;
use crate::nn::transformer;
use crate::patching::behaviour::{Baseline, Behaviour};
use crate::patching::probe::Probe;
use crate::patching::subsets::values;
use crate::tensor::{Dual, Element};

/// The relation of two edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Both are needed.
    Joint,
    /// Either suffices.
    Redundant,
    /// One raises the metric, the other lowers it, and not by what each does alone.
    Opposed,
    /// Their effects add up.
    Additive,
}

impl Relation {
    /// The name in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Relation::Joint => "joint",
            Relation::Redundant => "redundant",
            Relation::Opposed => "opposed",
            Relation::Additive => "additive",
        }
    }
}

/// The effects of ablating two edges, each alone and both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patched {
    /// The first edge.
    pub i: usize,
    /// The second.
    pub j: usize,
    /// `M - M(without i)`.
    pub without_i: f64,
    /// `M - M(without j)`.
    pub without_j: f64,
    /// `M - M(without both)`.
    pub without_both: f64,
}

impl Patched {
    /// `I[i, j]`.
    pub fn interaction(&self) -> f64 {
        self.without_i + self.without_j - self.without_both
    }

    /// The relation, for a threshold on `|I|` relative to the largest of the three effects.
    pub fn relation(&self, threshold: f64) -> Relation {
        let effects = [self.without_i, self.without_j, self.without_both];
        let largest = effects.into_iter().max_by(|a, b| a.abs().total_cmp(&b.abs()));
        // -I: the effect of both together beyond the sum of their own.
        let largest = largest.unwrap_or(0.0);
        let beyond = -self.interaction() / largest;
        let (one, other) = (self.without_i / largest, self.without_j / largest);
        let opposed = one.min(other) < -threshold && one.max(other) > threshold;
        match beyond {
            _ if beyond.abs() > threshold && opposed => Relation::Opposed,
            _ if beyond > threshold => Relation::Redundant,
            _ if beyond < -threshold => Relation::Joint,
            _ => Relation::Additive,
        }
    }
}

/// Rows of the Hessian of the mean metric by the masks, `[rows, E]`.
///
/// # Errors
/// Those of the behaviour in dual numbers.
pub fn hessian(
    b: &Behaviour<'_, f64>,
    rows: &[usize],
    progress: &mut Progress<'_>,
) -> Result<Vec<Vec<f64>>> {
    let model = dual(b.model);
    let mut b2 = Behaviour::new(&model, b.graph.clone(), b.pairs, b.question, b.baseline)?;
    (b2.rows, b2.journal) = (b.rows, b.journal.clone());
    if matches!(b.baseline, Baseline::Constant | Baseline::Optimal) {
        let dual = |row: &Vec<f64>| row.iter().map(|&x| Dual::from_f64(x)).collect();
        b2.set_constants(b.constants().iter().map(dual).collect());
    }
    let edges = b.graph.edges();
    let mut work = b.journal.units("hessian", || vec![vec![0.0; edges]; rows.len()]);
    let mut done = 0.0;
    b2.batches(Some(MaskShape::default()), |probe, pairs| {
        probe.set_masks(Dual::ONE);
        probe.set_baselines(&b2, pairs);
        for (at, &i) in rows.iter().enumerate() {
            done += pairs.len() as f64 * b.weight() / rows.len() as f64;
            if work.is_done() {
                continue;
            }
            probe.set_mask(0, i, Dual::new(1.0, 1.0));
            probe.program.forward();
            probe.backward();
            add_tangents(probe, &mut work.state[at]);
            probe.set_mask(0, i, Dual::ONE);
            progress(done);
            work.finish()?;
        }
        Ok(())
    })?;
    Ok(work.state)
}

fn add_tangents(probe: &Probe<Dual<f64>>, row: &mut [f64]) {
    for (edges, gradient) in probe.mask_gradients_of(0) {
        row[edges].iter_mut().zip(gradient).for_each(|(r, g)| *r += g.tangent);
    }
}

/// The same model in dual numbers without a tangent.
fn dual(model: &AnyModel<f64>) -> AnyModel<Dual<f64>> {
    match model {
        AnyModel::Transformer(m) => AnyModel::Transformer(transformer::Model {
            config: m.config.clone(),
            weights: m.weights.iter().map(|w| w.map(Dual::from_f64).share()).collect(),
        }),
        AnyModel::Pooled { config, weights } => AnyModel::Pooled {
            config: config.clone(),
            weights: weights
                .iter()
                .map(|w| w.iter().map(|&x| Dual::from_f64(x)).collect())
                .collect(),
        },
    }
}

/// The effects of pairs of edges by activation patching: each alone, and both.
///
/// # Errors
/// Those of the behaviour's runs.
pub fn patched<T: Element>(
    b: &Behaviour<'_, T>,
    pairs: &[(usize, usize)],
    progress: &mut Progress<'_>,
) -> Result<Vec<Patched>> {
    // Set 0 has all edges; then three sets for each pair.
    let member = |s: usize, e: usize| {
        if s == 0 {
            return true;
        }
        let (i, j) = pairs[(s - 1) / 3];
        match (s - 1) % 3 {
            0 => e != i,
            1 => e != j,
            _ => e != i && e != j,
        }
    };
    let values = values(b, 1 + 3 * pairs.len(), member, progress)?;
    let falls = |(&(i, j), v): (&(usize, usize), &[f64])| Patched {
        i,
        j,
        without_i: values[0] - v[0],
        without_j: values[0] - v[1],
        without_both: values[0] - v[2],
    };
    Ok(pairs.iter().zip(values[1..].chunks_exact(3)).map(falls).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_of_known_effects() {
        for (without_i, without_j, without_both, relation) in [
            (1.0, 1.0, 1.0, Relation::Joint),
            (-1.0, -1.0, -1.0, Relation::Joint),
            (0.0, 0.0, 1.0, Relation::Redundant),
            (0.5, 0.5, 1.0, Relation::Additive),
            // They cancel as their sum says, and by more and less than that.
            (1.0, -1.0, 0.0, Relation::Additive),
            (1.0, -0.5, 0.0, Relation::Opposed),
            (1.0, -0.5, 1.0, Relation::Opposed),
            // An effect below the threshold has no sign.
            (1.0, -0.05, 0.5, Relation::Joint),
            (0.0, 0.0, 0.0, Relation::Additive),
        ] {
            let found = Patched { i: 0, j: 1, without_i, without_j, without_both };
            assert_eq!(found.relation(0.1), relation, "{found:?}");
        }
    }
}
