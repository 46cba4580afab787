//! Scores computed again by another way: single edges of a masked model, moved or removed, without a
//! reverse pass and without copies side by side.

use super::Progress;
use super::eap_ig::Rule;
use super::mask_ig::gauss_legendre;
use super::method::{Method, Options};
use crate::error::Result;
use crate::graph::MaskShape;
use crate::patching::behaviour::Behaviour;
use crate::patching::probe::{Probe, difference};
use crate::rng::{Purpose, Rng};
use crate::simd::Element;
use crate::tape::Var;

/// An edge with its score by the method and by the other way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Check {
    /// The edge.
    pub edge: usize,
    /// Its score.
    pub score: f64,
    /// The score computed again.
    pub again: f64,
}

/// `count` edges drawn at random, each one once.
pub fn sample(edges: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut rng = Rng::new(seed, Purpose::Sample, 2);
    let mut all: Vec<usize> = (0..edges).collect();
    rng.shuffle(&mut all);
    all.truncate(count);
    all.sort_unstable();
    all
}

/// Computes the scores of `edges` again: real patches for `exact`, difference quotients by the edge's
/// mask for methods of derivatives. `None` for methods that have no other way.
///
/// # Errors
/// None of its own.
pub fn again<T: Element>(
    b: &Behaviour<'_, T>,
    method: Method,
    options: &Options,
    nodes: Option<usize>,
    edges: &[usize],
    progress: &mut Progress<'_>,
) -> Result<Option<Vec<f64>>> {
    if matches!(method, Method::Shapley | Method::Ifr | Method::Random) {
        return Ok(None);
    }
    let mut found = vec![0.0; edges.len()];
    let mut done = 0.0;
    b.batches(Some(MaskShape::default()), |probe, pairs| {
        probe.set_masks(T::ONE);
        probe.run_clean(pairs);
        let clean = probe.outputs();
        let baselines = probe.baselines(b, pairs);
        let beyond = difference(&clean, &baselines);
        probe.set_baselines(b, pairs);
        let mut at_point = |probe: &mut Probe<T>, weight: f64, mask: f64, fixed: &[Var]| {
            for (&e, found) in edges.iter().zip(&mut found) {
                *found += weight * slope(probe, e, mask, fixed);
            }
        };
        match method {
            Method::Exact => {
                let all = probe.total();
                for (&e, found) in edges.iter().zip(&mut found) {
                    probe.set_mask(0, e, T::ZERO);
                    probe.program.forward();
                    *found += all - probe.total();
                    probe.set_mask(0, e, T::ONE);
                }
            }
            Method::Eap => at_point(probe, 1.0, 1.0, &[]),
            Method::CleanCorrupted => {
                direct(probe, &beyond);
                at_point(probe, 0.5, 1.0, &[]);
                probe.run_corrupted(pairs);
                direct(probe, &beyond);
                at_point(probe, 0.5, 1.0, &[]);
            }
            Method::EapIg => {
                let all: Vec<usize> = (0..b.graph.inputs()).collect();
                lead(probe, options, &all, &baselines, &beyond, |probe, weight, _| {
                    at_point(probe, weight, 1.0, &[]);
                });
            }
            Method::EapIgActivations => {
                let parts = b.graph.sources.len();
                for w in 0..parts {
                    probe.run_clean(pairs);
                    lead(probe, options, &[w], &baselines, &beyond, |probe, weight, fixed| {
                        at_point(probe, weight / parts as f64, 1.0, fixed);
                    });
                }
            }
            Method::MaskIg => {
                for (alpha, weight) in gauss_legendre(nodes.unwrap_or(options.steps)) {
                    probe.set_masks(T::from_f64(alpha));
                    probe.program.forward();
                    at_point(probe, weight, alpha, &[]);
                }
                probe.set_masks(T::ONE);
            }
            Method::Shapley | Method::Ifr | Method::Random => {}
        }
        done += pairs.len() as f64 * b.weight();
        progress(done);
        Ok(())
    })?;
    Ok(Some(found))
}

/// Leads the outputs of the sources `led` from their baselines to their clean values, as the options
/// say, and shows each point with its weight and the variables that are led.
fn lead<T: Element>(
    probe: &mut Probe<T>,
    options: &Options,
    led: &[usize],
    baselines: &[Vec<T>],
    beyond: &[Vec<T>],
    mut point: impl FnMut(&mut Probe<T>, f64, &[Var]),
) {
    let vars: Vec<Var> = led.iter().map(|&w| probe.recorded.outputs[w].var()).collect();
    let plan = probe.program.plan_forward(&vars);
    let rule: Rule = options.rule;
    for (alpha, weight) in rule.points(options.steps) {
        led.iter().for_each(|&w| probe.lead(w, alpha, baselines, beyond));
        probe.program.forward_from(&plan);
        direct(probe, beyond);
        point(probe, weight, &vars);
    }
}

/// Puts fixed directions in the place of what writers add beyond their baselines.
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

/// The slope of the metric by the mask of edge `e` at `mask`, by a difference of fourth order. What
/// writers add beyond their baselines and the variables `fixed` stay as they are, unless masks of 1
/// are not what is asked for.
fn slope<T: Element>(probe: &mut Probe<T>, e: usize, mask: f64, fixed: &[Var]) -> f64 {
    let (group, ..) = probe.recorded.graph.place(e);
    let mut plan = probe.plan_for(group).without(&probe.program, fixed);
    if mask == 1.0 {
        plan = plan.without(&probe.program, &probe.recorded.idle);
    }
    // The fifth root of the rounding error, as a balance with the error of order h^4.
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
