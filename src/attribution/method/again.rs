//! Scores by an independent method: single edges of a masked model, moved or ablated, without a
//! reverse pass and without parallel copies.

use super::options::Options;
use crate::formats::pairs::Pair;
use crate::patching::behaviour::Behaviour;
use crate::patching::probe::{Probe, difference};
use crate::simd::Element;
use crate::tape::Var;

/// A batch of pairs, the edges whose scores are computed again, and the scores so far.
pub struct Again<'p, T: Element> {
    /// The recording, with masks that all examples share.
    pub(super) probe: &'p mut Probe<T>,
    /// The pairs of the batch.
    pub(super) pairs: &'p [&'p Pair],
    /// The options of the method.
    pub(super) options: &'p Options,
    /// The steps it took, if they were not given.
    pub(super) nodes: Option<usize>,
    edges: &'p [usize],
    /// `[edges]`.
    found: &'p mut [f64],
    /// The ablation values of all parts.
    baselines: Vec<Vec<T>>,
    /// What parts add to them in the clean run.
    beyond: Vec<Vec<T>>,
}

impl<'p, T: Element> Again<'p, T> {
    /// The clean run of `pairs`, a batch of `b`, with all masks 1.
    pub(crate) fn new(
        b: &Behaviour<'_, T>,
        (probe, pairs): (&'p mut Probe<T>, &'p [&'p Pair]),
        (options, nodes): (&'p Options, Option<usize>),
        (edges, found): (&'p [usize], &'p mut [f64]),
    ) -> Self {
        probe.set_masks(T::ONE);
        probe.run_clean(pairs);
        let clean = probe.outputs();
        let baselines = probe.baselines(b, pairs);
        let beyond = difference(&clean, &baselines);
        probe.set_baselines(b, pairs);
        Again { probe, pairs, options, nodes, edges, found, baselines, beyond }
    }

    /// Adds the decrease of the metric when an edge is ablated.
    pub(super) fn ablations(&mut self) {
        let all = self.probe.total();
        for (&e, found) in self.edges.iter().zip(&mut *self.found) {
            self.probe.set_mask(0, e, T::ZERO);
            self.probe.program.forward();
            *found += all - self.probe.total();
            self.probe.set_mask(0, e, T::ONE);
        }
    }

    /// Adds `weight` times the slope of the metric by the edge's mask at `mask`. For masks of 1,
    /// what writers add beyond their baselines and the variables `fixed` are held constant.
    pub(super) fn slopes(&mut self, weight: f64, mask: f64, fixed: &[Var]) {
        for (&e, found) in self.edges.iter().zip(&mut *self.found) {
            *found += weight * slope(self.probe, e, mask, fixed);
        }
    }

    /// Replaces what writers add beyond their baselines by the directions of the clean run.
    pub(super) fn direct(&mut self) {
        direct(self.probe, &self.beyond);
    }

    /// Moves the outputs of the sources `led` from their baselines to their clean values, at the
    /// points of the options, and calls `point` at each with its weight and the moved variables.
    pub(super) fn lead(&mut self, led: &[usize], mut point: impl FnMut(&mut Self, f64, &[Var])) {
        let vars: Vec<Var> = led.iter().map(|&w| self.probe.recorded.outputs[w].var()).collect();
        let plan = self.probe.program.plan_forward(&vars);
        for (alpha, weight) in self.options.rule.points(self.options.steps) {
            led.iter().for_each(|&w| self.probe.lead(w, alpha, &self.baselines, &self.beyond));
            self.probe.program.forward_from(&plan);
            self.direct();
            point(self, weight, &vars);
        }
    }
}

/// Replaces what writers add beyond their baselines by fixed directions.
fn direct<T: Element>(probe: &mut Probe<T>, beyond: &[Vec<T>]) {
    let graph = &probe.recorded.graph;
    for (i, beyond) in beyond.iter().enumerate() {
        let (output, delta) = (probe.recorded.outputs[i], probe.recorded.deltas[i]);
        let width = graph.d_model;
        let writers = graph.sources[i].writers.len();
        let numbers: Vec<T> = match output {
            crate::graph::Output::Whole(_) => beyond.clone(),
            crate::graph::Output::Parts { w, .. } => {
                let w = probe.program.value(w);
                let k = w.len() / width / writers;
                let rows = beyond.len() / (writers * k);
                let number = |at: usize| {
                    let (u, row, j) = (at / (rows * width), at / width % rows, at % width);
                    let z = &beyond[(row * writers + u) * k..][..k];
                    let w = w[u * k * width + j..].iter().step_by(width);
                    z.iter().zip(w).map(|(&z, &w)| z * w).sum()
                };
                (0..writers * rows * width).map(number).collect()
            }
        };
        probe.program.value_mut(delta).copy_from_slice(&numbers);
    }
}

/// The slope of the metric by the mask of edge `e` at `mask`, by a difference of fourth order. For
/// masks of 1, what writers add beyond their baselines and the variables `fixed` are held constant.
fn slope<T: Element>(probe: &mut Probe<T>, e: usize, mask: f64, fixed: &[Var]) -> f64 {
    let (group, ..) = probe.recorded.graph.place(e);
    let mut plan = probe.plan_for(group).without(&probe.program, fixed);
    if mask == 1.0 {
        plan = plan.without(&probe.program, &probe.recorded.idle);
    }
    // The fifth root of the rounding error balances it with the error of order h^4.
    let h = T::EPSILON.powf(0.2);
    let mut at = |shift: f64| {
        probe.set_mask(0, e, T::from_f64(mask + shift));
        probe.program.forward_from(&plan);
        probe.total()
    };
    let [a, b, c, d] = [-2.0 * h, -h, h, 2.0 * h].map(&mut at);
    at(0.0);
    (a - d + 8.0 * (c - b)) / (12.0 * h)
}
